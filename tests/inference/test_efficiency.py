"""Asymptotic errors of estimators: against fits, the bound of the likelihood, closed forms."""

import numpy as np
import pytest

from replica.inference.efficiency import ESTIMATORS, _curvature, _state_gradients, asymptotic_error
from replica.inference.fitting import coupling_error, fit_couplings
from replica.inference.maximum_likelihood import ising_likelihood
from replica.inference.minimum_probability_flow import ising_flow
from replica.inference.pseudolikelihood import ising_pseudolikelihood
from replica.sampling.ising import binary_states, exact_samples, spin_glass, state_probabilities

MAKERS = dict(zip(ESTIMATORS, (ising_flow, ising_pseudolikelihood, ising_likelihood)))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_gradients_of_states_add_up_to_the_objective(name):
    rng = np.random.default_rng(0)
    couplings = spin_glass(5, rng)
    other = couplings + 0.1 * np.outer(np.ones(5), np.ones(5))
    states, weights = binary_states(5), rng.random(32)
    rows, columns = np.triu_indices(5)
    gradient = MAKERS[name](states, weights)(other)[1]
    expected = np.where(rows == columns, 1, 2) * gradient[rows, columns]
    found = weights / weights.sum() @ _state_gradients(name, other, states)
    if name == "likelihood":  # the model's own moments are the same for every state
        p = state_probabilities(other)
        found = found - p @ _state_gradients(name, other, states)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("name", ["flow", "pseudolikelihood"])
def test_curvature_is_the_change_of_the_gradients(name):
    rng = np.random.default_rng(2)
    couplings, x, p = spin_glass(4, rng), binary_states(4), rng.dirichlet(np.ones(16))
    couplings[np.diag_indices(4)] += rng.normal(size=4)
    curvature = _curvature(name, couplings, x, p)
    np.testing.assert_allclose(curvature, curvature.T, atol=1e-15)
    for index, (i, j) in enumerate(zip(*np.triu_indices(4))):
        shift = np.zeros((4, 4))
        shift[i, j] = shift[j, i] = 1e-5
        up, down = (p @ _state_gradients(name, couplings + s * shift, x) for s in (1, -1))
        np.testing.assert_allclose(curvature[index], (up - down) / 2e-5, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_error_of_many_fits(name):
    rng = np.random.default_rng(1)
    couplings, n, repeats = spin_glass(5, rng), 20_000, 40
    errors = np.array(
        [
            coupling_error(
                fit_couplings(MAKERS[name](exact_samples(couplings, n, rng)), couplings, 1e-4).couplings, couplings
            )
            for _ in range(repeats)
        ]
    )
    score = (errors.mean() * n - asymptotic_error(name, couplings)) / (errors.std(ddof=1) * n / np.sqrt(repeats))
    assert abs(score) < 4


@pytest.mark.parametrize("seed", range(4))
def test_no_estimator_beats_the_likelihood(seed):
    couplings = spin_glass(6, np.random.default_rng(seed))
    bound = asymptotic_error("likelihood", couplings)
    assert asymptotic_error("flow", couplings) >= bound * (1 - 1e-6)
    assert asymptotic_error("pseudolikelihood", couplings) >= bound * (1 - 1e-6)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_free_spins(name):
    """Without couplings or fields the estimate of a spin coupling is the sample correlation: N var J = 4."""
    assert asymptotic_error(name, np.zeros((4, 4))) == pytest.approx(4, rel=1e-6)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: asymptotic_error("guess", np.eye(3)), "expected one of flow"),
        (lambda: asymptotic_error("flow", [[0, 1], [0, 0]]), "symmetric"),
        (lambda: asymptotic_error("flow", np.zeros((13, 13))), "2 to 12"),
    ],
)
def test_bad_input_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()
