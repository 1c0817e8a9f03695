"""Ensembles of finite networks: independence, gradients, the kernel limit, and refusal of bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from replica.kernels.domains import circle_points
from replica.kernels.fully_connected import wide_network_gram
from replica.kernels.hermite import hermite_activation, ntk_from_hermite
from replica.kernels.regression import kernel_ridge_predict
from replica.networks.ensembles import (
    Architecture,
    Ensemble,
    forward,
    initialise,
    learn_from_subsets,
    trace_training,
    train_centred,
)
from replica.networks.tangent_kernels import kernel_gradient_descent, shallow_tangent_kernels, tangent_kernel


def setup(networks=3, width=30, hidden_layers=2, dtype=torch.float64, **keywords):
    architecture = Architecture(hidden_layers=hidden_layers, width=width, **keywords)
    ensemble = initialise(architecture, 2, networks, torch.Generator().manual_seed(0), dtype=dtype)
    return architecture, ensemble, torch.tensor(circle_points(8), dtype=dtype)


@pytest.mark.parametrize("activation", ["relu", "tanh", "erf"])
def test_forward_is_the_network_written_out(activation):
    architecture, ensemble, x = setup(activation=activation)
    out = forward(architecture, ensemble, x)
    phi = {"relu": lambda z: np.maximum(z, 0), "tanh": np.tanh, "erf": lambda z: torch.erf(torch.tensor(z)).numpy()}
    for b in range(3):
        h = x.numpy()
        for w, bias in zip(ensemble.weights[:-1], ensemble.biases):
            w, bias = w[b].numpy(), bias[b].numpy()
            h = phi[activation](architecture.weight_std / np.sqrt(len(w)) * h @ w + architecture.bias_std * bias)
        np.testing.assert_allclose(out[b], (h @ ensemble.weights[-1][b].numpy())[:, 0] / np.sqrt(h.shape[1]))


def test_own_inputs_and_shared_inputs_agree():
    architecture, ensemble, x = setup()
    shared = forward(architecture, ensemble, x)
    torch.testing.assert_close(forward(architecture, ensemble, x.expand(3, 8, 2).contiguous()), shared)


def test_networks_do_not_see_each_other():
    """Training in a batch, where others leave early, is training alone."""
    architecture, ensemble, x = setup()
    y = torch.tensor(np.random.default_rng(0).normal(size=(3, 4)) * np.array([[0.01], [1.0], [3.0]]))
    options = {"learning_rate": 0.1, "max_steps": 400, "tolerance": 1e-3}
    together = train_centred(architecture, ensemble, x[:4].repeat(3, 1, 1), y, x, **options)
    assert len(set(together.steps.tolist())) > 1
    for b in range(3):
        one = Ensemble([w[b : b + 1] for w in ensemble.weights], [v[b : b + 1] for v in ensemble.biases])
        alone = train_centred(architecture, one, x[None, :4], y[b : b + 1], x, **options)
        torch.testing.assert_close(alone.predictions[0], together.predictions[b])
        assert alone.steps[0] == together.steps[b]


def test_training_leaves_the_ensemble_as_it_was_and_is_reproducible():
    architecture, ensemble, x = setup()
    before = [w.clone() for w in ensemble.weights]
    args = (architecture, ensemble, x[:4].repeat(3, 1, 1), torch.ones(3, 4, dtype=torch.float64), x)
    first, second = (train_centred(*args, learning_rate=0.1, max_steps=50) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(before, ensemble.weights))
    assert torch.equal(first.predictions, second.predictions)


def test_zero_targets_are_learned_without_a_step():
    architecture, ensemble, x = setup()
    trained = train_centred(architecture, ensemble, x.repeat(3, 1, 1), torch.zeros(3, 8).double(), x, learning_rate=0.1)
    assert trained.steps.tolist() == [0, 0, 0]
    assert (trained.predictions == 0).all()


def test_a_wide_network_learns_what_its_kernel_predicts():
    architecture, ensemble, x = setup(networks=20, width=1000, hidden_layers=1, dtype=torch.float32)
    chosen = [0, 3, 5]
    target = torch.cos(2 * torch.arange(8) * 2 * torch.pi / 8)
    trained = train_centred(
        architecture, ensemble, x[chosen].repeat(20, 1, 1), target[chosen].repeat(20, 1), x,
        learning_rate=0.4, tolerance=1e-6,
    )  # fmt: skip
    assert (trained.train_loss < 1e-6).all()
    gram = wide_network_gram(x.numpy(), hidden_layers=1).ntk
    kernel = kernel_ridge_predict(gram[np.ix_(chosen, chosen)], gram[:, chosen], target[chosen].numpy())
    predictions = trained.predictions.numpy()
    # Networks differ from the kernel by O(1/sqrt(width)), their mean by O(1/width) and the noise of 20.
    assert np.abs(predictions.mean(0) - kernel).max() < 4 * predictions.std(0).max() / np.sqrt(20) + 0.01
    assert predictions.std(0).max() < 0.15


def test_subsets_and_targets_keep_their_places():
    architecture, _, x = setup()
    targets = torch.stack([x[:, 0], x[:, 1], torch.zeros(8).double()], dim=1)
    subsets = torch.tensor([[0, 2, 4, 6], [1, 2, 3, 5]])
    options = {"learning_rate": 0.2, "tolerance": 1e-6}
    trained = learn_from_subsets(architecture, x, targets, subsets, torch.Generator().manual_seed(1), **options)
    assert trained.predictions.shape == (2, 8, 3)
    assert trained.steps.shape == trained.train_loss.shape == (2, 3)
    for t, chosen in enumerate(subsets):
        torch.testing.assert_close(trained.predictions[t, chosen], targets[chosen], atol=5e-3, rtol=0)
    with pytest.raises(ValueError, match="need domain"):
        learn_from_subsets(architecture, x, targets[:3], subsets, torch.Generator(), **options)


def test_bad_input_is_refused():
    architecture, ensemble, x = setup()
    with pytest.raises(ValueError, match="need x_train"):
        train_centred(architecture, ensemble, x, torch.zeros(3, 8), x, learning_rate=0.1)
    # Too large a step kills ReLUs, but makes tanh networks diverge.
    architecture, ensemble, x = setup(activation="tanh")
    big = torch.ones(3, 8, dtype=torch.float64)
    with pytest.raises(RuntimeError, match="diverged"):
        train_centred(architecture, ensemble, x.repeat(3, 1, 1), big, x, learning_rate=1e3)
    for keywords, words in [
        ({"hidden_layers": 0}, "hidden_layers"),
        ({"activation": "swish"}, "activation"),
        ({"weight_std": 0.0}, "weight_std"),
    ]:
        with pytest.raises(ValueError, match=words):
            Architecture(**keywords)


def test_an_activation_can_be_a_function():
    _, ensemble, x = setup(bias_std=0.0)
    named = forward(Architecture(2, 30, "sin", bias_std=0.0), ensemble, x)
    torch.testing.assert_close(forward(Architecture(2, 30, torch.sin, bias_std=0.0), ensemble, x), named)
    scaled = Architecture(1, 30, lambda z: torch.sin(6 * z), weight_std=1.0, bias_std=0.0)
    one = initialise(scaled, 2, 3, torch.Generator().manual_seed(1), dtype=torch.float64)
    steeper = Architecture(1, 30, "sin", weight_std=6.0, bias_std=0.0)
    torch.testing.assert_close(forward(scaled, one, x), forward(steeper, one, x))
    phi, _ = hermite_activation([0.0, 1.0, 0.5])
    series = Architecture(1, 30, phi, weight_std=1.0, bias_std=0.0)
    z = torch.bmm(x.expand(3, 8, 2), one.weights[0]) / 2**0.5
    by_hand = torch.bmm(z + 0.5 * (z**2 - 1) / 2**0.5, one.weights[1]).squeeze(-1) / 30**0.5
    torch.testing.assert_close(forward(series, one, x), by_hand)


def test_several_outputs_are_as_many_readouts_on_one_body():
    architecture, _, x = setup(outputs=3)
    ensemble = initialise(architecture, 2, 2, torch.Generator().manual_seed(2), dtype=torch.float64)
    out = forward(architecture, ensemble, x)
    assert out.shape == (2, 8, 3)
    single = Architecture(2, 30)
    for c in range(3):
        part = Ensemble([*ensemble.weights[:-1], ensemble.weights[-1][..., c : c + 1]], ensemble.biases)
        torch.testing.assert_close(forward(single, part, x), out[..., c])
    trained = train_centred(
        architecture, ensemble, x[:4].repeat(2, 1, 1), torch.eye(4, 3).double().repeat(2, 1, 1), x, learning_rate=0.5
    )
    assert trained.predictions.shape == (2, 8, 3)
    torch.testing.assert_close(trained.predictions[:, :4], torch.eye(4, 3).double().repeat(2, 1, 1), atol=0.03, rtol=0)


@pytest.mark.parametrize("bias_std", [0.0, 0.1])
def test_a_trace_is_the_same_training(bias_std):
    architecture, ensemble, x = setup(bias_std=bias_std)
    y = torch.sign(x[:, 0] + 0.1)
    trace = trace_training(
        architecture, ensemble, x[:5], y[:5], x[5:], y[5:], learning_rate=0.1, snapshots=[0, 3, 40]
    )  # fmt: skip
    for row, steps in ((1, 3), (2, 40)):
        alone = train_centred(
            architecture, ensemble, x[:5].repeat(3, 1, 1), y[:5].repeat(3, 1), x, learning_rate=0.1, max_steps=steps,
            tolerance=0.0,
        )  # fmt: skip
        torch.testing.assert_close(trace.train_loss[row], alone.train_loss)
        torch.testing.assert_close(trace.test_loss[row], ((alone.predictions[:, 5:] - y[5:]) ** 2).mean(1))
        right = (torch.sign(alone.predictions[:, :5]) == y[:5]).double().mean(1)
        torch.testing.assert_close(trace.train_accuracy[row], right)
    torch.testing.assert_close(trace.predictions, alone.predictions[:, 5:])
    fitted = forward(architecture, trace.ensemble, x[5:]) - forward(architecture, ensemble, x[5:])
    torch.testing.assert_close(trace.predictions, fitted)
    assert trace.steps.tolist() == [0, 3, 40]
    torch.testing.assert_close(trace.train_loss[0], torch.ones(3).double())


def test_a_trace_with_classes_and_own_data_for_each_network():
    architecture, _, x = setup(networks=2, outputs=3)
    ensemble = initialise(architecture, 2, 2, torch.Generator().manual_seed(2), dtype=torch.float64)
    y = torch.eye(3).double()[torch.arange(8) % 3]
    own = torch.stack([torch.arange(5), torch.arange(3, 8)])
    trace = trace_training(architecture, ensemble, x[own], y[own], x, y, learning_rate=0.1, snapshots=[20])
    shared = trace_training(architecture, ensemble, x[:5], y[:5], x, y, learning_rate=0.1, snapshots=[20])
    torch.testing.assert_close(trace.test_loss[0, 0], shared.test_loss[0, 0])
    assert not torch.isclose(trace.test_loss[0, 1], shared.test_loss[0, 1])
    right = (trace.predictions.argmax(-1) == y.argmax(-1)).double().mean(1)
    torch.testing.assert_close(trace.test_accuracy[0], right)


@pytest.mark.parametrize(("hidden_layers", "activation"), [(1, "erf"), (3, "tanh"), (2, "sin")])
def test_tangent_kernel_is_the_inner_product_of_gradients(hidden_layers, activation):
    architecture, ensemble, x = setup(networks=2, width=7, hidden_layers=hidden_layers, activation=activation)
    kernel = tangent_kernel(architecture, ensemble, x[:3], x)
    layers = len(ensemble.weights)
    for b in range(2):
        parameters = [p[b : b + 1].clone().requires_grad_() for p in (*ensemble.weights, *ensemble.biases)]
        out = forward(architecture, Ensemble(parameters[:layers], parameters[layers:]), x)[0]
        rows = [torch.cat([g.flatten() for g in torch.autograd.grad(o, parameters, retain_graph=True)]) for o in out]
        jacobian = torch.stack(rows)
        torch.testing.assert_close(kernel[b], jacobian[:3] @ jacobian.T)
    torch.testing.assert_close(tangent_kernel(architecture, ensemble, x)[:, :3], kernel)


@pytest.mark.parametrize("hidden_layers", [1, 4])
def test_tangent_kernels_of_wide_networks_are_the_infinite_one(hidden_layers):
    architecture = Architecture(hidden_layers, 1000)
    ensemble = initialise(architecture, 2, 12, torch.Generator().manual_seed(0))
    x = torch.tensor(circle_points(8), dtype=torch.float32)
    kernels = tangent_kernel(architecture, ensemble, x[:1], x)[:, 0].numpy()
    exact = wide_network_gram(x[:1].numpy(), x.numpy(), hidden_layers=hidden_layers).ntk[0]
    error = kernels.std(axis=0, ddof=1) / np.sqrt(12)
    assert (np.abs(kernels.mean(axis=0) - exact) < 5 * error + 0.01).all()  # 5 standard errors, and O(1/width)


def test_kernels_of_random_shallow_networks():
    b = np.array([0.2, 1.0, -0.5, 0.3])
    phi, slope = hermite_activation(b)
    c = np.array([1.0, 0.5, 0.0, -0.8])
    kernels = shallow_tangent_kernels(phi, slope, c, 500, 200, np.random.default_rng(0))
    error = kernels.std(axis=0, ddof=1) / np.sqrt(200)
    assert (np.abs(kernels.mean(axis=0) - ntk_from_hermite(b, c)) < 5 * error).all()
    # The same in law as the tangent kernel of a network object.
    architecture = Architecture(1, 500, phi, weight_std=1.0, bias_std=0.0)
    ensemble = initialise(architecture, 2, 200, torch.Generator().manual_seed(0), dtype=torch.float64)
    plane = torch.tensor(np.sqrt(2) * np.stack([c, np.sqrt(1 - c**2)], axis=1))
    objects = tangent_kernel(architecture, ensemble, torch.tensor([[np.sqrt(2), 0.0]]).double(), plane)[:, 0].numpy()
    np.testing.assert_allclose(kernels.std(axis=0), objects.std(axis=0), rtol=0.3)
    wide = shallow_tangent_kernels(np.tanh, lambda z: 1 / np.cosh(z) ** 2, c, 16384, 2, np.random.default_rng(3))
    assert wide.shape == (2, 4)
    for bad in ((phi, slope, 0.5, 3, 1), (phi, slope, c, 0, 1), (phi, slope, [1.5], 3, 1)):
        with pytest.raises(ValueError, match="cosines"):
            shallow_tangent_kernels(*bad, np.random.default_rng(0))


@pytest.mark.parametrize("outputs", [1, 2])
def test_training_in_a_fixed_kernel_is_iterated_gradient_descent(outputs):
    rng = np.random.default_rng(0)
    features, y = rng.normal(size=(9, 7)), rng.normal(size=(6, outputs))
    gram, test = features[:6] @ features[:6].T, features[6:] @ features[:6].T
    if outputs == 1:
        y = y[:, 0]
    rate = 1.7 * y.size / np.linalg.eigvalsh(gram)[-1] / 2  # overshoots in the stiffest direction
    weights, rows = np.zeros((7, *y.shape[1:])), []
    for _ in range(6):
        rows.append(features[6:] @ weights)
        weights = weights - rate * 2 / y.size * features[:6].T @ (features[:6] @ weights - y)
    np.testing.assert_allclose(kernel_gradient_descent(gram, test, y, rate, np.arange(6)), rows, atol=1e-10)
    singular = np.ones((6, 6))
    flat = kernel_gradient_descent(singular, singular, y, 0.1, [10**6])
    np.testing.assert_allclose(flat[0], np.broadcast_to(y.mean(axis=0), y.shape), atol=1e-8)
    for bad, words in [
        ((gram - 50 * np.eye(6), test, y, rate), "positive definite"),
        ((gram, test, y, 50.0), "learning_rate"),
        ((gram, test.T, y, rate), "gram_test"),
    ]:
        with pytest.raises(ValueError, match=words):
            kernel_gradient_descent(*bad, [1])


def test_bad_traces_and_architectures_are_refused():
    architecture, ensemble, x = setup()
    y = torch.zeros(8).double()
    for snapshots in ([], [3, 3], [-1]):
        with pytest.raises(ValueError, match="snapshots"):
            trace_training(architecture, ensemble, x, y, x, y, learning_rate=0.1, snapshots=snapshots)
    with pytest.raises(ValueError, match="y_test"):
        trace_training(architecture, ensemble, x, y, x, y[:3], learning_rate=0.1, snapshots=[1])
    tanh = Architecture(2, 30, "tanh")
    with pytest.raises(RuntimeError, match="diverged"):
        trace_training(tanh, ensemble, x, y + 1, x, y, learning_rate=1e3, snapshots=[500])
    with pytest.raises(ValueError, match="outputs"):
        Architecture(outputs=0)
    several = Architecture(outputs=2)
    with pytest.raises(ValueError, match="one output"):
        tangent_kernel(several, ensemble, x)
    with pytest.raises(ValueError, match="a network of its own"):
        learn_from_subsets(several, x, y[:, None], torch.zeros(1, 2, dtype=torch.long), torch.Generator())
