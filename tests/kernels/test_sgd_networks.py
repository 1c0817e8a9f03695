"""Networks under SGD: their tangent kernel at large width, and PyTorch's optimiser on the same network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from replica.kernels.fully_connected import wide_network_gram
from replica.kernels.sgd_networks import draw_networks, network_outputs, sgd_on_networks


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("hidden", [1, 3])
def test_one_step_moves_outputs_by_the_tangent_kernel(hidden):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 5))
    # The readout has weight variance 1 in the shared kernel's defaults and here, hidden layers 2.
    gram = wide_network_gram(x, hidden_layers=hidden, bias_var=0.0).ntk
    inputs = torch.tensor(x, dtype=torch.float32)
    weights = draw_networks([5, *[300] * hidden, 1], 20, generator())
    live = [w.requires_grad_() for w in weights]
    kernels = []
    for s in range(20):
        out = network_outputs(live, inputs)[s, :, 0]
        rows = [torch.cat([g[s].flatten() for g in torch.autograd.grad(o, live, retain_graph=True)]) for o in out]
        jacobian = torch.stack(rows)
        kernels.append((jacobian @ jacobian.T).numpy())
    # Five standard errors over the 20 networks, plus corrections of relative order hidden / width = 0.01.
    error = np.std(kernels, axis=0, ddof=1) / np.sqrt(20)
    assert (np.abs(np.mean(kernels, axis=0) - gram) < 5 * error + 0.01 * np.abs(gram).max()).all()
    assert (error < 0.06 * np.abs(gram).max()).all()


def test_same_losses_as_the_optimiser_of_pytorch():
    rng = np.random.default_rng(1)
    x, y = torch.tensor(rng.normal(size=(9, 4)), dtype=torch.float32), torch.tensor(rng.normal(size=(9, 2))).float()
    weights = draw_networks([4, 20, 20, 2], 3, generator(2))
    batches = torch.tensor(rng.integers(9, size=(15, 3, 5)))
    ours = sgd_on_networks(weights, x, y, batches, 0.05, range(16))
    for s in range(3):
        live = [w[[s]].clone().requires_grad_() for w in weights]
        start = network_outputs(live, x).detach()[0]
        optimiser = torch.optim.SGD(live, lr=0.05)
        for t in range(16):
            centred = network_outputs(live, x)[0] - start
            assert ours[s, t].item() == pytest.approx((centred - y).square().sum(1).mean().item(), rel=1e-4)
            if t < 15:
                b = batches[t, s]
                optimiser.zero_grad()
                (0.5 * (centred[b] - y[b]).square().sum(1).mean()).backward()
                optimiser.step()
    assert ours[:, 0].tolist() == pytest.approx([y.square().sum(1).mean().item()] * 3)


def test_bad_input_is_refused():
    weights = draw_networks([4, 3, 1], 2, generator())
    x, y, batches = torch.ones(5, 4), torch.ones(5, 1), torch.zeros(3, 2, 1, dtype=torch.long)
    for call, words in [
        (lambda: draw_networks([4, 1], 2, generator()), "hidden"),
        (lambda: sgd_on_networks(weights, x, y[:4], batches, 0.1, [1]), "targets"),
        (lambda: sgd_on_networks(weights, x, y, batches, 0.1, [4]), "record"),
        (lambda: sgd_on_networks(weights, x, y, batches[:, :1], 0.1, [1]), "batches"),
    ]:
        with pytest.raises(ValueError, match=words):
            call()
