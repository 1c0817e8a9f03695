r"""Eigenvalues of kernels with respect to an input measure.

:math:`E_{x'}[K(x,x')\phi_i(x')]=\lambda_i\phi_i(x)` with :math:`E_x[\phi_i\phi_j]=\delta_{ij}`. Symmetric domains have
few distinct eigenvalues of high multiplicity, which a :class:`Spectrum` keeps as levels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

from replica.kernels.domains import _whole, gegenbauer_normalized, sphere_degeneracy
from replica.kernels.regression import as_gram

Array = NDArray[np.float64]

#: Negative eigenvalues down to this fraction of the largest are taken for round-off and set to zero.
ROUND_OFF = 1e-9


class Spectrum(NamedTuple):
    """Distinct eigenvalues of a kernel and how often each occurs."""

    eigenvalues: Array
    multiplicity: Array

    @property
    def trace(self) -> float:
        r""":math:`\sum_im_i\lambda_i=E_x[K(x,x)]`."""
        return float(self.eigenvalues @ self.multiplicity)


class Eigensystem(NamedTuple):
    """Eigensystem of a kernel on a finite set of points."""

    eigenvalues: Array
    """Shape (M,), decreasing."""
    features: Array
    """Shape (M, M): eigenfunction i at every point in column i, of unit mean square under the measure."""
    coefficients: Array | None
    """Shape (M,) or (M, C): the targets' coefficients in that basis."""


def as_eigenvalues(eigenvalues: ArrayLike, multiplicity: ArrayLike | None = None) -> Spectrum:
    r"""Check eigenvalues and multiplicities; set negative round-off to zero.

    Parameters
    ----------
    eigenvalues : array, shape (L,)
    multiplicity : array, shape (L,), optional
        Defaults to ones.

    Raises
    ------
    ValueError
        If an eigenvalue is NaN, infinite or negative beyond ``ROUND_OFF`` times the largest (a kernel is positive
        semi-definite), if all are zero, or if multiplicities are not positive.
    """
    lam = np.asarray(eigenvalues, dtype=np.float64)
    if lam.ndim != 1 or not lam.size:
        raise ValueError(f"eigenvalues must be a vector with at least one entry; got shape {lam.shape}")
    if not np.isfinite(lam).all():
        raise ValueError("eigenvalues must be finite; they hold NaN or infinity")
    if lam.min() < -ROUND_OFF * np.abs(lam).max() or lam.max() <= 0:
        raise ValueError(
            f"a kernel's eigenvalues must be >= 0 with at least one positive; the smallest is {lam.min():.3g}, "
            f"the largest {lam.max():.3g}"
        )
    mult = np.ones_like(lam) if multiplicity is None else np.asarray(multiplicity, dtype=np.float64)
    if mult.shape != lam.shape or not (np.isfinite(mult) & (mult > 0)).all():
        raise ValueError(f"multiplicity must hold a positive number for each of the {lam.size} eigenvalues")
    return Spectrum(np.maximum(lam, 0.0), mult)


def circle_spectrum(kernel_row: ArrayLike) -> Spectrum:
    r"""Eigenvalues of a translation-invariant kernel on :math:`M` equidistant points of the circle.

    :math:`\lambda_k=\frac1M\sum_jK(\theta_j)\cos k\theta_j` for :math:`k=0..\lfloor M/2\rfloor`, twice each except
    :math:`k=0` and, for even :math:`M`, :math:`k=M/2`.

    Parameters
    ----------
    kernel_row : array, shape (M,)
        :math:`K(\theta_j)`, :math:`\theta_j=2\pi j/M`; it must be even, :math:`K(\theta)=K(-\theta)`.

    Raises
    ------
    ValueError
        If the row is not even or an eigenvalue is negative beyond round-off.
    """
    row = np.asarray(kernel_row, dtype=np.float64)
    if row.ndim != 1 or not row.size or not np.isfinite(row).all():
        raise ValueError(f"kernel_row must be a finite vector; got shape {row.shape}")
    if np.abs(row[1:] - row[1:][::-1]).max(initial=0.0) > 1e-8 * np.abs(row).max():
        raise ValueError("kernel_row must be even in the angle, K(theta) = K(-theta), as a kernel's is")
    m = row.size
    lam = np.fft.rfft(row).real / m
    mult = np.full(lam.size, 2.0)
    mult[0] = 1.0
    if m % 2 == 0:
        mult[-1] = 1.0
    return as_eigenvalues(lam, mult)


