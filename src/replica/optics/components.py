r"""Phase shifters, beam splitters and the Mach-Zehnder interferometer (MZI) as 2 x 2 matrices on light amplitudes.

Two waveguides carry the complex amplitudes :math:`(x_1, x_2)`. A phase shifter on the upper one is
:math:`P(\theta)=\mathrm{diag}(e^{i\theta}, 1)`; a beam splitter of amplitude reflectivity :math:`r` is

.. math:: B(r) = \begin{pmatrix} r & it \\ it & r \end{pmatrix},\qquad t=\sqrt{1-r^2},

ideal at :math:`r=1/\sqrt2`. An MZI is :math:`T=B(r_2)P(\theta)B(r_1)P(\phi)`: light meets the outer phase
:math:`\phi` first. For ideal splitters

.. math:: T = ie^{i\theta/2}\begin{pmatrix} e^{i\phi}\sin\frac\theta2 & \cos\frac\theta2 \\
          e^{i\phi}\cos\frac\theta2 & -\sin\frac\theta2 \end{pmatrix},

so :math:`\theta=0` is the cross state (all light changes waveguide) and :math:`\theta=\pi` the bar state.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["IDEAL", "beam_splitter", "check_finite", "check_sigma", "mzi_matrix", "phase_shifter", "reflectivity"]

#: amplitude reflectivity of a perfect 50:50 beam splitter
IDEAL: float = float(np.sqrt(0.5))

Float = NDArray[np.float64]
Complex = NDArray[np.complex128]


def check_finite(name: str, values: ArrayLike, dtype: type = np.float64) -> NDArray:
    """The values as an array, or a ValueError that counts what is NaN or infinite in them."""
    array = np.asarray(values, dtype=dtype)
    bad = array.size - int(np.isfinite(array).sum())
    if bad:
        raise ValueError(f"{name} must be finite; {bad} of {array.size} entries are NaN or infinite")
    return array


def check_sigma(name: str, sigma: float) -> float:
    """A standard deviation, finite and not negative, or a ValueError."""
    value = float(sigma)
    if not np.isfinite(value) or value < 0:
        raise ValueError(f"{name} is a standard deviation: expected a finite number >= 0, got {sigma!r}")
    return value


def phase_shifter(theta: ArrayLike) -> Complex:
    """:math:`P(\\theta)`, a phase on the upper waveguide; shape (..., 2, 2)."""
    theta = check_finite("theta", theta)
    result = np.zeros((*theta.shape, 2, 2), dtype=np.complex128)
    result[..., 0, 0] = np.exp(1j * theta)
    result[..., 1, 1] = 1
    return result


def beam_splitter(r: ArrayLike = IDEAL) -> Complex:
    """:math:`B(r)`; shape (..., 2, 2). ValueError for an amplitude reflectivity outside [0, 1]."""
    r = _check_reflectivity("r", r)
    result = np.empty((*r.shape, 2, 2), dtype=np.complex128)
    result[..., 0, 0] = result[..., 1, 1] = r
    result[..., 0, 1] = result[..., 1, 0] = 1j * np.sqrt(1 - r**2)
    return result


def mzi_matrix(theta: ArrayLike, phi: ArrayLike, r1: ArrayLike = IDEAL, r2: ArrayLike = IDEAL) -> Complex:
    r"""The interferometer :math:`T=B(r_2)P(\theta)B(r_1)P(\phi)`, unitary for every argument.

    Parameters
    ----------
    theta, phi : arrays, radians
        Inner and outer phase; broadcast against each other and the reflectivities.
    r1, r2 : arrays in [0, 1]
        Amplitude reflectivities of the first and second beam splitter.

    Returns
    -------
    complex array of shape (..., 2, 2)

    Raises
    ------
    ValueError
        If a phase is not finite or a reflectivity lies outside [0, 1].
    """
    theta, phi = check_finite("theta", theta), check_finite("phi", phi)
    return _mzi(theta, phi, _check_reflectivity("r1", r1), _check_reflectivity("r2", r2))


def _mzi(theta: Float, phi: Float, r1: Float, r2: Float) -> Complex:
    """:func:`mzi_matrix` without the checks, for inner loops."""
    inner, outer = _unit(theta), _unit(phi)
    t1, t2 = np.sqrt(1 - r1 * r1), np.sqrt(1 - r2 * r2)
    result = np.empty((*np.broadcast_shapes(theta.shape, phi.shape, r1.shape, r2.shape), 2, 2), dtype=np.complex128)
    result[..., 0, 0] = outer * ((r1 * r2) * inner - t1 * t2)
    result[..., 0, 1] = 1j * ((r2 * t1) * inner + t2 * r1)
    result[..., 1, 0] = 1j * outer * ((t2 * r1) * inner + r2 * t1)
    result[..., 1, 1] = r1 * r2 - (t1 * t2) * inner
    return result


def _unit(angle: Float) -> Complex:
    """:math:`e^{i\\alpha}`, about twice as fast as the complex exponential."""
    result = np.empty(angle.shape, dtype=np.complex128)
    result.real, result.imag = np.cos(angle), np.sin(angle)
    return result


def reflectivity(theta: ArrayLike) -> Float:
    r"""Power that stays in its waveguide, :math:`|T_{11}|^2=\sin^2(\theta/2)`, for ideal splitters."""
    return np.sin(np.asarray(theta, dtype=np.float64) / 2) ** 2


def _check_reflectivity(name: str, r: ArrayLike) -> Float:
    r = check_finite(name, r)
    if r.size and (r.min() < 0 or r.max() > 1):
        raise ValueError(
            f"{name} is an amplitude reflectivity in [0, 1]; got values from {r.min():.4g} to {r.max():.4g}"
        )
    return r
