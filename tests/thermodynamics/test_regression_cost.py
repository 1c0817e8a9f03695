"""Entropies of regression: closed forms, brute force over bins, likelihoods of simulated data, scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.linear_model import LinearRegression

from replica.floating_point.closed_forms import fp_entropy_closed
from replica.floating_point.exact import fp_entropy_exact
from replica.floating_point.formats import FloatFormat
from replica.floating_point.quantisation import miller_madow_entropy, quantize_fp, stored_tuple_counts
from replica.thermodynamics import regression_cost as cost
from replica.thermodynamics.regression_cost import LinearModel

MODEL = LinearModel(0.8, 0.5, 1.3)
LN2 = np.log(2)


def simulate(n, runs, seed=0, offset=0.0, model=MODEL):
    rng = np.random.default_rng(seed)
    x = model.input_sd * rng.standard_normal((runs, n))
    return x, offset + model.slope * x + model.noise_sd * rng.standard_normal((runs, n))


def mean_surprise(p, log_density, *columns):
    """Smooth entropy -E log2(f |x| |y| ...) in bits and its standard error, from samples and their log density."""
    surprise = len(columns) * (p - 0.5) - (log_density + sum(np.log(np.abs(c)) for c in columns)) / LN2
    return surprise.mean(), surprise.std() / np.sqrt(surprise.size)


def looks_standard_normal(z):
    return stats.kstest(z, "norm").statistic * np.sqrt(z.size) < 1.95  # one time in a thousand by chance


@pytest.mark.parametrize("intercept", [False, True])
def test_slopes_against_scikit_learn(intercept):
    x, y = simulate(7, 5, offset=3.0)
    slopes = cost.least_squares_slope(x, y, intercept)
    for xs, ys, slope in zip(x, y, slopes):
        fit = LinearRegression(fit_intercept=intercept).fit(xs[:, None], ys)
        assert slope == pytest.approx(fit.coef_[0], abs=1e-10)


@pytest.mark.parametrize(("n", "intercept"), [(1, False), (3, False), (2, True), (10, True)])
def test_students_law(n, intercept):
    x, y = simulate(n, 20_000, seed=n, offset=2.0 * intercept)
    slopes = cost.least_squares_slope(x, y, intercept)
    law = cost.ols_slope_law(MODEL, n, intercept)
    assert stats.kstest(slopes, law.cdf).statistic * np.sqrt(20_000) < 1.95  # one time in a thousand by chance


@pytest.mark.parametrize("intercept", [False, True])
def test_excess_risk_against_new_data(intercept):
    n, runs, offset = 12, 200_000, 1.0
    x, y = simulate(n, runs, offset=offset * intercept)
    slope = cost.least_squares_slope(x, y, intercept)
    shift = (y - slope[:, None] * x).mean(axis=1) - offset if intercept else 0.0
    excess = (slope - MODEL.slope) ** 2 * MODEL.input_sd**2 + shift**2
    error = excess.std() / np.sqrt(runs)
    assert excess.mean() == pytest.approx(float(cost.ols_excess_risk(MODEL, n, intercept)), abs=4 * error)
    variance = cost.ols_slope_law(MODEL, n, intercept).var()
    assert cost.slope_variance(MODEL, n, intercept) == pytest.approx(variance)


@given(st.floats(-5, 5), st.floats(0.1, 3), st.floats(0.1, 3), st.integers(3, 60))
@settings(deadline=None, max_examples=25)
def test_pair_entropy_depends_on_the_correlation_alone(w, noise, sx, p):
    p = min(p, 53)
    model = LinearModel(w, noise, sx)
    rho2 = (w * sx) ** 2 / ((w * sx) ** 2 + noise**2)
    expected = 2 * fp_entropy_closed("normal", p) + 0.5 * np.log2(1 - rho2)
    assert cost.pair_entropy_bits(model, p) == pytest.approx(expected, abs=1e-6)


def test_slope_entropy_of_the_survey():
    # independent evaluation of Student's law, sigma = 0.5, sigma_x = 1
    model, fmt = LinearModel(1.0), FloatFormat(11, -30, 30)
    for n, exact, smooth in ((3, 11.379, 11.394), (10, 10.039, 10.058), (100, 8.240, 8.242)):
        assert fp_entropy_exact(cost.ols_slope_law(model, n), fmt) == pytest.approx(exact, abs=6e-4)
        assert cost.slope_entropy_bits(model, n, 11) == pytest.approx(smooth, abs=6e-4)
    assert cost.slope_entropy_bits(LinearModel(0.0), 3, 11) == pytest.approx(13.709, abs=6e-4)


def test_zero_slope_does_not_care_for_scale():
    one, other = (cost.slope_entropy_bits(LinearModel(0.0, s, r), 5, 9) for s, r in ((0.5, 1.0), (7.0, 0.01)))
    assert one == pytest.approx(other, abs=1e-12)


def test_asymptote_is_reached():
    gap = cost.slope_entropy_bits(MODEL, 1e6, 11) - cost.slope_entropy_asymptote_bits(MODEL, 1e6, 11)
    assert gap == pytest.approx(0, abs=1e-5)
    plateau = cost.slope_entropy_asymptote_bits(LinearModel(0.0), [10, 100], 11)
    assert plateau == pytest.approx(fp_entropy_closed("normal", 11))


def test_resolution_is_where_the_standard_error_is_a_bin():
    n = cost.resolution_size(MODEL, 8)
    assert MODEL.relative_noise / np.sqrt(n) == pytest.approx(MODEL.slope * 2.0**-7)


@pytest.mark.parametrize("n", [2, 5])
def test_running_sums_against_their_density(n):
    x, y = simulate(n, 100_000)
    a, s = (x * y).sum(axis=1), (x * x).sum(axis=1)
    residual = (a - MODEL.slope * s) / (MODEL.noise_sd * np.sqrt(s))
    assert looks_standard_normal(residual)
    log_f = stats.chi2(n, scale=MODEL.input_sd**2).logpdf(s) + stats.norm(
        MODEL.slope * s, MODEL.noise_sd * np.sqrt(s)
    ).logpdf(a)
    formula = cost.running_sums_entropy_bits(MODEL, n, 9)
    mean, error = mean_surprise(9, log_f, a, s)
    assert mean == pytest.approx(formula, abs=4 * error)
    mean, error = mean_surprise(9, log_f + np.log(s), a / s, s)  # recursive least squares; the Jacobian is S
    assert mean == pytest.approx(formula, abs=4 * error)


def test_running_sums_against_counts():
    x, y = simulate(8, 400_000)
    a, s = (x * y).sum(axis=1), (x * x).sum(axis=1)
    fmt = FloatFormat(5, -60, 60)
    counted = miller_madow_entropy(stored_tuple_counts(quantize_fp(a, fmt), quantize_fp(s, fmt)))
    staircase = sum(np.mean(np.log2(np.abs(c)) % 1) - 0.5 for c in (a, s))
    # peakedness 0.02 bit: the standard deviation of S is eight bins
    formula = cost.running_sums_entropy_bits(MODEL, 8, 5)
    assert counted - staircase == pytest.approx(formula, abs=0.03)


@pytest.mark.parametrize("model", [MODEL, LinearModel(0.0, 2.0, 0.3)])
def test_stages_and_division_forget_the_difference_of_the_entropies(model):
    pair = cost.pair_entropy_bits(model, 7)
    states = [cost.running_sums_entropy_bits(model, t, 7) for t in range(1, 30)]
    forgotten = [cost.stage_forgotten_bits(model, t, 7) for t in range(2, 30)]
    assert forgotten == pytest.approx(pair - np.diff(states), abs=1e-7)
    for t in (1, 5, 29):
        division = states[t - 1] - cost.slope_entropy_bits(model, t, 7)
        assert cost.division_forgotten_bits(model, t, 7) == pytest.approx(division, abs=1e-7)


def test_one_pair_of_rounded_real_numbers_loses_nothing():
    pair = cost.pair_entropy_bits(MODEL, 9)
    assert cost.running_sums_entropy_bits(MODEL, 1, 9) == pytest.approx(pair, abs=1e-9)
    assert cost.running_sums_entropy_bits(MODEL, 0, 9) == 0.0


@pytest.mark.parametrize("offset", [0.0, 0.7])
def test_slope_and_intercept_against_their_density(offset):
    n = 5
    x, y = simulate(n, 100_000, offset=offset)
    slope = cost.least_squares_slope(x, y, intercept=True)
    level = (y - slope[:, None] * x).mean(axis=1)
    error = slope - MODEL.slope
    sd = np.sqrt((MODEL.noise_sd**2 + (error * MODEL.input_sd) ** 2) / n)
    residual = (level - offset) / sd
    assert looks_standard_normal(residual)
    assert abs(np.corrcoef(residual**2, np.abs(error))[0, 1]) < 4 / np.sqrt(error.size)
    log_f = cost.ols_slope_law(MODEL, n, True).logpdf(slope) + stats.norm(offset, sd).logpdf(level)
    mean, standard_error = mean_surprise(9, log_f, slope, level)
    assert mean == pytest.approx(cost.intercept_entropy_bits(MODEL, offset, n, 9), abs=4 * standard_error)


def test_small_offset_is_continuous():
    near, at = (cost.intercept_entropy_bits(MODEL, b, 8, 11) for b in (1e-9, 0.0))
    assert near == pytest.approx(at, abs=1e-6)


@pytest.mark.parametrize("n", [1, 4])
def test_random_slope_against_likelihoods(n):
    rng = np.random.default_rng(n)
    runs, slope_sd, p = 100_000, 0.8, 11
    x = MODEL.input_sd * rng.standard_normal((runs, n))
    w = slope_sd * rng.standard_normal((runs, 1))
    y = w * x + MODEL.noise_sd * rng.standard_normal((runs, n))
    cov = slope_sd**2 * x[:, :, None] * x[:, None, :] + MODEL.noise_sd**2 * np.eye(n)
    sign, logdet = np.linalg.slogdet(cov)
    quadratic = np.einsum("ri,rij,rj->r", y, np.linalg.inv(cov), y)
    log_f = stats.norm(0, MODEL.input_sd).logpdf(x).sum(axis=1) - 0.5 * (n * np.log(2 * np.pi) + logdet + quadratic)
    surprise = 2 * n * (p - 0.5) - (log_f + np.log(np.abs(x * y)).sum(axis=1)) / LN2
    error = surprise.std() / np.sqrt(runs)
    formula = cost.random_slope_data_entropy_bits(MODEL, slope_sd, n, p)
    assert (sign > 0).all()
    assert surprise.mean() == pytest.approx(formula, abs=4 * error)


def test_random_slope_limits():
    c_p = fp_entropy_closed("normal", 11)
    assert cost.random_slope_data_entropy_bits(MODEL, 0.8, 1, 11) == pytest.approx(2 * c_p, abs=1e-9)
    added = [cost.random_slope_data_entropy_bits(MODEL, 0.8, n, 11) for n in (10_000, 10_001)]
    assert added[1] - added[0] == pytest.approx(2 * c_p - cost.foreseen_bits(MODEL, 0.8), abs=1e-4)
    assert cost.random_slope_output_entropy_bits(MODEL, 0.8, 10_000, 11) == pytest.approx(c_p, abs=1e-6)
    # a slope that is nearly sure to be zero: Student's law
    nearly = cost.random_slope_output_entropy_bits(MODEL, 1e-6, 6, 11)
    assert nearly == pytest.approx(fp_entropy_closed("student_t", 11, nu=6.0), abs=1e-4)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: LinearModel(np.nan), "slope must be finite"),
        (lambda: LinearModel(1.0, 0.0), "noise_sd is a standard deviation"),
        (lambda: LinearModel(1.0, -1.0), "noise_sd is a standard deviation"),
        (lambda: LinearModel(1.0, 1.0, np.inf), "input_sd is a standard deviation"),
        (lambda: cost.slope_variance(MODEL, 2), "greater than 2"),
        (lambda: cost.ols_excess_risk(MODEL, [10, 2]), "greater than 2"),
        (lambda: cost.ols_excess_risk(MODEL, 3, intercept=True), "greater than 3 .* with an intercept"),
        (lambda: cost.ols_slope_law(MODEL, 0), "at least 1"),
        (lambda: cost.ols_slope_law(MODEL, 1, intercept=True), "at least 2"),
        (lambda: cost.ols_slope_law(MODEL, np.nan), "at least 1"),
        (lambda: cost.slope_entropy_bits(MODEL, 5, 1), "precision"),
        (lambda: cost.resolution_size(LinearModel(0.0), 8), "never resolved"),
        (lambda: cost.intercept_entropy_bits(MODEL, np.inf, 5, 8), "offset must be finite"),
        (lambda: cost.random_slope_data_entropy_bits(MODEL, 0.0, 5, 8), "slope_sd must be positive"),
        (lambda: cost.random_slope_output_entropy_bits(MODEL, -1.0, 5, 8), "slope_sd must be positive"),
        (lambda: cost.foreseen_bits(MODEL, np.nan), "slope_sd must be positive"),
        (lambda: cost.stage_forgotten_bits(MODEL, 1, 8), "t must be at least 2"),
        (lambda: cost.division_forgotten_bits(MODEL, 0, 8), "at least 1"),
        (lambda: cost.least_squares_slope([1.0, 2.0], [1.0]), "same shape"),
        (lambda: cost.least_squares_slope([1.0, np.nan], [1.0, 1.0]), "finite"),
        (lambda: cost.least_squares_slope([2.0, 2.0], [1.0, 1.0], intercept=True), "all equal"),
        (lambda: cost.least_squares_slope([0.0], [1.0]), "all equal"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
