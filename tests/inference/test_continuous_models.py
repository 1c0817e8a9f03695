"""Product of Laplace experts, and score matching as a limit."""

import numpy as np
import pytest
from scipy.stats import laplace
from sklearn.decomposition import FastICA

from replica.inference.fitting import NotConverged
from replica.inference.product_of_laplace import (
    ProductOfLaplace,
    amari_distance,
    fit_likelihood,
    likelihood_objective,
)
from replica.inference.score_matching import gaussian_noise_flow, gaussian_score_matching


def mixed(d, n, seed):
    rng = np.random.default_rng(seed)
    model = ProductOfLaplace(rng.normal(size=(d, d)) + np.eye(d))
    return model, model.sample(n, rng)


def test_density_is_that_of_independent_laplace_sources():
    model, data = mixed(3, 20, 0)
    expected = laplace.logpdf(model.filters @ data).sum(axis=0) + np.log(abs(np.linalg.det(model.filters)))
    np.testing.assert_allclose(model.log_likelihood(data), expected, rtol=1e-12)


def test_density_is_normalised():
    model = ProductOfLaplace(np.array([[1.0, 0.4], [-0.3, 1.2]]))
    grid = np.arange(-30, 30, 0.05) + 0.025
    points = np.stack(np.meshgrid(grid, grid)).reshape(2, -1)
    # the midpoint rule is off at the kinks in second order of the spacing
    assert np.exp(model.log_likelihood(points)).sum() * 0.05**2 == pytest.approx(1, abs=1e-3)


def test_gradient_of_the_energy():
    model, data = mixed(4, 30, 1)
    shift = 1e-7 * np.random.default_rng(2).normal(size=data.shape)
    change = model.energy(data + shift) - model.energy(data - shift)
    np.testing.assert_allclose(change / 2, (model.gradient(data) * shift).sum(axis=0), rtol=1e-4, atol=1e-12)


def test_gradient_of_the_likelihood():
    model, data = mixed(3, 100, 3)
    shift, filters = np.random.default_rng(4).normal(size=(3, 3)), model.filters + 0.1
    up, down = (likelihood_objective(filters + s * 1e-7 * shift, data)[0] for s in (1, -1))
    assert (up - down) / 2e-7 == pytest.approx((likelihood_objective(filters, data)[1] * shift).sum(), rel=1e-4)


def test_maximum_likelihood_unmixes_as_fast_ica_does():
    model, data = mixed(4, 20_000, 5)
    path = fit_likelihood(data, np.eye(4))
    values = [ProductOfLaplace(f).log_likelihood(data).mean() for f in (path[0], path[-1], model.filters)]
    assert values[1] > values[2] > values[0]
    fast = FastICA(random_state=0, whiten="unit-variance").fit(data.T)
    assert amari_distance(path[-1], model.filters) < 0.02
    assert amari_distance(fast.components_, model.filters) < 0.05
    assert amari_distance(path[-1], fast.components_) < 0.05


def test_maximum_likelihood_is_a_place_where_a_new_search_gains_nothing():
    _, data = mixed(8, 2000, 10)
    one = fit_likelihood(data, np.eye(8), round_length=40)[-1]
    again = fit_likelihood(data, one)[-1]
    gain = (ProductOfLaplace(again).log_likelihood(data) - ProductOfLaplace(one).log_likelihood(data)).mean()
    assert -1e-12 <= gain < 1e-3


def test_a_likelihood_fit_that_stops_early_says_so():
    _, data = mixed(8, 2000, 10)
    with pytest.raises(NotConverged, match="still gains") as stop:
        fit_likelihood(data, np.eye(8), max_evaluations=12, round_length=5)
    start, end = (ProductOfLaplace(f).log_likelihood(data).mean() for f in (stop.value.fit[0], stop.value.fit[-1]))
    assert end > start


def test_amari_distance_ignores_order_sign_and_size():
    rng = np.random.default_rng(6)
    filters = rng.normal(size=(4, 4))
    same = filters[[2, 0, 3, 1]] * np.array([2.0, -1, 0.3, -5])[:, None]
    assert amari_distance(same, filters) == pytest.approx(0, abs=1e-12)
    assert 0.1 < amari_distance(rng.normal(size=(4, 4)), filters) <= 1


def test_score_matching_is_the_limit_with_an_error_of_second_order():
    rng = np.random.default_rng(7)
    half = rng.normal(size=(3, 3))
    precision, data = half @ half.T + np.eye(3), rng.normal(size=(3, 500))
    objective = gaussian_score_matching(precision, data)
    errors = [abs(4 * gaussian_noise_flow(precision, data, s) / s**2 - objective) for s in (0.04, 0.02, 0.01)]
    assert errors[2] < 0.01 * abs(objective)
    np.testing.assert_allclose(np.array(errors[:-1]) / errors[1:], 4, rtol=0.05)


def test_noise_flow_against_sampled_distances():
    rng = np.random.default_rng(8)
    precision, data, sigma = np.array([[2.0, 0.5], [0.5, 1.0]]), rng.normal(size=(2, 40)), 0.5
    jump = sigma * rng.normal(size=(20_000, 2, 1))
    energy = lambda x: 0.5 * np.einsum("...in,ij,...jn->...n", x, precision, x)  # noqa: E731
    flow = np.exp(0.5 * (energy(data) - energy(data + jump))).mean(axis=1) - 1
    assert abs(flow.mean() - gaussian_noise_flow(precision, data, sigma)) < 4 * flow.std() / np.sqrt(20_000)


def test_score_matching_is_least_at_the_inverse_covariance():
    rng = np.random.default_rng(9)
    data = rng.normal(size=(2, 1000))
    best = np.linalg.inv(data @ data.T / 1000)
    base = gaussian_score_matching(best, data)
    for _ in range(10):
        change = rng.normal(scale=0.05, size=(2, 2))
        assert gaussian_score_matching(best + change + change.T, data) > base


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: ProductOfLaplace(np.ones((2, 3))), "square"),
        (lambda: ProductOfLaplace(np.full((2, 2), np.nan)), "finite"),
        (lambda: fit_likelihood(np.ones((3, 2)), np.eye(3)), "n > d"),
        (lambda: fit_likelihood(np.full((2, 5), np.nan), np.eye(2)), "NaN"),
        (lambda: fit_likelihood(np.ones((2, 5)), np.ones((2, 2))), "invertible"),
        (lambda: fit_likelihood(np.ones((2, 5)), np.eye(2), tolerance=np.nan), "positive settings"),
        (lambda: amari_distance(np.zeros((2, 2)), np.eye(2)), "estimate: expected a finite, invertible"),
        (lambda: amari_distance(np.eye(2), np.zeros((2, 2))), "truth: expected a finite, invertible"),
        (lambda: amari_distance(np.eye(3), np.eye(2)), "got shapes"),
        (lambda: gaussian_noise_flow(np.eye(2), np.ones((2, 3)), 0.0), "positive"),
        (lambda: gaussian_score_matching([[1, 2], [0, 1]], np.ones((2, 3))), "symmetric"),
        (lambda: gaussian_score_matching(np.eye(2), np.ones((3, 3))), r"\(2, n\)"),
    ],
)
def test_bad_input_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()
