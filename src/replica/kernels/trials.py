r"""Kernel ridge regression on many random training sets, to be laid beside the theory's curves.

Data sets are stacked, so that one batched solve handles all trials. Every score is exact for its training set: on
finite domains by summing over all points, on the sphere by the kernel's harmonic expansion, with Gaussian features by
their second moment. The only noise left is that of the draw of training sets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import solve_triangular

from replica.kernels.domains import sample_sphere, zonal_harmonic, zonal_series
from replica.kernels.regression import (
    as_gram,
    as_ridge,
    kernel_ridge_coefficients,
    kernel_ridge_predict,
    not_positive_definite,
)
from replica.kernels.spectra import Spectrum, as_eigenvalues

Array = NDArray[np.float64]

#: Floats of a batch of Gram matrices between training and all points.
BATCH = 20_000_000


class Scores(NamedTuple):
    """Scores of learned functions, one row for each trial and one column for each target."""

    learnability: Array
    r""":math:`\mathcal L^{(D)}=\langle f,\hat f\rangle/\langle f,f\rangle`."""
    risk: Array
    """Mean squared error over the whole domain, training points included."""
    test_risk: Array
    """Mean squared error over the points not trained on (NaN when all were)."""
    train_risk: Array
    """Mean squared error on the training points."""


def mean_and_error(values: ArrayLike) -> tuple[Array, Array]:
    """Mean and standard error over trials, the first axis (two at least)."""
    values = np.asarray(values, dtype=np.float64)
    if len(values) < 2:
        raise ValueError(f"a standard error needs two trials or more; got {len(values)}")
    return values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))


def draw_subsets(population: int, n: int, trials: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw ``trials`` independent sets of ``n`` distinct points out of ``population``; shape (trials, n).

    Raises
    ------
    ValueError
        If ``n`` is not between 1 and ``population`` or there is no trial.
    """
    if not 1 <= n <= population or trials < 1:
        raise ValueError(f"need 1 <= n <= population and trials >= 1; got n={n}, population={population}, {trials=}")
    return np.argsort(rng.random((trials, population)), axis=1)[:, :n]


def draw_samples(mass: ArrayLike | int, n: int, trials: int, rng: np.random.Generator) -> NDArray[np.int64]:
    r"""Draw ``trials`` training sets of ``n`` points WITH replacement, as the theory assumes; shape (trials, n).

    Points may repeat, which makes the Gram matrix singular: regress with a ridge.

    Parameters
    ----------
    mass : array, shape (M,), or int
        Probabilities :math:`p_\mu\ge0` that sum to 1, or the number of equally likely points.
    n, trials : int
    rng : numpy.random.Generator

    Raises
    ------
    ValueError
        If the masses are no probabilities, or ``n`` or ``trials`` is below 1.
    """
    p = (
        np.full(int(mass), 1 / int(mass))
        if np.ndim(mass) == 0 and int(mass) > 0
        else np.asarray(mass, dtype=np.float64)
    )
    if p.ndim != 1 or not p.size or not (p >= 0).all() or not abs(p.sum() - 1) < 1e-9:
        raise ValueError("mass must hold probabilities >= 0 that sum to 1, or be the number of points")
    if n < 1 or trials < 1:
        raise ValueError(f"need n >= 1 and trials >= 1; got {n} and {trials}")
    return rng.choice(p.size, size=(trials, n), p=p / p.sum())


