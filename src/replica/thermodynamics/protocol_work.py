r"""Work along a protocol by the Fokker-Planck equation, its exact gradient, and the optimal protocol.

A protocol is a sequence $\lambda_0, \dots, \lambda_{K-1}$, each held for $\tau/K$. The state starts in equilibrium at
$\lambda_{-1} = \lambda_i$ and ends wherever it is at $\tau$, with the control at $\lambda_K = \lambda_f$. Each step of
time is an implicit Euler step, a tridiagonal solve, so probabilities stay positive and sum to one. The work counts
every jump of the control, the first and the last included:

$$W = \sum_{k=0}^{K} (\lambda_k - \lambda_{k-1})\cdot\langle X\rangle_{p_k} .$$
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from replica.thermodynamics.fokker_planck import (
    ControlledPotential,
    check_control,
    divergence_from_equilibrium,
    equilibrium,
    free_energy,
    jump_rates,
    mean_observables,
)

Array = NDArray[np.float64]

#: The largest density at an end of the grid, as a share of the maximum, that a protocol may cause.
MOST_AT_EDGE = 1e-6


@njit(cache=True)
def _propagate(start, right, left):
    """States (K + 1, n) before each step and at the end, (1 - dt L) p_{k+1} = p_k, with the factors of the matrices.

    ``right`` and ``left`` (K, n - 1) are the jump rates times the time step. The matrix of each step is the product of
    a lower bidiagonal one (pivots, -right) and an upper one (1, -ratio); 1 / pivots and ratios are returned too.
    """
    steps, n = right.shape[0], start.size
    states = np.empty((steps + 1, n))
    inverse, ratio = np.empty((steps, n)), np.empty((steps, n - 1))
    states[0] = start
    for k in range(steps):
        old, new, r, q = states[k], states[k + 1], right[k], left[k]
        inverse[k, 0] = 1.0 / (1.0 + r[0])
        new[0] = old[0] * inverse[k, 0]
        for i in range(1, n):
            ratio[k, i - 1] = q[i - 1] * inverse[k, i - 1]
            pivot = 1.0 + q[i - 1] - r[i - 1] * ratio[k, i - 1]
            if i < n - 1:
                pivot += r[i]
            inverse[k, i] = 1.0 / pivot
            new[i] = (old[i] + r[i - 1] * new[i - 1]) * inverse[k, i]
        for i in range(n - 2, -1, -1):
            new[i] += ratio[k, i] * new[i + 1]
    return states, inverse, ratio


@njit(cache=True)
def _adjoint(states, inverse, ratio, right, left, observables, jumps):
    """Gradient (K, m) of the work: the transposed solves with the same factors, from the end to the start."""
    steps, n = right.shape[0], states.shape[1]
    m = observables.shape[0]
    gradient = np.empty((steps, m))
    price = np.zeros(n)  # dW/dp_{k+1}, then (1 - dt L)^-T applied to it
    for mu in range(m):
        for i in range(n):
            price[i] += jumps[steps, mu] * observables[mu, i]
    for k in range(steps - 1, -1, -1):
        old, new, r, q = states[k], states[k + 1], right[k], left[k]
        for i in range(1, n):
            price[i] += ratio[k, i - 1] * price[i - 1]
        price[n - 1] *= inverse[k, n - 1]
        for i in range(n - 2, -1, -1):
            price[i] = (price[i] + r[i] * price[i + 1]) * inverse[k, i]
        for mu in range(m):
            total = 0.0
            for i in range(n):
                total += observables[mu, i] * (old[i] - new[i])
            for i in range(n - 1):
                mobility = 0.5 * (r[i] * new[i] + q[i] * new[i + 1])
                total -= (price[i + 1] - price[i]) * (observables[mu, i + 1] - observables[mu, i]) * mobility
            gradient[k, mu] = total
        for mu in range(m):
            for i in range(n):
                price[i] += jumps[k, mu] * observables[mu, i]
    return gradient


class Drive(NamedTuple):
    """What is driven from where to where in what time; make it with :func:`drive`.

    Attributes
    ----------
    system : ControlledPotential
    duration : float
        The time allowed.
    start, goal : array (m,)
        Control values before and after.
    initial : array (n,)
        Equilibrium at the start.
    free_energy_change : float
        What the work would be without haste, in $k_BT$.
    """

    system: ControlledPotential
    duration: float
    start: Array
    goal: Array
    initial: Array
    free_energy_change: float


def drive(system: ControlledPotential, duration: float, start: ArrayLike, goal: ArrayLike) -> Drive:
    """The task to bring the control from `start` to `goal` in time `duration`.

    Raises ValueError unless the duration is positive and finite and both ends have an equilibrium on the grid.
    """
    if not (np.isfinite(duration) and duration > 0):
        raise ValueError(f"the duration must be positive and finite, got {duration!r}")
    first = check_control(system, start).reshape(system.controls)
    last = check_control(system, goal).reshape(system.controls)
    initial, _ = equilibrium(system, first), equilibrium(system, last)
    change = float(free_energy(system, last) - free_energy(system, first))
    return Drive(system, float(duration), first, last, initial, change)


class WorkRecord(NamedTuple):
    r"""Work along a protocol and where it went, in $k_BT$.

    Attributes
    ----------
    excess : float
        $W - \Delta F$.
    steps : array (K + 1,)
        Work done by each jump of the control, the last one to the goal.
    dissipated : array (K,)
        Free energy lost while each control value is held, $D(p_k\|\lambda_k) - D(p_{k+1}\|\lambda_k) \ge 0$.
    remaining : float
        $D_{KL}(p_\tau\|p^{eq}_{\lambda_f})$, lost after the end. Excess = sum of dissipated + remaining, exactly.
    states : array (K + 1, n)
        Probabilities before each step, and at the end.
    """

    excess: float
    steps: Array
    dissipated: Array
    remaining: float
    states: Array


def follow(task: Drive, protocol: ArrayLike) -> WorkRecord:
    r"""Follow a protocol and account for the work.

    Parameters
    ----------
    task : Drive
    protocol : array (K,) or (K, m)
        Control values, each held for `duration / K`.

    Raises
    ------
    ValueError
        For NaN, a wrong shape, or a protocol that pushes the state against the ends of the grid.
    """
    values = _check_protocol(task, protocol)
    system = task.system
    states = _propagate(task.initial, *_rates(task, values))[0]
    density = states / states.max(axis=1, keepdims=True)
    if max(density[:, 0].max(), density[:, -1].max()) > MOST_AT_EDGE:
        raise ValueError(
            "the protocol drives the state against the ends of the grid "
            f"[{system.x[0]:.4g}, {system.x[-1]:.4g}]: expected a density there below {MOST_AT_EDGE:g} of the maximum, "
            f"got {max(density[:, 0].max(), density[:, -1].max()):.2g}; widen the grid or drive less hard"
        )
    jumps = np.diff(values, axis=0, prepend=task.start[None], append=task.goal[None])
    work = np.einsum("km,km->k", jumps, mean_observables(system, states))
    held = divergence_from_equilibrium(system, states[:-1], values)
    left = divergence_from_equilibrium(system, states[1:], values)
    remaining = float(divergence_from_equilibrium(system, states[-1], task.goal))
    return WorkRecord(float(work.sum()) - task.free_energy_change, work, held - left, remaining, states)


def excess_work(task: Drive, protocol: ArrayLike) -> float:
    r"""$W - \Delta F$ of a protocol, in $k_BT$; errors as :func:`follow`."""
    return follow(task, protocol).excess


def excess_work_and_gradient(task: Drive, protocol: ArrayLike) -> tuple[float, Array]:
    r"""$W - \Delta F$ and its exact derivative with respect to every control value, shape (K, m), by the adjoint.

    The price of a gradient is two propagations, whatever K. Raises ValueError for NaN or a wrong shape.
    """
    values = _check_protocol(task, protocol)
    system, (right, left) = task.system, _rates(task, values)
    states, inverse, ratio = _propagate(task.initial, right, left)
    jumps = np.diff(values, axis=0, prepend=task.start[None], append=task.goal[None])
    work = float(np.einsum("km,km->", jumps, mean_observables(system, states)))
    gradient = _adjoint(states, inverse, ratio, right, left, system.observables, jumps)
    return work - task.free_energy_change, gradient


def dissipation_rate(system: ControlledPotential, states: Array, protocol: ArrayLike) -> Array:
    r"""Entropy production $\sum_i (r_ip_i - q_ip_{i+1})\ln\frac{r_ip_i}{q_ip_{i+1}}$, shape (K,).

    For states (K, n) at controls (K, m).
    In the continuum $\int\rho v^2dx$ with the velocity $v = -\partial_x(U_\lambda + \ln\rho)$. Where the probability
    has underflowed to zero nothing flows.
    """
    right, left = jump_rates(system, protocol)
    forth, back = right * states[:, :-1], left * states[:, 1:]
    flowing = (forth > 0) & (back > 0)
    ratio = np.divide(forth, back, out=np.ones_like(forth), where=flowing)
    return ((forth - back) * np.log(ratio)).sum(axis=1)


class Optimum(NamedTuple):
    """An optimal protocol.

    Attributes
    ----------
    protocol : array (K, m)
    excess : float
        Its excess work in $k_BT$.
    iterations : int
        Of L-BFGS.
    gradient_norm : float
        Largest derivative of the work left, with respect to one control value.
    """

    protocol: Array
    excess: float
    iterations: int
    gradient_norm: float


def optimise_protocol(task: Drive, guess: ArrayLike, iterations: int = 500) -> Optimum:
    """The protocol of least work near `guess` (K,) or (K, m), by L-BFGS with the exact gradient.

    What is minimised is the work over the time step. Its gradient is the change of work per change of control and unit
    of time, which stays of order one for any duration and number of steps (that of the work itself is of the order of
    the time step), so that the stopping rule asks for equally good protocols everywhere.

    Raises ValueError for a bad guess, or when the optimum found pushes the state against the ends of the grid.
    """
    values = _check_protocol(task, guess)
    time_step = task.duration / len(values)

    def cost(flat):
        work, gradient = excess_work_and_gradient(task, flat.reshape(values.shape))
        return work / time_step, gradient.ravel() / time_step

    # the default stopping rule, a relative change below 2e-9, ends before the jumps at both ends have formed
    options = {"maxiter": iterations, "ftol": 1e-14, "gtol": 1e-5, "maxcor": 30}
    found = minimize(cost, values.ravel(), jac=True, method="L-BFGS-B", options=options)
    protocol = found.x.reshape(values.shape)
    left = float(np.abs(found.jac).max()) * time_step
    return Optimum(protocol, excess_work(task, protocol), int(found.nit), left)


def linear_ramp(task: Drive, steps: int) -> Array:
    """Control values (steps, m) of the linear ramp, at the middle of each time step."""
    share = (np.arange(steps)[:, None] + 0.5) / steps
    return task.start + share * (task.goal - task.start)


def _check_protocol(task: Drive, protocol: ArrayLike) -> Array:
    values = np.asarray(protocol, dtype=np.float64)
    if values.ndim == 1 and task.system.controls == 1:
        values = values[:, None]
    values = check_control(task.system, values)
    if values.ndim != 2 or len(values) == 0:
        raise ValueError(f"a protocol has shape (K,) or (K, {task.system.controls}), got {np.shape(protocol)}")
    return values


def _rates(task: Drive, values: Array) -> tuple[Array, Array]:
    """Jump rates times the time step, two arrays (K, n - 1)."""
    right, left = jump_rates(task.system, values)
    time_step = task.duration / len(values)
    return right * time_step, left * time_step
