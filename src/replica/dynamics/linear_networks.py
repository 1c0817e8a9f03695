r"""Deep linear networks :math:`f(x)=W^L\cdots W^1x` with one output: gradient, tangent kernel, conservation law, flow.

A network is a list of its weight matrices, first layer first: ``weights[0]`` is :math:`W^1` with shape
(..., N_1, D), the last has shape (..., 1, N_{L-1}). Leading axes are independent networks (seeds). What takes weights
is written with the operations that numpy arrays and torch tensors share (:func:`integrate_flow` excepted), so the same
gradient serves an ODE solver and a batch of seeds on an accelerator.

The data enter through their second moment :math:`\Sigma` and the linear teacher :math:`w_\star=s\beta`; the loss is
:math:`\mathcal L=\tfrac12(w-w_\star)^\top\Sigma(w-w_\star)` with :math:`w` the product of the layers, which for a
linear teacher is the mean of :math:`\tfrac12(f-y)^2` over the data. Gradient flow has learning rate 1, so time is in
units of (second moment of the inputs)^-1 (units of the target)^-1.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import solve_ivp

Array = NDArray[np.float64]
Weights = Sequence[Any]  # numpy arrays or torch tensors, all of one kind


def random_weights(
    widths: Sequence[int], sigma: float, rng: np.random.Generator, seeds: int | None = None
) -> list[Array]:
    r"""Gaussian initialisation :math:`W^\ell_{ij}\sim\mathcal N(0,\sigma^2/N_{\ell-1})`, variance over the fan-in.

    Parameters
    ----------
    widths : ints
        :math:`(D,N_1,\dots,N_{L-1},1)`: inputs, hidden layers, one output.
    sigma : float
        Initialisation scale :math:`\sigma>0`.
    rng : numpy Generator
    seeds : int, optional
        Number of independent networks; without it there is no leading axis.

    Returns
    -------
    list of L arrays, shapes ([seeds,] N_l, N_{l-1}).

    Raises
    ------
    ValueError
        If a width or ``seeds`` is not a positive integer, the output width is not 1, or sigma is not positive.

    References
    ----------
    Atanasov, Bordelon and Pehlevan, ICLR 2022, sections 3 and 4.
    """
    widths = check_widths(widths)
    if not (np.isfinite(sigma) and sigma > 0):
        raise ValueError(f"sigma must be a positive number; got {sigma}")
    if seeds is not None and seeds < 1:
        raise ValueError(f"seeds must be a positive integer; got {seeds}")
    lead = () if seeds is None else (seeds,)
    return [rng.normal(0.0, sigma / np.sqrt(n), (*lead, m, n)) for n, m in pairwise(widths)]


def balanced_weights(
    widths: Sequence[int], scale: float, direction: ArrayLike, rng: np.random.Generator
) -> list[Array]:
    r"""Balanced rank-one start :math:`W^\ell=u\,r_{\ell+1}r_\ell^\top` with :math:`r_1` given and the others random.

    Every matrix :math:`W^\ell W^{\ell\top}-W^{\ell+1\top}W^{\ell+1}` vanishes.

    Parameters
    ----------
    widths : ints
        As in :func:`random_weights`.
    scale : float
        :math:`u>0`, the singular value of every layer.
    direction : array, shape (D,)
        :math:`r_1`, normalised here.
    rng : numpy Generator
        Draws the unit vectors of the hidden layers.

    Raises
    ------
    ValueError
        If widths, scale or direction do not fit.

    References
    ----------
    Atanasov, Bordelon and Pehlevan, ICLR 2022, section 4.1.
    """
    widths = check_widths(widths)
    first = np.asarray(direction, dtype=np.float64)
    if first.shape != (widths[0],) or not np.linalg.norm(first) > 0:
        raise ValueError(f"direction must be a nonzero vector of length {widths[0]}; got shape {first.shape}")
    if not scale > 0:
        raise ValueError(f"scale must be positive; got {scale}")
    vectors = [first, *(rng.normal(size=n) for n in widths[1:-1]), np.ones(1)]
    units = [v / np.linalg.norm(v) for v in vectors]
    return [scale * np.outer(out, inp) for inp, out in pairwise(units)]


def end_to_end(weights: Weights) -> Any:
    r"""The network's linear function :math:`w=(W^L\cdots W^1)^\top`, shape (..., D)."""
    check_weights(weights)
    product = weights[-1]
    for matrix in reversed(weights[:-1]):
        product = product @ matrix
    return product[..., 0, :]


