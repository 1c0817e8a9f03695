r"""Closed forms of the smooth floating-point entropy, :math:`\tilde H_s=p-\frac12-\mathbb E\log_2(|X|f_X(X))`.

Because :math:`-\mathbb E\log_2(|X|f_X)=h(\log_2|X|,\mathrm{sign}X)+\log_2\ln2`, they depend on the distribution of
:math:`\log|X|` up to a shift only. No scale enters, and :math:`X\to|X|^c` adds :math:`\log_2|c|`.

Source: Daniels et al. (2026), table of closed forms (Gaussian, uniform, gamma, chi-squared, Laplace, logistic as
printed there; Weibull, lognormal, Pareto, beta, Student t, Cauchy, log-uniform derived from the same formula).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import betaln, gammaln, psi

from replica.floating_point.distributions import complete_shape
from replica.floating_point.formats import check_precision

_LN2 = float(np.log(2.0))


def _gaussian() -> float:
    return 0.5 + 0.5 * np.log2(2 * np.pi * np.e) + np.euler_gamma / (2 * _LN2)


def _uniform() -> float:
    return 1.0 + 1.0 / _LN2


def _gamma(alpha: float) -> float:
    return (alpha * (1 - psi(alpha)) + gammaln(alpha)) / _LN2


def _laplace() -> float:
    return 1.0 + (1 + np.euler_gamma) / _LN2


def _logistic() -> float:
    return (2 + np.euler_gamma - np.log(np.pi / 2)) / _LN2


def _weibull(k: float) -> float:
    return (1 + np.euler_gamma - np.log(k)) / _LN2


def _lognormal(sigma: float) -> float:
    return 0.5 * np.log2(2 * np.pi * np.e * sigma**2)


def _pareto(alpha: float) -> float:
    return (1 - np.log(alpha)) / _LN2


def _beta(a: float, b: float) -> float:
    return (betaln(a, b) - a * psi(a) - (b - 1) * psi(b) + (a + b - 1) * psi(a + b)) / _LN2


def _student_t(nu: float) -> float:
    differential = 0.5 * (nu + 1) * (psi(0.5 * (nu + 1)) - psi(0.5 * nu)) + betaln(0.5 * nu, 0.5)
    return (differential - 0.5 * (psi(0.5) - psi(0.5 * nu))) / _LN2


def _loguniform(ratio: float) -> float:
    return float(np.log2(np.log(ratio)))


_CONSTANTS: dict[str, Callable[..., float]] = {
    "normal": _gaussian,
    "uniform": _uniform,
    "gamma": _gamma,
    "chi2": lambda k: _gamma(0.5 * k),
    "laplace": _laplace,
    "logistic": _logistic,
    "weibull": _weibull,
    "lognormal": _lognormal,
    "pareto": _pareto,
    "beta": _beta,
    "student_t": _student_t,
    "cauchy": lambda: float(np.log2(4 * np.pi)),
    "loguniform": _loguniform,
}


def fp_entropy_closed(name: str, precision: int, **shape: float) -> float:
    r"""Smooth entropy :math:`\tilde H_s` of a built-in distribution in closed form, in bits.

    Parameters
    ----------
    name : str
        A key of :data:`replica.floating_point.distributions.FAMILIES`.
    precision : int
        :math:`p`, with the implicit bit, from 2 to 53.
    **shape : float
        Shape parameters (defaults as in the catalogue). There is no scale: :math:`\tilde H_s` does not depend on it.

    Raises
    ------
    ValueError
        For an unknown name, precision out of range, or a bad shape parameter.
    """
    check_precision(precision)
    parameters = complete_shape(name, shape)
    return float(precision - 0.5 + _CONSTANTS[name](**parameters))
