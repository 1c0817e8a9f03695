r"""Geodesics for any number of controls, as shortest paths between quantile functions.

On the line optimal transport is flat: $W_2$ is the plain distance between quantile functions, so the equilibria of a
family with m controls form an m-dimensional surface in a Euclidean space of functions, $Q_\lambda(u)$, and the
friction tensor $g_{\mu\nu} = \int_0^1\partial_\mu Q\,\partial_\nu Q\,du$ is the metric that the surface inherits. A
geodesic with a free end is a chain of springs on that surface: minimise

$$J = \frac N\tau\sum_{k=0}^{N-1}\|Q_{\gamma_{k+1}} - Q_{\gamma_k}\|^2 + D_{KL}(\gamma_N\|\lambda_f),
   \qquad \gamma_0 = \lambda_i .$$
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from replica.thermodynamics.fokker_planck import (
    ControlledPotential,
    divergence_from_equilibrium,
    equilibrium,
    jump_rates,
)
from replica.thermodynamics.friction import (
    counterdiabatic,
    equilibrium_currents,
    fisher_information,
    friction_from_currents,
)
from replica.thermodynamics.protocol_work import Drive
from replica.thermodynamics.transport import Levels, quantiles

Array = NDArray[np.float64]


def cosine_levels(count: int) -> Levels:
    r"""Levels $u = \frac12(1-\cos\theta)$, equally spaced in $\theta$: dense in both tails, where quantiles run away.

    ValueError for fewer than 10.
    """
    if count < 10:
        raise ValueError(f"expected at least 10 levels, got {count!r}")
    borders = 0.5 * (1.0 - np.cos(np.pi * np.arange(count + 1) / count))
    return Levels(0.5 * (borders[1:] + borders[:-1]), np.diff(borders))


def embed(system: ControlledPotential, control: Array, levels: Levels) -> tuple[Array, Array]:
    r"""Quantile functions (N, a) and their derivatives $\partial_\mu Q$ (N, m, a) at controls (N, m).

    The derivative is the velocity field of the equation of continuity at the quantile, current over density. Raises
    ValueError where there is no equilibrium on the grid.
    """
    p = equilibrium(system, control)
    right, _ = jump_rates(system, control)
    velocity = equilibrium_currents(system, control) / (right * p[:, :-1] * system.spacing)[:, None]
    borders = 0.5 * (system.x[1:] + system.x[:-1])
    places = np.stack([quantiles(system.x, row, levels.middle) for row in p])
    slopes = np.stack([[np.interp(q, borders, v) for v in rows] for q, rows in zip(places, velocity)])
    return places, slopes


class QuantilePath(NamedTuple):
    r"""A geodesic with a free end; make it with :func:`relax_path`.

    Attributes
    ----------
    time : array (N + 1,)
    control : array (N + 1, m)
        $\gamma$ at these times.
    cost : float
        $J$ in $k_BT$: the excess work if the state did follow.
    gain : float
        What one more step would be expected to gain in $k_BT$: how far the iteration is from its end.
    """

    time: Array
    control: Array
    cost: float
    gain: float


def relax_path(task: Drive, segments: int = 20, level_count: int = 300, iterations: int = 100) -> QuantilePath:
    """The geodesic with a free end for any number of controls, by Gauss-Newton iteration from the straight line.

    Parameters
    ----------
    task : Drive
    segments : int
        N, at least 2; chords fall short of arcs by a share of order $1/N^2$.
    level_count : int
        Points of each quantile function.
    iterations : int
        At most.

    Raises
    ------
    ValueError
        For fewer than 2 segments, or when the iteration leaves the controls that have an equilibrium on the grid.
    """
    if segments < 2:
        raise ValueError(f"expected at least 2 segments, got {segments!r}")
    levels = cosine_levels(level_count)
    time = np.linspace(0.0, task.duration, segments + 1)
    path = task.start + (time / task.duration)[:, None] * 0.5 * (task.goal - task.start)
    cost, parts = _cost(task, path, levels)
    for _ in range(iterations):
        step, gain = _gauss_newton_step(task, path, parts, levels)
        length = 1.0
        while True:
            trial = path.copy()
            trial[1:] += length * step
            try:
                trial_cost, trial_parts = _cost(task, trial, levels)
            except ValueError:
                trial_cost = np.inf
                if length < 1e-3:
                    raise
            if trial_cost < cost or length < 1e-3:
                break
            length *= 0.5
        if trial_cost >= cost:
            break
        path, cost, parts = trial, trial_cost, trial_parts
        if gain < 1e-12:
            break
    return QuantilePath(time, path, float(cost), gain)


def _cost(task: Drive, path: Array, levels: Levels) -> tuple[float, tuple[Array, Array]]:
    places, slopes = embed(task.system, path, levels)
    chords = (np.diff(places, axis=0) ** 2) @ levels.weight
    left = divergence_from_equilibrium(task.system, equilibrium(task.system, path[-1]), task.goal)
    return float(chords.sum() * len(chords) / task.duration + left), (places, slopes)


def _gauss_newton_step(task: Drive, path: Array, parts: tuple[Array, Array], levels: Levels) -> tuple[Array, float]:
    """The step (N, m) of all the free points of the path, and the gain expected from it: springs linearised on the
    surface, KL to second order."""
    places, slopes = parts
    count, m = path.shape[0] - 1, path.shape[1]
    stiffness = 2.0 * count / task.duration
    fisher = fisher_information(task.system, path[-1])
    hessian, gradient = np.zeros((count, m, count, m)), np.zeros((count, m))
    weighted = slopes * levels.weight
    for k in range(count):
        pull = places[k + 1] - places[k]
        if k + 2 <= count:
            pull = pull - (places[k + 2] - places[k + 1])
        gradient[k] = stiffness * weighted[k + 1] @ pull
        hessian[k, :, k] = stiffness * (1 + (k + 1 < count)) * weighted[k + 1] @ slopes[k + 1].T
        if k + 1 < count:
            hessian[k, :, k + 1] = -stiffness * weighted[k + 1] @ slopes[k + 2].T
            hessian[k + 1, :, k] = hessian[k, :, k + 1].T
    gradient[-1] -= fisher @ (task.goal - path[-1])
    hessian[-1, :, -1] += fisher
    step = np.linalg.solve(hessian.reshape(count * m, count * m), -gradient.ravel())
    return step.reshape(count, m), float(-0.5 * gradient.ravel() @ step)


def counterdiabatic_protocol(task: Drive, path: QuantilePath, steps: int) -> tuple[Array, Array]:
    r"""Target $\gamma$ and control $\lambda = \gamma + h^{-1}g\dot\gamma$ at the middle of each of `steps` time steps.

    Two arrays (steps, m). ValueError for `steps` below 1.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps!r}")
    spline = CubicSpline(path.time, path.control)
    time = (np.arange(steps) + 0.5) * task.duration / steps
    target, velocity = spline(time), spline(time, 1)
    friction = friction_from_currents(task.system, target)
    return target, target + counterdiabatic(friction, fisher_information(task.system, target), velocity)
