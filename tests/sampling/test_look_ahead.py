"""Look Ahead HMC: the recursion against its closed form and brute force; the sampler against exact laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from replica.sampling.chains import Diverged, run_chains, time_average
from replica.sampling.diagnostics import autocorrelation, autocovariance, gradient_evaluations, transition_fractions
from replica.sampling.leapfrog import flip_momentum, hamiltonian, leapfrog_trajectory, phase_point
from replica.sampling.look_ahead import (
    LookAheadHMC,
    beta_from_alpha,
    look_ahead_costs,
    look_ahead_step,
    lookahead_cumulative,
    lookahead_cumulative_recursive,
    transition_probabilities,
)
from replica.sampling.oscillator import (
    oscillator_flip_fraction_hmc,
    oscillator_trajectory,
    oscillator_transition_fractions,
)
from replica.sampling.targets import AnisotropicGaussian, RoughWell

ladders = st.integers(2, 9).flatmap(lambda n: arrays(np.float64, n, elements=st.floats(-60, 60, allow_nan=False)))


def brute_force(h):
    """The recursion of the publication as it is written there: 2^K calls, one state at a time."""

    def leap(energies, a):
        forward = sum(leap(energies, b) for b in range(1, a))
        # the ladder seen from F L^a: it meets h_a, h_{a-1}, ..., h_1
        backward = sum(leap(energies[a::-1], b) for b in range(1, a))
        ratio = np.exp(min(energies[0] - energies[a], 700.0))
        return min(1.0 - forward, ratio * (1.0 - backward))

    return np.cumsum([leap(list(h), a) for a in range(1, len(h))])


@settings(max_examples=60, deadline=None)
@given(ladders)
def test_recursion_equals_brute_force(h):
    np.testing.assert_allclose(lookahead_cumulative_recursive(h), brute_force(h), atol=1e-12)


@settings(max_examples=200, deadline=None)
@given(ladders)
def test_recursion_telescopes_to_the_lowest_energy_met(h):
    np.testing.assert_allclose(lookahead_cumulative_recursive(h), lookahead_cumulative(h), atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(ladders, st.floats(-1e3, 1e3))
def test_probabilities_are_probabilities_and_ignore_the_zero_of_energy(h, shift):
    p = transition_probabilities(h)
    assert (p >= 0).all()
    assert p.sum() == pytest.approx(1.0, abs=1e-14)
    np.testing.assert_allclose(transition_probabilities(h + shift), p, atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(ladders)
def test_skew_balance_rung_by_rung(h):
    """p(zeta) pi_{L^a}(zeta) = p(F L^a zeta) pi_{L^a}(F L^a zeta): the reversed ladder carries the same flow."""
    for a in range(1, len(h)):
        there = np.exp(-(h[0] - h.min())) * transition_probabilities(h[: a + 1])[a]
        back = np.exp(-(h[a] - h.min())) * transition_probabilities(h[a::-1])[a]
        assert there == pytest.approx(back, abs=1e-12)


def test_one_rung_is_metropolis():
    h = np.random.default_rng(0).normal(size=(2, 50)) * 3
    np.testing.assert_allclose(lookahead_cumulative(h)[0], np.minimum(1, np.exp(h[0] - h[1])))


def test_extreme_energies_do_not_become_nan():
    h = np.array([[800.0, -900.0], [np.inf, 900.0], [-800.0, np.inf], [0.0, -905.0]])
    for function in (lookahead_cumulative, lookahead_cumulative_recursive):
        np.testing.assert_allclose(function(h), [[0, 0], [1, 0], [1, 1]], atol=1e-12)


def test_a_fresh_uniform_per_rung_would_be_wrong():
    """The step's law for three fixed energies: C_a as computed, not one trial of C_a after another."""
    h = np.array([0.0, 1.0, 0.5])
    cumulative = lookahead_cumulative(h)
    right = 1 - cumulative[-1]
    independent_trials = np.prod(1 - cumulative)
    assert abs(right - independent_trials) > 0.1


def test_hmc_step_by_hand():
    """K = 1 against HMC with flips and partial momentum corruption written out chain by chain."""
    target, eps, beta = RoughWell(), 1.0, 0.3
    rng = np.random.default_rng(7)
    point = phase_point(target, target.sample(40, rng), rng.standard_normal((2, 40)))
    advance = leapfrog_trajectory(target, eps, 10)
    new, rung = look_ahead_step(point, advance, 1, beta, np.random.default_rng(11))
    replay = np.random.default_rng(11)
    u, noise = 1 - replay.random(40), replay.standard_normal((2, 40))
    ahead, flipped = advance(point), flip_momentum(point)
    accept = u <= np.exp(np.minimum(hamiltonian(point) - hamiltonian(ahead), 0))
    assert 0 < accept.sum() < 40
    np.testing.assert_array_equal(rung, accept)
    np.testing.assert_array_equal(new.position, np.where(accept, ahead.position, point.position))
    momentum = np.where(accept, ahead.momentum, flipped.momentum)
    np.testing.assert_allclose(new.momentum, np.sqrt(1 - beta) * momentum + np.sqrt(beta) * noise, atol=1e-14)


