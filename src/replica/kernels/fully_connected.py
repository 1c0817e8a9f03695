r"""Infinite-width kernels of fully-connected networks: NNGP and neural tangent kernel (NTK).

A network in NTK parameterisation is :math:`z^{1}=\frac{\sigma_w}{\sqrt{d}}W^1x+\sigma_bb^1`,
:math:`z^{l+1}=\frac{\sigma_w}{\sqrt{m}}W^{l+1}\phi(z^l)+\sigma_bb^{l+1}`, with all weights and biases standard Gaussian
and trained. At infinite width its kernels depend on two inputs only through :math:`s=x\cdot x'/d`,
:math:`q=|x|^2/d` and :math:`q'=|x'|^2/d`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Dual = Callable[[Array, Array, Array], tuple[Array, Array]]


class WideNetworkKernels(NamedTuple):
    """The two kernels of an infinitely wide network, on the same pairs of inputs."""

    nngp: Array
    """Covariance of the outputs at initialisation."""
    ntk: Array
    """Neural tangent kernel, the inner product of the outputs' gradients in parameter space."""


def relu_dual(s: Array, q1: Array, q2: Array) -> tuple[Array, Array]:
    r"""Gaussian averages of ReLU and of its derivative (arc-cosine kernels).

    For :math:`(z,z')\sim N(0,[[q,s],[s,q']])`, :math:`\cos\theta=s/\sqrt{qq'}`:
    :math:`E[\phi\phi']=\frac{\sqrt{qq'}}{2\pi}[\sin\theta+(\pi-\theta)\cos\theta]`,
    :math:`E[\dot\phi\dot\phi']=\frac{\pi-\theta}{2\pi}`.

    Parameters
    ----------
    s, q1, q2 : array
        Covariance and the two variances; shapes broadcast.

    Returns
    -------
    (E[phi phi'], E[dphi dphi']) : arrays of the broadcast shape

    References
    ----------
    Cho and Saul, NeurIPS 2009, equations 1-6 (times 1/2, which the weight variance 2 makes up for).
    """
    norm = np.sqrt(q1 * q2)
    cosine = np.clip(s / norm, -1.0, 1.0)
    theta = np.arccos(cosine)
    return norm * (np.sin(theta) + (np.pi - theta) * cosine) / (2 * np.pi), (np.pi - theta) / (2 * np.pi)


def erf_dual(s: Array, q1: Array, q2: Array) -> tuple[Array, Array]:
    r"""Gaussian averages of :math:`\mathrm{erf}(z)` and of its derivative (arc-sine kernel).

    :math:`E[\phi\phi']=\frac2\pi\arcsin\frac{2s}{\sqrt{(1+2q)(1+2q')}}`,
    :math:`E[\dot\phi\dot\phi']=\frac4\pi[(1+2q)(1+2q')-4s^2]^{-1/2}`. Arguments as :func:`relu_dual`.

    References
    ----------
    Williams, "Computing with infinite networks", NeurIPS 1996, equation 11.
    """
    product = (1 + 2 * q1) * (1 + 2 * q2)
    value = 2 / np.pi * np.arcsin(2 * s / np.sqrt(product))
    return value, 4 / np.pi / np.sqrt(product - 4 * s**2)


def quadrature_dual(
    activation: Callable[[Array], Array], derivative: Callable[[Array], Array], order: int = 64
) -> Dual:
    r"""Gaussian averages of any smooth activation, by Gauss-Hermite quadrature in two dimensions.

    Parameters
    ----------
    activation, derivative : callable
        :math:`\phi` and :math:`\dot\phi`, applied to arrays. Kinks converge only algebraically in ``order``:
        use :func:`relu_dual` for ReLU.
    order : int
        Nodes in each of the two directions, at least 2.

    Returns
    -------
    callable (s, q1, q2) -> (E[phi phi'], E[dphi dphi']), as :func:`relu_dual`

    Raises
    ------
    ValueError
        If ``order`` is below 2.
    """
    if order < 2:
        raise ValueError(f"order must be at least 2 quadrature nodes; got {order}")
    nodes, weights = np.polynomial.hermite_e.hermegauss(order)
    weights = weights / weights.sum()
    u, v = nodes[:, None], nodes[None, :]

    def dual(s: Array, q1: Array, q2: Array) -> tuple[Array, Array]:
        s, q1, q2 = (a[..., None, None] for a in np.broadcast_arrays(s, q1, q2))
        cosine = np.clip(s / np.sqrt(q1 * q2), -1.0, 1.0)
        # The same role for both inputs, so that Gram matrices come out symmetric.
        common, different = np.sqrt((1 + cosine) / 2) * u, np.sqrt((1 - cosine) / 2) * v
        z1, z2 = np.sqrt(q1) * (common + different), np.sqrt(q2) * (common - different)
        average = lambda f: np.einsum("...ij,...ij,i,j->...", f(z1), f(z2), weights, weights)  # noqa: E731
        return average(activation), average(derivative)

    return dual


def tanh_dual(order: int = 128) -> Dual:
    """:func:`quadrature_dual` of tanh. The default order is accurate to about 1e-6 for variances up to 3."""
    return quadrature_dual(np.tanh, lambda z: 1 / np.cosh(z) ** 2, order)


