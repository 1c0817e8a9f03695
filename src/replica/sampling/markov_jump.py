r"""Markov-jump Hamiltonian Monte Carlo (MJHMC): transition rates in continuous time, which may exceed one.

A state $\zeta=\{x,v\}$ of energy $H$ jumps at three rates: along the trajectory, to its own mirror image, and to a
fresh momentum,

$$\Gamma_L = e^{\frac12[H(\zeta)-H(L\zeta)]}, \qquad
  \Gamma_F = \max\Big(0,\; e^{\frac12[H(\zeta)-H(L^{-1}\zeta)]} - \Gamma_L\Big), \qquad \Gamma_R = r .$$

The target is stationary. Write $a, b, c$ for the square roots of $p(L\zeta)$, $p(L^{-1}\zeta)$, $p(\zeta)$. The outflow
of $\zeta$ is $c\,[a+\max(0,b-a)] = c\max(a,b)$; into it flow $bc$ from $L^{-1}\zeta$ and $c\max(0,a-b)$ from $F\zeta$,
for which forward and backward swap: $c\max(a,b)$ again. Fresh momenta preserve the target by themselves.

The proof needs $FLFL=1$, which floating-point leapfrog obeys only where it is not chaotic. Remembering the two
trajectories and swapping them after a flip asks for less: that the *law* $\kappa(a|h)$ of the end of a trajectory from
h is reversible, $\kappa(a|h)=\kappa(Fh|Fa)$. Then the weight $p(h)\,\kappa(a|h)\,\kappa(Fb|Fh)$ of a state with its
two ends is stationary, by the same line.
Computing the ends anew after a flip (``recompute_after_flip``) loses this.

A state is held for an exponential time of mean $1/q$, $q$ the sum of the rates, and counts with *its own* holding time.
The bare sequence of states visited is distributed as $p\,q$, not as $p$.

Reference: Berger, Mudigonda, DeWeese and Sohl-Dickstein (2015), arXiv:1509.03808.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from replica.sampling.chains import Diverged, Step
from replica.sampling.leapfrog import (
    PhasePoint,
    Trajectory,
    check_count,
    check_reversible,
    flip_momentum,
    hamiltonian,
    join_chains,
    leapfrog_trajectory,
    phase_point,
    put_chains,
    select_chains,
)
from replica.sampling.look_ahead import climb_ladder
from replica.sampling.targets import Target

__all__ = ["ControlHMC", "JumpState", "MarkovJumpHMC", "jump_rates", "refresh_rate_from_beta"]

FLIP, LEAP, REFRESH = 0, 1, 2
_LARGEST_EXPONENT = 700.0  # exp(709) is the largest of double precision


def refresh_rate_from_beta(beta: float) -> float:
    r"""$r = -\tfrac12\ln(1-\beta)$, $0\le\beta<1$: fresh momenta at a rate with the same memory as partial corruption.

    Corrupting once per unit of time keeps a share $\sqrt{1-\beta}=e^{-r}$ of the momentum. Source: the authors' code.
    """
    if not 0 <= beta < 1:
        raise ValueError(f"beta must lie in [0, 1) to give a finite rate, got {beta!r}")
    return float(-0.5 * np.log1p(-beta))


def _check_rate(rate: float) -> float:
    if not (np.isfinite(rate) and rate >= 0):
        raise ValueError(f"refresh_rate must be finite and not negative, got {rate!r}")
    return float(rate)


def jump_rates(here: np.ndarray, ahead: np.ndarray, behind: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""The rates $\Gamma_L$ and $\Gamma_F$ from the energies $H(\zeta)$, $H(L\zeta)$, $H(L^{-1}\zeta)$.

    $+\infty$ ahead or behind means a state of probability zero. Reference: Berger et al. (2015), Section 3.

    Raises
    ------
    ValueError
        An energy that is NaN or minus infinity, a state of probability zero itself, or a drop of more than 1400, whose
        rate exceeds double precision.
    """
    here, ahead, behind = (np.asarray(energy, dtype=np.float64) for energy in (here, ahead, behind))
    if not np.isfinite(here).all():
        raise ValueError("the energy of the state itself must be finite; at least one is NaN or infinite")
    if not (np.all(ahead > -np.inf) and np.all(behind > -np.inf)):
        raise ValueError("energies ahead and behind must be finite or plus infinity; one is NaN or minus infinity")
    forth, back = 0.5 * (here - ahead), 0.5 * (here - behind)
    steepest = max(np.max(forth, initial=0.0), np.max(back, initial=0.0))
    if steepest > _LARGEST_EXPONENT:
        raise ValueError(
            f"the rate exp(drop / 2) is finite for drops of energy up to {2 * _LARGEST_EXPONENT:.0f}, "
            f"got a drop of {2 * steepest:.4g}"
        )
    leap = np.exp(forth)
    return leap, np.maximum(0.0, np.exp(back) - leap)


