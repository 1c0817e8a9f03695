"""Errors under a shifted test measure: the matched case, two forms of one formula, closed forms and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replica.kernels.learning_curves import krr_risk, solve_kappa
from replica.kernels.notation import to_bordelon_canatar_pehlevan
from replica.kernels.out_of_distribution import (
    excess_overlap,
    gaussian_feature_shift_trials,
    linear_regression_ood,
    linear_regression_trials,
    measure_trials,
    ood_error,
    overlap_matrix,
    pointwise_error,
)
from replica.kernels.regression import kernel_ridge_predict
from replica.kernels.spectra import empirical_eigensystem
from replica.kernels.trials import draw_samples

SIZE = 15


@pytest.fixture
def points():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(SIZE, 3))
    gram = np.exp(-((x[:, None] - x) ** 2).sum(-1) / 4)
    return gram, np.sign(x[:, 0]) + 0.3, rng.dirichlet(np.ones(SIZE)), rng.dirichlet(np.ones(SIZE))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.5, 14.5), st.floats(0, 1), st.floats(0, 1))
def test_same_measure_gives_the_standard_formula(seed, n, ridge, noise_var):
    rng = np.random.default_rng(seed)
    lam, v = rng.exponential(size=SIZE), rng.normal(size=SIZE)
    shifted = ood_error(lam, v, np.eye(SIZE), n, ridge, noise_var)
    standard = krr_risk(lam, v**2, n, ridge, noise_var)
    np.testing.assert_allclose(shifted.error, standard.test_risk - noise_var, rtol=1e-10)
    np.testing.assert_allclose(shifted.matched_error, shifted.error, rtol=1e-10)
    np.testing.assert_allclose(shifted.shifted_sum_squares, standard.mode_sum_squares, rtol=1e-12)


def test_overlap_with_the_training_measure_is_the_identity(points):
    gram, target, p, q = points
    system = empirical_eigensystem(gram, target, p)
    np.testing.assert_allclose(overlap_matrix(system.features, p), np.eye(SIZE), atol=1e-10)
    o = overlap_matrix(system.features, q)
    np.testing.assert_allclose(o, system.features.T @ np.diag(q) @ system.features, atol=1e-10)
    assert np.linalg.eigvalsh(o)[0] > -1e-10


@pytest.mark.parametrize(("ridge", "noise_var"), [(0.0, 0.0), (0.05, 0.4)])
def test_overlap_and_pointwise_form_agree(points, ridge, noise_var):
    gram, target, p, q = points
    system, n = empirical_eigensystem(gram, target, p), np.array([2.0, 5.0, 9.0])
    args = (system.eigenvalues, system.coefficients)
    r = pointwise_error(system.features, *args, n, ridge, noise_var)
    assert r.shape == (3, SIZE)
    for mass in (p, q):
        full = ood_error(*args, overlap_matrix(system.features, mass), n, ridge, noise_var)
        np.testing.assert_allclose(r @ mass, full.error, rtol=1e-10)


def test_formula_in_the_authors_symbols(points):
    """E = G O G + gamma' / (1 - gamma) (|G|^2 + sigma^2), and the decomposition with O'."""
    gram, target, p, q = points
    system, n, ridge, noise_var = empirical_eigensystem(gram, target, p), 6, 0.02, 0.3
    o = overlap_matrix(system.features, q)
    eta, a = system.eigenvalues, system.coefficients
    kappa = n * float(solve_kappa(eta, n, ridge))
    assert kappa == pytest.approx(ridge + kappa * (eta / (n * eta + kappa)).sum(), rel=1e-10)
    gamma = n * (eta**2 / (n * eta + kappa) ** 2).sum()
    gamma_shifted = n * (np.diag(o) * eta**2 / (n * eta + kappa) ** 2).sum()
    g = kappa * a / (n * eta + kappa)
    error = g @ o @ g + gamma_shifted / (1 - gamma) * (g @ g + noise_var)
    ours = ood_error(eta, a, o, n, ridge, noise_var)
    assert ours.error == pytest.approx(error, rel=1e-10)
    bcp = to_bordelon_canatar_pehlevan(krr_risk(eta, a**2, n, ridge, noise_var))
    assert bcp.kappa == pytest.approx(kappa, rel=1e-10)
    assert bcp.gamma == pytest.approx(ours.mode_sum_squares / n, rel=1e-12)
    assert ours.shifted_sum_squares / n == pytest.approx(gamma_shifted, rel=1e-10)
    excess = excess_overlap(o, ours, n)
    split = ours.matched_error + (gamma_shifted - gamma) / (1 - gamma) * noise_var + g @ excess @ g
    assert ours.error == pytest.approx(split, rel=1e-10)


def test_modes_without_eigenvalue_are_noise_in_training_and_error_in_test():
    lam, v = np.array([1.0, 0.3, 0.0]), np.array([1.0, -0.5, 0.7])
    o = np.diag([1.0, 1.0, 2.5])
    whole = ood_error(lam, v, o, 5, 0.1)
    assert whole.residual[-1] == pytest.approx(0.7)
    part = ood_error(lam[:2], v[:2], np.eye(2), 5, 0.1, noise_var=0.49)
    assert whole.error == pytest.approx(part.error + 2.5 * 0.49, rel=1e-12)


def test_gaussian_features_follow_the_theory():
    rng = np.random.default_rng(0)
    modes, n, trials = 300, 60, 400
    lam, v = np.arange(1, modes + 1.0) ** -1.5, rng.normal(size=modes) * np.arange(1, modes + 1.0) ** -0.8
    half = rng.normal(size=(modes, modes)) / np.sqrt(modes)
    overlaps = np.stack([np.eye(modes), half.T @ half])
    measured = gaussian_feature_shift_trials(lam, v, overlaps, n, trials, rng, 1e-3, noise_var=0.2)
    for j in (0, 1):
        theory = ood_error(lam, v, overlaps[j], n, 1e-3, 0.2).error
        error = measured[:, j].std(ddof=1) / np.sqrt(trials)
        # The theory's own error is of order 1/n.
        assert abs(measured[:, j].mean() - theory) < 4 * error + theory / n


def test_trials_score_as_a_plain_loop_does(points):
    gram, target, p, q = points
    samples = draw_samples(p, 6, 7, np.random.default_rng(1))
    both = measure_trials(gram, target, samples, np.stack([p, q], axis=1), 0.1)
    for t, chosen in enumerate(samples):
        predicted = kernel_ridge_predict(gram[np.ix_(chosen, chosen)], gram[:, chosen], target[chosen], 0.1)
        np.testing.assert_allclose(both[t], [((predicted - target) ** 2) @ m for m in (p, q)], rtol=1e-9)
    np.testing.assert_allclose(measure_trials(gram, target, samples, q, 0.1), both[:, 1], rtol=1e-12)


def test_linear_regression_on_a_subspace_in_closed_form():
    """Identity covariance on 30 of 40 dimensions, ridge to zero (classical for least squares)."""
    size, inside, noise_var = 40, 30, 0.3
    cov = np.diag((np.arange(size) < inside).astype(float))
    w = np.random.default_rng(0).normal(size=size)
    w_in, w_out = (w[:inside] ** 2).sum(), (w[inside:] ** 2).sum()
    for n in (10, 20, 60, 200):
        p = linear_regression_ood(cov, np.eye(size), w, n, 1e-9, noise_var)
        variance = n / (inside - n) if n < inside else inside / (n - inside)
        assert p.error == pytest.approx(max(1 - n / inside, 0) * w_in + w_out + noise_var * variance, rel=1e-4)
    # Without any training variance a direction is not learned, and does not disturb: nothing has to stand in for it.
    np.testing.assert_allclose(p.residual[inside:], w[inside:], rtol=1e-12)


def test_optimal_ridge_on_a_subspace():
    """Unit target power inside: the ridge noise_var * N_r / N is the best at every n (Bayes)."""
    size, inside, noise_var = 60, 20, 0.1
    cov, w = np.diag((np.arange(size) < inside).astype(float)), np.zeros(size)
    w[:inside] = 1 / np.sqrt(inside)
    best = noise_var * inside / size
    for n in (5, 20, 80):
        error = [linear_regression_ood(cov, np.eye(size), w, n, best * f, noise_var).error for f in (0.9, 1, 1.1)]
        assert error[1] < min(error[0], error[2])


def test_linear_regression_is_the_general_formula_and_turns_with_the_axes():
    rng = np.random.default_rng(5)
    size, n = 12, np.array([4.0, 30.0])
    a, b = rng.normal(size=(2, size, size))
    cov, test_cov, w = a @ a.T, b @ b.T, rng.normal(size=size)
    direct = linear_regression_ood(cov, test_cov, w, n, 0.1, 0.2)
    values, u = np.linalg.eigh(cov)
    o = u.T @ test_cov @ u / np.sqrt(np.outer(values, values))
    general = ood_error(values / size, np.sqrt(values) * (u.T @ w), (o + o.T) / 2, n, 0.1, 0.2)
    np.testing.assert_allclose(direct.error, general.error, rtol=1e-9)
    np.testing.assert_allclose(direct.shifted_sum_squares, general.shifted_sum_squares, rtol=1e-9)
    turn = np.linalg.qr(rng.normal(size=(size, size)))[0]
    turned = linear_regression_ood(turn @ cov @ turn.T, turn @ test_cov @ turn.T, turn @ w, n, 0.1, 0.2)
    np.testing.assert_allclose(turned.error, direct.error, rtol=1e-8)
    same = linear_regression_ood(cov, cov, w, n, 0.1, 0.2)
    np.testing.assert_allclose(same.error, same.matched_error, rtol=1e-10)


def test_linear_regression_against_simulation():
    rng = np.random.default_rng(11)
    size, n, trials = 40, 30, 1500
    a, b = rng.normal(size=(2, size, size)) / np.sqrt(size)
    cov, test_cov, w = a @ a.T, b @ b.T, rng.normal(size=size) / np.sqrt(size)
    measured = linear_regression_trials(cov, test_cov, w, n, trials, rng, 0.05, 0.2)
    theory = linear_regression_ood(cov, test_cov, w, n, 0.05, 0.2).error
    error = measured.std(ddof=1) / np.sqrt(trials)
    assert abs(measured.mean() - theory) < 4 * error + 0.02 * theory  # its own error is of order 1/n, here below 2 %


def test_simulated_training_set_is_the_dual_solution():
    size, n = 8, 5
    cov, w = np.diag(np.arange(1.0, 9)), np.arange(8.0)
    error = linear_regression_trials(cov, np.eye(size), w, n, 1, np.random.default_rng(4), 0.3, 0.1)
    values, u = np.linalg.eigh(cov)
    rng = np.random.default_rng(4)
    x = rng.standard_normal((1, n, size))[0] @ (u * np.sqrt(values)).T
    y = x @ w + np.sqrt(0.1) * rng.standard_normal((1, n))[0]
    dual = np.linalg.solve(x @ x.T / size + 0.3 * np.eye(n), y)
    assert error == pytest.approx(((x.T @ dual / size - w) ** 2).sum(), rel=1e-9)


def test_bad_input_is_refused(points):
    gram, target, p, _ = points
    system = empirical_eigensystem(gram, target)
    lam, v = system.eigenvalues, system.coefficients
    with pytest.raises(ValueError, match="sum to 1"):
        overlap_matrix(system.features, 2 * p)
    with pytest.raises(ValueError, match="finite matrix"):
        overlap_matrix(target, p)
    with pytest.raises(ValueError, match="overlap"):
        ood_error(lam, v, np.eye(3), 4)
    with pytest.raises(ValueError, match="symmetric"):
        ood_error(lam, v, np.triu(np.ones((SIZE, SIZE))), 4)
    with pytest.raises(ValueError, match="one sample size"):
        excess_overlap(np.eye(SIZE), ood_error(lam, v, np.eye(SIZE), [4, 5]), 4)
    with pytest.raises(ValueError, match="coefficients"):
        pointwise_error(system.features, lam, v[:-1], 4)
    with pytest.raises(ValueError, match="test_masses"):
        measure_trials(gram, target, np.zeros(3, int), p)
    with pytest.raises(ValueError, match="repeated"):
        measure_trials(gram, target, np.zeros((1, 2), int), p)
    with pytest.raises(ValueError, match="weights"):
        linear_regression_ood(np.eye(3), np.eye(4), np.ones(3), 2)
    with pytest.raises(ValueError, match="semi-definite"):
        linear_regression_ood(np.diag([1.0, -1.0]), np.eye(2), np.ones(2), 2)
    with pytest.raises(ValueError, match="ridge > 0"):
        linear_regression_trials(np.eye(2), np.eye(2), np.ones(2), 2, 1, np.random.default_rng(0))
    with pytest.raises(ValueError, match="overlaps"):
        gaussian_feature_shift_trials(lam, v, np.eye(SIZE), 3, 1, np.random.default_rng(0), 0.1)
