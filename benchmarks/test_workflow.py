"""Speed of the workflow: a reproduce with nothing to do, an empty notebook through Replica against plain papermill,
and the build of the book.

They work on this checkout as it is; `make reproduce` first, or the no-op is not one.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
REPLICA = [sys.executable, "-m", "replica.book.cli"]

EMPTY = """\
---
jupytext:
  formats: ipynb,md:myst
  text_representation: {extension: .md, format_name: myst}
kernelspec: {display_name: Python 3, language: python, name: python3}
---

# Empty

```{code-cell} ipython3
from replica.book import open_paper

paper = open_paper("empty")
```

```{code-cell} ipython3
:tags: [parameters]

seed: int = 0
```

```{code-cell} ipython3
:tags: [figure-none]

import matplotlib.pyplot as plt

paper.save_figure(plt.figure(), "none", data={"nothing": [0.0]})
```

```{code-cell} ipython3
:tags: [claims, nbval-check-output]

paper.claims()
```
"""
MANIFEST = """\
title: Nothing at all
authors: [Nobody Inparticular]
year: 2000
venue: "Nowhere"
group: deweese
part: kernels
summary: "Nothing happens."
figures:
  none: {paper: "none", caption: "There is no figure.", alt: "Nothing is shown, since nothing is drawn."}
claims:
  none: {statement: "Nothing.", basis: ours, source: "none", known_discrepancy: "Nothing is checked here."}
"""


@pytest.fixture(scope="module")
def complete_checkout():
    done = subprocess.run([*REPLICA, "verify"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not everything is reproduced here; run `make reproduce` first")


def test_reproduce_with_nothing_to_do(benchmark, complete_checkout):
    command = ["make", "--no-print-directory", "reproduce"]
    benchmark.pedantic(lambda: subprocess.run(command, cwd=ROOT, check=True, capture_output=True), rounds=3)


def test_build_of_the_book(benchmark, complete_checkout):
    benchmark.pedantic(lambda: subprocess.run([*REPLICA, "book"], cwd=ROOT, check=True, capture_output=True), rounds=2)


@pytest.fixture
def empty_project(tmp_path, monkeypatch):
    import shutil

    folder = tmp_path / "notebooks" / "kernels"
    folder.mkdir(parents=True)
    (folder / "empty.md").write_text(EMPTY)
    (folder / "empty.yml").write_text(MANIFEST)
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("REPLICA_ROOT", str(tmp_path))
    return tmp_path


def test_empty_notebook_through_replica(benchmark, empty_project):
    from replica.book.execute import run_paper

    benchmark.pedantic(lambda: run_paper("empty"), rounds=3)


def test_empty_notebook_through_plain_papermill(benchmark, empty_project):
    import jupytext
    import nbformat
    import papermill

    source, target = empty_project / "in.ipynb", empty_project / "out.ipynb"
    nbformat.write(jupytext.reads(EMPTY, fmt="md:myst"), source)
    benchmark.pedantic(
        lambda: papermill.execute_notebook(str(source), str(target), kernel_name="python3", progress_bar=False),
        rounds=3,
    )
