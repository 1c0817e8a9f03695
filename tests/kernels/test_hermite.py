"""Hermite series, kernels from them and back: closed forms, quadrature, limits, and refusal of bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import hermite_e
from scipy.special import factorial, ndtr

from replica.kernels.fully_connected import quadrature_dual, relu_dual, wide_network_kernels
from replica.kernels.hermite import (
    activation_moments,
    hermite_activation,
    hermite_coefficients,
    nngp_from_hermite,
    normalized_hermite,
    ntk_from_hermite,
    power_series,
)
from replica.kernels.reverse_engineering import (
    MIMIC_4HL_RELU,
    MIMIC_START,
    MimicActivation,
    fit_dot_product_kernel,
    fit_mimic,
    mimic_hermite,
    mimic_ntk,
    reverse_engineer,
    sine_ntk,
    sine_power_coefficients,
)

COSINES = np.linspace(-1, 1, 21)
ANGLES = np.cos(np.linspace(0, np.pi, 100))
coefficients = st.lists(st.floats(-2, 2), min_size=1, max_size=8)


def sech2(z):
    return 1 / np.cosh(z) ** 2


def test_polynomials_are_the_textbook_ones_and_orthonormal():
    z = np.linspace(-3, 3, 7)
    for k, h in enumerate(normalized_hermite(z, 8)):
        np.testing.assert_allclose(h, hermite_e.hermeval(z, np.eye(9)[k]) / np.sqrt(factorial(k)), atol=1e-12)
    nodes, weights = hermite_e.hermegauss(30)
    h = np.array(list(normalized_hermite(nodes, 12)))
    np.testing.assert_allclose((h * weights / weights.sum()) @ h.T, np.eye(13), atol=1e-11)


@settings(max_examples=25, deadline=None)
@given(coefficients)
def test_coefficients_of_a_series_are_its_own(b):
    phi, slope = hermite_activation(b)
    if np.abs(b).max() < 1e-3:
        return
    np.testing.assert_allclose(hermite_coefficients(phi, len(b) + 2)[: len(b)], b, atol=1e-11)
    np.testing.assert_allclose(hermite_coefficients(phi, len(b) + 2)[len(b) :], 0, atol=1e-11)
    z, step = np.linspace(-2, 2, 9), 1e-5
    np.testing.assert_allclose(slope(z), (phi(z + step) - phi(z - step)) / (2 * step), atol=1e-7)


def test_series_agree_with_numpy_and_work_on_tensors():
    b = np.array([0.3, -1.0, 0.5, 0.2])
    z = np.linspace(-2, 2, 5)
    phi, slope = hermite_activation(b)
    np.testing.assert_allclose(phi(z), hermite_e.hermeval(z, b / np.sqrt(factorial(np.arange(4)))), atol=1e-13)
    t = torch.tensor(z, requires_grad=True)
    value = phi(t)
    np.testing.assert_allclose(value.detach(), phi(z), atol=1e-13)
    np.testing.assert_allclose(torch.autograd.grad(value.sum(), t)[0], slope(z), atol=1e-12)
    assert (hermite_activation([2.0])[1](z) == 0).all()


def test_sine_has_its_closed_form_at_high_degree():
    b = hermite_coefficients(lambda z: 0.5 * np.sin(6 * z), 150)
    a = (1 + np.arange(151)) * b**2
    np.testing.assert_allclose(a, sine_power_coefficients(0.5, 6, 150), atol=1e-12)
    np.testing.assert_allclose(power_series(a, COSINES), sine_ntk(0.5, 6, COSINES), atol=1e-10)
    assert sine_ntk(0.5, 6, 1.0) == pytest.approx(4.625, abs=1e-12)  # A^2 (1 + w^2) / 2
    assert np.argmax(a) == 37


@pytest.mark.parametrize(("phi", "slope"), [(np.tanh, sech2), (lambda z: np.sin(2 * z), lambda z: 2 * np.cos(2 * z))])
def test_kernels_are_those_of_the_recursion(phi, slope):
    b = hermite_coefficients(phi, 400)
    dual = quadrature_dual(phi, slope, 128)
    options = {"hidden_layers": 1, "dual": dual, "weight_var": 1.0, "bias_var": 0.0}
    exact = wide_network_kernels(COSINES, **options)
    np.testing.assert_allclose(nngp_from_hermite(b, COSINES), exact.nngp, atol=1e-8)
    np.testing.assert_allclose(ntk_from_hermite(b, COSINES), exact.ntk, atol=1e-6)


def test_relu_series_is_the_arc_cosine_kernel():
    b = hermite_coefficients(lambda z: np.maximum(z, 0), 300)
    np.testing.assert_allclose(b[:3], [1 / np.sqrt(2 * np.pi), 0.5, 1 / np.sqrt(4 * np.pi)], atol=1e-7)
    c = np.linspace(-0.9, 0.9, 7)
    np.testing.assert_allclose(nngp_from_hermite(b, c), relu_dual(c, np.ones(7), np.ones(7))[0], atol=1e-7)


def test_moments_are_the_kernel_at_cosine_one():
    moments = activation_moments(np.tanh)
    assert moments.value + moments.slope == pytest.approx(ntk_from_hermite(hermite_coefficients(np.tanh, 100), 1.0))
    assert activation_moments(np.tanh, sech2).slope == pytest.approx(moments.slope, rel=1e-6)
    relu = activation_moments(lambda z: np.maximum(z, 0))
    assert (relu.value, relu.slope) == pytest.approx((0.5, 0.5), rel=2e-3)
    # Kinks, steep as they are, are no jumps; neither is a fast oscillation.
    assert activation_moments(lambda z: np.sin(50 * z)).slope == pytest.approx(1250, rel=1e-3)


@settings(max_examples=25, deadline=None)
@given(coefficients, st.sampled_from(["ntk", "nngp"]), st.integers(0, 255))
def test_reverse_engineered_activations_have_the_kernel_whatever_the_signs(a, kind, bits):
    a = np.abs(a)
    if a.max() < 1e-3:
        return
    signs = 1.0 - 2 * ((bits >> np.arange(a.size)) & 1)
    b = reverse_engineer(a, kind, signs)
    kernel = {"ntk": ntk_from_hermite, "nngp": nngp_from_hermite}[kind]
    np.testing.assert_allclose(kernel(b, COSINES), power_series(a, COSINES), atol=1e-12)


def test_fit_recovers_a_polynomial_and_the_published_coefficients():
    a = np.array([0.2, 0, 1.5, 0, 0, 0.7])
    np.testing.assert_allclose(fit_dot_product_kernel(ANGLES, power_series(a, ANGLES)), a, atol=1e-10)
    deep = wide_network_kernels(ANGLES, hidden_layers=4)
    # |b_k| printed in the authors' notebooks, three digits
    for curve, printed in [
        (deep.ntk, [1.230, 0.639, 0, 0, 0.539, 0.426]),
        (deep.nngp, [0.837, 0.271, 0.151, 0.050, 0.101, 0.084]),
        (np.sinh(2 * ANGLES), [0, 1.001, 0, 0.572, 0.004, 0.229]),
    ]:
        np.testing.assert_allclose(reverse_engineer(fit_dot_product_kernel(ANGLES, curve)), printed, atol=1e-3)
    # Without extra weight on the end point, the fit is an ordinary one, optimal in the bulk.
    free, weighted = (fit_dot_product_kernel(ANGLES, deep.ntk, endpoint_weight=w) for w in (0, 0.5))
    miss = [np.abs(power_series(fit, ANGLES) - deep.ntk) for fit in (free, weighted)]
    assert miss[1][0] < miss[0][0]
    assert (miss[0] ** 2).sum() < (miss[1] ** 2).sum()


@pytest.mark.parametrize(
    "parameters", [MIMIC_4HL_RELU, MIMIC_START, (1, -0.5, 0, 0, 2, -3, 0.4), (1, 0, 0, 0, 2, 0, 0.4)]
)
def test_mimic_coefficients_are_those_of_the_quadrature(parameters):
    numeric = hermite_coefficients(MimicActivation(*parameters), 250)
    np.testing.assert_allclose(mimic_hermite(parameters, 250), numeric, atol=2e-7)


def test_mimic_kernel_near_the_kink_and_at_the_end():
    phi = MimicActivation(*MIMIC_4HL_RELU)
    z = np.linspace(-30, 30, 4_000_001)
    weight = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) * (z[1] - z[0])
    assert mimic_ntk(MIMIC_4HL_RELU, 1.0) == pytest.approx(weight @ (phi(z) ** 2 + phi.slope(z) ** 2), abs=2e-4)
    # The terms (1 + k) b_k^2 of a kink fall like k^(-3/2): what is missing after K of them like K^(-1/2).
    few, many = (float(ntk_from_hermite(mimic_hermite(MIMIC_4HL_RELU, k), 1.0)) for k in (4000, 16000))
    assert mimic_ntk(MIMIC_4HL_RELU, 1.0) == pytest.approx(2 * many - few, abs=1e-3)
    t = torch.tensor([-1.0, 0.3, 2.0], dtype=torch.float64)
    np.testing.assert_allclose(phi(t), phi(t.numpy()), atol=1e-14)


def test_shifted_relu_by_conditional_averages():
    """E[phi phi'] and E[dphi dphi'] by one integral, z' given z being N(c z, 1 - c^2)."""
    shift, nodes, weights = 1.0, *np.polynomial.legendre.leggauss(400)
    z = shift + (1 + nodes) * 6
    w = weights * 6 * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    b = mimic_hermite((1, shift, 0, 0, 0, 1, 0), 300)
    for c in (-0.8, -0.3, 0.4, 0.8):
        s = np.sqrt(1 - c**2)
        u = (c * z - shift) / s
        value = w @ ((z - shift) * s * (np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi) + u * ndtr(u)))
        assert ntk_from_hermite(b, c) == pytest.approx(value + c * (w @ ndtr(u)), abs=1e-8)


