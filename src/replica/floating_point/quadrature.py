r"""Quadrature nodes for expectations under a density, laid out binade by binade.

Gauss-Legendre panels never cross a power of two, so integrands that contain :math:`\lfloor\log_2|x|\rfloor` are smooth
inside each. Panels are further cut at quantiles (for narrow densities) and graded towards the finite ends of the
support (for densities that jump or diverge there).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from replica.floating_point.distributions import Distribution

_EXPONENTS = (-1000, 1000)  # binades searched for probability
_NEGLIGIBLE = 1e-24  # probability scale |x| f(x) below which a binade is skipped
_QUANTILES = np.concatenate(
    [10.0 ** np.arange(-14, -1), np.linspace(0.05, 0.95, 19), 1 - 10.0 ** np.arange(-2.0, -15, -1)]
)
_NORMALISATION_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Nodes:
    r"""Quadrature nodes under a density: :math:`\mathbb E\,g(X)\approx\sum_i w_i\,g(x_i)`.

    All arrays have the same length: `x` (signed), `mass` (:math:`w_i`, quadrature weight times density),
    `log_density` (:math:`\log_2 f(x_i)`), `exponent` (:math:`\lfloor\log_2|x_i|\rfloor`).
    """

    x: NDArray[np.float64]
    mass: NDArray[np.float64]
    log_density: NDArray[np.float64]
    exponent: NDArray[np.int64]

    def mean(self, values: NDArray) -> NDArray | float:
        """Expectation of a function given by its values at the nodes (last axis)."""
        return values @ self.mass


def density_nodes(
    dist: Distribution, order: int = 24, intervals: Sequence[tuple[int, float, float]] | None = None
) -> Nodes:
    r"""Nodes and weights for expectations under `dist`.

    Parameters
    ----------
    dist : Distribution
        Anything with ``logpdf``, ``pdf``, ``ppf`` and ``support`` (a frozen ``scipy.stats`` distribution).
    order : int
        Gauss-Legendre nodes per panel.
    intervals : sequence of (sign, low, high), or None
        Cover only ``low <= sign * x < high`` (unions of such intervals; the weights are not renormalised).
        By default the whole line is covered, and the total mass compared with 1.

    Raises
    ------
    ValueError
        If the density does not integrate to 1 within 1e-6, or is infinite or not a number inside its support.
    """
    low, high = (float(v) for v in dist.support())
    with np.errstate(all="ignore"):
        quantiles = np.asarray(dist.ppf(_QUANTILES), dtype=np.float64)
    quantiles = quantiles[np.isfinite(quantiles)]
    pieces = [(np.empty(0), np.empty(0), np.empty(0), np.empty(0, dtype=np.int64))]
    for sign in (1, -1):
        start, stop = (max(low, 0.0), high) if sign > 0 else (max(-high, 0.0), -low)
        if stop <= start:
            continue
        breaks = _breaks(dist, sign, start, stop, quantiles[sign * quantiles > 0] * sign)
        for side, first, last in [(sign, 0.0, np.inf)] if intervals is None else intervals:
            if side == sign and len(cut := _restrict(breaks, first, last)) > 1:
                pieces.append(_panel_nodes(dist, sign, cut, (start, stop), order))
    nodes = Nodes(*(np.concatenate(parts) for parts in zip(*pieces)))
    total = nodes.mass.sum()
    if not np.isfinite(total):
        raise ValueError("the density is infinite or not a number inside its support.")
    if intervals is None and abs(total - 1) > _NORMALISATION_TOLERANCE:
        raise ValueError(f"the density must integrate to 1, but it integrates to {total:.8g}.")
    return nodes


def quantile_nodes(dist: Distribution, nodes: int = 400) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points and weights for expectations under a frozen distribution, by quadrature over its quantiles.

    For functions that are smooth but for the two tails (see :func:`density_nodes` for those that are not). The
    quantiles are crowded towards both ends and taken from the nearer one, so that functions may grow there as a power
    of the logarithm of the tail probability. `dist` needs ``ppf`` and ``isf``. Both arrays have
    shape (nodes,). ValueError for fewer than 4 nodes.
    """
    if nodes < 4:
        raise ValueError(f"the quadrature needs at least 4 nodes, got {nodes}.")
    points, weights = _gauss_legendre(nodes // 2)
    v = 0.5 * (points + 1)
    u = 0.5 * v**3  # from 0 to 1/2, crowded at 0
    weight = 0.75 * v**2 * weights
    return np.concatenate([dist.ppf(u), dist.isf(u)]), np.concatenate([weight, weight])


@lru_cache(maxsize=16)
def _gauss_legendre(order: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gauss-Legendre nodes and weights: finding hundreds of them takes longer than using them."""
    return np.polynomial.legendre.leggauss(order)


def _restrict(breaks: NDArray[np.float64], first: float, last: float) -> NDArray[np.float64]:
    """The part of increasing `breaks` between `first` and `last`, these included where they cut a panel."""
    first, last = max(first, breaks[0]), min(last, breaks[-1])
    if last <= first:
        return breaks[:0]
    return np.concatenate([[first], breaks[(breaks > first) & (breaks < last)], [last]])


def _panel_nodes(
    dist: Distribution, sign: int, breaks: NDArray[np.float64], support: tuple[float, float], order: int
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Nodes on consecutive panels of magnitudes of one sign: x, mass, log density, exponent."""
    left, width = breaks[:-1], np.diff(breaks)
    points, weights = np.polynomial.legendre.leggauss(order)
    x = (left[:, None] + width[:, None] * 0.5 * (points + 1)).ravel()
    x = np.clip(x, np.nextafter(support[0], np.inf), np.nextafter(support[1], 0.0))  # a density may diverge there
    with np.errstate(all="ignore"):
        log_density = np.asarray(dist.logpdf(sign * x), dtype=np.float64) / np.log(2.0)
    mass = (0.5 * width[:, None] * weights).ravel() * np.exp2(log_density)
    exponent = np.repeat(np.frexp(left + 0.5 * width)[1] - 1, order)
    keep = mass != 0
    return sign * x[keep], mass[keep], log_density[keep], exponent[keep]


def _breaks(dist: Distribution, sign: int, start: float, stop: float, quantiles: NDArray) -> NDArray[np.float64]:
    """Ends of the panels for one sign: powers of two, quantiles, and points graded towards the ends of the support."""
    exponents = np.arange(*_EXPONENTS, dtype=np.float64)
    powers = np.exp2(exponents)
    with np.errstate(all="ignore"):
        weight = np.exp(np.log(1.5 * powers) + dist.logpdf(sign * 1.5 * powers))  # scipy's beta.pdf overflows
    occupied = np.nan_to_num(weight, nan=0.0, posinf=1.0) > _NEGLIGIBLE
    for special in (*quantiles, start, stop):
        if 0 < special < np.inf:
            occupied |= np.abs(exponents - np.floor(np.log2(special))) <= 1
    occupied |= np.append(occupied[1:], False) | np.append(False, occupied[:-1])
    if not occupied.any():
        return np.array([max(start, powers[0])])
    first, last = powers[occupied][0], 2 * powers[occupied][-1]
    first, last = max(first, start), min(last, stop)
    breaks = [powers, quantiles, [first, last]]
    if start > 0:
        breaks.append(start + (np.exp2(np.floor(np.log2(start)) + 1) - start) * 0.5 ** np.arange(1, 50))
    if np.isfinite(stop):
        below = np.exp2(np.ceil(np.log2(stop)) - 1)
        breaks.append(stop - (stop - below) * 0.5 ** np.arange(1, 50))
    joined = np.unique(np.concatenate(breaks))
    return joined[(joined >= first) & (joined <= last)]
