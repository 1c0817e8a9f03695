"""A small project in a temporary directory: three toy papers, a copy of the package with two toy rooms."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]

HEADER = """\
---
jupytext:
  formats: ipynb,md:myst
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# A toy paper

Nobody (2024). A sum.

## Setup

```{code-cell} ipython3
import time
import numpy as np
import matplotlib.pyplot as plt
from replica.book import open_paper
from replica.toys.ROOM import power

paper = open_paper("SLUG")
```

```{code-cell} ipython3
:tags: [parameters]

seed: int = 0
trials: int = 4  # how many
exponent: float = 2.0
pause: float = 0.0
```

## The sum

```{code-cell} ipython3
values = power(np.arange(1, trials + 1), exponent) + 0 * np.random.default_rng(seed).normal(size=trials)
print("values", values)
```

```{code-cell} ipython3
:tags: [figure-sum]

fig, axes = plt.subplots()
axes.plot(values)
paper.save_figure(fig, "sum", data={"values": values})
```

```{code-cell} ipython3
:tags: [figure-noise]

noise = np.random.default_rng(seed).normal(size=50)
fig, axes = plt.subplots()
axes.plot(noise)
paper.save_figure(fig, "noise", data={"noise": noise})
```

## A pause

```{code-cell} ipython3
:tags: [checks]

time.sleep(pause)
paper.check("total", float(values.sum()))
paper.check("spread", float(noise.std()), spread=0.1, seeds=3)
```

## Claims

```{code-cell} ipython3
:tags: [claims, nbval-check-output]

paper.claims()
```
"""

MANIFEST = """\
title: "A toy paper"
authors: [Nobody]
year: 2024
venue: "Nowhere"
group: deweese
part: kernels
summary: "A sum of powers."
figures:
  sum: {paper: "Figure 1", caption: "The powers.", alt: "A rising curve of four points in a plain frame."}
  noise: {paper: "none (added here)", caption: "Noise.", alt: "A jagged line of fifty points in a plain frame."}
claims:
  total:
    statement: "The squares of 1 to 4 sum to 30."
    basis: theorem
    source: "Section 1"
    expect: {equals: 30, rtol: 1.0e-9}
  spread:
    statement: "The noise has unit variance."
    basis: paper
    source: "Section 2"
    expect: {between: [0.5, 1.5]}
    statistical: true
profiles:
  smoke: {trials: 2}
resources: {threads: 1, quick: {minutes: 1, memory_gb: 1}}
"""

HOLD = """import os, pathlib
while not pathlib.Path(os.environ["REPLICA_ROOT"], "go").exists():
    time.sleep(0.05)"""

PAPERS = {"toy-alpha": "first", "toy-beta": "first", "toy-gamma": "second"}


@dataclass
class Project:
    """A project's root, and how to call its ``replica`` and its Snakemake."""

    root: Path

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("REPLICA_")}
        return {
            **kept, "REPLICA_ROOT": str(self.root), "PYTHONPATH": str(self.root / "src"), "OMP_NUM_THREADS": "1",
            "NO_COLOR": "1", "COLUMNS": "160", **more,
        }  # fmt: skip

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "replica.book.cli", *arguments]

    def replica(self, *arguments: str, timeout: float = 120, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), cwd=self.root, env=self.environment(**more), capture_output=True, text=True,
            timeout=timeout,
        )  # fmt: skip

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        """Start a command in a session (and process group) of its own; its output goes to ``started.log``."""
        log = (self.root / "started.log").open("a")
        return subprocess.Popen(
            self.command(*arguments), cwd=self.root, env=self.environment(**more), stdout=log, stderr=log, text=True,
            start_new_session=True,
        )  # fmt: skip

    def reproduce(
        self, *slugs: str, profile: str = "quick", jobs: int = 2, **options: str
    ) -> subprocess.CompletedProcess[str]:
        arguments = ["reproduce", *slugs, "--profile", profile, "--jobs", str(jobs), "--no-book"]
        return self.replica(*arguments, *(part for name, value in options.items() for part in (f"--{name}", value)))

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.root / path
        text = file.read_text()
        assert old in text, f"{old!r} is not in {path}"
        file.write_text(text.replace(old, new))

    def hold(self, *slugs: str) -> None:
        """Make the notebooks wait in their sixth cell until :meth:`let_go`."""
        for slug in slugs:
            self.edit(self.notebook(slug), "time.sleep(pause)", HOLD)

    def let_go(self) -> None:
        (self.root / "go").touch()

    def notebook(self, slug: str) -> str:
        return f"notebooks/kernels/{slug}.md"

    def result(self, slug: str, profile: str = "quick") -> Path:
        return self.root / "results" / profile / slug

    def claims(self, slug: str, profile: str = "quick") -> dict[str, Any]:
        content = json.loads((self.result(slug, profile) / "claims.json").read_text())
        return {entry["id"]: entry for entry in content["claims"]}

    def provenance(self, slug: str, profile: str = "quick") -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.result(slug, profile) / "provenance.json").read_text())
        return found

    def stamps(self, profile: str = "quick") -> dict[str, int]:
        """When each paper's result was put in place; a paper that ran again has another stamp."""
        folder = self.root / "results" / profile
        return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("*/provenance.json")}

    def leftovers(self) -> list[str]:
        return [path.name for path in (self.root / "results" / ".attempts").glob("*")]


def make_project(root: Path, papers: dict[str, str] = PAPERS) -> Project:
    shutil.copytree(CHECKOUT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(CHECKOUT / name, root / name)
    toys = root / "src" / "replica" / "toys"
    toys.mkdir()
    (toys / "__init__.py").write_text('"""Toy rooms."""\n')
    code = '"""Powers."""\n\n\ndef power(values, exponent):\n    return values**exponent\n'
    (toys / "first.py").write_text(code)
    (toys / "second.py").write_text(code)
    part = root / "notebooks" / "kernels"
    part.mkdir(parents=True)
    for slug, room in papers.items():
        (part / f"{slug}.md").write_text(HEADER.replace("SLUG", slug).replace("ROOM", room))
        (part / f"{slug}.yml").write_text(textwrap.dedent(MANIFEST))
    return Project(root)


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    return [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]


def descendants(pid: int) -> list[int]:
    return [found for child in children(pid) for found in (child, *descendants(child))]


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
