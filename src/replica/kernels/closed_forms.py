r"""Learning curves and spectra in closed form: equal eigenvalues, stages in high dimension, series of ReLU networks.

Notation of Bordelon, Canatar and Pehlevan, :math:`\alpha=P/N` samples for each mode; :math:`E_g` is measured against
the noise-free target.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.kernels.spectra import Spectrum, as_eigenvalues

Array = NDArray[np.float64]


def _not_negative(**values: ArrayLike) -> tuple[Array, ...]:
    arrays = [np.asarray(value, dtype=np.float64) for value in values.values()]
    for name, array in zip(values, arrays, strict=True):
        if not (np.isfinite(array).all() and (array >= 0).all()):
            raise ValueError(f"{name} must be finite and >= 0; got {values[name]}")
    return tuple(np.broadcast_arrays(*arrays))


def white_spectrum_kappa(alpha: ArrayLike, ridge: ArrayLike) -> Array:
    r"""Implicit regularisation for :math:`N` equal eigenvalues :math:`1/N` and :math:`P=\alpha N` samples.

    :math:`\kappa=\frac12\left[1+\lambda-\alpha+\sqrt{(1+\lambda-\alpha)^2+4\lambda\alpha}\right]`, evaluated without
    cancellation. Arguments and errors as :func:`white_spectrum_error`.
    """
    alpha, ridge = _not_negative(alpha=alpha, ridge=ridge)
    gap = 1 + ridge - alpha
    root = np.sqrt(gap**2 + 4 * ridge * alpha)
    far = np.divide(2 * ridge * alpha, root - gap, out=np.zeros_like(root), where=root - gap > 0)
    return np.where(gap >= 0, (gap + root) / 2, far)


def white_spectrum_error(alpha: ArrayLike, ridge: ArrayLike, noise_var: ArrayLike = 0.0) -> Array:
    r"""Generalization error for :math:`N\to\infty` equal eigenvalues :math:`1/N` and a target of power 1.

    .. math:: E_g=\frac{\kappa^2+\sigma^2\alpha}{(\kappa+\alpha)^2-\alpha},

    which is ridge regression on :math:`N` isotropic Gaussian inputs, kernel :math:`x\cdot x'/N`.

    Parameters
    ----------
    alpha : array
        Samples over modes, >= 0; broadcasts with the others.
    ridge : array
        :math:`\lambda\ge0`, in units of the kernel's trace, here 1.
    noise_var : array
        :math:`\sigma^2\ge0` in units of the target's power; not included in the error.

    Returns
    -------
    array
        Infinite at :math:`\alpha=1` without ridge with noise, 0 there without noise.

    Raises
    ------
    ValueError
        If an argument is negative or not finite.

    References
    ----------
    Canatar, Bordelon and Pehlevan, arXiv 2006.13198, section on the band-limited white spectrum.
    """
    alpha, ridge, noise = _not_negative(alpha=alpha, ridge=ridge, noise_var=noise_var)
    kappa = white_spectrum_kappa(alpha, ridge)
    top, bottom = kappa**2 + noise * alpha, (kappa + alpha) ** 2 - alpha
    limit = np.where(noise > 0, np.inf, 0.0)
    return np.divide(top, bottom, out=limit, where=bottom > 0)


def rising_noise(alpha: ArrayLike, ridge: ArrayLike) -> Array:
    r"""Noise variance above which the white spectrum's error rises with :math:`\alpha` at this very :math:`\alpha`.

    :math:`E_g=A(\alpha)+\sigma^2B(\alpha)` is linear in the noise, and :math:`A'<0`: it rises where :math:`B'>0` and
    :math:`\sigma^2>-A'/B'`, which is returned; infinite where more noise does not help it to rise.
    With :math:`\kappa'=(\lambda-\kappa)/(2\kappa-1-\lambda+\alpha)`.

    Parameters
    ----------
    alpha : array, >= 0
    ridge : array, > 0
    """
    alpha, ridge = _not_negative(alpha=alpha, ridge=ridge)
    if not (ridge > 0).all():
        raise ValueError("ridge must be > 0: without one the error has a pole at alpha = 1")
    kappa = white_spectrum_kappa(alpha, ridge)
    slope = (ridge - kappa) / (2 * kappa - 1 - ridge + alpha)
    bottom = (kappa + alpha) ** 2 - alpha
    change = 2 * (kappa + alpha) * (slope + 1) - 1
    clean = 2 * kappa * slope * bottom - kappa**2 * change  # A' and B', both times bottom^2
    noise = bottom - alpha * change
    return np.divide(-clean, noise, out=np.full_like(noise, np.inf), where=noise > 0)


def double_descent_threshold(ridge: ArrayLike) -> Array:
    r"""Noise variance :math:`g(\lambda)` above which the white spectrum's learning curve is not monotonic.

    For :math:`\lambda<1`, with :math:`u=1+\lambda` and
    :math:`\theta=\frac13[\pi+\mathrm{atan2}(8\sqrt{u-1},\,8+9u(3u-4))]`,

    .. math:: g=3(u-1)\left(3u-1-2\sqrt{u(9u-8)}\cos\theta\right);

    between :math:`g` and :func:`initial_rise_threshold` the error falls, rises and falls again. For
    :math:`\lambda\ge1` the two thresholds are one, :math:`2\lambda+1`.

    Parameters
    ----------
    ridge : array, >= 0

    References
    ----------
    Canatar, Bordelon and Pehlevan, arXiv 2006.13198, phase diagram of the white spectrum.
    """
    (ridge,) = _not_negative(ridge=ridge)
    u = 1 + np.minimum(ridge, 1.0)
    theta = (np.pi + np.arctan2(8 * np.sqrt(u - 1), 8 + 9 * u * (3 * u - 4))) / 3
    g = 3 * (u - 1) * (3 * u - 1 - 2 * np.sqrt(u * (9 * u - 8)) * np.cos(theta))
    return np.where(ridge < 1, g, initial_rise_threshold(ridge))


def initial_rise_threshold(ridge: ArrayLike) -> Array:
    r"""Noise variance :math:`2\lambda+1` above which the white spectrum's error rises from the first sample on."""
    (ridge,) = _not_negative(ridge=ridge)
    return 2 * ridge + 1


