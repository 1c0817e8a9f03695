"""Information against closed forms, brute-force sums and the data-processing inequality."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replica.thermodynamics.information import (
    bayes_readout,
    gaussian_channel_information,
    input_information,
    joint_with_labels,
    label_information,
    mutual_information,
)


def test_binary_symmetric_channel():
    flip = 0.1
    joint = 0.5 * np.array([[1 - flip, flip], [flip, 1 - flip]])
    entropy = -flip * np.log(flip) - (1 - flip) * np.log(1 - flip)
    assert mutual_information(joint) == pytest.approx(np.log(2) - entropy, rel=1e-14)


def test_independent_and_perfect():
    assert mutual_information(np.outer([0.2, 0.8], [0.5, 0.3, 0.2])) == pytest.approx(0, abs=1e-15)
    assert mutual_information(np.eye(4) / 4) == pytest.approx(np.log(4), rel=1e-15)
    assert input_information(np.eye(4)) == pytest.approx(np.log(4), rel=1e-15)
    assert label_information(np.eye(4), [0, 1, 1, 0]) == pytest.approx(np.log(2), rel=1e-15)


def test_label_information_by_hand():
    rng = np.random.default_rng(0)
    p, y = rng.dirichlet(np.ones(5), size=6), np.array([0, 1, 0, 2, 1, 0])
    total = 0.0
    for k in range(3):
        weight, given_k = np.mean(y == k), p[y == k].mean(axis=0)
        total += weight * np.sum(given_k * np.log(given_k / p.mean(axis=0)))
    assert label_information(p, y) == pytest.approx(total, rel=1e-13)
    stacked = label_information(np.stack([p, p[::-1]]), np.stack([y, y]))
    assert stacked[0] == pytest.approx(total, rel=1e-13)
    assert stacked.shape == (2,)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), inputs=st.integers(2, 9), states=st.integers(2, 8))
def test_processing_data_never_adds_information(seed, inputs, states):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(states, 0.5), size=inputs)
    y = rng.integers(0, 3, size=inputs)
    assert -1e-12 <= label_information(p, y) <= input_information(p) + 1e-12
    assert input_information(p) <= np.log(min(inputs, states)) + 1e-12


def test_readout_is_the_most_likely_label():
    train = np.array([[0.9, 0.1, 0.0], [0.1, 0.8, 0.1], [0.0, 0.1, 0.9]])
    assert list(bayes_readout(train, [0, 1, 1], [[1, 0, 0], [0, 1, 0], [0, 0.5, 0.5]])) == [0, 1, 1]


def test_scalar_gaussian_channel_and_many():
    assert gaussian_channel_information(2.0, 0.5, 3.0) == pytest.approx(0.5 * np.log(1 + 24), rel=1e-14)
    rng = np.random.default_rng(1)
    m, root = rng.normal(size=(3, 2)), rng.normal(size=(3, 3))
    c, s = root @ root.T + np.eye(3), np.diag([1.0, 4.0])
    # I = H(x) - H(x|s) of Gaussians
    direct = 0.5 * (np.linalg.slogdet(c + m @ s @ m.T)[1] - np.linalg.slogdet(c)[1])
    assert gaussian_channel_information(m, c, s) == pytest.approx(direct, rel=1e-12)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="sum to one"):
        input_information([[0.5, 0.6]])
    with pytest.raises(ValueError, match="probabilities"):
        input_information([[1.5, -0.5]])
    with pytest.raises(ValueError, match="one label for each"):
        joint_with_labels(np.eye(3), [0, 1])
    with pytest.raises(ValueError, match="whole numbers"):
        label_information(np.eye(2), [0.5, 1.0])
    with pytest.raises(ValueError, match="whole numbers"):
        label_information(np.eye(2), [-1, 0])
    with pytest.raises(ValueError, match="joint"):
        mutual_information(np.eye(2))
    with pytest.raises(ValueError, match="positive definite"):
        gaussian_channel_information(1.0, -1.0, 1.0)
    with pytest.raises(ValueError, match="shape"):
        gaussian_channel_information(np.ones((2, 1)), np.eye(3), 1.0)
    with pytest.raises(ValueError, match="no negative eigenvalue; got -5"):
        gaussian_channel_information(1.0, 1.0, -5.0)
    with pytest.raises(ValueError, match="finite signal"):
        gaussian_channel_information(1.0, 1.0, np.nan)
    with pytest.raises(ValueError, match="noise must be symmetric"):
        gaussian_channel_information(np.eye(2), [[1.0, 0.5], [0.0, 1.0]], np.eye(2))
