r"""Losses of small fully connected Swish networks, many parameter vectors at once, with exact Hessian products.

A network maps $a_0=x$ through $h_l=W_la_{l-1}+b_l$, $a_l=\phi(h_l)$ with the smooth non-linearity

$$\phi(h)=h\,\sigma(h),\qquad \phi'=\sigma+h\sigma(1-\sigma),\qquad \phi''=\sigma(1-\sigma)\,(2+h(1-2\sigma)),$$

$\sigma$ the logistic function. The loss is the mean squared error over ALL entries of the targets or the mean
cross-entropy of a softmax, plus $c$ times the MEAN of $\theta_i^2$. Hessian products come from differentiating the
forward and the backward pass along the vector (Pearlmutter's R-operator): exact, at about twice a gradient's cost,
and the Hessian is never formed.

:class:`SwishNetwork` is a landscape in the sense of :mod:`replica.landscapes`: ``theta`` has shape
``(n_points, n_parameters)``, one network a row. The layers' matrices $(W_l\;b_l)$, the biases their last column,
follow one another, each row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

Array = NDArray[np.float64]

COSTS = ("mean-squared-error", "cross-entropy")
ACTIVATIONS = ("swish", "linear")

#: Numbers in the largest temporary array on a processor (it should stay in the cache) and on an accelerator.
BATCH = {"cpu": 200_000, "cuda": 50_000_000}


class _Layer(NamedTuple):
    """What the derivatives need of one layer at one parameter vector (leading axis: points)."""

    weights: Any  # without the biases
    below: Any  # activations of the layer below and a column of ones, ([points,] samples, in + 1)
    slope: Any  # phi'(h), None where the layer is linear
    bend: Any  # phi''(h)
    value: Any  # phi(h)


class SwishNetwork:
    r"""Loss landscape of a fully connected Swish network on a fixed, full batch of data.

    Parameters
    ----------
    sizes : ints
        Numbers of units, inputs first: ``(16, 4, 16)`` is an autoencoder with four hidden units.
    inputs : array, shape (samples, sizes[0])
    targets : array
        Shape (samples, sizes[-1]) for the squared error; class numbers, shape (samples,), for the cross-entropy.
    cost : {"mean-squared-error", "cross-entropy"}
    activation : {"swish", "linear"}
        Of the hidden layers. With "linear" the network is a deep linear one.
    output : {"linear", "swish"}
        Of the last layer.
    biases : bool
    l2 : float
        Coefficient $c\ge0$ of the mean of $\theta_i^2$.
    device : {"cpu", "cuda"}
        Where the passes are computed: numpy, or torch in double precision. Arrays come and go as numpy arrays.

    Raises
    ------
    ValueError
        For sizes, data or options that do not fit, and data that are not finite.
    """

    def __init__(
        self, sizes: Sequence[int], inputs: ArrayLike, targets: ArrayLike, *, cost: str = "mean-squared-error",
        activation: str = "swish", output: str = "linear", biases: bool = True, l2: float = 0.0, device: str = "cpu",
    ) -> None:  # fmt: skip
        self.sizes = tuple(int(size) for size in sizes)
        if len(self.sizes) < 2 or min(self.sizes) < 1 or tuple(sizes) != self.sizes:
            raise ValueError(f"sizes: expected two or more positive whole numbers; got {tuple(sizes)}")
        for name, value, known in (("cost", cost, COSTS), ("activation", activation, ACTIVATIONS),
                                   ("output", output, ACTIVATIONS), ("device", device, tuple(BATCH))):  # fmt: skip
            if value not in known:
                raise ValueError(f"{name}: expected one of {', '.join(known)}; got {value!r}")
        if not (np.isfinite(l2) and l2 >= 0):
            raise ValueError(f"l2: expected a number of at least 0; got {l2}")
        self.cost, self.activation, self.output = cost, activation, output
        self.biases, self.l2, self.device = bool(biases), float(l2), device
        self.inputs = _as_data(inputs, self.sizes[0], "inputs")
        self.targets = self._as_targets(targets)
        self.n_samples = len(self.inputs)
        self.n_parameters = sum(m * (n + self.biases) for n, m in pairwise(self.sizes))
        self._x = self._with_ones(self._to_device(self.inputs))
        self._y = self._to_device(self.targets)
        self._last: tuple[Array, Any] | None = None

    # ---- the landscape ------------------------------------------------------------------------------------------

    def loss(self, theta: ArrayLike) -> Array:
        """Losses, shape (n,), of parameter vectors of shape (n, n_parameters)."""
        theta = self._as_points(theta)
        total = np.zeros(len(theta))
        for rows, samples in self._batches(len(theta)):
            layers = self._forward(self._split(theta[rows]), self._x[samples], derivatives=0)
            total[rows] += self._to_numpy(self._cost_sum(layers[-1].value, self._y[samples]))
        return total / self._scale + self.l2 * np.mean(theta**2, axis=1)

    def gradient(self, theta: ArrayLike) -> Array:
        """Gradients of the loss, shape (n, n_parameters)."""
        theta = self._as_points(theta)
        result = (2 * self.l2 / self.n_parameters) * theta
        for rows, samples in self._batches(len(theta)):
            layers = self._forward(self._split(theta[rows]), self._x[samples], derivatives=1)
            deltas, _ = self._backward(layers, self._y[samples])
            slopes = [delta.swapaxes(-1, -2) @ layer.below for delta, layer in zip(deltas, layers)]
            result[rows] += self._flatten(slopes) / self._scale
        return result

    def hessian_product(self, theta: ArrayLike, vectors: ArrayLike) -> Array:
        """Products of the Hessians at ``theta`` with one vector each; both of shape (n, n_parameters).

        The passes that do not depend on the vectors are kept from one call to the next with the same ``theta``.
        """
        theta, vectors = self._as_points(theta), self._as_points(vectors, "vectors")
        if theta.shape != vectors.shape:
            raise ValueError(f"expected one vector for each point; got {len(vectors)} for {len(theta)} points")
        result = (2 * self.l2 / self.n_parameters) * vectors
        batches = self._batches(len(theta))
        for rows, samples in batches:
            passes = self._passes(theta[rows], samples, keep=len(batches) == 1)
            product = self._tangent(*passes, self._y[samples], self._split(vectors[rows]))
            result[rows] += self._flatten(product) / self._scale
        return result

    def predictions(self, theta: ArrayLike) -> Array:
        """The network's outputs (logits for the cross-entropy), shape (n, samples, sizes[-1])."""
        theta = self._as_points(theta)
        return self._to_numpy(self._forward(self._split(theta), self._x, derivatives=0)[-1].value)

    def initial_parameters(self, n_points: int, rng: np.random.Generator, bias: float = 0.01) -> Array:
        """Random networks: the weights into each unit are a random unit vector, all biases are ``bias``.

        As ``FullyConnected.initialize`` of the authors' library draws them. Shape (n_points, n_parameters).
        """
        if n_points < 1:
            raise ValueError(f"n_points: expected at least 1; got {n_points}")
        parts = []
        for n, m in pairwise(self.sizes):
            layer = np.full((n_points, m, n + self.biases), float(bias))
            weights = rng.standard_normal((n_points, m, n))
            layer[..., :n] = weights / np.linalg.norm(weights, axis=2, keepdims=True)
            parts.append(layer.reshape(n_points, -1))
        return np.concatenate(parts, axis=1)

    # ---- passes -------------------------------------------------------------------------------------------------
    # A layer's biases are the last column of its matrix, and the activations below carry a last column of ones, so
    # that one product of matrices does for both. Derivatives are those of ``_scale`` times the cost's mean.

    @property
    def _scale(self) -> float:
        return self.n_samples * (self.sizes[-1] / 2 if self.cost == "mean-squared-error" else 1)

    def _forward(self, matrices: list[Any], x: Any, derivatives: int = 2) -> list[_Layer]:
        """All layers, with as many derivatives of the non-linearity as are asked for."""
        layers, below = [], x
        for depth, matrix in enumerate(matrices):
            last = depth == len(matrices) - 1
            h = below @ matrix.swapaxes(-1, -2)
            if (self.output if last else self.activation) == "linear":
                slope = bend = None
                value = h
            else:
                s = self._sigmoid(h)
                value = h * s
                slope = s + value * (1 - s) if derivatives > 0 else None
                bend = s * (1 - s) * (2 + h - 2 * value) if derivatives > 1 else None
            layers.append(_Layer(matrix[..., : self.sizes[depth]], below, slope, bend, value))
            below = value if last else self._with_ones(value)
        return layers

    def _backward(self, layers: list[_Layer], y: Any) -> tuple[list[Any], list[Any]]:
        """The errors dL/dh_l and the derivatives dL/da_l of every layer."""
        deltas: list[Any] = [None] * len(layers)
        upstream: list[Any] = [None] * len(layers)
        flow = self._cost_slope(layers[-1].value, y)
        for depth in reversed(range(len(layers))):
            upstream[depth] = flow
            deltas[depth] = flow if layers[depth].slope is None else flow * layers[depth].slope
            if depth:
                flow = deltas[depth] @ layers[depth].weights
        return deltas, upstream

    def _tangent(
        self, layers: list[_Layer], deltas: list[Any], upstream: list[Any], y: Any, vectors: list[Any]
    ) -> list[Any]:
        """Derivative of the gradient along ``vectors``: both passes differentiated."""
        below_dots, h_dots, dot = [], [], None
        for layer, vector in zip(layers, vectors):
            h_dot = layer.below @ vector.swapaxes(-1, -2)
            if dot is not None:
                h_dot += dot @ layer.weights.swapaxes(-1, -2)
            below_dots.append(dot)
            h_dots.append(h_dot)
            dot = h_dot if layer.slope is None else layer.slope * h_dot
        flow = self._cross_entropy_bend(upstream[-1] + y, dot) if self.cost == "cross-entropy" else dot
        products: list[Any] = [None] * len(layers)
        for depth in reversed(range(len(layers))):
            layer, size = layers[depth], self.sizes[depth]
            delta_dot = flow
            if layer.slope is not None:
                delta_dot = flow * layer.slope
                delta_dot += upstream[depth] * layer.bend * h_dots[depth]
            products[depth] = delta_dot.swapaxes(-1, -2) @ layer.below
            if below_dots[depth] is not None:
                products[depth][..., :size] += deltas[depth].swapaxes(-1, -2) @ below_dots[depth]
            if depth:
                flow = delta_dot @ layer.weights
                flow += deltas[depth] @ vectors[depth][..., :size]
        return products

    def _passes(self, theta: Array, samples: slice, keep: bool) -> tuple[Any, Any, Any]:
        if keep and self._last is not None and np.array_equal(self._last[0], theta):
            return self._last[1]
        layers = self._forward(self._split(theta), self._x[samples])
        passes = (layers, *self._backward(layers, self._y[samples]))
        if keep:
            self._last = (theta.copy(), passes)
        return passes

    # ---- cost ---------------------------------------------------------------------------------------------------

    def _cost_sum(self, output: Any, y: Any) -> Any:
        if self.cost == "mean-squared-error":
            return ((output - y) ** 2).sum((-1, -2)) / 2
        return (self._logsumexp(output) - (output * y).sum(-1)).sum(-1)

    def _cost_slope(self, output: Any, y: Any) -> Any:
        return (output if self.cost == "mean-squared-error" else self._softmax(output)) - y

    @staticmethod
    def _cross_entropy_bend(p: Any, dot: Any) -> Any:
        """Second derivative of the cross-entropy, at class probabilities p, applied to a change of the outputs."""
        pushed = p * dot
        return pushed - p * pushed.sum(-1)[..., None]

    def _softmax(self, output: Any) -> Any:
        return self._exp(output - self._logsumexp(output)[..., None])

    # ---- numpy or torch -----------------------------------------------------------------------------------------

    def _to_device(self, array: Array) -> Any:
        if self.device == "cpu":
            return array
        import torch

        return torch.as_tensor(array, dtype=torch.float64, device=self.device)

    def _to_numpy(self, array: Any) -> Array:
        return array if self.device == "cpu" else array.cpu().numpy()

    def _sigmoid(self, h: Any) -> Any:
        if self.device != "cpu":
            return h.sigmoid()
        with np.errstate(over="ignore"):  # an infinite exponential gives the right zero
            return 1 / (1 + np.exp(-h))  # vectorised; scipy's expit takes five times as long

    def _exp(self, h: Any) -> Any:
        return np.exp(h) if self.device == "cpu" else h.exp()

    def _logsumexp(self, h: Any) -> Any:
        return logsumexp(h, axis=-1) if self.device == "cpu" else h.logsumexp(-1)

    def _with_ones(self, values: Any) -> Any:
        if not self.biases:
            return values
        shape = (*values.shape[:-1], values.shape[-1] + 1)
        wide = np.ones(shape) if self.device == "cpu" else values.new_ones(shape)
        wide[..., :-1] = values
        return wide

    def _split(self, theta: Array) -> list[Any]:
        """The matrices of the layers, (points, out, in + 1)."""
        flat, parts, start = self._to_device(theta), [], 0
        for n, m in pairwise(self.sizes):
            size = m * (n + self.biases)
            parts.append(flat[:, start : start + size].reshape(len(theta), m, n + self.biases))
            start += size
        return parts

    def _flatten(self, matrices: list[Any]) -> Array:
        return np.concatenate([self._to_numpy(matrix).reshape(len(matrix), -1) for matrix in matrices], axis=1)

    def _batches(self, n_points: int) -> list[tuple[slice, slice]]:
        """Blocks of points and samples that keep the temporary arrays below ``BATCH``."""
        width, most = max(self.sizes), BATCH[self.device]
        samples = max(1, min(self.n_samples, most // width))
        points = max(1, most // (width * samples))
        return [
            (slice(i, min(i + points, n_points)), slice(j, min(j + samples, self.n_samples)))
            for i in range(0, n_points, points)
            for j in range(0, self.n_samples, samples)
        ]

    # ---- checks -------------------------------------------------------------------------------------------------

    def _as_points(self, theta: ArrayLike, name: str = "theta") -> Array:
        theta = np.asarray(theta, dtype=np.float64)
        if theta.ndim != 2 or theta.shape[1] != self.n_parameters:
            raise ValueError(f"{name}: expected shape (n_points, {self.n_parameters}); got {theta.shape}")
        return theta

    def _as_targets(self, targets: ArrayLike) -> Array:
        if self.cost == "mean-squared-error":
            array = _as_data(targets, self.sizes[-1], "targets")
        else:
            labels = np.asarray(targets)
            whole = labels.ndim == 1 and labels.size and np.all(np.equal(np.mod(labels, 1), 0))
            if not whole or labels.min() < 0 or labels.max() >= self.sizes[-1]:
                raise ValueError(f"targets: expected class numbers 0..{self.sizes[-1] - 1}, one for each sample")
            array = np.eye(self.sizes[-1])[labels.astype(int)]
        if len(array) != len(self.inputs):
            raise ValueError(f"expected as many targets as inputs; got {len(array)} and {len(self.inputs)}")
        return array


def _as_data(array: ArrayLike, width: int, name: str) -> Array:
    array = np.ascontiguousarray(array, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != width or not len(array):
        raise ValueError(f"{name}: expected shape (samples, {width}); got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite numbers; {np.sum(~np.isfinite(array))} are not")
    return array
