r"""Brownian particles under a protocol: Langevin trajectories in a polynomial potential, with the work of each.

$$dx = -\partial_xU_{\lambda(t)}(x)\,dt + \sqrt2\,dB$$

by the Euler-Maruyama scheme. Nothing is shared with the Fokker-Planck equation but the polynomial's coefficients and,
for the initial positions, the tabulated equilibrium.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from replica.thermodynamics.fokker_planck import equilibrium
from replica.thermodynamics.polynomials import PolynomialPotential, check_confining, coefficients, on_grid

Array = NDArray[np.float64]


@njit(cache=True)
def _polynomial(values, x):
    """Horner's rule, lowest power first."""
    total = 0.0
    for k in range(values.size - 1, -1, -1):
        total = total * x + values[k]
    return total


@njit(cache=True)
def _drive(positions, work, forces, changes, substeps, dt, record, snapshots, rng):
    """Hold the force of each row for `substeps` steps, after the jump of the potential by the row of changes."""
    noise = np.sqrt(2.0 * dt)
    shot = 0
    for k in range(changes.shape[0]):
        for i in range(positions.size):
            work[i] += _polynomial(changes[k], positions[i])
        if shot < record.size and record[shot] == k:
            snapshots[shot] = positions
            shot += 1
        if k < forces.shape[0]:
            for i in range(positions.size):
                x = positions[i]
                for _ in range(substeps):
                    x += _polynomial(forces[k], x) * dt + noise * rng.standard_normal()
                positions[i] = x


@njit(cache=True)
def _integrated_correlation(positions, force, observable, mean, steps, dt, rng):
    """For each particle its deviation at the start times the time integral of its deviation (trapezoid)."""
    noise = np.sqrt(2.0 * dt)
    products = np.empty(positions.size)
    for i in range(positions.size):
        x = positions[i]
        before = _polynomial(observable, x) - mean
        total = 0.5 * before
        now = before
        for _ in range(steps):
            x += _polynomial(force, x) * dt + noise * rng.standard_normal()
            now = _polynomial(observable, x) - mean
            total += now
        products[i] = before * (total - 0.5 * now) * dt
    return products


class DrivenParticles(NamedTuple):
    """What became of the particles.

    Attributes
    ----------
    work : array (particles,)
        Work done on each in $k_BT$, all jumps of the control included.
    positions : array (particles,)
        At the end.
    snapshots : array (r, particles)
        Positions at the time steps asked for, before the step.
    """

    work: Array
    positions: Array
    snapshots: Array


def sample_equilibrium(x: Array, probability: Array, particles: int, rng: np.random.Generator) -> Array:
    """Positions (particles,) from cell probabilities on a uniform grid: a cell at random, then a place in it."""
    spacing = x[1] - x[0]
    borders = np.concatenate([[0.0], np.cumsum(probability)])
    borders /= borders[-1]
    return np.interp(rng.random(particles), borders, np.append(x, x[-1] + spacing) - 0.5 * spacing)


def simulate(
    polynomial: PolynomialPotential,
    protocol: ArrayLike,
    duration: float,
    start: ArrayLike,
    goal: ArrayLike,
    initial: Array,
    rng: np.random.Generator,
    *,
    longest_step: float = 2e-4,
    record: ArrayLike = (),
) -> DrivenParticles:
    r"""Drive particles along a protocol and collect the work $\sum_k[U_{\lambda_k}(x_k) - U_{\lambda_{k-1}}(x_k)]$.

    Parameters
    ----------
    polynomial : PolynomialPotential
    protocol : array (K,) or (K, m)
        Control values, each held for `duration / K`.
    duration : float
    start, goal : control values before and after.
    initial : array (particles,)
        Positions in equilibrium at the start; they are not changed.
    rng : numpy.random.Generator
    longest_step : float
        Longest time step; the error of means is of first order in it.
    record : increasing integers from 0 to K
        Time steps before which positions are kept; K is the end.

    Raises
    ------
    ValueError
        For NaN, a duration or step that is not positive, a `record` that is anything else, or a first or last
        potential that cannot be normalised.
    """
    values = np.asarray(protocol, dtype=np.float64)
    m = len(polynomial.observables)
    values = values.reshape(len(values), -1) if values.ndim else values
    if values.ndim != 2 or values.shape[1] != m or not np.isfinite(values).all():
        raise ValueError(f"a protocol must be finite, of shape (K,) or (K, {m}), got shape {np.shape(protocol)}")
    if not (np.isfinite(duration) and duration > 0 and longest_step > 0):
        raise ValueError(f"duration and longest_step must be positive, got {duration!r} and {longest_step!r}")
    if not np.isfinite(initial).all():
        raise ValueError("initial positions must be finite, got NaN or infinity")
    ends = [np.asarray(value, dtype=np.float64).reshape(1, m) for value in (start, goal)]
    for end in ends:
        check_confining(polynomial, end)
    path = coefficients(polynomial, np.concatenate([ends[0], values, ends[1]]))
    changes = np.diff(path, axis=0)
    forces = -path[1:-1, 1:] * np.arange(1, path.shape[1])
    substeps = int(np.ceil(duration / len(values) / longest_step))
    positions, work = np.array(initial, dtype=np.float64), np.zeros(len(initial))
    record = _check_record(record, len(values))
    snapshots = np.empty((record.size, positions.size))
    _drive(positions, work, forces, changes, substeps, duration / len(values) / substeps, record, snapshots, rng)
    return DrivenParticles(work, positions, snapshots)


def _check_record(record: ArrayLike, steps: int) -> NDArray[np.int64]:
    asked = np.asarray(record)
    moments = asked.astype(np.int64) if np.isfinite(asked).all() else np.array([-1])
    inside = moments.size == 0 or (moments.min() >= 0 and moments.max() <= steps)
    if moments.ndim != 1 or not inside or (moments != asked).any() or not (np.diff(moments) > 0).all():
        raise ValueError(f"record must be increasing integers from 0 to {steps}, got {record!r}")
    return moments


def friction_from_particles(
    polynomial: PolynomialPotential,
    control: float,
    x: ArrayLike,
    time: float,
    particles: int,
    rng: np.random.Generator,
    time_step: float = 1e-3,
) -> tuple[float, float]:
    r"""Friction $\langle\delta X(0)\int_0^T\delta X(t)\,dt\rangle$ of one control from trajectories in equilibrium.

    Parameters
    ----------
    polynomial : PolynomialPotential
        With one control.
    control : float
    x : array (n,)
        Grid for the initial equilibrium and the mean of X.
    time : float
        $T$, many relaxation times: what is cut off is a share $e^{-\kappa_1T}$.
    particles : int
    rng : numpy.random.Generator
    time_step : float

    Returns
    -------
    mean and standard error over the particles. Raises ValueError for more than one control or a bad time.
    """
    if len(polynomial.observables) != 1:
        raise ValueError(f"expected one control, got {len(polynomial.observables)}")
    if not (time > 0 and time_step > 0):
        raise ValueError(f"time and time_step must be positive, got {time!r} and {time_step!r}")
    system = on_grid(polynomial, x)
    p = equilibrium(system, [control])
    row = coefficients(polynomial, [control]).ravel()
    force = -row[1:] * np.arange(1, row.size)
    initial = sample_equilibrium(system.x, p, particles, rng)
    steps = int(np.ceil(time / time_step))
    mean = float(p @ system.observables[0])
    products = _integrated_correlation(initial, force, polynomial.observables[0], mean, steps, time_step, rng)
    return float(products.mean()), float(products.std(ddof=1) / np.sqrt(particles))
