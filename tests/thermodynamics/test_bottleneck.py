"""Training of spin devices: gradients, orderings that hold by construction, controls in equilibrium."""

import numpy as np
import pytest

from replica.thermodynamics.bottleneck import (
    Design,
    Outcome,
    Tasks,
    Weights,
    best_of,
    coupling_matrices,
    device_response,
    free_design,
    information_slope,
    judge,
    local_fields,
    objective_gradient,
    random_weights,
    refine_devices,
    tilt_factors,
    train_devices,
    upper_envelope,
)
from replica.thermodynamics.glauber import boltzmann_distribution
from replica.thermodynamics.information import input_information, label_information

SIGNS = np.triu(np.ones((4, 4)), 1) - np.tril(np.ones((4, 4)), -1)
PATTERNS = np.array([[a, b] for a in (-1.0, 1.0) for b in (-1.0, 1.0)])
XOR = np.array([0, 1, 1, 0])


def devices(count=3, spins=3, seed=0):
    rng = np.random.default_rng(seed)
    return random_weights(count, spins, 0.5 * rng.normal(size=(count, spins, 2)), rng)


@pytest.mark.parametrize("kind", ["free", "tied", "tilted"])
def test_gradient_by_finite_differences(kind):
    weights = devices()
    tilt = np.broadcast_to(tilt_factors(SIGNS[:3, :3], 0.3), (3, 3, 3)) if kind == "tilted" else np.ones((3, 3, 3))
    design = Design(np.full(3, kind != "free"), tilt, coupling_bound=1.3, input_bound=0.8, train_inputs=True)
    tasks, penalty = Tasks(PATTERNS, np.tile(XOR, (3, 1))), np.array([0.0, 0.5, 3.0])
    rng = np.random.default_rng(1)
    turn = Weights(*(rng.normal(size=part.shape) for part in weights))

    def objective(step):
        moved = Weights(*(w + step * t for w, t in zip(weights, turn)))
        information, dissipation, _ = objective_gradient(moved, design, tasks, penalty)
        return information - penalty * dissipation

    gradient = objective_gradient(weights, design, tasks, penalty)[2]
    exact = sum((g * t).reshape(3, -1).sum(axis=1) for g, t in zip(gradient, turn))
    np.testing.assert_allclose(exact, (objective(1e-5) - objective(-1e-5)) / 2e-5, rtol=1e-6, atol=1e-10)


def test_tilt_keeps_the_norm_and_the_number_of_parameters():
    z = np.random.default_rng(0).normal(size=(1, 4, 4))
    weights = Weights(z, np.zeros((1, 4)), np.zeros((1, 4, 1)))
    norms = []
    for angle in (0.0, 0.3, np.pi / 4, np.pi / 2):
        design = Design(np.array([True]), tilt_factors(SIGNS, angle)[None])
        j = coupling_matrices(weights, design)[0]
        norms.append(np.linalg.norm(j))
        if angle == 0.0:
            np.testing.assert_allclose(j, j.T)
        if angle == 0.3:
            assert (np.abs(j) >= np.abs(j.T))[SIGNS > 0].all()
        if angle == np.pi / 4:
            np.testing.assert_allclose(np.tril(j), 0, atol=1e-15)
        if angle == np.pi / 2:
            np.testing.assert_allclose(j, -j.T, atol=1e-15)
    np.testing.assert_allclose(norms, norms[0])


def test_reciprocal_devices_stay_in_equilibrium_and_lose_to_free_ones_started_there():
    tasks, design = Tasks(PATTERNS, XOR), free_design(6, 3, tied=True)
    reciprocal = train_devices(devices(6), design, tasks, 0.0, 60)
    assert np.abs(reciprocal.dissipation).max() < 1e-12
    pi, _ = device_response(reciprocal.weights, design, PATTERNS, chunk=7)
    j, h = coupling_matrices(reciprocal.weights, design), local_fields(reciprocal.weights, design, PATTERNS)
    np.testing.assert_allclose(pi, boltzmann_distribution(j[:, None], h), rtol=1e-11)
    z = reciprocal.weights.couplings
    start = reciprocal.weights._replace(couplings=0.5 * (z + np.swapaxes(z, 1, 2)))
    free = train_devices(start, free_design(6, 3), tasks, 0.0, 60)
    assert (free.information >= reciprocal.information - 1e-12).all()
    assert (free.dissipation > 0).all()
    cheap = train_devices(start, free_design(6, 3), tasks, 10.0, 60)
    assert cheap.dissipation.mean() < 0.1 * free.dissipation.mean()
    assert best_of(free, 3).tolist() == [int(k + free.objective[k : k + 3].argmax()) for k in (0, 3)]


