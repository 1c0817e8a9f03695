r"""Phase space: points, leapfrog integration $L$, momentum flip $F$ and momentum corruption $R(\beta)$.

The exact identities $FF = 1$ and $FLFL = 1$ (so $L^{-1} = FLF$), and that $L$ preserves volume, are what Hamiltonian
Monte Carlo and its relatives rest on. Functions return new arrays and change no argument, `put_chains`
excepted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from replica.sampling.targets import Target

__all__ = [
    "PhasePoint",
    "Trajectory",
    "check_reversible",
    "flip_momentum",
    "hamiltonian",
    "join_chains",
    "leapfrog",
    "leapfrog_trajectory",
    "phase_point",
    "put_chains",
    "refresh_momentum",
    "reversibility_error",
    "select_chains",
]


class PhasePoint(NamedTuple):
    r"""Positions and momenta of all chains, with what is already known about the energy there.

    Carrying the gradient along is why one application of $L$ costs $M$ gradient evaluations and not $M+1$.

    Attributes
    ----------
    position, momentum
        ``(n_dims, n_chains)``.
    gradient
        ``(n_dims, n_chains)``, $\nabla E$ at the position.
    potential
        ``(n_chains,)``, $E$ at the position.
    """

    position: np.ndarray
    momentum: np.ndarray
    gradient: np.ndarray
    potential: np.ndarray


#: $L$ as a function ``(point, chains) -> point``. ``chains`` holds the indices of the point's chains among all chains
#: (None: all of them), so that a step size that differs from chain to chain can be looked up for a subset.
Trajectory = Callable[[PhasePoint, "np.ndarray | None"], PhasePoint]


def phase_point(target: Target, position: np.ndarray, momentum: np.ndarray) -> PhasePoint:
    """Evaluate energy and gradient at ``position`` and return the phase point (copies, float64, contiguous).

    Raises
    ------
    ValueError
        Shapes differ or are not ``(n_dims, n_chains)``, an entry is not finite, or a start has no finite energy (NaN,
        or infinite: probability zero).
    """
    position = np.array(position, dtype=np.float64, order="C")
    momentum = np.array(momentum, dtype=np.float64, order="C")
    if position.ndim != 2 or position.shape[0] != target.n_dims or position.shape[1] < 1:
        raise ValueError(f"position must have shape ({target.n_dims}, n_chains), got {position.shape}")
    if momentum.shape != position.shape:
        raise ValueError(f"momentum must have the position's shape {position.shape}, got {momentum.shape}")
    if not (np.isfinite(position).all() and np.isfinite(momentum).all()):
        raise ValueError("position and momentum must be finite; at least one entry is NaN or infinite")
    potential = target.energy(position)
    lost = np.flatnonzero(~np.isfinite(potential))
    if lost.size:
        raise ValueError(
            f"chains must start where the probability is positive: the energy of {lost.size} of {potential.size} "
            f"chains is not finite (the first is chain {lost[0]}, whose energy is {potential[lost[0]]})"
        )
    return PhasePoint(position, momentum, target.gradient(position), potential)


def hamiltonian(point: PhasePoint) -> np.ndarray:
    r"""$H = E(x) + \tfrac12 v^\top v$, shape ``(n_chains,)``, in units of $kT$."""
    return point.potential + 0.5 * np.einsum("ib,ib->b", point.momentum, point.momentum)


def flip_momentum(point: PhasePoint) -> PhasePoint:
    r"""$F\{x, v\} = \{x, -v\}$."""
    return point._replace(momentum=-point.momentum)


def select_chains(point: PhasePoint, chains: np.ndarray) -> PhasePoint:
    """The phase point of a subset of chains (integer indices), as contiguous copies."""
    return PhasePoint(
        point.position.take(chains, axis=1),
        point.momentum.take(chains, axis=1),
        point.gradient.take(chains, axis=1),
        point.potential.take(chains),
    )


def put_chains(into: PhasePoint, chains: np.ndarray, values: PhasePoint) -> None:
    """Write the phase points of a subset of chains into ``into``, in place: the inverse of `select_chains`."""
    if chains.size == 0:
        return
    into.position[:, chains] = values.position
    into.momentum[:, chains] = values.momentum
    into.gradient[:, chains] = values.gradient
    into.potential[chains] = values.potential


def join_chains(*points: PhasePoint) -> PhasePoint:
    """Several groups of chains side by side as one phase point."""
    return PhasePoint(*(np.concatenate(fields, axis=-1) for fields in zip(*points, strict=True)))


def check_beta(beta: float | np.ndarray) -> np.ndarray:
    """``beta`` as an array, or ValueError unless every entry lies in (0, 1]."""
    values = np.asarray(beta, dtype=np.float64)
    if not ((values > 0) & (values <= 1)).all():
        raise ValueError(f"beta, the share of momentum variance renewed per step, must lie in (0, 1], got {beta!r}")
    return values


def refresh_momentum(momentum: np.ndarray, beta: float | np.ndarray, rng: np.random.Generator) -> np.ndarray:
    r"""Momentum corruption $R(\beta)$: $v \leftarrow \sqrt{1-\beta}\,v + \sqrt{\beta}\,n$, $n \sim \mathcal N(0, 1)$.

    ``beta`` is a number or one per chain ``(n_chains,)``, in (0, 1]; 1 draws all momenta anew. Leaves $\mathcal N(0,1)$
    momenta invariant. Reference: Sohl-Dickstein et al. (2014), Section 2.
    """
    beta = check_beta(beta)
    return np.sqrt(1.0 - beta) * momentum + np.sqrt(beta) * rng.standard_normal(momentum.shape)


def check_step_size(step_size: float | np.ndarray) -> np.ndarray:
    """``step_size`` as an array, or ValueError unless every entry is positive and finite."""
    values = np.asarray(step_size, dtype=np.float64)
    if not (np.isfinite(values) & (values > 0)).all():
        raise ValueError(f"step_size must be positive and finite, got {step_size!r}")
    return values


def check_count(value: int, name: str) -> int:
    """``value`` as an int, or ValueError unless it is a whole number of at least 1."""
    if int(value) != value or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    return int(value)


def leapfrog(
    position: np.ndarray,
    momentum: np.ndarray,
    gradient: np.ndarray,
    target: Target,
    step_size: float | np.ndarray,
    n_steps: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""``n_steps`` leapfrog steps, the operator $L$,

    $$v \leftarrow v - \tfrac{\epsilon}{2}\nabla E(x),\quad x \leftarrow x + \epsilon v,\quad
      v \leftarrow v - \tfrac{\epsilon}{2}\nabla E(x) .$$

    Half-kicks that meet are merged, so the cost is exactly ``n_steps`` gradient evaluations.

    Parameters
    ----------
    position, momentum
        ``(n_dims, n_chains)``.
    gradient
        $\nabla E$ at ``position``, same shape.
    step_size
        $\epsilon > 0$, a number or one per chain ``(n_chains,)``.
    n_steps
        $M \ge 1$.

    Returns
    -------
    position, momentum and gradient at the end, each ``(n_dims, n_chains)``.

    Raises
    ------
    ValueError
        ``step_size`` not positive and finite, or ``n_steps`` below 1.

    References
    ----------
    Sohl-Dickstein et al. (2014), Section 2; Neal (2011), Section 2.3.
    """
    step_size, n_steps = check_step_size(step_size), check_count(n_steps, "n_steps")
    x = position.copy()
    v = momentum - (0.5 * step_size) * gradient
    g, change = np.empty_like(x), np.empty_like(x)
    for step in range(n_steps):
        np.multiply(v, step_size, out=change)
        x += change
        target.gradient(x, out=g)
        np.multiply(g, step_size if step < n_steps - 1 else 0.5 * step_size, out=change)
        v -= change
    return x, v, g


