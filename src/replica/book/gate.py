"""The staging gate: why a result may not enter the book.

Sphinx builds a book from notebooks that never ran, stopped half-way, or show an error, and warns of none of them; so
nothing reaches it before :func:`inspect` finds no reason against it.
"""

from __future__ import annotations

import ast
import hashlib
import json
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from replica.book.catalogue import PaperEntry
from replica.book.claims import CLAIMS_FILE
from replica.book.digest import paper_digest
from replica.book.errors import ReplicaError
from replica.book.manifest import SAVERS, Manifest
from replica.book.notebook_text import read_notebook
from replica.book.profiles import apply, resolve

NOTEBOOK_FILE = "notebook.ipynb"
PROVENANCE_FILE = "provenance.json"


def results_folder(entry: PaperEntry, profile: str) -> Path:
    """Where the result of ``entry`` at ``profile`` lies."""
    return project_of(entry) / "results" / profile / entry.slug


def crash_of(entry: PaperEntry, profile: str) -> dict[str, Any] | None:
    """What is known of the last run if it crashed; a later success removes it."""
    found = read_json(project_of(entry) / "results" / profile / ".failed" / entry.slug / "error.json")
    return found if isinstance(found, dict) else None


def project_of(entry: PaperEntry) -> Path:
    """The root of the project that ``entry`` belongs to."""
    return entry.notebook.resolve().parents[2]


def inspect(entry: PaperEntry, profile: str = "quick") -> list[str]:
    """The reasons why the result of ``entry`` at ``profile`` may not enter the book, a sentence with its remedy each;
    none when all is well."""
    remedy = _remedy(entry, profile)
    crash = crash_of(entry, profile)
    if crash is not None:
        place = f"cell {crash.get('cell')}" + (f" ({crash['heading']})" if crash.get("heading") else "")
        return [
            f"The last run crashed in {place} with {crash.get('ename')}: {crash.get('evalue')}; "
            f"mend it (log: {crash.get('log')}), then {remedy}."
        ]
    folder = results_folder(entry, profile)
    if not folder.is_dir():
        return [f"It has not been run at profile {profile}; {remedy}."]
    try:
        notebook = nbformat.read(folder / NOTEBOOK_FILE, as_version=4)
    except (OSError, ValueError, nbformat.reader.NotJSONError):
        return [f"{NOTEBOOK_FILE} is missing or not a notebook: the run was cut off or the file damaged; {remedy}."]
    provenance = read_json(folder / PROVENANCE_FILE)
    reasons = _unfinished(provenance, notebook, remedy) + _not_executed(notebook, remedy)
    if not isinstance(provenance, dict):
        return reasons
    manifest = entry.manifest()
    return (
        reasons
        + _stale(entry, manifest, profile, provenance, notebook, remedy)
        + _edited(folder, provenance, remedy)
        + _missing(folder, manifest, provenance, notebook, remedy)
    )


def figure_cell(notebook: NotebookNode, figure: str) -> int | None:
    """The index of the cell that calls ``save_figure(..., "<figure>", ...)`` or ``save_animation``; None when no
    cell does."""
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "code" and figure in saved_figures(cell.source):
            return index
    return None


def saved_figures(code: str) -> list[str]:
    """The ids written out in the calls of ``save_figure`` and ``save_animation`` in ``code``."""
    try:
        calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    except SyntaxError:
        return []
    calls = [call for call in calls if getattr(call.func, "attr", None) in SAVERS]
    names = [call.args[1:2] + [word.value for word in call.keywords if word.arg == "name"] for call in calls]
    return [arg.value for args in names for arg in args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]


def read_json(path: Path) -> Any:
    """The content of ``path``, or None when there is no such file or it is cut off."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def sha256(path: Path) -> str | None:
    """The sha256 of a file, None when there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _remedy(entry: PaperEntry, profile: str) -> str:
    return f"run `make reproduce PAPER={entry.slug}" + ("" if profile == "quick" else f" PROFILE={profile}") + "`"


def _unfinished(provenance: Any, notebook: NotebookNode, remedy: str) -> list[str]:
    engine = notebook.metadata.get("papermill", {})
    cut_off = engine and (engine.get("exception") or engine.get("end_time", "") is None)
    finished = isinstance(provenance, dict) and provenance.get("finished") and provenance.get("status") == "complete"
    if finished and not cut_off:
        return []
    return [f"The run did not finish ({PROVENANCE_FILE} records no end of it): it was killed half-way; {remedy}."]


