"""Parameters: read from the notebook, overridden by profile and command line, refused when they do not fit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replica.book.catalogue import find
from replica.book.errors import NotebookError, ParameterError
from replica.book.notebook_text import read_notebook
from replica.book.profiles import apply, declared, parameters_cell, resolve

from .toy import MANIFEST, NOTEBOOK


@pytest.fixture
def entry(make_project):
    make_project(("kernels", "toy-law", NOTEBOOK, MANIFEST))
    return find("toy-law")


def test_each_profile(entry):
    manifest = entry.manifest()
    assert resolve(entry, manifest, "quick") == {"seed": 0, "trials": 4, "width": 1.0}
    assert resolve(entry, manifest, "smoke")["trials"] == 2
    assert resolve(entry, manifest, "paper", {"width": "2"}) == {"seed": 0, "trials": 100, "width": 2.0}


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"trails": "3"}, "no parameter 'trails'.*Did you mean trials.*seed.*trials.*width"),
        ({"trials": "many"}, "trials.*expected int.*'many'"),
        ({"trials": "2.5"}, "trials.*expected int.*2.5"),
        ({"trials": "true"}, "trials.*expected int.*True"),
        ({"width": "wide"}, "width.*expected float"),
    ],
)
def test_overrides_that_do_not_fit_are_refused(entry, overrides, words):
    with pytest.raises(ParameterError, match=words):
        resolve(entry, entry.manifest(), "quick", overrides)


def test_an_unknown_profile_is_refused(entry):
    with pytest.raises(ParameterError, match=r"smoke, quick, paper.*'full'"):
        resolve(entry, entry.manifest(), "full")


def test_a_profile_of_the_manifest_is_checked_too(entry):
    entry.manifest_path.write_text(MANIFEST.replace("smoke: {trials: 2}", "smoke: {trails: 2}"))
    with pytest.raises(ParameterError, match=r"profiles.smoke of toy-law.yml"):
        resolve(entry, entry.manifest(), "smoke")


def test_the_parameters_cell_holds_what_runs_and_keeps_its_comments(entry):
    notebook = read_notebook(entry.notebook)
    changed = apply(notebook, {"seed": 0, "trials": 7, "width": 1.0})
    assert parameters_cell(changed).source.splitlines() == [
        "seed: int = 0  # seed of all random numbers",
        "trials: int = 7  # how many",
        "width: float = 1.0",
    ]
    assert "trials: int = 4" in parameters_cell(notebook).source  # the original is untouched


@given(value=st.one_of(st.text(), st.lists(st.integers())))
def test_any_value_survives_being_written_into_the_cell(value):
    from nbformat.v4 import new_code_cell, new_notebook

    annotation, default = ("str", "'a # b'") if isinstance(value, str) else ("list[int]", "[\n    1,  # one\n    2,\n]")
    cell = new_code_cell(f"x: {annotation} = {default}  # said\nseed: int = 0", metadata={"tags": ["parameters"]})
    changed = apply(new_notebook(cells=[cell]), {"x": value})
    assert declared(changed)["x"].value == value
    assert declared(changed)["seed"].value == 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("trials = 4", "name: type = value"),
        ("trials: int = 2 + 2", "plain value"),
        ("trials: complex = 4", "expected a type among"),
        ("trials: int = 4.5", "expected int"),
    ],
)
def test_a_parameters_cell_that_cannot_be_checked_is_refused(entry, line, words):
    entry.notebook.write_text(NOTEBOOK.replace("trials: int = 4  # how many", line))
    with pytest.raises((NotebookError, ParameterError), match=words):
        declared(read_notebook(entry.notebook))


def test_one_parameters_cell_is_demanded(entry):
    entry.notebook.write_text(NOTEBOOK.replace(":tags: [parameters]", ":tags: [other]"))
    with pytest.raises(NotebookError, match="exactly one cell tagged 'parameters'; came 0"):
        declared(read_notebook(entry.notebook))
