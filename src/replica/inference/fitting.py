r"""Fits of symmetric coupling matrices, with a record of where the fit was after how much work.

An objective is a function of a symmetric matrix ``(d, d)`` that returns its value and its gradient. The gradient
is symmetric too, and $\sum_{ij}(\nabla K)_{ij}\,\delta J_{ij}$ is the change of $K$ under a symmetric change
$\delta J$.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from replica.sampling.ising import check_couplings, from_spin_couplings, to_spin_couplings

Array = NDArray[np.float64]
#: A function of a symmetric matrix that returns its value and its symmetric gradient.
Objective = Callable[[Array], tuple[float, Array]]


class Trace(NamedTuple):
    """Where a fit was after how much work; entry 0 is the start.

    Attributes
    ----------
    couplings : ``(m, d, d)``.
    evaluations : ``(m,)``, evaluations of objective and gradient so far, or steps of a sampler.
    seconds : ``(m,)``, processor time of this process so far.
    """

    couplings: Array
    evaluations: NDArray[np.int64]
    seconds: Array


class Fit(NamedTuple):
    """The end of a fit.

    Attributes
    ----------
    couplings : ``(d, d)``, the estimate.
    value : of the objective there.
    trace : `Trace` of the way.
    """

    couplings: Array
    value: float
    trace: Trace


class NotConverged(RuntimeError):
    """A fit stopped too early; ``fit`` holds what was reached, in the form that the function returns."""

    def __init__(self, message: str, fit: Any) -> None:
        super().__init__(message)
        self.fit = fit


def check_size(couplings: Array, n_units: int) -> None:
    """Refuse, with a ValueError, couplings that are not ``(n_units, n_units)``; objectives check no more than this."""
    if couplings.shape != (n_units, n_units):
        raise ValueError(f"couplings: expected {n_units} units as in the data, got shape {couplings.shape}")


def fit_couplings(
    objective: Objective,
    start: ArrayLike,
    tolerance: float = 1e-5,
    max_evaluations: int = 5000,
    spins: bool = False,
) -> Fit:
    """Minimise an objective over symmetric matrices by L-BFGS (the d (d + 1) / 2 free entries, memory 20).

    Parameters
    ----------
    objective : see `Objective`.
    start : ``(d, d)``, symmetric.
    tolerance : the search ends where no free entry of the gradient is larger. Where rounding ends it earlier, a
        gradient of up to 30 times the tolerance is accepted.
    max_evaluations : most evaluations.
    spins : search in the couplings and fields of the spins (:func:`replica.sampling.ising.to_spin_couplings`) instead
        of those of the units. The optimum is the same; there it is much better conditioned, and for spin glasses the
        search takes several times fewer evaluations.

    Returns
    -------
    `Fit`.

    Raises
    ------
    ValueError : start not symmetric, not finite, or not of the objective's size; tolerance not positive.
    NotConverged : the gradient is still more than 30 times the tolerance; the exception holds the fit so far.

    Source: L-BFGS-B of Zhu, Byrd, Lu and Nocedal as in scipy; the authors use L-BFGS (minFunc) too.
    """
    start = check_couplings(start)
    if not tolerance > 0 or max_evaluations < 1:
        raise ValueError(
            f"expected a positive tolerance and at least one evaluation, got {tolerance} and {max_evaluations}"
        )
    d = len(start)
    rows, columns = np.triu_indices(d)
    diagonal = rows == columns
    matrix = np.empty((d, d))
    count = 0

    def unpack(free: Array) -> Array:
        matrix[rows, columns] = free
        matrix[columns, rows] = free
        if spins:  # fields are kept on the diagonal
            field = np.diag(matrix).copy()
            matrix[np.diag_indices(d)] = 0.0
            matrix[:] = from_spin_couplings(matrix, field)
        return matrix

    def packed(free: Array) -> tuple[float, Array]:
        nonlocal count
        count += 1
        value, gradient = objective(unpack(free))
        if spins:  # J_ij = -2 J^s_ij, J_ii = 2 sum_j J^s_ij - 2 h_i
            own = np.diag(gradient)
            gradient = own[:, None] + own[None, :] - 2 * gradient
            gradient[np.diag_indices(d)] = -2 * own
        part = gradient[rows, columns]
        return value, np.where(diagonal, part, 2 * part)

    first = start
    if spins:
        first, field = to_spin_couplings(start)
        first[np.diag_indices(d)] = field
    way, counts, seconds = [first[rows, columns]], [0], [0.0]
    begin = time.process_time()

    def record(free: Array) -> None:
        seconds.append(time.process_time() - begin)
        counts.append(count)
        way.append(free.copy())

    options = {"maxfun": max_evaluations, "maxiter": max_evaluations, "gtol": tolerance, "ftol": 0.0, "maxcor": 20}
    end = minimize(packed, way[0], jac=True, method="L-BFGS-B", callback=record, options=options)
    path = np.empty((len(way), d, d))
    for entry, free in zip(path, way):
        entry[:] = unpack(free)
    fit = Fit(unpack(end.x).copy(), float(end.fun), Trace(path, np.array(counts), np.array(seconds)))
    reached = np.abs(packed(end.x)[1]).max()
    # where rounding ends the search just above the tolerance the estimate is as good as it gets
    if not reached <= 30 * tolerance:
        raise NotConverged(
            f"the fit stopped after {count - 1} evaluations with a gradient of {reached:.2g}, expected "
            f"{tolerance:.2g}: {end.message}",
            fit,
        )
    return fit


def coupling_error(estimate: ArrayLike, truth: ArrayLike) -> Array:
    r"""Mean square error of the couplings, over pairs of units (biases are not in it),

    $$\epsilon_J = \frac2{d(d-1)}\sum_{i<j}(\hat J_{ij}-J_{ij})^2 .$$

    ``estimate`` has shape ``(..., d, d)``; the result has its leading shape.

    Raises
    ------
    ValueError : truth not a square matrix of two units or more, or estimates of another size.
    """
    truth, estimate = np.asarray(truth, dtype=np.float64), np.asarray(estimate, dtype=np.float64)
    if truth.ndim != 2 or truth.shape[0] != truth.shape[1] or len(truth) < 2 or estimate.shape[-2:] != truth.shape:
        raise ValueError(f"expected estimates (..., d, d) of a truth (d, d), got {estimate.shape} and {truth.shape}")
    rows, columns = np.triu_indices(len(truth), 1)
    difference = estimate[..., rows, columns] - truth[rows, columns]
    return (difference**2).mean(axis=-1)
