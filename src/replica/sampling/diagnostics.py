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
    "effective_sample_size",
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
    samples
        ``(T, n_dims, n_chains)``, or ``(T, n_chains)`` for one dimension.
    max_lag
        $t_{max}$, below T.

    Returns
    -------
    ``(max_lag + 1, n_chains)``, float64.

    Raises
    ------
    ValueError
        Wrong number of axes, NaN or infinite samples, or a lag outside 0..T-1.
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
    rho
        ``(n,)``, values at 0, spacing, 2 spacing, ...
    level
        Threshold in (0, 1), e.g. 0.5.
    spacing
        Distance of neighbours, e.g. gradient evaluations per lag.
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


def transition_fractions(move_counts: np.ndarray) -> np.ndarray:
    r"""Fractions of all kinds of move over all chains: ``(n_moves, n_chains)`` counts to ``(n_moves,)``.

    For Look Ahead HMC these are the fractions of $(F, L, \dots, L^K)$.
    """
    counts = np.asarray(move_counts, dtype=np.float64)
    if counts.ndim != 2 or not counts.sum() > 0:
        raise ValueError("move_counts must have shape (n_moves, n_chains) and hold at least one move")
    return counts.sum(axis=1) / counts.sum()


def gradient_evaluations(move_counts: np.ndarray, move_costs: np.ndarray) -> float:
    """Mean gradient evaluations per step: the average of what each kind of move costs.

    Parameters
    ----------
    move_counts : array ``(n_moves, n_chains)``
        From `replica.sampling.chains.run_chains`.
    move_costs : array ``(n_moves,)``
        The sampler's ``move_costs``.
    """
    fractions, costs = transition_fractions(move_counts), np.asarray(move_costs, dtype=np.float64)
    if costs.shape != fractions.shape or not (costs >= 0).all():
        raise ValueError(f"move_costs must be {fractions.size} numbers that are not negative, got {move_costs!r}")
    return float(fractions @ costs)


def effective_sample_size(samples: np.ndarray, method: str = "mean") -> np.ndarray:
    r"""Effective number of independent samples in all chains together, by ArviZ (split chains, rank of the variances).

    In continuous time ``samples`` is the path on a grid (`replica.sampling.chains.path_on_grid`), never the bare
    sequence of positions.

    Parameters
    ----------
    samples : array ``(T, n_dims, n_chains)``
        At least four times.
    method : str
        As in ``arviz_stats``: "mean" (for the mean of the samples), "bulk" (of their ranks), "tail", "sd", ...

    Returns
    -------
    array ``(n_dims,)``

    Raises
    ------
    ValueError
        Wrong shape, or samples that are not finite.
    """
    from arviz_stats.base import array_stats

    samples = np.asarray(samples, dtype=np.float64)
    if samples.ndim != 3 or samples.shape[0] < 4:
        raise ValueError(f"samples must have shape (T, n_dims, n_chains) with T at least 4, got {samples.shape}")
    if not np.isfinite(samples).all():
        raise ValueError("samples must be finite; at least one is NaN or infinite")
    arguments = {"prob": 0.9} if method == "tail" else {}
    # one dimension at a time: ArviZ loops over them in any case, and wants chains before draws
    each = (array_stats.ess(series.T, chain_axis=0, draw_axis=1, method=method, **arguments) for series in
            samples.transpose(1, 0, 2))  # fmt: skip
    return np.array([float(ess) for ess in each])


