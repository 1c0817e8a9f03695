r"""A distribution of your own: an energy as a function on arrays, its gradient by hand or by automatic differentiation.

For a standard normal distribution in two dimensions::

    by_hand = CustomTarget(2, lambda x: 0.5 * (x**2).sum(axis=0), lambda x: x)
    by_torch = TorchTarget(2, lambda x: 0.5 * (x**2).sum(dim=0))
    check_gradient(by_hand, start)
    run = run_chains(MarkovJumpHMC(by_hand, step_size=0.5), start, 1000, rng)

The energy is minus the logarithm of the density, up to a constant. Positions are ``(n_dims, n_chains)``: one column for
each chain, and one energy for each column.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from replica.sampling.targets import Target

__all__ = ["CustomTarget", "TorchTarget", "check_gradient"]


def _check_dims(n_dims: int) -> None:
    if int(n_dims) != n_dims or n_dims < 1:
        raise ValueError(f"n_dims must be a whole number of at least 1, got {n_dims!r}")


def _one_per_chain(values: np.ndarray, x: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.shape != x.shape[1:]:
        raise ValueError(
            f"the energy function must return one number per chain, shape {x.shape[1:]}, for positions of shape "
            f"{x.shape}; got shape {values.shape}"
        )
    return values


@dataclass(frozen=True)
class CustomTarget:
    """A target from two functions on numpy arrays.

    Parameters
    ----------
    n_dims : int
        Number of dimensions.
    energy_function : callable
        Positions ``(n_dims, n_chains)`` to energies ``(n_chains,)``.
    gradient_function : callable
        Positions to gradients, both ``(n_dims, n_chains)``. See `check_gradient`.

    Raises
    ------
    ValueError
        Bad ``n_dims``; when called, a function that returns another shape.
    """

    n_dims: int
    energy_function: Callable[[np.ndarray], np.ndarray]
    gradient_function: Callable[[np.ndarray], np.ndarray]

    def __post_init__(self) -> None:
        _check_dims(self.n_dims)

    def energy(self, x: np.ndarray) -> np.ndarray:
        """Energies ``(n_chains,)`` of positions ``(n_dims, n_chains)``."""
        return _one_per_chain(self.energy_function(x), x)

    def gradient(self, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Gradients, the shape of ``x``; written into ``out`` where that is given."""
        gradient = np.asarray(self.gradient_function(x), dtype=np.float64)
        if gradient.shape != x.shape:
            raise ValueError(
                f"the gradient function must return the shape of the positions, {x.shape}; got {gradient.shape}"
            )
        if out is None:
            return gradient
        out[...] = gradient
        return out


@dataclass(frozen=True)
class TorchTarget:
    """A target from an energy written in torch; the gradient is torch's.

    The chains are independent, so one backward pass through the sum of their energies gives all gradients. An energy
    that mixes chains is wrong; `check_gradient` notices it.

    Parameters
    ----------
    n_dims : int
        Number of dimensions.
    energy_function : callable
        A float64 tensor of positions ``(n_dims, n_chains)`` to a tensor of energies ``(n_chains,)``.

    Raises
    ------
    ValueError
        Bad ``n_dims``; when called, a function that returns another shape.
    """

    n_dims: int
    energy_function: Callable[[Any], Any]

    def __post_init__(self) -> None:
        _check_dims(self.n_dims)

    def energy(self, x: np.ndarray) -> np.ndarray:
        """Energies ``(n_chains,)`` of positions ``(n_dims, n_chains)``."""
        import torch

        with torch.no_grad():
            return _one_per_chain(self.energy_function(torch.from_numpy(np.ascontiguousarray(x))).numpy(), x)

    def gradient(self, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Gradients by one backward pass, the shape of ``x``; written into ``out`` where that is given."""
        import torch

        position = torch.tensor(x, requires_grad=True)
        energy = self.energy_function(position)
        if tuple(energy.shape) != x.shape[1:]:
            _one_per_chain(np.empty(tuple(energy.shape)), x)
        (gradient,) = torch.autograd.grad(energy.sum(), position)
        if out is None:
            return gradient.numpy()
        out[...] = gradient.numpy()
        return out


def check_gradient(target: Target, position: np.ndarray, tolerance: float = 1e-5) -> float:
    r"""Compare a target's gradient with central differences of its energy, for every chain and coordinate.

    Each coordinate is moved by $h=6\cdot10^{-6}\,\max(1,|x|)$, the cube root of the rounding error, where the error of
    the difference is least. Costs $2N$ energies of all chains in N dimensions: once, before a long run.

    Parameters
    ----------
    target : Target
        Energy and gradient.
    position : array ``(n_dims, n_chains)``
        Where to look; random points of the region that the chains will visit.
    tolerance : float
        Largest difference allowed, relative to the larger of one and the chain's largest gradient.

    Returns
    -------
    float
        The largest such difference.

    Raises
    ------
    ValueError
        The two differ, or one is not finite; the sentence names the chain, the coordinate and both numbers.
    """
    x = np.array(position, dtype=np.float64)
    if x.ndim != 2 or x.shape[0] != target.n_dims:
        raise ValueError(f"position must have shape ({target.n_dims}, n_chains), got {x.shape}")
    gradient = np.asarray(target.gradient(x.copy()))
    slope = np.empty_like(x)
    for i in range(target.n_dims):
        step = 6e-6 * np.maximum(1.0, np.abs(x[i]))
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        slope[i] = (target.energy(up) - target.energy(down)) / (up[i] - down[i])
    # rounding of the energy itself, which the division by h magnifies
    rounding = 4.0 * np.finfo(float).eps * np.abs(target.energy(x)) / 6e-6
    scale = np.maximum(1.0, np.abs(slope).max(axis=0))
    difference = np.abs(gradient - slope) / scale
    allowed = tolerance + rounding / scale
    wrong = ~(difference <= allowed)
    if wrong.any():
        worst = np.where(wrong, np.where(np.isnan(difference), np.inf, difference / allowed), -1.0)
        i, chain = (int(k) for k in np.unravel_index(np.argmax(worst), worst.shape))
        raise ValueError(
            f"the gradient does not match the energy: for chain {chain}, coordinate {i}, at {x[i, chain]:.6g} the "
            f"gradient is {gradient[i, chain]:.8g}, but finite differences of the energy give {slope[i, chain]:.8g} "
            f"({int(wrong.sum())} of {wrong.size} entries differ)"
        )
    return float(difference.max())
