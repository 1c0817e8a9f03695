"""Adam against torch's, and what its first step must be."""

import numpy as np
import pytest

from replica.dynamics.adam import adam_step


def test_the_path_is_that_of_torch():
    import torch

    curvature = np.array([1.0, 10.0, 0.1])
    weight, moments = np.array([1.0, -2.0, 3.0]), (np.zeros(3), np.zeros(3))
    theirs = torch.tensor(weight, requires_grad=True)
    optimiser = torch.optim.Adam([theirs], lr=0.05)
    for step in range(1, 101):
        weight = adam_step(weight, curvature * weight, moments, step, 0.05)
        optimiser.zero_grad()
        (0.5 * torch.tensor(curvature) * theirs**2).sum().backward()
        optimiser.step()
        np.testing.assert_allclose(weight, theirs.detach().numpy(), rtol=1e-10)


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e6])
def test_the_first_step_has_the_length_of_the_rate_whatever_the_gradient(size):
    new = adam_step(np.zeros(2), np.array([size, -size]), (np.zeros(2), np.zeros(2)), 1, 0.1)
    np.testing.assert_allclose(new, [-0.1, 0.1], rtol=1e-4)


def test_steps_are_counted_from_one():
    with pytest.raises(ValueError, match="from 1, got 0"):
        adam_step(np.zeros(1), np.ones(1), (np.zeros(1), np.zeros(1)), 0, 0.1)
