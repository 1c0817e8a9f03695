r"""The loss of a two-layer linear autoencoder, and all of its critical points in closed form.

With first layer :math:`W_1` (p, k), second layer :math:`W_2` (k, p) and the data's covariance :math:`S` (k, k),

.. math:: L(\theta) = \frac1k \operatorname{tr}\big[(I-W_2W_1)\,S\,(I-W_2W_1)^\top\big],

the squared error of the reconstruction averaged over all entries of the data. Parameters are laid out as
:math:`\theta=(\operatorname{vec}W_1,\operatorname{vec}W_2)`, both row by row, so there are :math:`2kp` of them. Only
the covariance of the data enters.

References: Baldi and Hornik (1989) for the critical points; Frye et al., arXiv 1901.10603.
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def as_points(theta: ArrayLike, n_parameters: int, name: str = "theta") -> Array:
    """Many points at once, float64 and contiguous, shape (n, n_parameters), or a ``ValueError`` that says what came."""
    theta = np.ascontiguousarray(theta, dtype=np.float64)
    if theta.ndim != 2 or theta.shape[1] != n_parameters:
        raise ValueError(f"{name} must have shape (n_points, {n_parameters}), got {theta.shape}")
    return theta


def as_covariance(covariance: ArrayLike) -> Array:
    """A symmetric positive definite matrix, or a ``ValueError`` that says what came."""
    S = np.ascontiguousarray(covariance, dtype=np.float64)
    if S.ndim != 2 or S.shape[0] != S.shape[1] or S.shape[0] == 0:
        raise ValueError(f"covariance must be a square matrix, got shape {S.shape}")
    if not np.isfinite(S).all():
        raise ValueError("covariance must be finite, got NaN or infinite entries")
    gap = np.abs(S - S.T).max()
    if gap > 1e-12 * np.abs(S).max():
        raise ValueError(f"covariance must be symmetric, entries differ from their mirror image by up to {gap:.3g}")
    smallest = np.linalg.eigvalsh(S)[0]
    if not smallest > 0:
        raise ValueError(f"covariance must be positive definite, its smallest eigenvalue is {smallest:.3g}")
    return (S + S.T) / 2


class LinearAutoencoder:
    r"""A landscape: loss, gradient and Hessian-vector product of the linear autoencoder, for many points at once.

    With :math:`A=W_1`, :math:`B=W_2^\top`, :math:`P=AS`, :math:`R=BS`, :math:`N=BB^\top` and :math:`K=ASA^\top`,

    .. math::
        L = \tfrac1k[\operatorname{tr}S - 2\operatorname{tr}BP^\top + \operatorname{tr}KN],\qquad
        \nabla_A L = -\tfrac2k(R-NP),\qquad \nabla_B L = -\tfrac2k(P-KB),

    and the Hessian-vector product is their derivative along a direction. Nothing larger than (p, k) is formed.

    Parameters
    ----------
    covariance : array, shape (k, k)
        :math:`S`, symmetric and positive definite.
    hidden : int
        :math:`p`, number of hidden units, from 1 to k.

    Raises
    ------
    ValueError
        If the covariance is not square, finite, symmetric and positive definite, or ``hidden`` is not in 1..k.
    """

    def __init__(self, covariance: ArrayLike, hidden: int) -> None:
        self.covariance = as_covariance(covariance)
        k = len(self.covariance)
        if int(hidden) != hidden or not 1 <= hidden <= k:
            raise ValueError(f"hidden must be a whole number from 1 to the number of inputs, {k}; got {hidden!r}")
        self.inputs, self.hidden = k, int(hidden)
        self.n_parameters = 2 * k * self.hidden

    def loss(self, theta: ArrayLike) -> Array:
        """Loss, shape (n,), of points of shape (n, 2kp)."""
        return _losses(as_points(theta, self.n_parameters), self.covariance, self.hidden)

    def gradient(self, theta: ArrayLike) -> Array:
        """Gradient, shape (n, 2kp)."""
        return _gradients(as_points(theta, self.n_parameters), self.covariance, self.hidden)

    def hessian_product(self, theta: ArrayLike, vectors: ArrayLike) -> Array:
        """The Hessian of each point times that point's vector; all shapes (n, 2kp)."""
        theta = as_points(theta, self.n_parameters)
        vectors = as_points(vectors, self.n_parameters, "vectors")
        if len(theta) != len(vectors):
            raise ValueError(f"one vector for each point: got {len(theta)} points and {len(vectors)} vectors")
        return _hessian_products(theta, vectors, self.covariance, self.hidden)

    def weights(self, theta: ArrayLike) -> tuple[Array, Array]:
        """The layers :math:`W_1` (n, p, k) and :math:`W_2` (n, k, p), views of the points."""
        theta = as_points(theta, self.n_parameters)
        half, k, p = self.n_parameters // 2, self.inputs, self.hidden
        return theta[:, :half].reshape(-1, p, k), theta[:, half:].reshape(-1, k, p)

    def parameters(self, first: ArrayLike, second: ArrayLike) -> Array:
        """The points (n, 2kp) of layers of shapes (n, p, k) and (n, k, p)."""
        first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
        k, p = self.inputs, self.hidden
        if first.shape[1:] != (p, k) or second.shape[1:] != (k, p) or len(first) != len(second):
            raise ValueError(
                f"layers must have shapes (n, {p}, {k}) and (n, {k}, {p}), got {first.shape}, {second.shape}"
            )
        return np.concatenate([first.reshape(len(first), -1), second.reshape(len(second), -1)], axis=1)


