"""Step lengths along given directions, for many points at once.

A step is the largest of ``initial``, ``initial * shrink``, ... that lowers a merit enough. Points that have found
theirs make no further evaluations; where no step is found the point stays where it was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Shortest step tried.
SHORTEST = 1e-16


class StepFound(NamedTuple):
    """Result of a back-tracking search.

    Attributes
    ----------
    length : (n,), the accepted step lengths, 0 where none was accepted.
    theta : (n, d), the points reached; the old points where no step was accepted.
    merit : (n,), the merit there.
    gradient : (n, d), the gradient there.
    evaluations : (n,), how many points were tried.
    """

    length: Array
    theta: Array
    merit: Array
    gradient: Array
    evaluations: NDArray[np.int64]


def backtrack(
    evaluate: Callable[[Array, NDArray[np.int64]], tuple[Array, Array]],
    theta: Array,
    merit: Array,
    gradient: Array,
    direction: Array,
    decrease: Array,
    initial: Array,
    shrink: float,
    accept: Callable[[Array, Array, NDArray[np.int64]], NDArray[np.bool_]] | None = None,
) -> StepFound:
    r"""Back-track until :math:`f(\theta+\alpha p)\le f(\theta)+\alpha\,c`, with :math:`c` = ``decrease``.

    Parameters
    ----------
    evaluate : callable
        ``evaluate(theta, points)`` returns merit (m,) and gradient (m, d) of trial points.
    theta, merit, gradient : arrays, shapes (n, d), (n,) and (n, d)
        Where the search starts.
    direction : array, shape (n, d)
    decrease : array, shape (n,)
        Demanded change of the merit per unit of step, not positive.
    initial : array, shape (n,)
        First step tried; a point with 0 tries none.
    shrink : float
        In (0, 1).
    accept : callable, optional
        ``accept(theta, gradient, points)``, a further condition, asked of points that meet the first.

    Returns
    -------
    :class:`StepFound`. A merit that is not finite is never accepted, nor a step that is lost in rounding.
    """
    n = len(theta)
    new, new_merit, new_gradient = theta.copy(), merit.copy(), gradient.copy()
    length, evaluations = np.zeros(n), np.zeros(n, dtype=np.int64)
    trial = np.array(initial, dtype=np.float64)
    waiting = np.flatnonzero(trial > 0)
    while waiting.size:
        at = theta[waiting] + trial[waiting, None] * direction[waiting]
        changed = (at != theta[waiting]).any(axis=1)
        if not changed.all():
            at, waiting = at[changed], waiting[changed]
        value, slope = evaluate(at, waiting)
        evaluations[waiting] += 1
        good = value <= merit[waiting] + trial[waiting] * decrease[waiting]
        good &= np.isfinite(value)
        if accept is not None and good.any():
            good[good] = accept(at[good], slope[good], waiting[good])
        done = waiting[good]
        new[done], new_merit[done], new_gradient[done] = at[good], value[good], slope[good]
        length[done] = trial[done]
        waiting = waiting[~good]
        trial[waiting] *= shrink
        waiting = waiting[trial[waiting] >= SHORTEST]
    return StepFound(length, new, new_merit, new_gradient, evaluations)
