"""Linear networks against closed forms, high-precision optimisation and simulation with error bars."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replica.kernels.trials import mean_and_error
from replica.thermodynamics.linear_langevin import (
    discretised_entropy_production,
    entropy_production_ou,
    exact_step,
    network_information,
    ou_covariance,
    reciprocal_expansion,
    simulate_langevin,
    two_unit_drift,
    two_unit_entropy_production,
    two_unit_information,
    two_unit_optimum,
    two_unit_variance,
)

coupling = st.floats(-0.95, 0.95)


@settings(max_examples=50, deadline=None)
@given(a=coupling, b=coupling, temperature=st.floats(0.1, 5), signal=st.floats(0, 10))
def test_two_units_in_closed_form(a, b, temperature, signal):
    drift = two_unit_drift(a, b)
    assert entropy_production_ou(drift, temperature) == pytest.approx(two_unit_entropy_production(a, b), abs=1e-11)
    variance = ou_covariance(drift, temperature)[1, 1]
    assert variance == pytest.approx(two_unit_variance(a, b, temperature), rel=1e-10)
    information = network_information(drift, [[1.0], [0.0]], [[0.0, 1.0]], [[signal]], temperature)
    assert information == pytest.approx(two_unit_information(a, b, signal, temperature), rel=1e-9, abs=1e-12)


def test_entropy_production_of_known_couplings():
    assert two_unit_entropy_production([0.8, 0.8], [0, -0.5]) == pytest.approx([0.32, 0.845], abs=1e-15)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(2, 6))
def test_only_reciprocal_networks_do_not_dissipate(seed, n):
    j = np.random.default_rng(seed).normal(size=(n, n)) / (3 * np.sqrt(n))
    assert entropy_production_ou(np.eye(n) - j) > 0
    symmetric = np.eye(n) - 0.5 * (j + j.T)
    assert entropy_production_ou(symmetric, 2.0) == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(ou_covariance(symmetric, 2.0), 2.0 * np.linalg.inv(symmetric), rtol=1e-11, atol=1e-13)


def high_precision_optimum(penalty, strength=0.6, signal=4, digits=30):
    """Stationary angle of I - alpha sigma by root finding with 30 digits, from a scan of half a turn."""
    with mpmath.workdps(digits):
        c, s, alpha = mpmath.mpf(str(strength)), mpmath.mpf(signal), mpmath.mpf(str(penalty))

        def parts(angle):
            a, b = c * mpmath.cos(angle), c * mpmath.sin(angle)
            gain = 2 * b**2 * s / ((1 - a * b) * (2 - a * b + b**2))
            return mpmath.log(1 + gain) / 2, (a - b) ** 2 / 2

        def objective(angle):
            information, production = parts(angle)
            return information - alpha * production

        start = max((mpmath.pi * k / 200 for k in range(201)), key=objective)
        angle = mpmath.findroot(lambda x: mpmath.diff(objective, x), start)
        return [float(v) for v in (*parts(angle), c * mpmath.cos(angle), c * mpmath.sin(angle))]


@pytest.mark.parametrize("penalty", [0, 0.05, 0.1, 0.2, 0.5, 1, 5, 1000])
def test_optimum_against_high_precision(penalty):
    a, b = two_unit_optimum(0.6, 4.0, penalty)
    information, production, *couplings = high_precision_optimum(penalty)
    assert [a, b] == pytest.approx(couplings, abs=2e-7)  # a maximum is found to the square root of rounding
    assert two_unit_information(a, b, 4.0) == pytest.approx(information, abs=1e-7)
    assert two_unit_entropy_production(a, b) == pytest.approx(production, rel=2e-3, abs=1e-7)


def test_leaving_reciprocity_is_first_order_in_gain_and_second_in_cost():
    strength, signal, temperature = 0.6, 4.0, 1.5
    start, slope, price = reciprocal_expansion(strength, signal, temperature)
    for turn in (1e-3, -1e-3):
        angle = np.pi / 4 + turn
        a, b = strength * np.cos(angle), strength * np.sin(angle)
        gain = two_unit_information(a, b, signal, temperature) - start
        assert gain == pytest.approx(slope * turn, rel=3e-3)  # next order is of relative size of the turn
        assert two_unit_entropy_production(a, b) == pytest.approx(price * np.sin(turn) ** 2, rel=1e-10)


@settings(max_examples=50, deadline=None)
@given(strength=st.floats(0.05, 1.4), signal=st.floats(0.1, 100))
def test_the_reciprocal_device_is_never_the_best(strength, signal):
    start, slope, _ = reciprocal_expansion(strength, signal)
    assert slope > 0
    a, b = two_unit_optimum(strength, signal)
    assert two_unit_information(a, b, signal) > start
    assert b > a


def test_one_step_of_any_length():
    drift = two_unit_drift(0.8, -0.5)
    c = ou_covariance(drift, 2.0)
    for dt in (1e-3, 0.1, 3.0, 60.0):
        u, noise = exact_step(drift, dt, 2.0)
        np.testing.assert_allclose(noise, c - u @ c @ u.T, atol=1e-13)


def test_simulation():
    drift, signal = two_unit_drift(0.8, -0.5), 4.0
    rng = np.random.default_rng(0)
    s = np.sqrt(signal) * rng.standard_normal(20000)
    runs = simulate_langevin(drift, s[:, None] * [1.0, 0.0], 3.0, 0.02, rng)
    mean, error = mean_and_error(runs.entropy_production)
    assert abs(mean - discretised_entropy_production(drift, 0.02)) < 4 * error
    assert error < 0.01
    assert abs(discretised_entropy_production(drift, 0.02) / 0.845 - 1) < 0.025
    noise = runs.final - s[:, None] * np.linalg.solve(drift, [1.0, 0.0])
    spread, spread_error = mean_and_error(noise**2)
    assert (np.abs(spread - np.diag(ou_covariance(drift))) < 4 * spread_error).all()


def test_stratonovich_not_ito():
    """Ito's rule misses Tr A: the difference of the two sums is the quadratic variation."""
    drift = two_unit_drift(0.8, -0.5)
    u, noise = exact_step(drift, 1e-3)
    rng = np.random.default_rng(1)
    y = rng.standard_normal((50000, 2)) @ np.linalg.cholesky(ou_covariance(drift)).T
    new = y @ u.T + rng.standard_normal(y.shape) @ np.linalg.cholesky(noise).T
    difference = np.einsum("ri,ri->r", -0.5 * ((new - y) @ drift.T), new - y) / 1e-3
    mean, error = mean_and_error(difference)
    assert abs(mean + np.trace(drift)) < 4 * error + 2e-3 * 2  # and a bias of order dt