class AnalyticCriticalPoints(NamedTuple):
    """One representative of each class of critical points of the linear autoencoder.

    Attributes
    ----------
    members : (n_classes, k) booleans, the eigenvectors that the network reproduces, by ascending eigenvalue.
    loss : (n_classes,), exact.
    index : (n_classes,), number of negative eigenvalues of the Hessian at the representative, exact.
    theta : (n_classes, 2kp), the representatives.
    """

    members: NDArray[np.bool_]
    loss: Array
    index: NDArray[np.int64]
    theta: Array


def analytic_critical_points(landscape: LinearAutoencoder) -> AnalyticCriticalPoints:
    r"""All classes of critical points: the network projects on a subset :math:`I` of the principal components.

    For every subset of at most p of the k eigenvectors :math:`u_i` of the covariance, with :math:`m=|I|`, the
    representative has :math:`W_1=[U_I\;0]^\top` and :math:`W_2=W_1^\top`, and

    .. math::
        L_I=\frac1k\sum_{i\notin I}\lambda_i,\qquad
        \operatorname{ind}(I)=(p-m)(k-m)+\#\{(a,b): a\in I,\ b\notin I,\ \lambda_b>\lambda_a\}.

    Every critical point is in the orbit :math:`W_1\to CW_1,\ W_2\to W_2C^{-1}` of one of these: the gradient vanishes
    only if :math:`W_2W_1` is the projection :math:`P_I`, the rows of :math:`W_1` and the columns of :math:`W_2` lie in
    the span of :math:`U_I`, and two such pairs differ by an invertible :math:`C`. Loss and index are constant on it.

    Returns
    -------
    :class:`AnalyticCriticalPoints`, ordered by the size of the subset.

    Raises
    ------
    ValueError
        If eigenvalues coincide: then critical points come in continuous families that no list exhausts.

    References
    ----------
    Baldi and Hornik (1989) for points and losses; the index from :func:`critical_point_spectrum`.
    """
    k, p = landscape.inputs, landscape.hidden
    eigenvalues, vectors = np.linalg.eigh(landscape.covariance)
    if np.diff(eigenvalues).min(initial=np.inf) < 1e-10 * eigenvalues[-1]:
        raise ValueError("the covariance must have distinct eigenvalues for its critical points to be enumerated")
    subsets = [s for m in range(p + 1) for s in combinations(range(k), m)]
    members = np.zeros((len(subsets), k), dtype=bool)
    first = np.zeros((len(subsets), p, k))
    for row, subset in enumerate(subsets):
        members[row, list(subset)] = True
        first[row, : len(subset)] = vectors[:, list(subset)].T
    size = members.sum(axis=1)
    loss = (~members) @ eigenvalues / k
    # for each member, how many larger eigenvalues are left out
    above = np.cumsum((~members)[:, ::-1], axis=1)[:, ::-1]
    index = (p - size) * (k - size) + (members * above).sum(axis=1)
    theta = landscape.parameters(first, first.transpose(0, 2, 1))
    return AnalyticCriticalPoints(members, loss, index, theta)


