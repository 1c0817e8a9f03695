r"""A unitary matrix as a grid of Mach-Zehnder interferometers, exactly (Clements et al., Optica 3, 1460, 2016).

Entries below the diagonal are nulled one by one, along antidiagonals from the lower left corner, in turn by an
interferometer on the right (mixing two columns) and on the left (mixing two rows). A diagonal of phases remains.
Those on the left are then moved through it, :math:`T(\theta,\phi)^\dagger D=D'T(\theta,\phi')`, and the sequence
falls into layers: ``N (N - 1) / 2`` interferometers in exactly ``N`` layers for ``N > 2``.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from replica.optics.components import Complex, check_finite
from replica.optics.meshes import Mesh, grid_layout, grid_mesh

__all__ = ["check_unitary", "clements_decompose"]

UNITARY_TOLERANCE = 1e-8


def check_unitary(name: str, matrix: ArrayLike, tolerance: float = UNITARY_TOLERANCE) -> Complex:
    r"""The matrix as complex128; ValueError unless it is square, finite and, within ``tolerance``, unitary."""
    matrix = np.asarray(matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ValueError(f"{name} must be a square matrix, got shape {matrix.shape}")
    matrix = check_finite(name, matrix, np.complex128)
    error = np.abs(matrix.conj().T @ matrix - np.eye(len(matrix))).max()
    if error > tolerance:
        raise ValueError(
            f"{name} must be unitary: its columns miss orthonormality by {error:.3g}, more than {tolerance:.3g} "
            "(a complex64 matrix of a few hundred modes does so by rounding)"
        )
    return matrix


def clements_decompose(unitary: ArrayLike, tolerance: float = UNITARY_TOLERANCE) -> Mesh:
    """The grid mesh whose matrix is ``unitary``.

    Parameters
    ----------
    unitary : complex array, shape (N, N)
    tolerance : float
        How far it may be from unitary.

    Returns
    -------
    Mesh
        N layers deep. Zero entries need no rotation angle that is defined; the cross or bar state is taken.

    Raises
    ------
    ValueError
        If the matrix is not square, finite and unitary.
    """
    matrix = check_unitary("unitary", unitary, tolerance).copy()
    modes = len(matrix)
    upper, _ = grid_layout(modes)
    theta, phi = np.zeros(upper.shape), np.zeros(upper.shape)
    psi = _decompose(matrix, theta, phi)
    return grid_mesh(theta, phi, psi)


@njit(nogil=True)
def _rotation(theta, phi):  # pragma: no cover (compiled)
    """The entries of T(theta, phi) with ideal splitters."""
    common = 1j * np.exp(0.5j * theta)
    outer = np.exp(1j * phi)
    s, c = np.sin(0.5 * theta), np.cos(0.5 * theta)
    return common * outer * s, common * c, common * outer * c, -common * s


@njit(nogil=True)
def _angle(z):  # pragma: no cover (compiled)
    """The argument of z, 0 for an exact zero of either sign."""
    if z.real == 0.0 and z.imag == 0.0:
        return 0.0
    return np.arctan2(z.imag, z.real)


@njit(nogil=True)
def _decompose(matrix, theta_of, phi_of):  # pragma: no cover (compiled)
    """Null ``matrix`` in place and fill the phases by layer and slot; returns the output phases."""
    n = matrix.shape[0]
    transposed = matrix.T.copy()  # whose rows, the matrix's columns, are contiguous
    total = n * (n - 1) // 2
    mode = np.zeros(total, np.int64)
    theta = np.zeros(total)
    phi = np.zeros(total)
    right = 0  # filled from the front
    left = total  # and from the back: in reversed order of application, as the second step wants them
    for i in range(1, n):
        for j in range(i):
            if i % 2 == 1:
                row, m = n - 1 - j, i - 1 - j
                x, y = transposed[m, row], transposed[m + 1, row]
                th = 2 * np.arctan2(np.abs(y), np.abs(x))
                ph = _angle(x) - _angle(y) + np.pi
                a, b, c, d = _rotation(th, ph)
                a, b, c, d = np.conj(a), np.conj(b), np.conj(c), np.conj(d)
                first, second = transposed[m], transposed[m + 1]
                for k in range(row + 1):  # rows further down are nulled in both columns
                    p, q = first[k], second[k]
                    first[k] = p * a + q * b
                    second[k] = p * c + q * d
                mode[right], theta[right], phi[right] = m, th, ph
                right += 1
            else:
                row, column = n + j - i, j
                m = row - 1
                x, y = transposed[column, m], transposed[column, row]
                th = 2 * np.arctan2(np.abs(x), np.abs(y))
                ph = _angle(y) - _angle(x)
                a, b, c, d = _rotation(th, ph)
                for k in range(column, n):  # columns to the left are nulled in both rows
                    p, q = transposed[k, m], transposed[k, row]
                    transposed[k, m] = a * p + b * q
                    transposed[k, row] = c * p + d * q
                left -= 1
                mode[left], theta[left], phi[left] = m, th, ph
    psi = np.zeros(n)
    for k in range(n):
        psi[k] = _angle(transposed[k, k])
    for index in range(left, total):
        m = mode[index]
        shifted = psi[m] - psi[m + 1]
        last = psi[m + 1] - theta[index] + np.pi
        # kept within one turn: phases that grow lose digits
        psi[m], psi[m + 1] = np.mod(last - phi[index], 2 * np.pi), np.mod(last, 2 * np.pi)
        phi[index] = shifted
    depth = np.zeros(n, np.int64)
    for index in range(total):
        m = mode[index]
        layer = max(depth[m], depth[m + 1])
        if (layer - m) % 2 != 0:
            layer += 1
        slot = (m - layer % 2) // 2
        theta_of[layer, slot] = theta[index]
        phi_of[layer, slot] = np.mod(phi[index], 2 * np.pi)
        depth[m] = depth[m + 1] = layer + 1
    return np.mod(psi, 2 * np.pi)
