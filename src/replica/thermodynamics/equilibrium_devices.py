r"""Devices in equilibrium with any energy, as a control for what reciprocal pair couplings miss.

If the input acts as fields and nothing is driven, the state follows

.. math::

    \pi(x|s)=\frac1{Z(s)}\exp\Big[\sum_AK_A\prod_{i\in A}x_i+\sum_iH_i(s)x_i\Big]

with some energy of one-, two-, ... and :math:`N`-body terms :math:`K_A`. All of them together are every energy function
there is. Whatever it is, :math:`\ln\pi(x|s)-\ln\pi(x|s')` is *linear* in the configuration, with slopes
:math:`H(s)-H(s')` that no coupling can change.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.dynamics.adam import adam_step
from replica.thermodynamics.bottleneck import Tasks, information_slope
from replica.thermodynamics.glauber import spin_states

Array = NDArray[np.float64]


def many_body_features(n_spins: int, order: int) -> Array:
    r"""Products of 2 to ``order`` different spins in all configurations, shape (n, C).

    Raises
    ------
    ValueError
        Unless ``order`` lies between 2 and the number of spins.
    """
    x = spin_states(n_spins)
    if not 2 <= order <= n_spins:
        raise ValueError(f"products are of 2 to {n_spins} spins; got order {order}")
    members = [chosen for chosen in x > 0 if 2 <= chosen.sum() <= order]
    return np.stack([x[:, chosen].prod(axis=1) for chosen in members], axis=1)


def equilibrium_distribution(features: Array, strengths: ArrayLike, fields: ArrayLike) -> Array:
    r"""The distribution above for strengths :math:`K` (P, C) and fields (P, S, N); shape (P, S, n)."""
    h = np.asarray(fields, dtype=np.float64)
    weight = (np.asarray(strengths, float) @ features.T)[:, None, :] + h @ spin_states(h.shape[-1]).T
    p = np.exp(weight - weight.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True)


def train_equilibrium(
    features: Array,
    start: Array,
    input_fields: Array,
    tasks: Tasks,
    steps: int,
    bound: float = 1.0,
    rate: float = 0.05,
    thresholds: Array | None = None,
) -> tuple[Array, Array]:
    r"""Maximise :math:`I(X;Y)` over strengths :math:`K_A=K_{max}\tanh z_A` and thresholds :math:`\tanh t_i` by Adam.

    The gradient is a covariance, :math:`\partial I/\partial K_A=\sum_s\mathrm{Cov}_s[g_s,\phi_A]` with
    :math:`g_s=\partial I/\partial\pi_s` and the feature :math:`\phi_A`. The best met is kept.

    Parameters
    ----------
    features : array, shape (n, C)
        From :func:`many_body_features`.
    start : array, shape (P, C)
        :math:`z` at the start.
    input_fields : array, shape (P, S, N)
        :math:`\sum_mB_{im}s_m`.
    tasks : Tasks
        Labels (P, S).
    steps, bound, rate
        As in :func:`replica.thermodynamics.bottleneck.train_devices`.
    thresholds : array, shape (P, N), optional
        :math:`t` at the start; zero by default.

    Returns
    -------
    (array (P,), array (P, S, n))
        Largest :math:`I(X;Y)` in nats and the distribution there.
    """
    spins = spin_states(input_fields.shape[-1])
    z, t = start.copy(), np.zeros((len(start), spins.shape[1])) if thresholds is None else thresholds.copy()
    moments = [(np.zeros_like(part), np.zeros_like(part)) for part in (z, t)]
    top, best = np.full(len(z), -np.inf), np.empty((*input_fields.shape[:2], len(spins)))
    for step in range(steps):
        p = equilibrium_distribution(features, bound * np.tanh(z), input_fields + np.tanh(t)[:, None, :])
        information, slope = information_slope(p, tasks.labels)
        better = information > top
        top, best[better] = np.where(better, information, top), p[better]
        weight = p * (slope - (p * slope).sum(axis=-1, keepdims=True))
        by_z = (weight.sum(axis=1) @ features) * bound * (1 - np.tanh(z) ** 2)
        by_t = (weight.sum(axis=1) @ spins) * (1 - np.tanh(t) ** 2)
        pace = 0.5 * rate * (1 + np.cos(np.pi * step / steps))
        z, t = (adam_step(w, -g, m, step + 1, pace) for w, g, m in zip((z, t), (by_z, by_t), moments))
    return top, best


def log_odds_curvature(distribution: ArrayLike) -> Array:
    r"""How far log-odds of the inputs are from linear in the configuration, shape (P,): zero in any equilibrium.

    :math:`\ln\pi(x|s)` less its mean over inputs is fitted, for each input, by
    :math:`c(s)+\sum_iu_i(s)x_i`. Returned is the part of its variance over configurations and inputs that is left.

    Parameters
    ----------
    distribution : array, shape (P, S, n)
        Positive; :math:`n=2^N`, numbered as in :mod:`replica.thermodynamics.glauber`.
    """
    logs = np.log(np.asarray(distribution, dtype=np.float64))
    n = logs.shape[-1]
    x = spin_states(n.bit_length() - 1)
    odds = logs - logs.mean(axis=-2, keepdims=True)
    odds = odds - odds.mean(axis=-1, keepdims=True)
    rest = odds - (odds @ x / n) @ x.T  # spins are orthogonal over all configurations
    return (rest**2).sum(axis=(-2, -1)) / (odds**2).sum(axis=(-2, -1))
