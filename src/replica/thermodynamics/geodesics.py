r"""Geodesics of the friction metric for one control, and protocols that follow them with a counterdiabatic term.

For one control the metric is tabulated once; its arc length $S(\lambda) = \int\sqrt g\,d\lambda$ turns every geodesic
into uniform motion. A geodesic with a free end minimises $[S(\gamma_\tau) - S(\lambda_i)]^2/\tau +
D_{KL}(\gamma_\tau\|\lambda_f)$; the control that is to hold the state on it is $\lambda = \gamma + \eta$ with
$\eta = h^{-1}g\,\dot\gamma$. Source: Zhong and DeWeese, PRL 133, 057102 (2024); the form of $\eta$ and of the end
condition derived here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline
from scipy.optimize import brentq

from replica.thermodynamics.fokker_planck import (
    ControlledPotential,
    equilibrium,
    free_energy,
    mean_observables,
)
from replica.thermodynamics.friction import fisher_information, friction_from_currents

Array = NDArray[np.float64]


class MetricTable(NamedTuple):
    r"""Friction and Fisher information of a one-control family, tabulated; make it with :func:`tabulate_metric`.

    Attributes
    ----------
    control : array (L,)
        Control values, increasing.
    friction, fisher : array (L,)
        $g$ and $h$ there.
    length : array (L,)
        Arc length $S$ from the first entry.
    free_energy, mean : array (L,)
        $F$ and $\langle X\rangle$.
    root_friction, arc : splines
        $\sqrt g$ as a cubic spline, and its integral $S$.
    """

    control: Array
    friction: Array
    fisher: Array
    length: Array
    free_energy: Array
    mean: Array
    root_friction: CubicSpline
    arc: CubicSpline


def tabulate_metric(system: ControlledPotential, control: ArrayLike) -> MetricTable:
    """Tabulate the metric of a family with one control at increasing control values (L,), at least four.

    Raises ValueError for more than one control, values that do not increase, or where there is no equilibrium.
    """
    control = np.asarray(control, dtype=np.float64)
    if system.controls != 1:
        raise ValueError(f"a table needs a family with one control, got {system.controls}")
    if control.ndim != 1 or control.size < 4 or not (np.diff(control) > 0).all():
        raise ValueError("control must be a vector of at least four increasing values")
    friction = friction_from_currents(system, control)[:, 0, 0]
    mean = mean_observables(system, equilibrium(system, control))[:, 0]
    root = CubicSpline(control, np.sqrt(friction))
    arc = root.antiderivative()
    fisher = fisher_information(system, control)[:, 0, 0]
    return MetricTable(control, friction, fisher, arc(control), free_energy(system, control), mean, root, arc)


def path_length(table: MetricTable, start: float, goal: float) -> float:
    r"""Signed length $S(goal) - S(start)$ of the geodesic. ValueError outside the table."""
    check_inside(table, np.array([start, goal]))
    return float(table.arc(goal) - table.arc(start))


def check_inside(table: MetricTable, control: ArrayLike) -> None:
    """ValueError for control values that are not finite or leave the tabulated range."""
    values = np.asarray(control, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("controls must be finite, got NaN or infinity")
    low, high = table.control[0], table.control[-1]
    if values.min() < low or values.max() > high:
        raise ValueError(
            f"the protocol leaves the tabulated range [{low:g}, {high:g}]: it runs from {values.min():.4g} to "
            f"{values.max():.4g}; tabulate the metric on a wider range"
        )


def geodesic(table: MetricTable, start: float, goal: float, share: ArrayLike) -> Array:
    r"""The point a share of the way (0 to 1) along the geodesic from `start` to `goal`.

    Its speed $\sqrt g\,\dot\gamma$ is constant. ValueError outside the table.
    """
    check_inside(table, np.array([start, goal]))
    first, last = table.arc(start), table.arc(goal)
    wanted = first + np.asarray(share, dtype=np.float64) * (last - first)
    value = np.interp(wanted, table.length, table.control)
    for _ in range(4):  # Newton's iteration from linear interpolation: quadratic, exact to rounding
        value = value - (table.arc(value) - wanted) / table.root_friction(value)
        value = np.clip(value, min(start, goal), max(start, goal))
    return value


def divergence(table: MetricTable, control: ArrayLike, goal: float) -> Array:
    r"""$D_{KL}(\gamma\|\lambda_f) = (\lambda_f-\gamma)\langle X\rangle_\gamma - F(\lambda_f) + F(\gamma)$."""
    energies = CubicSpline(table.control, table.free_energy)
    means = CubicSpline(table.control, table.mean)
    control = np.asarray(control, dtype=np.float64)
    return (goal - control) * means(control) - energies(goal) + energies(control)


class FreeEnd(NamedTuple):
    r"""Where a geodesic with a free end may stop.

    Attributes
    ----------
    control : array (R,)
        All the stationary points $\gamma_\tau$, from the start towards the goal.
    cost : array (R,)
        $J = [S(\gamma_\tau)-S(\lambda_i)]^2/\tau + D_{KL}$ at each.
    """

    control: Array
    cost: Array

    @property
    def best(self) -> float:
        """The stationary point of least cost."""
        return float(self.control[self.cost.argmin()])


def free_ends(table: MetricTable, duration: float, start: float, goal: float) -> FreeEnd:
    r"""All solutions of the end condition $2g\dot\gamma(\tau) = h(\gamma_\tau)(\lambda_f-\gamma_\tau)$.

    They lie between start and goal. There may be several; all are found, to the table's resolution. Raises ValueError
    unless the duration is positive, start and goal differ and both lie in the table.
    """
    _check_task(table, duration, start, goal)
    fisher = CubicSpline(table.control, table.fisher)

    def mismatch(value):
        speed = (table.arc(value) - table.arc(start)) / duration
        return 2.0 * table.root_friction(value) * speed - fisher(value) * (goal - value)

    inside = table.control[(table.control > min(start, goal)) & (table.control < max(start, goal))]
    grid = np.concatenate([[start], inside if goal > start else inside[::-1], [goal]])
    values = mismatch(grid)
    flips = np.flatnonzero(np.sign(values[:-1]) * np.sign(values[1:]) <= 0)
    roots = np.array([brentq(mismatch, grid[i], grid[i + 1], xtol=1e-14) for i in flips])
    cost = (table.arc(roots) - table.arc(start)) ** 2 / duration + divergence(table, roots, goal)
    return FreeEnd(roots, cost)


class TrackingProtocol(NamedTuple):
    r"""A protocol $\lambda = \gamma + \eta$ that is to hold the state on a moving equilibrium.

    Attributes
    ----------
    time : array (K,)
        The middle of each time step.
    target : array (K,)
        $\gamma$, whose equilibrium the state should follow.
    correction : array (K,)
        $\eta$, the counterdiabatic term.
    control : array (K,)
        $\lambda = \gamma + \eta$.
    end : float
        $\gamma(\tau)$.
    first_jump, last_jump : float
        Jumps of the control at the start and at the end.
    cost : float
        $J$, the excess work if the state did follow.
    """

    time: Array
    target: Array
    correction: Array
    control: Array
    end: float
    first_jump: float
    last_jump: float
    cost: float


def geodesic_counterdiabatic(
    table: MetricTable,
    duration: float,
    start: float,
    goal: float,
    steps: int,
    *,
    end: float | None = None,
    gain: Array | None = None,
) -> TrackingProtocol:
    r"""The geodesic-counterdiabatic protocol in closed form from the table.

    Parameters
    ----------
    table : MetricTable
    duration, start, goal : float
        $\tau$, $\lambda_i$ and $\lambda_f$.
    steps : int
        K, at least 1.
    end : float, optional
        Where the geodesic ends; by default the stationary point of least cost (:func:`free_ends`).
    gain : array (L,), optional
        Entry by entry of the table, what multiplies $\dot\gamma$ in the correction; by default $g/h$.

    Raises
    ------
    ValueError
        As :func:`free_ends` does, or for `steps` below 1.
    """
    _check_task(table, duration, start, goal)
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps!r}")
    end = free_ends(table, duration, start, goal).best if end is None else float(end)
    fisher = CubicSpline(table.control, table.fisher)
    other = None if gain is None else CubicSpline(table.control, gain)
    length = path_length(table, start, end)
    time = (np.arange(steps) + 0.5) * duration / steps
    target = geodesic(table, start, end, time / duration)

    def correction(value):
        root = table.root_friction(value)
        response = root**2 / fisher(value) if other is None else other(value)
        return response * (length / duration) / root

    eta = correction(target)
    first, last = float(correction(start)), float(goal - end - correction(end))
    cost = length**2 / duration + float(divergence(table, end, goal))
    return TrackingProtocol(time, target, eta, target + eta, end, first, last, cost)


def _check_task(table: MetricTable, duration: float, start: float, goal: float) -> None:
    if not (np.isfinite(duration) and duration > 0):
        raise ValueError(f"the duration must be positive and finite, got {duration!r}")
    check_inside(table, np.array([start, goal]))
    if start == goal:
        raise ValueError(f"start and goal must differ, both are {start!r}")
