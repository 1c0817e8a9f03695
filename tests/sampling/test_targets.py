"""Targets: gradients against finite differences, samples against exact moments, bad input refused."""

import numpy as np
import pytest
from scipy.integrate import quad

from replica.sampling.targets import AnisotropicGaussian, RoughWell

TARGETS = [AnisotropicGaussian(2), AnisotropicGaussian(7, 2.0), RoughWell(), RoughWell(3, 20.0, 5.0)]


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
        (lambda: RoughWell().sample(0, np.random.default_rng(0)), "n_chains"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(make, words):
    with pytest.raises(ValueError, match=words):
        make()
