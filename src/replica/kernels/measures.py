r"""Training and test measures that help or hurt kernel regression, found by gradient descent on the theory.

A measure on :math:`M` points is written as a softmax, :math:`p_\mu=e^{z_\mu}/\sum_\nu e^{z_\nu}`, and :math:`z` follows
the gradient of the average error of :mod:`replica.kernels.out_of_distribution`. In the test measure that error is
linear. In the training measure it is not, and its gradient is taken here through the resolvent
:math:`A=(KP+\kappa)^{-1}K`, :math:`P=\mathrm{diag}(p)`, which stays smooth where eigenvalues meet and where masses
vanish; the eigenvectors, and :math:`1/\sqrt p`, never appear.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.dynamics.adam import adam_step
from replica.kernels.learning_curves import solve_kappa
from replica.kernels.out_of_distribution import as_mass
from replica.kernels.regression import as_gram, as_ridge
from replica.kernels.spectra import as_eigenvalues

Array = NDArray[np.float64]
Objective = Callable[[Array], tuple[float, Array]]
"""Maps masses of shape (M,) to a value and its gradient with respect to the masses."""


class OptimisedMeasure(NamedTuple):
    """A measure after gradient descent, and the way there."""

    mass: Array
    """Shape (M,)."""
    values: Array
    """The objective before every step and after the last, shape (steps + 1,)."""
    participation: Array
    r"""Participation ratio :math:`1/\sum_\mu p_\mu^2` at the same times, shape (steps + 1,)."""


def softmax(z: ArrayLike) -> Array:
    r"""Probabilities :math:`e^{z_\mu}/\sum_\nu e^{z_\nu}` along the last axis, without overflow."""
    z = np.asarray(z, dtype=np.float64)
    weight = np.exp(z - z.max(axis=-1, keepdims=True))
    return weight / weight.sum(axis=-1, keepdims=True)


def participation_ratio(mass: ArrayLike) -> float:
    r"""Number of points that share a measure, :math:`1/\sum_\mu p_\mu^2`; between 1 and M."""
    p = np.asarray(mass, dtype=np.float64)
    return float(1 / (as_mass(p, p.size) ** 2).sum())


def optimise_measure(
    objective: Objective,
    size: int,
    *,
    steps: int,
    learning_rate: float,
    sign: int = 1,
    epsilon: float = 1e-8,
) -> OptimisedMeasure:
    r"""Change a measure by Adam steps on its logarithms, from the uniform one.

    The gradient with respect to :math:`z` is :math:`p_\mu(g_\mu-\sum_\nu p_\nu g_\nu)`, :math:`g` that with respect to
    the masses.

    Parameters
    ----------
    objective : callable
        Maps masses to (value, gradient with respect to the masses).
    size : int
        Number of points M.
    steps : int
    learning_rate : float
        The authors' 0.05 for test and 0.15 for training measures.
    sign : {1, -1}
        1 lowers the objective, -1 raises it.
    epsilon : float
        Adam's. Gradients far below it are not followed: with masses of order 1/M and errors of order 1 they are of
        order 1/M, but where the error itself is tiny they are not.

    Returns
    -------
    OptimisedMeasure

    Raises
    ------
    ValueError
        If ``sign`` is not 1 or -1, or numbers are out of range.

    References
    ----------
    Canatar, Bordelon and Pehlevan, arXiv 2106.02261, section on optimised measures; Kingma and Ba, arXiv 1412.6980.
    """
    if sign not in (1, -1):
        raise ValueError(f"sign must be 1 (lower the objective) or -1 (raise it); got {sign}")
    if size < 1 or steps < 0 or not learning_rate > 0 or not epsilon > 0:
        raise ValueError(f"need size >= 1, steps >= 0, rates > 0; got {size}, {steps}, {learning_rate}, {epsilon}")
    z, moments = np.zeros(size), (np.zeros(size), np.zeros(size))
    values, participation = np.empty(steps + 1), np.empty(steps + 1)
    for step in range(steps + 1):
        p = softmax(z)
        values[step], gradient = objective(p)
        participation[step] = participation_ratio(p)
        if step == steps:
            break
        slope = sign * p * (gradient - p @ gradient)
        z = adam_step(z, slope, moments, step + 1, learning_rate, epsilon)
    return OptimisedMeasure(p, values, participation)


def test_measure_objective(point_errors: ArrayLike) -> Objective:
    r"""Error as a function of the test measure, :math:`\sum_\mu\tilde p_\mu r_\mu`.

    Parameters
    ----------
    point_errors : array, shape (M,)
        :math:`r_\mu` of :func:`~replica.kernels.out_of_distribution.pointwise_error`.
    """
    r = np.asarray(point_errors, dtype=np.float64)
    if r.ndim != 1 or not np.isfinite(r).all():
        raise ValueError(f"point_errors must be a finite vector; got shape {r.shape}")
    return lambda mass: (float(mass @ r), r)


test_measure_objective.__test__ = False  # type: ignore[attr-defined]  # a name for physicists, not for pytest


def training_measure_objective(
    gram: ArrayLike,
    target: ArrayLike,
    n: float,
    ridge: float = 0.0,
    noise_var: float = 0.0,
    test_mass: ArrayLike | None = None,
    *,
    kappa: float | None = None,
) -> Objective:
    r"""Average test error as a function of the training measure, with its exact gradient.

    With :math:`A=(KP+\kappa)^{-1}K`, :math:`Q=APA`, the average residual :math:`g=f-APf` and
    :math:`\tilde T=\mathrm{Tr}\,\tilde PQ`, :math:`T=\mathrm{Tr}\,PQ=\sum_i\mathcal L_i^2`,

    .. math:: E=\sum_\mu\tilde p_\mu g_\mu^2+\frac{\tilde T}{n-T}\Big(\sum_\mu p_\mu g_\mu^2+\epsilon^2\Big),\qquad
              n=\mathrm{Tr}\,AP+\frac\delta\kappa .

    At fixed :math:`\kappa` the derivatives are :math:`dA=-A\,dP\,A`, :math:`dg=-A\,dP\,g`; the last equation gives that
    of :math:`\kappa`.

    Parameters
    ----------
    gram : array, shape (M, M)
    target : array, shape (M,)
        Noise-free labels :math:`f`.
    n : float
        Training samples, the budget.
    ridge : float
        :math:`\delta`; positive if ``n`` is not below the number of modes.
    noise_var : float
        :math:`\epsilon^2` of the training labels.
    test_mass : array, shape (M,), optional
        :math:`\tilde p`, uniform by default.
    kappa : float, optional
        A fixed value > 0 put in place of the solution for :math:`\kappa`, to see what an inexact one does.

    Returns
    -------
    callable
        Maps masses (M,) to (error, gradient). It costs one eigendecomposition and three matrix products; masses may
        be zero.

    Raises
    ------
    ValueError
        If shapes or masses do not fit, the kernel is not positive semi-definite, or, on the call, if everything is
        learned (zero ridge with at least as many samples as modes), where there is nothing to differentiate.

    References
    ----------
    Canatar, Bordelon and Pehlevan, arXiv 2106.02261 (the objective); the gradient is derived here and the tests hold
    it against finite differences and automatic differentiation through the eigensystem.
    """
    k, f = as_gram(gram, "gram"), np.asarray(target, dtype=np.float64)
    if k.ndim != 2 or f.shape != k.shape[:1] or not np.isfinite(f).all():
        raise ValueError(f"need gram (M, M) and a finite target (M,); got {k.shape} and {f.shape}")
    ridge = as_ridge(ridge)
    if kappa is not None and not (np.isfinite(kappa) and kappa > 0):
        raise ValueError(f"kappa, where it is given, must be finite and > 0; got {kappa}")
    values, vectors = np.linalg.eigh(k)
    values = as_eigenvalues(values).eigenvalues
    kept = values > 1e-15 * values[-1]
    factor = vectors[:, kept] * np.sqrt(values[kept])  # K = factor factor^T
    q = np.full(f.size, 1 / f.size) if test_mass is None else as_mass(test_mass, f.size, "test_mass")
    return lambda mass: _training_error(factor, f, as_mass(mass, f.size), q, float(n), ridge, noise_var, kappa)


def _training_error(
    factor: Array, f: Array, p: Array, q: Array, n: float, ridge: float, noise_var: float, fixed: float | None
) -> tuple[float, Array]:
    """Error and gradient at the training masses ``p``, test masses ``q``; see the function above for the letters."""
    lam, vectors = np.linalg.eigh(factor.T @ (p[:, None] * factor))
    lam = np.maximum(lam, 0.0)
    kappa = float(solve_kappa(lam, n, ridge)) if fixed is None else fixed
    if kappa == 0:
        raise ValueError(f"with n = {n:g} samples of {lam.size} modes and no ridge all is learned; use a ridge > 0")
    y = factor @ vectors  # A = y diag(d) y^T, y^T P y = diag(lam)
    d = 1 / (lam + kappa)
    squares = y**2
    a, a_minus_2q = (y * d) @ y.T, (y * (d * (kappa - lam) * d)) @ y.T
    q_diag, slope_diag = squares @ (lam * d**2), squares @ (lam * d**3)  # of Q and of (Q - APQ) / kappa
    g = f - a @ (p * f)
    # n - T without cancellation (the first holds at the solution for kappa only), and the error.
    free = kappa * (lam * d**2).sum() + ridge / kappa
    if fixed is not None:
        free = n - lam.size + kappa * ((2 * lam + kappa) * d**2).sum()
    shifted, power = q @ q_diag, p @ g**2 + noise_var
    value = q @ g**2 + shifted * power / free
    # At fixed kappa ...
    test_side, train_side = a @ (q * g), a @ (p * g)
    gradient = -2 * g * test_side + ((a * a_minus_2q) @ q) * power / free
    gradient += shifted / free * (g**2 - 2 * g * train_side + 2 * kappa * slope_diag * power / free)
    if fixed is not None:
        return float(value), gradient
    # ... and through kappa: dA/dkappa = -(A - Q)/kappa, dg/dkappa = A P g / kappa.
    by_kappa = 2 * (q * g) @ train_side / kappa - 2 * (q @ slope_diag) * power / free
    by_kappa += shifted / free * (2 * (p * g) @ train_side / kappa - 2 * (p @ slope_diag) * power / free)
    kappa_slope = squares @ (kappa * d**2) / ((lam * d**2).sum() + ridge / kappa**2)
    return float(value), gradient + by_kappa * kappa_slope
