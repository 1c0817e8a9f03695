r"""The energetically best number of training pairs, for three ways in which demand depends on the error.

Training on :math:`N` pairs costs :math:`c_{tr}N` bits, one inference :math:`c_{inf}` bits (in units of
:math:`k_BT\ln2`), and the excess risk of exact least squares is :math:`\mathcal E=\sigma^2/(N-2)`. Sizes are treated as
real numbers. The demands are ours: D'Ambrosia et al. (2026), arXiv 2605.19195, has a demand that depends on the
generalisation error, but only its abstract could be read.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import lambertw

Array = NDArray[np.float64]


def best_size(cost: Callable[[float], float], smallest: float = 2.0, largest: float = 1e9) -> float:
    r"""The real :math:`N` between `smallest` and `largest` with the least `cost`, found numerically.

    A grid in :math:`\ln(N-N_{min})` finds the valley, Brent's method its bottom. ValueError if the cost is least at
    either end (no optimum inside) or is not a number. (It may be infinite close to `smallest`.)
    """
    grid = np.linspace(np.log(1e-3), np.log(largest - smallest), 400)
    values = np.array([cost(smallest + np.exp(g)) for g in grid])
    if np.isnan(values).any():
        raise ValueError("the cost must be a number at every size, but it is not a number at some.")
    place = int(values.argmin())
    if place in (0, grid.size - 1):
        raise ValueError(f"the cost has no minimum between {smallest:g} and {largest:g}: it is least at an end.")
    bracket = (grid[place - 1], grid[place + 1])
    found = minimize_scalar(
        lambda g: cost(smallest + np.exp(g)), bounds=bracket, method="bounded", options={"xatol": 1e-10}
    )
    return float(smallest + np.exp(found.x))


def power_demand_size(
    calls: ArrayLike, exponent: float, noise_sd: float, training_bits: float, inference_bits: float
) -> Array:
    r"""Best size when the number of inferences is :math:`M=M_0\mathcal E^a`: a worse model must be asked more often.

    .. math:: N^*=2+\Big(\frac{a\,M_0\,c_{inf}\,\sigma^{2a}}{c_{tr}}\Big)^{1/(1+a)}

    minimises :math:`c_{tr}N+c_{inf}M`, so that :math:`N^*-2\propto M_0^{1/(1+a)}`.

    Parameters
    ----------
    calls : array, any shape
        :math:`M_0`.
    exponent : float
        :math:`a`.
    noise_sd : float
        :math:`\sigma`.
    training_bits, inference_bits : float
        :math:`c_{tr}` for each pair and :math:`c_{inf}` for each inference.

    Raises
    ------
    ValueError
        Unless all arguments are positive and finite.
    """
    m = _positive("calls", calls)
    for label, value in (("exponent", exponent), ("noise_sd", noise_sd)):
        _positive(label, value)
    ratio = _positive("inference_bits", inference_bits) / _positive("training_bits", training_bits)
    return 2 + (exponent * m * ratio * noise_sd ** (2 * exponent)) ** (1 / (1 + exponent))


def per_inference_size(noise_sd: float, error_scale: ArrayLike) -> Array:
    r"""Best size when demand saturates, :math:`M=M_0e^{-\mathcal E/\mathcal E_0}`, and training energy for each
    inference served, :math:`c_{tr}N/M`, is to be least.

    It solves :math:`(N-2)^2=sN` with :math:`s=\sigma^2/\mathcal E_0`, and contains no energy:

    .. math:: N^*=\tfrac12\big(s+4+\sqrt{s^2+8s}\,\big).

    `error_scale` is :math:`\mathcal E_0`, any shape. ValueError unless both are positive and finite.
    """
    s = _positive("noise_sd", noise_sd) ** 2 / _positive("error_scale", error_scale)
    return 0.5 * (s + 4 + np.sqrt(s**2 + 8 * s))


def break_even_calls(noise_sd: float, error_scale: ArrayLike, training_bits: float, profit_bits: float) -> Array:
    r"""Demand :math:`M_0` below which no training pays when each inference is worth `profit_bits` more than it costs.

    With :math:`N^*` of :func:`per_inference_size`, :math:`M_0=c_{tr}N^*e^{\sigma^2/(\mathcal E_0(N^*-2))}/(V-c_{inf})`:
    the least price at which the inferences can pay for the training. Errors as there.
    """
    n = per_inference_size(noise_sd, error_scale)
    s = noise_sd**2 / np.asarray(error_scale, dtype=np.float64)
    return _positive("training_bits", training_bits) * n * np.exp(s / (n - 2)) / _positive("profit_bits", profit_bits)


def net_value_size(
    calls: ArrayLike, noise_sd: float, error_scale: float, training_bits: float, profit_bits: float
) -> Array:
    r"""Best size when each of :math:`M=M_0e^{-\mathcal E/\mathcal E_0}` inferences is worth `profit_bits` more than it
    costs: the maximum of :math:`(V-c_{inf})M-c_{tr}N`.

    With :math:`s=\sigma^2/\mathcal E_0` and :math:`A=(V-c_{inf})M_0s/c_{tr}`, and Lambert's function :math:`W_0`,

    .. math:: N^*=2-\frac{s}{2W_0\big(-\tfrac s{2\sqrt A}\big)}\;\simeq\;2+\sqrt A\quad(A\to\infty).

    Parameters
    ----------
    calls : array, any shape
        :math:`M_0`.
    noise_sd, error_scale : float
        :math:`\sigma` and :math:`\mathcal E_0`.
    training_bits, profit_bits : float
        :math:`c_{tr}` and :math:`V-c_{inf}`.

    Raises
    ------
    ValueError
        Unless all are positive and finite, or where demand is below :func:`break_even_calls`: then the best is not to
        train at all.
    """
    m = _positive("calls", calls)
    least = float(break_even_calls(noise_sd, error_scale, training_bits, profit_bits))
    if (m < least * (1 - 1e-12)).any():
        raise ValueError(f"training does not pay for fewer than {least:.4g} calls, got {m.min():.4g}.")
    s = noise_sd**2 / error_scale
    amplitude = profit_bits * m * s / training_bits
    return 2 - s / (2 * np.real(lambertw(-0.5 * s / np.sqrt(amplitude))))


def _positive(label: str, value: ArrayLike) -> Array:
    """`value` as an array; ValueError unless it is positive and finite."""
    array = np.asarray(value, dtype=np.float64)
    if not (np.isfinite(array).all() and (array > 0).all()):
        raise ValueError(f"{label} must be positive and finite, got {value}.")
    return array
