r"""The computation-dissipation bottleneck: spin networks trained to compute, at a price for what they dissipate.

The objective of a device is :math:`\mathcal G_\alpha=I(X;Y)-\alpha\,\Sigma`: information of its steady state about the
required output in nats, and the entropy production rate averaged over inputs, :math:`\alpha` in units of (attempt)
time. Trained are couplings :math:`J_{ij}=W_{ij}J_{max}\tanh z_{ij}`, thresholds :math:`\theta_i=\tanh t_i` and, if
wanted, input weights :math:`B_{im}=B_{max}\tanh b_{im}`, all bounded: without bounds strong fields solve the task and
the rates saturate. Many devices (tasks, restarts, penalties, kinds of coupling) are trained side by side.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from replica.dynamics.adam import adam_step
from replica.thermodynamics.glauber import steady_state_gradient, steady_states
from replica.thermodynamics.information import check_labels

Array = NDArray[np.float64]


class Tasks(NamedTuple):
    """What P devices are asked to do."""

    inputs: Array
    """Patterns :math:`s`, shape (S, M), the same for all devices."""
    labels: NDArray[np.int64]
    """Required outputs :math:`y(s)`, shape (P, S)."""


class Weights(NamedTuple):
    """Parameters of P devices before they are bounded."""

    couplings: Array
    """:math:`z`, shape (P, N, N); the diagonal is not used."""
    thresholds: Array
    """:math:`t`, shape (P, N)."""
    inputs: Array
    """:math:`b`, shape (P, N, M)."""

    def pick(self, chosen: ArrayLike) -> Weights:
        """The weights of some of the devices, by index or mask."""
        return Weights(*(part[chosen] for part in self))


class Design(NamedTuple):
    """What is allowed to the devices."""

    tied: NDArray[np.bool_]
    r"""Whether :math:`z_{ij}` and :math:`z_{ji}` are one parameter, shape (P,)."""
    tilt: Array
    r"""Fixed factors :math:`W_{ij}`, shape (P, N, N): all one, or :func:`tilt_factors`."""
    coupling_bound: float = 1.0
    r""":math:`J_{max}`."""
    input_bound: float = 1.0
    r""":math:`B_{max}`."""
    train_inputs: bool = False
    """Whether input weights are trained."""


class Outcome(NamedTuple):
    """Trained devices and what they achieve."""

    weights: Weights
    """At the best objective met."""
    information: Array
    """:math:`I(X;Y)` in nats, shape (P,)."""
    dissipation: Array
    r""":math:`\Sigma` in nats per attempt time, shape (P,)."""
    objective: Array
    r""":math:`\mathcal G_\alpha`, shape (P,)."""


def tilt_factors(signs: ArrayLike, angle: float) -> Array:
    r"""Factors :math:`W_{ij}=\sqrt2\sin(\frac\pi4+\varepsilon_{ij}\delta)` of given orientation, shape (..., N, N).

    As :math:`W_{ij}^2+W_{ji}^2=2`, tied parameters of the same value give couplings of the same Frobenius norm at any
    :math:`\delta`: 0 is reciprocal, :math:`\pi/4` one-way, :math:`\pi/2` antisymmetric.

    Parameters
    ----------
    signs : array, shape (..., N, N)
        :math:`\varepsilon_{ij}=-\varepsilon_{ji}`, entries 1, -1 or 0: which of the two is the stronger.
    angle : float
        :math:`\delta`.

    Raises
    ------
    ValueError
        If the signs are not antisymmetric or not signs, or the angle is not finite.
    """
    e = np.asarray(signs, dtype=np.float64)
    if e.ndim < 2 or e.shape[-1] != e.shape[-2] or not (e == -np.swapaxes(e, -1, -2)).all():
        raise ValueError("expected antisymmetric signs, shape (..., N, N)")
    if not np.isin(e, (-1, 0, 1)).all():
        raise ValueError("expected signs of 1, -1 or 0")
    if not np.isfinite(angle):
        raise ValueError(f"expected a finite angle; got {angle!r}")
    return np.sqrt(2.0) * np.sin(np.pi / 4 + e * angle)


def free_design(devices: int, n_spins: int, tied: bool = False, **options: float | bool) -> Design:
    """A design without tilt for ``devices`` devices, free or (``tied``) reciprocal; further fields by name."""
    ones = np.ones((devices, n_spins, n_spins))
    return Design(np.full(devices, tied), ones, **options)  # type: ignore[arg-type]


def random_weights(devices: int, n_spins: int, inputs: ArrayLike, rng: np.random.Generator) -> Weights:
    r"""Starting weights: :math:`z\sim\frac12N(0,1)`, :math:`t=0`, and the given :math:`b` (P, N, M)."""
    return Weights(
        0.5 * rng.standard_normal((devices, n_spins, n_spins)), np.zeros((devices, n_spins)), np.asarray(inputs, float)
    )


def coupling_matrices(weights: Weights, design: Design) -> Array:
    r"""Couplings :math:`J`, shape (P, N, N), zero on the diagonal."""
    return design.tilt * design.coupling_bound * np.tanh(_effective(weights, design))


def local_fields(weights: Weights, design: Design, patterns: ArrayLike) -> Array:
    r"""Fields :math:`H_i(s)=\sum_mB_{im}s_m+\theta_i`, shape (P, S, N)."""
    b = design.input_bound * np.tanh(weights.inputs)
    return np.asarray(patterns, float) @ np.swapaxes(b, -1, -2) + np.tanh(weights.thresholds)[:, None, :]


def _effective(weights: Weights, design: Design) -> Array:
    z = weights.couplings
    z = np.where(design.tied[:, None, None], 0.5 * (z + np.swapaxes(z, -1, -2)), z)
    return z * (1.0 - np.eye(z.shape[-1]))


def information_slope(distribution: Array, labels: NDArray[np.int64]) -> tuple[Array, Array]:
    r"""Information :math:`I(X;Y)` (P,) in nats and its slope (P, S, n),

    .. math::

        \frac{\partial I}{\partial\pi(x|s)}=\frac1S\ln\frac{p(x|y(s))}{p(x)}

    (up to a constant, which changes nothing as :math:`\pi` stays normalised).

    Parameters
    ----------
    distribution : array, shape (P, S, n)
    labels : array of int, shape (P, S)
        Each value from 0 to the largest must occur in every row.
    """
    one_hot = (labels[:, None, :] == np.arange(labels.max() + 1)[:, None]).astype(np.float64)  # (P, K, S)
    count = one_hot.sum(axis=-1, keepdims=True)
    if not count.all():
        raise ValueError("each label must occur among the inputs of every device")
    given = one_hot @ distribution / count  # p(x|y), (P, K, n)
    tiny = np.finfo(np.float64).tiny
    ratio = np.log(np.maximum(given, tiny)) - np.log(np.maximum(distribution.mean(axis=1, keepdims=True), tiny))
    share = count[..., 0] / labels.shape[-1]
    information = np.einsum("pk,pkx,pkx->p", share, given, ratio)
    return information, np.swapaxes(one_hot, -1, -2) @ ratio / labels.shape[-1]


def objective_gradient(weights: Weights, design: Design, tasks: Tasks, penalty: Array) -> tuple[Array, Array, Weights]:
    r"""Information (P,), dissipation (P,), and the exact gradient of :math:`\mathcal G_\alpha` in the weights.

    Parameters
    ----------
    weights, design, tasks
        P devices and their tasks.
    penalty : array, shape (P,)
        :math:`\alpha` of each.
    """
    patterns = np.asarray(tasks.inputs, dtype=np.float64)
    j, h = coupling_matrices(weights, design), local_fields(weights, design, patterns)
    steady = steady_states(j, h)
    information, slope = information_slope(steady.distribution, tasks.labels)
    dissipation = steady.entropy_production.mean(axis=1)
    by_j, by_h = steady_state_gradient(steady, slope, -penalty / len(patterns))
    by_z = by_j * design.tilt * design.coupling_bound * (1 - np.tanh(_effective(weights, design)) ** 2)
    by_z = np.where(design.tied[:, None, None], 0.5 * (by_z + np.swapaxes(by_z, -1, -2)), by_z)
    by_t = by_h.sum(axis=1) * (1 - np.tanh(weights.thresholds) ** 2)
    by_b = np.zeros_like(weights.inputs)
    if design.train_inputs:
        by_b = np.swapaxes(by_h, -1, -2) @ patterns * design.input_bound * (1 - np.tanh(weights.inputs) ** 2)
    return information, dissipation, Weights(by_z, by_t, by_b)


def device_response(weights: Weights, design: Design, patterns: ArrayLike, chunk: int = 4096) -> tuple[Array, Array]:
    r"""Steady states :math:`\pi(x|s)` (P, S, n) and entropy production rates (P, S) of trained devices.

    Inputs are taken ``chunk`` at a time over all devices, so that no more than that many eliminations are in memory.
    """
    j, h = coupling_matrices(weights, design), local_fields(weights, design, patterns)
    width = max(1, chunk // len(j))
    parts = [steady_states(j, h[:, k : k + width])[:2] for k in range(0, h.shape[1], width)]
    return np.concatenate([p for p, _ in parts], axis=1), np.concatenate([s for _, s in parts], axis=1)


def train_devices(
    weights: Weights,
    design: Design,
    tasks: Tasks,
    penalty: ArrayLike,
    steps: int,
    rate: float = 0.1,
) -> Outcome:
    r"""Adam on the exact gradient of :math:`\mathcal G_\alpha`, every device by itself; the best weights met are kept.

    The step size falls from ``rate`` to zero by half a cosine. For many devices with few inputs.

    Parameters
    ----------
    weights : Weights
        Where to start.
    design : Design
    tasks : Tasks
    penalty : array, shape () or (P,)
        :math:`\alpha\ge0`.
    steps : int
    rate : float

    Raises
    ------
    ValueError
        For weights, a design or labels that do not fit, a negative penalty, or fewer than one step.
    """
    tasks, penalty = _checked(weights, design, tasks, penalty)
    if steps < 1:
        raise ValueError(f"expected at least one step; got {steps}")
    best = Weights(*(part.copy() for part in weights))
    top = np.full(len(penalty), -np.inf)
    moments = [(np.zeros_like(part), np.zeros_like(part)) for part in weights]
    for step in range(steps):
        information, dissipation, gradient = objective_gradient(weights, design, tasks, penalty)
        objective = information - penalty * dissipation
        better = objective > top
        top = np.where(better, objective, top)
        best = Weights(*(_where(better, new, old) for new, old in zip(weights, best)))
        pace = 0.5 * rate * (1 + np.cos(np.pi * step / steps))
        weights = Weights(*(adam_step(w, -g, m, step + 1, pace) for w, g, m in zip(weights, gradient, moments)))
    return judge(best, design, tasks, penalty)


def refine_devices(
    weights: Weights, design: Design, tasks: Tasks, penalty: ArrayLike, evaluations: int = 300
) -> Outcome:
    r"""L-BFGS on :math:`\mathcal G_\alpha`, one device after the other, until converged.

    For few devices with many inputs.

    Parameters
    ----------
    weights, design, tasks, penalty
        As in :func:`train_devices`.
    evaluations : int
        Most evaluations of objective and gradient for each device.

    Raises
    ------
    ValueError
        As :func:`train_devices`, or for fewer than one evaluation.
    """
    if evaluations < 1:
        raise ValueError(f"expected at least one evaluation; got {evaluations}")
    tasks, penalty = _checked(weights, design, tasks, penalty)
    found = []
    for p in range(len(penalty)):
        alone = design._replace(tied=design.tied[[p]], tilt=design.tilt[[p]])
        own = Tasks(tasks.inputs, tasks.labels[[p]])
        start = weights.pick([p])
        ends = np.cumsum([part.size for part in start])[:-1]
        shapes = [part.shape for part in start]

        def unpack(flat: Array, ends: Array = ends, shapes: list[tuple[int, ...]] = shapes) -> Weights:
            return Weights(*(part.reshape(shape) for part, shape in zip(np.split(flat, ends), shapes)))

        def loss(
            flat: Array, alone: Design = alone, own: Tasks = own, alpha: Array = penalty[[p]]
        ) -> tuple[float, Array]:
            information, dissipation, gradient = objective_gradient(unpack(flat), alone, own, alpha)
            value = float(alpha[0] * dissipation[0] - information[0])
            return value, -np.concatenate([part.ravel() for part in gradient])

        flat = np.concatenate([part.ravel() for part in start])
        options = {"maxfun": evaluations, "maxiter": evaluations, "maxcor": 20, "ftol": 1e-9, "gtol": 1e-7}
        found.append(unpack(minimize(loss, flat, jac=True, method="L-BFGS-B", options=options).x))
    return judge(Weights(*(np.concatenate(parts) for parts in zip(*found))), design, tasks, penalty)


def judge(weights: Weights, design: Design, tasks: Tasks, penalty: ArrayLike) -> Outcome:
    """What devices achieve, without training them. Refuses what :func:`train_devices` refuses."""
    tasks, penalty = _checked(weights, design, tasks, penalty)
    distribution, production = device_response(weights, design, tasks.inputs)
    information, dissipation = information_slope(distribution, tasks.labels)[0], production.mean(axis=1)
    return Outcome(weights, information, dissipation, information - penalty * dissipation)


def best_of(outcome: Outcome, starts: int) -> NDArray[np.int64]:
    """Index of the best objective among each group of ``starts`` consecutive devices, shape (P / starts,)."""
    groups = outcome.objective.reshape(-1, starts)
    return np.arange(len(groups)) * starts + groups.argmax(axis=1)


def upper_envelope(outcomes: list[Outcome], penalties: ArrayLike) -> list[Outcome]:
    r"""For each penalty the best of *all* the outcomes found, device by device.

    Information and dissipation then fall with :math:`\alpha` for each device: if number 1 is best at :math:`\alpha_1`
    and number 2 at :math:`\alpha_2>\alpha_1`, both from one pool, adding both inequalities gives
    :math:`(\alpha_2-\alpha_1)(\Sigma_2-\Sigma_1)\le0`, and the first of them :math:`I_2\le I_1`.

    Parameters
    ----------
    outcomes : list of Outcome
        Alternatives for the same P devices.
    penalties : array, shape (K,)

    Returns
    -------
    list of Outcome
        One for each penalty, with the objective at it.
    """
    information = np.stack([o.information for o in outcomes])
    dissipation = np.stack([o.dissipation for o in outcomes])
    parts = [np.stack(part) for part in zip(*(o.weights for o in outcomes))]
    found = []
    for alpha in np.asarray(penalties, dtype=np.float64):
        objective = information - alpha * dissipation
        at = (objective.argmax(axis=0), np.arange(objective.shape[1]))
        weights = Weights(*(part[at] for part in parts))
        found.append(Outcome(weights, information[at], dissipation[at], objective[at]))
    return found


def _checked(weights: Weights, design: Design, tasks: Tasks, penalty: ArrayLike) -> tuple[Tasks, Array]:
    patterns = np.asarray(tasks.inputs, dtype=np.float64)
    if patterns.ndim != 2 or not np.isfinite(patterns).all():
        raise ValueError(f"expected finite input patterns, shape (S, M); got shape {patterns.shape}, NaN or infinity")
    devices, spins = np.shape(weights.thresholds)
    asked = ((devices, spins, spins), (devices, spins, patterns.shape[1]), (devices,), (devices, spins, spins))
    came = tuple(np.shape(part) for part in (weights.couplings, weights.inputs, design.tied, design.tilt))
    if came != asked:
        raise ValueError(
            f"for {devices} devices of {spins} spins expected couplings, input weights, tied and tilt of shapes "
            f"{asked}; got {came}"
        )
    labels = np.broadcast_to(check_labels(tasks.labels, len(patterns)), (devices, len(patterns)))
    alpha = np.broadcast_to(np.asarray(penalty, dtype=np.float64), (devices,))
    if not np.isfinite(alpha).all() or (alpha < 0).any():
        raise ValueError(f"the penalty on dissipation must be finite and not negative; got {alpha.min():.4g}")
    return Tasks(patterns, labels), alpha


def _where(better: NDArray[np.bool_], new: Array, old: Array) -> Array:
    return np.where(better.reshape(-1, *(1,) * (new.ndim - 1)), new, old)
