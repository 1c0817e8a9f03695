r"""Optimal transport on the line: distances between neighbouring equilibria, and what no protocol can undercut.

$W_2^2(p, q) = \int_0^1 [Q_p(u) - Q_q(u)]^2du$ with the quantile functions $Q$. Between equilibria at
$\lambda \pm \frac12d$ it is $d\cdot g(\lambda)\cdot d$ to lowest order: the friction tensor once more, now without any
differential equation. The transport itself is left to POT.
"""

from __future__ import annotations

import os
from typing import NamedTuple
from unittest import mock

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import PchipInterpolator
from scipy.linalg import solveh_banded

from replica.thermodynamics.fokker_planck import ControlledPotential, check_control, equilibrium, free_energy

Array = NDArray[np.float64]

_BACKENDS = ("PYTORCH", "JAX", "CUPY", "TENSORFLOW")


def pot():
    """POT (`import ot`) with its numpy backend only: the import of the others takes seconds and is not needed."""
    with mock.patch.dict(os.environ, {f"POT_BACKEND_DISABLE_{name}": "1" for name in _BACKENDS}):
        import ot
    return ot


def quantiles(x: Array, probability: Array, levels: Array) -> Array:
    r"""Quantile function $Q(u)$ of cell probabilities (n,) on a uniform grid at the levels $0 < u < 1$.

    The distribution function is known at the cells' borders and interpolated there by monotone cubics. Raises
    ValueError for levels outside (0, 1).
    """
    levels = np.asarray(levels, dtype=np.float64)
    if not ((levels > 0) & (levels < 1)).all():
        raise ValueError("levels must lie strictly between 0 and 1")
    borders = np.append(x, 2 * x[-1] - x[-2]) - 0.5 * (x[1] - x[0])
    below = np.concatenate([[0.0], np.cumsum(probability)])
    below /= below[-1]
    first = max(int(np.searchsorted(below, 1e-15)) - 1, 0)
    last = int(np.searchsorted(below, 1 - 1e-15)) + 1
    borders, below = borders[first : last + 1], below[first : last + 1]
    cubic = PchipInterpolator(borders, below).c
    cell = np.clip(np.searchsorted(below, levels, side="right") - 1, 0, borders.size - 2)
    a, b, c, d = cubic[:, cell]
    width = borders[1] - borders[0]
    step = np.clip((levels - d) / np.maximum(below[cell + 1] - below[cell], 1e-300), 0, 1) * width
    for _ in range(6):  # Newton's iteration, kept inside the cell that holds the level
        excess = ((a * step + b) * step + c) * step + d - levels
        step = np.clip(step - excess / np.maximum((3 * a * step + 2 * b) * step + c, 1e-300), 0, width)
    return borders[cell] + step


class Levels(NamedTuple):
    """A quantisation of the unit interval that resolves a distribution.

    Attributes
    ----------
    middle : array (a,)
        Levels in (0, 1).
    weight : array (a,)
        The share of probability that each stands for; they sum to one.
    """

    middle: Array
    weight: Array


def levels_of(probability: Array, smallest: float = 1e-12) -> Levels:
    """One level for each cell of a grid with a probability of at least `smallest`."""
    below = np.concatenate([[0.0], np.cumsum(probability)])
    weight = np.diff(below)
    middle = 0.5 * (below[:-1] + below[1:])
    keep = (weight >= smallest) & (middle > 0) & (middle < 1)
    return Levels(middle[keep], weight[keep] / weight[keep].sum())


def wasserstein2_squared(x: Array, p: Array, q: Array) -> float:
    r"""$W_2^2$ between two smooth densities given by cell probabilities (n,) on one uniform grid, by POT.

    Each is replaced by atoms at its quantiles, one for each cell of the grid, and POT's `emd2_1d` finds the plan.
    Atoms at the grid's points would not do: between neighbouring densities less than a cell apart, mass would have to
    move by whole cells and the distance would fall as the root of the separation.

    Raises ValueError for shapes that differ or entries that are negative or not finite.
    """
    x, p, q = (np.asarray(v, dtype=np.float64) for v in (x, p, q))
    if not (x.shape == p.shape == q.shape and x.ndim == 1):
        raise ValueError(f"x, p and q must be vectors of one length, got {x.shape}, {p.shape} and {q.shape}")
    if not (np.isfinite(p).all() and np.isfinite(q).all() and p.min() >= 0 and q.min() >= 0):
        raise ValueError("probabilities must be finite and not negative")
    levels = levels_of(0.5 * (p / p.sum() + q / q.sum()))
    places = [quantiles(x, probability, levels.middle) for probability in (p, q)]
    return float(pot().emd2_1d(*places, levels.weight, levels.weight, metric="sqeuclidean"))


