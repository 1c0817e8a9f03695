"""Simulated streaming least squares in the arithmetic of a given floating-point format."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from replica.floating_point.formats import FloatFormat
from replica.floating_point.quantisation import quantize_fp
from replica.thermodynamics.regression_cost import LinearModel

Array = NDArray[np.float64]

#: Rounds an array of float64 to the numbers that a format can store.
Store = Callable[[Array], Array]


def store_float64(x: Array) -> Array:
    """Keep double precision."""
    return x


def store_float16(x: Array) -> Array:
    """Round to IEEE half precision (to nearest, with subnormal numbers) and back."""
    return x.astype(np.float16).astype(np.float64)


def store_precision(precision: int, emin: int = -60, emax: int = 60) -> Store:
    """Round to nearest with `precision` significand bits and a wide range of exponents; ValueError as
    :class:`~replica.floating_point.formats.FloatFormat`."""
    fmt = FloatFormat(precision, emin, emax)
    return lambda x: quantize_fp(x, fmt, "nearest")


def check_checkpoints(checkpoints: Sequence[int], runs: int) -> NDArray[np.int64]:
    """`checkpoints` as an array, shape (T,); ValueError unless they are whole numbers that increase from at least 1 and
    `runs` is a whole number of at least 1."""
    values = np.asarray(checkpoints, dtype=np.float64)
    whole = values.ndim == 1 and values.size > 0 and np.isfinite(values).all() and (values == np.rint(values)).all()
    if not whole or values[0] < 1 or (np.diff(values) <= 0).any():
        raise ValueError(f"checkpoints must increase from at least 1 in whole numbers, got {checkpoints}.")
    if not (runs >= 1 and runs == int(runs)):
        raise ValueError(f"runs must be a positive whole number, got {runs}.")
    return values.astype(np.int64)


def stream_sums(
    model: LinearModel, checkpoints: Sequence[int], runs: int, rng: np.random.Generator, store: Store = store_float64
) -> tuple[Array, Array]:
    r"""Running sums :math:`A=\sum xy` and :math:`S=\sum x^2` of many data streams, with every stored number rounded.

    The data, the products and the sums pass through `store`. In half precision a product and a sum of two stored
    numbers are exact in float64, so that this is the arithmetic of the format itself.

    Parameters
    ----------
    model : LinearModel
    checkpoints : sequence of int
        Numbers of pairs after which the sums are returned, increasing from at least 1.
    runs : int
    rng : numpy.random.Generator
    store : callable
        :func:`store_float64`, :func:`store_float16`, or what :func:`store_precision` returns.

    Returns
    -------
    products, squares : arrays, shape (len(checkpoints), runs)

    Raises
    ------
    ValueError
        As :func:`check_checkpoints`.
    """
    marks = check_checkpoints(checkpoints, runs)
    products, squares = np.empty((marks.size, runs)), np.empty((marks.size, runs))
    saved, a, s = 0, np.zeros(runs), np.zeros(runs)
    for t in range(int(marks[-1])):
        x = model.input_sd * rng.standard_normal(runs)
        y = store(model.slope * x + model.noise_sd * rng.standard_normal(runs))
        x = store(x)
        first, second = store(x * y), store(x * x)
        a, s = (store(a + first), store(s + second)) if t else (first, second)
        if t + 1 == marks[saved]:
            products[saved], squares[saved] = a, s
            saved += 1
    return products, squares


def rounded_sums_error(
    model: LinearModel, n: int, precision: int, draws: int, rng: np.random.Generator
) -> tuple[float, float]:
    r"""Bias and mean squared error of the slope that come from rounding the running sums, term by term.

    Near :math:`S\approx\sigma_x^2t` a sum moves in steps of :math:`u=2^{\lfloor\log_2S\rfloor-p+1}`, so that each term
    is rounded to a multiple of :math:`u`. Errors of different terms are independent; their mean and their variance,
    together with that of :math:`x\varepsilon`, are averaged over an evenly spread set of `draws` pairs for every binade
    of the sums and added up. A squared Gaussian, whose density diverges at zero, loses on average

    .. math:: \sqrt{2/\pi}\,\zeta(-\tfrac12,\tfrac12)\,u^{3/2}/\sigma_x\approx0.0486\,u^{3/2}/\sigma_x .

    Rounding of the data and of the products themselves is left out.

    Returns
    -------
    bias, ratio : float
        :math:`\mathbb E\,\hat w-w`, and mean squared error divided by :math:`\sigma^2/(\sigma_x^2N)`.

    Raises
    ------
    ValueError
        For fewer than 16 pairs (the sums then are not near their means), a fractional number of them, no draws, or a
        slope of zero.
    """
    if not (n >= 16 and n == int(n)) or draws < 1 or model.slope == 0:
        raise ValueError(
            f"need a whole n >= 16, draws >= 1 and a slope other than zero, got {n}, {draws}, {model.slope}."
        )
    # a lattice of golden ratio, shifted at random: it fills the square far more evenly than independent draws
    lattice = (np.arange(draws)[:, None] * (1 / draws, (np.sqrt(5) - 1) / 2) + rng.random(2)) % 1
    x, noise = (ndtri(lattice) * (model.input_sd, model.noise_sd)).T
    square, product = x * x, x * (model.slope * x + noise)
    t = np.arange(1, n + 1) * model.input_sd**2
    steps = np.stack([np.frexp(t)[1], np.frexp(np.abs(model.slope) * t)[1]], axis=1) - precision
    kick = (model.noise_sd * model.input_sd) ** 2  # variance of x times noise; drawn, it would be the largest error
    bias = variance = 0.0
    for (for_squares, for_products), count in zip(*np.unique(steps, axis=0, return_counts=True)):
        of_square, of_product = (
            np.rint(np.ldexp(values, -step)) * 2.0**step - values
            for values, step in ((square, for_squares), (product, for_products))
        )
        shift = of_product - model.slope * of_square
        bias += count * shift.mean()
        variance += count * (kick + shift.var() + 2 * np.mean(x * noise * (shift - shift.mean())))
    scale = model.input_sd**2 * n
    return float(bias / scale), float((variance + bias**2) / (kick * n))
