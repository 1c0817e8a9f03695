"""Autocorrelation of chains with a known mean, the cost of reaching a given level, and errors by batches of chains."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import fft

from replica.sampling.leapfrog import check_count

__all__ = [
    "MixingSummary",
    "autocorrelation",
    "autocovariance",
    "crossing",
    "gradient_evaluations",
    "jackknife",
    "mixing_summary",
    "transition_fractions",
]

_CHUNK = 4_000_000  # numbers transformed at once: bounds the memory of the FFT to about 100 MB


def autocovariance(samples: np.ndarray, max_lag: int) -> np.ndarray:
    r"""Zero-mean autocovariance of each chain, summed over dimensions, by FFT with zero padding,

    $$c(t) = \frac{1}{T-t} \sum_{\tau=1}^{T-t} x(\tau)\cdot x(\tau+t), \qquad t = 0..t_{max} .$$

    The mean is known to be zero and is *not* subtracted: a sample mean taken from a chain shorter than its own
    memory would hide just the slow decay that is to be measured.

    Parameters
    ----------
    samples : ``(T, n_dims, n_chains)``, or ``(T, n_chains)`` for one dimension.
    max_lag : $t_{max}$, below T.

    Returns
    -------
    ``(max_lag + 1, n_chains)``, float64.

    Raises
    ------
    ValueError : wrong number of axes, NaN or infinite samples, or a lag outside 0..T-1.
    """
    samples = np.asarray(samples)
    if samples.ndim == 2:
        samples = samples[:, None, :]
    if samples.ndim != 3:
        raise ValueError(f"samples must have shape (T, n_dims, n_chains) or (T, n_chains), got {samples.shape}")
    n_times, n_dims, n_chains = samples.shape
    if int(max_lag) != max_lag or not 0 <= max_lag < n_times:
        raise ValueError(f"max_lag must be a whole number from 0 to {n_times - 1}, got {max_lag!r}")
    max_lag = int(max_lag)
    padded = fft.next_fast_len(n_times + max_lag, real=True)
    result = np.empty((max_lag + 1, n_chains))
    at_once = max(1, _CHUNK // padded)
    for first in range(0, n_chains, at_once):
        chains = slice(first, first + at_once)
        power = 0.0
        for dim in range(n_dims):
            series = np.ascontiguousarray(samples[:, dim, chains].T, dtype=np.float64)
            if not np.isfinite(series).all():
                raise ValueError("samples must be finite; at least one is NaN or infinite")
            spectrum = fft.rfft(series, n=padded, axis=1)
            power = power + spectrum.real**2 + spectrum.imag**2
        result[:, chains] = fft.irfft(power, n=padded, axis=1)[:, : max_lag + 1].T
    return result / (n_times - np.arange(max_lag + 1))[:, None]


def autocorrelation(covariance: np.ndarray) -> np.ndarray:
    r"""$\rho(t) = \langle c(t)\rangle / \langle c(0)\rangle$, shape ``(max_lag + 1,)``.

    ``covariance`` is ``(max_lag + 1, n_chains)`` as `autocovariance` returns it. Chains are averaged before the
    division, which is the less biased order.
    """
    mean = np.asarray(covariance).mean(axis=1)
    if not mean[0] > 0:
        raise ValueError("the autocovariance at lag zero must be positive; all samples are zero or not numbers")
    return mean / mean[0]


def crossing(rho: np.ndarray, level: float, spacing: float = 1.0) -> float:
    """Where a decaying curve first falls to ``level``, linearly interpolated; NaN where it is not reached.

    Parameters
    ----------
    rho : ``(n,)``, values at 0, spacing, 2 spacing, ...
    level : threshold in (0, 1), e.g. 0.5.
    spacing : distance of neighbours, e.g. gradient evaluations per lag.
    """
    rho = np.asarray(rho, dtype=np.float64)
    if rho.ndim != 1 or rho.size < 2:
        raise ValueError(f"rho must be a list of at least two numbers, got shape {rho.shape}")
    if not 0 < level < 1:
        raise ValueError(f"level must lie strictly between 0 and 1, got {level!r}")
    if not spacing > 0:
        raise ValueError(f"spacing must be positive, got {spacing!r}")
    if np.isnan(rho).any() or rho[0] < level:
        raise ValueError("rho must start above the level and must not hold NaN")
    below = np.flatnonzero(rho <= level)
    if below.size == 0:
        return float("nan")
    after = int(below[0])
    if after == 0:
        return 0.0
    high, low = rho[after - 1], rho[after]
    return float(spacing * (after - 1 + (high - level) / (high - low)))


def transition_fractions(rung_counts: np.ndarray) -> np.ndarray:
    r"""Fractions of $(F, L, \dots, L^K)$ over all chains: ``(K + 1, n_chains)`` counts to ``(K + 1,)``."""
    counts = np.asarray(rung_counts, dtype=np.float64)
    if counts.ndim != 2 or not counts.sum() > 0:
        raise ValueError("rung_counts must have shape (K + 1, n_chains) and hold at least one transition")
    return counts.sum(axis=1) / counts.sum()


def gradient_evaluations(rung_counts: np.ndarray, n_leapfrog: int) -> float:
    """Mean gradient evaluations per step, look-ahead included: M times the rungs that were integrated.

    A chain that goes to rung a has integrated a trajectories, a chain that flips has integrated K.
    """
    fractions = transition_fractions(rung_counts)
    n_lookahead = fractions.size - 1
    trajectories = fractions[0] * n_lookahead + fractions[1:] @ np.arange(1, n_lookahead + 1)
    return float(check_count(n_leapfrog, "n_leapfrog") * trajectories)


def jackknife(
    statistic: Callable[[np.ndarray], np.ndarray | float], n_chains: int, n_batches: int
) -> tuple[np.ndarray, np.ndarray]:
    r"""Value and standard error of a statistic of all chains, by leaving out one batch of chains at a time,

    $$\mathrm{se}^2 = \frac{n-1}{n} \sum_i (s_{(i)} - \bar s_{(\cdot)})^2 .$$

    Chains are independent, so batches of them are too; unlike a spread over single batches it is sound for a statistic
    that is not an average (a ratio, a crossing) and needs many chains to exist at all.

    Parameters
    ----------
    statistic : function of an integer index array of chains, returns a number or an array.
    n_chains, n_batches : at least two batches, at most one per chain.

    Returns
    -------
    value over all chains, standard error (NaN where the statistic is NaN for some batch).
    """
    n_chains, n_batches = check_count(n_chains, "n_chains"), check_count(n_batches, "n_batches")
    if not 2 <= n_batches <= n_chains:
        raise ValueError(f"n_batches must lie between 2 and n_chains = {n_chains}, got {n_batches}")
    chains = np.arange(n_chains)
    # every n_batches-th chain, so that batches differ by at most one chain
    partial = np.stack([np.asarray(statistic(chains[chains % n_batches != i])) for i in range(n_batches)])
    spread = ((partial - partial.mean(axis=0)) ** 2).sum(axis=0)
    return np.asarray(statistic(chains)), np.sqrt((n_batches - 1) / n_batches * spread)


class MixingSummary(NamedTuple):
    """How a sampler moved and what it cost; every ``_se`` is a jackknife standard error over batches of chains.

    Attributes
    ----------
    fractions : ``(K + 1,)``, share of steps that flipped (entry 0) or went to rung a (entry a).
    gradients : mean gradient evaluations per step, look-ahead included.
    mixing : gradient evaluations until the autocorrelation has fallen to the level, NaN where it is not reached.
    autocorrelation : ``(n_lags,)``.
    """

    fractions: np.ndarray
    fractions_se: np.ndarray
    gradients: float
    gradients_se: float
    mixing: float
    mixing_se: float
    autocorrelation: np.ndarray
    autocorrelation_se: np.ndarray


def mixing_summary(
    covariance: np.ndarray,
    rung_counts: np.ndarray,
    n_leapfrog: int,
    level: float = 0.5,
    spacing: int = 1,
    n_batches: int = 10,
) -> MixingSummary:
    """Transition fractions, cost per step, gradient evaluations to ``level`` and autocorrelation, with standard errors.

    Parameters
    ----------
    covariance : ``(n_lags, n_chains)`` from `autocovariance`; ``spacing`` is the number of steps between lags.
    rung_counts : ``(K + 1, n_chains)``, the move counts of `replica.sampling.chains.run_chains`.
    n_leapfrog : M; ``level`` in (0, 1); ``n_batches`` : batches of chains for the errors.

    Raises
    ------
    ValueError : the two arrays disagree in the number of chains, or an argument is out of range.
    """
    covariance, rung_counts = np.asarray(covariance), np.asarray(rung_counts)
    if covariance.ndim != 2 or rung_counts.ndim != 2 or covariance.shape[1] != rung_counts.shape[1]:
        raise ValueError(
            "covariance (n_lags, n_chains) and rung_counts (K + 1, n_chains) must have the same chains, "
            f"got {covariance.shape} and {rung_counts.shape}"
        )
    if not 2 <= n_batches <= covariance.shape[1]:
        raise ValueError(f"n_batches must lie between 2 and n_chains = {covariance.shape[1]}, got {n_batches}")
    # ratios of sums over chains: adding up within each batch first changes nothing and leaves little to repeat
    sums, counts = (
        np.stack([a[:, i::n_batches].sum(axis=1) for i in range(n_batches)], axis=1) for a in (covariance, rung_counts)
    )
    n_rungs = counts.shape[0]

    def statistic(batches: np.ndarray) -> np.ndarray:
        cost = gradient_evaluations(counts[:, batches], n_leapfrog)
        rho = autocorrelation(sums[:, batches])
        reached = crossing(rho, level, cost * spacing)
        return np.concatenate([transition_fractions(counts[:, batches]), [cost, reached], rho])

    value, error = jackknife(statistic, n_batches, n_batches)
    (fractions, rest), (fractions_se, rest_se) = (np.split(a, [n_rungs]) for a in (value, error))
    return MixingSummary(
        fractions, fractions_se, float(rest[0]), float(rest_se[0]), float(rest[1]), float(rest_se[1]),
        rest[2:], rest_se[2:],
    )  # fmt: skip