def test_fit_of_the_mimic_finds_a_kernel_of_its_own_family():
    truth = (2.0, 0.5, 0.1, 0.3, 0.4, 3.0, 0.5)
    c = ANGLES[2:]
    found, error = fit_mimic(c, mimic_ntk(truth, c), np.array(truth) * 1.05)
    assert error < 5e-3  # from 0.3 at the start; the simplex stops near the minimum, not on it
    assert np.sqrt(((mimic_ntk(found, c) - mimic_ntk(truth, c)) ** 2).mean()) < 1e-2


def test_activations_without_moments_are_refused():
    for growth in (0.25, 0.3, 1.0):
        with pytest.raises(ValueError, match="square-integrable"):
            hermite_coefficients(lambda z, a=growth: np.exp(a * z**2), 3)
    # E[exp(z^2 / 10)^2] = (1 - 2/5)^(-1/2)
    assert activation_moments(lambda z: np.exp(z**2 / 10)).value == pytest.approx(0.6**-0.5, rel=1e-10)
    with pytest.raises(ValueError, match="not finite at z = 0"), np.errstate(divide="ignore"):
        hermite_coefficients(lambda z: 1 / np.abs(z), 3)
    for jump in (np.sign, lambda z: np.where(z > 0.3333, 1.0, np.tanh(z))):
        with pytest.raises(ValueError, match="jumps"):
            activation_moments(jump)
    with pytest.raises(ValueError, match="one number for each"):
        hermite_coefficients(lambda z: 1.0, 3)


