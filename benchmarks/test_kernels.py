"""Speed of the kernel theory, of its simulations and of network ensembles."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from replica.kernels.domains import hypercube_points, parity
from replica.kernels.fully_connected import wide_network_gram, wide_network_kernels
from replica.kernels.learning_curves import krr_risk, solve_kappa
from replica.kernels.spectra import sphere_spectrum
from replica.kernels.trials import draw_subsets, finite_domain_trials, ridge_path_trials
from replica.networks.ensembles import Architecture, initialise, train_centred


@pytest.mark.parametrize("modes", [100, 500_000])
def test_solve_kappa(benchmark, modes):
    lam = np.arange(1, modes + 1.0) ** -2
    kappa = benchmark(solve_kappa, lam, np.array([10.0, 30.0, 90.0]))
    assert (kappa > 0).all()


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
