r"""Friction tensor and Fisher information of a family of equilibrium states.

Slow driving costs $\int\dot\lambda^\mu g_{\mu\nu}\dot\lambda^\nu dt$ with the friction tensor

$$g_{\mu\nu}(\lambda) = \int_0^\infty \langle\delta X_\mu(t)\,\delta X_\nu(0)\rangle_\lambda\,dt
   = \int\rho_\lambda\,\partial_x\phi_\mu\,\partial_x\phi_\nu\,dx,\qquad
   \partial_x(\rho_\lambda\,\partial_x\phi_\mu) = -\partial_\mu\rho_\lambda .$$

The first form is linear response (Sivak and Crooks, 2012), the second the metric of optimal transport on the same
states: the power needed to move the density along with velocity $\partial_x\phi$. That they are equal is the theorem
of Zhong and DeWeese, PRL 133, 057102 (2024). Here are both, by code paths that share only the jump rates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh_tridiagonal

from replica.thermodynamics.fokker_planck import (
    ControlledPotential,
    check_control,
    currents_to_equilibrium_change,
    equilibrium,
    jump_rates,
    mean_observables,
)

Array = NDArray[np.float64]


def fisher_information(system: ControlledPotential, control: ArrayLike) -> Array:
    r"""$h_{\mu\nu} = \langle\delta X_\mu\,\delta X_\nu\rangle_\lambda = -\partial_\nu\langle X_\mu\rangle$, shape
    (..., m, m). Raises ValueError where there is no equilibrium on the grid."""
    p = equilibrium(system, control)
    deviation = system.observables - mean_observables(system, p)[..., None]
    return np.einsum("...mi,...ni,...i->...mn", deviation, deviation, p)


def friction_from_currents(system: ControlledPotential, control: ArrayLike) -> Array:
    r"""Friction tensor as the metric of optimal transport, $g_{\mu\nu} = \sum_i J_{\mu i}J_{\nu i}/(r_ip_i)$.

    $J_\mu$ is the current that carries $p_\lambda$ along when $\lambda^\mu$ changes at unit speed; in one dimension
    the equation of continuity determines it. In the continuum,
    $g_{\mu\nu} = \int \partial_\mu C\,\partial_\nu C/\rho\,dx$ with the distribution function $C$.

    Parameters
    ----------
    system : ControlledPotential
    control : array (..., m)

    Returns
    -------
    array (..., m, m), in $k_BT$ times time over control squared

    Raises
    ------
    ValueError
        Where there is no equilibrium on the grid.
    """
    p = equilibrium(system, control)
    currents = equilibrium_currents(system, control)
    right, _ = jump_rates(system, control)
    return np.einsum("...mi,...ni,...i->...mn", currents, currents, 1.0 / (right * p[..., :-1]))


def equilibrium_currents(system: ControlledPotential, control: ArrayLike) -> Array:
    r"""The currents $J_\mu$ across the cell borders that carry $p_\lambda$ along with the control, (..., m, n - 1)."""
    p = equilibrium(system, control)
    deviation = system.observables - mean_observables(system, p)[..., None]
    return currents_to_equilibrium_change(p[..., None, :], -deviation * p[..., None, :])


def correlation_spectrum(system: ControlledPotential, control: ArrayLike) -> tuple[Array, Array]:
    r"""Relaxation rates and amplitudes of the equilibrium correlations at one control value.

    $$\langle\delta X_\mu(t)\,\delta X_\nu(0)\rangle = \sum_{a\ge1} A_{\mu a}A_{\nu a}e^{-\kappa_at}$$

    from the symmetrised generator $p^{-1/2}Lp^{1/2}$, a symmetric tridiagonal matrix.

    Returns
    -------
    rates : array (n - 1,)
        $\kappa_a > 0$, increasing; the stationary mode is left out.
    amplitudes : array (m, n - 1)
        $A_{\mu a}$.

    Raises
    ------
    ValueError
        Where there is no equilibrium on the grid.
    """
    value = check_control(system, control).reshape(system.controls)
    p = equilibrium(system, value)
    right, left = jump_rates(system, value)
    escape = np.append(right, 0.0) + np.append(0.0, left)
    rates, modes = eigh_tridiagonal(escape, np.full(right.size, -(system.spacing**-2)))
    deviation = system.observables - mean_observables(system, p)[:, None]
    return rates[1:], (deviation * np.sqrt(p)) @ modes[:, 1:]


def friction_from_correlations(system: ControlledPotential, control: ArrayLike) -> Array:
    r"""Friction tensor as the time integral of correlations, $g_{\mu\nu} = \sum_a A_{\mu a}A_{\nu a}/\kappa_a$, (m, m).

    One control value; the sum over the spectrum is the pseudo-inverse of the Fokker-Planck operator between the
    $\delta X$. Raises ValueError where there is no equilibrium on the grid.
    """
    rates, amplitudes = correlation_spectrum(system, control)
    return (amplitudes / rates) @ amplitudes.T


def gradient_overlap(system: ControlledPotential, control: ArrayLike) -> Array:
    r"""$T_{\mu\nu} = \langle\partial_xX_\mu\,\partial_xX_\nu\rangle_\lambda$, (..., m, m).

    A counterdiabatic term that only keeps the means $\langle X\rangle$ on their targets is $T^{-1}h\dot\gamma$, in
    place of $h^{-1}g\dot\gamma$.
    """
    p = equilibrium(system, control)
    slopes = np.gradient(system.observables, system.spacing, axis=-1)
    return np.einsum("mi,ni,...i->...mn", slopes, slopes, p)


def counterdiabatic(friction: Array, fisher: Array, velocity: Array) -> Array:
    r"""The counterdiabatic correction $\eta = h^{-1}g\,\dot\gamma$ to the control.

    Shapes (..., m, m), (..., m, m) and (..., m); returns (..., m). ValueError for entries that are not finite.
    """
    pull = np.einsum("...mn,...n->...m", friction, velocity)
    if not (np.isfinite(pull).all() and np.isfinite(fisher).all()):
        raise ValueError("friction, Fisher information and velocity must be finite, got NaN or infinity")
    return np.linalg.solve(fisher, pull[..., None])[..., 0]
