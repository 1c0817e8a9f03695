"""Closed forms against the general theory, against scans of themselves, and power series against the kernels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replica.kernels.closed_forms import (
    double_descent_threshold,
    initial_rise_threshold,
    learning_stage,
    relu_ntk_series,
    rising_noise,
    white_spectrum_error,
    white_spectrum_kappa,
)
from replica.kernels.fully_connected import wide_network_kernels
from replica.kernels.learning_curves import krr_risk, solve_kappa
from replica.kernels.spectra import Spectrum


@settings(max_examples=80, deadline=None)
@given(st.floats(0.02, 20), st.floats(1e-6, 20), st.floats(0, 5))
def test_white_spectrum_is_the_general_theory(alpha, ridge, noise):
    size = 1000
    general = krr_risk([1 / size], [1.0], alpha * size, ridge, noise, [size])
    kappa = white_spectrum_kappa(alpha, ridge)
    assert kappa == pytest.approx(alpha * size * general.kappa, rel=1e-9)
    assert kappa**2 - (1 + ridge - alpha) * kappa - ridge * alpha == pytest.approx(
        0, abs=1e-12 * (1 + ridge + alpha) ** 2
    )
    assert white_spectrum_error(alpha, ridge, noise) == pytest.approx(general.test_risk - noise, rel=1e-7, abs=1e-11)


def test_white_spectrum_without_ridge():
    np.testing.assert_allclose(white_spectrum_kappa([0.3, 1.0, 2.0], 0.0), [0.7, 0, 0])
    # Least squares: 1 - alpha below, sigma^2 / (alpha - 1) above.
    np.testing.assert_allclose(white_spectrum_error([0.3, 2.0, 3.0], 0.0, 0.5), [0.7 + 0.15 / 0.7, 0.5, 0.25])
    assert white_spectrum_error(1.0, 0.0, 0.1) == np.inf
    assert white_spectrum_error(1.0, 0.0, 0.0) == 0
    assert white_spectrum_error(0.0, 0.4, 0.7) == pytest.approx(1)  # nothing learned yet


def test_tiny_ridges_do_not_cancel():
    # For alpha > 1 kappa = lambda alpha / (alpha - 1) to leading order.
    assert white_spectrum_kappa(3.0, 1e-18) == pytest.approx(1.5e-18, rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.05, 4), st.floats(0.02, 3), st.floats(0, 4))
def test_the_rising_noise_is_where_the_slope_changes_sign(alpha, ridge, noise):
    h = 1e-6
    slope = (white_spectrum_error(alpha + h, ridge, noise) - white_spectrum_error(alpha - h, ridge, noise)) / (2 * h)
    critical = float(rising_noise(alpha, ridge))
    if abs(slope) > 1e-6:
        assert (slope > 0) == (noise > critical)


@pytest.mark.parametrize("ridge", [0.01, 0.1, 0.5, 0.8, 1.0, 2.5])
def test_thresholds_are_the_extremes_of_the_rising_noise(ridge):
    alpha = np.append(0, np.geomspace(1e-4, 5, 200_001))
    onset = rising_noise(alpha, ridge)
    assert onset.min() == pytest.approx(float(double_descent_threshold(ridge)), abs=1e-5)
    assert onset[0] == pytest.approx(float(initial_rise_threshold(ridge)), abs=1e-12)


def test_thresholds_meet_at_ridge_one_and_vanish_without_ridge():
    assert double_descent_threshold(0.0) == pytest.approx(0)
    assert double_descent_threshold(1 - 1e-9) == pytest.approx(3, abs=1e-6)
    ridge = np.linspace(0, 1, 50)
    assert (double_descent_threshold(ridge) <= initial_rise_threshold(ridge)).all()
    assert (np.diff(double_descent_threshold(ridge)) > 0).all()


def test_a_ridge_equal_to_the_noise_is_best():
    ridge = np.geomspace(0.01, 10, 2001)
    for alpha in (0.3, 1.0, 2.5):
        best = ridge[white_spectrum_error(alpha, ridge, 0.3).argmin()]
        assert best == pytest.approx(0.3, rel=0.005)


def test_a_stage_alone_is_the_theory_of_well_separated_levels():
    spectrum = Spectrum(np.array([0.5, 1e-3, 1e-7]), np.array([1.0, 1e3, 1e7]))
    power = np.array([0.3, 0.5, 0.2])
    stage = learning_stage(spectrum, 1, 0.1, 0.05, power)
    assert stage.ridge == pytest.approx((0.1 + 1) / 1)
    assert stage.noise_var == pytest.approx((0.05 + 0.2) / 0.5)
    alpha = np.array([0.5, 1, 3])
    exact = krr_risk(spectrum.eigenvalues, power, alpha * 1e3, 0.1, 0.05, spectrum.multiplicity)
    alone = 0.5 * white_spectrum_error(alpha, stage.ridge, stage.noise_var) + 0.2
    np.testing.assert_allclose(exact.test_risk - 0.05, alone, rtol=0.01)  # levels a factor 1000 apart


@pytest.mark.parametrize("layers", [1, 2, 4])
@pytest.mark.parametrize("bias", [0.0, 0.1])
def test_relu_series_sums_to_the_kernel(layers, bias):
    options = {"hidden_layers": layers, "bias_var": bias, "readout_weight_var": 1.5, "readout_bias_var": 0.2}
    series = relu_ntk_series(300, **options)
    c = np.linspace(-0.85, 0.85, 13)
    exact = wide_network_kernels(c, **options).ntk
    np.testing.assert_allclose(np.polynomial.polynomial.polyval(c, series), exact, atol=1e-12)
    assert (series > -1e-15).all()
    # A longer series has the same beginning.
    np.testing.assert_allclose(relu_ntk_series(50, **options), series[:50], rtol=1e-10, atol=1e-15)


def test_short_series():
    assert relu_ntk_series(1, hidden_layers=2).shape == (1,)
    np.testing.assert_allclose(relu_ntk_series(1, hidden_layers=2), wide_network_kernels(0.0, hidden_layers=2).ntk)


def test_kappa_agrees_with_the_solver_on_explicit_modes():
    # One more route to kappa: the solver on 500 explicit modes.
    kappa = 750 * solve_kappa(np.full(500, 1 / 500), 750, 0.2)
    assert white_spectrum_kappa(1.5, 0.2) == pytest.approx(kappa, rel=1e-9)


def test_bad_input_is_refused():
    spectrum = Spectrum(np.array([1.0, 0.1]), np.array([1.0, 5.0]))
    for call, words in [
        (lambda: white_spectrum_error(-1.0, 0.1), "alpha must be finite and >= 0; got -1"),
        (lambda: white_spectrum_error(1.0, np.nan), "ridge must be finite"),
        (lambda: white_spectrum_error(1.0, 0.1, -0.1), "noise_var"),
        (lambda: rising_noise(1.0, 0.0), "ridge must be > 0"),
        (lambda: learning_stage(spectrum, 2), "level must lie between 0 and 1"),
        (lambda: learning_stage(spectrum, 1, target_power=[1.0, 0.0]), "target_power"),
        (lambda: learning_stage(spectrum, 1, ridge=-1.0), "ridge"),
        (lambda: relu_ntk_series(10, hidden_layers=0), "hidden_layers >= 1"),
        (lambda: relu_ntk_series(10, hidden_layers=1, weight_var=0.0), "weight_var"),
        (lambda: relu_ntk_series(10, hidden_layers=1, bias_var=-0.1), "bias_var"),
    ]:
        with pytest.raises(ValueError, match=words):
            call()
