"""The path on a grid and the interface, on runs made by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replica.sampling.chains import ChainRun, path_on_grid, run_chains, time_average
from replica.sampling.look_ahead import LookAheadHMC
from replica.sampling.markov_jump import ControlHMC, MarkovJumpHMC
from replica.sampling.targets import RoughWell


def by_hand(durations):
    """Chain b visits the positions 10 b, 10 b + 1, ... for the given times."""
    durations = np.asarray(durations, dtype=np.float64)
    n, chains = durations.shape
    positions = (np.arange(n)[:, None] + 10 * np.arange(chains)).astype(np.float32)[:, None, :]
    return ChainRun(positions, durations, np.full((1, chains), n), np.full(chains, n), None)


def test_path_is_read_at_equal_times_up_to_the_common_end():
    run = by_hand([[1.0, 0.5], [2.0, 0.5], [1.0, 5.0]])  # they end at 4 and at 6
    np.testing.assert_array_equal(path_on_grid(run, 1.0)[:, 0], [[0, 10], [1, 12], [1, 12], [2, 12]])
    np.testing.assert_array_equal(run.elapsed, [4.0, 6.0])


def test_path_of_a_discrete_run_is_the_run():
    run = run_chains(LookAheadHMC(RoughWell(), 1.0, 2), np.zeros((2, 3)), 12, np.random.default_rng(0))
    np.testing.assert_array_equal(path_on_grid(run), run.positions)
    np.testing.assert_array_equal(path_on_grid(run, 3), run.positions[::3])
    np.testing.assert_array_equal(run.elapsed, 12)


def test_average_is_cut_at_the_common_time():
    run = by_hand([[1.0, 0.5], [2.0, 0.5], [1.0, 5.0]])
    np.testing.assert_allclose(time_average(run, lambda x: x[:, 0]), [(0 + 2 + 2) / 4, (5 + 5.5 + 36) / 4])


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 30), st.integers(1, 4), st.integers(0, 99))
def test_a_fine_grid_gives_the_time_average(n_steps, n_chains, seed):
    durations = np.random.default_rng(seed).exponential(size=(n_steps, n_chains)) + 0.05
    durations *= 10.0 / durations.sum(axis=0)  # all chains end together
    run = by_hand(durations)
    fine = path_on_grid(run, 0.001)[:, 0].mean(axis=0)
    # each jump is misplaced by at most one grid point of 10,000
    np.testing.assert_allclose(fine, time_average(run, lambda x: x[:, 0]), atol=n_steps * 1e-4 + 1e-6)


@pytest.mark.parametrize("spacing", [0.0, -1.0, 5.0, np.nan])
def test_bad_spacing_is_refused(spacing):
    with pytest.raises(ValueError, match="spacing must lie between 0 and"):
        path_on_grid(by_hand([[1.0, 2.0], [3.0, 4.0]]), spacing)


def test_a_thinned_run_has_no_path():
    run = run_chains(LookAheadHMC(RoughWell(), 1.0, 2), np.zeros((2, 3)), 12, np.random.default_rng(0), thin=2)
    with pytest.raises(ValueError, match="needs every position"):
        path_on_grid(run)


@pytest.mark.parametrize("sampler", [LookAheadHMC(RoughWell()), ControlHMC(RoughWell()), MarkovJumpHMC(RoughWell())])
def test_samplers_swap_in_one_line(sampler, capsys):
    run = run_chains(sampler, np.zeros((2, 4)), 20, np.random.default_rng(1), progress=True)
    assert run.positions.shape == (20, 2, 4)
    assert (run.move_counts.sum(axis=0) == 20).all()
    assert run.gradients.shape == run.elapsed.shape == (4,)
    assert time_average(run, lambda x: x).shape == (2, 4)
    assert "20/20" in capsys.readouterr().err
