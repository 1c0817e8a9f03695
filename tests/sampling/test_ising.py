"""Spin systems: conventions, exact sums, Gibbs sampling against enumeration."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from replica.sampling.ising import (
    binary_states,
    binary_to_spin,
    check_activity,
    exact_moments,
    exact_samples,
    from_spin_couplings,
    gibbs_samples,
    gibbs_sweeps,
    ising_energy,
    log_partition,
    sample_moments,
    spin_glass,
    spin_to_binary,
    state_probabilities,
    to_spin_couplings,
)


def glass(d, seed=0, scale=3.0):
    rng = np.random.default_rng(seed)
    matrix = spin_glass(d, rng, scale)
    matrix[np.diag_indices(d)] += rng.normal(scale=0.3, size=d)  # no symmetry between on and off
    return matrix


@given(st.integers(2, 9), st.integers(0, 1000))
def test_sums_over_halves_are_sums_over_states(d, seed):
    couplings = glass(d, seed)
    states = binary_states(d)
    weight = np.exp(-np.einsum("ni,ij,nj->n", states, couplings, states))
    p = weight / weight.sum()
    moments, log_z = exact_moments(couplings)
    np.testing.assert_allclose(log_z, np.log(weight.sum()), rtol=1e-12)
    np.testing.assert_allclose(state_probabilities(couplings), p, rtol=1e-10)
    np.testing.assert_allclose(moments.second, (states.T * p) @ states, atol=1e-13)
    np.testing.assert_allclose(moments.mean, p @ states, atol=1e-13)


def test_free_units():
    bias = np.array([-1.0, 0.0, 0.5, 2.0])
    moments, log_z = exact_moments(np.diag(bias))
    np.testing.assert_allclose(moments.mean, 1 / (1 + np.exp(bias)), rtol=1e-13)
    assert log_z == pytest.approx(np.log1p(np.exp(-bias)).sum(), rel=1e-13)


def test_two_spins_by_hand():
    couplings = from_spin_couplings([[0, 0.7], [0.7, 0]], [0.0, 0.0])
    moments, _ = exact_moments(couplings)
    assert moments.correlation()[0, 1] == pytest.approx(np.tanh(0.7), rel=1e-12)


@given(st.integers(2, 7), st.integers(0, 1000))
def test_spin_convention_gives_the_same_distribution(d, seed):
    couplings = glass(d, seed)
    spin, field = to_spin_couplings(couplings)
    np.testing.assert_allclose(from_spin_couplings(spin, field), couplings, atol=1e-12)
    sigma = binary_to_spin(binary_states(d))
    log_p = 0.5 * np.einsum("ni,ij,nj->n", sigma, spin, sigma) + sigma @ field
    log_p -= np.logaddexp.reduce(log_p)
    np.testing.assert_allclose(np.exp(log_p), state_probabilities(couplings), rtol=1e-9)


def test_glass_units_are_on_half_of_the_time():
    couplings = spin_glass(12, np.random.default_rng(0))
    np.testing.assert_allclose(exact_moments(couplings)[0].mean, 0.5, atol=1e-12)
    np.testing.assert_allclose(to_spin_couplings(couplings)[1], 0, atol=1e-12)


def test_glass_couplings_have_the_variance_promised():
    couplings = spin_glass(400, np.random.default_rng(1))
    pairs = couplings[np.triu_indices(400, 1)]
    expected = 4.5 / 400
    assert abs(pairs.var() - expected) < 4 * expected * np.sqrt(2 / pairs.size)


def test_a_sweep_leaves_the_distribution_where_it_is():
    """Exact: the operator of one sweep, built unit by unit, has p as its fixed point."""
    couplings = glass(6, 3)
    p, states = state_probabilities(couplings), binary_states(6)
    q = p.copy()
    for n in range(6):
        partner = np.arange(64) ^ (1 << (5 - n))
        on = states.copy()
        on[:, n] = 1
        field = 2 * on @ couplings[n] - couplings[n, n]
        q_on = 1 / (1 + np.exp(field))
        q = np.where(states[:, n] == 1, q_on, 1 - q_on) * (q + q[partner])
    np.testing.assert_allclose(q, p, atol=1e-15)


def test_gibbs_samples_all_states_with_their_probabilities():
    """Independent chains, one sample each: a chi-square test is exact. Both halves, at the 1e-4 level."""
    couplings = glass(6, 4)
    samples = gibbs_samples(couplings, 40_000, np.random.default_rng(5), n_chains=40_000, burn_in=40)
    p = state_probabilities(couplings)
    for half in np.split(samples, 2):
        counts = np.bincount((half @ 2.0 ** np.arange(5, -1, -1)).astype(int), minlength=64)
        expected = p * len(half)
        common = expected >= 5
        terms = (counts - expected)[common] ** 2 / expected[common]
        rest, rest_expected = counts[~common].sum(), expected[~common].sum()
        statistic = terms.sum() + (rest - rest_expected) ** 2 / max(rest_expected, 1)
        assert statistic < chi2.ppf(1 - 1e-4, common.sum())


def test_gibbs_moments_of_twelve_units():
    couplings = glass(12, 6)
    samples = gibbs_samples(couplings, 40_000, np.random.default_rng(7), n_chains=400, burn_in=200, thinning=5)
    exact, _ = exact_moments(couplings)
    # the standard error comes from the spread of the independent chains
    chains = samples.reshape(400, 100, 12)
    second = np.einsum("cni,cnj->cij", chains, chains) / 100
    error = second.std(axis=0, ddof=1) / 20
    score = (second.mean(axis=0) - exact.second) / error
    assert np.abs(score).max() < 4.5  # largest of 78
    np.testing.assert_allclose(second.mean(axis=0), sample_moments(samples).second, atol=1e-12)


def test_exact_samples():
    couplings = glass(13, 8)
    n = 50_000
    samples = exact_samples(couplings, n, np.random.default_rng(9))
    exact, _ = exact_moments(couplings)
    error = np.sqrt(exact.second * (1 - exact.second) / n)
    assert (np.abs(samples.T @ samples / n - exact.second) / error).max() < 4.5  # largest of 91


def test_sweeps_are_reproducible_and_leave_their_start_alone():
    couplings, start = glass(5), np.zeros((3, 5))
    one, two = (gibbs_sweeps(couplings, start, 7, np.random.default_rng(1)) for _ in range(2))
    assert (one == two).all()
    assert not start.any()
    assert (gibbs_sweeps(couplings, one, 0, np.random.default_rng(1)) == one).all()


def test_energy_of_known_states():
    couplings = np.array([[1.0, -2.0], [-2.0, 3.0]])
    np.testing.assert_allclose(ising_energy(couplings, binary_states(2)), [0, 3, 1, 0])
    assert log_partition(couplings) == pytest.approx(np.log(np.exp([-0.0, -3, -1, 0]).sum()))


@pytest.mark.parametrize("seed", range(20))
def test_a_unit_that_never_changes_is_refused_whatever_the_weights(seed):
    rng = np.random.default_rng(seed)
    states, weights = rng.integers(0, 2, size=(50, 3)).astype(float), rng.random(50)
    states[:, 1] = 1
    with pytest.raises(ValueError, match="unit 1 always on"):  # the weighted mean may be one up to rounding only
        check_activity(states, weights / weights.sum())
    states[7, 1] = 0
    check_activity(states, weights)
    weights[7] = 0  # the only state with unit 1 off does not count
    with pytest.raises(ValueError, match="unit 1 always on"):
        check_activity(states, weights)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: ising_energy([[0, 1], [2, 0]], [[0, 1]]), r"symmetric matrix, got 1 at \(0, 1\) and 2"),
        (lambda: ising_energy([[0, np.nan], [np.nan, 0]], [[0, 1]]), "finite"),
        (lambda: ising_energy([[0, 1, 2]], [[0, 1]]), "square"),
        (lambda: ising_energy(np.eye(2), [[0, -1], [1, 1]]), "expected 0 and 1, got -1 in state 0, unit 1"),
        (lambda: ising_energy(np.eye(2), [[-1, 1], [1, 1]]), "convert spins with spin_to_binary"),
        (lambda: ising_energy(np.eye(2), [[0, np.nan]]), "expected 0 and 1, got nan"),
        (lambda: ising_energy(np.eye(2), np.empty((0, 2))), "at least one state"),
        (lambda: ising_energy(np.eye(2), [[0, 1, 1]]), "expected 2 units"),
        (lambda: exact_moments(np.eye(25)), "2 to 24 units, got 25"),
        (lambda: binary_states(21), "1 to 20"),
        (lambda: gibbs_samples(np.eye(2), 10, np.random.default_rng(0), n_chains=3), "multiple of the chains"),
        (lambda: gibbs_sweeps(np.eye(2), [[0, 1]], -1, np.random.default_rng(0)), "not negative"),
        (lambda: exact_samples(np.eye(2), 0, np.random.default_rng(0)), "at least one sample"),
        (lambda: check_activity(np.array([[0.0, 1, 1], [1, 1, 1]])), "units 1, 2 always on"),
        (lambda: check_activity(np.array([[0.0, 1, 0], [0, 0, 1]])), "unit 0 always off"),
        (lambda: sample_moments([[0, 1], [0, 0]]).correlation(), "unit 0 never changes"),
        (lambda: spin_to_binary([0, 1]), "-1 and 1"),
        (lambda: binary_to_spin([0, 2]), "0 and 1"),
        (lambda: from_spin_couplings(np.eye(2), [0, 0]), "without diagonal"),
        (lambda: spin_glass(1, np.random.default_rng(0)), "at least 2 units"),
    ],
)
def test_bad_input_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()
