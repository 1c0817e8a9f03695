r"""Wide ReLU networks without biases trained by SGD, to be laid beside the theory with their tangent kernel.

NTK parametrisation, :math:`h^{\ell+1}=\sqrt{2/n_\ell}\,W\phi(h^\ell)`, with any number of outputs; the outputs at the
start are subtracted. In the limit of large width SGD is then SGD of a linear model with the tangent kernel's features
(:func:`replica.kernels.fully_connected.wide_network_gram` with ``bias_var=0``).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from replica.kernels.sgd_simulation import as_record


def draw_networks(
    widths: Sequence[int], networks: int, generator: torch.Generator, device: str = "cpu"
) -> list[Tensor]:
    """Standard normal weights of ``networks`` independent networks in float32, one tensor (networks, out, in) a layer.

    Parameters
    ----------
    widths : ints
        Inputs, hidden layers, outputs.
    networks : int
    generator : torch.Generator
        A CPU generator; every device starts from the same numbers.
    device : str

    Raises
    ------
    ValueError
        If there is no hidden layer or a number is below 1.
    """
    if len(widths) < 3 or min(widths) < 1 or networks < 1:
        raise ValueError(f"need widths (inputs, hidden..., outputs) and networks >= 1; got {list(widths)}, {networks}")
    return [torch.randn(networks, b, a, generator=generator).to(device) for a, b in pairwise(widths)]


def network_outputs(weights: Sequence[Tensor], inputs: Tensor) -> Tensor:
    r"""Outputs of every network.

    Parameters
    ----------
    weights : list of tensors, shape (S, out, in)
    inputs : tensor, shape (n, D) or (S, n, D)

    Returns
    -------
    tensor, shape (S, n, C)
    """
    signal = inputs * (2 / inputs.shape[-1]) ** 0.5 @ weights[0].mT
    for i, matrix in enumerate(weights[1:], start=2):
        gain = 1.0 if i == len(weights) else 2.0
        signal = torch.relu(signal) @ matrix.mT * (gain / matrix.shape[-1]) ** 0.5
    return signal


def sgd_on_networks(
    weights: Sequence[Tensor],
    inputs: Tensor,
    targets: Tensor,
    batches: Tensor,
    learning_rate: float,
    record: Sequence[int],
) -> Tensor:
    r"""Loss of centred networks during SGD on :math:`\frac1{2m}\sum_\mu|f(x_\mu)-y_\mu|^2`.

    Parameters
    ----------
    weights : list of tensors, shape (S, out, in)
        Left unchanged.
    inputs, targets : tensors, shapes (P, D) and (P, C)
    batches : int tensor, shape (T, S, m)
        From :func:`replica.kernels.sgd_simulation.draw_batches`, one run a network.
    learning_rate : float
    record : ints
        Steps after which the loss is wanted, at most T.

    Returns
    -------
    tensor, shape (S, len(record))
        :math:`\frac1P\sum_\mu|f(x_\mu)-y_\mu|^2` over all points, without the factor 1/2.

    Raises
    ------
    ValueError
        If shapes do not fit.
    """
    steps = as_record(record)
    networks = weights[0].shape[0]
    if targets.shape[:1] != inputs.shape[:1] or batches.ndim != 3 or batches.shape[1] != networks:
        raise ValueError(
            f"need inputs (P, D), targets (P, C), batches (T, {networks}, m); "
            f"got {tuple(inputs.shape)}, {tuple(targets.shape)}, {tuple(batches.shape)}"
        )
    if steps[-1] > len(batches):
        raise ValueError(f"record goes to step {steps[-1]}, but there are {len(batches)} batches")
    with torch.no_grad():
        goal = network_outputs(weights, inputs) + targets
    live = [w.clone().requires_grad_() for w in weights]
    rows = torch.arange(networks, device=inputs.device)[:, None]
    place, losses = {int(t): i for i, t in enumerate(steps)}, inputs.new_empty(networks, len(steps))
    for t in range(int(steps[-1]) + 1):
        if t in place:
            with torch.no_grad():
                losses[:, place[t]] = (network_outputs(live, inputs) - goal).square().sum(-1).mean(-1)
        if t == steps[-1]:
            break
        batch = batches[t]
        error = network_outputs(live, inputs[batch]) - goal[rows, batch]
        loss = 0.5 * error.square().sum(-1).mean(-1).sum()
        gradients = torch.autograd.grad(loss, live)
        with torch.no_grad():
            torch._foreach_add_(live, gradients, alpha=-learning_rate)
    return losses
