"""A landscape from any torch function: gradients and Hessian-vector products by automatic differentiation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class TorchLandscape:
    """What :func:`torch_landscape` returns; arrays in and out are numpy, float64."""

    def __init__(self, loss: Callable[[Any], Any], n_parameters: int, device: str = "cpu") -> None:
        import torch
        from torch.func import vmap

        if int(n_parameters) != n_parameters or n_parameters < 1:
            raise ValueError(f"n_parameters must be a whole number of at least 1, got {n_parameters!r}")
        self.n_parameters, self.device = int(n_parameters), device
        value = loss(torch.zeros(self.n_parameters, dtype=torch.float64, device=device))
        if not isinstance(value, torch.Tensor) or value.shape != () or value.dtype != torch.float64:
            got = f"{value.dtype} of shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value)
            raise ValueError(f"loss must return a float64 tensor without dimensions, got {got}")
        self._loss = vmap(loss)

    def loss(self, theta: ArrayLike) -> Array:
        """Losses (n,) of points (n, n_parameters)."""
        return self._loss(self._points(theta)).detach().cpu().numpy()

    def gradient(self, theta: ArrayLike) -> Array:
        """Gradients (n, n_parameters): one sweep back from the sum, since points do not know of each other."""
        return self._slope(self._points(theta), differentiable=False).cpu().numpy()

    def hessian_product(self, theta: ArrayLike, vectors: ArrayLike) -> Array:
        """The Hessian of each point times that point's vector: a second sweep back, from gradient times vector.

        It costs two to three gradients; forward mode over reverse mode would cost four to five.
        """
        import torch

        points, directions = self._points(theta), self._points(vectors)
        if points.shape != directions.shape:
            raise ValueError(f"one vector for each point: got {len(points)} points and {len(directions)} vectors")
        slope = self._slope(points, differentiable=True)
        if not slope.requires_grad:  # a loss linear in the parameters
            return np.zeros(points.shape)
        (product,) = torch.autograd.grad(slope, points, directions, materialize_grads=True)
        return product.detach().cpu().numpy()

    def _slope(self, points: Any, differentiable: bool) -> Any:
        import torch

        points.requires_grad_(True)
        total = self._loss(points).sum()
        (slope,) = torch.autograd.grad(total, points, create_graph=differentiable, materialize_grads=True)
        return slope

    def _points(self, theta: ArrayLike) -> Any:
        import torch

        theta = np.asarray(theta, dtype=np.float64)
        if theta.ndim != 2 or theta.shape[1] != self.n_parameters:
            raise ValueError(f"theta must have shape (n_points, {self.n_parameters}), got {theta.shape}")
        return torch.tensor(theta, device=self.device)


def torch_landscape(loss: Callable[[Any], Any], n_parameters: int, device: str = "cpu") -> TorchLandscape:
    """A landscape from a torch function of one point.

    Parameters
    ----------
    loss : callable
        Takes a float64 tensor (n_parameters,) and returns a tensor without dimensions, in operations that torch can
        differentiate twice and batch with ``torch.func.vmap``.
    n_parameters : int
    device : str
        Where it is computed.

    Returns
    -------
    :class:`TorchLandscape`, with the methods of :class:`~replica.landscapes.finders.Landscape`. A Hessian-vector
    product costs two to three gradients; no Hessian is formed.

    Raises
    ------
    ValueError
        If ``n_parameters`` is below 1 or the loss does not return one float64 number.
    """
    return TorchLandscape(loss, n_parameters, device)
