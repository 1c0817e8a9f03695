"""Kernel ridge regression against scikit-learn, against its own definition, and at the door."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge

from replica.kernels.regression import kernel_ridge_coefficients, kernel_ridge_predict


def rbf(a, b):
    return np.exp(-((a[..., :, None, :] - b[..., None, :, :]) ** 2).sum(-1))


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    train, test = rng.normal(size=(4, 12, 3)), rng.normal(size=(4, 7, 3))
    return rbf(train, train), rbf(test, train), rng.normal(size=(4, 12, 2))


@pytest.mark.parametrize("ridge", [1e-6, 0.1, 3.0])
def test_agrees_with_scikit_learn(problem, ridge):
    k, k_test, y = problem
    ours = kernel_ridge_predict(k, k_test, y, ridge)
    for i in range(len(k)):
        theirs = KernelRidge(alpha=ridge, kernel="precomputed").fit(k[i], y[i]).predict(k_test[i])
        np.testing.assert_allclose(ours[i], theirs, rtol=1e-7, atol=1e-9)


def test_zero_ridge_interpolates(problem):
    k, _, y = problem
    np.testing.assert_allclose(kernel_ridge_predict(k, k, y), y, atol=1e-8)


def test_one_target_and_several_agree_for_one_data_set_and_a_stack(problem):
    k, k_test, y = problem
    stack = kernel_ridge_predict(k, k_test, y, 0.1)
    assert stack.shape == (4, 7, 2)
    np.testing.assert_allclose(kernel_ridge_predict(k, k_test, y[..., 0], 0.1), stack[..., 0])
    np.testing.assert_allclose(kernel_ridge_predict(k[1], k_test[1], y[1], 0.1), stack[1])
    np.testing.assert_allclose(kernel_ridge_predict(k[1], k_test[1], y[1, :, 1], 0.1), stack[1, :, 1])


def test_coefficients_solve_the_normal_equations(problem):
    k, _, y = problem
    a = kernel_ridge_coefficients(k, y, 0.5)
    np.testing.assert_allclose(k @ a + 0.5 * a, y, atol=1e-10)


def test_a_large_ridge_shrinks_to_the_kernel_average(problem):
    k, k_test, y = problem
    np.testing.assert_allclose(1e8 * kernel_ridge_predict(k, k_test, y, 1e8), k_test @ y, rtol=1e-5, atol=1e-6)


def test_bad_input_is_refused(problem):
    k, k_test, y = problem
    lopsided = k.copy()
    lopsided[0, 0, 1] += 1
    missing = k.copy()
    missing[0, 0, 0] = np.nan
    for arguments, words in [
        ((lopsided, k_test, y), "symmetric"),
        ((missing, k_test, y), "NaN"),
        ((k[..., :5], k_test, y), "square"),
        ((k, k_test, y, -1.0), "ridge must be"),
        ((k, k_test, y, np.nan), "ridge must be"),
        ((k, k_test, y[:, :5]), "targets must have shape"),
        ((k, k_test, np.full_like(y, np.inf)), "targets must be finite"),
        ((k, k_test[..., :5], y), "gram_test must have shape"),
        ((k, np.full_like(k_test, np.nan), y), "gram_test must be finite"),
    ]:
        with pytest.raises(ValueError, match=words):
            kernel_ridge_predict(*arguments)


def test_repeated_points_with_different_labels_are_refused_at_zero_ridge():
    x = np.array([[0.0], [0.0], [1.0]])
    k = rbf(x, x)
    with pytest.raises(ValueError, match="singular to working precision"):
        kernel_ridge_predict(k, k, [1.0, 2.0, 3.0])
    np.testing.assert_allclose(kernel_ridge_predict(k, k, [1.0, 2.0, 3.0], 1e-6)[:2], 1.5, atol=1e-5)


def test_more_points_than_modes_are_refused_at_zero_ridge():
    x = np.random.default_rng(1).normal(size=(6, 2))
    with pytest.raises(ValueError, match="outnumber the kernel's modes"):
        kernel_ridge_predict(x @ x.T, x @ x.T, np.arange(6.0))


def test_a_gram_matrix_of_no_kernel_is_refused():
    k = np.array([[[1.0, 0.2], [0.2, 1.0]], [[1.0, 2.0], [2.0, 1.0]]])  # the second has eigenvalues 3 and -1
    with pytest.raises(ValueError, match="not positive semi-definite: a Gram matrix has the eigenvalue -1"):
        kernel_ridge_coefficients(k, np.ones((2, 2)))


@pytest.mark.parametrize("n", [5, 150])  # small and large systems are solved in different ways
def test_both_ways_to_solve_agree_with_the_spectral_formula(n):
    x = np.random.default_rng(n).normal(size=(2, n, 3))
    k = np.exp(-((x[:, :, None] - x[:, None]) ** 2).sum(-1) / 2)
    y = x[..., :2]
    values, vectors = np.linalg.eigh(k)
    expected = vectors @ ((vectors.transpose(0, 2, 1) @ y) / (values + 0.01)[..., None])
    np.testing.assert_allclose(kernel_ridge_coefficients(k, y, 0.01), expected, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(kernel_ridge_coefficients(k, y[..., 0], 0.01), expected[..., 0], rtol=1e-8, atol=1e-9)
