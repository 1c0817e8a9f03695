"""One attempt at a run: what was decided before it, its private directories, and what becomes of its notebook."""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from replica.book.catalogue import PaperEntry
from replica.book.manifest import Manifest


@dataclass
class Run:
    """What is decided before a kernel starts."""

    root: Path
    entry: PaperEntry
    manifest: Manifest
    profile: str
    overrides: dict[str, Any]
    parameters: dict[str, Any]
    notebook: NotebookNode
    digest: str
    closure: list[str]
    family: str  # the folder under results/: the profile, custom, or figures-only/<profile>
    attempt: Path = field(init=False)
    workspace: Path = field(init=False)

    def __post_init__(self) -> None:
        unique = f"{self._stem}{os.getpid()}-{secrets.token_hex(4)}"
        self.attempt = self.root / "results" / ".attempts" / unique
        self.workspace = self.attempt.with_name(unique + ".kernel")

    @property
    def _stem(self) -> str:
        return f"{self.family.replace('/', '-')}-{self.entry.slug}."

    @property
    def slug(self) -> str:
        return self.entry.slug

    @property
    def home(self) -> Path:
        return self.root / "results" / self.family

    @property
    def target(self) -> Path:
        return self.home / self.slug

    @property
    def log_path(self) -> Path:
        return self.home / ".logs" / f"{self.slug}.log"

    @property
    def failed(self) -> Path:
        return self.home / ".failed" / self.slug

    def shown(self, path: Path) -> str:
        """``path`` as a reader sees it, from the root of the project."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    def clear_attempts(self) -> None:
        """Remove what killed runs of this paper left. Only the holder of its lock may."""
        for left in self.attempt.parent.glob(f"{self._stem}*"):
            shutil.rmtree(left, ignore_errors=True)


def put_in_place(run: Run) -> None:
    """Make the attempt the result: the old one is moved away and the new one in, each as a whole."""
    old = run.attempt.with_name(run.attempt.name + ".old")
    run.home.mkdir(parents=True, exist_ok=True)
    if run.target.exists():
        os.rename(run.target, old)
    os.rename(run.attempt, run.target)
    shutil.rmtree(old, ignore_errors=True)


def clean(executed: NotebookNode, run: Run) -> NotebookNode:
    """The executed notebook without what changes from run to run: times, random ids, progress bars.

    What says when and how long stands in ``provenance.json``; stderr stands in the log.
    """
    executed.cells = [
        cell for cell in executed.cells if "papermill-error-cell-tag" not in cell.metadata.get("tags", [])
    ]
    executed.metadata.pop("papermill", None)
    executed.metadata["replica"] = {"slug": run.slug, "profile": run.profile, "digest": run.digest}
    for index, (cell, planned) in enumerate(zip(executed.cells, run.notebook.cells, strict=False)):
        cell["id"] = planned.get("id", f"{run.slug[:50]}-{index:02d}")
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if not cell.metadata.get("tags"):
            cell.metadata.pop("tags", None)
        if cell.cell_type == "code":
            cell["outputs"] = [
                output for output in cell.outputs
                if not (output.output_type == "stream" and output.name == "stderr")
            ]  # fmt: skip
    return executed


def only(notebook: NotebookNode, figure: str) -> NotebookNode:
    """The notebook with the code cells that ``figure`` needs: those of no figure, and its own."""
    kept = []
    for cell in notebook.cells:
        tags = set(cell.metadata.get("tags", []))
        of_figures = {tag.removeprefix("figure-") for tag in tags if tag.startswith("figure-")}
        apart = bool(tags & {"claims", "checks"}) or bool(of_figures and figure not in of_figures)
        if cell.cell_type != "code" or not apart:
            kept.append(cell)
    notebook.cells = kept
    return notebook


def read_partial(path: Path) -> NotebookNode | None:
    """What papermill had written when the run stopped, if it can be read."""
    try:
        notebook: NotebookNode = nbformat.read(path, as_version=4)
    except (OSError, ValueError):
        return None
    return notebook
