r"""Activations as Hermite series, and the kernels of wide one-hidden-layer networks in terms of their coefficients.

For inputs of norm :math:`\sqrt d` the network
:math:`f(x)=\frac1{\sqrt m}\sum_iv_i\phi(z_i)`, :math:`z=Wx/\sqrt d`, with standard Gaussian :math:`W,v` and no biases,
sees two inputs through standard Gaussians of correlation :math:`c`, the cosine between the inputs. In the normalised
Hermite basis, :math:`E_{z\sim N(0,1)}[h_jh_k]=\delta_{jk}`, everything about such a pair is diagonal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

Array = NDArray[np.float64]
Values = TypeVar("Values", Array, Tensor)
Activation = Callable[[Array], Array]

# The quadrature: trapezia, which converge faster than any power of the step for smooth activations and as its square
# for kinks. At the ends the square root of the Gaussian weight is 1e-98, which float64 still holds.
HALF_WIDTH = 30.0
NODES = 60_001


class Moments(NamedTuple):
    r"""Gaussian second moments of an activation and of its slope, :math:`z\sim N(0,1)`."""

    value: float
    r""":math:`E[\phi^2]`, the NNGP kernel at :math:`c=1`."""
    slope: float
    r""":math:`E[\dot\phi^2]`; with the value it makes the NTK at :math:`c=1`."""


def normalized_hermite(z: Values, max_degree: int) -> Iterator[Values]:
    r"""The normalised Hermite polynomials :math:`h_0(z),\dots,h_K(z)`, one after the other.

    From :math:`h_0=1`, :math:`h_1=z`, :math:`\sqrt k\,h_k=z\,h_{k-1}-\sqrt{k-1}\,h_{k-2}`.

    Parameters
    ----------
    z : array or tensor, any shape
    max_degree : int
        :math:`K\ge0`.

    Yields
    ------
    arrays or tensors of the shape of ``z``
    """
    previous, current = 0 * z, 0 * z + 1
    yield current
    for k in range(1, _degree(max_degree) + 1):
        previous, current = current, (z * current - (k - 1) ** 0.5 * previous) / k**0.5
        yield current


def hermite_coefficients(activation: Activation, max_degree: int) -> Array:
    r"""Coefficients :math:`b_k=E_{z\sim N(0,1)}[\phi(z)h_k(z)]` of an activation.

    By the trapezium rule on [-30, 30]; the Gaussian weight is shared between both factors, so that nothing overflows
    and the recursion is stable to degrees of several thousand.

    Parameters
    ----------
    activation : callable
        :math:`\phi`, applied to a vector.
    max_degree : int
        :math:`K\ge0`.

    Returns
    -------
    array, shape (K + 1,)
        To about 1e-12 for smooth activations, 1e-7 for kinks, 1e-4 for jumps.

    Raises
    ------
    ValueError
        If :math:`E[\phi^2]` is not finite (or too large for float64), or the activation does not return one finite
        number for each :math:`z`.
    """
    z, step, values, root = _weighted(activation)
    out = np.empty(_degree(max_degree) + 1)
    previous, current = np.zeros_like(z), root
    for k in range(out.size):
        if k:
            previous, current = current, (z * current - np.sqrt(k - 1) * previous) / np.sqrt(k)
        out[k] = step * np.einsum("i,i", values, current)  # a threaded product would cost more than it saves
    return out


def activation_moments(activation: Activation, derivative: Activation | None = None) -> Moments:
    r"""Second moments :math:`E[\phi^2]` and :math:`E[\dot\phi^2]`: what the kernels at :math:`c=1` consist of.

    Hermite series converge slowly there when :math:`\phi` has a kink; the moments do not depend on a series.

    Parameters
    ----------
    activation : callable
    derivative : callable, optional
        :math:`\dot\phi`; by default differences of the activation over 1e-3, with relative errors below 1e-6 for slopes
        that vary on scales of 1 and about 1e-3 at kinks. A jump of the activation is only noticed without it.

    Returns
    -------
    Moments

    Raises
    ------
    ValueError
        As :func:`hermite_coefficients`, or if the activation jumps: then :math:`E[\dot\phi^2]` is infinite, and so is
        the NTK at :math:`c=1`.
    """
    z, step, values, _ = _weighted(activation)
    value = step * (values @ values)
    if derivative is not None:
        _, _, slopes, _ = _weighted(derivative)
        return Moments(float(value), float(step * (slopes @ slopes)))
    phi = np.asarray(activation(z), dtype=np.float64)
    # The energy of a kink does not depend on the step of the differences; that of a jump is inverse to it.
    fine, coarse = (
        float((np.diff(phi[::stride]) ** 2) @ _weight((z[::stride][1:] + z[::stride][:-1]) / 2)) / stride
        for stride in (1, 2)
    )
    if fine > 1.3 * coarse:
        raise ValueError(
            "the activation jumps: its slope has no finite second moment, so that the network has an NNGP kernel "
            f"but no NTK at c = 1 (differences over {step:g} and {2 * step:g} give {fine / step:.3g} and "
            f"{coarse / step:.3g})"
        )
    return Moments(float(value), fine / step)


def hermite_activation(coefficients: ArrayLike) -> tuple[Callable[[Values], Values], Callable[[Values], Values]]:
    r"""The activation :math:`\phi=\sum_kb_kh_k` and its derivative :math:`\dot\phi=\sum_k\sqrt k\,b_kh_{k-1}`.

    Parameters
    ----------
    coefficients : array, shape (K + 1,)
        :math:`b_k`, of any sign.

    Returns
    -------
    (phi, dphi) : callables
        Each for NumPy arrays and torch tensors alike.

    Raises
    ------
    ValueError
        If the coefficients are not a finite vector.
    """
    b = _vector(coefficients, "Hermite coefficients")
    slope = np.sqrt(np.arange(1, b.size)) * b[1:] if b.size > 1 else np.zeros(1)
    return _series(b), _series(slope)


def nngp_from_hermite(coefficients: ArrayLike, cosine: ArrayLike) -> Array:
    r"""NNGP kernel :math:`K(c)=\sum_kb_k^2c^k` of a wide one-hidden-layer network.

    Parameters
    ----------
    coefficients : array, shape (K + 1,)
        :math:`b_k` of the activation :math:`\sum_kb_kh_k`.
    cosine : array, any shape, entries in [-1, 1]

    Returns
    -------
    array of the shape of ``cosine``

    Raises
    ------
    ValueError
        If the coefficients are not a finite vector or a cosine lies outside [-1, 1].

    References
    ----------
    Simon, Anand and DeWeese, ICML 2022, on kernels of one-hidden-layer networks; Daniely, Frostig and Singer,
    NeurIPS 2016, dual activations.
    """
    return power_series(_vector(coefficients, "Hermite coefficients") ** 2, cosine)


def ntk_from_hermite(coefficients: ArrayLike, cosine: ArrayLike) -> Array:
    r"""NTK :math:`K(c)=E[\phi\phi']+c\,E[\dot\phi\dot\phi']=\sum_k(1+k)b_k^2c^k` of the same network.

    Both layers are trained; the readout gives the first term and the hidden weights the second. Arguments as
    :func:`nngp_from_hermite`.
    """
    b = _vector(coefficients, "Hermite coefficients")
    return power_series((1 + np.arange(b.size)) * b**2, cosine)


def power_series(coefficients: ArrayLike, cosine: ArrayLike) -> Array:
    r"""The dot-product kernel :math:`K(c)=\sum_ka_kc^k`.

    Parameters
    ----------
    coefficients : array, shape (K + 1,)
        :math:`a_k`; a kernel on spheres of every dimension needs them all :math:`\ge0`, which is not asked for here.
    cosine : array, any shape, entries in [-1, 1]

    Returns
    -------
    array of the shape of ``cosine``

    Raises
    ------
    ValueError
        As :func:`nngp_from_hermite`.
    """
    return np.polynomial.polynomial.polyval(as_cosine(cosine), _vector(coefficients, "coefficients"))


def as_cosine(cosine: ArrayLike) -> Array:
    """Return ``cosine`` as float64, clipped to [-1, 1], after checking that it is finite and inside up to round-off."""
    c = np.asarray(cosine, dtype=np.float64)
    if not (np.abs(c) <= 1 + 1e-9).all():
        raise ValueError("cosines must be finite and lie in [-1, 1]; some do not")
    return np.clip(c, -1.0, 1.0)


def _series(b: Array) -> Callable[[Values], Values]:
    terms = [float(x) for x in b]

    def phi(z: Values) -> Values:
        # Clenshaw's recursion downwards: s_k = b_k + z s_{k+1} / sqrt(k+1) - sqrt((k+1)/(k+2)) s_{k+2}
        one, two = 0 * z, 0 * z
        for k in range(len(terms) - 1, -1, -1):
            one, two = terms[k] + z * one * (k + 1) ** -0.5 - two * ((k + 1) / (k + 2)) ** 0.5, one
        return one

    return phi


def _weight(z: Array) -> Array:
    return np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


def _weighted(activation: Activation) -> tuple[Array, float, Array, Array]:
    """Nodes, step, phi times the root of the weight, that root; refuses what is not square-integrable."""
    z = np.linspace(-HALF_WIDTH, HALF_WIDTH, NODES)
    step, root = z[1] - z[0], np.sqrt(_weight(z))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        phi = np.asarray(activation(z), dtype=np.float64)
        values = phi * root
    if phi.shape != z.shape:
        raise ValueError(f"the activation must return one number for each z; {z.shape} in, {phi.shape} out")
    if not np.isfinite(values).all():
        where = z[~np.isfinite(values)]
        raise ValueError(
            "the activation must be finite and square-integrable under the standard Gaussian (E[phi^2] < infinity); "
            f"it is not finite at z = {where[np.argmin(np.abs(where))]:.3g}"
        )
    tail = np.abs(z) > 0.9 * HALF_WIDTH
    total, outside = values @ values, values[tail] @ values[tail]
    if outside > 1e-12 * total:
        raise ValueError(
            "the activation must be square-integrable under the standard Gaussian (E[phi^2] < infinity), as exp(a z^2) "
            f"is for a < 1/4 only; {outside / total:.1e} of the integral over [-30, 30] comes from |z| > 27"
        )
    return z, float(step), values, root


def _vector(values: ArrayLike, what: str) -> Array:
    out = np.asarray(values, dtype=np.float64)
    if out.ndim != 1 or not out.size or not np.isfinite(out).all():
        raise ValueError(f"{what} must be a vector of finite numbers, one for each degree; got {_describe(out)}")
    return out


def _describe(values: Array) -> str:
    return f"shape {values.shape}" if values.ndim != 1 or not values.size else "NaN or infinity among them"


def _degree(max_degree: int) -> int:
    if int(max_degree) != max_degree or max_degree < 0:
        raise ValueError(f"max_degree must be a whole number >= 0; got {max_degree}")
    return int(max_degree)
