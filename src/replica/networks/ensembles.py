r"""Ensembles of independent fully-connected networks, trained side by side by batched matrix products.

NTK parameterisation, as in :mod:`replica.kernels.fully_connected`: weights and biases are standard Gaussian, hidden
layers compute :math:`\frac{\sigma_w}{\sqrt{fan\text{-}in}}Wh+\sigma_bb`, the readout
:math:`\frac1{\sqrt{fan\text{-}in}}Wh`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

Activation = Callable[[Tensor], Tensor]

#: Activations by name.
ACTIVATIONS: dict[str, Activation] = {"relu": torch.relu, "tanh": torch.tanh, "erf": torch.erf, "sin": torch.sin}


@dataclass(frozen=True)
class Architecture:
    """A fully-connected network in NTK parameterisation."""

    hidden_layers: int = 1
    width: int = 500
    activation: str | Activation = "relu"
    """A name among :data:`ACTIVATIONS`, or any function that torch can differentiate, applied to each number by itself:
    ``lambda z: 0.5 * torch.sin(6 * z)``, a series of :func:`replica.kernels.hermite.hermite_activation`, ..."""
    weight_std: float = 2**0.5
    bias_std: float = 0.1
    outputs: int = 1

    def __post_init__(self) -> None:
        if self.hidden_layers < 1 or self.width < 1:
            raise ValueError(f"need hidden_layers >= 1 and width >= 1; got {self.hidden_layers} and {self.width}")
        if self.outputs < 1:
            raise ValueError(f"need outputs >= 1; got {self.outputs}")
        if not callable(self.activation) and self.activation not in ACTIVATIONS:
            raise ValueError(f"activation must be a function or one of {sorted(ACTIVATIONS)}; got {self.activation!r}")
        if not (self.weight_std > 0 and self.bias_std >= 0):
            raise ValueError(f"need weight_std > 0 and bias_std >= 0; got {self.weight_std} and {self.bias_std}")

    @property
    def phi(self) -> Activation:
        """The activation as a function of tensors."""
        return self.activation if callable(self.activation) else ACTIVATIONS[self.activation]


class Ensemble(NamedTuple):
    """Parameters of B independent networks."""

    weights: list[Tensor]
    """One a layer, shape (B, fan-in, fan-out); the last is the readout."""
    biases: list[Tensor]
    """One a hidden layer, shape (B, 1, fan-out)."""


class Trained(NamedTuple):
    """Result of :func:`train_centred`."""

    predictions: Tensor
    """Learned functions minus initial functions at the evaluation points, shape (B, M) or (B, M, C)."""
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
    sizes = [inputs] + [architecture.width] * architecture.hidden_layers + [architecture.outputs]
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
    tensor, shape (B, n), or (B, n, C) with C > 1 outputs
    """
    networks = ensemble.weights[0].shape[0]
    h = x.expand(networks, *x.shape) if x.ndim == 2 else x
    phi = architecture.phi
    for w, b in zip(ensemble.weights[:-1], ensemble.biases, strict=True):
        h = phi(torch.baddbmm(b, h, w, beta=architecture.bias_std, alpha=architecture.weight_std / w.shape[1] ** 0.5))
    w = ensemble.weights[-1]
    out = torch.bmm(h, w)
    return (out.squeeze(-1) if architecture.outputs == 1 else out) / w.shape[1] ** 0.5


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
    y_train : tensor, shape (B, n), or (B, n, C) for C > 1 outputs
        The error is then averaged over points and outputs.
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
    networks, one = ensemble.weights[0].shape[0], _one_target(architecture)
    if (
        x_train.ndim != 3
        or x_train.shape[0] != networks
        or y_train.shape != (*x_train.shape[:2], *one)
        or x_eval.ndim != 2
    ):
        raise ValueError(
            f"need x_train (B, n, d), y_train (B, n{', C' if one else ''}), x_eval (M, d) with B = {networks}"
            f"{f' and C = {one[0]}' if one else ''}; "
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
        error = ((forward(architecture, Ensemble(live[:layers], live[layers:]), x) - y) ** 2).flatten(1).mean(dim=1)
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
                error = (
                    ((forward(architecture, Ensemble(live[:layers], live[layers:]), x) - y) ** 2).flatten(1).mean(dim=1)
                )
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
    if architecture.outputs != 1:
        raise ValueError(f"each target has a network of its own: need outputs = 1; got {architecture.outputs}")
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


class Trace(NamedTuple):
    """Result of :func:`trace_training`; the arrays have one row for each of T snapshots."""

    steps: Tensor
    """Gradient steps taken before each snapshot, shape (T,)."""
    train_loss: Tensor
    """Mean squared error on the training points, shape (T, B)."""
    test_loss: Tensor
    train_accuracy: Tensor
    """Share of training points with the right sign (one output) or the right largest output, shape (T, B)."""
    test_accuracy: Tensor
    predictions: Tensor
    """Centred functions at the test points after the last step, shape (B, M) or (B, M, C)."""
    ensemble: Ensemble
    """The trained parameters."""


def trace_training(
    architecture: Architecture,
    ensemble: Ensemble,
    x_train: Tensor,
    y_train: Tensor,
    x_test: Tensor,
    y_test: Tensor,
    *,
    learning_rate: float,
    snapshots: Sequence[int],
) -> Trace:
    r"""Train as :func:`train_centred`, to the last of the given steps, and record errors and accuracies on the way.

    Parameters
    ----------
    architecture : Architecture
    ensemble : Ensemble
        B networks; left unchanged.
    x_train, x_test : tensors, shapes (n, d) or (B, n, d), and (M, d) or (B, M, d)
        Shared by all networks, or each network's own.
    y_train, y_test : tensors, shapes (n,) or (B, n), and so on; with C > 1 outputs (n, C) or (B, n, C)
    learning_rate : float
    snapshots : ints
        Steps after which to look, increasing, at least 0.

    Returns
    -------
    Trace
        On the device of the inputs.

    Raises
    ------
    ValueError
        If shapes do not fit or the snapshots do not increase.
    RuntimeError
        If training diverges.
    """
    stops = [int(s) for s in snapshots]
    if not stops or stops[0] < 0 or any(b <= a for a, b in pairwise(stops)):
        raise ValueError(f"snapshots must be increasing numbers of steps >= 0; got {stops[:10]}")
    networks, one = ensemble.weights[0].shape[0], _one_target(architecture)
    sides = []
    for name, x, y in (("train", x_train, y_train), ("test", x_test, y_test)):
        if x.ndim not in (2, 3) or (x.ndim == 3 and len(x) != networks) or y.shape != (*x.shape[:-1], *one):
            raise ValueError(
                f"need x_{name} (n, d) or ({networks}, n, d) and y_{name} with "
                f"{f'{one[0]} targets' if one else 'a target'} for each point; "
                f"got {tuple(x.shape)} and {tuple(y.shape)}"
            )
        with torch.no_grad():
            sides.append((x, y.expand(networks, *y.shape[x.ndim - 2 :]), forward(architecture, ensemble, x)))
    layers = len(ensemble.weights)
    with_biases = architecture.bias_std > 0
    live = [p.clone().requires_grad_() for p in (*ensemble.weights, *(ensemble.biases if with_biases else []))]
    x, y, start = sides[0]
    rows, target = [], y + start
    for step in range(stops[-1] + 1):
        now = Ensemble(live[:layers], live[layers:] if with_biases else ensemble.biases)
        if step == stops[len(rows)]:
            with torch.no_grad():
                rows.append([_score(architecture, now, *side) for side in sides])
            if not torch.isfinite(rows[-1][0][0]).all():
                raise RuntimeError(f"training diverged after {step} steps; learning_rate {learning_rate} is too large")
        if step == stops[-1]:
            break
        error = ((forward(architecture, now, x) - target) ** 2).flatten(1).mean(dim=1)
        gradients = torch.autograd.grad(error.sum(), live)
        with torch.no_grad():
            torch._foreach_add_(live, gradients, alpha=-learning_rate)
    final = Ensemble(*([p.detach() for p in group] for group in now))
    stack = lambda side, what: torch.stack([row[side][what] for row in rows])  # noqa: E731
    return Trace(
        torch.tensor(stops), stack(0, 0), stack(1, 0), stack(0, 1), stack(1, 1), rows[-1][1][2], final,
    )  # fmt: skip


def _one_target(architecture: Architecture) -> tuple[int, ...]:
    """Shape of the target of one point."""
    return () if architecture.outputs == 1 else (architecture.outputs,)


def _score(architecture: Architecture, ensemble: Ensemble, x: Tensor, y: Tensor, start: Tensor) -> tuple[Tensor, ...]:
    """Mean squared error and accuracy of every network, and its centred outputs."""
    out = forward(architecture, ensemble, x) - start
    right = out * y > 0 if architecture.outputs == 1 else out.argmax(-1) == y.argmax(-1)
    return ((out - y) ** 2).flatten(1).mean(1), right.to(out.dtype).mean(1), out