def leapfrog_trajectory(target: Target, step_size: float | np.ndarray, n_steps: int) -> Trajectory:
    """The operator $L$ for a target, a step size (a number or one per chain) and ``n_steps`` leapfrog steps.

    Returns a function ``(point, chains=None) -> point`` that integrates a phase point forward; ``chains`` are the
    indices of the point's chains when it holds a subset of them.
    """
    step_size, n_steps = check_step_size(step_size), check_count(n_steps, "n_steps")

    def advance(point: PhasePoint, chains: np.ndarray | None = None) -> PhasePoint:
        epsilon = step_size[chains] if step_size.ndim and chains is not None else step_size
        x, v, g = leapfrog(point.position, point.momentum, point.gradient, target, epsilon, n_steps)
        return PhasePoint(x, v, g, target.energy(x))

    return advance


def reversibility_error(trajectory: Trajectory, point: PhasePoint) -> np.ndarray:
    r"""How far $FLFL$ is from the identity in floating-point arithmetic, which grows by rounding where $L$ is chaotic.

    Returns
    -------
    array ``(n_chains,)``
        Largest absolute difference of any position or momentum after a trajectory forth and back.
    """
    back = flip_momentum(trajectory(flip_momentum(trajectory(point, None)), None))
    return np.maximum(
        np.abs(back.position - point.position).max(axis=0), np.abs(back.momentum - point.momentum).max(axis=0)
    )


def check_reversible(trajectory: Trajectory, point: PhasePoint, tolerance: float = 1e-5) -> float:
    """The largest `reversibility_error` of all chains, or an error where it exceeds ``tolerance``.

    Raises
    ------
    ValueError
        Some chain does not come back; the sentence names it and the distance.
    """
    error = reversibility_error(trajectory, point)
    lost = np.flatnonzero(~(error <= tolerance))
    if lost.size:
        worst = int(lost[np.argmax(np.where(np.isnan(error[lost]), np.inf, error[lost]))])
        raise ValueError(
            f"trajectories are not reversible: there and back, chain {worst} misses its start by {error[worst]:.3g}, "
            f"expected at most {tolerance:.3g} ({lost.size} of {error.size} chains do); a sampler that relies on the "
            "way back is not valid here, take a smaller step size or fewer leapfrog steps"
        )
    return float(error.max())
