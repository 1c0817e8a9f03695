"""Speed of gradient flow from small initialisation and of tangent kernels. Run with `make bench`."""

from __future__ import annotations

import numpy as np
import torch

from replica.dynamics.gradient_flow import adaptive_gradient_flow, autograd_gradient
from replica.dynamics.linear_networks import gradient, loss, random_weights
from replica.kernels.finite_ntk import mlp_tangent_kernel, random_mlp, squared_loss


def test_deep_linear_flow_of_eight_seeds(benchmark):
    teacher, covariance = torch.zeros(30, dtype=torch.float64), torch.eye(30, dtype=torch.float64)
    teacher[0] = 1.0
    stack = random_weights((30, 50, 50, 1), 0.02, np.random.default_rng(0), seeds=8)
    weights = [torch.tensor(w) for w in stack]

    def flow():
        return adaptive_gradient_flow(
            weights, lambda p: (loss(p, teacher, covariance), gradient(p, teacher, covariance)), stop_loss=1e-4
        )

    assert benchmark(flow).finished.all()


def relu_problem(seeds):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 40, dtype=torch.float64, generator=generator)
    y = torch.sign(torch.randn(60, dtype=torch.float64, generator=generator))
    return random_mlp((40, 100, 1), 0.05, generator, seeds=seeds), x, y


def test_relu_gradient_of_eight_seeds(benchmark):
    weights, x, y = relu_problem(8)
    evaluate = autograd_gradient(squared_loss(x, y))
    loss_value, _ = benchmark(evaluate, weights)
    assert loss_value.shape == (8,)


def test_relu_tangent_kernel_of_eight_seeds(benchmark):
    weights, x, _ = relu_problem(8)
    assert benchmark(mlp_tangent_kernel, weights, x).shape == (8, 60, 60)
