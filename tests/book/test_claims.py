"""Judging: bounds, tolerances, what is refused, and what is written."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replica.book.claims import (
    clean,
    expectation_text,
    finalise,
    format_value,
    judge,
    missing,
    read_claims,
    record,
    write_claims,
)
from replica.book.errors import ClaimValueError
from replica.book.manifest import Claim, Expectation, load_manifest

from .toy import MANIFEST

finite = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e100, max_value=1e100)


def claim(**changes):
    fields = {"statement": "Something.", "basis": "paper", "source": "Eq. 1", "expect": {"equals": 2, "atol": 0.1}}
    return Claim.model_validate({**fields, **changes})


@given(target=finite, offset=st.floats(0, 3), sign=st.sampled_from([-1, 1]))
def test_atol_is_met_exactly_within_the_tolerance(target, offset, sign):
    value = target + sign * offset
    expect = Expectation(equals=target, atol=1.0)
    assert judge(expect, value) == (abs(value - target) <= 1.0)


@given(target=finite.filter(lambda x: abs(x) > 1e-100), factor=st.floats(0.5, 1.5))
def test_rtol_scales_with_the_expected_value(target, factor):
    expect = Expectation(equals=target, rtol=0.1)
    assert judge(expect, target * factor) == (abs(target * factor - target) <= 0.1 * abs(target))


@given(value=finite, bound=finite)
def test_bounds(value, bound):
    assert judge(Expectation(at_least=bound), value) == (value >= bound)
    assert judge(Expectation(at_most=bound), value) == (value <= bound)


@pytest.mark.parametrize(("value", "met"), [(0.99, False), (1.0, True), (1.5, True), (2.0, True), (2.01, False)])
def test_between_includes_its_ends(value, met):
    assert judge(Expectation(between=(1, 2)), value) is met


def test_lists_are_judged_entry_by_entry():
    expect = Expectation(equals=[1.0, 2.0], atol=0.1)
    assert judge(expect, np.array([1.05, 1.95]))
    assert not judge(expect, [1.05, 1.8])


def test_holds():
    assert judge(Expectation(holds=True), np.bool_(True))
    assert not judge(Expectation(holds=True), False)


SPOILED = [
    (Expectation(equals=1, atol=1), math.nan, "finite"),
    (Expectation(equals=1, atol=1), math.inf, "finite"),
    (Expectation(at_least=1), math.inf, "finite"),
    (Expectation(at_most=1), -math.inf, "finite"),
    (Expectation(equals=1, atol=1), [1.0], "a single number"),
    (Expectation(equals=1, atol=1), np.ones((2, 2)), "a single number"),
    (Expectation(equals=[1.0, 2.0], atol=1), 1.0, r"shape \(2,\)"),
    (Expectation(equals=[1.0, 2.0], atol=1), [1.0, math.nan], "finite"),
    (Expectation(at_least=0), True, "a real number"),
    (Expectation(at_least=0), "3", "a real number"),
    (Expectation(at_least=0), None, "a real number"),
    (Expectation(at_least=0), 1 + 2j, "a real number"),
    (Expectation(holds=True), 1, "True or False"),
    (Expectation(holds=True), [True, True], "True or False"),
]


@pytest.mark.parametrize(("expect", "value", "words"), SPOILED)
def test_what_cannot_be_judged_is_an_error_and_not_a_pass(expect, value, words):
    with pytest.raises(ClaimValueError, match=words):
        judge(expect, value)
    with pytest.raises(ClaimValueError):
        clean(expect, value)


def test_verdicts():
    assert record("c", claim(), "quick", 2.05).verdict == "reproduced"
    assert record("c", claim(), "quick", 2.2).verdict == "failed"
    assert record("c", claim(), "smoke", 2.2).verdict == "failed"  # what is deterministic is judged at smoke too
    assert record("c", claim(statistical=True), "smoke", 2.2).verdict == "unjudged"
    assert record("c", claim(statistical=True), "quick", 2.2).verdict == "failed"
    assert missing("c", claim()).verdict == "missing"


def test_a_known_discrepancy_counts_as_not_reproduced_and_a_surprise_is_noted():
    known = claim(known_discrepancy="The paper's axis is off by two.")
    assert (record("c", known, "quick", 5).verdict, record("c", known, "quick", 5).surprise) == ("discrepancy", False)
    assert (record("c", known, "quick", 2).verdict, record("c", known, "quick", 2).surprise) == ("discrepancy", True)


def test_a_statistical_claim_on_one_seed_says_so():
    assert record("c", claim(statistical=True), "quick", 2.0).note == "measured on one seed"
    several = record("c", claim(statistical=True), "quick", 2.0, spread=0.1, seeds=5)
    assert several.note is None
    assert several.value_text == "2 ± 0.1"


@pytest.mark.parametrize("spread", [math.nan, -1.0])
def test_a_senseless_spread_is_refused(spread):
    with pytest.raises(ClaimValueError, match="spread"):
        record("c", claim(), "quick", 2.0, spread=spread)


def test_texts():
    assert expectation_text(Expectation(equals=32, rtol=1e-8)) == "32 ± 1e-08 (relative)"
    assert expectation_text(Expectation(between=(3.9, 4))) == "in [3.9, 4]"
    assert expectation_text(Expectation(holds=True)) == "holds"
    fine = claim(expect={"equals": 2.463469123, "atol": 1e-9})
    assert record("c", fine, "quick", 2.463469124).value_text == "2.463469124"  # as many digits as are judged
    assert format_value(True) == "holds"
    assert format_value([1.0, 2.5]) == "[1, 2.5]"


def test_finalise_adds_what_the_run_never_checked(tmp_path):
    path = tmp_path / "toy-law.yml"
    path.write_text(MANIFEST)
    manifest = load_manifest(path)
    write_claims(tmp_path, "toy-law", "quick", [record("rough", manifest.claims["rough"], "quick", 0.0, seeds=3)])
    records = finalise(tmp_path, manifest, "quick")
    assert [(entry.id, entry.verdict) for entry in records] == [("two", "missing"), ("rough", "reproduced")]
    assert read_claims(tmp_path) == records
    assert json.loads((tmp_path / "claims.json").read_text())["slug"] == "toy-law"
