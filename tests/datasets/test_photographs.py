"""Natural patches: regions, balance, whitening, and the spectrum that makes them natural."""

from __future__ import annotations

import numpy as np
import pytest

from replica.datasets import load
from replica.datasets.files import Files
from replica.datasets.photographs import (
    grey,
    radial_power_spectrum,
    read_photograph,
    region,
    sample_patches,
    spectral_slope,
    whiten,
)
from replica.datasets.registry import lookup


@pytest.fixture(scope="module")
def photographs():
    files = Files(*lookup("photo-patches"))
    return {name: grey(read_photograph(files.path(name))) for name in files.names()}


def test_grey_is_the_weighted_mean_of_the_colours():
    assert np.allclose(grey(np.full((2, 3, 3), 255)), 1)
    pure = np.zeros((1, 1, 3))
    pure[..., 1] = 255
    assert grey(pure).item() == pytest.approx(0.7154)


def test_patches_are_pieces_of_the_image_all_over_it():
    image = np.arange(20 * 30, dtype=float).reshape(20, 30)
    patches = sample_patches(image, 4, 3000, np.random.default_rng(0))
    corners = patches[:, 0, 0].astype(int)
    rows, columns = corners // 30, corners % 30
    for patch, row, column in zip(patches[:50], rows, columns):
        assert np.array_equal(patch, image[row : row + 4, column : column + 4])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (0, 16, 0, 26)
    colour = np.stack([image, 2 * image, 3 * image], axis=-1)
    coloured = sample_patches(colour, 4, 3000, np.random.default_rng(0))
    assert np.array_equal(coloured, patches[..., None] * [1, 2, 3])


@pytest.mark.parametrize(
    ("size", "count", "message"), [(21, 1, "size: expected 1..20"), (0, 1, "size"), (4, 0, "count")]
)
def test_impossible_patches_are_refused(size, count, message):
    with pytest.raises(ValueError, match=message):
        sample_patches(np.zeros((20, 30)), size, count, np.random.default_rng(0))


def test_train_and_test_come_from_disjoint_regions():
    """An image whose pixels are their own column numbers: no column serves both splits."""
    image = np.broadcast_to(np.arange(101.0), (40, 101))
    train = sample_patches(region(image, "train"), 8, 2000, np.random.default_rng(0))
    test = sample_patches(region(image, "test"), 8, 2000, np.random.default_rng(0))
    assert train.max() < test.min()
    assert region(image, "all").shape == image.shape


@pytest.mark.parametrize(("name", "classes"), [("photo-patches", 8), ("photo-patches-10", 10)])
def test_splits_have_no_patch_in_common_and_every_photograph_equally(name, classes):
    train, test = load(name, "train", size=8, count=400), load(name, "test", size=8, count=400)
    for data in (train, test):
        assert np.array_equal(np.bincount(data.labels), np.full(classes, 400 // classes))
        assert not np.array_equal(data.labels, np.sort(data.labels))  # shuffled
    # flat sky gives equal patches anywhere; a patch with structure must not be in both
    seen = {patch.tobytes() for patch in train.inputs if patch.std() > 0.1}
    assert seen
    assert not any(patch.tobytes() in seen for patch in test.inputs)


def test_patches_follow_their_seed():
    first, again, other = (load("photo-patches", count=80, rng=seed).inputs for seed in (3, 3, 4))
    generator = load("photo-patches", count=80, rng=np.random.default_rng(3)).inputs
    assert np.array_equal(first, again)
    assert np.array_equal(first, generator)
    assert not np.array_equal(first, other)


def test_unbalanced_counts_are_refused():
    with pytest.raises(ValueError, match="multiple of the 8 photographs, got 100"):
        load("photo-patches", count=100)


def test_whitened_patches_have_the_projector_as_covariance():
    patches = load("photo-patches", size=8, count=4000)
    white, transform = whiten(patches.flat)
    pixels = patches.flat.shape[1]
    assert np.allclose(white.T @ white / len(white), np.eye(pixels) - 1 / pixels, atol=1e-9)
    assert np.allclose(white.mean(axis=1), 0)
    assert np.allclose(transform, transform.T)
    fewer, _ = whiten(patches.flat, components=10)
    eigenvalues = np.linalg.eigvalsh(fewer.T @ fewer / len(fewer))
    assert np.allclose(eigenvalues[-10:], 1)
    assert np.allclose(eigenvalues[:-10], 0)
    option = load("photo-patches", size=8, count=4000, white=True)
    assert np.allclose(option.flat, white)


def test_whitening_refuses_what_it_cannot_do():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="n > pixels"):
        whiten(rng.normal(size=(10, 16)))
    with pytest.raises(ValueError, match=r"components: expected 1\.\.15"):
        whiten(rng.normal(size=(100, 16)), components=16)
    flat = rng.normal(size=(100, 16))
    flat[:, 3] = flat[:, 4]
    with pytest.raises(ValueError, match="no variance"):
        whiten(flat)


def test_photographs_have_natural_spectra(photographs):
    """The audit of these files measured slopes from -2.2 to -2.9, depending a little on window and weights."""
    slopes = {name: spectral_slope(image) for name, image in photographs.items()}
    assert all(-3.3 < slope < -1.8 for slope in slopes.values()), slopes
    assert -2.8 < np.mean(list(slopes.values())) < -2.2


def test_photographs_have_heavy_tailed_gradients(photographs):
    for name, image in photographs.items():
        step = np.diff(image, axis=1).ravel()
        kurtosis = np.mean((step - step.mean()) ** 4) / np.var(step) ** 2
        assert kurtosis > 8, name  # a Gaussian has 3


@pytest.mark.parametrize("exponent", [0.0, -2.0, -3.0])
def test_slope_of_noise_with_a_known_spectrum(exponent):
    """Gaussian noise filtered to the power spectrum k^a."""
    n, slopes = 256, []
    wave = np.fft.fftfreq(n, 1 / n)
    radius = np.maximum(np.hypot(wave[:, None], wave), 1)
    for seed in range(6):
        noise = np.fft.fft2(np.random.default_rng(seed).normal(size=(n, n)))
        slopes.append(spectral_slope(np.fft.ifft2(noise * radius ** (exponent / 2)).real))
    assert np.mean(slopes) == pytest.approx(exponent, abs=0.12)


def test_a_plane_wave_is_seen_at_its_frequency():
    phase = 2 * np.pi * 12 * np.arange(128) / 128
    frequency, power = radial_power_spectrum(np.cos(phase)[:, None] * np.ones(128))
    assert frequency[np.argmax(power)] == 12
    assert len(frequency) == 63
    with pytest.raises(ValueError, match="two dimensions"):
        radial_power_spectrum(np.zeros((4, 4, 3)))
