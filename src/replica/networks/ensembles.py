r"""Ensembles of independent fully-connected networks, trained side by side by batched matrix products.

NTK parameterisation, as in :mod:`replica.kernels.fully_connected`: weights and biases are standard Gaussian, hidden
layers compute :math:`\frac{\sigma_w}{\sqrt{fan\text{-}in}}Wh+\sigma_bb`, the readout
:math:`\frac1{\sqrt{fan\text{-}in}}Wh`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": torch.relu, "tanh": torch.tanh, "erf": torch.erf}


@dataclass(frozen=True)
class Architecture:
    """A fully-connected network with one output, in NTK parameterisation."""

    hidden_layers: int = 1
    width: int = 500
    activation: str = "relu"
    weight_std: float = 2**0.5
    bias_std: float = 0.1

    def __post_init__(self) -> None:
        if self.hidden_layers < 1 or self.width < 1:
            raise ValueError(f"need hidden_layers >= 1 and width >= 1; got {self.hidden_layers} and {self.width}")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {sorted(ACTIVATIONS)}; got {self.activation!r}")
        if not (self.weight_std > 0 and self.bias_std >= 0):
            raise ValueError(f"need weight_std > 0 and bias_std >= 0; got {self.weight_std} and {self.bias_std}")


class Ensemble(NamedTuple):
    """Parameters of B independent networks."""

    weights: list[Tensor]
    """One a layer, shape (B, fan-in, fan-out); the last is the readout."""
    biases: list[Tensor]
    """One a hidden layer, shape (B, 1, fan-out)."""


class Trained(NamedTuple):
    """Result of :func:`train_centred`."""

    predictions: Tensor
    """Learned functions minus initial functions at the evaluation points, shape (B, M)."""
    train_loss: Tensor
    """Final mean squared error on the training points, shape (B,)."""
    steps: Tensor
    """Gradient steps taken, shape (B,)."""


def initialise(
    architecture: Architecture,
    inputs: int,
    networks: int,
    generator: torch.Generator,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Ensemble:
    """Draw ``networks`` independent sets of parameters for inputs of dimension ``inputs`` (float32 by default).

    The draw is made on the CPU, with ``generator``, so that it is the same on every device.
    """
    sizes = [inputs] + [architecture.width] * architecture.hidden_layers + [1]
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=dtype).to(device)  # noqa: E731
    weights = [draw(networks, a, b) for a, b in pairwise(sizes)]
    biases = [draw(networks, 1, b) for b in sizes[1:-1]]
    return Ensemble(weights, biases)


def forward(architecture: Architecture, ensemble: Ensemble, x: Tensor) -> Tensor:
    """Outputs of every network.

    Parameters
    ----------
    architecture : Architecture
    ensemble : Ensemble
        B networks.
    x : tensor, shape (n, d) or (B, n, d)
        Inputs shared by all networks, or each network's own.

    Returns
    -------
    tensor, shape (B, n)
    """
    networks = ensemble.weights[0].shape[0]
    h = x.expand(networks, *x.shape) if x.ndim == 2 else x
    phi = ACTIVATIONS[architecture.activation]
    for w, b in zip(ensemble.weights[:-1], ensemble.biases, strict=True):
        h = phi(torch.baddbmm(b, h, w, beta=architecture.bias_std, alpha=architecture.weight_std / w.shape[1] ** 0.5))
    w = ensemble.weights[-1]
    return torch.bmm(h, w).squeeze(-1) / w.shape[1] ** 0.5


def train_centred(
    architecture: Architecture,
    ensemble: Ensemble,
    x_train: Tensor,
    y_train: Tensor,
    x_eval: Tensor,
    *,
    learning_rate: float,
    max_steps: int = 10_000,
    tolerance: float = 1e-5,
    check_every: int = 20,
) -> Trained:
    r"""Train every network by full-batch gradient descent on its own mean squared error.

    The learned function is centred, :math:`f_t(x)-f_0(x)`, so that it starts at zero like kernel regression and no
    averaging over initialisations is needed. A network whose training error falls below ``tolerance`` leaves the
    batch, so that slow ones do not hold up the others.

    Parameters
    ----------
    architecture : Architecture
    ensemble : Ensemble
        B networks; left unchanged.
    x_train : tensor, shape (B, n, d)
    y_train : tensor, shape (B, n)
    x_eval : tensor, shape (M, d)
        Where the learned functions are wanted.
    learning_rate : float
        Stable below :math:`n/\lambda_{max}(K_{DD})`, :math:`K` the NTK.
    max_steps, tolerance, check_every : int, float, int

    Returns
    -------
    Trained
        On the device of the inputs.

    Raises
    ------
    ValueError
        If shapes do not fit.
    RuntimeError
        If training diverges (the learning rate is too large).
    """
    networks = ensemble.weights[0].shape[0]
    if x_train.ndim != 3 or x_train.shape[0] != networks or y_train.shape != x_train.shape[:2] or x_eval.ndim != 2:
        raise ValueError(
            f"need x_train (B, n, d), y_train (B, n), x_eval (M, d) with B = {networks}; "
            f"got {tuple(x_train.shape)}, {tuple(y_train.shape)}, {tuple(x_eval.shape)}"
        )
    with torch.no_grad():
        target = y_train + forward(architecture, ensemble, x_train)
        start = forward(architecture, ensemble, x_eval)
    layers = len(ensemble.weights)
    live = [p.clone().requires_grad_() for p in (*ensemble.weights, *ensemble.biases)]
    index = torch.arange(networks, device=x_train.device)
    predictions = torch.empty_like(start)
    losses, steps = start.new_empty(networks), torch.zeros(networks, dtype=torch.long, device=x_train.device)
    x, y = x_train, target
    for step in range(max_steps + 1):
        error = ((forward(architecture, Ensemble(live[:layers], live[layers:]), x) - y) ** 2).mean(dim=1)
        last = step == max_steps
        if last or step % check_every == 0:
            loss = error.detach()
            if not torch.isfinite(loss).all():
                raise RuntimeError(f"training diverged after {step} steps; learning_rate {learning_rate} is too large")
            done = torch.ones_like(loss, dtype=torch.bool) if last else loss < tolerance
            if done.any():
                out = index[done]
                with torch.no_grad():
                    finished = [p[done] for p in live]
                    fitted = forward(architecture, Ensemble(finished[:layers], finished[layers:]), x_eval)
                predictions[out], losses[out], steps[out] = fitted - start[out], loss[done], step
                keep = ~done
                index, x, y = index[keep], x[keep], y[keep]
                if not len(index):
                    break
                live = [p.detach()[keep].requires_grad_() for p in live]
                error = ((forward(architecture, Ensemble(live[:layers], live[layers:]), x) - y) ** 2).mean(dim=1)
        gradients = torch.autograd.grad(error.sum(), live)
        with torch.no_grad():
            torch._foreach_add_(live, gradients, alpha=-learning_rate)
    return Trained(predictions, losses, steps)


def learn_from_subsets(
    architecture: Architecture,
    domain: Tensor,
    targets: Tensor,
    subsets: Tensor,
    generator: torch.Generator,
    **training,
) -> Trained:
    """Train a fresh network for every pair of a training set and a target on a finite domain, all in one batch.

    Parameters
    ----------
    architecture : Architecture
    domain : tensor, shape (M, d)
        All points; its device and precision are those of the training.
    targets : tensor, shape (M, C)
    subsets : int tensor, shape (T, n)
        Training points of each trial.
    generator : torch.Generator
        For the initialisations.
    **training
        ``learning_rate=`` and the other keywords of :func:`train_centred`.

    Returns
    -------
    Trained
        ``predictions`` of shape (T, M, C), ready for :func:`replica.kernels.trials.score`; ``train_loss`` and
        ``steps`` of shape (T, C).

    Raises
    ------
    ValueError
        If shapes do not fit, or as :func:`train_centred`.
    """
    if domain.ndim != 2 or targets.ndim != 2 or subsets.ndim != 2 or len(targets) != len(domain):
        raise ValueError(
            f"need domain (M, d), targets (M, C), subsets (T, n); got {tuple(domain.shape)}, {tuple(targets.shape)}, "
            f"{tuple(subsets.shape)}"
        )
    subsets = subsets.to(domain.device)
    trials, count = len(subsets), targets.shape[1]
    ensemble = initialise(
        architecture, domain.shape[1], trials * count, generator, device=domain.device, dtype=domain.dtype
    )
    x = domain[subsets].repeat_interleave(count, dim=0)
    y = targets[subsets].transpose(1, 2).reshape(trials * count, -1).to(domain.dtype)
    trained = train_centred(architecture, ensemble, x, y, domain, **training)
    shape = (trials, count)
    return Trained(
        trained.predictions.reshape(*shape, -1).transpose(1, 2), trained.train_loss.reshape(shape),
        trained.steps.reshape(shape),
    )  # fmt: skip