def test_look_ahead_step_uses_one_uniform_and_the_published_probabilities():
    target, n_lookahead, n = RoughWell(), 4, 4000
    rng = np.random.default_rng(8)
    point = phase_point(target, target.sample(n, rng), rng.standard_normal((2, n)))
    advance = leapfrog_trajectory(target, 1.0, 10)
    ladder = [point]
    for _ in range(n_lookahead):
        ladder.append(advance(ladder[-1]))
    cumulative = lookahead_cumulative_recursive(np.stack([hamiltonian(p) for p in ladder]))
    new, rung = look_ahead_step(point, advance, n_lookahead, 1.0, np.random.default_rng(12))
    u = 1 - np.random.default_rng(12).random(n)
    taken = u <= cumulative
    expected = np.where(taken.any(axis=0), taken.argmax(axis=0) + 1, 0)
    np.testing.assert_array_equal(rung, expected)
    assert set(np.unique(rung)) == {0, 1, 2, 3, 4}
    for a in range(n_lookahead + 1):
        np.testing.assert_allclose(new.position[:, rung == a], ladder[a].position[:, rung == a], rtol=1e-12)
        np.testing.assert_allclose(new.gradient[:, rung == a], ladder[a].gradient[:, rung == a], atol=1e-10)
    np.testing.assert_allclose(new.potential, target.energy(new.position), atol=1e-10)


@pytest.mark.parametrize("n_lookahead", [1, 4])
def test_samples_the_target(n_lookahead):
    """Moments of the rough well within four standard errors over chains, from a start far from equilibrium in the
    ripple (x = 0 is a maximum of it)."""
    target = RoughWell(2, scale=6.0, period=4.0)
    rng = np.random.default_rng(9)
    run = run_chains(LookAheadHMC(target, 0.8, 5, n_lookahead, 0.3), np.zeros((2, 400)), 1200, rng)
    x = run.positions[200:].astype(np.float64)
    cosine = np.cos(target.wavenumber * x).mean(axis=(0, 1))
    square = (x**2).mean(axis=(0, 1))
    z_cosine = (cosine.mean() - target.mean_cosine()) / (cosine.std(ddof=1) / 20)
    # exact variance sigma_1^2 (1 + O(e^{-2 pi^2 sigma_1^2 / sigma_2^2})) = 36 to many digits
    z_square = (square.mean() - 36.0) / (square.std(ddof=1) / 20)
    assert abs(z_cosine) < 4
    assert abs(z_square) < 4


@pytest.mark.parametrize(("step_size", "n_lookahead"), [(1.0, 1), (1.0, 4), (0.97, 4), (1.4, 3)])
def test_transition_fractions_of_the_oscillator_are_the_exact_ones(step_size, n_lookahead):
    target = AnisotropicGaussian(2)
    rng = np.random.default_rng(10)
    advance = oscillator_trajectory(target, step_size, 10)
    sampler = LookAheadHMC(target, n_lookahead=n_lookahead, beta=1.0, trajectory=advance)
    run = run_chains(sampler, target.sample(400, rng), 800, rng)
    exact = oscillator_transition_fractions(step_size, 10, n_lookahead)
    per_chain = run.move_counts / run.move_counts.sum(axis=0)
    error = per_chain.std(axis=1, ddof=1) / np.sqrt(400)
    assert (np.abs(transition_fractions(run.move_counts) - exact) <= 4 * error + 1e-6).all()


def test_closed_form_flip_fraction_of_hmc_equals_the_quadrature():
    eps = np.linspace(0.1, 1.99, 40)
    for n_leapfrog in (1, 3, 10):
        quadrature = oscillator_transition_fractions(eps, n_leapfrog, 1, n_angles=200_000)
        np.testing.assert_allclose(quadrature[0], oscillator_flip_fraction_hmc(eps, n_leapfrog), atol=2e-5)


def test_no_flips_at_the_resonance_of_the_paper():
    exact = oscillator_transition_fractions(1.0, 10, 4)
    assert exact[0] == pytest.approx(0.0, abs=1e-12)
    assert exact[4] == pytest.approx(0.0, abs=1e-12)


def test_look_ahead_never_flips_more_than_hmc():
    eps = np.linspace(0.05, 1.98, 80)
    flips = [oscillator_transition_fractions(eps, 10, k)[0] for k in range(1, 7)]
    assert (np.diff(flips, axis=0) <= 1e-12).all()


def test_look_ahead_beats_hmc_on_the_rough_well_per_gradient():
    target, rng = RoughWell(), np.random.default_rng(13)
    rho = {}
    for n_lookahead in (1, 4):
        run = run_chains(LookAheadHMC(target, 1.0, 10, n_lookahead, 0.1), target.sample(100, rng), 800, rng)
        lag = round(2500 / gradient_evaluations(run.move_counts, look_ahead_costs(10, n_lookahead)))
        rho[n_lookahead] = autocorrelation(autocovariance(run.positions, lag))[lag]
    assert rho[1] > 0.6
    assert rho[4] < 0.4


