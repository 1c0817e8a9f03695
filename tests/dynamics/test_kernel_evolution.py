"""Kernel regression with tangent kernels: exact for a kernel that does not move, and its definitions by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from replica.dynamics.kernel_evolution import (
    loss_when_aligned,
    network_outputs,
    predictor_errors,
    tangent_kernel_predictions,
    watch_training,
)
from replica.kernels.alignment import kernel_alignment, partial_whitening
from replica.kernels.finite_ntk import mlp_outputs, mlp_tangent_kernel, random_mlp


@pytest.fixture(scope="module")
def trained():
    rng = np.random.default_rng(0)
    inputs, test = partial_whitening(rng.normal(size=(8, 10)), 0.0, rng.normal(size=(5, 10)))
    targets = np.sign(rng.normal(size=8))
    weights = random_mlp((10, 30, 1), 0.02, torch.Generator().manual_seed(0), seeds=2)
    return watch_training(weights, inputs, targets, test=test, stop=1e-6), inputs, test, targets


def test_training_reaches_its_stop_and_records_what_it_says(trained):
    run, inputs, test, targets = trained
    assert (run.loss[0] == 1).all()
    assert (run.loss[-1] <= 1e-6).all()
    x = torch.tensor(inputs)
    gram = mlp_tangent_kernel(run.end, x)
    np.testing.assert_allclose(run.norm[-1], torch.linalg.matrix_norm(gram), rtol=1e-12)
    np.testing.assert_allclose(run.alignment[-1], kernel_alignment(gram, torch.tensor(targets)), rtol=1e-12)
    np.testing.assert_allclose(
        run.trajectory.observed["outputs"][-1], mlp_outputs(run.end, torch.tensor(test)), rtol=1e-12
    )
    np.testing.assert_allclose(network_outputs(run.end, inputs), np.tile(targets, (2, 1)), atol=5e-3)


def test_silent_alignment_on_orthogonal_inputs(trained):
    run, inputs, test, targets = trained
    assert (loss_when_aligned(run) > 0.95).all()
    initial, final = predictor_errors(run, inputs, test, targets)
    assert (final < 0.1).all()
    assert (initial > 3 * final).all()


def test_errors_by_hand(trained):
    run, inputs, test, targets = trained
    x, other = torch.tensor(inputs), torch.tensor(test)
    gram, cross = mlp_tangent_kernel(run.end, x)[0], mlp_tangent_kernel(run.end, other, x)[0]
    direct = (cross @ torch.linalg.solve(gram, torch.tensor(targets))).numpy()
    np.testing.assert_allclose(tangent_kernel_predictions(run.end, inputs, test, targets)[0], direct, rtol=1e-6)
    learned = mlp_outputs(run.end, other)[0].numpy()
    _, final = predictor_errors(run, inputs, test, targets)
    assert final[0] == pytest.approx(np.linalg.norm(direct - learned) / np.linalg.norm(learned), rel=1e-5)


def test_lazy_network_is_regression_with_its_initial_kernel():
    """A wide network with a large initialisation hardly moves, so its learned change is that of the initial kernel."""
    rng = np.random.default_rng(1)
    inputs, test = rng.normal(size=(5, 4)), rng.normal(size=(6, 4))
    targets = 0.01 * rng.normal(size=5)
    weights = random_mlp((4, 3000, 1), 1.0, torch.Generator().manual_seed(1))
    start_train, start_test = network_outputs(weights, inputs)[0], network_outputs(weights, test)[0]
    # a target close to where the network starts: the needed change is small against its scale
    run = watch_training(weights, inputs, start_train + targets, stop=1e-8)
    change = network_outputs(run.end, test)[0] - start_test
    predicted = tangent_kernel_predictions(weights, inputs, test, targets)[0]
    np.testing.assert_allclose(change, predicted, atol=0.05 * np.abs(predicted).max())


def test_bad_input_is_refused_with_a_sentence(trained):
    run, inputs, _, targets = trained
    with pytest.raises(ValueError, match="between 0 and 1"):
        watch_training(run.start, inputs, targets, stop=2.0)
    with pytest.raises(ValueError, match="one target per input"):
        watch_training(run.start, inputs, targets[:-1])
    with pytest.raises(ValueError, match="between 0 and 1"):
        loss_when_aligned(run, 1.5)
