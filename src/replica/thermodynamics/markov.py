r"""Continuous-time Markov chains on finitely many states: generator, steady state, entropy production, trajectories.

A chain is given by its rates :math:`w_{yx}\ge0` from state :math:`x` to state :math:`y` (columns are origins; the
diagonal is not used). Its generator is :math:`Q_{yx}=w_{yx}`, :math:`Q_{xx}=-\sum_{y\ne x}w_{yx}`, and
:math:`\dot p=Qp`. Times are in the unit of one over the rates, entropies in nats. Every function takes stacks of chains
along leading axes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def check_rates(rates: ArrayLike) -> Array:
    r"""Rates as an array of shape (..., n, n) with a zero diagonal.

    Raises
    ------
    ValueError
        If the matrices are not square, an entry off the diagonal is negative, or one is not finite.
    """
    w = np.array(rates, dtype=np.float64)
    if w.ndim < 2 or w.shape[-1] != w.shape[-2] or w.shape[-1] < 2:
        raise ValueError(f"expected square matrices of rates, shape (..., n, n) with n >= 2; got shape {w.shape}")
    diagonal = np.arange(w.shape[-1])
    w[..., diagonal, diagonal] = 0.0
    if not np.isfinite(w).all():
        raise ValueError("expected finite rates; got NaN or infinity")
    if (w < 0).any():
        raise ValueError(f"expected rates that are not negative; the smallest is {w.min():.3g}")
    return w


def generator(rates: ArrayLike) -> Array:
    r"""Generator :math:`Q` of the master equation :math:`\dot p=Qp`: columns sum to zero, shape (..., n, n)."""
    w = check_rates(rates)
    diagonal = np.arange(w.shape[-1])
    w[..., diagonal, diagonal] = -w.sum(axis=-2)
    return w


def steady_state(rates: ArrayLike) -> Array:
    r"""Steady state :math:`\pi` of irreducible chains: :math:`Q\pi=0`, :math:`\sum_x\pi(x)=1`.

    States are taken out one after the other; whoever would have gone there is sent on to where the chain goes from
    there, :math:`w_{yx}\leftarrow w_{yx}+w_{ym}w_{mx}/\sum_{z}w_{zm}`. Nothing is ever subtracted, so each probability
    is accurate to rounding *relative to itself*, however small it is. (A dense solve of :math:`Q\pi=0` with
    one row replaced by ones promises that for the largest only.)

    Parameters
    ----------
    rates : array, shape (..., n, n)
        :math:`w_{yx}`, from column to row.

    Returns
    -------
    array, shape (..., n)

    Raises
    ------
    ValueError
        For bad rates, or when states cannot be left towards the others (a reducible chain).

    References
    ----------
    W. K. Grassmann, M. I. Taksar and D. P. Heyman, Oper. Res. 33, 1107 (1985).
    """
    w = np.ascontiguousarray(
        np.moveaxis(check_rates(rates), (-2, -1), (0, 1))
    )  # the stack comes last: long inner loops
    n = len(w)
    left = np.empty((n, *w.shape[2:]))
    for m in range(n - 1, 0, -1):
        left[m] = w[:m, m].sum(axis=0)
        if not (left[m] > 0).all():
            raise ValueError("the steady state is not unique: some states cannot be left towards the others")
        w[:m, :m] += (w[:m, m] / left[m])[:, None] * w[m, None, :m]
    pi = np.empty_like(left)
    pi[0] = 1.0
    for m in range(1, n):
        pi[m] = (w[m, :m] * pi[:m]).sum(axis=0) / left[m]
    return np.moveaxis(pi / pi.sum(axis=0), 0, -1)


def entropy_production_rate(rates: ArrayLike, distribution: ArrayLike) -> Array:
    r"""Entropy production rate of chains in the distribution :math:`p`, in nats per unit time; shape (...),

    .. math::

        \sigma=\tfrac12\sum_{x\ne y}\big(w_{yx}p_x-w_{xy}p_y\big)\ln\frac{w_{yx}p_x}{w_{xy}p_y}\ \ge\ 0 .

    In the steady state it is the mean rate at which the surroundings gain entropy.

    Raises
    ------
    ValueError
        For bad rates, shapes that do not fit, or a transition without its reverse (the production would be infinite).
    """
    w, p = check_rates(rates), np.asarray(distribution, dtype=np.float64)
    if p.shape[-1:] != w.shape[-1:]:
        raise ValueError(f"expected a distribution over {w.shape[-1]} states; got shape {p.shape}")
    flow = w * p[..., None, :]
    back = np.swapaxes(flow, -1, -2)
    if ((flow > 0) != (back > 0)).any():
        raise ValueError("a transition has no reverse: its entropy production is infinite")
    both = np.where(flow > 0, flow, 1.0)
    return 0.5 * ((flow - back) * (np.log(both) - np.log(np.swapaxes(both, -1, -2)))).sum(axis=(-2, -1))