def test_run_is_reproducible_and_counts_every_step():
    target = RoughWell()
    runs = [
        run_chains(LookAheadHMC(target, 1.0, 5, 3, 0.2), np.zeros((2, 6)), 30, np.random.default_rng(1), 7)
        for _ in range(2)
    ]
    assert runs[0].positions.shape == (4, 2, 6)
    assert runs[0].positions.dtype == np.float32
    np.testing.assert_array_equal(runs[0].positions, runs[1].positions)
    np.testing.assert_array_equal(runs[0].move_counts.sum(axis=0), 30)


def test_beta_per_chain_equals_separate_betas():
    both, one = (
        run_chains(LookAheadHMC(RoughWell(), 1.0, 3, 4, beta), np.ones((2, 4)), 5, np.random.default_rng(3))
        for beta in (np.full(4, 0.25), 0.25)
    )
    np.testing.assert_array_equal(both.positions, one.positions)


def test_alpha_parametrisation():
    assert beta_from_alpha(0.2, 1.0, 10) == pytest.approx(0.2**0.1)
    # the same corruption per unit of time: beta to the power of the duration gives alpha back
    assert beta_from_alpha(0.2, 0.5, 4) ** 2.0 == pytest.approx(0.2)


class Broken(RoughWell):
    """A target whose energy is NaN far out."""

    def energy(self, x):
        return np.where(np.abs(x).max(axis=0) > 50, np.nan, super().energy(x))


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: lookahead_cumulative(np.array([0.0, np.nan])), "must not be NaN"),
        (lambda: lookahead_cumulative_recursive(np.array([np.nan, 0.0])), "must not be NaN"),
        (lambda: lookahead_cumulative(np.array([np.inf, 0.0])), "present state must be finite"),
        (lambda: lookahead_cumulative(np.array([0.0])), "K at least 1"),
        (lambda: beta_from_alpha(1.0, 1.0, 10), "alpha must lie"),
        (lambda: beta_from_alpha(0.2, -1.0, 10), "must be positive"),
    ],
)
def test_bad_energies_and_parameters_are_refused(act, words):
    with pytest.raises(ValueError, match=words):
        act()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_steps": 0}, "n_steps"),
        ({"n_lookahead": 0}, "n_lookahead"),
        ({"n_lookahead": 1.5}, "n_lookahead"),
        ({"beta": 0.0}, "must lie in"),
        ({"beta": np.array([0.1, 2.0])}, "must lie in"),
        ({"thin": 11}, "must not exceed"),
        ({"start": np.zeros((3, 2))}, "must have shape"),
        ({"start": np.full((2, 2), np.inf)}, "must be finite"),
    ],
)
def test_run_chains_refuses_bad_input(change, words):
    arguments = {"start": np.zeros((2, 2)), "n_steps": 10, "n_lookahead": 2, "beta": 0.5, "thin": 1} | change

    def act(start, n_steps, n_lookahead, beta, thin):
        sampler = LookAheadHMC(RoughWell(), 1.0, 2, n_lookahead, beta)
        run_chains(sampler, start, n_steps, np.random.default_rng(0), thin)

    with pytest.raises(ValueError, match=words):
        act(**arguments)


def test_nan_energy_on_a_trajectory_is_named_and_nothing_sampled_is_lost():
    sampler = LookAheadHMC(Broken(), 1.0, 10, 2, 1.0)
    with pytest.raises(Diverged, match=r"energy is NaN for .* at rung") as stopped:
        run_chains(sampler, np.full((2, 5), 30.0), 200, np.random.default_rng(0))
    run, done = stopped.value.run, len(stopped.value.run.positions)
    assert 0 < done < 200
    assert (run.move_counts.sum(axis=0) == done).all()
    again = run_chains(sampler, np.full((2, 5), 30.0), done, np.random.default_rng(0))
    np.testing.assert_array_equal(run.positions, again.positions)
    np.testing.assert_array_equal(stopped.value.state.position, again.final.position)
    assert stopped.value.chains.size


def test_time_average_in_discrete_time_is_the_mean():
    run = run_chains(LookAheadHMC(RoughWell(), 1.0, 5, 3, 0.2), np.zeros((2, 6)), 30, np.random.default_rng(1))
    mean = run.positions.astype(float).mean(axis=0)
    np.testing.assert_allclose(time_average(run, lambda x: x), mean, atol=1e-12)
    weighted = run._replace(durations=np.arange(1.0, 31.0)[:, None] * np.ones(6))
    by_hand = np.average(run.positions.astype(float), axis=0, weights=np.arange(1.0, 31.0))
    np.testing.assert_allclose(time_average(weighted, lambda x: x), by_hand, atol=1e-12)
