r"""Tangent kernels of finite networks without biases, :math:`K(x,x')=\nabla_\theta f(x)\cdot\nabla_\theta f(x')`.

Networks are :math:`f(x)=W^L\phi(W^{L-1}\cdots\phi(W^1x))` in standard parametrisation with one output. Weights are
torch tensors with the seeds first, shapes (S, N_l, N_{l-1}): a stack of networks costs one batched product per layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

ACTIVATIONS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "linear": (lambda z: z, torch.ones_like),
    "relu": (torch.relu, lambda z: (z > 0).to(z.dtype)),
    "tanh": (torch.tanh, lambda z: 1 - torch.tanh(z) ** 2),
}


def random_mlp(
    widths: Sequence[int],
    sigma: float,
    generator: torch.Generator,
    seeds: int = 1,
    dtype: torch.dtype = torch.float64,
    device: str | torch.device = "cpu",
) -> list[Tensor]:
    r"""Gaussian weights :math:`W^\ell_{ij}\sim\mathcal N(0,\sigma^2/N_{\ell-1})`.

    Drawn on the CPU with ``generator`` and moved to ``device``, so that every device starts from the same numbers.

    Parameters
    ----------
    widths : ints
        :math:`(D,N_1,\dots,N_{L-1},1)`.
    sigma : float
        Initialisation scale, positive.
    generator : torch.Generator
        A CPU generator.
    seeds : int
        Number of networks.

    Raises
    ------
    ValueError
        If a width, ``seeds`` or sigma is not positive, there is no hidden layer or more than one output.
    """
    if len(widths) < 3 or any(n < 1 for n in widths) or widths[-1] != 1:
        raise ValueError(f"widths must be (inputs, hidden..., 1): at least three positive integers; got {list(widths)}")
    if not sigma > 0 or seeds < 1:
        raise ValueError(f"sigma and seeds must be positive; got {sigma} and {seeds}")
    return [
        torch.randn(seeds, m, n, generator=generator, dtype=dtype).mul_(sigma / n**0.5).to(device)
        for n, m in pairwise(widths)
    ]


def mlp_outputs(weights: Sequence[Tensor], inputs: Tensor, activation: str = "relu") -> Tensor:
    r"""Outputs :math:`f(x)` of every network on every input.

    Parameters
    ----------
    weights : list of tensors, shapes (S, N_l, N_{l-1})
    inputs : tensor, shape (n, D)
    activation : "linear", "relu" or "tanh"

    Returns
    -------
    tensor, shape (S, n)
    """
    phi, _ = check_network(weights, inputs, activation)
    signal = inputs @ weights[0].mT
    for matrix in weights[1:]:
        signal = phi(signal) @ matrix.mT
    return signal[..., 0]


def squared_loss(inputs: Tensor, targets: Tensor, activation: str = "relu") -> Callable[[Sequence[Tensor]], Tensor]:
    r"""The loss :math:`\tfrac1{2P}\sum_\mu(f(x^\mu)-y^\mu)^2` as a function of the weights, one number per network."""
    if tuple(targets.shape) != tuple(inputs.shape[:1]):
        raise ValueError(f"there must be one target per input; got {tuple(targets.shape)} for {tuple(inputs.shape)}")
    return lambda weights: 0.5 * ((mlp_outputs(weights, inputs, activation) - targets) ** 2).mean(-1)


def mlp_tangent_kernel(
    weights: Sequence[Tensor], inputs: Tensor, others: Tensor | None = None, activation: str = "relu"
) -> Tensor:
    r"""Tangent kernel, layer by layer:

    .. math::

        K(x,x')=\sum_{\ell=1}^L[\delta_\ell(x)\cdot\delta_\ell(x')]\,[h_{\ell-1}(x)\cdot h_{\ell-1}(x')],

    with activations :math:`h_0=x` and :math:`h_\ell=\phi(z_\ell)`, :math:`z_\ell=W^\ell h_{\ell-1}`, and sensitivities
    :math:`\delta_\ell=\partial f/\partial z_\ell`.

    Parameters
    ----------
    weights : list of tensors, shapes (S, N_l, N_{l-1})
    inputs : tensor, shape (n, D)
    others : tensor, shape (m, D), optional
        By default the same inputs.
    activation : "linear", "relu" or "tanh"

    Returns
    -------
    tensor, shape (S, n, m)

    Raises
    ------
    ValueError
        If shapes do not fit or the activation is unknown.

    References
    ----------
    Jacot, Gabriel and Hongler, NeurIPS 2018; for two ReLU layers Atanasov et al., ICLR 2022, section 5.
    """
    left = activations_and_sensitivities(weights, inputs, activation)
    right = left if others is None else activations_and_sensitivities(weights, others, activation)
    total = None
    for (h, d), (g, e) in zip(left, right):
        term = (d @ e.mT) * (h @ g.mT)
        total = term if total is None else total + term
    return total


def activations_and_sensitivities(
    weights: Sequence[Tensor], inputs: Tensor, activation: str
) -> list[tuple[Tensor, Tensor]]:
    r"""For every layer its input :math:`h_{\ell-1}`, (S, n, N_{l-1}) or (n, D), and :math:`\delta_\ell` (S, n, N_l)."""
    phi, slope = check_network(weights, inputs, activation)
    below, slopes = [inputs], []
    for matrix in weights[:-1]:
        field = below[-1] @ matrix.mT
        below.append(phi(field))
        slopes.append(slope(field))
    delta = torch.ones(*weights[0].shape[:1], inputs.shape[0], 1, dtype=inputs.dtype, device=inputs.device)
    deltas = [delta]
    for matrix, gain in zip(reversed(weights[1:]), reversed(slopes)):
        deltas.append((deltas[-1] @ matrix) * gain)
    return list(zip(below, deltas[::-1]))


def empirical_tangent_kernel(
    function: Callable[[Sequence[Tensor], Tensor], Tensor], parameters: Sequence[Tensor], inputs: Tensor, others: Tensor
) -> Tensor:
    r"""Tangent kernel of any scalar function :math:`f(\theta,x)` by automatic differentiation, one network.

    Parameters
    ----------
    function : callable
        (parameters, one input of shape (D,)) -> scalar tensor.
    parameters : list of tensors
    inputs, others : tensors, shapes (n, D) and (m, D)

    Returns
    -------
    tensor, shape (n, m)
    """
    rows = []
    for x in (inputs, others):
        per_input = torch.func.vmap(torch.func.grad(function), in_dims=(None, 0))
        jacobian = per_input(tuple(parameters), x)
        rows.append(torch.cat([block.flatten(1) for block in jacobian], dim=1))
    return rows[0] @ rows[1].T


def check_network(
    weights: Sequence[Tensor], inputs: Tensor, activation: str
) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """Refuse layers and inputs that do not fit; return the activation and its derivative."""
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {sorted(ACTIVATIONS)}; got {activation!r}")
    shapes = [tuple(w.shape) for w in weights]
    fits = len(weights) >= 2 and all(len(s) == 3 and s[0] == shapes[0][0] for s in shapes) and shapes[-1][1] == 1
    fits = fits and all(high[2] == low[1] for low, high in pairwise(shapes))
    if not fits:
        raise ValueError(f"weights must have shapes (S, N_l, N_l-1) that fit together and one output; got {shapes}")
    if inputs.ndim != 2 or inputs.shape[1] != shapes[0][2]:
        raise ValueError(f"inputs must have shape (n, {shapes[0][2]}); got {tuple(inputs.shape)}")
    return ACTIVATIONS[activation]
