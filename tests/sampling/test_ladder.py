"""The finite ladder: fixed point and skew balance to machine precision, for any energies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from replica.sampling.ladder import (
    flip_permutation,
    ladder_distribution,
    ladder_energies,
    ladder_flip_fraction,
    ladder_transition_matrix,
    simulate_ladder,
)

energies_ = st.integers(2, 14).flatmap(lambda n: arrays(np.float64, n, elements=st.floats(-20, 20, allow_nan=False)))


@settings(max_examples=100, deadline=None)
@given(energies_, st.integers(1, 9))
def test_matrix_is_stochastic_keeps_the_target_and_balances_skewly(energies, n_lookahead):
    matrix, p = ladder_transition_matrix(energies, n_lookahead), ladder_distribution(energies)
    assert matrix.min() >= -1e-15
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, atol=1e-14)
    np.testing.assert_allclose(p @ matrix, p, atol=1e-14)
    flow, flip = p[:, None] * matrix, flip_permutation(len(energies))
    np.testing.assert_allclose(flow, flow[np.ix_(flip, flip)].T, atol=1e-15)


def test_flip_is_an_involution_and_distribution_ignores_it():
    flip = flip_permutation(5)
    np.testing.assert_array_equal(flip[flip], np.arange(10))
    p = ladder_distribution(np.random.default_rng(0).normal(size=5))
    np.testing.assert_array_equal(p, p[flip])
    assert p.sum() == pytest.approx(1.0)


def test_flip_leap_flip_leap_on_the_ring():
    heights = ladder_energies(np.arange(6.0), 2)
    # from rung 2 upwards: 2, 3, 4; downwards: 2, 1, 0
    np.testing.assert_array_equal(heights[:, 2], [2, 3, 4])
    np.testing.assert_array_equal(heights[:, 6 + 2], [2, 1, 0])


def test_detailed_balance_is_broken():
    energies = np.random.default_rng(1).normal(size=12)
    matrix, p = ladder_transition_matrix(energies, 4), ladder_distribution(energies)
    flow = p[:, None] * matrix
    assert np.abs(flow - flow.T).max() > 1e-3


def test_two_rungs_by_hand():
    """n = 2, K = 1: go to the other rung with min(1, e^{E - E'}), else flip."""
    matrix = ladder_transition_matrix(np.array([0.0, 1.0]), 1)
    up = np.exp(-1.0)
    expected = np.array([[0, up, 1 - up, 0], [1, 0, 0, 0], [1 - up, 0, 0, up], [0, 0, 1, 0]])
    np.testing.assert_allclose(matrix, expected, atol=1e-15)


def test_equal_energies_never_flip_and_a_full_turn_never_flips():
    assert ladder_flip_fraction(np.zeros(7), 1) == 0.0
    energies = np.random.default_rng(2).normal(size=6) * 2
    # L^6 is the identity on a ring of six: the ladder offers the present energy again, and that is always taken
    assert ladder_flip_fraction(energies, 6) == pytest.approx(0.0, abs=1e-15)
    assert ladder_flip_fraction(energies, 1) > 0.1


@settings(max_examples=50, deadline=None)
@given(energies_)
def test_more_look_ahead_never_flips_more(energies):
    flips = [ladder_flip_fraction(energies, k) for k in range(1, 6)]
    assert (np.diff(flips) <= 1e-14).all()


@pytest.mark.parametrize("n_lookahead", [1, 3])
def test_simulation_agrees_with_the_matrix(n_lookahead):
    energies = np.random.default_rng(3).normal(size=8)
    occupation, flips = simulate_ladder(energies, n_lookahead, 400, 1000, np.random.default_rng(4))
    error = flips.std(ddof=1) / np.sqrt(flips.size)
    assert abs(flips.mean() - ladder_flip_fraction(energies, n_lookahead)) < 4 * error
    p = ladder_distribution(energies)[:8] * 2
    errors = occupation.std(axis=1, ddof=1) / np.sqrt(1000)
    assert (np.abs(occupation.mean(axis=1) - p) < 4.5 * errors).all()


@pytest.mark.parametrize(
    ("energies", "n_lookahead", "words"),
    [
        (np.array([1.0]), 1, "at least two numbers"),
        (np.zeros((2, 2)), 1, "at least two numbers"),
        (np.array([0.0, np.nan]), 1, "must be finite"),
        (np.array([0.0, np.inf]), 1, "must be finite"),
        (np.array([0.0, 1.0]), 0, "n_lookahead"),
    ],
)
def test_bad_input_is_refused(energies, n_lookahead, words):
    with pytest.raises(ValueError, match=words):
        ladder_transition_matrix(energies, n_lookahead)
