"""Speed of the thermodynamic cost of regression: entropies, mismatch costs, and simulation against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import SGDRegressor

from replica.floating_point.exact import fp_entropy_exact
from replica.floating_point.formats import FloatFormat
from replica.thermodynamics.mismatch import regression_mismatch_nats, unknown_slope_divergences_nats
from replica.thermodynamics.regression_cost import (
    LinearModel,
    intercept_entropy_bits,
    least_squares_slope,
    ols_slope_law,
    random_slope_data_entropy_bits,
    running_sums_entropy_bits,
)
from replica.thermodynamics.regression_sgd import sgd_moments, simulate_sgd
from replica.thermodynamics.regression_streams import store_float16, stream_sums

MODEL = LinearModel(1.0)


@pytest.mark.parametrize("precision", [8, 11, 24])
def test_exact_entropy_of_a_slope(benchmark, precision):
    benchmark(lambda: fp_entropy_exact(ols_slope_law(MODEL, 100), FloatFormat(precision, -40, 20)))


def test_entropy_of_the_running_sums(benchmark):
    benchmark(running_sums_entropy_bits, MODEL, 100, 11)


def test_entropy_of_slope_and_intercept(benchmark):
    benchmark(intercept_entropy_bits, MODEL, 0.7, 100, 11)


def test_entropy_of_data_with_one_random_slope(benchmark):
    benchmark(random_slope_data_entropy_bits, MODEL, 1.0, 100, 11)


def test_mismatch_cost(benchmark):
    assert benchmark(regression_mismatch_nats, MODEL, LinearModel(1.0, 1.0), 100) == pytest.approx(31.5008, abs=1e-4)


def test_mismatch_of_a_machine_for_any_slope(benchmark):
    benchmark(unknown_slope_divergences_nats, MODEL, 1.0, 100)


def test_thousand_steps_of_the_moments(benchmark):
    assert benchmark(sgd_moments, MODEL, 0.1, 1000).second.shape == (1001,)


def test_ten_thousand_runs_of_sgd(benchmark):
    rng = np.random.default_rng(0)
    assert benchmark(simulate_sgd, MODEL, 0.1, [200], 10_000, rng).shape == (1, 10_000)


def test_one_run_of_them_by_scikit_learn(benchmark):
    """One of the ten thousand runs above, as one would write it."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(200)
    y = x + 0.5 * rng.standard_normal(200)

    def fit():
        one_pass = {"max_iter": 1, "tol": None, "shuffle": False, "penalty": None, "fit_intercept": False}
        return SGDRegressor(learning_rate="constant", eta0=0.1, **one_pass).fit(x[:, None], y).coef_[0]

    benchmark(fit)


def test_ten_thousand_fits(benchmark):
    x = np.random.default_rng(0).standard_normal((10_000, 100))
    assert benchmark(least_squares_slope, x, 2 * x).shape == (10_000,)


def test_ten_thousand_streams_in_half_precision(benchmark):
    rng = np.random.default_rng(0)
    assert benchmark(stream_sums, MODEL, [100], 10_000, rng, store_float16)[0].shape == (1, 10_000)
