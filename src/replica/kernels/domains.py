r"""Input domains on which rotation-invariant kernels are diagonal in closed form: circle, hypercube, sphere.

All of them live at radius :math:`|x|=\sqrt d`, so that :math:`x\cdot x'/d` is a cosine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

Array = NDArray[np.float64]


def _whole(value: int, least: int, what: str) -> int:
    if int(value) != value or value < least:
        raise ValueError(f"{what} must be a whole number >= {least}; got {value}")
    return int(value)


def circle_points(size: int) -> Array:
    r"""The ``size`` points :math:`\sqrt2(\cos\theta_j,\sin\theta_j)`, :math:`\theta_j=2\pi j/M`; shape (size, 2)."""
    theta = 2 * np.pi * np.arange(_whole(size, 1, "size")) / size
    return np.sqrt(2) * np.stack([np.cos(theta), np.sin(theta)], axis=1)


def circle_modes(size: int) -> tuple[Array, NDArray[np.int64]]:
    r"""Eigenfunctions of every translation-invariant kernel on ``size`` points of the circle.

    :math:`1,\sqrt2\cos k\theta,\sqrt2\sin k\theta,\dots` and :math:`\cos(M\theta/2)` for even :math:`M`, of unit mean
    square over the points.

    Returns
    -------
    modes : array, shape (size, size)
        One eigenfunction a column.
    frequency : int array, shape (size,)
        Their :math:`k`, increasing.
    """
    size = _whole(size, 1, "size")
    theta = 2 * np.pi * np.arange(size) / size
    columns, frequency = [np.ones(size)], [0]
    for k in range(1, (size - 1) // 2 + 1):
        columns += [np.sqrt(2) * np.cos(k * theta), np.sqrt(2) * np.sin(k * theta)]
        frequency += [k, k]
    if size % 2 == 0:
        columns.append(np.cos(size // 2 * theta))
        frequency.append(size // 2)
    return np.stack(columns, axis=1), np.array(frequency)


def hypercube_points(dimension: int) -> Array:
    """All corners of the hypercube {-1, +1}^d; shape (2**d, d). Refuses d > 20 (a million corners)."""
    dimension = _whole(dimension, 1, "dimension")
    if dimension > 20:
        raise ValueError(f"all corners of the cube are listed, which needs dimension <= 20; got {dimension}")
    bits = (np.arange(2**dimension)[:, None] >> np.arange(dimension)) & 1
    return 1.0 - 2.0 * bits


def parity(points: ArrayLike, order: int) -> Array:
    r"""Parity :math:`\prod_{a\le k}x_a` of the first ``order`` bits; points (..., d), result (...)."""
    x = np.asarray(points, dtype=np.float64)
    if not 0 <= order <= x.shape[-1]:
        raise ValueError(f"order must lie between 0 and the dimension {x.shape[-1]}; got {order}")
    return x[..., :order].prod(axis=-1)


def sample_sphere(shape: int | tuple[int, ...], dimension: int, rng: np.random.Generator) -> Array:
    r"""Points drawn uniformly on the sphere of radius :math:`\sqrt d` in :math:`\mathbb R^d`; shape (*shape, d)."""
    dimension = _whole(dimension, 2, "dimension")
    shape = (shape,) if np.isscalar(shape) else tuple(shape)
    x = rng.standard_normal((*shape, dimension))
    return x * np.sqrt(dimension) / np.linalg.norm(x, axis=-1, keepdims=True)


def sphere_degeneracy(dimension: int, degree: ArrayLike) -> Array:
    r"""Number of independent spherical harmonics of degree :math:`k` on :math:`S^{d-1}`.

    :math:`N(d,0)=1`, :math:`N(d,k)=\frac{2k+d-2}{k}\binom{k+d-3}{k-1}`; float64, so that large ones do not overflow.

    Raises
    ------
    ValueError
        If the dimension is below 2 or a degree is negative.
    """
    d = _whole(dimension, 2, "dimension")
    k = np.asarray(degree, dtype=np.float64)
    if (k < 0).any():
        raise ValueError("degrees of spherical harmonics are >= 0")
    if d == 2:
        return np.where(k == 0, 1.0, 2.0)
    j = np.maximum(k, 1.0)
    count = (2 * j + d - 2) / j * np.exp(gammaln(j + d - 2) - gammaln(j) - gammaln(d - 1))
    # The count is an integer: remove the round-off of gammaln where a float can hold it.
    count = np.where(count < 1e10, np.round(count), count)
    return np.where(k == 0, 1.0, count)


def gegenbauer_normalized(cosine: ArrayLike, max_degree: int, dimension: int) -> Array:
    r"""Gegenbauer polynomials :math:`\hat C_k(c)=C_k^{(d/2-1)}(c)/C_k^{(d/2-1)}(1)` for :math:`k=0..K`.

    From :math:`(k+d-2)\hat C_{k+1}=(2k+d-2)c\,\hat C_k-k\,\hat C_{k-1}`; :math:`|\hat C_k|\le1`, so nothing overflows
    at any dimension. For :math:`d=2` they are the Chebyshev polynomials :math:`\cos k\theta`.

    Parameters
    ----------
    cosine : array, any shape, entries in [-1, 1]
    max_degree : int
    dimension : int
        :math:`d\ge2` of the space the sphere lies in.

    Returns
    -------
    array, shape (max_degree + 1, *cosine.shape)
    """
    d = _whole(dimension, 2, "dimension")
    max_degree = _whole(max_degree, 0, "max_degree")
    c = np.asarray(cosine, dtype=np.float64)
    if not (np.abs(c) <= 1 + 1e-9).all():
        raise ValueError("cosine must lie in [-1, 1]")
    out = np.empty((max_degree + 1, *c.shape))
    out[0] = 1.0
    if max_degree >= 1:
        out[1] = c
    for k in range(1, max_degree):
        out[k + 1] = ((2 * k + d - 2) * c * out[k] - k * out[k - 1]) / (k + d - 2)
    return out


def zonal_series(cosine: ArrayLike, coefficients: ArrayLike, dimension: int) -> Array:
    r"""Sum :math:`\sum_ka_kN(d,k)\hat C_k(c)` of a dot-product kernel with eigenvalues :math:`a_k`.

    The recursion runs term by term: memory is that of ``cosine``, not degrees times it.

    Parameters
    ----------
    cosine : array, any shape
    coefficients : array, shape (K + 1,) or (S, K + 1)
        Eigenvalue of each degree, from :func:`replica.kernels.spectra.sphere_spectrum` for instance; S series at once.
    dimension : int

    Returns
    -------
    array of the shape of ``cosine``, or (S, *cosine.shape)
    """
    a = np.asarray(coefficients, dtype=np.float64)
    c = np.asarray(cosine, dtype=np.float64)
    if a.ndim not in (1, 2) or not a.size:
        raise ValueError(f"coefficients must be a vector, one for each degree, or several; got shape {a.shape}")
    if a.ndim == 1:
        return zonal_series(c, a[None], dimension)[0]
    d = _whole(dimension, 2, "dimension")
    weight = a * sphere_degeneracy(d, np.arange(a.shape[1]))
    # What is beyond a relative 1e-17 does not change a sum (every polynomial is at most 1).
    needed = np.flatnonzero((np.abs(weight) > 1e-17 * np.abs(weight).max(axis=1, keepdims=True)).any(axis=0))
    top = needed.max(initial=0) + 1
    total = np.empty((len(a), *c.shape))
    total[:] = weight[:, 0].reshape(-1, *[1] * c.ndim)
    previous, current = np.ones(c.shape), c.copy()
    for k in range(1, top):
        for series in range(len(a)):
            total[series] += weight[series, k] * current
        previous, current = current, ((2 * k + d - 2) * c * current - k * previous) / (k + d - 2)
    return total


def zonal_harmonic(cosine: ArrayLike, degree: int, dimension: int) -> Array:
    r"""Spherical harmonic :math:`\sqrt{N(d,k)}\,\hat C_k(c)` of unit power, :math:`c` the cosine to a fixed axis."""
    degree = _whole(degree, 0, "degree")
    root = np.sqrt(sphere_degeneracy(dimension, degree))
    return zonal_series(cosine, np.append(np.zeros(degree), 1 / root), dimension)
