r"""The small problems inside :mod:`replica.landscapes.krylov`, compiled, for many points in one call.

Throughout, a point's tridiagonal matrix has the diagonal ``alpha[0..j-1]`` and, below and above it,
``beta[0..j-2]``; ``beta[j-1]`` is the entry in the additional last row of :math:`T_j`, shape (j + 1, j).
"""

from __future__ import annotations

import numpy as np
from numba import njit

#: A new Lanczos vector shorter than this, relative to the norm of H, is rounding: the space is complete.
BREAKDOWN = 1e-14


@njit(cache=True, nogil=True)
def lanczos_step(active, images, basis, alpha, beta, scale, j):
    """Orthogonalise H q_j against q_0..q_j, twice, and append the next basis vector; all in place.

    ``scale`` is the largest norm of a column of the tridiagonal matrix so far, a lower bound of the norm of H.
    """
    for row in range(active.size):
        i, w = active[row], images[row]
        Q = basis[i, : j + 1]
        alpha[i, j] = 0.0
        for _ in range(2):
            overlap = np.dot(Q, w)
            for q in range(j + 1):
                for e in range(w.size):
                    w[e] -= overlap[q] * Q[q, e]
            alpha[i, j] += overlap[j]
        size = np.sqrt(np.dot(w, w))
        before = beta[i, j - 1] if j > 0 else 0.0
        scale[i] = max(scale[i], np.sqrt(before**2 + alpha[i, j] ** 2 + size**2))
        if size > BREAKDOWN * scale[i]:
            beta[i, j] = size
            for e in range(w.size):
                basis[i, j + 1, e] = w[e] / size
        else:
            beta[i, j] = 0.0


@njit(cache=True, nogil=True)
def _projected_matrix(alpha, beta, m, shift):
    T = np.zeros((m + 1, m))
    for c in range(m):
        T[c, c] = alpha[c] + shift
        T[c + 1, c] = beta[c]
        if c > 0:
            T[c - 1, c] = beta[c - 1]
    return T


@njit(cache=True, nogil=True)
def _truncated_solution(alpha, beta, norm, m, shift, condition_limit, y):
    """Least squares by the singular value decomposition, small singular values dropped.

    It is read off the symmetric matrix with T and its transpose beside the diagonal: each singular value is an
    eigenvalue, its vector is the left and the right singular vector over sqrt(2), one after the other.
    """
    T = _projected_matrix(alpha, beta, m, shift)
    both = np.zeros((2 * m + 1, 2 * m + 1))
    for row in range(m + 1):
        for c in range(m):
            both[row, m + 1 + c] = both[m + 1 + c, row] = T[row, c]
    values, vectors = np.linalg.eigh(both)
    for q in range(m):
        y[q] = 0.0
    for c in range(m + 1, 2 * m + 1):
        if values[c] > values[2 * m] / condition_limit:
            for q in range(m):
                y[q] += 2 * norm * vectors[0, c] / values[c] * vectors[m + 1 + q, c]


@njit(cache=True, nogil=True)
def solve_projected(alpha, beta, norm, m, shift, condition_limit, y):
    """The minimum-length least-squares solution y of T y = norm e_1, written into ``y[:m]``.

    Givens rotations give the triangular factor R. Where the Frobenius norms of R and of its inverse prove that no
    singular value is below the limit, back substitution solves the problem; otherwise the decomposition does.
    """
    diag, up1, up2, rhs = np.empty(m), np.zeros(m), np.zeros(m), np.empty(m)
    cos1, sin1, cos2, sin2 = 1.0, 0.0, 1.0, 0.0  # the last rotation and the one before it
    carry, squares = norm, 0.0
    for c in range(m):
        above = beta[c - 1] if c > 0 else 0.0
        up2[c] = sin2 * above
        middle = cos2 * above
        here = alpha[c] + shift
        up1[c] = cos1 * middle + sin1 * here
        here = cos1 * here - sin1 * middle
        diag[c] = np.hypot(here, beta[c])
        if diag[c] == 0.0:
            _truncated_solution(alpha, beta, norm, m, shift, condition_limit, y)
            return
        cos2, sin2 = cos1, sin1
        cos1, sin1 = here / diag[c], beta[c] / diag[c]
        rhs[c] = cos1 * carry
        carry = -sin1 * carry
        squares += diag[c] ** 2 + up1[c] ** 2 + up2[c] ** 2
    # columns of the inverse of R: each is a combination of the two before it
    before, last, total = np.zeros(m), np.zeros(m), 0.0
    for c in range(m):
        new = np.zeros(m)
        for i in range(c):
            new[i] = -(up1[c] * last[i] + up2[c] * before[i]) / diag[c]
            total += new[i] ** 2
        new[c] = 1.0 / diag[c]
        total += new[c] ** 2
        before, last = last, new
    if not squares * total < condition_limit**2:
        _truncated_solution(alpha, beta, norm, m, shift, condition_limit, y)
        return
    for c in range(m - 1, -1, -1):
        y[c] = rhs[c]
        if c + 1 < m:
            y[c] -= up1[c + 1] * y[c + 1]
        if c + 2 < m:
            y[c] -= up2[c + 2] * y[c + 2]
        y[c] /= diag[c]


