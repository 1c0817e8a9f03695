r"""A quartic of two variables on which searches for critical points fail in closed form.

$$f(x,y)=\tfrac14x^4-3x^2+9x+\tfrac9{10}y^4+5y^2+40$$

has one critical point, $(-3,0)$, because $x^3-6x+9=(x+3)(x^2-3x+3)$ and the second factor has no real root. Its Hessian
is $\mathrm{diag}(3x^2-6,\ 10.8y^2+10)$, singular at $x=\pm\sqrt2$, where on $y=0$ the gradient lies in its kernel:
$Hg=0$ with $g\ne0$. These two gradient-flat points are stationary for the squared gradient norm $s=\|g\|^2$,

$$s(\pm\sqrt2,0)=(9\mp4\sqrt2)^2 ,$$

a local minimum of $s$ at $+\sqrt2$ and a saddle of $s$ at $-\sqrt2$.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import solve_ivp

Array = NDArray[np.float64]

#: The only critical point.
CRITICAL_POINT = (-3.0, 0.0)
#: The gradient-flat points: the minimum and the saddle of the squared gradient norm.
FLAT_POINTS = ((np.sqrt(2.0), 0.0), (-np.sqrt(2.0), 0.0))


class Quartic:
    """The quartic as a landscape: every method takes points ``theta`` of shape (n, 2)."""

    n_parameters = 2

    def loss(self, theta: ArrayLike) -> Array:
        """Values of f, shape (n,)."""
        x, y = as_points(theta).T
        return x**4 / 4 - 3 * x**2 + 9 * x + 0.9 * y**4 + 5 * y**2 + 40

    def gradient(self, theta: ArrayLike) -> Array:
        """Gradients, shape (n, 2)."""
        x, y = as_points(theta).T
        return np.stack([x**3 - 6 * x + 9, 3.6 * y**3 + 10 * y], axis=1)

    def curvatures(self, theta: ArrayLike) -> Array:
        """The diagonal of the Hessian, which has nothing off it; shape (n, 2)."""
        x, y = as_points(theta).T
        return np.stack([3 * x**2 - 6, 10.8 * y**2 + 10], axis=1)

    def hessian_product(self, theta: ArrayLike, vectors: ArrayLike) -> Array:
        """Products of the Hessians with one vector each, shape (n, 2)."""
        return self.curvatures(theta) * as_points(vectors, "vectors")


def squared_gradient_norm(theta: ArrayLike) -> Array:
    r"""$s=\|g\|^2$ of the quartic, shape (n,)."""
    return np.sum(Quartic().gradient(theta) ** 2, axis=1)


def half_norm_curvatures(theta: ArrayLike) -> Array:
    r"""Second derivatives of $\tfrac12s$ along x and y, shape (n, 2): $H_{ii}^2+H_{ii}'\,g_i$.

    At the gradient-flat points the first term of the x-direction vanishes and $6x(x^3-6x+9)$ is left.
    """
    points = as_points(theta)
    slope = np.stack([6 * points[:, 0], 21.6 * points[:, 1]], axis=1)
    return Quartic().curvatures(points) ** 2 + slope * Quartic().gradient(points)


def newton_field(theta: ArrayLike, longest: float = 1.0) -> Array:
    r"""Newton steps $-H^{-1}g$, shortened to length ``longest`` where they are longer; shape (n, 2).

    Raises
    ------
    ValueError
        If a point lies on the lines $x=\pm\sqrt2$, where the Hessian is singular, or ``longest`` is not positive.
    """
    points = as_points(theta)
    curvatures = Quartic().curvatures(points)
    if np.any(curvatures == 0):
        raise ValueError("the Hessian is singular at one of the points (x = +-sqrt 2): there is no Newton step")
    if not longest > 0:
        raise ValueError(f"longest: expected a positive length; got {longest}")
    steps = -Quartic().gradient(points) / curvatures
    return steps * np.minimum(1, longest / np.maximum(np.linalg.norm(steps, axis=1, keepdims=True), 1e-300))


def gradient_norm_flow(starts: ArrayLike, duration: float = 10.0) -> Array:
    r"""Where the flow $\dot\theta=-Hg$ that descends $\tfrac12s$ is after a time ``duration``; shape (n, 2).

    The rates at the two ends are the curvatures of $\tfrac12s$ there, 441 along x at the critical point and 28.4 at the
    flat one, so 10 is many times what convergence takes from anywhere but the boundary itself.
    """
    starts = as_points(starts)
    landscape = Quartic()

    def velocity(_: float, flat: Array) -> Array:
        theta = flat.reshape(-1, 2)
        return -landscape.hessian_product(theta, landscape.gradient(theta)).ravel()

    solution = solve_ivp(velocity, (0, duration), starts.ravel(), method="LSODA", rtol=1e-9, atol=1e-12)
    if not solution.success:
        raise RuntimeError(f"the flow could not be integrated: {solution.message}")
    return solution.y[:, -1].reshape(-1, 2)


def as_points(theta: ArrayLike, name: str = "theta") -> Array:
    """Points of the plane, shape (n, 2), refused where they are anything else or not finite."""
    theta = np.asarray(theta, dtype=np.float64)
    if theta.ndim != 2 or theta.shape[1] != 2:
        raise ValueError(f"{name}: expected shape (n, 2); got {theta.shape}")
    if not np.isfinite(theta).all():
        raise ValueError(f"{name}: expected finite numbers; {np.sum(~np.isfinite(theta))} are not")
    return theta
