"""The trap in closed form: against its own geometry, the equations of the moments, and numerical minimisation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from replica.thermodynamics.friction import counterdiabatic
from replica.thermodynamics.harmonic_trap import (
    moment_work,
    optimal_controls,
    optimal_states,
    optimal_trap,
    target_controls,
    trap_divergence,
    trap_fisher,
    trap_friction,
)

traps = st.tuples(st.floats(0.3, 6.0), st.floats(-2.0, 2.0))


@settings(max_examples=40, deadline=None)
@given(traps, traps, st.floats(0.05, 10.0))
def test_recipe_is_exact_for_every_trap(start, goal, duration):
    """gamma + h^-1 g gamma' is the control that keeps the state on its target, and the work is the closed form."""
    best = optimal_trap(duration, start, goal)
    times = np.linspace(0, duration, 7)
    gamma, velocity = target_controls(best, times)
    recipe = gamma + counterdiabatic(trap_friction(gamma), trap_fisher(gamma), velocity)
    exact = optimal_controls(best, times)
    np.testing.assert_allclose(recipe, exact, atol=1e-9 * np.abs(exact).max())


@pytest.mark.parametrize("duration", [0.1, 1.0])
@pytest.mark.parametrize(("start", "goal"), [((1, 0), (4, 0)), ((1, -1), (5, 1)), ((3, 0.5), (0.5, 0))])
def test_work_and_state_from_the_moments(duration, start, goal):
    best = optimal_trap(duration, start, goal)
    work, state = moment_work(lambda t: optimal_controls(best, t), duration, start, goal)
    assert work == pytest.approx(best.excess, rel=1e-9)
    assert state == pytest.approx(best.end, rel=1e-9)


@settings(max_examples=20, deadline=None)
@given(traps, traps, st.floats(0.05, 10.0))
def test_end_state_minimises_cost(start, goal, duration):
    best = optimal_trap(duration, start, goal)

    def cost(state):
        moved = (state[0] - best.start[0]) ** 2 + (np.exp(state[1]) - best.start[1]) ** 2
        return moved / duration + trap_divergence((state[0], np.exp(state[1])), goal)

    found = minimize(cost, [goal[1], -0.5 * np.log(goal[0])], method="BFGS", options={"gtol": 1e-9})
    assert best.excess <= found.fun + 1e-9
    assert best.excess == pytest.approx(found.fun, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("duration", [0.1, 1.0, 20.0])
def test_schmiedl_and_seifert(duration):
    best = optimal_trap(duration, (1, 0), (1, 2.0))
    assert best.excess == pytest.approx(4 / (duration + 2), rel=1e-12)
    centre = optimal_controls(best, np.array([0.0, duration]))[:, 1]
    np.testing.assert_allclose(centre, [2 / (duration + 2), 2 - 2 / (duration + 2)], rtol=1e-12)
    np.testing.assert_allclose(optimal_controls(best, np.array([0.3 * duration]))[:, 0], 1, rtol=1e-12)


def test_any_other_protocol_costs_more():
    best = optimal_trap(1.0, (1, -1), (5, 1))
    rng = np.random.default_rng(0)
    for _ in range(5):
        a, b = rng.normal(size=(2, 2)) * 0.2
        work, _ = moment_work(
            lambda t, a=a, b=b: optimal_controls(best, t) + a * np.sin(5 * t) + b, 1.0, (1, -1), (5, 1)
        )
        assert work > best.excess


def test_metric_is_flat_in_mean_and_width():
    control = np.array([1.7, -0.4])
    k, b = control
    jacobian = np.array([[-b / k**2, 1 / k], [-0.5 * k**-1.5, 0]])  # of (mean, width) in (k, b)
    np.testing.assert_allclose(trap_friction(control), jacobian.T @ jacobian, rtol=1e-12)
    assert trap_friction(np.array([2.0, 0.0]))[0, 0] == pytest.approx(1 / 32)


def test_limits_of_the_duration():
    slow, fast = optimal_trap(1e6, (1, 0), (4, 1)), optimal_trap(1e-7, (1, 0), (4, 1))
    assert slow.excess * 1e6 == pytest.approx(0.5**2 + 1, rel=1e-5)
    assert fast.excess == pytest.approx(trap_divergence((0, 1), (4, 1)), rel=1e-5)
    mean, width = optimal_states(slow, np.array([0.0, 1e6]))
    assert (mean[0], width[0], mean[1], width[1]) == pytest.approx((0, 1, 1, 0.5), abs=1e-5)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="duration must be positive"):
        optimal_trap(0.0, (1, 0), (1, 1))
    with pytest.raises(ValueError, match="positive stiffness"):
        optimal_trap(1.0, (-1, 0), (1, 1))
    with pytest.raises(ValueError, match="positive stiffness"):
        optimal_trap(1.0, (1, np.nan), (1, 1))
    with pytest.raises(ValueError, match="does not confine"):
        trap_friction(np.array([[1.0, 0.0], [-0.5, 0.0]]))
    with pytest.raises(ValueError, match="finite controls"):
        trap_fisher(np.array([1.0, 2.0, 3.0]))
    with pytest.raises(ValueError, match="duration must be positive"):
        moment_work(lambda t: np.array([1.0, 0.0]), -1.0, (1, 0), (1, 1))
