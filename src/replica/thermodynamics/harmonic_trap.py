r"""The harmonic trap $\frac12kx^2 - bx$ in closed form: the family of states on which the geometry is flat.

Equilibrium is a normal distribution of mean $\mu = b/k$ and standard deviation $s = k^{-1/2}$, and stays normal under
any protocol. Optimal transport moves $\mu$ and $s$ at constant speed in the plane with metric $d\mu^2 + ds^2$.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import solve_ivp

Array = NDArray[np.float64]


def trap_friction(control: ArrayLike) -> Array:
    r"""Friction tensor in the controls $(k, b)$, (..., 2, 2); $g_{kk} = b^2/k^4 + 1/(4k^3)$. Needs $k > 0$."""
    k, b = _stiff(control)
    return _symmetric(b**2 / k**4 + 0.25 / k**3, -b / k**3, 1.0 / k**2)


def trap_fisher(control: ArrayLike) -> Array:
    r"""Fisher information in the controls $(k, b)$, (..., 2, 2); $h_{kk} = 1/(2k^2) + b^2/k^3$. Needs $k > 0$."""
    k, b = _stiff(control)
    return _symmetric(0.5 / k**2 + b**2 / k**3, -b / k**2, 1.0 / k)


class TrapOptimum(NamedTuple):
    r"""The optimal way from one trap to another in a given time; make it with :func:`optimal_trap`.

    Attributes
    ----------
    duration : float
    start, end, goal : tuple of two floats
        $(\mu, s)$ of the state at the start, at the time's end, and of the last trap's equilibrium.
    excess : float
        The least excess work in $k_BT$.
    """

    duration: float
    start: tuple[float, float]
    end: tuple[float, float]
    goal: tuple[float, float]
    excess: float


def optimal_trap(duration: float, start: ArrayLike, goal: ArrayLike) -> TrapOptimum:
    r"""The optimal transition between traps $(k, \mu)$ and $(k_f, \mu_f)$ in the time $\tau$, exactly:

    $$s_\tau = \frac{s_0/\tau + \sqrt{s_0^2/\tau^2 + 2/\tau + k_f}}{2/\tau + k_f},\qquad
      \mu_\tau = \frac{2\mu_0/\tau + k_f\mu_f}{2/\tau + k_f},$$

    the minimum of $[(s_\tau-s_0)^2 + (\mu_\tau-\mu_0)^2]/\tau + D_{KL}$. Source: Schmiedl and Seifert, PRL 98, 108301
    (2007), for one parameter at a time.

    Raises ValueError unless the duration and both stiffnesses are positive and finite.
    """
    (k0, mean0), (kf, meanf) = (float(v) for v in start), (float(v) for v in goal)
    if not (np.isfinite(duration) and duration > 0):
        raise ValueError(f"the duration must be positive and finite, got {duration!r}")
    if not (k0 > 0 and kf > 0 and np.isfinite([k0, kf, mean0, meanf]).all()):
        raise ValueError(f"both traps need a positive stiffness and a finite place, got {start!r} and {goal!r}")
    s0, rate = k0**-0.5, 2.0 / duration
    s = (0.5 * rate * s0 + np.sqrt(0.25 * rate**2 * s0**2 + rate + kf)) / (rate + kf)
    mean = (rate * mean0 + kf * meanf) / (rate + kf)
    excess = ((s - s0) ** 2 + (mean - mean0) ** 2) / duration + trap_divergence((mean, s), (kf, meanf))
    return TrapOptimum(float(duration), (mean0, s0), (float(mean), float(s)), (meanf, kf**-0.5), float(excess))


def trap_divergence(state: tuple[float, float], trap: tuple[float, float]) -> float:
    r"""$D_{KL}$ of the state $(\mu, s)$ from the equilibrium of the trap $(k, \mu_{eq})$, in nats."""
    (mean, s), (k, place) = state, trap
    return float(0.5 * (s**2 * k - 1.0 - np.log(s**2 * k)) + 0.5 * k * (mean - place) ** 2)


def optimal_states(optimum: TrapOptimum, time: ArrayLike) -> tuple[Array, Array]:
    r"""$(\mu, s)$ at the times given: straight lines."""
    share = np.asarray(time, dtype=np.float64) / optimum.duration
    (mean0, s0), (mean1, s1) = optimum.start, optimum.end
    return mean0 + share * (mean1 - mean0), s0 + share * (s1 - s0)


def optimal_controls(optimum: TrapOptimum, time: ArrayLike) -> Array:
    r"""Controls $(k, b)$ inside $(0, \tau)$, shape (..., 2): $k = s^{-2} - \dot s/s$,
    $b = \mu s^{-2} + \dot\mu - \mu\dot s/s$."""
    mean, s = optimal_states(optimum, time)
    mean_speed = (optimum.end[0] - optimum.start[0]) / optimum.duration
    speed = (optimum.end[1] - optimum.start[1]) / optimum.duration
    return np.stack([s**-2 - speed / s, mean * s**-2 + mean_speed - mean * speed / s], axis=-1)


def target_controls(optimum: TrapOptimum, time: ArrayLike) -> tuple[Array, Array]:
    r"""The controls $\gamma = (k, b)$ whose equilibrium is the state at each time, and $\dot\gamma$; each (..., 2)."""
    mean, s = optimal_states(optimum, time)
    mean_speed = (optimum.end[0] - optimum.start[0]) / optimum.duration
    speed = (optimum.end[1] - optimum.start[1]) / optimum.duration
    gamma = np.stack([s**-2, mean * s**-2], axis=-1)
    return gamma, np.stack([-2 * s**-3 * speed, mean_speed * s**-2 - 2 * mean * s**-3 * speed], axis=-1)


def moment_work(
    controls: Callable[[float], Array], duration: float, start: tuple[float, float], goal: tuple[float, float]
) -> tuple[float, tuple[float, float]]:
    r"""Excess work of a protocol $t \mapsto (k, b)$ from the equations of the mean and the variance $v$:

    $$\dot\mu = b - k\mu,\qquad \dot v = 2 - 2kv .$$

    The work is the change of energy minus the heat taken up, so jumps of the control need no special care.

    Parameters
    ----------
    controls : callable
        From a time inside $(0, \tau)$ to $(k, b)$.
    duration : float
        $\tau$.
    start, goal : $(k, \mu)$ of the first and the last trap.

    Returns
    -------
    excess work in $k_BT$, and the state $(\mu, s)$ at $\tau$. Raises ValueError unless the duration is positive.
    """
    if not duration > 0:
        raise ValueError(f"the duration must be positive, got {duration!r}")
    (k0, mean0), (kf, meanf) = start, goal

    def rates(time, state):
        mean, variance, _ = state
        k, b = controls(time)
        mean_rate, variance_rate = b - k * mean, 2.0 - 2.0 * k * variance
        return [mean_rate, variance_rate, (k * mean - b) * mean_rate + 0.5 * k * variance_rate]

    solution = solve_ivp(rates, (0.0, duration), [mean0, 1.0 / k0, 0.0], method="DOP853", rtol=1e-12, atol=1e-13)
    mean, variance, heat = solution.y[:, -1]

    def energy(k, place, m, v):
        return 0.5 * k * (v + m**2) - k * place * m

    work = energy(kf, meanf, mean, variance) - energy(k0, mean0, mean0, 1.0 / k0) - heat
    change = 0.5 * np.log(kf / k0) - 0.5 * kf * meanf**2 + 0.5 * k0 * mean0**2
    return float(work - change), (float(mean), float(np.sqrt(variance)))


def _stiff(control: ArrayLike) -> tuple[Array, Array]:
    values = np.asarray(control, dtype=np.float64)
    if values.shape[-1:] != (2,) or not np.isfinite(values).all():
        raise ValueError(f"expected finite controls (k, b) along the last axis, got shape {values.shape}")
    if not (values[..., 0] > 0).all():
        raise ValueError(f"a trap of stiffness {values[..., 0].min():g} does not confine: expected k > 0")
    return values[..., 0], values[..., 1]


def _symmetric(a: Array, b: Array, c: Array) -> Array:
    return np.stack([np.stack([a, b], axis=-1), np.stack([b, c], axis=-1)], axis=-1)
