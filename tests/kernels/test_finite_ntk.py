"""Tangent kernels of finite networks against automatic differentiation and against the wide limit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from replica.kernels.finite_ntk import (
    empirical_tangent_kernel,
    mlp_outputs,
    mlp_tangent_kernel,
    random_mlp,
    squared_loss,
)


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(7)
    return [torch.randn(n, 3, dtype=torch.float64, generator=generator) for n in (5, 4)]


@pytest.mark.parametrize("activation", ["linear", "relu", "tanh"])
@pytest.mark.parametrize("widths", [(3, 4, 1), (3, 5, 4, 1), (3, 2, 6, 3, 1)])
def test_closed_form_equals_torch_func_jacobians(inputs, widths, activation):
    weights = random_mlp(widths, 1.3, torch.Generator().manual_seed(0), seeds=2)
    closed = mlp_tangent_kernel(weights, *inputs, activation=activation)
    for seed in range(2):

        def function(parameters, x):
            return mlp_outputs([p[None] for p in parameters], x[None], activation)[0, 0]

        single = [w[seed] for w in weights]
        automatic = empirical_tangent_kernel(function, single, *inputs)
        np.testing.assert_allclose(closed[seed].numpy(), automatic.numpy(), rtol=1e-12, atol=1e-13)


def test_two_layer_relu_formula_of_the_paper(inputs):
    """K = A A' + [(I a^2) I'] * X X', with A the hidden activations and I where they are positive."""
    w, a = random_mlp((3, 6, 1), 1.0, torch.Generator().manual_seed(1))
    x = inputs[0]
    field = x @ w[0].T
    hidden, on = field.clamp_min(0), (field > 0).double()
    formula = hidden @ hidden.T + ((on * a[0] ** 2) @ on.T) * (x @ x.T)
    np.testing.assert_allclose(mlp_tangent_kernel([w, a], x)[0].numpy(), formula.numpy(), rtol=1e-12)


def test_kernel_of_the_same_inputs_is_symmetric_and_positive(inputs):
    gram = mlp_tangent_kernel(random_mlp((3, 40, 20, 1), 1.0, torch.Generator().manual_seed(2)), inputs[0])[0]
    np.testing.assert_allclose(gram, gram.T, rtol=1e-12)
    assert torch.linalg.eigvalsh(gram).min() > 0


def test_homogeneous_network_scales_its_kernel(inputs):
    weights = random_mlp((3, 5, 5, 1), 1.0, torch.Generator().manual_seed(3))
    scaled = [2 * w for w in weights]
    # three layers: f is of degree 3 in the weights, its gradient of degree 2, the kernel of degree 4
    np.testing.assert_allclose(
        mlp_tangent_kernel(scaled, inputs[0]).numpy(), 16 * mlp_tangent_kernel(weights, inputs[0]).numpy(), rtol=1e-12
    )


def test_wide_relu_network_has_the_arc_cosine_kernel():
    width = 40_000
    x = torch.tensor([[1.0, 0.0], [np.cos(1.0), np.sin(1.0)]], dtype=torch.float64)
    gram = mlp_tangent_kernel(random_mlp((2, width, 1), 1.0, torch.Generator().manual_seed(4)), x)[0]
    # W ~ N(0, 1/2) and a ~ N(0, 1/width). With t the angle of the inputs,
    # E relu relu' = (1/2) (sin t + (pi - t) cos t) / (2 pi) and E step step' = (pi - t) / (2 pi).
    t = 1.0
    hidden = width * 0.5 * (np.sin(t) + (np.pi - t) * np.cos(t)) / (2 * np.pi)
    expected = hidden + np.cos(t) * (np.pi - t) / (2 * np.pi)
    assert float(gram[0, 1]) == pytest.approx(expected, rel=4 / width**0.5)


def test_squared_loss_and_its_gradient_drive_outputs_with_the_kernel(inputs):
    """d f / d theta . (-grad loss) = -K (f - y) / P: the tangent kernel is what moves the outputs."""
    x, y = inputs[0], torch.arange(5, dtype=torch.float64)
    weights = [w.requires_grad_(True) for w in random_mlp((3, 6, 1), 1.0, torch.Generator().manual_seed(5))]
    loss = squared_loss(x, y)(weights).sum()
    grads = torch.autograd.grad(loss, weights)
    step = 1e-6
    moved = mlp_outputs([w - step * g for w, g in zip(weights, grads)], x)
    velocity = (moved - mlp_outputs(weights, x))[0] / step
    predicted = -(mlp_tangent_kernel(weights, x)[0] @ (mlp_outputs(weights, x)[0] - y)) / 5
    np.testing.assert_allclose(velocity.detach().numpy(), predicted.detach().numpy(), rtol=1e-4, atol=1e-6)


def test_generator_decides_the_weights():
    first, again = (random_mlp((3, 4, 1), 0.1, torch.Generator().manual_seed(9), seeds=2) for _ in range(2))
    for a, b in zip(first, again):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: random_mlp((3, 1), 1.0, torch.Generator()), "at least three positive"),
        (lambda: random_mlp((3, 4, 2), 1.0, torch.Generator()), "inputs, hidden"),
        (lambda: random_mlp((3, 4, 1), -1.0, torch.Generator()), "must be positive"),
        (lambda: mlp_outputs([torch.ones(1, 4, 3), torch.ones(1, 1, 4)], torch.ones(2, 5)), r"shape \(n, 3\)"),
        (lambda: mlp_outputs([torch.ones(1, 4, 3), torch.ones(1, 1, 5)], torch.ones(2, 3)), "fit together"),
        (lambda: mlp_outputs([torch.ones(4, 3), torch.ones(1, 4)], torch.ones(2, 3)), "fit together"),
        (lambda: mlp_outputs([torch.ones(1, 4, 3), torch.ones(1, 1, 4)], torch.ones(2, 3), "cube"), "one of"),
        (lambda: squared_loss(torch.ones(3, 2), torch.ones(2)), "one target per input"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()