def critical_point_spectrum(landscape: LinearAutoencoder, members: ArrayLike) -> Array:
    r"""All :math:`2kp` eigenvalues of the Hessian at the representative of a subset, in closed form, ascending.

    In the eigenbasis of the covariance the second variation falls into blocks, with :math:`c=2/k`:

    - for every :math:`a\in I` and :math:`b\notin I`, the two eigenvalues of
      :math:`c\begin{pmatrix}\lambda_b&-\lambda_b\\-\lambda_b&\lambda_a\end{pmatrix}`, of opposite signs
      if :math:`\lambda_b>\lambda_a` and both positive otherwise;
    - for every unused hidden unit and :math:`b\notin I`, the pair :math:`\pm c\lambda_b`;
    - for every :math:`a\in I`, the value :math:`2c\lambda_a`, m times;
    - zero, :math:`p^2-(p-m)^2` times: as often as the orbit has dimensions, so no direction off the orbit is flat.

    Parameters
    ----------
    members : (k,) booleans, the subset :math:`I` by ascending eigenvalue, at most p of them.

    Raises
    ------
    ValueError
        If ``members`` has another shape or too many members.
    """
    members = np.asarray(members, dtype=bool)
    k, p, m = landscape.inputs, landscape.hidden, int(members.sum())
    if members.shape != (k,) or m > p:
        raise ValueError(f"members must mark at most {p} of {k} components, got shape {members.shape} with {m} marked")
    eigenvalues = np.linalg.eigvalsh(landscape.covariance)
    used, left = np.meshgrid(eigenvalues[members], eigenvalues[~members], indexing="ij")
    middle, gap = (used + left) / 2, np.hypot((used - left) / 2, left)
    unused = np.repeat(eigenvalues[~members], p - m)
    parts = [middle - gap, middle + gap, unused, -unused, np.repeat(2 * eigenvalues[members], m)]
    parts.append(np.zeros(p * p - (p - m) ** 2))
    return np.sort(np.concatenate([np.ravel(part) for part in parts])) * 2 / k


def projected_components(landscape: LinearAutoencoder, theta: ArrayLike) -> Array:
    r"""How much of each principal component the network reproduces, :math:`u_i^\top W_2W_1u_i`, shape (n, k).

    Components are ordered by ascending eigenvalue. At a critical point each entry is 0 or 1.
    """
    first, second = landscape.weights(theta)
    vectors = np.linalg.eigh(landscape.covariance)[1]
    return ((vectors.T @ second) * (first @ vectors).transpose(0, 2, 1)).sum(axis=2)


def distance_to_analytic(known: AnalyticCriticalPoints, loss: ArrayLike, index: ArrayLike) -> Array:
    r"""Distance (n,) of each pair of loss and index to the nearest analytic one, :math:`|\Delta L|+|\Delta\iota|`.

    ``loss`` and ``index`` have shape (n,); the index counts eigenvalues, :math:`\iota` is its fraction of all.
    """
    loss, index = np.asarray(loss, dtype=np.float64), np.asarray(index)
    fraction = np.abs(index[:, None] - known.index) / known.theta.shape[1]
    return (np.abs(loss[:, None] - known.loss) + fraction).min(axis=1, initial=np.inf)


def gradient_descent_path(landscape: LinearAutoencoder, start: ArrayLike, rate: float, n_steps: int) -> Array:
    """All iterates of gradient descent from one start (2kp,), shape (n_steps + 1, 2kp).

    Raises
    ------
    ValueError
        If the start has the wrong shape or is not finite, the rate is not positive, or ``n_steps`` is below 1.
    """
    theta = as_points(np.atleast_2d(start), landscape.n_parameters, "start")
    if len(theta) != 1 or not np.isfinite(theta).all():
        raise ValueError("start must be one finite point")
    if not (np.isfinite(rate) and rate > 0):
        raise ValueError(f"rate must be a positive number, got {rate!r}")
    if int(n_steps) != n_steps or n_steps < 1:
        raise ValueError(f"n_steps must be a whole number of at least 1, got {n_steps!r}")
    return _descend(theta, landscape.covariance, landscape.hidden, float(rate), int(n_steps))


@njit(cache=True, nogil=True)
def _split(theta, k, p, A, B):
    """A = W1 and B = W2 transposed, from one point."""
    for a in range(p):
        for i in range(k):
            A[a, i] = theta[a * k + i]
            B[a, i] = theta[p * k + i * p + a]


@njit(cache=True, nogil=True)
def _clear(X):
    for a in range(X.shape[0]):
        for i in range(X.shape[1]):
            X[a, i] = 0.0


@njit(cache=True, nogil=True)
def _times(X, Y, out, scale):
    """out += scale X Y, row by row of Y, so that the inner loop runs along memory."""
    for a in range(X.shape[0]):
        for i in range(X.shape[1]):
            x = scale * X[a, i]
            for j in range(Y.shape[1]):
                out[a, j] += x * Y[i, j]


