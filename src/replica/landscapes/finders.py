r"""Searches for critical points of a landscape: four methods, one signature, one result, many starts at once.

A landscape is any object with ``n_parameters``, ``loss(theta)``, ``gradient(theta)`` and
``hessian_product(theta, vectors)``, see :class:`Landscape`. Except for saddle-free Newton, which descends the loss, the
methods lower the squared gradient norm :math:`s(\theta)=\|\nabla L\|^2`. A point that can no longer be improved, or
meets NaN, stops where it is and costs nothing more; the others go on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.landscapes.krylov import (
    Directions,
    KrylovStop,
    minimum_residual_direction,
    saddle_free_directions,
    shifted_directions,
)
from replica.landscapes.line_search import backtrack
from replica.landscapes.search import Landscape, Move, Search, SearchStop, run_search, squared_gradient

__all__ = [
    "DAMPING",
    "Landscape",
    "Search",
    "SearchStop",
    "gradient_norm_minimisation",
    "newton_mr",
    "newton_tr",
    "saddle_free_newton",
]

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

#: Damping constants of damped and saddle-free Newton, as in the authors' notebook: 100, 10, ..., 1e-7. (Their script's
#: default is 0.1, ..., 1e-6.)
DAMPING = tuple(10.0**e for e in range(2, -8, -1))


def newton_mr(
    landscape: Landscape,
    start: ArrayLike,
    n_steps: int,
    max_iterations: int = 25,
    tolerance: float = 1e-10,
    condition_limit: float = 1e7,
    norm_limit: float = np.inf,
    step: float = 0.1,
    shrink: float = 0.5,
    sufficient: float = 1e-4,
    pure: float | None = None,
    cutoff: float = 0.0,
    keep_path: bool = False,
    progress: bool = False,
) -> Search:
    r"""Newton-MR: minimum-residual directions, and a line search on the squared gradient norm.

    The direction :math:`p` is that of :func:`~replica.landscapes.krylov.minimum_residual_direction`, and the step is
    the largest :math:`\alpha\in\{\alpha_0,\alpha_0\beta,\dots\}` with

    .. math:: s(\theta+\alpha p)\le s(\theta)+2\rho\alpha\,p^\top Hg .

    The next search starts from :math:`\min(1,\alpha/\beta)`.

    Parameters
    ----------
    landscape : see :class:`Landscape`.
    start : array, shape (n, d)
    n_steps : int
        Most steps of a point, at least 1.
    max_iterations, tolerance, condition_limit, norm_limit
        Of the Krylov solver.
    step : float
        :math:`\alpha_0` of the first step, in (0, 1].
    shrink : float
        :math:`\beta`, in (0, 1).
    sufficient : float
        :math:`\rho`, in (0, 1/2).
    pure : float, optional
        :math:`\rho'`: first try :math:`\alpha=1` with this in place of :math:`\rho`.
    cutoff : float
        Points stop at the first :math:`s` below it; 0 means never.
    keep_path : bool
        Keep all iterates.
    progress : bool
        Show a bar.

    Returns
    -------
    :class:`Search`.

    Raises
    ------
    ValueError
        If the start has another shape or is not finite, ``n_steps`` is below 1, or a parameter is out of its range.

    References
    ----------
    Roosta, Liu, Xu and Mahoney (2018) for the method; Frye et al., arXiv 1901.10603, for the use.
    """
    _check_line_search(step, shrink, sufficient)
    if pure is not None and not 0 < pure < 1:
        raise ValueError(f"pure must lie between 0 and 1, or be None; got {pure!r}")
    lengths = np.full(_count(start), float(step))

    def advance(theta: Array, squared: Array, gradient: Array, points: Indices) -> Move:
        found = minimum_residual_direction(
            lambda vectors, rows: landscape.hessian_product(theta[rows], vectors),
            gradient, max_iterations, tolerance, condition_limit, norm_limit,
        )  # fmt: skip
        finite = found.stop != KrylovStop.NOT_FINITE
        slope = np.where(finite, found.slope, 0.0)
        evaluate = squared_gradient(landscape)
        first = np.where(finite, lengths[points], 0.0)
        evaluations = np.zeros(len(theta), dtype=np.int64)
        if pure is not None:
            ask = finite & (first != 1.0)
            value, _ = evaluate((theta + found.direction)[ask], np.flatnonzero(ask))
            evaluations[ask] += 1
            good = value <= squared[ask] + 2 * pure * slope[ask]
            first[np.flatnonzero(ask)[good]] = 1.0
        took = backtrack(evaluate, theta, squared, gradient, found.direction, 2 * sufficient * slope, first, shrink)
        moved = took.length > 0
        lengths[points[moved]] = np.minimum(1.0, took.length[moved] / shrink)
        return Move(
            took.theta, took.merit, took.gradient, moved, finite, found.products, evaluations + took.evaluations,
            found.relative_residual, found.cokernel_residual, found.stop,
        )  # fmt: skip

    return run_search(landscape, start, n_steps, advance, cutoff, keep_path, progress, "Newton-MR")


def newton_tr(
    landscape: Landscape,
    start: ArrayLike,
    n_steps: int,
    max_iterations: int = 25,
    condition_limit: float = 1e7,
    damping: ArrayLike = DAMPING,
    step: float = 1.0,
    cutoff: float = 0.0,
    keep_path: bool = False,
    progress: bool = False,
) -> Search:
    r"""Damped Newton, in the publication Newton-TR: the best of several damping constants.

    For each :math:`\gamma` the direction solves :math:`(H+\gamma I)p_\gamma=-g` in the minimum-residual sense within
    the Krylov space, and the point moves to the candidate :math:`\theta+\eta p_\gamma` of smallest :math:`s`. It stops
    where none is smaller than the present one. All candidates share one Krylov space, see
    :func:`~replica.landscapes.krylov.shifted_directions`.

    Further parameters, the result and the errors are those of :func:`newton_mr`.

    Parameters
    ----------
    damping : array, shape (n_candidates,)
        :math:`\gamma`.
    step : float
        :math:`\eta`, in (0, 1].

    References
    ----------
    Frye et al., arXiv 1901.10603, and their notebook for the damping constants. Their released code differs: all
    candidates see the last constant, and :math:`\gamma\sum_i\theta_i` is added to every component of a Hessian product
    in place of :math:`\gamma v`.
    """
    _check_step(step)

    def advance(theta: Array, squared: Array, gradient: Array, points: Indices) -> Move:
        found = shifted_directions(
            lambda vectors, rows: landscape.hessian_product(theta[rows], vectors),
            gradient, damping, max_iterations, condition_limit,
        )  # fmt: skip
        return _best_candidate(landscape, theta, squared, gradient, squared, found, step)

    return run_search(landscape, start, n_steps, advance, cutoff, keep_path, progress, "damped Newton")


def saddle_free_newton(
    landscape: Landscape,
    start: ArrayLike,
    n_steps: int,
    max_iterations: int = 25,
    damping: ArrayLike = DAMPING,
    step: float = 1.0,
    cutoff: float = 0.0,
    keep_path: bool = False,
    progress: bool = False,
) -> Search:
    r"""Saddle-free Newton: :math:`p=-(|H|+\gamma I)^{-1}g` in the Krylov space, the damping of lowest *loss*.

    It leaves saddles along their negative directions, so from generic starts it finds minima; a foil for the methods
    above. Where a symmetry keeps the gradient orthogonal to every negative direction, it ends at a saddle.
    Parameters, result and errors are those of :func:`newton_tr`.

    References
    ----------
    Dauphin et al., NeurIPS 2014.
    """
    _check_step(step)

    def advance(theta: Array, squared: Array, gradient: Array, points: Indices) -> Move:
        found = saddle_free_directions(
            lambda vectors, rows: landscape.hessian_product(theta[rows], vectors), gradient, damping, max_iterations
        )
        loss = landscape.loss(theta)
        return _best_candidate(landscape, theta, squared, gradient, loss, found, step, by_loss=True)

    return run_search(landscape, start, n_steps, advance, cutoff, keep_path, progress, "saddle-free Newton")


def gradient_norm_minimisation(
    landscape: Landscape,
    start: ArrayLike,
    n_steps: int,
    step: float = 0.1,
    shrink: float = 0.5,
    sufficient: float = 1e-4,
    curvature: float | None = 0.9,
    cutoff: float = 0.0,
    keep_path: bool = False,
    progress: bool = False,
) -> Search:
    r"""Gradient descent on :math:`\tfrac12s`, whose gradient is :math:`Hg`, with a back-tracking line search.

    Along :math:`u=-Hg` a step is accepted if

    .. math::
        \tfrac12s(\theta+\alpha u)\le\tfrac12s(\theta)-\rho\alpha\|u\|^2
        \quad\text{and}\quad -u^\top H'g'\le c\,\|u\|^2 ,

    with :math:`H'g'` at the new point. The next search starts from :math:`\alpha/\beta`, with no upper bound.

    Further parameters, the result and the errors are those of :func:`newton_mr`.

    Parameters
    ----------
    curvature : float, optional
        :math:`c` in (0, 1); None leaves the second condition out. It asks for steps that are long enough, which
        back-tracking, making them shorter, cannot mend: a search can fail for it alone.

    References
    ----------
    Frye et al., arXiv 1901.10603, and their code for the conditions.
    """
    _check_line_search(step, shrink, sufficient)
    if curvature is not None and not 0 < curvature < 1:
        raise ValueError(f"curvature must lie between 0 and 1, or be None; got {curvature!r}")
    lengths = np.full(_count(start), float(step))

    def advance(theta: Array, squared: Array, gradient: Array, points: Indices) -> Move:
        u = -landscape.hessian_product(theta, gradient)
        finite = np.isfinite(u).all(axis=1)
        u[~finite] = 0.0
        size = (u * u).sum(axis=1)
        products = np.ones(len(theta), dtype=np.int64)

        def accept(at: Array, slope: Array, rows: Indices) -> NDArray[np.bool_]:
            products[rows] += 1
            turned = landscape.hessian_product(at, slope)
            return -(u[rows] * turned).sum(axis=1) <= curvature * size[rows]

        took = backtrack(
            squared_gradient(landscape), theta, squared, gradient, u, -2 * sufficient * size,
            np.where(finite, lengths[points], 0.0), shrink, None if curvature is None else accept,
        )  # fmt: skip
        moved = took.length > 0
        lengths[points[moved]] = took.length[moved] / shrink
        return Move(took.theta, took.merit, took.gradient, moved, finite, products, took.evaluations)

    return run_search(landscape, start, n_steps, advance, cutoff, keep_path, progress, "gradient-norm minimisation")


def _best_candidate(
    landscape: Landscape,
    theta: Array,
    squared: Array,
    gradient: Array,
    merit: Array,
    found: Directions,
    step: float,
    by_loss: bool = False,
) -> Move:
    """The candidate of smallest merit, where one is smaller than the present merit."""
    count, n, d = found.direction.shape
    at = (theta + step * found.direction).reshape(count * n, d)
    slopes = np.asarray(landscape.gradient(at)).reshape(count, n, d)
    norms = (slopes**2).sum(axis=2)
    values = np.asarray(landscape.loss(at)).reshape(count, n) if by_loss else norms
    values = np.where(np.isfinite(values) & np.isfinite(norms), values, np.inf)
    best, rows = np.argmin(values, axis=0), np.arange(n)
    moved = values[best, rows] < merit
    place = moved[:, None]
    return Move(
        np.where(place, at.reshape(count, n, d)[best, rows], theta),
        np.where(moved, norms[best, rows], squared),
        np.where(place, slopes[best, rows], gradient),
        moved, found.finite & np.isfinite(values).any(axis=0), found.products, count,
    )  # fmt: skip


def _count(start: ArrayLike) -> int:
    return len(np.atleast_1d(np.asarray(start)))


def _check_step(step: float) -> None:
    if not 0 < step <= 1:
        raise ValueError(f"step must lie in (0, 1], got {step!r}")


def _check_line_search(step: float, shrink: float, sufficient: float) -> None:
    _check_step(step)
    if not 0 < shrink < 1:
        raise ValueError(f"shrink must lie strictly between 0 and 1, got {shrink!r}")
    if not 0 < sufficient < 0.5:
        raise ValueError(f"sufficient must lie strictly between 0 and 1/2, got {sufficient!r}")
