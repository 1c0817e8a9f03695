"""Speed of overdamped dynamics: propagation, gradients, optimisation, metrics, transport beside POT, particles.

The limit to keep: an optimal protocol on 240 cells and 200 time steps in less than a second.
"""

import numpy as np
import pytest

from replica.thermodynamics.brownian_particles import sample_equilibrium, simulate
from replica.thermodynamics.fokker_planck import equilibrium
from replica.thermodynamics.friction import friction_from_correlations, friction_from_currents
from replica.thermodynamics.geodesics import geodesic_counterdiabatic, tabulate_metric
from replica.thermodynamics.polynomials import coefficients, confining_grid, double_well, harmonic_trap, on_grid
from replica.thermodynamics.protocol_work import drive, excess_work_and_gradient, linear_ramp, optimise_protocol
from replica.thermodynamics.quantile_paths import relax_path
from replica.thermodynamics.transport import levels_of, pot, quantiles, transport_bound, wasserstein2_squared

CELLS, STEPS = 240, 200


def well(barrier, cells=CELLS):
    polynomial = double_well(barrier)
    return on_grid(polynomial, confining_grid(polynomial, [[-1.5], [1.5]], cells))


def test_gradient_of_200_control_values(benchmark):
    task = drive(well(8.0), 0.5, -1, 1)
    ramp = linear_ramp(task, STEPS)
    _, gradient = benchmark(excess_work_and_gradient, task, ramp)
    assert gradient.shape == (STEPS, 1)


@pytest.mark.parametrize("barrier", [2.0, 8.0, 16.0])
@pytest.mark.parametrize("duration", [0.2, 1.0])
def test_optimal_protocol_from_a_linear_ramp(benchmark, barrier, duration):
    task = drive(well(barrier), duration, -1, 1)
    found = benchmark(optimise_protocol, task, linear_ramp(task, STEPS))
    assert found.gradient_norm < 1e-4
    if benchmark.stats:
        assert benchmark.stats["median"] < 1.0


def test_recipe_from_a_table(benchmark):
    """The geodesic-counterdiabatic protocol, which takes the place of the optimisation."""
    table = tabulate_metric(well(8.0), np.linspace(-1.5, 1.5, 1201))
    run = benchmark(geodesic_counterdiabatic, table, 0.5, -1, 1, STEPS)
    assert run.control.shape == (STEPS,)


def test_table_of_1201_metrics(benchmark):
    system = well(8.0)
    table = benchmark(tabulate_metric, system, np.linspace(-1.5, 1.5, 1201))
    assert (table.friction > 0).all()


@pytest.mark.parametrize("route", [friction_from_currents, friction_from_correlations])
def test_friction_of_one_state(benchmark, route):
    assert benchmark(route, well(8.0), 0.1)[0, 0] > 0


def test_distance_with_pot(benchmark):
    """Quantiles and POT's plan for two densities on 4001 cells."""
    system = well(4.0, 4001)
    p, q = equilibrium(system, np.array([-0.2, 0.2]))
    pot()
    assert benchmark(wasserstein2_squared, system.x, p, q) > 0


def test_distance_without_a_plan(benchmark):
    """The same number from the quantiles alone, in one dimension all that is needed: what POT's plan costs on top."""
    system = well(4.0, 4001)
    p, q = equilibrium(system, np.array([-0.2, 0.2]))

    def by_quantiles():
        levels = levels_of(0.5 * (p + q))
        a, b = (quantiles(system.x, probability, levels.middle) for probability in (p, q))
        return float(levels.weight @ (a - b) ** 2)

    assert benchmark(by_quantiles) == pytest.approx(wasserstein2_squared(system.x, p, q), rel=1e-9)


def test_pot_on_the_grid_itself(benchmark):
    """POT with atoms at the grid's points: right for densities far apart, of no use for neighbours."""
    system = well(4.0, 4001)
    p, q = equilibrium(system, np.array([-0.2, 0.2]))
    found = benchmark(lambda: pot().emd2_1d(system.x, system.x, p, q, metric="sqeuclidean"))
    assert found == pytest.approx(wasserstein2_squared(system.x, p, q), rel=1e-3)


def test_transport_bound(benchmark):
    system = well(8.0, 2000)
    bound = benchmark(transport_bound, system, coefficients(double_well(8.0), 1.0), 0.5, -1, 1)
    assert 11.2 < bound.excess < 11.5


def test_geodesic_of_two_controls(benchmark):
    task = drive(on_grid(harmonic_trap(), np.linspace(-7, 7, CELLS)), 1.0, [1, -1], [5, 5])
    path = benchmark(relax_path, task)
    assert path.cost == pytest.approx(3.109, rel=1e-3)


def test_ten_million_particle_steps(benchmark):
    system, rng = well(8.0), np.random.default_rng(0)
    start = sample_equilibrium(system.x, equilibrium(system, -1.0), 10_000, rng)
    protocol = np.linspace(-0.5, 0.5, STEPS)
    run = benchmark(simulate, double_well(8.0), protocol, 0.5, -1, 1, start, rng, longest_step=5e-4)
    assert run.work.shape == (10_000,)
