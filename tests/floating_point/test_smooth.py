"""The smooth approximation: closed forms against quadrature, symmetries, and the terms of its error."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from scipy.special import gamma as gamma_function

from replica.floating_point.closed_forms import fp_entropy_closed
from replica.floating_point.distributions import FAMILIES, distribution
from replica.floating_point.exact import fp_kl_term
from replica.floating_point.formats import FloatFormat
from replica.floating_point.quadrature import density_nodes
from replica.floating_point.smooth import (
    differential_entropy,
    fp_entropy_approx,
    gaussian_sawtooth_amplitude,
    kl_second_order,
    log_moment,
    mean_fraction,
    sawtooth,
    uniform_sawtooth,
)

NAMES = list(FAMILIES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", [1.0, 3.7e-5])
def test_closed_form_equals_quadrature(name, scale):
    assert fp_entropy_approx(distribution(name, scale), 11) == pytest.approx(fp_entropy_closed(name, 11), abs=1e-10)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("gamma", {"alpha": 0.05}),
        ("gamma", {"alpha": 400.0}),
        ("weibull", {"k": 0.4}),
        ("lognormal", {"sigma": 0.01}),
        ("pareto", {"alpha": 0.3}),
        ("beta", {"a": 0.5, "b": 0.5}),
        ("beta", {"a": 30.0, "b": 0.7}),
        ("student_t", {"nu": 0.3}),
        ("student_t", {"nu": 1.0}),
        ("loguniform", {"ratio": 1.01}),
    ],
)
def test_closed_form_equals_quadrature_at_extreme_shapes(name, shape):
    expected = fp_entropy_closed(name, 8, **shape)
    assert fp_entropy_approx(distribution(name, 1.3, **shape), 8) == pytest.approx(expected, abs=2e-6)


def test_gaussian_constant_to_thirty_digits_by_another_road():
    # h(X) - E log|X| with mpmath quadrature: nothing of ours but the statement
    mpmath.mp.dps = 30
    density = lambda x: mpmath.exp(-(x**2) / 2) / mpmath.sqrt(2 * mpmath.pi)  # noqa: E731
    value = -2 * mpmath.quad(lambda x: density(x) * mpmath.log(x * density(x), 2), [0, 0.1, 1, 3, 8, 20])
    assert float(value) - 0.5 == pytest.approx(fp_entropy_closed("normal", 11) - 11, abs=1e-12)


def test_one_row_against_scipys_adaptive_quadrature():
    d = distribution("logistic", 2.0)
    value, _ = integrate.quad(lambda x: -2 * d.pdf(x) * np.log2(x * d.pdf(x)), 0, 80, points=[0.01, 1, 10], limit=200)
    assert value == pytest.approx(fp_entropy_closed("logistic", 2) - 1.5, abs=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_differential_entropy_is_scipys(name):
    d = distribution(name, 0.7)
    assert differential_entropy(d) * np.log(2) == pytest.approx(float(d.entropy()), abs=1e-9)


def test_relations_between_rows_of_the_table():
    closed = lambda name, **shape: fp_entropy_closed(name, 9, **shape)  # noqa: E731
    assert closed("student_t", nu=1.0) == pytest.approx(closed("cauchy"), abs=1e-12)
    assert closed("student_t", nu=1e7) == pytest.approx(closed("normal"), abs=1e-6)
    assert closed("chi2", k=5.0) == pytest.approx(closed("gamma", alpha=2.5), abs=1e-12)
    assert closed("weibull", k=1.0) == pytest.approx(closed("gamma", alpha=1.0), abs=1e-12)
    assert closed("laplace") == pytest.approx(1 + closed("gamma", alpha=1.0), abs=1e-12)  # a sign is one bit
    # a square loses the sign (one bit) and doubles the logarithm (one bit)
    assert closed("normal") == pytest.approx(closed("chi2", k=1.0), abs=1e-12)
    assert closed("uniform") == pytest.approx(1 + closed("beta", a=1.0, b=1.0), abs=1e-12)
    assert closed("beta", a=3.0, b=1.0) == pytest.approx(closed("pareto", alpha=3.0), abs=1e-12)  # reciprocals


@settings(max_examples=40, deadline=None)
@given(st.floats(0.2, 30.0), st.floats(0.1, 8.0), st.sampled_from([-1, 1]))
def test_a_power_adds_the_logarithm_of_its_exponent(alpha, exponent, sign):
    power = sign * exponent
    raised = stats.gengamma(alpha, 1 / power)  # the law of G**power, G gamma
    expected = fp_entropy_closed("gamma", 8, alpha=alpha) + np.log2(exponent)
    assert fp_entropy_approx(raised, 8) == pytest.approx(expected, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(NAMES), st.floats(-60, 60))
def test_smooth_entropy_does_not_depend_on_scale(name, log_scale):
    value = fp_entropy_approx(distribution(name, 2.0**log_scale), 5)
    assert value == pytest.approx(fp_entropy_closed(name, 5), abs=1e-9)


def test_log_moments_of_gaussian_and_uniform():
    s = np.array([0.0, 1.0, 9.06, 30.0])
    gaussian = np.pi**-0.5 * 2 ** (0.5j * s) * gamma_function(0.5 + 0.5j * s)
    np.testing.assert_allclose(log_moment(distribution("normal"), s), gaussian, atol=1e-12)
    np.testing.assert_allclose(log_moment(distribution("uniform"), s), 1 / (1 + 1j * s), atol=1e-12)


@pytest.mark.parametrize("name", ["normal", "uniform", "pareto", "gamma", "lognormal"])
def test_fourier_series_sums_to_the_mean_fraction(name):
    factors = np.array([1.02, 1.3, 1.7, 5.2])
    direct = [mean_fraction(distribution(name, a)) - 0.5 for a in factors]
    # coefficients of a density with jumps fall like 1/k**2: the tail beyond K is at most about 1/(9 pi K)
    tolerance = 1e-3 if name in ("uniform", "pareto") else 1e-10
    np.testing.assert_allclose(sawtooth(distribution(name), factors, harmonics=40), direct, atol=tolerance)


def test_gaussian_amplitude_and_uniform_staircase():
    a = np.exp2(np.linspace(0, 1, 65))
    error = np.array([mean_fraction(distribution("normal", s)) - 0.5 for s in a])
    assert np.ptp(error) == pytest.approx(2 * gaussian_sawtooth_amplitude(), rel=1e-3)
    assert gaussian_sawtooth_amplitude() == pytest.approx(3.643e-4, rel=1e-3)
    uniform = [mean_fraction(distribution("uniform", s)) - 0.5 for s in a]
    np.testing.assert_allclose(uniform, uniform_sawtooth(a), atol=1e-12)
    assert uniform_sawtooth(1.0) == pytest.approx(1.5 - 1 / np.log(2))
    assert uniform_sawtooth(2 * np.log(2)) == pytest.approx(np.log2(2 * np.log(2)) - 0.5)


@pytest.mark.parametrize("name", ["normal", "gamma", "laplace", "lognormal", "student_t"])
def test_second_order_is_the_limit_of_the_relative_entropy(name):
    d = distribution(name)
    exact = fp_kl_term(d, FloatFormat(9, -30, 30))
    assert kl_second_order(d, 9) == pytest.approx(exact, rel=2e-3)
    assert kl_second_order(d, 8) == pytest.approx(4 * kl_second_order(d, 9), rel=1e-12)


def test_nodes_resolve_a_narrow_density():
    nodes = density_nodes(stats.norm(1.0, 1e-7))
    assert nodes.mass.sum() == pytest.approx(1.0, abs=1e-9)
    assert nodes.mean((nodes.x - 1.0) ** 2) == pytest.approx(1e-14, rel=1e-6)


class Unnormalised:
    """A density that integrates to 2."""

    inner = stats.norm()
    ppf = staticmethod(inner.ppf)
    support = staticmethod(inner.support)
    cdf = staticmethod(lambda x: 2 * stats.norm.cdf(x))
    sf = staticmethod(lambda x: 2 * stats.norm.sf(x))
    pdf = staticmethod(lambda x: 2 * stats.norm.pdf(x))
    logpdf = staticmethod(lambda x: np.log(2) + stats.norm.logpdf(x))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: fp_entropy_approx(Unnormalised(), 5), "must integrate to 1, but it integrates to 2"),
        (lambda: fp_entropy_approx(stats.norm(scale=-1), 5), "integrate to 1|not a number"),
        (lambda: fp_entropy_approx(stats.norm(), 1), "precision counts"),
        (lambda: fp_entropy_closed("gauss", 5), "unknown distribution 'gauss'"),
        (lambda: fp_entropy_closed("gamma", 5, alpha=-1), "alpha of gamma must be"),
        (lambda: fp_entropy_closed("gamma", 5, shape=1), "no shape parameter shape"),
        (lambda: fp_entropy_closed("loguniform", 5, ratio=1.0), "greater than 1"),
        (lambda: distribution("cauchy", 0.0), "scale must be positive"),
        (lambda: distribution("normal", float("nan")), "scale must be positive"),
        (lambda: distribution("zipf"), "unknown distribution 'zipf'"),
        (lambda: sawtooth(stats.norm(), [0.0]), "factors must be positive"),
        (lambda: sawtooth(stats.norm(), [1.0], harmonics=0), "harmonics must be"),
        (lambda: uniform_sawtooth(-1.0), "scale must be positive"),
        (lambda: gaussian_sawtooth_amplitude(0), "harmonic must be"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
