"""Patches of natural photographs, their whitening and their power spectrum.

The photographs ship with scikit-learn and scikit-image. Pixel values are those of the files (sRGB, not
linear light) divided by 255. Training and test patches come from different regions of each photograph:
the left 70 % of its columns, and the right 30 %.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from replica.datasets.files import Files
from replica.datasets.images import Arrays, to_unit

TRAIN_SHARE = 0.7
_LUMA = np.array([0.2125, 0.7154, 0.0721])  # Rec. 709 weights of red, green, blue
_RETINA_BOX = (slice(206, 1205), slice(206, 1205))  # the square inside the round field of view


def read_photograph(path: Path) -> np.ndarray:
    """The pixels of an image file: (height, width, 3) uint8."""
    from PIL import Image

    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    return pixels[_RETINA_BOX] if path.name == "retina.jpg" else pixels


def grey(image: np.ndarray) -> np.ndarray:
    """Luma of a colour image: (height, width, 3) in 0..255 -> (height, width) float64 in [0, 1]."""
    return np.minimum(np.asarray(image, dtype=np.float64) @ _LUMA / 255.0, 1.0)  # the weights sum to 1 up to rounding


def region(image: np.ndarray, split: str) -> np.ndarray:
    """The part of an image that a split may use: ``train`` the left 70 % of the columns, ``test`` the rest, ``all``."""
    cut = round(TRAIN_SHARE * image.shape[1])
    return {"train": image[:, :cut], "test": image[:, cut:], "all": image}[split]


def sample_patches(image: np.ndarray, size: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Square patches at random places (they may overlap): (count, size, size, ...).

    Raises
    ------
    ValueError
        If the image is smaller than a patch, or ``size`` or ``count`` is below 1.
    """
    height, width = image.shape[:2]
    if not 1 <= size <= min(height, width):
        raise ValueError(f"size: expected 1..{min(height, width)} for an image of {height} x {width}, got {size}")
    if count < 1:
        raise ValueError(f"count: expected at least 1, got {count}")
    rows = rng.integers(height - size + 1, size=count)
    columns = rng.integers(width - size + 1, size=count)
    windows = np.lib.stride_tricks.sliding_window_view(image, (size, size), axis=(0, 1))
    return np.moveaxis(windows[rows, columns], (-2, -1), (1, 2)).copy()


def _balanced(
    photographs: list[np.ndarray], split: str, size: int, count: int, seed: Any
) -> tuple[np.ndarray, np.ndarray]:
    if count % len(photographs):
        raise ValueError(f"count: expected a multiple of the {len(photographs)} photographs, got {count}")
    rng = np.random.default_rng(seed)
    each = count // len(photographs)
    patches = np.concatenate([sample_patches(region(p, split), size, each, rng) for p in photographs])
    labels = np.repeat(np.arange(len(photographs), dtype=np.int64), each)
    order = rng.permutation(count)
    return patches[order], labels[order]


def _names(files: Files) -> tuple[str, ...]:
    return tuple(Path(name).stem for name in files.names())


def load_photo_patches(files: Files, split: str, *, size: int = 16, count: int | None = None,
                       rng: int | np.random.Generator = 0, white: bool = False) -> Arrays:  # fmt: skip
    """Grey patches of eight photographs: (count, size, size) float64 in [0, 1]; the label is the photograph.

    ``count`` (a multiple of 8) defaults to the registry's number for the split; ``rng`` is a generator
    or its seed. ``white`` returns them ZCA-whitened without their own means, see :func:`whiten`.
    """
    count = files.entry.splits[split] if count is None else count
    photographs = [grey(read_photograph(files.path(name))) for name in files.names()]
    patches, labels = _balanced(photographs, split, size, count or 0, rng)
    if white:
        flat, _ = whiten(patches.reshape(len(patches), -1))
        patches = flat.reshape(patches.shape)
    return patches, labels, _names(files)


