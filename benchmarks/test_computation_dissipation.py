"""Speed of the exact solution of small spin networks and of linear networks, beside the dense route under autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from replica.thermodynamics.bottleneck import Tasks, free_design, objective_gradient, random_weights
from replica.thermodynamics.glauber import (
    simulate_spins,
    spin_states,
    steady_state_gradient,
    steady_states,
    transition_rates,
)
from replica.thermodynamics.linear_langevin import entropy_production_ou, simulate_langevin, two_unit_drift
from replica.thermodynamics.markov import steady_state


def networks(devices, inputs, spins):
    rng = np.random.default_rng(0)
    couplings = rng.normal(size=(devices, spins, spins)) * (1 - np.eye(spins))
    return couplings, rng.normal(size=(devices, inputs, spins))


@pytest.mark.parametrize(("devices", "inputs", "spins"), [(100, 8, 4), (4, 240, 5), (1, 100, 8)])
def test_steady_states(benchmark, devices, inputs, spins):
    couplings, fields = networks(devices, inputs, spins)
    steady = benchmark(steady_states, couplings, fields)
    assert steady.distribution.shape == (devices, inputs, 2**spins)


@pytest.mark.parametrize(("devices", "inputs", "spins"), [(100, 8, 4), (4, 240, 5), (1, 100, 8)])
def test_gradient_of_steady_states(benchmark, devices, inputs, spins):
    couplings, fields = networks(devices, inputs, spins)
    steady = steady_states(couplings, fields)
    by_coupling, _ = benchmark(steady_state_gradient, steady, steady.distribution, np.ones(devices))
    assert np.isfinite(by_coupling).all()


@pytest.mark.parametrize("spins", [4, 5])
def test_the_same_by_dense_solves_under_autograd(benchmark, spins):
    """What the elimination by parity replaces: a batched LU in torch, forward and backward."""
    devices, inputs = (100, 8) if spins == 4 else (4, 240)
    couplings, fields = networks(devices, inputs, spins)
    states = torch.tensor(spin_states(spins))
    column = torch.arange(2**spins)
    flips = [column ^ (1 << (spins - 1 - i)) for i in range(spins)]

    def dense():
        j = torch.tensor(couplings, requires_grad=True)
        local = torch.einsum("pij,xj->pxi", j, states)[:, None] + torch.tensor(fields)[:, :, None]
        rates = torch.sigmoid(-2 * states * local)
        q = torch.diag_embed(-rates.sum(-1))
        for i, target in enumerate(flips):
            q[..., target, column] = q[..., target, column] + rates[..., i]
        q = torch.cat([torch.ones_like(q[..., :1, :]), q[..., 1:, :]], dim=-2)
        right = torch.zeros(*q.shape[:-1], 1, dtype=q.dtype)
        right[..., 0, 0] = 1
        pi = torch.linalg.solve(q, right)[..., 0]
        sigma = -2 * (pi[..., None] * rates * states * local).sum((-2, -1))
        (sigma.sum() + 0.5 * (pi**2).sum()).backward()
        return pi.detach().numpy(), j.grad.numpy()

    pi, gradient = benchmark(dense)
    steady = steady_states(couplings, fields)
    np.testing.assert_allclose(pi, steady.distribution, atol=1e-10)
    exact, _ = steady_state_gradient(steady, steady.distribution, np.ones(devices))
    np.testing.assert_allclose(gradient * (1 - np.eye(spins)), exact, atol=1e-8)


def test_general_chain_of_the_same_size(benchmark):
    couplings, fields = networks(100, 8, 4)
    rates = transition_rates(couplings[:, None], fields)
    assert benchmark(steady_state, rates).shape == (100, 8, 16)


def test_training_step_of_a_thousand_devices(benchmark):
    """One evaluation of objective and gradient for 1000 devices of four spins under eight inputs."""
    rng = np.random.default_rng(0)
    patterns = 2.0 * (np.arange(8)[:, None] >> np.arange(2, -1, -1) & 1) - 1
    weights = random_weights(1000, 4, 0.5 * rng.normal(size=(1000, 4, 3)), rng)
    labels = np.tile([0, 1, 1, 0, 1, 0, 0, 1], (1000, 1))
    tasks, penalty = Tasks(patterns, labels), np.zeros(1000)
    information, _, _ = benchmark(objective_gradient, weights, free_design(1000, 4), tasks, penalty)
    assert (information > 0).all()


def test_lyapunov_of_fifty_units(benchmark):
    coupling = np.random.default_rng(0).normal(size=(50, 50)) / 20
    assert benchmark(entropy_production_ou, np.eye(50) - coupling) > 0


def test_jumps_of_four_spins(benchmark):
    """20,000 attempt times, about 30,000 jumps."""
    couplings, fields = networks(1, 1, 4)
    simulate_spins(couplings[0], fields[0, 0], 1.0, 1, np.random.default_rng(0))
    occupation, _ = benchmark(simulate_spins, couplings[0], fields[0, 0], 1000.0, 20, np.random.default_rng(0))
    np.testing.assert_allclose(occupation.sum(axis=1), 1, rtol=1e-9)


def test_langevin_runs(benchmark):
    """20,000 runs of 100 steps."""
    rng = np.random.default_rng(0)
    result = benchmark(simulate_langevin, two_unit_drift(0.8, -0.5), np.zeros((20000, 2)), 1.0, 0.01, rng)
    assert np.isfinite(result.entropy_production).all()
