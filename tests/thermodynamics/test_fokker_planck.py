"""The grid: detailed balance, free energies against integrals, currents, and refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from replica.thermodynamics.fokker_planck import (
    controlled_potential,
    currents_to_equilibrium_change,
    divergence_from_equilibrium,
    equilibrium,
    free_energy,
    generator,
    jump_rates,
    mean_observables,
    potential,
)
from replica.thermodynamics.polynomials import confining_grid, double_well, on_grid


def well(barrier=4.0, cells=240):
    polynomial = double_well(barrier)
    return on_grid(polynomial, confining_grid(polynomial, [[-1.5], [1.5]], cells))


@settings(max_examples=25, deadline=None)
@given(st.floats(-1.4, 1.4), st.sampled_from([2.0, 4.0, 8.0, 16.0]))
def test_equilibrium_is_stationary_with_detailed_balance(tilt, barrier):
    system = well(barrier)
    p = equilibrium(system, tilt)
    right, left = (r.ravel() for r in jump_rates(system, tilt))
    np.testing.assert_allclose(right * p[:-1], left * p[1:], rtol=1e-10)
    matrix = generator(system, tilt)
    np.testing.assert_allclose(matrix.sum(axis=0), 0, atol=1e-8 * np.abs(matrix).max())
    assert np.abs(matrix @ p).max() < 1e-11 * np.abs(matrix).max()


def test_free_energy_and_mean_against_integrals():
    system = well(4.0, 2000)
    norm = quad(lambda x: np.exp(-4 * ((x * x - 1) ** 2 / 4 - 0.3 * x)), -4, 4, epsabs=0, epsrel=1e-12)[0]
    first = quad(lambda x: -4 * x * np.exp(-4 * ((x * x - 1) ** 2 / 4 - 0.3 * x)), -4, 4, epsabs=0, epsrel=1e-12)[0]
    assert free_energy(system, 0.3) == pytest.approx(-np.log(norm), rel=1e-9)
    assert mean_observables(system, equilibrium(system, 0.3))[0] == pytest.approx(first / norm, rel=1e-9)


def test_the_mean_observable_is_the_slope_of_the_free_energy():
    system = well()
    slope = (free_energy(system, 0.3 + 1e-5) - free_energy(system, 0.3 - 1e-5)) / 2e-5
    assert mean_observables(system, equilibrium(system, 0.3))[0] == pytest.approx(slope, rel=1e-8)


def test_divergence_of_equilibria_in_closed_form():
    """D(a||b) = (b - a) <X>_a - F(b) + F(a), and zero for the same state."""
    system = well()
    p = equilibrium(system, -0.4)
    expected = 1.1 * mean_observables(system, p)[0] - free_energy(system, 0.7) + free_energy(system, -0.4)
    assert divergence_from_equilibrium(system, p, 0.7) == pytest.approx(expected, rel=1e-10)
    assert divergence_from_equilibrium(system, p, -0.4) == pytest.approx(0, abs=1e-12)


def test_currents_satisfy_the_equation_of_continuity_and_keep_their_digits_in_both_tails():
    system = well(16.0)
    p = equilibrium(system, 0.2)
    change = p * (system.x - p @ system.x)
    currents = currents_to_equilibrium_change(p, change)
    np.testing.assert_allclose(np.diff(currents, prepend=0, append=0), -change, atol=1e-16)
    assert currents[0] == pytest.approx(-change[0], rel=1e-12)
    assert currents[-1] == pytest.approx(change[-1], rel=1e-12)
    one_sided = -np.cumsum(change)[:-1]  # what rounding makes of the last current when summed from the far side
    assert abs(one_sided[-1]) > 1e3 * abs(currents[-1])


def test_batches_of_controls_equal_one_at_a_time():
    system = well()
    many = equilibrium(system, np.array([-0.3, 0.1, 0.8]))
    np.testing.assert_array_equal(many[1], equilibrium(system, 0.1))
    assert potential(system, np.zeros((3, 1))).shape == (3, 240)


@pytest.mark.parametrize(
    ("x", "base", "observables", "words"),
    [
        ([0, 1], [0, 0], [0, 0], "at least three points"),
        ([0, 1, 1.5], [0, 0, 0], [0, 0, 0], "equally spaced"),
        ([0, 2, 1], [0, 0, 0], [0, 0, 0], "increase"),
        ([0, 1, 2], [0, np.nan, 0], [0, 0, 0], "base must be finite"),
        ([0, 1, np.nan], [0, 0, 0], [0, 0, 0], "x must be finite"),
        ([0, 1, 2], [0, 0, 0], [[0, np.inf, 0]], "observables must be finite"),
        ([0, 1, 2], [0, 0], [0, 0, 0], "grid's shape"),
    ],
)
def test_bad_grids_are_refused(x, base, observables, words):
    with pytest.raises(ValueError, match=words):
        controlled_potential(x, base, observables)


def test_a_potential_that_cannot_be_normalised_is_refused():
    x = np.linspace(-3, 3, 200)
    falling = controlled_potential(x, x, np.ones_like(x))
    with pytest.raises(ValueError, match="cannot be normalised"):
        equilibrium(falling, 0.0)
    trap = controlled_potential(x, 0 * x, 0.5 * x**2)
    with pytest.raises(ValueError, match=r"control \[-1"):
        equilibrium(trap, np.array([10.0, -1.0]))


def test_controls_must_be_finite_and_as_many_as_the_observables():
    system = well()
    with pytest.raises(ValueError, match="finite"):
        equilibrium(system, np.nan)
    two = controlled_potential(system.x, system.base, np.stack([system.x, system.x**2]))
    with pytest.raises(ValueError, match=r"expected 2 control"):
        equilibrium(two, 0.3)
