r"""Meshes of Mach-Zehnder interferometers: the rectangular grid, the FFT butterfly, and stacks of meshes.

A mesh is a sequence of layers of MZIs on disjoint pairs of modes, then one column of output phases
:math:`e^{i\psi_k}`. The shapes differ only in who is paired with whom:

- grid (Clements et al. 2016): even layers pair (0,1), (2,3), ..., odd layers (1,2), (3,4), ...; as deep as there are
  modes it reaches every unitary matrix, with fewer layers it is truncated;
- FFT: layer l pairs k with `k XOR 2**l`; it has `log2 N` layers and is not universal.

A stack is a tuple of meshes of equal width, in the order in which light meets them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.optics.components import Complex, Float, check_finite, mzi_matrix
from replica.optics.propagation import propagate

__all__ = [
    "Mesh", "Stack", "apply_mesh", "as_stack", "fft_layout", "fft_mesh", "grid_layout", "grid_mesh", "mesh_matrix",
    "random_fft_mesh", "random_fft_stack", "random_grid_mesh",
]  # fmt: skip

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Mesh:
    """A mesh and its phases. Made by :func:`grid_mesh`, :func:`fft_mesh` and their kin.

    Attributes
    ----------
    theta, phi : arrays of shape (depth, slots), radians
        Inner and outer phase of every MZI.
    psi : array of shape (modes,), radians
        Output phases.
    upper, lower : integer arrays of shape (depth, slots)
        Modes that the MZI couples; -1 in a slot that holds none (then its phases are 0).
    """

    theta: Float
    phi: Float
    psi: Float
    upper: Index
    lower: Index

    @property
    def modes(self) -> int:
        """Number of waveguides N."""
        return self.psi.size

    @property
    def depth(self) -> int:
        """Number of layers of MZIs."""
        return self.theta.shape[0]

    @property
    def used(self) -> NDArray[np.bool_]:
        """Which slots hold an MZI; shape (depth, slots)."""
        return self.upper >= 0

    @property
    def mzis(self) -> int:
        """Number of MZIs."""
        return int(self.used.sum())


#: meshes of equal width in series, in the order in which light meets them
Stack = tuple[Mesh, ...]


def as_stack(meshes: Mesh | Sequence[Mesh]) -> Stack:
    """A mesh, or meshes in series, as a tuple; ValueError for none at all or different widths."""
    stack = (meshes,) if isinstance(meshes, Mesh) else tuple(meshes)
    if not stack or not all(isinstance(mesh, Mesh) for mesh in stack):
        raise ValueError(f"expected a Mesh or a non-empty sequence of them, got {type(meshes).__name__}")
    if len({mesh.modes for mesh in stack}) > 1:
        raise ValueError(f"meshes in series need equal numbers of modes, got {[mesh.modes for mesh in stack]}")
    return stack


def grid_layout(modes: int, depth: int | None = None) -> tuple[Index, Index]:
    """Upper and lower modes of a grid, shape (depth, modes // 2); -1 where a layer has no MZI.

    ValueError for fewer than one mode or a negative depth. By default the grid is as deep as it is wide, which makes
    it universal.
    """
    if modes < 1:
        raise ValueError(f"a mesh needs at least one mode, got {modes}")
    depth = modes if depth is None else depth
    if depth < 0:
        raise ValueError(f"depth must not be negative, got {depth}")
    upper = 2 * np.arange(modes // 2)[None, :] + (np.arange(depth) % 2)[:, None]
    upper = np.where(upper + 1 < modes, upper, -1)
    return upper, np.where(upper >= 0, upper + 1, -1)


def fft_layout(modes: int) -> tuple[Index, Index]:
    """Upper and lower modes of the butterfly, shape (log2 modes, modes // 2).

    ValueError unless the number of modes is a power of two, 2 at least.
    """
    if modes < 2 or modes & (modes - 1):
        raise ValueError(f"an FFT mesh needs a power of two of modes (2, 4, 8, ...), got {modes}")
    everyone = np.arange(modes)
    bits = 2 ** np.arange(modes.bit_length() - 1)
    upper = np.stack([everyone[(everyone & bit) == 0] for bit in bits])
    return upper, upper + bits[:, None]


def grid_mesh(theta: ArrayLike, phi: ArrayLike, psi: ArrayLike) -> Mesh:
    """A grid from phases of shapes (depth, N // 2), the same, and (N,); phases in empty slots are set to 0."""
    psi = check_finite("psi", psi)
    if psi.ndim != 1:
        raise ValueError(f"psi must have shape (modes,), got {psi.shape}")
    theta = np.asarray(theta, dtype=np.float64)
    layout = grid_layout(psi.size, theta.shape[0] if theta.ndim == 2 else None)
    return _mesh(theta, phi, psi, layout)


def fft_mesh(theta: ArrayLike, phi: ArrayLike, psi: ArrayLike) -> Mesh:
    """An FFT mesh from phases of shapes (log2 N, N // 2), the same, and (N,)."""
    psi = check_finite("psi", psi)
    if psi.ndim != 1:
        raise ValueError(f"psi must have shape (modes,), got {psi.shape}")
    return _mesh(theta, phi, psi, fft_layout(psi.size))


def random_grid_mesh(modes: int, rng: np.random.Generator, depth: int | None = None) -> Mesh:
    r"""A grid with random phases: :math:`\theta=\arcsin u`, :math:`u` uniform on (0, 1), the others uniform.

    These are the initial phases of the published code. A truncated grid cannot be had by decomposing a random unitary
    matrix, so it is compared with other meshes at these phases.
    """
    return _random(modes, grid_layout(modes, depth), rng)


def random_fft_mesh(modes: int, rng: np.random.Generator) -> Mesh:
    """An FFT mesh with random phases as in :func:`random_grid_mesh`."""
    return _random(modes, fft_layout(modes), rng)


def random_fft_stack(modes: int, count: int, rng: np.random.Generator) -> Stack:
    """``count`` independent FFT meshes in series, each with its own output phases."""
    if count < 1:
        raise ValueError(f"a stack needs at least one mesh, got count={count}")
    return tuple(random_fft_mesh(modes, rng) for _ in range(count))


def mesh_matrix(meshes: Mesh | Sequence[Mesh], columns: ArrayLike | None = None) -> Complex:
    """The unitary matrix of a perfect mesh or stack, shape (N, N), or only some of its columns."""
    stack = as_stack(meshes)
    start = np.eye(stack[0].modes, dtype=np.complex128)
    amplitudes = start if columns is None else start[:, np.asarray(columns)]
    for mesh in stack:
        amplitudes = apply_mesh(mesh, amplitudes)
    return amplitudes


def apply_mesh(mesh: Mesh, amplitudes: ArrayLike) -> Complex:
    """What comes out of a perfect mesh for amplitudes of shape (N, columns) going in; the same shape."""
    amplitudes = np.asarray(amplitudes, dtype=np.complex128)
    if amplitudes.ndim != 2 or len(amplitudes) != mesh.modes:
        raise ValueError(f"amplitudes must have shape ({mesh.modes}, columns), got {amplitudes.shape}")
    out = propagate(amplitudes[None], mesh.upper, mesh.lower, mzi_matrix(mesh.theta, mesh.phi)[None])[0]
    return np.exp(1j * mesh.psi)[:, None] * out


def _mesh(theta: ArrayLike, phi: ArrayLike, psi: Float, layout: tuple[Index, Index]) -> Mesh:
    theta, phi = check_finite("theta", theta), check_finite("phi", phi)
    upper, lower = layout
    for name, phases in (("theta", theta), ("phi", phi)):
        if phases.shape != upper.shape:
            raise ValueError(f"{name} must have shape {upper.shape} for {psi.size} modes, got {phases.shape}")
    return Mesh(np.where(upper >= 0, theta, 0.0), np.where(upper >= 0, phi, 0.0), psi, upper, lower)


def _random(modes: int, layout: tuple[Index, Index], rng: np.random.Generator) -> Mesh:
    theta = np.arcsin(rng.random(layout[0].shape))
    phi = rng.uniform(0, 2 * np.pi, layout[0].shape)
    return _mesh(theta, phi, rng.uniform(0, 2 * np.pi, modes), layout)
