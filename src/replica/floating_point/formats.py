"""Floating-point formats: precision, exponent range, bins.

Two models of the same format are used, and their difference matters:

* the *simplified* format of Daniels et al. (2026): sign, exponent and significand only. No zero, no subnormal
  numbers, no infinity: magnitudes outside the range are clipped to the smallest and largest bins;
* the *encoded* format, as hardware stores it (IEEE 754-2019, section 3; OCP 8-bit floating point, revision 1.0):
  signed zeros, subnormal numbers, and a code for overflow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Rounding = Literal["truncate", "nearest"]

_LARGEST_PRECISION = 53  # bin edges are computed in float64
_EXPONENT_LIMITS = (-1022, 1023)  # of float64's normal numbers
_MOST_EDGES = 2**26


@dataclass(frozen=True)
class FloatFormat:
    r"""A floating-point format with one sign bit.

    Every binade :math:`[2^e, 2^{e+1})`, :math:`e_{min}\le e\le e_{max}`, is cut into :math:`2^{p-1}` equal bins.

    Parameters
    ----------
    precision : int
        :math:`p`, length of the significand in bits *including* the implicit leading one; 2 to 53.
    emin, emax : int
        Smallest and largest exponent of normal numbers, ``-1022 <= emin < emax <= 1023``.
    name : str
        A label for tables and messages.
    storage_bits : int or None
        Bits that a number occupies in memory, where the format exists in hardware.
    largest_finite : float or None
        Largest finite value of the *encoded* format; None stands for :math:`(2-2^{1-p})\,2^{e_{max}}`, as in IEEE 754.
        (FP8 E4M3 gives up one code of its top binade for NaN, which makes it 448 and not 480.)
    saturates : bool
        Whether the *encoded* format stores its largest finite value on overflow, as torch does for FP8 E4M3, and not a
        code of its own (infinity).

    Raises
    ------
    ValueError
        If the precision or the exponents are outside these ranges.
    """

    precision: int
    emin: int
    emax: int
    name: str = "custom"
    storage_bits: int | None = None
    largest_finite: float | None = None
    saturates: bool = False

    def __post_init__(self) -> None:
        check_precision(self.precision)
        for label, value in (("emin", self.emin), ("emax", self.emax)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer):
                raise ValueError(f"{label} must be an integer, got {value!r}.")
        if not self.emin < self.emax:
            raise ValueError(f"emin must be smaller than emax, got emin={self.emin}, emax={self.emax}.")
        low, high = _EXPONENT_LIMITS
        if self.emin < low or self.emax > high:
            raise ValueError(f"exponents must lie in [{low}, {high}], got [{self.emin}, {self.emax}].")

    @property
    def bins_per_binade(self) -> int:
        """Number of bins in a binade, :math:`M=2^{p-1}`."""
        return 2 ** (self.precision - 1)

    @property
    def binades(self) -> int:
        """Number of binades of one sign."""
        return self.emax - self.emin + 1

    @property
    def capacity(self) -> float:
        r"""Largest possible entropy of the simplified format, :math:`p+\log_2(e_{max}-e_{min}+1)` bits."""
        return self.precision + float(np.log2(self.binades))

    def with_precision(self, precision: int) -> FloatFormat:
        """The same exponent range at another precision."""
        return FloatFormat(precision, self.emin, self.emax)


def check_precision(precision: int) -> int:
    """Return `precision`; raise ValueError unless it is an integer from 2 to 53."""
    if isinstance(precision, bool) or not isinstance(precision, int | np.integer):
        raise ValueError(f"precision must be an integer, got {precision!r}.")
    if not 2 <= precision <= _LARGEST_PRECISION:
        raise ValueError(
            f"precision counts the implicit leading bit and must lie in [2, {_LARGEST_PRECISION}], got {precision}."
        )
    return int(precision)


#: The formats of common hardware. Precision includes the implicit bit.
FORMATS: dict[str, FloatFormat] = {
    fmt.name: fmt
    for fmt in (
        FloatFormat(53, -1022, 1023, "float64", 64),
        FloatFormat(24, -126, 127, "float32", 32),
        FloatFormat(11, -14, 15, "float16", 16),
        FloatFormat(8, -126, 127, "bfloat16", 16),
        FloatFormat(4, -6, 8, "float8_e4m3", 8, largest_finite=448.0, saturates=True),
        FloatFormat(3, -14, 15, "float8_e5m2", 8),
    )
}


def float_format(name: str) -> FloatFormat:
    """The hardware format called `name` (a key of :data:`FORMATS`); ValueError for an unknown name."""
    if name not in FORMATS:
        raise ValueError(f"unknown format {name!r}: expected one of {', '.join(FORMATS)}.")
    return FORMATS[name]


def format_from_exponent_bits(exponent_bits: int, precision: int) -> FloatFormat:
    r"""The format with :math:`E` exponent bits in IEEE fashion: :math:`e_{min}=2-2^{E-1}`, :math:`e_{max}=2^{E-1}-1`.

    Two of the :math:`2^E` codes are kept for subnormal numbers and infinities. ValueError unless ``2 <= E <= 11``.
    """
    if not 2 <= exponent_bits <= 11:
        raise ValueError(f"exponent_bits must lie in [2, 11], got {exponent_bits}.")
    half = 2 ** (int(exponent_bits) - 1)
    return FloatFormat(precision, 2 - half, half - 1, name=f"E{exponent_bits}P{precision}")


def fp_bin_width(x: ArrayLike, precision: int) -> NDArray[np.float64]:
    r"""Width of the bin that holds `x`, :math:`\Delta(x)=2^{\lfloor\log_2|x|\rfloor-(p-1)}`.

    `x` is an array of non-zero finite numbers of any shape; the result has its shape. No limits of exponent.
    ValueError if an entry is zero or not finite. Source: Daniels et al. (2026).
    """
    check_precision(precision)
    values = np.asarray(x, dtype=np.float64)
    if not np.all(np.isfinite(values)) or np.any(values == 0):
        raise ValueError("x must be finite and different from zero: the bins shrink without limit towards zero.")
    _, exponent = np.frexp(values)  # |x| = m 2^exponent with m in [1/2, 1)
    return np.ldexp(1.0, exponent - precision)


def smooth_bin_width(x: ArrayLike, precision: int) -> NDArray[np.float64]:
    r"""The smooth stand-in for the staircase, :math:`2^{-1/2}\,|x|\,2^{-(p-1)}`.

    It replaces :math:`\lfloor\log_2|x|\rfloor` by :math:`\log_2|x|-\frac12`. Shapes as in :func:`fp_bin_width`.
    """
    check_precision(precision)
    return np.abs(np.asarray(x, dtype=np.float64)) * 2.0 ** (0.5 - precision)


def fp_bin_edges(fmt: FloatFormat, rounding: Rounding = "truncate") -> NDArray[np.float64]:
    r"""Edges of the bins of the positive half of the simplified format, in increasing order.

    Truncation puts the edges on the representable numbers :math:`2^e(1+m/M)`, ending with :math:`2^{e_{max}+1}`.
    Rounding to nearest puts them half way between neighbouring numbers; the last bin is then as wide as the one below.
    Bins are ``[edges[j], edges[j+1])``; clipping is left to the caller. Negative numbers mirror them.

    Returns
    -------
    edges : array, shape (binades * 2**(p-1) + 1,)

    Raises
    ------
    ValueError
        For an unknown rounding, or a format with more than 2**26 bins (their entropy is that of
        :func:`~replica.floating_point.exact.fp_entropy_exact`, which does not enumerate bins).
    """
    _check_rounding(rounding)
    if fmt.binades * fmt.bins_per_binade > _MOST_EDGES:
        bins = fmt.binades * fmt.bins_per_binade
        raise ValueError(f"{fmt.name} has {bins} bins of each sign: too many to list (at most {_MOST_EDGES}).")
    significand = 1.0 + np.arange(fmt.bins_per_binade) / fmt.bins_per_binade
    exponents = np.arange(fmt.emin, fmt.emax + 1)
    values = np.ldexp(significand[None, :], exponents[:, None]).ravel()
    with np.errstate(over="ignore"):  # the last edge of float64's range is infinite
        end = np.ldexp(1.0, fmt.emax + 1)
    if rounding == "truncate":
        return np.append(values, end)
    middle = values[:-1] + 0.5 * np.diff(values)
    last_half = 0.5 * (values[-1] - values[-2])
    return np.concatenate([[values[0]], middle, [values[-1] + last_half]])


def encoded_values(fmt: FloatFormat) -> NDArray[np.float64]:
    r"""Non-negative finite numbers that the *encoded* format stores, in the order of their bit patterns.

    Entry :math:`j` has bit pattern :math:`j`: zero, the :math:`2^{p-1}-1` subnormal numbers
    :math:`m\,2^{e_{min}-(p-1)}`, then the normal numbers up to `largest_finite`. Source: IEEE 754-2019, section 3.4.
    """
    edges = fp_bin_edges(fmt)[:-1]
    subnormal = np.ldexp(np.arange(fmt.bins_per_binade, dtype=np.float64), fmt.emin - (fmt.precision - 1))
    values = np.concatenate([subnormal, edges])
    return values if fmt.largest_finite is None else values[values <= fmt.largest_finite]


def encoded_bin_edges(fmt: FloatFormat) -> NDArray[np.float64]:
    r"""Edges of the magnitudes that round (to nearest) to each code of the *encoded* format.

    ``edges[j]`` to ``edges[j+1]`` rounds to the number with bit pattern `j`. The last bin reaches to infinity: it is
    the largest finite number where the format saturates, and otherwise the code of infinity; then half of the last
    spacing above the largest finite number still rounds down to it (IEEE 754-2019, section 4.3.1).
    """
    values = encoded_values(fmt)
    middle = values[:-1] + 0.5 * np.diff(values)
    if fmt.saturates:
        return np.concatenate([[0.0], middle, [np.inf]])
    overflow = values[-1] + 0.5 * (values[-1] - values[-2])
    return np.concatenate([[0.0], middle, [overflow, np.inf]])


def _check_rounding(rounding: str) -> None:
    if rounding not in ("truncate", "nearest"):
        raise ValueError(f"rounding must be 'truncate' or 'nearest', got {rounding!r}.")
