"""The command line: JSON that programs can read, and sentences instead of tracebacks."""

import json
import subprocess
import sys

import pytest

from .toy import MANIFEST, NOTEBOOK


@pytest.fixture
def replica(make_project):
    make_project(("kernels", "toy-law", NOTEBOOK, MANIFEST))

    def call(*arguments):
        command = [sys.executable, "-m", "replica.book.cli", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    return call


def test_list_and_show(replica):
    assert [row["slug"] for row in json.loads(replica("list", "--json").stdout)] == ["toy-law"]
    assert "toy-law" in replica("list").stdout
    shown = json.loads(replica("show", "toy-law", "--json").stdout)
    assert shown["parameters"]["smoke"]["trials"] == 2
    assert "Two is two." in replica("show", "toy-law").stdout


def test_the_scorecard_is_a_contract(replica):
    card = json.loads(replica("scorecard", "--json").stdout)
    paper = card["papers"][0]
    assert {"slug", "part", "profile", "seconds", "peak_mb", "figures", "claims", "findings"} <= paper.keys()
    assert {"id", "basis", "verdict", "value", "expect", "source"} <= paper["claims"][0].keys()
    assert [claim["verdict"] for claim in paper["claims"]] == ["missing", "missing"]
    assert card["totals"]["claims_of_papers"] == 2


def test_verify_says_what_is_not_run_and_how_to_run_it(replica):
    done = replica("verify", "--json")
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert answer["ok"] is False
    assert "make reproduce PAPER=toy-law" in answer["problems"][0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "toy-lav"), "Did you mean toy-law"),
        (("run", "toy-law", "-p", "trails=3"), "Did you mean trials"),
        (("run", "toy-law", "-p", "trials"), "name=value"),
        (("run", "toy-law", "-p", "trials=many"), "expected int"),
        (("figure", "toy-law", "lime"), "line"),
        (("show", "toy"), "Did you mean toy-law"),
        (("record", "toy-law"), "make reproduce PAPER=toy-law"),
        (("new", "Bad Slug", "--part", "kernels"), "lower-case"),
    ],
)
def test_mistakes_end_with_a_sentence_and_exit_code_2(replica, arguments, words):
    done = replica(*arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command", ["list", "show", "run", "figure", "reproduce", "verify", "scorecard", "data", "new"]
)
def test_help_helps(replica, command):
    done = replica(command, "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_import_replica_is_light():
    code = "import sys, replica; print([m for m in ('torch', 'numpy', 'matplotlib', 'numba') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
