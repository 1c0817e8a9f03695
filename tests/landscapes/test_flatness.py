"""Measures of gradient-flatness: closed forms, the bound as a law, the kernel of the pseudo-inverse, bad input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replica.landscapes.finders import gradient_norm_minimisation, newton_mr
from replica.landscapes.flatness import (
    flatness_bound,
    gradient_spectral_mass,
    is_flat,
    judge_searches,
    momentum_path,
    relative_cokernel_residual,
    relative_residual,
)
from replica.landscapes.krylov import KrylovStop, minimum_residual_direction
from replica.landscapes.quartic import FLAT_POINTS, Quartic


def spectrum_and_gradient(seed, d=6, n=4):
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(n, d, d)))[0]
    eigenvalues = rng.normal(size=(n, d)) * 10.0 ** rng.uniform(-6, 1, (n, d))
    return (basis * eigenvalues[:, None]) @ basis.swapaxes(1, 2), rng.normal(size=(n, d)), eigenvalues, basis


def symmetric(h):
    return (h + h.swapaxes(1, 2)) / 2


def test_residuals_at_the_extremes():
    h, g, _, _ = spectrum_and_gradient(0)
    h = symmetric(h)
    np.testing.assert_allclose(relative_residual(h, g, 0 * g), 1)
    solution = -np.linalg.solve(h, g[..., None])[..., 0]
    assert relative_residual(h, g, solution).max() < 1e-9
    np.testing.assert_array_equal(relative_residual(h, 0 * g, 0 * g), 0)
    np.testing.assert_array_equal(relative_cokernel_residual(h, 0 * g, 0 * g), 0)


def test_a_flat_point_of_the_quartic_has_the_largest_residual_and_no_cokernel_residual():
    h = np.array([np.diag(c) for c in Quartic().curvatures(FLAT_POINTS)])
    g = Quartic().gradient(FLAT_POINTS)
    p = -np.linalg.pinv(h, rcond=1e-10) @ g[..., None]
    r, r_h = relative_residual(h, g, p[..., 0]), relative_cokernel_residual(h, g, p[..., 0])
    np.testing.assert_allclose(r, 1, atol=1e-12)
    np.testing.assert_allclose(r_h, 0, atol=1e-12)
    assert is_flat(r, r_h).all()
    np.testing.assert_allclose(gradient_spectral_mass(h, g, [1e-6, 100]), 1)


@given(st.integers(0, 10**6), st.floats(-5, 0))
def test_the_bound_holds_for_truncated_pseudo_inverses(seed, log_cut):
    """Dropping the eigenvalues below a cut leaves a residual no longer than the gradient: the bound's condition."""
    h, g, eigenvalues, basis = spectrum_and_gradient(seed)
    h = symmetric(h)
    keep = np.abs(eigenvalues) > 10**log_cut * np.abs(eigenvalues).max(axis=1, keepdims=True)
    inverse = np.where(keep, 1 / eigenvalues, 0)
    p = -np.einsum("nij,nj,nkj,nk->ni", basis, inverse, basis, g)
    r, r_h = relative_residual(h, g, p), relative_cokernel_residual(h, g, p)
    assert np.all((r >= 0) & (r <= 1 + 1e-12))
    assert np.all((r_h >= 0) & (r_h <= 1 + 1e-12))
    hg = np.linalg.norm(np.einsum("nij,nj->ni", h, g), axis=1)
    share = hg / np.linalg.norm(h, axis=(1, 2)) / np.linalg.norm(g, axis=1)
    bound = flatness_bound(r, r_h)
    assert np.all(share <= bound + 1e-12)
    # Chebyshev: little of the gradient can lie in eigenvalues much above that share of the norm
    z = 0.5 * np.linalg.norm(h, axis=(1, 2))
    above = 1 - np.array([gradient_spectral_mass(h[[i]], g[[i]], z[[i]])[0, 0] for i in range(len(h))])
    assert np.all(above <= (bound / 0.5) ** 2 + 1e-12)


