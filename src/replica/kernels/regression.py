r"""Kernel ridge regression on Gram matrices, one data set or a whole stack of them at once.

The convention throughout :mod:`replica.kernels`: the ridge :math:`\delta` is added as it is, not multiplied by the
number of samples, so that it equals scikit-learn's ``KernelRidge(alpha=...)``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import solve_triangular

Array = NDArray[np.float64]


def as_gram(gram: ArrayLike, name: str = "gram_train") -> Array:
    """Return ``gram`` as float64 after checking that it is a symmetric matrix, or a stack of them.

    Parameters
    ----------
    gram : array, shape (..., n, n)
    name : str
        What the matrix is called in an error.

    Raises
    ------
    ValueError
        If it is not square, not finite or not symmetric.
    """
    gram = np.asarray(gram, dtype=np.float64)
    if gram.ndim < 2 or gram.shape[-1] != gram.shape[-2]:
        raise ValueError(f"{name} must be square, shape (..., n, n); got shape {gram.shape}")
    transposed = np.swapaxes(gram, -1, -2)
    scale = difference = 0.0
    for start in range(0, gram.shape[-1], 1000):  # in blocks of rows: a large matrix is not copied
        rows = gram[..., start : start + 1000, :]
        scale = max(scale, np.abs(rows).max(initial=0.0))
        difference = max(difference, np.abs(rows - transposed[..., start : start + 1000, :]).max(initial=0.0))
        if not np.isfinite(scale) or not np.isfinite(rows).all():
            raise ValueError(f"{name} must be finite; it holds NaN or infinity")
    # Round-off in forming k(x, x') and k(x', x) separately is a few ulp of the largest entry.
    if difference > 1e-8 * scale:
        raise ValueError(f"{name} must be symmetric, as a kernel's Gram matrix is; it differs from its transpose")
    return gram


def as_ridge(ridge: float) -> float:
    """Return ``ridge`` as a float after checking that it is finite and not negative."""
    ridge = float(ridge)
    if not np.isfinite(ridge) or ridge < 0:
        raise ValueError(f"ridge must be a finite number >= 0; got {ridge}")
    return ridge


def not_positive_definite(ridge: float) -> str:
    """What is wrong with a training set whose regularised Gram matrix cannot be solved with."""
    return (
        "the Gram matrix is singular to working precision: training points are repeated or outnumber the kernel's "
        f"modes; use distinct points or a ridge larger than {ridge:g}"
    )


def kernel_ridge_coefficients(gram_train: ArrayLike, targets: ArrayLike, ridge: float = 0.0) -> Array:
    r"""Dual coefficients :math:`a=(K+\delta I)^{-1}y` of kernel ridge regression.

    Parameters
    ----------
    gram_train : array, shape (..., n, n)
        Kernel between training points; leading axes are independent data sets.
    targets : array, shape (..., n) or (..., n, c)
        One target, or ``c`` of them, for every data set (as many leading axes as ``gram_train``).
    ridge : float
        :math:`\delta\ge0`, added to the diagonal as it is. Zero is interpolation.

    Returns
    -------
    array of the shape of ``targets`` (leading axes broadcast).

    Raises
    ------
    ValueError
        If shapes do not match, something is not finite, the ridge is negative, the Gram matrix has an eigenvalue that
        is negative beyond round-off and ridge (no kernel's has), or :math:`K+\delta I` is singular to working
        precision (at zero ridge: repeated training points, or more of them than the kernel has modes).
    """
    gram = as_gram(gram_train)
    ridge = as_ridge(ridge)
    y = np.asarray(targets, dtype=np.float64)
    single = y.ndim == gram.ndim - 1
    if single:
        y = y[..., None]
    if y.ndim != gram.ndim or y.shape[-2] != gram.shape[-1]:
        raise ValueError(
            f"targets must have shape (..., n) or (..., n, c) with n = {gram.shape[-1]} and the leading axes of "
            f"gram_train {gram.shape}; got shape {np.shape(targets)}"
        )
    if not np.isfinite(y).all():
        raise ValueError("targets must be finite; they hold NaN or infinity")
    regular = gram + ridge * np.eye(gram.shape[-1])
    try:
        factor = np.linalg.cholesky(regular)
    except np.linalg.LinAlgError:
        coefficients = _solve_indefinite(gram, regular, y, ridge)
    else:
        coefficients = _solve_with(factor, regular, y)
    # Predictions are sums k(x, x_i) a_i, so that their round-off is eps |k| |a|: refuse it when it drowns the targets.
    round_off = np.finfo(float).eps * np.abs(gram).max(initial=0.0) * np.abs(coefficients).max(initial=0.0)
    if not round_off <= 1e-3 * np.abs(y).max(initial=0.0):
        raise ValueError(not_positive_definite(ridge))
    return coefficients[..., 0] if single else coefficients


def _solve_with(factor: Array, regular: Array, y: Array) -> Array:
    """Many small systems are solved faster all over again than one by one from their Cholesky factors."""
    if regular.shape[-1] < 100:
        return np.linalg.solve(regular, y)
    z = solve_triangular(factor, y, lower=True, check_finite=False)
    return solve_triangular(factor, z, lower=True, trans=1, check_finite=False)


def _solve_indefinite(gram: Array, regular: Array, y: Array, ridge: float) -> Array:
    """Solve where round-off alone made the Gram matrix indefinite; refuse a kernel that is not positive definite."""
    values = np.linalg.eigvalsh(gram)
    smallest, largest = values.min(), np.abs(values).max()
    if smallest < -1e-9 * largest:
        raise ValueError(
            f"the kernel is not positive semi-definite: a Gram matrix has the eigenvalue {smallest:.3g} (the largest "
            f"is {largest:.3g}), so that it is no kernel for regression"
        )
    try:
        return np.linalg.solve(regular, y)
    except np.linalg.LinAlgError as error:
        raise ValueError(not_positive_definite(ridge)) from error


def kernel_ridge_predict(gram_train: ArrayLike, gram_test: ArrayLike, targets: ArrayLike, ridge: float = 0.0) -> Array:
    r"""Predictions of kernel ridge regression, :math:`\hat f(x)=k_{xD}(K_{DD}+\delta I)^{-1}y`.

    Parameters
    ----------
    gram_train : array, shape (..., n, n)
        Kernel between training points; leading axes are independent data sets, solved in one batched call.
    gram_test : array, shape (..., m, n)
        Kernel between test points (rows) and training points (columns).
    targets : array, shape (..., n) or (..., n, c)
        Training targets.
    ridge : float
        :math:`\delta\ge0`, added to the diagonal as it is (scikit-learn's ``alpha``). Zero is interpolation.

    Returns
    -------
    array, shape (..., m) or (..., m, c)

    Raises
    ------
    ValueError
        As :func:`kernel_ridge_coefficients`, or if ``gram_test`` has not one column for each training point.

    References
    ----------
    Simon, Dickens, Karkada and DeWeese, arXiv 2110.03922, Section 2.
    """
    coefficients = kernel_ridge_coefficients(gram_train, targets, ridge)
    k = np.asarray(gram_test, dtype=np.float64)
    n = np.shape(gram_train)[-1]
    if k.ndim < 2 or k.shape[-1] != n:
        raise ValueError(f"gram_test must have shape (..., m, {n}), a column for each training point; got {k.shape}")
    if not np.isfinite(k).all():
        raise ValueError("gram_test must be finite; it holds NaN or infinity")
    if np.ndim(targets) == np.ndim(gram_train) - 1:
        return (k @ coefficients[..., None])[..., 0]
    return k @ coefficients
