r"""Stochastic gradient descent that draws from a finite set of points, with replacement: the expected loss, exactly.

The set may be a whole population (real images) or a training set. Nothing is assumed of its distribution: fourth
moments are sums over its points. See :mod:`replica.kernels.sgd` for Gaussian features.

Reference: Bordelon and Pehlevan, arXiv 2106.02713, general theorem and section on finite training sets.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.kernels.sgd import as_batch_size, as_learning_rate, as_noise, as_steps

Array = NDArray[np.float64]


class FiniteSetCurves(NamedTuple):
    """Expected losses after 0, 1, ..., T steps."""

    loss: Array
    r"""Shape (T + 1,): :math:`\langle\frac1P\sum_\mu(w_t\cdot\psi_\mu-y_\mu)^2\rangle` over the set drawn from."""
    test_loss: Array | None
    r"""Shape (T + 1,): :math:`\langle(w_t-w^*)^\top\Sigma(w_t-w^*)\rangle`, where asked for."""


def finite_set_curves(
    features: ArrayLike,
    labels: ArrayLike,
    learning_rate: float,
    batch_size: int,
    steps: int,
    *,
    noise_var: float = 0.0,
    test_covariance: ArrayLike | None = None,
    test_weights: ArrayLike | None = None,
) -> FiniteSetCurves:
    r"""Expected loss of SGD from :math:`w_0=0` on batches drawn with replacement from a finite set.

    With :math:`\hat w` a least-squares readout of the set, :math:`\Delta=w-\hat w`, residuals
    :math:`r_\mu=y_\mu-\hat w\cdot\psi_\mu`, :math:`d=\langle\Delta\rangle`, :math:`C=\langle\Delta\Delta^\top\rangle`
    and :math:`\hat\Sigma=\frac1P\sum_\mu\psi_\mu\psi_\mu^\top`,

    .. math:: C\leftarrow(I-\eta\hat\Sigma)C(I-\eta\hat\Sigma)+\frac{\eta^2}m\Big(\frac1P\sum_\mu q_\mu\psi_\mu
        \psi_\mu^\top-\hat\Sigma C\hat\Sigma\Big),\qquad d\leftarrow(I-\eta\hat\Sigma)d,

    with the mean squared error at each point, :math:`q_\mu=\psi_\mu^\top C\psi_\mu-2r_\mu\,\psi_\mu\cdot d+r_\mu^2+
    \sigma^2`. The publication has no :math:`r_\mu` and puts them into :math:`\sigma^2`; with them the recursion is
    exact for any labels. It takes O(P N^2) a step and never forms the N^4 fourth moments.

    Parameters
    ----------
    features : array, shape (P, N)
        :math:`\psi_\mu`.
    labels : array, shape (P,)
        :math:`y_\mu`.
    learning_rate, batch_size, steps : float, int, int
        :math:`\eta`, :math:`m`, T.
    noise_var : float
        :math:`\sigma^2` of noise drawn anew whenever a label is used; not counted in the losses.
    test_covariance : array, shape (N, N), optional
        :math:`\Sigma` of test inputs; with it goes
    test_weights : array, shape (N,), optional
        the readout :math:`w^*` that makes the test labels.

    Raises
    ------
    ValueError
        If shapes do not fit, a value is out of its range, or only one of the test arguments is given.
    """
    psi, y = _as_set(features, labels)
    eta, m, steps, noise = (
        _as_rate(learning_rate),
        float(as_batch_size(batch_size)),
        as_steps(steps),
        as_noise(noise_var),
    )
    size, n = psi.shape
    fitted = np.linalg.lstsq(psi, y, rcond=None)[0]
    residual = y - psi @ fitted
    sigma = psi.T @ psi / size
    contract = np.eye(n) - eta * sigma
    c, d = np.outer(fitted, fitted), -fitted
    floor = residual @ residual / size
    test = _as_test(test_covariance, test_weights, n)
    loss, test_loss = np.empty(steps + 1), np.empty(steps + 1)
    for t in range(steps + 1):
        loss[t] = np.vdot(sigma, c) + floor
        if test is not None:
            offset = fitted - test[1]
            test_loss[t] = np.vdot(test[0], c) + offset @ test[0] @ (2 * d + offset)
        q = ((psi @ c) * psi).sum(axis=1) - 2 * residual * (psi @ d) + residual**2 + noise
        spread = (psi.T * q) @ psi / size - sigma @ c @ sigma
        c = contract @ c @ contract + eta**2 / m * spread
        c, d = (c + c.T) / 2, contract @ d
    return FiniteSetCurves(loss, None if test is None else test_loss)


def _as_rate(learning_rate: float) -> float:
    return float(as_learning_rate(learning_rate))


def _as_set(features: ArrayLike, labels: ArrayLike) -> tuple[Array, Array]:
    psi, y = np.asarray(features, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    if psi.ndim != 2 or y.shape != psi.shape[:1] or not (np.isfinite(psi).all() and np.isfinite(y).all()):
        raise ValueError(f"need finite features (P, N) and labels (P,); got shapes {psi.shape} and {y.shape}")
    return psi, y


def _as_test(covariance: ArrayLike | None, weights: ArrayLike | None, n: int) -> tuple[Array, Array] | None:
    if covariance is None and weights is None:
        return None
    if covariance is None or weights is None:
        raise ValueError("a test loss needs both test_covariance and test_weights")
    sigma, w = np.asarray(covariance, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    if sigma.shape != (n, n) or w.shape != (n,):
        raise ValueError(f"need test_covariance ({n}, {n}) and test_weights ({n},); got {sigma.shape} and {w.shape}")
    return sigma, w