def _not_executed(notebook: NotebookNode, remedy: str) -> list[str]:
    reasons = []
    cells = [(n, cell) for n, cell in enumerate(notebook.cells, start=1) if cell.cell_type == "code"]
    idle = [n for n, cell in cells if cell.source.strip() and cell.get("execution_count") is None]
    if idle:
        reasons.append(f"{_cells(idle)} never executed; {remedy}.")
    for n, cell in cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                reasons.append(f"Cell {n} shows an error, {output.ename}: {output.evalue}; mend it, then {remedy}.")
    return reasons


def _stale(
    entry: PaperEntry, manifest: Manifest, profile: str, provenance: dict[str, Any], notebook: NotebookNode, remedy: str
) -> list[str]:
    """Either other code than today's ran, or the code that ran is not the one that the executed notebook shows."""
    if provenance.get("overrides"):
        changed = ", ".join(f"{name}={value}" for name, value in provenance["overrides"].items())
        return [f"The run had other parameters than profile {profile} ({changed}); {remedy} without them."]
    try:
        current = paper_digest(entry, manifest, profile)
        expected = apply(read_notebook(entry.notebook), resolve(entry, manifest, profile))
    except ReplicaError as error:
        return [f"The notebook cannot be read as it stands: {error}; mend it, then {remedy}."]
    if provenance.get("digest") != current:
        return [
            "The result is stale: the notebook, its manifest, a module it imports or the lock file changed since the "
            f"run; {remedy}."
        ]
    if _code(expected) != _code(notebook):
        return [
            f"The code shown in {NOTEBOOK_FILE} is not that of {entry.notebook.name}: the result was edited by hand; "
            f"make the change in {entry.notebook.name}, then {remedy}."
        ]
    return []


def _edited(folder: Path, provenance: dict[str, Any], remedy: str) -> list[str]:
    recorded = {NOTEBOOK_FILE: provenance.get("notebook_sha256"), CLAIMS_FILE: provenance.get("claims_sha256")}
    for name, files in (provenance.get("figures") or {}).items():
        recorded.update({f"figures/{name}.{suffix}": digest for suffix, digest in files.items()})
    found = {name: sha256(folder / name) for name in recorded}
    edited = [name for name, digest in recorded.items() if found[name] is not None and found[name] != digest]
    gone = [name for name, digest in recorded.items() if found[name] is None]
    reasons = []
    if edited:
        verb = "is" if len(edited) == 1 else "are"
        reasons.append(
            f"{', '.join(edited)} {verb} not as the run wrote it: the outputs were edited by hand; {remedy}."
        )
    if gone:
        reasons.append(f"{', '.join(gone)} disappeared since the run; {remedy}.")
    return reasons


def _missing(
    folder: Path, manifest: Manifest, provenance: dict[str, Any], notebook: NotebookNode, remedy: str
) -> list[str]:
    saved = provenance.get("figures") or {}
    figures = [name for name in manifest.figures if name not in saved]
    unplaced = [name for name in manifest.figures if name in saved and figure_cell(notebook, name) is None]
    content = read_json(folder / CLAIMS_FILE)
    verdicts = {entry["id"]: entry["verdict"] for entry in content["claims"]} if isinstance(content, dict) else {}
    claims = [name for name in manifest.claims if verdicts.get(name, "missing") == "missing"]
    reasons = []
    if figures:
        reasons.append(
            f"The run saved no figure {', '.join(figures)}: call `paper.save_figure` for it or take it out of the "
            f"manifest, then {remedy}."
        )
    if unplaced:
        reasons.append(
            f"No cell names the figure {', '.join(unplaced)} in its call of save_figure, so the book cannot place it; "
            f"write the id out in the call, then {remedy}."
        )
    if claims:
        reasons.append(
            f"The run never checked the claim {', '.join(claims)}: call `paper.check` for it, then {remedy}."
        )
    return reasons


def _code(notebook: NotebookNode) -> list[str]:
    return [cell.source.rstrip() for cell in notebook.cells if cell.cell_type == "code"]


def _cells(numbers: list[int]) -> str:
    listed = ", ".join(map(str, numbers))
    return f"Cell {listed} was" if len(numbers) == 1 else f"Cells {listed} were"
