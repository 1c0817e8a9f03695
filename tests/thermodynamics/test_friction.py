"""Friction: two routes on one grid, closed forms, and small cases by brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from replica.thermodynamics.fokker_planck import controlled_potential, equilibrium, generator, mean_observables
from replica.thermodynamics.friction import (
    correlation_spectrum,
    counterdiabatic,
    fisher_information,
    friction_from_correlations,
    friction_from_currents,
    gradient_overlap,
)
from replica.thermodynamics.harmonic_trap import trap_fisher, trap_friction
from replica.thermodynamics.polynomials import confining_grid, double_well, harmonic_trap, on_grid


def well(barrier, cells=240):
    polynomial = double_well(barrier)
    return on_grid(polynomial, confining_grid(polynomial, [[-1.5], [1.5]], cells))


@pytest.mark.parametrize("barrier", [2.0, 8.0, 16.0])
@pytest.mark.parametrize("tilt", [-1.0, -0.5, 0.0, 0.4])
def test_correlations_equal_currents(barrier, tilt):
    system = well(barrier)
    a, b = friction_from_currents(system, tilt), friction_from_correlations(system, tilt)
    np.testing.assert_allclose(b, a, rtol=1e-9)


def test_continuum_formula_by_quadrature():
    """g = int (dC/dlambda)^2 / rho dx with both integrals done adaptively."""

    def weight(x):
        return np.exp(-2 * ((x * x - 1) ** 2 / 4 - 0.5 * x))

    norm = quad(weight, -5, 5, epsrel=1e-12)[0]
    mean = quad(lambda x: x * weight(x) / norm, -5, 5, epsrel=1e-12)[0]

    def moved(x):  # dC/dlambda = 2 int_{-inf}^x (y - mean) rho
        return 2 * quad(lambda y: (y - mean) * weight(y) / norm, -5, x, epsrel=1e-11)[0]

    exact = quad(lambda x: moved(x) ** 2 * norm / weight(x), -2.9, 2.9, epsrel=1e-7)[0]
    assert friction_from_currents(well(2.0, 2000), 0.5)[0, 0] == pytest.approx(exact, rel=1e-5)


def test_spectrum_against_the_matrix_exponential_and_its_integral():
    from scipy.linalg import expm, lstsq

    system = well(4.0, 60)
    rates, amplitudes = correlation_spectrum(system, 0.2)
    p = equilibrium(system, 0.2)
    deviation = system.observables[0] - mean_observables(system, p)
    matrix = generator(system, 0.2)
    direct = deviation @ expm(0.7 * matrix) @ (p * deviation)
    assert (amplitudes[0] ** 2 * np.exp(-0.7 * rates)).sum() == pytest.approx(direct, rel=1e-8)
    assert (rates > 0).all()
    solved = lstsq(matrix, p * deviation)[0]  # -L^-1 of the deviation: the time integral of the correlation
    assert friction_from_correlations(system, 0.2)[0, 0] == pytest.approx(-deviation @ solved, rel=1e-7)


@settings(max_examples=15, deadline=None)
@given(st.floats(0.7, 3.0), st.floats(-1.5, 1.5))
def test_trap_tensor_in_closed_form(stiffness, force):
    system = on_grid(harmonic_trap(), np.linspace(-10, 10, 1500))
    control = np.array([stiffness, force])
    scale = trap_friction(control).max()
    for route in (friction_from_currents, friction_from_correlations):
        np.testing.assert_allclose(route(system, control), trap_friction(control), atol=2e-4 * scale)
    np.testing.assert_allclose(fisher_information(system, control), trap_fisher(control), rtol=1e-7, atol=1e-9)


def test_tensors_are_symmetric_and_positive():
    rng = np.random.default_rng(0)
    x = np.linspace(-3, 3, 120)
    system = controlled_potential(x, x**4, rng.normal(size=(3, 1)) * x ** np.array([[1], [2], [3]]))
    control = rng.normal(size=(5, 3)) * 0.2
    for tensor in (friction_from_currents(system, control), fisher_information(system, control)):
        np.testing.assert_allclose(tensor, np.swapaxes(tensor, 1, 2), rtol=1e-10, atol=1e-12)
        assert (np.linalg.eigvalsh(tensor) > 0).all()


def test_fisher_is_minus_the_slope_of_the_mean():
    system = well(8.0)
    means = mean_observables(system, equilibrium(system, np.array([0.1 - 1e-5, 0.1 + 1e-5])))[:, 0]
    assert fisher_information(system, 0.1)[0, 0] == pytest.approx(-(means[1] - means[0]) / 2e-5, rel=1e-7)


def test_relations_between_the_three_tensors():
    """Cauchy-Schwarz and the variational principle: h^2 <= g T, with equality for a trap whose force is driven."""
    system = well(8.0)
    for tilt in (-0.8, 0.0, 0.3):
        g, h, t = (f(system, tilt)[0, 0] for f in (friction_from_currents, fisher_information, gradient_overlap))
        assert h**2 <= g * t * (1 + 1e-4)
    trap = on_grid(harmonic_trap(), np.linspace(-8, 8, 1200))._replace(base=0.5 * np.linspace(-8, 8, 1200) ** 2)
    trap = trap._replace(observables=trap.observables[1:])
    g, h, t = (f(trap, 0.0)[0, 0] for f in (friction_from_currents, fisher_information, gradient_overlap))
    assert (g, h, t) == pytest.approx((1, 1, 1), rel=1e-4)


def test_counterdiabatic_solves_h_eta_is_g_velocity():
    rng = np.random.default_rng(1)
    g, h = (a @ a.transpose(0, 2, 1) + np.eye(3) for a in rng.normal(size=(2, 4, 3, 3)))
    velocity = rng.normal(size=(4, 3))
    eta = counterdiabatic(g, h, velocity)
    np.testing.assert_allclose(np.einsum("kij,kj->ki", h, eta), np.einsum("kij,kj->ki", g, velocity), rtol=1e-9)
    with pytest.raises(ValueError, match="finite"):
        counterdiabatic(g, h, np.full((4, 3), np.nan))
