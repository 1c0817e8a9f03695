r"""Look Ahead Hamiltonian Monte Carlo (LAHMC).

From a state $\zeta$, the ladder of states $L\zeta, L^2\zeta, \dots, L^K\zeta$ is climbed until one of them is taken;
the momentum is reversed only when none is. ``n_lookahead`` = K = 1 is ordinary HMC with persistent momentum.

The published transition probabilities are defined by a recursion (`lookahead_cumulative_recursive`). It telescopes:
the probability of having moved within the first $a$ rungs is

$$C_a(\zeta) = \min\big[1,\; \max_{1 \le b \le a} e^{H(\zeta) - H(L^b\zeta)}\big] ,$$

so one uniform number $u$ decides everything: go to the first rung whose energy satisfies
$H(L^a\zeta) \le H(\zeta) - \ln u$. Proof by induction: let $m = \min(h_1..h_{a-1})$ and suppose the formula holds
below $a$. If $m \le h_0$, $C_{a-1} = 1$ and nothing is left to add. If $h_a \ge m$, the reversed cumulative
$C(h_a,..,h_1)$ is 1 and nothing is added. Otherwise $h_a < m$ and $h_0 < m$, and the increment is
$\min[1 - e^{h_0-m},\, e^{h_0-h_a}(1 - e^{h_a-m})]$, which lifts $e^{h_0-m}$ to $\min(1, e^{h_0-h_a})$.

References: Sohl-Dickstein, Mudigonda and DeWeese (2014), Section 3; Campos and Sanz-Serna (2015) describe an
equivalent algorithm ("extra chance").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from replica.sampling.chains import Diverged, Step
from replica.sampling.leapfrog import (
    PhasePoint,
    Trajectory,
    check_beta,
    check_count,
    hamiltonian,
    leapfrog_trajectory,
    phase_point,
    put_chains,
    refresh_momentum,
    select_chains,
)
from replica.sampling.targets import Target

__all__ = [
    "LookAheadHMC",
    "beta_from_alpha",
    "climb_ladder",
    "look_ahead_costs",
    "look_ahead_step",
    "lookahead_cumulative",
    "lookahead_cumulative_recursive",
    "transition_probabilities",
]


def _check_energies(energies: np.ndarray) -> np.ndarray:
    energies = np.asarray(energies, dtype=np.float64)
    if energies.ndim < 1 or energies.shape[0] < 2:
        raise ValueError(f"energies must have shape (K + 1, ...) with K at least 1, got {energies.shape}")
    if np.isnan(energies).any():
        raise ValueError(f"energies must not be NaN; {int(np.isnan(energies).sum())} of {energies.size} entries are")
    if not np.isfinite(energies[0]).all() or (energies == -np.inf).any():
        raise ValueError("the energy of the present state must be finite, and none may be minus infinity")
    return energies


def lookahead_cumulative(energies: np.ndarray) -> np.ndarray:
    r"""Probability of having moved within the first $a$ rungs, $C_a = \min[1, \max_{1\le b\le a} e^{h_0-h_b}]$.

    Parameters
    ----------
    energies
        ``(K + 1, ...)``, the Hamiltonian $h_a = H(L^a\zeta)$ along the ladder, $h_0$ first; $+\infty$ is allowed
        above $h_0$ and means a state of probability zero.

    Returns
    -------
    ``(K, ...)``, $C_1 \le \dots \le C_K$ in [0, 1].

    Raises
    ------
    ValueError
        Fewer than two energies, NaN, a non-finite $h_0$, or minus infinity.

    References
    ----------
    closed form of the recursion of Sohl-Dickstein et al. (2014), Section 3; proof in the module's docstring.
    """
    energies = _check_energies(energies)
    lowest = np.minimum.accumulate(energies[1:], axis=0)
    return np.exp(np.minimum(energies[0] - lowest, 0.0))


def lookahead_cumulative_recursive(energies: np.ndarray) -> np.ndarray:
    r"""The same cumulative probabilities by the published recursion, in $O(K^2)$,

    $$C(h_0..h_a) = C(h_0..h_{a-1}) + \min\big[1 - C(h_0..h_{a-1}),\; e^{h_0-h_a}\,(1 - C(h_a, h_{a-1}..h_1))\big] .$$

    The backward cumulative runs along the reversed list, which starts at $h_a$ and stops at $h_1$, because
    $L^b F L^a \zeta = F L^{a-b} \zeta$ and a flip does not change the energy. Parameters, returned values and errors
    are those of `lookahead_cumulative`. Reference: Sohl-Dickstein et al. (2014), Section 3.
    """
    energies = _check_energies(energies)
    n_lookahead = energies.shape[0] - 1
    nothing = np.zeros(energies.shape[1:])
    # reach[s, e]: probability of having moved when the rungs from s (exclusive) to e (inclusive) were on offer
    reach = {(s, s): nothing for s in range(n_lookahead + 1)}
    for length in range(1, n_lookahead + 1):
        for low in range(n_lookahead + 1 - length):
            high = low + length
            for start, end, step in ((low, high, 1), (high, low, -1)):
                before, backward = reach[start, end - step], reach[end, start + step]
                # only the smaller argument of min[] matters and it is at most 1: capping at e^700 avoids infinity * 0
                with np.errstate(invalid="ignore"):
                    drop = np.where(np.isposinf(energies[end]), -np.inf, energies[start] - energies[end])
                ratio = np.exp(np.minimum(drop, 700.0))
                reach[start, end] = before + np.minimum(1.0 - before, ratio * (1.0 - backward))
    return np.stack([reach[0, a] for a in range(1, n_lookahead + 1)])


def transition_probabilities(energies: np.ndarray) -> np.ndarray:
    r"""$(\pi_F, \pi_L, \dots, \pi_{L^K})$, shape ``(K + 1, ...)``, summing to one along the first axis.

    Parameters and errors are those of `lookahead_cumulative`.
    """
    cumulative = lookahead_cumulative(energies)
    return np.concatenate([1.0 - cumulative[-1:], cumulative[:1], np.diff(cumulative, axis=0)])


def beta_from_alpha(alpha: float, step_size: float | np.ndarray, n_leapfrog: int | np.ndarray) -> np.ndarray:
    r"""$\beta = \alpha^{1/(\epsilon M)}$, $0 < \alpha < 1$: corruption at a fixed rate per unit of integration time.

    A smaller $\alpha$ means *less* corruption per step. Reference: Sohl-Dickstein et al. (2014), Section 4 and code.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie strictly between 0 and 1, got {alpha!r}")
    duration = np.asarray(step_size, dtype=np.float64) * np.asarray(n_leapfrog)
    if not (duration > 0).all():
        raise ValueError("step_size times n_leapfrog must be positive")
    return alpha ** (1.0 / duration)


