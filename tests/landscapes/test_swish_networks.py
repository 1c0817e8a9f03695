"""Swish networks: derivatives against finite differences and autograd, closed forms, what is refused."""

import numpy as np
import pytest
import torch

from replica.landscapes import swish_networks
from replica.landscapes.swish_networks import SwishNetwork

CASES = {
    "autoencoder": {"sizes": (6, 3, 6)},
    "deep, all Swish, regularised": {"sizes": (5, 4, 3, 2), "output": "swish", "l2": 0.3},
    "classifier": {"sizes": (5, 4, 3), "cost": "cross-entropy", "output": "swish", "l2": 0.1, "biases": False},
    "linear": {"sizes": (5, 4, 3), "activation": "linear"},
}


def make(case, samples=20, seed=0, **changes):
    rng = np.random.default_rng(seed)
    options = CASES[case] | changes
    sizes = options.pop("sizes")
    x = rng.normal(size=(samples, sizes[0]))
    labels = rng.integers(0, sizes[-1], samples)
    y = labels if options.get("cost") == "cross-entropy" else rng.normal(size=(samples, sizes[-1]))
    network = SwishNetwork(sizes, x, y, **options)
    return network, network.initial_parameters(3, rng), rng.normal(size=(3, network.n_parameters)), labels


def by_torch(network, flat, labels):
    """The loss of one network written anew, for autograd."""
    a, start = torch.tensor(network.inputs), 0
    for depth, (n, m) in enumerate(zip(network.sizes[:-1], network.sizes[1:])):
        matrix = flat[start : start + m * (n + network.biases)].reshape(m, -1)
        start += matrix.numel()
        a = a @ matrix[:, :n].T + (matrix[:, n] if network.biases else 0)
        last = depth == len(network.sizes) - 2
        if (network.output if last else network.activation) == "swish":
            a = torch.nn.functional.silu(a)
    if network.cost == "cross-entropy":
        cost = torch.nn.functional.cross_entropy(a, torch.tensor(labels))
    else:
        cost = torch.nn.functional.mse_loss(a, torch.tensor(network.targets))
    return cost + network.l2 * (flat**2).mean()


@pytest.mark.parametrize("case", CASES)
def test_loss_gradient_and_hessian_product_are_those_of_autograd(case):
    network, theta, vectors, labels = make(case)
    for point, vector, loss, gradient, product in zip(
        theta, vectors, network.loss(theta), network.gradient(theta), network.hessian_product(theta, vectors)
    ):
        flat = torch.tensor(point, requires_grad=True)
        value = by_torch(network, flat, labels)
        (slope,) = torch.autograd.grad(value, flat, create_graph=True)
        (bend,) = torch.autograd.grad(slope @ torch.tensor(vector), flat)
        np.testing.assert_allclose(loss, value.item(), rtol=1e-12)
        np.testing.assert_allclose(gradient, slope.detach().numpy(), atol=1e-12)
        np.testing.assert_allclose(product, bend.numpy(), atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_the_hessian_is_symmetric_and_linear_in_the_vector(case):
    network, theta, v, _ = make(case)
    w = np.random.default_rng(1).normal(size=v.shape)
    product = network.hessian_product(theta, v)
    left, right = np.sum(w * product, axis=1), np.sum(v * network.hessian_product(theta, w), axis=1)
    np.testing.assert_allclose(left, right, rtol=1e-10)
    np.testing.assert_allclose(
        network.hessian_product(theta, 2 * v - w), 2 * product - network.hessian_product(theta, w)
    )


@pytest.mark.parametrize("case", CASES)
def test_blocks_of_samples_and_points_change_nothing(case, monkeypatch):
    network, theta, v, _ = make(case)
    whole = network.loss(theta), network.gradient(theta), network.hessian_product(theta, v)
    monkeypatch.setitem(swish_networks.BATCH, "cpu", 45)
    assert len(network._batches(3)) > 3
    for new, old in zip((network.loss(theta), network.gradient(theta), network.hessian_product(theta, v)), whole):
        np.testing.assert_allclose(new, old, atol=1e-13)


def test_passes_kept_for_one_point_are_not_used_for_another():
    network, theta, v, _ = make("autoencoder")
    network.hessian_product(theta, v)
    moved = theta + 0.1
    fresh = make("autoencoder")[0].hessian_product(moved, v)
    np.testing.assert_array_equal(network.hessian_product(moved, v), fresh)
    theta[:] = moved  # the caller may write into the array it handed over
    np.testing.assert_array_equal(network.hessian_product(theta, v), fresh)


def test_parameter_counts_of_the_paper():
    x = np.ones((2, 16))
    assert SwishNetwork((16, 8, 16, 16), x, x).n_parameters == 552
    assert SwishNetwork((16, 12, 8, 10), x, [0, 1], cost="cross-entropy").n_parameters == 398
    wide = SwishNetwork((32, 32, 4, 2), np.ones((2, 32)), [0, 1], cost="cross-entropy", biases=False)
    assert wide.n_parameters == 1160


def test_starts_are_unit_vectors_into_each_unit():
    _network, theta, _, _ = make("autoencoder")
    first = theta[:, :21].reshape(3, 3, 7)
    np.testing.assert_allclose(np.linalg.norm(first[..., :6], axis=2), 1)
    np.testing.assert_array_equal(first[..., 6], 0.01)


def test_the_origin_of_a_network_with_three_layers_is_flat_at_the_loss_of_guessing():
    """Without biases the outputs are of third order in the weights: no gradient, and only the regulariser bends."""
    network = make("classifier", sizes=(5, 4, 3, 2), l2=0.1)[0]
    origin = np.zeros((1, network.n_parameters))
    np.testing.assert_allclose(network.loss(origin), np.log(2))
    np.testing.assert_array_equal(network.gradient(origin), 0)
    eye = np.eye(network.n_parameters)
    hessian = network.hessian_product(np.tile(origin, (network.n_parameters, 1)), eye)
    np.testing.assert_allclose(hessian, eye * 2 * 0.1 / network.n_parameters, atol=1e-15)


def test_large_logits_do_not_overflow():
    network, theta, _, _ = make("classifier")
    assert np.isfinite(network.loss(300 * theta)).all()


def test_bad_input_is_refused():
    x = np.ones((4, 5))
    with pytest.raises(ValueError, match="sizes: expected two or more positive"):
        SwishNetwork((5,), x, x)
    with pytest.raises(ValueError, match=r"inputs: expected shape \(samples, 6\)"):
        SwishNetwork((6, 5), x, x)
    with pytest.raises(ValueError, match="expected as many targets as inputs"):
        SwishNetwork((5, 5), x, x[:3])
    with pytest.raises(ValueError, match="targets: expected finite"):
        SwishNetwork((5, 5), x, x * np.nan)
    with pytest.raises(ValueError, match=r"class numbers 0..2"):
        SwishNetwork((5, 3), x, [0, 1, 2, 3], cost="cross-entropy")
    with pytest.raises(ValueError, match="output: expected one of swish, linear"):
        SwishNetwork((5, 5), x, x, output="relu")
    with pytest.raises(ValueError, match="l2: expected"):
        SwishNetwork((5, 5), x, x, l2=-1)
    network = SwishNetwork((5, 5), x, x)
    with pytest.raises(ValueError, match=r"theta: expected shape \(n_points, 30\); got \(30,\)"):
        network.loss(np.zeros(30))
    with pytest.raises(ValueError, match="one vector for each point"):
        network.hessian_product(np.zeros((2, 30)), np.zeros((1, 30)))
    with pytest.raises(ValueError, match="n_points"):
        network.initial_parameters(0, np.random.default_rng(0))
