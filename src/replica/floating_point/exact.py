r"""Exact entropy of a floating-point number, :math:`H=-\sum_jP_j\log_2P_j`, in bits.

Formats of up to a few million bins are summed bin by bin. For single and double precision the sum is done binade by
binade: with :math:`\bar f` the density averaged over each bin of width :math:`\Delta`,

.. math:: H = -\int f\log_2(f\Delta)\,dx + D_{KL}(f\|\bar f),

where the relative entropy is of second order in :math:`\Delta` (:math:`10^{-15}` bit at :math:`p=24`), except in the
bins next to an end of the support, which are summed one by one.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from replica.floating_point.distributions import Distribution
from replica.floating_point.formats import FloatFormat, Rounding, encoded_bin_edges, fp_bin_edges
from replica.floating_point.quadrature import density_nodes
from replica.floating_point.smooth import log_slope

_MOST_SUMMED = 2**24  # bins of one sign that are summed one by one
_BLOCK = 2**16  # bins treated at a time
_EDGE_BINS = 4096  # bins summed one by one next to a finite end of the support
_SMALLEST_BINADE_PRECISION = 16  # below, the second-order relative entropy is not good enough


def interval_masses(dist: Distribution, edges: NDArray[np.float64], sign: int = 1) -> NDArray[np.float64]:
    r"""Probability that ``edges[j] <= sign*X < edges[j+1]``, shape (len(edges)-1,).

    Differences of the distribution function below the median and of the survival function above it, so that neither
    tail is lost to cancellation. `edges` increase; infinite ends are allowed.
    """
    below, above = (dist.cdf, dist.sf) if sign > 0 else (lambda x: dist.sf(-x), lambda x: dist.cdf(-x))
    with np.errstate(all="ignore"):  # scipy overflows on its way to 0 and 1 at edges like 2**1023
        median = sign * float(dist.ppf(0.5))
        split = int(np.clip(np.searchsorted(edges, median), 0, len(edges) - 1))
        lower = np.diff(below(edges[: split + 1]))
        upper = -np.diff(above(edges[split:]))
    masses = np.concatenate([lower, upper])
    if np.any(np.isnan(masses)) or masses.min(initial=0.0) < -1e-9:
        raise ValueError("the distribution function must increase from 0 to 1, but it decreases or is not a number.")
    return np.maximum(masses, 0.0)


def bin_probabilities(
    dist: Distribution, fmt: FloatFormat, rounding: Rounding = "truncate"
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Probabilities of the negative and of the positive bins of the simplified format, smallest magnitude first.

    Clipped magnitudes are counted in the smallest and largest bins. Both arrays have shape (binades * 2**(p-1),).
    ValueError if the probabilities do not add up to 1 (a distribution function that does not run from 0 to 1).
    """
    edges = fp_bin_edges(fmt, rounding)
    edges[0], edges[-1] = 0.0, np.inf
    negative, positive = (interval_masses(dist, edges, sign) for sign in (-1, 1))
    _check_total(negative.sum() + positive.sum())
    return negative, positive


def entropy_of(probabilities: NDArray[np.float64]) -> float:
    r"""Shannon entropy :math:`-\sum P\log_2P` in bits of an array of probabilities (zeros allowed, sum not checked)."""
    p = probabilities[probabilities > 0]
    return float(-(p * np.log2(p)).sum())


def fp_entropy_exact(
    dist: Distribution,
    fmt: FloatFormat,
    rounding: Rounding = "truncate",
    method: Literal["auto", "sum", "binade"] = "auto",
) -> float:
    r"""Exact entropy of `dist` quantised to the simplified format, clipping included, in bits.

    Parameters
    ----------
    dist : Distribution
        A frozen ``scipy.stats`` distribution.
    fmt : FloatFormat
        Precision and exponent range.
    rounding : {"truncate", "nearest"}
        Where the bins end: on the representable numbers, or half way between them.
    method : {"auto", "sum", "binade"}
        ``sum`` lists every bin (at most 2**24 of each sign); ``binade`` integrates over each binade (truncation only,
        precision at least 16); ``auto`` sums where there are at most 2**20 bins of each sign.

    Raises
    ------
    ValueError
        For an unnormalised distribution, an unknown rounding or method, or a method that the format does not allow.

    Notes
    -----
    Source: Daniels et al. (2026) for the format. The decomposition is derived in the notebook.
    """
    bins = fmt.binades * fmt.bins_per_binade
    if method == "auto":
        method = "sum" if bins <= 2**20 or fmt.precision < _SMALLEST_BINADE_PRECISION else "binade"
    if method == "sum":
        if bins > _MOST_SUMMED:
            raise ValueError(f"{fmt.name} has {bins} bins of each sign: too many to sum, use method='binade'.")
        return sum(entropy_of(side) for side in bin_probabilities(dist, fmt, rounding))
    if method != "binade":
        raise ValueError(f"method must be 'auto', 'sum' or 'binade', got {method!r}.")
    if rounding != "truncate" or fmt.precision < _SMALLEST_BINADE_PRECISION:
        raise ValueError(
            f"method='binade' needs rounding='truncate' and precision >= {_SMALLEST_BINADE_PRECISION}, "
            f"got {rounding!r} and {fmt.precision}."
        )
    return _entropy_by_binades(dist, fmt)


