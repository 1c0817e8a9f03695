"""Sampling without replacement: the derivation's limits, and random orthogonal bases, where it is exact."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replica.kernels.finite_population import finite_population_risk
from replica.kernels.learning_curves import krr_risk
from replica.kernels.trials import draw_subsets, ridge_path_trials


def power_law(size, exponent):
    return np.arange(1, size + 1.0) ** -exponent


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.8])
def test_random_orthogonal_basis(fraction):
    size, trials = 400, 60
    rng = np.random.default_rng(0)
    n, ridges = round(fraction * size), np.array([1e-3, 0.3, 10.0])
    lam, v = power_law(size, 1.3), power_law(size, 0.8)
    test, train = np.empty((trials, 3)), np.empty((trials, 3))
    for t in range(trials):  # a fresh basis each time: the average over bases is what the theory gives
        basis = np.linalg.qr(rng.standard_normal((size, size)))[0] * np.sqrt(size)
        basis *= rng.choice([-1, 1], size)
        subset = draw_subsets(size, n, 1, rng)
        gram = (basis * lam) @ basis.T
        test[t], train[t] = (a[0] for a in ridge_path_trials((gram + gram.T) / 2, basis @ v, subset, ridges))
    p = finite_population_risk(lam, v**2, n, ridges)
    for measured, theory in ((test, p.test_risk), (train, p.train_risk)):
        error = measured.std(0, ddof=1) / np.sqrt(trials)
        # Corrections to the limit M -> infinity are of order 1/n.
        assert (np.abs(measured.mean(0) - theory) < 4 * error + theory / n).all()


def test_a_large_population_is_a_distribution():
    size = 200_000
    lam, power = np.zeros(size), np.zeros(size)
    lam[:500], power[:500] = power_law(500, 1.5), power_law(500, 1.2)
    ours = finite_population_risk(lam, power, 20, [0.01, 1.0])
    usual = krr_risk(lam, power, 20, [0.01, 1.0])
    np.testing.assert_allclose(ours.kappa, usual.kappa, rtol=1e-3)
    np.testing.assert_allclose(ours.test_risk, usual.test_risk, rtol=1e-3)
    np.testing.assert_allclose(ours.train_risk, usual.train_risk, rtol=1e-3)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.05, 0.95))
def test_zero_ridge_is_the_usual_theory_of_the_whole_population(seed, fraction):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(5, 60))
    lam, power = np.exp(2 * rng.normal(size=size)), rng.random((2, size))
    n = fraction * size
    ours, usual = finite_population_risk(lam, power, n), krr_risk(lam, power, n)
    np.testing.assert_allclose(ours.kappa, usual.kappa, rtol=1e-9)
    np.testing.assert_allclose(ours.risk, usual.test_risk, rtol=1e-7)
    np.testing.assert_allclose(ours.test_risk, usual.finite_population_test_risk(size), rtol=1e-7)
    np.testing.assert_allclose(ours.train_risk, 0, atol=1e-12)


def test_flat_spectrum_in_closed_form():
    # K = I: nothing can be inferred about points not seen, and a training point is shrunk by 1 / (1 + ridge).
    size, n, ridge = 40, 10, 0.5
    p = finite_population_risk(np.full(size, 1 / size), np.full(size, 1 / size), n, ridge)
    assert p.test_risk == pytest.approx(1)
    assert p.train_risk == pytest.approx((ridge / (1 + ridge)) ** 2)


def test_bad_input_is_refused():
    for call, words in [
        (lambda: finite_population_risk([1.0, 0.5], [1, 1], 2, 0.1), "below the population"),
        (lambda: finite_population_risk([1.0, 0.5, 0.0], [1, 1, 1], 2), "positive eigenvalues"),
        (lambda: finite_population_risk([1.0, 0.5], [1], 1), "target_power"),
        (lambda: finite_population_risk([1.0, -0.5], [1, 1], 1), "must be >= 0"),
        (lambda: finite_population_risk([1.0, 0.5], [1, 1], np.nan, 0.1), "n, the number"),
    ]:
        with pytest.raises(ValueError, match=words):
            call()
