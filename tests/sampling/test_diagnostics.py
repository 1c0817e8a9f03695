"""Diagnostics against direct sums, an autoregressive process with a known law, and hand-made curves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replica.sampling.diagnostics import (
    autocorrelation,
    autocovariance,
    crossing,
    effective_sample_size,
    gradient_evaluations,
    jackknife,
    mixing_summary,
    transition_fractions,
)
from replica.sampling.look_ahead import look_ahead_costs


@settings(max_examples=30, deadline=None)
@given(st.integers(3, 40), st.integers(1, 4), st.integers(1, 5), st.data())
def test_fft_equals_the_direct_sum(n_times, n_dims, n_chains, data):
    max_lag = data.draw(st.integers(0, n_times - 1))
    x = np.random.default_rng(n_times).normal(3.0, 2.0, size=(n_times, n_dims, n_chains))
    direct = np.stack([(x[: n_times - t] * x[t:]).sum(axis=1).mean(axis=0) for t in range(max_lag + 1)])
    np.testing.assert_allclose(autocovariance(x, max_lag), direct, rtol=1e-10, atol=1e-9)


def test_the_mean_is_not_subtracted():
    np.testing.assert_allclose(autocovariance(np.full((50, 3), 2.0), 10), 4.0)


def test_chunks_of_chains_give_the_same(monkeypatch):
    x = np.random.default_rng(0).normal(size=(60, 2, 7))
    whole = autocovariance(x, 20)
    monkeypatch.setattr("replica.sampling.diagnostics._CHUNK", 200)
    np.testing.assert_allclose(autocovariance(x, 20), whole, atol=1e-12)


def test_autoregressive_process_has_exponential_autocorrelation():
    rng, memory = np.random.default_rng(1), 0.9
    x = np.empty((3000, 400))
    x[0] = rng.standard_normal(400)
    for t in range(1, 3000):
        x[t] = memory * x[t - 1] + np.sqrt(1 - memory**2) * rng.standard_normal(400)
    rho = autocorrelation(autocovariance(x, 30))
    # 1.2e6 samples with an autocorrelation time of 19: standard error about 0.004
    np.testing.assert_allclose(rho, memory ** np.arange(31), atol=0.016)
    assert crossing(rho, 0.5) == pytest.approx(np.log(0.5) / np.log(0.9), rel=0.03)


def test_crossing_interpolates_and_says_when_it_is_not_reached():
    rho = np.array([1.0, 0.8, 0.4, 0.6])
    assert crossing(rho, 0.5) == pytest.approx(1.75)
    assert crossing(rho, 0.5, spacing=10.0) == pytest.approx(17.5)
    assert crossing(rho, 0.4) == pytest.approx(2.0)
    assert np.isnan(crossing(rho, 0.1))


def test_gradients_count_the_look_ahead_and_the_flips():
    counts = np.array([[1, 1], [6, 5], [2, 2], [1, 2]])  # of 20 steps: 2 flips, 11 L, 4 L^2, 3 L^3
    np.testing.assert_allclose(transition_fractions(counts), [0.1, 0.55, 0.2, 0.15])
    by_hand = 10 * (2 * 3 + 11 + 4 * 2 + 3 * 3) / 20
    assert gradient_evaluations(counts, look_ahead_costs(10, 3)) == pytest.approx(by_hand)
    assert gradient_evaluations(np.array([[3], [7]]), look_ahead_costs(10, 1)) == 10.0


def test_jackknife_of_a_mean_is_the_standard_error():
    x = np.random.default_rng(2).normal(size=60)
    value, error = jackknife(lambda chains: x[chains].mean(), 60, 60)
    assert value == pytest.approx(x.mean())
    assert error == pytest.approx(x.std(ddof=1) / np.sqrt(60))
    values, errors = jackknife(lambda chains: np.array([x[chains].mean(), 1.0]), 60, 6)
    assert values.shape == errors.shape == (2,)
    assert errors[1] == 0.0


def test_jackknife_covers_a_ratio():
    """The true ratio lies within two standard errors in about 95 % of 200 repetitions (10 batches: t rather than z)."""
    rng, hits = np.random.default_rng(3), 0
    for _ in range(200):
        a, b = rng.exponential(2.0, 100), rng.exponential(1.0, 100)
        value, error = jackknife(lambda c, a=a, b=b: a[c].mean() / b[c].mean(), 100, 10)
        hits += abs(value - 2.0) < 2.26 * error
    assert 178 <= hits <= 200


def test_mixing_summary_of_an_autoregressive_process():
    """Memory 0.9 per step, 10 gradients per step: the half-way point lies at 10 ln(1/2)/ln(0.9) = 65.8 gradients."""
    rng = np.random.default_rng(4)
    x = np.empty((2000, 200))
    x[0] = rng.standard_normal(200)
    for t in range(1, 2000):
        x[t] = 0.9 * x[t - 1] + np.sqrt(0.19) * rng.standard_normal(200)
    accepted = rng.binomial(2000, 0.8, 200)
    counts = np.stack([2000 - accepted, accepted])
    got = mixing_summary(autocovariance(x[::2], 20), counts, look_ahead_costs(10, 1), spacing=2)
    assert got.gradients == 10.0
    assert got.gradients_se == 0.0
    assert abs(got.fractions[1] - 0.8) < 4 * got.fractions_se[1]
    # interpolating between every second lag overshoots a convex curve by at most 0.4 %
    assert abs(got.mixing - 65.8) < 4 * got.mixing_se + 0.3
    assert 0.2 < got.mixing_se < 2.0
    np.testing.assert_allclose(got.autocorrelation, 0.81 ** np.arange(21), atol=0.02)
    # the shortcut through batch sums equals leaving out chains one batch at a time
    cov = autocovariance(x[::2], 20)
    rho, rho_se = jackknife(lambda chains: autocorrelation(cov[:, chains]), 200, 10)
    np.testing.assert_allclose(got.autocorrelation, rho, rtol=1e-12)
    np.testing.assert_allclose(got.autocorrelation_se, rho_se, rtol=1e-9, atol=1e-15)
    far = mixing_summary(autocovariance(x, 3), counts, [10, 10])
    assert np.isnan(far.mixing)
    assert np.isnan(far.mixing_se)


def test_process_time_rescales_the_cost():
    """Ten jumps in twenty units of time at 3 gradients a jump: 1.5 gradients per unit of time."""
    counts = np.array([[2, 2], [8, 8]])
    summary = mixing_summary(
        np.array([[1.0, 1.0], [0.0, 0.0]]), counts, [3, 3], spacing=4.0, n_batches=2, elapsed=np.array([20.0, 20.0])
    )
    assert summary.gradients == pytest.approx(1.5)
    assert summary.mixing == pytest.approx(0.5 * 4.0 * 1.5)


def test_effective_sample_size_of_an_autoregressive_process():
    """N (1 - m) / (1 + m) for memory m per step; sampling error of a few per cent with 100 chains of 1000 steps."""
    rng, memory = np.random.default_rng(6), 0.8
    x = np.empty((1000, 2, 100))
    x[0] = rng.standard_normal((2, 100))
    for t in range(1, 1000):
        x[t] = memory * x[t - 1] + np.sqrt(1 - memory**2) * rng.standard_normal((2, 100))
    np.testing.assert_allclose(effective_sample_size(x), 1e5 * 0.2 / 1.8, rtol=0.1)
    assert effective_sample_size(x, "tail").shape == (2,)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: autocovariance(np.zeros(5), 1), "samples must have shape"),
        (lambda: autocovariance(np.zeros((5, 2)), 5), "max_lag must be a whole number from 0 to 4"),
        (lambda: autocovariance(np.full((5, 2), np.nan), 2), "samples must be finite"),
        (lambda: autocorrelation(np.zeros((5, 2))), "must be positive"),
        (lambda: crossing(np.array([1.0]), 0.5), "at least two numbers"),
        (lambda: crossing(np.array([1.0, 0.4]), 1.5), "level must lie"),
        (lambda: crossing(np.array([1.0, 0.4]), 0.5, 0.0), "spacing must be positive"),
        (lambda: crossing(np.array([1.0, np.nan]), 0.5), "must not hold NaN"),
        (lambda: crossing(np.array([0.4, 0.3]), 0.5), "must start above"),
        (lambda: transition_fractions(np.zeros((2, 3))), "at least one move"),
        (lambda: gradient_evaluations(np.ones((2, 3)), [1]), "move_costs must be 2 numbers"),
        (lambda: mixing_summary(np.ones((5, 4)), np.ones((2, 3)), [1, 1]), "must have the same chains"),
        (lambda: mixing_summary(np.ones((5, 4)), np.ones((2, 4)), [1, 1], n_batches=5), "n_batches must lie"),
        (
            lambda: mixing_summary(np.ones((5, 4)), np.ones((2, 4)), [1, 1], n_batches=2, elapsed=np.zeros(4)),
            "elapsed must be one positive time",
        ),
        (lambda: effective_sample_size(np.ones((3, 2, 2))), "T at least 4"),
        (lambda: effective_sample_size(np.full((9, 2, 2), np.nan)), "must be finite"),
        (lambda: jackknife(np.mean, 10, 1), "n_batches must lie"),
        (lambda: jackknife(np.mean, 10, 11), "n_batches must lie"),
    ],
)
def test_bad_input_is_refused(act, words):
    with pytest.raises(ValueError, match=words):
        act()
