"""Which part of a mesh matters most: errors confined to one block of interferometers at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from replica.optics.components import Float, check_sigma
from replica.optics.imperfections import perturbed_matrices
from replica.optics.meshes import Mesh, mesh_matrix
from replica.optics.networks import OpticalLayer, accuracy, forward, layer_matrix, mod_softplus

__all__ = ["block_errors", "block_sensitivity", "block_shape"]


def block_shape(mesh: Mesh, block: int) -> tuple[int, int]:
    """How many blocks of ``block`` layers by ``block`` interferometers a mesh has; the last ones may be smaller.

    ValueError for a block of fewer than one layer.
    """
    if block < 1:
        raise ValueError(f"a block needs at least one layer and interferometer, got {block}")
    return -(-mesh.depth // block), -(-mesh.theta.shape[1] // block)


def block_errors(
    mesh: Mesh, block: int, place: tuple[int, int], sigma: float, draws: int, rng: np.random.Generator
) -> Float:
    """Gaussian errors of the inner phases in one block, zero elsewhere; shape (draws, depth, slots), radians."""
    rows, columns = block_shape(mesh, block)
    if not (0 <= place[0] < rows and 0 <= place[1] < columns):
        raise ValueError(f"place must lie within {rows} x {columns} blocks, got {place}")
    errors = np.zeros((draws, *mesh.theta.shape))
    layers, slots = (slice(block * p, block * (p + 1)) for p in place)
    inside = errors[:, layers, slots]
    inside[...] = check_sigma("sigma", sigma) * rng.standard_normal(inside.shape)
    return errors


def block_sensitivity(
    layers: Sequence[OpticalLayer],
    index: int,
    which: Literal["first", "second"],
    block: int,
    sigma: float,
    draws: int,
    inputs: ArrayLike,
    labels: ArrayLike,
    rng: np.random.Generator,
    *,
    t0: float = 0.03,
    report: Callable[[], object] | None = None,
) -> Float:
    """Change of a network's accuracy when only one block of one mesh is imperfect, for every block.

    Parameters
    ----------
    layers : the perfect network
    index : int
        The layer in question; its stacks must be single meshes.
    which : {"first", "second"}
        The mesh before the attenuators, or the one behind them.
    block : int
        Layers and interferometers on a side of a block.
    sigma : float
        Standard deviation of the inner phases' errors, radians.
    draws : int
        Independent errors for each block.
    inputs, labels
        Images, and what they show.
    rng : numpy.random.Generator
    t0 : float
        Slope of the absorber at zero.
    report : callable, optional
        Called after every block.

    Returns
    -------
    array of shape (draws, blocks along the depth, blocks across)
        Accuracy with errors minus accuracy without.

    Raises
    ------
    ValueError
        For another mesh than "first" or "second", or a layer of stacks.
    """
    layer = layers[index]
    if which not in ("first", "second"):
        raise ValueError(f"which must be 'first' or 'second', got {which!r}")
    if len(layer.first) != 1 or len(layer.second) != 1:
        raise ValueError(f"layer {index} must consist of single meshes, not of stacks")
    weights = [layer_matrix(one) for one in layers]
    perfect = accuracy(weights, inputs, labels, t0)
    before = forward(weights[:index], inputs, t0)
    if index:
        modulus = np.maximum(np.abs(before), 1e-30)
        before = before * (mod_softplus(modulus, t0) / modulus)
    k = np.arange(len(layer.attenuation))
    transmission = layer.gain * np.sin(layer.attenuation / 2)
    first = mesh_matrix(layer.first, layer.inputs)[: k.size]
    second = mesh_matrix(layer.second, k)[layer.outputs]
    mesh = getattr(layer, which)[0]
    change = np.empty((draws, *block_shape(mesh, block)))
    for place in np.ndindex(change.shape[1:]):
        errors = block_errors(mesh, block, place, sigma, draws, rng)
        if which == "first":
            bent = (second * transmission) @ perturbed_matrices(mesh, errors, rows=k, columns=layer.inputs)
        else:
            bent = perturbed_matrices(mesh, errors, rows=layer.outputs, columns=k) @ (transmission[:, None] * first)
        for draw, matrix in enumerate(bent):
            change[(draw, *place)] = accuracy([matrix, *weights[index + 1 :]], before, labels, t0) - perfect
        if report is not None:
            report()
    return change
