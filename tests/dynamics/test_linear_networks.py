"""Deep linear networks against finite differences, automatic differentiation and conservation laws."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from replica.dynamics.linear_networks import (
    balanced_weights,
    end_to_end,
    gradient,
    imbalance,
    integrate_flow,
    layer_moment,
    loss,
    random_weights,
    tangent_kernel,
)

WIDTHS = (4, 5, 3, 6, 1)


@pytest.fixture
def setting():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(4, 4))
    return random_weights(WIDTHS, 0.8, rng), rng.normal(size=4), root @ root.T / 4


def test_end_to_end_is_the_product(setting):
    weights, _, _ = setting
    direct = weights[3] @ weights[2] @ weights[1] @ weights[0]
    np.testing.assert_allclose(end_to_end(weights), direct[0], rtol=1e-13)


def test_loss_is_the_mean_squared_error_on_data():
    rng = np.random.default_rng(1)
    x, teacher = rng.normal(size=(30, 4)), rng.normal(size=4)
    weights = random_weights(WIDTHS, 1.0, rng)
    direct = 0.5 * np.mean((x @ end_to_end(weights) - x @ teacher) ** 2)
    assert loss(weights, teacher, x.T @ x / 30) == pytest.approx(direct, rel=1e-12)


def test_gradient_by_central_differences(setting):
    weights, teacher, covariance = setting
    step = 1e-5  # error: step^2 from the difference, 1e-16 / step from round-off
    for layer, exact in enumerate(gradient(weights, teacher, covariance)):
        for index in np.ndindex(exact.shape):
            ends = []
            for sign in (1, -1):
                moved = [w.copy() for w in weights]
                moved[layer][index] += sign * step
                ends.append(loss(moved, teacher, covariance))
            assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(exact[index], rel=1e-6, abs=1e-8)


def test_torch_batch_equals_numpy_one_by_one(setting):
    _, teacher, covariance = setting
    stack = random_weights(WIDTHS, 0.8, np.random.default_rng(2), seeds=3)
    tensors = [torch.tensor(w) for w in stack]
    batched = gradient(tensors, torch.tensor(teacher), torch.tensor(covariance))
    kernels = tangent_kernel(tensors)
    for seed in range(3):
        single = [w[seed] for w in stack]
        for ours, theirs in zip(gradient(single, teacher, covariance), batched):
            np.testing.assert_allclose(theirs[seed].numpy(), ours, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(kernels[seed].numpy(), tangent_kernel(single), rtol=1e-12)


def test_tangent_kernel_against_autograd_jacobians(setting):
    weights, _, _ = setting
    x = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    leaves = tuple(torch.tensor(w) for w in weights)

    def outputs(*layers):
        return x @ end_to_end(layers)

    blocks = torch.autograd.functional.jacobian(outputs, leaves)
    jacobian = torch.cat([b.reshape(6, -1) for b in blocks], dim=1)
    ours = x.numpy() @ tangent_kernel(weights) @ x.numpy().T
    np.testing.assert_allclose(ours, (jacobian @ jacobian.T).numpy(), rtol=1e-12)


@given(seed=st.integers(0, 10_000), depth=st.integers(2, 5))
@settings(max_examples=20, deadline=None)
def test_flow_conserves_the_imbalance_of_every_pair_of_layers(seed, depth):
    """d/dt of the imbalance is linear in the gradients, so it can be checked without integrating anything."""
    rng = np.random.default_rng(seed)
    widths = [3, *rng.integers(1, 5, size=depth - 1), 1]
    weights = random_weights(widths, 1.0, rng)
    slopes = gradient(weights, rng.normal(size=3), np.diag(rng.uniform(0.1, 2, size=3)))
    for (low, high), (dlow, dhigh) in zip(pairwise(weights), pairwise(slopes)):
        drift = dlow @ low.T + low @ dlow.T - dhigh.T @ high - high.T @ dhigh
        np.testing.assert_allclose(drift, 0, atol=1e-12)


def test_integrated_flow_conserves_the_imbalance_and_reaches_the_teacher():
    rng = np.random.default_rng(3)
    weights = random_weights((4, 6, 5, 1), 0.3, rng)
    teacher = rng.normal(size=4)
    path = integrate_flow(weights, teacher, np.eye(4), np.array([0.0, 5.0, 80.0]), rtol=1e-10)
    np.testing.assert_allclose(end_to_end([w[-1] for w in path]), teacher, rtol=1e-6)
    for start, end in zip(imbalance(weights), imbalance([w[-1] for w in path])):
        assert np.linalg.norm(end - start) < 1e-7


def test_balanced_weights_are_balanced_and_point_along_the_direction():
    direction = np.array([1.0, 2.0, 2.0])
    weights = balanced_weights((3, 4, 5, 1), 0.5, direction, np.random.default_rng(4))
    for matrix in imbalance(weights):
        np.testing.assert_allclose(matrix, 0, atol=1e-15)
    np.testing.assert_allclose(end_to_end(weights), 0.5**3 * direction / 3, rtol=1e-12)


def test_layer_moments(setting):
    weights, _, _ = setting
    product = weights[1] @ weights[0]
    np.testing.assert_allclose(layer_moment(weights, 2), product.T @ product, rtol=1e-13)


def test_random_weights_have_the_variance_of_the_fan_in():
    big = random_weights((400, 300, 1), 0.2, np.random.default_rng(5), seeds=4)
    # 480 000 and 1200 entries: standard errors of the variance are 0.2 % and 4 %.
    assert big[0].var() * 400 == pytest.approx(0.04, rel=0.01)
    assert big[1].var() * 300 == pytest.approx(0.04, rel=0.15)
    assert big[0].shape == (4, 300, 400)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: random_weights((3, 1), 1.0, np.random.default_rng(0)), "at least three positive integers"),
        (lambda: random_weights((3, 2, 2), 1.0, np.random.default_rng(0)), "(inputs, hidden..., 1)"),
        (lambda: random_weights((3, 2, 1), 0.0, np.random.default_rng(0)), "sigma must be a positive"),
        (lambda: random_weights((3, 2, 1), 1.0, np.random.default_rng(0), seeds=0), "seeds must be"),
        (lambda: balanced_weights((3, 2, 1), 1.0, np.zeros(3), np.random.default_rng(0)), "nonzero vector"),
        (lambda: end_to_end([np.ones((1, 3))]), "at least two weight matrices"),
        (lambda: end_to_end([np.ones((2, 3)), np.ones((1, 4))]), "what the one below gives"),
        (lambda: end_to_end([np.ones((2, 3)), np.ones((2, 2))]), "one output"),
        (lambda: loss([np.ones((2, 3)), np.ones((1, 2))], np.ones(2), np.eye(2)), "for 3 inputs"),
        (lambda: layer_moment([np.ones((2, 3)), np.ones((1, 2))], 3), "between 1 and the depth"),
        (
            lambda: integrate_flow([np.ones((2, 3)), np.ones((1, 2))], np.ones(3), np.eye(3), [1.0, 2.0]),
            "starts at 0",
        ),
        (
            lambda: integrate_flow([np.ones((2, 2, 3)), np.ones((2, 1, 2))], np.ones(3), np.eye(3), [0.0, 2.0]),
            "one network",
        ),
    ],
)
def test_bad_input_is_refused_with_a_sentence(call, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace(")", r"\)").replace(".", r"\.")):
        call()
