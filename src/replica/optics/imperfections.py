r"""Imperfect devices: every phase and every beam splitter of a mesh off by an independent Gaussian error.

A device is one draw of :math:`\theta,\phi,\psi\to\cdot+\sigma_{PS}\xi` (radians) and, for both beam splitters of each
interferometer, :math:`r\to1/\sqrt2+\sigma_{BS}\xi`, clipped to [0, 1]. Its matrix is built once, by sending the
identity through the layers, for many devices at a time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from replica.optics.components import IDEAL, Complex, Float, _mzi, check_finite, check_sigma
from replica.optics.meshes import Mesh, as_stack
from replica.optics.propagation import propagate

__all__ = ["noisy_matrices", "noisy_reflectivity", "perturbed_matrices"]

ENTRIES_AT_ONCE = 4_000_000  # complex numbers held while devices are drawn: 64 MB


def noisy_reflectivity(sigma_bs: float, shape: tuple[int, ...], rng: np.random.Generator) -> Float:
    r"""Amplitude reflectivities :math:`1/\sqrt2+\sigma_{BS}\xi`, clipped to [0, 1]."""
    sigma_bs = check_sigma("sigma_bs", sigma_bs)
    if sigma_bs == 0:
        return np.full((1,) * len(shape), IDEAL)
    return np.clip(IDEAL + sigma_bs * rng.standard_normal(shape), 0.0, 1.0)


def noisy_matrices(
    meshes: Mesh | Sequence[Mesh],
    sigma_ps: float,
    sigma_bs: float,
    devices: int,
    rng: np.random.Generator,
    *,
    rows: ArrayLike | None = None,
    columns: ArrayLike | None = None,
    published_fft_noise: bool = False,
) -> Complex:
    r"""Matrices of independently imperfect copies of a mesh or stack.

    Parameters
    ----------
    meshes : Mesh or sequence of them
        In the order in which light meets them.
    sigma_ps, sigma_bs : float
        Standard deviations of phases (radians) and of amplitude reflectivities.
    devices : int
        Number of copies.
    rng : numpy.random.Generator
    rows, columns : integer arrays, optional
        Output and input modes wanted; all by default. The light is sent from the side with fewer modes.
    published_fft_noise : bool
        Leave the errors of :math:`\theta` and :math:`\phi` out, as the published FFT mesh does: it draws them and then
        takes the phases without them. Only to explain published curves.

    Returns
    -------
    complex array, shape (devices, rows, columns)

    Raises
    ------
    ValueError
        For a negative or NaN standard deviation, or no device.
    """
    stack = as_stack(meshes)
    sigma_ps, sigma_bs = check_sigma("sigma_ps", sigma_ps), check_sigma("sigma_bs", sigma_bs)
    if devices < 1:
        raise ValueError(f"devices must be at least 1, got {devices}")
    phase_sigma = 0.0 if published_fft_noise else sigma_ps

    def draw(mesh: Mesh, count: int) -> tuple[Complex, Float]:
        shape = (count, *mesh.theta.shape)
        theta, phi = _shift(mesh.theta, phase_sigma, shape, rng), _shift(mesh.phi, phase_sigma, shape, rng)
        first, second = (noisy_reflectivity(sigma_bs, shape, rng) for _ in range(2))
        return _mzi(theta, phi, first, second), _shift(mesh.psi, sigma_ps, (count, mesh.modes), rng)

    size = max(max(mesh.theta.size * 4 for mesh in stack), stack[0].modes ** 2)
    step = max(1, ENTRIES_AT_ONCE // size)
    counts = [min(step, devices - start) for start in range(0, devices, step)]
    return np.concatenate([_matrices(stack, draw, count, rows, columns) for count in counts])


def perturbed_matrices(
    mesh: Mesh,
    theta_errors: ArrayLike,
    *,
    rows: ArrayLike | None = None,
    columns: ArrayLike | None = None,
) -> Complex:
    r"""Matrices of one mesh with given errors of its inner phases, all else perfect.

    Parameters
    ----------
    mesh : Mesh
    theta_errors : array, shape (devices, depth, slots), radians
        Added to :math:`\theta`; for localised errors, zero outside a block.
    rows, columns
        As for :func:`noisy_matrices`.

    Returns
    -------
    complex array, shape (devices, rows, columns)

    Raises
    ------
    ValueError
        For errors that are not finite or of another shape.
    """
    errors = check_finite("theta_errors", theta_errors)
    if errors.ndim != 3 or errors.shape[1:] != mesh.theta.shape:
        raise ValueError(
            f"theta_errors must have shape (devices, {mesh.depth}, {mesh.theta.shape[1]}), got {errors.shape}"
        )
    ideal, bent = np.array(IDEAL), (errors != 0).any(axis=0)
    perfect = _mzi(mesh.theta, mesh.phi, ideal, ideal)

    def draw(mesh: Mesh, count: int) -> tuple[Complex, Float]:
        couplers = np.repeat(perfect[None], count, axis=0)
        couplers[:, bent] = _mzi(mesh.theta[bent] + errors[:, bent], mesh.phi[bent], ideal, ideal)
        return couplers, np.broadcast_to(mesh.psi, (count, mesh.modes))

    return _matrices((mesh,), draw, len(errors), rows, columns)


def _matrices(stack, draw, count, rows, columns) -> Complex:
    """Rows and columns of the product of a stack's drawn devices, from the cheaper side."""
    modes = stack[0].modes
    rows = np.arange(modes) if rows is None else np.asarray(rows)
    columns = np.arange(modes) if columns is None else np.asarray(columns)
    backward = len(rows) < len(columns)
    amplitudes = np.eye(modes, dtype=np.complex128)[None, :, rows if backward else columns]
    for mesh in reversed(stack) if backward else stack:
        couplers, psi = draw(mesh, count)
        output = np.exp(1j * psi)[:, :, None]
        if backward:  # the transposed mesh: phases first, then the layers in reverse, each with T transposed
            couplers = couplers[:, ::-1].swapaxes(-1, -2)
            amplitudes = propagate(output * amplitudes, mesh.upper[::-1], mesh.lower[::-1], couplers)
        else:
            amplitudes = output * propagate(amplitudes, mesh.upper, mesh.lower, couplers)
    wanted = amplitudes[:, columns].swapaxes(1, 2) if backward else amplitudes[:, rows]
    return np.repeat(wanted, count, axis=0) if len(wanted) < count else wanted  # without errors all are alike


def _shift(values: Float, sigma: float, shape: tuple[int, ...], rng: np.random.Generator) -> Float:
    return values[None] if sigma == 0 else values + sigma * rng.standard_normal(shape)
