"""What a notebook and its manifest must have before they can be published, checked without running anything."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

from nbformat import NotebookNode

from replica.book.catalogue import PaperEntry
from replica.book.claims import missing
from replica.book.errors import ReplicaError
from replica.book.manifest import SAVERS, Manifest
from replica.book.notebook_text import read_notebook
from replica.book.pairs import difference, read_pair
from replica.book.paper import table_row
from replica.book.profiles import declared, resolve

FILL_IN = "FILL IN"
MAX_CELL_LINES = 45
SECTIONS = ("Conventions and choices", "What reproducing it taught us", "Claims", "Try it")
LABEL = re.compile(r"^\(([\w:-]+)\)=\s*$|\$\$\s*\(([\w:-]+)\)\s*$|^:(?:label|name):\s*(\S+)\s*$", re.MULTILINE)


def faults(entry: PaperEntry) -> list[str]:
    """All that is missing or wrong in the files of ``entry``, a sentence each; empty when it may be published."""
    try:
        manifest = entry.manifest()
        notebook = read_notebook(entry.notebook)
    except ReplicaError as error:
        return str(error).splitlines()
    found = [*_unfilled(entry), *_parameters(entry, manifest, notebook), *_structure(entry, manifest, notebook)]
    if not any(fault.endswith("not valid Python") for fault in found):
        found += [*_figures(entry, manifest, notebook), *_claims(entry, manifest, notebook)]
    return [*found, *_pair(entry, manifest)]


def _unfilled(entry: PaperEntry) -> Iterator[str]:
    for path in (entry.manifest_path, entry.notebook):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if FILL_IN in line:
                yield f"{path.name}, line {number}: still to fill in: {line.strip()}"


def _parameters(entry: PaperEntry, manifest: Manifest, notebook: NotebookNode) -> Iterator[str]:
    try:
        names = declared(notebook)
    except ReplicaError as error:
        yield f"{entry.notebook.name}: {error}"
        return
    if "seed" not in names:
        yield f"{entry.notebook.name}: parameters cell: expected `seed: int = 0`; there is no seed"
    for profile in ("smoke", "quick", "paper"):
        try:
            resolve(entry, manifest, profile)
        except ReplicaError as error:
            yield str(error)


def _structure(entry: PaperEntry, manifest: Manifest, notebook: NotebookNode) -> Iterator[str]:
    name = entry.notebook.name
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    headings = re.findall(r"^(#+) (.+)$", prose, re.MULTILINE)
    if [level for level, _ in headings].count("#") != 1:
        yield f"{name}: expected one heading of the first level, the title"
    elif headings[0][1].strip() != manifest.title:
        came = headings[0][1].strip()
        yield f"{name}: expected the heading `# {manifest.title}`, as in the manifest; came `# {came}`"
    titles = [title.strip() for _, title in headings]
    for section in SECTIONS:
        if section not in titles:
            yield f"{name}: expected a section `## {section}`"
    for match in LABEL.finditer(prose):
        label = next(group for group in match.groups() if group)
        if not label.startswith(entry.slug):
            yield f"{name}: label {label!r}: labels are global to the book; begin it with {entry.slug!r}"
    for number, cell in enumerate(_code(notebook), start=1):
        try:
            ast.parse(cell.source)
        except SyntaxError:
            yield f"{name}: code cell {number}: not valid Python"
        lines = len(cell.source.splitlines())
        if lines > MAX_CELL_LINES:
            yield f"{name}: code cell {number} has {lines} lines; at most {MAX_CELL_LINES}: move physics to src/replica"


def _figures(entry: PaperEntry, manifest: Manifest, notebook: NotebookNode) -> Iterator[str]:
    name = entry.notebook.name
    saved: dict[str, int] = {}
    for cell in _code(notebook):
        here = [figure for saver in SAVERS for figure, _ in _calls(cell.source, saver)]
        if len(here) > 1:
            yield f"{name}: one cell saves {', '.join(here)}; save one figure a cell, so that each can have its footer"
        for figure in here:
            saved[figure] = saved.get(figure, 0) + 1
            if f"figure-{figure}" not in _tags(cell):
                yield f"{name}: the cell that saves {figure!r} needs the tag figure-{figure}"
        for tag in _tags(cell):
            if tag.startswith("figure-") and tag.removeprefix("figure-") not in manifest.figures:
                yield f"{name}: the tag {tag} names no figure of the manifest"
    for figure, entered in manifest.figures.items():
        if saved.get(figure, 0) != 1:
            yield f"{name}: figure {figure!r} is saved {saved.get(figure, 0)} times; expected once"
        elif not any(figure == called for cell in _code(notebook) for called, _ in _calls(cell.source, entered.saver)):
            moves = str(entered.animation).lower()
            yield f"{name}: {figure!r} has animation: {moves} in {entry.slug}.yml; save it with paper.{entered.saver}"
    for figure in saved.keys() - manifest.figures.keys():
        yield f"{name}: saves {figure!r}, which {entry.slug}.yml does not declare"


def _claims(entry: PaperEntry, manifest: Manifest, notebook: NotebookNode) -> Iterator[str]:
    name = entry.notebook.name
    checked = {claim for cell in _code(notebook) for claim, _ in _calls(cell.source, "check")}
    computed = any(claim is None for cell in _code(notebook) for claim, _ in _calls(cell.source, "check"))
    for claim in manifest.claims:
        if claim not in checked and not computed:
            yield f"{name}: claim {claim!r} is never checked; call paper.check({claim!r}, value)"
    for unknown in {claim for claim in checked if claim} - manifest.claims.keys():
        yield f"{name}: checks {unknown!r}, which {entry.slug}.yml does not declare"
    tables = [cell for cell in _code(notebook) if "claims" in _tags(cell)]
    if len(tables) != 1 or tables[0].source.strip() != "paper.claims()":
        yield f"{name}: expected one cell tagged claims that holds only `paper.claims()`"
    elif "nbval-check-output" not in _tags(tables[0]):
        yield f"{name}: the claims cell needs the tag nbval-check-output"


def _pair(entry: PaperEntry, manifest: Manifest) -> Iterator[str]:
    remedy = f"`make record PAPER={entry.slug}`"
    try:
        differs = difference(entry.notebook, entry.ipynb)
    except ReplicaError as error:
        yield str(error)
        return
    if differs:
        yield f"{entry.ipynb.name} is out of step with {entry.notebook.name}; {remedy} renews it. {differs}"
        return
    recorded = _code(read_pair(entry.ipynb))
    if not any(cell.outputs for cell in recorded):
        yield f"{entry.ipynb.name} has no recorded outputs; {remedy} takes them from the last quick run"
        return
    for number, cell in enumerate(recorded, start=1):
        saves = any(saver in cell.source for saver in SAVERS)
        if not saves and any("image/png" in output.get("data", {}) for output in cell.outputs):
            yield (
                f"{entry.ipynb.name}: code cell {number} shows a picture that it does not save; end it with "
                "`plt.close(fig)`, or save the picture with paper.save_figure"
            )
    shown = [output for cell in recorded if "claims" in _tags(cell) for output in cell.outputs]
    table = "".join(output.get("data", {}).get("text/html", "") for output in shown)
    stale = [name for name, claim in manifest.claims.items() if table_row(missing(name, claim)) not in table]
    if stale:
        yield (
            f"{entry.ipynb.name} shows other claims than {entry.manifest_path.name} ({', '.join(stale)}); "
            f"`make reproduce` and {remedy} renew it"
        )


def _code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _tags(cell: NotebookNode) -> list[str]:
    tags: list[str] = cell.metadata.get("tags", [])
    return tags


def _calls(source: str, method: str) -> list[tuple[Any, ast.Call]]:
    """The calls ``paper.<method>(...)`` in ``source`` with the name they hand over (None when it is computed)."""
    position = 0 if method == "check" else 1
    calls = []
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == method):
            continue
        if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "paper"):
            continue
        named = [keyword.value for keyword in node.keywords if keyword.arg == "name"]
        argument = named[0] if named else (node.args[position] if len(node.args) > position else None)
        calls.append((argument.value if isinstance(argument, ast.Constant) else None, node))
    return calls