def load_photo_patches_10(files: Files, split: str, *, size: int = 32, count: int | None = None,
                          rng: int | np.random.Generator = 0, dtype: Any = "float32") -> Arrays:  # fmt: skip
    """Colour patches of ten photographs: (count, size, size, 3) in [0, 1], float32 unless asked otherwise.

    The format of CIFAR-10, not its difficulty: the label is the photograph. ``count`` is a multiple of 10.
    """
    count = files.entry.splits[split] if count is None else count
    photographs = [read_photograph(files.path(name)) for name in files.names()]
    patches, labels = _balanced(photographs, split, size, count or 0, rng)
    return to_unit(patches, dtype), labels, _names(files)


def whiten(patches: np.ndarray, components: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    r"""ZCA whitening of patches without their own mean grey level.

    Each patch loses its mean, the set its mean patch. With the eigenvectors :math:`u_i` and eigenvalues
    :math:`\lambda_i` of the covariance of what is left, the result is :math:`W x` with
    :math:`W = \sum_i \lambda_i^{-1/2} u_i u_i^T`, summed over the ``components`` largest: its covariance is
    the projector on these directions. The constant patch, whose variance is zero, is always left out.

    Parameters
    ----------
    patches : (n, pixels)
    components : int, optional
        How many directions to keep, at most (and by default) ``pixels - 1``.

    Returns
    -------
    white : (n, pixels)
    transform : (pixels, pixels), the symmetric matrix W

    Raises
    ------
    ValueError
        If there are not more patches than pixels, or the variance in a direction to be kept is zero.
    """
    patches = np.asarray(patches, dtype=np.float64)
    if patches.ndim != 2 or len(patches) <= patches.shape[1]:
        raise ValueError(f"patches: expected (n, pixels) with n > pixels, got shape {patches.shape}")
    pixels = patches.shape[1]
    keep = pixels - 1 if components is None else components
    if not 1 <= keep <= pixels - 1:
        raise ValueError(f"components: expected 1..{pixels - 1}, got {components}")
    centred = patches - patches.mean(axis=1, keepdims=True)
    centred -= centred.mean(axis=0)
    variances, directions = np.linalg.eigh(centred.T @ centred / len(centred))
    variances, directions = variances[::-1][:keep], directions[:, ::-1][:, :keep]
    if variances[-1] <= 1e-12 * variances[0]:
        raise ValueError("patches: a direction to be kept has no variance; keep fewer components or give more patches")
    transform = (directions / np.sqrt(variances)) @ directions.T
    return centred @ transform, transform


def radial_power_spectrum(image: np.ndarray, largest: int = 512) -> tuple[np.ndarray, np.ndarray]:
    """Power spectrum of a grey image, averaged over rings of equal spatial frequency.

    The central square (at most ``largest`` pixels wide) loses its mean and is tapered by a Hann window.

    Returns
    -------
    frequency : 1, 2, ... n // 2 - 1 cycles per square, (m,)
    power : mean squared modulus of the Fourier transform over the ring [k - 1/2, k + 1/2), (m,)
    """
    if image.ndim != 2 or min(image.shape) < 8:
        raise ValueError(f"image: expected two dimensions of at least 8 pixels, got shape {image.shape}")
    n = min(*image.shape, largest)
    top, left = (image.shape[0] - n) // 2, (image.shape[1] - n) // 2
    square = np.asarray(image[top : top + n, left : left + n], dtype=np.float64)
    window = np.hanning(n)
    power = np.abs(np.fft.fft2((square - square.mean()) * np.outer(window, window))) ** 2
    wave = np.fft.fftfreq(n, d=1.0 / n)
    ring = np.rint(np.hypot(wave[:, None], wave[None, :])).astype(np.int64).ravel()
    mean = np.bincount(ring, power.ravel()) / np.bincount(ring)
    return np.arange(1, n // 2), mean[1 : n // 2]


def spectral_slope(image: np.ndarray, lowest: int = 3) -> float:
    """Exponent a of a power spectrum k^a: least squares in log-log from ``lowest`` cycles to a quarter of the width.

    Natural photographs have a near -2 (a little steeper where large shapes dominate); white noise has 0.
    """
    frequency, power = radial_power_spectrum(image)
    band = (frequency >= lowest) & (frequency <= (len(frequency) + 1) // 2)
    # a ring of radius k averages over a number of modes proportional to k
    return float(np.polyfit(np.log(frequency[band]), np.log(power[band]), 1, w=np.sqrt(frequency[band]))[0])
