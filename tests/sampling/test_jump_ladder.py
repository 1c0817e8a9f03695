"""The jump process on a finite ring: exact laws, gaps by brute force, the shifted holding times."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.linalg import expm
from scipy.stats import norm

from replica.sampling.jump_ladder import (
    embedded_chain,
    ladder_diffusion,
    ladder_generator,
    ladder_law,
    lump_flips,
    lumped_gap,
    metropolis_ladder,
    real_part_gap,
    relaxation_gap,
)
from replica.sampling.ladder import ladder_distribution, ladder_transition_matrix

rings = st.integers(2, 12).flatmap(lambda n: arrays(np.float64, n, elements=st.floats(-8, 8, allow_nan=False)))


@settings(max_examples=100, deadline=None)
@given(rings)
def test_target_is_stationary_and_the_jump_chain_has_the_law_p_q(energies):
    generator, p = ladder_generator(energies), ladder_law(energies)
    n = len(energies)
    np.testing.assert_allclose(p, ladder_distribution(energies), rtol=1e-12)
    # rates reach e^8, so rounding is relative to the largest flow
    scale = 1e-13 * np.abs(p[:, None] * generator).max() + 1e-15
    np.testing.assert_allclose(p @ generator, 0.0, atol=scale)
    np.testing.assert_allclose(generator.sum(axis=1), 0.0, atol=1e-12 * np.abs(generator).max())
    assert (generator - np.diag(np.diag(generator)) >= 0).all()
    chain, rates = embedded_chain(generator)
    law = p * rates / (p @ rates)
    np.testing.assert_allclose(law @ chain, law, atol=1e-14)
    np.testing.assert_allclose(chain.sum(axis=1), 1.0, atol=1e-13)
    assert chain.shape == (2 * n, 2 * n)


@settings(max_examples=60, deadline=None)
@given(rings)
def test_flips_are_the_fewest_that_keep_the_target(energies):
    """At most one of a state and its mirror image flips: a lower pair of rates would not balance."""
    generator, n = ladder_generator(energies), len(energies)
    k = np.arange(n)
    assert (np.minimum(generator[k, n + k], generator[n + k, k]) == 0).all()


def test_two_rungs_by_hand():
    e = np.exp(0.5)
    got = ladder_generator(np.array([0.0, 1.0]))
    # both neighbours are the same rung, so nothing ever flips
    np.testing.assert_allclose(got, [[-1 / e, 1 / e, 0, 0], [e, -e, 0, 0], [0, 0, -1 / e, 1 / e], [0, 0, e, -e]])


def test_three_rungs_by_hand():
    got = ladder_generator(np.array([0.0, 2.0, 4.0]))
    up, back = np.exp(-1.0), np.exp(-2.0)  # from rung 0: up to rung 1, back to rung 2
    np.testing.assert_allclose(got[0], [-up, up, 0, 0, 0, 0])
    np.testing.assert_allclose(got[3], [up - back, 0, 0, -up, 0, back])


def test_batches_equal_one_at_a_time_and_the_look_ahead_matrix():
    energies = np.random.default_rng(0).normal(size=(3, 4, 7))
    for build in (ladder_generator, metropolis_ladder):
        batch = build(energies)
        assert batch.shape == (3, 4, 14, 14)
        np.testing.assert_allclose(batch[2, 1], build(energies[2, 1]))
    np.testing.assert_allclose(
        metropolis_ladder(energies)[1, 2], ladder_transition_matrix(energies[1, 2], 1), atol=1e-15
    )


def test_gaps_by_brute_force():
    energies = np.random.default_rng(1).normal(size=9)
    generator, p = ladder_generator(energies), ladder_law(energies)
    chain, rates = embedded_chain(generator)
    second = sorted(np.linalg.eigvals(chain), key=lambda z: z.real)[-2]
    assert real_part_gap(chain) == pytest.approx(1 - abs(second))
    lumped = sum(chain[a : a + 9, b : b + 9] for a in (0, 9) for b in (0, 9)) / 2
    np.testing.assert_allclose(lump_flips(chain), lumped)
    assert lumped_gap(chain) == pytest.approx(real_part_gap(lumped))
    # the slowest decay of the transition probabilities in time, in units of the mean time between jumps
    unit = generator / (p @ rates)
    # the decay oscillates: its envelope is the maximum over a window of ten
    first, last = (
        max(np.abs(expm(unit * t) - p).max() for t in np.arange(begin, begin + 10, 0.5)) for begin in (20, 50)
    )
    assert np.log(first / last) / 30 == pytest.approx(relaxation_gap(generator, p), rel=0.02)


def test_flat_ladder_has_the_gaps_of_a_ring():
    """Equal energies: both samplers rotate, eigenvalues are roots of one, and only the process in time relaxes."""
    n = 8
    generator, p = ladder_generator(np.zeros(n)), ladder_law(np.zeros(n))
    chain, _ = embedded_chain(generator)
    np.testing.assert_allclose(chain, metropolis_ladder(np.zeros(n)))
    # two copies of the ring, so the second eigenvalue is one again
    assert real_part_gap(chain) == pytest.approx(0.0, abs=1e-12)
    assert relaxation_gap(generator, p) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("n", [3, 5, 8])
def test_small_energies_short_ladder_gap_is_twice_the_flip_probability(n):
    r"""First order in the energies: the difference of the directions has the eigenvalue 1 - 2f, and f is a mean rise.

    HMC refuses with the mean of max(0, E_{k+1} - E_k), the jump process flips with that of half of
    max(0, E_{k+1} - E_{k-1}): for independent energies half as often.
    """
    energies = 1e-3 * np.random.default_rng(5).normal(size=(50, n))
    step, generator, p = metropolis_ladder(energies), ladder_generator(energies), ladder_law(energies)
    chain, _ = embedded_chain(generator)
    above, below = np.roll(energies, -1, axis=-1), np.roll(energies, 1, axis=-1)
    refused = np.maximum(0.0, above - energies).mean(axis=-1)
    flipped = 0.5 * np.maximum(0.0, above - below).mean(axis=-1)
    # corrections are of the order of the energies
    np.testing.assert_allclose(real_part_gap(step), 2 * refused, rtol=0.01)
    np.testing.assert_allclose(real_part_gap(chain), 2 * flipped, rtol=0.01)
    np.testing.assert_allclose(relaxation_gap(generator, p), 2 * flipped, rtol=0.01)


def test_no_silent_nan_up_to_the_largest_span():
    energies = np.array([0.0, 1400.0, 0.0, 700.0])
    assert np.isfinite(ladder_generator(energies)).all()
    assert not np.isnan(ladder_diffusion(energies)).any()


@pytest.mark.parametrize("spread", [0.3, 1.0, 1.5])
def test_diffusion_of_a_normal_ladder_in_closed_form(spread):
    """Means of lognormal variables and of the larger of two, with Phi the normal distribution function."""
    got = ladder_diffusion(spread * np.random.default_rng(4).normal(size=1_000_000))
    phi, psi = norm.cdf(spread / np.sqrt(2)), norm.cdf(spread / np.sqrt(8))
    hmc = 1 / (2 * np.exp(spread**2) * (2 * phi - 1))
    jump = 1 / (4 * np.exp(spread**2 / 2) * psi * (2 * psi - 1))
    lumped = 1 / (4 * np.exp(spread**2) * phi), 1 / (4 * np.exp(spread**2 / 2) * psi)
    # a million samples of variables whose relative spread is up to sqrt(e^(1.5^2) - 1) = 3, and their quotients
    np.testing.assert_allclose(got, [hmc, jump, *lumped], rtol=0.03)


def test_diffusion_against_the_matrix_on_a_long_smooth_ladder():
    """24 periods of a cosine on 240 rungs: short waves that leave the slowest mode, one wave around the ring, alone."""
    n = 240
    energies = 0.8 * np.cos(2 * np.pi * 24 * np.arange(n) / n)
    generator, step, p = ladder_generator(energies), metropolis_ladder(energies), ladder_law(energies)
    chain, _ = embedded_chain(generator)
    got, scale = ladder_diffusion(energies), (2 * np.pi / n) ** 2
    # finite wavelength: corrections of the order of the distance between flips over n, squared
    assert lumped_gap(step) == pytest.approx(got.hmc_lumped * scale, rel=0.02)
    assert lumped_gap(chain) == pytest.approx(got.jump_lumped * scale, rel=0.02)
    assert relaxation_gap(step - np.eye(2 * n), p) == pytest.approx(got.hmc * scale, rel=0.05)
    assert relaxation_gap(generator, p) == pytest.approx(got.jump * scale, rel=0.05)


def test_nothing_refused_means_no_resistance():
    got = ladder_diffusion(np.zeros(5))
    assert got.hmc == got.jump == np.inf
    assert got.hmc_lumped == got.jump_lumped == pytest.approx(0.5)


def test_holding_time_of_the_previous_state_samples_another_law():
    r"""Pairing state i + 1 with the time of state i gives the law p P: simulated against the matrix, and not p."""
    rng, energies = np.random.default_rng(2), np.random.default_rng(3).normal(size=5)
    generator, p = ladder_generator(energies), ladder_law(energies)
    chain, rates = embedded_chain(generator)
    start = rng.choice(10, size=2000, p=p)
    own, shifted, steps = np.zeros((10, 2000)), np.zeros((10, 2000)), 300
    state, each = start, np.arange(2000)
    cumulative = np.cumsum(chain, axis=1)
    for _ in range(steps):
        held = rng.standard_exponential(2000) / rates[state]
        own[state, each] += held
        state = (rng.random(2000)[:, None] > cumulative[state]).sum(axis=1).clip(max=9)
        shifted[state, each] += held
    for occupation, law in ((own, p), (shifted, p @ chain)):
        share = occupation / occupation.sum(axis=0)
        error = share.std(axis=1, ddof=1) / np.sqrt(2000)
        # a fixed number of jumps biases a ratio by about one over their number
        assert (np.abs(share.mean(axis=1) - law) < 4.5 * error + 1.0 / steps * law).all()
    assert np.abs(p @ chain - p).max() > 0.01


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: ladder_generator(np.array([1.0])), "at least two rungs"),
        (lambda: ladder_generator(np.array([0.0, np.inf])), "must be finite"),
        (lambda: ladder_generator(np.array([0.0, 1500.0, 0.0, 0.0])), "may span at most 1400, got 1500"),
        (lambda: ladder_diffusion(np.array([0.0, 1500.0, 0.0, 0.0])), "may span at most 1400, got 1500"),
        (lambda: metropolis_ladder(np.array([0.0, np.nan])), "must be finite"),
        (lambda: ladder_law(np.array(1.0)), "at least two rungs"),
        (lambda: embedded_chain(np.zeros((2, 2))), "left at a positive rate"),
        (lambda: lump_flips(np.ones((3, 3))), "even size"),
    ],
)
def test_bad_input_is_refused(act, words):
    with pytest.raises(ValueError, match=words):
        act()
