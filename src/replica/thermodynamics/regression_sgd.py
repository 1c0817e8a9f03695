r"""Least squares by single-pass stochastic gradient descent: exact moments, laws, and simulation.

Each step takes a fresh pair, :math:`w_{t+1}=w_t-\eta(w_tx_t-y_t)x_t`. The error :math:`d_t=w_t-w` obeys

.. math:: d_{t+1}=(1-\eta x_t^2)\,d_t+\eta x_t\varepsilon_t,

so that its first four moments close. With Gaussian :math:`x` the second one is stable for
:math:`\eta<2/(3\sigma_x^2)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from replica.thermodynamics.regression_cost import LinearModel
from replica.thermodynamics.regression_streams import check_checkpoints

Array = NDArray[np.float64]


class ErrorMoments(NamedTuple):
    r"""Raw moments :math:`\mathbb E\,d_t^k` of the error of the slope, arrays of shape (T + 1,)."""

    #: :math:`\mathbb E\,d_t`
    first: Array
    #: :math:`\mathbb E\,d_t^2`, the mean squared error.
    second: Array
    #: :math:`\mathbb E\,d_t^3`
    third: Array
    #: :math:`\mathbb E\,d_t^4`
    fourth: Array

    @property
    def variance(self) -> Array:
        """Variance of the slope about its own mean."""
        return self.second - self.first**2

    @property
    def excess_kurtosis(self) -> Array:
        """Fourth central moment over the squared variance, minus 3: zero for a Gaussian."""
        m, central = self.first, self.fourth - 4 * self.first * self.third
        with np.errstate(all="ignore"):  # no variance at t = 0
            return (central + 6 * m**2 * self.second - 3 * m**4) / self.variance**2 - 3


def largest_stable_rate(model: LinearModel) -> float:
    r"""Step size :math:`2/(3\sigma_x^2)` from which on the mean squared error grows without limit."""
    return 2 / (3 * model.input_sd**2)


def sgd_moments(
    model: LinearModel, rate: ArrayLike, steps: int, start: float = 0.0, allow_unstable: bool = False
) -> ErrorMoments:
    r"""First four moments of the error :math:`w_t-w` after 0 to `steps` steps, exact for Gaussian data.

    .. math:: \mathbb E\,d_{t+1}^2=(1-2\eta\sigma_x^2+3\eta^2\sigma_x^4)\,\mathbb E\,d_t^2+\eta^2\sigma^2\sigma_x^2 ,

    and alike for the others, from the moments 1, 3, 15, 105 of a squared Gaussian.

    Parameters
    ----------
    model : LinearModel
    rate : float or array, shape (steps,)
        :math:`\eta`, or one for each step.
    steps : int
    start : float
        :math:`w_0`.
    allow_unstable : bool
        Accept step sizes with which the mean squared error diverges.

    Raises
    ------
    ValueError
        For fewer than one step, a start that is not finite, or a rate that is not positive or not stable.
    """
    rates = _check_rates(model, rate, steps, allow_unstable)
    if not np.isfinite(start):
        raise ValueError(f"start must be finite, got {start}.")
    s, noise = model.input_sd**2, model.noise_sd**2
    e = rates * s  # all powers of eta and sigma_x^2 come in pairs, but for one 1/sigma_x^2 with each sigma^2
    kick = noise / s
    a2, a3 = 1 - 2 * e + 3 * e**2, 1 - 3 * e + 9 * e**2 - 15 * e**3
    a4 = 1 - 4 * e + 18 * e**2 - 60 * e**3 + 105 * e**4
    b1, b2 = 3 * e**2 * (1 - 3 * e) * kick, 6 * e**2 * (1 - 6 * e + 15 * e**2) * kick
    table = np.empty((4, steps + 1))
    table[:, 0] = (start - model.slope) ** np.arange(1, 5)
    with np.errstate(over="ignore", invalid="ignore"):  # unstable moments soon leave the range of float64
        for t in range(steps):
            d1, d2, d3, d4 = table[:, t]
            table[0, t + 1] = (1 - e[t]) * d1
            table[1, t + 1] = a2[t] * d2 + e[t] ** 2 * kick
            table[2, t + 1] = a3[t] * d3 + b1[t] * d1
            table[3, t + 1] = a4[t] * d4 + b2[t] * d2 + 9 * e[t] ** 4 * kick**2
    return ErrorMoments(*table)


def stationary_mean_square(model: LinearModel, rate: float) -> float:
    r"""Mean squared error of the slope after infinitely many steps, :math:`\eta\sigma^2/(2-3\eta\sigma_x^2)`.

    ValueError for a rate that is not positive or not stable.
    """
    eta = float(_check_rates(model, rate, 1, False)[0])
    return eta * model.noise_sd**2 / (2 - 3 * eta * model.input_sd**2)


def best_rates(model: LinearModel, steps: int, start: float = 0.0) -> Array:
    r"""Step sizes that make the mean squared error :math:`v_t` smallest at every step, shape (steps,).

    :math:`\eta_t=v_t/(3\sigma_x^2v_t+\sigma^2)`, which gives :math:`v_{t+1}=v_t-\sigma_x^2v_t\eta_t`; for many steps
    :math:`v_t\to\sigma^2/(\sigma_x^2t)`, as good as exact least squares. They ask for the law of the data to be known.
    ValueError for fewer than one step or a start on the slope itself.
    """
    if steps < 1:
        raise ValueError(f"there must be at least one step, got {steps}.")
    v = (start - model.slope) ** 2
    if not (np.isfinite(v) and v > 0):
        raise ValueError(f"start must be finite and differ from the slope, got {start}.")
    s, rates = model.input_sd**2, np.empty(steps)
    for t in range(steps):
        rates[t] = v / (3 * s * v + model.noise_sd**2)
        v -= s * v * rates[t]
    return rates


def gaussian_sgd_law(model: LinearModel, rate: ArrayLike, steps: int, start: float = 0.0) -> Any:
    """Gaussian of the exact mean and variance of the slope after `steps` steps, a frozen ``scipy.stats.norm``.

    Good once many steps have been averaged: see :attr:`ErrorMoments.excess_kurtosis`. Errors as
    :func:`sgd_moments`.
    """
    moments = sgd_moments(model, rate, steps, start)
    return stats.norm(model.slope + moments.first[-1], np.sqrt(moments.variance[-1]))


def simulate_sgd(
    model: LinearModel,
    rate: ArrayLike,
    checkpoints: Sequence[int],
    runs: int,
    rng: np.random.Generator,
    start: float = 0.0,
    allow_unstable: bool = False,
) -> Array:
    """Slopes of many independent runs of SGD after the given numbers of steps.

    Parameters
    ----------
    model : LinearModel
    rate : float or array, shape (max(checkpoints),)
    checkpoints : sequence of int
        Increasing, at least 1.
    runs : int
    rng : numpy.random.Generator
    start : float
    allow_unstable : bool
        As in :func:`sgd_moments`.

    Returns
    -------
    slopes : array, shape (len(checkpoints), runs)

    Raises
    ------
    ValueError
        For checkpoints or runs as in :func:`~replica.thermodynamics.regression_streams.check_checkpoints`, and a rate
        or start as in :func:`sgd_moments`.
    """
    marks = check_checkpoints(checkpoints, runs)
    if not np.isfinite(start):
        raise ValueError(f"start must be finite, got {start}.")
    steps = int(marks[-1])
    rates = _check_rates(model, rate, steps, allow_unstable)
    error, result = np.full(runs, start - model.slope), np.empty((marks.size, runs))
    saved = 0
    for t in range(steps):
        x = model.input_sd * rng.standard_normal(runs)
        noise = model.noise_sd * rng.standard_normal(runs)
        error += rates[t] * x * (noise - x * error)
        if t + 1 == marks[saved]:
            result[saved] = model.slope + error
            saved += 1
    return result


def _check_rates(model: LinearModel, rate: ArrayLike, steps: int, allow_unstable: bool) -> Array:
    """One step size for each step; ValueError as documented above."""
    if steps < 1:
        raise ValueError(f"there must be at least one step, got {steps}.")
    rates = np.asarray(rate, dtype=np.float64)
    if rates.shape not in ((), (steps,)):
        raise ValueError(f"rate must be one number or one for each of {steps} steps, got shape {rates.shape}.")
    if not (np.isfinite(rates).all() and (rates > 0).all()):
        raise ValueError(f"rate is a step size and must be positive and finite, got {rate}.")
    bound = largest_stable_rate(model)
    if not allow_unstable and (rates >= bound).any():
        raise ValueError(
            f"rate must be below 2/(3 input_sd**2) = {bound:.4g}, from where the mean squared error diverges, "
            f"got {rates.max():.4g}."
        )
    return np.broadcast_to(rates, (steps,))
