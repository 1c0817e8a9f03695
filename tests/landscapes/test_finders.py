"""Searches on landscapes whose critical points are known, and on landscapes that break."""

from __future__ import annotations

import numpy as np
import pytest

from replica.landscapes.critical_points import index
from replica.landscapes.finders import (
    SearchStop,
    gradient_norm_minimisation,
    newton_mr,
    newton_tr,
    saddle_free_newton,
)
from replica.landscapes.krylov import KrylovStop
from replica.landscapes.linear_autoencoder import LinearAutoencoder, analytic_critical_points, distance_to_analytic

FINDERS = [newton_mr, newton_tr, gradient_norm_minimisation, saddle_free_newton]


class Quadratic:
    """Half theta^T H theta - b theta; NaN wherever the first coordinate exceeds ``wall``."""

    def __init__(self, H, b=0.0, wall=np.inf):
        self.H, self.b, self.wall, self.n_parameters = np.asarray(H, dtype=float), b, wall, len(H)

    def _guard(self, theta, values):
        values = np.array(values, dtype=float)
        values[theta[:, 0] > self.wall] = np.nan
        return values

    def loss(self, theta):
        return self._guard(theta, 0.5 * np.einsum("ni,ij,nj->n", theta, self.H, theta) - (theta * self.b).sum(axis=1))

    def gradient(self, theta):
        return self._guard(theta, theta @ self.H - self.b)

    def hessian_product(self, theta, vectors):
        return self._guard(theta, vectors @ self.H)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.mark.parametrize("find", [newton_mr, newton_tr, gradient_norm_minimisation])
def test_a_saddle_is_found(find, rng):
    saddle = Quadratic(np.diag([1.0, -2.0, 0.5]), b=np.array([1.0, 1.0, 1.0]))
    found = find(saddle, rng.normal(size=(4, 3)), 300)
    np.testing.assert_allclose(found.theta, np.tile([1.0, -0.5, 2.0], (4, 1)), atol=1e-6)
    assert (found.squared_gradient_norms[-1] < 1e-10).all()


def test_a_full_step_of_newton_mr_solves_a_quadratic(rng):
    found = newton_mr(Quadratic(np.diag([1.0, -2.0, 0.5])), rng.normal(size=(3, 3)), 1, step=1.0)
    assert (found.squared_gradient_norms[1] < 1e-24).all()
    assert (found.relative_residuals[0] < 1e-10).all()
    assert (found.krylov_stops == KrylovStop.RESIDUAL).all()
    assert (found.hessian_products == 4).all()
    assert (found.gradients == 2).all()
    assert (found.costs == [[1] * 3, [2 + 2 * 4] * 3]).all()


def test_the_pure_step_is_tried_first(rng):
    start = rng.normal(size=(3, 3))
    slow = newton_mr(Quadratic(np.eye(3)), start, 1, step=0.1)
    pure = newton_mr(Quadratic(np.eye(3)), start, 1, step=0.1, pure=0.4)
    np.testing.assert_allclose(slow.theta, 0.9 * start)
    np.testing.assert_allclose(pure.theta, 0 * start, atol=1e-15)


def test_steps_of_newton_mr_grow_to_one():
    """On a quadratic every step is accepted: 0.1, 0.2, 0.4, 0.8, 1, so the gradient shrinks by the products."""
    found = newton_mr(Quadratic(np.eye(2)), np.ones((1, 2)), 4, step=0.1)
    left = np.cumprod([1, 0.9, 0.8, 0.6, 0.2])
    np.testing.assert_allclose(found.squared_gradient_norms[:, 0], 2 * left**2, rtol=1e-12)


def test_damped_newton_shrinks_by_one_minus_the_step():
    found = newton_tr(Quadratic(np.diag([3.0, -1.0])), np.ones((1, 2)), 5, step=0.1)
    ratio = found.squared_gradient_norms[1:, 0] / found.squared_gradient_norms[:-1, 0]
    np.testing.assert_allclose(ratio, 0.81, rtol=1e-6)


def test_gradient_norm_minimisation_takes_armijo_steps():
    """On a unit quadratic u = -theta, and a step of 0.1 leaves more than 0.9 of the slope: the curvature test fails."""
    start = np.ones((1, 2))
    free = gradient_norm_minimisation(Quadratic(np.eye(2)), start, 1, curvature=None)
    np.testing.assert_allclose(free.theta, 0.9 * start)
    steep = gradient_norm_minimisation(Quadratic(0.9 * np.eye(2)), start, 3)
    assert steep.stops[0] == SearchStop.NO_DECREASE
    np.testing.assert_array_equal(steep.theta, start)


def test_saddle_free_newton_goes_down(rng):
    net = LinearAutoencoder(np.diag([1.0, 2.0, 3.0, 5.0]), 2)
    start = 0.1 * rng.normal(size=(6, 16))
    found = saddle_free_newton(net, start, 60)
    assert (np.diff(found.losses, axis=0) <= 0).all()
    np.testing.assert_allclose(found.losses[-1], 3 / 4, atol=1e-9)
    assert (index(net, found.theta) == 0).all()


@pytest.mark.parametrize("find", [newton_mr, newton_tr])
def test_found_points_of_the_autoencoder_are_analytic(find, rng):
    net = LinearAutoencoder(np.diag(np.arange(1.0, 7)), 2)
    known = analytic_critical_points(net)
    found = find(net, 0.5 * rng.normal(size=(20, 24)), 200)
    good = found.squared_gradient_norms[-1] < 1e-16
    assert good.sum() >= 4  # enough to look at; with a full Krylov space many runs get stuck
    distance = distance_to_analytic(known, found.losses[-1][good], index(net, found.theta[good]))
    assert distance.max() < 1e-10


