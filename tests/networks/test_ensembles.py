"""Ensembles of finite networks: independence, gradients, the kernel limit, and refusal of bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from replica.kernels.domains import circle_points
from replica.kernels.fully_connected import wide_network_gram
from replica.kernels.regression import kernel_ridge_predict
from replica.networks.ensembles import Architecture, Ensemble, forward, initialise, learn_from_subsets, train_centred


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
