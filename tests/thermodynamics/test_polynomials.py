"""Polynomial potentials: shapes of the wells, grids that hold them, and refusals."""

import numpy as np
import pytest

from replica.thermodynamics.polynomials import (
    check_confining,
    coefficients,
    confining_grid,
    double_well,
    harmonic_trap,
    on_grid,
    polynomial_potential,
)


def test_the_double_well_is_the_formula():
    x = np.linspace(-2, 2, 41)
    values = np.polynomial.polynomial.polyval(x, coefficients(double_well(8.0), 0.3).ravel())
    np.testing.assert_allclose(values, 8 * ((x**2 - 1) ** 2 / 4 - 0.3 * x), atol=1e-12)


def test_one_well_vanishes_beyond_the_critical_tilt():
    for tilt, turning_points in ((0.38, 3), (0.39, 1)):
        slope = np.polynomial.Polynomial(coefficients(double_well(5.0), tilt).ravel()).deriv()
        assert np.sum(np.abs(slope.roots().imag) < 1e-9) == turning_points


def test_the_grid_ends_where_the_potential_has_risen():
    polynomial = double_well(4.0)
    x = confining_grid(polynomial, [[-1.0], [0.5]], 100, rise=30.0)
    assert x.size == 100
    for tilt in (-1.0, 0.5):
        energy = on_grid(polynomial, x)
        energy = energy.base + tilt * energy.observables[0]
        assert min(energy[0], energy[-1]) - energy.min() >= 29.9


def test_the_trap_has_its_minimum_at_b_over_k():
    system = on_grid(harmonic_trap(), np.linspace(-3, 3, 601))
    energy = np.array([2.0, 3.0]) @ system.observables
    assert system.x[energy.argmin()] == pytest.approx(1.5)


@pytest.mark.parametrize("row", [[0, 0, -1.0], [0, 1.0], [0, 0, 1, 1], [3.0]])
def test_potentials_that_do_not_confine_are_refused(row):
    polynomial = polynomial_potential(row, [[0, 0]])
    with pytest.raises(ValueError, match="cannot be normalised"):
        check_confining(polynomial, [0.0])
    with pytest.raises(ValueError, match="cannot be normalised"):
        confining_grid(polynomial, [[0.0]], 50)


def test_bad_numbers_are_refused():
    with pytest.raises(ValueError, match="positive"):
        double_well(0.0)
    with pytest.raises(ValueError, match="positive"):
        double_well(np.nan)
    with pytest.raises(ValueError, match="finite"):
        polynomial_potential([0, np.nan], [[1]])
    with pytest.raises(ValueError, match="vector"):
        polynomial_potential([0, 1], [])
    with pytest.raises(ValueError, match="3 cells"):
        confining_grid(double_well(2.0), [[0.0]], 2)
