"""Power laws: what is put in comes out, and the exponents of SGD."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replica.kernels.power_laws import fit_power_law, power_law_spectrum, sgd_exponent, tail_power
from replica.kernels.sgd import sgd_loss_curve, sgd_noise_sum


@given(st.floats(0.1, 4), st.floats(1e-6, 1e6), st.integers(1, 20), st.integers(25, 60))
def test_fit_returns_the_exponent_of_a_pure_power(exponent, scale, start, end):
    y = scale * np.arange(1, 61.0) ** -exponent
    assert fit_power_law(y, start, end) == pytest.approx(exponent, rel=1e-9)
    assert fit_power_law(y, start, end, np.arange(1, 61) * 3.0) == pytest.approx(exponent, rel=1e-9)


@given(st.floats(1.01, 5), st.floats(0.6, 4))
def test_exponent_is_the_smaller_of_the_two(a, b):
    assert sgd_exponent(a, b) == pytest.approx(min((a - 1) / b, 2 - 1 / b))


def test_spectrum_has_the_powers_asked_for():
    lam, v2 = power_law_spectrum(7, 2.5, 1.5)
    k = np.arange(1, 8.0)
    np.testing.assert_allclose(lam, k**-1.5)
    np.testing.assert_allclose(lam * v2, k**-2.5)


@pytest.mark.parametrize(("a", "b"), [(2.0, 2.0), (1.8, 1.6)])
def test_noise_of_sgd_costs_a_factor_and_no_exponent(a, b):
    """From the renewal equation, where the target's tail is slower than the noise: L -> L(m = inf) / (1 - S)."""
    lam, v2 = power_law_spectrum(20_000, a, b)
    eta, steps = 0.2, 4000
    loss, free = sgd_loss_curve(lam, v2, eta, [1, np.inf], steps)[:, -1]
    # The kernel's tail beyond t, of relative weight t^(1/b - 1) = 0.02 to 0.04, has not acted yet.
    assert loss / free == pytest.approx(1 / (1 - sgd_noise_sum(lam, eta, 1)), rel=0.05)


def test_tail_of_a_target():
    p = np.array([4.0, 3.0, 2.0, 1.0])
    np.testing.assert_allclose(tail_power(p), [0.6, 0.3, 0.1, 0.0])
    np.testing.assert_allclose(
        tail_power(p, correct_end=True), np.array([0.6, 0.3, 0.1, 0]) * 4 / (14 - np.arange(1, 5))
    )


def test_bad_input_is_refused():
    for call, words in [
        (lambda: power_law_spectrum(0, 2, 2), "modes"),
        (lambda: power_law_spectrum(5, np.nan, 2), "exponents"),
        (lambda: sgd_exponent(1.0, 2.0), "a > 1"),
        (lambda: fit_power_law([1.0, 2.0], 1, 3), "start < end"),
        (lambda: fit_power_law([1.0, 0.0], 1, 2), "positive"),
        (lambda: tail_power([0.0, 0.0]), "not all zero"),
    ]:
        with pytest.raises(ValueError, match=words):
            call()
