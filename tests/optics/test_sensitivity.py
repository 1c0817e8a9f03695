"""Localised errors: where they are, and that the shortcut agrees with rebuilding the whole network."""

from dataclasses import replace

import numpy as np
import pytest

from replica.optics.networks import accuracy, grid_layer, layer_matrix, random_fft_layer
from replica.optics.sensitivity import block_errors, block_sensitivity, block_shape


def rng(*numbers):
    return np.random.default_rng([19, *numbers])


def complex_normal(*shape, seed=0):
    real, imaginary = rng(seed).standard_normal((2, *shape))
    return real + 1j * imaginary


LAYERS = [grid_layer(complex_normal(6, 4)), grid_layer(complex_normal(6, 6)), grid_layer(complex_normal(3, 6))]
IMAGES, LABELS = complex_normal(300, 4, seed=1), rng().integers(0, 3, 300)


def test_blocks_tile_the_mesh():
    mesh = LAYERS[1].first[0]
    assert block_shape(mesh, 2) == (3, 2)
    covered = sum((block_errors(mesh, 2, place, 1.0, 1, rng())[0] != 0).astype(int) for place in np.ndindex(3, 2))
    assert (covered == 1).all()


def test_statistics_of_a_block():
    mesh = LAYERS[1].first[0]
    errors = block_errors(mesh, 2, (1, 0), 0.25, 20_000, rng())
    np.testing.assert_allclose(errors[:, 2:4, :2].std(axis=0), 0.25, rtol=0.03)
    assert np.count_nonzero(errors[0]) == 4


@pytest.mark.parametrize("which", ["first", "second"])
@pytest.mark.parametrize("index", [0, 1, 2])
def test_against_the_whole_network(which, index):
    found = block_sensitivity(LAYERS, index, which, 2, 0.5, 2, IMAGES, LABELS, rng(5))
    generator, perfect = rng(5), accuracy([layer_matrix(layer) for layer in LAYERS], IMAGES, LABELS)
    mesh = getattr(LAYERS[index], which)[0]
    assert found.shape == (2, *block_shape(mesh, 2))
    for place in np.ndindex(found.shape[1:]):
        for draw, errors in enumerate(block_errors(mesh, 2, place, 0.5, 2, generator)):
            bent = replace(mesh, theta=mesh.theta + np.where(mesh.used, errors, 0))
            layers = [*LAYERS]
            layers[index] = replace(LAYERS[index], **{which: (bent,)})
            whole = accuracy([layer_matrix(layer) for layer in layers], IMAGES, LABELS) - perfect
            assert found[(draw, *place)] == pytest.approx(whole, abs=1e-12)


def test_no_error_no_change_and_every_block_is_reported():
    calls = []
    change = block_sensitivity(LAYERS, 1, "first", 3, 0.0, 1, IMAGES, LABELS, rng(), report=lambda: calls.append(1))
    assert not change.any()
    assert len(calls) == change[0].size


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: block_shape(LAYERS[0].first[0], 0), "at least one layer"),
        (lambda: block_errors(LAYERS[0].first[0], 2, (9, 0), 0.1, 1, rng()), "place must lie within 2 x 1 blocks"),
        (lambda: block_errors(LAYERS[0].first[0], 2, (0, 0), -0.1, 1, rng()), "sigma is a standard deviation"),
        (lambda: block_sensitivity(LAYERS, 1, "third", 2, 0.1, 1, IMAGES, LABELS, rng()), "'first' or 'second'"),
        (
            lambda: block_sensitivity(
                [random_fft_layer(4, 3, rng(), depth=(2, 1))], 0, "first", 2, 0.1, 1, IMAGES, LABELS, rng()
            ),
            "single meshes",
        ),
    ],
)
def test_bad_input_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
