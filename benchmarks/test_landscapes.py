"""Speed of searches for critical points and of Hessian-vector products. Run with `make bench`."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from scipy.optimize import root

from replica.landscapes.autograd import torch_landscape
from replica.landscapes.critical_points import hessian, sample_uniform_in_loss
from replica.landscapes.finders import newton_mr, newton_tr
from replica.landscapes.krylov import minimum_residual_direction
from replica.landscapes.linear_autoencoder import LinearAutoencoder, analytic_critical_points, gradient_descent_path
from replica.landscapes.swish_networks import SwishNetwork


def the_papers_autoencoder(count):
    """16 inputs, 4 hidden units, variances 1 to 16, and starts spread evenly in loss along a path of descent."""
    rng = np.random.default_rng(0)
    net = LinearAutoencoder(np.diag(np.arange(1.0, 17)), 4)
    path = gradient_descent_path(net, rng.normal(size=128) / np.sqrt(128), 0.01, 5000)
    return net, path[sample_uniform_in_loss(net.loss(path), count, rng)]


def seconds(call, repeats=30):
    """Least processor time of this thread: unlike time on the clock it does not count other programs."""
    call()
    times = []
    for _ in range(repeats):
        start = time.thread_time()
        call()
        times.append(time.thread_time() - start)
    return min(times)


@pytest.mark.parametrize("find", [newton_mr, newton_tr], ids=["newton-mr", "damped-newton"])
def test_fifty_searches_of_the_linear_autoencoder(benchmark, find):
    net, starts = the_papers_autoencoder(50)
    find(net, starts, 2)
    found = benchmark.pedantic(find, (net, starts, 500), rounds=1)
    assert (found.squared_gradient_norms[-1] < 1e-10).mean() > 0.5


def test_one_search_of_the_linear_autoencoder_by_scipy(benchmark):
    """Levenberg-Marquardt with the exact Hessian: fifty times this compares with the fifty searches above."""
    net, starts = the_papers_autoencoder(1)

    def solve():
        return root(lambda t: net.gradient(t[None])[0], starts[0], jac=lambda t: hessian(net, t[None])[0], method="lm")

    found = benchmark.pedantic(solve, rounds=5, warmup_rounds=1)
    assert (net.gradient(found.x[None]) ** 2).sum() < 1e-10


def test_krylov_directions_of_fifty_points(benchmark):
    net, starts = the_papers_autoencoder(50)
    gradient = net.gradient(starts)
    found = benchmark(minimum_residual_direction, lambda v, i: net.hessian_product(starts[i], v), gradient, 25)
    assert (found.iterations == 25).all()


def test_hessians_of_all_critical_points(benchmark):
    net, _ = the_papers_autoencoder(1)
    theta = analytic_critical_points(net).theta
    assert benchmark.pedantic(hessian, (net, theta), rounds=3, warmup_rounds=1).shape == (2517, 128, 128)


def test_hessian_product_by_hand_costs_less_than_three_gradients(benchmark):
    net, starts = the_papers_autoencoder(500)
    benchmark(net.hessian_product, starts, starts)
    product = seconds(lambda: net.hessian_product(starts, starts))
    assert product < 3 * seconds(lambda: net.gradient(starts))


def test_hessian_product_by_torch_costs_two_to_three_gradients(benchmark):
    """An autoencoder 64-32-64 with Swish units on 500 images' worth of data: large enough for arithmetic to count."""
    x = torch.randn(500, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def loss(theta):
        first, second = theta[:2048].reshape(64, 32), theta[2048:].reshape(32, 64)
        return (torch.nn.functional.silu(x @ first) @ second - x).square().mean()

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    net = torch_landscape(loss, 4096)
    theta, vectors = 0.1 * np.random.default_rng(0).normal(size=(2, 4, 4096))
    benchmark(net.hessian_product, theta, vectors)
    product = seconds(lambda: net.hessian_product(theta, vectors))
    gradient = seconds(lambda: net.gradient(theta))
    torch.set_num_threads(threads)
    assert product < 3.5 * gradient  # three, and a sixth for noise


def swish_autoencoder(samples=200):
    """Layers of 16, 4 and 16 units with biases, 148 parameters, on data of the size of the quick profile's digits."""
    x = np.random.default_rng(0).normal(size=(samples, 16))
    net = SwishNetwork((16, 4, 16), x, x)
    return net, net.initial_parameters(20, np.random.default_rng(1)), x


def test_swish_hessian_product_by_hand_costs_less_than_three_gradients(benchmark):
    net, theta, _ = swish_autoencoder()
    vectors = np.random.default_rng(2).normal(size=theta.shape)
    benchmark(net.hessian_product, theta, vectors)
    product = seconds(lambda: net.hessian_product(theta, vectors))
    assert product < 3 * seconds(lambda: net.gradient(theta))


def test_swish_hessian_product_by_torch(benchmark):
    """The same twenty products by automatic differentiation, forward over reverse mode."""
    net, theta, x = swish_autoencoder()
    data = torch.as_tensor(x)

    def loss(flat):
        first, second = flat[:68].reshape(4, 17), flat[68:].reshape(16, 5)
        hidden = torch.nn.functional.silu(data @ first[:, :16].T + first[:, 16])
        return (hidden @ second[:, :4].T + second[:, 4] - data).square().mean()

    vectors = np.random.default_rng(2).normal(size=theta.shape)
    peer = torch_landscape(loss, net.n_parameters)
    np.testing.assert_allclose(peer.hessian_product(theta, vectors), net.hessian_product(theta, vectors), atol=1e-12)
    benchmark(peer.hessian_product, theta, vectors)


def test_twenty_searches_of_the_swish_autoencoder(benchmark):
    """100 steps each with Krylov spaces of any dimension, at the tolerance of the gradient-flat regions."""
    net, starts, _ = swish_autoencoder()
    newton_mr(net, starts, 2)
    options = {"max_iterations": 148, "tolerance": 5e-4, "norm_limit": 1e4, "pure": 0.5}
    found = benchmark.pedantic(newton_mr, (net, starts, 100), options, rounds=1)
    assert (found.squared_gradient_norms[-1] < 1e-3 * found.squared_gradient_norms[0]).all()
