"""Reading a notebook from its source of truth, the MyST text file."""

from __future__ import annotations

import copy
from functools import lru_cache
from pathlib import Path

import jupytext
from nbformat import NotebookNode

from replica.book.errors import NotebookError


def read_notebook(path: Path) -> NotebookNode:
    """The notebook in the MyST text file ``path``, with stable cell ids ``<slug>-<index>``."""
    return copy.deepcopy(_parse(path.read_text(encoding="utf-8"), path))


@lru_cache(maxsize=128)  # a digest, a run and the book each ask several times, and parsing takes 20 ms
def _parse(text: str, path: Path) -> NotebookNode:
    try:
        notebook = jupytext.reads(text, fmt="md:myst")
    except Exception as error:  # jupytext raises many kinds for text that is not MyST
        raise NotebookError(f"{path.name}: cannot be read as a MyST notebook: {error}") from None
    notebook.metadata.get("jupytext", {}).get("text_representation", {}).pop("jupytext_version", None)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"{path.stem[:50]}-{index:02d}"
    return notebook
