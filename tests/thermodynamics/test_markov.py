"""Markov chains on a few states against dense algebra, closed forms and conservation of probability."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import null_space

from replica.thermodynamics.markov import entropy_production_rate, generator, steady_state


def random_rates(rng, n, *stack):
    return rng.lognormal(sigma=2.0, size=(*stack, n, n)) * (1 - np.eye(n))


def test_steady_state_is_the_null_vector_of_the_generator():
    rates = random_rates(np.random.default_rng(0), 7, 3, 2)
    pi = steady_state(rates)
    assert pi.shape == (3, 2, 7)
    for k in np.ndindex(3, 2):
        vector = null_space(generator(rates[k]))[:, 0]
        np.testing.assert_allclose(pi[k], vector / vector.sum(), rtol=1e-9)


def test_two_states():
    pi = steady_state([[0, 3.0], [1.0, 0]])  # 0 to 1 at rate 1, back at rate 3
    np.testing.assert_allclose(pi, [0.75, 0.25], rtol=1e-15)


def test_tiny_probabilities_are_accurate_relative_to_themselves():
    """Boltzmann weights down to e^-120 on a fully connected chain."""
    energy = np.random.default_rng(1).permutation(np.linspace(0, 120, 7))
    rates = np.exp(0.5 * (energy[None, :] - energy[:, None])) * (1 - np.eye(7))
    np.testing.assert_allclose(steady_state(rates), np.exp(-energy) / np.exp(-energy).sum(), rtol=1e-12)


def test_driven_ring_in_closed_form():
    """n states in a ring, rate p forward and q back: uniform, and sigma = (p - q) ln(p/q)."""
    n, p, q = 5, 2.0, 0.3
    rates = p * np.roll(np.eye(n), 1, axis=0) + q * np.roll(np.eye(n), -1, axis=0)
    pi = steady_state(rates)
    np.testing.assert_allclose(pi, 1 / n)
    assert entropy_production_rate(rates, pi) == pytest.approx((p - q) * np.log(p / q), rel=1e-13)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(2, 6))
def test_detailed_balance_is_the_only_way_not_to_dissipate(seed, n):
    rng = np.random.default_rng(seed)
    energy, mobility = rng.normal(size=n), rng.lognormal(size=(n, n))
    rates = (mobility + mobility.T) * np.exp(0.5 * (energy[None, :] - energy[:, None])) * (1 - np.eye(n))
    pi = steady_state(rates)
    np.testing.assert_allclose(pi, np.exp(-energy) / np.exp(-energy).sum(), rtol=1e-12)
    assert abs(entropy_production_rate(rates, pi)) < 1e-11
    if n > 2:
        driven = rates * (1 + np.triu(np.ones((n, n))) * (np.arange(n) == 1))
        assert entropy_production_rate(driven, steady_state(driven)) > 0


@pytest.mark.parametrize(
    ("rates", "sentence"),
    [
        (np.zeros((2, 3)), "square"),
        ([[0, np.nan], [1, 0]], "NaN"),
        ([[0, -1.0], [1, 0]], "not negative"),
        ([[0, 0.0], [1, 0]], "cannot be left"),
    ],
)
def test_bad_rates_are_refused(rates, sentence):
    with pytest.raises(ValueError, match=sentence):
        steady_state(rates)


def test_a_transition_without_reverse_is_refused():
    with pytest.raises(ValueError, match="no reverse"):
        entropy_production_rate([[0, 0, 1.0], [1, 0, 1], [1, 1, 0]], np.full(3, 1 / 3))
    with pytest.raises(ValueError, match="over 2 states"):
        entropy_production_rate([[0, 1.0], [1, 0]], np.full(3, 1 / 3))
