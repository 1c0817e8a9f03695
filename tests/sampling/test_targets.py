"""Targets: gradients against finite differences, samples against exact moments, bad input refused."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import t as student_t

from replica.sampling.targets import AnisotropicGaussian, DiagonalGaussian, RoughWell, StudentTProduct

WEIGHTS = np.array([[1.0, 0.5, 0.0], [-1.0, 2.0, 0.3], [0.2, 0.1, 1.5]])
TARGETS = [
    AnisotropicGaussian(2),
    AnisotropicGaussian(7, 2.0),
    DiagonalGaussian([1.0, 0.25]),
    RoughWell(),
    RoughWell(3, 20.0, 5.0),
    StudentTProduct([2.1, 3.0, 4.1]),
    StudentTProduct([2.1, 3.0, 9.0], WEIGHTS, [0.0, 1.0, -2.0]),
]


@pytest.mark.parametrize("target", TARGETS, ids=repr)
def test_gradient_is_the_derivative_of_the_energy(target):
    x = target.sample(5, np.random.default_rng(0))
    gradient = target.gradient(x)
    for i in range(target.n_dims):
        step = np.zeros_like(x)
        step[i] = 1e-4
        slope = (target.energy(x + step) - target.energy(x - step)) / 2e-4
        # central difference: error of third derivative (pi/2)^3 * h^2/6 plus rounding 1e-15 * E / h
        np.testing.assert_allclose(slope, gradient[i], atol=3e-7)


@pytest.mark.parametrize("target", TARGETS, ids=repr)
def test_gradient_writes_into_out(target):
    x = target.sample(4, np.random.default_rng(1))
    out = np.full_like(x, np.nan)
    assert target.gradient(x, out=out) is out
    np.testing.assert_array_equal(out, target.gradient(x))


def test_gaussian_precisions_run_from_ten_to_minus_six_to_one():
    target = AnisotropicGaussian(100)
    assert target.precisions[0] == pytest.approx(1e-6)
    assert target.precisions[-1] == 1.0
    np.testing.assert_allclose(np.diff(np.log(target.precisions)), 6 * np.log(10) / 99)
    assert target.stability_limit == 2.0


def test_gaussian_samples_have_the_exact_variances():
    target = AnisotropicGaussian(5, 3.0)
    x = target.sample(20_000, np.random.default_rng(2))
    # the variance of a sample variance is 2 sigma^4 / n
    np.testing.assert_allclose((x**2).mean(axis=1) / target.variances(), 1.0, atol=4 * np.sqrt(2 / 20_000))


def test_rough_well_mean_cosine_against_quadrature():
    target = RoughWell(1, scale=8.0, period=4.0)
    k = target.wavenumber
    weight = lambda x: np.exp(-(x**2) / 128 - np.cos(k * x))  # noqa: E731
    above = quad(lambda x: np.cos(k * x) * weight(x), -60, 60, limit=1000)[0]
    below = quad(weight, -60, 60, limit=1000)[0]
    assert target.mean_cosine() == pytest.approx(above / below, abs=1e-9)
    assert RoughWell().mean_cosine() == pytest.approx(-0.4464, abs=5e-5)


def test_rough_well_samples_are_exact():
    target = RoughWell()
    x = target.sample(20_000, np.random.default_rng(3))
    cosine = np.cos(target.wavenumber * x).ravel()
    assert cosine.mean() == pytest.approx(target.mean_cosine(), abs=4 * cosine.std() / np.sqrt(cosine.size))
    assert (x**2).mean() == pytest.approx(1e4, rel=4 * np.sqrt(2 / x.size))


def test_chosen_precisions_equal_the_log_spaced_ones():
    x = np.random.default_rng(4).normal(size=(3, 5))
    spaced, chosen = AnisotropicGaussian(3, 2.0), DiagonalGaussian([0.01, 0.1, 1.0])
    np.testing.assert_allclose(chosen.energy(x), spaced.energy(x))
    np.testing.assert_allclose(chosen.variances(), spaced.variances())
    assert chosen.n_dims == 3


def test_each_expert_is_a_scaled_student_t():
    """exp(-E) of one expert against scipy's density of sqrt(nu) t, up to a constant; the variance by quadrature."""
    for nu in (2.5, 3.7):
        target, y = StudentTProduct([nu]), np.linspace(-9, 9, 40)
        log_density = student_t.logpdf(y / np.sqrt(nu), nu)
        difference = log_density + target.energy(y[None])
        np.testing.assert_allclose(difference, difference[0], rtol=1e-12)
        weight = lambda y, target=target: float(np.exp(-target.energy(np.array([[y]]))[0]))  # noqa: E731
        variance = quad(lambda y, weight=weight: y**2 * weight(y), 0, np.inf, limit=500)[0] / quad(weight, 0, np.inf)[0]
        assert target.expert_variances()[0] == pytest.approx(variance, rel=1e-3)


def test_samples_of_the_product_are_exact():
    """Quartiles of every expert (variances converge too slowly): standard error sqrt(3)/4 / (sqrt(n) density)."""
    nu, n = np.array([2.1, 3.0, 9.0]), 40_000
    bias = np.array([0.0, 1.0, -2.0])
    x = StudentTProduct(nu, WEIGHTS, bias).sample(n, np.random.default_rng(5))
    y = WEIGHTS @ x + bias[:, None]
    inside = (np.abs(y) < np.sqrt(nu)[:, None] * student_t.ppf(0.75, nu)[:, None]).mean(axis=1)
    np.testing.assert_allclose(inside, 0.5, atol=4 * 0.5 / np.sqrt(n))
    assert StudentTProduct([1.5]).expert_variances()[0] == np.inf


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: AnisotropicGaussian(0), "n_dims must be a whole number"),
        (lambda: AnisotropicGaussian(2, -1.0), "log10_condition"),
        (lambda: AnisotropicGaussian(2, np.nan), "log10_condition"),
        (lambda: RoughWell(2, scale=0.0), "scale must be a positive"),
        (lambda: RoughWell(2, period=np.inf), "period must be a positive"),
        (lambda: RoughWell().energy(np.zeros((3, 4))), "positions must have shape"),
        (lambda: AnisotropicGaussian(2).energy(np.zeros(2)), "positions must have shape"),
        (lambda: DiagonalGaussian([1.0, 0.0]), "precisions must be"),
        (lambda: DiagonalGaussian(2.0), "precisions must be"),
        (lambda: StudentTProduct([2.0, -1.0]), "nu must be"),
        (lambda: StudentTProduct([2.0, 3.0], np.ones((3, 2))), "weights must have shape"),
        (lambda: StudentTProduct([2.0, 3.0], np.ones((2, 2))), "full column rank"),
        (lambda: StudentTProduct([2.0, 3.0], bias=[1.0]), "bias must be"),
        (lambda: StudentTProduct([2.0, 3.0], [[1.0], [1.0]]).sample(3, None), "as many experts as dimensions"),
        (lambda: StudentTProduct([2.0, 3.0], [[1.0], [1.0]]).expert_variances(), "as many experts as dimensions"),
        (lambda: RoughWell().sample(0, np.random.default_rng(0)), "n_chains"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(make, words):
    with pytest.raises(ValueError, match=words):
        make()
