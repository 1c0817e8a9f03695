"""Random features: their covariance, the target in it, and the SGD it governs."""

from __future__ import annotations

import numpy as np
import pytest

from replica.kernels.fully_connected import wide_network_gram
from replica.kernels.random_features import (
    mode_kurtosis,
    random_features,
    target_spectrum,
    unit_rows,
    unit_top_eigenvalue,
)


def test_many_relu_features_have_the_arc_cosine_kernel():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 5))
    psi = random_features(x, 200_000, rng, weight_var=2.0)
    gram = wide_network_gram(x, hidden_layers=1, weight_var=2.0, bias_var=0.0, readout_weight_var=1.0).nngp
    # Each entry is a mean of 2e5 products of order one.
    np.testing.assert_allclose(psi @ psi.T / 200_000, gram, atol=0.05)


@pytest.mark.parametrize(("points", "count"), [(40, 12), (12, 40)])
def test_target_spectrum_by_other_means(points, count):
    rng = np.random.default_rng(1)
    psi = random_features(rng.normal(size=(points, 6)), count, rng, activation="tanh")
    y = rng.normal(size=points)
    found = target_spectrum(psi, y)
    sigma = psi.T @ psi / points
    values, vectors = np.linalg.eigh(sigma)
    np.testing.assert_allclose(found.eigenvalues, values[::-1][: found.eigenvalues.size], rtol=1e-6, atol=1e-12)
    best = np.linalg.lstsq(psi, y, rcond=None)[0]
    np.testing.assert_allclose(found.weights, best, rtol=1e-6, atol=1e-8)
    top = vectors[:, ::-1][:, : found.eigenvalues.size]
    np.testing.assert_allclose(found.target_power, (top.T @ best) ** 2, rtol=1e-5, atol=1e-9)
    assert found.residual == pytest.approx(np.mean((psi @ best - y) ** 2), abs=1e-12)
    assert found.mode_power.sum() + found.residual == pytest.approx(np.mean(y**2))


def test_scaling_and_centring():
    rng = np.random.default_rng(2)
    x = unit_rows(rng.normal(size=(30, 4)))
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1)
    for count in (8, 50):
        psi = random_features(x, count, np.random.default_rng(3), subtract_mean=True)
        assert abs(psi.mean()) < 1e-15
        scaled = unit_top_eigenvalue(psi)
        assert target_spectrum(scaled, np.ones(30)).eigenvalues[0] == pytest.approx(1, rel=1e-12)
        np.testing.assert_allclose(scaled / scaled[0, 0], psi / psi[0, 0])


def test_bad_input_is_refused():
    rng = np.random.default_rng(0)
    for call, words in [
        (lambda: random_features(np.ones(3), 2, rng), "matrix"),
        (lambda: random_features(np.ones((3, 2)), 2, rng, activation="gelu"), "activation"),
        (lambda: random_features(np.ones((3, 2)), 0, rng), "count"),
        (lambda: unit_rows(np.zeros((2, 2))), "zeros"),
        (lambda: unit_top_eigenvalue(np.zeros((2, 2))), "not zero"),
        (lambda: mode_kurtosis(np.ones((3, 2)), 2), "rank"),
        (lambda: target_spectrum(np.ones((3, 2)), np.ones(2)), "labels"),
    ]:
        with pytest.raises(ValueError, match=words):
            call()
