"""Geodesics of one control and the protocols built on them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replica.thermodynamics.fokker_planck import controlled_potential, divergence_from_equilibrium, equilibrium
from replica.thermodynamics.geodesics import (
    divergence,
    free_ends,
    geodesic,
    geodesic_counterdiabatic,
    path_length,
    tabulate_metric,
)
from replica.thermodynamics.polynomials import confining_grid, double_well, on_grid
from replica.thermodynamics.protocol_work import drive, excess_work, linear_ramp, optimise_protocol


def well(barrier, cells=240):
    polynomial = double_well(barrier)
    return on_grid(polynomial, confining_grid(polynomial, [[-1.5], [1.5]], cells))


@pytest.fixture(scope="module")
def systems():
    return {barrier: well(barrier) for barrier in (2.0, 8.0, 16.0)}


@pytest.fixture(scope="module")
def tables(systems):
    return {barrier: tabulate_metric(system, np.linspace(-1.5, 1.5, 1201)) for barrier, system in systems.items()}


@settings(max_examples=30, deadline=None)
@given(st.floats(-1.4, 1.4), st.floats(-1.4, 1.4), st.sampled_from([2.0, 8.0, 16.0]))
def test_geodesics_have_constant_speed(tables, start, goal, barrier):
    table, shares = tables[barrier], np.linspace(0, 1, 11)
    path = geodesic(table, start, goal, shares)
    assert path[0] == pytest.approx(start, abs=1e-9)
    assert path[-1] == pytest.approx(goal, abs=1e-9)
    steps = np.diff([path_length(table, start, value) for value in path])
    np.testing.assert_allclose(steps, path_length(table, start, goal) / 10, atol=1e-9)


def test_trap_that_is_made_stiffer_has_a_known_geodesic():
    """With one control k the width 1/sqrt(k) moves at constant speed and the length is its change."""
    x = np.linspace(-9, 9, 1500)
    table = tabulate_metric(controlled_potential(x, 0 * x, 0.5 * x**2), np.linspace(0.8, 5, 400))
    assert path_length(table, 1.0, 4.0) == pytest.approx(0.5, rel=2e-4)
    np.testing.assert_allclose(geodesic(table, 1.0, 4.0, [0.5]), [1 / 0.75**2], rtol=2e-4)


def test_moving_trap_gives_schmiedl_and_seifert():
    x = np.linspace(-8, 9, 1500)
    system = controlled_potential(x, 0.5 * x**2, -x)
    table = tabulate_metric(system, np.linspace(-0.5, 1.5, 200))
    for duration in (0.1, 1.0):
        run = geodesic_counterdiabatic(table, duration, 0.0, 1.0, 100)
        assert run.first_jump == pytest.approx(1 / (duration + 2), rel=1e-4)
        assert run.last_jump == pytest.approx(1 / (duration + 2), rel=1e-4)
        np.testing.assert_allclose(run.control, (run.time + 1) / (duration + 2), rtol=1e-4)
        assert run.cost == pytest.approx(1 / (duration + 2), rel=1e-4)


@pytest.mark.parametrize("barrier", [2.0, 8.0, 16.0])
@pytest.mark.parametrize("duration", [0.2, 1.0, 2.0])
def test_the_end_minimises_the_cost_and_the_last_jump_is_half_the_way(tables, barrier, duration):
    table = tables[barrier]
    run = geodesic_counterdiabatic(table, duration, -1, 1, 50)
    ends = np.linspace(-1, 1, 4001)
    cost = (table.arc(ends) - table.arc(-1)) ** 2 / duration + divergence(table, ends, 1.0)
    assert run.cost <= cost.min() + 1e-6
    assert run.end == pytest.approx(ends[cost.argmin()], abs=2e-3)
    assert 1 - run.last_jump == pytest.approx(0.5 * (run.end + 1), abs=1e-9)


def test_divergence_is_that_of_the_states(systems, tables):
    p = equilibrium(systems[8.0], -0.3)
    assert divergence(tables[8.0], -0.3, 1.0) == pytest.approx(
        divergence_from_equilibrium(systems[8.0], p, 1.0), rel=1e-9
    )


def test_several_ends_at_a_high_barrier(tables):
    ends = free_ends(tables[16.0], 2.0, -1, 1)
    assert ends.control == pytest.approx([0.028, 0.264, 0.517], abs=2e-3)
    assert ends.best == ends.control[ends.cost.argmin()]
    assert free_ends(tables[2.0], 2.0, -1, 1).control.size == 1


def test_a_decreasing_protocol_is_the_mirror_image(tables):
    up = geodesic_counterdiabatic(tables[8.0], 0.5, -1, 1, 60)
    down = geodesic_counterdiabatic(tables[8.0], 0.5, 1, -1, 60)
    np.testing.assert_allclose(down.control, -up.control, atol=1e-6)
    assert down.first_jump == pytest.approx(-up.first_jump, abs=1e-6)


def test_recipe_lies_between_optimum_and_baselines(systems, tables):
    for duration in (0.2, 0.5, 1.0, 2.0):
        task = drive(systems[8.0], duration, -1, 1)
        recipe = geodesic_counterdiabatic(tables[8.0], duration, -1, 1, 200).control
        plain = geodesic(tables[8.0], -1, 1, (np.arange(200) + 0.5) / 200)
        work = excess_work(task, recipe)
        best = optimise_protocol(task, recipe).excess
        assert best <= work < min(excess_work(task, plain), excess_work(task, linear_ramp(task, 200)))


def test_sudden_driving_jumps_half_way(tables):
    for table in tables.values():
        run = geodesic_counterdiabatic(table, 1e-5, -1, 1, 10)
        assert (run.first_jump, run.last_jump) == pytest.approx((1, 1), abs=2e-3)


def test_bad_input_is_refused(systems, tables):
    table = tables[2.0]
    with pytest.raises(ValueError, match="leaves the tabulated range"):
        geodesic_counterdiabatic(table, 1.0, -1, 1.7, 10)
    with pytest.raises(ValueError, match="leaves the tabulated range"):
        path_length(table, -2.0, 0.0)
    with pytest.raises(ValueError, match="finite"):
        geodesic(table, np.nan, 0.0, [0.5])
    for duration in (0, -1.0, np.nan):
        with pytest.raises(ValueError, match="duration must be positive"):
            geodesic_counterdiabatic(table, duration, -1, 1, 10)
    with pytest.raises(ValueError, match="steps"):
        geodesic_counterdiabatic(table, 1.0, -1, 1, 0)
    with pytest.raises(ValueError, match="differ"):
        free_ends(table, 1.0, 0.5, 0.5)
    with pytest.raises(ValueError, match="increasing"):
        tabulate_metric(systems[2.0], [0.0, 0.2, 0.1, 0.4])
    x = systems[2.0].x
    with pytest.raises(ValueError, match="one control"):
        tabulate_metric(controlled_potential(x, x**4, np.stack([x, x**2])), np.linspace(0, 1, 5))
