"""Speed of fitting Ising models: minimum probability flow on a glass of 100 units, its baselines, Gibbs sampling."""

from functools import lru_cache

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from replica.inference.contrastive_divergence import contrastive_divergence
from replica.inference.fitting import coupling_error, fit_couplings
from replica.inference.mean_field import mean_field
from replica.inference.minimum_probability_flow import hamiltonian_neighbours, ising_flow, neighbour_flow
from replica.inference.product_of_laplace import ProductOfLaplace
from replica.inference.pseudolikelihood import ising_pseudolikelihood
from replica.sampling.ising import exact_moments, gibbs_samples, gibbs_sweeps, spin_glass

UNITS, SAMPLES = 100, 20_000
OBJECTIVES = {"flow": ising_flow, "pseudolikelihood": ising_pseudolikelihood}


@lru_cache(1)
def a_glass():
    rng = np.random.default_rng(0)
    couplings = spin_glass(UNITS, rng)
    return couplings, gibbs_samples(couplings, SAMPLES, rng, burn_in=500)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_evaluation_for_100_units_and_20000_samples(benchmark, name):
    couplings, states = a_glass()
    value, gradient = benchmark(OBJECTIVES[name](states), couplings)
    assert value > 0
    assert gradient.shape == (UNITS, UNITS)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_fit_of_100_units_to_20000_samples(benchmark, name):
    """In the coordinates of the spins; in those of the units it takes several times longer."""
    couplings, states = a_glass()
    objective = OBJECTIVES[name](states)
    start = np.zeros((UNITS, UNITS))
    fit = benchmark.pedantic(fit_couplings, (objective, start, 1e-4), {"spins": True}, rounds=2)
    assert coupling_error(fit.couplings, couplings) < 0.1 * couplings[np.triu_indices(UNITS, 1)].var()


def test_logistic_regressions_of_scikit_learn(benchmark):
    """The pseudolikelihood without symmetry, one unit after the other (here a tenth of them)."""
    couplings, states = a_glass()

    def fit():
        rows = []
        for n in range(UNITS // 10):
            others = np.delete(np.arange(UNITS), n)
            rows.append(LogisticRegression(C=1e6, tol=1e-3).fit(states[:, others], states[:, n]).coef_[0])
        return rows

    rows = benchmark.pedantic(fit, rounds=2)
    assert np.mean((rows[0] / -2 - np.delete(couplings[0], 0)) ** 2) < 0.01


def test_mean_field_of_100_units(benchmark):
    couplings, states = a_glass()
    assert coupling_error(benchmark(mean_field, states).couplings, couplings) < 0.01


def test_a_sweep_of_20000_chains_of_100_units(benchmark):
    couplings, states = a_glass()
    assert benchmark(gibbs_sweeps, couplings, states, 1, np.random.default_rng(1)).shape == states.shape


def test_ten_steps_of_contrastive_divergence(benchmark):
    couplings, states = a_glass()
    start = np.zeros_like(couplings)
    trace = benchmark.pedantic(contrastive_divergence, (states, start, 1, 0.1, 10, np.random.default_rng(2)), rounds=2)
    assert np.isfinite(trace.couplings).all()


def test_exact_moments_of_20_units(benchmark):
    """Sums over a million states."""
    moments, _ = benchmark(exact_moments, spin_glass(20, np.random.default_rng(3)))
    np.testing.assert_allclose(moments.mean, 0.5, atol=1e-10)


def test_neighbours_and_flow_of_8000_patches(benchmark):
    rng = np.random.default_rng(4)
    model = ProductOfLaplace(np.sqrt(2) * np.linalg.qr(rng.normal(size=(63, 63)))[0])
    data = model.sample(8000, rng)

    def step():
        return neighbour_flow(model, data, hamiltonian_neighbours(model, data, 0.1, 5, rng))

    assert benchmark(step)[0] > 0
