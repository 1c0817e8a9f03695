"""Best data-set sizes: closed forms against numerical minima, thresholds, limits."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from replica.thermodynamics import dataset_size as size


@settings(max_examples=20, deadline=None)
@given(st.floats(3, 9), st.floats(0.3, 3), st.floats(0.1, 2), st.floats(5, 50), st.floats(5, 50))
def test_power_demand_is_a_minimum(log_calls, a, noise, c_tr, c_inf):
    calls = 10.0**log_calls
    best = float(size.power_demand_size(calls, a, noise, c_tr, c_inf))
    assume(2.01 < best < 1e8)
    numerical = size.best_size(lambda n: c_tr * n + c_inf * calls * (noise**2 / (n - 2)) ** a)
    assert numerical - 2 == pytest.approx(best - 2, rel=1e-5)


@given(st.floats(0.1, 3), st.floats(1e-4, 10))
def test_per_inference_size_solves_its_equation(noise, scale):
    n = float(size.per_inference_size(noise, scale))
    s = noise**2 / scale
    assert (n - 2) ** 2 == pytest.approx(s * n, rel=1e-9, abs=1e-12)
    assert n > 2


def test_per_inference_size_is_a_minimum_and_its_limit():
    n = float(size.per_inference_size(0.5, 0.01))
    assert size.best_size(lambda k: np.log(k) + 25 / (k - 2)) == pytest.approx(n, rel=1e-6)
    assert float(size.per_inference_size(1.0, 1e-6)) == pytest.approx(1e6 + 4, abs=1e-4)


@given(st.floats(0.1, 3), st.floats(1e-3, 1), st.floats(1, 50), st.floats(1, 50))
def test_the_first_size_that_pays_costs_least_for_each_inference(noise, scale, c_tr, profit):
    calls = size.break_even_calls(noise, scale, c_tr, profit)
    n = float(size.net_value_size(calls, noise, scale, c_tr, profit))
    assert n == pytest.approx(float(size.per_inference_size(noise, scale)), rel=1e-6)
    gain = profit * calls * np.exp(-(noise**2) / scale / (n - 2)) - c_tr * n
    assert gain == pytest.approx(0.0, abs=1e-6 * c_tr * n)


@pytest.mark.parametrize("factor", [1.5, 10.0, 1e4])
def test_net_value_is_a_maximum(factor):
    calls = factor * float(size.break_even_calls(0.5, 0.01, 26.0, 27.0))
    best = float(size.net_value_size(calls, 0.5, 0.01, 26.0, 27.0))
    numerical = size.best_size(lambda n: 26.0 * n - 27.0 * calls * np.exp(-25 / (n - 2)))
    assert best == pytest.approx(numerical, rel=1e-5)


def test_net_value_grows_as_the_root_of_demand():
    n = size.net_value_size([1e10, 1e12], 0.5, 0.01, 26.0, 27.0)
    assert np.log10(n[1] / n[0]) == pytest.approx(1.0, abs=1e-3)
    assert n[1] == pytest.approx(2 + np.sqrt(27 / 26 * 1e12 * 25), rel=1e-4)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: size.power_demand_size(-1.0, 1, 1, 1, 1), "calls must be positive"),
        (lambda: size.power_demand_size(1.0, 0, 1, 1, 1), "exponent must be positive"),
        (lambda: size.power_demand_size(1.0, 1, 0, 1, 1), "noise_sd must be positive"),
        (lambda: size.power_demand_size(1.0, 1, 1, np.nan, 1), "training_bits must be positive"),
        (lambda: size.per_inference_size(0.5, 0.0), "error_scale must be positive"),
        (lambda: size.break_even_calls(0.5, 0.1, 26.0, -1.0), "profit_bits must be positive"),
        (lambda: size.net_value_size(1.0, 0.5, 0.01, 26.0, 27.0), "training does not pay"),
        (lambda: size.best_size(lambda n: n), "no minimum"),
        (lambda: size.best_size(lambda n: np.nan), "not a number"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
