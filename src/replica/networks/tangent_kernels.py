r"""Tangent kernels of the finite networks of :mod:`replica.networks.ensembles`, and training in a fixed kernel."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from replica.kernels.hermite import Activation, as_cosine
from replica.kernels.regression import as_gram
from replica.networks.ensembles import Architecture, Ensemble


def tangent_kernel(architecture: Architecture, ensemble: Ensemble, x1: Tensor, x2: Tensor | None = None) -> Tensor:
    r"""Empirical tangent kernel :math:`\nabla_\theta f(x)\cdot\nabla_\theta f(x')` of every network, layer by layer:

    .. math::

        K(x,x')=\sum_l[\delta_l(x)\cdot\delta_l(x')]
        \Big[\frac{\sigma_l^2}{N_{l-1}}h_{l-1}(x)\cdot h_{l-1}(x')+\sigma_b^2\Big]

    with sensitivities :math:`\delta_l=\partial f/\partial z_l`; at the readout :math:`\sigma_l` is 1 without a bias.
    At initialisation and infinite width it is :func:`replica.kernels.fully_connected.wide_network_gram`.

    Parameters
    ----------
    architecture : Architecture
        With one output.
    ensemble : Ensemble
        B networks.
    x1, x2 : tensors, shapes (n1, d) and (n2, d)
        ``x2`` defaults to ``x1``.

    Returns
    -------
    tensor, shape (B, n1, n2)

    Raises
    ------
    ValueError
        If the network has several outputs.
    """
    if architecture.outputs != 1:
        raise ValueError(f"the tangent kernel is that of one output; the architecture has {architecture.outputs}")
    left = _signals(architecture, ensemble, x1)
    right = left if x2 is None else _signals(architecture, ensemble, x2)
    total: Tensor | float = 0.0
    for layer, ((h, d), (g, e)) in enumerate(zip(left, right)):
        readout = layer == len(left) - 1
        scale, bias = (1.0, 0.0) if readout else (architecture.weight_std**2, architecture.bias_std**2)
        signal = (h @ g.mT) * (scale / h.shape[-1]) + bias
        total = total + signal * (1.0 if readout else d @ e.mT)
    return total


def _signals(architecture: Architecture, ensemble: Ensemble, x: Tensor) -> list[tuple[Tensor, Tensor]]:
    """For every layer its input (B, n, fan-in) and the output's derivative by its fields (B, n, fan-out)."""
    h = x.expand(len(ensemble.weights[0]), *x.shape)
    below, slopes = [h], []
    for w, b in zip(ensemble.weights[:-1], ensemble.biases, strict=True):
        field = torch.baddbmm(b, h, w, beta=architecture.bias_std, alpha=architecture.weight_std / w.shape[1] ** 0.5)
        field = field.detach().requires_grad_()
        h = architecture.phi(field)
        slopes.append(torch.autograd.grad(h.sum(), field)[0])
        h = h.detach()
        below.append(h)
    deltas = [torch.ones_like(h[..., :1])]
    for layer in range(len(slopes) - 1, -1, -1):
        w = ensemble.weights[layer + 1]
        scale = 1.0 if layer == len(slopes) - 1 else architecture.weight_std
        deltas.append((deltas[-1] @ w.mT) * slopes[layer] * (scale / w.shape[1] ** 0.5))
    return list(zip(below, deltas[::-1]))


def shallow_tangent_kernels(
    activation: Activation,
    derivative: Activation,
    cosine: ArrayLike,
    width: int,
    networks: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    r"""Empirical tangent kernels of random networks with one hidden layer and no biases, as functions of the cosine.

    .. math::

        \hat K(c)=\frac1m\sum_{i=1}^m\phi(z_i)\phi(z_i')+c\,v_i^2\dot\phi(z_i)\dot\phi(z_i'),\qquad
        z_i'=cz_i+\sqrt{1-c^2}\,u_i,

    with independent standard Gaussian :math:`z,u,v`, for one input and others at cosines :math:`c` to it in a plane.
    Consecutive networks can be merged: the mean of two rows is the kernel of a network of twice the width.

    Parameters
    ----------
    activation, derivative : callables
        :math:`\phi` and :math:`\dot\phi`, applied to arrays.
    cosine : array, shape (n,)
    width, networks : int
        :math:`m` and the number of networks.
    rng : numpy.random.Generator

    Returns
    -------
    array, shape (networks, n)

    Raises
    ------
    ValueError
        If width or networks are below 1, or cosines are not a vector within [-1, 1].
    """
    c = as_cosine(cosine)
    if c.ndim != 1 or width < 1 or networks < 1:
        raise ValueError(f"need a vector of cosines, width >= 1, networks >= 1; got {c.shape}, {width}, {networks}")
    sine, out = np.sqrt(1 - c**2), np.empty((networks, c.size))
    batch = max(1, 16384 // width)  # arrays that stay in the cache
    for start in range(0, networks, batch):
        rows = min(batch, networks - start)
        z, u, v = rng.standard_normal((3, rows, width, 1))
        other = c * z + sine * u
        terms = activation(z) * activation(other) + c * v**2 * derivative(z) * derivative(other)
        out[start : start + rows] = terms.mean(axis=1)
    return out


def kernel_gradient_descent(
    gram_train: ArrayLike, gram_test: ArrayLike, targets: ArrayLike, learning_rate: float, steps: ArrayLike
) -> NDArray[np.float64]:
    r"""What :func:`replica.networks.ensembles.trace_training` does to networks whose tangent kernel does not move.

    Gradient descent with rate :math:`\eta` on the error averaged over :math:`n` points and :math:`C` outputs gives

    .. math::

        f_t(x)=k_{xD}K_{DD}^{-1}\Big[1-\Big(1-\frac{2\eta}{nC}K_{DD}\Big)^t\Big]y .

    Parameters
    ----------
    gram_train, gram_test : arrays, shapes (n, n) and (m, n)
        The kernel of one output.
    targets : array, shape (n,) or (n, C)
    learning_rate : float
        :math:`0<\eta<nC/\lambda_{max}(K_{DD})`.
    steps : ints, shape (T,)

    Returns
    -------
    array, shape (T, m) or (T, m, C)

    Raises
    ------
    ValueError
        If the Gram matrix is not symmetric, positive semidefinite up to round-off and finite, shapes do not fit, or the
        rate is outside its range.
    """
    gram, k, y = as_gram(gram_train), np.asarray(gram_test, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    if gram.ndim != 2 or k.ndim != 2 or k.shape[1] != len(gram) or y.ndim not in (1, 2) or len(y) != len(gram):
        raise ValueError(
            f"need gram_train (n, n), gram_test (m, n), targets (n, ...); got {gram.shape}, {k.shape}, {y.shape}"
        )
    lam, modes = np.linalg.eigh(gram)
    if lam[0] < -1e-9 * lam[-1]:
        raise ValueError(f"the kernel is not positive definite: its Gram matrix has the eigenvalue {lam[0]:g}")
    lam = np.maximum(lam, 0)
    if not 0 < learning_rate < y.size / lam[-1]:
        raise ValueError(
            f"learning_rate must lie between 0 and n C / lambda_max = {y.size / lam[-1]:g}; got {learning_rate}"
        )
    t, kept = np.asarray(steps, dtype=np.int64)[:, None], 1 - 2 * learning_rate / y.size * lam
    with np.errstate(divide="ignore", invalid="ignore"):  # what keeps 0 or less is taken from the other branch
        learned = np.where(kept > 0, -np.expm1(t * np.log(np.maximum(kept, 0))), 1 - kept**t)
    limit = np.broadcast_to(2 * learning_rate / y.size * t, learned.shape)  # of learned / lam at lam = 0
    gain = np.where(lam > 1e-15 * lam[-1], learned / np.where(lam > 0, lam, 1), limit)
    seen = modes.T @ y
    out = gain[..., None] * seen if y.ndim == 2 else gain * seen
    return k @ (modes @ out) if y.ndim == 2 else out @ modes.T @ k.T
