"""Speed of the theory for shifted measures, beside what the authors do: odeint for kappa, autograd through eigh."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import odeint

from replica.kernels.learning_curves import solve_kappa
from replica.kernels.measures import softmax, training_measure_objective
from replica.kernels.out_of_distribution import (
    linear_regression_ood,
    linear_regression_trials,
    measure_trials,
    ood_error,
    overlap_matrix,
    pointwise_error,
)
from replica.kernels.spectra import empirical_eigensystem
from replica.kernels.trials import draw_samples


@pytest.fixture(scope="module")
def points():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(354, 20))
    gram = np.exp(-((x[:, None] - x) ** 2).sum(-1) / 20)
    return gram, np.sign(x[:, 0]), softmax(rng.normal(size=354))


def test_kappa_by_bracketing(benchmark):
    lam = np.arange(1, 1001.0) ** -1.5
    assert benchmark(solve_kappa, lam, 10.0, 1e-12) > 0


def test_kappa_by_an_ordinary_differential_equation(benchmark):
    lam, n, ridge = np.arange(1, 1001.0) ** -1.5, 10.0, 1e-12
    slope = lambda kappa, _: ridge + kappa * (lam / (n * lam + kappa)).sum() - kappa  # noqa: E731
    kappa = benchmark(lambda: odeint(slope, ridge, np.linspace(0, 250, 25))[-1, 0])
    assert kappa == pytest.approx(n * float(solve_kappa(lam, n, ridge)), rel=1e-3)


def test_error_at_every_point_for_a_hundred_sizes(benchmark, points):
    gram, target, _ = points
    system = empirical_eigensystem(gram, target)
    args = (system.features, system.eigenvalues, system.coefficients, np.arange(1.0, 101), 1e-6)
    assert benchmark(pointwise_error, *args).shape == (100, 354)


def test_error_from_the_overlap_matrix(benchmark, points):
    gram, target, mass = points
    system = empirical_eigensystem(gram, target)
    shifted = lambda: ood_error(  # noqa: E731
        system.eigenvalues, system.coefficients, overlap_matrix(system.features, mass), np.arange(1.0, 101), 1e-6
    )
    assert benchmark(shifted).error.shape == (100,)


def test_gradient_by_the_resolvent(benchmark, points):
    gram, target, mass = points
    objective = training_measure_objective(gram, target, 10.0, 1e-6)
    assert benchmark(objective, mass)[1].shape == (354,)


def test_gradient_by_autograd_through_the_eigensystem(benchmark, points):
    gram, target, mass = (torch.tensor(a) for a in points)
    n, ridge = 10.0, 1e-6

    def gradient():
        z = mass.log().requires_grad_()
        p = torch.softmax(z, 0)
        lam, u = torch.linalg.eigh(p.sqrt()[:, None] * gram * p.sqrt())
        phi = u / p.sqrt()[:, None]
        root = torch.tensor(float(solve_kappa(lam.detach().numpy(), n, ridge)), dtype=torch.float64)
        slope = (-lam / (lam + root) ** 2).sum().detach() - ridge / root**2
        share = lam / (lam + root - ((lam / (lam + root)).sum() + ridge / root - n) / slope)
        g = (1 - share) * (phi.T @ (p * target))
        risk = (g @ g) / (1 - (share**2).sum() / n)
        (((phi @ g) ** 2).mean() + (phi**2).mean(0) @ share**2 * risk / n).backward()
        return z.grad

    assert benchmark(gradient).shape == (354,)


def test_a_hundred_regressions_under_three_measures(benchmark, points):
    gram, target, mass = points
    samples = draw_samples(354, 50, 100, np.random.default_rng(0))
    masses = np.stack([mass, np.full(354, 1 / 354), mass[::-1]], axis=1)
    assert benchmark(measure_trials, gram, target, samples, masses, 1e-6).shape == (100, 3)


def test_linear_regression_theory(benchmark):
    cov, w = np.diag((np.arange(120) < 60).astype(float)), np.ones(120) / 120**0.5
    n = np.geomspace(10, 600, 200)
    assert benchmark(linear_regression_ood, cov, np.eye(120), w, n, 1e-3).error.shape == (200,)


def test_linear_regression_simulation(benchmark):
    cov, w, rng = np.diag((np.arange(120) < 60).astype(float)), np.ones(120) / 120**0.5, np.random.default_rng(0)
    assert benchmark(linear_regression_trials, cov, np.eye(120), w, 100, 30, rng, 1e-3).shape == (30,)
