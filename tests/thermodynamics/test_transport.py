"""Transport on the line: distances in closed form, POT, friction from distances, and the bound on work."""

import numpy as np
import pytest
from scipy.stats import norm

from replica.thermodynamics.fokker_planck import controlled_potential, equilibrium
from replica.thermodynamics.friction import friction_from_currents
from replica.thermodynamics.harmonic_trap import optimal_trap, trap_friction
from replica.thermodynamics.polynomials import coefficients, confining_grid, double_well, harmonic_trap, on_grid
from replica.thermodynamics.protocol_work import drive, optimise_protocol
from replica.thermodynamics.transport import (
    friction_from_transport,
    pot,
    quantiles,
    transport_bound,
    wasserstein2_squared,
)


def gaussian(x, mean, width):
    p = norm.pdf(x, mean, width)
    return p / p.sum()


def test_quantiles_of_a_normal_distribution():
    x = np.linspace(-9, 9, 1201)
    levels = np.array([1e-7, 0.01, 0.3, 0.5, 0.99, 1 - 1e-7])
    np.testing.assert_allclose(quantiles(x, gaussian(x, 0.3, 1.2), levels), norm.ppf(levels, 0.3, 1.2), atol=2e-4)


@pytest.mark.parametrize("other", [(0.0, 1.0), (0.4, 1.0), (0.0, 1.5), (-1.0, 0.7), (1e-3, 1.0)])
def test_distance_of_normal_distributions(other):
    """W_2^2 = (mean difference)^2 + (width difference)^2, also far below the grid's spacing."""
    x = np.linspace(-12, 12, 2401)
    found = wasserstein2_squared(x, gaussian(x, 0, 1), gaussian(x, *other))
    assert found == pytest.approx(other[0] ** 2 + (other[1] - 1) ** 2, rel=1e-3, abs=1e-12)


def test_pot_on_samples_agrees():
    x = np.linspace(-12, 12, 2401)
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, 200_000), rng.normal(0.5, 1.4, 200_000)
    sampled = pot().wasserstein_1d(a, b, p=2)
    assert sampled == pytest.approx(wasserstein2_squared(x, gaussian(x, 0, 1), gaussian(x, 0.5, 1.4)), rel=0.05)


@pytest.mark.parametrize(("tilt", "value"), [(-0.5, 1.36717), (0.0, 17.1600), (0.4, 2.76706)])
def test_friction_from_distances(tilt, value):
    polynomial = double_well(4.0)
    system = on_grid(polynomial, confining_grid(polynomial, [[-1.5], [1.5]], 4001))
    found = friction_from_transport(system, tilt)[0, 0]
    assert found == pytest.approx(friction_from_currents(system, tilt)[0, 0], rel=1e-4)
    assert found == pytest.approx(value, rel=1e-4)


def test_tensor_from_distances():
    system = on_grid(harmonic_trap(), np.linspace(-8, 8, 2001))
    control = np.array([1.3, 0.7])
    np.testing.assert_allclose(friction_from_transport(system, control), trap_friction(control), rtol=1e-3)


@pytest.mark.parametrize("duration", [0.1, 1.0])
@pytest.mark.parametrize(("start", "goal"), [((1, 0), (4, 0)), ((1, -1), (5, 1))])
def test_bound_is_attained_by_traps(duration, start, goal):
    system = on_grid(harmonic_trap(), np.linspace(-8, 8, 2000))
    first, last = ([k, k * mean] for k, mean in (start, goal))
    bound = transport_bound(system, coefficients(harmonic_trap(), last), duration, first, last)
    assert bound.excess == pytest.approx(optimal_trap(duration, start, goal).excess, rel=2e-4)
    mean = (bound.places * bound.levels.weight).sum()
    assert mean == pytest.approx(optimal_trap(duration, start, goal).end[0], abs=1e-4)


@pytest.mark.parametrize("barrier", [2.0, 8.0, 16.0])
@pytest.mark.parametrize("duration", [0.1, 1.0])
def test_no_tilt_undercuts_the_bound(barrier, duration):
    polynomial = double_well(barrier)
    coarse, fine = (on_grid(polynomial, confining_grid(polynomial, [[-1.5], [1.5]], n)) for n in (240, 2000))
    bound = transport_bound(fine, coefficients(polynomial, 1.0), duration, -1, 1).excess
    assert 0 < bound < optimise_protocol(drive(coarse, duration, -1, 1), np.zeros(100)).excess


def test_bound_grows_as_time_shrinks_towards_the_divergence():
    polynomial = double_well(4.0)
    system = on_grid(polynomial, confining_grid(polynomial, [[-1.0], [1.0]], 1500))
    bounds = [transport_bound(system, coefficients(polynomial, 1.0), t, -1, 1).excess for t in (10, 1, 0.1, 1e-5)]
    assert (np.diff(bounds) > 0).all()
    p, q = equilibrium(system, np.array([-1.0, 1.0]))
    assert bounds[-1] == pytest.approx((p * np.log(p / q)).sum(), rel=1e-3)


def test_bad_input_is_refused():
    x = np.linspace(-1, 1, 10)
    flat = np.full(10, 0.1)
    with pytest.raises(ValueError, match="one length"):
        wasserstein2_squared(x, flat, flat[:-1])
    with pytest.raises(ValueError, match="not negative"):
        wasserstein2_squared(x, flat, -flat)
    with pytest.raises(ValueError, match="finite"):
        wasserstein2_squared(x, flat, flat * np.nan)
    with pytest.raises(ValueError, match="between 0 and 1"):
        quantiles(x, flat, [0.0, 0.5])
    polynomial = double_well(4.0)
    system = on_grid(polynomial, confining_grid(polynomial, [[-1.0], [1.0]], 100))
    with pytest.raises(ValueError, match="separation"):
        friction_from_transport(system, 0.0, 0.0)
    with pytest.raises(ValueError, match="duration"):
        transport_bound(system, coefficients(polynomial, 1.0), 0.0, -1, 1)
    falling = controlled_potential(x, x, x)
    with pytest.raises(ValueError, match="cannot be normalised"):
        friction_from_transport(falling, 0.0)
