"""SGD on Gaussian features: closed forms, exact identities, Monte Carlo with error bars."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replica.kernels.power_laws import power_law_spectrum
from replica.kernels.sgd import (
    critical_learning_rate,
    fixed_compute_loss,
    isotropic_loss,
    isotropic_optimal_rate,
    sgd_loss_at,
    sgd_loss_curve,
    sgd_noise_floor,
    sgd_noise_sum,
    sgd_transition_matrix,
)
from replica.kernels.sgd_simulation import excess_loss, sgd_on_gaussian_features
from replica.kernels.trials import mean_and_error

problems = st.tuples(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 20), st.floats(0.05, 0.95))


def random_problem(seed, n):
    rng = np.random.default_rng(seed)
    return np.exp(rng.normal(size=n)), rng.random(n)


@settings(max_examples=60, deadline=None)
@given(problems, st.floats(0, 2), st.floats(0.3, 3))
def test_recursion_is_the_matrix_power(problem, noise, alpha):
    seed, n, m, fraction = problem
    lam, power = random_problem(seed, n)
    eta = fraction * critical_learning_rate(lam, m, alpha)
    a = sgd_transition_matrix(lam, eta, m, alpha)
    np.testing.assert_array_equal(a, a.T)
    curve = sgd_loss_curve(lam, power, eta, m, 30, noise_var=noise, alpha=alpha)
    for t in (0, 1, 7, 30):
        a_t = np.linalg.matrix_power(a, t)
        kick = eta**2 * noise / m * lam @ np.linalg.solve(np.eye(n) - a, (np.eye(n) - a_t) @ lam)
        np.testing.assert_allclose(curve[t], lam @ a_t @ power + kick, rtol=1e-9)
    times = np.array([0, 1, 7, 30.0])
    real = sgd_loss_at(times, lam, power, eta, m, noise_var=noise, alpha=alpha)
    np.testing.assert_allclose(real, curve[[0, 1, 7, 30]], rtol=1e-8)


@settings(max_examples=60, deadline=None)
@given(problems, st.floats(0.3, 3))
def test_critical_rate_is_where_the_spectral_radius_crosses_one(problem, alpha):
    seed, n, m, _ = problem
    lam, _ = random_problem(seed, n)
    eta = critical_learning_rate(lam, m, alpha)
    assert sgd_noise_sum(lam, eta, m, alpha) == pytest.approx(1, rel=1e-6)
    below, at, above = (np.linalg.eigvalsh(sgd_transition_matrix(lam, f * eta, m, alpha))[-1] for f in (0.99, 1, 1.01))
    assert at == pytest.approx(1, abs=1e-9)
    assert above > 1
    assert below < 1


@pytest.mark.parametrize("m", [1, 8])
def test_isotropic_closed_forms(m):
    n = 30
    lam, power = np.ones(n), np.full(n, 1 / n)
    best = float(isotropic_optimal_rate(n, m))
    for eta in (0.3 * best, best, 1.7 * best):
        np.testing.assert_allclose(
            sgd_loss_curve(lam, power, eta, m, 50), isotropic_loss(np.arange(51), n, eta, m), rtol=1e-11
        )
    assert critical_learning_rate(lam, m) == pytest.approx(2 * best, rel=1e-10)
    assert isotropic_loss(1, n, best, m) == pytest.approx(1 - m / (m + n + 1))
    assert isotropic_loss(1, n, best, m) < min(isotropic_loss(1, n, f * best, m) for f in (0.99, 1.01))


def test_isotropic_optimum_at_fixed_compute_is_one_sample_for_any_fraction_of_the_best_rate():
    # L = [1 - s m/(m + N + 1)]^(C/m) with s = c (2 - c); its logarithm is -C int_{1-s}^1 du/(N + 1 + m u).
    n, m = 40, np.arange(1, 12)
    for c in (0.1, 0.5, 1.0, 1.5):
        eta = c * isotropic_optimal_rate(n, m)
        loss = fixed_compute_loss(np.ones(n), np.full(n, 1 / n), eta, m, 60)
        u = np.linspace(1 - c * (2 - c), 1, 20001)
        integral = np.array([np.trapezoid(1 / (n + 1 + b * u), u) for b in m])
        np.testing.assert_allclose(loss, np.exp(-60 * integral), rtol=1e-7)
        assert (np.diff(loss) > 0).all()


def test_large_batches_decouple_the_modes():
    lam, power = random_problem(3, 9)
    eta = 0.8 / lam.max()
    t = np.arange(21)[:, None]
    free = ((1 - eta * lam) ** (2 * t) * lam * power).sum(axis=1)
    np.testing.assert_allclose(sgd_loss_curve(lam, power, eta, np.inf, 20), free, rtol=1e-12)
    np.testing.assert_allclose(sgd_loss_curve(lam, power, eta, 10**9, 20), free, rtol=1e-6)
    assert critical_learning_rate(lam, np.inf) == pytest.approx(2 / lam.max())
    assert critical_learning_rate(lam, 10**9) == pytest.approx(2 / lam.max(), rel=1e-6)


def test_renewal_equation():
    """L_t = P_t + sum K_(t-s) L_s, whose kernel sums to S: the same number as in stability and noise floor."""
    lam, power = power_law_spectrum(30, 2, 1.5)
    eta, m, steps = 0.4, 1, 60
    decay = 1 - 2 * eta * lam + (1 + 1 / m) * (eta * lam) ** 2
    free = np.array([(lam * power * decay**t).sum() for t in range(steps + 1)])
    kernel = np.array([eta**2 / m * (lam**2 * decay**t).sum() for t in range(steps)])
    loss = np.empty(steps + 1)
    for t in range(steps + 1):
        loss[t] = free[t] + kernel[:t][::-1] @ loss[:t]
    np.testing.assert_allclose(loss, sgd_loss_curve(lam, power, eta, m, steps), rtol=1e-12)
    whole = eta**2 / m * (lam**2 / (1 - decay)).sum()
    assert whole == pytest.approx(sgd_noise_sum(lam, eta, m), rel=1e-12)


@pytest.mark.parametrize("m", [1, 5])
def test_noise_floor_is_the_limit_and_the_stationary_state(m):
    lam, power = power_law_spectrum(20, 2, 1.2)
    eta = 0.6 * critical_learning_rate(lam, m)
    floor = sgd_noise_floor(lam, eta, m, 0.3)
    a = sgd_transition_matrix(lam, eta, m)
    solved = eta**2 * 0.3 / m * lam @ np.linalg.solve(np.eye(20) - a, lam)
    assert floor == pytest.approx(solved, rel=1e-9)
    assert sgd_loss_curve(lam, power, eta, m, 5000, noise_var=0.3)[-1] == pytest.approx(floor, rel=1e-6)
    assert sgd_noise_floor(lam, 1.01 * critical_learning_rate(lam, m), m, 0.3) == np.inf
    assert sgd_noise_floor(lam, 3 / lam.max(), m, 0.3) == np.inf
    assert sgd_noise_floor(lam, eta, np.inf, 0.3) == 0


def test_several_rates_and_batches_at_once():
    lam, power = random_problem(1, 6)
    etas, ms = np.array([[0.01], [0.05]]), np.array([1, 4, np.inf])
    together = sgd_loss_curve(lam, power, etas, ms, 12, noise_var=0.1)
    assert together.shape == (2, 3, 13)
    for i, j in np.ndindex(2, 3):
        alone = sgd_loss_curve(lam, power, etas[i, 0], ms[j], 12, noise_var=0.1)
        np.testing.assert_allclose(together[i, j], alone, rtol=1e-13)


@pytest.mark.parametrize(("m", "noise"), [(1, 0.0), (4, 0.2)])
def test_brute_force_with_error_bars(m, noise):
    """Weights are started at zero and every mode's second moment follows the recursion."""
    lam, power = power_law_spectrum(12, 2, 1.5)
    rng, record = np.random.default_rng(7), np.array([1, 3, 10, 40])
    delta = sgd_on_gaussian_features(lam, np.sqrt(power), 0.2, m, record, 20_000, rng, noise_var=noise)
    mean, error = mean_and_error(excess_loss(delta, lam))
    theory = sgd_loss_curve(lam, power, 0.2, m, 40, noise_var=noise)[record]
    # Eight comparisons in all: four standard errors are passed by chance in 1 of 2000 runs.
    assert (np.abs(mean - theory) < 4 * error).all()
    assert (error < 0.02 * theory).all()


