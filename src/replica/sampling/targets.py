r"""Target distributions $p(x) \propto e^{-E(x)}$ whose moments are known exactly.

A target is any object with ``n_dims``, ``energy(x)`` and ``gradient(x, out=None)``; the ones here can also draw exact
independent samples, so that chains start in equilibrium and need no burn-in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from scipy.special import ive

__all__ = ["AnisotropicGaussian", "DiagonalGaussian", "RoughWell", "StudentTProduct", "Target"]


class Target(Protocol):
    """What the samplers need to know about a distribution."""

    n_dims: int

    def energy(self, x: np.ndarray) -> np.ndarray:
        """Energies ``(n_chains,)`` of positions ``(n_dims, n_chains)``."""
        ...

    def gradient(self, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Gradients of the energy, same shape as ``x``; written into ``out`` where that is given."""
        ...


def _positive_count(value: int, name: str) -> int:
    if int(value) != value or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    return int(value)


def _positive(value: float, name: str) -> float:
    if not np.isfinite(value) or value <= 0:
        raise ValueError(f"{name} must be a positive finite number, got {value!r}")
    return float(value)


def _check_positions(x: np.ndarray, n_dims: int) -> None:
    if x.ndim != 2 or x.shape[0] != n_dims:
        raise ValueError(f"positions must have shape ({n_dims}, n_chains), got {x.shape}")


