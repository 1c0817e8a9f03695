"""The fidelity law against brute force, simulation and its limits; the reflectivities of Haar-random meshes."""

import numpy as np
import pytest
from scipy.stats import unitary_group

from replica.optics.components import IDEAL, mzi_matrix, reflectivity
from replica.optics.decomposition import clements_decompose
from replica.optics.fidelity import (
    effective_depth,
    fidelity_law,
    haar_mean_reflectivity,
    log_infidelity,
    published_fft_law,
    unitary_fidelity,
)
from replica.optics.imperfections import noisy_matrices
from replica.optics.meshes import mesh_matrix, random_fft_mesh, random_fft_stack, random_grid_mesh


def rng(*numbers):
    return np.random.default_rng([7, *numbers])


def measured(mesh, ps, bs, devices, seed=0, **options):
    """Mean fidelity and its standard error."""
    values = unitary_fidelity(mesh_matrix(mesh), noisy_matrices(mesh, ps, bs, devices, rng(seed), **options))
    return values.mean(), values.std(ddof=1) / np.sqrt(devices)


@pytest.mark.parametrize(("ps", "bs"), [(0.1, 0.0), (0.0, 0.05), (0.05, 0.05)])
def test_average_of_one_interferometer(ps, bs):
    theta, phi = rng().uniform(0, 6, (2, 400_000))
    noise = rng(1).standard_normal((4, theta.size))
    bent = mzi_matrix(theta + ps * noise[0], phi + ps * noise[1], IDEAL + bs * noise[2], IDEAL + bs * noise[3])
    overlap = np.einsum("nij,nij->n", mzi_matrix(theta, phi).conj(), bent).real / 2
    error = overlap.std() / np.sqrt(overlap.size)
    # fourth order: theta and phi are shifters on the same arm, at most 1; splitters -19 (expansion of arccos)
    expected = ((1 + np.exp(-(ps**2) / 2)) / 2) ** 2 * np.exp(-2 * bs**2) - 19 * bs**4
    assert abs(overlap.mean() - expected) < 4 * error + ps**4 + ps**2 * bs**2 + 400 * bs**6


MESHES = {
    "grid": clements_decompose(unitary_group.rvs(8, random_state=rng(2))),
    "shallow grid": random_grid_mesh(8, rng(3), 3),
    "butterfly": random_fft_mesh(8, rng(4)),
    "stack": random_fft_stack(8, 3, rng(5)),
    "identity": clements_decompose(np.eye(8)),
}


@pytest.mark.parametrize("name", list(MESHES))
@pytest.mark.parametrize(("ps", "bs"), [(0.01, 0.0), (0.0, 0.01), (0.01, 0.005)])
def test_law_is_exact_in_first_order_for_every_mesh(name, ps, bs):
    mesh = MESHES[name]
    mean, error = measured(mesh, ps, bs, 4000)
    law = log_infidelity(mesh, ps, bs)
    assert abs(-np.log(mean) - law) < 4 * error + law**2  # the second order


def test_common_phase_is_not_seen():
    """Eight modes, phases alone: 1/8 of the squared errors are a common phase; without that the law is 14 % off."""
    mean, error = measured(MESHES["grid"], 0.02, 0.0, 20_000)
    with_it, without = (log_infidelity(MESHES["grid"], 0.02, 0.0, finite_size=flag) for flag in (True, False))
    np.testing.assert_allclose(with_it / without, 7 / 8)
    assert abs(-np.log(mean) - with_it) < 0.02 * with_it + 4 * error
    assert abs(-np.log(mean) - without) > 0.1 * without


@pytest.mark.parametrize("sigma", [0.01, 0.03])
def test_law_for_a_scrambling_grid_beyond_first_order(sigma):
    mesh = clements_decompose(unitary_group.rvs(64, random_state=rng(6)))
    mean, error = measured(mesh, sigma, sigma, 30)
    np.testing.assert_allclose(-np.log(mean), log_infidelity(mesh, sigma, sigma), rtol=0.02 + 4 * error / -np.log(mean))


def test_published_fft_noise_follows_its_own_law():
    stack = random_fft_stack(32, 6, rng(8))
    mean, error = measured(stack, 0.02, 0.02, 400, published_fft_noise=True)
    assert abs(mean - published_fft_law(stack, 0.02)) < 4 * error + 0.002
    assert mean - fidelity_law(stack, 0.02, 0.02) > 10 * error


def test_published_fft_noise_of_phases_alone_is_that_of_the_output_phases():
    mesh = random_fft_mesh(16, rng(9))
    change = noisy_matrices(mesh, 0.1, 0.0, 3, rng(1), published_fft_noise=True) @ mesh_matrix(mesh).conj().T
    phases = np.diagonal(change, axis1=1, axis2=2)
    np.testing.assert_allclose(change, phases[:, :, None] * np.eye(16), atol=1e-12)
    assert np.abs(np.angle(phases)).max() > 0.1


def test_fidelity_ignores_a_common_phase_and_is_one_only_then():
    unitary = unitary_group.rvs(6, random_state=rng(10))
    np.testing.assert_allclose(unitary_fidelity(unitary, np.exp(0.7j) * unitary), 1)
    np.testing.assert_allclose(unitary_fidelity(np.eye(2), np.diag([1, -1])), 0, atol=1e-15)
    assert unitary_fidelity(unitary, unitary_group.rvs(6, size=3, random_state=rng(11))).max() < 0.9


def test_effective_depths():
    assert effective_depth(MESHES["grid"]) == 7
    assert effective_depth(MESHES["butterfly"]) == 3
    assert effective_depth(MESHES["stack"]) == 9
    assert effective_depth(random_grid_mesh(256, rng(), 8)) == (4 * 128 + 4 * 127) / 128


@pytest.mark.parametrize("modes", [2, 8, 40])
def test_mean_reflectivity_of_haar_meshes(modes):
    draws = 400 if modes < 40 else 40
    values = []
    for seed in range(draws):
        mesh = clements_decompose(unitary_group.rvs(modes, random_state=rng(modes, seed)))
        values.append(reflectivity(mesh.theta[mesh.used]).mean())
    error = np.std(values) / np.sqrt(draws)
    assert abs(np.mean(values) - haar_mean_reflectivity(modes)) < 4 * error


def test_mean_reflectivity_closed_values():
    assert haar_mean_reflectivity(2) == 0.5
    densities = sum((64 - j) / (j + 1) for j in range(1, 64)) / (64 * 63 / 2)
    np.testing.assert_allclose(haar_mean_reflectivity(64), densities)
    np.testing.assert_allclose(haar_mean_reflectivity(256), 0.0325, atol=5e-5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: unitary_fidelity(np.eye(3), np.eye(4)), r"got \(3, 3\) and \(4, 4\)"),
        (lambda: unitary_fidelity(np.eye(3), np.full((3, 3), np.nan)), "devices must be finite"),
        (lambda: log_infidelity(MESHES["grid"], -0.1, 0.0), "sigma_ps is a standard deviation"),
        (lambda: log_infidelity(MESHES["grid"], 0.1, [0.0, np.nan]), "sigma_bs is a standard deviation"),
        (lambda: published_fft_law(MESHES["butterfly"], -0.1), "sigma is a standard deviation"),
        (lambda: haar_mean_reflectivity(1), "needs two modes, got 1"),
    ],
)
def test_bad_input_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
