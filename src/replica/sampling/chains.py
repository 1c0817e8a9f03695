r"""One interface for all samplers, and the loop that runs them: swap the sampler, keep the rest.

A sampler has ``init(position, rng) -> state`` and ``step(state, rng) -> (state, Step)``, both free of side effects
except on the generator; :func:`run_chains` calls the second again and again and keeps what a sample needs. Samplers of
the package: `replica.sampling.look_ahead.LookAheadHMC` (ordinary HMC included).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from replica.sampling.leapfrog import check_count

__all__ = ["ChainRun", "Diverged", "Sampler", "Step", "run_chains", "time_average"]


class Step(NamedTuple):
    r"""What one step adds to the sample.

    Attributes
    ----------
    position : ``(n_dims, n_chains)``, the positions that count.
    duration : ``(n_chains,)``, the time for which each is held, or None in discrete time, where it is one.
    move : ``(n_chains,)`` whole numbers, the kind of move made, as the sampler numbers them.
    """

    position: np.ndarray
    duration: np.ndarray | None
    move: np.ndarray


class Sampler(Protocol):
    """What :func:`run_chains` needs to know about a sampler."""

    @property
    def n_moves(self) -> int:
        """How many kinds of move there are."""
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
    positions : ``(n_steps // thin, n_dims, n_chains)``, those of every ``thin``-th step, in float32: enough for
        correlations and histograms.
    durations : ``(n_steps, n_chains)``, the time each was held, or None in discrete time.
    move_counts : ``(n_moves, n_chains)``, how often each chain made each kind of move.
    final : the last state, in float64, to continue from.
    """

    positions: np.ndarray
    durations: np.ndarray | None
    move_counts: np.ndarray
    final: Any


class Diverged(ValueError):
    """The energy became NaN, and the chains stopped.

    Attributes
    ----------
    state : the state from which the step was tried.
    chains : indices of the chains whose energy was NaN.
    run : the `ChainRun` of all steps before, or None where the step was not made by :func:`run_chains`.
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
    sampler : see `Sampler`.
    start : ``(n_dims, n_chains)`` initial positions.
    n_steps : number of steps.
    rng : source of all random numbers.
    thin : keep the positions of every ``thin``-th step. A sampler in continuous time allows 1 only, because its
        positions count with the time for which they are held.
    progress : show a bar.

    Returns
    -------
    `ChainRun`.

    Raises
    ------
    ValueError : bad counts or start, or ``thin`` above 1 in continuous time.
    Diverged : an energy is NaN; the exception holds the run up to there and the state that caused it.
    """
    n_steps, thin = check_count(n_steps, "n_steps"), check_count(thin, "thin")
    if thin > n_steps:
        raise ValueError(f"thin ({thin}) must not exceed n_steps ({n_steps})")
    state = sampler.init(start, rng)
    n_dims, n_chains = np.shape(start)
    positions = np.empty((n_steps // thin, n_dims, n_chains), dtype=np.float32)
    durations: np.ndarray | None = None
    counts = np.zeros(sampler.n_moves * n_chains, dtype=np.int64)
    chain = np.arange(n_chains)

    def so_far(done: int, last: Any) -> ChainRun:
        held = None if durations is None else durations[:done]
        return ChainRun(positions[: done // thin], held, counts.reshape(sampler.n_moves, n_chains), last)

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

    $$\bar f = \frac{\sum_i \tau_i f(x_i)}{\sum_i \tau_i} , \qquad \tau_i = 1 \text{ in discrete time.}$$

    Parameters
    ----------
    run : from :func:`run_chains`.
    function : takes positions ``(n_kept, n_dims, n_chains)`` and returns ``(n_kept, ..., n_chains)``.

    Returns
    -------
    ``(..., n_chains)``, float64; means and standard errors over chains follow from it.
    """
    values = np.asarray(function(run.positions.astype(np.float64)))
    if run.durations is None:
        return values.mean(axis=0)
    weights = run.durations / run.durations.sum(axis=0)
    return np.einsum("t...b,tb->...b", values, weights)
