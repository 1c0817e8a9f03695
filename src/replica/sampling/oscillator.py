r"""Leapfrog on a quadratic energy in closed form, and the exact transition fractions of (Look Ahead) HMC that follow.

In a direction of precision $j$ one leapfrog step is a linear map of $(x, v)$, a rotation by $\theta$ on an ellipse:
$\sin(\theta/2) = \epsilon\sqrt j/2$, and M steps rotate by $M\theta$,

$$\begin{pmatrix} x \\ v\end{pmatrix} \leftarrow
\begin{pmatrix} \cos M\theta & \sin M\theta/(\sqrt j\,c) \\ -\sqrt j\,c\,\sin M\theta & \cos M\theta\end{pmatrix}
\begin{pmatrix} x \\ v\end{pmatrix}, \qquad c = \cos(\theta/2) .$$

The energy error comes only from $c \ne 1$ and is periodic in the number of rotations: that is the origin of the
resonances in the rejection rate. Exact up to rounding; used to scan settings at a tenth of the arithmetic.
"""

from __future__ import annotations

import numpy as np

from replica.sampling.leapfrog import PhasePoint, Trajectory, check_count, check_step_size
from replica.sampling.targets import AnisotropicGaussian

__all__ = [
    "leapfrog_power",
    "oscillator_flip_fraction_hmc",
    "oscillator_trajectory",
    "oscillator_transition_fractions",
    "rotation_angle",
]


def rotation_angle(step_size: float | np.ndarray, precision: float | np.ndarray = 1.0) -> np.ndarray:
    r"""$\theta = 2\arcsin(\epsilon\sqrt j/2)$ in radians, the angle by which one leapfrog step rotates a harmonic mode.

    Raises ValueError where $\epsilon\sqrt j \ge 2$: there leapfrog is unstable and there is no angle.
    """
    half = 0.5 * check_step_size(step_size) * np.sqrt(precision)
    if not (half < 1).all():
        raise ValueError(
            "leapfrog is unstable: step_size times the square root of the precision must stay below 2, "
            f"got {2 * float(np.max(half)):.4g}"
        )
    return 2.0 * np.arcsin(half)


def leapfrog_power(
    precision: np.ndarray, step_size: float | np.ndarray, n_steps: int | np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Entries of the matrix of ``n_steps`` leapfrog steps,

    $(\cos M\theta,\ \sin M\theta/(\sqrt j c),\ -\sqrt j c\sin M\theta)$ (the diagonal, then upper
    right, lower left).

    The arguments broadcast against each other. Raises ValueError for an unstable step.
    """
    theta = rotation_angle(step_size, precision)
    scale = np.sqrt(precision) * np.cos(0.5 * theta)
    angle = n_steps * theta
    return np.cos(angle), np.sin(angle) / scale, -scale * np.sin(angle)


def oscillator_trajectory(
    target: AnisotropicGaussian, step_size: float | np.ndarray, n_steps: int | np.ndarray
) -> Trajectory:
    """The operator $L$ on a Gaussian as one matrix product per mode instead of M leapfrog steps.

    Same result as `leapfrog_trajectory` up to rounding, for about a tenth of the work at M = 10; step size and number
    of leapfrog steps may both differ from chain to chain (shape ``(n_chains,)``).
    """
    step_size = np.atleast_1d(check_step_size(step_size))
    n_steps = np.atleast_1d(n_steps)
    if (n_steps < 1).any():
        raise ValueError(f"n_steps must be at least 1, got {n_steps.min()}")
    keep, drift, kick = leapfrog_power(target.precisions[:, None], step_size[None, :], n_steps[None, :])

    def advance(point: PhasePoint, chains: np.ndarray | None = None) -> PhasePoint:
        a, b, c = (m if chains is None or m.shape[1] == 1 else m.take(chains, axis=1) for m in (keep, drift, kick))
        x = a * point.position + b * point.momentum
        v = c * point.position + a * point.momentum
        gradient = target.gradient(x)
        return PhasePoint(x, v, gradient, 0.5 * np.einsum("ib,ib->b", x, gradient))

    return advance


def oscillator_flip_fraction_hmc(step_size: float | np.ndarray, n_leapfrog: int) -> np.ndarray:
    r"""Exact stationary rejection (= flip) probability of HMC on one mode of unit precision,

    $$\langle\pi_F\rangle = 1 - \frac4\pi \arctan\frac1s ,$$

    with $s \ge 1$ the larger singular value of the $2\times2$ matrix of the trajectory. Volume preservation and
    reversibility give a mean acceptance of $2\,\mathrm{P}(\Delta H < 0)$, and
    $\Delta H = \tfrac12[(s^2-1)a^2 - (1-s^{-2})b^2]$ with independent standard normal a, b is negative where
    $|a/b| < 1/s$.

    Wide modes add nothing visible: the error of a mode is of order $\epsilon^2 j$. Shape of ``step_size``.
    """
    check_count(n_leapfrog, "n_leapfrog")
    keep, drift, kick = leapfrog_power(np.asarray(1.0), step_size, n_leapfrog)
    # a 2 x 2 matrix of determinant one: s + 1/s = sqrt(|A|^2 + 2) and s - 1/s = sqrt(|A|^2 - 2)
    norm = 2.0 * keep**2 + drift**2 + kick**2
    larger = 0.5 * (np.sqrt(norm + 2.0) + np.sqrt(np.maximum(norm - 2.0, 0.0)))
    return 1.0 - 4.0 / np.pi * np.arctan(1.0 / larger)


def oscillator_transition_fractions(
    step_size: float | np.ndarray, n_leapfrog: int, n_lookahead: int, n_angles: int = 8192
) -> np.ndarray:
    r"""Exact stationary fractions of transitions $(F, L, \dots, L^K)$ on one mode of unit precision.

    Along the ladder the energies are $h_a = h_0\,g_a(\varphi)$, where $\varphi$ is the phase of the starting
    point and $h_0$ is exponentially distributed. Averaged over $h_0$, the look-ahead probabilities become

    $$\langle C_a\rangle = \frac1{2\pi}\int_0^{2\pi} \min\Big[1,\ \frac1{\min_{b\le a} g_b(\varphi)}\Big]\,d\varphi ,$$

    evaluated by the midpoint rule on ``n_angles`` angles over half a turn (relative error of order $n^{-2}$).

    Parameters
    ----------
    step_size
        A number or an array of any shape, below 2.
    n_leapfrog, n_lookahead
        M and K.

    Returns
    -------
    ``(K + 1, *step_size.shape)``: the flip fraction first, then the fractions of $L^1$ to $L^K$; they sum to one.
    """
    n_leapfrog, n_lookahead = check_count(n_leapfrog, "n_leapfrog"), check_count(n_lookahead, "n_lookahead")
    step_size = np.asarray(step_size, dtype=np.float64)
    phase = np.pi * (np.arange(n_angles) + 0.5) / n_angles
    cos, sin = np.cos(phase), np.sin(phase)
    lowest, cumulative = np.full((*step_size.shape, n_angles), np.inf), []
    for rung in range(1, n_lookahead + 1):
        keep, drift, kick = (m[..., None] for m in leapfrog_power(np.asarray(1.0), step_size, rung * n_leapfrog))
        lowest = np.minimum(lowest, (keep * cos + drift * sin) ** 2 + (kick * cos + keep * sin) ** 2)
        cumulative.append(np.minimum(1.0, 1.0 / lowest).mean(axis=-1))
    return np.stack([1.0 - cumulative[-1], *np.diff(cumulative, axis=0, prepend=0.0)])
