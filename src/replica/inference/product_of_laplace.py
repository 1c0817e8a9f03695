r"""Independent component analysis as a product of Laplace experts, whose likelihood is known exactly.

$$E(x;J) = \sum_{k=1}^d|J_kx|, \qquad \log p(x) = \log|\det J|-\sum_k|J_kx|-d\log2 .$$

Data are columns, ``(d, n)``, as for the samplers of `replica.sampling`.

Source: A. J. Bell and T. J. Sejnowski, Neural Computation 7, 1129 (1995); Sohl-Dickstein, Battaglino and DeWeese,
arXiv:0906.4779, section on independent component analysis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from replica.inference.fitting import NotConverged

Array = NDArray[np.float64]


def check_data(data: ArrayLike) -> Array:
    """Data as float64 columns ``(d, n)``.

    Raises
    ------
    ValueError : not a matrix, empty, NaN, or not more samples than dimensions.
    """
    x = np.ascontiguousarray(data, dtype=np.float64)
    if x.ndim != 2 or x.shape[0] < 1 or x.shape[1] <= x.shape[0]:
        raise ValueError(f"data: expected columns (d, n) with n > d, got shape {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError("data: expected finite numbers, got NaN or infinity")
    return x


@dataclass(frozen=True)
class ProductOfLaplace:
    r"""The model with filters $J$ (its rows); a target for the samplers.

    Attributes
    ----------
    filters : ``(d, d)``, invertible.
    """

    filters: Array

    def __post_init__(self) -> None:
        shape = np.shape(self.filters)
        if len(shape) != 2 or shape[0] != shape[1] or not np.isfinite(self.filters).all():
            raise ValueError(f"filters: expected a finite square matrix, got shape {shape}")

    @property
    def n_dims(self) -> int:
        """Number of dimensions $d$."""
        return len(self.filters)

    def energy(self, x: Array) -> Array:
        """$E(x)$ of positions ``(d, n)``; shape ``(n,)``, in units of $kT$."""
        return np.abs(self.filters @ x).sum(axis=0)

    def gradient(self, x: Array, out: Array | None = None) -> Array:
        r"""$J^\top\mathrm{sign}(Jx)$, the shape of ``x``."""
        return np.matmul(self.filters.T, np.sign(self.filters @ x), out=out)

    def parameter_gradient(self, x: Array, weights: Array) -> Array:
        r"""$\sum_bw_b\,\mathrm{sign}(Jx_b)x_b^\top$, ``(d, d)``."""
        signs = np.sign(self.filters @ x)
        signs *= weights
        return signs @ x.T

    def log_likelihood(self, x: Array) -> Array:
        """$\\log p(x)$ of positions ``(d, n)`` in nats; shape ``(n,)``. Minus infinity for singular filters."""
        sign, log_det = np.linalg.slogdet(self.filters)
        return np.where(sign == 0, -np.inf, log_det) - self.energy(x) - self.n_dims * np.log(2)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """``(d, n)`` independent samples."""
        return np.linalg.solve(self.filters, rng.laplace(size=(self.n_dims, n)))


def likelihood_objective(filters: Array, data: Array) -> tuple[float, Array]:
    r"""Minus the mean log-likelihood and its gradient $-J^{-\top}+\langle\mathrm{sign}(Jx)x^\top\rangle$."""
    model = ProductOfLaplace(filters)
    n = data.shape[1]
    gradient = model.parameter_gradient(data, np.full(n, 1.0 / n)) - np.linalg.inv(filters).T
    return -float(model.log_likelihood(data).mean()), gradient


def _relative_scale(filters: Array, x: Array) -> Array:
    r"""Size of the entries of $\varepsilon$ in $J\to(1+\varepsilon)J$ that change the likelihood by about one.

    With $y=Jx$ the curvature of $\langle|y_i+\varepsilon_{ij}y_j|\rangle$ is $2\langle\delta(y_i)y_j^2\rangle$, the
    delta taken as a box of a fifth of the width of $y_i$; that of $-\log|\det J|$ on the diagonal is one.
    """
    y = filters @ x
    square = y * y
    width = 0.1 * np.sqrt(square.mean(axis=1))
    curvature = (np.abs(y) < width[:, None]) @ square.T / (width[:, None] * x.shape[1])
    np.fill_diagonal(curvature, 1.0)
    return 1 / np.sqrt(np.maximum(curvature, 0.1))  # bounded where few data are near zero


def fit_likelihood(
    data: ArrayLike, start: ArrayLike, tolerance: float = 1e-3, max_evaluations: int = 20_000, round_length: int = 250
) -> list[Array]:
    """A maximum of the exact likelihood, by rounds of L-BFGS from ``start`` ``(d, d)``.

    The likelihood of finite data has a kink wherever a filter is orthogonal to a datum, so its gradient does not
    tend to zero, and what L-BFGS has learnt about the curvature goes stale. It is therefore started afresh after
    ``round_length`` evaluations, each time in changes relative to the present filters that are scaled by the
    curvature there, until a round gains less than ``tolerance``. There are several maxima; which one is found depends
    on the start.

    Parameters
    ----------
    data : ``(d, n)``.
    start : ``(d, d)``, invertible.
    tolerance : least gain of a round, in nats per datum.
    max_evaluations : no round is begun that could exceed so many evaluations of likelihood and gradient.
    round_length : most evaluations in a round.

    Returns
    -------
    The filters on the way, the start first and the end last.

    Raises
    ------
    ValueError : bad data, a start that is singular, or settings that are not positive.
    NotConverged : the last round still gained more; the exception's ``fit`` holds the filters on the way.
    """
    x, first = check_data(data), np.array(start, dtype=np.float64)
    if first.shape != (len(x), len(x)) or not np.linalg.slogdet(first)[0]:
        raise ValueError(f"start: expected invertible filters ({len(x)}, {len(x)}), got shape {first.shape}")
    if not tolerance > 0 or min(max_evaluations, round_length) < 1:
        raise ValueError(
            f"expected positive settings, got tolerance {tolerance}, {max_evaluations} evaluations in rounds of "
            f"{round_length}"
        )

    path, spent, value, gain = [first], 0, likelihood_objective(first, x)[0], np.inf
    while gain > tolerance:
        if spent + round_length > max_evaluations:  # a part of a round would gain little and prove nothing
            raise NotConverged(
                f"the fit stopped after {spent} evaluations, where a round still gains {gain:.2g} nats, expected "
                f"{tolerance:.2g}",
                path,
            )
        options = {"maxfun": round_length, "maxiter": round_length, "ftol": 1e-10, "gtol": 1e-7, "maxcor": 20}
        here = path[-1]
        scale = _relative_scale(here, x)

        def moved(flat: Array, here: Array = here, scale: Array = scale) -> Array:
            return here + (scale * flat.reshape(here.shape)) @ here

        def objective(flat: Array, here: Array = here, scale: Array = scale) -> tuple[float, Array]:
            minus, gradient = likelihood_objective(moved(flat, here, scale), x)
            return minus, (scale * (gradient @ here.T)).ravel()

        end = minimize(
            objective, np.zeros(here.size), jac=True, method="L-BFGS-B", options=options,
            callback=lambda flat, moved=moved: path.append(moved(flat)),
        )  # fmt: skip
        spent, gain, value = spent + end.nfev, value - end.fun, end.fun
    return path


def amari_distance(estimate: ArrayLike, truth: ArrayLike) -> float:
    r"""Distance of two unmixing matrices up to order, sign and size of their rows: 0 for equal, at most 1.

    With $P=|\hat JJ^{-1}|$, the mean over rows and columns of $(\sum/\max-1)/(d-1)$.

    Raises
    ------
    ValueError : not two finite, invertible matrices of the same size ``(d, d)``, d at least 2.

    Source: S. Amari, A. Cichocki and H. H. Yang, NIPS 8, 757 (1996).
    """
    estimate, truth = np.asarray(estimate, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if estimate.shape != truth.shape or truth.ndim != 2 or truth.shape[0] != truth.shape[1] or len(truth) < 2:
        raise ValueError(f"expected two matrices (d, d) with d > 1, got shapes {estimate.shape} and {truth.shape}")
    for name, matrix in (("estimate", estimate), ("truth", truth)):
        if not np.isfinite(matrix).all() or not np.linalg.slogdet(matrix)[0]:
            raise ValueError(f"{name}: expected a finite, invertible matrix")
    product = np.abs(estimate @ np.linalg.inv(truth))
    rows = product.sum(axis=1) / product.max(axis=1) - 1
    columns = product.sum(axis=0) / product.max(axis=0) - 1
    return float((rows.mean() + columns.mean()) / (2 * (len(product) - 1)))
