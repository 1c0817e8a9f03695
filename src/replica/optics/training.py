r"""Training optical networks: free complex matrices, or the phases of FFT meshes, with gradients by hand.

Gradients of a real loss with respect to a complex number are written
:math:`g=\partial L/\partial\mathrm{Re}+i\,\partial L/\partial\mathrm{Im}`. A layer of meshes is differentiated through
its matrix: it is built once for each step by sending the identity through the mesh, and the loss's gradient with
respect to that matrix is sent back (:func:`replica.optics.propagation.backpropagate`), whatever the size of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from replica.dynamics.adam import adam_step
from replica.optics.components import IDEAL, Complex, Float, _mzi, check_finite
from replica.optics.meshes import Mesh, Stack
from replica.optics.networks import OpticalLayer, mod_softplus, mod_softplus_slope
from replica.optics.propagation import backpropagate, propagate

__all__ = [
    "LayerTrace", "Schedule", "layer_gradients", "loss_and_gradients", "trace_layer", "train_layers", "train_matrices",
]  # fmt: skip


class Schedule(NamedTuple):
    """How to train."""

    #: passes over the training set at each learning rate
    epochs: tuple[int, ...] = (5, 5)
    #: learning rate of each stage
    rates: tuple[float, ...] = (5e-3, 1e-3)
    #: images in a batch
    batch: int = 100
    #: "momentum" (SGD with momentum 0.9) or "adam"
    optimiser: str = "momentum"


def loss_and_gradients(
    weights: Sequence[Complex], inputs: Complex, labels: ArrayLike, t0: float = 0.03
) -> tuple[float, list[Complex]]:
    """Mean negative log-likelihood with intensities as logits, and its gradients with respect to all weights.

    Parameters
    ----------
    weights : matrices of shape (outputs, inputs), the layers in order
    inputs : complex array, shape (images, inputs)
    labels : integers, shape (images,)
    t0 : float
        Slope of the absorber at zero.
    """
    labels = np.asarray(labels)
    fed, before, amplitudes = [], [], inputs
    for index, matrix in enumerate(weights):
        if index:
            before.append(amplitudes)
            modulus = np.sqrt(amplitudes.real**2 + amplitudes.imag**2 + 1e-24)
            amplitudes = amplitudes * (mod_softplus(modulus, t0) / modulus)
        fed.append(amplitudes)
        amplitudes = amplitudes @ matrix.T
    logits = amplitudes.real**2 + amplitudes.imag**2
    logits = logits - logits.max(axis=1, keepdims=True)
    probability = np.exp(logits)
    total = probability.sum(axis=1, keepdims=True)
    everyone = np.arange(len(labels))
    loss = float((np.log(total[:, 0]) - logits[everyone, labels]).mean())
    probability /= total
    probability[everyone, labels] -= 1
    gradient = (2 / len(labels)) * probability * amplitudes
    gradients: list[Complex] = []
    for index in reversed(range(len(weights))):
        gradients.append(gradient.T @ fed[index].conj())
        if index:
            gradient = gradient @ weights[index].conj()
            z = before[index - 1]
            modulus = np.sqrt(z.real**2 + z.imag**2 + 1e-24)
            ratio = mod_softplus(modulus, t0) / modulus
            along = gradient.real * z.real + gradient.imag * z.imag
            gradient = ratio * gradient + (along * (mod_softplus_slope(modulus, t0) - ratio) / modulus**2) * z
    return loss, gradients[::-1]


class LayerTrace(NamedTuple):
    """A layer's matrix and what its gradients need of the way it was built. Made by :func:`trace_layer`."""

    #: the layer's weights, shape (outputs, inputs)
    matrix: Complex
    #: for every mesh of the first stack: couplers, amplitudes behind the output phases, and before them
    first: list[tuple[Complex, Complex, Complex]]
    #: the same of the second stack
    second: list[tuple[Complex, Complex, Complex]]


def trace_layer(layer: OpticalLayer) -> LayerTrace:
    """Build a perfect layer's matrix as :func:`replica.optics.networks.layer_matrix` does, keeping what is passed."""
    k = len(layer.attenuation)
    first = _through(layer.first, np.eye(layer.first[0].modes, dtype=np.complex128)[:, layer.inputs])
    second = _through(layer.second, np.eye(layer.second[0].modes, dtype=np.complex128)[:, :k])
    transmission = layer.gain * np.sin(layer.attenuation / 2)
    return LayerTrace((second[-1][1][layer.outputs] * transmission) @ first[-1][1][:k], first, second)