def test_the_upper_envelope_falls_with_the_price_and_is_the_best_of_the_pool():
    rng = np.random.default_rng(0)
    pool = [
        Outcome(devices(50, seed=k), rng.random(50), rng.exponential(size=50), np.full(50, np.nan)) for k in range(6)
    ]
    alphas = np.array([0.0, 0.2, 0.7, 3.0])
    found = upper_envelope(pool, alphas)
    for values in ([o.information for o in found], [o.dissipation for o in found]):
        assert (np.diff(values, axis=0) <= 0).all()
    for alpha, best in zip(alphas, found):
        objective = np.stack([o.information - alpha * o.dissipation for o in pool])
        np.testing.assert_array_equal(best.objective, objective.max(axis=0))
        chosen = objective.argmax(axis=0)
        np.testing.assert_array_equal(
            best.weights.couplings, np.stack([o.weights.couplings for o in pool])[chosen, np.arange(50)]
        )


def test_information_bounds_and_its_slope():
    pi = np.random.default_rng(3).dirichlet(np.ones(8), size=(2, 4))
    labels = np.array([XOR, [0, 0, 1, 1]])
    information, slope = information_slope(pi, labels)
    np.testing.assert_allclose(information, label_information(pi, labels), rtol=1e-12)
    assert (information <= input_information(pi)).all()
    turn = np.random.default_rng(4).normal(size=pi.shape)
    turn -= turn.mean(axis=-1, keepdims=True)  # stays normalised
    up, down = (information_slope(pi + e * turn, labels)[0] for e in (1e-6, -1e-6))
    np.testing.assert_allclose((slope * turn).sum(axis=(1, 2)), (up - down) / 2e-6, rtol=1e-6)


def test_quasi_newton_refines_what_adam_found():
    tasks, design = Tasks(PATTERNS, XOR), free_design(2, 3)
    adam = train_devices(devices(2), design, tasks, 0.3, 80)
    refined = refine_devices(adam.weights, design, tasks, 0.3)
    assert (refined.objective >= adam.objective - 1e-10).all()
    again = judge(refined.weights, design, tasks, 0.3)
    np.testing.assert_allclose(again.objective, refined.objective, rtol=1e-13)


def test_bad_input_is_refused():
    weights, design = devices(1), free_design(1, 3)
    with pytest.raises(ValueError, match="penalty"):
        train_devices(weights, design, Tasks(PATTERNS, XOR), -1.0, 5)
    with pytest.raises(ValueError, match="one step"):
        train_devices(weights, design, Tasks(PATTERNS, XOR), 0.0, 0)
    with pytest.raises(ValueError, match="one label for each"):
        train_devices(weights, design, Tasks(PATTERNS, XOR[:3]), 0.0, 5)
    with pytest.raises(ValueError, match="each label must occur"):
        information_slope(np.full((1, 2, 2), 0.5), np.array([[0, 2]]))
    with pytest.raises(ValueError, match="one evaluation"):
        refine_devices(weights, design, Tasks(PATTERNS, XOR), 0.0, 0)
    with pytest.raises(ValueError, match="for 2 devices of 3 spins expected"):
        judge(devices(2), design, Tasks(PATTERNS, XOR), 0.0)
    with pytest.raises(ValueError, match="input weights"):
        judge(weights, design, Tasks(PATTERNS[:, :1], XOR), 0.0)
    with pytest.raises(ValueError, match="finite input patterns"):
        judge(weights, design, Tasks(np.full((4, 2), np.nan), XOR), 0.0)
    with pytest.raises(ValueError, match="antisymmetric signs"):
        tilt_factors(np.ones((3, 3)), 0.1)
    with pytest.raises(ValueError, match="signs of 1"):
        tilt_factors(2 * SIGNS, 0.1)
    with pytest.raises(ValueError, match="finite angle"):
        tilt_factors(SIGNS, np.nan)
    with pytest.raises(ValueError, match="finite couplings"):
        judge(weights._replace(couplings=np.full((1, 3, 3), np.nan)), design, Tasks(PATTERNS, XOR), 0.0)
