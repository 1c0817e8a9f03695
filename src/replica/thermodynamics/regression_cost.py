r"""What it costs to fit a line: entropies of the data, of the running sums and of the fitted slope.

Data are pairs :math:`y_i=wx_i+\varepsilon_i` with :math:`x_i\sim N(0,\sigma_x^2)` and
:math:`\varepsilon_i\sim N(0,\sigma^2)`, all numbers stored in floating point of precision :math:`p`. Exact least
squares through the origin, :math:`\hat w=\sum x_iy_i/\sum x_i^2`, has the law

.. math:: \hat w\sim w+\frac{\sigma}{\sigma_x\sqrt N}\,t_N

with :math:`t_N` Student's variable of :math:`N` degrees of freedom, and :math:`N-1` for :math:`N` with an intercept.
Smooth entropies :math:`\tilde H` come from :mod:`replica.floating_point`, and every entropy here is in bits.
Derived from the abstract of D'Ambrosia et al. (2026), arXiv 2605.19195, and the entropy formulas of Daniels et al.
(2026), arXiv 2605.11546; the model of the data is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.special import betaln, gammaln, psi

from replica.floating_point.closed_forms import fp_entropy_closed
from replica.floating_point.formats import check_precision
from replica.floating_point.multivariate import fp_entropy_mvn
from replica.floating_point.quadrature import density_nodes, quantile_nodes
from replica.floating_point.smooth import fp_entropy_approx

Array = NDArray[np.float64]

_LN2 = float(np.log(2.0))
_HALF_LOG_2PIE = 0.5 * float(np.log2(2 * np.pi * np.e))


@dataclass(frozen=True)
class LinearModel:
    r"""The law of one data pair, :math:`y=wx+\varepsilon`.

    Parameters
    ----------
    slope : float
        :math:`w`.
    noise_sd : float
        :math:`\sigma>0`, standard deviation of :math:`\varepsilon`.
    input_sd : float
        :math:`\sigma_x>0`, standard deviation of :math:`x`.

    Raises
    ------
    ValueError
        For numbers that are not finite, or standard deviations that are not positive.
    """

    slope: float
    noise_sd: float = 0.5
    input_sd: float = 1.0

    def __post_init__(self) -> None:
        if not np.isfinite(self.slope):
            raise ValueError(f"slope must be finite, got {self.slope}.")
        for label in ("noise_sd", "input_sd"):
            value = getattr(self, label)
            if not (np.isfinite(value) and value > 0):
                raise ValueError(f"{label} is a standard deviation and must be positive and finite, got {value}.")

    @property
    def covariance(self) -> Array:
        r"""Covariance matrix of :math:`(x,y)`, shape (2, 2)."""
        vx = self.input_sd**2
        return np.array([[vx, self.slope * vx], [self.slope * vx, self.slope**2 * vx + self.noise_sd**2]])

    @property
    def relative_noise(self) -> float:
        r""":math:`\sigma/\sigma_x`: the standard error of the slope is this over :math:`\sqrt N`."""
        return self.noise_sd / self.input_sd


def least_squares_slope(x: ArrayLike, y: ArrayLike, intercept: bool = False) -> Array:
    r"""Fitted slopes :math:`\sum xy/\sum x^2` of many data sets at once, shape (...).

    `x` and `y` have shape (..., N); with an intercept their means are taken off first. ValueError for shapes that do
    not fit, numbers that are not finite, or inputs that are all equal (all zero without intercept).
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.shape != y.shape or x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(f"x and y must have the same shape (..., N), N >= 1; got {x.shape} and {y.shape}.")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("the data must be finite numbers.")
    if intercept:
        x, y = x - x.mean(axis=-1, keepdims=True), y - y.mean(axis=-1, keepdims=True)
    squares = np.einsum("...i,...i->...", x, x)
    if not (squares > 0).all():
        raise ValueError("the inputs of a data set are all equal: no slope can be fitted.")
    return np.einsum("...i,...i->...", x, y) / squares


