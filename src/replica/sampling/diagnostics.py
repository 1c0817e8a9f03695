"""Autocorrelation of chains with a known mean, the cost of reaching a given level, and errors by batches of chains."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import fft

from replica.sampling.leapfrog import check_count

__all__ = [
    "autocorrelation",
    "autocovariance",
    "crossing",
    "gradient_evaluations",
    "jackknife",
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
