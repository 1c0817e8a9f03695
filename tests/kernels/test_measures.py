"""Optimised measures: gradients against finite differences and automatic differentiation, and what descent must do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from replica.kernels import measures
from replica.kernels.learning_curves import solve_kappa
from replica.kernels.measures import optimise_measure, participation_ratio, softmax, training_measure_objective
from replica.kernels.out_of_distribution import ood_error, overlap_matrix
from replica.kernels.spectra import empirical_eigensystem

SIZE = 12


def problem(seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(SIZE, 3))
    gram = np.exp(-((x[:, None] - x) ** 2).sum(-1) / 4)
    return gram, np.sign(x[:, 0]), softmax(rng.normal(size=SIZE)), softmax(rng.normal(size=SIZE))


CASES = [(4, 0.0, 0.0), (4, 0.1, 0.3), (20, 0.01, 0.2), (7.5, 1e-6, 0.0)]


@pytest.mark.parametrize(("n", "ridge", "noise_var"), CASES)
def test_error_of_a_training_measure_is_the_formula_with_the_overlap(n, ridge, noise_var):
    gram, target, p, q = problem()
    value, _ = training_measure_objective(gram, target, n, ridge, noise_var, q)(p)
    system = empirical_eigensystem(gram, target, p)
    o = overlap_matrix(system.features, q)
    expected = ood_error(system.eigenvalues, system.coefficients, o, n, ridge, noise_var).error
    assert value == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(("n", "ridge", "noise_var"), CASES)
def test_gradient_against_finite_differences(n, ridge, noise_var):
    gram, target, p, q = problem(1)
    objective = training_measure_objective(gram, target, n, ridge, noise_var, q)
    _, gradient = objective(p)
    step = 1e-6
    for i in range(SIZE):
        move = step * (np.eye(SIZE)[i] - np.eye(SIZE)[i - 1])  # keeps the sum of the masses
        slope = (objective(p + move)[0] - objective(p - move)[0]) / (2 * step)
        assert slope == pytest.approx(gradient[i] - gradient[i - 1], abs=1e-6 * np.abs(gradient).max())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(1, 11), st.floats(1e-4, 1), st.floats(0, 1))
def test_gradient_against_automatic_differentiation(seed, n, ridge, noise_var):
    """Through the eigensystem and the implicit kappa, in torch, as the authors do it."""
    gram, target, p, q = problem(seed)
    _, gradient = training_measure_objective(gram, target, n, ridge, noise_var, q)(p)
    z = torch.tensor(np.log(p), requires_grad=True)
    mass = torch.softmax(z, 0)
    lam, u = torch.linalg.eigh(mass.sqrt()[:, None] * torch.tensor(gram) * mass.sqrt())
    phi = u / mass.sqrt()[:, None]
    root = torch.tensor(float(solve_kappa(lam.detach().numpy(), n, ridge)), dtype=torch.float64)
    excess = (lam / (lam + root)).sum() + ridge / root - n
    slope = (-lam / (lam + root) ** 2).sum().detach() - ridge / root**2
    kappa = root - excess / slope
    share = lam / (lam + kappa)
    g = (1 - share) * (phi.T @ (mass * torch.tensor(target)))
    overlap = phi.T @ (torch.tensor(q)[:, None] * phi)
    risk = (g @ g + noise_var) / (1 - (share**2).sum() / n)
    (g @ overlap @ g + (torch.diagonal(overlap) * share**2).sum() * risk / n).backward()
    ours = p * (gradient - p @ gradient)
    np.testing.assert_allclose(z.grad.numpy(), ours, atol=1e-6 * np.abs(ours).max() + 1e-12)


def test_fixed_kappa_and_its_gradient():
    gram, target, p, q = problem(2)
    lam = empirical_eigensystem(gram, target, p).eigenvalues
    exact = float(solve_kappa(lam, 5, 0.1))
    free, fixed = (training_measure_objective(gram, target, 5, 0.1, 0.2, q, kappa=k) for k in (None, exact))
    assert fixed(p)[0] == pytest.approx(free(p)[0], rel=1e-9)
    other = training_measure_objective(gram, target, 5, 0.1, 0.2, q, kappa=3 * exact)
    move = 1e-6 * (np.eye(SIZE)[2] - np.eye(SIZE)[7])
    gradient = other(p)[1]
    assert (other(p + move)[0] - other(p - move)[0]) / 2e-6 == pytest.approx(gradient[2] - gradient[7], rel=1e-5)


def test_points_without_mass_are_harmless():
    gram, target, p, q = problem()
    p = np.where(np.arange(SIZE) < 8, p, 0.0)
    p /= p.sum()
    value, gradient = training_measure_objective(gram, target, 3, 0.01, 0.0, q)(p)
    near = (p + 1e-9) / (p + 1e-9).sum()
    assert np.isfinite(gradient).all()
    assert value == pytest.approx(training_measure_objective(gram, target, 3, 0.01, 0.0, q)(near)[0], rel=1e-5)


def test_descent_and_ascent_on_a_linear_objective():
    r = np.random.default_rng(0).exponential(size=50)
    objective = measures.test_measure_objective(r)
    down, up = (optimise_measure(objective, 50, steps=30, learning_rate=0.05, sign=s) for s in (1, -1))
    assert (np.diff(down.values) < 0).all()
    assert (np.diff(up.values) > 0).all()
    assert down.values[0] == up.values[0] == pytest.approx(r.mean())
    assert down.participation[0] == pytest.approx(50)
    assert down.values[-1] == pytest.approx(down.mass @ r)
    assert down.participation[-1] == pytest.approx(participation_ratio(down.mass))
    order = np.argsort(r)
    assert down.mass[order[0]] > 1 / 50 > down.mass[order[-1]]
    # A linear function has its extremes in the corners: the only stationary measures are points.
    long = optimise_measure(objective, 50, steps=3000, learning_rate=0.05)
    assert long.mass[order[0]] > 0.95


def test_first_step_of_adam_by_hand():
    r = np.array([1.0, 2.0, 4.0])
    one = optimise_measure(measures.test_measure_objective(r), 3, steps=1, learning_rate=0.1, epsilon=1e-30)
    np.testing.assert_allclose(one.mass, softmax(-0.1 * np.sign(r - r.mean())), rtol=1e-12)


def test_optimised_training_measure_lowers_the_error():
    gram, target, _, _ = problem(4)
    objective = training_measure_objective(gram, target, 3, 1e-3)
    best = optimise_measure(objective, SIZE, steps=40, learning_rate=0.05)
    assert best.values[-1] < best.values[0]
    assert best.mass.sum() == pytest.approx(1)


@given(st.lists(st.floats(-300, 300), min_size=1, max_size=20))
def test_softmax_and_participation(z):
    p = softmax(z)
    assert p.sum() == pytest.approx(1)
    assert 1 - 1e-9 <= participation_ratio(p) <= len(z) + 1e-9
    np.testing.assert_allclose(softmax(np.array(z) + 7.0), p, rtol=1e-9)


def test_bad_input_is_refused():
    gram, target, p, _ = problem()
    linear = measures.test_measure_objective(np.ones(3))
    with pytest.raises(ValueError, match="sign"):
        optimise_measure(linear, 3, steps=1, learning_rate=0.1, sign=0)
    with pytest.raises(ValueError, match="steps"):
        optimise_measure(linear, 3, steps=-1, learning_rate=0.1)
    with pytest.raises(ValueError, match="vector"):
        measures.test_measure_objective(np.ones((2, 2)))
    with pytest.raises(ValueError, match="sum to 1"):
        training_measure_objective(gram, target, 3)(2 * p)
    with pytest.raises(ValueError, match="target"):
        training_measure_objective(gram, target[:-1], 3)
    with pytest.raises(ValueError, match="kappa"):
        training_measure_objective(gram, target, 3, kappa=0.0)
    with pytest.raises(ValueError, match="ridge > 0"):
        training_measure_objective(gram, target, SIZE + 1)(p)