def ols_slope_law(model: LinearModel, n: float, intercept: bool = False) -> Any:
    r"""Exact law of the fitted slope, :math:`w+\frac{\sigma}{\sigma_x\sqrt\nu}t_\nu`, as a frozen ``scipy.stats.t``.

    The degrees of freedom are :math:`\nu=N`, and :math:`N-1` with an intercept. `n` need not be an integer.
    ValueError if fewer than one degree of freedom is left.
    """
    freedom = _degrees_of_freedom(n, intercept, least=1)
    return stats.t(freedom, loc=model.slope, scale=model.relative_noise / np.sqrt(freedom))


def slope_variance(model: LinearModel, n: ArrayLike, intercept: bool = False) -> Array:
    r"""Mean squared error of the fitted slope, :math:`\sigma^2/(\sigma_x^2(\nu-2))`; ValueError where it is infinite
    (:math:`\nu\le2`, that is :math:`N\le2`, or 3 with an intercept)."""
    return model.relative_noise**2 / (_degrees_of_freedom(n, intercept, above=2) - 2)


def ols_excess_risk(model: LinearModel, n: ArrayLike, intercept: bool = False) -> Array:
    r"""Mean squared error on new data above the noise :math:`\sigma^2`.

    Without intercept :math:`\mathcal E=\sigma^2/(N-2)`; with intercept :math:`2\sigma^2(N-1)/(N(N-3))`. `n` is an array
    of any shape of real numbers. ValueError where the mean does not exist (:math:`N\le2`, or 3 with an intercept).
    """
    n = np.asarray(n, dtype=np.float64)
    variance = slope_variance(model, n, intercept)
    if not intercept:
        return model.input_sd**2 * variance
    return model.noise_sd**2 * (1 / n + (1 + 1 / n) / (n - 3))


def pair_entropy_bits(model: LinearModel, precision: int) -> float:
    r"""Smooth entropy of one stored pair, :math:`\tilde H(x,y)=2c_p+\frac12\log_2(1-\rho^2)`, in bits.

    :math:`c_p=p+2.4635` is the entropy of any centred Gaussian, and :math:`\rho` the correlation of :math:`x` and
    :math:`y`.
    """
    return fp_entropy_mvn(model.covariance, precision)


def slope_entropy_bits(model: LinearModel, n: float, precision: int, intercept: bool = False) -> float:
    r"""Smooth entropy of the fitted slope in bits, by quadrature; in closed form where :math:`w=0`.

    Not an approximation to use near the resolution of the format (:func:`resolution_size`), nor, for
    :math:`w\ne0`, better than half a bit: :func:`replica.floating_point.exact.fp_entropy_exact` of
    :func:`ols_slope_law` is exact.
    """
    if model.slope == 0:
        return fp_entropy_closed("student_t", precision, nu=_degrees_of_freedom(n, intercept, least=1))
    return fp_entropy_approx(ols_slope_law(model, n, intercept), precision)


def slope_entropy_asymptote_bits(model: LinearModel, n: ArrayLike, precision: int) -> Array:
    r"""Large-:math:`N` form of the smooth entropy of the slope in bits.

    .. math:: p-\tfrac12+\tfrac12\log_2\frac{2\pi e\,\sigma^2}{\sigma_x^2N}-\log_2|w|\quad(w\ne0),

    and :math:`c_p=p+2.4635`, for all :math:`N`, where :math:`w=0`.
    """
    n = np.asarray(n, dtype=np.float64)
    if model.slope == 0:
        return np.full(n.shape, fp_entropy_closed("normal", precision))
    check_precision(precision)
    return precision - 0.5 + _HALF_LOG_2PIE + np.log2(model.relative_noise / abs(model.slope)) - 0.5 * np.log2(n)


