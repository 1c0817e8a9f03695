r"""Networks of a few spins in contact with a heat bath: exact steady state, entropy production, simulation.

Spins :math:`x\in\{-1,1\}^N` with couplings :math:`J` (:math:`J_{ij}` acts on :math:`i`, no self-coupling, in general
:math:`J\ne J^{\sf T}`) and fields :math:`H` flip one at a time with the Glauber rates

.. math::

    k_i(x)=\frac{e^{-x_ih_i}}{2\cosh h_i},\qquad h_i(x)=\sum_jJ_{ij}x_j+H_i ,

at :math:`\beta=1` and one attempt per spin and unit time. Configurations are numbered as binary numbers, the first spin
the highest bit: --, -+, +-, ++ for two spins. Entropies in nats, rates in nats per attempt time.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from replica.sampling.ising import binary_states
from replica.thermodynamics.spin_solver import pull_back, solve, trajectory

Array = NDArray[np.float64]

#: Most spins for which the master equation is solved.
MAX_SPINS = 11


class SteadyState(NamedTuple):
    """Steady states of P devices, each under S inputs."""

    distribution: Array
    r"""Probabilities :math:`\pi(x|s)` of the configurations, shape (P, S, n)."""
    entropy_production: Array
    r"""Rates :math:`\sigma(s)\ge0` in nats per attempt time, shape (P, S)."""
    factors: Array
    """The elimination, shape (P, S, n/2, n/2), for :func:`steady_state_gradient`."""
    pairs: Array
    """Fields and rates of all pairs of neighbouring configurations, shape (P, S, 3, n/2, N), for the same."""
    leaving: Array
    """Rates of leaving the even configurations, shape (P, S, n/2), for the same."""


def spin_states(n_spins: int) -> Array:
    r"""All :math:`2^N` configurations, shape (n, N), entries -1 and 1, the first spin changing slowest.

    Raises
    ------
    ValueError
        If there is no spin or more than :data:`MAX_SPINS`.
    """
    if int(n_spins) != n_spins or n_spins < 1:
        raise ValueError(f"expected a whole number of spins, at least 1; got {n_spins!r}")
    if n_spins > MAX_SPINS:
        memory = 4.0**n_spins * 8 / 2**30
        raise ValueError(
            f"{n_spins} spins have 2^{n_spins} = {2**n_spins} configurations, and their master equation fills "
            f"{memory:.3g} GiB for each input; an exact solution is offered for up to {MAX_SPINS} spins"
        )
    return 2 * binary_states(n_spins) - 1


def check_network(couplings: ArrayLike, fields: ArrayLike) -> tuple[Array, Array]:
    """Couplings (..., N, N) and fields (..., N) as arrays.

    Raises
    ------
    ValueError
        If couplings are not square, their size is not that of the fields, an entry is not finite, or a spin couples to
        itself (the entropy of a flip would then not be the one used here).
    """
    j, h = np.asarray(couplings, dtype=np.float64), np.asarray(fields, dtype=np.float64)
    if j.ndim < 2 or j.shape[-1] != j.shape[-2]:
        raise ValueError(f"expected square coupling matrices, shape (..., N, N); got shape {j.shape}")
    if h.ndim < 1 or h.shape[-1] != j.shape[-1]:
        raise ValueError(f"expected fields on {j.shape[-1]} spins, shape (..., {j.shape[-1]}); got shape {h.shape}")
    for name, a in (("couplings", j), ("fields", h)):
        if not np.isfinite(a).all():
            raise ValueError(f"expected finite {name}; got NaN or infinity")
    diagonal = np.diagonal(j, axis1=-2, axis2=-1)
    if diagonal.any():
        raise ValueError(
            f"expected no spin to couple to itself; the largest self-coupling is {np.abs(diagonal).max():.3g}"
        )
    return j, h


def flip_rates(couplings: ArrayLike, fields: ArrayLike) -> Array:
    r"""Rates :math:`k_i(x)` of all flips out of all configurations, shape (..., n, N)."""
    j, h = check_network(couplings, fields)
    x = spin_states(j.shape[-1])
    local = x @ np.swapaxes(j, -1, -2) + h[..., None, :]
    return expit(-2.0 * x * local)


def transition_rates(couplings: ArrayLike, fields: ArrayLike) -> Array:
    r"""The same as a matrix :math:`w_{yx}` for :mod:`replica.thermodynamics.markov`, shape (..., n, n)."""
    k = flip_rates(couplings, fields)
    n, spins = k.shape[-2:]
    w = np.zeros((*k.shape[:-2], n, n))
    x = np.arange(n)
    for i in range(spins):
        w[..., x ^ (1 << (spins - 1 - i)), x] = k[..., i]
    return w


def boltzmann_distribution(couplings: ArrayLike, fields: ArrayLike) -> Array:
    r"""Equilibrium of reciprocal couplings, :math:`\pi\propto e^{\frac12x^{\sf T}Jx+H\cdot x}`, shape (..., n).

    Raises
    ------
    ValueError
        If the couplings are not symmetric: then there is no energy.
    """
    j, h = check_network(couplings, fields)
    if not np.array_equal(j, np.swapaxes(j, -1, -2)):
        raise ValueError("Boltzmann's distribution needs symmetric couplings")
    x = spin_states(j.shape[-1])
    weight = 0.5 * np.einsum("xi,...ij,xj->...x", x, j, x) + h @ x.T
    p = np.exp(weight - weight.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True)


@lru_cache(maxsize=8)
def _layout(n_spins: int) -> tuple[NDArray[np.int64], ...]:
    """Odd and even configurations, and who is whose neighbour among them."""
    x = spin_states(n_spins)
    number = np.arange(len(x))
    is_odd = (x > 0).sum(axis=1) % 2 == 1
    odd, even = number[is_odd], number[~is_odd]
    place = np.empty(len(x), dtype=np.int64)
    place[odd], place[even] = np.arange(len(odd)), np.arange(len(even))
    flips = 1 << np.arange(n_spins - 1, -1, -1)
    return odd, even, place[odd[:, None] ^ flips], place[even[:, None] ^ flips]


def _batch(couplings: ArrayLike, fields: ArrayLike) -> tuple[Array, Array]:
    j, h = check_network(couplings, fields)
    if j.ndim != 3 or h.ndim != 3 or len(j) != len(h):
        raise ValueError(f"expected couplings (P, N, N) and fields (P, S, N); got shapes {j.shape} and {h.shape}")
    return np.ascontiguousarray(j), np.ascontiguousarray(h)


def steady_states(couplings: ArrayLike, fields: ArrayLike) -> SteadyState:
    r"""Exact steady states and entropy production rates of many devices under many inputs,

    .. math::

        \sigma(s)=-2\sum_{x,i}\pi(x|s)\,k_i(x|s)\,x_ih_i(x,s)\ \ge\ 0 ,

    zero for reciprocal couplings.

    Parameters
    ----------
    couplings : array, shape (P, N, N)
        :math:`J` of each device.
    fields : array, shape (P, S, N)
        :math:`H` of each device under each input.

    Raises
    ------
    ValueError
        For a bad network (:func:`check_network`), shapes that do not fit, or too many spins.
    """
    j, h = _batch(couplings, fields)
    spins = spin_states(j.shape[-1])
    return SteadyState(*solve(j, h, *_layout(j.shape[-1]), spins))


def steady_state_gradient(steady: SteadyState, slope: ArrayLike, weight: ArrayLike) -> tuple[Array, Array]:
    r"""Exact gradient of :math:`G=f(\pi)+w\sum_s\sigma(s)` with respect to couplings and fields.

    Parameters
    ----------
    steady : SteadyState
        From :func:`steady_states`.
    slope : array, shape (P, S, n)
        :math:`\partial f/\partial\pi(x|s)`.
    weight : array, shape (P,)
        :math:`w` of each device.

    Returns
    -------
    (array (P, N, N), array (P, S, N))
        :math:`\partial G/\partial J` (diagonal zero) and :math:`\partial G/\partial H`.

    Raises
    ------
    ValueError
        If slope or weight do not fit.
    """
    slope = np.ascontiguousarray(slope, dtype=np.float64)
    weight = np.ascontiguousarray(weight, dtype=np.float64)
    if slope.shape != steady.distribution.shape or weight.shape != (len(slope),):
        raise ValueError(
            f"expected a slope of shape {steady.distribution.shape} and a weight for each device; "
            f"got {slope.shape} and {weight.shape}"
        )
    spins = steady.pairs.shape[-1]
    by_coupling, by_field = pull_back(
        *_layout(spins), spin_states(spins), steady.distribution, *steady[2:], slope, weight
    )
    return by_coupling.sum(axis=1), by_field


def simulate_spins(
    couplings: ArrayLike,
    fields: ArrayLike,
    duration: float,
    runs: int,
    rng: np.random.Generator,
    relaxation: float = 20.0,
) -> tuple[Array, Array]:
    r"""Independent runs of the exact jump process (Gillespie) of one network under one input.

    Parameters
    ----------
    couplings, fields : arrays, shapes (N, N) and (N,)
    duration : float
        Observed time of each run in attempt times.
    runs : int
    rng : numpy.random.Generator
    relaxation : float
        Time before it, from a random configuration.

    Returns
    -------
    (array (runs, n), array (runs,))
        Fraction of time spent in each configuration, and entropy produced per unit time: the logarithm of forward over
        reverse rates, summed over flips.

    Raises
    ------
    ValueError
        For a bad network, a time that is not positive, or no run.
    """
    j, h = check_network(couplings, fields)
    if j.ndim != 2 or h.ndim != 1:
        raise ValueError(f"expected one network, shapes (N, N) and (N,); got {j.shape} and {h.shape}")
    if not (np.isfinite(duration) and duration > 0 and relaxation >= 0 and runs >= 1):
        raise ValueError(f"expected a positive duration and one run at least; got {duration=}, {relaxation=}, {runs=}")
    states = spin_states(len(h))
    occupation, entropy = np.zeros((runs, len(states))), np.empty(runs)
    for run in range(runs):
        state = states[rng.integers(len(states))].copy()
        trajectory(j, h, state, float(relaxation), rng, np.empty(0))
        entropy[run] = trajectory(j, h, state, float(duration), rng, occupation[run])
    return occupation / duration, entropy / duration
