r"""Mean-field theory of kernel ridge regression: average test risk from the kernel's spectrum alone.

One scalar :math:`\kappa`, the implicit regularisation, fixes every first and second moment of the learned function:

.. math:: n=\sum_im_i\frac{\lambda_i}{\lambda_i+\kappa}+\frac{\delta}{\kappa},\qquad
          \mathcal L_i=\frac{\lambda_i}{\lambda_i+\kappa}.

The notation is that of Simon et al. (arXiv 2110.03922); :mod:`replica.kernels.notation` converts to and from that of
Bordelon, Canatar and Pehlevan (arXiv 2002.02561, 2006.13198).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.kernels.spectra import as_eigenvalues

Array = NDArray[np.float64]

#: Floats held at once by a solve: problems are taken in chunks of this size over the number of eigenvalues.
CHUNK = 4_000_000
#: Number of eigenvalues from which they are not sorted but binned, to start from a good guess.
LARGE = 20_000


def _check_samples(n: ArrayLike, ridge: ArrayLike) -> tuple[Array, Array]:
    n, ridge = np.asarray(n, dtype=np.float64), np.asarray(ridge, dtype=np.float64)
    if not (np.isfinite(n).all() and (n > 0).all()):
        raise ValueError(f"n, the number of samples, must be finite and > 0; got {n}")
    if not (np.isfinite(ridge).all() and (ridge >= 0).all()):
        raise ValueError(f"ridge must be finite and >= 0; got {ridge}")
    n, ridge = np.broadcast_arrays(n, ridge)
    return n, ridge


def _bracket(lam: Array, mult: Array, n: Array, ridge: Array) -> tuple[Array, Array]:
    """Bounds of log kappa for vectors ``n`` and ``ridge``; ``lam`` positive and decreasing, a root must exist."""
    count = np.cumsum(mult)
    # F(kappa) >= N_j lam_j / (lam_j + kappa) for every level j, N_j counting the modes above it, and F >= ridge/kappa.
    low = np.maximum(ridge / n, (lam * (count - n[:, None])).max(axis=1) / n)
    return np.log(np.maximum(low, np.finfo(float).tiny)), np.log((ridge + mult @ lam) / n)


def _newton(lam: Array, mult: Array, n: Array, ridge: Array, u: Array, low: Array, high: Array) -> Array:
    """Roots kappa between exp(low) and exp(high), from exp(u), which is overwritten like the bounds."""
    log_n = np.log(n)
    active = np.ones(n.size, dtype=bool)
    for _ in range(200):
        kappa = np.exp(u[active])
        occupation = lam / (lam + kappa[:, None])
        weighted = occupation * mult
        first, second = weighted.sum(axis=1), np.einsum("pl,pl->p", weighted, occupation)
        total = first + ridge[active] / kappa
        excess = np.log(total) - log_n[active]
        slope = -(first - second + ridge[active] / kappa) / total  # d log F / d log kappa, in [-1, 0)
        low[active] = np.where(excess > 0, u[active], low[active])
        high[active] = np.where(excess > 0, high[active], u[active])
        with np.errstate(divide="ignore", invalid="ignore"):
            step = u[active] - excess / slope
        inside = (step >= low[active]) & (step <= high[active])
        step = np.where(inside, step, (low[active] + high[active]) / 2)
        moved = np.abs(step - u[active])
        u[active] = step
        # Newton's error after a step of size h is of order h^2.
        done = (inside & (moved < 1e-9)) | (high[active] - low[active] < 1e-14)
        active[np.flatnonzero(active)[done]] = False
        if not active.any():
            return np.exp(u)
    raise RuntimeError("the equation for kappa did not converge")  # pragma: no cover - bisection always does


def _binned(lam: Array, mult: Array) -> tuple[Array, Array]:
    """``lam`` > 0 in bins 1/64 of an octave wide or narrower, decreasing, each with its mean and its number of modes.

    A float's bits, read as an integer, grow with its value: the exponent and six bits of the mantissa name the bin.
    """
    name = lam.view(np.int64) >> 46
    name -= name.min()
    count = np.bincount(name, mult)
    trace = np.bincount(name, mult * lam)
    filled = np.flatnonzero(count)[::-1]
    return trace[filled] / count[filled], count[filled]


def _solve(lam: Array, mult: Array, n: Array, ridge: Array) -> Array:
    """Roots kappa > 0 for vectors ``n`` and ``ridge``; ``lam`` positive, a root must exist."""
    if lam.size < LARGE:
        order = np.argsort(-lam)
        return _solve_sorted(lam[order], mult[order], n, ridge)
    # kappa grows with every eigenvalue, and by at most the factor by which all of them grow: eigenvalues that are off
    # by 1/64 at most give it to 1/64, and mostly to the square of that. Two passes over all of them then do.
    u = np.log(_solve_sorted(*_binned(lam, mult), n, ridge))
    return _newton(lam, mult, n, ridge, u, u - 1 / 32, u + 1 / 32)


def _solve_sorted(lam: Array, mult: Array, n: Array, ridge: Array) -> Array:
    low, high = _bracket(lam, mult, n, ridge)
    return _newton(lam, mult, n, ridge, np.where(ridge > 0, low, (low + high) / 2), low, high)


def solve_kappa(
    eigenvalues: ArrayLike, n: ArrayLike, ridge: ArrayLike = 0.0, multiplicity: ArrayLike | None = None
) -> Array:
    r"""Implicit regularisation :math:`\kappa\ge0`.

    The root of :math:`n=\sum_im_i\lambda_i/(\lambda_i+\kappa)+\delta/\kappa=F(\kappa)`. It is unique, because
    :math:`F` falls from infinity (or from the number of modes) to zero. Newton steps in
    :math:`(\log\kappa,\log F)`, kept inside a bracket that is always valid:
    :math:`\max(\delta/n,\max_j\lambda_j(N_j-n)/n)\le\kappa\le(\delta+\sum_im_i\lambda_i)/n`, :math:`N_j` the number of
    modes with eigenvalue at least :math:`\lambda_j`. Very many eigenvalues are binned first, for a good guess: a
    million take two passes over them.

    Parameters
    ----------
    eigenvalues : array, shape (L,)
        :math:`\lambda_i\ge0`, any order.
    n : array
        Number of samples, > 0 and not necessarily whole; broadcasts with ``ridge``.
    ridge : array
        :math:`\delta\ge0`, added to the Gram matrix as it is.
    multiplicity : array, shape (L,), optional
        :math:`m_i`, ones by default.

    Returns
    -------
    array of the broadcast shape of ``n`` and ``ridge``
        Relative accuracy about 1e-12. Exactly 0 where there is no positive root: at zero ridge, when ``n`` is at
        least the number of modes with positive eigenvalue (all of them are then learned).

    Raises
    ------
    ValueError
        For NaN, negative eigenvalues beyond round-off, ``n <= 0`` or a negative ridge.

    References
    ----------
    Simon et al., arXiv 2110.03922, Section 4 (eigenlearning equations).
    """
    lam, mult = as_eigenvalues(eigenvalues, multiplicity)
    n, ridge = _check_samples(n, ridge)
    if not lam.all():
        lam, mult = lam[lam > 0], mult[lam > 0]
    flat_n, flat_ridge = n.ravel(), ridge.ravel()
    kappa = np.zeros(flat_n.size)
    pending = np.flatnonzero((flat_ridge > 0) | (flat_n < mult.sum()))
    chunk = max(1, CHUNK // lam.size)
    for start in range(0, pending.size, chunk):
        part = pending[start : start + chunk]
        kappa[part] = _solve(lam, mult, flat_n[part], flat_ridge[part])
    return kappa.reshape(n.shape)


@dataclass(frozen=True)
class KRRPrediction:
    r"""What the theory says about kernel ridge regression; ``S`` is the broadcast shape of ``n`` and ``ridge``.

    Risks carry the shape ``(*S, *T)``, where ``T`` is the shape of the targets (empty for one target).
    """

    eigenvalues: Array
    """Shape (L,)."""
    multiplicity: Array
    """Shape (L,)."""
    target_power: Array
    """Power of the targets in each level, shape (*T, L)."""
    noise_var: float
    r""":math:`\epsilon^2`."""
    n: Array
    ridge: Array
    kappa: Array
    """Implicit regularisation, shape S."""
    mode_sum_squares: Array
    r""":math:`\sum_im_i\mathcal L_i^2`, shape S."""
    overfitting_coefficient: Array
    r""":math:`\mathcal E_0=n/(n-\sum_im_i\mathcal L_i^2)`, shape S. Ratio of the risk on pure noise to its variance."""
    bias: Array
    r""":math:`\mathcal B=\sum_i(1-\mathcal L_i)^2v_i^2+\epsilon^2` (the noise is in it)."""
    variance: Array
    r""":math:`\mathcal V=(\mathcal E_0-1)\mathcal B`."""
    test_risk: Array
    r""":math:`\mathcal E=\mathcal E_0\mathcal B`, against noisy labels."""
    train_risk: Array
    r""":math:`\mathcal E_{tr}=(\delta/n\kappa)^2\mathcal E`."""

    @property
    def learnability(self) -> Array:
        r""":math:`\mathcal L_i=\lambda_i/(\lambda_i+\kappa)`, shape (*S, L); 0 for a mode of eigenvalue 0."""
        return learnability(self.eigenvalues, self.kappa)

    @property
    def mode_errors(self) -> Array:
        r"""Squared error of the learned coefficients, summed over each level, shape (*S, *T, L).

        :math:`E_D[\sum_{i\in\text{level}}(\hat v_i-v_i)^2]=(1-\mathcal L_i)^2v_i^2+m_i\mathcal L_i^2\mathcal E/n`,
        from :math:`\mathrm{Cov}[\hat v_i,\hat v_j]=\delta_{ij}\mathcal L_i^2\mathcal E/n`. The levels add
        up to :math:`\mathcal E-\epsilon^2`. The :math:`E_\rho` of Bordelon, Canatar and Pehlevan, in
        :mod:`replica.kernels.notation`, is another split of the same sum.
        """
        occupation = self._for_targets(self.learnability, self.learnability.shape[-1:])
        variance = self.multiplicity * occupation**2 / self._for_targets(self.n)[..., None]
        return (1 - occupation) ** 2 * self.target_power + variance * self.test_risk[..., None]

    def _for_targets(self, values: Array, last: tuple[int, ...] = ()) -> Array:
        """``values`` of shape (*S, *last) with axes of length one inserted for the targets."""
        return values.reshape(self.n.shape + (1,) * (self.target_power.ndim - 1) + last)

    def finite_population_test_risk(self, population: int) -> Array:
        r"""Test risk on the points left over when training points are drawn from a population of ``M`` of them.

        :math:`\mathcal E_{te}=(M\mathcal E-n\mathcal E_{tr})/(M-n)`: the whole population's risk is the average over
        the ``n`` points trained on and the ``M - n`` others.

        Raises
        ------
        ValueError
            If ``population`` is not larger than every ``n``.
        """
        if not population > self.n.max():
            raise ValueError(f"population must exceed the number of samples {self.n.max():g}; got {population}")
        n = self._for_targets(self.n)
        return (population * self.test_risk - n * self.train_risk) / (population - n)


def learnability(eigenvalues: ArrayLike, kappa: ArrayLike) -> Array:
    r""":math:`\mathcal L_i=\lambda_i/(\lambda_i+\kappa)`, shape (*kappa.shape, L); 1 for :math:`\kappa=0<\lambda_i`."""
    lam = np.asarray(eigenvalues, dtype=np.float64)
    kappa = np.asarray(kappa, dtype=np.float64)[..., None]
    total = lam + kappa
    return np.divide(lam, total, out=np.zeros(total.shape), where=total > 0)


def krr_risk(
    eigenvalues: ArrayLike,
    target_power: ArrayLike,
    n: ArrayLike,
    ridge: ArrayLike = 0.0,
    noise_var: float = 0.0,
    multiplicity: ArrayLike | None = None,
) -> KRRPrediction:
    r"""Average train and test risk of kernel ridge regression on :math:`f=\sum_iv_i\phi_i`, labels with noise.

    Parameters
    ----------
    eigenvalues : array, shape (L,)
    target_power : array, shape (L,) or (..., L)
        :math:`\sum_{i\in\text{level}}v_i^2`, the TOTAL power in each level; leading axes are several targets.
        Power on modes of zero eigenvalue is never learned and acts as noise.
    n, ridge : array
        As in :func:`solve_kappa`.
    noise_var : float
        :math:`\epsilon^2\ge0`, included in bias, test and train risk.
    multiplicity : array, shape (L,), optional

    Returns
    -------
    KRRPrediction
        At zero ridge with at least as many samples as modes (:math:`\kappa=0`): learnabilities 1, train risk
        :math:`(1-N/n)^2\mathcal E` (the limit of the formula), and at ``n`` equal to the number of modes an infinite
        overfitting coefficient, with risk 0 where the bias is 0.

    Raises
    ------
    ValueError
        As :func:`solve_kappa`, or if powers or noise are negative, not finite or of the wrong shape.

    References
    ----------
    Simon et al., arXiv 2110.03922, Section 4; the same as Bordelon, Canatar and Pehlevan, arXiv 2002.02561.
    """
    lam, mult = as_eigenvalues(eigenvalues, multiplicity)
    power = np.asarray(target_power, dtype=np.float64)
    if power.shape[-1:] != lam.shape or not np.isfinite(power).all() or (power < 0).any():
        raise ValueError(
            f"target_power must be finite and >= 0 with last axis {lam.size}, the number of levels; "
            f"got shape {power.shape}"
        )
    if not (np.isfinite(noise_var) and noise_var >= 0):
        raise ValueError(f"noise_var must be finite and >= 0; got {noise_var}")
    n, ridge = _check_samples(n, ridge)
    kappa = solve_kappa(lam, n, ridge, mult)
    targets = power.reshape(-1, lam.size)
    flat = kappa.ravel()
    squares, bias = np.empty(flat.size), np.empty((flat.size, len(targets)))
    chunk = max(1, CHUNK // lam.size)
    for start in range(0, flat.size, chunk):
        part = slice(start, start + chunk)
        occupation = learnability(lam, flat[part])
        squares[part] = occupation**2 @ mult
        bias[part] = (1 - occupation) ** 2 @ targets.T + noise_var
    squares = squares.reshape(n.shape)
    bias = bias.reshape(n.shape + power.shape[:-1])
    extend = n.shape + (1,) * (power.ndim - 1)
    with np.errstate(divide="ignore"):
        overfit = n / np.where(kappa > 0, n - squares, np.maximum(n - mult[lam > 0].sum(), 0.0))
        unexplained = np.where(kappa > 0, ridge / (n * np.where(kappa > 0, kappa, 1.0)), 1 / overfit)
    test = np.multiply(overfit.reshape(extend), bias, out=np.zeros_like(bias), where=bias > 0)
    variance = np.multiply(overfit.reshape(extend) - 1, bias, out=np.zeros_like(bias), where=bias > 0)
    with np.errstate(invalid="ignore"):
        train = np.nan_to_num(unexplained.reshape(extend) ** 2 * test, nan=0.0)
    return KRRPrediction(lam, mult, power, noise_var, n, ridge, kappa, squares, overfit, bias, variance, test, train)


def mean_squared_gradient(prediction: KRRPrediction, gradient_norms: ArrayLike) -> Array:
    r"""Mean squared gradient :math:`E\|\nabla\hat f\|^2` of the learned function over inputs and data sets.

    :math:`\sum_ig_i\left(\mathcal L_i^2v_i^2+\mathcal E\,m_i\mathcal L_i^2/n\right)`, for domains on which the
    eigenfunctions' gradients are orthogonal, :math:`E_x[\nabla\phi_i\cdot\nabla\phi_j]=g_i\delta_{ij}`: on the unit
    sphere :math:`S^{d-1}` with its tangential gradient :math:`g_k=k(k+d-2)`, on the unit circle :math:`g_k=k^2`.

    Parameters
    ----------
    prediction : KRRPrediction
        From :func:`krr_risk`.
    gradient_norms : array, shape (L,)
        :math:`g_i\ge0`.

    Returns
    -------
    array of the shape of ``prediction.test_risk``, in units of the target squared over length squared

    Raises
    ------
    ValueError
        If there is not one gradient norm >= 0 for each level.

    References
    ----------
    Simon et al., arXiv 2110.03922, Section 6 (mean squared gradient).
    """
    g = np.asarray(gradient_norms, dtype=np.float64)
    levels = prediction.eigenvalues.size
    if g.shape != (levels,) or not np.isfinite(g).all() or (g < 0).any():
        raise ValueError(f"gradient_norms must hold a number >= 0 for each of the {levels} levels; got shape {g.shape}")
    squared = prediction.learnability**2 * g
    signal = np.tensordot(squared, prediction.target_power, axes=(-1, -1))
    noise = prediction._for_targets(squared @ prediction.multiplicity / prediction.n)
    return signal + noise * prediction.test_risk
