"""Gradients against finite differences and torch; training against what must come out."""

import numpy as np
import pytest

from replica.optics.networks import accuracy, layer_matrix, random_fft_layer
from replica.optics.training import (
    Schedule,
    layer_gradients,
    loss_and_gradients,
    trace_layer,
    train_layers,
    train_matrices,
)


def rng(*numbers):
    return np.random.default_rng([17, *numbers])


def complex_normal(*shape, seed=0):
    real, imaginary = rng(seed).standard_normal((2, *shape))
    return real + 1j * imaginary


def parameters(layer):
    """The arrays that :func:`layer_gradients` differentiates, without the gain."""
    return [p for m in (*layer.first, *layer.second) for p in (m.theta, m.phi, m.psi)] + [layer.attenuation]


IMAGES, LABELS = complex_normal(7, 5), rng(1).integers(0, 3, 7)


def test_gradients_of_matrices_are_torch_s():
    torch = pytest.importorskip("torch")
    weights = [complex_normal(4, 5, seed=2), complex_normal(3, 4, seed=3)]
    loss, gradients = loss_and_gradients(weights, IMAGES, LABELS)
    tensors = [torch.tensor(w, requires_grad=True) for w in weights]
    hidden = torch.tensor(IMAGES) @ tensors[0].T
    modulus, offset = hidden.abs(), 0.5 * np.log(1 / 0.03 - 1)
    bright = 0.5 * (torch.nn.functional.softplus(2 * (modulus - offset)) - np.log1p(np.exp(-2 * offset)))
    logits = ((hidden * bright / modulus) @ tensors[1].T).abs() ** 2
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor(LABELS))
    expected.backward()
    np.testing.assert_allclose(loss, expected.item(), rtol=1e-12)
    for gradient, tensor in zip(gradients, tensors):
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), atol=1e-10)


def test_gradients_of_phases_by_finite_differences():
    layers = [random_fft_layer(5, 6, rng(2), gain=2.0, depth=(2, 1)), random_fft_layer(6, 3, rng(3), gain=2.0)]

    def loss():
        return loss_and_gradients([layer_matrix(layer) for layer in layers], IMAGES, LABELS)[0]

    traces = [trace_layer(layer) for layer in layers]
    against = loss_and_gradients([trace.matrix for trace in traces], IMAGES, LABELS)[1]
    for layer, trace, gradient in zip(layers, traces, against):
        np.testing.assert_allclose(trace.matrix, layer_matrix(layer), atol=1e-13)
        found = layer_gradients(layer, trace, gradient)
        for parameter, slope in zip(parameters(layer), found[:-1], strict=True):
            assert slope.shape == parameter.shape
            for place in np.ndindex(parameter.shape):
                kept, step = parameter[place], 1e-5
                parameter[place] = kept + step
                above = loss()
                parameter[place] = kept - step
                below = loss()
                parameter[place] = kept
                assert slope[place] == pytest.approx((above - below) / (2 * step), abs=1e-7)
        # the gain multiplies the matrix
        assert found[-1][0] == pytest.approx((gradient.conj() * trace.matrix).sum().real / layer.gain)


CENTRES = complex_normal(4, 6, seed=5)
CLASSES = rng(6).integers(0, 4, 200)
CLOUD = CENTRES[CLASSES] + 0.2 * complex_normal(200, 6, seed=7)


@pytest.mark.parametrize(("optimiser", "rate"), [("momentum", 5e-3), ("adam", 1e-2)])
def test_matrices_learn_four_clouds(optimiser, rate):
    losses = []
    weights = train_matrices(
        [6, 8, 4],
        CLOUD,
        CLASSES,
        Schedule((20, 10), (rate, rate / 5), 20, optimiser),
        rng(),
        scale=1.5,
        report=losses.append,
    )
    assert [w.shape for w in weights] == [(8, 6), (4, 8)]
    assert losses[-1] < 0.1 * losses[0]
    assert accuracy(weights, CLOUD, CLASSES) > 0.95


def test_phases_learn_four_clouds_and_the_given_layers_stay():
    layers = [random_fft_layer(6, 8, rng(8), gain=1.5), random_fft_layer(8, 4, rng(9), gain=1.5)]
    before = [p.copy() for layer in layers for p in parameters(layer)]
    trained = train_layers(layers, CLOUD, CLASSES, Schedule((20, 10), (0.02, 0.004), 20, "adam"), rng(10))
    assert accuracy([layer_matrix(layer) for layer in trained], CLOUD, CLASSES) > 0.95
    for kept, now in zip(before, [p for layer in layers for p in parameters(layer)]):
        assert np.array_equal(kept, now)
    assert layers[0].gain == 1.5
    assert trained[0].gain != 1.5


def test_the_same_generator_trains_the_same_network():
    runs = [train_matrices([6, 4], CLOUD, CLASSES, Schedule((2,), (5e-3,), 20), rng(11)) for _ in range(2)]
    np.testing.assert_array_equal(runs[0][0], runs[1][0])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: train_matrices([5, 4], CLOUD, CLASSES, Schedule(), rng()), r"expected inputs of shape \(images, 5\)"),
        (lambda: train_matrices([6, 3], CLOUD, CLASSES, Schedule(), rng()), r"labels must lie in 0..2"),
        (lambda: train_matrices([6, 4], np.full((2, 6), np.nan), [0, 1], Schedule(), rng()), "inputs must be finite"),
        (lambda: train_matrices([6, 4], CLOUD, CLASSES, Schedule(optimiser="sgd"), rng()), "'momentum' or 'adam'"),
        (
            lambda: train_matrices([6, 4], CLOUD, CLASSES, Schedule((1,), (1e-3, 1e-4)), rng()),
            "as many rates as stages",
        ),
        (lambda: train_matrices([6, 4], CLOUD, CLASSES, Schedule(batch=0), rng()), "a batch of at least 1"),
    ],
)
def test_bad_input_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_divergence_is_reported():
    with pytest.raises(ValueError, match="training diverged at learning rate 1e\\+50"):
        train_matrices([6, 8, 4], CLOUD, CLASSES, Schedule((5,), (1e50,), 20), rng())