def _entropy_by_binades(dist: Distribution, fmt: FloatFormat) -> float:
    """Clipping bins and bins next to the ends of the support one by one; quadrature for all others."""
    single, intervals = [], []
    for sign in (-1, 1):
        blocks = _blocks_of_single_bins(dist, fmt, sign)
        single += [interval_masses(dist, block, sign) for block in blocks]
        intervals += [(sign, before[-1], after[0]) for before, after in pairwise(blocks) if after[0] > before[-1]]
    counted = np.concatenate(single)
    nodes = density_nodes(dist, intervals=intervals)
    _check_total(counted.sum() + nodes.mass.sum(), tolerance=1e-7)
    width = np.exp2(nodes.exponent - (fmt.precision - 1.0))
    relative_entropy = nodes.mean((width * log_slope(dist, nodes.x)) ** 2) / (24 * np.log(2.0))
    return entropy_of(counted) - float(nodes.mean(nodes.log_density + np.log2(width))) + float(relative_entropy)


def _blocks_of_single_bins(dist: Distribution, fmt: FloatFormat, sign: int) -> list[NDArray[np.float64]]:
    """Edges of the bins of one sign to be summed one by one, in increasing order: the smallest and the largest bin with
    all that is clipped into them, and runs of bins next to finite ends of the support."""
    smallest = np.ldexp(1 + 2.0 ** (1 - fmt.precision), fmt.emin)
    largest = np.ldexp(2 - 2.0 ** (1 - fmt.precision), fmt.emax)
    low, high = dist.support()
    start, stop = (low, high) if sign > 0 else (-high, -low)
    runs = []
    if smallest < start < largest:
        power = np.exp2(np.frexp(start)[1] - 1.0)
        spacing = power * 2.0 ** (1 - fmt.precision)
        first = power + np.floor((start - power) / spacing) * spacing
        edges = first + spacing * np.arange(_EDGE_BINS + 1)
        runs.append(edges[edges <= min(2 * power, largest)])
    if smallest < stop < largest:
        power = np.exp2(np.frexp(np.nextafter(stop, 0.0))[1] - 1.0)
        spacing = power * 2.0 ** (1 - fmt.precision)
        last = power + np.ceil((stop - power) / spacing) * spacing
        edges = last - spacing * np.arange(_EDGE_BINS, -1, -1)
        floor = max(power, smallest, runs[-1][-1] if runs else 0.0)
        runs.append(edges[(edges >= floor) & (edges <= largest)])
    return [np.array([0.0, smallest]), *(run for run in runs if len(run) > 1), np.array([largest, np.inf])]


def _check_total(total: float, tolerance: float = 1e-9) -> None:
    if not abs(total - 1) <= tolerance:
        raise ValueError(f"the distribution must be normalised, but its probabilities add up to {total:.8g}.")


def fp_kl_term(dist: Distribution, fmt: FloatFormat, order: int = 12) -> float:
    r"""Peakedness :math:`D_{KL}(f\|\bar f)` of a density against its average over each bin (truncation), in bits.

    Computed by Gauss-Legendre quadrature of :math:`\bar f\,(u\ln u-u+1)/\ln2`, :math:`u=f/\bar f`, inside every bin:
    all terms are non-negative, so that values of 1e-10 keep their digits. Independent of :func:`fp_entropy_exact`.
    Magnitudes outside the format are left out. Bins that hold an end of the support are split there.

    `order` is the number of nodes per bin. ValueError for more than 2**24 bins of each sign.
    """
    if fmt.binades * fmt.bins_per_binade > _MOST_SUMMED:
        raise ValueError(f"{fmt.name} has too many bins for a quadrature in each: at most 2**24 of each sign.")
    edges = fp_bin_edges(fmt)
    low, high = dist.support()
    total = 0.0
    for sign in (-1, 1):
        start, stop = (low, high) if sign > 0 else (-high, -low)
        first = max(int(np.searchsorted(edges, start, side="right")) - 1, 0)
        last = min(int(np.searchsorted(edges, stop)), len(edges) - 1)
        for begin in range(first, last, _BLOCK):
            block = edges[begin : min(begin + _BLOCK, last) + 1]
            total += _block_kl(dist, sign, block, (start, stop), order)
    return total / np.log(2.0)