@given(st.integers(0, 10**6), st.integers(1, 5))
def test_hessian_and_pseudo_inverse_have_one_kernel(seed, rank):
    _, g, eigenvalues, basis = spectrum_and_gradient(seed)
    rng = np.random.default_rng(seed)
    eigenvalues = rng.choice([-1, 1], eigenvalues.shape) * rng.uniform(0.5, 2, eigenvalues.shape)
    eigenvalues[:, rank:] = 0
    h = symmetric((basis * eigenvalues[:, None]) @ basis.swapaxes(1, 2))
    inverse = np.linalg.pinv(h, rcond=1e-9, hermitian=True)
    projector = np.eye(6) - h @ inverse
    flat = np.einsum("nij,nj->ni", projector, g)
    for matrix in (h, inverse):
        np.testing.assert_allclose(np.einsum("nij,nj->ni", matrix, flat), 0, atol=1e-12)
    rest = g - flat
    np.testing.assert_allclose(np.einsum("nij,njk,nk->ni", h, inverse, rest), rest, atol=1e-12)


def test_spectral_mass_of_known_shares_is_cumulative():
    h, _, eigenvalues, basis = spectrum_and_gradient(3)
    h = symmetric(h)
    shares = np.random.default_rng(0).dirichlet(np.ones(6), size=4)
    g = np.einsum("nij,nj->ni", basis, np.sqrt(shares))
    cuts = [1e-4, 1e-1, 1e3]
    expected = np.stack([(shares * (np.abs(eigenvalues) < z)).sum(axis=1) for z in cuts], axis=1)
    np.testing.assert_allclose(gradient_spectral_mass(h, g, cuts), expected, atol=1e-10)


def test_momentum_path_is_heavy_ball_and_finds_the_critical_point():
    path = momentum_path(Quartic(), [[-2.0, 1.0], [2.0, -1.0]], 400, 0.01)
    assert path.shape == (401, 2, 2)
    np.testing.assert_array_equal(path[0], [[-2, 1], [2, -1]])
    velocity = path[1:] - path[:-1]
    np.testing.assert_allclose(
        velocity[1:], 0.9 * velocity[:-1] - 0.01 * np.array([Quartic().gradient(p) for p in path[1:-1]]), atol=1e-12
    )
    np.testing.assert_allclose(path[-1], [(-3, 0), (-3, 0)], atol=1e-6)


def test_searches_on_the_quartic_end_critical_or_flat():
    start = np.array([[-3.4, 0.5], [1.6, 0.0], [1.5, 0.3]])
    search = newton_mr(
        Quartic(), start, 60, 2, 1e-10, 1e15, 100.0, step=1.0, shrink=0.9, sufficient=0.1, keep_path=True
    )
    verdicts = judge_searches(Quartic(), search, 1e-10)
    assert verdicts.ends_critical[0]
    np.testing.assert_array_equal(verdicts.ends_critical, np.abs(search.theta[:, 0] + 3) < 1e-4)
    assert not np.any(verdicts.ends_flat & verdicts.ends_critical)
    assert verdicts.flattest_theta.shape == (3, 2)
    # gradient-norm minimisation converges to the flat point itself, where the best direction is none: r = 1
    search = gradient_norm_minimisation(Quartic(), start, 400, step=0.01, curvature=None)
    verdicts = judge_searches(Quartic(), search, 1e-4)
    np.testing.assert_array_equal(verdicts.ends_critical, [True, False, False])
    h = np.array([np.diag(c) for c in Quartic().curvatures(search.theta)])[1:]
    g, none = Quartic().gradient(search.theta)[1:], np.zeros((2, 2))
    assert is_flat(relative_residual(h, g, none), relative_cokernel_residual(h, g, none)).all()
    # yet not by the solver: at y = 0 its estimate of the norm misses the curvature 10 along y, so that r_H = 1; at the
    # other end, with a trace of y in g, it finds it and r_H is tiny, but the step of some 4e6 meets the limit first
    assert not verdicts.ends_flat.any()
    np.testing.assert_allclose(verdicts.final_residual[1:], 1)
    np.testing.assert_allclose(verdicts.final_cokernel_residual[1], 1)
    assert 0 < verdicts.final_cokernel_residual[2] < 1e-7
    found = minimum_residual_direction(
        lambda v, rows: Quartic().hessian_product(search.theta[1:][rows], v), g, 2, 1e-4, 1e7, 1e4
    )
    np.testing.assert_array_equal(found.stop, KrylovStop.NORM)
    assert np.isnan(verdicts.largest_residual).all()
    np.testing.assert_array_equal(verdicts.flattest_step, -1)
    assert verdicts.reaching(0.5) == 0


