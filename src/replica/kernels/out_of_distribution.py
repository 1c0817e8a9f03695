r"""Kernel regression trained on one input measure and tested on another.

Training points are drawn from :math:`p`, under which the kernel has eigenvalues :math:`\lambda_i` and eigenfunctions
:math:`\phi_i`; the test points from :math:`\tilde p`, of which the theory needs only the overlap matrix
:math:`O_{ij}=E_{\tilde p}[\phi_i\phi_j]`. The learned coefficients have mean and covariance

.. math:: E[\hat v_i]=\mathcal L_iv_i,\qquad
          \mathrm{Cov}[\hat v_i,\hat v_j]=\delta_{ij}\frac{\mathcal L_i^2\mathcal E}{n},

with the learnabilities :math:`\mathcal L_i` and the risk :math:`\mathcal E` on the training measure (noise included) of
:func:`~replica.kernels.learning_curves.krr_risk`. Contracted with the overlap matrix they give the error on
:math:`\tilde p`, against the target without noise,

.. math:: E_{\tilde p}=G^\top OG+\frac{\mathcal E}n\sum_i\mathcal L_i^2O_{ii},\qquad G_i=(1-\mathcal L_i)v_i .

The symbols are those of this package; :mod:`replica.kernels.notation` says what Canatar, Bordelon and Pehlevan (arXiv
2106.02261) call them. In addition to what stands there, their :math:`\gamma'` is
:math:`\frac1n\sum_i\mathcal L_i^2O_{ii}`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.kernels.learning_curves import krr_risk
from replica.kernels.regression import as_gram, as_ridge, kernel_ridge_coefficients
from replica.kernels.spectra import as_eigenvalues

Array = NDArray[np.float64]

#: Floats that a batch of simulated training sets may hold.
CHUNK = 8_000_000


class ShiftedPrediction(NamedTuple):
    """Average errors of kernel regression under another test measure; ``S`` is the shape of ``n`` and ``ridge``."""

    error: Array
    r"""Mean squared error on :math:`\tilde p` against the target without noise, shape S."""
    matched_error: Array
    r"""The same on the training measure, :math:`\mathcal E-\epsilon^2`, shape S."""
    kappa: Array
    """Implicit regularisation, of the training measure alone, shape S."""
    mode_sum_squares: Array
    r""":math:`\sum_i\mathcal L_i^2=n\gamma`, shape S."""
    shifted_sum_squares: Array
    r""":math:`\sum_i\mathcal L_i^2O_{ii}=n\gamma'`, shape S."""
    residual: Array
    r"""What is not learned on average: :math:`G_i=(1-\mathcal L_i)v_i`, or its weights; shape (*S, L)."""


def as_mass(mass: ArrayLike, size: int, name: str = "mass") -> Array:
    """Return ``mass`` as float64 after checking that it holds ``size`` probabilities that sum to 1.

    Raises
    ------
    ValueError
        If it does not.
    """
    p = np.asarray(mass, dtype=np.float64)
    if p.shape != (size,) or not (np.isfinite(p) & (p >= 0)).all() or abs(p.sum() - 1) > 1e-9:
        raise ValueError(f"{name} must hold {size} probabilities >= 0 that sum to 1; got shape {p.shape}")
    return p


def _as_features(features: ArrayLike) -> Array:
    phi = np.asarray(features, dtype=np.float64)
    if phi.ndim != 2 or not np.isfinite(phi).all():
        raise ValueError(f"features must be a finite matrix (M, R), a column for each mode; got shape {phi.shape}")
    return phi


def overlap_matrix(features: ArrayLike, test_mass: ArrayLike) -> Array:
    r"""Overlaps :math:`O_{ij}=E_{\tilde p}[\phi_i\phi_j]=(\Phi^\top\mathrm{diag}(\tilde p)\Phi)_{ij}`.

    Parameters
    ----------
    features : array, shape (M, R)
        Eigenfunctions of the training measure at the M points, from
        :func:`~replica.kernels.spectra.empirical_eigensystem`.
    test_mass : array, shape (M,)
        Probabilities :math:`\tilde p_\mu\ge0`.

    Returns
    -------
    array, shape (R, R), symmetric and positive semi-definite; the identity if the two measures are the same

    Raises
    ------
    ValueError
        If shapes do not fit or the masses are no probabilities.
    """
    phi = _as_features(features)
    p = as_mass(test_mass, len(phi), "test_mass")
    half = np.sqrt(p)[:, None] * phi
    return half.T @ half


def ood_error(
    eigenvalues: ArrayLike,
    coefficients: ArrayLike,
    overlap: ArrayLike,
    n: ArrayLike,
    ridge: ArrayLike = 0.0,
    noise_var: float = 0.0,
) -> ShiftedPrediction:
    r"""Average error under a shifted test measure, from the overlap matrix (equation of the module's text).

    Parameters
    ----------
    eigenvalues : array, shape (L,)
        Of the kernel under the training measure, one for each mode (no multiplicities: the overlap tells modes of one
        level apart).
    coefficients : array, shape (L,)
        :math:`v_i=E_p[f\phi_i]`. Modes of zero eigenvalue are never learned and act as noise while training.
    overlap : array, shape (L, L)
        :math:`O`, symmetric.
    n, ridge : array
        Training samples and ridge :math:`\delta`, added to the Gram matrix as it is; they broadcast to shape S.
    noise_var : float
        :math:`\epsilon^2` of the training labels.

    Returns
    -------
    ShiftedPrediction

    Raises
    ------
    ValueError
        As :func:`~replica.kernels.learning_curves.krr_risk`, or if the overlap is not symmetric or of another size.

    References
    ----------
    Canatar, Bordelon and Pehlevan, arXiv 2106.02261, main formula for the generalization error.
    """
    v = np.asarray(coefficients, dtype=np.float64)
    o = as_gram(overlap, "overlap")
    if v.ndim != 1 or o.shape != (v.size, v.size):
        raise ValueError(f"need coefficients (L,) and overlap (L, L); got {v.shape} and {o.shape}")
    p = krr_risk(eigenvalues, v**2, n, ridge, noise_var)
    share = p.learnability
    g = (1 - share) * v
    shifted = share**2 @ np.diagonal(o)
    error = np.einsum("...i,...i->...", g @ o, g) + shifted * p.test_risk / p.n
    return ShiftedPrediction(error, p.test_risk - noise_var, p.kappa, p.mode_sum_squares, shifted, g)


def excess_overlap(overlap: ArrayLike, prediction: ShiftedPrediction, n: float) -> Array:
    r"""The matrix :math:`O'=O-\frac{1-\gamma'}{1-\gamma}I` that decides whether a shift of the test measure hurts.

    Without label noise :math:`E_{\tilde p}=E_p+G^\top O'G`.

    Parameters
    ----------
    overlap : array, shape (L, L)
    prediction : ShiftedPrediction
        Of :func:`ood_error` at ONE sample size.
    n : float
        That size.

    Raises
    ------
    ValueError
        If the prediction is for several sample sizes.

    References
    ----------
    Canatar, Bordelon and Pehlevan, arXiv 2106.02261, decomposition of the generalization error.
    """
    o = np.asarray(overlap, dtype=np.float64)
    if np.ndim(prediction.kappa):
        raise ValueError(f"need a prediction for one sample size; got shape {np.shape(prediction.kappa)}")
    factor = (n - prediction.shifted_sum_squares) / (n - prediction.mode_sum_squares)
    return o - factor * np.eye(len(o))


def pointwise_error(
    features: ArrayLike,
    eigenvalues: ArrayLike,
    coefficients: ArrayLike,
    n: ArrayLike,
    ridge: ArrayLike = 0.0,
    noise_var: float = 0.0,
) -> Array:
    r"""Average squared error :math:`r_\mu` at every point.

    The error under any test measure is :math:`\sum_\mu\tilde p_\mu r_\mu`, with

    .. math:: r_\mu=\Big(\sum_i\phi_i(x_\mu)G_i\Big)^2+\frac{\mathcal E}n\sum_i\mathcal L_i^2\phi_i(x_\mu)^2 .

    Parameters
    ----------
    features : array, shape (M, L)
        Eigenfunctions at the points where the error is wanted; not necessarily those of the training measure.
    eigenvalues, coefficients : array, shape (L,)
    n, ridge : array
        Broadcast to shape S.
    noise_var : float

    Returns
    -------
    array, shape (*S, M)

    Raises
    ------
    ValueError
        As :func:`ood_error`.

    References
    ----------
    The formula of arXiv 2106.02261, read as linear in the test measure.
    """
    phi, v = _as_features(features), np.asarray(coefficients, dtype=np.float64)
    if v.shape != phi.shape[1:]:
        raise ValueError(f"need features (M, L) and coefficients (L,); got {phi.shape} and {v.shape}")
    p = krr_risk(eigenvalues, v**2, n, ridge, noise_var)
    share = p.learnability
    variance = share**2 * (p.test_risk / p.n)[..., None]
    return (((1 - share) * v) @ phi.T) ** 2 + variance @ (phi**2).T


def measure_trials(
    gram: ArrayLike, target: ArrayLike, samples: ArrayLike, test_masses: ArrayLike, ridge: float = 0.0
) -> Array:
    r"""Kernel regression on given training sets, scored under several test measures at once.

    Parameters
    ----------
    gram : array, shape (M, M)
    target : array, shape (M,)
        Noise-free labels of all points.
    samples : int array, shape (T, n)
        Training points, possibly repeated, from :func:`~replica.kernels.trials.draw_samples`.
    test_masses : array, shape (M,) or (M, C)
        One or several test measures.
    ridge : float
        :math:`\delta`; repeated points need a positive one.

    Returns
    -------
    array, shape (T,) or (T, C)
        :math:`\sum_\mu\tilde p_\mu(\hat f(x_\mu)-f(x_\mu))^2`, exact for each training set.

    Raises
    ------
    ValueError
        If shapes do not fit, or as :func:`~replica.kernels.regression.kernel_ridge_coefficients`.
    """
    k, f = as_gram(gram, "gram"), np.asarray(target, dtype=np.float64)
    samples, masses = np.asarray(samples), np.asarray(test_masses, dtype=np.float64)
    if k.ndim != 2 or f.shape != k.shape[:1] or samples.ndim != 2 or masses.shape[:1] != f.shape:
        raise ValueError(
            "need gram (M, M), target (M,), samples (T, n), test_masses (M,) or (M, C); "
            f"got {k.shape}, {f.shape}, {samples.shape}, {masses.shape}"
        )
    trials, n = samples.shape
    out = np.empty((trials, *masses.shape[1:]))
    step = max(1, CHUNK // (n * n + f.size))
    for start in range(0, trials, step):
        chosen = samples[start : start + step]
        dual = kernel_ridge_coefficients(k[chosen[:, :, None], chosen[:, None, :]], f[chosen], ridge)
        spread = np.zeros((len(chosen), f.size))
        np.add.at(spread, (np.arange(len(chosen))[:, None], chosen), dual)
        out[start : start + step] = (spread @ k - f) ** 2 @ masses
    return out


def gaussian_feature_shift_trials(
    eigenvalues: ArrayLike,
    coefficients: ArrayLike,
    overlaps: ArrayLike,
    n: int,
    trials: int,
    rng: np.random.Generator,
    ridge: float,
    noise_var: float = 0.0,
) -> Array:
    r"""Errors under shifted measures when the features are independent Gaussians, where the theory is exact.

    Training features :math:`\phi_i\sim N(0,1)`; the learned coefficients :math:`\hat v` are scored by the given
    overlaps, :math:`(\hat v-v)^\top O(\hat v-v)`. A control: the same spectrum, target and overlaps as real data, but
    Gaussian features.

    Parameters
    ----------
    eigenvalues, coefficients : array, shape (L,)
    overlaps : array, shape (C, L, L)
        One matrix for each test measure.
    n, trials : int
    rng : numpy.random.Generator
    ridge : float
        :math:`\delta`.
    noise_var : float

    Returns
    -------
    array, shape (trials, C)

    Raises
    ------
    ValueError
        If shapes do not fit, or as :func:`~replica.kernels.regression.kernel_ridge_coefficients`.
    """
    lam, v = as_eigenvalues(eigenvalues).eigenvalues, np.asarray(coefficients, dtype=np.float64)
    o = as_gram(overlaps, "overlaps")
    if v.shape != lam.shape or o.ndim != 3 or o.shape[1] != v.size:
        raise ValueError(
            f"need eigenvalues, coefficients (L,), overlaps (C, L, L); got {lam.shape}, {v.shape}, {o.shape}"
        )
    miss = np.empty((trials, v.size))
    for t in range(trials):
        z = rng.standard_normal((n, v.size))
        y = z @ v + np.sqrt(noise_var) * rng.standard_normal(n)
        gram = (z * lam) @ z.T
        miss[t] = lam * (kernel_ridge_coefficients((gram + gram.T) / 2, y, ridge) @ z) - v
    return np.stack([((miss @ matrix) * miss).sum(axis=1) for matrix in o], axis=1)


def _as_covariance(matrix: ArrayLike, name: str) -> Array:
    c = as_gram(matrix, name)
    if c.ndim != 2:
        raise ValueError(f"{name} must be one matrix, shape (N, N); got shape {c.shape}")
    return (c + c.T) / 2


def _as_problem(cov: ArrayLike, test_cov: ArrayLike, weights: ArrayLike) -> tuple[Array, Array, Array]:
    c, c_test = _as_covariance(cov, "cov"), _as_covariance(test_cov, "test_cov")
    w = np.asarray(weights, dtype=np.float64)
    if c.shape != c_test.shape or w.shape != c.shape[:1] or not np.isfinite(w).all():
        raise ValueError(
            f"need cov (N, N), test_cov (N, N) and finite weights (N,); got {c.shape}, {c_test.shape} and {w.shape}"
        )
    return c, c_test, w


def linear_regression_ood(
    cov: ArrayLike,
    test_cov: ArrayLike,
    weights: ArrayLike,
    n: ArrayLike,
    ridge: ArrayLike = 0.0,
    noise_var: float = 0.0,
) -> ShiftedPrediction:
    r"""Average test error of linear regression when training and test inputs have different covariances.

    Kernel :math:`x\cdot x'/N`, inputs :math:`x\sim N(0,C)` in training and of covariance :math:`\tilde C` in test
    (they need not commute), target :math:`w\cdot x`. With :math:`C=U\,\mathrm{diag}(c)U^\top`, eigenvalues
    :math:`c_i/N` and :math:`g=U(1-\mathcal L)U^\top w`,

    .. math:: E=g^\top\tilde Cg+\frac{\mathcal E}n\sum_i\frac{\mathcal L_i^2}{c_i}(U^\top\tilde CU)_{ii} .

    Directions without training variance are not learned; they cost :math:`g^\top\tilde Cg` and nothing else.

    Parameters
    ----------
    cov, test_cov : array, shape (N, N)
        :math:`C`, not zero, and :math:`\tilde C`; symmetric, positive semi-definite.
    weights : array, shape (N,)
    n, ridge : array
        Broadcast to shape S. The ridge is added to the Gram matrix :math:`XX^\top/N` as it is.
    noise_var : float
        :math:`\epsilon^2` of the training labels.

    Returns
    -------
    ShiftedPrediction
        ``residual`` holds the weights :math:`w-E[\hat w]`, shape (*S, N).

    Raises
    ------
    ValueError
        If shapes do not fit, a matrix is not symmetric, ``cov`` has negative eigenvalues, or as ``krr_risk``.

    References
    ----------
    Canatar, Bordelon and Pehlevan, arXiv 2106.02261, section on linear regression.
    """
    c, c_test, w = _as_problem(cov, test_cov, weights)
    values, u = np.linalg.eigh(c)
    used = values > 1e-13 * values[-1]  # below is round-off: as if there were no variance at all
    floor = 1e-9 * np.abs(values).max()
    if values[-1] <= 0 or values[0] < -floor:
        raise ValueError(f"cov must be positive semi-definite and not zero; its eigenvalues go from {values[0]:.3g}")
    values = np.where(used, values, 0.0)
    coefficient = u.T @ w
    p = krr_risk(values / w.size, values * coefficient**2, n, ridge, noise_var)
    share = p.learnability
    g = ((1 - share) * coefficient) @ u.T
    rotated = np.einsum("ij,ij->j", u, c_test @ u)
    per_variance = np.divide(rotated, values, out=np.zeros_like(values), where=used)
    shifted = share**2 @ per_variance
    error = np.einsum("...i,...i->...", g @ c_test, g) + shifted * p.test_risk / p.n
    return ShiftedPrediction(error, p.test_risk - noise_var, p.kappa, p.mode_sum_squares, shifted, g)


def linear_regression_trials(
    cov: ArrayLike,
    test_cov: ArrayLike,
    weights: ArrayLike,
    n: int,
    trials: int,
    rng: np.random.Generator,
    ridge: float = 0.0,
    noise_var: float = 0.0,
) -> Array:
    r"""Errors of ridge regression from simulated Gaussian training sets, one for each.

    :math:`\hat w=(X^\top X/N+\delta)^{-1}X^\top y/N`, the primal form of kernel regression with :math:`x\cdot x'/N`;
    the error :math:`(\hat w-w)^\top\tilde C(\hat w-w)` is exact for its training set.

    Parameters
    ----------
    cov, test_cov, weights : array
        As :func:`linear_regression_ood`.
    n, trials : int
    rng : numpy.random.Generator
    ridge : float
        :math:`\delta>0`.
    noise_var : float

    Returns
    -------
    array, shape (trials,)

    Raises
    ------
    ValueError
        As :func:`linear_regression_ood`, or if the ridge is zero.
    """
    c, c_test, w = _as_problem(cov, test_cov, weights)
    ridge = as_ridge(ridge)
    if ridge == 0:
        raise ValueError("the simulation needs a ridge > 0; take a small one for least squares")
    values, u = np.linalg.eigh(c)
    used = values > 1e-13 * values[-1]  # the learned weights stay in this subspace: solve within it
    u, scale, size = u[:, used], np.sqrt(values[used]), w.size
    inside, out = u.T @ w, np.empty(trials)
    step = max(1, CHUNK // (scale.size * max(n, scale.size)))
    for start in range(0, trials, step):
        count = min(step, trials - start)
        x = rng.standard_normal((count, n, scale.size)) * scale
        y = x @ inside + np.sqrt(noise_var) * rng.standard_normal((count, n))
        normal = np.swapaxes(x, 1, 2) @ x / size + ridge * np.eye(scale.size)
        learned = np.linalg.solve(normal, (y[:, None] @ x)[:, 0, :, None] / size)[..., 0]
        miss = learned @ u.T - w
        out[start : start + count] = np.einsum("ti,ti->t", miss @ c_test, miss)
    return out
