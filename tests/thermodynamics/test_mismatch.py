"""Mismatch cost: closed forms, two routes, the data-processing inequality, what a sufficient output saves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad

from replica.floating_point.quadrature import quantile_nodes
from replica.thermodynamics import mismatch
from replica.thermodynamics.regression_cost import LinearModel, ols_slope_law

TRUE = LinearModel(1.0, 0.5, 1.0)
MODELS = st.builds(LinearModel, st.floats(-3, 3), st.floats(0.2, 4), st.floats(0.2, 4))


def test_gaussians_in_closed_form():
    p, q = stats.norm(1.0, 2.0), stats.norm(-0.5, 3.0)
    expected = np.log(3 / 2) + (4 + 1.5**2) / 18 - 0.5
    assert mismatch.kl_by_quantile(p, q) == pytest.approx(expected, abs=1e-11)


def test_exponentials_and_a_heavy_tail():
    p, q = stats.expon(scale=2.0), stats.expon(scale=5.0)
    assert mismatch.kl_by_quantile(p, q) == pytest.approx(np.log(2.5) + 0.4 - 1, abs=1e-10)
    # two Cauchy laws: ln of ((1 + 3)^2 + 2^2)/(4 * 1 * 3), scales 1 and 3, shift 2
    p, q = stats.cauchy(0, 1), stats.cauchy(2, 3)
    assert mismatch.kl_by_quantile(p, q) == pytest.approx(np.log(20 / 12), abs=1e-10)


def test_students_against_an_integral_and_the_gaussian_limit():
    p, q = ols_slope_law(TRUE, 5), ols_slope_law(LinearModel(1.3, 0.8), 5)
    integral = quad(lambda x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), -60, 60, points=[1, 1.3], limit=400)[0]
    assert mismatch.kl_by_quantile(p, q) == pytest.approx(integral, abs=1e-7)
    wide = mismatch.slope_divergence_nats(TRUE, LinearModel(1.0, 1.0), 10**7)
    assert wide == pytest.approx(0.5 * float(mismatch.scale_divergence(0.25)), abs=1e-6)


def test_no_divergence_from_oneself():
    assert mismatch.kl_by_quantile(stats.t(3), stats.t(3)) == 0.0


def test_nodes_are_a_probability():
    x, weight = quantile_nodes(stats.norm(2.0, 3.0), 60)
    assert weight.sum() == pytest.approx(1.0, abs=1e-12)
    assert weight @ x**2 == pytest.approx(13.0, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(MODELS, MODELS, st.integers(1, 300))
def test_outputs_differ_less_than_inputs_and_both_routes_agree(true, assumed, n):
    d_in = mismatch.data_divergence_nats(true, assumed, n)
    d_out = mismatch.slope_divergence_nats(true, assumed, n)
    slack = 1e-8 * max(1.0, d_in)
    assert -slack <= d_out <= d_in + slack
    assert mismatch.forgotten_divergence_nats(true, assumed, n) == pytest.approx(d_in - d_out, abs=slack)


def test_data_divergence_against_a_bivariate_gaussian():
    a, b = TRUE, LinearModel(1.4, 0.9, 0.7)
    ca, cb = a.covariance, b.covariance
    expected = 0.5 * (np.trace(np.linalg.solve(cb, ca)) - 2 + np.log(np.linalg.det(cb) / np.linalg.det(ca)))
    assert mismatch.data_divergence_nats(a, b, 7) == pytest.approx(7 * expected, rel=1e-12)


@pytest.mark.parametrize(
    ("assumed", "n", "d_in", "d_out"),
    [  # independent evaluation
        (LinearModel(1.0, 1.0), 5, 1.5907, 0.2448),
        (LinearModel(1.0, 1.0), 100, 31.815, 0.314),
        (LinearModel(1.3, 0.5), 5, 0.9, 0.6233),
        (LinearModel(1.3, 0.5), 100, 18.0, 15.201),
    ],
)
def test_values_of_the_survey(assumed, n, d_in, d_out):
    assert mismatch.data_divergence_nats(TRUE, assumed, n) == pytest.approx(d_in, abs=6e-4)
    assert mismatch.slope_divergence_nats(TRUE, assumed, n) == pytest.approx(d_out, abs=6e-4)


@pytest.mark.parametrize("assumed", [LinearModel(1.0, 1.0), LinearModel(1.3), LinearModel(0.7, 0.6, 1.4)])
def test_rate_is_reached(assumed):
    costs = [mismatch.regression_mismatch_nats(TRUE, assumed, n) for n in (10_000, 20_000)]
    assert (costs[1] - costs[0]) / 10_000 == pytest.approx(mismatch.mismatch_rate_nats(TRUE, assumed), rel=1e-4)


def test_wrong_slope_costs_to_second_order_once_and_to_fourth_for_each_further_pair():
    rates = [mismatch.mismatch_rate_nats(TRUE, LinearModel(1 + d)) for d in (0.01, 0.02)]
    assert rates[1] / rates[0] == pytest.approx(16, rel=0.01)
    u = (0.01 / TRUE.relative_noise) ** 2
    for n in (1, 3, 10, 30):
        total = mismatch.regression_mismatch_nats(TRUE, LinearModel(1.01), n)
        assert total == pytest.approx(u * n / (n + 3), rel=(n + 3) * u / 4)  # Fisher information; N u^2/4 comes next


@pytest.mark.parametrize("n", [1, 4, 50])
def test_any_slope_machine_against_its_slope_law(n):
    data, slope, cost = mismatch.unknown_slope_divergences_nats(TRUE, 0.7, n)
    s, weight = quantile_nodes(stats.chi2(n), 400)
    sd = np.sqrt(0.49 + 0.25 / s)
    x, mass = quantile_nodes(ols_slope_law(TRUE, n), 400)
    mixture = np.exp(-0.5 * (x[:, None] / sd) ** 2) @ (weight / sd) / np.sqrt(2 * np.pi)
    direct = mass @ (ols_slope_law(TRUE, n).logpdf(x) - np.log(mixture))
    assert slope == pytest.approx(float(direct), abs=1e-7)
    assert 0 <= cost <= data


def test_any_slope_machine_is_nearly_free():
    costs = [2 * n * mismatch.unknown_slope_divergences_nats(TRUE, 1.0, n)[2] for n in (100, 1000)]
    assert costs == pytest.approx([1, 1], rel=0.005)


class Half:
    """A density that lives on the positive numbers only."""

    def logpdf(self, x):
        return stats.expon().logpdf(x)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: mismatch.kl_by_quantile(stats.norm(), Half()), "infinite"),
        (lambda: mismatch.kl_by_quantile(stats.norm(), stats.norm(), nodes=2), "at least 4 nodes"),
        (lambda: mismatch.scale_divergence(0.0), "ratio must be positive"),
        (lambda: mismatch.mismatch_cost_nats(1.0, 2.0), "data-processing inequality"),
        (lambda: mismatch.mismatch_cost_nats(np.nan, 0.0), "data-processing inequality"),
        (lambda: mismatch.regression_mismatch_nats(TRUE, TRUE, 0), "at least 1"),
        (lambda: mismatch.data_divergence_nats(TRUE, LinearModel(2.0), -3), "at least 1"),
        (lambda: mismatch.data_divergence_nats(TRUE, TRUE, np.nan), "at least 1"),
        (lambda: mismatch.unknown_slope_divergences_nats(TRUE, 0.0, 5), "slope_sd must be positive"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