class Stage(NamedTuple):
    """A learning stage in high dimension: the modes of one level are learned, those below have been."""

    ridge: float
    r""":math:`\tilde\lambda_l`, in units of the level's share of the kernel's trace."""
    noise_var: float
    r""":math:`\tilde\sigma_l^2`, in units of the target's power in the level."""


def learning_stage(
    spectrum: Spectrum, level: int, ridge: float = 0.0, noise_var: float = 0.0, target_power: ArrayLike | None = None
) -> Stage:
    r"""Ridge and noise that the modes of level :math:`l` see when :math:`P\sim N_l`, levels being far apart.

    .. math:: \tilde\lambda_l=\frac{\lambda+\sum_{k>l}\eta_kN_k}{\eta_lN_l},\qquad
              \tilde\sigma_l^2=\frac{\sigma^2+\sum_{k>l}a_k^2}{a_l^2}.

    Modes of higher levels cannot be told apart yet: they act as a ridge, and their part of the target as noise. With
    :math:`\alpha=P/N_l` the stage is :func:`white_spectrum_error`.

    Parameters
    ----------
    spectrum : Spectrum
        Levels in the order in which they are learned.
    level : int
    ridge, noise_var : float
        Of the regression itself. What a truncated spectrum lacks of :math:`K(x,x)` belongs to the ridge.
    target_power : array, shape (L,), optional
        Power of the target in each level; all of it in ``level`` by default.

    Raises
    ------
    ValueError
        If there is no such level, or it has no eigenvalue or no target power.

    References
    ----------
    Bordelon, Canatar and Pehlevan, arXiv 2002.02561, section on dot-product kernels; arXiv 2006.13198.
    """
    lam, mult = as_eigenvalues(*spectrum)
    if not 0 <= level < lam.size:
        raise ValueError(f"level must lie between 0 and {lam.size - 1}; got {level}")
    power = np.eye(lam.size)[level] if target_power is None else np.asarray(target_power, dtype=np.float64)
    if power.shape != lam.shape or not (power >= 0).all() or not power[level] > 0 or not lam[level] > 0:
        raise ValueError(f"target_power must be >= 0 for each of the {lam.size} levels, with some in level {level}")
    _not_negative(ridge=ridge, noise_var=noise_var)
    share = lam * mult
    above = slice(level + 1, None)
    return Stage(
        float((ridge + share[above].sum()) / share[level]), float((noise_var + power[above].sum()) / power[level])
    )


