r"""The jump process of Markov-jump HMC on a finite ring of energies, where it is a matrix, and its spectral gap.

States $(k,s)$ with rung $k=0..n-1$ and direction $s=\pm1$ as in `replica.sampling.ladder`; momenta are not redrawn.
Every function takes a batch: energies ``(..., n)``, matrices ``(..., 2n, 2n)``.

Three definitions of the gap are in use, and they do not rank samplers alike:

- `real_part_gap` of the jump chain (authors' code, "full");
- `lumped_gap` of the jump chain, directions summed out first (authors' code, "half", its default);
- `relaxation_gap` of the process in time, per jump.

The gap that bounds convergence in discrete time, $1-\max_{i\ge2}|\lambda_i|$, is often zero for both samplers, because
a ring of even length is periodic, and then ranks nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from replica.sampling.markov_jump import jump_rates

__all__ = [
    "LadderDiffusion",
    "embedded_chain",
    "ladder_diffusion",
    "ladder_generator",
    "ladder_law",
    "lump_flips",
    "lumped_gap",
    "metropolis_ladder",
    "real_part_gap",
    "relaxation_gap",
]

_LARGEST_SPAN = 1400.0  # the rate exp(span / 2) must not exceed double precision


def _check(energies: np.ndarray) -> np.ndarray:
    energies = np.asarray(energies, dtype=np.float64)
    if energies.ndim < 1 or energies.shape[-1] < 2:
        raise ValueError(f"energies must have shape (..., n) with at least two rungs, got {energies.shape}")
    if not np.isfinite(energies).all():
        raise ValueError("the energies of a ladder must be finite; at least one is NaN or infinite")
    span = np.max(np.ptp(energies, axis=-1), initial=0.0)
    if span > _LARGEST_SPAN:
        raise ValueError(f"the energies of a ladder may span at most {_LARGEST_SPAN:.0f}, got {span:.4g}")
    return energies


def ladder_law(energies: np.ndarray) -> np.ndarray:
    r"""Stationary law $p_{(k,s)}\propto e^{-E_k}$, shape ``(..., 2n)``, summing to one."""
    energies = _check(energies)
    weight = np.exp(energies.min(axis=-1, keepdims=True) - energies)
    half = weight / (2.0 * weight.sum(axis=-1, keepdims=True))
    return np.concatenate([half, half], axis=-1)


def _fill(energies: np.ndarray, leap: np.ndarray, flip: np.ndarray) -> np.ndarray:
    """A matrix from the entries of the moves, each ``(..., 2n)``: first the n states upwards, then downwards."""
    n = energies.shape[-1]
    matrix = np.zeros((*energies.shape[:-1], 2 * n, 2 * n))
    up, state = np.arange(n), np.arange(2 * n)
    matrix[..., state, np.concatenate([(up + 1) % n, n + (up - 1) % n])] = leap
    matrix[..., state, np.roll(state, n)] += flip
    return matrix


def _both_ways(energies: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    above, below = np.roll(energies, -1, axis=-1), np.roll(energies, 1, axis=-1)
    here = np.concatenate([energies, energies], axis=-1)
    return here, np.concatenate([above, below], axis=-1), np.concatenate([below, above], axis=-1)


def ladder_generator(energies: np.ndarray) -> np.ndarray:
    r"""Generator $G$ of Markov-jump HMC without refreshed momenta: $pG=0$, rows sum to zero,

    $$G_{(k,s)\to(k+s,s)} = e^{\frac12(E_k-E_{k+s})}, \qquad
      G_{(k,s)\to(k,-s)} = \max\big(0,\, e^{\frac12(E_k-E_{k-s})}-e^{\frac12(E_k-E_{k+s})}\big) .$$

    Parameters
    ----------
    energies : array ``(..., n)``

    Returns
    -------
    array ``(..., 2n, 2n)``

    Raises
    ------
    ValueError
        Fewer than two energies, one that is not finite, or a ladder that spans more than 1400.

    References
    ----------
    Berger et al. (2015), Section 3, and their ladder code.
    """
    energies = _check(energies)
    generator = _fill(energies, *jump_rates(*_both_ways(energies)))
    state = np.arange(generator.shape[-1])
    generator[..., state, state] = -generator.sum(axis=-1)
    return generator


def metropolis_ladder(energies: np.ndarray) -> np.ndarray:
    r"""Transition matrix of HMC on the same ring: up the ladder with $\min(1,e^{E_k-E_{k+s}})$, else flip.

    Equal to `replica.sampling.ladder.ladder_transition_matrix` with one rung of look-ahead, but for batches.
    """
    energies = _check(energies)
    here, ahead, _ = _both_ways(energies)
    leap = np.exp(np.minimum(0.0, here - ahead))
    return _fill(energies, leap, 1.0 - leap)


def embedded_chain(generator: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""Jump chain $P_{ij}=G_{ij}/q_i$ and rates of leaving $q_i=-G_{ii}$; its stationary law is $\propto p\,q$."""
    generator = np.asarray(generator, dtype=np.float64)
    rates = -np.diagonal(generator, axis1=-2, axis2=-1)
    if not (rates > 0).all():
        raise ValueError("every state of the generator must be left at a positive rate")
    chain = generator / rates[..., None]
    state = np.arange(generator.shape[-1])
    chain[..., state, state] = 0.0
    return chain, rates


