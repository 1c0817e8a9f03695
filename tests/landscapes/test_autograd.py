"""Landscapes from torch functions against derivatives written by hand."""

from __future__ import annotations

import numpy as np
import pytest

from replica.landscapes.autograd import torch_landscape
from replica.landscapes.finders import newton_mr
from replica.landscapes.linear_autoencoder import LinearAutoencoder

torch = pytest.importorskip("torch")


@pytest.fixture
def pair():
    """The linear autoencoder by hand and by torch."""
    rng = np.random.default_rng(6)
    factor = rng.normal(size=(5, 9))
    net = LinearAutoencoder(factor @ factor.T / 9, 2)
    S = torch.tensor(net.covariance)

    def loss(theta):
        error = torch.eye(5, dtype=torch.float64) - theta[10:].reshape(5, 2) @ theta[:10].reshape(2, 5)
        return torch.trace(error @ S @ error.T) / 5

    return net, torch_landscape(loss, 20), rng


def test_torch_agrees_with_the_derivatives_by_hand(pair):
    net, auto, rng = pair
    theta, vectors = rng.normal(size=(2, 7, 20))
    np.testing.assert_allclose(auto.loss(theta), net.loss(theta), rtol=1e-12)
    np.testing.assert_allclose(auto.gradient(theta), net.gradient(theta), rtol=1e-10, atol=1e-12)
    products = auto.hessian_product(theta, vectors)
    np.testing.assert_allclose(products, net.hessian_product(theta, vectors), rtol=1e-10, atol=1e-12)


def test_searches_take_it(pair):
    net, auto, rng = pair
    start = 0.5 * rng.normal(size=(3, 20))
    by_hand, by_torch = newton_mr(net, start, 8), newton_mr(auto, start, 8)
    np.testing.assert_allclose(by_torch.theta, by_hand.theta, rtol=1e-6, atol=1e-7)
    assert by_torch.theta.dtype == np.float64


def test_nonlinear_loss_by_finite_differences():
    weights = torch.tensor(np.random.default_rng(0).normal(size=(8, 3)))
    auto = torch_landscape(lambda theta: torch.nn.functional.silu(weights @ theta).square().mean(), 3)
    rng = np.random.default_rng(1)
    theta, vectors = rng.normal(size=(2, 4, 3))
    step = 1e-5
    difference = (auto.gradient(theta + step * vectors) - auto.gradient(theta - step * vectors)) / (2 * step)
    np.testing.assert_allclose(auto.hessian_product(theta, vectors), difference, rtol=1e-6, atol=1e-8)


def test_losses_without_curvature_or_without_a_parameter():
    rng = np.random.default_rng(2)
    theta, vectors = rng.normal(size=(2, 3, 2))
    flat = torch_landscape(lambda t: 3 * t[0], 2)
    np.testing.assert_array_equal(flat.gradient(theta), np.tile([3.0, 0.0], (3, 1)))
    np.testing.assert_array_equal(flat.hessian_product(theta, vectors), np.zeros((3, 2)))


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="n_parameters"):
        torch_landscape(lambda theta: theta.sum(), 0)
    with pytest.raises(ValueError, match=r"float64 tensor without dimensions, got torch.float64 of shape"):
        torch_landscape(lambda theta: theta, 3)
    with pytest.raises(ValueError, match=r"got torch.float32"):
        torch_landscape(lambda theta: theta.sum().float(), 3)
    with pytest.raises(ValueError, match="got <class 'float'>"):
        torch_landscape(lambda theta: 1.0, 3)
    auto = torch_landscape(lambda theta: theta.square().sum(), 3)
    with pytest.raises(ValueError, match=r"theta must have shape \(n_points, 3\), got \(3,\)"):
        auto.gradient(np.zeros(3))
    with pytest.raises(ValueError, match="one vector for each point"):
        auto.hessian_product(np.zeros((2, 3)), np.zeros((1, 3)))
