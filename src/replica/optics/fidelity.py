r"""How far an imperfect mesh is from the perfect one, measured and in closed form.

The fidelity of :math:`U` with respect to :math:`U_0` is :math:`F=|\mathrm{Tr}(U_0^\dagger U)/N|^2`. To second order an
error :math:`\delta` of a component multiplies the mesh by :math:`e^{i\delta H}` with a Hermitian :math:`H` seen from
the output, and independent errors give

.. math:: 1-\mathbb E F=\sum_j\sigma_j^2\Big[\frac{\mathrm{Tr}H_j^2}N-\Big(\frac{\mathrm{Tr}H_j}N\Big)^2\Big].

A phase has :math:`\mathrm{Tr}H=\mathrm{Tr}H^2=1`. A beam splitter is a rotation by
:math:`\arccos r`, whose derivative at :math:`r=1/\sqrt2` is :math:`-\sqrt2`: :math:`\mathrm{Tr}H=0` and
:math:`\mathrm{Tr}H^2=4`. It counts four times, for every mesh and all angles.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from replica.optics.components import Float, check_finite, check_sigma
from replica.optics.meshes import Mesh, as_stack

__all__ = [
    "effective_depth", "fidelity_law", "haar_mean_reflectivity", "log_infidelity", "published_fft_law",
    "unitary_fidelity",
]  # fmt: skip


def unitary_fidelity(perfect: ArrayLike, devices: ArrayLike) -> Float:
    r""":math:`|\mathrm{Tr}(U_0^\dagger U)/N|^2` of matrices of shape (..., N, N) with respect to one of shape (N, N).

    ValueError for other shapes, NaN or infinite entries.
    """
    perfect = check_finite("perfect", perfect, np.complex128)
    devices = check_finite("devices", devices, np.complex128)
    if perfect.ndim != 2 or perfect.shape[0] != perfect.shape[1] or devices.shape[-2:] != perfect.shape:
        raise ValueError(f"expected shapes (N, N) and (..., N, N), got {perfect.shape} and {devices.shape}")
    return np.abs(np.einsum("ij,...ij->...", perfect.conj(), devices) / len(perfect)) ** 2


def effective_depth(meshes: Mesh | Sequence[Mesh]) -> float:
    r""":math:`L_{\rm eff}=2\,\#\mathrm{MZI}/N`: full layers. N - 1 in a grid, :math:`\log_2N` in an FFT."""
    stack = as_stack(meshes)
    return 2 * sum(mesh.mzis for mesh in stack) / stack[0].modes


def log_infidelity(
    meshes: Mesh | Sequence[Mesh], sigma_ps: ArrayLike, sigma_bs: ArrayLike, *, finite_size: bool = True
) -> Float:
    r"""The law for :math:`-\ln F` of a mesh or stack with small errors.

    .. math:: -\ln F=(\sigma_{PS}^2+4\sigma_{BS}^2)L_{\rm eff}+n_\psi\sigma_{PS}^2
              -\frac{L_{\rm eff}+n_\psi}N\sigma_{PS}^2

    with :math:`n_\psi` columns of output phases. The last term, left out without ``finite_size``, is the common phase
    of all modes, which fidelity does not see; with it the law is exact in first order of the variances, for any mesh
    and angles. Beyond that order it assumes that the mesh scrambles: errors of different layers then multiply.

    Parameters
    ----------
    meshes : Mesh or sequence of them
    sigma_ps, sigma_bs : arrays, broadcast against each other
    finite_size : bool
        Whether to take the common phase out.
    """
    stack = as_stack(meshes)
    for name, sigma in (("sigma_ps", sigma_ps), ("sigma_bs", sigma_bs)):
        for value in np.ravel(sigma):
            check_sigma(name, value)
    ps, bs = np.square(sigma_ps), np.square(sigma_bs)
    depth, phases = effective_depth(stack), effective_depth(stack) + len(stack)
    common = 1 / stack[0].modes if finite_size else 0.0
    return np.asarray(phases * ps * (1 - common) + 4 * depth * bs)


def fidelity_law(
    meshes: Mesh | Sequence[Mesh], sigma_ps: ArrayLike, sigma_bs: ArrayLike, *, finite_size: bool = True
) -> Float:
    r""":math:`F=\exp` of minus :func:`log_infidelity`, same arguments."""
    return np.exp(-log_infidelity(meshes, sigma_ps, sigma_bs, finite_size=finite_size))


def published_fft_law(meshes: Mesh | Sequence[Mesh], sigma: ArrayLike) -> Float:
    r"""What the published FFT code computes at :math:`\sigma_{PS}=\sigma_{BS}=\sigma`.

    There the errors of the interferometers' phases are left out, and of the common phase only that of the output
    phases remains: :math:`\exp[-4\sigma^2L_{\rm eff}-n_\psi\sigma^2(1-1/N)]`. ValueError for a negative or NaN sigma.
    """
    stack = as_stack(meshes)
    for value in np.ravel(sigma):
        check_sigma("sigma", value)
    return np.exp(-(4 * effective_depth(stack) + len(stack) * (1 - 1 / stack[0].modes)) * np.square(sigma))


def haar_mean_reflectivity(modes: int) -> float:
    r"""Mean of :math:`\sin^2(\theta/2)` over the grid of a Haar-random unitary matrix.

    Among the :math:`N(N-1)/2` interferometers :math:`N-j` have the density :math:`j(1-R)^{j-1}` of reflectivity
    :math:`R`, with mean :math:`1/(j+1)`, so that

    .. math:: \bar R=\frac{2[(N+1)(H_N-1)-(N-1)]}{N(N-1)},\qquad H_N=\sum_{k=1}^N\frac1k .

    Densities: Russell, Chakhmakhchyan, O'Brien and Laing (2017). ValueError for fewer than two modes.
    """
    if modes < 2:
        raise ValueError(f"an interferometer needs two modes, got {modes}")
    harmonic = np.sum(1 / np.arange(1, modes + 1))
    return float(2 * ((modes + 1) * (harmonic - 1) - (modes - 1)) / (modes * (modes - 1)))
