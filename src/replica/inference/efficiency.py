r"""How accurate an estimator of Ising couplings is with many data, exactly, for small systems.

An estimate that minimises the mean of $k(x;\theta)$ over $N$ independent data is asymptotically normal with covariance

$$\frac1N\,H^{-1}VH^{-1}, \qquad H = \langle\nabla\nabla k\rangle, \quad V = \mathrm{cov}(\nabla k) ,$$

at the true parameters. For the likelihood $H = V$ is the Fisher information, and no consistent estimator does better.

Source: A. W. van der Vaart, Asymptotic Statistics (1998), chapter 5.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from replica.sampling.ising import binary_states, check_couplings, state_probabilities

Array = NDArray[np.float64]

#: Estimators that :func:`asymptotic_error` knows.
ESTIMATORS = ("flow", "pseudolikelihood", "likelihood")
#: Most units of :func:`asymptotic_error`, which lists all states.
MOST_UNITS = 12


def _state_gradients(estimator: str, couplings: Array, x: Array) -> Array:
    """Gradient of each state's term in the free entries of the couplings, ``(n, d (d + 1) / 2)``."""
    d = len(couplings)
    rows, columns = np.triu_indices(d)
    off = rows != columns
    s, bias = 2 * x - 1, np.diag(couplings)
    if estimator == "likelihood":
        return np.where(off, 2.0, 1.0) * x[:, rows] * x[:, columns]
    if estimator == "flow":
        k = np.exp(s * (x @ couplings) - 0.5 * bias)
        pull = k * s
        both = pull[:, rows] * x[:, columns] + pull[:, columns] * x[:, rows]
        return np.where(off, both, pull[:, rows] * x[:, rows] - 0.5 * k[:, rows])
    pull = expit(s * (2 * x @ couplings - 2 * x * bias + bias)) * s
    both = 2 * (pull[:, rows] * x[:, columns] + pull[:, columns] * x[:, rows])
    return np.where(off, both, pull[:, rows])


def _curvature(estimator: str, couplings: Array, x: Array, p: Array) -> Array:
    r"""Mean matrix of second derivatives of the states' terms in the free entries of the couplings.

    The term of unit $n$ is a function of one number that is linear in row $n$ of the couplings: $e^z$ with
    $z=s_n(\sum_{j\ne n}J_{nj}x_j+\frac12J_{nn})$ for the flow, since $s_nx_n-\frac12=\frac12s_n$, and
    $\log(1+e^{2z})$ for pseudolikelihood.
    """
    d = len(couplings)
    entry = np.empty((d, d), dtype=int)
    rows, columns = np.triu_indices(d)
    entry[rows, columns] = entry[columns, rows] = np.arange(rows.size)
    halves = couplings.copy()
    halves[np.diag_indices(d)] = 0.0
    z = (2 * x - 1) * (x @ halves + 0.5 * np.diag(couplings))
    second = np.exp(z) if estimator == "flow" else 4 * expit(2 * z) * expit(-2 * z)
    curvature = np.zeros((rows.size, rows.size))
    for n in range(d):
        slope = x.copy()
        slope[:, n] = 0.5
        curvature[np.ix_(entry[n], entry[n])] += (slope.T * (p * second[:, n])) @ slope
    return curvature


def asymptotic_error(estimator: str, couplings: ArrayLike) -> float:
    r"""$N\epsilon_J$ for many data: the mean over pairs of the variance of the estimated couplings, times $N$.

    Parameters
    ----------
    estimator : one of :data:`ESTIMATORS`.
    couplings : ``(d, d)``, the true couplings; d at most :data:`MOST_UNITS`, since all $2^d$ states are listed.

    Returns
    -------
    The limit of $N\epsilon_J$, with $\epsilon_J$ as in :func:`replica.inference.fitting.coupling_error`.

    Raises
    ------
    ValueError : an unknown estimator, couplings not symmetric, or too many units.
    """
    if estimator not in ESTIMATORS:
        raise ValueError(f"estimator: expected one of {', '.join(ESTIMATORS)}, got {estimator!r}")
    truth = check_couplings(couplings)
    d = len(truth)
    if not 2 <= d <= MOST_UNITS:
        raise ValueError(f"expected 2 to {MOST_UNITS} units, got {d}")
    x, p = binary_states(d), state_probabilities(truth)
    rows, columns = np.triu_indices(d)
    gradients = _state_gradients(estimator, truth, x)
    gradients = gradients - p @ gradients
    noise = (gradients.T * p) @ gradients
    curvature = noise if estimator == "likelihood" else _curvature(estimator, truth, x, p)
    covariance = np.linalg.solve(curvature, np.linalg.solve(curvature, noise).T)
    return float(np.diag(covariance)[rows != columns].mean())
