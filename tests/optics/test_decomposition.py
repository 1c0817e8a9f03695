"""The decomposition is exact: Haar-random and structured unitaries, any size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import block_diag
from scipy.stats import unitary_group

from replica.optics.decomposition import check_unitary, clements_decompose
from replica.optics.meshes import mesh_matrix, random_fft_mesh, random_grid_mesh


def haar(modes, seed=0):
    rng = np.random.default_rng([seed, modes])
    return unitary_group.rvs(modes, random_state=rng) if modes > 1 else np.exp(1j * rng.random((1, 1)))


def error(unitary):
    return np.abs(mesh_matrix(clements_decompose(unitary)) - unitary).max()


@pytest.mark.parametrize("modes", [1, 2, 3, 4, 5, 7, 8, 16, 33, 64])
def test_haar_random_unitaries(modes):
    unitary = haar(modes)
    mesh = clements_decompose(unitary)
    assert np.abs(mesh_matrix(mesh) - unitary).max() < 1e-13
    assert (mesh.mzis, mesh.depth) == (modes * (modes - 1) // 2, modes)


@settings(deadline=None, max_examples=50)
@given(modes=st.integers(2, 24), seed=st.integers(0, 10**6))
def test_any_haar_random_unitary(modes, seed):
    assert error(haar(modes, seed)) < 1e-13


STRUCTURED = {
    "identity": np.eye(9),
    "minus identity": -np.eye(8),
    "reversal": np.eye(8)[::-1],
    "permutation": np.eye(17)[np.random.default_rng(0).permutation(17)],
    "diagonal": np.diag(np.exp(1j * np.arange(6))),
    "discrete Fourier transform": np.fft.fft(np.eye(16), norm="ortho"),
    "Hadamard": np.array([[1, 1], [1, -1]]) / np.sqrt(2),
    "blocks": block_diag(haar(3), haar(5), np.eye(2)),
    "rotation": np.array([[np.cos(1), -np.sin(1)], [np.sin(1), np.cos(1)]]),
    "butterfly": mesh_matrix(random_fft_mesh(16, np.random.default_rng(0))),
    "shallow grid": mesh_matrix(random_grid_mesh(12, np.random.default_rng(0), 3)),
    "negative zeros": -1.0 * np.eye(5)[[1, 0, 3, 4, 2]],
}


@pytest.mark.parametrize("name", list(STRUCTURED))
def test_structured_unitaries_with_exact_zeros(name):
    assert error(STRUCTURED[name]) < 1e-13


@settings(deadline=None, max_examples=30)
@given(order=st.permutations(range(10)), signs=st.lists(st.sampled_from([1, -1, 1j, -1j]), min_size=10, max_size=10))
def test_any_signed_permutation(order, signs):
    assert error(np.diag(signs) @ np.eye(10)[list(order)]) < 1e-13


def test_phases_round_trip_through_the_matrix():
    mesh = random_grid_mesh(12, np.random.default_rng(5))
    again = clements_decompose(mesh_matrix(mesh))
    np.testing.assert_allclose(mesh_matrix(again), mesh_matrix(mesh), atol=1e-13)
    assert (again.theta >= 0).all()
    assert (again.theta <= np.pi).all()


def test_inner_phases_are_unique_for_a_generic_unitary():
    """Reflectivities of a Haar unitary's grid are determined by the matrix; a column of phases in front leaves them."""
    unitary = haar(10)
    phases = np.exp(1j * np.random.default_rng(1).uniform(0, 6, 10))
    first, second = clements_decompose(unitary), clements_decompose(phases[:, None] * unitary)
    np.testing.assert_allclose(first.theta, second.theta, atol=1e-12)


def test_the_input_is_left_alone():
    unitary = haar(6)
    copy = unitary.copy()
    clements_decompose(unitary)
    assert np.array_equal(unitary, copy)


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (2 * np.eye(3), "must be unitary: its columns miss orthonormality by 3"),
        (np.ones((3, 3)) / np.sqrt(3), "must be unitary"),
        (np.full((3, 3), np.nan), "must be finite; 9 of 9"),
        (np.eye(3)[:2], r"must be a square matrix, got shape \(2, 3\)"),
        (np.zeros((0, 0)), "must be a square matrix"),
        (np.ones(4), "must be a square matrix"),
    ],
)
def test_what_is_no_unitary_is_refused(matrix, words):
    with pytest.raises(ValueError, match=words):
        clements_decompose(matrix)


def test_tolerance_admits_single_precision():
    rounded = haar(32).astype(np.complex64)
    assert check_unitary("u", rounded, 1e-5).dtype == np.complex128
    assert np.abs(mesh_matrix(clements_decompose(rounded, 1e-5)) - rounded).max() < 1e-5
