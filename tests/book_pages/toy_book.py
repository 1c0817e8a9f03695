"""A small project with toy papers of every status, run for real, from which the tests build a book."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from replica.book.errors import ReplicaError

REPOSITORY = Path(__file__).resolve().parents[2]
#: Pages that speak of the real papers and of the whole package.
FOR_THE_REAL_BOOK = ("physics-of-computation.md", "kernels.md", "api.md")
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
"""

NOTEBOOK = (
    HEADER
    + """
# @TITLE@

A. Author and B. O'Neill (2021), a toy. It says that the *learnability* of a mode,
$\\mathcal L=\\lambda/(\\lambda+\\kappa)$,
adds up to the number of samples.

## Setup

```{code-cell} ipython3
import numpy as np
import matplotlib.pyplot as plt

from replica.book import open_paper

paper = open_paper("@SLUG@")
```

```{code-cell} ipython3
:tags: [parameters]

samples: int = 8  # points of the training set
kappa: float = 0.1  # the implicit regularisation
seed: int = 0
```

## The curve

The law is
$$
\\sum_i \\frac{\\lambda_i}{\\lambda_i+\\kappa} = n .
$$ (@SLUG@-law)

```{code-cell} ipython3
:tags: [figure-learning-curve]

rng = np.random.default_rng(seed)
n = np.arange(1, samples + 1)
theory = n / (n + kappa)
measured = theory + 0.02 * rng.standard_normal(samples)
fig, ax = plt.subplots()
ax.plot(n, theory, label="theory")
ax.errorbar(n, measured, 0.02, fmt="o", label="measured")
ax.set_xlabel("samples n")
ax.set_ylabel("learnability")
ax.legend()
paper.save_figure(fig, "learning-curve", data={"n": n, "theory": theory, "measured": measured})
paper.check("conservation-law", float(samples))
paper.check("mean-deviation", float(np.mean(measured - theory)), spread=0.02, spread_kind="se", seeds=8)
```

## A second look

```{code-cell} ipython3
:tags: [figure-spectrum]

fig, ax = plt.subplots()
ax.loglog(n, 1.0 / n**2)
(point,) = ax.plot(n[:1], [1.0], "o")
ax.set_xlabel("mode")
ax.set_ylabel("eigenvalue")

def move(frame):
    point.set_data(n[frame : frame + 1], 1.0 / n[frame : frame + 1] ** 2)

paper.save_animation(fig, "spectrum", move, frames=3, data={"n": n, "eigenvalue": 1.0 / n**2}, fps=5)
paper.check("decay", 2.0)
@EXTRA@
```

A long formula, wider than a phone:
$$
\\mathcal E = \\frac{1}{1-\\sum_i \\mathcal L_i^2/n}\\left(\\sum_i (1-\\mathcal L_i)^2 v_i^2+\\epsilon^2\\right)
 = \\mathcal E_0\\left(\\sum_i (1-\\mathcal L_i)^2 v_i^2+\\epsilon^2\\right),
 \\qquad \\mathcal E_0=\\frac{n}{n-\\sum_i\\mathcal L_i^2}
$$

## Conventions and choices

| symbol | ours | the paper's | consequence |
| --- | --- | --- | --- |
| ridge | $\\delta$ | $\\lambda$ | none |

## What reproducing it taught us

The toy holds.

## Claims

```{code-cell} ipython3
:tags: [claims, nbval-check-output]

paper.claims()
```

## Try it

`replica run @SLUG@ -p samples=20`.
"""
)

