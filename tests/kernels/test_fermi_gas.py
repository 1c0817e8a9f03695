"""The canonical ensemble against brute force over all data sets of a tiny domain."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replica.kernels.fermi_gas import canonical_occupation, log_elementary_symmetric
from replica.kernels.learning_curves import learnability, solve_kappa


def test_elementary_symmetric_polynomials_against_the_definition():
    values = np.array([0.3, 2.0, 1.1, 0.0, 5.0])
    exact = [sum(np.prod(c) for c in itertools.combinations(values, k)) for k in range(6)]
    np.testing.assert_allclose(np.exp(log_elementary_symmetric(values, 5)), exact, rtol=1e-12)


def test_large_polynomials_do_not_overflow():
    logs = log_elementary_symmetric(np.full(3000, 1e9), 1500)
    assert np.isfinite(logs).all()
    assert logs[1] == pytest.approx(np.log(3000e9))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-20, 20), min_size=1, max_size=15), st.integers(0, 15))
def test_occupations_are_probabilities_that_sum_to_n(logs, n):
    n = min(n, len(logs))
    p = canonical_occupation(np.exp(logs), n)
    assert p.sum() == pytest.approx(n, abs=1e-9)
    assert ((p >= 0) & (p <= 1 + 1e-12)).all()


@pytest.mark.parametrize("n", [1, 3, 5])
def test_enumeration_of_every_data_set(n):
    """Over all M^n data sets (repetitions have determinant 0): E det = n! e_n, and the weighted learnability."""
    m = 6
    rng = np.random.default_rng(n)
    lam = np.exp(-np.arange(m) * 0.7)
    basis = np.linalg.qr(rng.normal(size=(m, m)))[0] * np.sqrt(m)  # orthonormal under the uniform measure
    gram = (basis * lam) @ basis.T
    sets = np.array(list(itertools.product(range(m), repeat=n)))
    k = gram[sets[:, :, None], sets[:, None, :]]
    det = np.linalg.det(k)
    distinct = np.array([len(set(s)) == n for s in sets])
    np.testing.assert_allclose(det[~distinct], 0, atol=1e-12)
    expected = np.exp(log_elementary_symmetric(lam, n)[n] + np.log(np.arange(1, n + 1)).sum())
    assert det.mean() == pytest.approx(expected, rel=1e-10)
    features = basis[sets[distinct]]
    learned = lam * np.einsum("tni,tni->ti", features, np.linalg.solve(k[distinct], features))
    weighted = det[distinct] @ learned / det[distinct].sum()
    np.testing.assert_allclose(weighted, canonical_occupation(lam, n), rtol=1e-9)


def test_many_particles_are_the_grand_canonical_ensemble():
    lam = np.exp(-np.linspace(0, 8, 400))
    grand = learnability(lam, solve_kappa(lam, 100))
    np.testing.assert_allclose(canonical_occupation(lam, 100), grand, atol=2e-3)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="n must be"):
        canonical_occupation([1.0, 0.5, 0.0], 3)
    with pytest.raises(ValueError, match="n must be"):
        canonical_occupation([1.0, 0.5], 1.5)
    with pytest.raises(ValueError, match=">= 0"):
        log_elementary_symmetric([-1.0], 1)
    with pytest.raises(ValueError, match="max_order"):
        log_elementary_symmetric([1.0], -1)
