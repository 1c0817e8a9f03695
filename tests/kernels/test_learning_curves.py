"""The mean-field theory: the equation it solves, its closed-form limits, its laws, and simulation where it is exact."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replica.kernels.domains import circle_points, sample_sphere
from replica.kernels.learning_curves import krr_risk, learnability, mean_squared_gradient, solve_kappa
from replica.kernels.spectra import sphere_spectrum
from replica.kernels.trials import gaussian_feature_trials

spectra = st.lists(st.floats(-30, 5), min_size=1, max_size=20).map(lambda logs: np.exp(np.array(logs)))


def residual(lam, n, ridge, kappa, mult=1.0):
    return ((mult * lam / (lam + kappa)).sum() + ridge / kappa) / n - 1


@settings(max_examples=100, deadline=None)
@given(spectra, st.floats(-5, 6), st.floats(-60, 8), st.integers(1, 5))
def test_kappa_solves_its_equation_inside_its_bracket(lam, log_n, log_ridge, mult):
    n, ridge = np.exp(log_n), np.exp(log_ridge)
    kappa = float(solve_kappa(lam, n, ridge, np.full(lam.size, mult)))
    assert abs(residual(lam, n, ridge, kappa, mult)) < 1e-10
    assert ridge / n * (1 - 1e-12) <= kappa <= (ridge + mult * lam.sum()) / n * (1 + 1e-12)


@settings(max_examples=100, deadline=None)
@given(spectra, st.floats(0.01, 0.999))
def test_kappa_at_zero_ridge_and_the_sum_of_learnabilities(lam, fraction):
    n = fraction * lam.size
    kappa = solve_kappa(lam, n)
    assert kappa > 0
    assert learnability(lam, kappa).sum() == pytest.approx(n, rel=1e-10)


@settings(max_examples=60, deadline=None)
@given(spectra, st.floats(0.1, 15), st.floats(0, 2), st.integers(0, 19))
def test_laws_of_learnability(lam, n, ridge, i):
    i %= lam.size
    base = learnability(lam, solve_kappa(lam, n, ridge))
    assert ((base >= 0) & (base <= 1)).all()
    slack = 1e-9
    assert (learnability(lam, solve_kappa(lam, 1.3 * n, ridge)) >= base - slack).all()  # more data never hurt
    assert (learnability(lam, solve_kappa(lam, n, ridge + 0.5)) <= base + slack).all()  # a ridge always does
    raised = lam.copy()
    raised[i] *= 2
    shifted = learnability(raised, solve_kappa(raised, n, ridge))
    assert shifted[i] >= base[i] - slack  # raising an eigenvalue helps its own mode ...
    assert (np.delete(shifted, i) <= np.delete(base, i) + slack).all()  # ... at the others' expense


@pytest.mark.parametrize(("n", "ridge"), [(3.0, 0.0), (500.0, 1e-8), (2e4, 0.0), (90.0, 0.3)])
def test_many_eigenvalues_are_solved_as_exactly_as_few(n, ridge):
    rng = np.random.default_rng(0)
    lam = rng.permutation(np.concatenate([np.exp(rng.normal(-8, 4, 30_000)), np.zeros(50)]))
    mult = rng.integers(1, 9, lam.size).astype(float)
    kappa = solve_kappa(lam, n, ridge, mult)
    assert abs(residual(lam, n, ridge, kappa, mult)) < 1e-12


def test_broadcasting_and_multiplicity():
    lam, mult = np.array([1.0, 0.3, 0.01]), np.array([1.0, 4.0, 20.0])
    n, ridge = np.array([3.0, 10.0, 24.0])[:, None], np.array([0.0, 0.1])
    kappa = solve_kappa(lam, n, ridge, mult)
    assert kappa.shape == (3, 2)
    one_by_one = [[solve_kappa(np.repeat(lam, mult.astype(int)), a, b) for b in ridge] for a in n[:, 0]]
    np.testing.assert_allclose(kappa, one_by_one, rtol=1e-10)
    powers = np.array([[1.0, 0, 0], [0, 0.5, 0.5]])
    prediction = krr_risk(lam, powers, n, ridge, 0.2, mult)
    assert prediction.test_risk.shape == (3, 2, 2)
    assert prediction.learnability.shape == (3, 2, 3)


def test_many_modes_are_taken_in_chunks(monkeypatch):
    lam = np.arange(1, 200.0) ** -2
    n, ridge = np.array([3.0, 20, 100])[:, None], np.array([0.0, 1e-3])
    whole = krr_risk(lam, lam, n, ridge)
    monkeypatch.setattr("replica.kernels.learning_curves.CHUNK", 200)
    parts = krr_risk(lam, lam, n, ridge)
    np.testing.assert_allclose(parts.kappa, whole.kappa, rtol=1e-12)
    np.testing.assert_allclose(parts.test_risk, whole.test_risk, rtol=1e-12)


def test_overfitting_coefficient_is_the_response_of_kappa_to_the_ridge():
    lam, h = np.arange(1, 60.0) ** -2, 1e-6
    p = krr_risk(lam, lam, 10, 0.01)
    slope = (solve_kappa(lam, 10, 0.01 + h) - solve_kappa(lam, 10, 0.01 - h)) / (2 * h)
    assert p.overfitting_coefficient == pytest.approx(10 * slope, rel=1e-5)
    assert p.bias + p.variance == pytest.approx(p.test_risk, rel=1e-12)


@pytest.mark.parametrize(("alpha", "n"), [(2, 125), (2, 1000), (3, 125), (3, 1000)])
def test_power_law_kappa_in_closed_form(alpha, n):
    kappa = solve_kappa(np.arange(1, 500_001.0) ** -alpha, n)
    exact = (np.pi / alpha / np.sin(np.pi / alpha)) ** alpha * n**-alpha
    # The closed form takes the sum for an integral to infinity: half a mode at its lower end and what is cut off beyond
    # 500 000 at its upper end. An error of one mode in n is one of alpha / n in kappa.
    cut = 500_000.0 ** (1 - alpha) / (alpha - 1) / kappa
    assert kappa / exact == pytest.approx(1, abs=1.1 * alpha / n * (0.5 + cut))


def test_as_many_samples_as_modes_at_zero_ridge():
    lam, power, mult = [1.0, 0.1, 0.0], np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), [1, 2, 5]
    assert (solve_kappa(lam, [3, 4, 100], 0.0, mult) == 0).all()
    assert solve_kappa(lam, 2.99, 0.0, mult) > 0
    p = krr_risk(lam, power, [3, 6], 0.0, 0.0, mult)
    np.testing.assert_array_equal(p.learnability, [[1, 1, 0], [1, 1, 0]])
    # A learnable target is learned exactly; one outside the span acts as noise on least squares with 3 coefficients.
    np.testing.assert_array_equal(p.test_risk, [[0, np.inf], [0, 6 / 3]])
    np.testing.assert_allclose(p.train_risk[1], [0, (1 - 3 / 6) ** 2 * 2])
    # The limit of small ridges is the same.
    near = krr_risk(lam, power, 6, 1e-9, 0.0, mult)
    np.testing.assert_allclose(near.test_risk, p.test_risk[1], atol=1e-6)
    np.testing.assert_allclose(near.train_risk, p.train_risk[1], atol=1e-6)


def test_extreme_spectra_do_not_overflow():
    lam = np.array([1e-250, 1e-200, 1.0])
    np.testing.assert_allclose(solve_kappa(lam, [2.5, 1.5, 0.5]), [1e-250, 1e-200, 1.0], rtol=1e-6)
    assert solve_kappa([1e10, 1.0], 1.0) == pytest.approx(1e5, rel=1e-6)  # kappa^2 = lambda_1 lambda_2


def test_theory_against_independent_gaussian_features():
    rng = np.random.default_rng(0)
    lam = np.arange(1, 1501.0) ** -1.5
    power = np.arange(1, 1501.0) ** -1.8
    n, ridges, trials = 100, np.array([1e-4, 1e-2, 1.0]), 40
    test, train = gaussian_feature_trials(lam, power, n, ridges, trials, rng, modes=1500, noise_var=0.2)
    p = krr_risk(lam, power, n, ridges, 0.2)
    for measured, theory in ((test, p.test_risk), (train, p.train_risk)):
        error = measured.std(0, ddof=1) / np.sqrt(trials)
        # The theory's own error is of order 1/n.
        assert (np.abs(measured.mean(0) - theory) < 4 * error + 0.02 * theory).all()


def test_lumped_tail_changes_nothing():
    lam, power = np.arange(1, 1501.0) ** -2, np.arange(1, 1501.0) ** -2
    runs = [
        gaussian_feature_trials(lam, power, 30, [1e-5, 0.1], 60, np.random.default_rng(i), modes=modes)
        for i, modes in enumerate((1500, 400))
    ]
    for full, lumped in zip(*runs):
        error = np.sqrt((full.var(0) + lumped.var(0)) / 60)
        assert (np.abs(full.mean(0) - lumped.mean(0)) < 4 * error).all()


def test_finite_population():
    p = krr_risk([1.0, 0.1], [1.0, 1.0], 5, 0.1)
    assert p.finite_population_test_risk(10**9) == pytest.approx(p.test_risk, rel=1e-6)
    assert 5 * p.train_risk + 15 * p.finite_population_test_risk(20) == pytest.approx(20 * p.test_risk)
    with pytest.raises(ValueError, match="population must exceed"):
        p.finite_population_test_risk(5)


def test_gradient_norms_of_harmonics():
    # E|grad f|^2 of the zonal harmonic of degree k is k (k + d - 2): check the claim behind the formula by sampling.
    d, rng = 5, np.random.default_rng(0)
    x = sample_sphere(200_000, d, rng) / np.sqrt(d)
    c = x[:, 0]
    # Degree 2: f = c^2 - 1/d; tangential gradient = 2 c (e_1 - c x), squared 4 c^2 (1 - c^2).
    ratio = (4 * c**2 * (1 - c**2)).mean() / ((c**2 - 1 / d) ** 2).mean()
    assert ratio == pytest.approx(2 * d, rel=0.01)


def test_gradient_of_a_fully_learned_target_is_the_target_s():
    lam, power, g = np.array([1.0, 0.5]), np.array([0.3, 0.7]), np.array([0.0, 6.0])
    prediction = krr_risk(lam, power, 50, 0.0)
    assert mean_squared_gradient(prediction, g) == pytest.approx(0.7 * 6)


def test_bad_input_is_refused():
    lam = [1.0, 0.5]
    for call, words in [
        (lambda: solve_kappa([1.0, -0.5], 1), "must be >= 0"),
        (lambda: solve_kappa([np.nan], 1), "NaN"),
        (lambda: solve_kappa(lam, 0), "n, the number"),
        (lambda: solve_kappa(lam, np.nan), "n, the number"),
        (lambda: solve_kappa(lam, 1, -1e-3), "ridge"),
        (lambda: krr_risk(lam, [1.0], 1), "target_power"),
        (lambda: krr_risk(lam, [1.0, -1.0], 1), "target_power"),
        (lambda: krr_risk(lam, [1.0, 1.0], 1, 0, -1), "noise_var"),
        (lambda: mean_squared_gradient(krr_risk(lam, [1, 1], 1), [1.0]), "gradient_norms"),
        (lambda: gaussian_feature_trials(lam, [1.0], 1, [0.1], 1, np.random.default_rng(0)), "target_power"),
    ]:
        with pytest.raises(ValueError, match=words):
            call()


def test_sphere_in_two_dimensions_is_the_circle():
    kernel = lambda c: np.exp(2 * c)  # noqa: E731
    x = circle_points(64)
    from replica.kernels.spectra import circle_spectrum

    circle = circle_spectrum(kernel(np.clip(x @ x[0] / 2, -1, 1)))
    sphere = sphere_spectrum(kernel, 2, 10)
    np.testing.assert_allclose(circle.eigenvalues[:11], sphere.eigenvalues, atol=1e-12)
    np.testing.assert_array_equal(circle.multiplicity[:11], sphere.multiplicity)
