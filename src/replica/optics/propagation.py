r"""Light through layers of 2 x 2 couplers, compiled: forward for many devices at once, and gradients backward.

Real and imaginary parts are kept apart and the modes' amplitudes lie side by side in memory, so that the innermost
loop runs over independent columns and uses vector instructions. Nothing is stored for the gradients: a mesh is
unitary, so the amplitudes before each layer are recovered from those after it.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from replica.optics.components import Complex, Float

__all__ = ["backpropagate", "propagate"]

COLUMNS_AT_ONCE = 64  # columns whose amplitudes fit the processor's second-level cache for a few hundred modes


def propagate(amplitudes: Complex, upper: np.ndarray, lower: np.ndarray, couplers: Complex) -> Complex:
    """Send light through the layers of one mesh, for many devices at once.

    Parameters
    ----------
    amplitudes : complex array, shape (devices, modes, columns), or (1, modes, columns) shared by all devices
        What goes in; each column is one input.
    upper, lower : integer arrays, shape (depth, slots)
        Modes that each coupler joins; slots with a negative number are skipped.
    couplers : complex array, shape (devices, depth, slots, 2, 2)
        The couplers' matrices, in the order (upper, lower).

    Returns
    -------
    complex array, shape (devices, modes, columns)
    """
    devices, depth, slots = couplers.shape[:3]
    coefficients = np.ascontiguousarray(couplers, dtype=np.complex128).view(np.float64)
    coefficients = coefficients.reshape(devices, depth, slots, 8)
    shape = (devices, *amplitudes.shape[1:])
    re = np.array(np.broadcast_to(amplitudes.real, shape), order="C", dtype=np.float64)
    im = np.array(np.broadcast_to(amplitudes.imag, shape), order="C", dtype=np.float64)
    _forward(re, im, np.ascontiguousarray(upper), np.ascontiguousarray(lower), coefficients)
    return re + 1j * im


def backpropagate(
    out: Complex, gradient: Complex, upper: np.ndarray, lower: np.ndarray, couplers: Complex
) -> tuple[Float, Float, Complex]:
    r"""Gradients of a loss with respect to the phases of one perfect mesh, and to its input.

    With :math:`g=\partial L/\partial\mathrm{Re}\,x+i\,\partial L/\partial\mathrm{Im}\,x` at every point of the mesh,
    :math:`\partial L/\partial\phi=\mathrm{Re}(i\,x_1g_1^*)` at the interferometer's input, and
    :math:`\partial L/\partial\theta` is the same expression between its splitters, summed over columns.

    Parameters
    ----------
    out, gradient : complex arrays, shape (modes, columns)
        Amplitudes behind the last layer (before the output phases), and the gradient there.
    upper, lower, couplers
        As for :func:`propagate`, ideal splitters, shape (depth, slots, 2, 2).

    Returns
    -------
    dtheta, dphi : arrays of shape (depth, slots)
    gradient : complex array, shape (modes, columns)
        At the mesh's input.
    """
    depth, slots = couplers.shape[:2]
    coefficients = np.ascontiguousarray(couplers, dtype=np.complex128).view(np.float64).reshape(depth, slots, 8)
    dtheta, dphi = np.zeros((depth, slots)), np.zeros((depth, slots))
    re, im = np.array(out.real, order="C"), np.array(out.imag, order="C")
    gre, gim = np.array(gradient.real, order="C"), np.array(gradient.imag, order="C")
    _backward(re, im, gre, gim, upper, lower, coefficients, dtheta, dphi)
    return dtheta, dphi, gre + 1j * gim


@njit(nogil=True)
def _forward(re, im, upper, lower, coefficients):  # pragma: no cover (compiled)
    devices, _, columns = re.shape
    depth, slots = upper.shape
    for d in range(devices):
        for start in range(0, columns, COLUMNS_AT_ONCE):
            stop = min(start + COLUMNS_AT_ONCE, columns)
            for layer in range(depth):
                for m in range(slots):
                    u, v = upper[layer, m], lower[layer, m]
                    if u < 0:
                        continue
                    a, b, c, e, f, g, h, i = coefficients[d, layer, m]
                    ru, iu, rv, iv = re[d, u], im[d, u], re[d, v], im[d, v]
                    for k in range(start, stop):
                        p, q, r, s = ru[k], iu[k], rv[k], iv[k]
                        ru[k] = a * p - b * q + c * r - e * s
                        iu[k] = a * q + b * p + c * s + e * r
                        rv[k] = f * p - g * q + h * r - i * s
                        iv[k] = f * q + g * p + h * s + i * r


@njit(nogil=True, fastmath={"reassoc", "contract"})
def _backward(re, im, gre, gim, upper, lower, coefficients, dtheta, dphi):  # pragma: no cover (compiled)
    columns = re.shape[1]
    depth, slots = upper.shape
    for layer in range(depth - 1, -1, -1):
        for m in range(slots):
            u, v = upper[layer, m], lower[layer, m]
            if u < 0:
                continue
            a, b, c, e, f, g, h, i = coefficients[layer, m]
            ru, iu, rv, iv = re[u], im[u], re[v], im[v]
            xu, yu, xv, yv = gre[u], gim[u], gre[v], gim[v]
            inner = 0.0
            outer = 0.0
            for k in range(columns):
                p, q, r, s = ru[k], iu[k], rv[k], iv[k]
                w, x, y, z = xu[k], yu[k], xv[k], yv[k]
                # between the splitters, upper arm: the last splitter undone, then Re(i x g*) = x_r g_i - x_i g_r
                inner += 0.5 * ((p + s) * (x - y) - (q - r) * (w + z))
                pn, qn = a * p + b * q + f * r + g * s, a * q - b * p + f * s - g * r
                wn, xn = a * w + b * x + f * y + g * z, a * x - b * w + f * z - g * y
                ru[k], iu[k] = pn, qn
                rv[k], iv[k] = c * p + e * q + h * r + i * s, c * q - e * p + h * s - i * r
                xu[k], yu[k] = wn, xn
                xv[k], yv[k] = c * w + e * x + h * y + i * z, c * x - e * w + h * z - i * y
                outer += pn * xn - qn * wn
            dtheta[layer, m] = inner
            dphi[layer, m] = outer
