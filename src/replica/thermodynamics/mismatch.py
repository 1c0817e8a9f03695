r"""Mismatch cost: the extra heat of a machine that was built for other inputs than it gets.

A fixed process that dissipates least for inputs from :math:`q` dissipates on inputs from :math:`p` more, by

.. math:: D(p_{in}\|q_{in})-D(p_{out}\|q_{out})\ \ge\ 0

in nats (units of :math:`k_B`; times :math:`T` it is heat). Relative entropies of densities do not change when the
variables are stored in fine enough bins. By the chain rule the difference is what is *forgotten*,
:math:`\mathbb E\,D(p(\mathrm{in}|\mathrm{out})\|q(\mathrm{in}|\mathrm{out}))`, which gives a second way to compute it.
Source: Kolchinsky and Wolpert (2017), J. Stat. Mech. 083202; the formulas for regression are derived here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.special import logsumexp

from replica.floating_point.quadrature import quantile_nodes
from replica.thermodynamics.regression_cost import LinearModel, ols_slope_law

Array = NDArray[np.float64]


def kl_by_quantile(p: Any, q: Any, nodes: int = 400) -> float:
    r"""Relative entropy :math:`D(p\|q)=\int_0^1\ln\frac{p(x_u)}{q(x_u)}\,du` in nats, over the quantiles of `p`.

    The quantiles are crowded towards both ends, where the logarithm diverges, and taken from the nearer end.

    Parameters
    ----------
    p, q : frozen continuous ``scipy.stats`` distributions
        `q` needs ``logpdf`` only.
    nodes : int
        Gauss-Legendre nodes, half of them for each side of the median.

    Raises
    ------
    ValueError
        If `q` vanishes where `p` does not (the relative entropy is infinite), or there are fewer than 4 nodes.
    """
    x, weight = quantile_nodes(p, nodes)
    log_ratio = p.logpdf(x) - q.logpdf(x)
    if not np.isfinite(log_ratio).all():
        raise ValueError("the relative entropy is infinite: q vanishes, or is not a number, where p does not vanish.")
    return float(weight @ log_ratio)


def scale_divergence(ratio: ArrayLike) -> Array:
    r""":math:`\varphi(r)=r-1-\ln r`, zero at :math:`r=1` and positive elsewhere.

    Half of it is the relative entropy in nats of two centred Gaussians whose variances have the ratio :math:`r`, and
    :math:`k` times that of two gamma laws of shape :math:`k`. Any shape; ValueError unless the ratio is positive.
    """
    r = np.asarray(ratio, dtype=np.float64)
    if not (np.isfinite(r).all() and (r > 0).all()):
        raise ValueError(f"ratio must be positive and finite, got {ratio}.")
    return r - 1 - np.log(r)


def mismatch_cost_nats(divergence_in_nats: float, divergence_out_nats: float) -> float:
    r"""Extra entropy production :math:`D_{in}-D_{out}` in nats (units of :math:`k_B`).

    ValueError where :math:`D_{out}>D_{in}`, by more than round-off: no process increases a relative entropy, so that
    the two cannot belong to the same one.
    """
    extra = divergence_in_nats - divergence_out_nats
    if not np.isfinite(extra) or extra < -1e-9 * max(1.0, abs(divergence_in_nats)):
        raise ValueError(
            "the outputs' relative entropy must not exceed the inputs' (data-processing inequality), "
            f"got {divergence_out_nats:.6g} and {divergence_in_nats:.6g} nats."
        )
    return float(extra)


def data_divergence_nats(true: LinearModel, assumed: LinearModel, n: int) -> float:
    r"""Relative entropy of `n` data pairs from the true law to the assumed one, in nats.

    .. math:: \tfrac N2\big[\varphi(\sigma^2/\sigma'^2)+\varphi(\sigma_x^2/\sigma_x'^2)
              +(w-w')^2\sigma_x^2/\sigma'^2\big].

    ValueError for ``n < 1``.
    """
    if not (np.isfinite(n) and n >= 1):
        raise ValueError(f"the number of pairs must be at least 1, got {n}.")
    noise, inputs = (true.noise_sd / assumed.noise_sd) ** 2, (true.input_sd / assumed.input_sd) ** 2
    shift = ((true.slope - assumed.slope) * true.input_sd / assumed.noise_sd) ** 2
    return float(0.5 * n * (scale_divergence(noise) + scale_divergence(inputs) + shift))


def slope_divergence_nats(true: LinearModel, assumed: LinearModel, n: int, nodes: int = 400) -> float:
    r"""Relative entropy in nats of the fitted slope, between two Student laws of `n` degrees of freedom."""
    return kl_by_quantile(ols_slope_law(true, n), ols_slope_law(assumed, n), nodes)


def regression_mismatch_nats(true: LinearModel, assumed: LinearModel, n: int, nodes: int = 400) -> float:
    r"""Mismatch cost in nats of exact least squares that keeps the slope alone: inputs' minus outputs' divergence.

    A slope that is wrong by little, :math:`u=(w-w')^2\sigma_x^2/\sigma^2\ll4/N`, costs :math:`u\,N/(N+3)` in all: the
    data tell of a shift with Fisher information :math:`N\sigma_x^2/\sigma^2`, Student's law of their slope with
    :math:`(N+1)/(N+3)` of that. ValueError for ``n < 1``.
    """
    return mismatch_cost_nats(data_divergence_nats(true, assumed, n), slope_divergence_nats(true, assumed, n, nodes))


def forgotten_divergence_nats(true: LinearModel, assumed: LinearModel, n: int, nodes: int = 400) -> float:
    r"""The same mismatch cost from what least squares forgets, positive term by positive term, in nats.

    Given the slope, :math:`S=\sum x^2` is a gamma variable of shape :math:`(N+1)/2` and rate
    :math:`\frac12\beta`, :math:`\beta=\sigma_x^{-2}+(\hat w-w)^2\sigma^{-2}`; the residuals are independent of both:

    .. math:: \tfrac{N-1}2\,\varphi(\sigma^2/\sigma'^2)+\tfrac{N+1}2\,\mathbb E_{\hat w}\,\varphi(\beta'/\beta).
    """
    x, weight = quantile_nodes(ols_slope_law(true, n), nodes)
    ratio = _gamma_rate(assumed, x) / _gamma_rate(true, x)
    residuals = scale_divergence((true.noise_sd / assumed.noise_sd) ** 2)
    return float(0.5 * (n - 1) * residuals + 0.5 * (n + 1) * (weight @ scale_divergence(ratio)))


def mismatch_rate_nats(true: LinearModel, assumed: LinearModel) -> float:
    r"""Mismatch cost of exact least squares for each further pair, in nats, for :math:`N\to\infty`.

    .. math:: \tfrac12\varphi(\sigma^2/\sigma'^2)+\tfrac12\varphi(z),\qquad
              z=\sigma_x^2\big[\sigma_x'^{-2}+(w-w')^2\sigma'^{-2}\big].

    A wrong slope alone costs :math:`\frac12[u-\ln(1+u)]` with :math:`u=(w-w')^2\sigma_x^2/\sigma^2`. This rate is of
    fourth order in the shift; the total, :func:`regression_mismatch_nats`, starts with :math:`u`, of second order.
    """
    z = _gamma_rate(assumed, np.asarray(true.slope)) * true.input_sd**2
    noise = (true.noise_sd / assumed.noise_sd) ** 2
    return float(0.5 * (scale_divergence(noise) + scale_divergence(z)))


def unknown_slope_divergences_nats(
    true: LinearModel, slope_sd: float, n: int, nodes: int = 400
) -> tuple[float, float, float]:
    r"""Relative entropies in nats of data, and of the fitted slope, to a machine built for any slope
    :math:`w\sim N(0,\sigma_w^2)`, and their difference, the mismatch cost.

    The assumed data are a mixture over slopes, their noise and inputs right. Given :math:`S`, the slope of the
    mixture is :math:`N(0,\sigma_w^2+\sigma^2/S)`.

    Returns
    -------
    data, slope, cost : float
        The first two grow as :math:`\frac12\ln N`, the third falls as :math:`1/(2N)`.

    Raises
    ------
    ValueError
        Unless `slope_sd` is positive and finite and ``n >= 1``.
    """
    if not (np.isfinite(slope_sd) and slope_sd > 0):
        raise ValueError(f"slope_sd must be positive and finite, got {slope_sd}.")
    x, weight = quantile_nodes(ols_slope_law(true, n), nodes)
    s, mass = quantile_nodes(stats.chi2(n, scale=true.input_sd**2), nodes)
    narrow = true.noise_sd**2 / s
    wide = slope_sd**2 + narrow
    data = mass @ (0.5 * (np.log(wide / narrow) + (narrow + true.slope**2) / wide - 1))
    # the law of S given the slope, under the truth and under the mixture, both relative to the prior law of S
    log_true = -0.5 * (np.log(narrow) + (x[:, None] - true.slope) ** 2 / narrow)
    log_wide = -0.5 * (np.log(wide) + x[:, None] ** 2 / wide)
    evidence_true, evidence_wide = logsumexp(log_true, axis=1, b=mass), logsumexp(log_wide, axis=1, b=mass)
    posterior = np.exp(log_true - evidence_true[:, None]) * mass
    gain = log_true - log_wide - (evidence_true - evidence_wide)[:, None]
    cost = weight @ np.einsum("ij,ij->i", posterior, gain)
    return float(data), float(data - cost), float(cost)


def _gamma_rate(model: LinearModel, slope: Array) -> Array:
    """Twice the rate of the gamma law of S given a fitted slope."""
    return model.input_sd**-2 + ((slope - model.slope) / model.noise_sd) ** 2