@njit(cache=True, nogil=True)
def _residual(alpha, beta, norm, x, m, out):
    """T_m x - norm e_1 for x of length m, written into ``out`` of length m + 1; returns its norm."""
    for row in range(m + 1):
        out[row] = -norm if row == 0 else 0.0
        if row < m:
            out[row] += alpha[row] * x[row]
        if row > 0:
            out[row] += beta[row - 1] * x[row - 1]
        if row + 1 < m:
            out[row] += beta[row] * x[row + 1]
    return np.sqrt(np.dot(out, out))


@njit(cache=True, nogil=True)
def least_squares_step(
    active, alpha, beta, norm, scale, m, is_last, tolerance, condition_limit, norm_limit,
    solution, residual, r, r_h, iterations, stop,
):  # fmt: skip
    """Solve the projected problem with m basis vectors and test it, given m + 1 columns of the matrix; in place.

    ``stop`` becomes the number of a ``KrylovStop`` where the point is finished and stays 0 otherwise. Where the second
    test ends it, the matrix with one more column is singular; if its small singular value is dropped, the solution is
    free of the kernel, and being the shorter one it is taken.
    """
    y, z, longer, image = np.empty(m), np.empty(m + 1), np.empty(m + 1), np.empty(m + 2)
    for row in range(active.size):
        i = active[row]
        solve_projected(alpha[i], beta[i], norm[i], m, 0.0, condition_limit, y)
        length = np.sqrt(np.dot(y, y))
        if length > norm_limit:
            stop[i] = 5
            if m > 1:
                continue
            y[:], length = 0.0, 0.0
        rest = _residual(alpha[i], beta[i], norm[i], y, m, z)
        solution[i, :m] = y
        residual[i, : m + 1] = z
        iterations[i] = m
        r[i] = rest / (scale[i] * length + norm[i])
        r_h[i] = 0.0
        if rest > 0 and scale[i] > 0:
            r_h[i] = _residual(alpha[i], beta[i], 0.0, z, m + 1, image) / (scale[i] * rest)
        if stop[i] == 0:
            if r[i] < tolerance:
                stop[i] = 1
            elif r_h[i] < tolerance:
                stop[i] = 2
                solve_projected(alpha[i], beta[i], norm[i], m + 1, 0.0, condition_limit, longer)
                short = np.sqrt(np.dot(longer, longer))
                if beta[i, m - 1] > 0 and short < length:
                    rest = _residual(alpha[i], beta[i], norm[i], longer, m + 1, image)
                    solution[i, : m + 1] = longer
                    residual[i, : m + 2] = image
                    iterations[i] = m + 1
                    r[i] = rest / (scale[i] * short + norm[i])
            elif beta[i, m - 1] == 0.0:
                stop[i] = 4
            elif is_last:
                stop[i] = 3


@njit(cache=True, nogil=True)
def shifted_solutions(alpha, beta, norm, sizes, shifts, condition_limit):
    """Solutions (n_shifts, n, room) of the projected problems of H + shift."""
    out = np.zeros((shifts.size, norm.size, alpha.shape[1]))
    for i in range(norm.size):
        if sizes[i] > 0:
            for s in range(shifts.size):
                solve_projected(alpha[i], beta[i], norm[i], sizes[i], shifts[s], condition_limit, out[s, i])
    return out


@njit(cache=True, nogil=True)
def saddle_free_solutions(alpha, beta, norm, sizes, shifts):
    """Coefficients (n_shifts, n, room) of the inverse of abs(T) + shift on the first basis vector, T square."""
    out = np.zeros((shifts.size, norm.size, alpha.shape[1]))
    for i in range(norm.size):
        m = sizes[i]
        if m > 0:
            values, vectors = np.linalg.eigh(_projected_matrix(alpha[i], beta[i], m, 0.0)[:m])
            for s in range(shifts.size):
                for c in range(m):
                    weight = norm[i] * vectors[0, c] / (abs(values[c]) + shifts[s])
                    for q in range(m):
                        out[s, i, q] += weight * vectors[q, c]
    return out


@njit(cache=True, nogil=True)
def combine_basis(basis, solution, sizes):
    """The directions (n, d): each point's basis vectors summed with its coefficients."""
    out = np.zeros((basis.shape[0], basis.shape[2]))
    for i in range(basis.shape[0]):
        if sizes[i] > 0:
            out[i] = np.dot(solution[i, : sizes[i]], basis[i, : sizes[i]])
    return out
