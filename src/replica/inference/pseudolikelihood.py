r"""Pseudolikelihood of an Ising model: each unit given all others.

Source: J. Besag, The Statistician 24, 179 (1975).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.inference.fitting import Objective, check_size
from replica.inference.minimum_probability_flow import check_weights, row_blocks
from replica.sampling.ising import check_activity, check_states

Array = NDArray[np.float64]


def ising_pseudolikelihood(states: ArrayLike, weights: ArrayLike | None = None) -> Objective:
    r"""Minus the mean log pseudolikelihood as an `Objective`, in nats per state,

    $$L(J) = \Big\langle\sum_n\log(1+e^{s_nA_n})\Big\rangle_{\mathcal D}, \qquad
      A_n = 2\sum_{j\ne n}J_{nj}x_j+J_{nn}, \quad s_n = 2x_n-1 .$$

    Convex. The logarithms of a state are taken as one logarithm of their product, so that an evaluation costs
    little more than the exponentials and the two matrix products that the probability flow costs as well.

    Parameters
    ----------
    states : ``(n, d)``, binary, d at most 900 (the product must not overflow).
    weights : ``(n,)``, of the states; equal by default.

    Returns
    -------
    function of symmetric couplings ``(d, d)``, of which it checks the size alone.

    Raises
    ------
    ValueError : bad states or weights, a unit that never changes, or too many units.
    """
    x = check_states(states)
    n, d = x.shape
    if d > 900:
        raise ValueError(f"expected at most 900 units, got {d}")
    w = check_weights(weights, n)
    check_activity(x, w)
    sign = 2 * x - 1
    blocks = row_blocks(n, d)
    equal = bool((w == w[0]).all())

    def objective(couplings: Array) -> tuple[float, Array]:
        check_size(couplings, d)
        bias = np.diag(couplings)
        twice = 2 * couplings
        twice[np.diag_indices(d)] = 0.0
        total, gradient, on = 0.0, np.zeros((d, d)), np.zeros(d)
        for rows in blocks:
            s, y = sign[rows], x[rows]
            z = y @ twice
            z += bias
            z *= s
            small = np.abs(z)
            np.negative(small, out=small)
            np.exp(small, out=small)  # exp(-|z|), never overflows
            above = z > 0
            np.maximum(z, 0.0, out=z)
            loss = z.sum(axis=1)
            np.add(small, 1.0, out=z)
            loss += np.log(z.prod(axis=1))
            np.copyto(small, 1.0, where=above)
            small /= z  # the sigmoid of z
            small *= s
            if equal:
                total += loss.sum()
            else:
                total += w[rows] @ loss
                small *= w[rows, None]
            gradient += small.T @ y
            on += small.sum(axis=0)
        if equal:
            total, gradient, on = total * w[0], gradient * w[0], on * w[0]
        gradient = gradient + gradient.T
        gradient[np.diag_indices(d)] = on
        return float(total), gradient

    return objective
