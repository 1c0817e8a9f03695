"""The quartic in closed form against roots, finite differences and the flow's own equation."""

import numpy as np
import pytest

from replica.landscapes.quartic import (
    CRITICAL_POINT,
    FLAT_POINTS,
    Quartic,
    gradient_norm_flow,
    half_norm_curvatures,
    newton_field,
    squared_gradient_norm,
)

F = Quartic()
POINTS = np.random.default_rng(0).uniform(-4, 4, (50, 2))


def test_derivatives_match_finite_differences():
    for axis in np.eye(2):
        forward, backward = POINTS + 1e-5 * axis, POINTS - 1e-5 * axis
        slope = (F.loss(forward) - F.loss(backward)) / 2e-5
        np.testing.assert_allclose(F.gradient(POINTS) @ axis, slope, atol=1e-6)
        bend = (F.gradient(forward) - F.gradient(backward)) / 2e-5
        np.testing.assert_allclose(F.hessian_product(POINTS, np.tile(axis, (50, 1))), bend, atol=1e-6)


def test_curvatures_of_half_the_squared_norm_match_finite_differences():
    for i, axis in enumerate(np.eye(2)):
        s = [squared_gradient_norm(POINTS + shift * axis) for shift in (1e-4, 0, -1e-4)]
        np.testing.assert_allclose(
            half_norm_curvatures(POINTS)[:, i], (s[0] - 2 * s[1] + s[2]) / 2e-8, rtol=1e-3, atol=1
        )


def test_the_only_real_root_of_the_gradient_is_the_critical_point():
    along_x, along_y = np.roots([1, 0, -6, 9]), np.roots([3.6, 0, 10, 0])
    np.testing.assert_allclose(along_x[np.abs(along_x.imag) < 1e-9].real, [CRITICAL_POINT[0]])
    np.testing.assert_allclose(along_y[np.abs(along_y.imag) < 1e-9].real, [CRITICAL_POINT[1]], atol=1e-12)
    assert F.loss([CRITICAL_POINT])[0] == 6.25
    assert squared_gradient_norm([CRITICAL_POINT])[0] == 0


def test_flat_points_have_a_gradient_in_the_kernel():
    gradient = F.gradient(FLAT_POINTS)
    np.testing.assert_allclose(F.hessian_product(FLAT_POINTS, gradient), 0, atol=1e-13)
    root = 4 * np.sqrt(2)
    np.testing.assert_allclose(squared_gradient_norm(FLAT_POINTS), [(9 - root) ** 2, (9 + root) ** 2])
    # 6x(x^3-6x+9) at +-sqrt 2: a minimum of s and a saddle of s
    np.testing.assert_allclose(half_norm_curvatures(FLAT_POINTS)[:, 0], [54 * np.sqrt(2) - 48, -54 * np.sqrt(2) - 48])
    np.testing.assert_allclose(half_norm_curvatures(FLAT_POINTS)[:, 1], 100)


def test_newton_field_is_exact_where_short_and_capped_elsewhere():
    field = newton_field(POINTS)
    lengths = np.linalg.norm(field, axis=1)
    assert lengths.max() <= 1 + 1e-12
    short = lengths < 0.999
    assert short.any()
    residual = F.hessian_product(POINTS, field) + F.gradient(POINTS)
    np.testing.assert_allclose(residual[short], 0, atol=1e-12)


def test_the_flow_descends_and_splits_at_minus_root_two():
    starts = np.array([[-np.sqrt(2) - 1e-6, 1.0], [-np.sqrt(2) + 1e-6, -1.0], [3.0, 2.0], [-4.0, 0.5]])
    ends = gradient_norm_flow(starts)
    np.testing.assert_allclose(ends, [(-3, 0), (np.sqrt(2), 0), (np.sqrt(2), 0), (-3, 0)], atol=1e-6)
    assert np.all(squared_gradient_norm(gradient_norm_flow(starts, 0.01)) <= squared_gradient_norm(starts))


@pytest.mark.parametrize("bad", [[1.0, 2.0], [[1.0, 2.0, 3.0]], [[np.nan, 0.0]]])
def test_bad_points_are_refused(bad):
    with pytest.raises(ValueError, match="theta: expected"):
        F.loss(bad)


def test_a_singular_point_has_no_newton_step():
    assert np.all(np.isfinite(newton_field(POINTS)))
    with pytest.raises(ValueError, match="longest"):
        newton_field(POINTS, 0)
