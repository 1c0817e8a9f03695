r"""Complex-valued networks of optical layers, perfect and imperfect.

A layer is :math:`x\mapsto U\,\beta\,\mathrm{diag}(\sin\frac{\vartheta_k}2)\,V^\dagger x`: a mesh, a row of
attenuators with a common gain, another mesh. Between layers a saturable absorber acts on the modulus
(:func:`mod_softplus`); at the end the intensities of the output modes are the logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.optics.components import Complex, Float, check_finite, check_sigma
from replica.optics.decomposition import clements_decompose
from replica.optics.imperfections import noisy_matrices
from replica.optics.meshes import Stack, mesh_matrix, random_fft_stack

__all__ = [
    "OpticalLayer", "accuracy", "complex_images", "device_accuracy", "forward", "grid_layer", "layer_matrix",
    "mod_softplus", "mod_softplus_slope", "noisy_layer_matrices", "random_fft_layer", "softplus_offset",
]  # fmt: skip


def softplus_offset(t0: float) -> float:
    r""":math:`u_0=\frac12\ln(1/T_0-1)`; ValueError unless the slope at zero, ``t0``, lies in (0, 1)."""
    if not 0 < t0 < 1:
        raise ValueError(f"t0 is the slope at zero, between 0 and 1; got {t0!r}")
    return float(0.5 * np.log(1 / t0 - 1))


def mod_softplus(modulus: ArrayLike, t0: float = 0.03) -> Float:
    r"""The absorber's response :math:`f(x)=\frac12[\ln(1+e^{2(x-u_0)})-\ln(1+e^{-2u_0})]` to a modulus :math:`x\ge0`.

    :math:`f(0)=0`, :math:`f'(0)=T_0`, :math:`f'(\infty)=1`.
    """
    offset = softplus_offset(t0)
    y = 2 * (np.asarray(modulus) - offset)
    softplus = np.maximum(y, 0) + np.log1p(np.exp(-np.abs(y)))  # as logaddexp(0, y), and much faster in float32
    return 0.5 * (softplus - float(np.log1p(np.exp(-2 * offset))))


def mod_softplus_slope(modulus: ArrayLike, t0: float = 0.03) -> Float:
    """The derivative of :func:`mod_softplus`."""
    return 1 / (1 + np.exp(-2 * (np.asarray(modulus) - softplus_offset(t0))))


@dataclass(frozen=True, eq=False)
class OpticalLayer:
    r"""One linear layer of an optical network.

    Attributes
    ----------
    first, second : tuples of Mesh
        The stacks that realise :math:`V^\dagger` and :math:`U`.
    attenuation : array, shape (k,), radians
        Angles :math:`\vartheta`; mode k of the first stack reaches mode k of the second with amplitude
        :math:`\sin(\vartheta_k/2)`, the other modes are blocked.
    gain : float
        The common amplification :math:`\beta`.
    inputs, outputs : integer arrays
        Modes of the first stack that receive the inputs, and of the second that are read.
    """

    first: Stack
    second: Stack
    attenuation: Float
    gain: float
    inputs: NDArray[np.int64]
    outputs: NDArray[np.int64]


def grid_layer(weights: ArrayLike, order: ArrayLike | None = None) -> OpticalLayer:
    r"""A complex weight matrix as a layer of two grids, exactly, by its singular value decomposition.

    Parameters
    ----------
    weights : complex array, shape (outputs, inputs)
    order : permutation of the ``min(outputs, inputs)`` singular values, optional
        Which of them, counted from the largest, goes through each attenuator; descending by default.

    Returns
    -------
    OpticalLayer
        With gain equal to the largest singular value.

    Raises
    ------
    ValueError
        For a matrix that is not finite and two-dimensional or is zero, or an ``order`` that is no permutation.
    """
    weights = check_finite("weights", weights, np.complex128)
    if weights.ndim != 2 or not weights.any():
        raise ValueError(f"weights must be a matrix that is not all zero, got shape {weights.shape}")
    left, values, right = np.linalg.svd(weights)
    order = np.arange(len(values)) if order is None else np.asarray(order)
    if not np.array_equal(np.sort(order), np.arange(len(values))):
        raise ValueError(f"order must be a permutation of 0..{len(values) - 1}")
    left[:, : len(values)] = left[:, order]
    right[: len(values)] = right[order]
    relative = np.clip(values[order] / values[0], 0, 1)
    return OpticalLayer(
        (clements_decompose(right),), (clements_decompose(left),), 2 * np.arcsin(relative), float(values[0]),
        np.arange(weights.shape[1]), np.arange(weights.shape[0]),
    )  # fmt: skip


def random_fft_layer(
    inputs: int, outputs: int, rng: np.random.Generator, *, gain: float = 6.0, depth: tuple[int, int] = (1, 1)
) -> OpticalLayer:
    """A layer of FFT meshes with random phases, widths padded to powers of two.

    Inputs enter at, and outputs are read from, random modes. ``depth`` is the number of FFT meshes in series in the
    first and the second stack. ValueError for fewer than one input, output or mesh.
    """
    if inputs < 1 or outputs < 1:
        raise ValueError(f"a layer needs at least one input and output, got {inputs} and {outputs}")
    widths = [max(2, 1 << (count - 1).bit_length()) for count in (inputs, outputs)]
    stacks = [random_fft_stack(width, count, rng) for width, count in zip(widths, depth, strict=True)]
    places = [np.sort(rng.permutation(width)[:count]) for width, count in zip(widths, (inputs, outputs), strict=True)]
    attenuation = 2 * np.arcsin(rng.random(min(inputs, outputs)))
    return OpticalLayer(stacks[0], stacks[1], attenuation, gain, places[0], places[1])


def layer_matrix(layer: OpticalLayer) -> Complex:
    """The weights of a perfect layer, shape (outputs, inputs)."""
    k = len(layer.attenuation)
    first = mesh_matrix(layer.first, layer.inputs)[:k]
    second = mesh_matrix(layer.second, np.arange(k))[layer.outputs]
    return layer.gain * (second * np.sin(layer.attenuation / 2)) @ first


def noisy_layer_matrices(
    layer: OpticalLayer,
    sigma_ps: float,
    sigma_bs: float,
    devices: int,
    rng: np.random.Generator,
    *,
    published_fft_noise: bool = False,
) -> Complex:
    """Weights of imperfect copies of a layer, shape (devices, outputs, inputs); attenuators have phase errors too.

    Arguments and errors as for :func:`replica.optics.imperfections.noisy_matrices`.
    """
    k = np.arange(len(layer.attenuation))
    noise = {"published_fft_noise": published_fft_noise}
    first = noisy_matrices(layer.first, sigma_ps, sigma_bs, devices, rng, rows=k, columns=layer.inputs, **noise)
    second = noisy_matrices(layer.second, sigma_ps, sigma_bs, devices, rng, rows=layer.outputs, columns=k, **noise)
    angles = layer.attenuation + check_sigma("sigma_ps", sigma_ps) * rng.standard_normal((devices, k.size))
    return layer.gain * (second * np.sin(angles / 2)[:, None]) @ first


def forward(weights: Sequence[Complex], inputs: ArrayLike, t0: float = 0.03) -> Complex:
    """Amplitudes of the output modes, shape (..., images, outputs).

    Parameters
    ----------
    weights : matrices of shape (..., outputs, inputs), the layers in order
        Cast to the inputs' type: complex64 images make the passage twice as fast.
    inputs : complex array, shape (images, inputs) or (..., images, inputs)
    t0 : float
        Slope of the absorber at zero.
    """
    amplitudes = np.asarray(inputs)
    for index, matrix in enumerate(weights):
        if index:
            modulus = np.abs(amplitudes)
            amplitudes = amplitudes * (mod_softplus(modulus, t0) / np.maximum(modulus, 1e-30))
        amplitudes = amplitudes @ np.asarray(matrix, dtype=amplitudes.dtype).swapaxes(-1, -2)
    return amplitudes


def accuracy(weights: Sequence[Complex], inputs: ArrayLike, labels: ArrayLike, t0: float = 0.03) -> Float:
    """Share of images whose brightest output mode is their label; shape of the weights' leading axes."""
    return (np.argmax(np.abs(forward(weights, inputs, t0)), axis=-1) == np.asarray(labels)).mean(axis=-1)


