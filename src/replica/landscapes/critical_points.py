r"""What a point of a landscape is: its Hessian, its index; and how points are drawn from a path and counted."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.landscapes.search import Landscape

Array = NDArray[np.float64]

#: Floats of Hessians in memory at once.
BATCH = 4_000_000


def hessian(landscape: Landscape, theta: ArrayLike) -> Array:
    """Hessians (n, d, d) of points (n, d), one product for each column, made symmetric.

    Raises
    ------
    ValueError
        If the points do not have shape (n, n_parameters).
    """
    theta = _as_points(landscape, theta)
    n, d = theta.shape
    out = np.empty((n, d, d))
    unit, block = np.eye(d), max(1, BATCH // (d * d))
    for low in range(0, n, block):
        points = theta[low : low + block]
        vectors = np.tile(unit, (len(points), 1))
        columns = landscape.hessian_product(np.repeat(points, d, axis=0), vectors)
        out[low : low + block] = np.reshape(columns, (len(points), d, d))
    return (out + out.transpose(0, 2, 1)) / 2


def hessian_eigenvalues(landscape: Landscape, theta: ArrayLike) -> Array:
    """Ascending eigenvalues (n, d) of the Hessians of points (n, d); NaN where a Hessian is not finite."""
    theta = _as_points(landscape, theta)
    n, d = theta.shape
    out, block = np.full((n, d), np.nan), max(1, BATCH // (d * d))
    for low in range(0, n, block):
        H = hessian(landscape, theta[low : low + block])
        good = np.isfinite(H).all(axis=(1, 2))
        out[low : low + block][good] = np.linalg.eigvalsh(H[good])
    return out


def index(landscape: Landscape, theta: ArrayLike, cutoff: float = 1e-5) -> NDArray[np.int64]:
    """Morse index (n,): how many eigenvalues of the Hessian are below ``-cutoff``.

    The cut-off belongs to the loss's normalisation: 1e-5 where the loss is a mean over entries of order one. Divide by
    ``n_parameters`` for the index fraction.

    Raises
    ------
    ValueError
        If the cut-off is negative or a Hessian is not finite.
    """
    return morse_index(hessian_eigenvalues(landscape, theta), cutoff)


def morse_index(eigenvalues: ArrayLike, cutoff: float) -> NDArray[np.int64]:
    """How many of the eigenvalues (..., d) are below ``-cutoff``, shape (...)."""
    eigenvalues = np.asarray(eigenvalues, dtype=np.float64)
    if not cutoff >= 0:
        raise ValueError(f"cutoff must not be negative, got {cutoff!r}")
    if not np.isfinite(eigenvalues).all():
        raise ValueError("the index needs finite eigenvalues: a Hessian holds NaN or infinite entries")
    return (eigenvalues < -cutoff).sum(axis=-1)


def sample_uniform_in_loss(losses: ArrayLike, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    r"""Draw points of a path so that their losses are spread evenly, as indices (n,) into the path.

    Each draws :math:`f\sim U(\min L,\max L)` and takes the point of smallest loss at or above :math:`f`.

    Raises
    ------
    ValueError
        If the losses are not a non-empty list of finite numbers or ``n`` is below 1.
    """
    losses = np.asarray(losses, dtype=np.float64)
    if losses.ndim != 1 or losses.size == 0 or not np.isfinite(losses).all():
        raise ValueError(f"losses must be a non-empty list of finite numbers, got shape {losses.shape}")
    if int(n) != n or n < 1:
        raise ValueError(f"n must be a whole number of at least 1, got {n!r}")
    order = np.argsort(losses, kind="stable")
    heights = rng.uniform(losses[order[0]], losses[order[-1]], int(n))
    return order[np.searchsorted(losses[order], heights, side="left")]


def histogram_entropy(counts: ArrayLike) -> Array:
    """Entropy in bits (...) of histograms given by their counts (..., n_bins); 0 where nothing was counted.

    Raises
    ------
    ValueError
        If a count is negative or not finite.
    """
    counts = np.asarray(counts, dtype=np.float64)
    if counts.ndim < 1 or not np.isfinite(counts).all() or (counts < 0).any():
        raise ValueError("counts must be finite and not negative")
    total = counts.sum(axis=-1, keepdims=True)
    share = np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)
    return -(share * np.log2(share, out=np.zeros_like(share), where=share > 0)).sum(axis=-1)


def bootstrap_entropy(occurrences: ArrayLike, draws: int, rng: np.random.Generator) -> float:
    """Standard deviation of the entropy of summed occurrences (n_runs, n_bins) when runs are drawn with replacement.

    Raises
    ------
    ValueError
        If there are no runs or fewer than two draws.
    """
    occurrences = np.asarray(occurrences, dtype=np.float64)
    if occurrences.ndim != 2 or len(occurrences) < 1 or draws < 2:
        raise ValueError(f"expected occurrences (n_runs, n_bins) and 2 draws or more, got {occurrences.shape}, {draws}")
    runs = rng.integers(0, len(occurrences), (draws, len(occurrences)))
    return float(histogram_entropy(occurrences[runs].sum(axis=1)).std(ddof=1))


def _as_points(landscape: Landscape, theta: ArrayLike) -> Array:
    theta = np.asarray(theta, dtype=np.float64)
    if theta.ndim != 2 or theta.shape[1] != landscape.n_parameters:
        raise ValueError(f"theta must have shape (n_points, {landscape.n_parameters}), got {theta.shape}")
    return theta
