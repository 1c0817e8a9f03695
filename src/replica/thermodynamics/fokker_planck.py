r"""Overdamped Brownian motion in one dimension in a potential with linear controls, on a grid.

The potential is $U_\lambda(x) = U_0(x) + \sum_\mu \lambda^\mu X_\mu(x)$ and the density obeys the Fokker-Planck
equation $\partial_t \rho = \partial_x(\rho\,\partial_x U_\lambda + \partial_x\rho)$. On a grid of spacing $\Delta$ it
becomes a jump process between neighbouring cells with rates

$$r_i = \Delta^{-2} e^{-(U_{i+1}-U_i)/2}\ (i \to i+1),\qquad q_i = \Delta^{-2} e^{+(U_{i+1}-U_i)/2}\ (i+1 \to i),$$

reflecting at both ends: probability is conserved and $e^{-U_i}$ is stationary exactly, with detailed balance. Energies
are in $k_BT$, the diffusion constant is 1, so times are in units of length squared.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp, xlogy

Array = NDArray[np.float64]

#: At the ends of the grid an equilibrium density must be below this share of its maximum.
EDGE_DENSITY = 1e-6


class ControlledPotential(NamedTuple):
    r"""A potential $U_0 + \sum_\mu\lambda^\mu X_\mu$ on a uniform grid; make it with :func:`controlled_potential`.

    Attributes
    ----------
    x : array (n,)
        Positions of the grid's cells.
    base : array (n,)
        $U_0$ in $k_BT$.
    observables : array (m, n)
        $X_\mu$, what each of the m controls couples to.
    """

    x: Array
    base: Array
    observables: Array

    @property
    def spacing(self) -> float:
        r"""The grid's spacing $\Delta$."""
        return float(self.x[1] - self.x[0])

    @property
    def controls(self) -> int:
        """The number m of controls."""
        return self.observables.shape[0]


def controlled_potential(x: ArrayLike, base: ArrayLike, observables: ArrayLike) -> ControlledPotential:
    r"""A potential with linear controls on a uniform grid, checked.

    Parameters
    ----------
    x : array (n,)
        Grid, increasing and equally spaced, at least three points.
    base : array (n,)
        $U_0(x)$.
    observables : array (n,) or (m, n)
        $X_\mu(x)$; one row for each control.

    Raises
    ------
    ValueError
        For shapes that do not fit, entries that are not finite, or a grid that is not increasing and uniform.
    """
    x, base = np.asarray(x, dtype=np.float64), np.asarray(base, dtype=np.float64)
    observables = np.atleast_2d(np.asarray(observables, dtype=np.float64))
    if x.ndim != 1 or x.size < 3:
        raise ValueError(f"x must be a grid of at least three points, got shape {x.shape}")
    if base.shape != x.shape or observables.shape[1:] != x.shape:
        raise ValueError(
            f"base and every observable must have the grid's shape {x.shape}, got {base.shape} and {observables.shape}"
        )
    for name, values in (("x", x), ("base", base), ("observables", observables)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} must be finite, got NaN or infinity")
    steps = np.diff(x)
    if not (steps > 0).all():
        raise ValueError("x must increase from each point to the next")
    if np.ptp(steps) > 1e-6 * steps.mean():
        raise ValueError(f"x must be equally spaced, got spacings from {steps.min():.6g} to {steps.max():.6g}")
    return ControlledPotential(x, base, observables)


def check_control(system: ControlledPotential, control: ArrayLike) -> Array:
    """Control values as an array (..., m); a number will do for a single control. ValueError for NaN or a wrong m."""
    values = np.asarray(control, dtype=np.float64)
    if system.controls == 1 and (values.ndim == 0 or values.shape[-1] != 1):
        values = values[..., None]
    if values.ndim == 0 or values.shape[-1] != system.controls:
        raise ValueError(f"expected {system.controls} control(s) along the last axis, got shape {np.shape(control)}")
    if not np.isfinite(values).all():
        raise ValueError("controls must be finite, got NaN or infinity")
    return values


