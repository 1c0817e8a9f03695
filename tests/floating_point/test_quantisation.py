"""Rounding samples and counting bit patterns: numpy and torch are the references."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from replica.floating_point.closed_forms import fp_entropy_closed
from replica.floating_point.distributions import distribution
from replica.floating_point.exact import encoded_entropy, encoded_probabilities, fp_entropy_exact
from replica.floating_point.formats import FloatFormat, encoded_bin_edges, float_format, fp_bin_edges
from replica.floating_point.quantisation import (
    bit_pattern_counts,
    entropy_standard_error,
    fp_entropy_from_samples,
    miller_madow_entropy,
    plug_in_entropy,
    quantize_fp,
    stored_tuple_counts,
    torch_dtype,
)

SMALL = ["float16", "bfloat16", "float8_e4m3", "float8_e5m2"]


@given(st.floats(1e-4, 6e4), st.sampled_from([-1, 1]))
def test_rounding_to_nearest_is_numpys_half(x, sign):
    assert float(quantize_fp(sign * x, float_format("float16"), "nearest")) == float(np.float16(sign * x))


@given(st.floats(-1e6, 1e6), st.integers(2, 12), st.sampled_from(["truncate", "nearest"]))
def test_quantising_twice_is_quantising_once(x, p, rounding):
    fmt = FloatFormat(p, -9, 9)
    once = quantize_fp(x, fmt, rounding)
    assert quantize_fp(once, fmt, rounding) == once


@given(st.floats(2**-9, 2**10 - 1e-6), st.integers(2, 12))
def test_truncation_returns_the_midpoint_of_the_bin(x, p):
    fmt = FloatFormat(p, -9, 9)
    edges = fp_bin_edges(fmt)
    j = np.searchsorted(edges, x, side="right") - 1
    assert float(quantize_fp(x, fmt)) == 0.5 * (edges[j] + edges[j + 1])


def test_clipping_ends_in_the_outer_bins():
    fmt = FloatFormat(3, -1, 1)
    np.testing.assert_array_equal(quantize_fp([1e-9, -1e-9, 1e9, -np.inf], fmt), [0.5625, -0.5625, 3.75, -3.75])
    np.testing.assert_array_equal(quantize_fp([1e-9, -1e-9, 1e9, -np.inf], fmt, "nearest"), [0.5, -0.5, 3.5, -3.5])


@pytest.mark.parametrize("name", SMALL)
def test_predicted_codes_are_torchs(name):
    fmt = float_format(name)
    rng = np.random.default_rng(1)
    x = (rng.normal(size=20_000) * 10 ** rng.uniform(-9, 7, size=20_000)).astype(np.float32)
    edges = encoded_bin_edges(fmt)
    ties = np.isin(np.abs(x.astype(float)), edges)  # go to the even neighbour: either is right here
    stored = torch.from_numpy(x).to(torch_dtype(fmt)).view(torch.uint8 if fmt.storage_bits == 8 else torch.int16)
    magnitude = stored.to(torch.int64).numpy() & (2 ** (fmt.storage_bits - 1) - 1)
    predicted = np.searchsorted(edges, np.abs(x.astype(float)), side="right") - 1
    np.testing.assert_array_equal(magnitude[~ties], predicted[~ties])
    assert ties.mean() < 0.01


def test_counts_are_counts_of_bit_patterns():
    x = torch.tensor([0.0, -0.0, 1.0, 1.0, -2.0])
    counts = bit_pattern_counts(x, float_format("float16"))
    assert counts.shape == (65536,)
    assert {i: int(counts[i]) for i in np.flatnonzero(counts)} == {0x0000: 1, 0x8000: 1, 0x3C00: 2, 0xC000: 1}
    small = bit_pattern_counts(x, float_format("float8_e5m2"))
    assert {i: int(small[i]) for i in np.flatnonzero(small)} == {0x00: 1, 0x80: 1, 0x3C: 2, 0xC0: 1}


@pytest.mark.parametrize("name", SMALL)
def test_measured_entropy_of_torch_samples(name):
    fmt = float_format(name)
    samples = torch.randn(1_000_000, generator=torch.Generator().manual_seed(0))
    counts = bit_pattern_counts(samples, fmt)
    expected = encoded_entropy(distribution("normal"), fmt)
    # Miller-Madow leaves a bias of second order in (bins/samples): 26,000 of 1,000,000 for float16
    slack = 4e-3 if name == "float16" else 0.0
    assert abs(miller_madow_entropy(counts) - expected) < 4 * entropy_standard_error(counts) + slack
    negative, positive = encoded_probabilities(distribution("normal"), fmt)
    assert counts[: len(positive)].sum() + counts[2 ** (fmt.storage_bits - 1) :][: len(negative)].sum() == 1_000_000


def test_quantised_samples_have_the_exact_entropy():
    fmt = FloatFormat(4, -8, 4)
    x = quantize_fp(np.random.default_rng(3).normal(size=400_000), fmt)
    _, counts = np.unique(x, return_counts=True)
    exact = fp_entropy_exact(distribution("normal"), fmt)
    assert miller_madow_entropy(counts) == pytest.approx(exact, abs=4 * entropy_standard_error(counts))


def test_miller_madow_removes_the_bias():
    rng, outcomes, n = np.random.default_rng(0), 64, 640
    tables = rng.multinomial(n, np.full(outcomes, 1 / outcomes), size=400)
    plug_in = np.mean([plug_in_entropy(t) for t in tables])
    corrected = np.mean([miller_madow_entropy(t) for t in tables])
    assert plug_in == pytest.approx(6 - 63 / (2 * n * np.log(2)), abs=0.006)
    assert abs(corrected - 6) < 0.006 < 6 - plug_in


def test_tuples_are_told_apart():
    x = np.array([1.0, 1.0, 1.0, -0.0, 0.0, 2.0])
    y = np.array([5.0, 5.0, 6.0, 5.0, 5.0, 5.0])
    assert sorted(stored_tuple_counts(x, y)) == [1, 1, 1, 1, 2]
    assert sorted(stored_tuple_counts(x)) == [1, 1, 1, 3]


@given(st.integers(0, 1000))
def test_tuple_counts_are_those_of_rows(seed):
    table = np.random.default_rng(seed).integers(-2, 3, (60, 3)).astype(float)
    _, expected = np.unique(table, axis=0, return_counts=True)
    assert sorted(stored_tuple_counts(*table.T)) == sorted(expected)


@pytest.mark.parametrize("name", ["normal", "gamma", "laplace", "lognormal"])
def test_estimate_from_samples(name):
    x = distribution(name, 7.0).rvs(size=100_000, random_state=np.random.default_rng(5))
    assert fp_entropy_from_samples(x, 8) == pytest.approx(fp_entropy_closed(name, 8), abs=0.02)
    assert fp_entropy_from_samples(1000 * x, 8) == pytest.approx(fp_entropy_from_samples(x, 8), abs=1e-9)
    assert fp_entropy_from_samples(x**3, 8) == pytest.approx(fp_entropy_from_samples(x, 8) + np.log2(3), abs=1e-9)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: quantize_fp([np.nan], FloatFormat(3, -1, 1)), "must not contain NaN"),
        (lambda: quantize_fp([1.0], FloatFormat(3, -1, 1), "up"), "rounding must be"),
        (lambda: torch_dtype(float_format("float32")), "torch stores no format 'float32'"),
        (lambda: bit_pattern_counts(torch.arange(3), float_format("float16")), "must be floating-point numbers"),
        (lambda: fp_entropy_from_samples([1.0, 0.0], 5), "different from zero"),
        (lambda: fp_entropy_from_samples(np.ones(100), 5), "of a continuous variable"),
        (lambda: fp_entropy_from_samples(np.arange(1.0, 9), 5, neighbours=4), "neighbours must lie"),
        (lambda: stored_tuple_counts(), "not empty"),
        (lambda: stored_tuple_counts([]), "not empty"),
        (lambda: stored_tuple_counts([1.0, 2.0], [1.0]), "one shape"),
        (lambda: plug_in_entropy([]), "at least one observation"),
        (lambda: miller_madow_entropy([0, 0]), "at least one observation"),
        (lambda: plug_in_entropy([1, -1]), "non-negative"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
