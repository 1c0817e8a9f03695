"""Gaussian vectors: the correlation matrix, sums over pairs, and the data-processing inequality."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from replica.floating_point.closed_forms import fp_entropy_closed
from replica.floating_point.exact import fp_entropy_exact
from replica.floating_point.formats import FloatFormat, fp_bin_edges
from replica.floating_point.multivariate import (
    correlation_matrix,
    fp_entropy_mvn,
    gaussian_pair_entropy,
    gaussian_pair_information,
)


def test_correlation_enters_through_its_determinant():
    gain = fp_entropy_mvn([[4.0, 0.6 * 2 * 0.1], [0.6 * 2 * 0.1, 0.01]], 4) - 2 * fp_entropy_closed("normal", 4)
    assert gain == pytest.approx(0.5 * np.log2(1 - 0.36))


@given(st.lists(st.floats(-30, 30), min_size=3, max_size=3), st.integers(0, 10_000))
def test_scales_of_coordinates_do_not_matter(log_scales, seed):
    factor = np.random.default_rng(seed).normal(size=(3, 5))
    covariance = factor @ factor.T
    d = np.exp2(np.round(log_scales))  # powers of two scale without rounding
    before, after = fp_entropy_mvn(covariance, 7), fp_entropy_mvn(covariance * np.outer(d, d), 7)
    assert after == pytest.approx(before, abs=1e-9)


def test_pair_sum_against_scipys_bivariate_distribution_function():
    fmt, rho = FloatFormat(2, -2, 1), -0.7
    edges = fp_bin_edges(fmt)
    edges[0], edges[-1] = 0, 12.0
    full = np.unique(np.concatenate([-edges, edges]))
    law = stats.multivariate_normal([0, 0], [[1, rho], [rho, 1]])
    grid = np.array([[law.cdf([x, y]) for y in full] for x in full])
    cells = np.diff(np.diff(grid, axis=0), axis=1).ravel()
    cells = cells[cells > 1e-15]
    assert gaussian_pair_entropy(rho, fmt) == pytest.approx(-(cells * np.log2(cells)).sum(), abs=1e-5)


def test_independent_coordinates_add():
    fmt = FloatFormat(3, -12, 3)
    alone = [fp_entropy_exact(stats.norm(scale=s), fmt) for s in (1.0, 0.3)]
    assert gaussian_pair_entropy(0.0, fmt, (1.0, 0.3)) == pytest.approx(sum(alone), abs=1e-9)


@settings(max_examples=15, deadline=None)
@given(st.floats(-0.95, 0.95))
def test_quantising_loses_information(rho):
    information = gaussian_pair_information(rho, FloatFormat(2, -8, 2))
    assert -1e-9 <= information <= -0.5 * np.log2(1 - rho**2) + 1e-9


def test_finer_bins_lose_less_information():
    values = [gaussian_pair_information(0.9, FloatFormat(p, -8, 2)) for p in (2, 3, 4)]
    assert values == sorted(values)
    assert values[-1] == pytest.approx(-0.5 * np.log2(1 - 0.81), abs=0.01)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: correlation_matrix([1.0, 2.0]), "square matrix"),
        (lambda: correlation_matrix([[1.0, 0.5], [0.4, 1.0]]), "symmetric"),
        (lambda: correlation_matrix([[1.0, 2.0], [2.0, 1.0]]), "positive definite"),
        (lambda: correlation_matrix([[0.0, 0.0], [0.0, 1.0]]), "positive definite"),
        (lambda: fp_entropy_mvn([[np.nan]], 5), "finite"),
        (lambda: gaussian_pair_entropy(1.0, FloatFormat(2, -2, 2)), "correlation must lie"),
        (lambda: gaussian_pair_entropy(0.5, FloatFormat(2, -2, 2), (1.0, 0.0)), "scales must be positive"),
        (lambda: gaussian_pair_entropy(0.5, FloatFormat(11, -20, 20)), "too many bins"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