def resolution_size(model: LinearModel, precision: int) -> float:
    r"""Sample size :math:`(\sigma/(\sigma_xw))^2\,4^{p-1}` at which the standard error of the slope is one bin.

    The slope then still holds two or three bits; they are gone after some fifty times as many pairs.

    ValueError for a slope of zero, which has no such size: bins shrink with the slope.
    """
    if model.slope == 0:
        raise ValueError("a slope of zero is never resolved: the bins of a floating-point format shrink towards zero.")
    return (model.relative_noise / model.slope) ** 2 * 4.0 ** (check_precision(precision) - 1)


def running_sums_entropy_bits(model: LinearModel, n: int, precision: int) -> float:
    r"""Smooth joint entropy in bits of the running sums :math:`A=\sum x_iy_i` and :math:`S=\sum x_i^2` of `n` pairs.

    With :math:`A=S\hat w`, :math:`\hat w|S\sim N(w,\sigma^2/S)` and :math:`S\sim\sigma_x^2\chi^2_N`,

    .. math:: \tilde H(A,S)=2p-1+h(S)+\tfrac12\log_2(2\pi e\sigma^2)-\tfrac32\,\mathbb E\log_2S
              -\mathbb E\log_2|\hat w| .

    The same number holds for any other two numbers that are products of powers of :math:`A` and :math:`S` with integer
    exponents of determinant one, such as :math:`(\hat w,S)`: recursive and batch least squares carry the same
    entropy. Sums are taken as exact and then stored. Zero for ``n = 0``, where both are known.
    """
    check_precision(precision)
    if n == 0:
        return 0.0
    law = ols_slope_law(model, n)
    half, log_s = 0.5 * n, _mean_log2_squares(model, n)
    entropy_s = (half + gammaln(half) - half * psi(half)) / _LN2 + log_s
    gaussian = _HALF_LOG_2PIE + np.log2(model.noise_sd)
    return float(2 * precision - 1 + entropy_s + gaussian - 1.5 * log_s - _mean_log2(law))


def stage_forgotten_bits(model: LinearModel, t: int, precision: int) -> float:
    r"""What stage `t` of streaming least squares forgets in bits: the fresh pair, given the new sums.

    The map from :math:`(A',S',x,y)` to :math:`(A,S,x,y)`, with :math:`A=A'+xy` and :math:`S=S'+x^2`, keeps volumes, so
    that the stage forgets

    .. math:: 2p-1+h(x,y|A,S)+\mathbb E\log_2\Big|\frac{AS}{A'S'xy}\Big| .

    Here :math:`x^2/S` is a beta variable of parameters 1/2 and :math:`(t-1)/2`, independent of :math:`A` and :math:`S`,
    and :math:`y|x,A,S` is Gaussian of variance :math:`\sigma^2(1-x^2/S)`. No entropy of a state is used: the difference
    of two :func:`running_sums_entropy_bits` is a second way to the same heat. ValueError for ``t < 2``: a first pair is
    known from its sums up to a sign.
    """
    if t < 2:
        raise ValueError(f"the first stage has no earlier sums; t must be at least 2, got {t}.")
    rest = 0.5 * (t - 1)
    log_kept = (psi(rest) - psi(0.5 * t)) / _LN2  # of 1 - x^2/S
    angle = betaln(0.5, rest) / _LN2 - (rest - 1) * log_kept  # entropy of x/sqrt(S)
    log_s, log_s_before, log_x2 = (_mean_log2_squares(model, k) for k in (t, t - 1, 1))
    fresh = angle + 0.5 * log_s + _HALF_LOG_2PIE + np.log2(model.noise_sd) + 0.5 * log_kept
    log_a, log_a_before = (s + _mean_log2(ols_slope_law(model, k)) for s, k in ((log_s, t), (log_s_before, t - 1)))
    log_y = 0.5 * (psi(0.5) + np.log(2.0) + np.log(model.covariance[1, 1])) / _LN2
    bins = log_a + log_s - log_a_before - log_s_before - 0.5 * log_x2 - log_y
    return float(2 * check_precision(precision) - 1 + fresh + bins)


