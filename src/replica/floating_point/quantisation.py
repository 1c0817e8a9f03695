"""Quantising samples, reading the bit patterns of hardware formats, and estimating entropies from counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import psi

from replica.floating_point.formats import FloatFormat, Rounding, check_precision

if TYPE_CHECKING:
    import torch

_TORCH_NAMES = {
    "float16": "float16",
    "bfloat16": "bfloat16",
    "float8_e4m3": "float8_e4m3fn",
    "float8_e5m2": "float8_e5m2",
}


def quantize_fp(x: ArrayLike, fmt: FloatFormat, rounding: Rounding = "truncate") -> NDArray[np.float64]:
    r"""Quantise to the simplified format: no zero, no subnormal numbers, clipping at both ends.

    Truncation returns the midpoint of the bin, :math:`\mathrm{sign}(x)\,2^e(m+\frac12)/M`; rounding to nearest
    returns the nearest representable number. The entropy depends on the bins only, not on the representative.

    Parameters
    ----------
    x : array of any shape
        Numbers; zero counts as positive. Infinities go to the largest bins.
    fmt : FloatFormat
        Precision and exponent range.
    rounding : {"truncate", "nearest"}

    Raises
    ------
    ValueError
        If an entry is not a number, or the rounding is unknown.
    """
    values = np.asarray(x, dtype=np.float64)
    if np.any(np.isnan(values)):
        raise ValueError("x must not contain NaN.")
    check_precision(fmt.precision)
    smallest = np.ldexp(1.0, fmt.emin)
    ulp_top = np.ldexp(1.0, fmt.emax - (fmt.precision - 1))
    largest = np.ldexp(2.0 - 2.0 ** (1 - fmt.precision), fmt.emax)
    magnitude = np.abs(values)
    if rounding == "truncate":
        magnitude = np.clip(magnitude, smallest, largest + 0.5 * ulp_top)
        significand, exponent = np.frexp(magnitude)
        result = np.ldexp(np.floor(np.ldexp(significand, fmt.precision)) + 0.5, exponent - fmt.precision)
    elif rounding == "nearest":
        magnitude = np.clip(magnitude, smallest, largest)
        significand, exponent = np.frexp(magnitude)
        result = np.ldexp(np.rint(np.ldexp(significand, fmt.precision)), exponent - fmt.precision)
    else:
        raise ValueError(f"rounding must be 'truncate' or 'nearest', got {rounding!r}.")
    return np.copysign(result, values)


def torch_dtype(fmt: FloatFormat) -> torch.dtype:
    """The torch type of a hardware format of 8 or 16 bits; ValueError for any other format."""
    import torch

    if fmt.name not in _TORCH_NAMES:
        raise ValueError(
            f"torch stores no format {fmt.name!r} whose codes can be counted: use {', '.join(_TORCH_NAMES)}."
        )
    return getattr(torch, _TORCH_NAMES[fmt.name])


def bit_pattern_counts(samples: torch.Tensor, fmt: FloatFormat) -> NDArray[np.int64]:
    r"""How often each bit pattern occurs after torch has rounded `samples` to `fmt`.

    The rounded numbers are viewed as unsigned integers and counted by ``bincount``. Counting the floating-point values
    instead goes wrong where +0 and -0, or NaN, must be told apart, and with ``numpy.unique`` on float16 altogether
    (numpy 2.4 returns an unsorted "sorted" array on processors with AVX-512).

    Parameters
    ----------
    samples : tensor of floating-point numbers, any shape, any device
    fmt : FloatFormat
        One of the 8- and 16-bit formats in :data:`replica.floating_point.formats.FORMATS`.

    Returns
    -------
    counts : array of int64, shape (2**storage_bits,)
        Entry `j` counts the pattern `j`; the sign is its leading bit.

    Raises
    ------
    ValueError
        For a format that torch does not store, or samples that are no floating-point numbers.
    """
    import torch

    if not samples.is_floating_point():
        raise ValueError(f"samples must be floating-point numbers, got {samples.dtype}.")
    bits = fmt.storage_bits or 0
    stored = samples.reshape(-1).to(torch_dtype(fmt))
    signed = stored.view(torch.uint8 if bits == 8 else torch.int16).to(torch.int64)
    return torch.bincount(signed & (2**bits - 1), minlength=2**bits).cpu().numpy()


def stored_tuple_counts(*columns: ArrayLike) -> NDArray[np.int64]:
    r"""How often each different tuple of stored numbers occurs, for entropies of several numbers at once.

    Parameters
    ----------
    *columns : arrays of the same shape
        Numbers already rounded to their format (:func:`quantize_fp`, or a cast to a hardware type and back). They are
        told apart by their float64 bit patterns, so that +0 and -0 count as different.

    Returns
    -------
    counts : array of int64
        One entry for each tuple that occurs, in no particular order.

    Raises
    ------
    ValueError
        Without columns, without entries, or for shapes that differ.
    """
    arrays = [np.ascontiguousarray(column, dtype=np.float64).ravel() for column in columns]
    if not arrays or arrays[0].size == 0 or len({np.shape(column) for column in columns}) > 1:
        raise ValueError(f"columns must be arrays of one shape, not empty, got {[np.shape(c) for c in columns]}.")
    codes = np.zeros(arrays[0].size, dtype=np.int64)
    for array in arrays:
        _, column_codes = np.unique(array.view(np.int64), return_inverse=True)
        _, codes = np.unique(codes * (column_codes.max() + 1) + column_codes, return_inverse=True)
    return np.bincount(codes)


def plug_in_entropy(counts: ArrayLike) -> float:
    r"""Entropy :math:`-\sum\hat P\log_2\hat P` in bits of observed frequencies. Biased low by :math:`(K-1)/(2n\ln2)`.

    ValueError for negative counts or none at all.
    """
    frequencies = _frequencies(counts)
    return float(-(frequencies * np.log2(frequencies)).sum())


def miller_madow_entropy(counts: ArrayLike) -> float:
    r"""Plug-in entropy plus :math:`(\hat K-1)/(2n\ln2)`, :math:`\hat K` the number of outcomes seen, in bits.

    Source: Miller (1955), "Note on the bias of information estimates". Errors as for :func:`plug_in_entropy`.
    """
    n, seen = np.sum(counts), np.count_nonzero(counts)
    return plug_in_entropy(counts) + float((seen - 1) / (2 * n * np.log(2.0)))


def entropy_standard_error(counts: ArrayLike) -> float:
    r"""Standard error of the plug-in entropy, :math:`\sqrt{\mathrm{Var}(\log_2\hat P)/n}`, in bits. Errors as above."""
    frequencies = _frequencies(counts)
    surprise = -np.log2(frequencies)
    variance = float((frequencies * surprise**2).sum() - (frequencies * surprise).sum() ** 2)
    return float(np.sqrt(max(variance, 0.0) / np.sum(counts)))


def fp_entropy_from_samples(samples: ArrayLike, precision: int, neighbours: int = 10) -> float:
    r"""Smooth entropy :math:`\tilde H_s` estimated from samples of an unknown density, in bits.

    Uses :math:`\tilde H_s=p-\frac12+h(\log_2|X|,\mathrm{sign}X)+\log_2\ln2` with Vasicek's spacing estimate of the
    differential entropy of :math:`\log_2|X|` for each sign, :math:`m` = `neighbours` spacings apart.

    Parameters
    ----------
    samples : array of any shape
        Finite numbers, none zero, all different (a continuous variable), more than ``2 * neighbours`` of each sign that
        occurs.
    precision : int
        :math:`p`, with the implicit bit.
    neighbours : int
        :math:`m`, at least 1: larger means less variance and more smoothing.

    Raises
    ------
    ValueError
        For samples that are not as described.

    Notes
    -----
    Source: Vasicek (1976), J. R. Stat. Soc. B 38, 54; bias correction :math:`\ln m-\psi(m)`.
    """
    check_precision(precision)
    x = np.asarray(samples, dtype=np.float64).ravel()
    if not np.all(np.isfinite(x)) or np.any(x == 0):
        raise ValueError("samples must be finite and different from zero.")
    entropy = 0.0
    for side in (x[x > 0], -x[x < 0]):
        if side.size == 0:
            continue
        if not 1 <= neighbours < side.size / 2:
            raise ValueError(
                f"neighbours must lie in [1, {side.size / 2:g}) for {side.size} samples, got {neighbours}."
            )
        y = np.sort(np.log2(side))
        spacing = y[neighbours:] - y[:-neighbours]
        if spacing.min() <= 0:
            raise ValueError("samples must be of a continuous variable: too many of them are equal.")
        share = side.size / x.size
        differential = np.mean(np.log2((side.size + 1) / neighbours * spacing))
        entropy += share * (differential + (np.log(neighbours) - psi(neighbours)) / np.log(2.0) - np.log2(share))
    return float(precision - 0.5 + entropy + np.log2(np.log(2.0)))


def _frequencies(counts: ArrayLike) -> NDArray[np.float64]:
    """Positive relative frequencies of an array of counts."""
    array = np.asarray(counts)
    if array.size == 0 or np.any(array < 0) or array.sum() == 0:
        raise ValueError("counts must be non-negative, with at least one observation.")
    return array[array > 0] / array.sum()
