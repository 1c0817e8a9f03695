"""Particles: equilibrium, work against the Fokker-Planck equation and closed forms, fluctuation theorem, refusals."""

import numpy as np
import pytest

from replica.thermodynamics.brownian_particles import friction_from_particles, sample_equilibrium, simulate
from replica.thermodynamics.fokker_planck import equilibrium
from replica.thermodynamics.friction import friction_from_currents
from replica.thermodynamics.harmonic_trap import optimal_controls, optimal_trap
from replica.thermodynamics.polynomials import (
    confining_grid,
    double_well,
    harmonic_trap,
    on_grid,
    polynomial_potential,
)
from replica.thermodynamics.protocol_work import drive, follow

WELL = double_well(4.0)
SYSTEM = on_grid(WELL, confining_grid(WELL, [[-1.5], [1.5]], 300))


def test_samples_of_an_equilibrium():
    p = equilibrium(SYSTEM, 0.1)
    x = sample_equilibrium(SYSTEM.x, p, 50_000, np.random.default_rng(0))
    mean, variance = p @ SYSTEM.x, p @ SYSTEM.x**2 - (p @ SYSTEM.x) ** 2
    assert abs(x.mean() - mean) < 4 * np.sqrt(variance / x.size)
    assert x.var() == pytest.approx(variance, rel=0.05)


def test_equilibrium_stays():
    rng = np.random.default_rng(1)
    x = sample_equilibrium(SYSTEM.x, equilibrium(SYSTEM, 0.2), 20_000, rng)
    run = simulate(WELL, np.full(10, 0.2), 0.5, 0.2, 0.2, x, rng, longest_step=5e-4)
    assert np.all(run.work == 0)
    p = equilibrium(SYSTEM, 0.2)
    spread = np.sqrt(p @ SYSTEM.x**2 - (p @ SYSTEM.x) ** 2)
    assert abs(run.positions.mean() - p @ SYSTEM.x) < 4 * spread / np.sqrt(x.size)


def test_mean_work_and_density_of_the_fokker_planck_equation():
    rng = np.random.default_rng(2)
    task, values = drive(SYSTEM, 0.5, -1, 1), np.linspace(-0.5, 0.5, 50)
    x = sample_equilibrium(SYSTEM.x, task.initial, 20_000, rng)
    run = simulate(WELL, values, 0.5, -1, 1, x, rng, longest_step=2.5e-4, record=[0, 25, 50])
    record = follow(task, np.repeat(values, 8))
    error = run.work.std() / np.sqrt(x.size)
    assert abs(run.work.mean() - task.free_energy_change - record.excess) < 4 * error + 0.005 * record.excess
    np.testing.assert_array_equal(run.snapshots[0], x)
    np.testing.assert_array_equal(run.snapshots[2], run.positions)
    for k, state in ((1, record.states[200]), (2, record.states[400])):
        below = np.cumsum(state)
        seen = np.searchsorted(np.sort(run.snapshots[k]), SYSTEM.x + 0.5 * SYSTEM.spacing) / x.size
        assert np.abs(seen - below).max() < 2.0 / np.sqrt(x.size) + 0.003  # Kolmogorov and Smirnov


def test_trap_and_fluctuation_theorem():
    """Work of the optimal protocol in closed form; near equilibrium <exp(-W)> = exp(-dF) converges."""
    rng, best = np.random.default_rng(3), optimal_trap(1.0, (1, 0), (2, 0.5))
    values = optimal_controls(best, (np.arange(200) + 0.5) / 200)
    run = simulate(harmonic_trap(), values, 1.0, [1, 0], [2, 1], rng.normal(size=40_000), rng, longest_step=1e-3)
    change = 0.5 * np.log(2) - 0.25
    assert abs(run.work.mean() - change - best.excess) < 4 * run.work.std() / 200 + 0.002
    weights = np.exp(-run.work)
    assert abs(weights.mean() - np.exp(-change)) < 4 * weights.std() / 200 + 0.002


def test_friction_from_trajectories():
    rng = np.random.default_rng(4)
    for tilt, time in ((-0.5, 4.0), (0.6, 4.0)):
        mean, error = friction_from_particles(WELL, tilt, SYSTEM.x, time, 4000, rng)
        assert abs(mean - friction_from_currents(SYSTEM, tilt)[0, 0]) < 4 * error


def test_same_seed_same_work():
    def work():
        rng = np.random.default_rng(5)
        return simulate(WELL, [0.0], 0.1, -1, 1, np.zeros(10), rng).work

    np.testing.assert_array_equal(work(), work())


def test_bad_input_is_refused():
    rng, x = np.random.default_rng(0), np.zeros(3)
    with pytest.raises(ValueError, match="protocol must be finite"):
        simulate(WELL, [0.0, np.nan], 1.0, -1, 1, x, rng)
    with pytest.raises(ValueError, match="protocol must be finite"):
        simulate(harmonic_trap(), [0.0, 1.0], 1.0, [1, 0], [1, 1], x, rng)
    with pytest.raises(ValueError, match="duration"):
        simulate(WELL, [0.0], 0.0, -1, 1, x, rng)
    with pytest.raises(ValueError, match="positions must be finite"):
        simulate(WELL, [0.0], 1.0, -1, 1, np.full(3, np.nan), rng)
    for record in ([5, 2], [5, 5], [0, 11], [-1, 3], [2.5], [np.nan], 3):
        with pytest.raises(ValueError, match="record must be increasing integers from 0 to 10"):
            simulate(WELL, np.zeros(10), 0.1, -1, 1, x, rng, record=record)
    with pytest.raises(ValueError, match="cannot be normalised"):
        simulate(polynomial_potential([0, 0, 0, 1], [[0, 1]]), [0.0], 1.0, 0, 1, x, rng)
    with pytest.raises(ValueError, match="cannot be normalised"):
        simulate(harmonic_trap(), [[1.0, 0.0]], 1.0, [1, 0], [-1, 0], x, rng)
    with pytest.raises(ValueError, match="time"):
        friction_from_particles(WELL, 0.0, SYSTEM.x, -1.0, 10, rng)
    with pytest.raises(ValueError, match="one control"):
        friction_from_particles(harmonic_trap(), 0.0, SYSTEM.x, 1.0, 10, rng)