def relu_ntk_series(
    terms: int,
    *,
    hidden_layers: int,
    weight_var: float = 2.0,
    bias_var: float = 0.01,
    readout_weight_var: float = 1.0,
    readout_bias_var: float = 0.0,
) -> Array:
    r"""Taylor coefficients in the cosine of the NTK of a fully-connected ReLU network on the sphere.

    The recursion of :func:`replica.kernels.fully_connected.wide_network_kernels` carried out on power series: with
    :math:`\rho=S/Q`, :math:`\arccos\rho` comes from integrating :math:`-\rho'/\sqrt{1-\rho^2}`. All coefficients are
    >= 0, falling like :math:`n^{-3/2}`.

    Parameters
    ----------
    terms : int
        Coefficients :math:`b_0..b_{T-1}`. On the sphere in :math:`d` dimensions degree :math:`k` asks for about
        :math:`k+40` of them when :math:`d\ge100`, many more in few dimensions.
    hidden_layers, weight_var, bias_var, readout_weight_var, readout_bias_var
        As in :func:`~replica.kernels.fully_connected.wide_network_kernels`, inputs of norm :math:`\sqrt d`.

    Returns
    -------
    array, shape (terms,)

    Raises
    ------
    ValueError
        If there is no hidden layer or no term, or a variance is negative.
    """
    if hidden_layers < 1 or terms < 1:
        raise ValueError(f"need hidden_layers >= 1 and terms >= 1; got {hidden_layers} and {terms}")
    _not_negative(
        weight_var=weight_var, bias_var=bias_var, readout_weight_var=readout_weight_var,
        readout_bias_var=readout_bias_var,
    )  # fmt: skip
    if not weight_var > 0:
        raise ValueError(f"weight_var must be > 0; got {weight_var}")
    s = np.zeros(terms)
    s[:2] = np.array([bias_var, weight_var])[: min(terms, 2)]
    q, ntk = weight_var + bias_var, s
    for layer in range(hidden_layers):
        last = layer == hidden_layers - 1
        w, b = (readout_weight_var, readout_bias_var) if last else (weight_var, bias_var)
        rho = s / q
        sine = _series_sqrt(np.eye(1, terms)[0] - _series_product(rho, rho))
        angle = np.append(np.pi - np.arccos(rho[0]), _integral(_series_ratio(_derivative(rho), sine)))[:terms]
        value, slope = q / (2 * np.pi) * (sine + _series_product(angle, rho)), angle / (2 * np.pi)
        s = w * value
        s[0] += b
        ntk = s + w * _series_product(slope, ntk)
        q = w * q / 2 + b
    return ntk


def _series_product(a: Array, b: Array) -> Array:
    return np.convolve(a, b)[: a.size]


def _derivative(a: Array) -> Array:
    return np.append(a[1:] * np.arange(1, a.size), 0.0)


def _integral(a: Array) -> Array:
    return a / np.arange(1, a.size + 1)


def _series_sqrt(a: Array) -> Array:
    root = np.zeros_like(a)
    root[0] = np.sqrt(a[0])
    for n in range(1, a.size):
        root[n] = (a[n] - root[1:n] @ root[n - 1 : 0 : -1]) / (2 * root[0])
    return root


def _series_ratio(a: Array, b: Array) -> Array:
    ratio = np.zeros_like(a)
    for n in range(a.size):
        ratio[n] = (a[n] - ratio[:n] @ b[n:0:-1]) / b[0]
    return ratio
