r"""Directions from Krylov spaces: the minimum-residual solution of :math:`Hp=-g` for many points at once.

Lanczos iteration with full re-orthogonalisation from :math:`q_0=-g/\|g\|` builds :math:`HQ_j=Q_{j+1}T_j` with a
tridiagonal :math:`T_j` of shape (j + 1, j), so that minimising :math:`\|Hp+g\|` over the space spanned by
:math:`Q_j` is the small problem :math:`\min_y\|T_jy-\|g\|e_1\|` of :mod:`replica.landscapes.tridiagonal`.

The measures of how well a direction solves the Newton system follow Choi, Paige and Saunders (2011):

.. math::
    r=\frac{\|Hp+g\|}{\|H\|\,\|p\|+\|g\|},\qquad r_H=\frac{\|H(Hp+g)\|}{\|H\|\,\|Hp+g\|},

where :math:`\|H\|` is estimated from below by the largest column of the tridiagonal matrix. A small :math:`r` means
that the system is solved; a small :math:`r_H` with :math:`r` near 1 means that the gradient lies in what the Hessian
all but annihilates. Neither needs more than the products that Lanczos makes anyway, except the last one: the residual
lies in the span of :math:`Q_{j+1}`, so :math:`H` times it follows from the next column of the tridiagonal matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.landscapes.tridiagonal import (
    combine_basis,
    lanczos_step,
    least_squares_step,
    saddle_free_solutions,
    shifted_solutions,
)

Array = NDArray[np.float64]

#: H at the points with the given indices (m,) times one vector each, (m, n_parameters).
Product = Callable[[Array, NDArray[np.int64]], Array]


class KrylovStop(IntEnum):
    """Why a point's search for a direction ended."""

    #: The relative residual r fell below the tolerance.
    RESIDUAL = 1
    #: The relative co-kernel residual fell below the tolerance: the rest of the gradient is (nearly) in the kernel.
    COKERNEL = 2
    #: As many iterations as allowed.
    ITERATIONS = 3
    #: The Krylov space is complete, neither test is met.
    EXHAUSTED = 4
    #: The direction would have become longer than the limit; the one before is kept.
    NORM = 5
    #: A Hessian product or the gradient is not finite; the direction is zero.
    NOT_FINITE = 6


class Direction(NamedTuple):
    r"""Approximate Newton directions of n points.

    Attributes
    ----------
    direction : (n, d), :math:`p`.
    slope : (n,), :math:`p^\top Hg\le0`, half the derivative of the squared gradient norm along the direction.
    relative_residual : (n,), :math:`r`.
    cokernel_residual : (n,), :math:`r_H`.
    iterations : (n,), dimension of the Krylov space used.
    stop : (n,), a :class:`KrylovStop` each.
    products : (n,), Hessian-vector products made.
    """

    direction: Array
    slope: Array
    relative_residual: Array
    cokernel_residual: Array
    iterations: NDArray[np.int64]
    stop: NDArray[np.int64]
    products: NDArray[np.int64]


class _Lanczos:
    """The recurrence of many points: basis vectors, and the tridiagonal matrix by its two diagonals."""

    def __init__(self, product: Product, gradient: ArrayLike, max_iterations: int, extra: int) -> None:
        g = np.ascontiguousarray(gradient, dtype=np.float64)
        if g.ndim != 2 or g.shape[1] < 1:
            raise ValueError(f"gradient must have shape (n_points, n_parameters), got {g.shape}")
        if int(max_iterations) != max_iterations or max_iterations < 1:
            raise ValueError(f"max_iterations must be a whole number of at least 1, got {max_iterations!r}")
        self.product = product
        n, d = g.shape
        self.size = min(int(max_iterations), d)
        room = self.size + extra + 1
        self.basis = np.zeros((n, room, d))
        self.alpha, self.beta = np.zeros((n, room)), np.zeros((n, room))
        self.scale = np.zeros(n)
        self.norm = np.sqrt((g * g).sum(axis=1))
        self.finite = np.isfinite(self.norm)
        moving = self.finite & (self.norm > 0)
        self.basis[moving, 0] = -g[moving] / self.norm[moving, None]
        self.moving = np.flatnonzero(moving)

    def step(self, active: NDArray[np.int64], j: int) -> NDArray[np.int64]:
        """Extend the space of the active points from j to j + 1 vectors; returns those that stay finite."""
        images = np.ascontiguousarray(self.product(self.basis[active, j], active), dtype=np.float64)
        if images.shape != (len(active), self.basis.shape[2]):
            raise ValueError(
                f"the Hessian product must have shape {(len(active), self.basis.shape[2])}, got {images.shape}"
            )
        good = np.isfinite(images).all(axis=1)
        if not good.all():
            self.finite[active[~good]] = False
            active, images = active[good], images[good]
        lanczos_step(active, images, self.basis, self.alpha, self.beta, self.scale, j)
        return active


