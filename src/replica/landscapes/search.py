r"""The loop that all searches share, what it needs to know about a landscape, and what it hands back.

A point that can no longer be improved, or meets NaN, stops where it is and costs nothing more; the others go on.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


class Landscape(Protocol):
    """What a search needs to know about a loss."""

    n_parameters: int

    def loss(self, theta: Array) -> Array:
        """Losses (n,) of points (n, n_parameters)."""
        ...

    def gradient(self, theta: Array) -> Array:
        """Gradients (n, n_parameters)."""
        ...

    def hessian_product(self, theta: Array, vectors: Array) -> Array:
        """The Hessian of each point times that point's vector, (n, n_parameters)."""
        ...


class SearchStop(IntEnum):
    """Why a point's search ended."""

    #: All steps were made.
    STEPS = 0
    #: No step along the direction lowers the merit, or the step is lost in rounding.
    NO_DECREASE = 1
    #: Loss, gradient or Hessian product is not finite; the point stays at its last finite place.
    NOT_FINITE = 2
    #: The squared gradient norm fell below the cut-off.
    CUTOFF = 3


class Search(NamedTuple):
    r"""What a search found, for n starts.

    Attributes
    ----------
    theta : (n, d), where each point ended.
    squared_gradient_norms : (n_steps + 1, n), :math:`s` at the start and after each step; a point that has stopped
        keeps its last value.
    losses : (n_steps + 1, n), likewise.
    relative_residuals : (n_steps, n), :math:`r` of the direction taken, see :mod:`replica.landscapes.krylov`; NaN after
        a point has stopped and for methods that do not measure it.
    cokernel_residuals : (n_steps, n), :math:`r_H`, likewise.
    krylov_stops : (n_steps, n), the :class:`~replica.landscapes.krylov.KrylovStop` of each direction, 0 likewise.
    stops : (n,), the :class:`SearchStop` of each point.
    steps : (n,), steps made.
    hessian_products : (n,), Hessian-vector products used.
    gradients : (n,), gradients used.
    path : (n_steps + 1, n, d), all iterates, or None where ``keep_path`` was not asked for.
    costs : (n_steps + 1, n), gradients used up to each step, a Hessian product counted as two; a point that has
        stopped keeps its last value.
    """

    theta: Array
    squared_gradient_norms: Array
    losses: Array
    relative_residuals: Array
    cokernel_residuals: Array
    krylov_stops: Indices
    stops: Indices
    steps: Indices
    hessian_products: Indices
    gradients: Indices
    path: Array | None
    costs: Indices


class Move(NamedTuple):
    """One step of m active points; ``moved`` is false where no step was found, ``finite`` where NaN was met."""

    theta: Array
    squared: Array
    gradient: Array
    moved: NDArray[np.bool_]
    finite: NDArray[np.bool_]
    products: Any
    gradients: Any
    r: Any = np.nan
    r_h: Any = np.nan
    krylov_stop: Any = 0


#: One step of the active points: ``advance(theta, squared, gradient, points)``, ``points`` their numbers.
Advance = Callable[[Array, Array, Array, Indices], Move]


def squared_gradient(landscape: Landscape) -> Callable[[Array, Indices], tuple[Array, Array]]:
    r"""The merit of most searches as a function ``(theta, points) -> (values, gradients)``: :math:`s=\|g\|^2` at each
    row of ``theta``, shape (n,), and the gradients :math:`g` themselves, shape (n, d)."""

    def evaluate(theta: Array, points: Indices) -> tuple[Array, Array]:
        gradient = np.asarray(landscape.gradient(theta), dtype=np.float64)
        return (gradient * gradient).sum(axis=1), gradient

    return evaluate


def run_search(
    landscape: Landscape,
    start: ArrayLike,
    n_steps: int,
    advance: Advance,
    cutoff: float,
    keep_path: bool,
    progress: bool,
    name: str,
) -> Search:
    """The loop that all methods share: records, and points that stop."""
    theta = np.array(start, dtype=np.float64)
    if theta.ndim != 2 or theta.shape[1] != landscape.n_parameters:
        raise ValueError(f"start must have shape (n_starts, {landscape.n_parameters}), got {theta.shape}")
    if not np.isfinite(theta).all():
        bad = np.flatnonzero(~np.isfinite(theta).all(axis=1))
        raise ValueError(f"start must be finite; {bad.size} of {len(theta)} points are not (the first is {bad[0]})")
    if int(n_steps) != n_steps or n_steps < 1:
        raise ValueError(f"n_steps must be a whole number of at least 1, got {n_steps!r}")
    if not cutoff >= 0:
        raise ValueError(f"cutoff must not be negative, got {cutoff!r}")
    n, n_steps = len(theta), int(n_steps)
    squared, gradient = squared_gradient(landscape)(theta, np.arange(n))
    norms, losses = np.empty((n_steps + 1, n)), np.empty((n_steps + 1, n))
    residuals = np.full((2, n_steps, n), np.nan)
    krylov_stops = np.zeros((n_steps, n), dtype=np.int64)
    stops, steps, products = np.zeros((3, n), dtype=np.int64)
    gradients = np.ones(n, dtype=np.int64)
    path = np.empty((n_steps + 1, n, theta.shape[1])) if keep_path else None
    costs = np.ones((n_steps + 1, n), dtype=np.int64)
    norms[0], losses[0] = squared, landscape.loss(theta)
    stops[~np.isfinite(squared)] = SearchStop.NOT_FINITE
    active = np.flatnonzero(np.isfinite(squared))
    if path is not None:
        path[0] = theta
    for t in _steps(n_steps, progress, name):
        below = squared[active] < cutoff
        stops[active[below]] = SearchStop.CUTOFF
        active = active[~below]
        if active.size == 0:
            for record in (norms, losses, costs) if path is None else (norms, losses, costs, path):
                record[t + 1 :] = record[t]
            break
        move = advance(theta[active], squared[active], gradient[active], active)
        products[active] += move.products
        gradients[active] += move.gradients
        costs[t + 1] = gradients + 2 * products
        residuals[0, t, active], residuals[1, t, active] = move.r, move.r_h
        krylov_stops[t, active] = move.krylov_stop
        # a step too short to change the point repeats for ever
        moved = move.moved & (move.theta != theta[active]).any(axis=1)
        stops[active[~moved]] = SearchStop.NO_DECREASE
        stops[active[~move.finite]] = SearchStop.NOT_FINITE
        moved &= move.finite
        active = active[moved]
        theta[active], squared[active], gradient[active] = move.theta[moved], move.squared[moved], move.gradient[moved]
        steps[active] += 1
        norms[t + 1], losses[t + 1] = squared, losses[t]
        if active.size:
            losses[t + 1, active] = landscape.loss(theta[active])
        if path is not None:
            path[t + 1] = theta
    stops[active[squared[active] < cutoff]] = SearchStop.CUTOFF
    return Search(
        theta, norms, losses, residuals[0], residuals[1], krylov_stops, stops, steps, products, gradients, path, costs
    )


def _steps(n_steps: int, progress: bool, name: str) -> Any:
    if not progress:
        return range(n_steps)
    from tqdm import tqdm

    return tqdm(range(n_steps), desc=name)