def layer_gradients(layer: OpticalLayer, trace: LayerTrace, gradient: Complex) -> list[Float]:
    """From the gradient with respect to a layer's matrix to those with respect to its phases.

    Returns arrays in the order of the layer's parameters: theta, phi, psi of every mesh of the first stack, then of the
    second, the attenuators' angles, the gain (an array of one number).
    """
    k = len(layer.attenuation)
    first, second = trace.first[-1][1][:k], trace.second[-1][1][layer.outputs]
    transmission = np.sin(layer.attenuation / 2)
    against_first = gradient @ first.conj().T  # (outputs, k)
    against_both = (second.conj() * against_first).sum(axis=0).real
    first_gradient = np.zeros_like(trace.first[-1][1])
    first_gradient[:k] = layer.gain * transmission[:, None] * (second.conj().T @ gradient)
    second_gradient = np.zeros_like(trace.second[-1][1])
    second_gradient[layer.outputs] = layer.gain * transmission * against_first
    return [
        *_back(layer.first, trace.first, first_gradient),
        *_back(layer.second, trace.second, second_gradient),
        layer.gain * against_both * np.cos(layer.attenuation / 2) / 2,
        np.array([against_both @ transmission]),
    ]


def train_matrices(
    sizes: Sequence[int],
    inputs: Complex,
    labels: ArrayLike,
    schedule: Schedule,
    rng: np.random.Generator,
    *,
    scale: float = 1.0,
    t0: float = 0.03,
    report: Callable[[float], None] | None = None,
) -> list[Complex]:
    """Train free complex matrices, ``sizes`` = numbers of modes from input to output.

    They start from complex Gaussian entries of variance ``scale**2 / inputs``: with amplitudes of order one and a scale
    of one all light lies where the absorber is nearly dark, and plain gradient descent takes long to leave.
    ``report`` is called with the mean loss of every epoch. Returns the matrices. ValueError for data that do not fit
    ``sizes`` and for an unknown optimiser.
    """
    inputs, labels = _check_data(inputs, labels, sizes[0], sizes[-1])
    weights = [
        scale * (rng.normal(size=(a, b)) + 1j * rng.normal(size=(a, b))) / np.sqrt(2 * b) for b, a in pairwise(sizes)
    ]
    optimiser = _Optimiser(schedule.optimiser, [w.view(np.float64) for w in weights])

    def step(x: Complex, y: np.ndarray, rate: float) -> float:
        loss, gradients = loss_and_gradients(weights, x, y, t0)
        optimiser.step([np.ascontiguousarray(g).view(np.float64) for g in gradients], rate)
        return loss

    _run(step, inputs, labels, schedule, rng, report)
    return weights


def train_layers(
    layers: Sequence[OpticalLayer],
    inputs: Complex,
    labels: ArrayLike,
    schedule: Schedule,
    rng: np.random.Generator,
    *,
    t0: float = 0.03,
    report: Callable[[float], None] | None = None,
) -> list[OpticalLayer]:
    """Train the phases, attenuators and gains of optical layers; returns new layers, the given ones stay as they are.

    Arguments and errors as for :func:`train_matrices`.
    """
    inputs, labels = _check_data(inputs, labels, len(layers[0].inputs), len(layers[-1].outputs))
    layers = [_copy(layer) for layer in layers]
    gains = [np.array([layer.gain]) for layer in layers]
    optimiser = _Optimiser(
        schedule.optimiser, [p for layer, gain in zip(layers, gains, strict=True) for p in (*_phases(layer), gain)]
    )

    def step(x: Complex, y: np.ndarray, rate: float) -> float:
        now = [replace(layer, gain=float(gain[0])) for layer, gain in zip(layers, gains, strict=True)]
        traces = [trace_layer(layer) for layer in now]
        loss, gradients = loss_and_gradients([trace.matrix for trace in traces], x, y, t0)
        every = zip(now, traces, gradients, strict=True)
        optimiser.step([p for one in every for p in layer_gradients(*one)], rate)
        return loss

    _run(step, inputs, labels, schedule, rng, report)
    return [replace(layer, gain=float(gain[0])) for layer, gain in zip(layers, gains, strict=True)]


