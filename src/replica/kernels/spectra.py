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
    cosine = np.sin(latitude)
    # log cos(latitude) to full relative accuracy: at large d it is small and multiplied by d.
    weight = (width * weights).ravel() * np.exp((d - 2) / 2 * np.log1p(-(cosine**2)))
    return cosine, weight / weight.sum()


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
        :math:`K(1)`. Relative accuracy is about :math:`10^{-16}\sqrt{N(d,k)}K(1)/(\lambda_kN(d,k))`: eigenvalues that
        would be nothing but round-off are returned as 0, since times their multiplicity they could swamp the trace.
        :func:`sphere_spectrum_from_series` has no such limit.

    Raises
    ------
    ValueError
        If the kernel is not finite or an eigenvalue is negative beyond round-off (no positive-definite kernel).
    """
    max_degree = _whole(max_degree, 0, "max_degree")
    cosine, weight = sphere_quadrature(dimension, max_degree)
    weighted = weight * np.asarray(kernel_of_cosine(cosine), dtype=np.float64)
    polynomials = gegenbauer_normalized(cosine, max_degree, dimension)
    lam = polynomials @ weighted
    # Each term's round-off: a few ulp in kernel and polynomial, and as many as the weight's exponent in the weight.
    exponent = (dimension - 2) / 2 * np.abs(np.log1p(-(cosine**2)))
    round_off = 8 * np.finfo(float).eps * (np.abs(polynomials) @ (np.abs(weighted) * (1 + exponent)))
    lam = np.where(np.abs(lam) < round_off, 0.0, lam)
    return as_eigenvalues(lam, sphere_degeneracy(dimension, np.arange(max_degree + 1)))


def sphere_spectrum_from_series(coefficients: ArrayLike, dimension: int, max_degree: int) -> Spectrum:
    r"""Eigenvalues on the sphere :math:`S^{d-1}` of :math:`K(c)=\sum_nb_nc^n`, in any dimension and to any degree.

    .. math:: \lambda_k=\sum_{n=k,k+2,\dots}b_n\,\frac{n!}{(n-k)!\,2^k}\,
              \frac{\Gamma(d/2)\,\Gamma(\frac{n-k+1}2)}{\sqrt\pi\,\Gamma(\frac{n+k+d}2)},

    from Rodrigues' formula and a beta integral. For :math:`b_n\ge0` (a kernel on spheres of every dimension) all
    terms have one sign, so nothing cancels: eigenvalues of :math:`10^{-87}` keep their digits, where
    :func:`sphere_spectrum` sees round-off. For :math:`d\to\infty`, :math:`\lambda_kN(d,k)\to b_k`.

    Parameters
    ----------
    coefficients : array, shape (T,)
        :math:`b_0..b_{T-1}`, for example from :func:`replica.kernels.closed_forms.relu_ntk_series`. What the series
        leaves out of :math:`K(1)` is left out of the trace.
    dimension : int
        :math:`d\ge2`.
    max_degree : int

    Raises
    ------
    ValueError
        If a coefficient is not finite or an eigenvalue is negative beyond round-off.

    References
    ----------
    Schoenberg, Duke Mathematical Journal 9, 96 (1942); Bordelon, Canatar and Pehlevan, arXiv 2002.02561, which finds
    :math:`\lambda_k\sim d^{-k}`.
    """
    d, top = _whole(dimension, 2, "dimension"), _whole(max_degree, 0, "max_degree")
    b = np.asarray(coefficients, dtype=np.float64)
    if b.ndim != 1 or not b.size or not np.isfinite(b).all():
        raise ValueError(f"coefficients must be a finite vector b_0, b_1, ...; got shape {b.shape}")
    k, n = np.arange(top + 1)[:, None], np.arange(b.size)
    contributes = (n >= k) & ((n - k) % 2 == 0)
    rest = np.where(contributes, n - k, 0)
    log_moment = (
        gammaln(n + 1.0) - gammaln(rest + 1.0) - k * np.log(2) + gammaln(d / 2) + gammaln((rest + 1) / 2)
        - np.log(np.pi) / 2 - gammaln((n + k + d) / 2)
    )  # fmt: skip
    lam = np.where(contributes, np.exp(np.where(contributes, log_moment, 0.0)), 0.0) @ b
    return as_eigenvalues(lam, sphere_degeneracy(d, np.arange(top + 1)))


def gaussian_rbf_spectrum(input_var: float, kernel_var: float, dimension: int, max_degree: int) -> Spectrum:
    r"""Eigenvalues of :math:`K=e^{-|x-x'|^2/2v}` on Gaussian inputs :math:`x\sim N(0,sI_D)`.

    With :math:`a=1/4s,\;b=1/2v,\;c=\sqrt{a^2+2ab},\;A=a+b+c`:
    :math:`\lambda_k=(2a/A)^{D/2}(b/A)^k`, multiplicity :math:`\binom{k+D-1}k`, the number of products of
    one-dimensional eigenfunctions (:func:`gaussian_rbf_mode`) of total degree :math:`k`. The trace over all degrees
    is 1.

    Parameters
    ----------
    input_var, kernel_var : float
        :math:`s,v>0`, both in units of the inputs squared.
    dimension : int
        :math:`D\ge1`.
    max_degree : int

    Raises
    ------
    ValueError
        If a variance is not positive.

    References
    ----------
    Rasmussen and Williams, Gaussian Processes for Machine Learning, section 4.3.1; Canatar, Bordelon and Pehlevan,
    arXiv 2006.13198.
    """
    a, b, _, total = _rbf_constants(input_var, kernel_var)
    d, k = _whole(dimension, 1, "dimension"), np.arange(_whole(max_degree, 0, "max_degree") + 1)
    lam = np.exp(d / 2 * np.log(2 * a / total) + k * np.log(b / total))
    multiplicity = np.exp(gammaln(k + d) - gammaln(k + 1) - gammaln(d))
    return as_eigenvalues(lam, np.where(multiplicity < 1e10, np.round(multiplicity), multiplicity))


def gaussian_rbf_mode(points: ArrayLike, degree: int, input_var: float, kernel_var: float) -> Array:
    r"""One-dimensional eigenfunction of the Gaussian kernel, of unit mean square over :math:`x\sim N(0,s)`.

    :math:`\phi_k(x)=(c/a)^{1/4}(2^kk!)^{-1/2}e^{-(c-a)x^2}H_k(\sqrt{2c}\,x)` with the constants of
    :func:`gaussian_rbf_spectrum`; in :math:`D` dimensions eigenfunctions are products over the coordinates.

    Parameters
    ----------
    points : array, any shape
    degree : int
    input_var, kernel_var : float

    Returns
    -------
    array of the shape of ``points``
    """
    a, _, c, _ = _rbf_constants(input_var, kernel_var)
    x = np.asarray(points, dtype=np.float64)
    z = np.sqrt(2 * c) * x
    previous, current = np.zeros_like(z), np.ones_like(z)  # H_k / sqrt(2^k k!), which does not overflow
    for k in range(_whole(degree, 0, "degree")):
        previous, current = current, (np.sqrt(2) * z * current - np.sqrt(k) * previous) / np.sqrt(k + 1)
    return (c / a) ** 0.25 * np.exp(-(c - a) * x**2) * current


def _rbf_constants(input_var: float, kernel_var: float) -> tuple[float, float, float, float]:
    if not (np.isfinite([input_var, kernel_var]).all() and input_var > 0 and kernel_var > 0):
        raise ValueError(f"input_var and kernel_var must be finite and > 0; got {input_var} and {kernel_var}")
    a, b = 1 / (4 * input_var), 1 / (2 * kernel_var)
    c = float(np.sqrt(a**2 + 2 * a * b))
    return a, b, c, a + b + c


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