def test_the_flattest_point_is_the_one_with_the_largest_residual():
    class Slope:
        """A valley that goes down for ever: L = x^2/2 + y, with the gradient (x, 1) and the Hessian diag(1, 0)."""

        n_parameters = 2

        def loss(self, theta):
            return theta[:, 0] ** 2 / 2 + theta[:, 1]

        def gradient(self, theta):
            return np.stack([theta[:, 0], np.ones(len(theta))], axis=1)

        def hessian_product(self, theta, vectors):
            return vectors * [1.0, 0.0]

    start = np.array([[1e-3, 1.0], [1.0, 1.0]])
    search = newton_mr(Slope(), start, 3, 2, 1e-6, step=1.0, keep_path=True)
    verdicts = judge_searches(Slope(), search, 1e-6)
    np.testing.assert_allclose(verdicts.largest_residual, np.nanmax(search.relative_residuals, axis=0))
    # p = (-1, 0), g = (1, 1); the Krylov estimate of the norm of H is the longest column of its tridiagonal form
    np.testing.assert_allclose(search.relative_residuals[0, 1], 1 / (np.sqrt(0.5) + np.sqrt(2)))
    assert verdicts.ends_flat.all()
    assert verdicts.reaching(0.99) == 1
    for i in range(2):
        np.testing.assert_array_equal(verdicts.flattest_theta[i], search.path[verdicts.flattest_step[i], i])
    with pytest.raises(ValueError, match="keep_path=True"):
        judge_searches(Slope(), search._replace(path=None), 1e-3)


def test_bad_input_is_refused():
    h, g = np.eye(3)[None], np.ones((1, 3))
    with pytest.raises(ValueError, match=r"hessians: expected square matrices, shape \(n, d, d\); got \(1, 2, 3\)"):
        relative_residual(h[:, :2], g, g)
    with pytest.raises(ValueError, match="expected symmetric"):
        relative_residual(h + np.triu(np.ones((3, 3)), 1), g, g)
    with pytest.raises(ValueError, match="hessians: expected finite"):
        relative_residual(h * np.nan, g, g)
    with pytest.raises(ValueError, match="directions: expected finite"):
        relative_cokernel_residual(h, g, g * np.inf)
    with pytest.raises(ValueError, match=r"gradients: expected shape \(1, 3\)"):
        gradient_spectral_mass(h, g[:, :2], [1])
    with pytest.raises(ValueError, match="a zero gradient has no share"):
        gradient_spectral_mass(h, 0 * g, [1])
    with pytest.raises(ValueError, match="threshold"):
        is_flat([0.5], [0.0], threshold=1.5)
    assert not is_flat([np.nan, 0.95], [0.0, np.nan]).any()
    with pytest.raises(ValueError, match="start: expected shape"):
        momentum_path(Quartic(), [1.0, 2.0], 3, 0.1)
    with pytest.raises(ValueError, match="learning_rate > 0"):
        momentum_path(Quartic(), [[1.0, 2.0]], 3, -0.1)
    with (
        pytest.raises(ValueError, match="the path diverged at step 6"),
        np.errstate(over="ignore", invalid="ignore"),
    ):
        momentum_path(Quartic(), [[3.0, 2.0]], 300, 10.0)