def minimum_residual_direction(
    product: Product,
    gradient: ArrayLike,
    max_iterations: int,
    tolerance: float = 1e-10,
    condition_limit: float = 1e7,
    norm_limit: float = np.inf,
) -> Direction:
    r"""Approximate minimum-length solutions of :math:`\min_p\|Hp+g\|`, each from its own Krylov space.

    After every Lanczos step the projected least-squares problem is solved, singular values below the largest over
    ``condition_limit`` are dropped, and a point stops at the first step at which :math:`r` or :math:`r_H` is below the
    tolerance. Points that have stopped make no further products. A residual in the kernel appears one step before the
    space is complete, and the solution of that step still holds a part of the kernel; where the next projected matrix,
    which is known by then, is singular to within ``condition_limit``, its shorter solution is returned.

    Parameters
    ----------
    product : callable
        ``product(vectors, points)``: for vectors (m, d) and indices (m,) of points, the Hessian of each of these points
        times its vector.
    gradient : array, shape (n, d)
    max_iterations : int
        Largest dimension of the Krylov space (at most d is used).
    tolerance : float
        For both tests.
    condition_limit : float
        Largest ratio of singular values of the projected matrix that is kept.
    norm_limit : float
        Longest direction: the last one that is shorter is returned.

    Returns
    -------
    :class:`Direction`. A zero gradient gives a zero direction with r = 0.

    Raises
    ------
    ValueError
        If shapes do not fit, ``max_iterations`` is below 1, or a tolerance or limit is not positive.

    References
    ----------
    Choi, Paige and Saunders (2011), MINRES-QLP; Frye et al., arXiv 1901.10603 and 2003.10397.
    """
    for name, value in (("tolerance", tolerance), ("condition_limit", condition_limit), ("norm_limit", norm_limit)):
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value!r}")
    space = _Lanczos(product, gradient, max_iterations, extra=1)
    n, size = len(space.norm), space.size
    solution, residual = np.zeros((n, size + 1)), np.zeros((n, size + 2))
    r, r_h = np.zeros(n), np.zeros(n)
    iterations, stop, products = (np.zeros(n, dtype=np.int64) for _ in range(3))
    residual[:, 0] = -space.norm  # of a zero direction
    stop[space.finite & (space.norm == 0)] = KrylovStop.RESIDUAL
    active = space.moving
    for j in range(size + 1):
        products[active] += 1
        active = space.step(active, j)
        if j == 0:
            continue
        least_squares_step(
            active, space.alpha, space.beta, space.norm, space.scale, j, j == size,
            tolerance, condition_limit, norm_limit, solution, residual, r, r_h, iterations, stop,
        )  # fmt: skip
        active = active[stop[active] == 0]
        if active.size == 0:
            break
    lost = ~space.finite
    stop[lost], solution[lost], residual[lost] = KrylovStop.NOT_FINITE, 0.0, 0.0
    r[lost], r_h[lost] = np.nan, np.nan
    slope = -space.norm * (residual[:, 0] + space.norm)
    slope[lost] = np.nan
    direction = combine_basis(space.basis, solution, iterations)
    return Direction(direction, slope, r, r_h, iterations, stop, products)


class Directions(NamedTuple):
    """Several candidate directions for each of n points, from one Krylov space a point.

    Attributes
    ----------
    direction : (n_candidates, n, d).
    products : (n,), Hessian-vector products made.
    finite : (n,), false where a Hessian product or the gradient is not finite; the directions are zero there.
    """

    direction: Array
    products: NDArray[np.int64]
    finite: NDArray[np.bool_]


def shifted_directions(
    product: Product,
    gradient: ArrayLike,
    shifts: ArrayLike,
    max_iterations: int,
    condition_limit: float = 1e7,
) -> Directions:
    r"""Minimum-residual solutions of :math:`(H+\gamma I)p=-g` for several :math:`\gamma` from one Krylov space.

    :math:`H` and :math:`H+\gamma I` have the same Krylov spaces and only the diagonal of the tridiagonal matrix
    moves, so all damping constants together cost the Hessian products of one. Arguments are those of
    :func:`minimum_residual_direction`; ``shifts`` has shape (n_candidates,). The whole space is used, without stopping
    tests.
    """
    shifts = np.atleast_1d(np.asarray(shifts, dtype=np.float64))
    if shifts.ndim != 1 or not np.isfinite(shifts).all():
        raise ValueError(f"shifts must be a list of finite numbers, got {shifts!r}")
    space, sizes, products = _full_space(product, gradient, max_iterations)
    y = shifted_solutions(space.alpha, space.beta, space.norm, sizes, shifts, condition_limit)
    return Directions(np.stack([combine_basis(space.basis, y_s, sizes) for y_s in y]), products, space.finite)


def saddle_free_directions(product: Product, gradient: ArrayLike, shifts: ArrayLike, max_iterations: int) -> Directions:
    r"""Saddle-free Newton directions :math:`-(|H|+\gamma I)^{-1}g` within the Krylov space, for several :math:`\gamma`.

    The matrix is replaced by its projection :math:`Q^\top HQ`, whose eigenvalues enter with their absolute values.
    Arguments are those of :func:`shifted_directions`; the shifts must be positive.

    Reference: Dauphin et al., NeurIPS 2014, algorithm 1.
    """
    shifts = np.atleast_1d(np.asarray(shifts, dtype=np.float64))
    if shifts.ndim != 1 or not (np.isfinite(shifts) & (shifts > 0)).all():
        raise ValueError(f"shifts must be a list of positive numbers, got {shifts!r}")
    space, sizes, products = _full_space(product, gradient, max_iterations)
    y = saddle_free_solutions(space.alpha, space.beta, space.norm, sizes, shifts)
    return Directions(np.stack([combine_basis(space.basis, y_s, sizes) for y_s in y]), products, space.finite)


def _full_space(
    product: Product, gradient: ArrayLike, max_iterations: int
) -> tuple[_Lanczos, NDArray[np.int64], NDArray[np.int64]]:
    space = _Lanczos(product, gradient, max_iterations, extra=0)
    sizes, products = np.zeros((2, len(space.norm)), dtype=np.int64)
    active = space.moving
    for j in range(space.size):
        products[active] += 1
        active = space.step(active, j)
        sizes[active] = j + 1
        active = active[space.beta[active, j] > 0]
        if active.size == 0:
            break
    sizes[~space.finite] = 0
    return space, sizes, products
