r"""Gradient-flat regions: where the gradient lies (almost) in the kernel of the Hessian without being zero.

With gradient $g$ and Hessian $H$ of a loss, the squared gradient norm $s=\|g\|^2$ has $\nabla(\tfrac12s)=Hg$. A point
with $Hg=0$ is stationary for every method that descends $s$, and since $\ker H=\ker H^+$ for symmetric $H$ also for
pseudo-inverse Newton steps $-H^+g$, whether or not $g=0$. How nearly so, two numbers of an approximate Newton
direction $p$ tell:

$$r(p)=\frac{\|Hp+g\|}{\|H\|_F\|p\|+\|g\|}\in[0,1],\qquad r_H(p)=\frac{\|H(Hp+g)\|}{\|H\|_F\,\|Hp+g\|}\in[0,1].$$

A direction with $r>0.9$ and $r_H<5\cdot10^{-4}$ marks an approximately gradient-flat point: nothing more of $g$ can be
cancelled, at this tolerance, and nearly all of it is left.

What that says of the spectrum is :func:`flatness_bound`: if $\|Hp+g\|\le\|g\|$, as for every minimum-residual
direction, then $\|H\|_F\|p\|\le(1/r-1)\|g\|$, and from $Hg=H(Hp+g)-H^2p$

$$\frac{\|Hg\|}{\|H\|_F\|g\|}\le r_H+\frac1r-1 .$$
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.landscapes.krylov import KrylovStop, minimum_residual_direction
from replica.landscapes.search import Landscape, Search

Array = NDArray[np.float64]

#: What counts as gradient-flat in the publication: r above the first, r_H below the second.
FLAT_RESIDUAL = 0.9
FLAT_COKERNEL_RESIDUAL = 5e-4
#: Squared gradient norm below which the publication's figures count a point as critical.
CRITICAL_SQUARED_NORM = 1e-8


def relative_residual(hessians: ArrayLike, gradients: ArrayLike, directions: ArrayLike) -> Array:
    r"""$r(p)=\|Hp+g\|/(\|H\|_F\|p\|+\|g\|)$, shape (n,); 0 where gradient and direction both vanish.

    Parameters
    ----------
    hessians : array, shape (n, d, d), symmetric
    gradients, directions : arrays, shape (n, d)

    Raises
    ------
    ValueError
        For Hessians that are not square or not symmetric, shapes that do not fit, and numbers that are not finite.
    """
    h, g, p = _checked(hessians, gradients, directions)
    scale = np.linalg.norm(h, axis=(1, 2)) * np.linalg.norm(p, axis=1) + np.linalg.norm(g, axis=1)
    return _ratio(np.linalg.norm(_apply(h, p) + g, axis=1), scale)


def relative_cokernel_residual(hessians: ArrayLike, gradients: ArrayLike, directions: ArrayLike) -> Array:
    r"""$r_H(p)=\|H(Hp+g)\|/(\|H\|_F\|Hp+g\|)$, shape (n,); 0 where the residual vanishes. Input as above."""
    h, g, p = _checked(hessians, gradients, directions)
    residual = _apply(h, p) + g
    scale = np.linalg.norm(h, axis=(1, 2)) * np.linalg.norm(residual, axis=1)
    return _ratio(np.linalg.norm(_apply(h, residual), axis=1), scale)


def flatness_bound(relative_residuals: ArrayLike, cokernel_residuals: ArrayLike) -> Array:
    r"""Upper bound $r_H+1/r-1$ of $\|Hg\|/(\|H\|_F\|g\|)$ for minimum-residual directions; infinite at $r=0$."""
    r, r_h = np.asarray(relative_residuals, dtype=np.float64), np.asarray(cokernel_residuals, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return r_h + 1 / r - 1


def is_flat(relative_residuals: ArrayLike, cokernel_residuals: ArrayLike, threshold: float = FLAT_RESIDUAL,
            cokernel_threshold: float = FLAT_COKERNEL_RESIDUAL) -> NDArray[np.bool_]:  # fmt: skip
    """Whether directions mark approximately gradient-flat points; NaN residuals do not."""
    for name, value in (("threshold", threshold), ("cokernel_threshold", cokernel_threshold)):
        if not 0 < value < 1:
            raise ValueError(f"{name}: expected a number between 0 and 1; got {value}")
    return (np.asarray(relative_residuals) > threshold) & (np.asarray(cokernel_residuals) < cokernel_threshold)


def gradient_spectral_mass(hessians: ArrayLike, gradients: ArrayLike, thresholds: ArrayLike) -> Array:
    r"""Fraction of $\|g\|^2$ in the eigenvectors of $H$ with $|\lambda|<z$, shape (n, n_thresholds).

    Parameters
    ----------
    hessians : array, shape (n, d, d), symmetric
    gradients : array, shape (n, d), not zero
    thresholds : array, shape (n_thresholds,)
        The values of $z$.

    Raises
    ------
    ValueError
        As :func:`relative_residual`, and for a gradient that vanishes: it lies nowhere.
    """
    h, g = _checked(hessians, gradients)
    norms = np.linalg.norm(g, axis=1)
    if np.any(norms == 0):
        raise ValueError(f"gradients: {np.sum(norms == 0)} vanish; a zero gradient has no share in any eigenspace")
    eigenvalues, vectors = np.linalg.eigh(h)
    shares = (np.einsum("nij,ni->nj", vectors, g) / norms[:, None]) ** 2
    below = np.abs(eigenvalues)[:, None, :] < np.atleast_1d(np.asarray(thresholds, dtype=np.float64))[None, :, None]
    return np.sum(shares[:, None, :] * below, axis=2)


class Verdicts(NamedTuple):
    """How n searches ended and how flat they became on the way; :func:`judge_searches`.

    Attributes
    ----------
    final_residual, final_cokernel_residual : (n,), r and r_H at the last point.
    largest_residual : (n,), the largest r of all directions that the r_H test ended; NaN where it ended none.
    flattest_step : (n,), where that was; -1 where nowhere.
    flattest_theta : (n, d), the point there; NaN where nowhere.
    ends_critical : (n,), whether s is below the cut-off at the last point.
    ends_flat : (n,), whether the last point is approximately gradient-flat and not critical.
    """

    final_residual: Array
    final_cokernel_residual: Array
    largest_residual: Array
    flattest_step: NDArray[np.int64]
    flattest_theta: Array
    ends_critical: NDArray[np.bool_]
    ends_flat: NDArray[np.bool_]

    def reaching(self, threshold: float) -> float:
        """Fraction of the searches whose largest r exceeds ``threshold``."""
        return float(np.mean(np.nan_to_num(self.largest_residual) > threshold))


def judge_searches(
    landscape: Landscape, search: Search, tolerance: float, condition_limit: float = 1e7, norm_limit: float = 1e4
) -> Verdicts:
    """Classify the ends of searches and find the flattest point of each.

    The last points get one more direction of their own, from a Krylov space of any dimension, so that every kind of
    search can be judged; the largest residual is known for Newton-MR only, with ``keep_path=True``. The norm of H in
    these residuals is the solver's running estimate from below: where the gradient lies in eigenspaces of small
    eigenvalues alone, the Krylov space knows of no others, and such a point is not called flat here. Nor is one where
    the next direction exceeds ``norm_limit``, which ends the solver before its tests.

    Parameters
    ----------
    landscape, search : the loss and what a finder made of it.
    tolerance, condition_limit, norm_limit : of the Krylov solver; r means nothing without the tolerance.

    Raises
    ------
    ValueError
        If residuals were recorded but the path was not kept.
    """
    measured = (search.krylov_stops == KrylovStop.COKERNEL) & np.isfinite(search.relative_residuals)
    if measured.any() and search.path is None:
        raise ValueError("the flattest points need the iterates: search with keep_path=True")
    last = minimum_residual_direction(
        lambda vectors, rows: landscape.hessian_product(search.theta[rows], vectors),
        landscape.gradient(search.theta), landscape.n_parameters, tolerance, condition_limit, norm_limit,
    )  # fmt: skip
    r = np.where(measured, search.relative_residuals, -1.0)
    step, columns = np.argmax(r, axis=0), np.arange(r.shape[1])
    found = measured.any(axis=0)
    theta = np.full(search.theta.shape, np.nan)
    if search.path is not None:
        theta[found] = search.path[step, columns][found]
    critical = search.squared_gradient_norms[-1] < CRITICAL_SQUARED_NORM
    # stopped by the r_H test, which takes the Krylov estimate of the norm of H
    flat = (last.stop == KrylovStop.COKERNEL) & (last.relative_residual > FLAT_RESIDUAL) & ~critical
    return Verdicts(
        last.relative_residual, last.cokernel_residual, np.where(found, r[step, columns], np.nan),
        np.where(found, step, -1), theta, critical, flat,
    )  # fmt: skip


def momentum_path(
    landscape: Landscape, start: ArrayLike, n_steps: int, learning_rate: float, momentum: float = 0.9
) -> Array:
    r"""Iterates of full-batch gradient descent with momentum, start included; shape (n_steps + 1, n_points, d).

    $v\leftarrow\mu v-\eta\nabla L(\theta)$, $\theta\leftarrow\theta+v$.

    Raises
    ------
    ValueError
        For a step size that is not positive, a momentum outside [0, 1), or when the path leaves the finite numbers.
    """
    theta = np.array(start, dtype=np.float64)
    if theta.ndim != 2 or theta.shape[1] != landscape.n_parameters:
        raise ValueError(f"start: expected shape (n_points, {landscape.n_parameters}); got {theta.shape}")
    if n_steps < 1 or not learning_rate > 0 or not 0 <= momentum < 1:
        raise ValueError(
            "expected n_steps >= 1, learning_rate > 0 and 0 <= momentum < 1; "
            f"got {n_steps}, {learning_rate}, {momentum}"
        )
    path = np.empty((n_steps + 1, *theta.shape))
    path[0], velocity = theta, np.zeros_like(theta)
    for step in range(1, n_steps + 1):
        velocity = momentum * velocity - learning_rate * landscape.gradient(path[step - 1])
        path[step] = path[step - 1] + velocity
        if not np.isfinite(path[step]).all():
            raise ValueError(f"the path diverged at step {step}: learning_rate={learning_rate} is too large")
    return path


def _apply(matrices: Array, vectors: Array) -> Array:
    return np.einsum("nij,nj->ni", matrices, vectors)


def _ratio(top: Array, bottom: Array) -> Array:
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)


def _checked(hessians: ArrayLike, *vectors: ArrayLike) -> tuple[Array, ...]:
    h = np.asarray(hessians, dtype=np.float64)
    if h.ndim != 3 or h.shape[1] != h.shape[2]:
        raise ValueError(f"hessians: expected square matrices, shape (n, d, d); got {h.shape}")
    arrays = [h]
    for name, vector in zip(("gradients", "directions"), vectors):
        v = np.asarray(vector, dtype=np.float64)
        if v.shape != h.shape[:2]:
            raise ValueError(f"{name}: expected shape {h.shape[:2]}, as the Hessians'; got {v.shape}")
        arrays.append(v)
    for name, array in zip(("hessians", "gradients", "directions"), arrays):
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: expected finite numbers; {np.sum(~np.isfinite(array))} are not")
    gap = np.abs(h - h.swapaxes(1, 2)).max(initial=0)
    if gap > 1e-8 * np.abs(h).max(initial=1e-300):
        raise ValueError(
            f"hessians: expected symmetric matrices; entries differ from their mirror's by up to {gap:.2g}"
        )
    return tuple(arrays)