def _block_kl(
    dist: Distribution, sign: int, edges: NDArray[np.float64], support: tuple[float, float], order: int
) -> float:
    """Relative entropy, in nats, over consecutive bins of one sign that overlap the support."""
    points, weights = np.polynomial.legendre.leggauss(order)
    left, right = np.maximum(edges[:-1], support[0]), np.minimum(edges[1:], support[1])
    width, half = np.diff(edges), 0.5 * (right - left)
    density = dist.pdf(sign * (left[:, None] + half[:, None] * (points + 1)))
    mean = half * (density @ weights) / width
    occupied = mean > 0
    half, width, density, mean = half[occupied], width[occupied], density[occupied], mean[occupied]
    v = density / mean[:, None] - 1  # u - 1, of the order of the relative bin width
    excess = np.where(v > -1, (1 + v) * np.log1p(np.maximum(v, -1 + 1e-16)) - v, 1.0)
    empty = width - 2 * half  # there f = 0, and u ln u - u + 1 = 1
    return float((mean * (half * (excess @ weights) + empty)).sum())


def clipping_loss(dist: Distribution, fmt: FloatFormat, margin: int = 64) -> tuple[float, float]:
    r"""Entropy lost to underflow and to overflow in the simplified format, in bits.

    By the grouping property of entropy, merging the bins of a group of probability :math:`Q` loses
    :math:`Q\,H(\text{bin}\mid\text{group})`. The groups are, for each sign, the magnitudes clipped into the smallest
    bin and those clipped into the largest, each with that bin. The bins beyond the range are those of the same format
    with `margin` more exponents at either end.

    Returns
    -------
    underflow, overflow : float
        So that the entropy with ``margin`` more exponents is that of `fmt` plus both.
    """
    if margin < 1:
        raise ValueError(f"margin must be at least 1, got {margin}.")
    emin, emax = max(fmt.emin - margin, -1022), min(fmt.emax + margin, 1023)
    wide = FloatFormat(fmt.precision, emin, emax)
    first = (fmt.emin - emin) * fmt.bins_per_binade
    last = first + fmt.binades * fmt.bins_per_binade - 1
    underflow = overflow = 0.0
    for side in bin_probabilities(dist, wide):
        underflow += _grouping_loss(side[: first + 1])
        overflow += _grouping_loss(side[last:])
    return underflow, overflow


def _grouping_loss(probabilities: NDArray[np.float64]) -> float:
    """Entropy lost by merging outcomes with these probabilities into one."""
    total = probabilities.sum()
    return entropy_of(probabilities) - entropy_of(np.atleast_1d(total))


def encoded_probabilities(dist: Distribution, fmt: FloatFormat) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Probabilities of the codes of the *encoded* format after rounding to nearest: negative codes, positive codes.

    Entry `j` belongs to the bit pattern `j` (plus the sign bit): zeros, subnormal and normal numbers, and last the
    overflow code. ValueError for formats with more than 2**26 codes.
    """
    edges = encoded_bin_edges(fmt)
    negative, positive = (interval_masses(dist, edges, sign) for sign in (-1, 1))
    _check_total(negative.sum() + positive.sum())
    return negative, positive


def encoded_entropy(dist: Distribution, fmt: FloatFormat) -> float:
    r"""Entropy in bits of the bit patterns that hardware stores for `dist`: round to nearest, subnormal numbers,
    overflow code. Source: IEEE 754-2019, section 4.3.1; OCP 8-bit floating point, revision 1.0."""
    return sum(entropy_of(side) for side in encoded_probabilities(dist, fmt))


def fixed_point_entropy(dist: Distribution, step: float, bits: int) -> float:
    r"""Entropy in bits of a uniform quantiser with bins of width `step`, clipped to :math:`2^{bits}` levels around
    zero.

    For a fine step without clipping it is :math:`h(X)-\log_2(\mathrm{step})`, which grows by one bit when the scale
    doubles. ValueError unless `step` is positive and ``2 <= bits <= 24``.
    """
    if not (np.isfinite(step) and step > 0):
        raise ValueError(f"step must be positive and finite, got {step}.")
    if not 2 <= bits <= 24:
        raise ValueError(f"bits must lie in [2, 24], got {bits}.")
    edges = step * np.arange(2 ** (bits - 1) + 1, dtype=np.float64)
    edges[-1] = np.inf
    return sum(entropy_of(interval_masses(dist, edges, sign)) for sign in (-1, 1))
