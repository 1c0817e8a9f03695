r"""Gradient flow :math:`\dot\theta=-\nabla\mathcal L` of torch networks from small initialisation, many seeds at once.

Near a saddle the flow waits for times that grow like a power of 1/(initial scale) and then moves within a time of order
one, so a fixed step wastes almost all of its work. Here every seed has its own clock and its own step, chosen by an
embedded Runge-Kutta pair (Bogacki and Shampine, orders 3 and 2) so that the error of a step, *relative to the norm of
each layer*, stays below a tolerance, and so that the loss never rises, which keeps the step inside the region of
stability while the loss falls. Parameters are lists of tensors with the seeds first, shape (S, ...).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

Array = NDArray[np.float64]
Gradient = Callable[[Sequence[Tensor]], tuple[Tensor, list[Tensor]]]
Observer = Callable[[Sequence[Tensor]], dict[str, Tensor]]


@dataclass(frozen=True)
class Trajectory:
    """What a flow recorded, one column per seed.

    Attributes
    ----------
    times, losses : arrays, shape (T, S)
        A finished seed stands still: its last time and loss are repeated.
    observed : dict of arrays, shape (T, S, ...)
    parameters : list of tensors, shape (S, ...)
        At the end of the flow.
    finished : array of bool, shape (S,)
        Whether the seed reached its stop before the iterations ran out.
    evaluations : int
        Number of gradient evaluations (of all seeds together).
    """

    times: Array
    losses: Array
    observed: dict[str, Array]
    parameters: list[Tensor]
    finished: NDArray[np.bool_]
    evaluations: int = field(default=0)


def autograd_gradient(loss: Callable[[Sequence[Tensor]], Tensor]) -> Gradient:
    """Turn a loss per seed, parameters -> (S,), into the function (loss, gradients) that a flow needs.

    Seeds do not see each other, so the gradient of the summed loss holds every seed's own gradient.
    """

    def evaluate(parameters: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        leaves = [p.detach().requires_grad_(True) for p in parameters]
        value = loss(leaves)
        return value.detach(), list(torch.autograd.grad(value.sum(), leaves))

    return evaluate


def adaptive_gradient_flow(
    parameters: Sequence[Tensor],
    gradient: Gradient,
    *,
    tolerance: float = 1e-3,
    stop_loss: float | ArrayLike = 0.0,
    max_time: float = np.inf,
    max_iterations: int = 20_000,
    observe: Observer | None = None,
    observe_every: int = 1,
) -> Trajectory:
    r"""Follow :math:`\dot\theta_i=-\nabla_i\mathcal L` for every seed until its loss or time reaches the stop.

    Parameters
    ----------
    parameters : list of tensors, shape (S, ...)
        Starting point; not changed.
    gradient : callable
        Parameters -> (loss of shape (S,), list of gradients); see :func:`autograd_gradient`.
    tolerance : float
        Largest accepted error of one step, relative to the norm of each layer.
    stop_loss : float or array of shape (S,)
        A seed stops when its loss is at or below this.
    max_time : float
        A seed stops there (its last step is shortened to land on it).
    max_iterations : int
        Tried steps; seeds that have not stopped by then have ``finished`` False.
    observe : callable, optional
        Parameters -> named tensors with the seeds first, recorded with times and losses.
    observe_every : int
        Record every this many iterations (the first and the last are always recorded).

    Returns
    -------
    Trajectory

    Raises
    ------
    ValueError
        If the tensors have no common leading axis, a layer starts at zero (its relative error has no scale), a number
        is out of range, or the loss at the start is not finite.
    FloatingPointError
        If the loss becomes NaN on the way.
    """
    state = check_parameters(parameters)
    if not tolerance > 0 or not max_time > 0 or max_iterations < 1 or observe_every < 1:
        raise ValueError("tolerance, max_time, max_iterations and observe_every must all be positive")
    seeds = state[0].shape[0]
    target = torch.as_tensor(stop_loss, dtype=state[0].dtype, device=state[0].device).expand(seeds)
    loss, slope = gradient(state)
    if loss.shape != (seeds,) or not torch.isfinite(loss).all():
        raise ValueError(f"the loss at the start must be {seeds} finite numbers, one per seed; got {loss}")
    time = torch.zeros_like(loss)
    step = 0.01 * torch.stack([norms(p) / norms(g) for p, g in zip(state, slope)]).amin(0)
    active = loss > target
    records: list[tuple[Tensor, Tensor, dict[str, Tensor]]] = []

    def record() -> None:
        records.append((time.clone(), loss.clone(), {} if observe is None else observe(state)))

    record()
    evaluations = 1
    for iteration in range(1, max_iterations + 1):
        if not active.any():
            break
        step = torch.where(active, torch.minimum(step, max_time - time), torch.zeros_like(step))
        trial, trial_loss, trial_slope, error = embedded_step(state, slope, step, gradient)
        evaluations += 3
        # Gradient flow only descends. Without this test stiff directions bounce with an amplitude of the tolerance, and
        # the loss stalls near its square. (1e-12: on a plateau the loss changes by less than round-off.)
        descends = trial_loss <= loss * (1 + 1e-12)
        error = torch.where(descends, error / tolerance, torch.full_like(error, 4.0).maximum(error / tolerance))
        accept = active & (error <= 1)
        state = [torch.where(like(accept, p), q, p) for p, q in zip(state, trial)]
        slope = [torch.where(like(accept, p), q, p) for p, q in zip(slope, trial_slope)]
        loss = torch.where(accept, trial_loss, loss)
        time = torch.where(accept, time + step, time)
        # Third-order error: the step that would just meet the tolerance is step * error^{-1/3}; 0.9 for safety.
        factor = torch.nan_to_num(0.9 * error.clamp_min(1e-12) ** (-1 / 3), nan=0.2).clamp(0.2, 2.0)
        still = active & (loss > target) & (time < max_time)
        step = torch.where(still, step * factor, step)
        stopped = bool((active & ~still).any())
        active = still
        if iteration % observe_every == 0 or stopped:
            record()
    if torch.isnan(loss).any():
        raise FloatingPointError("the loss became NaN on the way")
    if not torch.equal(records[-1][0], time):
        record()
    observed = {name: stack([r[2][name] for r in records]) for name in records[0][2]}
    times, losses = stack([r[0] for r in records]), stack([r[1] for r in records])
    return Trajectory(times, losses, observed, state, (~active).cpu().numpy(), evaluations)


def embedded_step(
    state: Sequence[Tensor], slope: Sequence[Tensor], step: Tensor, gradient: Gradient
) -> tuple[list[Tensor], Tensor, list[Tensor], Tensor]:
    """One Bogacki-Shampine step of size ``step`` (S,): new state, its loss and gradient, and the relative error (S,).

    References
    ----------
    Bogacki and Shampine, Appl. Math. Lett. 2 (1989) 321.
    """
    _, second = gradient([p - 0.5 * like(step, p) * g for p, g in zip(state, slope)])
    _, third = gradient([p - 0.75 * like(step, p) * g for p, g in zip(state, second)])
    trial = [p - like(step, p) * (2 / 9 * a + 1 / 3 * b + 4 / 9 * c) for p, a, b, c in zip(state, slope, second, third)]
    loss, fourth = gradient(trial)
    errors = [
        norms(like(step, p) * (5 / 72 * a - b / 12 - c / 9 + d / 8)) / norms(p)
        for p, a, b, c, d in zip(state, slope, second, third, fourth)
    ]
    return trial, loss, fourth, torch.stack(errors).amax(0)


def first_crossing(times: ArrayLike, values: ArrayLike, level: float | ArrayLike) -> Array:
    r"""First time at which each column passes its level, from whichever side it starts, by linear interpolation.

    Parameters
    ----------
    times, values : arrays, shape (T, S)
        As a :class:`Trajectory` holds them (times may repeat).
    level : float or array of shape (S,)

    Returns
    -------
    array, shape (S,); NaN for a column that never passes its level.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    t, v = np.asarray(times, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if t.ndim != 2 or t.shape != v.shape:
        raise ValueError(f"times and values must both have shape (T, S); got {t.shape} and {v.shape}")
    gap = v - np.broadcast_to(np.asarray(level, dtype=np.float64), v.shape[1:])
    passed = np.sign(gap) != np.sign(gap[0])
    result = np.full(v.shape[1], np.nan)
    for column in np.flatnonzero(passed.any(0)):
        k = int(passed[:, column].argmax())
        low, high = gap[k - 1, column], gap[k, column]
        result[column] = t[k - 1, column] + (t[k, column] - t[k - 1, column]) * low / (low - high)
    return result


def loglog_slope(x: ArrayLike, y: ArrayLike) -> float:
    """Slope of the least-squares line of ln y against ln x.

    Raises
    ------
    ValueError
        If there are fewer than three points (two are not a slope) or any is not positive.
    """
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape or a.size < 3 or not ((a > 0).all() and (b > 0).all()):
        raise ValueError(f"x and y must be vectors of at least three positive numbers; got {a} and {b}")
    return float(np.polyfit(np.log(a), np.log(b), 1)[0])


def norms(tensor: Tensor) -> Tensor:
    """Euclidean norm over everything but the seeds, shape (S,)."""
    return tensor.flatten(1).norm(dim=1)


def like(per_seed: Tensor, tensor: Tensor) -> Tensor:
    """View a vector over seeds (S,) so that it multiplies ``tensor`` of shape (S, ...)."""
    return per_seed.view(-1, *([1] * (tensor.ndim - 1)))


def stack(tensors: Sequence[Tensor]) -> Array:
    """Records of one quantity as a numpy array, shape (T, S, ...)."""
    return torch.stack(list(tensors)).detach().cpu().numpy()


def check_parameters(parameters: Sequence[Tensor]) -> list[Tensor]:
    """Return detached copies after checking the leading axis and that no layer starts at zero."""
    tensors = [p.detach().clone() for p in parameters]
    if not tensors or any(p.ndim < 2 or p.shape[0] != tensors[0].shape[0] for p in tensors):
        raise ValueError(
            "parameters must be tensors with the seeds as first axis, shape (S, ...); got shapes "
            f"{[tuple(p.shape) for p in tensors]}"
        )
    if any((norms(p) == 0).any() or not torch.isfinite(p).all() for p in tensors):
        raise ValueError("every layer must start finite and nonzero: the step is measured against its norm")
    return tensors