def loss(weights: Weights, teacher: Any, covariance: Any) -> Any:
    r"""Loss :math:`\tfrac12(w-w_\star)^\top\Sigma(w-w_\star)`, shape (...).

    ``teacher`` is :math:`w_\star`, shape (D,); ``covariance`` is :math:`\Sigma`, shape (D, D).
    """
    check_teacher(weights, teacher, covariance)
    error = end_to_end(weights) - teacher
    return 0.5 * ((error @ covariance) * error).sum(-1)


def gradient(weights: Weights, teacher: Any, covariance: Any) -> list[Any]:
    r"""Gradient of :func:`loss` with respect to every layer,

    .. math::

        \nabla_{W^\ell}\mathcal L=(W^L\cdots W^{\ell+1})^\top\,(w-w_\star)^\top\Sigma\,(W^{\ell-1}\cdots W^1)^\top.

    Parameters
    ----------
    weights : list of L arrays, shapes (..., N_l, N_{l-1})
    teacher : array, shape (D,)
    covariance : array, shape (D, D)

    Returns
    -------
    list of arrays of the shapes of ``weights``.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    References
    ----------
    Atanasov, Bordelon and Pehlevan, ICLR 2022, Eq. 9.
    """
    check_teacher(weights, teacher, covariance)
    below, above = partial_products(weights)
    residual = ((end_to_end(weights) - teacher) @ covariance)[..., None, :]
    result = []
    for low, high in zip(below, above):
        right = residual if low is None else residual @ low.swapaxes(-1, -2)
        result.append(right if high is None else high.swapaxes(-1, -2) @ right)
    return result


def tangent_kernel(weights: Weights) -> Any:
    r"""Matrix :math:`M` of the neural tangent kernel :math:`K(x,x')=x^\top Mx'`, exact for any weights:

    .. math:: M=\sum_{\ell=1}^L\|W^L\cdots W^{\ell+1}\|^2\,(W^{\ell-1}\cdots W^1)^\top(W^{\ell-1}\cdots W^1).

    Returns
    -------
    array, shape (..., D, D)

    References
    ----------
    Atanasov, Bordelon and Pehlevan, ICLR 2022, Eq. 57.
    """
    below, above = partial_products(weights)
    total = None
    for low, high in zip(below, above):
        if low is None:  # first layer: the empty product is the identity
            gram = np.eye(weights[0].shape[-1])
            gram = gram if isinstance(weights[0], np.ndarray) else weights[0].new_tensor(gram)
        else:
            gram = low.swapaxes(-1, -2) @ low
        term = gram if high is None else (high * high).sum((-1, -2))[..., None, None] * gram
        total = term if total is None else total + term
    return total


def layer_moment(weights: Weights, layer: int) -> Any:
    r"""Second moment :math:`M_\ell=(W^\ell\cdots W^1)^\top(W^\ell\cdots W^1)` of the representation in a layer.

    :math:`XM_\ell X^\top` is the Gram matrix of the activations of layer :math:`\ell=1..L`. Shape (..., D, D).
    """
    check_weights(weights)
    if not 1 <= layer <= len(weights):
        raise ValueError(f"layer must be between 1 and the depth {len(weights)}; got {layer}")
    product = weights[0]
    for matrix in weights[1:layer]:
        product = matrix @ product
    return product.swapaxes(-1, -2) @ product


def imbalance(weights: Weights) -> list[Any]:
    r"""The conserved matrices :math:`W^\ell W^{\ell\top}-W^{\ell+1\top}W^{\ell+1}`, :math:`\ell=1..L-1`.

    Gradient flow of any loss of the product leaves them constant.

    References
    ----------
    Atanasov, Bordelon and Pehlevan, ICLR 2022, appendix D (after Fukumizu 1998 and Arora et al. 2018).
    """
    check_weights(weights)
    return [a @ a.swapaxes(-1, -2) - b.swapaxes(-1, -2) @ b for a, b in pairwise(weights)]


