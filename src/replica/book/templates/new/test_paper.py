"""The numerical core of the paper @SLUG@ against closed forms, brute force or conservation laws."""

import pytest


def test_core_is_tested_against_something_independent():
    pytest.fail(
        "tests/papers/test_@MODULE@.py is still to fill in: test the numerical core of @SLUG@ against a closed form, "
        "brute force on a tiny case, a conservation law or a limit"
    )
