r"""The transition rule of Look Ahead HMC on a finite ring of energies, where the chain is a matrix.

States $(k, s)$ with rung $k = 0..n-1$ and direction $s = \pm1$; $L(k,s) = (k+s \bmod n,\ s)$ and $F(k,s) = (k,-s)$, so
$FF = FLFL = 1$ as for leapfrog. States are numbered $k$ for $s=+1$ and $n+k$ for $s=-1$.
"""

from __future__ import annotations

import numpy as np

from replica.sampling.leapfrog import check_count
from replica.sampling.look_ahead import lookahead_cumulative_recursive

__all__ = [
    "flip_permutation",
    "ladder_distribution",
    "ladder_energies",
    "ladder_flip_fraction",
    "ladder_transition_matrix",
    "simulate_ladder",
]


def _check(energies: np.ndarray) -> np.ndarray:
    energies = np.asarray(energies, dtype=np.float64)
    if energies.ndim != 1 or energies.size < 2:
        raise ValueError(f"energies must be a list of at least two numbers, got shape {energies.shape}")
    if not np.isfinite(energies).all():
        raise ValueError("the energies of a ladder must be finite; at least one is NaN or infinite")
    return energies


def flip_permutation(n_rungs: int) -> np.ndarray:
    """``(2 n,)`` indices: state i is turned into state ``flip_permutation(n)[i]`` by $F$."""
    return np.roll(np.arange(2 * n_rungs), n_rungs)


def ladder_distribution(energies: np.ndarray) -> np.ndarray:
    r"""Stationary distribution $p_{(k,s)} \propto e^{-E_k}$, shape ``(2 n,)``, summing to one."""
    energies = _check(energies)
    weight = np.exp(-(energies - energies.min()))
    return np.tile(weight / (2.0 * weight.sum()), 2)


def ladder_energies(energies: np.ndarray, n_lookahead: int) -> np.ndarray:
    """``(K + 1, 2 n)``: the energies $h_0..h_K$ that each state meets on its way along the ladder."""
    energies, n = _check(energies), len(energies)
    rungs = np.arange(check_count(n_lookahead, "n_lookahead") + 1)[:, None]
    k = np.arange(n)
    return np.concatenate([energies[(k + rungs) % n], energies[(k - rungs) % n]], axis=1)


def ladder_transition_matrix(energies: np.ndarray, n_lookahead: int) -> np.ndarray:
    r"""Row-stochastic $2n \times 2n$ matrix $T_K$ of LAHMC without momentum corruption, on a ring of n energies.

    The probabilities are those of the *published recursion* (`lookahead_cumulative_recursive`), so the matrix also
    checks the closed form that the sampler uses. ``n_lookahead=1`` is HMC.

    Raises
    ------
    ValueError
        Fewer than two energies, a non-finite one, or ``n_lookahead`` below 1.

    References
    ----------
    Sohl-Dickstein et al. (2014), Section 3.
    """
    energies, n = _check(energies), len(energies)
    cumulative = lookahead_cumulative_recursive(ladder_energies(energies, n_lookahead))
    leap = np.diff(cumulative, axis=0, prepend=0.0)
    k = np.arange(n)
    matrix = np.zeros((2 * n, 2 * n))
    for a in range(1, n_lookahead + 1):
        np.add.at(matrix, (k, (k + a) % n), leap[a - 1, :n])
        np.add.at(matrix, (n + k, n + (k - a) % n), leap[a - 1, n:])
    matrix[np.arange(2 * n), flip_permutation(n)] += 1.0 - cumulative[-1]
    return matrix


def ladder_flip_fraction(energies: np.ndarray, n_lookahead: int) -> float:
    r"""Exact stationary probability of a momentum flip, $\sum_i p_i (T_K)_{i,Fi}$."""
    matrix, p = ladder_transition_matrix(energies, n_lookahead), ladder_distribution(energies)
    return float(p @ matrix[np.arange(p.size), flip_permutation(len(energies))])


def simulate_ladder(
    energies: np.ndarray, n_lookahead: int, n_steps: int, n_chains: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    r"""Simulate the finite chain with the sampler's own rule (first rung with $h_a \le h_0 - \ln u$).

    Directions are drawn anew after every step, the ladder's version of full momentum corruption: it keeps the target
    and lets successive steps decorrelate. Chains start in equilibrium.

    Returns
    -------
    occupation : ``(n, n_chains)`` fraction of steps spent on each rung.
    flips : ``(n_chains,)`` fraction of steps that flipped.
    """
    energies, n = _check(energies), len(energies)
    n_steps, n_chains = check_count(n_steps, "n_steps"), check_count(n_chains, "n_chains")
    along = ladder_energies(energies, n_lookahead)
    p = ladder_distribution(energies)
    rung = rng.choice(2 * n, size=n_chains, p=p) % n
    occupation, flips = np.zeros((n, n_chains)), np.zeros(n_chains)
    chain = np.arange(n_chains)
    for _ in range(n_steps):
        backward = rng.random(n_chains) < 0.5
        heights = along[:, rung + n * backward]
        below = heights[1:] <= heights[0] - np.log(1.0 - rng.random(n_chains))
        moved = below.any(axis=0)
        leap = np.where(moved, below.argmax(axis=0) + 1, 0)
        rung = (rung + np.where(backward, -leap, leap)) % n
        flips += ~moved
        occupation[rung, chain] += 1.0
    return occupation / n_steps, flips / n_steps
