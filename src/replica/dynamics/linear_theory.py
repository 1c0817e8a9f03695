r"""Closed forms for linear networks that start small: sigmoids, the scalar mode, half times, the final tangent kernel.

Notation: teacher :math:`w_\star=s\beta` with :math:`|\beta|=1`, whitened inputs (:math:`\Sigma=I`), loss
:math:`\tfrac12|w-w_\star|^2`, gradient flow with learning rate 1; :math:`L` is the number of weight matrices and
:math:`u` the common singular value of the layers once they are balanced. Times are in units of :math:`1/s` for
two layers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import quad

Array = NDArray[np.float64]


def saxe_sigmoid(times: ArrayLike, strength: float, start: float) -> Array:
    r"""Strength :math:`c=u^2` learned by a balanced two-layer network, :math:`\dot c=2c(s-c)`:

    .. math:: c(t)=\frac{s\,e^{2st}}{e^{2st}-1+s/c_0}.

    Parameters
    ----------
    times : array
    strength : float
        :math:`s>0`.
    start : float
        :math:`c_0>0`.

    Raises
    ------
    ValueError
        If strength or start is not positive.

    References
    ----------
    Saxe, McClelland and Ganguli, ICLR 2014; Atanasov et al., ICLR 2022, appendix C.4.
    """
    require_positive(strength=strength, start=start)
    decay = np.exp(-2 * strength * np.asarray(times, dtype=np.float64))  # e^{-2st}, so that late times do not overflow
    return strength / (1 + (strength / start - 1) * decay)


def two_layer_overlaps(times: ArrayLike, strength: float, q0: float, r0: float = 0.0) -> tuple[Array, Array]:
    r"""Kernel overlap :math:`q=\tfrac12\beta^\top M\beta` and signal :math:`r=a^\top W\beta` over the whole trajectory.

    With :math:`c(t)` the sigmoid started at :math:`c_0=(q_0+r_0)/2`,

    .. math:: q=c\,(1+\rho e^{-4st}),\qquad r=c\,(1-\rho e^{-4st}),\qquad \rho=\frac{q_0-r_0}{q_0+r_0}.

    Early this is the linearised flow :math:`\dot q=2sr,\ \dot r=2sq`; late both follow the sigmoid. At :math:`r_0=0` it
    is the published formula, :math:`r=2s\sinh(2st)/(e^{2st}-1+2s/q_0)` and the same with cosh for :math:`q`.

    Parameters
    ----------
    times : array
    strength : float
        :math:`s>0`.
    q0, r0 : float
        Values at time 0; :math:`q_0>|r_0|` always holds, because :math:`q\pm r=\tfrac12|a\pm W\beta|^2`.

    Returns
    -------
    q, r : arrays of the shape of ``times``

    Raises
    ------
    ValueError
        If strength is not positive or :math:`q_0\le|r_0|`.

    References
    ----------
    Atanasov, Bordelon and Pehlevan, ICLR 2022, Eqs. 33, 50 and 51; the extension to :math:`r_0\ne0` is ours.
    """
    require_positive(strength=strength)
    if not q0 > abs(r0):
        raise ValueError(f"q0 must exceed |r0| (both are halves of sums of squares); got q0 = {q0}, r0 = {r0}")
    c = saxe_sigmoid(times, strength, 0.5 * (q0 + r0))
    transient = (q0 - r0) / (q0 + r0) * np.exp(-4 * strength * np.asarray(times, dtype=np.float64))
    return c * (1 + transient), c * (1 - transient)


def time_shift_error(strength: float, q0: float, r0: float) -> float:
    r"""Largest error of the formula without :math:`r_0`: it starts the same sigmoid too early or too late.

    The start :math:`q_0/2` in place of :math:`(q_0+r_0)/2` shifts time by :math:`\tfrac1{2s}\ln(1+r_0/q_0)`, and two
    sigmoids of slope :math:`2s` at that distance differ by at most :math:`s\tanh\big(\tfrac14|\ln(1+r_0/q_0)|\big)`.
    """
    require_positive(strength=strength)
    if not q0 > abs(r0):
        raise ValueError(f"q0 must exceed |r0|; got q0 = {q0}, r0 = {r0}")
    return float(strength * np.tanh(0.25 * abs(np.log1p(r0 / q0))))


def mode_time(depth: int, strength: float, start: float, end: float, rate: float | None = None) -> float:
    r"""Time that the balanced mode :math:`c=u^L` needs from ``start`` to ``end``, by quadrature of

    .. math:: \dot c=L\,c^{2-2/L}(s-c).

    Parameters
    ----------
    depth : int
        :math:`L\ge2` weight matrices.
    strength : float
        :math:`s>0`.
    start, end : float
        :math:`0<c_0<c_1<s`.
    rate : float, optional
        The factor in front, :math:`L` by default; 1 gives the rate as printed in the paper.

    Raises
    ------
    ValueError
        If the arguments are outside these ranges.

    References
    ----------
    Atanasov, Bordelon and Pehlevan, ICLR 2022, appendix E.1 (there without the factor :math:`L`).
    """
    depth = check_depth(depth)
    require_positive(strength=strength, start=start)
    if not start < end < strength:
        raise ValueError(f"start < end < strength must hold; got {start}, {end}, {strength}")
    factor = float(depth if rate is None else rate)
    require_positive(rate=factor)
    # In x = ln c the integrand e^{-(1-2/L)x}/(s-e^x) is smooth over many decades of c.
    value, _ = quad(
        lambda x: np.exp(-(1 - 2 / depth) * x) / (strength - np.exp(x)), np.log(start), np.log(end), limit=400
    )
    return value / factor


def half_loss_strength(strength: float) -> float:
    r"""The :math:`c` at which :math:`\tfrac12(s-c)^2` is half of its value at :math:`c=0`: :math:`s(1-1/\sqrt2)`."""
    require_positive(strength=strength)
    return float(strength * (1 - np.sqrt(0.5)))


def deep_half_time(depth: int, strength: float, scale: float) -> float:
    r"""Small-:math:`u_0` limit of the time to half loss for :math:`L\ge3`: :math:`u_0^{-(L-2)}/((L-2)s)`.

    ``scale`` is :math:`u_0`, the singular value of every layer at a balanced and aligned start.

    Raises
    ------
    ValueError
        If depth is below 3 (two layers wait logarithmically) or strength or scale is not positive.
    """
    if check_depth(depth) < 3:
        raise ValueError("the power law of the half time needs a depth of at least 3; two layers wait ln(1/scale)")
    require_positive(strength=strength, scale=scale)
    return float(scale ** (2 - depth) / ((depth - 2) * strength))


def final_tangent_kernel(depth: int, strength: float, direction: ArrayLike) -> Array:
    r"""Matrix of the tangent kernel at the end of training from small initialisation,

    .. math:: M_\infty=s^{2-2/L}\,[(L-1)\beta\beta^\top+I],

    because :math:`u_\infty=s^{1/L}` and :math:`M=u^{2L-2}[(L-1)r_1r_1^\top+I]` with :math:`r_1\to\beta`.

    Parameters
    ----------
    depth : int
    strength : float
    direction : array, shape (D,)
        :math:`\beta`, normalised here.

    References
    ----------
    Atanasov, Bordelon and Pehlevan, ICLR 2022, Eq. 10.
    """
    require_positive(strength=strength)
    beta = np.asarray(direction, dtype=np.float64)
    norm = np.linalg.norm(beta)
    if beta.ndim != 1 or not norm > 0:
        raise ValueError(f"direction must be a nonzero vector; got shape {beta.shape}")
    beta = beta / norm
    return strength ** (2 - 2 / check_depth(depth)) * ((depth - 1) * np.outer(beta, beta) + np.eye(beta.size))


def whitened_alignment_limit(depth: int, modes: int) -> float:
    r"""Alignment of :math:`M_\infty` with the target on whitened data: :math:`A_\infty=L/\sqrt{L^2+m-1}`.

    ``modes`` is :math:`m`, the number of nonzero (equal) singular values of the data, :math:`\min(P,D)`.

    References
    ----------
    Atanasov, Bordelon and Pehlevan, ICLR 2022, the dashed lines of Fig. 1a and C.2c.
    """
    if modes < 1:
        raise ValueError(f"modes must be a positive integer; got {modes}")
    return float(check_depth(depth) / np.sqrt(depth**2 + modes - 1))


def check_depth(depth: int) -> int:
    """Return the depth as an int of at least 2."""
    if int(depth) != depth or depth < 2:
        raise ValueError(f"depth is the number of weight matrices, an integer of at least 2; got {depth}")
    return int(depth)


def require_positive(**values: float) -> None:
    """Refuse numbers that are not positive and finite, by name."""
    for name, value in values.items():
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be a positive finite number; got {value}")