@dataclass(frozen=True)
class LookAheadHMC:
    r"""Look Ahead HMC as a sampler for `replica.sampling.chains.run_chains`; ``n_lookahead=1`` is ordinary HMC.

    Parameters
    ----------
    target
        Energy and gradient.
    step_size
        $\epsilon$, a number or one per chain.
    n_leapfrog
        M, leapfrog steps of one trajectory.
    n_lookahead
        K, at least 1.
    beta
        Momentum corruption in (0, 1], a number or one per chain; 1 draws all momenta anew.
    trajectory
        The operator $L$, where it is not leapfrog; ``step_size`` is not used then, and ``n_leapfrog`` for costs alone.

    A step's ``move`` is the rung taken, 1 to K, or 0 for a flip.

    Raises
    ------
    ValueError
        Bad ``n_lookahead``, ``beta``, ``step_size`` or ``n_leapfrog``.

    References
    ----------
    Sohl-Dickstein et al. (2014), Section 3 and Algorithm.
    """

    target: Target
    step_size: float | np.ndarray = 1.0
    n_leapfrog: int = 10
    n_lookahead: int = 1
    beta: float | np.ndarray = 0.1
    trajectory: Trajectory | None = None

    def __post_init__(self) -> None:
        check_count(self.n_lookahead, "n_lookahead")
        check_beta(self.beta)
        if self.trajectory is None:
            advance = leapfrog_trajectory(self.target, self.step_size, self.n_leapfrog)
            object.__setattr__(self, "trajectory", advance)

    @property
    def move_costs(self) -> np.ndarray:
        """See `look_ahead_costs`."""
        return look_ahead_costs(self.n_leapfrog, self.n_lookahead)

    def init(self, position: np.ndarray, rng: np.random.Generator) -> PhasePoint:
        r"""The phase point at ``position`` ``(n_dims, n_chains)``, momenta drawn from $\mathcal N(0, 1)$."""
        return phase_point(self.target, position, rng.standard_normal(np.shape(position)))

    def step(self, state: PhasePoint, rng: np.random.Generator) -> tuple[PhasePoint, Step]:
        """One step of all chains, see `look_ahead_step`."""
        new, rung = look_ahead_step(state, self.trajectory, self.n_lookahead, self.beta, rng)
        return new, Step(new.position, None, rung)


