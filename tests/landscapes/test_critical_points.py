"""Hessians, indices, sampling in loss, entropies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from replica.landscapes.critical_points import (
    bootstrap_entropy,
    hessian,
    hessian_eigenvalues,
    histogram_entropy,
    index,
    morse_index,
    sample_uniform_in_loss,
)


class Cubic:
    """sum of a theta^3 / 6 + theta^T C theta / 2: the Hessian is diag(a theta) + C."""

    def __init__(self, a, C):
        self.a, self.C, self.n_parameters = a, C, len(a)

    def hessian_product(self, theta, vectors):
        return self.a * theta * vectors + vectors @ self.C


@pytest.fixture
def cubic():
    rng = np.random.default_rng(2)
    C = rng.normal(size=(5, 5))
    return Cubic(rng.normal(size=5), C + C.T)


def test_hessian_is_put_together_from_products(cubic):
    theta = np.random.default_rng(0).normal(size=(3, 5))
    expected = cubic.C + np.stack([np.diag(cubic.a * t) for t in theta])
    np.testing.assert_allclose(hessian(cubic, theta), expected, rtol=1e-13)
    np.testing.assert_allclose(hessian_eigenvalues(cubic, theta), np.linalg.eigvalsh(expected), atol=1e-12)
    np.testing.assert_array_equal(index(cubic, theta), (np.linalg.eigvalsh(expected) < -1e-5).sum(axis=1))


def test_blocks_give_the_same(cubic, monkeypatch):
    theta = np.random.default_rng(1).normal(size=(7, 5))
    whole = hessian(cubic, theta)
    monkeypatch.setattr("replica.landscapes.critical_points.BATCH", 50)
    np.testing.assert_array_equal(hessian(cubic, theta), whole)


def test_cutoff_of_the_index():
    assert morse_index([[-1.0, -1e-6, 0.0, 2.0]], 1e-5).tolist() == [1]
    assert morse_index([[-1.0, -1e-6, 0.0, 2.0]], 1e-7).tolist() == [2]


@given(st.permutations(range(30)))
def test_sampling_takes_the_next_higher_loss(order):
    losses = np.asarray(order, dtype=float) ** 2
    drawn = losses[sample_uniform_in_loss(losses, 50, np.random.default_rng(0))]
    heights = np.random.default_rng(0).uniform(0, 29**2, 50)
    np.testing.assert_array_equal(drawn, np.ceil(np.sqrt(heights)) ** 2)


def test_sampling_is_uniform_in_loss():
    losses = np.exp(-np.linspace(0, 8, 20000))
    drawn = losses[sample_uniform_in_loss(losses, 4000, np.random.default_rng(1))]
    # the mean of 4000 uniform numbers has a standard error of 0.0046
    assert drawn.mean() == pytest.approx(0.5, abs=0.02)


@given(arrays(np.float64, 17, elements=st.integers(0, 1000).map(float)))
def test_entropy_lies_between_none_and_uniform(counts):
    assert -1e-12 <= histogram_entropy(counts) <= np.log2(17) + 1e-12


def test_known_entropies():
    assert histogram_entropy([5, 5, 0, 0]) == pytest.approx(1.0)
    assert histogram_entropy([[1, 1, 1, 1], [9, 0, 0, 0], [0, 0, 0, 0]]) == pytest.approx([2, 0, 0])


def test_bootstrap_deviation_is_that_of_fresh_samples():
    rng = np.random.default_rng(4)
    weights = np.array([0.5, 0.3, 0.1, 0.1])
    fresh = histogram_entropy(rng.multinomial(200, weights, size=4000)).std()
    sample = np.eye(4)[rng.choice(4, 200, p=weights)]
    assert bootstrap_entropy(sample, 2000, rng) == pytest.approx(fresh, rel=0.25)  # 200 runs know the weights to 10 %


def test_bad_input_is_refused(cubic):
    rng = np.random.default_rng(0)
    for call, message in (
        (lambda: index(cubic, np.zeros(5)), r"theta must have shape \(n_points, 5\)"),
        (lambda: index(cubic, np.full((1, 5), np.nan)), "finite eigenvalues"),
        (lambda: index(cubic, np.zeros((1, 5)), -1.0), "cutoff must not be negative"),
        (lambda: sample_uniform_in_loss([], 1, rng), "non-empty"),
        (lambda: sample_uniform_in_loss([np.nan], 1, rng), "finite"),
        (lambda: sample_uniform_in_loss([1.0], 0, rng), "n must be a whole number"),
        (lambda: histogram_entropy([-1.0]), "not negative"),
        (lambda: bootstrap_entropy(np.zeros(3), 10, rng), "n_runs, n_bins"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
