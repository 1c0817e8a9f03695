"""Exact entropies: brute force, decomposition, exact symmetries, clipping, hardware codes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from replica.floating_point.closed_forms import fp_entropy_closed
from replica.floating_point.distributions import FAMILIES, distribution
from replica.floating_point.exact import (
    bin_probabilities,
    clipping_loss,
    encoded_entropy,
    encoded_probabilities,
    entropy_of,
    fixed_point_entropy,
    fp_entropy_exact,
    fp_kl_term,
    interval_masses,
)
from replica.floating_point.formats import FORMATS, FloatFormat, float_format
from replica.floating_point.smooth import fp_entropy_approx, mean_fraction, overflow_loss, rounding_shift
from tests.floating_point.test_smooth import Unnormalised

NAMES = list(FAMILIES)
WIDE = FloatFormat(5, -60, 40)


def test_brute_force_on_a_tiny_format():
    # uniform on (-1, 1): every bin by hand, magnitudes below 1/2 clipped into the first bin
    fmt = FloatFormat(2, -1, 0)  # bins [.5, .75), [.75, 1), [1, 1.5), [1.5, 2) of each sign
    positive = np.array([0.375, 0.125])
    assert fp_entropy_exact(distribution("uniform"), fmt) == pytest.approx(-2 * (positive * np.log2(positive)).sum())


def test_uniform_over_one_binade_fills_its_bins_evenly():
    assert fp_entropy_exact(stats.uniform(1, 1), FloatFormat(7, -3, 3)) == pytest.approx(6.0, abs=1e-12)


def test_capacity_is_reached_by_equal_bins_of_all_binades():
    fmt = FloatFormat(4, -4, 3)
    edges = np.exp2(np.arange(-4, 5.0))
    histogram = stats.rv_histogram((np.full(8, 1 / 8), edges), density=False)
    assert fp_entropy_exact(histogram, fmt) == pytest.approx(fmt.capacity - 1, abs=1e-9)  # no sign


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("p", [2, 3, 6])
def test_error_is_peakedness_plus_staircase(name, p):
    d, fmt = distribution(name, 1.3 if name != "beta" else 1.0), FloatFormat(p, -60, 60)
    order = 40 if name == "beta" else 12
    error = fp_entropy_exact(d, fmt) - fp_entropy_closed(name, p)
    residual = error - fp_kl_term(d, fmt, order) - (mean_fraction(d) - 0.5)
    # Cauchy: 1e-18 of the mass is clipped; beta: the quadrature of (1-x)^2 log(1-x) in the last bin
    assert residual == pytest.approx(0.0, abs=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_half_bit_bound(name):
    for p in (2, 4, 8):
        for scale in (1.0, 1.2, 1.5, 1.9):
            d, fmt = distribution(name, scale), FloatFormat(p, -60, 60)
            error = fp_entropy_exact(d, fmt) - fp_entropy_closed(name, p)
            assert abs(error) <= 0.5 + fp_kl_term(d, fmt) + 1e-9


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(NAMES), st.floats(0.5, 2.0), st.integers(-8, 8), st.sampled_from(["truncate", "nearest"]))
def test_a_power_of_two_changes_nothing(name, scale, octaves, rounding):
    # heavy tails reach the ends of any range: give them room
    fmt = FloatFormat(4, -300, 300)
    before = fp_entropy_exact(distribution(name, scale), fmt, rounding)
    after = fp_entropy_exact(distribution(name, scale * 2.0**octaves), fmt, rounding)
    assert after == pytest.approx(before, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.floats(-20, 20), st.floats(0.01, 10), st.floats(-3, 3))
def test_mirror_image_and_scaling_by_less_than_an_octave(mean, width, log_factor):
    d, mirrored = stats.norm(mean, width), stats.norm(-mean, width)
    entropy = fp_entropy_exact(d, WIDE)
    assert fp_entropy_exact(mirrored, WIDE) == pytest.approx(entropy, abs=1e-9)
    # the staircase moves by at most one bit; the peakedness is common to both where the bins are fine
    factor = 2.0**log_factor
    scaled = stats.norm(mean * factor, width * factor)
    kl = fp_kl_term(d, WIDE), fp_kl_term(scaled, WIDE)
    assert abs(fp_entropy_exact(scaled, WIDE) - entropy) <= 1 + max(kl) + 1e-9


@pytest.mark.parametrize("name", [*NAMES, "arcsine"])
def test_binades_agree_with_the_sum_over_bins(name):
    d = stats.beta(0.5, 0.5) if name == "arcsine" else distribution(name, 1.3)
    fmt = FloatFormat(16, -16, 12)
    summed, by_binade = (fp_entropy_exact(d, fmt, method=method) for method in ("sum", "binade"))
    assert by_binade == pytest.approx(summed, abs=2e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fmt", [float_format("float32"), float_format("float64")], ids=lambda f: f.name)
def test_single_and_double_precision_reach_the_asymptote(name, fmt):
    d = distribution(name, 1.3)
    expected = fp_entropy_closed(name, fmt.precision) + mean_fraction(d) - 0.5
    # the bin with a jump of the density costs about P log2(1/P), P = 2^-24
    assert fp_entropy_exact(d, fmt) == pytest.approx(expected, abs=5e-6)


@pytest.mark.parametrize("scale", [2.0**-11, 2.0**-8, 1.0, 2.0**14, 2.0**15, 2.0**16])
def test_clipping_loses_what_grouping_says(scale):
    d, fmt = distribution("normal", scale), float_format("float16")
    unclipped = fp_entropy_exact(d, FloatFormat(11, -110, 90))
    assert fp_entropy_exact(d, fmt) + sum(clipping_loss(d, fmt)) == pytest.approx(unclipped, abs=1e-9)


def test_underflow_costs_p_plus_one_bits_per_clipped_number():
    fmt = float_format("float16")
    d = distribution("normal", 2.0**-6)
    clipped = 1 - 2 * d.sf(2.0**fmt.emin)
    first = 2.0 ** (1 - fmt.precision)  # the first bin joins the group: its mass relative to the clipped mass
    joining = (1 + first) * entropy_of(np.array([1, first]) / (1 + first))
    assert clipping_loss(d, fmt)[0] / clipped == pytest.approx(fmt.precision + 1 + joining, rel=1e-4)


def test_smooth_overflow_is_that_of_the_tail():
    fmt = float_format("float16")
    for name, scale in (("normal", 2.0**17), ("gamma", 2.0**16), ("student_t", 2.0**14)):
        d = distribution(name, scale)
        share = d.sf(2.0 ** (fmt.emax + 1)) + d.cdf(-(2.0 ** (fmt.emax + 1)))
        # the staircase of the tail: at most half a bit for each lost number
        assert overflow_loss(d, fmt) == pytest.approx(clipping_loss(d, fmt)[1], abs=0.2 * share)
    assert overflow_loss(distribution("normal"), fmt) == 0.0


@pytest.mark.parametrize(("name", "left"), [("normal", 1.0), ("laplace", 1.0), ("gamma", 0.0), ("pareto", 0.0)])
def test_far_outside_the_range_only_the_sign_is_left(name, left):
    fmt = FloatFormat(6, -6, 7)
    for scale in (2.0**-40, 2.0**60):
        assert fp_entropy_exact(distribution(name, scale), fmt) == pytest.approx(left, abs=1e-5)


def test_rounding_to_nearest_adds_the_derived_shift():
    d = distribution("normal")
    for p in (5, 8, 11):
        fmt = FloatFormat(p, -60, 20)
        shift = fp_entropy_exact(d, fmt, "nearest") - fp_entropy_exact(d, fmt)
        assert shift == pytest.approx(rounding_shift(p), rel=0.01)


def test_masses_keep_both_tails():
    edges = np.array([0.0, 5.0, 10.0, 20.0, 37.0, np.inf])
    masses = interval_masses(stats.norm(), edges)
    np.testing.assert_allclose(masses[1:], stats.norm.sf(edges[1:-1]) - stats.norm.sf(edges[2:]), rtol=1e-12)
    np.testing.assert_allclose(interval_masses(stats.norm(), edges, -1), masses, rtol=1e-9)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float8_e4m3", "float8_e5m2"])
def test_codes_of_hardware_formats(name):
    fmt, d = float_format(name), distribution("normal")
    negative, positive = encoded_probabilities(d, fmt)
    assert negative.sum() + positive.sum() == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(negative, positive, rtol=1e-9, atol=1e-18)
    assert encoded_entropy(d, fmt) < fmt.storage_bits
    # subnormal numbers keep what clipping would lose
    assert encoded_entropy(d, fmt) >= fp_entropy_exact(d, fmt, "nearest") - 1e-12


def test_closed_form_holds_in_every_format_within_its_own_limits():
    for fmt in FORMATS.values():
        error = fp_entropy_exact(distribution("normal"), fmt) - fp_entropy_closed("normal", fmt.precision)
        assert abs(error) < (0.1 if fmt.storage_bits == 8 else 1e-3)


def test_a_fixed_step_gains_one_bit_per_octave():
    one, two = (fixed_point_entropy(distribution("normal", s), 2.0**-9, 16) for s in (1.0, 2.0))
    assert two - one == pytest.approx(1.0, abs=1e-6)
    assert one == pytest.approx(stats.norm().entropy() / np.log(2) + 9, abs=1e-5)


def test_bin_probabilities_have_the_shape_of_the_format():
    fmt = FloatFormat(3, -2, 2)
    negative, positive = bin_probabilities(stats.expon(), fmt)
    assert negative.shape == positive.shape == (20,)
    assert negative.sum() == 0


def test_smooth_value_can_be_negative_where_the_exact_one_is_not():
    d, fmt = stats.norm(1.0, 1e-6), FloatFormat(11, -20, 20)
    assert fp_entropy_approx(d, 11) < 0 < fp_entropy_exact(d, fmt)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: fp_entropy_exact(Unnormalised(), WIDE), "must be normalised, but its probabilities add up to 2"),
        (lambda: fp_entropy_exact(Unnormalised(), float_format("float32")), "must be normalised"),
        (lambda: fp_entropy_exact(stats.norm(), WIDE, "up"), "rounding must be"),
        (lambda: fp_entropy_exact(stats.norm(), WIDE, method="guess"), "method must be"),
        (lambda: fp_entropy_exact(stats.norm(), float_format("float32"), method="sum"), "too many to sum"),
        (lambda: fp_entropy_exact(stats.norm(), WIDE, method="binade"), "precision >= 16"),
        (lambda: fp_entropy_exact(stats.norm(), float_format("float32"), "nearest"), "rounding='truncate'"),
        (lambda: fp_kl_term(stats.norm(), float_format("float32")), "too many bins"),
        (lambda: clipping_loss(stats.norm(), WIDE, margin=0), "margin must be"),
        (lambda: fixed_point_entropy(stats.norm(), 0.0, 8), "step must be"),
        (lambda: fixed_point_entropy(stats.norm(), 1.0, 1), "bits must lie"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
