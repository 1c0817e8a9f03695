"""An executed notebook as a page of the book: today's text, the outputs of the run, card, claims and figure footers."""

from __future__ import annotations

import copy
from typing import Any

import nbformat
from nbformat import NotebookNode

from replica.book.citation import bibtex, citation
from replica.book.gate import NOTEBOOK_FILE, figure_cell, project_of
from replica.book.notebook_text import read_notebook
from replica.book.page_model import PaperPage
from replica.book.profiles import apply, resolve
from replica.book.text import markdown, render, separate_displays, typeset, without_colours

CLAIMS_TABLE = 'class="replica-claims"'
SHOWN_TAGS = ("hide-", "remove-", "scroll-", "full-width", "margin")


def cleaned(page: PaperPage) -> NotebookNode:
    """The notebook to download: today's text and the outputs of the run; no times, paths, ids or stderr."""
    manifest, entry = page.manifest, page.entry
    notebook = apply(read_notebook(entry.notebook), resolve(entry, manifest, page.profile))
    run = nbformat.read(page.folder / NOTEBOOK_FILE, as_version=4)
    done = [cell for cell in run.cells if cell.cell_type == "code"]
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, (cell, executed) in enumerate(zip(cells, done, strict=True), start=1):
        outputs = [copy.deepcopy(output) for output in executed.outputs if output.get("name") != "stderr"]
        for output in outputs:
            output.get("metadata", {}).pop("execution", None)
            if output.output_type == "execute_result":
                output["execution_count"] = number
        cell["outputs"], cell["execution_count"] = outputs, number
    notebook.metadata.pop("papermill", None)
    return notebook


def staged(page: PaperPage, links: dict[str, str]) -> NotebookNode:
    """The page of a paper whose result passed the gate."""
    notebook = cleaned(page)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell["source"] = separate_displays(cell.source)
        for output in cell.get("outputs", []):
            if CLAIMS_TABLE in (table := output.get("data", {}).get("text/html", "")):
                output["data"]["text/html"] = typeset(table)
        tags = [tag for tag in cell.metadata.get("tags", []) if tag.startswith(SHOWN_TAGS)]
        cell["metadata"] = NotebookNode({key: v for key, v in cell.metadata.items() if key == "mystnb"})
        if tags:
            cell.metadata["tags"] = tags
    # from the last figure to the first, so that the indices of those to come stay true
    placed = sorted(((figure_cell(notebook, name), name) for name in page.manifest.figures), reverse=True)
    by_cell: dict[int, list[str]] = {}
    for index, name in placed:
        assert index is not None, f"the gate let the figure {name} through without a cell"
        by_cell.setdefault(index, []).insert(0, name)
    for index, names in by_cell.items():
        _dress(notebook.cells[index], page, names)
        footers = [_inserted(f"{page.slug[:40]}-footer-{name[:20]}", footer(page, name)) for name in names]
        notebook.cells[index + 1 : index + 1] = footers
    top = card(page, links) + "\n" + render("claims_at_a_glance.md.j2", page=page)
    _insert_below_introduction(notebook, page, top)
    return notebook


def card(page: PaperPage, links: dict[str, str]) -> str:
    """The card at the head of a page: citation, badge, what ran, downloads and launch links."""
    stand_ins = [data for data in page.provenance.get("datasets", []) if data.get("is_stand_in")]
    return render(
        "card.md.j2", page=page, links=links, citation=citation(page.manifest), stand_ins=stand_ins,
        bibtex=bibtex(page.manifest, page.slug), counted=page.counted(), ours=page.counted(ours=True),
    )  # fmt: skip


def footer(page: PaperPage, figure: str) -> str:
    """What stands beneath a figure: numbers, image files, parameters, the command that regenerates it."""
    parameters = [f"{name} = {_literal(value)}" for name, value in page.provenance.get("parameters", {}).items()]
    return render(
        "figure_footer.md.j2", page=page, figure=figure, files=page.figure_files(figure), parameters=parameters,
        claims=[claim for claim in page.claims if claim["figure"] == figure],
    )  # fmt: skip


def absent(page: PaperPage, links: dict[str, str]) -> str:
    """The page of a paper without a result that may be shown: why, and what to do; never old outputs."""
    return render(
        "absent_page.md.j2", page=page, links=links, citation=citation(page.manifest), traceback=_traceback(page),
    )  # fmt: skip


def figure_caption(page: PaperPage, figure: str) -> str:
    """The caption as the book prints it: which figure of the publication this is, then the manifest's words."""
    return f"**{markdown(page.origin(figure))}** {markdown(page.manifest.figures[figure].caption)}"


def _dress(cell: NotebookNode, page: PaperPage, figures: list[str]) -> None:
    """Alternative text, caption and label of the figure that the cell shows."""
    alt = " ".join(" ".join(page.manifest.figures[name].alt.split()) for name in figures)
    options: dict[str, Any] = {"image": {"alt": alt}}
    displayed = [output for output in cell.outputs if "data" in output]
    if len(figures) == 1 and len(displayed) == 1:
        options["figure"] = {"caption": figure_caption(page, figures[0]), "name": page.anchor(figures[0])}
    cell.metadata["mystnb"] = {**cell.metadata.get("mystnb", {}), **options}


def _insert_below_introduction(notebook: NotebookNode, page: PaperPage, text: str) -> None:
    """Put ``text`` between the introduction (title and what follows it) and the first section."""
    first = notebook.cells[0]
    lines = first.source.splitlines()
    sections = [number for number, line in enumerate(lines) if line.startswith("## ")]
    cut = sections[0] if sections else len(lines)
    rest = "\n".join(lines[cut:]).strip()
    first["source"] = "\n".join(lines[:cut]).strip()
    added = [_inserted(f"{page.slug[:50]}-card", text)]
    if rest:
        added.append(_inserted(f"{page.slug[:50]}-first", rest))
    notebook.cells[1:1] = added


def _inserted(identity: str, text: str) -> NotebookNode:
    return nbformat.v4.new_markdown_cell(text.strip(), id=identity)


def _literal(value: Any) -> str:
    return repr(value)


def _traceback(page: PaperPage) -> str:
    """The end of the traceback that the crashed notebook shows, without colours and without folders' names."""
    if page.crash is None:
        return ""
    root = project_of(page.entry)
    path = root / "results" / page.profile / ".failed" / page.slug / NOTEBOOK_FILE
    lines: list[str] = []
    try:
        for cell in nbformat.read(path, as_version=4).cells:
            for output in cell.get("outputs", []):
                if output.output_type == "error":
                    lines = without_colours("\n".join(output.traceback)).splitlines()
    except (OSError, ValueError, nbformat.reader.NotJSONError):
        pass
    lines = lines or [f"{page.crash.get('ename')}: {page.crash.get('evalue')}"]
    return "\n".join(lines[-40:]).replace(str(root), ".")