def division_forgotten_bits(model: LinearModel, n: int, precision: int) -> float:
    r"""What the final division :math:`\hat w=A/S` forgets in bits: :math:`S` given the slope.

    It is :math:`p-\frac12+h(S|\hat w)-\mathbb E\log_2S`, where :math:`S|\hat w` is a gamma variable of shape
    :math:`(N+1)/2` and rate :math:`\frac12[\sigma_x^{-2}+(\hat w-w)^2\sigma^{-2}]`, and
    :math:`1+(\hat w-w)^2\sigma_x^2/\sigma^2` is the inverse of a beta variable of parameters :math:`N/2` and 1/2.
    ValueError for ``n < 1``.
    """
    shape = 0.5 * (_degrees_of_freedom(n, False, least=1) + 1)
    log_rate = psi(shape) - psi(0.5 * n) - np.log(2.0) - 2 * np.log(model.input_sd)
    entropy = (shape - log_rate + gammaln(shape) + (1 - shape) * psi(shape)) / _LN2
    return float(check_precision(precision) - 0.5 + entropy - _mean_log2_squares(model, n))


def intercept_entropy_bits(model: LinearModel, offset: float, n: int, precision: int) -> float:
    r"""Smooth joint entropy in bits of slope and intercept fitted to :math:`y=wx+b+\varepsilon`, with `offset`
    :math:`b`.

    Given :math:`d=\hat w-w`, the intercept is Gaussian, :math:`\hat b|d\sim N(b,(\sigma^2+d^2\sigma_x^2)/N)`. Where
    :math:`b=0` it adds :math:`c_p` bits; where :math:`b\ne0` it loses half a bit for each doubling of :math:`N`, as the
    slope does. ValueError for fewer than two degrees of freedom, or an offset that is not finite.
    """
    if not np.isfinite(offset):
        raise ValueError(f"offset must be finite, got {offset}.")
    law = ols_slope_law(model, n, intercept=True)
    first = slope_entropy_bits(model, n, precision, intercept=True)
    if offset == 0:
        return first + fp_entropy_closed("normal", precision)
    slopes, weight = quantile_nodes(law, 200)
    deviation = slopes - model.slope
    spread = np.sqrt((model.noise_sd**2 + (deviation * model.input_sd) ** 2) / n)
    magnitude = np.array([_mean_log2_gaussian(offset, s) for s in spread])
    return first + float(precision - 0.5 + _HALF_LOG_2PIE + weight @ (np.log2(spread) - magnitude))


def random_slope_data_entropy_bits(model: LinearModel, slope_sd: float, n: int, precision: int) -> float:
    r"""Smooth joint entropy in bits of `n` pairs with one unknown slope, :math:`w\sim N(0,\sigma_w^2)`.

    .. math:: 2Nc_p-\tfrac N2\,\mathbb E\log_2\!\Big(1+\frac{\sigma_w^2x^2}{\sigma^2}\Big)
              +\tfrac12\,\mathbb E\log_2\!\Big(1+\frac{\sigma_w^2\sum x_i^2}{\sigma^2}\Big).

    One pair alone has :math:`2c_p` bits. The pairs share information about the slope, so that the sum grows by less.
    ``model.slope`` is not used. ValueError unless `slope_sd` is positive and finite and ``n >= 1``.
    """
    if not (np.isfinite(slope_sd) and slope_sd > 0):
        raise ValueError(f"slope_sd must be positive and finite, got {slope_sd}.")
    _degrees_of_freedom(n, False, least=1)
    together = 0.5 * _mean_log2_one_plus((slope_sd / model.relative_noise) ** 2, n)
    return n * (2 * fp_entropy_closed("normal", precision) - foreseen_bits(model, slope_sd)) + together


def foreseen_bits(model: LinearModel, slope_sd: float) -> float:
    r"""Bits of each new pair that earlier ones tell, for a slope :math:`N(0,\sigma_w^2)` and :math:`N\to\infty`.

    It is :math:`\frac12\mathbb E\log_2(1+\sigma_w^2x^2/\sigma^2)`, what one pair says about the slope and the next ones
    share. ValueError unless `slope_sd` is positive and finite.
    """
    if not (np.isfinite(slope_sd) and slope_sd > 0):
        raise ValueError(f"slope_sd must be positive and finite, got {slope_sd}.")
    return 0.5 * _mean_log2_one_plus((slope_sd / model.relative_noise) ** 2, 1)


