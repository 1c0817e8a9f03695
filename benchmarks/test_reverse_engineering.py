"""Speed of Hermite series, of the search for a mimic, and of tangent kernels and traces of finite networks."""

from __future__ import annotations

import numpy as np
import torch

from replica.kernels.domains import hypercube_points, parity
from replica.kernels.fully_connected import wide_network_kernels
from replica.kernels.hermite import hermite_coefficients
from replica.kernels.reverse_engineering import fit_dot_product_kernel, fit_mimic, mimic_ntk, reverse_engineer
from replica.networks.ensembles import Architecture, initialise, trace_training
from replica.networks.tangent_kernels import kernel_gradient_descent, tangent_kernel

COSINES = np.cos(np.linspace(0, np.pi, 100))


def test_three_hundred_hermite_coefficients(benchmark):
    assert benchmark(hermite_coefficients, np.tanh, 300).shape == (301,)


def test_kernel_to_activation(benchmark):
    target = wide_network_kernels(COSINES, hidden_layers=4).ntk
    assert benchmark(lambda: reverse_engineer(fit_dot_product_kernel(COSINES, target))).shape == (6,)


def test_fit_of_the_mimic(benchmark):
    """The published fit samples 20 networks a step and takes hours."""
    target = wide_network_kernels(COSINES[1:], hidden_layers=4).ntk
    _, error = benchmark.pedantic(fit_mimic, (COSINES[1:], target), rounds=3)
    assert error < 0.05


def test_mimic_kernel_at_three_thousand_angles(benchmark):
    p = (3.8, 1.06, 0.1, 0.9, -0.08, 11.8, 0.93)
    assert benchmark(mimic_ntk, p, np.cos(np.linspace(0, np.pi, 3001))).shape == (3001,)


def test_tangent_kernel_of_a_wide_network(benchmark):
    architecture = Architecture(1, 16384, torch.sin, weight_std=1.0, bias_std=0.0)
    network = initialise(architecture, 2, 1, torch.Generator().manual_seed(0))
    x = torch.randn(33, 2, generator=torch.Generator().manual_seed(1))
    assert benchmark(tangent_kernel, architecture, network, x[:1], x).shape == (1, 1, 33)


def test_hundred_steps_of_the_sine_on_parity(benchmark):
    architecture = Architecture(1, 128, lambda z: 0.5 * torch.sin(6 * z), weight_std=1.0, bias_std=0.0)
    network = initialise(architecture, 11, 1, torch.Generator().manual_seed(0))
    x = hypercube_points(11)
    x, y = torch.tensor(x, dtype=torch.float32), torch.tensor(parity(x, 11), dtype=torch.float32)
    sides = (x[:1024], y[:1024], x[1024:], y[1024:])
    trace = benchmark(trace_training, architecture, network, *sides, learning_rate=0.1, snapshots=[100])
    assert trace.test_loss.shape == (1, 1)


def test_training_in_a_kernel_of_five_hundred_points(benchmark):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(1000, 20)), rng.normal(size=(500, 10))
    gram = x @ x.T
    out = benchmark(kernel_gradient_descent, gram[:500, :500], gram[:, :500], y, 0.5, np.arange(20))
    assert out.shape == (20, 1000, 10)
