r"""Potentials that are polynomials of the position, known everywhere and not on a grid only.

The particle simulation and the transport bound take the polynomials themselves, the Fokker-Planck equation a grid:
so the two ways of computing a work share nothing but the coefficients.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.thermodynamics.fokker_planck import ControlledPotential, controlled_potential

Array = NDArray[np.float64]


class PolynomialPotential(NamedTuple):
    r"""$U_\lambda(x) = \sum_k (c_k + \sum_\mu \lambda^\mu X_{\mu k})\,x^k$.

    Attributes
    ----------
    base : array (degree + 1,)
        Coefficients $c_k$ of $U_0$, lowest power first.
    observables : array (m, degree + 1)
        Coefficients of the $X_\mu$.
    """

    base: Array
    observables: Array


def polynomial_potential(base: ArrayLike, observables: ArrayLike) -> PolynomialPotential:
    """A polynomial potential, its coefficients (lowest power first) padded to one length.

    Raises ValueError for coefficients that are not finite or not vectors.
    """
    rows = [np.asarray(row, dtype=np.float64) for row in (base, *observables)]
    if any(row.ndim != 1 or row.size == 0 for row in rows) or len(rows) < 2:
        raise ValueError("expected one vector of coefficients for the base and one for each observable")
    if not all(np.isfinite(row).all() for row in rows):
        raise ValueError("coefficients must be finite, got NaN or infinity")
    table = np.zeros((len(rows), max(row.size for row in rows)))
    for target, row in zip(table, rows):
        target[: row.size] = row
    return PolynomialPotential(table[0], table[1:])


def double_well(barrier: float) -> PolynomialPotential:
    r"""The linearly biased double well $E_0[(x^2-1)^2/4 - \lambda x]$ with one control, the tilt $\lambda$.

    At $\lambda = 0$ minima lie at $\pm1$ with a barrier of $E_0/4$ between them; one of the two vanishes where
    $|\lambda| > 2/3^{3/2} = 0.385$. Source: Zhong and DeWeese, PRE 106, 044135 (2022).

    Raises ValueError unless `barrier`, $E_0$ in $k_BT$, is positive.
    """
    if not barrier > 0:
        raise ValueError(f"the barrier E_0 must be positive, got {barrier!r}")
    return polynomial_potential(barrier * np.array([0.25, 0, -0.5, 0, 0.25]), [[0, -barrier]])


def harmonic_trap() -> PolynomialPotential:
    r"""The trap $\frac12 kx^2 - bx$ with two controls, $\lambda = (k, b)$: minimum at $b/k$."""
    return polynomial_potential([0.0], [[0, 0, 0.5], [0, -1]])


def coefficients(polynomial: PolynomialPotential, control: ArrayLike) -> Array:
    r"""Coefficients of $U_\lambda$, shape (..., degree + 1) for controls (..., m)."""
    values = np.asarray(control, dtype=np.float64)
    if len(polynomial.observables) == 1 and (values.ndim == 0 or values.shape[-1] != 1):
        values = values[..., None]
    return polynomial.base + values @ polynomial.observables


def check_confining(polynomial: PolynomialPotential, control: ArrayLike) -> None:
    """ValueError if the polynomial at one control value does not grow on both sides: no equilibrium exists."""
    values = np.trim_zeros(coefficients(polynomial, np.asarray(control, dtype=np.float64).reshape(-1)).ravel(), "b")
    degree = values.size - 1
    if degree < 1 or degree % 2 == 1 or values[-1] < 0:
        raise ValueError(
            f"the potential at control {control!r} does not confine and cannot be normalised: expected an even power "
            f"with a positive coefficient to lead, got {values[-1] if values.size else 0:g} x^{max(degree, 0)}"
        )


def on_grid(polynomial: PolynomialPotential, x: ArrayLike) -> ControlledPotential:
    """The same potential on a uniform grid (n,); ValueError as in
    :func:`replica.thermodynamics.fokker_planck.controlled_potential`."""
    x = np.asarray(x, dtype=np.float64)
    powers = np.vander(x.ravel(), polynomial.base.size, increasing=True)
    return controlled_potential(x, powers @ polynomial.base, polynomial.observables @ powers.T)


def confining_grid(polynomial: PolynomialPotential, controls: ArrayLike, cells: int, rise: float = 30.0) -> Array:
    """The uniform grid (cells,) at whose ends the potential has risen by `rise` or more at each of the controls (c, m).

    A density there is $e^{-30}$ of its maximum by default. Raises ValueError for a potential that does not confine, for
    fewer than 3 cells, or a rise that is not positive.
    """
    if cells < 3 or not rise > 0:
        raise ValueError(f"expected at least 3 cells and a positive rise, got {cells!r} and {rise!r}")
    ends = []
    values = np.asarray(controls, dtype=np.float64)
    for control in values.reshape(-1, len(polynomial.observables)):
        check_confining(polynomial, control)
        energy = np.polynomial.Polynomial(coefficients(polynomial, control).ravel()).trim()
        turning = energy.deriv().roots()
        lowest = energy(turning[np.abs(turning.imag) < 1e-9].real).min()
        crossings = (energy - lowest - rise).roots()
        ends.append(crossings[np.abs(crossings.imag) < 1e-9].real)
    return np.linspace(min(e.min() for e in ends), max(e.max() for e in ends), cells)