MANIFEST = """\
title: "@TITLE@"
authors: [Ada Author, Bea O'Neill]
year: @YEAR@
venue: "@VENUE@"
arxiv: "2110.03922"
code: https://example.org/toy
group: @GROUP@
part: @PART@
summary: "The learnability of all modes adds up to the number of samples $n$."
keywords: [learnability]
figures:
  learning-curve:
    paper: "Figure 2"
    caption: >-
      Learnability $\\mathcal{L}=n/(n+\\kappa)$ against $n$, "quoted" & <tagged>; 50% of [it] * is | measured_here.
    alt: 'A rising curve with "eight" markers & error bars that scatter around it.'
  spectrum:
    paper: none (added here)
    caption: "Eigenvalues that fall with the square of the mode index."
    alt: "A straight falling line on two logarithmic axes."
    animation: true
claims:
  conservation-law:
    statement: "The learnabilities of all modes add up to $n$, whatever $|\\\\phi|$ is."
    basis: theorem
    source: "Theorem 3.2"
    expect: {equals: 8, rtol: 1.0e-8}
    figure: learning-curve
  mean-deviation:
    statement: "Measured and predicted learnability agree on average."
    basis: paper
    source: "Figure 2"
    expect: {equals: 0, atol: 0.05}
    statistical: true
    figure: learning-curve
  decay:
    statement: "The spectrum falls with exponent 3."
    basis: paper
    source: "Section 4"
    expect: {equals: 3, atol: 0.1}
    figure: spectrum
    known_discrepancy: "The exponent is 2 with the kernel as printed; `1/n**2` in the authors' code says so too."
  ours:
    statement: "A guard of ours."
    basis: ours
    source: "here"
    expect: {holds: true}
findings:
  - {kind: slip, text: "The exponent is $2$, not $3$.", evidence: "figure spectrum"}
  - {kind: limit, text: "Holds for n < N only.", evidence: "claim conservation-law"}
data: []
"""

TOYS: dict[str, dict[str, str]] = {
    "toy-learnability": {
        "part": "kernels", "title": "Learnability & the “Kernel” of a Toy: a $K$-Mode Story", "year": "2021",
        "venue": "TMLR 2023", "group": "deweese", "extra": 'paper.check("ours", True)',
    },
    "toy-random-walk": {
        "part": "sampling-and-inference", "title": "A Random Walk", "year": "2014", "venue": "ICML 2014",
        "group": "bordelon-pehlevan", "extra": 'paper.check("ours", True)',
    },
    "toy-crash": {
        "part": "feature-learning", "title": "A Paper That Crashes", "year": "2022", "venue": "arXiv preprint",
        "group": "ingrosso", "extra": 'raise ValueError("the *matrix* is singular: det = 0")',
    },
    "toy-not-run": {
        "part": "data-structure", "title": "A Paper Not Yet Run", "year": "2022", "venue": "arXiv preprint",
        "group": "ingrosso", "extra": "",
    },
}  # fmt: skip
RUN = ("toy-learnability", "toy-random-walk", "toy-crash")


def fill(text: str, slug: str) -> str:
    for name, value in {"slug": slug, **TOYS[slug]}.items():
        text = text.replace(f"@{name.upper()}@", value)
    return text


def make_project(root: Path) -> Path:
    """Write the toy project into ``root``: sources and configuration, nothing run yet."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "src").symlink_to(REPOSITORY / "src")
    shutil.copy(REPOSITORY / "requirements.lock", root)
    shutil.copy(REPOSITORY / "pyproject.toml", root)
    shutil.copytree(
        REPOSITORY / "book", root / "book", ignore=shutil.ignore_patterns("__pycache__", *FOR_THE_REAL_BOOK)
    )
    for slug, toy in TOYS.items():
        folder = root / "notebooks" / toy["part"]
        folder.mkdir(parents=True)
        (folder / f"{slug}.md").write_text(fill(NOTEBOOK, slug), encoding="utf-8")
        (folder / f"{slug}.yml").write_text(fill(MANIFEST, slug), encoding="utf-8")
    return root


def run_toys(root: Path) -> None:
    """Execute the toys as the workflow does; the one that crashes leaves what a crash leaves."""
    from replica.book.execute import run_paper

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPLICA_ROOT", str(root))
        patch.setenv("OMP_NUM_THREADS", "1")
        for slug in RUN:
            if slug == "toy-crash":
                with pytest.raises(ReplicaError, match="singular"):
                    run_paper(slug, quiet=True)
            else:
                run_paper(slug, quiet=True)
