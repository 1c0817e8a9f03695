r"""Devices in equilibrium with any energy, as a control for what reciprocal pair couplings miss.

If the input acts as fields and nothing is driven, the state follows

.. math::

    \pi(x|s)=\frac1{Z(s)}\exp\Big[\sum_AK_A\prod_{i\in A}x_i+\sum_iH_i(s)x_i\Big]

with some energy of one-, two-, ... and :math:`N`-body terms :math:`K_A`. All of them together are every energy function
there is. Whatever it is, :math:`\ln\pi(x|s)-\ln\pi(x|s')` is *linear* in the configuration, with slopes
:math:`H(s)-H(s')` that no coupling can change.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from replica.thermodynamics.bottleneck import information_slope
from replica.thermodynamics.glauber import spin_states
from replica.thermodynamics.information import check_conditionals, check_labels

Array = NDArray[np.float64]


def many_body_features(n_spins: int, order: int) -> Array:
    r"""Products of 1 to ``order`` different spins in all configurations, shape (n, C).

    Single spins come first, then pairs :math:`x_0x_1,x_0x_2,\dots` in the order of numpy's ``triu_indices``, and so
    on.

    Raises
    ------
    ValueError
        Unless ``order`` lies between 1 and the number of spins.
    """
    x = spin_states(n_spins)
    if not 1 <= order <= n_spins:
        raise ValueError(f"products are of 1 to {n_spins} spins; got order {order}")
    members = [chosen for size in range(1, order + 1) for chosen in combinations(range(n_spins), size)]
    return np.stack([x[:, chosen].prod(axis=1) for chosen in members], axis=1)


def equilibrium_distribution(features: Array, strengths: ArrayLike, fields: ArrayLike) -> Array:
    r"""The distribution above for strengths :math:`K` (P, C) and fields (P, S, N); shape (P, S, n)."""
    h = np.asarray(fields, dtype=np.float64)
    weight = (np.asarray(strengths, float) @ features.T)[:, None, :] + h @ spin_states(h.shape[-1]).T
    p = np.exp(weight - weight.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True)


def train_equilibrium(
    features: Array,
    start: ArrayLike,
    input_fields: ArrayLike,
    labels: ArrayLike,
    bound: float = np.inf,
    evaluations: int = 1000,
) -> tuple[Array, Array]:
    r"""Maximise :math:`I(X;Y)` over strengths :math:`|K_A|\le K_{max}` by L-BFGS-B, one device after the other.

    The gradient is a covariance, :math:`\partial I/\partial K_A=\sum_s\mathrm{Cov}_s[g_s,\phi_A]` with
    :math:`g_s=\partial I/\partial\pi_s` and the feature :math:`\phi_A`.

    Parameters
    ----------
    features : array, shape (n, C)
        From :func:`many_body_features`.
    start : array, shape (P, C)
        :math:`K` at the start; clipped to the bound.
    input_fields : array, shape (P, S, N)
        :math:`\sum_mB_{im}s_m`; thresholds are strengths of single spins.
    labels : array of int, shape (P, S)
    bound : float
        :math:`K_{max}>0`; infinity for any energy whatever.
    evaluations : int
        Most evaluations of information and gradient for each device.

    Returns
    -------
    (array (P,), array (P, C))
        Largest :math:`I(X;Y)` in nats and the strengths there.

    Raises
    ------
    ValueError
        If shapes do not fit, a start is not finite, the bound is not positive or there is no evaluation.
    """
    k, h = np.asarray(start, dtype=np.float64), np.asarray(input_fields, dtype=np.float64)
    if h.ndim != 3 or k.shape != (len(h), features.shape[1]) or len(features) != 2 ** h.shape[-1]:
        raise ValueError(
            "expected starts (P, C), fields (P, S, N) and features (2**N, C); "
            f"got {k.shape}, {h.shape} and {features.shape}"
        )
    if not (np.isfinite(k).all() and np.isfinite(h).all()):
        raise ValueError("expected finite starts and fields; got NaN or infinity")
    if not bound > 0:
        raise ValueError(f"the bound on the strengths must be positive; got {bound!r}")
    if evaluations < 1:
        raise ValueError(f"expected at least one evaluation; got {evaluations}")
    y = np.broadcast_to(check_labels(labels, h.shape[1]), h.shape[:2])
    tilts = h @ spin_states(h.shape[-1]).T

    def loss(strengths: Array, tilt: Array, label: NDArray[np.int64]) -> tuple[float, Array]:
        weight = tilt + features @ strengths
        p = np.exp(weight - weight.max(axis=-1, keepdims=True))
        p /= p.sum(axis=-1, keepdims=True)
        information, slope = information_slope(p[None], label[None])
        push = (p * (slope[0] - (p * slope[0]).sum(axis=-1, keepdims=True))).sum(axis=0)
        return -float(information[0]), -(push @ features)

    limits = [(-bound, bound)] * k.shape[1]
    options = {"maxfun": evaluations, "maxiter": evaluations, "maxcor": 20, "ftol": 1e-10, "gtol": 1e-7}
    found = [
        minimize(loss, np.clip(first, -bound, bound), args=tuple(own), jac=True, bounds=limits, options=options)
        for first, *own in zip(k, tilts, y)
    ]
    return np.array([-f.fun for f in found]), np.array([f.x for f in found])


def _log_odds(distribution: ArrayLike) -> tuple[Array, Array, Array]:
    """Mean logarithm over inputs (P, 1, n), log-odds to it less their mean (P, S, n), and their slopes (P, S, N)."""
    p = check_conditionals(distribution)
    if not (p > 0).all():
        raise ValueError("log-odds need positive probabilities; got a zero")
    logs, n = np.log(p), p.shape[-1]
    common = logs.mean(axis=-2, keepdims=True)
    odds = logs - common
    odds = odds - odds.mean(axis=-1, keepdims=True)
    return common, odds, odds @ spin_states(n.bit_length() - 1) / n  # spins are orthogonal over all configurations


def log_odds_departure(distribution: ArrayLike, fields: ArrayLike) -> tuple[Array, Array]:
    r"""How far log-odds of the inputs are from those of an equilibrium, and from any linear ones; shapes (P,).

    The variance over configurations and inputs of :math:`\ln\pi(x|s)`, less its mean over inputs and a constant for
    each input, is split. In equilibrium all of it is in :math:`[H(s)-\bar H]\cdot x`. The first share returned is
    that of the rest; the second is the part that is not linear in :math:`x` at all. (Their difference is in slopes
    that are not those of the fields.)

    Parameters
    ----------
    distribution : array, shape (P, S, n)
        Positive; :math:`n=2^N`, numbered as in :mod:`replica.thermodynamics.glauber`.
    fields : array, shape (P, S, N)
        :math:`H(s)`.

    Raises
    ------
    ValueError
        If a probability is zero, shapes do not fit, or the state does not depend on the input: then there are no
        log-odds to split.
    """
    _, odds, slopes = _log_odds(distribution)
    h = np.asarray(fields, dtype=np.float64)
    if h.shape != slopes.shape:
        raise ValueError(f"expected fields of shape {slopes.shape}; got {h.shape}")
    total = (odds**2).sum(axis=(-2, -1))
    if not (total > 0).all():
        raise ValueError("the state must depend on the input; the log-odds of a device have no variance")
    x = spin_states(h.shape[-1])
    rest = [odds - part @ x.T for part in (h - h.mean(axis=-2, keepdims=True), slopes)]
    departure, nonlinear = ((part**2).sum(axis=(-2, -1)) / total for part in rest)
    return departure, nonlinear


def with_linear_log_odds(distribution: ArrayLike) -> Array:
    r"""The same device with the nonlinear part of its log-odds left out, shape (P, S, n).

    :math:`\pi'(x|s)\propto e^{\overline{\ln\pi}(x)+u(s)\cdot x}` with the mean over inputs and the slopes :math:`u(s)`
    of :math:`\pi`. An equilibrium stays what it is.
    """
    common, _, slopes = _log_odds(distribution)
    weight = common + slopes @ spin_states(slopes.shape[-1]).T
    p = np.exp(weight - weight.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True)