def score(predictions: ArrayLike, targets: ArrayLike, subsets: ArrayLike) -> Scores:
    """Score learned functions known on every point of a finite domain, wherever they come from.

    Parameters
    ----------
    predictions : array, shape (T, M, C)
        Learned functions, for T training sets and C targets.
    targets : array, shape (M, C)
        What they should be; no column may be zero.
    subsets : int array, shape (T, n)
        The training points of each trial.

    Raises
    ------
    ValueError
        If the shapes do not fit or a target is zero everywhere.
    """
    f_hat, f = np.asarray(predictions, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    subsets = np.asarray(subsets)
    if f_hat.ndim != 3 or f.shape != f_hat.shape[1:] or subsets.shape[:1] != f_hat.shape[:1] or subsets.ndim != 2:
        raise ValueError(
            "need predictions (T, M, C), targets (M, C) and subsets (T, n); "
            f"got {f_hat.shape}, {f.shape} and {subsets.shape}"
        )
    norm = (f**2).mean(axis=0)
    if not (norm > 0).all():
        raise ValueError("a target that is zero everywhere has no learnability")
    m, n = len(f), subsets.shape[1]
    error = (f_hat - f) ** 2
    total = error.sum(axis=1)
    on_train = np.take_along_axis(error, subsets[:, :, None], axis=1).sum(axis=1)
    rest = np.full_like(total, np.nan) if n == m else (total - on_train) / (m - n)
    return Scores((f_hat * f).mean(axis=1) / norm, total / m, rest, on_train / n)


def finite_domain_trials(gram: ArrayLike, targets: ArrayLike, subsets: ArrayLike, ridge: float = 0.0) -> Scores:
    r"""Kernel ridge regression of several targets from many training sets on a finite domain.

    Parameters
    ----------
    gram : array, shape (M, M)
        Kernel between all points of the domain, which carry equal probability.
    targets : array, shape (M, C)
        Functions to learn. With the columns of a complete orthogonal basis the learnabilities of a trial add up to
        :math:`\mathrm{Tr}[K_{DD}(K_{DD}+\delta I)^{-1}]`, the conservation law.
    subsets : int array, shape (T, n)
        Training points, from :func:`draw_subsets`.
    ridge : float

    Returns
    -------
    Scores
        Arrays of shape (T, C).

    References
    ----------
    Simon et al., arXiv 2110.03922, Section 3 (learnability and its conservation).
    """
    k, f, subsets = as_gram(gram, "gram"), np.asarray(targets, dtype=np.float64), np.asarray(subsets)
    if k.ndim != 2 or f.ndim != 2 or len(f) != len(k) or subsets.ndim != 2:
        raise ValueError(f"need gram (M, M), targets (M, C), subsets (T, n); got {k.shape}, {f.shape}, {subsets.shape}")
    k_train = k[subsets[:, :, None], subsets[:, None, :]]
    k_test = np.swapaxes(k[subsets], 1, 2)
    return score(kernel_ridge_predict(k_train, k_test, f[subsets], ridge), f, subsets)


def nested_trials(
    gram: ArrayLike, targets: ArrayLike, subsets: ArrayLike, sizes: ArrayLike, ridge: float = 0.0
) -> Scores:
    r"""Whole learning curves: the first ``n`` points of every training set, for each ``n`` in ``sizes``.

    With :math:`K_{DD}+\delta I=LL^\top` for the largest set, the leading blocks :math:`L_n` factor all smaller ones,
    and :math:`z=L^{-1}y` holds those of all of them: :math:`a_n=L_n^{-\top}z_{1..n}`. One factorisation a trial
    does for all sizes; points of one curve are therefore correlated, their means and standard errors are right.

    Parameters
    ----------
    gram : array, shape (M, M)
        Kernel between all points of the domain, which carry equal probability.
    targets : array, shape (M, C)
    subsets : int array, shape (T, n_max)
        Training points in the order in which they are added, from :func:`draw_subsets`.
    sizes : int array, shape (S,)
        Sample sizes between 1 and ``n_max``.
    ridge : float

    Returns
    -------
    Scores
        Arrays of shape (T, S, C).

    Raises
    ------
    ValueError
        If shapes do not fit, or the Gram matrix of a training set is not positive definite to working precision.
    """
    k, f, subsets = as_gram(gram, "gram"), np.asarray(targets, dtype=np.float64), np.asarray(subsets)
    sizes, ridge = np.asarray(sizes, dtype=np.int64), as_ridge(ridge)
    if k.ndim != 2 or f.ndim != 2 or len(f) != len(k) or subsets.ndim != 2:
        raise ValueError(f"need gram (M, M), targets (M, C), subsets (T, n); got {k.shape}, {f.shape}, {subsets.shape}")
    if sizes.ndim != 1 or not sizes.size or sizes.min() < 1 or sizes.max() > subsets.shape[1]:
        raise ValueError(f"sizes must lie between 1 and {subsets.shape[1]}, the points of a training set; got {sizes}")
    subsets = subsets[:, : sizes.max()]
    out = np.empty((4, len(subsets), sizes.size, f.shape[1]))
    batch = max(1, BATCH // (len(k) * subsets.shape[1]))
    for start in range(0, len(subsets), batch):
        chosen = subsets[start : start + batch]
        try:
            factor = np.linalg.cholesky(k[chosen[:, :, None], chosen[:, None]] + ridge * np.eye(chosen.shape[1]))
        except np.linalg.LinAlgError as error:
            raise ValueError(not_positive_definite(ridge)) from error
        z = solve_triangular(factor, f[chosen], lower=True, check_finite=False)
        rows = k[chosen]
        for j, n in enumerate(sizes):
            a = solve_triangular(factor[:, :n, :n], z[:, :n], lower=True, trans=1, check_finite=False)
            out[:, start : start + batch, j] = score(np.swapaxes(rows[:, :n], 1, 2) @ a, f, chosen[:, :n])
    return Scores(*out)


def ridge_path_trials(gram: ArrayLike, target: ArrayLike, subsets: ArrayLike, ridges: ArrayLike) -> tuple[Array, Array]:
    r"""Train and test risk along a path of ridges, by one eigendecomposition of :math:`K_{DD}` a trial.

    Parameters
    ----------
    gram : array, shape (M, M)
    target : array, shape (M,)
    subsets : int array, shape (T, n)
    ridges : array, shape (R,), entries > 0

    Returns
    -------
    test_risk, train_risk : arrays, shape (T, R)
        Mean squared error on the points not trained on, and on the training points.

    Raises
    ------
    ValueError
        If shapes do not fit, a ridge is not positive, or no point is left to test on.
    """
    k, f, subsets = as_gram(gram, "gram"), np.asarray(target, dtype=np.float64), np.asarray(subsets)
    ridges = np.asarray(ridges, dtype=np.float64)
    if k.ndim != 2 or f.shape != k.shape[:1] or subsets.ndim != 2 or subsets.shape[1] >= len(k):
        raise ValueError(
            f"need gram (M, M), target (M,), subsets (T, n < M); got {k.shape}, {f.shape}, {subsets.shape}"
        )
    if ridges.ndim != 1 or not (np.isfinite(ridges) & (ridges > 0)).all():
        raise ValueError("ridges must be a vector of positive numbers")
    test, train = np.empty((len(subsets), ridges.size)), np.empty((len(subsets), ridges.size))
    for t, chosen in enumerate(subsets):
        rest = np.setdiff1d(np.arange(len(k)), chosen)
        values, vectors = np.linalg.eigh(k[np.ix_(chosen, chosen)])
        y = vectors.T @ f[chosen]
        shrunk = y[:, None] / (values[:, None] + ridges)
        train[t] = (ridges**2 * shrunk**2).mean(axis=0)
        f_hat = k[np.ix_(rest, chosen)] @ (vectors @ shrunk)
        test[t] = ((f_hat - f[rest, None]) ** 2).mean(axis=0)
    return test, train


def gaussian_feature_trials(
    eigenvalues: ArrayLike,
    target_power: ArrayLike,
    n: int,
    ridges: ArrayLike,
    trials: int,
    rng: np.random.Generator,
    *,
    modes: int = 3000,
    noise_var: float = 0.0,
) -> tuple[Array, Array]:
    r"""Ridge regression on independent Gaussian features, the model in which the theory is asymptotically exact.

    Features :math:`\phi_i\sim N(0,1)` are drawn for the first ``modes`` eigenvalues. All others enter by their
    averages, which for many small eigenvalues are sharp: :math:`\sum\lambda_i` on the Gram matrix's diagonal, their
    target power as label noise that is not learned, and :math:`\sum\lambda_i^2|a|^2` in the risk.

    Parameters
    ----------
    eigenvalues, target_power : array, shape (L,)
        Decreasing eigenvalues, and :math:`v_i^2`.
    n : int
        Training samples, fewer than ``modes`` by a good factor.
    ridges : array, shape (R,), entries >= 0
    trials : int
    rng : numpy.random.Generator
    modes : int
    noise_var : float
        :math:`\epsilon^2`, included in both risks.

    Returns
    -------
    test_risk, train_risk : arrays, shape (trials, R)
    """
    lam, _ = as_eigenvalues(eigenvalues)
    power = np.asarray(target_power, dtype=np.float64)
    ridges = np.atleast_1d(np.asarray(ridges, dtype=np.float64))
    if power.shape != lam.shape or not (power >= 0).all():
        raise ValueError(f"target_power must be >= 0, one for each of the {lam.size} eigenvalues; got {power.shape}")
    if not (np.isfinite(ridges) & (ridges >= 0)).all():
        raise ValueError("ridges must be finite and >= 0")
    tail, tail_power, tail_squares = lam[modes:].sum(), power[modes:].sum(), (lam[modes:] ** 2).sum()
    lam, v = lam[:modes], np.sqrt(power[:modes])
    test, train = np.empty((trials, ridges.size)), np.empty((trials, ridges.size))
    for t in range(trials):
        features = rng.standard_normal((n, lam.size))
        y = features @ v + np.sqrt(tail_power + noise_var) * rng.standard_normal(n)
        values, vectors = np.linalg.eigh((features * lam) @ features.T)
        shrunk = (vectors.T @ y)[:, None] / (values[:, None] + tail + ridges)
        a = vectors @ shrunk
        learned = lam[:, None] * (features.T @ a)
        test[t] = ((learned - v[:, None]) ** 2).sum(axis=0) + tail_squares * (a**2).sum(axis=0)
        train[t] = (ridges**2 * shrunk**2).mean(axis=0)
    return test + tail_power + noise_var, train


class SphereScores(NamedTuple):
    """Scores on the sphere, one row for each trial and one column for each target degree."""

    learnability: Array
    """From noise-free labels."""
    test_risk: Array
    """Over the whole sphere, noise included."""
    squared_gradient: Array
    """Mean squared tangential gradient of the learned function on the unit sphere."""


def sphere_trials(
    kernel_of_cosine: Callable[[Array], Array],
    spectrum: Spectrum,
    dimension: int,
    degrees: ArrayLike,
    n: int,
    trials: int,
    rng: np.random.Generator,
    *,
    ridge: float = 0.0,
    noise_var: float = 0.0,
) -> SphereScores:
    r"""Kernel ridge regression of zonal harmonics on the sphere, scored exactly.

    Targets :math:`f_k=\sqrt{N(d,k)}\hat C_k(\beta\cdot x)` of unit power. With dual coefficients :math:`a` the
    averages over the sphere are :math:`\langle f_k,\hat f\rangle=\lambda_kf_k(D)\cdot a`,
    :math:`\|\hat f\|^2=a^\top K^{(2)}a` and :math:`E\|\nabla\hat f\|^2=a^\top K^{(g)}a`, where :math:`K^{(2)}` and
    :math:`K^{(g)}` have eigenvalues :math:`\lambda_k^2` and :math:`\lambda_k^2\,k(k+d-2)`.

    Parameters
    ----------
    kernel_of_cosine : callable
        :math:`K(c)` on arrays.
    spectrum : Spectrum
        Its eigenvalues by degree, from :func:`~replica.kernels.spectra.sphere_spectrum`, to a degree beyond which
        :math:`\lambda_k^2N(d,k)` is negligible.
    dimension, n, trials : int
    degrees : int array, shape (C,)
    rng : numpy.random.Generator
    ridge, noise_var : float

    Raises
    ------
    ValueError
        If a degree is beyond the spectrum, or as :func:`~replica.kernels.regression.kernel_ridge_coefficients`.
    """
    lam = spectrum.eigenvalues
    degrees = np.asarray(degrees, dtype=np.int64)
    if degrees.ndim != 1 or degrees.min() < 0 or degrees.max() >= lam.size:
        raise ValueError(f"degrees must lie between 0 and {lam.size - 1}, those of the spectrum; got {degrees}")
    ridge = as_ridge(ridge)
    x = sample_sphere((trials, n), dimension, rng)
    cosine = np.clip(x @ np.swapaxes(x, 1, 2) / dimension, -1, 1)
    clean = np.stack([zonal_harmonic(x[..., 0] / np.sqrt(dimension), k, dimension) for k in degrees], axis=-1)
    noise = np.sqrt(noise_var) * rng.standard_normal(clean.shape)
    both = kernel_ridge_coefficients(kernel_of_cosine(cosine), np.concatenate([clean, clean + noise], -1), ridge)
    a_clean, a = both[..., : degrees.size], both[..., degrees.size :]
    all_degrees = np.arange(lam.size)
    squares = lam**2
    gradients = squares * all_degrees * (all_degrees + dimension - 2)
    k2, kg = zonal_series(cosine, np.stack([squares, gradients]), dimension)
    overlap = lam[degrees] * np.einsum("tnc,tnc->tc", clean, a)
    norm, gradient = (np.einsum("tnc,tnc->tc", a, matrix @ a) for matrix in (k2, kg))
    return SphereScores(
        lam[degrees] * np.einsum("tnc,tnc->tc", clean, a_clean), 1 - 2 * overlap + norm + noise_var, gradient
    )
