"""Speed of the sampling room: leapfrog, steps, jumps, gaps of ladders, autocorrelation, closed forms."""

import numpy as np
import pytest

from replica.sampling.chains import path_on_grid, run_chains
from replica.sampling.custom import TorchTarget
from replica.sampling.diagnostics import autocovariance, effective_sample_size
from replica.sampling.jump_ladder import (
    embedded_chain,
    ladder_diffusion,
    ladder_generator,
    ladder_law,
    real_part_gap,
    relaxation_gap,
)
from replica.sampling.leapfrog import leapfrog_trajectory, phase_point
from replica.sampling.look_ahead import LookAheadHMC, lookahead_cumulative, lookahead_cumulative_recursive
from replica.sampling.markov_jump import ControlHMC, MarkovJumpHMC
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


@pytest.mark.parametrize("target", [RoughWell(), AnisotropicGaussian(2), AnisotropicGaussian(100)], ids=repr)
def test_two_hundred_jumps(benchmark, target):
    """Two trajectories at the start and after a refresh, one after a leap, none after a flip."""
    n_chains = 30 if target.n_dims == 100 else CHAINS
    start, sampler = target.sample(n_chains, np.random.default_rng(7)), MarkovJumpHMC(target, 1.0, 10, 0.05)
    run = benchmark(lambda: run_chains(sampler, start, 200, np.random.default_rng(8)))
    assert (run.durations > 0).all()


@pytest.mark.parametrize("cache", [False, True], ids=["every trajectory", "remembering"])
def test_two_hundred_steps_of_the_control(benchmark, cache):
    start, sampler = RoughWell().sample(CHAINS, np.random.default_rng(9)), ControlHMC(RoughWell(), cache=cache)
    run = benchmark(lambda: run_chains(sampler, start, 200, np.random.default_rng(10)))
    assert run.move_counts.sum() == 200 * CHAINS


def test_path_on_a_grid_of_300_chains_of_3000_jumps(benchmark):
    target = RoughWell()
    sampler = MarkovJumpHMC(target, 1.0, 1, 0.05)
    run = run_chains(sampler, target.sample(CHAINS, np.random.default_rng(11)), 3000, np.random.default_rng(12))
    assert benchmark(path_on_grid, run, 1.0).shape[1:] == (2, CHAINS)


def test_gaps_of_100_ladders_of_20_rungs(benchmark):
    """Batched: two sets of eigenvalues of 100 matrices of size 40."""
    energies = np.random.default_rng(13).normal(size=(100, 20))

    def gaps():
        generator = ladder_generator(energies)
        return real_part_gap(embedded_chain(generator)[0]), relaxation_gap(generator, ladder_law(energies))

    assert (np.array(benchmark(gaps)) > 0).all()


def test_limit_of_long_ladders_from_a_million_energies(benchmark):
    """The closed form in place of eigenvalues."""
    energies = np.random.default_rng(14).normal(size=1_000_000)
    assert benchmark(ladder_diffusion, energies).jump == pytest.approx(0.86, rel=0.01)


def test_a_thousand_gradients_by_torch(benchmark):
    """Automatic differentiation of a Gaussian in ten dimensions, 300 chains: what a user's own energy costs."""
    target, x = TorchTarget(10, lambda x: 0.5 * (x**2).sum(dim=0)), np.random.default_rng(15).normal(size=(10, CHAINS))

    def thousand():
        for _ in range(1000):
            gradient = target.gradient(x)
        return gradient

    np.testing.assert_allclose(benchmark(thousand), x)


def test_effective_sample_size_by_arviz(benchmark):
    samples = np.random.default_rng(16).standard_normal((1000, 10, 100))
    assert benchmark(effective_sample_size, samples).shape == (10,)