def lump_flips(transition: np.ndarray) -> np.ndarray:
    r"""Sum out the direction, $(k,\pm)\to k$, and normalise the rows: ``(..., 2n, 2n)`` to ``(..., n, n)``."""
    transition = np.asarray(transition, dtype=np.float64)
    size = transition.shape[-1]
    if size % 2 or transition.shape[-2] != size:
        raise ValueError(f"expected square matrices of even size, got shape {transition.shape}")
    blocks = transition.reshape(*transition.shape[:-2], 2, size // 2, 2, size // 2).sum(axis=(-4, -2))
    return blocks / blocks.sum(axis=-1, keepdims=True)


def real_part_gap(transition: np.ndarray) -> np.ndarray:
    r"""$1-|\lambda_2|$, where $\lambda_2$ has the second largest *real part* of all eigenvalues; shape ``(...,)``.

    Eigenvalues near minus one, which a ladder has by its periodicity, are passed over. Source: the authors' code.
    """
    eigenvalues = np.linalg.eigvals(np.asarray(transition, dtype=np.float64))
    order = np.argsort(-eigenvalues.real, axis=-1, kind="stable")
    return 1.0 - np.abs(np.take_along_axis(eigenvalues, order[..., 1:2], axis=-1))[..., 0]


def lumped_gap(transition: np.ndarray) -> np.ndarray:
    """`real_part_gap` after `lump_flips`."""
    return real_part_gap(lump_flips(transition))


def relaxation_gap(generator: np.ndarray, law: np.ndarray) -> np.ndarray:
    r"""Rate of the slowest relaxation in units of the mean rate of jumps, $-\mathrm{Re}\,\lambda_2(G)/\sum_i p_iq_i$.

    For HMC in discrete time take $G=T-1$, the same chain at the ticks of a Poisson clock of rate one. (On a ladder it
    leaps or flips at every tick, so its mean rate of jumps is one.)

    Parameters
    ----------
    generator : array ``(..., m, m)``
    law : array ``(..., m)``
        Its stationary law.
    """
    generator = np.asarray(generator, dtype=np.float64)
    second = np.sort(np.linalg.eigvals(generator).real, axis=-1)[..., -2]
    return -second / -np.einsum("...i,...ii->...", np.asarray(law), generator)


class LadderDiffusion(NamedTuple):
    """Diffusion coefficients along a long ladder, in rungs squared per step (HMC) or per jump.

    Attributes
    ----------
    hmc : array
        HMC with flips.
    jump : array
        Markov-jump HMC.
    hmc_lumped : array
        HMC with the direction summed out, that is, forgotten at every step.
    jump_lumped : array
        The jump chain with the direction summed out.
    """

    hmc: np.ndarray
    jump: np.ndarray
    hmc_lumped: np.ndarray
    jump_lumped: np.ndarray


def ladder_diffusion(energies: np.ndarray) -> LadderDiffusion:
    r"""How fast the rung diffuses on a ladder that is long against the distance between flips.

    In a stationary state with a current J along the ladder, let h be the density over the target's. Every bond then
    drops the mean of $h_+$ and $h_-$ by J times a resistance, and $D = 1/(\langle w\rangle\langle R\rangle)$ with w the
    weight of a rung. With $p_k=e^{-E_k}$ and the bonds $s_k=\sqrt{p_kp_{k+1}}$,

    $$\begin{aligned}
    \text{HMC:}\quad & w = 2p, & R &= \Big\langle\frac1{\min(p_k,p_{k+1})}\Big\rangle
      - \Big\langle\frac1{p}\Big\rangle,\\
    \text{jumps:}\quad & w = 2\max(s_k,s_{k-1}), & R &= \Big\langle\frac1{s}\Big\rangle
      - \Big\langle\frac1{\max(s_k,s_{k-1})}\Big\rangle,\\
    \text{HMC, lumped:}\quad & w = p, & R &= 2\Big\langle\frac1{\min(p_k,p_{k+1})}\Big\rangle,\\
    \text{jumps, lumped:}\quad & w = \max(s_k,s_{k-1}), & R &= 2\Big\langle\frac1{s}\Big\rangle .
    \end{aligned}$$

    On a long ring of n rungs every gap of this module tends to $D\,(2\pi/n)^2$.

    Parameters
    ----------
    energies : array ``(..., n)``
        The energies of a ladder; or a great many from its law, for the limit of long ladders.

    Returns
    -------
    LadderDiffusion
        Each of shape ``(...,)``; infinite where nothing is ever refused.
    """
    energies = _check(energies)
    energies = energies - 0.5 * (energies.min(axis=-1, keepdims=True) + energies.max(axis=-1, keepdims=True))
    above = np.roll(energies, -1, axis=-1)
    p, bond = np.exp(-energies), np.exp(-0.5 * (energies + above))
    narrow = np.exp(-np.maximum(energies, above))
    wide = np.maximum(bond, np.roll(bond, 1, axis=-1))

    def inverse(weight: np.ndarray, resistance: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", over="ignore"):  # a coefficient below the smallest number is zero
            return 1.0 / (weight.mean(axis=-1) * resistance.mean(axis=-1))

    return LadderDiffusion(
        inverse(2.0 * p, 1.0 / narrow - 1.0 / p),
        inverse(2.0 * wide, 1.0 / bond - 1.0 / wide),
        inverse(p, 2.0 / narrow),
        inverse(wide, 2.0 / bond),
    )
