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


def asymptotic_error(estimator: str, couplings: ArrayLike) -> float:
    r"""$N\epsilon_J$ for many data: the mean over pairs of the variance of the estimated couplings, times $N$.

    Parameters
    ----------
    estimator : one of :data:`ESTIMATORS`.
    couplings : ``(d, d)``, the true couplings; d at most 12, since all $2^d$ states are listed.

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
    if not 2 <= d <= 12:
        raise ValueError(f"expected 2 to 12 units, got {d}")
    x, p = binary_states(d), state_probabilities(truth)
    rows, columns = np.triu_indices(d)
    gradients = _state_gradients(estimator, truth, x)
    gradients = gradients - p @ gradients
    noise = (gradients.T * p) @ gradients
    if estimator == "likelihood":
        curvature = noise
    else:
        curvature, step = np.empty_like(noise), 1e-5
        for index, (i, j) in enumerate(zip(rows, columns)):
            shifted = []
            for sign in (1, -1):
                moved = truth.copy()
                moved[i, j] += sign * step
                if i != j:
                    moved[j, i] += sign * step
                shifted.append(p @ _state_gradients(estimator, moved, x))
            curvature[index] = (shifted[0] - shifted[1]) / (2 * step)
        curvature = (curvature + curvature.T) / 2
    covariance = np.linalg.solve(curvature, np.linalg.solve(curvature, noise).T)
    return float(np.diag(covariance)[rows != columns].mean())
