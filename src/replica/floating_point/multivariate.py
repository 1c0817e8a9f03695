r"""Floating-point entropy of Gaussian vectors.

Each coordinate is quantised by itself; dependence enters the smooth entropy through the correlation matrix only.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.special import ndtr

from replica.floating_point.closed_forms import fp_entropy_closed
from replica.floating_point.exact import entropy_of, fp_entropy_exact
from replica.floating_point.formats import FloatFormat, fp_bin_edges


def correlation_matrix(cov: ArrayLike) -> NDArray[np.float64]:
    r"""Correlation matrix :math:`R_{ij}=\Sigma_{ij}/\sqrt{\Sigma_{ii}\Sigma_{jj}}` of a covariance matrix, shape (d,
    d).

    ValueError unless `cov` is a finite, symmetric, positive definite square matrix.
    """
    matrix = np.asarray(cov, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] == 0:
        raise ValueError(f"the covariance must be a square matrix, got shape {matrix.shape}.")
    if not np.all(np.isfinite(matrix)) or not np.allclose(matrix, matrix.T, rtol=1e-10, atol=0):
        raise ValueError("the covariance must be finite and symmetric.")
    deviations = np.sqrt(np.clip(np.diag(matrix), 0, None))
    if np.any(deviations == 0) or np.linalg.eigvalsh(matrix / np.outer(deviations, deviations))[0] <= 0:
        raise ValueError("the covariance must be positive definite.")
    return matrix / np.outer(deviations, deviations)


def fp_entropy_mvn(cov: ArrayLike, precision: int) -> float:
    r"""Smooth entropy of a centred Gaussian vector, :math:`d\,\tilde H_s^N+\frac12\log_2\det R`, in bits.

    Parameters
    ----------
    cov : array, shape (d, d)
        Covariance matrix; only its correlation matrix :math:`R` matters.
    precision : int
        :math:`p` of every coordinate, with the implicit bit.

    Raises
    ------
    ValueError
        For a matrix that is no covariance, or a precision out of range.

    Notes
    -----
    From :math:`\tilde H_s(\mathbf X)=h(\mathbf X)+\sum_i(p-\frac12-\mathbb E\log_2|X_i|)`.
    Source: Daniels et al. (2026).
    """
    correlation = correlation_matrix(cov)
    _, log_determinant = np.linalg.slogdet(correlation)
    return float(len(correlation) * fp_entropy_closed("normal", precision) + 0.5 * log_determinant / np.log(2.0))


def gaussian_pair_entropy(
    correlation: float, fmt: FloatFormat, scales: tuple[float, float] = (1.0, 1.0), order: int = 8
) -> float:
    r"""Exact joint entropy of a correlated Gaussian pair, each coordinate quantised (truncation), in bits.

    The probability of a cell is :math:`\int_{\mathrm{bin}}\phi(x)\,[\Phi(b'(x))-\Phi(a'(x))]\,dx` with
    :math:`a'=(a-\rho x)/\sqrt{1-\rho^2}`: Gauss-Legendre in `x` with `order` nodes a bin, exact in `y`.

    Parameters
    ----------
    correlation : float
        :math:`\rho`, with :math:`|\rho|<1`.
    fmt : FloatFormat
        At most 2**13 bins of each sign (the cost is the square of the number of bins). Magnitudes below the range, and
        those above it, belong to the smallest and to the largest bins.
    scales : (float, float)
        Standard deviations.

    Raises
    ------
    ValueError
        For a correlation outside (-1, 1), scales that are not positive, or too many bins.
    """
    if not -1 < correlation < 1:
        raise ValueError(f"correlation must lie between -1 and 1, got {correlation}.")
    if min(scales) <= 0:
        raise ValueError(f"scales must be positive, got {scales}.")
    if fmt.binades * fmt.bins_per_binade > 2**13:
        raise ValueError(f"{fmt.name} has too many bins for a sum over pairs: at most 2**13 of each sign.")
    edges = fp_bin_edges(fmt)
    edges[0] = 0.0
    x_edges, y_edges = (np.unique(np.concatenate([-edges, edges])) / scale for scale in scales)
    x_edges = np.clip(x_edges, -40.0, 40.0)  # in standard deviations; no probability beyond
    x_edges[0], x_edges[-1] = -40.0, 40.0
    y_edges[0], y_edges[-1] = -np.inf, np.inf
    points, weights = np.polynomial.legendre.leggauss(order)
    width = np.sqrt(1 - correlation**2)
    entropy = total = 0.0
    for left, right in pairwise(x_edges):
        # the part of the bin that holds probability: a clipped bin may be much wider than the density
        left, right = max(left, -9.0), min(right, 9.0)
        if right <= left:
            continue
        pieces = np.linspace(left, right, 2 + int((right - left) / min(0.25, width)))
        half = 0.5 * np.diff(pieces)[:, None]
        x = (pieces[:-1, None] + half * (points + 1)).ravel()
        mass = (half * weights).ravel() * np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi)
        z = (y_edges[None, :] - correlation * x[:, None]) / width
        mirrored = np.where(z[:, :-1] > 0, ndtr(-z[:, :-1]) - ndtr(-z[:, 1:]), ndtr(z[:, 1:]) - ndtr(z[:, :-1]))
        cells = mass @ mirrored
        entropy += entropy_of(cells)
        total += cells.sum()
    if abs(total - 1) > 1e-8:
        raise ValueError(f"the cell probabilities add up to {total:.8g}: increase order.")
    return entropy


def gaussian_pair_information(correlation: float, fmt: FloatFormat) -> float:
    r"""Mutual information in bits between the two quantised coordinates of a standard Gaussian pair.

    By the data-processing inequality it is at most :math:`-\frac12\log_2(1-\rho^2)`, its value without quantisation.
    Arguments and errors as for :func:`gaussian_pair_entropy`.
    """
    return 2 * fp_entropy_exact(stats.norm(), fmt) - gaussian_pair_entropy(correlation, fmt)
