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


def fit_likelihood(data: ArrayLike, start: ArrayLike, max_evaluations: int = 500) -> list[Array]:
    """Exact maximum likelihood by L-BFGS from ``start`` ``(d, d)``.

    Returns
    -------
    The filters on the way, the start first and the end last.

    Raises
    ------
    ValueError : bad data, or a start that is singular.
    """
    x, first = check_data(data), np.array(start, dtype=np.float64)
    if first.shape != (len(x), len(x)) or not np.linalg.slogdet(first)[0]:
        raise ValueError(f"start: expected invertible filters ({len(x)}, {len(x)}), got shape {first.shape}")

    def objective(flat: Array) -> tuple[float, Array]:
        value, gradient = likelihood_objective(flat.reshape(first.shape), x)
        return value, gradient.ravel()

    path = [first]
    options = {"maxfun": max_evaluations, "maxiter": max_evaluations, "ftol": 1e-10, "gtol": 1e-7, "maxcor": 20}
    minimize(
        objective, first.ravel(), jac=True, method="L-BFGS-B", options=options,
        callback=lambda flat: path.append(flat.reshape(first.shape).copy()),
    )  # fmt: skip
    return path


def amari_distance(estimate: ArrayLike, truth: ArrayLike) -> float:
    r"""Distance of two unmixing matrices up to order, sign and size of their rows: 0 for equal, at most 1.

    With $P=|\hat JJ^{-1}|$, the mean over rows and columns of $(\sum/\max-1)/(d-1)$.

    Source: S. Amari, A. Cichocki and H. H. Yang, NIPS 8, 757 (1996).
    """
    product = np.abs(np.asarray(estimate) @ np.linalg.inv(truth))
    rows = product.sum(axis=1) / product.max(axis=1) - 1
    columns = product.sum(axis=0) / product.max(axis=0) - 1
    return float((rows.mean() + columns.mean()) / (2 * (len(product) - 1)))