def random_slope_output_entropy_bits(model: LinearModel, slope_sd: float, n: int, precision: int) -> float:
    r"""Smooth entropy in bits of the slope fitted to `n` pairs whose true slope is itself :math:`N(0,\sigma_w^2)`.

    Given :math:`S=\sum x_i^2` it is Gaussian of variance :math:`\sigma_w^2+\sigma^2/S`, so that it tends to
    :math:`c_p`, and does not fall with :math:`N`. Arguments and errors as :func:`random_slope_data_entropy_bits`.
    """
    if not (np.isfinite(slope_sd) and slope_sd > 0):
        raise ValueError(f"slope_sd must be positive and finite, got {slope_sd}.")
    freedom = _degrees_of_freedom(n, False, least=1)
    z, mass = quantile_nodes(stats.norm(), 160)
    squares, weight = quantile_nodes(stats.chi2(freedom), 160)
    sd = np.sqrt(slope_sd**2 + model.relative_noise**2 / squares)
    slopes = sd[:, None] * z
    density = np.exp(-0.5 * (slopes[..., None] / sd) ** 2) @ (weight / sd) / np.sqrt(2 * np.pi)
    mean_log_gaussian = 0.5 * (psi(0.5) + np.log(2.0)) / _LN2  # of log2|z|, singular at z = 0
    mean_log_slope = mean_log_gaussian + weight @ np.log2(sd)
    return float(check_precision(precision) - 0.5 - weight @ (np.log2(density) @ mass) - mean_log_slope)


def _mean_log2_squares(model: LinearModel, n: float) -> float:
    """Mean of log2 of the sum of `n` squared inputs."""
    return float((psi(0.5 * n) + np.log(2.0)) / _LN2 + 2 * np.log2(model.input_sd))


def _mean_log2_one_plus(ratio: float, freedom: float) -> float:
    """Mean of log2(1 + ratio * chi2) with the given degrees of freedom."""
    nodes = density_nodes(stats.chi2(freedom))
    return float(nodes.mean(np.log2(1 + ratio * nodes.x)))


def _mean_log2(law: Any) -> float:
    """Mean of log2 of the magnitude under a law with a density."""
    nodes = density_nodes(law)
    return float(nodes.mean(np.log2(np.abs(nodes.x))))


def _mean_log2_gaussian(mean: float, sd: float) -> float:
    r"""Mean of log2 of the magnitude of a Gaussian: its square over the variance is a Poisson mixture of chi-squared
    variables of 1, 3, 5, ... degrees of freedom, whose mean logarithms are digamma functions."""
    half = 0.5 * (mean / sd) ** 2
    reach = 12 * np.sqrt(half) + 40
    k = np.arange(max(0, int(half - reach)), int(half + reach) + 1)
    return float(np.log2(sd) + 0.5 * (1 + stats.poisson.pmf(k, half) @ psi(k + 0.5) / _LN2))


def _degrees_of_freedom(n: ArrayLike, intercept: bool, least: float = 0, above: float = 0) -> Any:
    """N, or N - 1 with an intercept; ValueError if it is below `least` or not above `above`."""
    values = np.asarray(n, dtype=np.float64)
    freedom = values - 1 if intercept else values
    if not (np.isfinite(values).all() and (freedom >= least).all() and (freedom > above).all()):
        extra = 1 if intercept else 0
        bound = f"at least {least + extra:g}" if least > above else f"greater than {above + extra:g}"
        fit = "with an intercept" if intercept else "without an intercept"
        raise ValueError(f"the number of pairs must be {bound} for this moment or law {fit}, got {n}.")
    return freedom if freedom.ndim else float(freedom)
