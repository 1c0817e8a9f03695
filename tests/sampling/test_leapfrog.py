"""Leapfrog: the identities that Hamiltonian Monte Carlo rests on, and the closed form on a quadratic energy."""

import numpy as np
import pytest

from replica.sampling.leapfrog import (
    flip_momentum,
    hamiltonian,
    leapfrog,
    leapfrog_trajectory,
    phase_point,
    refresh_momentum,
    select_chains,
)
from replica.sampling.oscillator import leapfrog_power, oscillator_trajectory, rotation_angle
from replica.sampling.targets import AnisotropicGaussian, RoughWell

TARGETS = [AnisotropicGaussian(3), RoughWell()]


def start(target, n_chains=20, seed=0):
    rng = np.random.default_rng(seed)
    return phase_point(target, target.sample(n_chains, rng), rng.standard_normal((target.n_dims, n_chains)))


@pytest.mark.parametrize("target", TARGETS, ids=repr)
def test_matches_the_three_line_definition(target):
    point, eps = start(target), 0.3
    x, v = point.position, point.momentum
    for _ in range(4):
        v = v - eps / 2 * target.gradient(x)
        x = x + eps * v
        v = v - eps / 2 * target.gradient(x)
    end = leapfrog_trajectory(target, eps, 4)(point)
    np.testing.assert_allclose(end.position, x, rtol=1e-12)
    np.testing.assert_allclose(end.momentum, v, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(end.gradient, target.gradient(x), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(end.potential, target.energy(x), rtol=1e-12)


@pytest.mark.parametrize("target", TARGETS, ids=repr)
def test_flip_leap_flip_leap_is_the_identity(target):
    point, advance = start(target), leapfrog_trajectory(target, 1.0, 10)
    back = flip_momentum(advance(flip_momentum(advance(point))))
    # rounding in x is 1e-16 * 1000 and grows at most polynomially: both settings are below the chaotic step size
    np.testing.assert_allclose(back.position, point.position, atol=1e-9)
    np.testing.assert_allclose(back.momentum, point.momentum, atol=1e-10)


def test_costs_exactly_one_gradient_per_step():
    class Counting(RoughWell):
        calls = 0

        def gradient(self, x, out=None):
            Counting.calls += 1
            return super().gradient(x, out=out)

    target = Counting()
    point = start(target)
    Counting.calls = 0
    leapfrog_trajectory(target, 0.5, 10)(point)
    assert Counting.calls == 10


@pytest.mark.parametrize("target", TARGETS, ids=repr)
def test_energy_error_is_of_second_order(target):
    point, errors = start(target, 200), []
    for n_steps in (8, 16, 32):
        end = leapfrog_trajectory(target, 1.6 / n_steps, n_steps)(point)
        errors.append(np.abs(hamiltonian(end) - hamiltonian(point)).mean())
    order = np.log2(np.array(errors[:-1]) / errors[1:])
    # asymptotically 2; the next term is of relative order epsilon^2
    np.testing.assert_allclose(order, 2.0, atol=0.15)


@pytest.mark.parametrize("target", [AnisotropicGaussian(2, 1.0), RoughWell(2, 3.0, 4.0)], ids=repr)
def test_preserves_volume(target):
    rng = np.random.default_rng(4)
    zeta = np.concatenate([target.sample(1, rng), rng.standard_normal((2, 1))])[:, 0]
    h, columns = 1e-6, []
    advance = leapfrog_trajectory(target, 0.7, 5)
    for i in range(4):
        step = np.zeros(4)
        step[i] = h
        pair = np.stack([zeta + step, zeta - step], axis=1)
        end = advance(phase_point(target, pair[:2], pair[2:]))
        both = np.concatenate([end.position, end.momentum])
        columns.append((both[:, 0] - both[:, 1]) / (2 * h))
    assert abs(np.linalg.det(np.array(columns))) == pytest.approx(1.0, abs=1e-6)


def test_step_size_per_chain_follows_its_chain_in_a_subset():
    target, eps = RoughWell(), np.linspace(0.1, 1.0, 20)
    point = start(target)
    whole = leapfrog_trajectory(target, eps, 5)(point)
    chains = np.array([3, 7, 19])
    part = leapfrog_trajectory(target, eps, 5)(select_chains(point, chains), chains)
    np.testing.assert_array_equal(part.position, whole.position[:, chains])
    single = leapfrog_trajectory(target, eps[7], 5)(select_chains(point, np.array([7])))
    np.testing.assert_allclose(single.momentum[:, 0], whole.momentum[:, 7], rtol=1e-14)


def test_closed_form_on_the_gaussian_equals_leapfrog():
    target = AnisotropicGaussian(4)
    point = start(target, 30)
    eps, chains = np.linspace(0.1, 1.95, 30), np.arange(0, 30, 4)
    stepwise, closed = leapfrog_trajectory(target, eps, 10), oscillator_trajectory(target, eps, 10)
    for one, two in (
        (stepwise(point), closed(point)),
        (stepwise(select_chains(point, chains), chains), closed(select_chains(point, chains), chains)),
    ):
        for a, b in zip(one, two):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


def test_closed_form_with_a_number_of_steps_per_chain():
    target, steps = AnisotropicGaussian(2), np.array([1, 4, 9])
    point = start(target, 3)
    closed = oscillator_trajectory(target, 0.9, steps)(point)
    for i, n_steps in enumerate(steps):
        one = leapfrog_trajectory(target, 0.9, int(n_steps))(select_chains(point, np.array([i])))
        np.testing.assert_allclose(closed.position[:, i], one.position[:, 0], rtol=1e-11)


def test_rotation_by_sixty_degrees_at_unit_step():
    assert rotation_angle(1.0) == pytest.approx(np.pi / 3)
    # 3 x 10 steps of 60 degrees: five full turns, so the third look-ahead comes back to where it started
    np.testing.assert_allclose(leapfrog_power(np.asarray(1.0), 1.0, 30), (1.0, 0.0, 0.0), atol=1e-13)


def test_momentum_corruption_keeps_the_normal_law_and_the_right_memory():
    rng = np.random.default_rng(5)
    v = rng.standard_normal((2, 50_000))
    beta = np.where(np.arange(50_000) < 25_000, 0.1, 1.0)
    new = refresh_momentum(v, beta, rng)
    assert new.var() == pytest.approx(1.0, abs=4 * np.sqrt(2 / new.size))
    for half, memory in ((slice(0, 25_000), np.sqrt(0.9)), (slice(25_000, None), 0.0)):
        assert (v[:, half] * new[:, half]).mean() == pytest.approx(memory, abs=4 / np.sqrt(50_000))


def test_nothing_is_changed_in_place():
    target = RoughWell()
    point = start(target)
    copies = [a.copy() for a in point]
    leapfrog_trajectory(target, 0.5, 3)(point)
    flip_momentum(point)
    refresh_momentum(point.momentum, 0.5, np.random.default_rng(0))
    for a, b in zip(point, copies):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("step_size", [0.0, -1.0, np.nan, np.inf, np.array([0.1, -0.1])])
def test_bad_step_size_is_refused(step_size):
    with pytest.raises(ValueError, match="step_size must be positive"):
        leapfrog_trajectory(RoughWell(), step_size, 10)
    with pytest.raises(ValueError, match="step_size must be positive"):
        oscillator_trajectory(AnisotropicGaussian(2), step_size, 10)


@pytest.mark.parametrize("beta", [0.0, -0.1, 1.1, np.nan, np.array([0.5, 0.0])])
def test_bad_beta_is_refused(beta):
    with pytest.raises(ValueError, match="must lie in"):
        refresh_momentum(np.zeros((2, 2)), beta, np.random.default_rng(0))


def test_other_bad_input_is_refused():
    target = AnisotropicGaussian(2)
    with pytest.raises(ValueError, match="unstable"):
        oscillator_trajectory(target, 2.0, 10)
    with pytest.raises(ValueError, match="n_steps must be"):
        leapfrog_trajectory(target, 1.0, 0)
    with pytest.raises(ValueError, match="n_steps must be"):
        oscillator_trajectory(target, 1.0, np.array([3, 0]))
    with pytest.raises(ValueError, match="n_steps must be"):
        leapfrog(np.zeros((2, 1)), np.zeros((2, 1)), np.zeros((2, 1)), target, 1.0, 2.5)
    with pytest.raises(ValueError, match="position must have shape"):
        phase_point(target, np.zeros((3, 5)), np.zeros((3, 5)))
    with pytest.raises(ValueError, match="momentum must have"):
        phase_point(target, np.zeros((2, 5)), np.zeros((2, 4)))
    with pytest.raises(ValueError, match="must be finite"):
        phase_point(target, np.full((2, 5), np.nan), np.zeros((2, 5)))