def wide_network_kernels(
    inner: ArrayLike,
    q1: ArrayLike = 1.0,
    q2: ArrayLike | None = None,
    *,
    hidden_layers: int,
    dual: Dual = relu_dual,
    weight_var: float = 2.0,
    bias_var: float = 0.01,
    readout_weight_var: float = 1.0,
    readout_bias_var: float = 0.0,
) -> WideNetworkKernels:
    r"""NNGP kernel and NTK of a fully-connected network of any depth.

    With :math:`S^1=\sigma_w^2s+\sigma_b^2` and :math:`T^1=S^1`, each further layer is
    :math:`S^{l+1}=\sigma_w^2E[\phi\phi']+\sigma_b^2`,
    :math:`T^{l+1}=S^{l+1}+\sigma_w^2E[\dot\phi\dot\phi']\,T^l`, the averages taken over
    :math:`N(0,[[Q^l,S^l],[S^l,Q'^l]])`; the readout has variances of its own.

    Parameters
    ----------
    inner : array
        :math:`s=x\cdot x'/d`. With the default ``q1 = q2 = 1`` it is the cosine between inputs of norm :math:`\sqrt d`.
    q1, q2 : array
        :math:`|x|^2/d` and :math:`|x'|^2/d` (``q2`` defaults to ``q1``); they broadcast with ``inner``.
    hidden_layers : int
        Number of hidden layers, at least 1.
    dual : callable
        Gaussian averages of the activation: :func:`relu_dual`, :func:`erf_dual`, ``tanh_dual()``, ...
    weight_var, bias_var : float
        :math:`\sigma_w^2,\sigma_b^2` of the hidden layers. The defaults are those of the eigenlearning paper.
    readout_weight_var, readout_bias_var : float
        The readout's. A bias of zero variance contributes nothing, trained or not.

    Returns
    -------
    WideNetworkKernels
        Arrays of the broadcast shape of ``inner``, ``q1``, ``q2``.

    Raises
    ------
    ValueError
        If a variance is negative, there is no hidden layer, something is not finite, or ``|inner| > sqrt(q1 q2)``.

    References
    ----------
    Jacot, Gabriel and Hongler, NeurIPS 2018, Theorem 1; Lee et al., NeurIPS 2019, Appendix E.
    """
    if int(hidden_layers) != hidden_layers or hidden_layers < 1:
        raise ValueError(f"hidden_layers must be a whole number >= 1; got {hidden_layers}")
    variances = (weight_var, bias_var, readout_weight_var, readout_bias_var)
    if not all(np.isfinite(v) and v >= 0 for v in variances) or weight_var == 0:
        raise ValueError(f"weight and bias variances must be >= 0 (hidden weights > 0) and finite; got {variances}")
    arrays = [np.asarray(a, dtype=np.float64) for a in (inner, q1, q1 if q2 is None else q2)]
    if not all(np.isfinite(a).all() for a in arrays):
        raise ValueError("inner, q1 and q2 must be finite; they hold NaN or infinity")
    s, q1_, q2_ = arrays
    if (q1_ <= 0).any() or (q2_ <= 0).any():
        raise ValueError("q1 and q2 are squared norms divided by the dimension and must be > 0")
    if (np.abs(s) > np.sqrt(q1_ * q2_) * (1 + 1e-9)).any():
        raise ValueError(
            "inner must satisfy |inner| <= sqrt(q1 q2), as inner products do; with the default q1 = q2 = 1, a cosine"
        )
    shape = np.broadcast_shapes(s.shape, q1_.shape, q2_.shape)
    s = np.broadcast_to(weight_var * s + bias_var, shape)
    q1_, q2_ = weight_var * q1_ + bias_var, weight_var * q2_ + bias_var
    ntk = s
    for layer in range(hidden_layers):
        last = layer == hidden_layers - 1
        w, b = (readout_weight_var, readout_bias_var) if last else (weight_var, bias_var)
        value, slope = dual(s, q1_, q2_)
        if not last:
            q1_, q2_ = (w * dual(q, q, q)[0] + b for q in (q1_, q2_))
        s = w * value + b
        ntk = s + w * slope * ntk
    return WideNetworkKernels(nngp=np.asarray(s), ntk=np.asarray(ntk))


def wide_network_gram(x1: ArrayLike, x2: ArrayLike | None = None, **architecture) -> WideNetworkKernels:
    r"""Kernels of :func:`wide_network_kernels` between all rows of two data matrices.

    Parameters
    ----------
    x1, x2 : array, shape (n1, d), (n2, d)
        Inputs, one a row; ``x2`` defaults to ``x1``.
    **architecture
        ``hidden_layers=`` and the other keywords of :func:`wide_network_kernels`.

    Returns
    -------
    WideNetworkKernels
        Arrays of shape (n1, n2).

    Raises
    ------
    ValueError
        If the inputs are not two matrices with the same number of columns, or one is a row of zeros.
    """
    x1 = np.asarray(x1, dtype=np.float64)
    x2 = x1 if x2 is None else np.asarray(x2, dtype=np.float64)
    if x1.ndim != 2 or x2.ndim != 2 or x1.shape[1] != x2.shape[1]:
        raise ValueError(f"inputs must be matrices with equally many columns; got shapes {x1.shape} and {x2.shape}")
    d = x1.shape[1]
    q1, q2 = (x1**2).sum(1) / d, (x2**2).sum(1) / d
    out = WideNetworkKernels(np.empty((len(x1), len(x2))), np.empty((len(x1), len(x2))))
    rows = max(1, 4_000_000 // max(len(x2), 1))  # the recursion holds about ten arrays of this many rows
    for start in range(0, len(x1), rows):
        part = slice(start, start + rows)
        block = wide_network_kernels(x1[part] @ x2.T / d, q1[part, None], q2[None, :], **architecture)
        out.nngp[part], out.ntk[part] = block
    return out