def test_kurtosis_three_is_gaussian():
    lam, power = power_law_spectrum(15, 2, 1.5)
    np.testing.assert_array_equal(
        sgd_loss_curve(lam, power, 0.2, [1, 4], 20, kurtosis=np.full(15, 3)),
        sgd_loss_curve(lam, power, 0.2, [1, 4], 20),
    )


def test_a_larger_constant_is_an_upper_bound():
    lam, power = power_law_spectrum(15, 2, 1.5)
    curves = [sgd_loss_curve(lam, power, 0.1, 1, 40, alpha=a) for a in (0.5, 1, 2)]
    assert (np.diff(curves, axis=0)[:, 1:] > 0).all()


def test_bad_input_is_refused():
    lam, v = [1.0, 0.5], [1.0, 1.0]
    for call, words in [
        (lambda: sgd_loss_curve(lam, [1.0], 0.1, 1, 5), "target_power"),
        (lambda: sgd_loss_curve(lam, [1.0, -1.0], 0.1, 1, 5), "target_power"),
        (lambda: sgd_loss_curve([1.0, -0.5], v, 0.1, 1, 5), ">= 0"),
        (lambda: sgd_loss_curve(lam, v, 0.0, 1, 5), "learning_rate"),
        (lambda: sgd_loss_curve(lam, v, 0.1, 0, 5), "batch_size"),
        (lambda: sgd_loss_curve(lam, v, 0.1, 1.5, 5), "batch_size"),
        (lambda: sgd_loss_curve(lam, v, 0.1, 1, -1), "steps"),
        (lambda: sgd_loss_curve(lam, v, 0.1, 1, 5, noise_var=-1), "noise_var"),
        (lambda: sgd_loss_curve(lam, v, 0.1, 1, 5, alpha=0), "alpha"),
        (lambda: sgd_loss_curve(lam, v, 0.1, 1, 5, kurtosis=[3, 0.5]), "kurtosis"),
        (lambda: sgd_loss_curve(lam, v, 0.1, 1, 5, kurtosis=[3, 3], alpha=2), "kurtosis"),
        (lambda: sgd_loss_at([-1], lam, v, 0.1, 1), "times"),
        (lambda: fixed_compute_loss(lam, v, 0.1, [np.inf], 10), "finite"),
        (lambda: critical_learning_rate(lam, 0), "batch_size"),
    ]:
        with pytest.raises(ValueError, match=words):
            call()
