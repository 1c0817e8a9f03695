r"""From a kernel to an activation: one-hidden-layer networks with a prescribed NNGP kernel or NTK.

A dot-product kernel :math:`K(c)=\sum_ka_kc^k` that is positive definite on spheres of every dimension has
:math:`a_k\ge0` (Schoenberg). The wide network of :mod:`replica.kernels.hermite` has it when its activation has Hermite
coefficients :math:`\pm\sqrt{a_k}` (NNGP) or :math:`\pm\sqrt{a_k/(1+k)}` (NTK).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize, nnls
from scipy.special import gammaln, ndtr
from torch import Tensor

from replica.kernels.hermite import Values, as_cosine, ntk_from_hermite

Array = NDArray[np.float64]

# The published parameters of the mimic and the hand-made start of their fit (authors' notebooks).
MIMIC_4HL_RELU = (3.8001579818, 1.0600013769, 0.0968093057, 0.9010060417, -0.0793610464, 11.8105653316, 0.9340552512)
MIMIC_START = (3.5, 1.0, 0.05, 0.8, 0.1, 10.0, np.pi / 4 + 0.1)


def reverse_engineer(power_coefficients: ArrayLike, kind: str = "ntk", signs: ArrayLike | None = None) -> Array:
    r"""Hermite coefficients of an activation whose wide one-hidden-layer network has the kernel :math:`\sum_ka_kc^k`.

    :math:`b_k=s_k\sqrt{a_k}` for the NNGP kernel, :math:`b_k=s_k\sqrt{a_k/(1+k)}` for the NTK.

    Parameters
    ----------
    power_coefficients : array, shape (K + 1,)
        :math:`a_k\ge0`.
    kind : "ntk" or "nngp"
    signs : array of +1 and -1, shape (K + 1,), optional
        :math:`s_k`; all +1 by default. They change the activation but not its kernel.

    Returns
    -------
    array, shape (K + 1,)

    Raises
    ------
    ValueError
        If a coefficient is negative beyond round-off (the kernel is not positive definite on spheres of high
        dimension) or not finite, all are zero, or signs are not +-1.

    References
    ----------
    Simon, Anand and DeWeese, ICML 2022, Theorem 3.1.
    """
    a = np.asarray(power_coefficients, dtype=np.float64)
    if a.ndim != 1 or not np.isfinite(a).all() or not a.any():
        raise ValueError("power_coefficients must be a vector of finite numbers, not all zero; the kernel is not that")
    if a.min() < -1e-12 * a.max(initial=0):
        k = int(np.argmin(a))
        raise ValueError(
            "a dot-product kernel is positive definite on spheres of every dimension only if all its power-series "
            f"coefficients are >= 0 (Schoenberg); the coefficient of c^{k} is {a[k]:g}"
        )
    if kind not in ("ntk", "nngp"):
        raise ValueError(f'kind must be "ntk" or "nngp"; got {kind!r}')
    s = np.ones(a.size) if signs is None else np.asarray(signs, dtype=np.float64)
    if s.shape != a.shape or not (np.abs(s) == 1).all():
        raise ValueError(f"signs must be +1 or -1, one for each of the {a.size} coefficients; got shape {s.shape}")
    return s * np.sqrt(np.maximum(a, 0) / (1 + np.arange(a.size) if kind == "ntk" else 1))


def fit_dot_product_kernel(
    cosine: ArrayLike, values: ArrayLike, degree: int = 5, endpoint_weight: float = 0.1
) -> Array:
    r"""Power-series coefficients :math:`a_k\ge0` of a kernel that is known as a curve, by non-negative least squares.

    Minimises :math:`\sum_i(\sum_ka_kc_i^k-K_i)^2` over :math:`a_0,\dots,a_D\ge0`. The point of largest cosine is
    repeated so often that it carries the given share of the weight: the diagonal of a kernel matters most.

    Parameters
    ----------
    cosine, values : arrays, shape (n,)
        The curve; the authors take angles evenly spaced in :math:`[0,\pi]`.
    degree : int
        :math:`D\ge0`, below the number of points.
    endpoint_weight : float
        Share of the end point among all points, in [0, 1).

    Returns
    -------
    array, shape (degree + 1,)

    Raises
    ------
    ValueError
        If the curve is not two finite vectors of equal length with cosines in [-1, 1] and more points than ``degree``,
        or the weight is outside [0, 1).
    """
    c, y = as_cosine(cosine), np.asarray(values, dtype=np.float64)
    if c.ndim != 1 or c.shape != y.shape:
        raise ValueError(f"cosine and values must be vectors of one length; got shapes {c.shape} and {y.shape}")
    if not np.isfinite(y).all():
        raise ValueError("the kernel must be finite at every cosine; it holds NaN or infinity")
    if not (int(degree) == degree and 0 <= degree < c.size):
        raise ValueError(f"degree must be a whole number >= 0 and below the {c.size} points; got {degree}")
    if not 0 <= endpoint_weight < 1:
        raise ValueError(f"endpoint_weight must lie in [0, 1); got {endpoint_weight}")
    copies = round(endpoint_weight * c.size / (1 - endpoint_weight))
    last = np.full(copies, np.argmax(c))
    c, y = np.append(c, c[last]), np.append(y, y[last])
    return nnls(np.vander(c, int(degree) + 1, increasing=True), y)[0]


def sine_power_coefficients(amplitude: float, frequency: float, max_degree: int) -> Array:
    r"""NTK coefficients :math:`a_k=A^2e^{-\omega^2}\omega^{2k}(1+k)/k!` (odd :math:`k`) of :math:`\phi=A\sin\omega z`.

    Returns
    -------
    array, shape (max_degree + 1,)
    """
    k = np.arange(max_degree + 1.0)
    return (k % 2) * (1 + k) * amplitude**2 * np.exp(2 * k * np.log(frequency) - frequency**2 - gammaln(k + 1))


def sine_ntk(amplitude: float, frequency: float, cosine: ArrayLike) -> Array:
    r"""NTK :math:`A^2e^{-\omega^2}[\sinh(\omega^2c)+\omega^2c\cosh(\omega^2c)]` of :math:`\phi=A\sin\omega z`.

    Written without large exponentials.
    """
    c, w = as_cosine(cosine), float(frequency) ** 2
    plus, minus = np.exp(w * (c - 1)) / 2, np.exp(-w * (c + 1)) / 2
    return amplitude**2 * (plus - minus + w * c * (plus + minus))


class MimicActivation(NamedTuple):
    r"""The family :math:`\tilde\phi(z)=a\,\mathrm{ReLU}(z-b)+cz+d+e\cos(fz+g)` for arrays and tensors."""

    a: float
    b: float
    c: float
    d: float
    e: float
    f: float
    g: float

    def __call__(self, z: Values) -> Values:
        """The activation itself."""
        if isinstance(z, Tensor):
            return self.a * torch.relu(z - self.b) + self.c * z + self.d + self.e * torch.cos(self.f * z + self.g)
        return self.a * np.maximum(z - self.b, 0) + self.c * z + self.d + self.e * np.cos(self.f * z + self.g)

    def slope(self, z: Array) -> Array:
        """Its derivative (arrays)."""
        return self.a * (z > self.b) + self.c - self.e * self.f * np.sin(self.f * z + self.g)


def mimic_hermite(parameters: ArrayLike, max_degree: int) -> Array:
    r"""Hermite coefficients of :class:`MimicActivation`, in closed form.

    With :math:`w` the standard Gaussian density and :math:`Q` its upper tail, :math:`\mathrm{ReLU}(z-b)` has
    :math:`w(b)-bQ(b)`, :math:`Q(b)` and :math:`w(b)h_{k-2}(b)/\sqrt{k(k-1)}`; :math:`\cos(fz+g)` has
    :math:`e^{-f^2/2}\frac{|f|^k}{\sqrt{k!}}\cos(g+k\pi/2)` for :math:`f>0` (for :math:`f<0` both signs turn).

    Parameters
    ----------
    parameters : seven numbers (a, b, c, d, e, f, g)
    max_degree : int
        :math:`K\ge2`.

    Returns
    -------
    array, shape (K + 1,)

    Raises
    ------
    ValueError
        If the parameters are not seven finite numbers.
    """
    p = np.asarray(parameters, dtype=np.float64)
    if p.shape != (7,) or not np.isfinite(p).all() or max_degree < 2:
        raise ValueError(f"need seven finite parameters and max_degree >= 2; got shape {p.shape} and {max_degree}")
    a, b, c, d, e, f, g = (float(x) for x in p)
    if f < 0:
        f, g = -f, -g
    k = np.arange(max_degree + 1.0)
    density = np.exp(-(b**2) / 2) / np.sqrt(2 * np.pi)
    ladder = np.empty(max_degree - 1)  # w(b) h_0(b) ... w(b) h_{K-2}(b)
    previous, current = 0.0, density
    for j in range(ladder.size):
        ladder[j] = current
        previous, current = current, (b * current - j**0.5 * previous) / (j + 1) ** 0.5
    out = np.empty(k.size)
    out[0] = a * (density - b * ndtr(-b)) + d
    out[1] = a * ndtr(-b) + c
    out[2:] = a * ladder / np.sqrt(k[2:] * (k[2:] - 1))
    size = np.exp(k * np.log(f) - f**2 / 2 - gammaln(k + 1) / 2) if f else (k == 0).astype(float)
    return out + e * size * np.cos(g + k * np.pi / 2)


def mimic_ntk(parameters: ArrayLike, cosine: ArrayLike, max_degree: int = 4000) -> Array:
    r"""NTK of the wide network of :class:`MimicActivation`.

    The kink makes the terms fall as :math:`k^{-3/2}c^k` only. 4000 of them are accurate to 1e-3 of :math:`K(1)` at
    angles above 0.03; at :math:`c=1` the sum is replaced by :math:`E[\phi^2]+E[\dot\phi^2]`.
    """
    c = as_cosine(cosine)
    out = np.atleast_1d(ntk_from_hermite(mimic_hermite(parameters, max_degree), c))
    if (c == 1).any():
        phi = MimicActivation(*(float(p) for p in np.asarray(parameters)))
        out[np.atleast_1d(c) == 1] = gaussian_average(lambda z: phi(z) ** 2 + phi.slope(z) ** 2, phi.b)
    return out.reshape(c.shape)


def gaussian_average(function: Callable[[Array], Array], kink: float) -> float:
    """Average over a standard Gaussian of a function that is smooth on either side of one point (Gauss-Legendre)."""
    nodes, weights = np.polynomial.legendre.leggauss(600)
    total = 0.0
    for low, high in ((-14.0, kink), (kink, 14.0)):
        z = (high + low) / 2 + (high - low) / 2 * nodes
        total += (high - low) / 2 * float(weights @ (function(z) * np.exp(-(z**2) / 2)))
    return total / float(np.sqrt(2 * np.pi))


def fit_mimic(
    cosine: ArrayLike,
    target: ArrayLike,
    start: ArrayLike = MIMIC_START,
    *,
    max_degree: int = 600,
    iterations: int = 2000,
    callback: Callable[[Array], None] | None = None,
) -> tuple[Array, float]:
    r"""Fit :class:`MimicActivation` to a kernel: Nelder-Mead on the mean squared error of the exact NTK.

    The published fit averages the empirical kernels of 20 random networks at every step; the series is
    deterministic and needs seconds.

    Parameters
    ----------
    cosine, target : arrays, shape (n,)
        The kernel to be mimicked; leave out :math:`c=1`, where the series has not converged.
    start : seven numbers
    max_degree, iterations : int
        Terms of the series; most steps of the simplex.

    Returns
    -------
    (parameters, error) : array of shape (7,), float
        And the root mean squared error of the kernel there.

    Raises
    ------
    ValueError
        If the curve is not two finite vectors of one length.
    """
    c, y = as_cosine(cosine), np.asarray(target, dtype=np.float64)
    if c.ndim != 1 or c.shape != y.shape or not np.isfinite(y).all():
        raise ValueError(f"cosine and target must be finite vectors of one length; got {c.shape} and {y.shape}")
    powers = np.vander(c, max_degree + 1, increasing=True) * (1 + np.arange(max_degree + 1))
    # einsum: a threaded product of this size would cost more than it saves
    objective = lambda p: float(  # noqa: E731
        ((np.einsum("ij,j", powers, mimic_hermite(p, max_degree) ** 2) - y) ** 2).mean()
    )
    options = {"maxiter": iterations, "maxfev": 2 * iterations, "xatol": 1e-5, "fatol": 1e-9, "adaptive": True}
    found = minimize(
        objective, np.asarray(start, dtype=float), method="Nelder-Mead", options=options, callback=callback
    )
    return found.x, float(np.sqrt(found.fun))
