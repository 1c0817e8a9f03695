"""Optical layers and networks: exact conversion, wiring, the absorber, accuracies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replica.optics.meshes import mesh_matrix
from replica.optics.networks import (
    accuracy,
    complex_images,
    device_accuracy,
    forward,
    grid_layer,
    layer_matrix,
    mod_softplus,
    mod_softplus_slope,
    noisy_layer_matrices,
    random_fft_layer,
    softplus_offset,
)


def rng(*numbers):
    return np.random.default_rng([13, *numbers])


def complex_normal(*shape, seed=0):
    real, imaginary = rng(seed).standard_normal((2, *shape))
    return real + 1j * imaginary


@given(st.floats(0.001, 0.9))
def test_slopes_of_the_absorber(t0):
    assert mod_softplus(0.0, t0) == pytest.approx(0, abs=1e-14)
    assert mod_softplus(1e-6, t0) / 1e-6 == pytest.approx(t0, abs=1e-5)
    assert mod_softplus(101.0, t0) - mod_softplus(100.0, t0) == pytest.approx(1, abs=1e-12)


def test_derivative_and_offset_of_the_absorber():
    x = np.linspace(0, 6, 50)
    step = 1e-6
    np.testing.assert_allclose(
        mod_softplus_slope(x), (mod_softplus(x + step) - mod_softplus(x - step)) / (2 * step), atol=1e-8
    )
    np.testing.assert_allclose(softplus_offset(0.03), 1.738, atol=5e-4)


@pytest.mark.parametrize("shape", [(5, 5), (3, 7), (8, 2), (1, 4)])
def test_a_matrix_survives_its_conversion_in_any_order_of_singular_values(shape):
    weights = complex_normal(*shape)
    for order in (None, rng(1).permutation(min(shape))):
        layer = grid_layer(weights, order)
        np.testing.assert_allclose(layer_matrix(layer), weights, atol=1e-12)
    transmissions = np.sin(layer.attenuation / 2) * layer.gain
    np.testing.assert_allclose(np.sort(transmissions)[::-1], np.linalg.svd(weights, compute_uv=False), atol=1e-12)


def test_ordered_singular_values_descend():
    assert (np.diff(grid_layer(complex_normal(6, 6)).attenuation) <= 0).all()


@pytest.mark.parametrize(
    ("inputs", "outputs", "depth"), [(5, 3, (1, 1)), (8, 8, (2, 3)), (1, 4, (1, 1)), (4, 10, (1, 2))]
)
def test_fft_layer_is_built_from_its_parts(inputs, outputs, depth):
    layer = random_fft_layer(inputs, outputs, rng(), depth=depth)
    first, second = mesh_matrix(layer.first), mesh_matrix(layer.second)
    middle = np.zeros((len(second), len(first)))
    k = np.arange(min(inputs, outputs))
    middle[k, k] = layer.gain * np.sin(layer.attenuation / 2)
    whole = second @ middle @ first
    np.testing.assert_allclose(layer_matrix(layer), whole[np.ix_(layer.outputs, layer.inputs)], atol=1e-12)
    assert len(first) in (2, 4, 8)
    assert (len(layer.first), len(layer.second)) == depth


@pytest.mark.parametrize(
    "layer", [grid_layer(complex_normal(4, 6)), random_fft_layer(6, 4, rng())], ids=["grid", "fft"]
)
def test_devices_without_error_are_perfect_and_with_error_differ(layer):
    np.testing.assert_allclose(noisy_layer_matrices(layer, 0, 0, 2, rng()), [layer_matrix(layer)] * 2, atol=1e-12)
    devices = noisy_layer_matrices(layer, 0.05, 0.05, 2, rng())
    assert np.abs(devices[0] - devices[1]).max() > 0.01


def test_attenuator_errors_are_second_order_at_full_transmission():
    """One waveguide: only phases and the attenuator, at its maximum, err; the modulus drops by sigma^2 / 8."""
    layer = grid_layer([[2.0]])
    moduli = np.abs(noisy_layer_matrices(layer, 0.1, 0.0, 20_000, rng()))
    np.testing.assert_allclose(moduli.mean(), 2 * (1 - 0.01 / 8), atol=1e-4)
    assert moduli.max() <= 2


def test_forward_by_hand_and_its_batches():
    weights = [complex_normal(3, 4), complex_normal(2, 3, seed=1)]
    images = complex_normal(5, 4, seed=2)
    hidden = images @ weights[0].T
    expected = (mod_softplus(np.abs(hidden)) * np.exp(1j * np.angle(hidden))) @ weights[1].T
    np.testing.assert_allclose(forward(weights, images), expected, atol=1e-12)
    stacked = forward([np.stack([w, 2 * w]) for w in weights], images)
    np.testing.assert_allclose(stacked[0], expected, atol=1e-12)
    single = forward(weights, images.astype(np.complex64))
    assert single.dtype == np.complex64
    np.testing.assert_allclose(single, expected, rtol=1e-4, atol=1e-4)


def test_dark_inputs_stay_dark():
    assert not forward([np.eye(2), np.eye(2)], np.zeros((3, 2), complex)).any()


def test_accuracy_counts():
    images = np.eye(4, dtype=complex)
    assert accuracy([np.eye(4)], images, [0, 1, 2, 0]) == 0.75
    assert np.array_equal(accuracy([np.stack([np.eye(4), np.eye(4)[::-1]])], images, [0, 1, 2, 3]), [1.0, 0.0])
    layer = grid_layer(np.eye(4))
    np.testing.assert_array_equal(device_accuracy([layer], 0, 0, 3, images, [0, 1, 2, 0], rng()), [0.75] * 3)


def test_images_fold_into_complex_numbers():
    pixels = rng().random((6, 8))
    folded = complex_images(pixels)
    both = np.concatenate([folded.real, folded.imag], axis=1)
    np.testing.assert_allclose([both.mean(), both.std()], [0, 1], atol=1e-12)
    np.testing.assert_allclose(complex_images(pixels, 0, 1), pixels[:, :4] + 1j * pixels[:, 4:])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: softplus_offset(1.0), "t0 is the slope at zero, between 0 and 1"),
        (lambda: grid_layer(np.zeros((3, 3))), "not all zero"),
        (lambda: grid_layer([[np.nan]]), "weights must be finite"),
        (lambda: grid_layer(np.eye(3), [0, 0, 1]), r"order must be a permutation of 0..2"),
        (lambda: random_fft_layer(0, 4, rng()), "at least one input and output"),
        (lambda: random_fft_layer(4, 4, rng(), depth=(0, 1)), "at least one mesh"),
        (lambda: noisy_layer_matrices(grid_layer(np.eye(2)), 0.1, -0.1, 1, rng()), "sigma_bs is a standard deviation"),
        (lambda: complex_images(np.ones((2, 3))), "an even number of pixels"),
        (lambda: complex_images([[np.nan, 1.0]]), "images must be finite"),
    ],
)
def test_bad_input_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