def test_kernels_that_are_none_are_refused():
    with pytest.raises(ValueError, match=r"coefficient of c\^2 is -1"):
        reverse_engineer([1, 0, -1, 2])
    for a in ([1, np.nan], [0.0, 0.0], [[1.0]]):
        with pytest.raises(ValueError, match="finite numbers"):
            reverse_engineer(a)
    with pytest.raises(ValueError, match="kind"):
        reverse_engineer([1.0], "ntkk")
    with pytest.raises(ValueError, match="signs"):
        reverse_engineer([1.0, 2.0], signs=[1, 0.5])
    with pytest.raises(ValueError, match="finite at every cosine"):
        fit_dot_product_kernel(ANGLES, np.where(ANGLES == 1, np.inf, ANGLES))
    with pytest.raises(ValueError, match="one length"):
        fit_dot_product_kernel(ANGLES, ANGLES[1:])
    with pytest.raises(ValueError, match=r"lie in \[-1, 1\]"):
        fit_dot_product_kernel(2 * ANGLES, ANGLES)
    with pytest.raises(ValueError, match="degree"):
        fit_dot_product_kernel(ANGLES[:3], ANGLES[:3], 5)
    with pytest.raises(ValueError, match="endpoint_weight"):
        fit_dot_product_kernel(ANGLES, ANGLES, endpoint_weight=1.0)
    with pytest.raises(ValueError, match="seven"):
        mimic_hermite([1, 2, 3], 10)
    with pytest.raises(ValueError, match="Hermite coefficients"):
        ntk_from_hermite([np.inf], 0.5)
    with pytest.raises(ValueError, match="max_degree"):
        hermite_coefficients(np.tanh, -1)
    with pytest.raises(ValueError, match="finite vectors"):
        fit_mimic(ANGLES, np.full(100, np.nan))
