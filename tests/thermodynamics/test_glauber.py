"""Small spin networks: Boltzmann, brute force, simulation with error bars, gradients by finite differences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replica.kernels.trials import mean_and_error
from replica.thermodynamics.glauber import (
    MAX_SPINS,
    boltzmann_distribution,
    flip_rates,
    simulate_spins,
    spin_states,
    steady_state_gradient,
    steady_states,
    transition_rates,
)
from replica.thermodynamics.markov import entropy_production_rate, generator, steady_state


def random_network(seed, devices, inputs, spins, scale=1.0):
    rng = np.random.default_rng(seed)
    j = scale * rng.normal(size=(devices, spins, spins)) * (1 - np.eye(spins))
    return j, scale * rng.normal(size=(devices, inputs, spins))


def test_order_of_configurations():
    assert spin_states(2).tolist() == [[-1, -1], [-1, 1], [1, -1], [1, 1]]


def test_two_spins_with_numbers_known_from_before():
    """J12 = 1, J21 = -1/2, H = (0.3, -0.2); the numbers come from an independent dense solution."""
    steady = steady_states([[[0, 1.0], [-0.5, 0]]], [[[0.3, -0.2]]])
    np.testing.assert_allclose(steady.distribution[0, 0], [0.32054, 0.17422, 0.26008, 0.24517], atol=5e-6)
    assert steady.entropy_production[0, 0] == pytest.approx(0.871336, abs=5e-7)


def test_two_spins_by_their_only_cycle():
    """Two spins are a ring of four states: sigma is the current round it times the logarithm of the rates' ratio."""
    j, h = np.array([[0, 1.0], [-0.5, 0]]), np.array([0.3, -0.2])
    w = transition_rates(j, h)
    ring = [0, 1, 3, 2]
    forward = [w[ring[(k + 1) % 4], ring[k]] for k in range(4)]
    back = [w[ring[k], ring[(k + 1) % 4]] for k in range(4)]
    pi = steady_states(j[None], h[None, None]).distribution[0, 0]
    current = forward[0] * pi[0] - back[0] * pi[1]
    assert steady_states(j[None], h[None, None]).entropy_production[0, 0] == pytest.approx(
        current * np.log(np.prod(forward) / np.prod(back)), rel=1e-13
    )
    # the affinity of the cycle is 4 (J21 - J12) up to its sense, whatever the fields
    assert abs(np.log(np.prod(forward) / np.prod(back))) == pytest.approx(4 * 1.5, rel=1e-13)


@pytest.mark.parametrize("spins", [1, 2, 3, 4, 5, 6])
def test_elimination_by_parity_agrees_with_the_master_equation(spins):
    j, h = random_network(spins, 3, 4, spins, scale=2.0)
    steady = steady_states(j, h)
    rates = transition_rates(j[:, None], h)
    np.testing.assert_allclose(steady.distribution, steady_state(rates), rtol=1e-12)
    system = generator(rates)
    system[..., 0, :] = 1.0
    dense = np.linalg.solve(system, np.broadcast_to(np.eye(2**spins)[0][:, None], (3, 4, 2**spins, 1)))[..., 0]
    np.testing.assert_allclose(steady.distribution, dense, atol=1e-11)
    production = entropy_production_rate(rates, steady.distribution)
    np.testing.assert_allclose(steady.entropy_production, production, rtol=1e-10, atol=1e-14)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), spins=st.integers(2, 5))
def test_reciprocal_couplings_give_boltzmann_and_no_dissipation(seed, spins):
    j, h = random_network(seed, 2, 3, spins)
    j = 0.5 * (j + np.swapaxes(j, 1, 2))
    steady = steady_states(j, h)
    np.testing.assert_allclose(steady.distribution, boltzmann_distribution(j[:, None], h), rtol=1e-11)
    assert np.abs(steady.entropy_production).max() < 1e-12


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), spins=st.integers(2, 5))
def test_symmetries(seed, spins):
    """Dissipation is positive; reversing all spins and fields reverses the state; so does a change of gauge."""
    j, h = random_network(seed, 1, 1, spins)
    steady, mirror = steady_states(j, h), steady_states(j, -h)
    assert steady.entropy_production.min() > 0
    np.testing.assert_allclose(mirror.distribution, steady.distribution[..., ::-1], rtol=1e-10)
    np.testing.assert_allclose(mirror.entropy_production, steady.entropy_production, rtol=1e-10)
    gauge = np.where(np.random.default_rng(seed).random(spins) < 0.5, -1.0, 1.0)
    turned = steady_states(j * np.outer(gauge, gauge), h * gauge)
    np.testing.assert_allclose(turned.entropy_production, steady.entropy_production, rtol=1e-10)


