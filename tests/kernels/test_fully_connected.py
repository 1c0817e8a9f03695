"""Infinite-width kernels against published values, quadrature, closed forms and networks of finite width."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import erf

from replica.kernels.fully_connected import (
    erf_dual,
    quadrature_dual,
    relu_dual,
    tanh_dual,
    wide_network_gram,
    wide_network_kernels,
)
from replica.networks.ensembles import Architecture, forward, initialise


def test_relu_ntk_has_the_values_of_the_published_code():
    # neural-tangents' values for sigma_w^2 = 2, sigma_b^2 = 0.01, readout 1 and 0, quoted to five decimals.
    two = wide_network_kernels([1, 0.5, 0, -0.5, -1], hidden_layers=2).ntk
    np.testing.assert_allclose(two, [3.0250, 1.37184, 0.70186, 0.35571, 0.30437], atol=1e-5)
    four = wide_network_kernels([1, 0, -1], hidden_layers=4).ntk
    np.testing.assert_allclose(four, [5.0700, 1.47473, 1.08567], atol=1e-5)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_relu_diagonal_has_a_closed_form(depth):
    # Without biases the pre-activation variance stays at 2 q, each layer adds q to the NTK.
    kernels = wide_network_kernels(3.0, 3.0, hidden_layers=depth, bias_var=0.0)
    np.testing.assert_allclose([kernels.nngp, kernels.ntk], [3.0, 3.0 * (depth + 1)], rtol=1e-12)


def test_one_hidden_layer_matches_the_arc_cosine_kernels():
    c = np.linspace(-0.99, 0.99, 9)
    theta = np.arccos(c)
    k0, k1 = (np.pi - theta) / np.pi, (np.sin(theta) + (np.pi - theta) * c) / np.pi
    kernels = wide_network_kernels(c, hidden_layers=1, bias_var=0.0)
    np.testing.assert_allclose(kernels.nngp, k1, atol=1e-14)
    np.testing.assert_allclose(kernels.ntk, k1 + c * k0, atol=1e-14)


@pytest.mark.parametrize("hidden_layers", [1, 3])
def test_quadrature_reproduces_the_arc_sine_kernel(hidden_layers):
    dual = quadrature_dual(erf, lambda z: 2 / np.sqrt(np.pi) * np.exp(-(z**2)), order=100)
    arguments = (np.array([0.7, 0.1, -0.6]), np.array([0.8, 1.0, 1.2]), np.array([1.1, 1.0, 0.5]))
    exact = wide_network_kernels(*arguments, hidden_layers=hidden_layers, dual=erf_dual)
    numeric = wide_network_kernels(*arguments, hidden_layers=hidden_layers, dual=dual)
    np.testing.assert_allclose(numeric, exact, atol=1e-6)


def test_gram_matrix_is_symmetric_positive_and_handles_different_norms():
    x = np.random.default_rng(0).normal(size=(15, 4))
    for dual in (relu_dual, tanh_dual(40)):
        gram = wide_network_gram(x, hidden_layers=3, dual=dual).ntk
        np.testing.assert_allclose(gram, gram.T, atol=1e-12)
        assert np.linalg.eigvalsh(gram).min() > 0
    big = np.random.default_rng(1).normal(size=(2500, 3))  # taken in blocks of rows
    np.testing.assert_allclose(
        wide_network_gram(big, hidden_layers=1).ntk[[0, 1700]],
        wide_network_gram(big[[0, 1700]], big, hidden_layers=1).ntk,
    )
    cross = wide_network_gram(x[:4], x, hidden_layers=3).ntk
    np.testing.assert_allclose(cross, wide_network_gram(x, hidden_layers=3).ntk[:4], atol=1e-12)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_wide_finite_network_has_these_kernels(activation):
    dual = {"relu": relu_dual, "tanh": tanh_dual()}[activation]
    architecture = Architecture(hidden_layers=2, width=400, activation=activation)
    generator = torch.Generator().manual_seed(0)
    networks = 60
    ensemble = initialise(architecture, 3, networks, generator, dtype=torch.float64)
    x = torch.tensor([[1.0, 0.5, -1.0], [0.3, -1.2, 0.8]], dtype=torch.float64)
    live = [p.requires_grad_() for p in (*ensemble.weights, *ensemble.biases)]
    outputs = forward(architecture, ensemble, x)
    gradients = [torch.autograd.grad(outputs[:, i].sum(), live, retain_graph=True) for i in range(2)]
    flat = [torch.cat([g.reshape(networks, -1) for g in grads], dim=1) for grads in gradients]
    ntk = torch.stack([torch.stack([(a * b).sum(1) for b in flat]) for a in flat])
    exact = wide_network_gram(x.numpy(), hidden_layers=2, dual=dual)
    # Networks differ by O(1/sqrt(width)); their mean by that over sqrt(60), plus a bias O(1/width).
    mean, standard_error = ntk.mean(-1).numpy(), ntk.std(-1).numpy() / networks**0.5
    assert (np.abs(mean - exact.ntk) < 4 * standard_error + 0.02 * exact.ntk).all()
    # The covariance of outputs over 60 networks is known to sqrt(2/60) only.
    np.testing.assert_allclose(np.cov(outputs.detach().numpy().T), exact.nngp, atol=4 * 0.18 * exact.nngp.max())


def test_bad_input_is_refused():
    for arguments, keywords, words in [
        ((1.5,), {"hidden_layers": 1}, "cosine"),
        ((np.nan,), {"hidden_layers": 1}, "NaN"),
        ((0.5,), {"hidden_layers": 0}, "hidden_layers"),
        ((0.5,), {"hidden_layers": 1.5}, "hidden_layers"),
        ((0.5,), {"hidden_layers": 1, "bias_var": -1}, "variances"),
        ((0.0, 0.0), {"hidden_layers": 1}, "> 0"),
    ]:
        with pytest.raises(ValueError, match=words):
            wide_network_kernels(*arguments, **keywords)
    with pytest.raises(ValueError, match="equally many columns"):
        wide_network_gram(np.ones((2, 3)), np.ones((2, 4)), hidden_layers=1)
    with pytest.raises(ValueError, match="order"):
        quadrature_dual(np.tanh, np.tanh, 1)
