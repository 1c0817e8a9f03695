r"""The dynamics behind minimum probability flow, on a finite set of states where everything is a matrix.

$$\dot p = \Gamma p, \qquad \Gamma_{ij} = g_{ij}\,e^{\frac12[E_j-E_i]}\ (i\ne j), \qquad
  \Gamma_{jj} = -\sum_{i\ne j}\Gamma_{ij} .$$

Source: Sohl-Dickstein, Battaglino and DeWeese, Phys. Rev. Lett. 107, 220601 (2011), equations of the dynamics.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import expm
from scipy.special import rel_entr

Array = NDArray[np.float64]


def single_flip_neighbours(n_units: int) -> NDArray[np.bool_]:
    """Which of the $2^d$ states differ in one unit, ``(2^d, 2^d)``, numbered as in `replica.sampling.ising`."""
    if not 1 <= n_units <= 11:
        raise ValueError(f"expected 1 to 11 units for a matrix over all states, got {n_units}")
    code = np.arange(2**n_units)
    return np.isin(code[:, None] ^ code, 1 << np.arange(n_units))


def flow_matrix(energies: ArrayLike, connected: ArrayLike) -> Array:
    r"""The rates $\Gamma$, ``(m, m)``, column $j$ for the flow out of state $j$.

    Parameters
    ----------
    energies : ``(m,)``, in units of $kT$.
    connected : ``(m, m)``, symmetric, true for neighbours; its diagonal is not used.

    Raises
    ------
    ValueError : energies not finite (a state of probability zero has none), or connections not symmetric.
    """
    energies, connected = np.asarray(energies, dtype=np.float64), np.asarray(connected, dtype=bool)
    if energies.ndim != 1 or connected.shape != (energies.size, energies.size):
        raise ValueError(f"expected m energies and an (m, m) matrix, got {energies.shape} and {connected.shape}")
    if not np.isfinite(energies).all():
        raise ValueError("energies: expected finite numbers; states of probability zero have no rates, leave them out")
    if (connected != connected.T).any():
        raise ValueError("connected: expected a symmetric matrix, else detailed balance fails")
    rates = np.where(connected, np.exp(0.5 * (energies[None, :] - energies[:, None])), 0.0)
    np.fill_diagonal(rates, 0.0)
    rates[np.diag_indices(energies.size)] = -rates.sum(axis=0)
    return rates


def _check_distribution(p: ArrayLike, n_states: int) -> Array:
    p = np.asarray(p, dtype=np.float64)
    if p.shape != (n_states,) or not (p >= 0).all() or abs(p.sum() - 1) > 1e-9:
        raise ValueError(f"expected {n_states} probabilities that sum to one, got shape {p.shape}, sum {p.sum():.6g}")
    return p


def evolve(rates: Array, start: ArrayLike, times: ArrayLike) -> Array:
    r"""$p(t)=e^{\Gamma t}p(0)$ at the times given, ``(len(times), m)``."""
    start = _check_distribution(start, len(rates))
    return np.stack([expm(rates * t) @ start for t in np.atleast_1d(times)])


def initial_flow(rates: Array, start: ArrayLike) -> float:
    r"""Flow from occupied to empty states at the first moment,

    $$K = \sum_{j:p_j(0)>0}p_j(0)\sum_{i:p_i(0)=0}\Gamma_{ij}
        = \frac{d}{d\epsilon}D_{KL}(p(0)\,\|\,p(\epsilon))\Big|_{\epsilon=0} ;$$

    zero if every state is occupied.
    """
    start = _check_distribution(start, len(rates))
    return float((rates[np.ix_(start == 0, start > 0)] @ start[start > 0]).sum())


def divergence_after(rates: Array, start: ArrayLike, times: ArrayLike) -> Array:
    r"""$D_{KL}(p(0)\,\|\,p(\epsilon))$ in nats for each time, by the matrix exponential."""
    start = _check_distribution(start, len(rates))
    return rel_entr(start, evolve(rates, start, times)).sum(axis=1)
