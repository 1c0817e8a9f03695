r"""Stochastic gradient descent itself, many runs side by side, to be laid beside the theory's curves.

Every function returns the weights at chosen steps, from which any loss follows exactly; the only noise left is that
of the draws. Runs are the first axis.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.kernels.sgd import as_learning_rate, as_noise
from replica.kernels.spectra import as_eigenvalues

Array = NDArray[np.float64]


def as_record(record: ArrayLike) -> NDArray[np.int64]:
    """Check the steps at which weights are kept: increasing whole numbers from 0."""
    steps = np.asarray(record)
    if steps.ndim != 1 or not steps.size or (steps != np.floor(steps)).any() or steps[0] < 0:
        raise ValueError(f"record must be a vector of whole numbers >= 0; got {record}")
    if (np.diff(steps) <= 0).any():
        raise ValueError("record must increase")
    return steps.astype(np.int64)


def log_steps(last: int, count: int) -> NDArray[np.int64]:
    """About ``count`` distinct steps, even in the logarithm, from 1 to ``last``."""
    if last < 1 or count < 1:
        raise ValueError(f"need last >= 1 and count >= 1; got {last} and {count}")
    return np.unique(np.round(np.geomspace(1, last, count)).astype(np.int64))


def sgd_on_gaussian_features(
    eigenvalues: ArrayLike,
    target_weights: ArrayLike,
    learning_rate: float,
    batch_size: int,
    record: ArrayLike,
    runs: int,
    rng: np.random.Generator,
    *,
    noise_var: float = 0.0,
) -> Array:
    r"""SGD on fresh samples of independent features :math:`\psi_k\sim N(0,\lambda_k)`, from :math:`w_0=0`.

    Parameters
    ----------
    eigenvalues, target_weights : array, shape (N,)
        :math:`\lambda_k`, and :math:`w^*` in the same basis.
    learning_rate, batch_size : float, int
    record : int array, shape (K,)
        Steps at which the weights are kept.
    runs : int
    rng : numpy.random.Generator
    noise_var : float
        :math:`\sigma^2` of the label noise.

    Returns
    -------
    array, shape (runs, K, N)
        :math:`w_t-w^*`.

    Raises
    ------
    ValueError
        If shapes do not fit or a value is out of its range.
    """
    lam, _ = as_eigenvalues(eigenvalues)
    target = np.asarray(target_weights, dtype=np.float64)
    if target.shape != lam.shape:
        raise ValueError(f"target_weights must have the eigenvalues' shape {lam.shape}; got {target.shape}")
    eta, noise, record = float(as_learning_rate(learning_rate)), as_noise(noise_var), as_record(record)
    _check_counts(batch_size, runs)
    delta = np.tile(-target, (runs, 1))
    kept = np.empty((runs, record.size, lam.size))
    root, place = np.sqrt(lam), {int(t): i for i, t in enumerate(record)}
    z = np.empty((runs, batch_size, lam.size))
    for t in range(int(record[-1]) + 1):
        if t in place:
            kept[:, place[t]] = delta
        if t == record[-1]:
            break
        rng.standard_normal(out=z)  # psi = root * z is not formed
        error = np.matmul(z, (root * delta)[:, :, None])[:, :, 0]
        if noise:
            error -= np.sqrt(noise) * rng.standard_normal(error.shape)
        delta -= eta / batch_size * root * np.matmul(error[:, None, :], z)[:, 0, :]
    return kept


def excess_loss(delta: ArrayLike, eigenvalues: ArrayLike) -> Array:
    r""":math:`\sum_k\lambda_k\Delta_k^2` of deviations in the eigenbasis; the last axis is summed."""
    return np.asarray(delta) ** 2 @ np.asarray(eigenvalues, dtype=np.float64)


def draw_batches(population: int, batch_size: int, steps: int, runs: int, rng: np.random.Generator) -> NDArray:
    """Batches of point numbers, drawn with replacement; shape (steps, runs, batch_size)."""
    _check_counts(batch_size, runs)
    if population < 1 or steps < 1:
        raise ValueError(f"need population >= 1 and steps >= 1; got {population} and {steps}")
    return rng.integers(population, size=(steps, runs, batch_size))


def shuffled_batches(population: int, batch_size: int, steps: int, runs: int, rng: np.random.Generator) -> NDArray:
    """Batches that pass through the points in a random order, shuffled anew before each pass, as in most training
    loops; shape (steps, runs, batch_size). Points that do not fill a batch are left out of the pass."""
    _check_counts(batch_size, runs)
    if population < batch_size or steps < 1:
        raise ValueError(f"need population >= batch_size and steps >= 1; got {population}, {batch_size}, {steps}")
    each = population // batch_size
    passes = -(-steps // each)
    order = np.argsort(rng.random((passes, runs, population)), axis=2)[:, :, : each * batch_size]
    order = order.reshape(passes, runs, each, batch_size).transpose(0, 2, 1, 3)
    return order.reshape(passes * each, runs, batch_size)[:steps]


def sgd_on_points(
    features: ArrayLike,
    labels: ArrayLike,
    batches: ArrayLike,
    learning_rate: float,
    record: ArrayLike,
    *,
    noise_var: float = 0.0,
    rng: np.random.Generator | None = None,
) -> Array:
    r"""SGD from :math:`w_0=0` on given batches of given points.

    Parameters
    ----------
    features : array, shape (P, N)
    labels : array, shape (P,) or (runs, P)
        One set of labels, or each run's own.
    batches : int array, shape (T, runs, m)
        Points used at each step, from :func:`draw_batches`.
    learning_rate : float
    record : int array, shape (K,), at most T
    noise_var : float
        Variance of noise added anew whenever a label is used; needs ``rng``.

    Returns
    -------
    array, shape (runs, K, N)
        Weights.

    Raises
    ------
    ValueError
        If shapes do not fit or a value is out of its range.
    """
    psi, y, batches = np.asarray(features, dtype=np.float64), np.asarray(labels, dtype=np.float64), np.asarray(batches)
    eta, noise, record = float(as_learning_rate(learning_rate)), as_noise(noise_var), as_record(record)
    if psi.ndim != 2 or y.shape[-1:] != psi.shape[:1] or batches.ndim != 3 or record[-1] > len(batches):
        raise ValueError(
            "need features (P, N), labels (P,) or (runs, P), batches (T, runs, m), record up to T; "
            f"got {psi.shape}, {y.shape}, {batches.shape}, {record[-1]}"
        )
    if noise and rng is None:
        raise ValueError("label noise needs rng, a numpy.random.Generator")
    runs, m = batches.shape[1:]
    y = np.broadcast_to(y, (runs, len(psi)))
    rows = np.arange(runs)[:, None]
    w = np.zeros((runs, psi.shape[1]))
    kept = np.empty((runs, record.size, psi.shape[1]))
    place = {int(t): i for i, t in enumerate(record)}
    for t in range(int(record[-1]) + 1):
        if t in place:
            kept[:, place[t]] = w
        if t == record[-1]:
            break
        batch = psi[batches[t]]
        error = np.matmul(batch, w[:, :, None])[:, :, 0] - y[rows, batches[t]]
        if noise:
            error -= np.sqrt(noise) * rng.standard_normal(error.shape)
        w -= eta / m * np.matmul(error[:, None, :], batch)[:, 0, :]
    return kept


def squared_error(weights: ArrayLike, features: ArrayLike, labels: ArrayLike) -> Array:
    r""":math:`\frac1P\sum_\mu(w\cdot\psi_\mu-y_\mu)^2` for weights of shape (..., N); the last axis is summed.

    With more points than features the points are first rotated into N + 1 of them, :math:`(\Psi,y)=QR`, which leaves
    every sum of squares as it is.

    Raises
    ------
    ValueError
        If shapes do not fit.
    """
    w, psi, y = (np.asarray(a, dtype=np.float64) for a in (weights, features, labels))
    if psi.ndim != 2 or y.shape != psi.shape[:1] or w.shape[-1:] != psi.shape[1:]:
        raise ValueError(
            f"need weights (..., N), features (P, N), labels (P,); got {w.shape}, {psi.shape} and {y.shape}"
        )
    size = len(psi)
    if size > psi.shape[1] + 1:
        rotated = np.linalg.qr(np.column_stack([psi, y]), mode="r")
        psi, y = rotated[:, :-1], rotated[:, -1]
    return ((w @ psi.T - y) ** 2).sum(axis=-1) / size


def _check_counts(batch_size: int, runs: int) -> None:
    if int(batch_size) != batch_size or batch_size < 1 or int(runs) != runs or runs < 1:
        raise ValueError(f"batch_size and runs must be whole numbers >= 1; got {batch_size} and {runs}")
