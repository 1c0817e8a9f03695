"""Speed of kernel spectra and of the mode errors of regression runs."""

from __future__ import annotations

import numpy as np
import pytest

from replica.kernels.closed_forms import relu_ntk_series
from replica.kernels.fully_connected import wide_network_kernels
from replica.kernels.mode_errors import finite_domain_mode_errors, teacher_student_trials
from replica.kernels.spectra import empirical_eigensystem, sphere_spectrum, sphere_spectrum_from_series
from replica.kernels.trials import draw_samples


def ntk(cosine):
    return wide_network_kernels(np.clip(cosine, -1, 1), hidden_layers=3, bias_var=0.0).ntk


@pytest.mark.parametrize("how", ["quadrature", "series"])
def test_degree_50_in_a_thousand_dimensions(benchmark, how):
    """Both ways without overflow; the series has every digit at every degree."""

    def series():
        return sphere_spectrum_from_series(relu_ntk_series(400, hidden_layers=3, bias_var=0.0), 1000, 50)

    spectrum = benchmark(series if how == "series" else lambda: sphere_spectrum(ntk, 1000, 50))
    assert np.isfinite(spectrum.eigenvalues).all()
    assert 3 < spectrum.trace < 4
    if how == "series":
        assert spectrum.eigenvalues[50] > 0


def test_a_teacher_and_twenty_students(benchmark):
    spectrum = sphere_spectrum(ntk, 10, 29)
    rng = np.random.default_rng(0)
    run = benchmark.pedantic(
        lambda: teacher_student_trials(spectrum, 10, 100, 20, rng, causes=range(5), test_points=500), rounds=3
    )
    assert run.projected.shape == (20, 30)


def test_grouped_mode_errors_of_a_thousand_points(benchmark):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 10))
    gram = ntk(x @ x.T / np.linalg.norm(x, axis=1)[:, None] / np.linalg.norm(x, axis=1))
    system = empirical_eigensystem(gram, np.sign(x[:, :3]))
    samples = draw_samples(1000, 100, 10, rng)
    run = benchmark.pedantic(
        lambda: finite_domain_mode_errors(gram, system, [0, 10, 100, 1000], samples, 1e-6), rounds=3
    )
    assert run.projected.shape == (10, 3)
