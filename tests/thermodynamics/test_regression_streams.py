"""Streams in finite arithmetic: exact in double precision, faithful to hardware in half precision."""

import numpy as np
import pytest

from replica.floating_point.quantisation import miller_madow_entropy, stored_tuple_counts
from replica.thermodynamics import regression_streams as streams
from replica.thermodynamics.regression_cost import LinearModel, ols_slope_law

MODEL = LinearModel(1.0)


def test_double_precision_gives_the_sums():
    a, s = streams.stream_sums(MODEL, [1, 4], 3, np.random.default_rng(5))
    rng = np.random.default_rng(5)
    expected_a, expected_s = np.zeros(3), np.zeros(3)
    for _ in range(4):
        x, noise = rng.standard_normal(3), rng.standard_normal(3)
        y = x + 0.5 * noise
        expected_a, expected_s = expected_a + x * y, expected_s + x * x
    assert a[1] == pytest.approx(expected_a, abs=1e-14)
    assert s[1] == pytest.approx(expected_s, abs=1e-14)
    assert a.shape == (2, 3)


def test_half_precision_is_numpys_own_arithmetic():
    a, s = streams.stream_sums(MODEL, [6], 200, np.random.default_rng(3), streams.store_float16)
    rng = np.random.default_rng(3)
    half_a, half_s = np.zeros(200, np.float16), np.zeros(200, np.float16)
    for _ in range(6):
        x = rng.standard_normal(200)
        y = (x + 0.5 * rng.standard_normal(200)).astype(np.float16)
        x = x.astype(np.float16)
        half_a, half_s = half_a + x * y, half_s + x * x
    assert half_a.dtype == np.float16
    assert np.array_equal(a[0], half_a.astype(float))
    assert np.array_equal(s[0], half_s.astype(float))


def test_first_stage_loses_the_common_sign():
    runs, store = 300_000, streams.store_precision(3)
    a, s = streams.stream_sums(MODEL, [1], runs, np.random.default_rng(0), store)
    rng = np.random.default_rng(0)
    x = rng.standard_normal(runs)
    y = store(x + 0.5 * rng.standard_normal(runs))
    pair = miller_madow_entropy(stored_tuple_counts(store(x), y))
    state = miller_madow_entropy(stored_tuple_counts(a[0], s[0]))
    assert pair - state > 0.99  # at least one bit, up to sampling error


def test_mean_squared_error_of_the_streamed_slope():
    a, s = streams.stream_sums(MODEL, [10], 100_000, np.random.default_rng(1), streams.store_float16)
    error = (a[0] / s[0] - 1) ** 2
    expected = ols_slope_law(MODEL, 10).var()
    assert error.mean() == pytest.approx(expected, abs=4 * error.std() / np.sqrt(100_000))


def test_rounded_sums_error_against_a_stream():
    n, p, runs = 200, 9, 100_000
    a, s = streams.stream_sums(MODEL, [n], runs, np.random.default_rng(2), streams.store_precision(p))
    exact_a, exact_s = streams.stream_sums(MODEL, [n], runs, np.random.default_rng(2))
    error, exact = a[0] / s[0] - 1, exact_a[0] / exact_s[0] - 1
    bias, ratio = streams.rounded_sums_error(MODEL, n, p, 1_000_000, np.random.default_rng(3))
    assert error.mean() == pytest.approx(bias, abs=4 * error.std() / np.sqrt(runs) + 0.05 * bias)  # sums vary by 10 %
    assert np.mean(error**2) / np.mean(exact**2) == pytest.approx(ratio, rel=0.03)


def test_squares_are_rounded_down_on_average():
    x, u = np.random.default_rng(4).standard_normal(4_000_000), 2.0**-4
    loss = x**2 - np.rint(x**2 / u) * u
    error = loss.std() / np.sqrt(x.size)
    constant = np.sqrt(2 / np.pi) * (2**-0.5 - 1) * -0.2078862249773546  # zeta(-1/2, 1/2) from Riemann's zeta(-1/2)
    # Euler-Maclaurin with a root at the end; the next term is of relative order u
    assert loss.mean() == pytest.approx(constant * u**1.5, abs=4 * error + 0.05 * u**1.5 * u)


def test_rounded_sums_error_refuses():
    rng = np.random.default_rng(0)
    for model, n, draws in ((MODEL, 5, 10), (MODEL, 16.5, 10), (MODEL, 50, 0), (LinearModel(0.0), 50, 10)):
        with pytest.raises(ValueError, match="need a whole n >= 16"):
            streams.rounded_sums_error(model, n, 11, draws, rng)


@pytest.mark.parametrize(
    "marks", [[], [0, 1], [2, 2], [3, 2], [1.5, 3], [1, 2.5], [1, np.nan], [1, np.inf], [[1, 2]], 3]
)
def test_bad_checkpoints_are_refused(marks):
    with pytest.raises(ValueError, match="checkpoints must increase"):
        streams.stream_sums(MODEL, marks, 5, np.random.default_rng(0))


@pytest.mark.parametrize("runs", [0, -1, 2.5, np.nan])
def test_bad_runs_are_refused(runs):
    with pytest.raises(ValueError, match="runs must be a positive whole number"):
        streams.stream_sums(MODEL, [1], runs, np.random.default_rng(0))


def test_bad_precision_is_refused():
    with pytest.raises(ValueError, match="precision"):
        streams.store_precision(1)
