r"""Random nonlinear features of data, and the spectrum of a target in them.

The points given are the whole input distribution, each with weight :math:`1/P`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh

Array = NDArray[np.float64]

ACTIVATIONS = {"relu": lambda z: np.maximum(z, 0), "tanh": np.tanh, "linear": lambda z: z}


class TargetSpectrum(NamedTuple):
    """A target in the eigenbasis of the features' covariance."""

    eigenvalues: Array
    r"""Shape (K,), decreasing: :math:`\lambda_k` of :math:`\Sigma=\frac1P\Psi^\top\Psi`, the numerically zero ones
    left out."""
    target_power: Array
    r"""Shape (K,): :math:`v_k^2=(u_k\cdot w^*)^2` of the best readout :math:`w^*`."""
    weights: Array
    r"""Shape (N,): :math:`w^*`, the least-squares readout of smallest norm."""
    residual: float
    """Mean squared part of the target that no readout gives."""

    @property
    def mode_power(self) -> Array:
        r""":math:`\lambda_kv_k^2`, which sums to the power within reach."""
        return self.eigenvalues * self.target_power


def random_features(
    inputs: ArrayLike,
    count: int,
    rng: np.random.Generator,
    *,
    activation: str = "relu",
    weight_var: float = 1.0,
    subtract_mean: bool = False,
) -> Array:
    r"""Features :math:`\psi_i(x)=\phi(g_i\cdot x)` with :math:`g_{ij}\sim N(0,\sigma_w^2/D)`.

    Parameters
    ----------
    inputs : array, shape (P, D)
    count : int
        N.
    rng : numpy.random.Generator
    activation : str
        ``relu``, ``tanh`` or ``linear``.
    weight_var : float
        :math:`\sigma_w^2`. For a ReLU only a scale.
    subtract_mean : bool
        Subtract the mean of the whole matrix, one number, as the authors do.

    Returns
    -------
    array, shape (P, N)

    Raises
    ------
    ValueError
        If the inputs are not a finite matrix, or the activation or a number is not allowed.
    """
    x = np.asarray(inputs, dtype=np.float64)
    if x.ndim != 2 or not np.isfinite(x).all():
        raise ValueError(f"inputs must be a finite matrix with one point a row; got shape {x.shape}")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {sorted(ACTIVATIONS)}; got {activation!r}")
    if int(count) != count or count < 1 or not weight_var > 0:
        raise ValueError(f"need count >= 1 and weight_var > 0; got {count} and {weight_var}")
    g = rng.standard_normal((x.shape[1], int(count))) * np.sqrt(weight_var / x.shape[1])
    psi = ACTIVATIONS[activation](x @ g)
    return psi - psi.mean() if subtract_mean else psi


def unit_rows(inputs: ArrayLike) -> Array:
    """Every row divided by its Euclidean norm.

    Raises
    ------
    ValueError
        If the inputs are not a matrix or a row is zero.
    """
    x = np.asarray(inputs, dtype=np.float64)
    if x.ndim != 2:
        raise ValueError(f"inputs must be a matrix with one point a row; got shape {x.shape}")
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    if not (norm > 0).all():
        raise ValueError("a row of zeros has no direction")
    return x / norm


def unit_top_eigenvalue(features: ArrayLike) -> Array:
    r"""Features scaled so that :math:`\Sigma=\frac1P\Psi^\top\Psi` has largest eigenvalue 1; learning rates then have
    a scale: gradient descent is stable below 2."""
    psi = _as_features(features)
    gram = psi.T @ psi if psi.shape[1] <= len(psi) else psi @ psi.T
    top = eigh(gram, eigvals_only=True, subset_by_index=[len(gram) - 1] * 2)[0]
    return psi * np.sqrt(len(psi) / top)


def target_spectrum(features: ArrayLike, labels: ArrayLike, *, cutoff: float = 1e-10) -> TargetSpectrum:
    r"""Eigenvalues of the features' covariance and the labels' power in its eigenbasis, by one singular value
    decomposition :math:`\Psi/\sqrt P=U\,\mathrm{diag}(\sqrt\lambda)V^\top`, :math:`\lambda_kv_k^2=(U_k\cdot y)^2/P`.

    Parameters
    ----------
    features : array, shape (P, N)
    labels : array, shape (P,)
    cutoff : float
        Eigenvalues below this fraction of the largest count as zero; the labels' power there goes into the residual.

    Raises
    ------
    ValueError
        If shapes do not fit or something is not finite.
    """
    psi = _as_features(features)
    y = np.asarray(labels, dtype=np.float64)
    if y.shape != psi.shape[:1] or not np.isfinite(y).all():
        raise ValueError(f"labels must be finite, one for each of the {len(psi)} points; got shape {y.shape}")
    u, root, vt = np.linalg.svd(psi / np.sqrt(len(psi)), full_matrices=False)
    kept = root**2 > cutoff * root[0] ** 2
    u, root, vt = u[:, kept], root[kept], vt[kept]
    overlap = u.T @ y / np.sqrt(len(y))
    residual = max(float(y @ y / len(y) - overlap @ overlap), 0.0)
    return TargetSpectrum(root**2, (overlap / root) ** 2, vt.T @ (overlap / root), residual)


def mode_kurtosis(features: ArrayLike, modes: int) -> Array:
    r"""Kurtosis :math:`\langle\psi_k^4\rangle/\lambda_k^2` of the features along the leading eigendirections of
    :math:`\Sigma=\frac1P\Psi^\top\Psi`, not centred: 3 for Gaussian features, 1 for a constant one.

    Parameters
    ----------
    features : array, shape (P, N)
    modes : int
        How many, at most the rank.

    Raises
    ------
    ValueError
        If the features are not a finite matrix or have fewer modes.
    """
    psi = _as_features(features)
    u, root, _ = np.linalg.svd(psi, full_matrices=False)
    rank = int((root > 1e-10 * root[0]).sum())
    if not 1 <= modes <= rank:
        raise ValueError(f"modes must be between 1 and the rank {rank}; got {modes}")
    return (u[:, :modes] ** 4).sum(axis=0) * len(psi)


def _as_features(features: ArrayLike) -> Array:
    psi = np.asarray(features, dtype=np.float64)
    if psi.ndim != 2 or not np.isfinite(psi).all() or not psi.any():
        raise ValueError(f"features must be a finite matrix, one point a row, that is not zero; got shape {psi.shape}")
    return psi
