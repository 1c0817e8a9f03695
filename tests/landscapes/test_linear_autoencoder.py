"""The linear autoencoder against its data, finite differences, symmetries, and its own closed forms."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replica.landscapes.critical_points import hessian, hessian_eigenvalues, index
from replica.landscapes.linear_autoencoder import (
    LinearAutoencoder,
    analytic_critical_points,
    critical_point_spectrum,
    gradient_descent_path,
    projected_components,
)


def random_covariance(k, rng):
    factor = rng.normal(size=(k, 2 * k))
    return factor @ factor.T / (2 * k)


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def landscape(rng):
    return LinearAutoencoder(random_covariance(6, rng), 3)


def test_loss_is_the_mean_squared_error_over_all_entries(rng):
    x = rng.normal(size=(4, 30))
    net = LinearAutoencoder(x @ x.T / 30, 2)
    theta = rng.normal(size=(5, 16))
    first, second = net.weights(theta)
    errors = x - second @ first @ x
    np.testing.assert_allclose(net.loss(theta), (errors**2).mean(axis=(1, 2)), rtol=1e-12)


def test_gradient_and_hessian_product_are_derivatives(landscape, rng):
    theta, vector = rng.normal(size=(2, 7, landscape.n_parameters))
    step = 1e-5
    up, down = theta + step * vector, theta - step * vector
    slope = (landscape.loss(up) - landscape.loss(down)) / (2 * step)
    np.testing.assert_allclose((landscape.gradient(theta) * vector).sum(axis=1), slope, rtol=1e-6)
    bend = (landscape.gradient(up) - landscape.gradient(down)) / (2 * step)
    np.testing.assert_allclose(landscape.hessian_product(theta, vector), bend, rtol=1e-6, atol=1e-7)


def test_gradient_by_the_matrix_formula(landscape, rng):
    theta = rng.normal(size=(4, landscape.n_parameters))
    first, second = landscape.weights(theta)
    error = -2 / 6 * (np.eye(6) - second @ first) @ landscape.covariance
    expected = landscape.parameters(second.transpose(0, 2, 1) @ error, error @ first.transpose(0, 2, 1))
    np.testing.assert_allclose(landscape.gradient(theta), expected, rtol=1e-11, atol=1e-12)


@given(seed=st.integers(0, 10**6), k=st.integers(1, 6), data=st.data())
@settings(max_examples=25, deadline=None)
def test_loss_is_constant_on_orbits(seed, k, data):
    p, rng = data.draw(st.integers(1, k)), np.random.default_rng(seed)
    net = LinearAutoencoder(random_covariance(k, rng), p)
    first, second = net.weights(rng.normal(size=(1, 2 * k * p)))
    change = np.eye(p) + 0.3 * rng.uniform(-1, 1, (p, p)) / p
    moved = net.parameters(change @ first, second @ np.linalg.inv(change))
    np.testing.assert_allclose(net.loss(moved), net.loss(net.parameters(first, second)), rtol=1e-9)


@pytest.mark.parametrize(("k", "p", "classes"), [(5, 3, 26), (6, 2, 22), (4, 4, 16), (3, 1, 4)])
def test_every_class_is_critical_with_the_exact_loss_and_index(rng, k, p, classes):
    net = LinearAutoencoder(random_covariance(k, rng), p)
    points = analytic_critical_points(net)
    assert len(points.loss) == classes
    assert (net.gradient(points.theta) ** 2).sum(axis=1).max() < 1e-28
    np.testing.assert_allclose(net.loss(points.theta), points.loss, atol=1e-13)
    np.testing.assert_array_equal(index(net, points.theta, 1e-9), points.index)
    np.testing.assert_allclose(projected_components(net, points.theta), points.members, atol=1e-12)


def test_the_whole_spectrum_is_known(rng):
    net = LinearAutoencoder(random_covariance(5, rng), 3)
    points = analytic_critical_points(net)
    for theta, members, count in zip(points.theta, points.members, points.index):
        spectrum = critical_point_spectrum(net, members)
        np.testing.assert_allclose(hessian_eigenvalues(net, theta[None])[0], spectrum, atol=1e-12)
        assert (spectrum < 0).sum() == count


def test_index_and_number_of_flat_directions_are_the_same_on_the_orbit(rng):
    net = LinearAutoencoder(random_covariance(5, rng), 3)
    points = analytic_critical_points(net)
    first, second = net.weights(points.theta)
    change = np.eye(3) + 0.4 * rng.uniform(-1, 1, (len(first), 3, 3))
    moved = net.parameters(change @ first, second @ np.linalg.inv(change))
    eigenvalues = hessian_eigenvalues(net, moved)
    np.testing.assert_array_equal((eigenvalues < -1e-9).sum(axis=1), points.index)
    size = points.members.sum(axis=1)
    np.testing.assert_array_equal((np.abs(eigenvalues) < 1e-9).sum(axis=1), 9 - (3 - size) ** 2)


def test_an_unused_unit_with_one_side_is_on_the_same_orbit(rng):
    net = LinearAutoencoder(random_covariance(5, rng), 2)
    points = analytic_critical_points(net)
    single = points.members.sum(axis=1) == 1
    first, second = (w[single].copy() for w in net.weights(points.theta))
    first[:, 1] = 0.7 * first[:, 0]  # it listens to the used component and says nothing
    theta = net.parameters(first, second)
    assert (net.gradient(theta) ** 2).sum(axis=1).max() < 1e-28
    np.testing.assert_array_equal(index(net, theta, 1e-9), points.index[single])


def test_gradient_descent_ends_at_the_largest_components(rng):
    net = LinearAutoencoder(np.diag([1.0, 2.0, 4.0, 8.0]), 2)
    path = gradient_descent_path(net, 0.1 * rng.normal(size=16), 0.1, 3000)
    losses = net.loss(path)
    assert (np.diff(losses) < 1e-12).all()
    assert losses[-1] == pytest.approx(3 / 4, abs=1e-8)
    np.testing.assert_allclose(projected_components(net, path[-1:])[0], [0, 0, 1, 1], atol=1e-4)
    np.testing.assert_allclose(path[1], path[0] - 0.1 * net.gradient(path[:1])[0], rtol=1e-13)


def test_the_origin():
    net = LinearAutoencoder(np.diag(np.arange(1.0, 17)), 4)
    assert net.loss(np.zeros((1, 128)))[0] == pytest.approx(8.5, abs=1e-14)
    eigenvalues = np.linalg.eigvalsh(hessian(net, np.zeros((1, 128))))[0]
    assert (eigenvalues < 0).sum() == 64
    assert analytic_critical_points(net).loss.min() == pytest.approx(4.875, abs=1e-14)


@pytest.mark.parametrize(
    ("covariance", "hidden", "message"),
    [
        (np.ones((2, 3)), 1, "square"),
        ([[1.0, 0.5], [0.0, 1.0]], 1, "symmetric"),
        (np.diag([1.0, -1.0]), 1, "positive definite"),
        (np.diag([1.0, 0.0]), 1, "positive definite"),
        (np.diag([1.0, np.nan]), 1, "finite"),
        (np.eye(3), 4, "from 1 to the number of inputs, 3; got 4"),
        (np.eye(3), 0, "hidden must be a whole number"),
        (np.eye(3), 1.5, "hidden must be a whole number"),
    ],
)
def test_bad_input_is_refused(covariance, hidden, message):
    with pytest.raises(ValueError, match=message):
        LinearAutoencoder(covariance, hidden)


def test_wrong_shapes_are_refused(landscape):
    with pytest.raises(ValueError, match=r"theta must have shape \(n_points, 36\), got \(36,\)"):
        landscape.loss(np.zeros(36))
    with pytest.raises(ValueError, match="one vector for each point"):
        landscape.hessian_product(np.zeros((2, 36)), np.zeros((3, 36)))
    with pytest.raises(ValueError, match="layers must have shapes"):
        landscape.parameters(np.zeros((1, 6, 3)), np.zeros((1, 3, 6)))
    with pytest.raises(ValueError, match="distinct"):
        analytic_critical_points(LinearAutoencoder(np.eye(3), 1))
    with pytest.raises(ValueError, match="at most 3 of 6"):
        critical_point_spectrum(landscape, np.ones(6, dtype=bool))
    for bad in ({"start": np.full(36, np.nan)}, {"rate": -1.0}, {"n_steps": 0}):
        with pytest.raises(ValueError, match="must be"):
            gradient_descent_path(landscape, **({"start": np.zeros(36), "rate": 0.1, "n_steps": 5} | bad))


def test_loss_against_index_in_exact_fractions():
    """Variances 1 to 16, four hidden units: negative directions counted one by one, least squares in fractions.

    An unused hidden unit goes down along each component that is left out, and a component that is used can be replaced
    by each larger one that is not. The exact slope and R^2 are what the page's claims expect.
    """
    k, p = 16, 4
    losses, fractions = [], []
    for m in range(p + 1):
        for used in combinations(range(1, k + 1), m):
            left_out = set(range(1, k + 1)) - set(used)
            negative = (p - m) * len(left_out) + sum(j > i for i in used for j in left_out)
            losses.append(Fraction(sum(left_out), k))
            fractions.append(Fraction(negative, 2 * k * p))
    n = len(losses)
    assert n == 2517
    x, y = ([v - sum(values) / n for v in values] for values in (fractions, losses))
    xx, xy, yy = (sum(a * b for a, b in zip(u, v)) for u, v in ((x, x), (x, y), (y, y)))
    assert xy / xx == Fraction(191820928, 24319019)
    assert float(xy / xx) == pytest.approx(7.887691851386, abs=1e-12)
    assert float(xy**2 / (xx * yy)) == pytest.approx(0.998926402300, abs=1e-12)

    net = LinearAutoencoder(np.diag(np.arange(1.0, k + 1)), p)
    known = analytic_critical_points(net)
    found = sorted(zip(known.loss.round(9), known.index))
    assert found == sorted(zip(np.array(losses, float).round(9), np.array(fractions, float) * net.n_parameters))
