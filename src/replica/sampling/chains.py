r"""One interface for all samplers, and the loop that runs them: swap the sampler, keep the rest.

A sampler has ``init(position, rng) -> state`` and ``step(state, rng) -> (state, Step)``, both free of side effects
except on the generator; :func:`run_chains` calls the second again and again and keeps what a sample needs. Samplers of
the package: `replica.sampling.look_ahead.LookAheadHMC` (ordinary HMC included),
`replica.sampling.markov_jump.ControlHMC` and, in continuous time, `replica.sampling.markov_jump.MarkovJumpHMC`.

In continuous time a position counts with the time for which it is held. `time_average` weighs with it, and
`path_on_grid` reads the path at equal distances in time, after which ordinary statistics apply; in discrete time every
position is held for one step, and both do what one expects.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from replica.sampling.leapfrog import check_count

__all__ = ["ChainRun", "Diverged", "Sampler", "Step", "path_on_grid", "run_chains", "time_average"]


class Step(NamedTuple):
    r"""What one step adds to the sample.

    Attributes
    ----------
    position : array ``(n_dims, n_chains)``
        The positions that count.
    duration : array ``(n_chains,)`` or None
        The time for which each is held; None in discrete time, where it is one.
    move : array ``(n_chains,)``
        Whole numbers, the kind of move made, as the sampler numbers them.
    """

    position: np.ndarray
    duration: np.ndarray | None
    move: np.ndarray


class Sampler(Protocol):
    """What :func:`run_chains` needs to know about a sampler."""

    @property
    def move_costs(self) -> np.ndarray:
        """Gradient evaluations that each kind of move costs, ``(n_moves,)``."""
        ...

    def init(self, position: np.ndarray, rng: np.random.Generator) -> Any:
        """The state of chains at ``position`` ``(n_dims, n_chains)``."""
        ...

    def step(self, state: Any, rng: np.random.Generator) -> tuple[Any, Step]:
        """One step of all chains: the next state, and what the step adds to the sample."""
        ...


class ChainRun(NamedTuple):
    """What a run leaves behind.

    Attributes
    ----------
    positions : array ``(n_steps // thin, n_dims, n_chains)``
        Those of every ``thin``-th step, in float32: enough for correlations and histograms.
    durations : array ``(n_steps, n_chains)`` or None
        The time each was held; None in discrete time.
    move_counts : array ``(n_moves, n_chains)``
        How often each chain made each kind of move.
    gradients : array ``(n_chains,)``
        Gradient evaluations of each chain, without those of ``init``.
    final : object
        The last state, in float64, to continue from.
    """

    positions: np.ndarray
    durations: np.ndarray | None
    move_counts: np.ndarray
    gradients: np.ndarray
    final: Any

    @property
    def elapsed(self) -> np.ndarray:
        """Time that has passed for each chain, ``(n_chains,)``; in discrete time the number of steps."""
        return self.move_counts.sum(axis=0) if self.durations is None else self.durations.sum(axis=0)


class Diverged(ValueError):
    """A trajectory reached an energy that is not a number (or chains got stuck), and all chains stopped.

    Attributes
    ----------
    state : object
        The state from which the step was tried.
    chains : array
        Indices of the chains concerned.
    run : ChainRun or None
        The run of all steps before; None where the step was not made by :func:`run_chains`.
    """

    def __init__(self, message: str, state: Any, chains: np.ndarray) -> None:
        super().__init__(message)
        self.state = state
        self.chains = chains
        self.run: ChainRun | None = None


def run_chains(
    sampler: Sampler,
    start: np.ndarray,
    n_steps: int,
    rng: np.random.Generator,
    thin: int = 1,
    progress: bool = False,
) -> ChainRun:
    """Run ``n_steps`` steps of any sampler on independent chains.

    Parameters
    ----------
    sampler : Sampler
        Any object with ``init``, ``step`` and ``move_costs``.
    start : array ``(n_dims, n_chains)``
        Initial positions.
    n_steps : int
        Number of steps (in continuous time: of jumps).
    rng : numpy.random.Generator
        Source of all random numbers.
    thin : int
        Keep the positions of every ``thin``-th step. A sampler in continuous time allows 1 only, because its positions
        count with the time for which they are held.
    progress : bool
        Show a bar.

    Returns
    -------
    ChainRun

    Raises
    ------
    ValueError
        Bad counts or start, or ``thin`` above 1 in continuous time.
    Diverged
        An energy is NaN; the exception holds the run up to there and the state that caused it.
    """
    n_steps, thin = check_count(n_steps, "n_steps"), check_count(thin, "thin")
    if thin > n_steps:
        raise ValueError(f"thin ({thin}) must not exceed n_steps ({n_steps})")
    state = sampler.init(start, rng)
    n_dims, n_chains = np.shape(start)
    positions = np.empty((n_steps // thin, n_dims, n_chains), dtype=np.float32)
    durations: np.ndarray | None = None
    costs = np.asarray(sampler.move_costs)
    counts = np.zeros(costs.size * n_chains, dtype=np.int64)
    chain = np.arange(n_chains)

    def so_far(done: int, last: Any) -> ChainRun:
        held = None if durations is None else durations[:done]
        moves = counts.reshape(costs.size, n_chains)
        return ChainRun(positions[: done // thin], held, moves, costs @ moves, last)

    for index in _steps(n_steps, progress):
        try:
            state, step = sampler.step(state, rng)
        except Diverged as stop:
            stop.run = so_far(index, state)
            raise
        if step.duration is not None:
            if thin > 1:
                raise ValueError(f"a sampler in continuous time needs every position: expected thin = 1, came {thin}")
            if durations is None:
                durations = np.empty((n_steps, n_chains))
            durations[index] = step.duration
        counts[step.move * np.int64(n_chains) + chain] += 1
        if (index + 1) % thin == 0:
            positions[(index + 1) // thin - 1] = step.position
    return so_far(n_steps, state)


def _steps(n_steps: int, progress: bool) -> Any:
    if not progress:
        return range(n_steps)
    from tqdm import tqdm

    return tqdm(range(n_steps))


def time_average(run: ChainRun, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    r"""Average of a function of the positions over each chain, weighted by how long each position was held,

    $$\bar f = \frac1T \sum_i \tau_i f(x_i) , \qquad \sum_i \tau_i = T, \qquad \tau_i = 1 \text{ in discrete time.}$$

    All chains are cut at the time T that every one of them has reached. The average over a fixed time of a chain that
    starts in equilibrium has no bias; over a fixed number of jumps, whose total time is itself random and depends on
    what was visited, it has one of the order of one over the effective number of samples in a chain.

    Parameters
    ----------
    run : ChainRun
        From :func:`run_chains`.
    function : callable
        Takes positions ``(n_kept, n_dims, n_chains)`` and returns ``(n_kept, ..., n_chains)``.

    Returns
    -------
    array ``(..., n_chains)``
        In float64; means and standard errors over chains follow from it.
    """
    values = np.asarray(function(run.positions.astype(np.float64)))
    if run.durations is None:
        return values.mean(axis=0)
    ends = np.cumsum(run.durations, axis=0)
    ends = np.minimum(ends, ends[-1].min())
    weights = np.diff(ends, axis=0, prepend=0.0) / ends[-1]
    return np.einsum("t...b,tb->...b", values, weights)


def path_on_grid(run: ChainRun, spacing: float = 1.0) -> np.ndarray:
    r"""Positions at the times $0, \Delta, 2\Delta, \dots$, for all chains up to the time that every chain has reached.

    A path of piecewise constant positions read at equal distances is an ordinary sample: its autocorrelation, its
    histogram and its effective size are those of the process in time. The chains are cut at a common time, because a
    fixed number of jumps takes a different time in each.

    Parameters
    ----------
    run : ChainRun
        From :func:`run_chains`, with ``thin=1``.
    spacing : float
        $\Delta > 0$, in units of process time (in discrete time: of steps).

    Returns
    -------
    array ``(n_times, n_dims, n_chains)``
        In float32.

    Raises
    ------
    ValueError
        ``spacing`` not positive, longer than the run, or a thinned run.
    """
    n_steps = len(run.positions)
    if run.move_counts[:, 0].sum() != n_steps:
        raise ValueError(f"a path needs every position: expected thin = 1, came {n_steps} positions of more steps")
    ends = np.cumsum(np.ones_like(run.positions[:, 0], np.float64) if run.durations is None else run.durations, axis=0)
    horizon = float(ends[-1].min())
    if not 0 < spacing < horizon:
        raise ValueError(
            f"spacing must lie between 0 and the time that all chains reached, {horizon:.4g}; got {spacing!r}"
        )
    times = spacing * np.arange(int(np.ceil(horizon / spacing)))
    times = times[times < horizon]
    index = np.stack([np.searchsorted(end, times, side="right") for end in ends.T], axis=1)
    return np.take_along_axis(run.positions, index[:, None, :], axis=0)
