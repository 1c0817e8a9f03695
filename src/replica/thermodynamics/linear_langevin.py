r"""Linear networks in a heat bath as input-output devices: covariance, entropy production, information, simulation.

.. math::

    dx=(-Ax+Bs)\,dt+\sqrt{2T}\,dW,\qquad A=\mathbb 1-J,

with an input :math:`s\sim N(0,\Sigma_s)` that stays constant while the device relaxes. Around the mean
:math:`A^{-1}Bs` the state has a covariance :math:`C` that does not depend on the input. The mobility is one, times are
in units of a free unit's relaxation time, information and entropy in nats.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import expm, solve_continuous_lyapunov
from scipy.optimize import minimize_scalar

from replica.thermodynamics.information import gaussian_channel_information

Array = NDArray[np.float64]


class Trajectories(NamedTuple):
    """What :func:`simulate_langevin` measured, one row for each run."""

    final: Array
    """States at the end, shape (runs, N)."""
    entropy_production: Array
    """Entropy handed to the bath per unit time, shape (runs,)."""


def check_stable(drift: ArrayLike) -> Array:
    r"""The matrix :math:`A` of a stable linear network, shape (N, N).

    Raises
    ------
    ValueError
        If it is not square, has an entry that is not finite, or an eigenvalue outside the right half plane: then there
        is no steady state.
    """
    a = np.asarray(drift, dtype=np.float64)
    if a.ndim != 2 or a.shape[0] != a.shape[1]:
        raise ValueError(f"expected a square matrix A; got shape {a.shape}")
    if not np.isfinite(a).all():
        raise ValueError("expected finite entries of A; got NaN or infinity")
    slowest = np.linalg.eigvals(a).real.min()
    if slowest <= 0:
        raise ValueError(
            "the network has no steady state: all eigenvalues of A = 1 - J must have positive real parts, "
            f"the smallest is {slowest:.4g}"
        )
    return a


def check_temperature(temperature: float) -> float:
    """The temperature. Raises ValueError unless it is positive and finite."""
    if not (np.isfinite(temperature) and temperature > 0):
        raise ValueError(f"the temperature must be positive and finite; got {temperature!r}")
    return float(temperature)


def ou_covariance(drift: ArrayLike, temperature: float = 1.0) -> Array:
    r"""Stationary covariance :math:`C`: :math:`AC+CA^{\sf T}=2T\mathbb 1`; shape (N, N).

    Raises
    ------
    ValueError
        For an unstable or malformed :math:`A` or a temperature that is not positive.
    """
    a = check_stable(drift)
    c = solve_continuous_lyapunov(a, 2.0 * check_temperature(temperature) * np.eye(len(a)))
    return 0.5 * (c + c.T)


def entropy_production_ou(drift: ArrayLike, temperature: float = 1.0) -> float:
    r"""Entropy production rate :math:`\sigma=\frac1T\mathrm{Tr}(A^{\sf T}AC)-\mathrm{Tr}A\ge0` in nats per unit time.

    It does not depend on the input, nor, because :math:`C\propto T`, on the temperature; zero iff
    :math:`A=A^{\sf T}`.
    """
    a = check_stable(drift)
    return float(np.trace(a.T @ a @ ou_covariance(a, temperature)) / temperature - np.trace(a))


def network_information(
    drift: ArrayLike, inputs: ArrayLike, readout: ArrayLike, signal: ArrayLike, temperature: float = 1.0
) -> float:
    r"""Information between the input and the readout :math:`Rx` in nats,

    .. math::

        I=\tfrac12\ln\det\big[\mathbb 1+(RCR^{\sf T})^{-1}M\Sigma_sM^{\sf T}\big],\qquad M=RA^{-1}B .

    Parameters
    ----------
    drift, inputs, readout, signal : arrays, shapes (N, N), (N, m), (r, N), (m, m)
        :math:`A`, :math:`B`, :math:`R`, :math:`\Sigma_s`.
    """
    a = check_stable(drift)
    b, r = np.asarray(inputs, dtype=np.float64), np.asarray(readout, dtype=np.float64)
    if b.ndim != 2 or len(b) != len(a) or r.ndim != 2 or r.shape[1] != len(a):
        raise ValueError(f"expected B of shape ({len(a)}, m) and R of shape (r, {len(a)}); got {b.shape} and {r.shape}")
    noise = r @ ou_covariance(a, temperature) @ r.T
    return gaussian_channel_information(r @ np.linalg.solve(a, b), noise, signal)


def two_unit_drift(feedback: float, forward: float) -> Array:
    r"""Matrix :math:`A` of two units: :math:`J_{12}=a` (feedback), :math:`J_{21}=b` (forward)."""
    return np.array([[1.0, -feedback], [-forward, 1.0]])


def _check_two_units(feedback: ArrayLike, forward: ArrayLike) -> tuple[Array, Array]:
    a, b = np.asarray(feedback, dtype=np.float64), np.asarray(forward, dtype=np.float64)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("expected finite couplings; got NaN or infinity")
    if (a * b >= 1).any():
        raise ValueError(f"two units are stable where ab < 1; the largest product is {(a * b).max():.4g}")
    return a, b


def _check_variance(signal: float) -> float:
    if not (np.isfinite(signal) and signal >= 0):
        raise ValueError(f"the variance of the signal must be finite and not negative; got {signal!r}")
    return float(signal)


def _check_strength(strength: float) -> float:
    if not 0 < strength < np.sqrt(2):
        raise ValueError(f"the strength must lie between 0 and sqrt(2), where all angles are stable; got {strength!r}")
    return float(strength)


def two_unit_entropy_production(feedback: ArrayLike, forward: ArrayLike) -> Array:
    r""":math:`\sigma=\frac12(a-b)^2` at any temperature; the arguments broadcast. Raises ValueError where unstable."""
    a, b = _check_two_units(feedback, forward)
    return 0.5 * (a - b) ** 2


def two_unit_variance(feedback: ArrayLike, forward: ArrayLike, temperature: float = 1.0) -> Array:
    r"""Variance of the second unit, :math:`C_{22}=T\,\frac{2-ab+b^2}{2(1-ab)}`; the arguments broadcast."""
    a, b = _check_two_units(feedback, forward)
    return check_temperature(temperature) * (2 - a * b + b**2) / (2 * (1 - a * b))


def two_unit_information(feedback: ArrayLike, forward: ArrayLike, signal: float, temperature: float = 1.0) -> Array:
    r"""Information of the second unit about a signal of variance :math:`V` on the first, in nats,

    .. math::

        I=\tfrac12\ln\Big(1+\frac{2b^2V}{T(1-ab)(2-ab+b^2)}\Big).
    """
    a, b = _check_two_units(feedback, forward)
    gain = 2 * b**2 * _check_variance(signal) / (check_temperature(temperature) * (1 - a * b) * (2 - a * b + b**2))
    return 0.5 * np.log1p(gain)


def two_unit_optimum(
    strength: float, signal: float, penalty: float = 0.0, temperature: float = 1.0, grid: int = 721
) -> tuple[float, float]:
    r"""Couplings :math:`(a,b)` of the circle :math:`a^2+b^2=c^2` with the largest :math:`I-\alpha\sigma`.

    Angles :math:`\varphi` of :math:`(a,b)=c(\cos\varphi,\sin\varphi)` are scanned over half a turn (the other half has
    all signs reversed and the same values), and the best is refined. For penalties so large that rounding hides the
    gain next to reciprocity the angle is as accurate as the scalar search, about 1e-8.

    Parameters
    ----------
    strength : float
        :math:`c`, above 0 and below :math:`\sqrt2` (beyond it some angles are unstable).
    signal, penalty, temperature : float
        :math:`V`, :math:`\alpha` in units of time, :math:`T`.
    grid : int
        Angles of the first scan.

    Raises
    ------
    ValueError
        For a strength outside that range or a negative penalty.
    """
    _check_strength(strength)
    if not (np.isfinite(penalty) and penalty >= 0):
        raise ValueError(f"the penalty must be finite and not negative; got {penalty!r}")

    def loss(angle: Array | float) -> Array:
        a, b = strength * np.cos(angle), strength * np.sin(angle)
        return penalty * two_unit_entropy_production(a, b) - two_unit_information(a, b, signal, temperature)

    angles = np.linspace(0.0, np.pi, grid)
    best = angles[np.argmin(loss(angles))]
    width = angles[1] - angles[0]
    found = minimize_scalar(loss, bounds=(best - width, best + width), method="bounded", options={"xatol": 1e-11})
    return strength * float(np.cos(found.x)), strength * float(np.sin(found.x))


def reciprocal_expansion(strength: float, signal: float, temperature: float = 1.0) -> tuple[float, float, float]:
    r"""Reciprocal information :math:`I_0`, slope :math:`I'` and price :math:`\kappa` of leaving reciprocity.

    Turning :math:`(a,b)` on its circle by a small angle :math:`\delta` away from :math:`a=b` towards the forward
    coupling gives

    .. math::

        I=I_0+I'\delta+O(\delta^2),\qquad \sigma=\kappa\sin^2\delta,\qquad
        I_0=\tfrac12\ln(1+q),\quad I'=\frac{q}{2(1+q)}\Big(2-\frac{c^2}{2}\Big),\quad \kappa=c^2,

    with :math:`q=\frac{c^2V}{2T(1-c^2/2)}`. The gain is of first order and the cost of second, so at a large penalty
    the best device has :math:`\sigma\simeq I'^2/4\kappa\alpha^2` and gains :math:`I'^2/2\kappa\alpha`. The slope
    is positive for any signal of positive variance: the reciprocal device is never the best.

    Raises
    ------
    ValueError
        For a strength outside :func:`two_unit_optimum`'s range, a negative variance or a bad temperature.
    """
    q = (
        _check_strength(strength) ** 2
        * _check_variance(signal)
        / (2 * check_temperature(temperature) * (1 - strength**2 / 2))
    )
    return 0.5 * np.log1p(q), 0.5 * q / (1 + q) * (2 - strength**2 / 2), strength**2


def discretised_entropy_production(drift: ArrayLike, dt: float) -> float:
    r"""What the midpoint rule on exact states :math:`dt` apart finds on average instead of :math:`\sigma`.

    With :math:`U=e^{-A\,dt}` and :math:`C` at :math:`T=1`, the symmetric part of :math:`A` telescopes in the steady
    state, and the antisymmetric part :math:`A_a=(A-A^{\sf T})/2` leaves

    .. math::

        \sigma_{dt}=-\frac1{dt}\mathrm{Tr}\big[A_a^{\sf T}UC\big]\ \xrightarrow{dt\to0}\ \sigma .

    Raises
    ------
    ValueError
        For an unstable network or a step that is not positive.
    """
    a = check_stable(drift)
    _check_step(dt)
    anti = 0.5 * (a - a.T)
    return float(-np.trace(anti.T @ expm(-a * dt) @ ou_covariance(a)) / dt)


def _check_step(dt: float) -> None:
    if not (np.isfinite(dt) and dt > 0):
        raise ValueError(f"the step must be positive and finite; got {dt!r}")


def exact_step(drift: ArrayLike, dt: float, temperature: float = 1.0) -> tuple[Array, Array]:
    r"""Propagator :math:`U=e^{-A\,dt}` and noise covariance of a step of any length,

    .. math::

        x'-\mu=U(x-\mu)+\xi,\qquad
        \langle\xi\xi^{\sf T}\rangle=2T\int_0^{dt}e^{-At}e^{-A^{\sf T}t}\,dt ,

    from one matrix exponential of twice the size (C. F. Van Loan, IEEE Trans. Autom. Control 23, 395, 1978); the
    stationary covariance is not used.
    """
    a, n = check_stable(drift), len(drift)
    _check_step(dt)
    doublings = max(0, int(np.ceil(np.log2(dt * np.linalg.norm(a)))))  # e^{+A dt} would overflow in a long step
    block = np.zeros((2 * n, 2 * n))
    block[:n, :n], block[n:, n:] = a, -a.T
    block[:n, n:] = 2.0 * check_temperature(temperature) * np.eye(n)
    power = expm(block * (dt / 2**doublings))
    u = power[n:, n:].T
    noise = u @ power[:n, n:]
    for _ in range(doublings):
        noise, u = noise + u @ noise @ u.T, u @ u
    return u, 0.5 * (noise + noise.T)


def simulate_langevin(
    drift: ArrayLike,
    force: ArrayLike,
    duration: float,
    dt: float,
    rng: np.random.Generator,
    temperature: float = 1.0,
    relaxation: float = 12.0,
) -> Trajectories:
    r"""Independent runs from the origin, with the entropy that they hand to the bath.

    They relax first and are observed then. Every step follows the exact law of :func:`exact_step`. The entropy is the
    work of the force :math:`f=-Ax+Bs` by Stratonovich's rule, :math:`\frac1T\sum f(\frac{x+x'}2)\cdot(x'-x)`. (Itô's
    rule, the force before the step, would be off by :math:`-\mathrm{Tr}A`.)

    Parameters
    ----------
    drift : array, shape (N, N)
        :math:`A`.
    force : array, shape (runs, N)
        :math:`Bs` of each run.
    duration, dt : float
        Observed time of each run, and time between two states.
    rng : numpy.random.Generator
    temperature, relaxation : float

    Raises
    ------
    ValueError
        For an unstable network, a force that does not fit or is not finite, or times that are not positive and finite.
    """
    a, t = check_stable(drift), check_temperature(temperature)
    f = np.asarray(force, dtype=np.float64)
    if f.ndim != 2 or f.shape[1] != len(a):
        raise ValueError(f"expected a force of shape (runs, {len(a)}); got {f.shape}")
    if not np.isfinite(f).all():
        raise ValueError("expected finite forces; got NaN or infinity")
    if not (0 < dt <= duration < np.inf and 0 < relaxation < np.inf):
        raise ValueError(
            f"expected 0 < dt <= duration and relaxation > 0, all finite; got {dt=}, {duration=}, {relaxation=}"
        )
    steps = round(duration / dt)
    mean = np.linalg.solve(a, f.T).T
    u, noise = exact_step(a, relaxation, t)
    y = -mean @ u.T + rng.standard_normal(f.shape) @ np.linalg.cholesky(noise).T
    u, noise = exact_step(a, dt, t)
    kick, work = np.linalg.cholesky(noise).T, np.zeros(len(f))
    for _ in range(steps):  # y = x - mean: the force is -A y, as A times the mean is B s
        new = y @ u.T + rng.standard_normal(f.shape) @ kick
        work -= np.einsum("ri,ri->r", (0.5 * (y + new)) @ a.T, new - y)
        y = new
    return Trajectories(y + mean, work / (t * steps * dt))