@njit(cache=True, nogil=True)
def _outer(X, Y, out):
    """out = X Y^T for wide X and Y."""
    for a in range(X.shape[0]):
        for b in range(Y.shape[0]):
            total = 0.0
            for i in range(X.shape[1]):
                total += X[a, i] * Y[b, i]
            out[a, b] = total


@njit(cache=True, nogil=True)
def _symmetrise(X):
    """X + X^T in place."""
    for a in range(X.shape[0]):
        for b in range(a + 1):
            X[a, b] = X[b, a] = X[a, b] + X[b, a]


@njit(cache=True, nogil=True)
def _losses(theta, S, p):
    k = S.shape[0]
    A, B, P = np.empty((p, k)), np.empty((p, k)), np.empty((p, k))
    N, K = np.empty((p, p)), np.empty((p, p))
    out = np.empty(theta.shape[0])
    for n in range(theta.shape[0]):
        _split(theta[n], k, p, A, B)
        _clear(P)
        _times(A, S, P, 1.0)
        _outer(B, B, N)
        _outer(A, P, K)
        total = 0.0
        for i in range(k):
            total += S[i, i]
            for a in range(p):
                total -= 2 * B[a, i] * P[a, i]
        for a in range(p):
            for b in range(p):
                total += K[a, b] * N[a, b]
        out[n] = total / k
    return out


@njit(cache=True, nogil=True)
def _gradient(theta, S, p, A, B, P, R, N, K, out):
    k = S.shape[0]
    _split(theta, k, p, A, B)
    _clear(P)
    _clear(R)
    _times(A, S, P, 1.0)
    _times(B, S, R, 1.0)
    _outer(B, B, N)
    _outer(A, P, K)
    _times(N, P, R, -1.0)  # R is the first layer's gradient now
    _times(K, B, P, -1.0)  # and P the second's
    for a in range(p):
        for i in range(k):
            out[a * k + i] = -2.0 / k * R[a, i]
            out[p * k + i * p + a] = -2.0 / k * P[a, i]


@njit(cache=True, nogil=True)
def _gradients(theta, S, p):
    k = S.shape[0]
    A, B, P, R = np.empty((p, k)), np.empty((p, k)), np.empty((p, k)), np.empty((p, k))
    N, K = np.empty((p, p)), np.empty((p, p))
    out = np.empty(theta.shape)
    for n in range(theta.shape[0]):
        _gradient(theta[n], S, p, A, B, P, R, N, K, out[n])
    return out


@njit(cache=True, nogil=True)
def _hessian_products(theta, vectors, S, p):
    k = S.shape[0]
    A, B, P = np.empty((p, k)), np.empty((p, k)), np.empty((p, k))
    VA, VB, DP, DR = np.empty((p, k)), np.empty((p, k)), np.empty((p, k)), np.empty((p, k))
    N, K, change = np.empty((p, p)), np.empty((p, p)), np.empty((p, p))
    out = np.empty(theta.shape)
    for n in range(theta.shape[0]):
        _split(theta[n], k, p, A, B)
        _split(vectors[n], k, p, VA, VB)
        _clear(P)
        _clear(DP)
        _clear(DR)
        _times(A, S, P, 1.0)
        _times(VA, S, DP, 1.0)
        _times(VB, S, DR, 1.0)
        _outer(B, B, N)
        _outer(A, P, K)
        _times(N, DP, DR, -1.0)
        _outer(VB, B, change)
        _symmetrise(change)  # the change of N
        _times(change, P, DR, -1.0)
        _outer(VA, P, change)
        _symmetrise(change)  # the change of K
        _times(K, VB, DP, -1.0)
        _times(change, B, DP, -1.0)
        for a in range(p):
            for i in range(k):
                out[n, a * k + i] = -2.0 / k * DR[a, i]
                out[n, p * k + i * p + a] = -2.0 / k * DP[a, i]
    return out


@njit(cache=True, nogil=True)
def _descend(start, S, p, rate, n_steps):
    k, d = S.shape[0], start.shape[1]
    A, B, P, R = np.empty((p, k)), np.empty((p, k)), np.empty((p, k)), np.empty((p, k))
    N, K, g = np.empty((p, p)), np.empty((p, p)), np.empty(d)
    path = np.empty((n_steps + 1, d))
    for q in range(d):
        path[0, q] = start[0, q]
    for t in range(n_steps):
        _gradient(path[t], S, p, A, B, P, R, N, K, g)
        for q in range(d):
            path[t + 1, q] = path[t, q] - rate * g[q]
    return path
