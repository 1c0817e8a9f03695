r"""The smooth approximation :math:`\tilde H_s` and the terms of its error.

Without clipping the exact entropy obeys

.. math:: H-\tilde H_s = D_{KL}(f\|\bar f) + \mathbb E\{\log_2|X|\} - \tfrac12,

with :math:`\bar f` the density averaged over each bin and :math:`\{y\}=y-\lfloor y\rfloor`. Source: Daniels et al.
(2026), for the approximation and the structure of its error; the Fourier form and the second-order
form of the relative entropy are derived in the notebook.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import xlogy

from replica.floating_point.distributions import Distribution
from replica.floating_point.formats import FloatFormat, check_precision
from replica.floating_point.quadrature import density_nodes

_LN2 = float(np.log(2.0))


def fp_entropy_approx(dist: Distribution, precision: int) -> float:
    r"""Smooth entropy :math:`\tilde H_s=p-\frac12-\mathbb E\log_2(|X|f_X(X))` by quadrature, in bits.

    Parameters
    ----------
    dist : Distribution
        A frozen ``scipy.stats`` distribution with a density.
    precision : int
        :math:`p`, with the implicit bit, from 2 to 53.

    Raises
    ------
    ValueError
        If the density does not integrate to 1, or the precision is out of range.
    """
    check_precision(precision)
    nodes = density_nodes(dist)
    return float(precision - 0.5 - nodes.mean(np.log2(np.abs(nodes.x)) + nodes.log_density))


def differential_entropy(dist: Distribution) -> float:
    r"""Differential entropy :math:`h(X)=-\mathbb E\log_2f_X(X)` in bits; ValueError for an unnormalised density."""
    nodes = density_nodes(dist)
    return float(-nodes.mean(nodes.log_density))


def mean_fraction(dist: Distribution) -> float:
    r""":math:`\mathbb E\{\log_2|X|\}`, the mean position within a binade on the logarithmic scale: from 0 to 1."""
    nodes = density_nodes(dist)
    return float(nodes.mean(np.log2(np.abs(nodes.x)) - nodes.exponent))


def log_moment(dist: Distribution, s: ArrayLike) -> NDArray[np.complex128]:
    r"""Characteristic function of :math:`\ln|X|`, :math:`\mathbb E|X|^{is}`, at real `s` (any shape)."""
    frequency = np.asarray(s, dtype=np.float64)
    turns = float(np.max(np.abs(frequency), initial=0.0)) * _LN2 / (2 * np.pi)  # oscillations per binade
    nodes = density_nodes(dist, order=24 + int(4 * turns))
    phases = np.exp(1j * frequency[..., None] * np.log(np.abs(nodes.x)))
    return phases @ nodes.mass


def sawtooth(dist: Distribution, factors: ArrayLike, harmonics: int = 8) -> NDArray[np.float64]:
    r"""Staircase error of :math:`aX` from the characteristic function of :math:`\ln|X|`, in bits.

    .. math:: \mathbb E\{\log_2|aX|\}-\tfrac12
              =-\sum_{k\ge1}\frac1{\pi k}\,\mathrm{Im}\big(a^{is_k}\,\mathbb E|X|^{is_k}\big),

    with :math:`s_k=2\pi k/\ln2`.

    `factors` are the positive factors :math:`a` (any shape, the shape of the result). ValueError if one is not
    positive or `harmonics` is smaller than 1.
    """
    a = np.asarray(factors, dtype=np.float64)
    if np.any(~(a > 0)):
        raise ValueError("factors must be positive.")
    if harmonics < 1:
        raise ValueError(f"harmonics must be at least 1, got {harmonics}.")
    k = np.arange(1, harmonics + 1)
    s = 2 * np.pi * k / _LN2
    terms = np.imag(np.exp(1j * np.log(a)[..., None] * s) * log_moment(dist, s)) / (np.pi * k)
    return -terms.sum(axis=-1)


def gaussian_sawtooth_amplitude(harmonic: int = 1) -> float:
    r"""Amplitude of one harmonic for a centred Gaussian, :math:`\frac1{\pi k}\cosh(\pi^2k/\ln2)^{-1/2}` bits.

    It follows from :math:`|\mathbb E|X|^{is}|=|\Gamma(\frac{1+is}2)|/\sqrt\pi=\cosh(\pi s/2)^{-1/2}` at
    :math:`s=2\pi k/\ln2`.
    """
    if harmonic < 1:
        raise ValueError(f"harmonic must be at least 1, got {harmonic}.")
    return float(np.cosh(np.pi**2 * harmonic / _LN2) ** -0.5 / (np.pi * harmonic))


def uniform_sawtooth(scale: ArrayLike) -> NDArray[np.float64]:
    r"""Staircase error of the uniform distribution on :math:`(-a,a)`, in bits, for positive `scale` :math:`a` (any
    shape).

    With :math:`a=2^nr`, :math:`1\le r<2`: :math:`\log_2r-\frac1{\ln2}+\frac2r-\frac12`. Largest at :math:`r=1`
    (:math:`\frac32-\frac1{\ln2}`), smallest at :math:`r=2\ln2`.
    """
    a = np.asarray(scale, dtype=np.float64)
    if np.any(~(a > 0)):
        raise ValueError("scale must be positive.")
    r = 2 * np.frexp(a)[0]
    return np.log2(r) - 1 / _LN2 + 2 / r - 0.5


def rounding_shift(precision: int) -> float:
    r"""What rounding to nearest adds to the entropy over truncation, for a density spread over many binades, in bits.

    Rounding to nearest makes the bin of a power of two narrower (3/4 of the width of the bins above it) and wider than
    the bins below it (3/2). Averaged over one binade of a log-uniform density, with :math:`\delta=2^{1-p}`,

    .. math:: -\log_2(1+\tfrac\delta2)\log_2\tfrac34+\log_2(1-\tfrac\delta4)\log_2\tfrac32\approx0.0884\,\delta .
    """
    delta = 2.0 ** (1 - check_precision(precision))
    return float(-np.log2(1 + delta / 2) * np.log2(0.75) + np.log2(1 - delta / 4) * np.log2(1.5))


def overflow_loss(dist: Distribution, fmt: FloatFormat) -> float:
    r"""Smooth approximation of the entropy lost to overflow in the simplified format, in bits.

    Merging the magnitudes from :math:`t=2^{e_{max}+1}` on, of probability :math:`Q_\pm` for each sign, loses

    .. math:: -\mathbb E\big[\mathbf 1_{|X|\ge t}\,(\log_2(|X|f_X(X))-p+\tfrac12)\big]+\sum_\pm Q_\pm\log_2Q_\pm .

    Exact: :func:`replica.floating_point.exact.clipping_loss`. Good while the tail spans many bins.
    """
    nodes = density_nodes(dist, intervals=[(sign, 2.0 ** (fmt.emax + 1), np.inf) for sign in (-1, 1)])
    if nodes.mass.size == 0:
        return 0.0
    shares = np.array([nodes.mass[nodes.x * sign > 0].sum() for sign in (-1, 1)])
    merged = float(xlogy(shares, shares).sum() / _LN2)
    spread = np.log2(np.abs(nodes.x)) + nodes.log_density - (fmt.precision - 0.5)
    return float(merged - nodes.mean(spread))


def kl_second_order(dist: Distribution, precision: int) -> float:
    r"""Leading term of the peakedness, :math:`\frac1{24\ln2}\mathbb E[\Delta(X)^2(f'(X)/f(X))^2]` bits.

    Valid for densities that are smooth on the scale of a bin (it ignores jumps). It falls by 4 for each bit of
    precision.
    """
    check_precision(precision)
    nodes = density_nodes(dist)
    slope = log_slope(dist, nodes.x)
    width = np.exp2(nodes.exponent - (precision - 1.0))
    return float(nodes.mean((width * slope) ** 2) / (24 * _LN2))


def log_slope(dist: Distribution, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithmic derivative of the density, f'(x)/f(x), by central differences that stay inside the support."""
    low, high = dist.support()
    step = 1e-5 * np.abs(x)
    for end in (low, high):
        if np.isfinite(end) and end != 0:
            step = np.minimum(step, 0.01 * np.abs(x - end))
    with np.errstate(all="ignore"):
        slope = (dist.logpdf(x + step) - dist.logpdf(x - step)) / ((x + step) - (x - step))
    return np.nan_to_num(slope, nan=0.0, posinf=0.0, neginf=0.0)
