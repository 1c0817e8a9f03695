"""Components: unitary for all arguments, equal to their factors, and the states they are named for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replica.optics.components import beam_splitter, check_sigma, mzi_matrix, phase_shifter, reflectivity

ANGLES = st.floats(-10, 10)
REFLECTIVITIES = st.floats(0, 1)


@given(ANGLES, ANGLES, REFLECTIVITIES, REFLECTIVITIES)
def test_interferometer_is_unitary_and_the_product_of_its_parts(theta, phi, r1, r2):
    matrix = mzi_matrix(theta, phi, r1, r2)
    parts = beam_splitter(r2) @ phase_shifter(theta) @ beam_splitter(r1) @ phase_shifter(phi)
    np.testing.assert_allclose(matrix, parts, atol=1e-13)
    np.testing.assert_allclose(matrix.conj().T @ matrix, np.eye(2), atol=1e-13)


@given(ANGLES, ANGLES)
def test_closed_form_with_ideal_splitters(theta, phi):
    s, c, outer = np.sin(theta / 2), np.cos(theta / 2), np.exp(1j * phi)
    expected = 1j * np.exp(0.5j * theta) * np.array([[outer * s, c], [outer * c, -s]])
    np.testing.assert_allclose(mzi_matrix(theta, phi), expected, atol=1e-13)
    np.testing.assert_allclose(np.abs(expected[0, 0]) ** 2, reflectivity(theta), atol=1e-13)


def test_cross_and_bar_states():
    np.testing.assert_allclose(np.abs(mzi_matrix(0.0, 0.3)), [[0, 1], [1, 0]], atol=1e-15)
    np.testing.assert_allclose(np.abs(mzi_matrix(np.pi, 0.3)), np.eye(2), atol=1e-15)


def test_arguments_broadcast():
    assert mzi_matrix(np.zeros((4, 1)), np.zeros(3), 0.5).shape == (4, 3, 2, 2)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: mzi_matrix(np.nan, 0.0), "theta must be finite; 1 of 1"),
        (lambda: mzi_matrix(0.0, np.inf), "phi must be finite"),
        (lambda: mzi_matrix(0.0, 0.0, 1.2), r"r1 is an amplitude reflectivity in \[0, 1\]; got values from 1.2"),
        (lambda: beam_splitter(-0.1), "r is an amplitude reflectivity"),
        (lambda: phase_shifter([0.0, np.nan]), "theta must be finite; 1 of 2"),
        (lambda: check_sigma("sigma_ps", -0.1), "sigma_ps is a standard deviation: expected a finite number >= 0"),
        (lambda: check_sigma("sigma_bs", np.nan), "sigma_bs is a standard deviation"),
    ],
)
def test_bad_input_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
