r"""How the tangent kernel of a network moves while it trains, and whether its last shape explains what was learned.

If from some early time on the kernel only grows in scale, :math:`K_t=g(t)K_\infty`, then at every later time
:math:`T` the outputs follow from the final kernel alone, because both integrate the same residuals:

.. math:: f_T(x)-f_0(x)=k_\infty(x)^\top K_\infty^{-1}\,\big(f_T(X)-f_0(X)\big)+\text{(what was learned before)}.

At the end of training :math:`f_T(X)=y`, and with a small initialisation :math:`f_0\approx0`: kernel regression with
the final kernel. Using the fitted values :math:`f_T(X)` in place of :math:`y` tests the same statement without waiting
until the slowest directions are learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from replica.dynamics.gradient_flow import Trajectory, adaptive_gradient_flow, autograd_gradient
from replica.kernels.alignment import kernel_alignment
from replica.kernels.finite_ntk import mlp_outputs, mlp_tangent_kernel, squared_loss
from replica.kernels.regression import kernel_ridge_predict

Array = NDArray[np.float64]

RELATIVE_RIDGE = 1e-10
"""Ridge of the kernel regressions in units of the kernel's mean eigenvalue: below any eigenvalue that matters, above
the round-off of a Gram matrix whose rank is smaller than the number of samples."""


@dataclass(frozen=True)
class KernelEvolution:
    """Networks before and after training, and what their tangent kernel did on the way.

    Attributes
    ----------
    start, end : lists of tensors, shapes (S, N_l, N_{l-1})
    trajectory : Trajectory
        With ``alignment`` and ``norm`` (Frobenius) of the training Gram matrix observed, shape (T, S), and, if test
        inputs were given, the ``outputs`` there, shape (T, S, n).
    loss : array, shape (T, S)
        Relative to the start.
    """

    start: list[Tensor]
    end: list[Tensor]
    trajectory: Trajectory

    @property
    def loss(self) -> Array:
        return self.trajectory.losses / self.trajectory.losses[0]

    @property
    def times(self) -> Array:
        return self.trajectory.times

    @property
    def alignment(self) -> Array:
        return self.trajectory.observed["alignment"]

    @property
    def norm(self) -> Array:
        return self.trajectory.observed["norm"]


def watch_training(
    weights: Sequence[Tensor],
    inputs: ArrayLike,
    targets: ArrayLike,
    *,
    activation: str = "relu",
    test: ArrayLike | None = None,
    stop: float = 1e-4,
    tolerance: float = 1e-3,
    max_iterations: int = 20_000,
    observe_every: int = 1,
) -> KernelEvolution:
    r"""Train a stack of networks by gradient flow of :math:`\tfrac1{2P}\sum_\mu(f-y)^2` and watch the tangent kernel.

    Parameters
    ----------
    weights : list of tensors, shapes (S, N_l, N_{l-1})
        Also decide dtype and device.
    inputs, targets : arrays, shapes (P, D) and (P,)
    activation : "linear", "relu" or "tanh"
    test : array, shape (n, D), optional
        Inputs at which the outputs are recorded.
    stop : float
        Training stops when the loss is this fraction of its start.
    tolerance, max_iterations, observe_every
        See :func:`replica.dynamics.gradient_flow.adaptive_gradient_flow`.

    Raises
    ------
    ValueError
        If shapes do not fit or ``stop`` is not between 0 and 1.
    """
    if not 0 < stop < 1:
        raise ValueError(f"stop is a fraction of the loss at the start, between 0 and 1; got {stop}")
    x, y = as_tensor(inputs, weights), as_tensor(targets, weights)
    other = None if test is None else as_tensor(test, weights)
    loss = squared_loss(x, y, activation)

    def observe(parameters: Sequence[Tensor]) -> dict[str, Tensor]:
        gram = mlp_tangent_kernel(parameters, x, activation=activation)
        seen = {"alignment": kernel_alignment(gram, y), "norm": (gram * gram).sum((-1, -2)) ** 0.5}
        return seen if other is None else {**seen, "outputs": mlp_outputs(parameters, other, activation)}

    flow = adaptive_gradient_flow(
        weights, autograd_gradient(loss), tolerance=tolerance, stop_loss=stop * loss(weights).cpu(),
        max_iterations=max_iterations, observe=observe, observe_every=observe_every,
    )  # fmt: skip
    return KernelEvolution(list(weights), flow.parameters, flow)


def tangent_kernel_predictions(
    kernel_of: Sequence[Tensor], inputs: ArrayLike, test: ArrayLike, targets: ArrayLike, activation: str = "relu"
) -> Array:
    r"""Kernel regression :math:`k(x)^\top K^{-1}y` with the tangent kernel of each network.

    Parameters
    ----------
    kernel_of : list of tensors, shapes (S, N_l, N_{l-1})
        The networks whose kernel is used.
    inputs, test : arrays, shapes (P, D) and (n, D)
    targets : array, shape (P,) or (S, P)

    Returns
    -------
    array, shape (S, n)
    """
    x, other = as_tensor(inputs, kernel_of), as_tensor(test, kernel_of)
    gram = mlp_tangent_kernel(kernel_of, x, activation=activation).cpu().numpy()
    cross = mlp_tangent_kernel(kernel_of, other, x, activation=activation).cpu().numpy()
    y = np.broadcast_to(np.asarray(targets, dtype=np.float64), gram.shape[:2])
    return np.stack([
        kernel_ridge_predict(k, c, t, ridge=RELATIVE_RIDGE * float(np.trace(k)) / len(t))
        for k, c, t in zip(gram, cross, y)
    ])  # fmt: skip


def predictor_errors(
    run: KernelEvolution,
    inputs: ArrayLike,
    test: ArrayLike,
    targets: ArrayLike | None = None,
    activation: str = "relu",
) -> tuple[Array, Array]:
    r"""Relative distance :math:`|f_K-f|/|f|` on test inputs between the trained networks and kernel regression with
    their initial and their final tangent kernel.

    Parameters
    ----------
    run : KernelEvolution
    inputs, test : arrays, shapes (P, D) and (n, D)
    targets : array, shape (P,), optional
        What the kernel regression fits; by default what each network has fitted, :math:`f_T(X)`.

    Returns
    -------
    initial, final : arrays, shape (S,)
    """
    fitted = network_outputs(run.end, inputs, activation) if targets is None else targets
    learned = network_outputs(run.end, test, activation)
    size = np.linalg.norm(learned, axis=1)
    errors = [
        np.linalg.norm(tangent_kernel_predictions(k, inputs, test, fitted, activation) - learned, axis=1) / size
        for k in (run.start, run.end)
    ]
    return errors[0], errors[1]


def loss_when_aligned(run: KernelEvolution, fraction: float = 0.9) -> Array:
    """Relative loss, per seed, when the alignment first reaches ``fraction`` of its final value."""
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction must lie between 0 and 1; got {fraction}")
    first = (run.alignment >= fraction * run.alignment[-1]).argmax(0)
    return np.take_along_axis(run.loss, first[None], 0)[0]


def network_outputs(weights: Sequence[Tensor], inputs: ArrayLike, activation: str = "relu") -> Array:
    """Outputs of every network as a numpy array, shape (S, n)."""
    return mlp_outputs(weights, as_tensor(inputs, weights), activation).detach().cpu().numpy()


def as_tensor(values: ArrayLike, weights: Sequence[Tensor]) -> Tensor:
    """The values with the weights' dtype and device."""
    return torch.as_tensor(np.asarray(values), dtype=weights[0].dtype, device=weights[0].device)
