r"""Expected loss of stochastic gradient descent on linear models with Gaussian features.

A readout :math:`f=w\cdot\psi` is trained from :math:`w_0=0` with batches of :math:`m` fresh samples,

.. math:: w_{t+1}=w_t-\frac\eta m\sum_{\mu=1}^m\psi_\mu(w_t\cdot\psi_\mu-y_\mu),\qquad y=w^*\cdot\psi+\epsilon ,

on features of covariance :math:`\Sigma=\sum_k\lambda_ku_ku_k^\top`. The loss :math:`L_t=\langle(w_t-w^*)^\top\Sigma
(w_t-w^*)\rangle` (no factor 1/2, label noise :math:`\langle\epsilon^2\rangle=\sigma^2` left out) needs only
:math:`c_k=\langle(u_k\cdot(w_t-w^*))^2\rangle`, which obey a linear recursion. Training on a finite set of points,
whatever their distribution, is in :mod:`replica.kernels.sgd_finite_set`.

Reference: Bordelon and Pehlevan, arXiv 2106.02713.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from replica.kernels.spectra import as_eigenvalues

Array = NDArray[np.float64]


def as_target_power(target_power: ArrayLike, eigenvalues: Array) -> Array:
    """Check that there is a finite power >= 0 for every eigenvalue; returned as float64."""
    power = np.asarray(target_power, dtype=np.float64)
    if power.shape != eigenvalues.shape or not (np.isfinite(power) & (power >= 0)).all():
        raise ValueError(
            f"target_power must be finite and >= 0, one for each of the {eigenvalues.size} eigenvalues; "
            f"got shape {power.shape}"
        )
    return power


def as_batch_size(batch_size: ArrayLike) -> Array:
    """Check batch sizes: whole numbers from 1, or infinity for gradient descent on the population."""
    m = np.asarray(batch_size, dtype=np.float64)
    if not ((m >= 1) & (np.isinf(m) | (m == np.floor(m)))).all():
        raise ValueError(f"batch_size must be a whole number >= 1, or infinity; got {batch_size}")
    return m


def as_learning_rate(learning_rate: ArrayLike) -> Array:
    """Check that learning rates are finite and positive."""
    eta = np.asarray(learning_rate, dtype=np.float64)
    if not (np.isfinite(eta) & (eta > 0)).all():
        raise ValueError(f"learning_rate must be finite and > 0; got {learning_rate}")
    return eta


def as_noise(noise_var: float) -> float:
    """Check that a variance of label noise is finite and >= 0."""
    noise = float(noise_var)
    if not np.isfinite(noise) or noise < 0:
        raise ValueError(f"noise_var must be finite and >= 0; got {noise_var}")
    return noise


def as_alpha(alpha: float) -> float:
    """Check the constant of the regularity condition."""
    alpha = float(alpha)
    if not np.isfinite(alpha) or alpha <= 0:
        raise ValueError(f"alpha, the constant of the regularity condition, must be finite and > 0; got {alpha}")
    return alpha


def as_steps(steps: int) -> int:
    """Check a number of steps."""
    if int(steps) != steps or steps < 0:
        raise ValueError(f"steps must be a whole number >= 0; got {steps}")
    return int(steps)


def sgd_loss_curve(
    eigenvalues: ArrayLike,
    target_power: ArrayLike,
    learning_rate: ArrayLike,
    batch_size: ArrayLike,
    steps: int,
    *,
    noise_var: float = 0.0,
    alpha: float = 1.0,
    kurtosis: ArrayLike | None = None,
) -> Array:
    r"""Expected loss after 0, 1, ..., T steps of SGD on Gaussian features, exactly, in O(N) a step.

    .. math:: c_k\leftarrow D_kc_k+\frac{\alpha\eta^2}m\lambda_k\sum_l\lambda_lc_l+\frac{\eta^2\sigma^2}m\lambda_k,
        \qquad D_k=1-2\eta\lambda_k+\Big(1+\frac\alpha m\Big)\eta^2\lambda_k^2,\qquad L=\sum_k\lambda_kc_k .

    Parameters
    ----------
    eigenvalues : array, shape (N,), entries >= 0
        :math:`\lambda_k` of the features' covariance.
    target_power : array, shape (N,)
        :math:`v_k^2=(u_k\cdot w^*)^2`, so that :math:`L_0=\sum_k\lambda_kv_k^2`.
    learning_rate, batch_size : float or array
        :math:`\eta` and :math:`m`, broadcast against each other; ``numpy.inf`` for :math:`m` is gradient descent on
        the population.
    steps : int
        T.
    noise_var : float
        Variance :math:`\sigma^2` of the label noise.
    alpha : float
        1 for Gaussian features (exact). Otherwise the constant of the regularity condition
        :math:`\kappa[G]\preceq(\alpha+1)\Sigma G\Sigma+\alpha\Sigma\mathrm{Tr}(\Sigma G)`: then an upper bound.
    kurtosis : array, shape (N,), entries >= 1, optional
        :math:`\langle\psi_k^4\rangle/\lambda_k^2` of every mode, with :math:`\frac\alpha m` in :math:`D_k` replaced
        by :math:`\frac{\kappa_k-2}m` (and ``alpha=1``): exact for independent modes with symmetric distributions.
        Gaussian features have 3, a feature that is constant but for its sign 1.

    Returns
    -------
    array, shape (..., T + 1)
        The leading axes are those of ``learning_rate`` and ``batch_size``. Divergence shows as large numbers or
        infinity.

    Raises
    ------
    ValueError
        If shapes do not fit or a value is out of its range.

    References
    ----------
    Bordelon and Pehlevan, arXiv 2106.02713, theorem on Gaussian features.
    """
    lam, _ = as_eigenvalues(eigenvalues)
    power = as_target_power(target_power, lam)
    eta, m = np.broadcast_arrays(as_learning_rate(learning_rate), as_batch_size(batch_size))
    steps, noise, alpha = as_steps(steps), as_noise(noise_var), as_alpha(alpha)
    kick = (eta**2 / m)[..., None] * lam
    x = eta[..., None] * lam
    decay = 1 - 2 * x + (1 + _excess(kurtosis, alpha, lam) / m[..., None]) * x**2
    c = np.broadcast_to(power, x.shape).copy()
    losses = np.empty((*eta.shape, steps + 1))
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(steps + 1):
            loss = c @ lam
            losses[..., t] = loss
            c *= decay
            c += kick * (alpha * loss + noise)[..., None]
    return losses


def _excess(kurtosis: ArrayLike | None, alpha: float, lam: Array) -> Array | float:
    """What stands in front of diag(lambda^2) / m in the recursion."""
    if kurtosis is None:
        return alpha
    kappa = np.asarray(kurtosis, dtype=np.float64)
    # Jensen: <psi^4> >= <psi^2>^2; a little below is round-off of sample moments.
    if kappa.shape != lam.shape or not (np.isfinite(kappa) & (kappa >= 1 - 1e-9)).all() or alpha != 1:
        raise ValueError(f"kurtosis must be >= 1, one for each of the {lam.size} eigenvalues, and alpha 1 with it")
    return kappa - 2


def sgd_transition_matrix(eigenvalues: ArrayLike, learning_rate: float, batch_size: float, alpha: float = 1.0) -> Array:
    r"""The matrix of the recursion, :math:`A=\mathrm{diag}(1-\eta\lambda)^2+\frac{\alpha\eta^2}m[\mathrm{diag}(
    \lambda^2)+\lambda\lambda^\top]`: symmetric and positive semi-definite, shape (N, N).

    Raises
    ------
    ValueError
        As :func:`sgd_loss_curve`.
    """
    lam, _ = as_eigenvalues(eigenvalues)
    eta, m, alpha = float(as_learning_rate(learning_rate)), float(as_batch_size(batch_size)), as_alpha(alpha)
    return np.diag((1 - eta * lam) ** 2) + alpha * eta**2 / m * (np.diag(lam**2) + np.outer(lam, lam))


def sgd_loss_at(
    times: ArrayLike,
    eigenvalues: ArrayLike,
    target_power: ArrayLike,
    learning_rate: float,
    batch_size: float,
    *,
    noise_var: float = 0.0,
    alpha: float = 1.0,
) -> Array:
    r"""Expected loss at any real times, by diagonalising the symmetric :math:`A=Q\,\mathrm{diag}(s)Q^\top`.

    .. math:: L_t=\lambda^\top A^tv^2+\frac{\eta^2\sigma^2}m\lambda^\top(I-A)^{-1}(I-A^t)\lambda .

    Parameters
    ----------
    times : array, entries >= 0
        Need not be whole numbers: at fixed compute :math:`tm=C` they are not.
    eigenvalues, target_power, learning_rate, batch_size, noise_var, alpha
        As in :func:`sgd_loss_curve`.

    Returns
    -------
    array of the shape of ``times``

    Raises
    ------
    ValueError
        As :func:`sgd_loss_curve`, or if a time is negative.
    """
    lam, _ = as_eigenvalues(eigenvalues)
    power = as_target_power(target_power, lam)
    noise = as_noise(noise_var)
    t = np.asarray(times, dtype=np.float64)
    if not (np.isfinite(t) & (t >= 0)).all():
        raise ValueError(f"times must be finite and >= 0; got {times}")
    matrix = sgd_transition_matrix(lam, learning_rate, batch_size, alpha)
    s, q = np.linalg.eigh(matrix)
    s = np.maximum(s, 0.0)  # A is positive semi-definite: what is below zero is round-off
    along, start = q.T @ lam, q.T @ power
    s_t = s ** t[..., None]
    loss = s_t @ (along * start)
    if noise:
        near = np.abs(s - 1) < 1e-12
        sums = np.where(near, t[..., None], (1 - s_t) / np.where(near, 1.0, 1 - s))
        loss = loss + float(learning_rate) ** 2 * noise / float(batch_size) * (sums @ along**2)
    return np.asarray(loss)


def sgd_noise_sum(eigenvalues: ArrayLike, learning_rate: float, batch_size: float, alpha: float = 1.0) -> float:
    r"""How much of its own loss SGD puts back as noise: :math:`S=\sum_k\frac{\eta\lambda_k}{2m-\eta(m+\alpha)
    \lambda_k}` times :math:`\alpha`, infinite from the pole :math:`\eta=2m/(m+\alpha)\lambda_{max}` on.

    From :math:`(1-D_k)c_k=\frac{\eta^2}m\lambda_k(\alpha L+\sigma^2)` follows
    :math:`L=\frac S\alpha(\alpha L+\sigma^2)`. The loss is stable exactly where :math:`S<1`.
    """
    lam, _ = as_eigenvalues(eigenvalues)
    eta, m, alpha = float(as_learning_rate(learning_rate)), float(as_batch_size(batch_size)), as_alpha(alpha)
    if np.isinf(m):
        return 0.0 if eta * lam.max() < 2 else np.inf
    gap = 2 * m - eta * (m + alpha) * lam
    return float((alpha * eta * lam / gap).sum()) if (gap > 0).all() else np.inf


def sgd_noise_floor(
    eigenvalues: ArrayLike, learning_rate: float, batch_size: float, noise_var: float, alpha: float = 1.0
) -> float:
    r"""Loss that label noise keeps up for ever: :math:`L_\infty=\frac{\sigma^2}\alpha\frac S{1-S}`, with :math:`S`
    of :func:`sgd_noise_sum`; infinite where SGD is unstable.

    Raises
    ------
    ValueError
        As :func:`sgd_loss_curve`.
    """
    noise = as_noise(noise_var)
    s = sgd_noise_sum(eigenvalues, learning_rate, batch_size, alpha)
    return noise / alpha * s / (1 - s) if s < 1 else np.inf


def critical_learning_rate(eigenvalues: ArrayLike, batch_size: float, alpha: float = 1.0) -> float:
    r"""Learning rate above which the expected loss diverges: the solution of :math:`S(\eta)=1`.

    :math:`A-I` is diagonal plus rank one, so :math:`A` has an eigenvalue 1 where
    :math:`\sum_k\frac{\alpha\eta\lambda_k}{2m-\eta(m+\alpha)\lambda_k}=1`, which lies below
    :math:`\frac{2m}{(m+\alpha)\lambda_{max}}`. For :math:`m=\infty` it is :math:`2/\lambda_{max}`.

    Raises
    ------
    ValueError
        As :func:`sgd_loss_curve`.
    """
    lam, _ = as_eigenvalues(eigenvalues)
    m, alpha = float(as_batch_size(batch_size)), as_alpha(alpha)
    if np.isinf(m):
        return 2 / lam.max()
    x = lam / lam.max()
    pole = 2 * m / (m + alpha)
    # The sum rises from 0 to infinity below the pole. In u = 1 - eta / pole it is well conditioned next to it.
    excess = lambda u: float((alpha * (1 - u) * x / (m + alpha) / (1 - (1 - u) * x)).sum()) - 1  # noqa: E731
    u = brentq(excess, 1e-15, 1 - 1e-15, xtol=1e-16, rtol=1e-13)
    return pole * (1 - u) / lam.max()


def fixed_compute_loss(
    eigenvalues: ArrayLike,
    target_power: ArrayLike,
    learning_rate: ArrayLike,
    batch_sizes: ArrayLike,
    compute: float,
    *,
    noise_var: float = 0.0,
) -> Array:
    r"""Expected loss :math:`L_{C/m}(\eta,m)` when :math:`C=tm` samples may be looked at, for several :math:`m`.

    Parameters
    ----------
    eigenvalues, target_power, noise_var
        As in :func:`sgd_loss_curve`.
    learning_rate : float or array, shape (M,)
        One for all batch sizes, or one for each.
    batch_sizes : array, shape (M,)
    compute : float
        :math:`C`; :math:`C/m` steps are taken, a real number of them (:func:`sgd_loss_at`).

    Returns
    -------
    array, shape (M,)

    Raises
    ------
    ValueError
        As :func:`sgd_loss_at`.
    """
    m = np.atleast_1d(as_batch_size(batch_sizes))
    if not np.isfinite(m).all():
        raise ValueError("batch sizes must be finite: at fixed compute an infinite batch takes no step")
    eta = np.broadcast_to(as_learning_rate(learning_rate), m.shape)
    arguments = {"noise_var": noise_var}
    return np.array(
        [sgd_loss_at(compute / b, eigenvalues, target_power, e, b, **arguments) for e, b in zip(eta, m, strict=True)]
    )


def isotropic_loss(times: ArrayLike, dimension: int, learning_rate: float, batch_size: float) -> Array:
    r"""Closed form for :math:`\lambda_k=1`: :math:`L_t/\|w^*\|^2=[(1-\eta)^2+\frac{1+N}m\eta^2]^t`."""
    eta, m = float(as_learning_rate(learning_rate)), float(as_batch_size(batch_size))
    return ((1 - eta) ** 2 + (1 + dimension) / m * eta**2) ** np.asarray(times, dtype=np.float64)


def isotropic_optimal_rate(dimension: int, batch_size: ArrayLike) -> Array:
    r"""Learning rate of fastest decay for :math:`\lambda_k=1`: :math:`\eta^*=\frac m{m+N+1}`; stable below twice it."""
    m = as_batch_size(batch_size)
    return m / (m + dimension + 1)
