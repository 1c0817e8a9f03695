"""Nothing enters the book that did not run to its end from the present sources; a sentence each says why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from replica.book.catalogue import PaperEntry, find
from replica.book.gate import inspect, saved_figures, sha256
from replica.book.page_model import load_pages
from replica.book.stage import stage

SLUG = "toy-learnability"


@pytest.fixture
def entry(project: Path) -> PaperEntry:
    return find(SLUG, project)


def results(project: Path) -> Path:
    return project / "results" / "quick" / SLUG


def change_json(path: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def forge(project: Path, name: str, change: Callable[[Any], None]) -> None:
    """Change a result file and make the provenance agree, so that only the fault itself can be found."""
    path = results(project) / name
    change_json(path, change)
    key = {"notebook.ipynb": "notebook_sha256", "claims.json": "claims_sha256"}[name]
    change_json(results(project) / "provenance.json", lambda content: content.update({key: sha256(path)}))


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def never_executed(project: Path) -> None:
    forge(project, "notebook.ipynb", lambda nb: code_cells(nb)[2].update(execution_count=None, outputs=[]))


def with_error(project: Path) -> None:
    error = {"output_type": "error", "ename": "ValueError", "evalue": "no such mode", "traceback": []}
    forge(project, "notebook.ipynb", lambda nb: code_cells(nb)[3]["outputs"].append(error))


def half_killed(project: Path) -> None:
    change_json(results(project) / "provenance.json", lambda content: content.update(finished=None, status="running"))


def stale(project: Path) -> None:
    path = find(SLUG, project).notebook
    path.write_text(path.read_text(encoding="utf-8").replace("0.02 * rng", "0.03 * rng"), encoding="utf-8")


def edited_source(project: Path) -> None:
    def change(notebook: dict[str, Any]) -> None:
        cell = code_cells(notebook)[2]
        cell["source"] = "".join(cell["source"]).replace("0.02 * rng", "0.0 * rng")

    forge(project, "notebook.ipynb", change)


def edited_output(project: Path) -> None:
    path = results(project) / "notebook.ipynb"
    path.write_text(path.read_text(encoding="utf-8").replace("0.00704", "0.00000"), encoding="utf-8")


SPOILED = {
    never_executed: "never executed",
    with_error: "shows an error, ValueError: no such mode",
    half_killed: "killed half-way",
    stale: "stale",
    edited_source: "edited by hand; make the change in toy-learnability.md",
    edited_output: "notebook.ipynb is not as the run wrote it",
}


def test_a_sound_result_passes(entry: PaperEntry) -> None:
    assert inspect(entry) == []


@pytest.mark.parametrize("spoil", SPOILED, ids=lambda spoil: spoil.__name__)
def test_a_spoiled_notebook_is_refused_with_one_sentence(
    entry: PaperEntry, project: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(project)
    reasons = inspect(entry)
    assert len(reasons) == 1, reasons
    assert SPOILED[spoil] in reasons[0]
    assert f"run `make reproduce PAPER={SLUG}`" in reasons[0]
    assert reasons[0].endswith(".")


@pytest.mark.parametrize("spoil", SPOILED, ids=lambda spoil: spoil.__name__)
def test_nothing_of_a_spoiled_notebook_is_staged(project: Path, spoil: Callable[[Path], None]) -> None:
    stage(root=project)
    spoil(project)
    report = stage(root=project)
    assert report.papers[SLUG] == "refused"
    book = project / "build" / "book"
    assert not (book / "kernels" / f"{SLUG}.ipynb").exists()
    assert not (book / "files" / SLUG).exists()
    assert not list(book.rglob(f"{SLUG}--*.png"))
    page = (book / "kernels" / f"{SLUG}.md").read_text(encoding="utf-8")
    assert "was refused" in page
    assert "0.00704" not in page
    assert f"kernels/{SLUG}.html" not in (book / "gallery.md").read_text(encoding="utf-8")


def test_a_refused_paper_counts_as_not_reproduced(project: Path) -> None:
    _, before = load_pages("quick", project)
    edited_output(project)
    _, after = load_pages("quick", project)
    assert before["claims_of_papers_reproduced"] - after["claims_of_papers_reproduced"] == 2
    assert before["executed"] - after["executed"] == 1
    assert before["claims"] == after["claims"]


@pytest.mark.parametrize("name", ["figures/spectrum.png", "figures/spectrum.csv", "claims.json"])
def test_other_edited_files_are_named(entry: PaperEntry, project: Path, name: str) -> None:
    path = results(project) / name
    path.write_bytes(path.read_bytes() + b" ")
    assert [reason for reason in inspect(entry) if reason.startswith(f"{name} is not as the run wrote it")]


def test_a_vanished_figure_is_named(entry: PaperEntry, project: Path) -> None:
    (results(project) / "figures" / "spectrum.svg").unlink()
    assert "figures/spectrum.svg disappeared" in inspect(entry)[0]


def test_a_figure_that_was_never_saved_is_named(entry: PaperEntry, project: Path) -> None:
    change_json(results(project) / "provenance.json", lambda content: content["figures"].pop("spectrum"))
    assert inspect(entry)[0].startswith("The run saved no figure spectrum")


def test_a_claim_that_was_never_checked_is_named(entry: PaperEntry, project: Path) -> None:
    forge(project, "claims.json", lambda content: content["claims"][0].update(verdict="missing"))
    forge(project, "claims.json", lambda content: content["claims"].pop(3))
    assert "never checked the claim conservation-law, ours" in inspect(entry)[0]


@pytest.mark.parametrize("damage", ["", "{", '{"schema": 1'])
def test_a_cut_off_provenance_means_half_killed(entry: PaperEntry, project: Path, damage: str) -> None:
    (results(project) / "provenance.json").write_text(damage, encoding="utf-8")
    assert "killed half-way" in inspect(entry)[0]


def test_a_cut_off_notebook_is_refused(entry: PaperEntry, project: Path) -> None:
    path = results(project) / "notebook.ipynb"
    path.write_text(path.read_text(encoding="utf-8")[:500], encoding="utf-8")
    assert "cut off" in inspect(entry)[0]


def test_a_notebook_that_papermill_left_is_half_killed(entry: PaperEntry, project: Path) -> None:
    forge(project, "notebook.ipynb", lambda nb: nb["metadata"].update(papermill={"end_time": None, "exception": None}))
    assert "killed half-way" in inspect(entry)[0]


@pytest.mark.parametrize("changed", ["requirements.lock", "expectation", "module"])
def test_what_a_result_depends_on_makes_it_stale(entry: PaperEntry, project: Path, changed: str) -> None:
    if changed == "requirements.lock":
        path = project / "requirements.lock"
        path.write_text(path.read_text() + "\nextra==1.0\n")
    elif changed == "expectation":
        text = entry.manifest_path.read_text(encoding="utf-8")
        entry.manifest_path.write_text(text.replace("atol: 0.05", "atol: 0.5"), encoding="utf-8")
    else:
        text = entry.notebook.read_text(encoding="utf-8")
        imported = "import numpy as np\nimport replica.book.text"
        entry.notebook.write_text(text.replace("import numpy as np", imported), encoding="utf-8")
    assert "stale" in inspect(entry)[0]


def test_prose_and_captions_do_not_make_it_stale(entry: PaperEntry, project: Path) -> None:
    for path, old, new in (
        (entry.notebook, "The toy holds.", "The toy holds well."),
        (entry.manifest_path, "Eigenvalues that fall", "Eigenvalues which fall"),
    ):
        path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    assert inspect(entry) == []
    stage(root=project)
    page = (project / "build" / "book" / "kernels" / f"{SLUG}.ipynb").read_text(encoding="utf-8")
    assert "The toy holds well." in page
    assert "Eigenvalues which fall" in page


def test_other_parameters_than_the_profile_s_are_refused(entry: PaperEntry, project: Path) -> None:
    change_json(results(project) / "provenance.json", lambda content: content.update(overrides={"samples": 20}))
    assert "other parameters than profile quick (samples=20)" in inspect(entry)[0]


def test_a_crash_and_an_absent_run_say_so(project: Path) -> None:
    crash = inspect(find("toy-crash", project))
    assert len(crash) == 1
    assert "crashed in cell" in crash[0]
    assert "singular" in crash[0]
    absent = inspect(find("toy-not-run", project), "smoke")
    assert absent == ["It has not been run at profile smoke; run `make reproduce PAPER=toy-not-run PROFILE=smoke`."]


def test_a_crash_hides_an_older_result(project: Path) -> None:
    failed = project / "results" / "quick" / ".failed" / SLUG
    failed.mkdir(parents=True)
    (failed / "error.json").write_text('{"cell": 2, "heading": "Setup", "ename": "E", "evalue": "v", "log": "x.log"}')
    assert inspect(find(SLUG, project))[0].startswith("The last run crashed in cell 2 (Setup) with E: v")
    assert stage(root=project).papers[SLUG] == "crashed"


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ('paper.save_figure(fig, "a", data={})\npaper.check("b", 1)', ["a"]),
        ("paper.save_figure(draw(x), 'a-b', {})", ["a-b"]),
        ('paper.save_figure(fig, name="c", data={})', ["c"]),
        ("paper.save_figure(fig, name, data={})", []),
        ("%matplotlib inline", []),
    ],
)
def test_saved_figures(code: str, names: list[str]) -> None:
    assert saved_figures(code) == names
