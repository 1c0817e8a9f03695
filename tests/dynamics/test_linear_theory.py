"""The closed forms against the equations they solve, against each other, and against the flow of full matrices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from replica.dynamics import linear_theory as theory
from replica.dynamics.linear_networks import (
    balanced_weights,
    end_to_end,
    integrate_flow,
    random_weights,
    tangent_kernel,
)


@given(s=st.floats(0.2, 5), c0=st.floats(1e-6, 0.1), t=st.floats(0, 20))
@settings(max_examples=50, deadline=None)
def test_sigmoid_solves_its_equation(s, c0, t):
    h = 1e-4 / s
    c = theory.saxe_sigmoid(np.array([t - h, t, t + h]), s, c0)
    # central difference: relative error (2 s h)^2 / 6
    assert (c[2] - c[0]) / (2 * h) == pytest.approx(2 * c[1] * (s - c[1]), rel=1e-5, abs=1e-9)


def test_sigmoid_starts_and_ends_where_it_should_and_never_overflows():
    assert theory.saxe_sigmoid(0.0, 2.0, 1e-3) == pytest.approx(1e-3)
    assert theory.saxe_sigmoid(1e6, 2.0, 1e-3) == pytest.approx(2.0)


def test_overlaps_without_r0_are_the_published_hyperbolic_form():
    t, s, q0 = np.linspace(0, 6, 50), 1.3, 1e-3
    q, r = theory.two_layer_overlaps(t, s, q0)
    denominator = np.exp(2 * s * t) - 1 + 2 * s / q0
    np.testing.assert_allclose(r, 2 * s * np.sinh(2 * s * t) / denominator, rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(q, 2 * s * np.cosh(2 * s * t) / denominator, rtol=1e-10)


def test_overlaps_early_are_the_linearised_flow():
    t, s, q0, r0 = np.linspace(0, 1, 20), 0.7, 1e-7, -4e-8
    q, r = theory.two_layer_overlaps(t, s, q0, r0)
    np.testing.assert_allclose(q, q0 * np.cosh(2 * s * t) + r0 * np.sinh(2 * s * t), rtol=1e-5)
    np.testing.assert_allclose(r, r0 * np.cosh(2 * s * t) + q0 * np.sinh(2 * s * t), rtol=1e-5, atol=1e-12)


def test_overlaps_follow_the_flow_of_full_matrices():
    rng, beta, t = np.random.default_rng(0), np.eye(25)[0], np.linspace(0, 10, 201)
    weights = random_weights((25, 10, 1), np.sqrt(1e-4), rng)
    first, last = integrate_flow(weights, beta, np.eye(25), t)
    a, wb = last[:, 0], first[:, :, 0]
    q, r = 0.5 * ((a**2).sum(1) + (wb**2).sum(1)), (a * wb).sum(1)
    predicted_q, predicted_r = theory.two_layer_overlaps(t, 1.0, q[0], r[0])
    # corrections are of order sigma^2 = 1e-4, times a number of order ten
    assert np.abs(predicted_r - r).max() < 3e-3
    assert np.abs(predicted_q - q).max() < 3e-3


def test_time_shift_error_is_the_largest_distance_of_two_sigmoids():
    t, s, q0, r0 = np.linspace(0, 15, 20_001), 1.5, 1e-5, 4e-6
    distance = np.abs(theory.saxe_sigmoid(t, s, (q0 + r0) / 2) - theory.saxe_sigmoid(t, s, q0 / 2)).max()
    assert theory.time_shift_error(s, q0, r0) == pytest.approx(distance, rel=1e-4)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_mode_time_agrees_with_an_ode_solver(depth):
    s, c0, c1 = 1.7, 1e-3, 1.2
    reached = solve_ivp(
        lambda t, c: depth * c ** (2 - 2 / depth) * (s - c), (0, 1e4), [c0], rtol=1e-10, atol=1e-14,
        events=_reaches(c1),
    ).t_events[0][0]  # fmt: skip
    assert theory.mode_time(depth, s, c0, c1) == pytest.approx(reached, rel=1e-7)


def _reaches(level):
    def event(_, c):
        return c[0] - level

    event.terminal = True
    return event


def test_mode_time_for_two_layers_is_the_inverse_of_the_sigmoid():
    time = theory.mode_time(2, 1.5, 1e-4, 0.9)
    assert theory.saxe_sigmoid(time, 1.5, 1e-4) == pytest.approx(0.9, rel=1e-9)


@pytest.mark.parametrize("depth", [3, 4])
def test_balanced_matrices_follow_the_mode_with_the_factor_of_the_depth(depth):
    """The rate of c = u^L is L c^(2-2/L) (s - c): decided by full matrices, not by the chain rule that gave it."""
    s, beta = 1.4, np.eye(5)[0]
    weights = balanced_weights((5, *[6] * (depth - 1), 1), 0.3, beta, np.random.default_rng(1))
    duration = theory.mode_time(depth, s, 0.3**depth, 1.0)
    path = integrate_flow(weights, s * beta, np.eye(5), np.array([0.0, duration]))
    assert end_to_end([w[-1] for w in path])[0] == pytest.approx(1.0, rel=1e-6)
    as_printed = theory.mode_time(depth, s, 0.3**depth, 1.0, rate=1)
    assert as_printed == pytest.approx(depth * duration, rel=1e-9)


def test_half_time_is_the_small_start_limit_of_the_quadrature():
    for depth in (3, 4, 5):
        ratios = [
            theory.mode_time(depth, 1.0, u**depth, theory.half_loss_strength(1.0))
            / theory.deep_half_time(depth, 1.0, u)
            for u in (0.03, 0.01)
        ]
        assert abs(ratios[1] - 1) < abs(ratios[0] - 1) < 0.1
    assert ratios[1] == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_final_kernel_is_that_of_a_balanced_network_at_the_teacher(depth):
    s, beta = 2.5, np.array([1.0, -1.0, 0.5])
    weights = balanced_weights((3, *[4] * (depth - 1), 1), s ** (1 / depth), beta, np.random.default_rng(2))
    np.testing.assert_allclose(tangent_kernel(weights), theory.final_tangent_kernel(depth, s, beta), rtol=1e-12)


def test_alignment_limit_is_the_alignment_of_the_final_kernel():
    from replica.kernels.alignment import kernel_alignment

    for depth in (2, 3, 5):
        beta = np.random.default_rng(depth).normal(size=7)
        kernel = theory.final_tangent_kernel(depth, 1.0, beta)
        assert kernel_alignment(kernel, beta) == pytest.approx(theory.whitened_alignment_limit(depth, 7), rel=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.saxe_sigmoid(0.0, -1.0, 0.1), "strength must be a positive"),
        (lambda: theory.saxe_sigmoid(0.0, 1.0, 0.0), "start must be a positive"),
        (lambda: theory.two_layer_overlaps(0.0, 1.0, 0.1, 0.1), "q0 must exceed"),
        (lambda: theory.time_shift_error(1.0, 0.1, -0.2), "q0 must exceed"),
        (lambda: theory.mode_time(1, 1.0, 0.1, 0.5), "depth is the number"),
        (lambda: theory.mode_time(3, 1.0, 0.5, 0.1), "start < end < strength"),
        (lambda: theory.deep_half_time(2, 1.0, 0.1), "two layers wait"),
        (lambda: theory.final_tangent_kernel(2, 1.0, np.zeros(3)), "nonzero vector"),
        (lambda: theory.whitened_alignment_limit(2, 0), "modes must be"),
        (lambda: theory.half_loss_strength(float("nan")), "positive finite"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()
