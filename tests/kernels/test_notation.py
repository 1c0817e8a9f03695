"""Both groups' formulas, each solved on its own, give the same numbers; the two ways to split the error do not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from replica.kernels.learning_curves import krr_risk
from replica.kernels.notation import power_from_rkhs_weights, to_bordelon_canatar_pehlevan


def as_published(eta, power, samples, ridge, noise, mult):
    """Their equations as they stand, by a root search in their kappa."""

    def excess(log_kappa):
        kappa = np.exp(log_kappa)
        return 1 - ridge / kappa - (mult * eta / (kappa + samples * eta)).sum()

    top = ridge + (mult * eta).sum()
    kappa = np.exp(brentq(excess, np.log(ridge) - 1, np.log(top) + 1, xtol=1e-14, rtol=1e-14))
    gamma = samples * (mult * eta**2 / (kappa + samples * eta) ** 2).sum()
    modes = (kappa**2 * power + noise * samples * mult * eta**2) / (kappa + samples * eta) ** 2 / (1 - gamma)
    return kappa, gamma, modes, (ridge / kappa) ** 2 * (modes.sum() + noise)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-12, 2), st.floats(0, 3), st.integers(1, 50)), min_size=1, max_size=12),
    st.floats(0.5, 300), st.floats(-6, 3), st.floats(0, 2),
)  # fmt: skip
def test_the_two_notations_give_the_same_numbers(levels, samples, log_ridge, noise):
    log_eta, power, mult = (np.array(column, dtype=float) for column in zip(*levels, strict=True))
    eta, ridge = np.exp(log_eta), np.exp(log_ridge)
    kappa, gamma, modes, train = as_published(eta, power, samples, ridge, noise, mult)
    ours = krr_risk(eta, power, samples, ridge, noise, mult)
    theirs = to_bordelon_canatar_pehlevan(ours)
    assert theirs.kappa == pytest.approx(kappa, rel=1e-9)
    assert theirs.gamma == pytest.approx(gamma, rel=1e-8)
    np.testing.assert_allclose(theirs.mode_errors, modes, rtol=1e-7, atol=1e-14)
    assert theirs.generalization_error == pytest.approx(modes.sum(), rel=1e-7, abs=1e-12)
    assert theirs.train_error == pytest.approx(train, rel=1e-7, abs=1e-12)
    assert theirs.mode_errors.sum() == pytest.approx(ours.mode_errors.sum(), rel=1e-7, abs=1e-12)


def test_the_form_of_the_first_paper():
    eta, samples, ridge = np.arange(1, 40.0) ** -1.5, 12, 0.05
    weights = np.cos(np.arange(39.0))
    theirs = to_bordelon_canatar_pehlevan(krr_risk(eta, power_from_rkhs_weights(eta, weights), samples, ridge))
    t = theirs.kappa - ridge
    inverse = 1 / (1 / eta + samples / (ridge + t))
    assert t == pytest.approx(inverse.sum(), rel=1e-10)
    inflation = 1 / (1 - samples * (inverse**2).sum() / (ridge + t) ** 2)
    np.testing.assert_allclose(theirs.mode_errors, weights**2 / eta * inverse**2 * inflation, rtol=1e-9)


def test_white_spectrum_in_closed_form():
    # N equal eigenvalues 1/N at alpha = P/N (arXiv 2006.13198, the band-limited case).
    size, ridge, noise = 50, 0.3, 0.4
    alpha = np.array([0.2, 0.9, 1.0, 3.0])
    root = np.sqrt((1 + ridge - alpha) ** 2 + 4 * ridge * alpha)
    kappa = (1 + ridge - alpha + root) / 2
    error = (kappa**2 + noise * alpha) / ((kappa + alpha) ** 2 - alpha)
    theirs = to_bordelon_canatar_pehlevan(krr_risk([1 / size], [1.0], alpha * size, ridge, noise, [size]))
    np.testing.assert_allclose(theirs.kappa, kappa, rtol=1e-10)
    np.testing.assert_allclose(theirs.generalization_error, error, rtol=1e-9)


def test_shapes_with_several_sizes_and_targets():
    eta, power = np.array([1.0, 0.3, 0.01]), np.ones((2, 3))
    prediction = krr_risk(eta, power, np.array([3.0, 10.0])[:, None], np.array([0.1, 0.2, 0.3]), 0.1, [1, 4, 20])
    theirs = to_bordelon_canatar_pehlevan(prediction)
    assert theirs.kappa.shape == (2, 3)
    assert theirs.mode_errors.shape == prediction.mode_errors.shape == (2, 3, 2, 3)
    np.testing.assert_allclose(theirs.mode_errors.sum(-1), theirs.generalization_error, rtol=1e-10)
    np.testing.assert_allclose(prediction.mode_errors.sum(-1), theirs.generalization_error, rtol=1e-10)


def test_errors_of_coefficients_against_regression_on_gaussian_features():
    """A target in mode 0 alone: the error leaks into all modes, which the split by cause does not show."""
    rng, n, ridge, trials = np.random.default_rng(0), 40, 0.05, 400
    lam = np.repeat([0.2, 0.02, 0.002], [5, 50, 200])
    target = np.eye(1, lam.size).ravel()
    features = rng.standard_normal((trials, n, lam.size))
    labels = features @ target + 0.3 * rng.standard_normal((trials, n))
    gram = (features * lam) @ features.transpose(0, 2, 1) + ridge * np.eye(n)
    learned = lam * np.einsum("tnl,tn->tl", features, np.linalg.solve(gram, labels[..., None])[..., 0])
    levels = np.add.reduceat((learned - target) ** 2, [0, 5, 55], axis=1)
    prediction = krr_risk([0.2, 0.02, 0.002], [1.0, 0, 0], n, ridge, 0.09, [5, 50, 200])
    error = levels.std(axis=0, ddof=1) / trials**0.5
    # corrections are of relative order 1/n
    assert (np.abs(levels.mean(axis=0) - prediction.mode_errors) < 4 * error + prediction.mode_errors / n).all()
    by_cause = to_bordelon_canatar_pehlevan(prediction).mode_errors
    assert (np.abs(levels.mean(axis=0) - by_cause)[1:] > 10 * error[1:]).all()


def test_weights_are_checked():
    with pytest.raises(ValueError, match="one for each eigenvalue; got shape"):
        power_from_rkhs_weights([1.0, 0.5], [1.0])
