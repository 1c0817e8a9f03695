r"""Score matching as a limit of minimum probability flow, for Gaussian models where both are known in closed form.

If the neighbours of a datum are $x+\delta$ with $\delta\sim\mathcal N(0,\sigma^2I)$, the flow is

$$K = 1+\frac{\sigma^2}4\Big\langle\tfrac12|\nabla E|^2-\nabla^2E\Big\rangle+O(\sigma^4) ,$$

and the average is the objective of score matching.

Source: A. Hyvarinen, J. Mach. Learn. Res. 6, 695 (2005); Sohl-Dickstein et al., arXiv:0906.4779, special cases.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def _check(precision: ArrayLike, data: ArrayLike) -> tuple[Array, Array]:
    matrix, x = np.asarray(precision, dtype=np.float64), np.asarray(data, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.allclose(matrix, matrix.T):
        raise ValueError(f"precision: expected a symmetric matrix (d, d), got shape {matrix.shape}")
    if x.ndim != 2 or x.shape[0] != len(matrix) or x.shape[1] < 1 or not np.isfinite(x).all():
        raise ValueError(f"data: expected finite columns ({len(matrix)}, n), got shape {x.shape}")
    return matrix, x


def gaussian_score_matching(precision: ArrayLike, data: ArrayLike) -> float:
    r"""$\langle\frac12|\Lambda x|^2-\mathrm{tr}\Lambda\rangle$ for $E=\frac12x^\top\Lambda x$ and data ``(d, n)``."""
    matrix, x = _check(precision, data)
    return float(0.5 * ((matrix @ x) ** 2).sum(axis=0).mean() - np.trace(matrix))


def gaussian_noise_flow(precision: ArrayLike, data: ArrayLike, sigma: float) -> float:
    r"""$K-1$ for neighbours at Gaussian distance $\sigma$, averaged over the distance exactly.

    With $B=I+\frac{\sigma^2}2\Lambda$ and $g=\Lambda x$,
    $\langle e^{\frac12[E(x)-E(x+\delta)]}\rangle_\delta=|B|^{-1/2}\exp\{\frac{\sigma^2}8g^\top B^{-1}g\}$.
    """
    matrix, x = _check(precision, data)
    if not sigma > 0:
        raise ValueError(f"sigma: expected a positive number, got {sigma!r}")
    wide = np.eye(len(matrix)) + 0.5 * sigma**2 * matrix
    force = matrix @ x
    exponent = sigma**2 / 8 * np.einsum("in,in->n", force, np.linalg.solve(wide, force))
    return float(np.expm1(exponent - 0.5 * np.linalg.slogdet(wide)[1]).mean())
