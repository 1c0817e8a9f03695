"""A small healthy paper that the tests of the machinery start from."""

MANIFEST = """\
title: A toy law
authors: [Ada Example, Ben Example]
year: 2020
venue: "Journal of Toys 1"
arxiv: "2001.00001"
group: deweese
part: kernels
summary: "Two is two."
figures:
  line: {paper: "Figure 1", caption: "A line.", alt: "A straight line that rises from zero to one."}
claims:
  two: {statement: "Two is two.", basis: theorem, source: "Eq. 1", expect: {equals: 2, rtol: 1e-8}}
  rough: {statement: "The mean is zero.", basis: paper, source: "Eq. 2", statistical: true,
          expect: {equals: 0, atol: 0.1}, figure: line}
profiles: {smoke: {trials: 2}, paper: {trials: 100}}
"""

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
# A toy law

Example and Example (2020) find that $2=2$.

## Setup

```{code-cell} ipython3
import matplotlib.pyplot as plt
import numpy as np

from replica.book import open_paper

paper = open_paper("toy-law")
```

```{code-cell} ipython3
:tags: [parameters]

seed: int = 0  # seed of all random numbers
trials: int = 4  # how many
width: float = 1.0
```

## A line

```{code-cell} ipython3
:tags: [figure-line]

x = np.linspace(0, width, 5)
fig, ax = plt.subplots()
ax.plot(x, x)
paper.save_figure(fig, "line", data={"x": x, "y": x})
paper.check("two", 1 + x[-1] / width)
paper.check("rough", 0.01, spread=0.02, seeds=trials)
```

## Conventions and choices

None.

## What reproducing it taught us

Nothing.

## Claims

```{code-cell} ipython3
:tags: [claims, nbval-check-output]

paper.claims()
```

## Try it

`replica run toy-law -p trials=10`
"""
)
