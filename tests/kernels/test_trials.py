"""Simulated kernel regression: the exact laws of learnability, brute force over data sets, and the scores' meaning."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replica.kernels.domains import gegenbauer_normalized, hypercube_points, parity, sample_sphere, sphere_degeneracy
from replica.kernels.fully_connected import wide_network_gram, wide_network_kernels
from replica.kernels.regression import kernel_ridge_predict
from replica.kernels.spectra import empirical_eigensystem, sphere_spectrum
from replica.kernels.trials import (
    draw_samples,
    draw_subsets,
    finite_domain_trials,
    gaussian_feature_trials,
    mean_and_error,
    nested_trials,
    ridge_path_trials,
    score,
    sphere_trials,
)


def random_problem(seed, m):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(m, m))
    gram = root @ root.T / m + 0.05 * np.eye(m)
    return rng, gram


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 9), st.floats(0, 1), st.sampled_from([0.0, 1e-3, 0.1, 10.0]))
def test_conservation_in_any_basis_for_any_kernel_and_ridge(seed, m, fraction, ridge):
    rng, gram = random_problem(seed, m)
    n = max(1, round(fraction * m))
    subsets = draw_subsets(m, n, 3, rng)
    basis = np.linalg.qr(rng.normal(size=(m, m)))[0]
    total = finite_domain_trials(gram, basis, subsets, ridge).learnability.sum(axis=1)
    k = gram[subsets[:, :, None], subsets[:, None, :]]
    budget = np.trace(k @ np.linalg.inv(k + ridge * np.eye(n)), axis1=1, axis2=2)
    np.testing.assert_allclose(total, budget, atol=1e-8)
    if ridge == 0:
        np.testing.assert_allclose(total, n, atol=1e-8)
    else:
        assert (total < n).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 8), st.sampled_from([0.0, 0.01, 1.0]))
def test_laws_of_dataset_learnability(seed, m, ridge):
    rng, gram = random_problem(seed, m)
    system = empirical_eigensystem(gram)
    n = m // 2
    subset = draw_subsets(m, n + 1, 1, rng)
    fewer, more = (finite_domain_trials(gram, system.features, s, ridge) for s in (subset[:, :n], subset))
    for scores in (fewer, more):
        assert (scores.learnability >= -1e-9).all()
        assert (scores.learnability <= 1 + 1e-9).all()
        # Cauchy-Schwarz: E >= (1 - L)^2 |f|^2, here with |f| = 1.
        assert (scores.risk >= (1 - scores.learnability) ** 2 - 1e-9).all()
    assert (more.learnability >= fewer.learnability - 1e-9).all()
    assert (finite_domain_trials(gram, system.features, subset, ridge + 0.1).learnability <= more.learnability).all()
    # L_i = d log det(K_DD + ridge) / d log lambda_i
    for i in range(m):
        step = 1e-5
        logdet = []
        for sign in (1, -1):
            lam = system.eigenvalues.copy()
            lam[i] *= np.exp(sign * step)
            moved = (system.features * lam) @ system.features.T
            chosen = subset[0]
            logdet.append(np.linalg.slogdet(moved[np.ix_(chosen, chosen)] + ridge * np.eye(n + 1))[1])
        assert more.learnability[0, i] == pytest.approx((logdet[0] - logdet[1]) / (2 * step), abs=1e-5)


def test_raising_an_eigenvalue_takes_learnability_from_the_others():
    rng, gram = random_problem(3, 7)
    system = empirical_eigensystem(gram)
    subset = draw_subsets(7, 3, 1, rng)
    before = finite_domain_trials(gram, system.features, subset).learnability[0]
    raised = system.eigenvalues.copy()
    raised[2] *= 2
    moved = (system.features * raised) @ system.features.T
    after = finite_domain_trials(moved, system.features, subset).learnability[0]
    assert after[2] > before[2]
    assert (np.delete(after - before, 2) <= 1e-12).all()


def test_parity_bounds_by_enumerating_every_data_set():
    """Averaged over all data sets every parity of an order has the same share, so that L <= n / C(d, k)."""
    d, n = 3, 3
    x = hypercube_points(d)
    gram = wide_network_kernels(x @ x.T / d, hidden_layers=2).ntk
    modes = np.stack([np.prod(x[:, list(c)], axis=1) for k in range(4) for c in itertools.combinations(range(d), k)], 1)
    every = np.array(list(itertools.combinations(range(2**d), n)))
    mean = finite_domain_trials(gram, modes, every).learnability.mean(axis=0)
    np.testing.assert_allclose(mean[1:4], mean[1], atol=1e-12)
    np.testing.assert_allclose(mean[4:7], mean[4], atol=1e-12)
    assert mean.sum() == pytest.approx(n)
    assert mean[1] <= n / 3
    assert mean[4] <= n / 3
    np.testing.assert_array_equal(modes[:, 7], parity(x, 3))


def test_scores_are_what_they_say():
    rng, gram = random_problem(0, 8)
    targets = rng.normal(size=(8, 2))
    subsets = draw_subsets(8, 3, 5, rng)
    scores = finite_domain_trials(gram, targets, subsets, 0.2)
    for t, chosen in enumerate(subsets):
        f_hat = kernel_ridge_predict(gram[np.ix_(chosen, chosen)], gram[:, chosen], targets[chosen], 0.2)
        rest = np.setdiff1d(np.arange(8), chosen)
        error = (f_hat - targets) ** 2
        np.testing.assert_allclose(scores.risk[t], error.mean(0))
        np.testing.assert_allclose(scores.test_risk[t], error[rest].mean(0))
        np.testing.assert_allclose(scores.train_risk[t], error[chosen].mean(0))
        np.testing.assert_allclose(scores.learnability[t], (f_hat * targets).sum(0) / (targets**2).sum(0))


def test_all_points_known_leaves_nothing_to_test_on():
    rng, gram = random_problem(1, 5)
    scores = finite_domain_trials(gram, np.eye(5), draw_subsets(5, 5, 1, rng))
    assert np.isnan(scores.test_risk).all()
    np.testing.assert_allclose(scores.risk, 0, atol=1e-12)
    np.testing.assert_allclose(scores.learnability, 1, atol=1e-9)


def test_ridge_path_is_one_solve_for_every_ridge():
    rng, gram = random_problem(2, 12)
    target = rng.normal(size=12)
    subsets, ridges = draw_subsets(12, 5, 4, rng), np.array([1e-4, 0.1, 5.0])
    test, train = ridge_path_trials(gram, target, subsets, ridges)
    for r, ridge in enumerate(ridges):
        scores = finite_domain_trials(gram, target[:, None], subsets, ridge)
        np.testing.assert_allclose(test[:, r], scores.test_risk[:, 0], rtol=1e-8)
        np.testing.assert_allclose(train[:, r], scores.train_risk[:, 0], rtol=1e-6)


def test_sphere_scores_against_points_drawn_on_the_sphere():
    d, n, degrees, noise_var = 4, 20, [1, 2], 0.3
    kernel = lambda c: np.exp(c)  # noqa: E731
    spectrum = sphere_spectrum(kernel, d, 25)
    scores = sphere_trials(kernel, spectrum, d, degrees, n, 1, np.random.default_rng(5), ridge=0.1, noise_var=noise_var)
    rng = np.random.default_rng(5)  # the same draws again
    x = sample_sphere((1, n), d, rng)[0]
    xi = np.sqrt(noise_var) * rng.standard_normal((1, n, 2))[0]
    probe = sample_sphere(200_000, d, np.random.default_rng(6))

    def zonal(points):
        values = gegenbauer_normalized(points[:, 0] / np.sqrt(d), 2, d)[degrees]
        return (values * np.sqrt(sphere_degeneracy(d, degrees))[:, None]).T

    k, k_probe = kernel(x @ x.T / d), kernel(probe @ x.T / d)
    noisy = kernel_ridge_predict(k, k_probe, zonal(x) + xi, 0.1)
    clean = kernel_ridge_predict(k, k_probe, zonal(x), 0.1)
    np.testing.assert_allclose(scores.test_risk[0], ((noisy - zonal(probe)) ** 2).mean(0) + noise_var, rtol=0.02)
    np.testing.assert_allclose(scores.learnability[0], (clean * zonal(probe)).mean(0), atol=0.01)
    # Gradient on the unit sphere by hand: grad f = sum_j a_j K'(c_j) (x_j - c_j x), unit vectors.
    a = np.linalg.solve(k + 0.1 * np.eye(n), zonal(x) + xi)
    unit, centres = probe[:20000] / np.sqrt(d), x / np.sqrt(d)
    c = unit @ centres.T
    full = (kernel(c)[:, :, None] * a).transpose(0, 2, 1) @ centres
    tangential = full - (full * unit[:, None, :]).sum(-1, keepdims=True) * unit[:, None, :]
    np.testing.assert_allclose(scores.squared_gradient[0], (tangential**2).sum(-1).mean(0), rtol=0.03)


def test_subsets_are_distinct_and_uniform():
    subsets = draw_subsets(6, 4, 30000, np.random.default_rng(0))
    assert all(len(set(s)) == 4 for s in subsets[:200])
    counts = np.bincount(subsets.ravel(), minlength=6) / 30000
    np.testing.assert_allclose(counts, 4 / 6, atol=5 * np.sqrt(2 / 9 / 30000))


def test_bad_input_is_refused():
    rng, gram = random_problem(0, 5)
    kernel = lambda c: np.exp(c)  # noqa: E731
    spectrum = sphere_spectrum(kernel, 3, 3)
    for call, words in [
        (lambda: draw_subsets(5, 6, 1, rng), "n <= population"),
        (lambda: score(np.ones((2, 5, 1)), np.zeros((5, 1)), np.zeros((2, 2), int)), "zero everywhere"),
        (lambda: score(np.ones((2, 5, 1)), np.ones((4, 1)), np.zeros((2, 2), int)), "need predictions"),
        (lambda: finite_domain_trials(gram, np.ones(5), np.zeros((1, 2), int)), "need gram"),
        (lambda: finite_domain_trials(gram + np.triu(gram), np.eye(5), np.zeros((1, 2), int)), "symmetric"),
        (lambda: ridge_path_trials(gram, np.ones(5), np.array([[0, 1]]), [0.0]), "positive"),
        (lambda: ridge_path_trials(gram, np.ones(5), np.arange(5)[None], [1.0]), "n < M"),
        (lambda: sphere_trials(kernel, spectrum, 3, [4], 2, 1, rng), "degrees must lie"),
        (lambda: gaussian_feature_trials([1.0], [1.0], 1, [-1.0], 1, rng), "ridges"),
    ]:
        with pytest.raises(ValueError, match=words):
            call()


def test_samples_are_drawn_with_replacement_by_mass():
    rng = np.random.default_rng(0)
    drawn = draw_samples([0.5, 0.5, 0.0], 4, 20_000, rng)
    assert drawn.shape == (20_000, 4)
    counts = np.bincount(drawn.ravel(), minlength=3)
    assert counts[2] == 0
    assert counts[0] / counts.sum() == pytest.approx(0.5, abs=4 * 0.5 / 80_000**0.5)
    assert draw_samples(2, 3, 5, rng).max() <= 1  # more draws than points: some repeat
    for mass in ([0.5, 0.6], [1.5, -0.5], 0, []):
        with pytest.raises(ValueError, match="probabilities"):
            draw_samples(mass, 2, 2, rng)
    with pytest.raises(ValueError, match="n >= 1"):
        draw_samples(3, 0, 2, rng)


def test_nested_training_sets_are_those_regressed_one_by_one(monkeypatch):
    rng = np.random.default_rng(0)
    gram = wide_network_gram(rng.normal(size=(40, 3)), hidden_layers=1).ntk
    targets, sizes, subsets = rng.normal(size=(40, 2)), [1, 7, 40], draw_subsets(40, 40, 5, rng)
    whole = nested_trials(gram, targets, subsets, sizes, 0.01)
    for j, n in enumerate(sizes):
        one = finite_domain_trials(gram, targets, subsets[:, :n], 0.01)
        for field, expected in zip(whole, one, strict=True):
            np.testing.assert_allclose(field[:, j], expected, rtol=1e-8, atol=1e-12)
    monkeypatch.setattr("replica.kernels.trials.BATCH", 2 * 40 * 40)  # two trials at a time
    np.testing.assert_allclose(nested_trials(gram, targets, subsets, sizes, 0.01).risk, whole.risk, rtol=1e-10)


def test_nested_trials_refuse_what_they_cannot_solve():
    gram, targets = np.ones((4, 4)), np.ones((4, 1))
    subsets = draw_subsets(4, 3, 2, np.random.default_rng(0))
    with pytest.raises(ValueError, match="repeated or outnumber"):
        nested_trials(gram, targets, subsets, [3])
    with pytest.raises(ValueError, match="between 1 and 3"):
        nested_trials(gram, targets, subsets, [4])
    with pytest.raises(ValueError, match="need gram"):
        nested_trials(gram, targets[:2], subsets, [2])


def test_mean_and_standard_error():
    mean, error = mean_and_error([[1.0, 2.0], [3.0, 2.0]])
    assert mean.tolist() == [2.0, 2.0]
    assert error.tolist() == [1.0, 0.0]
    with pytest.raises(ValueError, match="two trials or more; got 1"):
        mean_and_error([[1.0]])
