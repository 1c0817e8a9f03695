"""Geodesics as chains between quantile functions: traps in closed form, one control against the table."""

import numpy as np
import pytest

from replica.thermodynamics.fokker_planck import controlled_potential
from replica.thermodynamics.friction import friction_from_currents
from replica.thermodynamics.geodesics import geodesic_counterdiabatic, tabulate_metric
from replica.thermodynamics.harmonic_trap import optimal_controls, optimal_trap, target_controls
from replica.thermodynamics.polynomials import confining_grid, double_well, harmonic_trap, on_grid
from replica.thermodynamics.protocol_work import drive
from replica.thermodynamics.quantile_paths import cosine_levels, counterdiabatic_protocol, embed, relax_path


def test_levels_fill_the_unit_interval():
    levels = cosine_levels(50)
    assert levels.weight.sum() == pytest.approx(1)
    assert (np.diff(levels.middle) > 0).all()
    assert 0 < levels.middle[0] < 1e-3
    with pytest.raises(ValueError, match="10 levels"):
        cosine_levels(5)


def test_the_inherited_metric_is_the_friction():
    system = on_grid(harmonic_trap(), np.linspace(-8, 8, 600))
    controls, levels = np.array([[1.0, 0.2], [3.0, -1.0]]), cosine_levels(400)
    _, slopes = embed(system, controls, levels)
    metric = np.einsum("kmu,knu,u->kmn", slopes, slopes, levels.weight)
    np.testing.assert_allclose(metric, friction_from_currents(system, controls), atol=2e-3)


def test_derivatives_of_quantiles_by_finite_differences():
    polynomial = double_well(4.0)
    system, levels = on_grid(polynomial, confining_grid(polynomial, [[-1.5], [1.5]], 600)), cosine_levels(100)
    places, _ = embed(system, np.array([[0.2 - 1e-4], [0.2 + 1e-4]]), levels)
    _, slopes = embed(system, np.array([[0.2]]), levels)
    np.testing.assert_allclose((places[1] - places[0])[5:-5] / 2e-4, slopes[0, 0, 5:-5], rtol=5e-3)


@pytest.mark.parametrize("duration", [0.1, 1.0])
@pytest.mark.parametrize(("start", "goal"), [((1, 0), (4, 0)), ((1, -1), (5, 1))])
def test_two_controls_of_a_trap(duration, start, goal):
    system = on_grid(harmonic_trap(), np.linspace(-7, 7, 400))
    task = drive(system, duration, *([k, k * mean] for k, mean in (start, goal)))
    path, exact = relax_path(task), optimal_trap(duration, start, goal)
    assert path.cost == pytest.approx(exact.excess, rel=1e-3)
    np.testing.assert_allclose(path.control, target_controls(exact, path.time)[0], atol=5e-3)
    target, control = counterdiabatic_protocol(task, path, 50)
    times = (np.arange(50) + 0.5) * duration / 50
    np.testing.assert_allclose(target, target_controls(exact, times)[0], atol=5e-3)
    np.testing.assert_allclose(control, optimal_controls(exact, times), atol=5e-3)


def test_one_control_against_the_table():
    polynomial = double_well(2.0)
    system = on_grid(polynomial, confining_grid(polynomial, [[-1.5], [1.5]], 400))
    run = geodesic_counterdiabatic(tabulate_metric(system, np.linspace(-1.5, 1.5, 801)), 0.5, -1, 1, 50)
    path = relax_path(drive(system, 0.5, -1, 1))
    assert path.cost == pytest.approx(run.cost, rel=1e-3)
    assert path.control[-1, 0] == pytest.approx(run.end, abs=2e-3)


def test_a_second_control_never_costs_more():
    polynomial = double_well(8.0)
    x = confining_grid(polynomial, [[-1.5], [1.5]], 240)
    one = on_grid(polynomial, x)
    two = controlled_potential(x, one.base, np.stack([one.observables[0], 4 * x**2]))
    costs = [relax_path(drive(system, 1.0, *ends)).cost for system, ends in
             ((one, (-1, 1)), (two, ([-1, 0], [1, 0])))]  # fmt: skip
    assert costs[1] < costs[0]


def test_bad_input_is_refused():
    polynomial = double_well(2.0)
    task = drive(on_grid(polynomial, confining_grid(polynomial, [[-1.5], [1.5]], 100)), 0.5, -1, 1)
    with pytest.raises(ValueError, match="2 segments"):
        relax_path(task, 1)
    with pytest.raises(ValueError, match="steps"):
        counterdiabatic_protocol(task, relax_path(task, 4), 0)
