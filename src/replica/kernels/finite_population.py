r"""Kernel ridge regression when training points are drawn WITHOUT replacement from a small population.

The usual theory (:mod:`replica.kernels.learning_curves`) draws training points independently from a distribution, and
is off when the "distribution" is a data set of :math:`M` points of which :math:`n` are trained on. If the
eigenfunctions are in general position to the points (a random orthogonal basis), free probability gives the averages
exactly as :math:`M\to\infty` at fixed :math:`\alpha=n/M`.

Sketch. On the population the residual is :math:`f-\hat f=(X+Y)^{-1}Xf`, with :math:`X` the inverse Gram matrix
(eigenvalues :math:`1/M\lambda_i`) and :math:`Y=\mathrm{diag}(1/\delta\text{ on training points},0\text{ elsewhere})`,
the two free of each other. Subordination, :math:`E(X+Y)^{-1}=(X+\beta)^{-1}` with :math:`\beta=1/M\kappa`, fixes
:math:`\kappa`; derivatives of :math:`\beta` with respect to a shift of :math:`X+Y` and to :math:`1/\delta` give the
risks on the whole population and on the training points.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.kernels.learning_curves import _check_samples, learnability
from replica.kernels.spectra import as_eigenvalues

Array = NDArray[np.float64]


class FinitePopulationPrediction(NamedTuple):
    """Averages over subsets; ``S`` is the broadcast shape of ``n`` and ``ridge``, risks are (*S, *T) for targets T."""

    kappa: Array
    """Implicit regularisation, shape S."""
    learnability: Array
    r""":math:`\lambda_i/(\lambda_i+\kappa)`, shape (*S, M)."""
    test_risk: Array
    """On the points not trained on."""
    train_risk: Array
    """On the training points."""
    risk: Array
    """On the whole population."""


def finite_population_risk(
    eigenvalues: ArrayLike, target_power: ArrayLike, n: ArrayLike, ridge: ArrayLike = 0.0
) -> FinitePopulationPrediction:
    r"""Risks of kernel ridge regression on ``n`` of ``M`` points, noise-free labels.

    With :math:`S=\sum_i\mathcal L_i`, :math:`\ell=S/M`, :math:`q=\sum_i\mathcal L_i^2/M`, :math:`\alpha=n/M`,
    :math:`r=S/n` and :math:`H=1-\alpha+\alpha(1-r)^2`,

    .. math:: n=S+\frac\delta\kappa\Big(1-\frac SM\Big),\qquad
              \mathcal E_{te}=\frac{\sum_i(1-\mathcal L_i)^2v_i^2}{H(1-q/\ell^2)+q(1-\ell)^2/\ell^2},\qquad
              \mathcal E_{tr}=(1-r)^2\mathcal E_{te}.

    For :math:`M\to\infty` these are the eigenlearning equations. At zero ridge :math:`\kappa` is theirs at every
    :math:`M`, and so is the risk on the whole population.

    Parameters
    ----------
    eigenvalues : array, shape (M,)
        All eigenvalues, of the Gram matrix over ``M``, zeros included: their number is the population.
    target_power : array, shape (M,) or (..., M)
        :math:`v_i^2`; leading axes are several targets.
    n : array
        Points trained on, 0 < n < M.
    ridge : array
        :math:`\delta\ge0`.

    Returns
    -------
    FinitePopulationPrediction

    Raises
    ------
    ValueError
        As :func:`replica.kernels.learning_curves.krr_risk`; if ``n >= M``; or if there are not more positive
        eigenvalues than samples at zero ridge.

    References
    ----------
    Derived here by free subordination (Biane, Math. Z. 227, 143 (1998)); see the module's sketch. The tests hold it
    against random orthogonal bases.
    """
    lam, _ = as_eigenvalues(eigenvalues)
    power = np.asarray(target_power, dtype=np.float64)
    size = lam.size
    if power.shape[-1:] != lam.shape or not np.isfinite(power).all() or (power < 0).any():
        raise ValueError(f"target_power must be finite and >= 0 with last axis {size}; got shape {power.shape}")
    n, ridge = _check_samples(n, ridge)
    if n.max() >= size:
        raise ValueError(f"n must be below the population {size}, the number of eigenvalues; got {n.max():g}")
    positive = np.count_nonzero(lam)
    if (n[ridge == 0] >= positive).any():
        raise ValueError(f"at zero ridge n must be below the number of positive eigenvalues {positive}")
    kappa = _bisect(lam, n.ravel(), ridge.ravel()).reshape(n.shape)
    share = learnability(lam, kappa)
    total = share.sum(axis=-1)
    ell, q, alpha, r = total / size, (share**2).sum(axis=-1) / size, n / size, total / n
    h = 1 - alpha + alpha * (1 - r) ** 2
    inflation = 1 / (h * (1 - q / ell**2) + q * (1 - ell) ** 2 / ell**2)
    bias = np.tensordot((1 - share) ** 2, power, axes=(-1, -1))
    inflation, unexplained, alpha = (
        a.reshape(n.shape + (1,) * (power.ndim - 1)) for a in (inflation, (1 - r) ** 2, alpha)
    )
    test = inflation * bias
    train = unexplained * test
    return FinitePopulationPrediction(kappa, share, test, train, alpha * train + (1 - alpha) * test)


def _bisect(lam: Array, n: Array, ridge: Array) -> Array:
    """Root of S + (ridge / kappa)(1 - S / M) = n, which falls with kappa above ridge / M and is >= M below it."""
    ordered = np.sort(lam)[::-1]
    rank = np.arange(1, lam.size + 1)
    low = np.array([(ordered * (rank - a)).max() / a for a in n])
    low = np.log(np.maximum(np.maximum(low, ridge / lam.size), np.finfo(float).tiny))
    high = np.log((ridge + lam.sum()) / n)
    for _ in range(64):
        middle = (low + high) / 2
        kappa = np.exp(middle)
        total = np.array([(lam / (lam + k)).sum() for k in kappa])
        above = total + ridge / kappa * (1 - total / lam.size) > n
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.exp((low + high) / 2)
