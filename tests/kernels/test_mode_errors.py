"""Mode errors of single runs against brute force, and the two ways to split an error against simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replica.kernels.closed_forms import white_spectrum_error
from replica.kernels.domains import gegenbauer_normalized, sample_sphere
from replica.kernels.fully_connected import wide_network_gram, wide_network_kernels
from replica.kernels.learning_curves import krr_risk
from replica.kernels.mode_errors import (
    _by_degree,
    error_transfer,
    finite_domain_mode_errors,
    isotropic_trials,
    teacher_student_trials,
)
from replica.kernels.notation import to_bordelon_canatar_pehlevan
from replica.kernels.spectra import Spectrum, empirical_eigensystem, sphere_spectrum
from replica.kernels.trials import draw_samples, gaussian_feature_trials


def bump(cosine):
    return np.exp(-2 * (1 - cosine))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-10, 1), st.floats(0, 3), st.integers(1, 60)), min_size=1, max_size=10),
    st.floats(0.5, 200), st.floats(-6, 2),
)  # fmt: skip
def test_rows_and_columns_of_the_transfer(levels, n, log_ridge):
    log_lam, power, mult = (np.array(column, dtype=float) for column in zip(*levels, strict=True))
    prediction = krr_risk(np.exp(log_lam), power, n, np.exp(log_ridge), 0.0, mult)
    transfer = error_transfer(prediction)
    published = to_bordelon_canatar_pehlevan(prediction).mode_errors
    np.testing.assert_allclose(transfer.sum(axis=-1), prediction.mode_errors, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(transfer.sum(axis=-2), published, rtol=1e-9, atol=1e-14)


def test_a_teacher_drawn_from_the_kernel_has_a_symmetric_transfer():
    lam, mult = np.array([1.0, 0.1, 0.01, 0.001]), np.array([1.0, 10, 50, 200])
    transfer = error_transfer(krr_risk(lam, lam**2 * mult, np.array([7.0, 40.0]), 0.02, 0.0, mult))
    assert transfer.shape == (2, 4, 4)
    np.testing.assert_allclose(transfer, np.swapaxes(transfer, -1, -2), rtol=1e-10)
    other = error_transfer(krr_risk(lam, np.ones(4), 7, 0.02, 0.0, mult))
    assert abs(other[0, 1] / other[1, 0] - 1) > 0.5


def test_blocks_of_rows_change_nothing():
    rng = np.random.default_rng(0)
    rows, columns = sample_sphere(500, 4, rng) / 2, sample_sphere(333, 4, rng) / 2
    vectors = rng.normal(size=(333, 3))
    whole = gegenbauer_normalized(np.clip(rows @ columns.T, -1, 1), 5, 4) @ vectors
    np.testing.assert_allclose(_by_degree(rows, columns, vectors, 6), whole, atol=1e-11)


def test_degrees_add_up_to_the_error_in_the_limit_of_many_test_points():
    spectrum = sphere_spectrum(bump, 4, 12)
    runs = teacher_student_trials(spectrum, 4, 6, 3, np.random.default_rng(1), teachers=8, test_points=40_000)
    # A test set of 40 000: relative standard error about 1 per cent.
    np.testing.assert_allclose(runs.projected.sum(axis=1), runs.test_error, rtol=0.05)
    assert (runs.projected > -1e-12).all()
    assert (runs.transfer > -1e-12).all()


def test_mode_errors_of_a_run_by_quadrature_on_the_circle():
    """In two dimensions the projections are Fourier sums, done here by brute force with the same random draws."""
    spectrum = Spectrum(np.array([0.5, 0.2, 0.1, 0.02]), np.array([1.0, 2, 2, 2]))
    run = teacher_student_trials(spectrum, 2, 5, 1, np.random.default_rng(3), teachers=4, ridge=0.03)
    rng = np.random.default_rng(3)
    x, centres = (sample_sphere(m, 2, rng) / np.sqrt(2) for m in (5, 4))
    bar = rng.choice([-1.0, 1.0], 4) / 2
    angle = 2 * np.pi * np.arange(64) / 64
    z = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    weight = spectrum.eigenvalues * spectrum.multiplicity

    def kernel(a, b, degrees=range(4)):
        part = np.zeros(4)
        part[list(degrees)] = 1
        return np.einsum("k,kab->ab", weight * part, gegenbauer_normalized(np.clip(a @ b.T, -1, 1), 3, 2))

    for causes in (range(4), [0], [2]):
        target = lambda points, causes=causes: kernel(points, centres, causes) @ bar  # noqa: E731
        learned = kernel(z, x) @ np.linalg.solve(kernel(x, x) + 0.03 * np.eye(5), target(x))
        fourier = np.abs(np.fft.rfft(learned - target(z)) / 64) ** 2 * np.append(1, np.full(32, 2))
        ours = run.projected[0] if len(list(causes)) == 4 else run.transfer[0, :, next(iter(causes))]
        np.testing.assert_allclose(ours, fourier[:4], atol=1e-12)


def test_the_theory_of_the_transfer_against_runs():
    # A rough kernel: the theory's corrections are small when many modes share the error.
    ntk = lambda c: wide_network_kernels(np.clip(c, -1, 1), hidden_layers=3, bias_var=0.0).ntk  # noqa: E731
    spectrum = sphere_spectrum(ntk, 10, 15)
    n, trials, causes = 60, 60, [1, 2, 3]
    runs = teacher_student_trials(spectrum, 10, n, trials, np.random.default_rng(0), teachers=80, causes=causes)
    eta, mult = spectrum
    theory = error_transfer(krr_risk(eta, runs.target_power.mean(axis=0), n, 0.0, 0.0, mult))[1:6, causes]
    measured = runs.transfer[:, 1:6]
    error = measured.std(axis=0, ddof=1) / trials**0.5
    assert (np.abs(measured.mean(axis=0) - theory) < 4 * error + 0.1 * theory).all()  # corrections of a few 1/n
    np.testing.assert_allclose(runs.caused, runs.transfer.sum(axis=1))


def digits_like(rng, m=80):
    x = rng.normal(size=(m, 6)) * np.array([3, 2, 1, 0.5, 0.3, 0.2])
    return wide_network_gram(x, hidden_layers=2).ntk, np.stack([x[:, 0], np.sign(x[:, 1])], axis=1)


def test_finite_domain_against_direct_projection():
    rng = np.random.default_rng(0)
    gram, y = digits_like(rng)
    system = empirical_eigensystem(gram, y)
    samples = draw_samples(80, 12, 2, rng)
    run = finite_domain_mode_errors(gram, system, [0, 1, 5, 80], samples, 1e-3)
    s = samples[1]
    learned = gram[:, s] @ np.linalg.solve(gram[np.ix_(s, s)] + 1e-3 * np.eye(12), y[s])
    squares = ((system.features.T @ (learned - y) / 80) ** 2).sum(axis=1)
    np.testing.assert_allclose(run.projected[1], [squares[0], squares[1:5].sum(), squares[5:].sum()], rtol=1e-8)
    assert run.test_error[1] == pytest.approx(((learned - y) ** 2).mean(axis=0).sum(), rel=1e-8)
    np.testing.assert_allclose(run.target_power.sum(axis=1), (y**2).mean(axis=0).sum())


def test_one_group_holds_everything():
    rng = np.random.default_rng(1)
    gram, y = digits_like(rng)
    run = finite_domain_mode_errors(gram, empirical_eigensystem(gram, y), [0, 80], draw_samples(80, 9, 4, rng), 1e-4)
    np.testing.assert_allclose(run.caused[:, 0], run.test_error, rtol=1e-9)


@pytest.mark.parametrize("n", [12, 30, 70])
def test_exact_averages_over_targets_and_noise(n):
    modes, ridges, noise, trials = 30, np.array([0.05, 0.5]), 0.3, 400
    bias, variance = isotropic_trials(modes, n, ridges, trials, np.random.default_rng(0))
    exact = bias + noise * variance
    white = np.full(modes, 1 / modes)
    runs, _ = gaussian_feature_trials(white, white, n, ridges, trials, np.random.default_rng(1), noise_var=noise)
    error = np.sqrt((exact.var(axis=0) + runs.var(axis=0)) / trials)
    assert (np.abs(exact.mean(axis=0) - runs.mean(axis=0) + noise) < 4 * error).all()
    assert (exact.std(axis=0) < runs.std(axis=0) / 1.5).all()


def test_isotropic_runs_tend_to_the_closed_form():
    bias, variance = isotropic_trials(300, 360, [0.01, 1.0], 5, np.random.default_rng(0))
    measured = (bias + 0.2 * variance).mean(axis=0)
    np.testing.assert_allclose(measured, white_spectrum_error(1.2, [0.01, 1.0], 0.2), rtol=0.03)  # O(1/300) and noise


def test_bad_input_is_refused():
    rng = np.random.default_rng(0)
    gram, y = digits_like(rng)
    system, bare = empirical_eigensystem(gram, y), empirical_eigensystem(gram)
    spectrum = sphere_spectrum(bump, 4, 5)
    several = krr_risk([1.0, 0.1], np.eye(2), 3)
    noisy = krr_risk([1.0, 0.1], [1.0, 1.0], 3, 0.1, 0.2)
    for call, words in [
        (lambda: error_transfer(several), "one target"),
        (lambda: error_transfer(noisy), "without label noise"),
        (lambda: teacher_student_trials(spectrum, 4, 0, 1, rng), "n, trials, teachers >= 1"),
        (lambda: teacher_student_trials(spectrum, 4, 3, 1, rng, causes=[6]), "causes must hold degrees"),
        (lambda: isotropic_trials(5, 5, [0.0], 1, rng), "ridges > 0"),
        (lambda: finite_domain_mode_errors(gram, bare, [0, 80], [[1, 2]], 0.1), "with targets"),
        (lambda: finite_domain_mode_errors(gram, system, [0, 40], [[1, 2]], 0.1), "increase from 0 to 80"),
    ]:
        with pytest.raises(ValueError, match=words):
            call()