def device_accuracy(
    layers: Sequence[OpticalLayer],
    sigma_ps: float,
    sigma_bs: float,
    devices: int,
    inputs: ArrayLike,
    labels: ArrayLike,
    rng: np.random.Generator,
    *,
    t0: float = 0.03,
    published_fft_noise: bool = False,
) -> Float:
    """Accuracy of ``devices`` imperfect copies of a network, each on all images; shape (devices,).

    Not retrained: the layers are those of the perfect network. Errors as for :func:`noisy_layer_matrices`.
    """
    weights = [
        noisy_layer_matrices(layer, sigma_ps, sigma_bs, devices, rng, published_fft_noise=published_fft_noise)
        for layer in layers
    ]
    return np.array([float(accuracy([w[d] for w in weights], inputs, labels, t0)) for d in range(devices)])


def complex_images(images: ArrayLike, mean: float | None = None, sd: float | None = None) -> Complex:
    """Images standardised and folded into half as many complex numbers: first half of the pixels + i second half.

    Parameters
    ----------
    images : array, shape (images, pixels), an even number of pixels
    mean, sd : float, optional
        Of all pixels; taken from these images by default.

    Raises
    ------
    ValueError
        For an odd number of pixels, another shape or NaN.
    """
    images = check_finite("images", images)
    if images.ndim != 2 or images.shape[1] % 2:
        raise ValueError(f"images must have shape (images, an even number of pixels), got {images.shape}")
    mean, sd = images.mean() if mean is None else mean, images.std() if sd is None else sd
    scaled, half = (images - mean) / sd, images.shape[1] // 2
    return scaled[:, :half] + 1j * scaled[:, half:]