def hypercube_spectrum(
    kernel_of_cosine: Callable[[Array], Array], dimension: int, max_order: int | None = None
) -> Spectrum:
    r"""Eigenvalues of a rotation-invariant kernel on the hypercube :math:`\{\pm1\}^d` (parities of :math:`k` bits).

    :math:`\lambda_k=2^{-d}\sum_h\binom dhK(1-2h/d)\,\hat\kappa_k(h)`, multiplicity :math:`\binom dk`, with the
    normalised Krawtchouk polynomial
    :math:`\hat\kappa_k(h)=\binom dh^{-1}\sum_j(-1)^j\binom kj\binom{d-k}{h-j}`, here from its recursion
    :math:`(d-k)\hat\kappa_{k+1}=(d-2h)\hat\kappa_k-k\hat\kappa_{k-1}` up to :math:`k=d/2`, where it is stable, and
    :math:`\hat\kappa_{d-k}(h)=(-1)^h\hat\kappa_k(h)` beyond.

    Parameters
    ----------
    kernel_of_cosine : callable
        :math:`K(c)` on arrays.
    dimension : int
        :math:`d\ge1`. Eigenvalues below about 1e-16 of the trace are round-off.
    max_order : int, optional
        Levels :math:`k=0..k_{max}` are returned, all :math:`d+1` by default.

    Raises
    ------
    ValueError
        If an eigenvalue is negative beyond round-off, or a multiplicity overflows (above about 1000 dimensions, ask
        for fewer levels).
    """
    d = _whole(dimension, 1, "dimension")
    top = d if max_order is None else min(_whole(max_order, 0, "max_order"), d)
    h = np.arange(d + 1)
    log_binomial = gammaln(d + 1) - gammaln(h + 1) - gammaln(d - h + 1)
    if log_binomial[: top + 1].max() > 700:
        raise ValueError(f"the multiplicity of a level overflows for dimension {d}; ask for a smaller max_order")
    weighted = np.exp(log_binomial - d * np.log(2)) * kernel_of_cosine(1 - 2 * h / d)
    half = min(top, d // 2)
    krawtchouk = np.ones((half + 1, d + 1))
    if half >= 1:
        krawtchouk[1] = 1 - 2 * h / d
    for k in range(1, half):
        krawtchouk[k + 1] = ((d - 2 * h) * krawtchouk[k] - k * krawtchouk[k - 1]) / (d - k)
    lam = krawtchouk @ weighted
    if top > half:
        reflected = krawtchouk @ (weighted * (-1.0) ** h)
        lam = np.concatenate([lam, reflected[d - np.arange(half + 1, top + 1)]])
    multiplicity = np.exp(log_binomial[: top + 1])
    multiplicity = np.where(multiplicity < 1e10, np.round(multiplicity), multiplicity)
    return as_eigenvalues(lam, multiplicity)


def sphere_quadrature(dimension: int, max_degree: int = 0) -> tuple[Array, Array]:
    r"""Nodes and weights for :math:`E[f(c)]`, :math:`c` the cosine between two random points of :math:`S^{d-1}`.

    The density :math:`\propto(1-c^2)^{(d-3)/2}` becomes :math:`\sin^{d-2}\theta\,d\theta`, integrated by composite
    Gauss-Legendre in the angle over the part that carries weight. Unlike Gauss-Gegenbauer nodes it has no overflow at
    large :math:`d` and converges fast for kernels with :math:`\sqrt{1-c}` terms, such as those of ReLU networks.

    Returns
    -------
    cosine, weight : arrays; the weights sum to 1
    """
    d = _whole(dimension, 2, "dimension")
    nodes, weights = np.polynomial.legendre.leggauss(32)
    panels = 64 + int(max_degree) // 4
    # Beyond 20 standard deviations (1/sqrt(d)) from the equator the density is below exp(-200).
    half = min(np.pi / 2, (20 + 2 * np.sqrt(max_degree)) / np.sqrt(d))
    edges = np.linspace(-half, half, panels + 1)
    width = np.diff(edges)[:, None] / 2
    latitude = (edges[:-1, None] + width * (nodes + 1)).ravel()
    weight = (width * weights).ravel() * np.exp((d - 2) * np.log(np.cos(latitude)))
    return np.sin(latitude), weight / weight.sum()


def sphere_spectrum(kernel_of_cosine: Callable[[Array], Array], dimension: int, max_degree: int) -> Spectrum:
    r"""Eigenvalues of a dot-product kernel on the sphere :math:`S^{d-1}`, uniform measure.

    :math:`\lambda_k=E_c[K(c)\hat C_k(c)]` with :math:`\hat C_k` of
    :func:`~replica.kernels.domains.gegenbauer_normalized`, multiplicity
    :func:`~replica.kernels.domains.sphere_degeneracy`.

    Parameters
    ----------
    kernel_of_cosine : callable
        :math:`K(c)` on arrays.
    dimension : int
        :math:`d\ge2` of the space the sphere lies in.
    max_degree : int
        Levels :math:`k=0..K` are returned; what is beyond is missing from the trace, compare ``Spectrum.trace`` with
        :math:`K(1)`. Relative accuracy is about :math:`10^{-16}\sqrt{N(d,k)}K(1)/(\lambda_kN(d,k))`.

    Raises
    ------
    ValueError
        If the kernel is not finite or an eigenvalue is negative beyond round-off (no positive-definite kernel).
    """
    max_degree = _whole(max_degree, 0, "max_degree")
    cosine, weight = sphere_quadrature(dimension, max_degree)
    value = np.asarray(kernel_of_cosine(cosine), dtype=np.float64)
    lam = gegenbauer_normalized(cosine, max_degree, dimension) @ (weight * value)
    return as_eigenvalues(lam, sphere_degeneracy(dimension, np.arange(max_degree + 1)))


def empirical_eigensystem(
    gram: ArrayLike, targets: ArrayLike | None = None, mass: ArrayLike | None = None
) -> Eigensystem:
    r"""Eigensystem of a kernel on :math:`M` points that are themselves the whole input distribution.

    :math:`D^{1/2}KD^{1/2}=U\Lambda U^\top` with :math:`D=\mathrm{diag}(p)`, features :math:`\Phi=D^{-1/2}U`
    (so :math:`\Phi^\top D\Phi=I`) and coefficients :math:`v=\Phi^\top Dy`. Uniform :math:`p`: eigenvalues of
    :math:`K/M`.

    Parameters
    ----------
    gram : array, shape (M, M)
        Symmetric, positive semi-definite.
    targets : array, shape (M,) or (M, C), optional
    mass : array, shape (M,), optional
        Probabilities :math:`p_\mu>0` that sum to 1; uniform by default.

    Raises
    ------
    ValueError
        If the Gram matrix is not symmetric, not finite or has eigenvalues negative beyond round-off, or if shapes or
        masses do not fit.
    """
    k = as_gram(gram, "gram")
    if k.ndim != 2:
        raise ValueError(f"gram must be one matrix, shape (M, M); got shape {k.shape}")
    m = len(k)
    p = np.full(m, 1 / m) if mass is None else np.asarray(mass, dtype=np.float64)
    if p.shape != (m,) or not (p > 0).all() or abs(p.sum() - 1) > 1e-9:
        raise ValueError(f"mass must hold {m} positive probabilities that sum to 1")
    root = np.sqrt(p)
    values, vectors = np.linalg.eigh(k * root[:, None] * root[None, :])
    values = as_eigenvalues(values[::-1]).eigenvalues
    features = vectors[:, ::-1] / root[:, None]
    coefficients = None
    if targets is not None:
        y = np.asarray(targets, dtype=np.float64)
        if y.shape[:1] != (m,) or not np.isfinite(y).all():
            raise ValueError(f"targets must be finite with first axis {m}; got shape {y.shape}")
        coefficients = features.T @ (p[:, None] * y if y.ndim == 2 else p * y)
    return Eigensystem(values, features, coefficients)
