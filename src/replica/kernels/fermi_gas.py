r"""Learnability as the occupation of levels by a free Fermi gas.

With :math:`\lambda_i=e^{-\beta\varepsilon_i}` and :math:`\kappa=e^{-\beta\mu}` the learnability
:math:`\lambda_i/(\lambda_i+\kappa)` is the Fermi-Dirac occupation, and the number of samples that of particles: the
grand-canonical ensemble. Its canonical counterpart, here, has exactly :math:`n` particles.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.kernels.spectra import as_eigenvalues

Array = NDArray[np.float64]


def log_elementary_symmetric(values: ArrayLike, max_order: int) -> Array:
    r"""Logarithms of the elementary symmetric polynomials.

    :math:`e_k=\sum_{i_1<\dots<i_k}\lambda_{i_1}\cdots\lambda_{i_k}`.

    Parameters
    ----------
    values : array, shape (..., M), entries >= 0
    max_order : int

    Returns
    -------
    array, shape (..., max_order + 1)
        :math:`\log e_0=0` up to :math:`\log e_{max}`; minus infinity where :math:`e_k=0`.
    """
    values = np.asarray(values, dtype=np.float64)
    if (values < 0).any() or not np.isfinite(values).all():
        raise ValueError("values must be finite and >= 0")
    if max_order < 0:
        raise ValueError(f"max_order must be >= 0; got {max_order}")
    out = np.full((*values.shape[:-1], max_order + 1), -np.inf)
    out[..., 0] = 0.0
    with np.errstate(divide="ignore"):
        logs = np.log(values)
    for i in range(values.shape[-1]):
        out[..., 1:] = np.logaddexp(out[..., 1:], logs[..., i, None] + out[..., :-1])
    return out


def canonical_occupation(eigenvalues: ArrayLike, n: int) -> Array:
    r"""Occupations of :math:`M` levels by exactly ``n`` free fermions with Boltzmann weights :math:`\lambda_i`.

    :math:`p_i=\lambda_i\,e_{n-1}(\lambda_{\setminus i})/e_n(\lambda)`; they sum to ``n``. It is also the average
    learnability of mode :math:`i` over data sets weighted by :math:`\det K_{DD}`, exactly, for any orthonormal
    features, because :math:`E_D[\det K_{DD}]=n!\,e_n(\lambda)` and
    :math:`\mathcal L_i=\partial\log\det K_{DD}/\partial\log\lambda_i`.

    Parameters
    ----------
    eigenvalues : array, shape (M,)
    n : int
        Particles (samples), between 0 and the number of positive eigenvalues.

    Raises
    ------
    ValueError
        If ``n`` is outside that range or an eigenvalue is negative.

    References
    ----------
    Simon et al., arXiv 2110.03922, Section 6 (Fermi gas); elementary symmetric form derived here by Cauchy-Binet.
    """
    lam, _ = as_eigenvalues(eigenvalues)
    positive = np.count_nonzero(lam)
    if int(n) != n or not 0 <= n <= positive:
        raise ValueError(f"n must be a whole number from 0 to {positive}, the positive eigenvalues; got {n}")
    n = int(n)
    if n == 0:
        return np.zeros(lam.size)
    size = lam.size
    others = np.tile(lam, (size, 1))
    np.fill_diagonal(others, 0.0)  # a level of weight zero is never occupied: the same as leaving it out
    log_without = log_elementary_symmetric(others, n - 1)[:, n - 1]
    log_all = log_elementary_symmetric(lam, n)[n]
    with np.errstate(divide="ignore"):
        return np.exp(np.log(lam) + log_without - log_all)
