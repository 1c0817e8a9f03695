r"""In which mode does an error appear, and which mode of the target causes it?

Kernel regression is linear in the labels, so the error is a sum over the levels :math:`k` of the target, each of which
leaves an error :math:`r^{(k)}=\hat f^{(k)}-f_k^*` that spreads over all levels :math:`j` of the kernel. The *transfer*

.. math:: T_{jk}=E_x\left[(\Pi_jr^{(k)})^2\right]

(:math:`\Pi_j` the projection on level :math:`j`) says how much. If the target's coefficients are uncorrelated, then on
average its row sums are the squared errors of the learned coefficients,
:attr:`~replica.kernels.learning_curves.KRRPrediction.mode_errors`, and its column sums are the mode errors
:math:`E_\rho` of Bordelon, Canatar and Pehlevan, :func:`~replica.kernels.notation.to_bordelon_canatar_pehlevan`. The
errors of a regression run are exact: on the sphere by the addition theorem, on finite domains by summing over all
points.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.kernels.domains import sample_sphere, sphere_degeneracy, zonal_series
from replica.kernels.learning_curves import KRRPrediction
from replica.kernels.regression import as_gram, kernel_ridge_coefficients
from replica.kernels.spectra import Eigensystem, Spectrum

Array = NDArray[np.float64]


def error_transfer(prediction: KRRPrediction) -> Array:
    r"""Mean-field theory of the transfer without label noise,

    .. math:: T_{jk}=(1-\mathcal L_k)^2a_k^2\left[\delta_{jk}+\frac{m_j\mathcal L_j^2}{n}\,\mathcal E_0\right].

    What is not learned of level :math:`k` stays in level :math:`k`; the samples take it for noise, of which each mode
    fits a share :math:`\mathcal L_j^2\mathcal E_0/n`. Label noise would add its own
    :math:`\sigma^2\mathcal E_0m_j\mathcal L_j^2/n` to level :math:`j`.

    Parameters
    ----------
    prediction : KRRPrediction
        From :func:`~replica.kernels.learning_curves.krr_risk`, for one target and zero ``noise_var``.

    Returns
    -------
    array, shape (*S, L, L)
        Level in which the error appears, level that causes it.

    Raises
    ------
    ValueError
        For several targets or label noise.
    """
    if prediction.target_power.ndim != 1 or prediction.noise_var != 0:
        raise ValueError("error_transfer is for one target (target_power a vector) without label noise")
    occupation, inflation = prediction.learnability, prediction.overfitting_coefficient[..., None]
    unlearned = (1 - occupation) ** 2 * prediction.target_power
    share = prediction.multiplicity * occupation**2 * inflation / prediction.n[..., None]
    return (np.eye(occupation.shape[-1]) + share[..., :, None]) * unlearned[..., None, :]


class ModeErrors(NamedTuple):
    """Errors of kernel regression by level, one row for each trial."""

    projected: Array
    r"""Squared error in each level :math:`j`, :math:`E_x[(\Pi_j(\hat f-f^*))^2]`, shape (T, L)."""
    transfer: Array
    r""":math:`T_{jk}`, shape (T, L, L): in level :math:`j`, caused by level :math:`k`."""
    target_power: Array
    """Power of the target in each level, shape (T, L)."""
    test_error: Array
    """Mean squared error on test points, shape (T,); NaN without."""

    @property
    def caused(self) -> Array:
        r"""Squared error that each (followed) level :math:`k` of the target causes, in all levels, shape (T, L)."""
        return self.transfer.sum(axis=1)


def teacher_student_trials(
    spectrum: Spectrum,
    dimension: int,
    n: int,
    trials: int,
    rng: np.random.Generator,
    *,
    teachers: int = 300,
    causes: ArrayLike | None = None,
    ridge: float = 0.0,
    test_points: int = 0,
) -> ModeErrors:
    r"""A kernel student learns a kernel teacher on the sphere, all errors by degree.

    Teacher :math:`f^*=\sum_{i\le P'}\bar\alpha_iK(x,\bar x_i)`, :math:`\bar\alpha_i=\pm1/\sqrt{P'}`, of power
    :math:`\eta_k^2N(d,k)` on average in degree :math:`k`. With :math:`c=(\alpha,-\bar\alpha)` the dual coefficients of
    :math:`\hat f-f^*` at training and teacher points :math:`Z`,

    .. math:: E_x\left[(\Pi_k(\hat f-f^*))^2\right]=\eta_k^2N(d,k)\;c^\top\hat C_k(ZZ^\top)\,c .

    Parameters
    ----------
    spectrum : Spectrum
        Eigenvalues by degree from 0, from :func:`~replica.kernels.spectra.sphere_spectrum`; the kernel is cut off where
        they end.
    dimension, n, trials : int
    rng : numpy.random.Generator
        Draws new training points and a new teacher for each trial.
    teachers : int
        :math:`P'`.
    causes : int array, shape (C,), optional
        Degrees of the teacher whose part in the error is followed through the transfer, all by default.
    ridge : float
    test_points : int
        If > 0, the error is measured on that many new points as well.

    Returns
    -------
    ModeErrors
        For L degrees; the last axis of ``transfer`` has the C degrees of ``causes``.

    Raises
    ------
    ValueError
        As :func:`~replica.kernels.regression.kernel_ridge_coefficients`, or if a number is not positive.

    References
    ----------
    Bordelon, Canatar and Pehlevan, arXiv 2002.02561, section on kernel regression experiments.
    """
    if min(n, trials, teachers) < 1 or test_points < 0:
        raise ValueError(
            f"need n, trials, teachers >= 1 and test_points >= 0; got {n}, {trials}, {teachers}, {test_points}"
        )
    eta = np.asarray(spectrum.eigenvalues, dtype=np.float64)
    degrees = np.arange(eta.size)
    causes = degrees if causes is None else np.asarray(causes, dtype=np.int64)
    if causes.ndim != 1 or not np.isin(causes, degrees).all():
        raise ValueError(f"causes must hold degrees between 0 and {eta.size - 1}; got {causes}")
    weight = eta * sphere_degeneracy(dimension, degrees)
    strength = eta * weight
    projected, power = np.empty((trials, eta.size)), np.empty((trials, eta.size))
    transfer, test_error = np.empty((trials, eta.size, causes.size)), np.full(trials, np.nan)
    for t in range(trials):
        x, centres = (sample_sphere(m, dimension, rng) / np.sqrt(dimension) for m in (n, teachers))
        bar = rng.choice([-1.0, 1.0], teachers) / np.sqrt(teachers)
        taught = _by_degree(x, centres, bar[:, None], eta.size)[:, :, 0]
        power[t] = strength * np.maximum(_by_degree(centres, centres, bar[:, None], eta.size)[:, :, 0] @ bar, 0.0)
        labels = np.column_stack([weight @ taught, (weight[:, None] * taught)[causes].T])
        a = kernel_ridge_coefficients(_gram(x, eta), labels, ridge)
        fitted = _by_degree(x, x, a, eta.size)
        norms = strength[:, None] * np.einsum("jnc,nc->jc", fitted, a)
        overlaps = strength[:, None] * (taught @ a)  # of what is learned in degree j with the teacher's degree j
        projected[t] = norms[:, 0] - 2 * overlaps[:, 0] + power[t]
        transfer[t] = norms[:, 1:]
        transfer[t, causes, np.arange(causes.size)] += (
            power[t, causes] - 2 * overlaps[causes, np.arange(causes.size) + 1]
        )
        if test_points:
            z = sample_sphere(test_points, dimension, rng) / np.sqrt(dimension)
            error = _by_degree(z, np.concatenate([x, centres]), np.append(a[:, 0], -bar)[:, None], eta.size)[:, :, 0]
            test_error[t] = ((weight @ error) ** 2).mean()
    return ModeErrors(projected, transfer, power, test_error)


def _blocks(rows: int, columns: int) -> list[slice]:
    step = max(1, 30_000 // columns)
    return [slice(start, start + step) for start in range(0, rows, step)]


def _gram(points: Array, eta: Array) -> Array:
    gram = np.empty((len(points), len(points)))
    for part in _blocks(*gram.shape):
        gram[part] = zonal_series(np.clip(points[part] @ points.T, -1, 1), eta, points.shape[1])
    return gram


def _by_degree(rows: Array, columns: Array, vectors: Array, levels: int) -> Array:
    """Products of the matrices of normalised Gegenbauer polynomials with ``vectors``, shape (levels, rows, vectors).

    In blocks of rows that fit into the processor's cache, where the recursion is several times faster.
    """
    d = rows.shape[1]
    out = np.empty((levels, len(rows), vectors.shape[1]))
    for part in _blocks(len(rows), len(columns)):
        cosine = np.clip(rows[part] @ columns.T, -1, 1)
        previous, current, scratch = np.ones_like(cosine), cosine.copy(), np.empty_like(cosine)
        out[0, part] = vectors.sum(axis=0)
        for k in range(1, levels):
            np.matmul(current, vectors, out=out[k, part])
            np.multiply(cosine, current, out=scratch)
            scratch *= (2 * k + d - 2) / (k + d - 2)
            previous *= k / (k + d - 2)
            np.subtract(scratch, previous, out=previous)
            previous, current = current, previous
    return out


def finite_domain_mode_errors(
    gram: ArrayLike, system: Eigensystem, edges: ArrayLike, samples: ArrayLike, ridge: float
) -> ModeErrors:
    r"""Kernel regression on a finite domain, all errors by groups of neighbouring modes.

    Parameters
    ----------
    gram : array, shape (M, M)
    system : Eigensystem
        Of the same Gram matrix with its targets, from :func:`~replica.kernels.spectra.empirical_eigensystem` with equal
        masses. The errors of several targets are summed.
    edges : int array, shape (G + 1,)
        Group :math:`g` holds the modes ``edges[g]`` to ``edges[g + 1] - 1``, the largest eigenvalue being mode 0; they
        must run from 0 to M.
    samples : int array, shape (T, n)
        Training points of each trial, repetitions allowed, from :func:`replica.kernels.trials.draw_samples`.
    ridge : float
        > 0 where points may repeat.

    Returns
    -------
    ModeErrors
        G groups for levels; ``test_error`` is the error over the whole domain.

    Raises
    ------
    ValueError
        If shapes or edges do not fit, or as :func:`~replica.kernels.regression.kernel_ridge_coefficients`.
    """
    k, edges, samples = as_gram(gram, "gram"), np.asarray(edges), np.asarray(samples)
    m = len(k)
    if system.coefficients is None or system.features.shape != k.shape or samples.ndim != 2:
        raise ValueError("need the eigensystem of gram, with targets, and samples of shape (T, n)")
    if edges.ndim != 1 or edges[0] != 0 or edges[-1] != m or not (np.diff(edges) > 0).all():
        raise ValueError(f"edges must increase from 0 to {m}; got {edges}")
    v = system.coefficients.reshape(m, -1)
    groups, count = edges.size - 1, v.shape[1]
    by_group = np.zeros((m, groups, count))  # coefficients of each group's part of each target
    for g in range(groups):
        by_group[edges[g] : edges[g + 1], g] = v[edges[g] : edges[g + 1]]
    parts = (system.features @ by_group.reshape(m, -1)).reshape(m, groups, count)
    projected, transfer = np.empty((len(samples), groups)), np.empty((len(samples), groups, groups))
    for t, chosen in enumerate(samples):
        a = kernel_ridge_coefficients(k[np.ix_(chosen, chosen)], parts[chosen].reshape(len(chosen), -1), ridge)
        learned = system.eigenvalues[:, None] * (system.features[chosen].T @ a)  # K = features eigenvalues features^T
        error = learned.reshape(m, groups, count) - by_group
        projected[t] = np.add.reduceat((error.sum(axis=1) ** 2).sum(axis=1), edges[:-1])
        transfer[t] = np.add.reduceat((error**2).sum(axis=2), edges[:-1], axis=0)
    power = np.add.reduceat((v**2).sum(axis=1), edges[:-1])
    return ModeErrors(projected, transfer, np.tile(power, (len(samples), 1)), projected.sum(axis=1))


def isotropic_trials(
    modes: int, n: int, ridges: ArrayLike, trials: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    r"""Ridge regression on isotropic Gaussian inputs, averaged exactly over targets and noise for each draw of inputs.

    With kernel :math:`x\cdot x'/N` and :math:`s_i` the eigenvalues of the Gram matrix, a random target of unit power
    and label noise :math:`\sigma^2` have the error :math:`B+\sigma^2V`,

    .. math:: B=\frac1N\Big[N-\min(n,N)+\sum_i\Big(\frac{\lambda}{s_i+\lambda}\Big)^2\Big],\qquad
              V=\frac1N\sum_i\frac{s_i}{(s_i+\lambda)^2},

    sums over the :math:`\min(n,N)` largest. For :math:`N\to\infty` their averages tend to
    :func:`~replica.kernels.closed_forms.white_spectrum_error`.

    Parameters
    ----------
    modes, n, trials : int
        :math:`N`, training samples, draws of inputs.
    ridges : array, shape (R,), entries > 0
    rng : numpy.random.Generator

    Returns
    -------
    bias, variance : arrays, shape (trials, R)

    Raises
    ------
    ValueError
        If a number is below 1 or a ridge is not positive.
    """
    ridges = np.atleast_1d(np.asarray(ridges, dtype=np.float64))
    if min(modes, n, trials) < 1 or ridges.ndim != 1 or not (np.isfinite(ridges) & (ridges > 0)).all():
        raise ValueError(f"need modes, n, trials >= 1 and ridges > 0; got {modes}, {n}, {trials} and {ridges}")
    short, long = sorted((modes, n))
    x = rng.standard_normal((trials, short, long))
    s = np.maximum(np.linalg.eigvalsh(x @ np.swapaxes(x, 1, 2) / modes), 0.0)[:, :, None]
    bias = 1 - short / modes + ((ridges / (s + ridges)) ** 2).sum(axis=1) / modes
    return bias, (s / (s + ridges) ** 2).sum(axis=1) / modes
