"""Imperfect devices: statistics of the errors, brute force, and refusals."""

import numpy as np
import pytest

from replica.optics.components import IDEAL
from replica.optics.imperfections import noisy_matrices, noisy_reflectivity, perturbed_matrices
from replica.optics.meshes import Mesh, fft_mesh, mesh_matrix, random_fft_mesh, random_fft_stack, random_grid_mesh


def rng(*numbers):
    return np.random.default_rng([11, *numbers])


GRID = random_grid_mesh(9, rng())
STACK = random_fft_stack(8, 3, rng(1))


@pytest.mark.parametrize("meshes", [GRID, STACK], ids=["grid", "stack"])
def test_no_error_gives_the_perfect_matrix(meshes):
    np.testing.assert_allclose(noisy_matrices(meshes, 0.0, 0.0, 2, rng()), [mesh_matrix(meshes)] * 2, atol=1e-13)


@pytest.mark.parametrize("meshes", [GRID, STACK], ids=["grid", "stack"])
def test_devices_are_unitary_whatever_the_error(meshes):
    for sigma in (0.01, 0.3, 2.0):  # at the larger ones reflectivities are clipped
        for matrix in noisy_matrices(meshes, sigma, sigma, 3, rng()):
            np.testing.assert_allclose(matrix.conj().T @ matrix, np.eye(len(matrix)), atol=1e-12)


@pytest.mark.parametrize("meshes", [GRID, STACK], ids=["grid", "stack"])
def test_rows_and_columns_from_either_side(meshes):
    rows, columns = [3, 0], [1, 2, 5, 7]
    few = noisy_matrices(meshes, 0.0, 0.0, 1, rng(), rows=rows, columns=columns)
    np.testing.assert_allclose(few[0], mesh_matrix(meshes)[np.ix_(rows, columns)], atol=1e-13)
    few = noisy_matrices(meshes, 0.0, 0.0, 1, rng(), rows=columns, columns=rows)
    np.testing.assert_allclose(few[0], mesh_matrix(meshes)[np.ix_(columns, rows)], atol=1e-13)


def test_side_does_not_change_a_single_mesh_s_devices():
    """One mesh draws the same errors from the same generator, from whichever side the light comes."""
    whole = noisy_matrices(GRID, 0.1, 0.05, 2, rng(2))
    np.testing.assert_allclose(noisy_matrices(GRID, 0.1, 0.05, 2, rng(2), rows=[4, 1]), whole[:, [4, 1]], atol=1e-13)


def test_chunks_of_devices_join(monkeypatch):
    monkeypatch.setattr("replica.optics.imperfections.ENTRIES_AT_ONCE", 300)
    assert noisy_matrices(GRID, 0.1, 0.1, 7, rng()).shape == (7, 9, 9)


def test_statistics_of_phase_errors():
    """One interferometer in the bar state: output phases are theta + phi + psi and psi errors, variances 3 and 1."""
    mesh = fft_mesh([[np.pi]], [[0.0]], [0.0, 0.0])
    phases = np.angle(noisy_matrices(mesh, 0.02, 0.0, 40_000, rng()) / mesh_matrix(mesh).diagonal())
    upper, lower = phases[:, 0, 0], phases[:, 1, 1]
    # theta / 2 from the bar state's own phase: i e^{i theta / 2} sin(theta / 2) on either arm
    np.testing.assert_allclose(upper.var(), 0.02**2 * (1 / 4 + 1 + 1), rtol=0.03)
    np.testing.assert_allclose(lower.var(), 0.02**2 * (1 / 4 + 1), rtol=0.03)
    np.testing.assert_allclose(upper.mean(), 0, atol=4 * 0.03 / 200)


def test_statistics_of_reflectivities():
    drawn = noisy_reflectivity(0.03, (100_000,), rng())
    np.testing.assert_allclose(drawn.mean(), IDEAL, atol=4 * 0.03 / 316)
    np.testing.assert_allclose(drawn.std(), 0.03, rtol=0.01)
    clipped = noisy_reflectivity(1.0, (1000,), rng())
    assert clipped.min() == 0
    assert clipped.max() == 1


def test_both_splitters_err_independently():
    """Cross state: the leak is the sum of both rotations' errors, each of deviation sqrt 2 sigma."""
    mesh = fft_mesh([[0.0]], [[0.0]], [0.0, 0.0])
    leak = np.abs(noisy_matrices(mesh, 0.0, 0.01, 40_000, rng())[:, 0, 0]) ** 2
    np.testing.assert_allclose(leak.mean(), 2 * 2 * 0.01**2, rtol=0.03)


def test_bypassing_modes_have_no_error():
    """Three modes, one layer: the third meets no interferometer, only its output phase."""
    mesh = random_grid_mesh(3, rng(), 1)
    devices = noisy_matrices(mesh, 0.0, 0.1, 5, rng())
    np.testing.assert_allclose(devices[:, 2, 2], np.exp(1j * mesh.psi[2]), atol=1e-14)


def test_given_errors_against_a_mesh_with_other_phases():
    errors = np.zeros((2, *GRID.theta.shape))
    errors[0, 2, 1], errors[1, 4:6, :2] = 0.3, -0.2
    devices = perturbed_matrices(GRID, errors)
    for device, error in zip(devices, errors):
        other = Mesh(GRID.theta + np.where(GRID.used, error, 0), GRID.phi, GRID.psi, GRID.upper, GRID.lower)
        np.testing.assert_allclose(device, mesh_matrix(other), atol=1e-13)
    np.testing.assert_allclose(
        perturbed_matrices(GRID, errors, rows=[2], columns=[0, 1, 5]), devices[:, 2:3][..., [0, 1, 5]]
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: noisy_matrices(GRID, -0.01, 0.0, 1, rng()), "sigma_ps is a standard deviation"),
        (lambda: noisy_matrices(GRID, 0.0, np.nan, 1, rng()), "sigma_bs is a standard deviation"),
        (lambda: noisy_matrices(GRID, 0.0, 0.0, 0, rng()), "devices must be at least 1, got 0"),
        (lambda: noisy_matrices(np.eye(3), 0.0, 0.0, 1, rng()), "expected a Mesh"),
        (lambda: perturbed_matrices(GRID, np.zeros((1, 3, 3))), r"theta_errors must have shape \(devices, 9, 4\)"),
        (lambda: perturbed_matrices(GRID, np.full((1, 9, 4), np.nan)), "theta_errors must be finite"),
        (lambda: noisy_reflectivity(-1.0, (2,), rng()), "sigma_bs is a standard deviation"),
        (lambda: random_fft_mesh(10, rng()), "power of two"),
    ],
)
def test_bad_input_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
