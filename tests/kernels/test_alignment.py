"""Alignment and whitening against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from replica.kernels.alignment import kernel_alignment, kernel_cosine, partial_whitening


def test_alignment_of_extreme_kernels():
    y = np.array([1.0, -2.0, 0.5, 3.0])
    assert kernel_alignment(np.outer(y, y), y) == pytest.approx(1)
    assert kernel_alignment(np.eye(4), y) == pytest.approx(0.5)  # 1/sqrt(4)
    orthogonal = np.array([2.0, 1.0, 0.0, 0.0])
    assert kernel_alignment(np.outer(orthogonal, orthogonal), y) == pytest.approx(0)


@given(seed=st.integers(0, 10_000), scale=st.floats(1e-3, 1e3))
@settings(max_examples=30, deadline=None)
def test_alignment_is_a_cosine(seed, scale):
    rng = np.random.default_rng(seed)
    root, y = rng.normal(size=(5, 3)), rng.normal(size=5)
    gram = root @ root.T
    value = kernel_alignment(gram, y)
    assert 0 <= value <= 1 + 1e-12
    assert kernel_alignment(scale * gram, -scale * y) == pytest.approx(value, rel=1e-10)
    assert value == pytest.approx(kernel_cosine(gram, np.outer(y, y)), rel=1e-10)


def test_stacks_and_tensors():
    rng = np.random.default_rng(0)
    root, y = rng.normal(size=(3, 5, 4)), rng.normal(size=5)
    grams = root @ root.swapaxes(-1, -2)
    single = [kernel_alignment(g, y) for g in grams]
    np.testing.assert_allclose(kernel_alignment(grams, y), single, rtol=1e-13)
    np.testing.assert_allclose(kernel_alignment(torch.tensor(grams), torch.tensor(y)).numpy(), single, rtol=1e-13)


def test_whitened_data_have_the_identity_as_second_moment_on_their_span():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(30, 4)) @ rng.normal(size=(4, 6))  # rank 4 in 6 dimensions
    white, _ = partial_whitening(x, 0.0)
    values = np.linalg.eigvalsh(white.T @ white / 30)
    np.testing.assert_allclose(values, [0, 0, 1, 1, 1, 1], atol=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0])
def test_singular_values_are_raised_to_the_power_and_the_scale_is_kept(gamma):
    rng = np.random.default_rng(2)
    x, test = rng.normal(size=(7, 5)), rng.normal(size=(3, 5))
    out, out_test = partial_whitening(x, gamma, test)
    before, after = np.linalg.svd(x, compute_uv=False), np.linalg.svd(out, compute_uv=False)
    np.testing.assert_allclose(after / after[0], (before / before[0]) ** gamma, rtol=1e-12)
    assert (out**2).sum() / 7 == pytest.approx(5)
    np.testing.assert_allclose(out_test, test @ np.linalg.lstsq(x, out, rcond=None)[0], atol=1e-12)


def test_gamma_one_changes_the_scale_only():
    x = np.random.default_rng(3).normal(size=(6, 4))
    out, _ = partial_whitening(x, 1.0)
    np.testing.assert_allclose(out / x, (out / x)[0, 0], rtol=1e-10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kernel_alignment(np.ones((2, 3)), np.ones(3)), "must be square"),
        (lambda: kernel_alignment(np.eye(3), np.ones(2)), "must be square"),
        (lambda: kernel_alignment(np.eye(3), np.zeros(3)), "must not be zero"),
        (lambda: kernel_cosine(np.eye(3), np.eye(2)), "one size"),
        (lambda: partial_whitening(np.zeros((3, 2)), 0.5), "nonzero matrix"),
        (lambda: partial_whitening(np.ones((3, 2)), 1.5), "gamma must lie"),
        (lambda: partial_whitening(np.ones((3, 2)), 0.5, np.ones((4, 3))), "test must have shape"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()
