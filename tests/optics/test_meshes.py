"""Meshes: who is coupled to whom, unitarity, and the layers' product by brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replica.optics.components import mzi_matrix
from replica.optics.meshes import (
    apply_mesh,
    as_stack,
    fft_layout,
    fft_mesh,
    grid_layout,
    grid_mesh,
    mesh_matrix,
    random_fft_mesh,
    random_fft_stack,
    random_grid_mesh,
)


def brute_force(mesh):
    """The product of N x N matrices, one for each interferometer."""
    total = np.eye(mesh.modes, dtype=complex)
    for layer in range(mesh.depth):
        for slot in np.flatnonzero(mesh.used[layer]):
            pair = [mesh.upper[layer, slot], mesh.lower[layer, slot]]
            one = np.eye(mesh.modes, dtype=complex)
            one[np.ix_(pair, pair)] = mzi_matrix(mesh.theta[layer, slot], mesh.phi[layer, slot])
            total = one @ total
    return np.exp(1j * mesh.psi)[:, None] * total


@settings(deadline=None, max_examples=40)
@given(modes=st.integers(1, 40), depth=st.integers(0, 40), seed=st.integers(0, 99))
def test_every_grid_is_unitary(modes, depth, seed):
    matrix = mesh_matrix(random_grid_mesh(modes, np.random.default_rng(seed), depth))
    np.testing.assert_allclose(matrix.conj().T @ matrix, np.eye(modes), atol=1e-12)


@settings(deadline=None, max_examples=20)
@given(power=st.integers(1, 7), count=st.integers(1, 4), seed=st.integers(0, 99))
def test_every_fft_stack_is_unitary(power, count, seed):
    matrix = mesh_matrix(random_fft_stack(2**power, count, np.random.default_rng(seed)))
    np.testing.assert_allclose(matrix.conj().T @ matrix, np.eye(2**power), atol=1e-12)


@pytest.mark.parametrize("modes", [2, 5, 8])
def test_grid_is_the_product_of_its_interferometers(modes):
    mesh = random_grid_mesh(modes, np.random.default_rng(modes))
    np.testing.assert_allclose(mesh_matrix(mesh), brute_force(mesh), atol=1e-13)


def test_fft_is_the_product_of_its_interferometers():
    mesh = random_fft_mesh(16, np.random.default_rng(0))
    np.testing.assert_allclose(mesh_matrix(mesh), brute_force(mesh), atol=1e-13)


def test_stack_multiplies_and_columns_are_columns():
    stack = random_fft_stack(8, 3, np.random.default_rng(1))
    whole = mesh_matrix(stack)
    product = np.linalg.multi_dot([mesh_matrix(mesh) for mesh in reversed(stack)])
    np.testing.assert_allclose(whole, product, atol=1e-13)
    np.testing.assert_allclose(mesh_matrix(stack, [5, 2]), whole[:, [5, 2]], atol=1e-14)
    np.testing.assert_allclose(
        apply_mesh(stack[0], np.ones((8, 1))), mesh_matrix(stack[0]).sum(axis=1)[:, None], atol=1e-13
    )


@pytest.mark.parametrize("modes", [1, 2, 3, 8, 13])
def test_counts_of_the_grid(modes):
    upper, lower = grid_layout(modes)
    assert (upper >= 0).sum() == modes * (modes - 1) // 2
    assert np.array_equal(lower[upper >= 0], upper[upper >= 0] + 1)


@pytest.mark.parametrize("modes", [2, 4, 64])
def test_butterfly_couples_modes_one_bit_apart_and_every_mode_once_a_layer(modes):
    upper, lower = fft_layout(modes)
    assert upper.shape == (int(np.log2(modes)), modes // 2)
    for layer, (u, v) in enumerate(zip(upper, lower)):
        assert np.array_equal(u ^ v, np.full(modes // 2, 1 << layer))
        assert sorted([*u, *v]) == list(range(modes))


def test_butterfly_can_be_the_discrete_fourier_transform_of_two_modes():
    # theta = pi / 2 splits evenly; the phases turn i (1 1; 1 -1) e^{i pi/4} / sqrt 2 into the transform
    mesh = fft_mesh([[np.pi / 2]], [[0.0]], [-3 * np.pi / 4] * 2)
    np.testing.assert_allclose(mesh_matrix(mesh), np.array([[1, 1], [1, -1]]) / np.sqrt(2), atol=1e-15)


def test_every_output_of_a_butterfly_depends_on_every_input():
    assert (np.abs(mesh_matrix(random_fft_mesh(32, np.random.default_rng(3)))) > 0).all()


def test_truncated_grid_has_a_light_cone():
    matrix = mesh_matrix(random_grid_mesh(32, np.random.default_rng(3), depth=4))
    distance = np.abs(np.subtract.outer(np.arange(32), np.arange(32)))
    assert (np.abs(matrix[distance > 4]) == 0).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fft_layout(12), "power of two of modes .* got 12"),
        (lambda: fft_layout(7), "power of two of modes .* got 7"),
        (lambda: fft_layout(1), "power of two"),
        (lambda: grid_layout(0), "at least one mode, got 0"),
        (lambda: grid_layout(4, -1), "depth must not be negative"),
        (lambda: grid_mesh(np.zeros((4, 3)), np.zeros((4, 3)), np.zeros(4)), r"theta must have shape \(4, 2\)"),
        (lambda: grid_mesh(np.zeros(4), np.zeros(4), np.zeros(4)), "theta must have shape"),
        (lambda: grid_mesh(np.full((4, 2), np.nan), np.zeros((4, 2)), np.zeros(4)), "theta must be finite; 8 of 8"),
        (lambda: fft_mesh(np.zeros((2, 2)), np.zeros((2, 1)), np.zeros(4)), r"phi must have shape \(2, 2\)"),
        (lambda: fft_mesh(np.zeros((2, 2)), np.zeros((2, 2)), [0, 0, 0, np.nan]), "psi must be finite"),
        (lambda: fft_mesh(np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((2, 2))), "psi must have shape"),
        (lambda: random_fft_stack(8, 0, np.random.default_rng(0)), "at least one mesh"),
        (lambda: as_stack([]), "non-empty sequence"),
        (lambda: as_stack(np.eye(3)), "expected a Mesh"),
        (
            lambda: as_stack([random_fft_mesh(n, np.random.default_rng(0)) for n in (4, 8)]),
            r"equal numbers of modes, got \[4, 8\]",
        ),
        (lambda: apply_mesh(random_fft_mesh(4, np.random.default_rng(0)), np.eye(3)), r"shape \(4, columns\)"),
    ],
)
def test_bad_input_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
