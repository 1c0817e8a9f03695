"""The built-in distributions: one name, shape parameters, and a scale, for each row of the publication's table.

Everything here returns frozen ``scipy.stats`` distributions, so that any other frozen distribution may be used in
their place throughout :mod:`replica.floating_point`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats


class Distribution(Protocol):
    """What the entropy functions ask of a distribution; frozen ``scipy.stats`` distributions have it all."""

    def pdf(self, x: ArrayLike) -> NDArray[np.float64]: ...
    def logpdf(self, x: ArrayLike) -> NDArray[np.float64]: ...
    def cdf(self, x: ArrayLike) -> NDArray[np.float64]: ...
    def sf(self, x: ArrayLike) -> NDArray[np.float64]: ...
    def ppf(self, q: ArrayLike) -> NDArray[np.float64]: ...
    def support(self) -> tuple[float, float]: ...


@dataclass(frozen=True)
class Family:
    """A family of distributions: its label, the default values of its shape parameters, and its builder."""

    label: str
    shape: dict[str, float]
    build: Callable[..., Any]


#: The built-in families by name.
FAMILIES: dict[str, Family] = {
    "normal": Family("Gaussian", {}, lambda scale: stats.norm(scale=scale)),
    "uniform": Family("uniform", {}, lambda scale: stats.uniform(-scale, 2 * scale)),
    "gamma": Family("gamma", {"alpha": 2.5}, lambda scale, alpha: stats.gamma(alpha, scale=scale)),
    "chi2": Family("chi-squared", {"k": 3.0}, lambda scale, k: stats.chi2(k, scale=scale)),
    "laplace": Family("Laplace", {}, lambda scale: stats.laplace(scale=scale)),
    "logistic": Family("logistic", {}, lambda scale: stats.logistic(scale=scale)),
    "weibull": Family("Weibull", {"k": 1.7}, lambda scale, k: stats.weibull_min(k, scale=scale)),
    "lognormal": Family("lognormal", {"sigma": 0.8}, lambda scale, sigma: stats.lognorm(sigma, scale=scale)),
    "pareto": Family("Pareto", {"alpha": 3.0}, lambda scale, alpha: stats.pareto(alpha, scale=scale)),
    "beta": Family("beta", {"a": 2.0, "b": 3.0}, lambda scale, a, b: stats.beta(a, b, scale=scale)),
    "student_t": Family("Student t", {"nu": 4.0}, lambda scale, nu: stats.t(nu, scale=scale)),
    "cauchy": Family("Cauchy", {}, lambda scale: stats.cauchy(scale=scale)),
    "loguniform": Family("log-uniform", {"ratio": 1024.0}, lambda scale, ratio: stats.loguniform(scale, scale * ratio)),
}


def distribution(name: str, scale: float = 1.0, **shape: float) -> Any:
    r"""A built-in distribution as a frozen ``scipy.stats`` distribution.

    Parameters
    ----------
    name : str
        A key of :data:`FAMILIES`.
    scale : float
        Multiplies the variable: standard deviation of the Gaussian, half width of ``uniform`` (on ``[-scale, scale]``),
        :math:`\theta` of the gamma, :math:`\lambda` of the Weibull, :math:`e^\mu` of the lognormal, :math:`x_m` of the
        Pareto, lower end of ``loguniform`` (on ``[scale, scale*ratio]``).
    **shape : float
        Shape parameters; those left out take the values in :data:`FAMILIES`.

    Raises
    ------
    ValueError
        For an unknown name, an unknown shape parameter, or a parameter that is not positive and finite
        (``ratio`` must be greater than 1).
    """
    family = family_of(name)
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"scale must be positive and finite, got {scale}.")
    return family.build(float(scale), **complete_shape(name, shape))


def family_of(name: str) -> Family:
    """The family called `name`; ValueError for an unknown name."""
    if name not in FAMILIES:
        raise ValueError(f"unknown distribution {name!r}: expected one of {', '.join(FAMILIES)}.")
    return FAMILIES[name]


def complete_shape(name: str, shape: dict[str, float]) -> dict[str, float]:
    """Shape parameters of family `name`, defaults filled in, checked; ValueError as in :func:`distribution`."""
    defaults = family_of(name).shape
    unknown = sorted(set(shape) - set(defaults))
    if unknown:
        expected = ", ".join(defaults) or "none"
        raise ValueError(f"{name} has no shape parameter {', '.join(unknown)}: expected {expected}.")
    full = {key: float(value) for key, value in {**defaults, **shape}.items()}
    for key, value in full.items():
        least = 1.0 if key == "ratio" else 0.0
        if not (np.isfinite(value) and value > least):
            raise ValueError(f"{key} of {name} must be finite and greater than {least:g}, got {value}.")
    return full
