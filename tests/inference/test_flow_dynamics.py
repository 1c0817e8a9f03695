"""The dynamics behind the flow: detailed balance, fixed point, relaxation, first-order divergence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replica.inference.flow_dynamics import (
    divergence_after,
    evolve,
    flow_matrix,
    initial_flow,
    single_flip_neighbours,
)
from replica.inference.minimum_probability_flow import ising_flow
from replica.sampling.ising import binary_states, ising_energy, spin_glass, state_probabilities


def glass(d, seed=0):
    couplings = spin_glass(d, np.random.default_rng(seed))
    return couplings, flow_matrix(ising_energy(couplings, binary_states(d)), single_flip_neighbours(d))


def test_neighbours_differ_in_one_unit():
    states = binary_states(4)
    distance = np.abs(states[:, None] - states[None]).sum(axis=2)
    np.testing.assert_array_equal(single_flip_neighbours(4), distance == 1)


@given(st.integers(2, 6), st.integers(0, 200))
def test_detailed_balance_and_fixed_point(d, seed):
    couplings, rates = glass(d, seed)
    p = state_probabilities(couplings)
    flow = rates * p
    np.testing.assert_allclose(flow, flow.T, atol=1e-14)
    np.testing.assert_allclose(rates @ p, 0, atol=1e-13)
    np.testing.assert_allclose(rates.sum(axis=0), 0, atol=1e-10)


def test_everything_relaxes_to_the_model():
    couplings, rates = glass(5)
    start = np.zeros(32)
    start[3] = 1
    way = evolve(rates, start, [0.0, 0.3, 60.0])
    np.testing.assert_allclose(way.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(way[0], start, atol=1e-15)
    np.testing.assert_allclose(way[2], state_probabilities(couplings), atol=1e-9)


def test_initial_flow_is_the_slope_of_the_divergence():
    _, rates = glass(5, 1)
    start = np.zeros(32)
    start[[0, 5, 9, 30]] = 0.25
    flow = initial_flow(rates, start)
    epsilon = np.array([1e-4, 1e-5])
    error = np.abs(divergence_after(rates, start, epsilon) / epsilon - flow) / flow
    assert error[1] < 1e-3
    assert error[0] / error[1] == pytest.approx(10, rel=0.05)


def test_initial_flow_is_the_literal_objective():
    couplings, rates = glass(5, 2)
    occupied = np.array([0, 3, 12, 31, 17])
    start = np.bincount(occupied, minlength=32) / 5
    literal = ising_flow(binary_states(5)[occupied], within_data=False)
    assert initial_flow(rates, start) == pytest.approx(literal(couplings)[0], rel=1e-12)


def test_a_full_state_space_has_no_initial_flow():
    _, rates = glass(3)
    assert initial_flow(rates, np.full(8, 1 / 8)) == 0


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: flow_matrix([0, np.inf], np.ones((2, 2))), "probability zero"),
        (lambda: flow_matrix([0, 1], np.ones((3, 3))), "m energies"),
        (lambda: flow_matrix([0, 1], [[0, 1], [0, 0]]), "symmetric"),
        (lambda: evolve(flow_matrix([0, 1], np.ones((2, 2))), [0.3, 0.3], 1), "sum to one"),
        (lambda: single_flip_neighbours(12), "1 to 11"),
    ],
)
def test_bad_input_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()
