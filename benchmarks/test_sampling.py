"""Speed of the sampling room: leapfrog, look-ahead steps, autocorrelation, the closed form on Gaussians."""

import numpy as np
import pytest

from replica.sampling.chains import run_chains
from replica.sampling.diagnostics import autocovariance
from replica.sampling.leapfrog import leapfrog_trajectory, phase_point
from replica.sampling.look_ahead import LookAheadHMC, lookahead_cumulative, lookahead_cumulative_recursive
from replica.sampling.oscillator import oscillator_trajectory, oscillator_transition_fractions
from replica.sampling.targets import AnisotropicGaussian, RoughWell

CHAINS = 300


def test_a_million_leapfrog_gradients_on_the_rough_well(benchmark):
    """334 trajectories of 10 leapfrog steps for 300 chains: 1.0 million gradient evaluations (in 2 dimensions)."""
    target, rng = RoughWell(), np.random.default_rng(0)
    start = phase_point(target, target.sample(CHAINS, rng), rng.standard_normal((2, CHAINS)))
    advance = leapfrog_trajectory(target, 1.0, 10)

    def million():
        point = start
        for _ in range(334):
            point = advance(point)
        return point

    assert np.isfinite(benchmark(million).potential).all()


@pytest.mark.parametrize("n_lookahead", [1, 4])
@pytest.mark.parametrize("target", [RoughWell(), AnisotropicGaussian(2), AnisotropicGaussian(100)], ids=repr)
def test_two_hundred_steps(benchmark, target, n_lookahead):
    n_chains = 30 if target.n_dims == 100 else CHAINS
    start = target.sample(n_chains, np.random.default_rng(1))
    sampler = LookAheadHMC(target, 1.0, 10, n_lookahead, 0.1)
    run = benchmark(lambda: run_chains(sampler, start, 200, np.random.default_rng(2)))
    assert run.move_counts.sum() == 200 * n_chains


def test_two_hundred_steps_in_closed_form_for_5000_settings(benchmark):
    target = AnisotropicGaussian(2)
    eps = np.linspace(0.1, 1.9, 5000)
    start = target.sample(eps.size, np.random.default_rng(3))
    sampler = LookAheadHMC(target, n_lookahead=4, beta=0.1, trajectory=oscillator_trajectory(target, eps, 10))
    run = benchmark(lambda: run_chains(sampler, start, 200, np.random.default_rng(4)))
    assert run.positions.shape == (200, 2, 5000)


def test_autocovariance_of_300_chains_of_9000_steps(benchmark):
    samples = np.random.default_rng(5).standard_normal((9000, 2, CHAINS)).astype(np.float32)
    covariance = benchmark(autocovariance, samples, 3000)
    assert covariance.shape == (3001, CHAINS)


@pytest.mark.parametrize("cumulative", [lookahead_cumulative, lookahead_cumulative_recursive])
def test_cumulative_probabilities_of_100_000_ladders(benchmark, cumulative):
    energies = np.random.default_rng(6).normal(size=(5, 100_000))
    assert benchmark(cumulative, energies).shape == (4, 100_000)


def test_exact_transition_fractions_at_100_step_sizes(benchmark):
    fractions = benchmark(oscillator_transition_fractions, np.linspace(0.1, 1.9, 100), 10, 4, 2048)
    np.testing.assert_allclose(fractions.sum(axis=0), 1.0)