class _Diagonal:
    """Energy, gradient and exact samples of a Gaussian with a diagonal matrix of ``precisions``."""

    n_dims: int
    precisions: np.ndarray

    @property
    def stability_limit(self) -> float:
        r"""Largest stable leapfrog step, $2 / \sqrt{\max_i j_i}$."""
        return float(2.0 / np.sqrt(self.precisions.max()))

    def variances(self) -> np.ndarray:
        """Exact variances $1/j_i$, shape ``(n_dims,)``."""
        return 1.0 / self.precisions

    def energy(self, x: np.ndarray) -> np.ndarray:
        """$E(x)$ for positions ``(n_dims, n_chains)``: shape ``(n_chains,)``, in units of $kT$."""
        _check_positions(x, self.n_dims)
        return 0.5 * np.einsum("i,ib,ib->b", self.precisions, x, x)

    def gradient(self, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        r"""$\partial E/\partial x_i = j_i x_i$, shape of ``x``."""
        return np.multiply(self.precisions[:, None], x, out=out)

    def sample(self, n_chains: int, rng: np.random.Generator) -> np.ndarray:
        """``(n_dims, n_chains)`` exact independent samples."""
        _positive_count(n_chains, "n_chains")
        return rng.standard_normal((self.n_dims, n_chains)) / np.sqrt(self.precisions)[:, None]


@dataclass(frozen=True)
class AnisotropicGaussian(_Diagonal):
    r"""Zero-mean Gaussian with log-spaced precisions,

    $$E(x) = \tfrac12 \sum_i j_i x_i^2, \qquad j_i = 10^{-c + c\,(i-1)/(N-1)},\ i = 1..N .$$

    Parameters
    ----------
    n_dims
        Number of dimensions, at least 1.
    log10_condition
        $c$, the decimal logarithm of the ratio of the largest to the smallest precision. The publication uses 6:
        standard deviations run from $10^3$ down to 1.

    Attributes
    ----------
    precisions
        ``(n_dims,)``, the $j_i$ in increasing order (widest direction first).

    Raises
    ------
    ValueError
        Dimension below 1, or a negative or non-finite ``log10_condition``.

    References
    ----------
    Sohl-Dickstein, Mudigonda and DeWeese (2014), Section 4.
    """

    n_dims: int
    log10_condition: float = 6.0
    precisions: np.ndarray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _positive_count(self.n_dims, "n_dims")
        if not np.isfinite(self.log10_condition) or self.log10_condition < 0:
            raise ValueError(f"log10_condition must be finite and not negative, got {self.log10_condition!r}")
        object.__setattr__(self, "precisions", np.logspace(-self.log10_condition, 0.0, self.n_dims))


@dataclass(frozen=True)
class DiagonalGaussian(_Diagonal):
    r"""Zero-mean Gaussian of chosen precisions, $E(x)=\tfrac12\sum_i j_i x_i^2$.

    Parameters
    ----------
    precisions : array ``(n_dims,)``
        The $j_i$, positive: one over the variances.

    Raises
    ------
    ValueError
        Not a list of positive finite numbers.
    """

    precisions: np.ndarray = field(compare=False)

    def __post_init__(self) -> None:
        precisions = np.array(self.precisions, dtype=np.float64)
        if precisions.ndim != 1 or precisions.size < 1 or not (np.isfinite(precisions) & (precisions > 0)).all():
            raise ValueError(f"precisions must be a list of positive finite numbers, got {self.precisions!r}")
        object.__setattr__(self, "precisions", precisions)

    @property
    def n_dims(self) -> int:
        """Number of dimensions."""
        return self.precisions.size


@dataclass(frozen=True)
class RoughWell:
    r"""A wide quadratic well with a ripple, the same in each direction,

    $$E(x) = \sum_i \Big[ \frac{x_i^2}{2\sigma_1^2} + \cos\frac{2\pi x_i}{\sigma_2} \Big] .$$

    Parameters
    ----------
    n_dims
        Number of dimensions.
    scale
        $\sigma_1$, standard deviation of the well (100 in the publication).
    period
        $\sigma_2$, period of the ripple (4 in the publication). The ripple's height is 2 $kT$.

    Raises
    ------
    ValueError
        A dimension below 1, or a scale or period that is not positive and finite.

    References
    ----------
    Sohl-Dickstein, Mudigonda and DeWeese (2014), Section 4.
    """

    n_dims: int = 2
    scale: float = 100.0
    period: float = 4.0

    def __post_init__(self) -> None:
        _positive_count(self.n_dims, "n_dims")
        _positive(self.scale, "scale")
        _positive(self.period, "period")

    @property
    def wavenumber(self) -> float:
        r"""$2\pi/\sigma_2$."""
        return 2.0 * np.pi / self.period

    def mean_cosine(self) -> float:
        r"""Exact $\langle\cos(2\pi x_i/\sigma_2)\rangle = -I_1(1)/I_0(1) = -0.4464$.

        The Gaussian envelope changes it by a relative $e^{-2\pi^2\sigma_1^2/\sigma_2^2}$, which is zero in double
        precision once the well is wider than about three periods.
        """
        return float(-ive(1, 1.0) / ive(0, 1.0))

    def energy(self, x: np.ndarray) -> np.ndarray:
        """$E(x)$ for positions ``(n_dims, n_chains)``: shape ``(n_chains,)``, in units of $kT$."""
        _check_positions(x, self.n_dims)
        return (x**2).sum(axis=0) / (2.0 * self.scale**2) + np.cos(self.wavenumber * x).sum(axis=0)

    def gradient(self, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        r"""$\partial E/\partial x_i = x_i/\sigma_1^2 - (2\pi/\sigma_2)\sin(2\pi x_i/\sigma_2)$, shape of ``x``."""
        out = np.multiply(x, self.wavenumber, out=out)
        np.sin(out, out=out)
        out *= -self.wavenumber
        out += x * (1.0 / self.scale**2)
        return out

    def sample(self, n_chains: int, rng: np.random.Generator) -> np.ndarray:
        r"""``(n_dims, n_chains)`` exact independent samples.

        Rejection from the envelope: a Gaussian proposal is kept with probability $e^{-\cos(2\pi x/\sigma_2) - 1}$
        (on average $I_0(1)/e = 0.47$).
        """
        _positive_count(n_chains, "n_chains")
        wanted, kept = self.n_dims * n_chains, np.empty(0)
        while kept.size < wanted:
            proposal = self.scale * rng.standard_normal(3 * (wanted - kept.size) + 16)
            keep = rng.random(proposal.size) < np.exp(-np.cos(self.wavenumber * proposal) - 1.0)
            kept = np.concatenate([kept, proposal[keep]])
        return np.ascontiguousarray(kept[:wanted].reshape(self.n_dims, n_chains))


@dataclass(frozen=True)
class StudentTProduct:
    r"""Product of heavy-tailed experts, each looking at one direction,

    $$E(x) = \sum_k \frac{\nu_k+1}{2}\ln\Big[1+\Big(\frac{(Wx+b)_k}{\nu_k}\Big)^2\Big] .$$

    Note $\nu_k$ *inside* the square: $y_k=(Wx+b)_k$ is $\sqrt{\nu_k}$ times a standard Student-t variate of $\nu_k$
    degrees of freedom, of variance $\nu_k^2/(\nu_k-2)$. This holds where W is square, so that the experts are
    independent; with more experts than dimensions there are no exact samples.

    Parameters
    ----------
    nu : array ``(n_experts,)``
        Degrees of freedom, positive.
    weights : array ``(n_experts, n_dims)`` or None
        W, of full column rank; None is the identity.
    bias : array ``(n_experts,)`` or None
        b; None is zero.

    Attributes
    ----------
    n_dims : int

    Raises
    ------
    ValueError
        Degrees of freedom that are not positive, weights of the wrong shape or rank, a bias of the wrong shape.

    References
    ----------
    Berger et al. (2015), and the energy of their code.
    """

    nu: np.ndarray = field(compare=False)
    weights: np.ndarray | None = field(default=None, compare=False)
    bias: np.ndarray | None = field(default=None, compare=False)
    n_dims: int = field(init=False)

    def __post_init__(self) -> None:
        nu = np.array(self.nu, dtype=np.float64)
        if nu.ndim != 1 or nu.size < 1 or not (np.isfinite(nu) & (nu > 0)).all():
            raise ValueError(f"nu must be a list of positive finite numbers, got {self.nu!r}")
        bias = np.zeros(nu.size) if self.bias is None else np.array(self.bias, dtype=np.float64)
        if bias.shape != nu.shape or not np.isfinite(bias).all():
            raise ValueError(f"bias must be one finite number for each of {nu.size} experts, got {self.bias!r}")
        weights = self.weights
        if weights is not None:
            weights = np.array(weights, dtype=np.float64)
            if weights.ndim != 2 or weights.shape[0] != nu.size or not np.isfinite(weights).all():
                raise ValueError(
                    f"weights must have shape ({nu.size}, n_dims) and be finite, got shape {weights.shape}"
                )
            if np.linalg.matrix_rank(weights) < weights.shape[1]:
                raise ValueError("weights must have full column rank: some direction is seen by no expert")
        for name, value in (("nu", nu), ("bias", bias), ("weights", weights)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "n_dims", nu.size if weights is None else weights.shape[1])

    def _experts(self, x: np.ndarray) -> np.ndarray:
        return (x if self.weights is None else self.weights @ x) + self.bias[:, None]

    def energy(self, x: np.ndarray) -> np.ndarray:
        """$E(x)$ for positions ``(n_dims, n_chains)``: shape ``(n_chains,)``, in units of $kT$."""
        _check_positions(x, self.n_dims)
        return 0.5 * (self.nu + 1.0) @ np.log1p((self._experts(x) / self.nu[:, None]) ** 2)

    def gradient(self, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        r"""$\nabla E=W^\top g$ with $g_k=(\nu_k+1)\,y_k/(\nu_k^2+y_k^2)$, shape of ``x``."""
        y = self._experts(x)
        slope = (self.nu + 1.0)[:, None] * y / (self.nu[:, None] ** 2 + y**2)
        slope = slope if self.weights is None else self.weights.T @ slope
        if out is None:
            return slope
        out[...] = slope
        return out

    def sample(self, n_chains: int, rng: np.random.Generator) -> np.ndarray:
        """``(n_dims, n_chains)`` exact independent samples; ValueError unless W is square."""
        _positive_count(n_chains, "n_chains")
        if self.nu.size != self.n_dims:
            raise ValueError(f"exact samples need as many experts as dimensions, got {self.nu.size} and {self.n_dims}")
        y = np.sqrt(self.nu)[:, None] * rng.standard_t(self.nu[:, None], size=(self.nu.size, n_chains))
        y -= self.bias[:, None]
        return y if self.weights is None else np.linalg.solve(self.weights, y)

    def expert_variances(self) -> np.ndarray:
        r"""Exact variances $\nu_k^2/(\nu_k-2)$ of the $y_k$ (square W; infinite for $\nu_k\le2$), ``(n_experts,)``."""
        if self.nu.size != self.n_dims:
            raise ValueError(f"exact moments need as many experts as dimensions, got {self.nu.size} and {self.n_dims}")
        return np.where(self.nu > 2, self.nu**2 / np.where(self.nu > 2, self.nu - 2.0, 1.0), np.inf)
