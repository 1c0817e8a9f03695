"""Exact maximum likelihood of small Ising models, by summing over all states: the reference for all estimators."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.inference.fitting import Objective, check_size
from replica.inference.minimum_probability_flow import check_weights
from replica.sampling.ising import MAX_UNITS, check_activity, check_states, exact_moments

Array = NDArray[np.float64]


def ising_likelihood(states: ArrayLike, weights: ArrayLike | None = None) -> Objective:
    r"""Minus the mean log-likelihood as an `Objective`, in nats per state,

    $$L(J) = \mathrm{tr}(J\langle xx^\top\rangle_{\mathcal D}) + \log Z(J), \qquad
      \nabla L = \langle xx^\top\rangle_{\mathcal D}-\langle xx^\top\rangle_J .$$

    Convex. One evaluation sums over $2^d$ states.

    Parameters
    ----------
    states : ``(n, d)``, binary, with d at most :data:`replica.sampling.ising.MAX_UNITS`.
    weights : ``(n,)``, of the states; equal by default.

    Raises
    ------
    ValueError : bad states or weights, a unit that never changes, or too many units.
    """
    x = check_states(states)
    if x.shape[1] > MAX_UNITS:
        raise ValueError(f"the exact likelihood is offered for up to {MAX_UNITS} units, got {x.shape[1]}")
    w = check_weights(weights, len(x))
    check_activity(x, w)
    observed = (x.T * w) @ x

    def objective(couplings: Array) -> tuple[float, Array]:
        check_size(couplings, x.shape[1])
        moments, log_z = exact_moments(couplings)
        return float((couplings * observed).sum() + log_z), observed - moments.second

    return objective