def integrate_flow(
    weights: Weights, teacher: ArrayLike, covariance: ArrayLike, times: ArrayLike, rtol: float = 1e-9
) -> list[Array]:
    r"""Gradient flow :math:`\dot W^\ell=-\nabla_{W^\ell}\mathcal L` of one network, by Runge-Kutta of order eight.

    Parameters
    ----------
    weights : list of L arrays, shapes (N_l, N_{l-1})
        One network, without a leading axis.
    teacher : array, shape (D,)
    covariance : array, shape (D, D)
    times : array, shape (T,)
        Increasing, from 0: where the weights are wanted.
    rtol : float
        Relative tolerance of the solver; the absolute one is ``rtol`` times the largest initial weight times 1e-3.

    Returns
    -------
    list of L arrays, shapes (T, N_l, N_{l-1}).

    Raises
    ------
    ValueError
        If shapes do not fit, times do not increase from 0, or there are several networks.
    RuntimeError
        If the solver gives up.
    """
    start = [np.asarray(w, dtype=np.float64) for w in weights]
    if any(w.ndim != 2 for w in start):
        raise ValueError("integrate_flow takes one network: matrices without a leading axis for seeds")
    teacher, covariance = np.asarray(teacher, dtype=np.float64), np.asarray(covariance, dtype=np.float64)
    check_teacher(start, teacher, covariance)
    grid = np.asarray(times, dtype=np.float64)
    if grid.ndim != 1 or grid.size < 2 or grid[0] != 0 or not (np.diff(grid) > 0).all():
        raise ValueError("times must be a vector of at least two increasing numbers that starts at 0")
    ends = np.cumsum([0, *(w.size for w in start)])

    def unpack(flat: Array) -> list[Array]:
        return [flat[a:b].reshape(w.shape) for a, b, w in zip(ends[:-1], ends[1:], start)]

    def velocity(_: float, flat: Array) -> Array:
        return -np.concatenate([g.ravel() for g in gradient(unpack(flat), teacher, covariance)])

    flat = np.concatenate([w.ravel() for w in start])
    floor = 1e-3 * rtol * float(np.abs(flat).max())
    path = solve_ivp(velocity, (0.0, grid[-1]), flat, method="DOP853", t_eval=grid, rtol=rtol, atol=floor)
    if not path.success:
        raise RuntimeError(f"the flow could not be integrated: {path.message}")
    return [path.y[a:b].T.reshape(grid.size, *w.shape) for a, b, w in zip(ends[:-1], ends[1:], start)]


def partial_products(weights: Weights) -> tuple[list[Any], list[Any]]:
    r"""For every layer the products below, :math:`W^{\ell-1}\cdots W^1`, and above, :math:`W^L\cdots W^{\ell+1}`.

    An empty product is ``None``.
    """
    check_weights(weights)
    below: list[Any] = [None]
    for matrix in weights[:-1]:
        below.append(matrix if below[-1] is None else matrix @ below[-1])
    above: list[Any] = [None]
    for matrix in reversed(weights[1:]):
        above.append(matrix if above[-1] is None else above[-1] @ matrix)
    return below, above[::-1]


def check_widths(widths: Sequence[int]) -> list[int]:
    """Return the widths as ints, at least two layers and one output."""
    numbers = [int(n) for n in widths]
    if len(numbers) < 3 or any(n < 1 or n != m for n, m in zip(numbers, widths)) or numbers[-1] != 1:
        raise ValueError(f"widths must be (inputs, hidden..., 1): at least three positive integers; got {list(widths)}")
    return numbers


def check_weights(weights: Weights) -> None:
    """Refuse layers that do not fit together."""
    if len(weights) < 2:
        raise ValueError(f"a deep linear network needs at least two weight matrices; got {len(weights)}")
    for low, high in pairwise(weights):
        if low.ndim < 2 or high.shape[-1] != low.shape[-2] or high.shape[:-2] != low.shape[:-2]:
            raise ValueError(
                "every layer must take what the one below gives, with the same leading axes; got shapes "
                f"{[tuple(w.shape) for w in weights]}"
            )
    if weights[-1].shape[-2] != 1:
        raise ValueError(f"the last layer must have one output, shape (..., 1, N); got {tuple(weights[-1].shape)}")


def check_teacher(weights: Weights, teacher: Any, covariance: Any) -> None:
    """Refuse a teacher or second moment that does not fit the inputs of the network."""
    inputs = weights[0].shape[-1]
    if tuple(teacher.shape) != (inputs,) or tuple(covariance.shape) != (inputs, inputs):
        raise ValueError(
            f"for {inputs} inputs the teacher must have shape ({inputs},) and the covariance ({inputs}, {inputs}); "
            f"got {tuple(teacher.shape)} and {tuple(covariance.shape)}"
        )
