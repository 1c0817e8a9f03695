r"""One theory of kernel regression, two notations, converted here and nowhere else.

Simon et al. ("eigenlearning", used throughout :mod:`replica.kernels`) on the left, Bordelon, Canatar and Pehlevan (BCP)
on the right:

- training samples: :math:`n`; :math:`P` or :math:`p`
- eigenvalues: :math:`\lambda_i`; :math:`\eta_\rho`
- ridge, added to the Gram matrix as it is: :math:`\delta`; :math:`\lambda`
- variance of the label noise: :math:`\epsilon^2`; :math:`\sigma^2`
- target coefficients: :math:`v_i`; :math:`a_\rho=\sqrt{\eta_\rho}\bar w_\rho`
- implicit regularisation: :math:`\kappa`; :math:`\kappa_{BCP}=n\kappa`, in the 2020 paper :math:`\lambda+t`
- learned fraction of a mode: :math:`\mathcal L_i=\lambda_i/(\lambda_i+\kappa)`; :math:`P\eta_\rho/(P\eta_\rho+\kappa)`
- degrees of freedom: :math:`\sum_im_i\mathcal L_i^2`; :math:`P\gamma`
- overfitting coefficient: :math:`\mathcal E_0`; :math:`1/(1-\gamma)`
- test error: :math:`\mathcal E`, against noisy labels; :math:`E_g=\mathcal E-\epsilon^2`, against the target
- response under a test measure with overlaps :math:`O`: :math:`\frac1n\sum_im_i\mathcal L_i^2O_{ii}`; :math:`\gamma'`
- train error, against the noisy labels: :math:`\mathcal E_{tr}`; :math:`E_{tr}=(\lambda/\kappa)^2(E_g+\sigma^2)`

The mode errors need care. Both groups split the test error over modes, but not in the same way. The error of the
learned coefficient, :math:`E[(\hat v_i-v_i)^2]`, is
:attr:`~replica.kernels.learning_curves.KRRPrediction.mode_errors`. :math:`E_\rho` of BCP is the part of the error, in
whatever mode it appears, that the target's power in mode :math:`\rho` and the noise met there cause. Only the sums
agree.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.kernels.learning_curves import KRRPrediction
from replica.kernels.spectra import as_eigenvalues

Array = NDArray[np.float64]


class BordelonCanatarPehlevan(NamedTuple):
    """Learning curves in the notation of arXiv 2002.02561 and 2006.13198; shapes as in :class:`KRRPrediction`."""

    kappa: Array
    r""":math:`\kappa=\lambda+\kappa\sum_\rho\frac{\eta_\rho}{\kappa+P\eta_\rho}`, shape S."""
    gamma: Array
    r""":math:`\gamma=P\sum_\rho\frac{\eta_\rho^2}{(\kappa+P\eta_\rho)^2}`, shape S."""
    mode_errors: Array
    r""":math:`E_\rho=\frac1{1-\gamma}\frac{\kappa^2a_\rho^2+\sigma^2P\eta_\rho^2}{(\kappa+P\eta_\rho)^2}`, summed over
    each level, shape (*S, *T, L)."""
    generalization_error: Array
    r""":math:`E_g=\sum_\rho E_\rho`, against the noise-free target, shape (*S, *T)."""
    train_error: Array
    r""":math:`E_{tr}`, against the noisy labels, shape (*S, *T)."""


def to_bordelon_canatar_pehlevan(prediction: KRRPrediction) -> BordelonCanatarPehlevan:
    r"""What :func:`~replica.kernels.learning_curves.krr_risk` says, in the notation of Bordelon, Canatar and Pehlevan.

    Where :math:`\gamma=1` (zero ridge, as many samples as modes) mode errors are infinite, or NaN where nothing is left
    to learn.

    References
    ----------
    Bordelon, Canatar and Pehlevan, arXiv 2002.02561 (spectrum-dependent learning curves, zero noise); Canatar,
    Bordelon and Pehlevan, arXiv 2006.13198 (ridge and noise).
    """
    occupation = prediction._for_targets(prediction.learnability, prediction.eigenvalues.shape)
    n = prediction._for_targets(prediction.n)[..., None]
    noise = prediction.noise_var * prediction.multiplicity * occupation**2 / n
    inflation = prediction._for_targets(prediction.overfitting_coefficient)[..., None]
    with np.errstate(invalid="ignore"):
        mode_errors = inflation * ((1 - occupation) ** 2 * prediction.target_power + noise)
    return BordelonCanatarPehlevan(
        prediction.n * prediction.kappa,
        prediction.mode_sum_squares / prediction.n,
        mode_errors,
        prediction.test_risk - prediction.noise_var,
        prediction.train_risk,
    )


def power_from_rkhs_weights(eigenvalues: ArrayLike, weights: ArrayLike) -> Array:
    r"""Target power :math:`a_\rho^2=\eta_\rho\bar w_\rho^2` of :math:`\sum_\rho\bar w_\rho\sqrt{\eta_\rho}\phi_\rho`.

    Parameters
    ----------
    eigenvalues : array, shape (L,)
    weights : array, shape (..., L)

    Raises
    ------
    ValueError
        If there is not one finite weight for each eigenvalue.
    """
    eta, _ = as_eigenvalues(eigenvalues)
    w = np.asarray(weights, dtype=np.float64)
    if w.shape[-1:] != eta.shape or not np.isfinite(w).all():
        raise ValueError(
            f"weights must be finite with last axis {eta.size}, one for each eigenvalue; got shape {w.shape}"
        )
    return eta * w**2
