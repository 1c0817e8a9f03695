"""Formats: their bins, their encodings, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replica.floating_point.formats import (
    FORMATS,
    FloatFormat,
    encoded_bin_edges,
    encoded_values,
    float_format,
    format_from_exponent_bits,
    fp_bin_edges,
    fp_bin_width,
    smooth_bin_width,
)


def test_bins_of_a_tiny_format_by_hand():
    edges = fp_bin_edges(FloatFormat(3, -1, 0))
    np.testing.assert_array_equal(edges, [0.5, 0.625, 0.75, 0.875, 1.0, 1.25, 1.5, 1.75, 2.0])


def test_rounding_edges_lie_half_way_between_numbers():
    edges = fp_bin_edges(FloatFormat(2, 0, 1), "nearest")
    np.testing.assert_array_equal(edges, [1.0, 1.25, 1.75, 2.5, 3.5])


@given(st.floats(1e-30, 1e30), st.integers(2, 53), st.sampled_from([-1, 1]))
def test_bin_width_lies_between_half_and_full_relative_spacing(x, p, sign):
    width = float(fp_bin_width(sign * x, p))
    assert x * 2.0**-p <= width <= x * 2.0 ** (1 - p)


def test_smooth_width_is_the_geometric_middle_of_the_staircase():
    x = np.exp2(np.linspace(0, 1, 10_001)[:-1] + 3)
    ratio = np.log2(fp_bin_width(x, 5) / smooth_bin_width(x, 5))
    assert abs(ratio.mean()) < 1e-4
    assert np.abs(ratio).max() <= 0.5


def test_widths_are_the_differences_of_the_edges():
    edges = fp_bin_edges(FloatFormat(6, -5, 7))
    np.testing.assert_array_equal(fp_bin_width(edges[:-1], 6), np.diff(edges))


@pytest.mark.parametrize(("name", "bits"), [(f.name, f.storage_bits) for f in FORMATS.values() if f.storage_bits <= 16])
def test_encoded_formats_use_no_more_codes_than_they_have(name, bits):
    fmt = float_format(name)
    codes = len(encoded_bin_edges(fmt)) - 1
    assert codes <= 2 ** (bits - 1)
    assert np.all(np.diff(encoded_bin_edges(fmt)) > 0)


@pytest.mark.parametrize(("name", "view", "top"), [("float16", np.float16, 0x7C00)])
def test_float16_codes_are_numpys(name, view, top):
    numbers = np.arange(top, dtype=np.uint16).view(view).astype(float)
    np.testing.assert_array_equal(encoded_values(float_format(name)), numbers)


def test_format_tables_agree_with_exponent_bits():
    for name, bits in (("float64", 11), ("float32", 8), ("float16", 5), ("bfloat16", 8), ("float8_e5m2", 5)):
        fmt = float_format(name)
        built = format_from_exponent_bits(bits, fmt.precision)
        assert (built.emin, built.emax) == (fmt.emin, fmt.emax)
        assert 1 + bits + fmt.precision - 1 == fmt.storage_bits
    assert encoded_values(float_format("float8_e4m3")).max() == 448
    assert encoded_values(float_format("float8_e5m2")).max() == 57344


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: FloatFormat(1, -3, 3), "precision counts the implicit leading bit"),
        (lambda: FloatFormat(54, -3, 3), "precision counts the implicit leading bit"),
        (lambda: FloatFormat(5.0, -3, 3), "precision must be an integer"),
        (lambda: FloatFormat(5, 3, 3), "emin must be smaller than emax"),
        (lambda: FloatFormat(5, 4, 3), "emin must be smaller than emax"),
        (lambda: FloatFormat(5, -3.5, 3), "emin must be an integer"),
        (lambda: FloatFormat(5, -2000, 3), "exponents must lie in"),
        (lambda: float_format("float128"), "unknown format 'float128'"),
        (lambda: format_from_exponent_bits(1, 5), "exponent_bits must lie in"),
        (lambda: fp_bin_width([1.0, 0.0], 5), "different from zero"),
        (lambda: fp_bin_width(1.0, 1), "precision counts"),
        (lambda: fp_bin_edges(FloatFormat(5, -3, 3), "up"), "rounding must be"),
        (lambda: fp_bin_edges(float_format("float32")), "too many to list"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