def test_one_way_coupling_in_closed_form():
    """Spin 1 drives spin 2 without feedback: spin 1 is free, and the pair's correlation follows from its rates."""
    k = 0.8
    pi = steady_states([[[0, 0], [k, 0]]], [[[0.0, 0.0]]]).distribution[0, 0]
    # d<x1 x2>/dt = -2 <x1 x2> + tanh(k) <x1^2>, with both relaxing at rate one
    assert pi @ spin_states(2).prod(axis=1) == pytest.approx(0.5 * np.tanh(k), rel=1e-13)


@pytest.mark.parametrize("spins", [2, 3, 4, 5])
def test_gradient_by_finite_differences(spins):
    j, h = random_network(10 + spins, 2, 3, spins)
    rng = np.random.default_rng(spins)
    slope, weight = rng.normal(size=(2, 3, 2**spins)), np.array([0.7, -1.3])

    def value(j, h):
        steady = steady_states(j, h)
        return (steady.distribution * slope).sum(axis=(1, 2)) + weight * steady.entropy_production.sum(axis=1)

    by_j, by_h = steady_state_gradient(steady_states(j, h), slope, weight)
    turn_j, turn_h = rng.normal(size=j.shape) * (1 - np.eye(spins)), rng.normal(size=h.shape)
    step = 1e-5
    slope_there = (value(j + step * turn_j, h + step * turn_h) - value(j - step * turn_j, h - step * turn_h)) / 2 / step
    exact = (by_j * turn_j).sum(axis=(1, 2)) + (by_h * turn_h).sum(axis=(1, 2))
    np.testing.assert_allclose(exact, slope_there, rtol=1e-7)  # differences of order step^2, rounding of 1e-16/step
    assert not np.diagonal(by_j, axis1=1, axis2=2).any()


@pytest.mark.parametrize("spins", [2, 4])
def test_simulation_of_the_jumps(spins):
    j, h = random_network(3, 1, 1, spins)
    steady = steady_states(j, h)
    occupation, entropy = simulate_spins(j[0], h[0, 0], 2000.0, 40, np.random.default_rng(0))
    for measured, exact in ((occupation, steady.distribution[0, 0]), (entropy, steady.entropy_production[0, 0])):
        mean, error = mean_and_error(measured)
        assert (np.abs(mean - exact) < 4.5 * error).all()  # at most 17 numbers: beyond 4.5 sigma one time in 10^4
        assert np.max(error) < 0.01 * max(1.0, np.max(exact))  # a test with any power


def test_rates_far_from_zero_stay_exact():
    rates = flip_rates(np.zeros((2, 2)), [40.0, -40.0])
    assert rates.min() == pytest.approx(np.exp(-80), rel=1e-12)


@pytest.mark.parametrize(
    ("couplings", "fields", "sentence"),
    [
        (np.zeros((1, 2, 3)), np.zeros((1, 1, 2)), "square"),
        ([[[0, np.nan], [1, 0]]], np.zeros((1, 1, 2)), "finite couplings"),
        ([[[0, 1], [1, 0]]], [[[np.inf, 0]]], "finite fields"),
        ([[[0.5, 1], [1, 0]]], np.zeros((1, 1, 2)), "couple to itself"),
        (np.zeros((1, 2, 2)), np.zeros((1, 1, 3)), "fields on 2 spins"),
        (np.zeros((2, 2)), np.zeros((1, 2)), r"\(P, N, N\)"),
        (np.zeros((1, 20, 20)), np.zeros((1, 1, 20)), "8.19e\\+03 GiB"),
    ],
)
def test_bad_networks_are_refused(couplings, fields, sentence):
    with pytest.raises(ValueError, match=sentence):
        steady_states(couplings, fields)


def test_other_bad_input_is_refused():
    j, h = random_network(0, 1, 1, 2)
    with pytest.raises(ValueError, match="symmetric"):
        boltzmann_distribution(j, h)
    with pytest.raises(ValueError, match="at least 1"):
        spin_states(0)
    with pytest.raises(ValueError, match=f"up to {MAX_SPINS}"):
        spin_states(MAX_SPINS + 1)
    with pytest.raises(ValueError, match="slope"):
        steady_state_gradient(steady_states(j, h), np.zeros((1, 1, 3)), np.zeros(1))
    with pytest.raises(ValueError, match="one network"):
        simulate_spins(j, h, 1.0, 1, np.random.default_rng(0))
    with pytest.raises(ValueError, match="positive duration"):
        simulate_spins(j[0], h[0, 0], 0.0, 1, np.random.default_rng(0))
