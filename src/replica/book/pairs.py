"""A notebook and its pair: the MyST text is the source of truth, the ``.ipynb`` carries recorded outputs.

Conversion goes one way, text to ``.ipynb``: ``jupytext --sync`` trusts modification times and loses edits.
"""

from __future__ import annotations

import base64
import copy
import io
import json
from pathlib import Path
from typing import Any

import nbformat
from jupytext.compare import NotebookDifference, compare_notebooks
from nbformat import NotebookNode

from replica.book.errors import PairError
from replica.book.notebook_text import read_notebook

MAX_RECORDED_CELL = 2_000_000


def read_pair(path: Path) -> NotebookNode:
    """The recorded ``.ipynb``; raises :class:`PairError` where there is none."""
    if not path.exists():
        raise PairError(f"{path.name} is missing; `make record PAPER={path.stem}` writes it from the last quick run")
    return nbformat.read(path, as_version=4)


def difference(notebook: Path, pair: Path) -> str | None:
    """What differs between the text and its pair (outputs and ids aside), or None when they are in step."""
    try:
        compare_notebooks(
            read_pair(pair), read_notebook(notebook), fmt="md:myst", compare_outputs=False, compare_ids=False
        )
    except NotebookDifference as error:
        return str(error)
    return None


def update_pair(notebook: Path, pair: Path) -> bool:
    """Bring ``pair`` in step with the text; outputs of unchanged code cells stay. True when it changed."""
    fresh = read_notebook(notebook)
    old = nbformat.read(pair, as_version=4) if pair.exists() else None
    kept = {cell.source.rstrip(): cell for cell in old.cells if cell.cell_type == "code"} if old else {}
    for cell in fresh.cells:
        before = kept.get(cell.source.rstrip()) if cell.cell_type == "code" else None
        if before is not None:
            cell["outputs"] = copy.deepcopy(before.outputs)
    return write_pair(fresh, pair)


def record(notebook: Path, executed: Path, pair: Path) -> bool:
    """Refresh ``pair`` with the outputs of ``executed``, stripped of times, ids and stderr. True when it changed.

    Prose may have changed since the run. Raises :class:`PairError` when ``executed`` ran other code than the text
    holds now.
    """
    fresh = read_notebook(notebook)
    run = nbformat.read(executed, as_version=4)
    cells, ran = _code_cells(fresh), _code_cells(run)
    if [cell.source.rstrip() for cell in ran] != [cell.source.rstrip() for cell in cells]:
        raise PairError(
            f"the last run of {notebook.stem} was of other cells than {notebook.name} holds now; "
            f"run `make reproduce PAPER={notebook.stem}` first"
        )
    for cell, done in zip(cells, ran, strict=True):
        cell["outputs"] = [clean for output in done.outputs if (clean := _clean_output(output)) is not None]
    return write_pair(fresh, pair)


def write_pair(notebook: NotebookNode, pair: Path) -> bool:
    """Write ``notebook`` to ``pair`` with cells numbered from 1, only when its bytes change."""
    count = 0
    for cell in notebook.cells:
        if cell.cell_type == "code":
            count += 1
            # nbval refuses outputs without a number; a cell that was never run has neither
            cell["execution_count"] = count if cell.outputs or _any_outputs(notebook) else None
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output["execution_count"] = count
    text = json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    if pair.exists() and pair.read_text(encoding="utf-8") == text:
        return False
    pair.write_text(text, encoding="utf-8")
    return True


def _smaller(png: str) -> str:
    """The picture in 256 colours: a third of the bytes, since git keeps every recording for ever. The full picture
    is in the results and in the book."""
    from PIL import Image

    picture, buffer = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB"), io.BytesIO()
    picture.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        buffer, format="png", optimize=True
    )
    return base64.b64encode(buffer.getvalue()).decode("ascii") + "\n"


def _code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _any_outputs(notebook: NotebookNode) -> bool:
    return any(cell.outputs for cell in _code_cells(notebook))


def _clean_output(output: Any) -> NotebookNode | None:
    """``output`` without what changes from run to run; None for stderr (progress bars, warnings)."""
    if output.output_type == "stream" and output.name == "stderr":
        return None
    clean = copy.deepcopy(output)
    clean.get("metadata", {}).pop("execution", None)
    if "image/png" in clean.get("data", {}):
        clean["data"]["image/png"] = _smaller(clean["data"]["image/png"])
    if len(json.dumps(clean)) > MAX_RECORDED_CELL:
        raise PairError("an output of more than 2 MB cannot be recorded; save a smaller figure")
    return clean
