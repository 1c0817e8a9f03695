"""The README keeps its word: its Python runs, its make verbs and commands exist."""

import re
import subprocess
import sys

import pytest


@pytest.fixture
def readme(checkout):
    return (checkout / "README.md").read_text(encoding="utf-8")


def test_the_python_runs_and_says_what_its_comments_say(readme):
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    names: dict = {}
    exec(code, names)
    bits = names["fp_entropy_closed"]("normal", precision=11)
    assert f"{bits:.2f}" in code


def test_verbs_and_commands_exist(readme, checkout):
    makefile = (checkout / "Makefile").read_text(encoding="utf-8")
    for verb in set(re.findall(r"^make ([a-z-]+)", readme, re.MULTILINE)) | set(re.findall(r"`make ([a-z-]+)", readme)):
        assert re.search(rf"^{verb}:", makefile, re.MULTILINE), verb
    shown = subprocess.run([sys.executable, "-m", "replica.book.cli", "--help"], capture_output=True, text=True)
    for command in set(re.findall(r"(?:bin/|`)replica ([a-z]+)", readme)):
        assert command in shown.stdout, command


def test_figures_that_the_readme_names_exist(readme):
    from replica.book.catalogue import find

    for slug, figure in re.findall(r"PAPER=([a-z-]+) FIG=([a-z-]+)", readme):
        assert figure in find(slug).manifest().figures


def test_links_lead_to_files(readme, checkout):
    for target in re.findall(r"\]\(([^)#]+)\)", readme):
        assert target.startswith("https://") or (checkout / target).exists(), target
