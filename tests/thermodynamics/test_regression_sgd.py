"""SGD: exact moments against simulation and brute force, scikit-learn, step sizes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import SGDRegressor

from replica.thermodynamics import regression_sgd as sgd
from replica.thermodynamics.regression_cost import LinearModel

MODEL = LinearModel(0.8, 0.5, 1.3)


def test_moments_against_simulation():
    runs, marks = 200_000, (1, 3, 10, 40)
    d = sgd.simulate_sgd(MODEL, 0.08, marks, runs, np.random.default_rng(0), start=2.0) - MODEL.slope
    moments = sgd.sgd_moments(MODEL, 0.08, 40, start=2.0)
    for power, theory in enumerate(moments, start=1):
        values = d**power
        error = values.std(axis=1) / np.sqrt(runs)
        assert np.all(np.abs(values.mean(axis=1) - theory[list(marks)]) < 4.5 * error)


def test_one_step_by_gauss_hermite_quadrature():
    z, weight = np.polynomial.hermite_e.hermegauss(20)  # exact for polynomials of degree 39
    mass = np.outer(weight, weight) / (2 * np.pi)
    x, noise = MODEL.input_sd * z[:, None], MODEL.noise_sd * z[None, :]
    d = (1 - 0.1 * x**2) * (0.3 - MODEL.slope) + 0.1 * x * noise
    moments = sgd.sgd_moments(MODEL, 0.1, 1, start=0.3)
    assert [m[1] for m in moments] == pytest.approx([(mass * d**k).sum() for k in (1, 2, 3, 4)], rel=1e-10)
    mean, variance = (mass * d).sum(), (mass * d**2).sum() - (mass * d).sum() ** 2
    kurtosis = (mass * (d - mean) ** 4).sum() / variance**2 - 3
    assert moments.excess_kurtosis[1] == pytest.approx(kurtosis, rel=1e-10)


def test_values_of_the_survey():
    # independent evaluation, w = 1, sigma = 0.5, sigma_x = 1, w_0 = 0
    moments = sgd.sgd_moments(LinearModel(1.0), 0.1, 200)
    assert moments.second[[1, 5, 20, 50, 200]] == pytest.approx([0.8325, 0.4028, 0.0384, 0.0148, 0.0147], abs=6e-5)
    assert moments.excess_kurtosis[[1, 200]] == pytest.approx([12, 0.05], rel=0.08)


@given(st.floats(0.01, 0.95), st.floats(0.2, 3), st.floats(0.2, 3))
def test_stationary_value_is_a_fixed_point(share, noise, sx):
    model = LinearModel(0.0, noise, sx)
    rate = share * sgd.largest_stable_rate(model)
    v = sgd.stationary_mean_square(model, rate)
    assert sgd.sgd_moments(model, rate, 1, start=np.sqrt(v)).second[1] == pytest.approx(v, rel=1e-9)


def test_just_beyond_the_stable_rate_the_error_grows():
    model = LinearModel(0.0)
    rate = 1.01 * sgd.largest_stable_rate(model)
    second = sgd.sgd_moments(model, rate, 2000, start=1.0, allow_unstable=True).second
    assert np.all(np.diff(second) > 0)


def test_best_rates_beat_any_constant_rate_and_their_neighbours():
    best = sgd.best_rates(MODEL, 50)
    least = sgd.sgd_moments(MODEL, best, 50).second[-1]
    for rate in np.linspace(0.01, 0.38, 30):
        assert sgd.sgd_moments(MODEL, rate, 50).second[-1] > least
    for factor in (0.95, 1.05):
        assert sgd.sgd_moments(MODEL, factor * best, 50).second[-1] > least


def test_best_rates_reach_least_squares():
    v = sgd.sgd_moments(MODEL, sgd.best_rates(MODEL, 5000), 5000).second[-1]
    assert 5000 * v == pytest.approx(MODEL.relative_noise**2, rel=0.01)  # 2 ln N / N


def test_one_pass_of_scikit_learn():
    rng = np.random.default_rng(0)
    x = MODEL.input_sd * rng.standard_normal(60)
    y = MODEL.slope * x + MODEL.noise_sd * rng.standard_normal(60)

    class Replay:
        """A generator that hands out the data above, for the simulation to use."""

        values = iter(np.stack([x / MODEL.input_sd, (y - MODEL.slope * x) / MODEL.noise_sd], axis=1).ravel())

        def standard_normal(self, runs):
            return np.full(runs, next(self.values))

    slope = sgd.simulate_sgd(MODEL, 0.05, [60], 1, Replay())[0, 0]
    fit = SGDRegressor(
        penalty=None, fit_intercept=False, learning_rate="constant", eta0=0.05, max_iter=1, tol=None, shuffle=False
    ).fit(x[:, None], y)
    assert slope == pytest.approx(fit.coef_[0], abs=1e-10)


def test_gaussian_law_has_the_exact_moments():
    law, moments = sgd.gaussian_sgd_law(MODEL, 0.1, 30), sgd.sgd_moments(MODEL, 0.1, 30)
    assert law.mean() == pytest.approx(MODEL.slope + moments.first[-1])
    assert law.var() == pytest.approx(moments.variance[-1])


RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: sgd.sgd_moments(MODEL, 0.4, 10), r"below 2/\(3 input_sd\*\*2\) = 0.3945"),
        (lambda: sgd.sgd_moments(LinearModel(1.0), 2 / 3, 10), "below"),
        (lambda: sgd.stationary_mean_square(MODEL, 0.5), "below"),
        (lambda: sgd.simulate_sgd(MODEL, 0.5, [1], 10, RNG), "below"),
        (lambda: sgd.sgd_moments(MODEL, 0.0, 10), "positive and finite"),
        (lambda: sgd.sgd_moments(MODEL, np.nan, 10), "positive and finite"),
        (lambda: sgd.sgd_moments(MODEL, [0.1, 0.1], 3), "one for each of 3 steps"),
        (lambda: sgd.sgd_moments(MODEL, 0.1, 0), "at least one step"),
        (lambda: sgd.sgd_moments(MODEL, 0.1, 5, start=np.inf), "start must be finite"),
        (lambda: sgd.best_rates(MODEL, 5, start=MODEL.slope), "differ from the slope"),
        (lambda: sgd.best_rates(MODEL, 0), "at least one step"),
        (lambda: sgd.simulate_sgd(MODEL, 0.1, [2, 1], 10, RNG), "must increase"),
        (lambda: sgd.simulate_sgd(MODEL, 0.1, [1.5, 3], 10, RNG), "in whole numbers"),
        (lambda: sgd.simulate_sgd(MODEL, 0.1, [1], 0, RNG), "runs must be a positive whole number"),
        (lambda: sgd.simulate_sgd(MODEL, 0.1, [1], 10, RNG, start=np.nan), "start must be finite"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