class _Optimiser:
    """Updates arrays in place: SGD with momentum 0.9, or Adam with its usual constants."""

    def __init__(self, kind: str, parameters: list[Float]) -> None:
        if kind not in ("momentum", "adam"):
            raise ValueError(f"optimiser must be 'momentum' or 'adam', got {kind!r}")
        self.kind, self.parameters, self.steps = kind, parameters, 0
        self.mean = [np.zeros_like(p) for p in parameters]
        self.square = [np.zeros_like(p) for p in parameters]

    def step(self, gradients: list[Float], rate: float) -> None:
        self.steps += 1
        for p, g, m, v in zip(self.parameters, gradients, self.mean, self.square, strict=True):
            if self.kind == "momentum":
                m *= 0.9
                m += g
                p -= rate * m
            else:
                p[...] = adam_step(p, g, (m, v), self.steps, rate)


def _run(step, inputs, labels, schedule, rng, report) -> None:
    if len(schedule.epochs) != len(schedule.rates) or schedule.batch < 1:
        raise ValueError(f"a schedule needs as many rates as stages and a batch of at least 1, got {schedule}")
    for epochs, rate in zip(schedule.epochs, schedule.rates, strict=True):
        for _ in range(epochs):
            losses = []
            for batch in _batches(len(labels), schedule.batch, rng):
                losses.append(step(inputs[batch], labels[batch], rate))
                if not np.isfinite(losses[-1]):
                    raise ValueError(f"training diverged at learning rate {rate}: the loss is no longer finite")
            if report is not None:
                report(float(np.mean(losses)))


def _batches(count: int, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    order = rng.permutation(count)
    return (order[start : start + size] for start in range(0, count, size))


def _check_data(inputs: ArrayLike, labels: ArrayLike, modes: int, classes: int) -> tuple[Complex, np.ndarray]:
    inputs, labels = check_finite("inputs", inputs, np.complex128), np.asarray(labels)
    if inputs.ndim != 2 or inputs.shape[1] != modes or labels.shape != inputs.shape[:1]:
        raise ValueError(
            f"expected inputs of shape (images, {modes}) and as many labels, got {inputs.shape}, {labels.shape}"
        )
    if labels.size == 0 or labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels must lie in 0..{classes - 1}, one for each output mode")
    return inputs, labels


def _phases(layer: OpticalLayer) -> list[Float]:
    phases = [p for mesh in (*layer.first, *layer.second) for p in (mesh.theta, mesh.phi, mesh.psi)]
    return [*phases, layer.attenuation]


def _copy(layer: OpticalLayer) -> OpticalLayer:
    def own(mesh: Mesh) -> Mesh:
        return replace(mesh, theta=mesh.theta.copy(), phi=mesh.phi.copy(), psi=mesh.psi.copy())

    return replace(
        layer,
        first=tuple(map(own, layer.first)),
        second=tuple(map(own, layer.second)),
        attenuation=layer.attenuation.copy(),
        gain=float(layer.gain),
    )


def _through(stack: Stack, amplitudes: Complex) -> list[tuple[Complex, Complex, Complex]]:
    """For each mesh its couplers, and then what leaves its output phases and its layers: (couplers, out, inside)."""
    passed, ideal = [], np.array(IDEAL)
    for mesh in stack:
        couplers = _mzi(mesh.theta, mesh.phi, ideal, ideal)
        inside = propagate(amplitudes[None], mesh.upper, mesh.lower, couplers[None])[0]
        amplitudes = np.exp(1j * mesh.psi)[:, None] * inside
        passed.append((couplers, amplitudes, inside))
    return passed


def _back(stack: Stack, passed: list[tuple[Complex, Complex, Complex]], gradient: Complex) -> list[Float]:
    """Gradients of theta, phi, psi of every mesh of the stack."""
    result: list[Float] = []
    for mesh, (couplers, out, inside) in zip(reversed(stack), reversed(passed), strict=True):
        dpsi = (out.real * gradient.imag - out.imag * gradient.real).sum(axis=1)
        gradient = np.exp(-1j * mesh.psi)[:, None] * gradient
        dtheta, dphi, gradient = backpropagate(inside, gradient, mesh.upper, mesh.lower, couplers)
        result = [dtheta, dphi, dpsi, *result]
    return result
