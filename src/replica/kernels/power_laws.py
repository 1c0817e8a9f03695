r"""Power-law spectra and targets, the exponents they give SGD, and fits of power laws."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def power_law_spectrum(modes: int, task_exponent: float, spectral_exponent: float) -> tuple[Array, Array]:
    r"""Eigenvalues :math:`\lambda_k=k^{-b}` and a target with :math:`\lambda_kv_k^2=k^{-a}`.

    Parameters
    ----------
    modes : int
        N.
    task_exponent, spectral_exponent : float
        :math:`a` and :math:`b`.

    Returns
    -------
    eigenvalues, target_power : arrays, shape (N,)
        :math:`\lambda_k` and :math:`v_k^2=k^{b-a}`.

    Raises
    ------
    ValueError
        If there is no mode or an exponent is not finite.
    """
    if int(modes) != modes or modes < 1:
        raise ValueError(f"modes must be a whole number >= 1; got {modes}")
    if not np.isfinite([task_exponent, spectral_exponent]).all():
        raise ValueError(f"exponents must be finite; got a={task_exponent}, b={spectral_exponent}")
    k = np.arange(1, int(modes) + 1.0)
    return k**-spectral_exponent, k ** (spectral_exponent - task_exponent)


def sgd_exponent(task_exponent: float, spectral_exponent: float) -> float:
    r"""Exponent :math:`\beta=\min(a-1,\,2b-1)/b` of the loss :math:`L_t\sim t^{-\beta}` of SGD at fixed batch size.

    The first is the tail of the target not yet learned, :math:`\sum_kk^{-a}e^{-2\eta k^{-b}t}`; the second is the
    memory of the noise that SGD makes early, :math:`\sum_k\lambda_k^2e^{-2\eta\lambda_kt}\sim t^{-2+1/b}`. They need
    :math:`a>1` and :math:`b>1`.

    Raises
    ------
    ValueError
        If :math:`a\le1` or :math:`b\le1/2`, where the sums diverge.
    """
    a, b = float(task_exponent), float(spectral_exponent)
    if not (a > 1 and b > 0.5):
        raise ValueError(f"need a > 1 (finite target power) and b > 1/2; got a={a}, b={b}")
    return min(a - 1, 2 * b - 1) / b


def fit_power_law(values: ArrayLike, start: int, end: int, positions: ArrayLike | None = None) -> float:
    r"""Exponent :math:`p` of :math:`y_k\propto k^{-p}` by least squares of :math:`\log y` on :math:`\log k`.

    Parameters
    ----------
    values : array, shape (L,)
        :math:`y_1,y_2,\dots`
    start, end : int
        First and last index of the fit, counted from 1, both included.
    positions : array, shape (L,), optional
        What stands in place of :math:`k=1,2,\dots`, for example times.

    Raises
    ------
    ValueError
        If fewer than two points are left or one is not positive.
    """
    y = np.asarray(values, dtype=np.float64)
    x = np.arange(1.0, y.size + 1) if positions is None else np.asarray(positions, dtype=np.float64)
    if y.ndim != 1 or x.shape != y.shape or not 1 <= start < end <= y.size:
        raise ValueError(f"need a vector and 1 <= start < end <= its length; got shape {y.shape}, {start}, {end}")
    x, y = x[start - 1 : end], y[start - 1 : end]
    if not ((x > 0).all() and (y > 0).all() and np.isfinite(y).all()):
        raise ValueError("a power law is fitted to positive, finite numbers only")
    x, y = np.log(x) - np.log(x).mean(), np.log(y)
    return float(-(x @ y) / (x @ x))


def tail_power(mode_power: ArrayLike, *, correct_end: bool = False) -> Array:
    r"""Share of the target's power beyond mode :math:`k`: :math:`1-\sum_{j\le k}p_j/\sum_jp_j`, for every :math:`k`.

    Parameters
    ----------
    mode_power : array, shape (L,)
        :math:`p_j=\lambda_jv_j^2`.
    correct_end : bool
        On :math:`L` points the tail must reach 0 at :math:`k=L`, whatever the law. The authors' code divides by
        :math:`(L+10-k)/L` to make up for it, and so does this.

    Raises
    ------
    ValueError
        If a power is negative or all are zero.
    """
    p = np.asarray(mode_power, dtype=np.float64)
    if p.ndim != 1 or not (p >= 0).all() or not p.sum() > 0:
        raise ValueError("mode_power must be a vector of numbers >= 0 that are not all zero")
    tail = np.append(np.cumsum(p[::-1])[::-1][1:], 0.0) / p.sum()
    if correct_end:
        tail *= p.size / (p.size + 10 - np.arange(1.0, p.size + 1))
    return tail
