r"""Mean-field estimates of Ising couplings: from the inverse covariance, at once, with or without TAP correction.

Source: H. J. Kappen and F. B. Rodriguez, Neural Computation 10, 1137 (1998); T. Tanaka, Phys. Rev. E 58, 2302 (1998).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.sampling.ising import check_activity, check_states, from_spin_couplings

Array = NDArray[np.float64]


class MeanFieldEstimate(NamedTuple):
    """Couplings from first and second moments.

    Attributes
    ----------
    couplings : ``(d, d)``, biases on the diagonal.
    clipped : number of pairs for which the TAP equation had no real root; its discriminant was set to zero there.
    """

    couplings: Array
    clipped: int


def mean_field(states: ArrayLike, tap: bool = False) -> MeanFieldEstimate:
    r"""Mean-field or TAP estimate from spins $\sigma=2x-1$ with means $m$ and covariance $C$,

    $$J^s_{ij} = -(C^{-1})_{ij}, \qquad h_i = \mathrm{artanh}\,m_i-\sum_jJ^s_{ij}m_j ,$$

    and with the second-order correction

    $$(C^{-1})_{ij} = -J^s_{ij}-2(J^s_{ij})^2m_im_j, \qquad
      h_i = \dots + m_i\sum_j(J^s_{ij})^2(1-m_j^2) ,$$

    with the root that tends to the mean-field value for small $m_im_j$.

    Parameters
    ----------
    states : ``(n, d)``, binary.
    tap : whether to correct.

    Returns
    -------
    `MeanFieldEstimate`.

    Raises
    ------
    ValueError : bad states, a unit that never changes, or a singular covariance.
    """
    x = check_states(states)
    mean = 2 * check_activity(x) - 1
    centred = 2 * x - 1 - mean
    covariance = centred.T @ centred / len(x)
    scale = np.sqrt(np.diag(covariance))
    if np.linalg.cond(covariance / np.outer(scale, scale)) > 1e12:
        raise ValueError("the covariance of the units is singular: some are functions of others, or there are too few")
    inverse = np.linalg.inv(covariance)
    spin = -(inverse + inverse.T) / 2
    clipped = 0
    if tap:
        product = np.outer(mean, mean)
        discriminant = 1 + 8 * product * spin
        np.fill_diagonal(discriminant, 1.0)
        clipped = int((discriminant < 0).sum() // 2)
        # -J_mf * 2 / (1 + sqrt(..)): the same root without dividing by m_i m_j
        spin = 2 * spin / (1 + np.sqrt(np.maximum(discriminant, 0.0)))
    np.fill_diagonal(spin, 0.0)
    field = np.arctanh(mean) - spin @ mean
    if tap:
        field += mean * (spin**2 @ (1 - mean**2))
    return MeanFieldEstimate(from_spin_couplings(spin, field), clipped)
