"""The adaptive flow against exact solutions, an ODE solver, and its promises about steps and stops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from replica.dynamics.gradient_flow import (
    adaptive_gradient_flow,
    autograd_gradient,
    first_crossing,
    loglog_slope,
)
from replica.dynamics.linear_networks import end_to_end, gradient, integrate_flow, loss, random_weights
from replica.dynamics.linear_theory import saxe_sigmoid


def two_scalars(strength):
    """f = a b with target ``strength``: the smallest network with a saddle, whose balanced flow is the sigmoid."""
    return autograd_gradient(lambda p: 0.5 * (p[0][:, 0] * p[1][:, 0] - strength) ** 2)


def test_balanced_scalars_follow_the_sigmoid():
    starts = torch.tensor([[1e-1], [1e-2], [1e-4]], dtype=torch.float64)
    flow = adaptive_gradient_flow(
        [starts, starts], two_scalars(1.0), tolerance=1e-6, stop_loss=1e-8,
        observe=lambda p: {"c": p[0][:, 0] * p[1][:, 0]},
    )  # fmt: skip
    assert flow.finished.all()
    for seed, u in enumerate((1e-1, 1e-2, 1e-4)):
        exact = saxe_sigmoid(flow.times[:, seed], 1.0, u**2)
        # about 20 e-folds of growth, each with an error of a few steps of 1e-6
        np.testing.assert_allclose(flow.observed["c"][:, seed], exact, rtol=2e-3)


def test_error_falls_with_the_tolerance():
    start = torch.full((1, 1), 1e-2, dtype=torch.float64)
    errors = []
    for tolerance in (1e-3, 1e-5):
        flow = adaptive_gradient_flow([start, start], two_scalars(1.0), tolerance=tolerance, max_time=4.0)
        end = float(flow.parameters[0] * flow.parameters[1])
        errors.append(abs(end - float(saxe_sigmoid(4.0, 1.0, 1e-4))))
        assert flow.times[-1, 0] == pytest.approx(4.0, abs=1e-12)
    assert errors[1] < 0.1 * errors[0] < 1e-3


def test_full_matrices_agree_with_an_ode_solver_for_every_seed():
    teacher, covariance = np.array([1.0, 0.5, 0.0, -0.3]), np.diag([2.0, 1.0, 1.0, 0.5])
    stack = random_weights((4, 6, 5, 1), 0.2, np.random.default_rng(0), seeds=3)
    v, s = torch.tensor(teacher), torch.tensor(covariance)
    flow = adaptive_gradient_flow(
        [torch.tensor(w) for w in stack], lambda p: (loss(p, v, s), gradient(p, v, s)), tolerance=1e-7, max_time=20.0
    )
    ours = end_to_end(flow.parameters).numpy()
    for seed in range(3):
        path = integrate_flow([w[seed] for w in stack], teacher, covariance, np.array([0.0, 20.0]))
        np.testing.assert_allclose(ours[seed], end_to_end([w[-1] for w in path]), rtol=1e-4, atol=1e-5)


def test_seeds_do_not_see_each_other():
    both = torch.tensor([[1e-1], [1e-3]], dtype=torch.float64)
    together = adaptive_gradient_flow([both, both], two_scalars(1.0), stop_loss=1e-4)
    alone = adaptive_gradient_flow([both[1:], both[1:]], two_scalars(1.0), stop_loss=1e-4)
    assert together.times[-1, 1] == alone.times[-1, 0]


def test_loss_never_rises_and_time_never_falls():
    stiff = autograd_gradient(lambda p: 0.5 * (p[0][:, 0] ** 2 + 100 * p[0][:, 1] ** 2))
    flow = adaptive_gradient_flow([torch.ones(1, 2, dtype=torch.float64)], stiff, stop_loss=1e-6)
    assert flow.finished.all()
    assert (np.diff(flow.losses[:, 0]) <= 1e-12 * flow.losses[0, 0]).all()
    assert (np.diff(flow.times[:, 0]) >= 0).all()


def test_plateaus_cost_iterations_that_grow_like_a_logarithm_not_like_their_length():
    counts = []
    for u in (1e-1, 1e-3, 1e-5):  # three scalars wait 1/u: 1e4 times longer from the first to the last
        start = torch.full((1, 1), u, dtype=torch.float64)
        product = autograd_gradient(lambda p: 0.5 * (p[0][:, 0] * p[1][:, 0] * p[2][:, 0] - 1) ** 2)
        flow = adaptive_gradient_flow([start] * 3, product, stop_loss=0.25)
        assert first_crossing(flow.times, flow.losses, 0.26)[0] == pytest.approx(1 / u, rel=0.2)
        counts.append(flow.evaluations)
    assert counts[2] < 10 * counts[0]  # e-folds of growth: 2 against 11


def test_records_every_so_many_iterations_and_always_the_ends():
    start = torch.full((2, 1), 1e-2, dtype=torch.float64)
    dense = adaptive_gradient_flow([start, start], two_scalars(1.0), stop_loss=1e-4)
    sparse = adaptive_gradient_flow([start, start], two_scalars(1.0), stop_loss=1e-4, observe_every=7)
    assert len(sparse.times) < len(dense.times)
    np.testing.assert_array_equal(sparse.times[[0, -1]], dense.times[[0, -1]])


def test_unfinished_seeds_are_reported():
    start = torch.full((1, 1), 1e-3, dtype=torch.float64)
    flow = adaptive_gradient_flow([start, start], two_scalars(1.0), stop_loss=1e-8, max_iterations=3)
    assert not flow.finished.any()


def test_first_crossing_interpolates_in_either_direction_and_says_never():
    times = np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 1.0], [2.0, 4.0, 2.0]])
    values = np.array([[1.0, 0.0, 1.0], [0.5, 0.5, 1.0], [0.0, 1.0, 1.0]])
    np.testing.assert_allclose(first_crossing(times, values, 0.75), [0.5, 3.0, np.nan])


def test_loglog_slope():
    x = np.array([1.0, 2.0, 5.0])
    assert loglog_slope(x, 3 * x**-2.5) == pytest.approx(-2.5, rel=1e-12)


def constant(p):
    return torch.zeros(p[0].shape[0]) * float("nan"), [torch.zeros_like(q) for q in p]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: adaptive_gradient_flow([torch.ones(3)], constant), "seeds as first axis"),
        (lambda: adaptive_gradient_flow([torch.ones(2, 1), torch.ones(3, 1)], constant), "seeds as first axis"),
        (lambda: adaptive_gradient_flow([torch.zeros(2, 1)], constant), "finite and nonzero"),
        (lambda: adaptive_gradient_flow([torch.ones(2, 1)], constant), "finite numbers"),
        (lambda: adaptive_gradient_flow([torch.ones(2, 1)], constant, tolerance=0), "must all be positive"),
        (lambda: first_crossing(np.zeros(3), np.zeros(3), 0.5), "shape"),
        (lambda: loglog_slope([1, 2], [1, 2]), "at least three"),
        (lambda: loglog_slope([1, 2, -3], [1, 2, 3]), "positive"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()
