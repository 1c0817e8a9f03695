"""SGD on finite sets: every sequence of draws enumerated, PyTorch's optimiser, Monte Carlo with error bars."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from replica.kernels.random_features import mode_kurtosis
from replica.kernels.sgd import sgd_loss_curve
from replica.kernels.sgd_finite_set import finite_set_curves
from replica.kernels.sgd_simulation import (
    draw_batches,
    log_steps,
    sgd_on_gaussian_features,
    sgd_on_points,
    shuffled_batches,
    squared_error,
)
from replica.kernels.trials import mean_and_error


def random_set(seed, size, n):
    rng = np.random.default_rng(seed)
    return rng, rng.normal(size=(size, n)) * 0.7, rng.normal(size=size)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 4), st.sampled_from([(1, 4), (2, 2)]))
def test_average_over_every_sequence_of_draws(seed, size, n, plan):
    """Arbitrary labels, fewer or more points than features: exact, residuals included."""
    m, steps = plan
    rng, psi, y = random_set(seed, size, n)
    test_cov, test_w = np.diag(rng.random(n)), rng.normal(size=n)
    every = np.array(list(itertools.product(range(size), repeat=m * steps)))
    batches = every.reshape(-1, steps, m).transpose(1, 0, 2)
    weights = sgd_on_points(psi, y, batches, 0.3, np.arange(steps + 1))
    curves = finite_set_curves(psi, y, 0.3, m, steps, test_covariance=test_cov, test_weights=test_w)
    np.testing.assert_allclose(squared_error(weights, psi, y).mean(0), curves.loss, rtol=1e-9, atol=1e-12)
    off = weights - test_w
    test_loss = np.einsum("rki,ij,rkj->k", off, test_cov, off) / len(every)
    np.testing.assert_allclose(test_loss, curves.test_loss, rtol=1e-9, atol=1e-12)


def test_gaussian_points_in_the_limit_of_many():
    lam = np.array([1.0, 0.4, 0.1])
    w = np.array([1.0, -1.0, 2.0])
    psi = np.random.default_rng(0).normal(size=(200_000, 3)) * np.sqrt(lam)
    exact = finite_set_curves(psi, psi @ w, 0.3, 2, 30, noise_var=0.1)
    # Sample moments of 2e5 points: relative errors of the fourth ones are about sqrt(96 / 2e5) = 2 per cent of the
    # noise term, which is itself a fraction of the loss.
    np.testing.assert_allclose(exact.loss, sgd_loss_curve(lam, w**2, 0.3, 2, 30, noise_var=0.1), rtol=0.02)
    assert exact.test_loss is None


def test_independent_modes_need_only_their_kurtosis():
    """Every sign vector once: independent features of kurtosis 1, or 1/p for signs that are zero else."""
    lam, w = np.array([1.0, 0.6, 0.3, 0.1]), np.array([1.0, -0.5, 2.0, 1.0])
    for levels, kappa in (((-1, 1), 1.0), ((-(2**0.5), 0, 0, 2**0.5), 2.0), ((-2, 0, 0, 0, 0, 0, 0, 2), 4.0)):
        psi = np.array(list(itertools.product(levels, repeat=4))) * np.sqrt(lam)
        exact = finite_set_curves(psi, psi @ w, 0.4, 2, 15, noise_var=0.2).loss
        ours = sgd_loss_curve(lam, w**2, 0.4, 2, 15, noise_var=0.2, kurtosis=[kappa] * 4)
        np.testing.assert_allclose(ours, exact, rtol=1e-11)
        np.testing.assert_allclose(mode_kurtosis(psi, 4), kappa, rtol=1e-9)


def test_monte_carlo_with_noisy_labels():
    rng, psi, y = random_set(5, 20, 6)
    record = np.array([1, 5, 25])
    batches = draw_batches(20, 2, 25, 20_000, rng)
    weights = sgd_on_points(psi, y, batches, 0.2, record, noise_var=0.5, rng=rng)
    mean, error = mean_and_error(squared_error(weights, psi, y))
    theory = finite_set_curves(psi, y, 0.2, 2, 25, noise_var=0.5).loss[record]
    assert (np.abs(mean - theory) < 4 * error).all()


def test_same_trajectory_as_the_optimiser_of_pytorch():
    rng, psi, y = random_set(2, 30, 7)
    batches = draw_batches(30, 4, 25, 3, rng)
    ours = sgd_on_points(psi, y, batches, 0.15, np.arange(26))
    for run in range(3):
        layer = torch.nn.Linear(7, 1, bias=False, dtype=torch.float64)
        torch.nn.init.zeros_(layer.weight)
        optimiser = torch.optim.SGD(layer.parameters(), lr=0.15)
        for t, batch in enumerate(batches[:, run]):
            np.testing.assert_allclose(layer.weight.detach().numpy()[0], ours[run, t], rtol=1e-10, atol=1e-13)
            optimiser.zero_grad()
            error = layer(torch.tensor(psi[batch])).squeeze(1) - torch.tensor(y[batch])
            (0.5 * error.square().mean()).backward()
            optimiser.step()
        np.testing.assert_allclose(layer.weight.detach().numpy()[0], ours[run, 25], rtol=1e-10, atol=1e-13)


def test_gaussian_simulation_is_the_same_algorithm():
    """One run, redrawn by hand: the same numbers as SGD on those points."""
    lam, target = np.array([1.0, 0.5]), np.array([0.3, -2.0])
    delta = sgd_on_gaussian_features(lam, target, 0.2, 3, [0, 4], 1, np.random.default_rng(9))
    rng = np.random.default_rng(9)
    psi = np.concatenate([rng.standard_normal((1, 3, 2))[0] for _ in range(4)]) * np.sqrt(lam)
    batches = np.arange(12).reshape(4, 1, 3)
    weights = sgd_on_points(psi, psi @ target, batches, 0.2, [0, 4])
    np.testing.assert_allclose(delta, weights - target, rtol=1e-12)


def test_full_passes_use_every_point_once():
    batches = shuffled_batches(12, 4, 9, 5, np.random.default_rng(0))
    assert batches.shape == (9, 5, 4)
    for start in (0, 3, 6):
        seen = np.sort(batches[start : start + 3].transpose(1, 0, 2).reshape(5, 12), axis=1)
        np.testing.assert_array_equal(seen, np.tile(np.arange(12), (5, 1)))
    assert shuffled_batches(10, 4, 5, 2, np.random.default_rng(0)).shape == (5, 2, 4)


def test_each_run_may_have_its_own_labels():
    rng, psi, _ = random_set(4, 9, 3)
    labels = rng.normal(size=(2, 9))
    batches = draw_batches(9, 2, 6, 2, rng)
    both = sgd_on_points(psi, labels, batches, 0.1, [6])
    for run in range(2):
        np.testing.assert_array_equal(both[run], sgd_on_points(psi, labels[run], batches[:, [run]], 0.1, [6])[0])


@pytest.mark.parametrize(("size", "n"), [(3, 8), (9, 8), (50, 8)])
def test_squared_error_is_the_sum_over_points(size, n):
    rng, psi, y = random_set(6, size, n)
    w = rng.normal(size=(4, 2, n))
    direct = np.array([[np.mean((psi @ v - y) ** 2) for v in run] for run in w])
    np.testing.assert_allclose(squared_error(w, psi, y), direct, rtol=1e-12)
    best = np.linalg.lstsq(psi, psi @ w[0, 0], rcond=None)[0]
    assert squared_error(best, psi, psi @ w[0, 0]) < 1e-25  # no cancellation near a perfect fit


def test_steps_to_record():
    steps = log_steps(1000, 12)
    assert steps[0] == 1
    assert steps[-1] == 1000
    assert (np.diff(steps) > 0).all()


def test_bad_input_is_refused():
    rng, psi, y = random_set(0, 5, 2)
    batches = draw_batches(5, 1, 3, 2, rng)
    for call, words in [
        (lambda: finite_set_curves(psi, y[:4], 0.1, 1, 5), "need finite features"),
        (lambda: finite_set_curves(psi, y, 0.1, 1, 5, test_weights=[1, 1]), "both"),
        (lambda: finite_set_curves(psi, y, 0.1, 1, 5, test_weights=[1], test_covariance=np.eye(2)), "test_weights"),
        (lambda: sgd_on_points(psi, y, batches, 0.1, [4]), "record up to T"),
        (lambda: sgd_on_points(psi, y, batches, 0.1, [2, 1]), "increase"),
        (lambda: sgd_on_points(psi, y, batches, 0.1, [1], noise_var=1.0), "needs rng"),
        (lambda: sgd_on_gaussian_features([1.0], [1.0, 2.0], 0.1, 1, [1], 1, rng), "target_weights"),
        (lambda: draw_batches(5, 0, 3, 2, rng), "batch_size"),
        (lambda: shuffled_batches(3, 4, 1, 1, rng), "population"),
        (lambda: squared_error(np.ones(3), psi, y), "need weights"),
        (lambda: log_steps(0, 3), "last"),
    ]:
        with pytest.raises(ValueError, match=words):
            call()
