"""Speed of the kernel theory, of its simulations and of network ensembles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from sklearn.kernel_ridge import KernelRidge

from replica.kernels.domains import hypercube_points, parity
from replica.kernels.fully_connected import wide_network_gram, wide_network_kernels
from replica.kernels.learning_curves import krr_risk, solve_kappa
from replica.kernels.spectra import sphere_spectrum
from replica.kernels.trials import draw_subsets, finite_domain_trials, nested_trials, ridge_path_trials
from replica.networks.ensembles import Architecture, initialise, train_centred


@pytest.mark.parametrize("modes", [100, 500_000])
def test_solve_kappa(benchmark, modes):
    lam = np.arange(1, modes + 1.0) ** -2
    kappa = benchmark(solve_kappa, lam, np.array([10.0, 30.0, 90.0]))
    assert (kappa > 0).all()


def a_million_levels():
    rng = np.random.default_rng(0)
    return rng.permutation(np.arange(1, 1e6 + 1) ** -1.5), rng.integers(1, 100, 1_000_000).astype(float)


def test_solve_kappa_for_a_million_levels(benchmark):
    lam, mult = a_million_levels()
    assert benchmark(solve_kappa, lam, 1e4, 1e-6, mult) > 0


def test_solve_kappa_for_a_million_levels_with_scipy(benchmark):
    """The same root by a general root finder, which does not know where it is."""
    lam, mult = a_million_levels()

    def excess(log_kappa):
        kappa = np.exp(log_kappa)
        return mult @ (lam / (lam + kappa)) + 1e-6 / kappa - 1e4

    top = np.log((1e-6 + mult @ lam) / 1e4)
    root = benchmark.pedantic(brentq, (excess, np.log(1e-10), top), {"xtol": 1e-12}, rounds=3)
    assert np.exp(root) == pytest.approx(float(solve_kappa(lam, 1e4, 1e-6, mult)), rel=1e-9)


def a_learning_curve():
    """20 sample sizes up to 1000, 50 training sets, out of 2000 points."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 20))
    gram = wide_network_gram(x, hidden_layers=2).ntk
    return gram, x[:, :1], draw_subsets(2000, 1000, 50, rng), np.geomspace(10, 1000, 20).astype(int)


def test_learning_curve(benchmark):
    gram, target, subsets, sizes = a_learning_curve()
    scores = benchmark.pedantic(nested_trials, (gram, target, subsets, sizes, 1e-3), rounds=2)
    assert scores.risk.shape == (50, 20, 1)


def test_learning_curve_with_scikit_learn(benchmark):
    """The same regressions one at a time."""
    gram, target, subsets, sizes = a_learning_curve()

    def curve():
        model, risk = KernelRidge(alpha=1e-3, kernel="precomputed"), np.empty((50, 20))
        for t, chosen in enumerate(subsets):
            for j, n in enumerate(sizes):
                rows = chosen[:n]
                model.fit(gram[np.ix_(rows, rows)], target[rows])
                risk[t, j] = ((model.predict(gram[:, rows]) - target) ** 2).mean()
        return risk

    risk = benchmark.pedantic(curve, rounds=1)
    np.testing.assert_allclose(risk, nested_trials(gram, target, subsets, sizes, 1e-3).risk[..., 0], rtol=1e-6)


def test_deep_bootstrap_curves(benchmark):
    lam = np.arange(1, 100_001.0) ** -2
    n, tau = np.array([16.0, 1000.0])[:, None], np.logspace(-2, 12, 30)
    assert benchmark(krr_risk, lam, lam, n, n / tau).test_risk.shape == (2, 30)


def test_sphere_spectrum(benchmark):
    kernel = lambda c: wide_network_kernels(c, hidden_layers=4).ntk  # noqa: E731
    assert benchmark(sphere_spectrum, kernel, 8, 40).eigenvalues[0] > 0


def test_network_gram_of_a_thousand_points(benchmark):
    x = np.random.default_rng(0).normal(size=(1000, 64))
    assert benchmark(wide_network_gram, x, hidden_layers=4).ntk.shape == (1000, 1000)


def test_a_hundred_regressions_on_the_cube(benchmark):
    x = hypercube_points(8)
    gram = wide_network_gram(x, hidden_layers=4).ntk
    targets = np.stack([parity(x, k) for k in (0, 1, 3, 8)], axis=1)
    subsets = draw_subsets(256, 64, 100, np.random.default_rng(0))
    assert benchmark(finite_domain_trials, gram, targets, subsets).risk.shape == (100, 4)


def test_path_of_thirty_ridges(benchmark):
    rng = np.random.default_rng(0)
    gram = wide_network_gram(rng.normal(size=(1000, 20)), hidden_layers=2).ntk
    subsets = draw_subsets(1000, 300, 1, rng)
    test, _ = benchmark(ridge_path_trials, gram, rng.normal(size=1000), subsets, np.logspace(-4, 4, 30))
    assert test.shape == (1, 30)


def test_hundred_steps_of_ten_networks(benchmark):
    architecture = Architecture(hidden_layers=4, width=200)
    ensemble = initialise(architecture, 8, 10, torch.Generator().manual_seed(0))
    x = torch.tensor(hypercube_points(8), dtype=torch.float32)
    y = torch.randn(10, 16, generator=torch.Generator().manual_seed(1))
    options = {"learning_rate": 0.05, "max_steps": 100, "tolerance": 0.0}
    trained = benchmark(train_centred, architecture, ensemble, x[:16].expand(10, 16, 8), y, x, **options)
    assert trained.steps.tolist() == [100] * 10
