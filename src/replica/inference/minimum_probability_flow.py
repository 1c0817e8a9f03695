r"""Minimum probability flow: fit a model by the flow of probability out of the data, without its normalisation.

A dynamics that would carry the data's distribution into the model's has rates $\Gamma_{ij}=g_{ij}
\exp\{\frac12[E_j-E_i]\}$ from state $j$ to its neighbours $i$. The flow that leaves the data at the first moment,

$$K(\theta) = \frac1{|\mathcal D|}\sum_{j\in\mathcal D}\sum_ig_{ij}\,e^{\frac12[E_j(\theta)-E_i(\theta)]} ,$$

is smallest at the true parameters, is convex where $E$ is linear in them, and needs the energies of data and
neighbours alone. Here for Ising models with single flips, and for continuous models whose neighbours are the ends of
Hamiltonian trajectories.

Source: Sohl-Dickstein, Battaglino and DeWeese, Phys. Rev. Lett. 107, 220601 (2011), and the long version,
arXiv:0906.4779.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.inference.fitting import Objective, check_size
from replica.sampling.ising import check_activity, check_couplings, check_states
from replica.sampling.leapfrog import leapfrog
from replica.sampling.targets import Target

Array = NDArray[np.float64]

#: Numbers worked on at once: a few such blocks stay in a processor's cache.
BLOCK = 60_000


def check_weights(weights: ArrayLike | None, n_states: int) -> Array:
    """Weights of states that sum to one, ``(n,)``; equal ones for None.

    Raises
    ------
    ValueError : wrong length, NaN, negative, or all zero.
    """
    if weights is None:
        return np.full(n_states, 1.0 / n_states)
    weights = np.asarray(weights, dtype=np.float64)
    if weights.shape != (n_states,) or not (weights >= 0).all() or not 0 < weights.sum() < np.inf:
        raise ValueError(f"weights: expected {n_states} numbers, none negative, not all zero; got {weights.shape}")
    return weights / weights.sum()


def row_blocks(n_rows: int, n_columns: int) -> list[slice]:
    """Slices of rows with about :data:`BLOCK` numbers each."""
    step = max(1, BLOCK // n_columns)
    return [slice(first, min(first + step, n_rows)) for first in range(0, n_rows, step)]


def ising_flow(
    states: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    all_flip: bool = False,
    within_data: bool = True,
) -> Objective:
    r"""The probability flow of an Ising model as an `Objective`, its data checked and prepared once.

    With $s_n=2x_n-1$ and $k_n(x)=\exp\{s_n(Jx)_n-\frac12J_{nn}\}$,

    $$K(J) = \Big\langle\sum_nk_n\Big\rangle_{\mathcal D}, \qquad
      \nabla K = \mathrm{sym}\Big\langle(k\circ s)\,x^\top-\tfrac12\mathrm{diag}(k)\Big\rangle_{\mathcal D} .$$

    Parameters
    ----------
    states : ``(n, d)``, binary.
    weights : ``(n,)``, of the states; equal by default. With all states and their exact probabilities, the average
        over the population.
    all_flip : also connect each state with the one in which every unit is flipped.
    within_data : keep the flow between states that both are data. False is the letter of the first-order
        expansion of the Kullback-Leibler divergence, for single flips only; see the notebook for what it does when
        the data fill the state space.

    Returns
    -------
    function of symmetric couplings ``(d, d)``, of which it checks the size alone.

    Raises
    ------
    ValueError : bad states or weights; a unit that never changes.
    """
    x = check_states(states)
    w = check_weights(weights, len(x))
    check_activity(x, w)
    d = x.shape[1]
    allowed = None
    if not within_data:
        if all_flip:
            raise ValueError("all_flip and within_data=False cannot be combined")
        x, w = _unique_states(x, w)
        allowed = _outside(x)
    sign = 2 * x - 1
    blocks = row_blocks(*x.shape)
    equal = bool((w == w[0]).all())

    def objective(couplings: Array) -> tuple[float, Array]:
        check_size(couplings, d)
        half = 0.5 * np.diag(couplings)
        total, gradient, out = 0.0, np.zeros((d, d)), np.zeros(d)
        for rows in blocks:
            s, y = sign[rows], x[rows]
            k = y @ couplings
            k *= s
            k -= half
            with np.errstate(over="ignore"):  # too long a step: the flow is infinite and the line search turns back
                np.exp(k, out=k)
            if allowed is not None:
                k *= allowed[rows]
            if not equal:
                k *= w[rows, None]
            out += k.sum(axis=0)
            k *= s
            gradient += k.T @ y
        if equal:
            gradient *= w[0]
            out *= w[0]
        total = float(out.sum())
        gradient = 0.5 * (gradient + gradient.T)
        gradient[np.diag_indices(d)] -= 0.5 * out
        if all_flip:
            more, slope = _all_flip(couplings, x, w)
            return total + more, gradient + slope
        return total, gradient

    return objective


def ising_objective(couplings: ArrayLike, states: ArrayLike, weights: ArrayLike | None = None) -> tuple[float, Array]:
    r"""Probability flow of an Ising model and its gradient, all arguments checked; see :func:`ising_flow`.

    Parameters
    ----------
    couplings : ``(d, d)``, symmetric, biases on the diagonal.
    states : ``(n, d)``, binary.
    weights : ``(n,)``, of the states; equal by default.

    Returns
    -------
    flow : $K(J)$, the probability that leaves the data per unit time.
    gradient : ``(d, d)``, symmetric.

    Raises
    ------
    ValueError : couplings not symmetric, states not binary, or a unit that never changes.
    """
    couplings = check_couplings(couplings)
    states = check_states(states, len(couplings))
    return ising_flow(states, weights)(couplings)


def _all_flip(couplings: Array, x: Array, w: Array) -> tuple[float, Array]:
    """Flow between each state and its negative: exp((E(x) - E(1 - x)) / 2)."""
    other = 1 - x
    difference = np.einsum("ni,ni->n", x @ couplings, x) - np.einsum("ni,ni->n", other @ couplings, other)
    term = w * np.exp(0.5 * difference)
    return float(term.sum()), 0.5 * ((x.T * term) @ x - (other.T * term) @ other)


def _unique_states(x: Array, w: Array) -> tuple[Array, Array]:
    unique, place = np.unique(x, axis=0, return_inverse=True)
    return unique, np.bincount(place.ravel(), w)


def _outside(x: Array) -> NDArray[np.bool_]:
    """Whether the state reached from state n by flipping unit i is not among the data, ``(n, d)``; distinct rows."""
    if x.shape[1] > 62:
        raise ValueError(f"within_data=False is offered for up to 62 units, got {x.shape[1]}")
    bit = 1 << np.arange(x.shape[1], dtype=np.int64)
    code = x.astype(np.int64) @ bit
    return ~np.isin(code[:, None] ^ bit, code)


class EnergyModel(Protocol):
    """A continuous model with parameters: a target of `replica.sampling`, and the gradient in its parameters."""

    n_dims: int

    def energy(self, x: Array) -> Array:
        """Energies ``(n,)`` of positions ``(n_dims, n)``."""
        ...

    def parameter_gradient(self, x: Array, weights: Array) -> Array:
        r"""$\sum_bw_b\nabla_\theta E(x_b)$, in the shape of the parameters."""
        ...


class Neighbours(NamedTuple):
    r"""One neighbour of each datum.

    Attributes
    ----------
    positions : ``(n_dims, n)``.
    kinetic : ``(n,)``, $\frac12v^2-\frac12v'^2$, the kinetic energy lost on the way.
    """

    positions: Array
    kinetic: Array


def hamiltonian_neighbours(
    target: Target, data: ArrayLike, step_size: float, n_steps: int, rng: np.random.Generator
) -> Neighbours:
    r"""Neighbours of data in a continuous space: the ends of leapfrog trajectories with fresh momenta.

    $(x,v)\mapsto(x',-v')$ preserves volume and undoes itself, so the rates between the two ends are those of a
    symmetric connection, and at the true parameters the mean gradient of the flow is zero.

    Parameters
    ----------
    target : the model at the present parameters; see `replica.sampling.targets`.
    data : ``(n_dims, n)``.
    step_size, n_steps : of :func:`replica.sampling.leapfrog.leapfrog`.

    Raises
    ------
    ValueError : data not finite or of the wrong shape.

    Source: long version, section on continuous state spaces.
    """
    x = np.ascontiguousarray(data, dtype=np.float64)
    if x.ndim != 2 or x.shape[0] != target.n_dims or x.shape[1] < 1:
        raise ValueError(f"data: expected shape ({target.n_dims}, n), got {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError("data: expected finite numbers, got NaN or infinity")
    v = rng.standard_normal(x.shape)
    end, momentum, _ = leapfrog(x, v, target.gradient(x), target, step_size, n_steps)
    return Neighbours(end, 0.5 * ((v * v).sum(axis=0) - (momentum * momentum).sum(axis=0)))


def neighbour_flow(model: EnergyModel, data: Array, neighbours: Neighbours) -> tuple[float, Array]:
    r"""Flow from data to one neighbour each, and its gradient in the model's parameters,

    $$K = \frac1{|\mathcal D|}\sum_xe^{\frac12[E(x)+\frac12v^2-E(x')-\frac12v'^2]}, \qquad
      \nabla_\theta K = \frac1{|\mathcal D|}\sum_x\tfrac12[\nabla_\theta E(x)-\nabla_\theta E(x')]\,e^{\dots} .$$

    The neighbours are kept fixed: nothing is differentiated through the trajectory.

    Parameters
    ----------
    model : see `EnergyModel`.
    data : ``(n_dims, n)``.
    neighbours : from :func:`hamiltonian_neighbours`.

    Returns
    -------
    flow : float.
    gradient : in the shape of the model's parameters.
    """
    n = data.shape[1]
    with np.errstate(over="ignore"):
        flow = np.exp(0.5 * (model.energy(data) + neighbours.kinetic - model.energy(neighbours.positions)))
    half = flow / (2 * n)
    slope = model.parameter_gradient(data, half) - model.parameter_gradient(neighbours.positions, half)
    return float(flow.mean()), slope


def minimise_flow(
    make_model: Callable[[Array], EnergyModel],
    start: ArrayLike,
    data: Array,
    rng: np.random.Generator,
    step_size: float = 0.3,
    n_leapfrog: int = 5,
    rounds: int = 60,
    evaluations: int = 10,
) -> list[Array]:
    r"""Fit a continuous model: draw neighbours at the present parameters, minimise the flow to them a little, repeat.

    Parameters
    ----------
    make_model : function from parameters to an `EnergyModel` that is a target too.
    start : initial parameters, any shape, finite.
    data : ``(n_dims, n)``.
    step_size, n_leapfrog : of the trajectories that find neighbours.
    rounds : how often neighbours are drawn.
    evaluations : most evaluations of flow and gradient (L-BFGS) in each round.

    Returns
    -------
    The parameters after each round, the start first: ``rounds + 1`` arrays.

    Raises
    ------
    ValueError : a start or data that are not finite, counts below one, or a step size that is not positive.
    """
    from scipy.optimize import minimize

    theta = np.array(start, dtype=np.float64)
    if not np.isfinite(theta).all():
        raise ValueError("start: expected finite numbers, got NaN or infinity")
    if min(rounds, evaluations, n_leapfrog) < 1 or not 0 < step_size < np.inf:
        raise ValueError(
            f"expected a positive step size and positive counts, got step size {step_size}, {n_leapfrog} leapfrog "
            f"steps, {rounds} rounds, {evaluations} evaluations"
        )
    path, shape = [theta], theta.shape
    for _ in range(rounds):
        neighbours = hamiltonian_neighbours(make_model(theta), data, step_size, n_leapfrog, rng)

        def objective(flat: Array, frozen: Neighbours = neighbours) -> tuple[float, Array]:
            value, gradient = neighbour_flow(make_model(flat.reshape(shape)), data, frozen)
            return value, gradient.ravel()

        end = minimize(
            objective, theta.ravel(), jac=True, method="L-BFGS-B",
            options={"maxfun": evaluations, "maxiter": evaluations, "maxcor": evaluations},
        )  # fmt: skip
        theta = end.x.reshape(shape)
        path.append(theta)
    return path
