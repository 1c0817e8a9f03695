"""Devices in equilibrium with any energy: gradients, two codes for one optimum, what their log-odds can be."""

import numpy as np
import pytest

from replica.thermodynamics.bottleneck import (
    Tasks,
    device_response,
    free_design,
    local_fields,
    random_weights,
    refine_devices,
)
from replica.thermodynamics.equilibrium_devices import (
    equilibrium_distribution,
    log_odds_departure,
    many_body_features,
    train_equilibrium,
    with_linear_log_odds,
)
from replica.thermodynamics.glauber import boltzmann_distribution
from replica.thermodynamics.information import label_information
from replica.thermodynamics.linear_langevin import ou_covariance

PATTERNS = np.array([[a, b] for a in (-1.0, 1.0) for b in (-1.0, 1.0)])
XOR = np.array([0, 1, 1, 0])


def devices(count=8, spins=3, seed=0):
    rng = np.random.default_rng(seed)
    weights = random_weights(count, spins, 0.5 * rng.normal(size=(count, spins, 2)), rng)
    return weights._replace(inputs=np.repeat(weights.inputs[:1], count, axis=0))


def drives(weights):
    return PATTERNS @ np.swapaxes(np.tanh(weights.inputs), 1, 2)


def test_products_of_spins():
    features = many_body_features(3, 3)
    spins = features[:, :3]
    assert features.shape == (8, 7)
    np.testing.assert_array_equal(features[:, 3], spins[:, 0] * spins[:, 1])
    np.testing.assert_array_equal(features[:, 4], spins[:, 0] * spins[:, 2])
    np.testing.assert_array_equal(features[:, 6], spins.prod(axis=1))
    np.testing.assert_allclose(features.T @ features, 8 * np.eye(7))
    np.testing.assert_array_equal(many_body_features(3, 2), features[:, :6])


def test_pairs_are_boltzmanns_distribution():
    rng = np.random.default_rng(1)
    strengths, h = rng.normal(size=(2, 6)), rng.normal(size=(2, 4, 3))
    j = np.zeros((2, 3, 3))
    j[:, *np.triu_indices(3, 1)] = strengths[:, 3:]
    expected = boltzmann_distribution((j + np.swapaxes(j, 1, 2))[:, None], h + strengths[:, None, :3])
    np.testing.assert_allclose(equilibrium_distribution(many_body_features(3, 2), strengths, h), expected, rtol=1e-12)


def test_pair_couplings_in_equilibrium_agree_with_the_reciprocal_master_equation():
    """Two codes for the same optimum: Boltzmann weights with pair terms, and reciprocal Glauber devices."""
    weights, labels = devices(12), np.tile(XOR, (12, 1))
    glauber = refine_devices(weights, free_design(12, 3, tied=True), Tasks(PATTERNS, labels), 0.0)
    features, h = many_body_features(3, 2), drives(weights)
    start = np.random.default_rng(5).uniform(-1, 1, size=(12, 6))
    information, strengths = train_equilibrium(features, start, h, labels, bound=1.0)
    assert np.abs(strengths).max() <= 1
    assert information.max() == pytest.approx(glauber.information.max(), abs=1e-4)  # tanh creeps towards its bound
    pi = equilibrium_distribution(features, strengths, h)
    np.testing.assert_allclose(label_information(pi, labels), information, rtol=1e-12)


def test_any_energy_is_better_than_some_and_its_optimum_is_stationary():
    weights, labels = devices(6), np.tile(XOR, (6, 1))
    h, features = drives(weights), many_body_features(3, 3)
    start = np.random.default_rng(6).uniform(-1, 1, size=(6, 7))
    bounded, strengths = train_equilibrium(features, start, h, labels, bound=1.0)
    free, found = train_equilibrium(features, strengths, h, labels)
    assert (free >= bounded).all()
    rng = np.random.default_rng(7)
    for _ in range(20):
        near = found + 1e-3 * rng.normal(size=found.shape)
        assert (label_information(equilibrium_distribution(features, near, h), labels) <= free + 1e-6).all()


def test_log_odds_in_equilibrium_are_the_fields_whatever_the_energy():
    rng = np.random.default_rng(6)
    h = rng.normal(size=(5, 4, 3))
    pi = equilibrium_distribution(many_body_features(3, 3), rng.normal(size=(5, 7)), h)
    departure, nonlinear = log_odds_departure(pi, h)
    assert max(departure.max(), nonlinear.max()) < 1e-25
    np.testing.assert_allclose(with_linear_log_odds(pi), pi, rtol=1e-12)


def test_log_odds_out_of_equilibrium():
    weights, design = devices(5), free_design(5, 3)
    pi, _ = device_response(weights, design, PATTERNS)
    h = local_fields(weights, design, PATTERNS)
    departure, nonlinear = log_odds_departure(pi, h)
    assert nonlinear.min() > 1e-6
    assert (departure > nonlinear).all()
    linear = with_linear_log_odds(pi)
    kept, rest = log_odds_departure(linear, h)
    assert rest.max() < 1e-25
    assert kept.min() > 1e-6  # the slopes are still not those of the fields


def test_slopes_of_linear_devices_are_those_of_the_fields_in_equilibrium_alone():
    """Log-odds of Gaussians of equal covariance have slopes C^-1 (mean - mean')."""
    rng = np.random.default_rng(8)
    j = rng.normal(size=(3, 3)) / 6
    temperature, b = 1.7, rng.normal(size=3)
    for coupling, equilibrium in ((j, False), (j + j.T, True)):
        a = np.eye(3) - coupling
        slope = np.linalg.solve(ou_covariance(a, temperature), np.linalg.solve(a, b))
        assert np.allclose(slope, b / temperature, rtol=1e-10) == equilibrium


def test_bad_input_is_refused():
    features, h = many_body_features(2, 2), np.zeros((1, 4, 2))
    with pytest.raises(ValueError, match="order 4"):
        many_body_features(3, 4)
    with pytest.raises(ValueError, match="expected starts"):
        train_equilibrium(features, np.zeros((1, 2)), h, XOR)
    with pytest.raises(ValueError, match="finite starts"):
        train_equilibrium(features, np.full((1, 3), np.nan), h, XOR)
    with pytest.raises(ValueError, match="bound on the strengths"):
        train_equilibrium(features, np.zeros((1, 3)), h, XOR, bound=0.0)
    with pytest.raises(ValueError, match="one evaluation"):
        train_equilibrium(features, np.zeros((1, 3)), h, XOR, evaluations=0)
    with pytest.raises(ValueError, match="one label for each"):
        train_equilibrium(features, np.zeros((1, 3)), h, XOR[:2])
    with pytest.raises(ValueError, match="positive probabilities"):
        log_odds_departure([[[1.0, 0, 0, 0], [0, 1.0, 0, 0]]], np.zeros((1, 2, 2)))
    with pytest.raises(ValueError, match="depend on the input"):
        log_odds_departure(np.full((1, 2, 4), 0.25), np.zeros((1, 2, 2)))
    with pytest.raises(ValueError, match="fields of shape"):
        log_odds_departure(np.full((1, 2, 4), 0.25), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="positive probabilities"):
        with_linear_log_odds([[[1.0, 0, 0, 0], [0, 1.0, 0, 0]]])
