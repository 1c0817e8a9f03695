"""Markov-jump HMC and its control: exact laws, exact costs, caches that never lie, bad input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replica.sampling.chains import Diverged, path_on_grid, run_chains, time_average
from replica.sampling.leapfrog import (
    check_reversible,
    flip_momentum,
    hamiltonian,
    leapfrog_trajectory,
    phase_point,
    reversibility_error,
)
from replica.sampling.look_ahead import LookAheadHMC
from replica.sampling.markov_jump import ControlHMC, MarkovJumpHMC, jump_rates, refresh_rate_from_beta
from replica.sampling.targets import AnisotropicGaussian, DiagonalGaussian, RoughWell

energy = st.floats(-30, 30, allow_nan=False)


class Counting(RoughWell):
    """A rough well that counts gradients, chain by chain."""

    calls = 0

    def gradient(self, x, out=None):
        Counting.calls += x.shape[1]
        return super().gradient(x, out=out)


class Broken(RoughWell):
    """A target whose energy is NaN far out."""

    def energy(self, x):
        return np.where(np.abs(x).max(axis=0) > 50, np.nan, super().energy(x))


class Box(RoughWell):
    """Probability zero outside of |x| < 10."""

    def energy(self, x):
        return np.where(np.abs(x).max(axis=0) > 10, np.inf, super().energy(x))


@settings(max_examples=200, deadline=None)
@given(energy, energy, energy)
def test_flow_out_of_a_state_equals_flow_in(here, ahead, behind):
    """The one-line proof of the module, with numbers: out c max(a, b), in b c + c max(0, a - b)."""
    leap, flip = jump_rates(np.array(here), np.array(ahead), np.array(behind))
    assert leap >= 0
    assert flip >= 0
    leap_in, _ = jump_rates(np.array(behind), np.array(here), np.array(behind))
    _, flip_in = jump_rates(np.array(here), np.array(behind), np.array(ahead))
    lowest = min(here, ahead, behind)
    out = np.exp(lowest - here) * (leap + flip)
    into = np.exp(lowest - behind) * leap_in + np.exp(lowest - here) * flip_in
    assert out == pytest.approx(into, rel=1e-12)


def test_rates_exceed_one_downhill_and_vanish_towards_probability_zero():
    leap, flip = jump_rates(np.array([2.0, 0.0]), np.array([0.0, np.inf]), np.array([5.0, np.inf]))
    np.testing.assert_allclose(leap, [np.e, 0.0])
    np.testing.assert_array_equal(flip, [0.0, 0.0])


@pytest.mark.parametrize(
    ("energies", "words"),
    [
        ((np.inf, 0.0, 0.0), "of the state itself must be finite"),
        ((np.nan, 0.0, 0.0), "of the state itself must be finite"),
        ((0.0, np.nan, 0.0), "must be finite or plus infinity"),
        ((0.0, 0.0, -np.inf), "must be finite or plus infinity"),
        ((2000.0, 0.0, 0.0), "up to 1400, got a drop of 2000"),
        ((1500.0, 1499.0, 0.0), "up to 1400, got a drop of 1500"),
    ],
)
def test_energies_without_finite_rates_are_refused(energies, words):
    with pytest.raises(ValueError, match=words):
        jump_rates(*(np.array([energy]) for energy in energies))


def test_the_largest_rates_are_finite():
    leap, flip = jump_rates(np.array(1400.0), np.array(10.0), np.array(0.0))
    assert np.isfinite([leap, flip]).all()


def test_forgetful_costs_count_the_same_chain_without_its_memory():
    """The costs of a sampler that integrates everything again, and of one that remembers, for the same moves."""
    target = DiagonalGaussian([1.0, 0.25])
    start = target.sample(30, np.random.default_rng(14))
    for remembers, forgets in (
        (MarkovJumpHMC(target, 1.2, 4, 0.2), MarkovJumpHMC(target, 1.2, 4, 0.2, recompute_after_flip=True)),
        (ControlHMC(target, 1.2, 4, 0.2, cache=True), ControlHMC(target, 1.2, 4, 0.2, cache=False)),
    ):
        kept, lost = (run_chains(s, start, 60, np.random.default_rng(15)) for s in (remembers, forgets))
        assert (kept.gradients < lost.gradients).any()
        np.testing.assert_array_equal(remembers.forgetful_costs @ kept.move_counts, lost.gradients)
        np.testing.assert_array_equal(remembers.forgetful_costs, forgets.forgetful_costs)


def test_refresh_rate_has_the_memory_of_partial_corruption():
    assert np.exp(-refresh_rate_from_beta(0.3)) == pytest.approx(np.sqrt(0.7))
    assert refresh_rate_from_beta(0.0) == 0.0
    for beta in (1.0, -0.1, np.nan):
        with pytest.raises(ValueError, match="beta must lie in"):
            refresh_rate_from_beta(beta)


@pytest.mark.parametrize("step_size", [0.9, np.linspace(0.5, 1.0, 30)], ids=["one", "per chain"])
def test_cached_trajectories_are_the_true_ones(step_size):
    target, rng = RoughWell(), np.random.default_rng(0)
    sampler = MarkovJumpHMC(target, step_size, 5, 0.3)
    state, seen = sampler.init(target.sample(30, rng), rng), set()
    advance = leapfrog_trajectory(target, step_size, 5)
    for _ in range(60):
        state, step = sampler.step(state, rng)
        seen |= set(step.move.tolist())
        ahead, behind = advance(state.here), flip_momentum(advance(flip_momentum(state.here)))
        for cached, true in ((state.ahead, ahead), (state.behind, behind)):
            for a, b in zip(cached, true):
                # below the chaotic step size rounding stays rounding
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(state.here.gradient, target.gradient(state.here.position), atol=1e-12)
        np.testing.assert_allclose(state.here.potential, target.energy(state.here.position), atol=1e-12)
    assert seen == {0, 1, 2}


@pytest.mark.parametrize(
    ("make", "start_cost"),
    [
        (lambda target: MarkovJumpHMC(target, 1.0, 7, 0.2), 1 + 2 * 7),
        (lambda target: MarkovJumpHMC(target, 1.0, 7, 0.2, recompute_after_flip=True), 1 + 2 * 7),
        (lambda target: ControlHMC(target, 1.0, 7, 0.2), 1),
        (lambda target: ControlHMC(target, 1.0, 7, 0.2, cache=True), 1),
        (lambda target: LookAheadHMC(target, 1.0, 7, 3, 0.2), 1),
    ],
    ids=["jump", "jump, recomputing", "control", "control with cache", "look ahead"],
)
def test_gradients_are_counted_exactly(make, start_cost):
    target, rng = Counting(), np.random.default_rng(1)
    start = target.sample(40, rng)
    Counting.calls = 0
    run = run_chains(make(target), start, 100, rng)
    assert Counting.calls == run.gradients.sum() + 40 * start_cost


def test_step_records_the_state_before_the_jump_with_its_own_holding_time():
    """Holding times over what the rates at the recorded positions say are standard exponential."""
    target, rng = DiagonalGaussian([1.0, 0.25]), np.random.default_rng(2)
    sampler = MarkovJumpHMC(target, 1.2, 3, 0.2)
    state = sampler.init(target.sample(300, rng), rng)
    scaled = []
    for _ in range(200):
        here, ahead, behind = (hamiltonian(point) for point in state)
        leap, flip = jump_rates(here, ahead, behind)
        position = state.here.position.copy()
        state, step = sampler.step(state, rng)
        np.testing.assert_array_equal(step.position, position)
        scaled.append(step.duration * (leap + flip + 0.2))
    scaled = np.concatenate(scaled)
    # mean and variance one; the fourth central moment of the exponential is 9
    assert scaled.mean() == pytest.approx(1.0, abs=4 / np.sqrt(scaled.size))
    assert scaled.var() == pytest.approx(1.0, abs=4 * np.sqrt(8 / scaled.size))


def standard_errors_off(values, exact):
    return (values.mean() - exact) / (values.std(ddof=1) / np.sqrt(values.size))


@pytest.mark.parametrize(
    "make",
    [
        lambda target: MarkovJumpHMC(target, 0.8, 5, 0.3),
        lambda target: ControlHMC(target, 0.8, 5, 0.3),
        lambda target: ControlHMC(target, 0.8, 5, 0.3, cache=True),
        lambda target: LookAheadHMC(target, 0.8, 5, 3, 0.3),
    ],
    ids=["jump", "control", "control with cache", "look ahead"],
)
def test_samples_the_rough_well(make):
    """Moments within four standard errors over chains, the time average and the path on a grid alike."""
    target, rng = RoughWell(2, scale=6.0, period=4.0), np.random.default_rng(3)
    run = run_chains(make(target), target.sample(400, rng), 1200, rng)
    cosine = lambda x: np.cos(target.wavenumber * x).mean(axis=1)  # noqa: E731
    square = lambda x: (x**2).mean(axis=1)  # noqa: E731
    for function, exact in ((cosine, target.mean_cosine()), (square, 36.0)):
        assert abs(standard_errors_off(time_average(run, function), exact)) < 4
        grid = function(path_on_grid(run, 1.0).astype(np.float64)).mean(axis=0)
        assert abs(standard_errors_off(grid, exact)) < 4


def test_bare_jump_chain_and_shifted_holding_times_are_biased_as_derived():
    """The jump chain has the law p q, and the holding time of the previous state gives the law p P.

    Both are averages over exact samples of the target, computed here without any chain.
    """
    target, rng, rate = DiagonalGaussian([1.0, 0.25]), np.random.default_rng(4), 0.178
    run = run_chains(MarkovJumpHMC(target, 1.2, 3, rate), target.sample(400, rng), 2000, rng)
    square = run.positions.astype(np.float64) ** 2
    held = run.durations[:-1, None]
    chain = square.mean(axis=0)
    shifted = (square[1:] * held).sum(axis=0) / held.sum(axis=0)

    advance, n = leapfrog_trajectory(target, 1.2, 3), 400_000
    point = phase_point(target, target.sample(n, rng), rng.standard_normal((2, n)))
    ahead, behind = advance(point), flip_momentum(advance(flip_momentum(point)))
    leap, flip = jump_rates(hamiltonian(point), hamiltonian(ahead), hamiltonian(behind))
    q = leap + flip + rate
    x2, moved = point.position**2, ahead.position**2
    for i in range(2):
        derived = (x2[i] * q).mean() / q.mean()
        assert abs(standard_errors_off(chain[i], derived)) < 4.5
        derived = (x2[i] + (moved[i] - x2[i]) * leap / q).mean()
        assert abs(standard_errors_off(shifted[i], derived)) < 4.5
        # and the bias is significant
        assert standard_errors_off(chain[i], target.variances()[i]) > 4
        assert standard_errors_off(shifted[i], target.variances()[i]) > 4


def test_cache_of_the_control_changes_the_cost_alone():
    """On the rough well half of all steps flip, and a third of the trajectories are known already."""
    target, start = RoughWell(), RoughWell().sample(200, np.random.default_rng(5))
    plain, cached = (
        run_chains(ControlHMC(target, 0.9, 4, 0.1, cache=cache), start, 400, np.random.default_rng(6))
        for cache in (False, True)
    )
    # same random numbers, so the same chains until rounding separates them
    np.testing.assert_allclose(plain.positions[:20], cached.positions[:20], atol=1e-3)
    assert (plain.gradients == 4 * 400).all()
    assert cached.gradients.sum() < 0.9 * plain.gradients.sum()
    assert plain.move_counts[2:].sum() == 0
    assert cached.move_counts[2].sum() + cached.move_counts[3].sum() > 0


def test_control_with_certain_refresh_is_hmc_with_fresh_momenta():
    target, rng = AnisotropicGaussian(2, 1.0), np.random.default_rng(7)
    state = ControlHMC(target, 1.0, 3, 5.0).init(target.sample(2000, rng), rng)
    new, _ = ControlHMC(target, 1.0, 3, 5.0).step(state, rng)
    old, fresh = state.here.momentum.ravel(), new.here.momentum.ravel()
    assert abs((old * fresh).mean()) < 4 / np.sqrt(old.size)


def test_an_unlikely_start_neither_overflows_nor_stalls():
    target = DiagonalGaussian([1.0])
    with np.errstate(all="raise", under="ignore"):
        run = run_chains(MarkovJumpHMC(target, 0.3, 5, 0.1), np.full((1, 3), 300.0), 400, np.random.default_rng(8))
    assert np.isfinite(run.durations).all()
    assert (np.abs(run.positions[-1]) < 10).all()


def test_states_of_probability_zero_are_never_entered():
    target, rng = Box(), np.random.default_rng(9)
    run = run_chains(MarkovJumpHMC(target, 0.8, 6, 0.3), rng.uniform(-9, 9, size=(2, 100)), 300, rng)
    assert np.abs(run.positions).max() <= 10
    cosine = time_average(run, lambda x: np.cos(target.wavenumber * x).mean(axis=1))
    # period 4 divides the box of 20 five times, so the mean cosine is that of the periodic density
    assert abs(standard_errors_off(cosine, target.mean_cosine())) < 4.5


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_a_start_without_probability_is_refused(value):
    class Nowhere(RoughWell):
        def energy(self, x):
            return np.where(x[0] > 1, value, super().energy(x))

    start = np.array([[0.0, 0.0, 2.0], [0.0, 0.0, 0.0]])
    for sampler in (MarkovJumpHMC(Nowhere(), 1.0, 2, 0.1), LookAheadHMC(Nowhere(), 1.0, 2), ControlHMC(Nowhere())):
        with pytest.raises(ValueError, match="first is chain 2"):
            sampler.init(start, np.random.default_rng(0))


def test_nan_energy_stops_with_the_state_that_caused_it_and_keeps_the_run():
    sampler, start = MarkovJumpHMC(Broken(), 1.0, 10, 0.3), np.full((2, 5), 30.0)
    with pytest.raises(Diverged, match="NaN or minus infinity") as stopped:
        run_chains(sampler, start, 400, np.random.default_rng(0))
    run, done = stopped.value.run, len(stopped.value.run.positions)
    assert 0 < done < 400
    assert run.durations.shape == (done, 5)
    again = run_chains(sampler, start, done, np.random.default_rng(0))
    np.testing.assert_array_equal(run.positions, again.positions)
    culprit = stopped.value.chains
    ends = np.stack([point.potential[culprit] for point in (stopped.value.state.ahead, stopped.value.state.behind)])
    assert np.isnan(ends).any(axis=0).all()
    with pytest.raises(Diverged, match="energy is NaN"):
        run_chains(ControlHMC(Broken(), 1.0, 10, 0.3), start, 400, np.random.default_rng(0))


def test_nowhere_to_go_is_said():
    class Point(RoughWell):
        def energy(self, x):
            return np.where(np.abs(x).max(axis=0) > 0, np.inf, super().energy(x))

    with pytest.raises(Diverged, match="nowhere to go"):
        run_chains(MarkovJumpHMC(Point(), 0.5, 2, 0.0), np.zeros((2, 3)), 5, np.random.default_rng(0))
    run = run_chains(MarkovJumpHMC(Point(), 0.5, 2, 0.5), np.zeros((2, 3)), 5, np.random.default_rng(0))
    assert (run.positions == 0).all()


def test_remembered_trajectories_survive_chaos_and_recomputed_ones_do_not():
    """Far beyond the chaotic step: the mean cosine is right with swapped trajectories, wrong with recomputed ones."""
    target, rng, far_off = RoughWell(), np.random.default_rng(11), []
    for recompute in (False, True):
        sampler = MarkovJumpHMC(target, 3.0, 16, 0.05, recompute_after_flip=recompute)
        run = run_chains(sampler, target.sample(300, rng), 700, rng)
        cosine = time_average(run, lambda x: np.cos(target.wavenumber * x).mean(axis=1))
        far_off.append(abs(standard_errors_off(cosine, target.mean_cosine())))
    assert far_off[0] < 4
    assert far_off[1] > 4


def test_recomputing_changes_the_cost_alone_where_trajectories_are_reversible():
    target = DiagonalGaussian([1.0, 0.25])
    start = target.sample(50, np.random.default_rng(12))
    swapped, recomputed = (
        run_chains(MarkovJumpHMC(target, 1.2, 4, 0.2, None, again), start, 100, np.random.default_rng(13))
        for again in (False, True)
    )
    assert swapped.move_counts[0].sum() > 100
    np.testing.assert_allclose(swapped.positions, recomputed.positions, atol=1e-6)
    np.testing.assert_array_equal(swapped.move_counts, recomputed.move_counts)
    extra = 2 * 4 * recomputed.move_counts[0]
    np.testing.assert_array_equal(recomputed.gradients - swapped.gradients, extra)


def test_reversibility_is_lost_at_the_published_setting_of_the_rough_well():
    target, rng = RoughWell(), np.random.default_rng(10)
    point = phase_point(target, target.sample(200, rng), rng.standard_normal((2, 200)))
    assert check_reversible(leapfrog_trajectory(target, 1.0, 10), point) < 1e-8
    assert np.median(reversibility_error(leapfrog_trajectory(target, 3.0, 25), point)) > 1
    with pytest.raises(ValueError, match=r"not reversible: there and back, chain \d+ misses its start by"):
        check_reversible(leapfrog_trajectory(target, 3.0, 25), point)
    with pytest.raises(ValueError, match="not reversible"):
        run_chains(MarkovJumpHMC(target, 3.0, 25, 0.1, reversible_within=1e-5), point.position, 3, rng)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MarkovJumpHMC(RoughWell(), refresh_rate=-0.1), "refresh_rate must be finite and not negative"),
        (lambda: MarkovJumpHMC(RoughWell(), refresh_rate=np.inf), "refresh_rate must be finite"),
        (lambda: ControlHMC(RoughWell(), refresh_rate=-1.0), "refresh_rate must be finite and not negative"),
        (lambda: MarkovJumpHMC(RoughWell(), step_size=0.0), "step_size must be positive"),
        (lambda: MarkovJumpHMC(RoughWell(), n_leapfrog=0), "n_leapfrog must be"),
        (lambda: ControlHMC(RoughWell(), n_leapfrog=2.5), "must be a whole number"),
    ],
)
def test_bad_settings_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_thinning_is_refused_in_continuous_time():
    with pytest.raises(ValueError, match="needs every position"):
        run_chains(MarkovJumpHMC(RoughWell()), np.zeros((2, 2)), 10, np.random.default_rng(0), thin=2)
