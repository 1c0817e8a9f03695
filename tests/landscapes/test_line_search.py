"""Back-tracking on a parabola, where the accepted step is known."""

from __future__ import annotations

import numpy as np

from replica.landscapes.line_search import SHORTEST, backtrack


def parabola(theta, points):
    return (theta**2).sum(axis=1), 2 * theta


def search(start, direction, initial, decrease=None, evaluate=parabola, **more):
    merit, gradient = parabola(start, None)
    decrease = 1e-4 * (gradient * direction).sum(axis=1) if decrease is None else decrease
    return backtrack(evaluate, start, merit, gradient, direction, decrease, initial, 0.5, **more)


def test_the_largest_step_that_lowers_enough_is_taken():
    """Along -gradient the parabola shrinks by (1 - 2 a)^2: below one for a < 1."""
    start = np.array([[1.0, 2.0], [3.0, 0.0], [1.0, 1.0]])
    took = search(start, -2 * start, np.array([4.0, 0.3, 1.0]))
    np.testing.assert_array_equal(took.length, [0.5, 0.3, 0.5])
    np.testing.assert_allclose(took.theta, start * (1 - 2 * took.length[:, None]))
    np.testing.assert_allclose(took.merit, (took.theta**2).sum(axis=1))
    np.testing.assert_allclose(took.gradient, 2 * took.theta)
    np.testing.assert_array_equal(took.evaluations, [4, 1, 2])


def test_uphill_the_point_stays():
    start = np.ones((1, 2))
    took = search(start, start, np.array([1.0]), decrease=np.array([-1.0]))
    assert took.length[0] == 0
    np.testing.assert_array_equal(took.theta, start)
    assert 40 < took.evaluations[0] <= 1 + np.log2(1 / SHORTEST)


def test_nan_is_never_accepted_and_zero_tries_nothing():
    def broken(theta, points):
        return np.where(theta[:, 0] < 0, np.nan, (theta**2).sum(axis=1)), 2 * theta

    start = np.ones((2, 1))
    took = search(start, -2 * start, np.array([0.75, 0.0]), evaluate=broken)
    np.testing.assert_array_equal(took.length, [0.375, 0.0])
    np.testing.assert_array_equal(took.evaluations, [2, 0])


def test_a_further_condition():
    start = np.ones((2, 1))
    took = search(
        start, -2 * start, np.array([0.5, 0.5]), accept=lambda at, slope, points: (at[:, 0] > 0.4) | (points == 1)
    )
    np.testing.assert_array_equal(took.length, [0.25, 0.5])