def friction_from_transport(system: ControlledPotential, control: ArrayLike, separation: float = 1e-3) -> Array:
    r"""Friction tensor (m, m) from distances, $W_2^2(\rho_{\lambda-v/2}, \rho_{\lambda+v/2}) \to v\cdot g\cdot v$.

    One distance for each direction $v$ along an axis or a diagonal, `separation` apart in control units (along a
    diagonal in each of the two controls).
    Raises ValueError where there is no equilibrium on the grid, or the separation is not positive.
    """
    if not separation > 0:
        raise ValueError(f"the separation must be positive, got {separation!r}")
    centre = check_control(system, control).reshape(system.controls)

    def squared_speed(direction):
        step = 0.5 * separation * direction
        p, q = equilibrium(system, np.stack([centre - step, centre + step]))
        return wasserstein2_squared(system.x, p, q) / separation**2

    axes = np.eye(system.controls)
    metric = np.diag([squared_speed(axis) for axis in axes])
    for i in range(system.controls):
        for j in range(i):
            both = squared_speed(axes[i] + axes[j])
            metric[i, j] = metric[j, i] = 0.5 * (both - metric[i, i] - metric[j, j])
    return metric


class TransportBound(NamedTuple):
    r"""The least excess work with any force whatever; make it with :func:`transport_bound`.

    Attributes
    ----------
    excess : float
        $\min_\rho W_2^2(\rho_0, \rho)/\tau + D_{KL}(\rho\|\rho_f)$ in $k_BT$.
    places : array (a,)
        Where the quantiles of the initial state end.
    levels : Levels
    """

    excess: float
    places: Array
    levels: Levels


def transport_bound(
    system: ControlledPotential, potential_coefficients: Array, duration: float, start: ArrayLike, goal: ArrayLike
) -> TransportBound:
    r"""What no protocol of any number of controls can undercut (Aurell, Mejia-Monasterio, Muratore-Ginanneschi 2011).

    By Benamou and Brenier the dissipation on the way to $\rho_\tau$ is at least $W_2^2(\rho_0,\rho_\tau)/\tau$, so

    $$W_{ex} \ge \min_T \Big\{\frac1\tau\int\rho_0\,(T-x)^2dx
      + \int\rho_0\big[\ln\rho_0 - \ln T' + U_f(T)\big]dx - F_f\Big\}$$

    over increasing maps $T$, minimised on the quantiles by Newton's method with a tridiagonal Hessian.

    Parameters
    ----------
    system : ControlledPotential
        Its grid resolves the initial state.
    potential_coefficients : array (degree + 1,)
        $U_{\lambda_f}$ as a polynomial, lowest power first.
    duration : float
        $\tau > 0$.
    start, goal : control values (m,)

    Raises
    ------
    ValueError
        If the duration is not positive, or an end has no equilibrium on the grid.
    """
    if not (np.isfinite(duration) and duration > 0):
        raise ValueError(f"the duration must be positive and finite, got {duration!r}")
    first = check_control(system, start).reshape(system.controls)
    last = check_control(system, goal).reshape(system.controls)
    equilibrium(system, last)
    p = equilibrium(system, first)
    levels = levels_of(p)
    x, w = quantiles(system.x, p, levels.middle), levels.weight
    energy = np.polynomial.Polynomial(potential_coefficients)
    slope, curvature = energy.deriv(), energy.deriv(2)
    gaps = np.diff(levels.middle)
    offset = -float(free_energy(system, last)) + float((gaps * np.log(gaps)).sum())

    def cost(y):
        return (w * ((y - x) ** 2 / duration + energy(y))).sum() - (gaps * np.log(np.diff(y))).sum() + offset

    y, value = x.copy(), cost(x)
    for _ in range(200):
        tension = gaps / np.diff(y)
        gradient = w * (2 * (y - x) / duration + slope(y))
        gradient[:-1] += tension
        gradient[1:] -= tension
        stiffness = tension**2 / gaps
        banded = np.zeros((2, y.size))
        banded[1] = w * (2 / duration + np.maximum(curvature(y), 0.0))  # convex part: the step always descends
        banded[1, :-1] += stiffness
        banded[1, 1:] += stiffness
        banded[0, 1:] = -stiffness
        step = solveh_banded(banded, -gradient)
        slope_along, length = float(gradient @ step), 1.0
        if slope_along > -1e-13:
            break
        closing = -np.diff(step) / np.diff(y)
        if closing.max() > 0:
            length = min(1.0, 0.9 / float(closing.max()))
        while cost(y + length * step) > value + 1e-4 * length * slope_along and length > 1e-10:
            length *= 0.5
        y = y + length * step
        value = cost(y)
    return TransportBound(float(value), y, levels)
