"""Pseudolikelihood, exact likelihood, mean field, TAP and contrastive divergence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from replica.inference.contrastive_divergence import contrastive_divergence
from replica.inference.fitting import coupling_error, fit_couplings
from replica.inference.maximum_likelihood import ising_likelihood
from replica.inference.mean_field import mean_field
from replica.inference.pseudolikelihood import ising_pseudolikelihood
from replica.sampling.ising import (
    binary_states,
    exact_samples,
    from_spin_couplings,
    log_partition,
    spin_glass,
    state_probabilities,
    to_spin_couplings,
)


def symmetric(d, rng, scale=0.5):
    draw = rng.normal(scale=scale, size=(d, d))
    return (draw + draw.T) / 2


@pytest.mark.parametrize("make", [ising_pseudolikelihood, ising_likelihood])
@given(d=st.integers(2, 7), seed=st.integers(0, 500))
def test_gradients(make, d, seed):
    rng = np.random.default_rng(seed)
    couplings, direction = symmetric(d, rng, 1.0), symmetric(d, rng)
    objective = make(np.vstack([rng.integers(0, 2, size=(6, d)), np.zeros(d), np.ones(d)]), rng.random(8))
    up, down = (objective(couplings + s * 1e-5 * direction)[0] for s in (1, -1))
    assert (up - down) / 2e-5 == pytest.approx((objective(couplings)[1] * direction).sum(), rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("make", [ising_pseudolikelihood, ising_likelihood])
def test_consistent(make):
    couplings = spin_glass(6, np.random.default_rng(0))
    objective = make(binary_states(6), state_probabilities(couplings))
    assert np.abs(objective(couplings)[1]).max() < 1e-14
    np.testing.assert_allclose(fit_couplings(objective, np.zeros((6, 6)), 1e-9).couplings, couplings, atol=1e-6)


def test_pseudolikelihood_is_the_sum_of_conditionals():
    rng = np.random.default_rng(1)
    couplings, states = 3 * symmetric(5, rng), rng.integers(0, 2, size=(20, 5)).astype(float)
    energy = np.einsum("ni,ij,nj->n", states, couplings, states)
    total = 0.0
    for n in range(5):
        other = states.copy()
        other[:, n] = 1 - other[:, n]
        rise = energy - np.einsum("ni,ij,nj->n", other, couplings, other)
        total += np.logaddexp(0, rise).mean()
    assert ising_pseudolikelihood(states)(couplings)[0] == pytest.approx(total, rel=1e-12)


def test_pseudolikelihood_of_enormous_couplings_does_not_overflow():
    rng = np.random.default_rng(2)
    value, gradient = ising_pseudolikelihood(rng.integers(0, 2, size=(30, 4)))(1e5 * symmetric(4, rng))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_logistic_regressions_are_the_unsymmetric_pseudolikelihood():
    """One regression a unit (scikit-learn) gives two estimates of each coupling; ours is the joint fit of both."""
    rng = np.random.default_rng(3)
    couplings = spin_glass(8, rng)
    states = exact_samples(couplings, 20_000, rng)
    fit = fit_couplings(ising_pseudolikelihood(states), np.zeros((8, 8))).couplings
    separate = np.zeros((8, 8))
    for n in range(8):
        others = np.delete(np.arange(8), n)
        model = LogisticRegression(C=1e8, tol=1e-8).fit(states[:, others], states[:, n])
        separate[n, others] = -model.coef_[0] / 2
        separate[n, n] = -model.intercept_[0]
    pairs = np.triu_indices(8, 1)
    averaged = (separate + separate.T)[pairs] / 2
    # the two estimates differ by sampling noise of 1e-2; their mean differs from the joint fit in second order
    assert np.abs(averaged - fit[pairs]).max() < 0.2 * np.abs((separate - separate.T)[pairs]).max()
    assert coupling_error(fit, couplings) < 0.01


def test_likelihood_is_that_of_the_enumeration():
    rng = np.random.default_rng(4)
    couplings, states = symmetric(4, rng), rng.integers(0, 2, size=(9, 4)).astype(float)
    p = state_probabilities(couplings)[(states @ [8, 4, 2, 1]).astype(int)]
    assert ising_likelihood(states)(couplings)[0] == pytest.approx(-np.log(p).mean(), rel=1e-12)
    energy = np.einsum("ni,ij,nj->n", states, couplings, states)
    np.testing.assert_allclose(np.log(p), -energy - log_partition(couplings), rtol=1e-12)


def weak(d, size, field, seed):
    rng = np.random.default_rng(seed)
    spin = symmetric(d, rng, size)
    np.fill_diagonal(spin, 0.0)
    return from_spin_couplings(spin, rng.normal(scale=field, size=d))


def exactly_weighted(couplings, copies=400_000):
    """States in numbers proportional to their probabilities."""
    p = state_probabilities(couplings)
    return np.repeat(binary_states(len(couplings)), np.rint(p * copies).astype(int), axis=0)


@pytest.mark.parametrize("field", [0.0, 0.4])
def test_mean_field_becomes_exact_for_weak_couplings(field):
    """Halving the couplings divides the error by about four; TAP is better where spins are magnetised."""
    errors = {}
    for size in (0.1, 0.05):
        couplings = weak(5, size, field, 5)
        states = exactly_weighted(couplings)
        truth = to_spin_couplings(couplings)[0]
        for tap in (False, True):
            spin = to_spin_couplings(mean_field(states, tap).couplings)[0]
            errors[size, tap] = np.abs(spin - truth).max()
    assert errors[0.05, False] < errors[0.1, False] / 3
    if field:
        assert errors[0.1, True] < errors[0.1, False]


def test_tap_is_mean_field_without_magnetisation():
    couplings = spin_glass(5, np.random.default_rng(6))
    half = exactly_weighted(couplings, 20_000)
    states = np.vstack([half, 1 - half])
    np.testing.assert_allclose(mean_field(states, True).couplings, mean_field(states).couplings, atol=1e-9)


def test_tap_solves_its_equation_and_counts_where_it_cannot():
    rng = np.random.default_rng(7)
    states = exactly_weighted(weak(4, 0.15, 0.5, 8))
    result = mean_field(states, True)
    spin = to_spin_couplings(result.couplings)[0]
    sigma = 2 * states - 1
    inverse, m = np.linalg.inv(np.cov(sigma.T, bias=True)), sigma.mean(axis=0)
    off = ~np.eye(4, dtype=bool)
    assert result.clipped == 0
    np.testing.assert_allclose((-spin - 2 * spin**2 * np.outer(m, m))[off], inverse[off], atol=1e-10)
    strong = exact_samples(weak(4, 1.5, 1.5, 9), 20_000, rng)
    assert mean_field(strong, True).clipped >= 0


@pytest.mark.parametrize("spins", [False, True])
def test_the_exact_step_of_contrastive_divergence_vanishes_at_the_truth(spins):
    """Started from exact samples at the truth, the mean step is zero within its noise."""
    rng = np.random.default_rng(10)
    couplings = spin_glass(5, rng)
    steps = []
    for _ in range(40):
        states = exact_samples(couplings, 2000, rng)
        steps.append(contrastive_divergence(states, couplings, 1, 1.0, 1, rng, spins=spins).couplings[1] - couplings)
    steps = np.array(steps)[:, *np.triu_indices(5)]
    assert np.abs(steps.mean(axis=0) / (steps.std(axis=0, ddof=1) / np.sqrt(40))).max() < 4  # largest of 15


def test_a_spin_step_is_a_step_of_the_spin_couplings():
    from replica.inference.contrastive_divergence import _spin_step

    rng = np.random.default_rng(11)
    couplings, x, y = symmetric(4, rng), *rng.integers(0, 2, size=(2, 7, 4)).astype(float)
    change = (x.T @ x - y.T @ y) / 7
    spin, field = to_spin_couplings(couplings)
    new_spin, new_field = to_spin_couplings(couplings - 0.3 * _spin_step(change))
    s, t = 2 * x - 1, 2 * y - 1
    pairs = (s.T @ s - t.T @ t) / 7
    np.fill_diagonal(pairs, 0.0)
    np.testing.assert_allclose(new_spin, spin + 0.3 * pairs, atol=1e-12)
    np.testing.assert_allclose(new_field, field + 0.3 * (s - t).mean(axis=0), atol=1e-12)


@pytest.mark.parametrize("spins", [False, True])
def test_contrastive_divergence_approaches_the_couplings(spins):
    rng = np.random.default_rng(12)
    couplings = spin_glass(6, rng)
    states = exact_samples(couplings, 20_000, rng)
    trace = contrastive_divergence(states, np.zeros((6, 6)), 1, 0.2, 300, rng, keep_every=100, spins=spins)
    errors = coupling_error(trace.couplings, couplings)
    assert errors[-1] < 0.3 * errors[0]
    assert list(trace.evaluations) == [0, 100, 200, 300]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: mean_field([[0, 0], [1, 1], [0, 0]]), "singular"),
        (lambda: mean_field([[0, 1], [0, 0]]), "unit 0 always off"),
        (lambda: ising_pseudolikelihood([[0, 2]]), "expected 0 and 1"),
        (lambda: ising_pseudolikelihood(np.vstack([np.zeros(901), np.ones(901)])), "at most 900"),
        (lambda: ising_likelihood(np.vstack([np.zeros(25), np.ones(25)])), "up to 24"),
        (lambda: contrastive_divergence([[0, 1], [1, 0]], np.eye(3), 1, 0.1, 1, None), "expected 2 units"),
        (lambda: contrastive_divergence([[0, 1], [1, 0]], np.eye(2), 0, 0.1, 1, None), "positive counts"),
        (lambda: contrastive_divergence([[0, 1], [1, 0]], [[0, 1], [2, 0]], 1, 0.1, 1, None), "symmetric"),
        (lambda: contrastive_divergence([[0, 1], [1, 0]], np.eye(2), 1, 0.0, 1, None), "positive number, got 0.0"),
        (
            lambda: contrastive_divergence([[0, 1], [1, 0]], np.eye(2), 1, lambda _: np.nan, 1, None),
            "got nan in step 1",
        ),
        (lambda: ising_pseudolikelihood([[0, 1], [1, 0]])(np.eye(3)), "expected 2 units"),
        (lambda: ising_likelihood([[0, 1], [1, 0]])(np.eye(3)), "expected 2 units"),
    ],
)
def test_bad_input_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_a_learning_rate_far_too_large_is_named():
    with pytest.raises(FloatingPointError, match="learning rate is too large"):
        contrastive_divergence([[0, 1], [1, 0]], np.eye(2), 1, 1e9, 5, np.random.default_rng(0))
