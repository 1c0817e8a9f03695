"""Speed of the theory of SGD, of its simulation, and of the same model under PyTorch's optimiser."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from replica.kernels.power_laws import power_law_spectrum
from replica.kernels.sgd import fixed_compute_loss, sgd_loss_curve, sgd_transition_matrix
from replica.kernels.sgd_finite_set import finite_set_curves
from replica.kernels.sgd_simulation import draw_batches, sgd_on_gaussian_features, sgd_on_points


@pytest.mark.parametrize("modes", [200, 4000])
def test_thousand_steps_of_the_recursion(benchmark, modes):
    lam, power = power_law_spectrum(modes, 2, 2)
    assert benchmark(sgd_loss_curve, lam, power, 0.3, 1, 1000).shape == (1001,)


def test_thousand_steps_by_the_transition_matrix(benchmark):
    """What the recursion replaces: the same 200 modes with O(N^2) a step."""
    lam, power = power_law_spectrum(200, 2, 2)
    a = sgd_transition_matrix(lam, 0.3, 1)

    def steps():
        c = power
        for _ in range(1000):
            c = a @ c
        return lam @ c

    assert benchmark(steps) == pytest.approx(sgd_loss_curve(lam, power, 0.3, 1, 1000)[-1])


def test_fixed_compute_for_thirty_batch_sizes(benchmark):
    lam, power = power_law_spectrum(100, 2, 1)
    assert benchmark(fixed_compute_loss, lam, power, 0.3, np.arange(1, 31), 100).argmin() == 1


def test_exact_recursion_on_a_finite_set(benchmark):
    rng = np.random.default_rng(0)
    psi = 0.2 * rng.normal(size=(1797, 40))
    assert benchmark(finite_set_curves, psi, rng.normal(size=1797), 0.3, 2, 100).loss.shape == (101,)


def test_hundred_runs_on_gaussian_features(benchmark):
    lam, power = power_law_spectrum(200, 2, 2)
    rng = np.random.default_rng(0)
    assert benchmark(sgd_on_gaussian_features, lam, power**0.5, 0.3, 1, [500], 100, rng).shape == (100, 1, 200)


def test_twenty_runs_on_random_features(benchmark):
    rng = np.random.default_rng(0)
    psi, y = 0.05 * rng.normal(size=(1797, 600)), rng.normal(size=1797)
    batches = draw_batches(1797, 5, 200, 20, rng)
    assert benchmark(sgd_on_points, psi, y, batches, 0.3, [200]).shape == (20, 1, 600)


def test_one_run_of_them_with_the_optimiser_of_pytorch(benchmark):
    """One of the twenty runs above, as one would write it."""
    rng = np.random.default_rng(0)
    psi, y = torch.tensor(0.05 * rng.normal(size=(1797, 600))), torch.tensor(rng.normal(size=(1797, 1)))
    batches = torch.tensor(draw_batches(1797, 5, 200, 1, rng)[:, 0])

    def train():
        layer = torch.nn.Linear(600, 1, bias=False, dtype=torch.float64)
        torch.nn.init.zeros_(layer.weight)
        optimiser = torch.optim.SGD(layer.parameters(), lr=0.3)
        for batch in batches:
            optimiser.zero_grad()
            (0.5 * (layer(psi[batch]) - y[batch]).square().mean()).backward()
            optimiser.step()
        return layer.weight.detach()

    assert benchmark(train).shape == (1, 600)
