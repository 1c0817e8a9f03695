"""Krylov directions against dense least squares on an explicit Krylov basis."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replica.landscapes.krylov import (
    KrylovStop,
    minimum_residual_direction,
    saddle_free_directions,
    shifted_directions,
)
from replica.landscapes.tridiagonal import solve_projected


def symmetric(eigenvalues, rng):
    q = np.linalg.qr(rng.normal(size=(len(eigenvalues), len(eigenvalues))))[0]
    return q * eigenvalues @ q.T


def of(matrices):
    return lambda vectors, points: np.einsum("nij,nj->ni", matrices[points], vectors)


def krylov_basis(H, g, size):
    basis = [g / np.linalg.norm(g)]
    for _ in range(size - 1):
        w = H @ basis[-1]
        for _ in range(2):
            w = w - np.array(basis).T @ (np.array(basis) @ w)
        basis.append(w / np.linalg.norm(w))
    return np.array(basis).T


@pytest.fixture
def rng():
    return np.random.default_rng(8)


@pytest.fixture
def systems(rng):
    return np.stack([symmetric(rng.normal(size=30), rng) for _ in range(6)]), rng.normal(size=(6, 30))


@pytest.mark.parametrize("size", [1, 2, 7, 20])
def test_direction_is_the_least_squares_solution_in_the_krylov_space(systems, size):
    H, g = systems
    found = minimum_residual_direction(of(H), g, size)
    for i in range(6):
        Q = krylov_basis(H[i], g[i], size)
        expected = Q @ np.linalg.lstsq(H[i] @ Q, -g[i])[0]
        np.testing.assert_allclose(found.direction[i], expected, rtol=1e-8, atol=1e-9)
    residual = np.einsum("nij,nj->ni", H, found.direction) + g
    image = np.einsum("nij,nj->ni", H, residual)
    ratio = np.linalg.norm(image, axis=1) / np.linalg.norm(residual, axis=1)
    top = np.abs(np.linalg.eigvalsh(H)).max(axis=1)
    # the running estimate of the norm is a lower bound, so the measure is an upper one
    assert (found.cokernel_residual >= ratio / top * (1 - 1e-9)).all()
    scale = ratio / found.cokernel_residual
    assert ((scale <= top * (1 + 1e-9)) & (scale > top / 4)).all()
    lengths = np.linalg.norm(found.direction, axis=1)
    r = np.linalg.norm(residual, axis=1) / (scale * lengths + np.linalg.norm(g, axis=1))
    np.testing.assert_allclose(found.relative_residual, r, rtol=1e-7)
    slope = np.einsum("ni,nij,nj->n", found.direction, H, g)
    np.testing.assert_allclose(found.slope, slope, rtol=1e-9)
    assert (found.slope <= 0).all()
    assert (found.stop == KrylovStop.ITERATIONS).all()
    assert (found.products == size + 1).all()


def test_a_full_space_solves_the_system(systems):
    H, g = systems
    found = minimum_residual_direction(of(H), g, 30, tolerance=1e-9)
    np.testing.assert_allclose(found.direction, np.linalg.solve(H, -g[..., None])[..., 0], rtol=1e-5, atol=1e-6)
    assert (found.stop == KrylovStop.RESIDUAL).all()


@given(seed=st.integers(0, 10**6), rank=st.integers(1, 8), size=st.integers(9, 12))
@settings(max_examples=30, deadline=None)
def test_singular_systems_give_the_pseudo_inverse(seed, rank, size):
    rng = np.random.default_rng(seed)
    values = np.zeros(size)
    values[:rank] = rng.choice([-1, 1], rank) * rng.uniform(0.5, 2, rank)
    H, g = symmetric(values, rng), rng.normal(size=size)
    found = minimum_residual_direction(of(H[None]), g[None], size, tolerance=1e-8)
    np.testing.assert_allclose(found.direction[0], -np.linalg.pinv(H, rcond=1e-9) @ g, atol=1e-5)
    # what is left is the gradient's part in the kernel, and the second test says so
    assert found.stop[0] == KrylovStop.COKERNEL
    assert found.cokernel_residual[0] < 1e-8
    rest = H @ found.direction[0] + g
    assert np.linalg.norm(H @ rest) < 1e-6 * np.linalg.norm(rest)


def test_gradient_in_the_kernel_stops_at_once(rng):
    H, g = np.diag([0.0, 1.0, -2.0])[None], np.array([[3.0, 0.0, 0.0]])
    found = minimum_residual_direction(of(H), g, 3)
    assert found.stop[0] in (KrylovStop.COKERNEL, KrylovStop.EXHAUSTED)
    assert not found.direction.any()
    assert found.relative_residual[0] == 1
    assert found.cokernel_residual[0] == 0


def test_each_point_stops_by_its_own_test(rng):
    H = np.stack([np.diag([1.0, 2, 3, 4]), np.diag([1.0, 1, 1, 1]), np.diag([1.0, -1, 0, 0]), np.diag([1.0, 2, 3, 4])])
    g = np.array([[1.0, 1, 1, 1], [1, 2, 3, 4], [1, 1, 1, 0], [0, 0, 0, 0]])
    calls = []

    def product(vectors, points):
        calls.append(points.tolist())
        return of(H)(vectors, points)

    found = minimum_residual_direction(product, g, 4, tolerance=1e-10)
    expected = [KrylovStop.RESIDUAL, KrylovStop.RESIDUAL, KrylovStop.COKERNEL, KrylovStop.RESIDUAL]
    assert found.stop.tolist() == expected
    assert found.iterations.tolist() == [4, 1, 2, 0]
    assert calls[0] == [0, 1, 2]
    assert calls[-1] == [0]
    np.testing.assert_allclose(found.direction[2], [-1, 1, 0, 0], atol=1e-10)
    assert not found.direction[3].any()


def test_small_singular_values_are_dropped():
    H, g = np.diag([1.0, 1e-9])[None], np.ones((1, 2))
    kept = minimum_residual_direction(of(H), g, 2, tolerance=1e-14, condition_limit=1e12)
    dropped = minimum_residual_direction(of(H), g, 2, tolerance=1e-14, condition_limit=1e7)
    assert kept.direction[0, 1] == pytest.approx(-1e9, rel=1e-5)
    assert dropped.direction[0] == pytest.approx([-1, 0], abs=1e-6)


def test_norm_limit_keeps_the_last_shorter_direction():
    H, g = np.diag([1.0, 1e-3])[None], np.ones((1, 2))
    free = minimum_residual_direction(of(H), g, 2)
    held = minimum_residual_direction(of(H), g, 2, norm_limit=10.0)
    assert np.linalg.norm(free.direction) > 900
    assert 0 < np.linalg.norm(held.direction) < 10
    assert held.stop[0] == KrylovStop.NORM


def test_nan_stops_its_own_point_only(systems):
    H, g = systems
    broken = H.copy()
    broken[2] = np.nan
    g = g.copy()
    g[4, 3] = np.inf
    found, clean = minimum_residual_direction(of(broken), g, 10), minimum_residual_direction(of(H), g, 10)
    assert (found.stop == KrylovStop.NOT_FINITE).tolist() == [False, False, True, False, True, False]
    assert not found.direction[[2, 4]].any()
    np.testing.assert_array_equal(found.direction[[0, 1, 3, 5]], clean.direction[[0, 1, 3, 5]])


def test_shifts_share_one_space(systems):
    H, g = systems
    shifts = np.array([10.0, 0.3, 0.0])
    found = shifted_directions(of(H), g, shifts, 12)
    assert (found.products == 12).all()
    for shift, directions in zip(shifts, found.direction):
        alone = minimum_residual_direction(of(H + shift * np.eye(30)), g, 12, tolerance=1e-14)
        np.testing.assert_allclose(directions, alone.direction, rtol=1e-7, atol=1e-8)


def test_saddle_free_in_the_full_space(systems):
    H, g = systems
    directions = saddle_free_directions(of(H), g, [0.1], 30).direction[0]
    for i in range(6):
        values, vectors = np.linalg.eigh(H[i])
        expected = -vectors @ ((vectors.T @ g[i]) / (np.abs(values) + 0.1))
        np.testing.assert_allclose(directions[i], expected, rtol=1e-7, atol=1e-8)
        assert directions[i] @ g[i] < 0


@given(seed=st.integers(0, 10**6), m=st.integers(1, 15), decades=st.floats(0, 12))
@settings(max_examples=60, deadline=None)
def test_the_projected_problem_by_truncated_svd(seed, m, decades):
    rng = np.random.default_rng(seed)
    alpha, beta = rng.normal(size=m), 10 ** rng.uniform(-decades, 0, m)
    T = np.zeros((m + 1, m))
    T[:m] = np.diag(alpha) + np.diag(beta[: m - 1], 1)
    T[np.arange(1, m + 1), np.arange(m)] = beta
    U, s, Vt = np.linalg.svd(T, full_matrices=False)
    if np.abs(np.log(s / (s[0] / 1e7))).min() < 1e-3:
        return  # a singular value at the limit itself may fall on either side
    keep = s > s[0] / 1e7
    expected = Vt[keep].T @ (2.0 * U[0, keep] / s[keep])
    y = np.empty(m)
    solve_projected(alpha, beta, 2.0, m, 0.0, 1e7, y)
    # each of the two ways errs by round-off times the condition number of what is kept
    np.testing.assert_allclose(y, expected, atol=1e-13 * s[0] / s[keep].min() * np.abs(expected).max())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gradient": np.zeros(3)}, "gradient must have shape"),
        ({"max_iterations": 0}, "max_iterations must be a whole number"),
        ({"tolerance": 0.0}, "tolerance must be positive"),
        ({"condition_limit": -1.0}, "condition_limit must be positive"),
        ({"product": lambda v, i: v[:, :2]}, "Hessian product must have shape"),
    ],
)
def test_bad_input_is_refused(change, message):
    arguments = {"product": lambda v, i: v, "gradient": np.ones((2, 3)), "max_iterations": 2} | change
    with pytest.raises(ValueError, match=message):
        minimum_residual_direction(**arguments)


def test_bad_shifts_are_refused():
    with pytest.raises(ValueError, match="finite"):
        shifted_directions(lambda v, i: v, np.ones((1, 2)), [np.nan], 2)
    with pytest.raises(ValueError, match="positive"):
        saddle_free_directions(lambda v, i: v, np.ones((1, 2)), [0.0], 2)