def potential(system: ControlledPotential, control: ArrayLike) -> Array:
    r"""$U_\lambda(x)$, shape (..., n) for controls of shape (..., m)."""
    return system.base + check_control(system, control) @ system.observables


def equilibrium(system: ControlledPotential, control: ArrayLike) -> Array:
    r"""Boltzmann's probabilities $p_i \propto e^{-U_\lambda(x_i)}$ of the cells, shape (..., n), summing to one.

    Raises
    ------
    ValueError
        If the density at an end of the grid exceeds :data:`EDGE_DENSITY` of its maximum: the grid is too narrow, or
        the potential does not confine and has no equilibrium.
    """
    energy = potential(system, control)
    weights = np.exp(energy.min(axis=-1, keepdims=True) - energy)
    edges = weights[..., [0, -1]]
    if edges.max() > EDGE_DENSITY:
        worst = np.unravel_index(edges.argmax(), edges.shape)
        value = np.broadcast_to(check_control(system, control), (*weights.shape[:-1], system.controls))[worst[:-1]]
        raise ValueError(
            f"at control {np.array2string(value, precision=4)} the density at x = {system.x[[0, -1]][worst[-1]]:.4g} "
            f"is {edges.max():.2g} of its maximum, expected below {EDGE_DENSITY:g}: the grid is too narrow, or the "
            "potential does not confine and cannot be normalised"
        )
    return weights / weights.sum(axis=-1, keepdims=True)


def free_energy(system: ControlledPotential, control: ArrayLike) -> Array:
    r"""$F(\lambda) = -\ln\big(\Delta\sum_i e^{-U_\lambda(x_i)}\big)$ in $k_BT$, shape (...)."""
    return -logsumexp(-potential(system, control), axis=-1) - np.log(system.spacing)


def mean_observables(system: ControlledPotential, probability: Array) -> Array:
    r"""$\langle X_\mu\rangle$, shape (..., m)."""
    return probability @ system.observables.T


def divergence_from_equilibrium(system: ControlledPotential, probability: Array, control: ArrayLike) -> Array:
    r"""$D_{KL}(p\,\|\,p^{eq}_\lambda)$ in nats, shape (...): the free energy above $F(\lambda)$ in $k_BT$."""
    log_density = potential(system, control) - free_energy(system, control)[..., None] - np.log(system.spacing)
    return (xlogy(probability, probability) + probability * log_density).sum(axis=-1)


def jump_rates(system: ControlledPotential, control: ArrayLike) -> tuple[Array, Array]:
    r"""Rates $r_i$ to the right and $q_i$ to the left across the n - 1 cell borders, each of shape (..., n - 1)."""
    half_steps = 0.5 * np.diff(potential(system, control), axis=-1)
    scale = system.spacing**-2
    return scale * np.exp(-half_steps), scale * np.exp(half_steps)


def generator(system: ControlledPotential, control: ArrayLike) -> Array:
    r"""The matrix $L$ of $\dot p = Lp$ at one control value, (n, n); its columns sum to zero."""
    right, left = jump_rates(system, np.asarray(control, dtype=np.float64).reshape(-1))
    matrix = np.diag(right.ravel(), -1) + np.diag(left.ravel(), 1)
    return matrix - np.diag(matrix.sum(axis=0))


def currents_to_equilibrium_change(probability: Array, change: Array) -> Array:
    r"""The current $J_i = -\sum_{j\le i} \delta p_j$ across each border that changes $p$ by $\delta p$, (..., n - 1).

    Each sum is taken from the nearer side of the median. A sum from one side only leaves rounding errors of order
    $10^{-16}$ in the far tail, where the current is to be divided by probabilities far smaller than that.
    """
    from_left = -np.cumsum(change, axis=-1)[..., :-1]
    from_right = np.cumsum(change[..., ::-1], axis=-1)[..., -2::-1]
    in_left_half = np.cumsum(probability, axis=-1)[..., :-1] < 0.5
    return np.where(in_left_half, from_left, from_right)
