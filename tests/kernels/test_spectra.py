"""Spectra on symmetric domains against brute-force eigendecompositions and closed forms."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import comb, eval_gegenbauer, iv

from replica.kernels.closed_forms import relu_ntk_series
from replica.kernels.domains import (
    circle_modes,
    circle_points,
    gegenbauer_normalized,
    hypercube_points,
    parity,
    sample_sphere,
    sphere_degeneracy,
    zonal_harmonic,
    zonal_series,
)
from replica.kernels.fully_connected import wide_network_kernels
from replica.kernels.spectra import (
    as_eigenvalues,
    circle_spectrum,
    empirical_eigensystem,
    gaussian_rbf_mode,
    gaussian_rbf_spectrum,
    hypercube_spectrum,
    sphere_quadrature,
    sphere_spectrum,
    sphere_spectrum_from_series,
)


def ntk(cosine):
    return wide_network_kernels(cosine, hidden_layers=4).ntk


def expand(spectrum):
    return np.sort(np.repeat(spectrum.eigenvalues, spectrum.multiplicity.astype(int)))


@pytest.mark.parametrize("size", [1, 2, 9, 10])
def test_circle_against_an_eigendecomposition(size):
    x = circle_points(size)
    gram = ntk(np.clip(x @ x.T / 2, -1, 1))
    np.testing.assert_allclose(expand(circle_spectrum(gram[0])), np.linalg.eigvalsh(gram / size), atol=1e-12)
    modes, frequency = circle_modes(size)
    np.testing.assert_allclose(modes.T @ modes / size, np.eye(size), atol=1e-12)
    lam = circle_spectrum(gram[0]).eigenvalues[frequency]
    np.testing.assert_allclose(gram @ modes / size, lam * modes, atol=1e-12)


@pytest.mark.parametrize("d", [1, 3, 6])
def test_hypercube_against_an_eigendecomposition_and_its_parities(d):
    x = hypercube_points(d)
    gram = ntk(x @ x.T / d)
    spectrum = hypercube_spectrum(ntk, d)
    np.testing.assert_allclose(expand(spectrum), np.linalg.eigvalsh(gram / 2**d), atol=1e-12)
    np.testing.assert_allclose(spectrum.trace, ntk(1.0), rtol=1e-12)
    for k in range(d + 1):
        np.testing.assert_allclose(gram @ parity(x, k) / 2**d, spectrum.eigenvalues[k] * parity(x, k), atol=1e-12)


def test_hypercube_formula_is_the_double_sum_over_flips():
    d = 5
    for k, value in enumerate(hypercube_spectrum(ntk, d).eigenvalues):
        total = sum(
            ntk(1 - 2 * h / d) * sum((-1) ** j * comb(k, j) * comb(d - k, h - j) for j in range(h + 1))
            for h in range(d + 1)
        )
        assert value == pytest.approx(total / 2**d, abs=1e-13)


@pytest.mark.parametrize("d", [20, 101, 400])
def test_hypercube_in_closed_form(d):
    # exp(b c) factorises over the bits: lambda_k = cosh(b/d)^(d-k) sinh(b/d)^k.
    b = 0.9 * d
    k = np.arange(d + 1)
    exact = np.exp((d - k) * np.log(np.cosh(b / d)) + k * np.log(np.sinh(b / d)))
    spectrum = hypercube_spectrum(lambda c: np.exp(b * c), d)
    np.testing.assert_allclose(spectrum.eigenvalues / np.exp(b), exact / np.exp(b), atol=1e-13, rtol=1e-9)
    np.testing.assert_allclose(spectrum.trace, np.exp(b), rtol=1e-7)


def test_hypercube_tends_to_the_taylor_coefficients_in_high_dimension():
    # On the cube, as on the sphere, lambda_k m_k tends to the k-th Taylor coefficient of K(c); here exp(c).
    with pytest.raises(ValueError, match="smaller max_order"):
        hypercube_spectrum(np.exp, 4000)
    spectrum = hypercube_spectrum(np.exp, 4000, max_order=20)
    assert np.isfinite(spectrum.eigenvalues).all()
    product = (spectrum.eigenvalues * spectrum.multiplicity)[:4]
    np.testing.assert_allclose(product, [1, 1, 1 / 2, 1 / 6], rtol=5e-3)


@pytest.mark.parametrize(("d", "k"), list(itertools.product([2, 3, 4, 8, 30], [0, 1, 2, 5, 9])))
def test_gegenbauer_against_scipy_and_its_norm(d, k):
    c = np.linspace(-1, 1, 11)
    ours = gegenbauer_normalized(c, k, d)[k]
    theirs = np.cos(k * np.arccos(c)) if d == 2 else eval_gegenbauer(k, d / 2 - 1, c) / eval_gegenbauer(k, d / 2 - 1, 1)
    np.testing.assert_allclose(ours, theirs, atol=1e-10)
    nodes, weights = sphere_quadrature(d, k)
    norm = weights @ gegenbauer_normalized(nodes, k, d)[k] ** 2
    assert norm == pytest.approx(1 / sphere_degeneracy(d, k), rel=1e-9)


def test_degeneracies_of_the_usual_spheres():
    k = np.arange(8)
    np.testing.assert_array_equal(sphere_degeneracy(2, k), [1] + [2] * 7)
    np.testing.assert_array_equal(sphere_degeneracy(3, k), 2 * k + 1)
    np.testing.assert_array_equal(sphere_degeneracy(4, k), (k + 1) ** 2)
    assert np.isfinite(sphere_degeneracy(10**6, 40))


def test_sphere_against_the_exponential_kernel_in_closed_form():
    # E[exp(b c) P_k(c)] on S^2 is the modified spherical Bessel function i_k(b).
    b = 2.5
    spectrum = sphere_spectrum(lambda c: np.exp(b * c), 3, 12)
    exact = np.sqrt(np.pi / (2 * b)) * iv(np.arange(13) + 0.5, b)
    np.testing.assert_allclose(spectrum.eigenvalues, exact, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("d", [200, 10**4, 10**6])
def test_sphere_does_not_overflow_in_high_dimension(d):
    spectrum = sphere_spectrum(lambda c: 1 + 2 * c + 3 * c**2, d, 3)
    # c^2 = 1/d + (1 - 1/d) C_2(c) exactly.
    share = spectrum.eigenvalues * spectrum.multiplicity
    np.testing.assert_allclose(share, [1 + 3 / d, 2, 3 * (1 - 1 / d), 0], rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("d", [2, 3, 10, 1000])
def test_series_of_a_monomial_in_closed_form(d):
    # c^4 = 3/(d(d+2)) + ... ; its degree-4 part carries what is left of the trace 1.
    spectrum = sphere_spectrum_from_series([0, 0, 0, 0, 1.0], d, 6)
    assert spectrum.eigenvalues[0] == pytest.approx(3 / (d * (d + 2)))
    assert spectrum.trace == pytest.approx(1)
    assert (spectrum.eigenvalues[[1, 3, 5, 6]] == 0).all()


def test_series_of_the_exponential_kernel():
    terms = 2.5 ** np.arange(60) / np.cumprod(np.append(1.0, np.arange(1, 60.0)))
    spectrum = sphere_spectrum_from_series(terms, 3, 30)
    exact = np.sqrt(np.pi / (2 * 2.5)) * iv(np.arange(31) + 0.5, 2.5)
    np.testing.assert_allclose(spectrum.eigenvalues, exact, rtol=1e-12)  # down to 1e-39, which quadrature cannot


@pytest.mark.parametrize("d", [30, 100, 1000, 10**4, 10**6])
def test_quadrature_and_series_agree_where_quadrature_has_digits(d):
    """Degree 50 at d = 1000: eigenvalues of 1e-88, nothing overflows, and round-off is not taken for eigenvalues."""
    layers = {"hidden_layers": 3, "bias_var": 0.0}
    kernel = lambda c: wide_network_kernels(np.clip(c, -1, 1), **layers).ntk  # noqa: E731
    series = sphere_spectrum_from_series(relu_ntk_series(1500, **layers), d, 50)
    direct = sphere_spectrum(kernel, d, 50)
    assert (series.eigenvalues > 0).all()
    assert np.isfinite(series.multiplicity).all()
    assert series.trace <= 4
    assert direct.trace <= 4 * (1 + 1e-9)
    kept = direct.eigenvalues > 0
    assert kept[:5].all()
    # 8 ulp is the threshold, so that what is kept has an error of at most a few per cent.
    np.testing.assert_allclose(direct.eigenvalues[kept], series.eigenvalues[kept], rtol=0.1)


def test_series_tends_to_the_taylor_coefficients_in_high_dimension():
    series = relu_ntk_series(100, hidden_layers=2)
    spectrum = sphere_spectrum_from_series(series, 10**6, 6)
    np.testing.assert_allclose(spectrum.eigenvalues * spectrum.multiplicity, series[:7], rtol=1e-4)


def test_gaussian_kernel_on_gaussian_inputs_against_an_eigendecomposition():
    s, v = 0.7, 1.3
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    x, p = np.sqrt(s) * nodes, weights / weights.sum()
    gram = np.exp(-((x[:, None] - x) ** 2) / (2 * v))
    spectrum = gaussian_rbf_spectrum(s, v, 1, 8)
    modes = np.stack([gaussian_rbf_mode(x, k, s, v) for k in range(9)])
    np.testing.assert_allclose((modes * p) @ modes.T, np.eye(9), atol=1e-10)
    np.testing.assert_allclose(gram @ (p * modes).T, modes.T * spectrum.eigenvalues, atol=1e-8)
    root = np.sqrt(p)
    largest = np.linalg.eigvalsh(root[:, None] * gram * root)[::-1][:9]
    np.testing.assert_allclose(largest, spectrum.eigenvalues, rtol=1e-7)


@pytest.mark.parametrize(("dimension", "top"), [(1, 60), (5, 80), (100, 60)])
def test_gaussian_kernel_has_trace_one(dimension, top):
    spectrum = gaussian_rbf_spectrum(1.0, 2.7 * dimension, dimension, top)
    assert spectrum.trace == pytest.approx(1, abs=1e-9)
    np.testing.assert_array_equal(spectrum.multiplicity[:3], [1, dimension, dimension * (dimension + 1) / 2])


def test_zonal_series_inverts_the_spectrum():
    kernel = lambda c: np.exp(-(1 - c) / 0.25)  # noqa: E731
    c = np.linspace(-1, 1, 7)
    lam = sphere_spectrum(kernel, 8, 30).eigenvalues
    np.testing.assert_allclose(zonal_series(c, lam, 8), kernel(c), atol=1e-10)
    np.testing.assert_allclose(zonal_series(c, np.stack([lam, 2 * lam]), 8)[1], 2 * kernel(c), atol=1e-10)


def test_zonal_harmonics_are_orthonormal():
    cosine, weight = sphere_quadrature(7, 6)
    values = np.stack([zonal_harmonic(cosine, k, 7) for k in range(6)])
    np.testing.assert_allclose((values * weight) @ values.T, np.eye(6), atol=1e-10)


def test_points_of_the_sphere_are_uniform():
    x = sample_sphere((20000,), 5, np.random.default_rng(0))
    np.testing.assert_allclose((x**2).sum(1), 5)
    np.testing.assert_allclose(x.T @ x / len(x), np.eye(5), atol=5 * np.sqrt(2 / len(x)))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 12), st.booleans())
def test_empirical_eigensystem_rebuilds_the_kernel(seed, m, weighted):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(m, m))
    gram, y = root @ root.T, rng.normal(size=(m, 2))
    p = rng.random(m) + 0.1
    p = p / p.sum() if weighted else np.full(m, 1 / m)
    system = empirical_eigensystem(gram, y, p if weighted else None)
    phi = system.features
    np.testing.assert_allclose(phi.T @ (p[:, None] * phi), np.eye(m), atol=1e-8)
    np.testing.assert_allclose((phi * system.eigenvalues) @ phi.T, gram, atol=1e-8 * np.abs(gram).max())
    np.testing.assert_allclose(phi @ system.coefficients, y, atol=1e-8 * np.abs(y).max())
    assert (np.diff(system.eigenvalues) <= 0).all()


def test_bad_input_is_refused():
    for call, words in [
        (lambda: as_eigenvalues([1.0, -0.1]), "must be >= 0"),
        (lambda: as_eigenvalues([1.0, np.nan]), "NaN"),
        (lambda: as_eigenvalues([0.0, 0.0]), "at least one positive"),
        (lambda: as_eigenvalues([[1.0]]), "vector"),
        (lambda: as_eigenvalues([1.0, 2.0], [1.0]), "multiplicity"),
        (lambda: as_eigenvalues([1.0, 2.0], [1.0, 0.0]), "multiplicity"),
        (lambda: circle_spectrum([3.0, 1.0, 2.0]), "even"),
        (lambda: sphere_spectrum(lambda c: -c, 3, 4), "must be >= 0"),
        (lambda: empirical_eigensystem([[1.0, 2.0], [0.0, 1.0]]), "symmetric"),
        (lambda: empirical_eigensystem(-np.eye(3)), "must be >= 0"),
        (lambda: empirical_eigensystem(np.eye(3), np.ones(2)), "first axis"),
        (lambda: empirical_eigensystem(np.eye(2), None, [0.5, 0.6]), "mass"),
        (lambda: hypercube_points(30), "dimension <= 20"),
        (lambda: parity(np.ones((4, 3)), 4), "order"),
        (lambda: gegenbauer_normalized(1.1, 2, 3), r"\[-1, 1\]"),
        (lambda: sphere_degeneracy(3, -1), ">= 0"),
        (lambda: circle_points(0), "whole number"),
        (lambda: sphere_spectrum_from_series([[1.0]], 3, 4), "vector b_0"),
        (lambda: sphere_spectrum_from_series([0.0, -1.0], 3, 4), "must be >= 0"),
        (lambda: gaussian_rbf_spectrum(0.0, 1.0, 2, 3), "input_var and kernel_var"),
        (lambda: gaussian_rbf_mode([0.0], 1, 1.0, np.inf), "input_var and kernel_var"),
    ]:
        with pytest.raises(ValueError, match=words):
            call()
    # Round-off is not refused.
    assert as_eigenvalues([1.0, -1e-15]).eigenvalues[1] == 0