@pytest.mark.parametrize("find", FINDERS)
def test_points_do_not_know_of_each_other(find, rng):
    net = LinearAutoencoder(np.diag(np.arange(1.0, 6)), 2)
    start = 0.5 * rng.normal(size=(5, 20))
    together = find(net, start, 12)
    for i in range(5):
        alone = find(net, start[i : i + 1], 12)
        np.testing.assert_allclose(together.theta[i], alone.theta[0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("find", FINDERS)
def test_the_merit_never_rises_and_the_records_agree(find, rng):
    net = LinearAutoencoder(np.diag(np.arange(1.0, 6)), 2)
    found = find(net, 0.5 * rng.normal(size=(5, 20)), 15, keep_path=True)
    merit = found.losses if find is saddle_free_newton else found.squared_gradient_norms
    assert (np.diff(merit, axis=0) <= 1e-15).all()
    for t in range(16):
        np.testing.assert_allclose(net.loss(found.path[t]), found.losses[t], rtol=1e-13)
        squared = (net.gradient(found.path[t]) ** 2).sum(axis=1)
        np.testing.assert_allclose(squared, found.squared_gradient_norms[t], rtol=1e-10, atol=1e-28)
    np.testing.assert_array_equal(found.path[-1], found.theta)
    np.testing.assert_array_equal(found.costs[-1], found.gradients + 2 * found.hessian_products)
    assert (np.diff(found.costs, axis=0) >= 0).all()


def test_points_stop_at_the_cutoff(rng):
    start = np.array([[1.0, 1.0], [1e-4, 0.0]])
    found = newton_mr(Quadratic(np.diag([1.0, -1.0])), start, 50, cutoff=1e-6)
    assert (found.stops == SearchStop.CUTOFF).all()
    assert found.steps[1] == 0
    np.testing.assert_array_equal(found.theta[1], start[1])
    assert (found.costs[:, 1] == 1).all()
    assert found.squared_gradient_norms[-1, 0] < 1e-6
    assert np.isnan(found.relative_residuals[-1]).all()


def test_a_gradient_flat_point_goes_nowhere():
    found = newton_mr(Quadratic(np.diag([0.0, 1.0]), b=np.array([1.0, 0.0])), np.zeros((1, 2)), 5)
    assert found.stops[0] == SearchStop.NO_DECREASE
    assert found.relative_residuals[0, 0] == 1
    assert found.krylov_stops[0, 0] in (KrylovStop.COKERNEL, KrylovStop.EXHAUSTED)


@pytest.mark.parametrize("find", FINDERS)
def test_nan_stops_its_own_point_and_the_others_go_on(find):
    class Cracked(Quadratic):
        def hessian_product(self, theta, vectors):
            out = super().hessian_product(theta, vectors)
            out[theta[:, 1] > 3] = np.nan
            return out

    start = np.array([[0.5, 1.0], [0.5, 5.0], [9.0, 1.0]])
    found = find(Cracked(np.diag([1.0, 2.0]), wall=8.0), start, 200)
    assert found.stops[1] == SearchStop.NOT_FINITE  # at its first product
    assert found.stops[2] == SearchStop.NOT_FINITE  # at its start
    np.testing.assert_array_equal(found.theta[1:], start[1:])
    assert found.squared_gradient_norms[-1, 0] < 1e-8
    assert np.isfinite(found.theta).all()


def test_trials_with_nan_are_refused_by_the_line_search():
    """The full step leads beyond the wall, a shorter one does not."""
    found = newton_mr(Quadratic(np.eye(2), b=np.array([4.0, 0.0]), wall=3.0), np.zeros((1, 2)), 1, step=1.0)
    assert found.steps[0] == 1
    assert 0 < found.theta[0, 0] <= 3


@pytest.mark.parametrize("find", FINDERS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": np.zeros(2)}, r"start must have shape \(n_starts, 2\), got \(2,\)"),
        ({"start": np.zeros((1, 3))}, "start must have shape"),
        ({"start": np.array([[0.0, 0.0], [np.nan, 0.0]])}, "1 of 2 points are not"),
        ({"n_steps": 0}, "n_steps must be a whole number of at least 1, got 0"),
        ({"n_steps": 1.5}, "n_steps must be a whole number"),
        ({"cutoff": -1.0}, "cutoff must not be negative"),
        ({"step": 0.0}, r"step must lie in \(0, 1\]"),
    ],
)
def test_bad_input_is_refused(find, change, message):
    arguments = {"start": np.zeros((1, 2)), "n_steps": 1} | change
    with pytest.raises(ValueError, match=message):
        find(Quadratic(np.eye(2)), **arguments)


def test_bad_line_search_constants_are_refused():
    for find, change in (
        (newton_mr, {"shrink": 1.0}),
        (newton_mr, {"sufficient": 0.5}),
        (newton_mr, {"pure": 2.0}),
        (newton_mr, {"max_iterations": 0}),
        (gradient_norm_minimisation, {"curvature": 1.0}),
        (newton_tr, {"damping": [np.inf]}),
        (saddle_free_newton, {"damping": [-1.0]}),
    ):
        with pytest.raises(ValueError, match="must"):
            find(Quadratic(np.eye(2)), np.ones((1, 2)), 1, **change)