class JumpState(NamedTuple):
    """A state with the two trajectories that its rates need, computed once and carried along.

    Attributes
    ----------
    here : PhasePoint
        The state.
    ahead : PhasePoint
        The end of the trajectory forward.
    behind : PhasePoint
        The end of the trajectory backward in time.
    """

    here: PhasePoint
    ahead: PhasePoint
    behind: PhasePoint


@dataclass(frozen=True)
class MarkovJumpHMC:
    r"""Markov-jump HMC as a sampler for `replica.sampling.chains.run_chains`; each step is one jump.

    A jump along the trajectory needs one new trajectory (the old state is where the backward one ends), a flip none
    (the two known ones swap), fresh momenta two: ``move_costs`` is $(0, M, 2M)$ for the moves 0 (flip), 1 (leap) and 2
    (refresh). The first state costs $2M$ more.

    Parameters
    ----------
    target : Target
        Energy and gradient.
    step_size : float or array ``(n_chains,)``
        $\epsilon$, one number or one per chain.
    n_leapfrog : int
        M, leapfrog steps of one trajectory.
    refresh_rate : float
        $r \ge 0$, in units of the rate of a trajectory that conserves energy; see `refresh_rate_from_beta`.
    trajectory : Trajectory or None
        The operator $L$, where it is not leapfrog; ``step_size`` is not used then.
    recompute_after_flip : bool
        Integrate both trajectories again after a flip, as the authors' code does, instead of swapping the known ones; a
        flip then costs $2M$. Slower, and not valid where trajectories are not reversible.
    reversible_within : float or None
        Where given, ``init`` checks that trajectories there and back miss their start by at most this distance.

    Raises
    ------
    ValueError
        A bad step size, number of steps or rate; from ``init``, a start of probability zero, or trajectories that are
        not reversible.
    Diverged
        From ``step``: an energy is NaN or minus infinity, or chains have nowhere to go.

    References
    ----------
    Berger et al. (2015), Section 3; the exponential clocks are Gillespie's (1977).
    """

    target: Target
    step_size: float | np.ndarray = 1.0
    n_leapfrog: int = 10
    refresh_rate: float = 0.1
    trajectory: Trajectory | None = None
    recompute_after_flip: bool = False
    reversible_within: float | None = None

    def __post_init__(self) -> None:
        check_count(self.n_leapfrog, "n_leapfrog")
        _check_rate(self.refresh_rate)
        if self.trajectory is None:
            advance = leapfrog_trajectory(self.target, self.step_size, self.n_leapfrog)
            object.__setattr__(self, "trajectory", advance)

    @property
    def move_costs(self) -> np.ndarray:
        """Gradient evaluations of a flip, a leap and a refresh, $(0, M, 2M)$; $(2M, M, 2M)$ where flips recompute."""
        return self.n_leapfrog * np.array([2 * self.recompute_after_flip, 1, 2])

    @property
    def forgetful_costs(self) -> np.ndarray:
        """The costs if both trajectories were integrated again after a flip, $(2M, M, 2M)$, for the same chain."""
        return self.n_leapfrog * np.array([2, 1, 2])

    def init(self, position: np.ndarray, rng: np.random.Generator) -> JumpState:
        r"""The state at ``position`` ``(n_dims, n_chains)``, momenta drawn from $\mathcal N(0, 1)$."""
        here = phase_point(self.target, position, rng.standard_normal(np.shape(position)))
        if self.reversible_within is not None:
            check_reversible(self.trajectory, here, self.reversible_within)
        return JumpState(here, self.trajectory(here, None), flip_momentum(self.trajectory(flip_momentum(here), None)))

    def step(self, state: JumpState, rng: np.random.Generator) -> tuple[JumpState, Step]:
        """One jump of each chain; what counts is the state before the jump, with the time for which it was held."""
        move, dwell = self._draw(state, rng)
        new = JumpState(
            *(PhasePoint(*(field.copy() for field in point)) for point in (state.ahead, state.ahead, state.here))
        )
        leap, flip, fresh = (np.flatnonzero(move == kind) for kind in (LEAP, FLIP, REFRESH))
        start = select_chains(state.here, fresh)
        start = start._replace(momentum=rng.standard_normal(start.momentum.shape))
        if self.recompute_after_flip:
            start = join_chains(start, flip_momentum(select_chains(state.here, flip)))
            fresh = np.concatenate([fresh, flip])
        elif flip.size:
            put_chains(new.here, flip, flip_momentum(select_chains(state.here, flip)))
            put_chains(new.ahead, flip, flip_momentum(select_chains(state.behind, flip)))
            put_chains(new.behind, flip, flip_momentum(select_chains(state.ahead, flip)))
        put_chains(new.here, fresh, start)

        open_ended = join_chains(select_chains(state.ahead, leap), start, flip_momentum(start))
        if open_ended.potential.size:
            end = self.trajectory(open_ended, np.concatenate([leap, fresh, fresh]))
            first, second = leap.size, leap.size + fresh.size
            put_chains(new.ahead, leap, select_chains(end, np.arange(first)))
            put_chains(new.ahead, fresh, select_chains(end, np.arange(first, second)))
            put_chains(new.behind, fresh, flip_momentum(select_chains(end, np.arange(second, end.potential.size))))
        return new, Step(state.here.position, dwell, move)

    def _draw(self, state: JumpState, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        here, ahead, behind = (hamiltonian(point) for point in state)
        lost = np.flatnonzero(~((ahead > -np.inf) & (behind > -np.inf)))
        if lost.size:
            raise Diverged(
                f"the energy at the end of a trajectory is NaN or minus infinity for {lost.size} of {here.size} chains "
                f"(the first is chain {lost[0]}): the trajectory has diverged, or the target returns NaN; try a "
                "smaller step size",
                state, lost,
            )  # fmt: skip
        # rates relative to the largest of the three: no overflow, however unlikely the present state is
        forth, back = 0.5 * (here - ahead), 0.5 * (here - behind)
        log_refresh = np.log(self.refresh_rate) if self.refresh_rate > 0 else -np.inf
        peak = np.maximum(np.maximum(forth, back), log_refresh)
        stuck = np.flatnonzero(peak < -700.0)
        if stuck.size:
            raise Diverged(
                f"chain {stuck[0]} has nowhere to go: both ends of its trajectory have probability zero and the "
                "refresh rate is zero; choose a positive refresh_rate",
                state, stuck,
            )  # fmt: skip
        leap = np.exp(forth - peak)
        flip = np.maximum(0.0, np.exp(back - peak) - leap)
        refresh = np.exp(log_refresh - peak)
        total = leap + flip + refresh
        dwell = rng.standard_exponential(here.size) / total * np.exp(-peak)
        choice = rng.random(here.size) * total
        move = np.where(choice < refresh, REFRESH, np.where(choice < refresh + flip, FLIP, LEAP)).astype(np.int8)
        return move, dwell


class ControlState(NamedTuple):
    """A state of `ControlHMC` with the trajectories that are already known.

    Attributes
    ----------
    here, ahead, behind : PhasePoint
        As in `JumpState`; ``ahead`` and ``behind`` hold something meaningful only where they are known.
    knows_ahead, knows_behind : array ``(n_chains,)`` of bool
        Which chains know them.
    """

    here: PhasePoint
    ahead: PhasePoint
    behind: PhasePoint
    knows_ahead: np.ndarray
    knows_behind: np.ndarray


@dataclass(frozen=True)
class ControlHMC:
    r"""The control of the publication: HMC in discrete time whose momenta are drawn anew now and then.

    $\zeta\to L\zeta$ with probability $\min(1, e^{H(\zeta)-H(L\zeta)})$, else $\zeta\to F\zeta$; then, with probability
    $r$, all of $v$ is drawn anew, for each chain by itself. The moves are 0 (flip) and 1 (leap) where a trajectory was
    integrated, 2 (flip) and 3 (leap) where it was already known: after a flip the proposal is the mirror image of where
    the chain came from. ``cache=False`` integrates it all the same, as the published control does.

    Parameters
    ----------
    target : Target
    step_size : float or array ``(n_chains,)``
    n_leapfrog : int
    refresh_rate : float
        $r \ge 0$; the probability is $\min(1, r)$.
    cache : bool
        Use trajectories that are already known; the law of the chain is the same.

    Raises
    ------
    ValueError
        A bad step size, number of steps or rate.
    Diverged
        From ``step``: an energy is NaN.
    """

    target: Target
    step_size: float | np.ndarray = 1.0
    n_leapfrog: int = 10
    refresh_rate: float = 0.1
    cache: bool = False

    def __post_init__(self) -> None:
        _check_rate(self.refresh_rate)
        advance = leapfrog_trajectory(self.target, self.step_size, self.n_leapfrog)
        object.__setattr__(self, "trajectory", advance)

    @property
    def move_costs(self) -> np.ndarray:
        """Gradient evaluations of the four moves, $(M, M, 0, 0)$."""
        return self.n_leapfrog * np.array([1, 1, 0, 0])

    @property
    def forgetful_costs(self) -> np.ndarray:
        """The costs if every proposal were integrated, known or not, $(M, M, M, M)$, for the same chain."""
        return np.full(4, self.n_leapfrog)

    def init(self, position: np.ndarray, rng: np.random.Generator) -> ControlState:
        r"""The state at ``position`` ``(n_dims, n_chains)``, momenta drawn from $\mathcal N(0, 1)$."""
        here = phase_point(self.target, position, rng.standard_normal(np.shape(position)))
        unknown = np.zeros(here.potential.size, dtype=bool)
        return ControlState(here, here, here, unknown, unknown)

    def step(self, state: ControlState, rng: np.random.Generator) -> tuple[ControlState, Step]:
        """One step of all chains."""
        known = np.flatnonzero(state.knows_ahead)
        ahead: PhasePoint = state.here

        def trajectory(point: PhasePoint, chains: np.ndarray | None) -> PhasePoint:
            nonlocal ahead
            if known.size == 0:
                ahead = self.trajectory(point, chains)
            else:
                unknown = np.flatnonzero(~state.knows_ahead)
                ahead = PhasePoint(*(field.copy() for field in state.ahead))
                if unknown.size:
                    put_chains(ahead, unknown, self.trajectory(select_chains(point, unknown), unknown))
            return PhasePoint(*(field.copy() for field in ahead))

        new, rung = climb_ladder(state.here, trajectory, 1, rng)
        redrawn = rng.random(rung.size) < self.refresh_rate
        noise = rng.standard_normal((new.momentum.shape[0], int(redrawn.sum())))
        new.momentum[:, redrawn] = noise
        move = rung + 2 * state.knows_ahead.astype(np.int8)
        position = Step(new.position, None, move)
        if not self.cache:
            nothing = np.zeros(rung.size, dtype=bool)
            return ControlState(new, new, new, nothing, nothing), position
        leapt = rung == 1
        behind = PhasePoint(*(field.copy() for field in state.here))
        flipped = np.flatnonzero(~leapt)
        put_chains(behind, flipped, flip_momentum(select_chains(ahead, flipped)))
        known_ahead = ~leapt & state.knows_behind & ~redrawn
        return ControlState(new, flip_momentum(state.behind), behind, known_ahead, ~redrawn), position
