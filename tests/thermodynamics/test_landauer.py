"""Landauer's bound: units, telescoping, and refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import constants

from replica.thermodynamics.landauer import (
    bits_to_joules,
    landauer_bound_bits,
    nats_to_bits,
    nats_to_joules,
    stage_costs_bits,
)

FINITE = st.floats(-1e6, 1e6)


def test_a_bit_at_room_temperature():
    assert bits_to_joules(1.0) == pytest.approx(constants.k * 300 * np.log(2), rel=1e-12)
    assert bits_to_joules(1.0) == pytest.approx(2.871e-21, rel=1e-4)


def test_a_nat_is_more_than_a_bit():
    assert nats_to_joules(1.0, 77.0) == pytest.approx(constants.k * 77, rel=1e-12)
    assert nats_to_bits(np.log(2)) == pytest.approx(1.0)
    assert nats_to_joules(2.5) == pytest.approx(bits_to_joules(nats_to_bits(2.5)))


def test_erasing_a_register_costs_its_entropy():
    assert landauer_bound_bits([8.0, 1.0], 0.0) == pytest.approx([8.0, 1.0])


@given(st.lists(FINITE, min_size=2, max_size=20), FINITE)
def test_stages_telescope(state, fresh):
    costs = stage_costs_bits(fresh, state)
    assert costs.sum() == pytest.approx(fresh * (len(state) - 1) + state[0] - state[-1], abs=1e-6)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: bits_to_joules(1.0, 0.0), "temperature must be positive"),
        (lambda: bits_to_joules(1.0, -3.0), "temperature must be positive"),
        (lambda: nats_to_joules(1.0, np.inf), "temperature must be positive"),
        (lambda: nats_to_joules(np.nan), "must be finite"),
        (lambda: landauer_bound_bits(np.nan, 0.0), "entropy_in_bits is not"),
        (lambda: landauer_bound_bits(0.0, np.inf), "entropy_out_bits is not"),
        (lambda: stage_costs_bits(1.0, [1.0]), "before and after"),
        (lambda: stage_costs_bits([1.0, 2.0], [1.0, 2.0]), "one number or T"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