def jackknife(
    statistic: Callable[[np.ndarray], np.ndarray | float], n_chains: int, n_batches: int
) -> tuple[np.ndarray, np.ndarray]:
    r"""Value and standard error of a statistic of all chains, by leaving out one batch of chains at a time,

    $$\mathrm{se}^2 = \frac{n-1}{n} \sum_i (s_{(i)} - \bar s_{(\cdot)})^2 .$$

    Chains are independent, so batches of them are too; unlike a spread over single batches it is sound for a statistic
    that is not an average (a ratio, a crossing) and needs many chains to exist at all.

    Parameters
    ----------
    statistic
        Function of an integer index array of chains, returns a number or an array.
    n_chains, n_batches
        At least two batches, at most one per chain.

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
    fractions : array ``(n_moves,)``
        Share of steps that made each kind of move; with Look Ahead HMC a flip (entry 0) or rung a (entry a).
    fractions_se : array ``(n_moves,)``
    gradients : float
        Mean gradient evaluations per unit of time: per step in discrete time, per unit of process time otherwise.
    gradients_se : float
    mixing : float
        Gradient evaluations until the autocorrelation has fallen to the level, NaN where it is not reached.
    mixing_se : float
    autocorrelation : array ``(n_lags,)``
    autocorrelation_se : array ``(n_lags,)``
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
    move_counts: np.ndarray,
    move_costs: np.ndarray,
    level: float = 0.5,
    spacing: float = 1,
    n_batches: int = 10,
    elapsed: np.ndarray | None = None,
) -> MixingSummary:
    """Move fractions, cost per unit of time, gradient evaluations to ``level``, autocorrelation, with standard errors.

    Parameters
    ----------
    covariance : array ``(n_lags, n_chains)``
        From `autocovariance`, in continuous time of the path on a grid.
    move_counts : array ``(n_moves, n_chains)``
        From `replica.sampling.chains.run_chains`.
    move_costs : array ``(n_moves,)``
        The sampler's ``move_costs``.
    level : float
        In (0, 1).
    spacing : float
        Distance of the lags: a number of steps, or a length of process time.
    n_batches : int
        Batches of chains for the errors.
    elapsed : array ``(n_chains,)`` or None
        Time that passed for each chain, ``run.elapsed``; None in discrete time.

    Raises
    ------
    ValueError
        The arrays disagree in the number of chains, or an argument is out of range.
    """
    covariance, move_counts = np.asarray(covariance), np.asarray(move_counts)
    if covariance.ndim != 2 or move_counts.ndim != 2 or covariance.shape[1] != move_counts.shape[1]:
        raise ValueError(
            "covariance (n_lags, n_chains) and move_counts (n_moves, n_chains) must have the same chains, "
            f"got {covariance.shape} and {move_counts.shape}"
        )
    if not 2 <= n_batches <= covariance.shape[1]:
        raise ValueError(f"n_batches must lie between 2 and n_chains = {covariance.shape[1]}, got {n_batches}")
    time = move_counts.sum(axis=0) if elapsed is None else np.asarray(elapsed, dtype=np.float64)
    if time.shape != move_counts.shape[1:] or not (time > 0).all():
        raise ValueError(
            f"elapsed must be one positive time for each of {move_counts.shape[1]} chains, got {elapsed!r}"
        )
    # ratios of sums over chains: adding up within each batch first changes nothing and leaves little to repeat
    sums, counts, times = (
        np.stack([a[:, i::n_batches].sum(axis=1) for i in range(n_batches)], axis=1)
        for a in (covariance, move_counts, time[None])
    )
    n_moves = counts.shape[0]

    def statistic(batches: np.ndarray) -> np.ndarray:
        steps_per_time = counts[:, batches].sum() / times[:, batches].sum()
        cost = gradient_evaluations(counts[:, batches], move_costs) * steps_per_time
        rho = autocorrelation(sums[:, batches])
        reached = crossing(rho, level, cost * spacing)
        return np.concatenate([transition_fractions(counts[:, batches]), [cost, reached], rho])

    value, error = jackknife(statistic, n_batches, n_batches)
    (fractions, rest), (fractions_se, rest_se) = (np.split(a, [n_moves]) for a in (value, error))
    return MixingSummary(
        fractions, fractions_se, float(rest[0]), float(rest_se[0]), float(rest[1]), float(rest_se[1]),
        rest[2:], rest_se[2:],
    )  # fmt: skip
