"""Work along protocols: identities of thermodynamics, gradients by finite differences, optima in closed form."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from replica.thermodynamics.fokker_planck import equilibrium, generator, mean_observables
from replica.thermodynamics.harmonic_trap import optimal_controls, optimal_trap
from replica.thermodynamics.polynomials import confining_grid, double_well, harmonic_trap, on_grid
from replica.thermodynamics.protocol_work import (
    dissipation_rate,
    drive,
    excess_work,
    excess_work_and_gradient,
    follow,
    linear_ramp,
    optimise_protocol,
)


def well(barrier=8.0, cells=240):
    polynomial = double_well(barrier)
    return on_grid(polynomial, confining_grid(polynomial, [[-1.5], [1.5]], cells))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-1.2, 1.2), min_size=1, max_size=30), st.floats(0.01, 3.0))
def test_first_and_second_law_for_any_protocol(values, duration):
    """Excess work = dissipation + what is left, every part of it >= 0; probability is conserved."""
    record = follow(drive(well(4.0, 80), duration, -1, 1), np.array(values))
    assert record.excess == pytest.approx(record.dissipated.sum() + record.remaining, abs=1e-9)
    assert record.dissipated.min() > -1e-10
    assert record.remaining > -1e-10
    np.testing.assert_allclose(record.states.sum(axis=1), 1, rtol=1e-9)
    assert record.states.min() >= 0


def test_steps_against_dense_linear_algebra():
    system, values = well(4.0, 40), np.array([-0.7, 0.2, 0.5])
    task = drive(system, 0.3, -1, 1)
    record = follow(task, values)
    p, work, before = task.initial, 0.0, -1.0
    for value in values:
        work += (value - before) * mean_observables(system, p)[0]
        p, before = np.linalg.solve(np.eye(40) - 0.1 * generator(system, value), p), value
    work += (1.0 - before) * mean_observables(system, p)[0]
    np.testing.assert_allclose(record.states[-1], p, atol=1e-13)
    assert record.excess == pytest.approx(work - task.free_energy_change, rel=1e-11)


def test_time_stepping_converges_to_the_matrix_exponential_at_first_order():
    system = well(2.0, 50)
    task = drive(system, 0.5, -1, 1)
    exact = expm(0.5 * generator(system, 0.3)) @ task.initial
    errors = [np.abs(follow(task, np.full(k, 0.3)).states[-1] - exact).max() for k in (50, 100, 200)]
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("barrier", [2.0, 16.0])
def test_gradient_against_finite_differences(barrier):
    task = drive(well(barrier, 100), 0.4, -1, 1)
    rng = np.random.default_rng(0)
    values = linear_ramp(task, 30) + 0.1 * rng.normal(size=(30, 1))
    work, gradient = excess_work_and_gradient(task, values)
    assert work == pytest.approx(excess_work(task, values), rel=1e-12)
    for k in (0, 1, 13, 28, 29):
        shift = np.zeros_like(values)
        shift[k] = 1e-5
        slope = (excess_work(task, values + shift) - excess_work(task, values - shift)) / 2e-5
        assert gradient[k, 0] == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_gradient_of_two_controls():
    task = drive(on_grid(harmonic_trap(), np.linspace(-7, 7, 120)), 0.7, [1, -1], [5, 5])
    rng = np.random.default_rng(1)
    values = linear_ramp(task, 20) + 0.1 * rng.normal(size=(20, 2))
    _, gradient = excess_work_and_gradient(task, values)
    direction = rng.normal(size=values.shape)
    slope = (excess_work(task, values + 1e-5 * direction) - excess_work(task, values - 1e-5 * direction)) / 2e-5
    assert (gradient * direction).sum() == pytest.approx(slope, rel=1e-7)


def test_sudden_and_quasistatic_limits():
    system = well(2.0)
    sudden = drive(system, 1e-9, -1, 1)
    p = equilibrium(system, -1)
    quench = 2 * mean_observables(system, p)[0] - sudden.free_energy_change
    assert excess_work(sudden, np.zeros(5)) == pytest.approx(quench, rel=1e-6)
    slow = drive(system, 3000.0, -1, 1)
    assert 0 < excess_work(slow, linear_ramp(slow, 4000)) < 0.01


def test_entropy_production_integrates_to_what_was_dissipated():
    task = drive(well(4.0), 1.0, -1, 1)
    values = linear_ramp(task, 4000)
    record = follow(task, values)
    total = dissipation_rate(task.system, record.states[1:], values).sum() / 4000
    assert total == pytest.approx(record.dissipated.sum(), rel=1e-3)


def test_mirror_image_costs_the_same():
    system = well()
    forth, back = drive(system, 0.5, -1, 1), drive(system, 0.5, 1, -1)
    values = linear_ramp(forth, 50) + 0.2
    assert excess_work(forth, values) == pytest.approx(excess_work(back, -values), rel=1e-10)


def test_optimum_is_stationary_and_does_not_depend_on_the_start():
    task = drive(well(), 0.5, -1, 1)
    found = [optimise_protocol(task, guess) for guess in (linear_ramp(task, 100), np.zeros(100), np.full(100, 0.9))]
    assert found[0].excess < excess_work(task, linear_ramp(task, 100))
    for other in found[1:]:
        assert other.excess == pytest.approx(found[0].excess, rel=1e-7)
    assert max(f.gradient_norm for f in found) < 1e-5


@pytest.mark.parametrize("duration", [0.0005, 0.2, 2.0])
@pytest.mark.parametrize("steps", [50, 200])
def test_optimum_is_equally_good_for_any_duration_and_number_of_steps(duration, steps):
    """In short times the work hardly depends on the protocol; the protocol found must not depend on the start."""
    task = drive(well(2.0, 120), duration, -1, 1)
    one, other = (optimise_protocol(task, guess).protocol for guess in (linear_ramp(task, steps), np.zeros(steps)))
    np.testing.assert_allclose(one, other, atol=2e-5)


@pytest.mark.parametrize("duration", [0.1, 1.0])
@pytest.mark.parametrize(("start", "goal"), [((1, 0), (4, 0)), ((1, 0), (1, 1)), ((1, -1), (5, 1))])
def test_optimum_of_the_trap_is_the_closed_form(duration, start, goal):
    system = on_grid(harmonic_trap(), np.linspace(-7, 7, 300))
    task = drive(system, duration, [start[0], start[0] * start[1]], [goal[0], goal[0] * goal[1]])
    coarse, fine = (optimise_protocol(task, linear_ramp(task, k)) for k in (50, 100))
    exact = optimal_trap(duration, start, goal)
    assert 2 * fine.excess - coarse.excess == pytest.approx(exact.excess, rel=2e-3)  # first order in the step
    middle = optimal_controls(exact, (np.arange(100) + 0.5) / 100 * duration)
    assert np.abs(fine.protocol - middle)[2:-2].max() < 0.03 * np.abs(middle).max()


def test_bad_input_is_refused():
    system = well(4.0, 60)
    for duration in (0, -1, np.nan, np.inf):
        with pytest.raises(ValueError, match="duration must be positive"):
            drive(system, duration, -1, 1)
    task = drive(system, 1.0, -1, 1)
    with pytest.raises(ValueError, match="finite"):
        follow(task, [0.0, np.nan])
    with pytest.raises(ValueError, match="protocol has shape"):
        follow(task, [])
    with pytest.raises(ValueError, match="against the ends of the grid"):
        follow(task, np.full(20, 40.0))
    with pytest.raises(ValueError, match="cannot be normalised"):
        drive(system, 1.0, -1, 60.0)
