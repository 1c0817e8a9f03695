r"""One step of Adam, for those rooms whose gradients are written by hand.

Elsewhere torch has it; these need no torch, and update many independent problems at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def adam_step(
    weight: Array, gradient: Array, moments: tuple[Array, Array], step: int, rate: float, epsilon: float = 1e-8
) -> Array:
    r"""One step downhill, with the usual decay rates $b_1=0.9$ and $b_2=0.999$,

    $$w \leftarrow w - \eta\,\frac{m/(1-b_1^t)}{\sqrt{v/(1-b_2^t)}+\epsilon},\qquad
      m \leftarrow b_1m+(1-b_1)g,\qquad v \leftarrow b_2v+(1-b_2)g^2 .$$

    Parameters
    ----------
    weight, gradient : arrays of one shape
    moments : two arrays of that shape
        $m$ and $v$, zero before the first step; **updated in place**.
    step : int
        $t$, from 1.
    rate : float
        $\eta$.
    epsilon : float
        $\epsilon$; gradients far below it are not followed.

    Returns
    -------
    The new weights; ``weight`` is not changed.

    Raises
    ------
    ValueError
        If ``step`` is below 1.

    References
    ----------
    Kingma and Ba (2015), Algorithm 1.
    """
    if step < 1:
        raise ValueError(f"steps are counted from 1, got {step!r}")
    first, second = moments
    first += 0.1 * (gradient - first)
    second += 0.001 * (gradient * gradient - second)
    return weight - rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + epsilon)