def test_discretisation_converges_linearly():
    drift = two_unit_drift(0.8, -0.5)
    errors = [0.845 - discretised_entropy_production(drift, dt) for dt in (0.02, 0.01)]
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.02)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"positive real parts, the smallest is -0\.4"):
        ou_covariance(two_unit_drift(1.4, 1.4))
    with pytest.raises(ValueError, match="square"):
        entropy_production_ou(np.ones((2, 3)))
    with pytest.raises(ValueError, match="NaN"):
        entropy_production_ou([[np.nan, 0], [0, 1]])
    with pytest.raises(ValueError, match="ab < 1"):
        two_unit_entropy_production(2.0, 1.0)
    with pytest.raises(ValueError, match="temperature"):
        two_unit_information(0.1, 0.1, 1.0, temperature=0)
    with pytest.raises(ValueError, match="variance of the signal"):
        two_unit_information(0.1, 0.1, -1.0)
    with pytest.raises(ValueError, match="strength"):
        two_unit_optimum(1.5, 4.0)
    with pytest.raises(ValueError, match="penalty"):
        two_unit_optimum(0.6, 4.0, -1.0)
    with pytest.raises(ValueError, match="B of shape"):
        network_information(np.eye(2), np.ones((3, 1)), np.ones((1, 2)), [[1.0]])
    with pytest.raises(ValueError, match="force of shape"):
        simulate_langevin(np.eye(2), np.ones(2), 1.0, 0.1, np.random.default_rng(0))
    with pytest.raises(ValueError, match="dt <= duration"):
        simulate_langevin(np.eye(2), np.ones((1, 2)), 1.0, 2.0, np.random.default_rng(0))
    with pytest.raises(ValueError, match="dt <= duration"):
        simulate_langevin(np.eye(2), np.ones((1, 2)), np.inf, 0.1, np.random.default_rng(0))
    with pytest.raises(ValueError, match="finite forces"):
        simulate_langevin(np.eye(2), np.full((1, 2), np.nan), 1.0, 0.1, np.random.default_rng(0))
    with pytest.raises(ValueError, match="step must be positive"):
        exact_step(np.eye(2), 0.0)
    with pytest.raises(ValueError, match="step must be positive"):
        discretised_entropy_production(two_unit_drift(0.8, -0.5), 0.0)
    with pytest.raises(ValueError, match="strength"):
        reciprocal_expansion(1.5, 4.0)
    with pytest.raises(ValueError, match="variance of the signal"):
        reciprocal_expansion(0.6, -10.0)
    with pytest.raises(ValueError, match="no negative eigenvalue"):
        network_information(np.eye(2), [[1.0], [0.0]], [[1.0, 0.0]], [[-5.0]])