def look_ahead_costs(n_leapfrog: int, n_lookahead: int) -> np.ndarray:
    """Gradient evaluations of a flip (K trajectories, all refused) and of a move to rung 1 to K, ``(K + 1,)``."""
    n_leapfrog, n_lookahead = check_count(n_leapfrog, "n_leapfrog"), check_count(n_lookahead, "n_lookahead")
    return n_leapfrog * np.concatenate([[n_lookahead], np.arange(1, n_lookahead + 1)])


def look_ahead_step(
    point: PhasePoint, trajectory: Trajectory, n_lookahead: int, beta: float | np.ndarray, rng: np.random.Generator
) -> tuple[PhasePoint, np.ndarray]:
    r"""One step of LAHMC for all chains: climb the ladder, flip if nothing is taken, corrupt the momentum.

    One uniform number $u$ per chain serves all K comparisons; a chain goes to the first rung with
    $H(L^a\zeta) \le H(\zeta) - \ln u$. Only undecided chains are integrated further.

    Parameters
    ----------
    point
        The present phase point.
    trajectory
        The operator $L$, see `replica.sampling.leapfrog.leapfrog_trajectory`.
    n_lookahead
        K, at least 1 (1 is HMC).
    beta
        Momentum corruption in (0, 1], a number or one per chain.
    rng
        Source of the uniform numbers and of the momentum noise.

    Returns
    -------
    The new phase point, and ``(n_chains,)`` small integers: the rung taken, 1 to K, or 0 for a flip.

    Raises
    ------
    ValueError
        Bad ``n_lookahead`` or ``beta``.
    Diverged
        The energy along a trajectory is NaN.

    References
    ----------
    Sohl-Dickstein et al. (2014), Section 3 and Algorithm.
    """
    beta = check_beta(beta)
    new, rung = climb_ladder(point, trajectory, n_lookahead, rng)
    return new._replace(momentum=refresh_momentum(new.momentum, beta, rng)), rung


def climb_ladder(
    point: PhasePoint, trajectory: Trajectory, n_lookahead: int, rng: np.random.Generator
) -> tuple[PhasePoint, np.ndarray]:
    """The part of `look_ahead_step` before the momentum is corrupted: go to a rung, or flip."""
    n_lookahead = check_count(n_lookahead, "n_lookahead")
    n_chains = point.potential.size
    # 1 - random() lies in (0, 1], so the logarithm is finite
    ceiling = hamiltonian(point) - np.log(1.0 - rng.random(n_chains))

    new = trajectory(point, None)
    taken = _below(new, ceiling, 1, np.arange(n_chains), point)
    rung = taken.astype(np.int8)
    waiting = np.flatnonzero(~taken)
    climber = select_chains(new, waiting)
    for a in range(2, n_lookahead + 1):
        if waiting.size == 0:
            break
        climber = trajectory(climber, waiting)
        taken = _below(climber, ceiling[waiting], a, waiting, point)
        put_chains(new, waiting[taken], select_chains(climber, np.flatnonzero(taken)))
        rung[waiting[taken]] = a
        climber, waiting = select_chains(climber, np.flatnonzero(~taken)), waiting[~taken]
    if waiting.size:
        stay = select_chains(point, waiting)
        put_chains(new, waiting, stay._replace(momentum=-stay.momentum))
    return new, rung


def _below(reached: PhasePoint, ceiling: np.ndarray, rung: int, chains: np.ndarray, start: PhasePoint) -> np.ndarray:
    energy = hamiltonian(reached)
    taken = energy <= ceiling
    # NaN compares false, so a look is needed only where something was refused
    if not taken.all() and np.isnan(energy).any():
        lost = chains[np.isnan(energy)]
        raise Diverged(
            f"the energy is NaN for {lost.size} of {energy.size} chains (the first is chain {lost[0]}) at rung {rung} "
            "of the ladder: the trajectory has diverged, or the target returns NaN; try a smaller step size",
            start, lost,
        )  # fmt: skip
    return taken
