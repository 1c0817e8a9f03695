"""``replica run`` and ``replica figure``: one paper, one kernel."""

from __future__ import annotations

import json
import re

import nbformat
import pytest

from tests.workflow.toy import Project, make_project

pytestmark = pytest.mark.xdist_group("run")


@pytest.fixture(scope="session")  # a module scope would end whenever xdist slips in another test
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """A project in which toy-alpha ran once, and what the run said on stderr."""
    project = make_project(tmp_path_factory.mktemp("ran") / "project")
    done = project.replica("run", "toy-alpha")
    assert done.returncode == 0, done.stderr
    assert "2 of 2 claims reproduced" in done.stdout
    assert "results/quick/toy-alpha" in done.stdout
    return project, done.stderr


def test_a_run_leaves_the_files_of_the_contract(ran: tuple[Project, str]) -> None:
    project, _ = ran
    result = project.result("toy-alpha")
    found = {path.relative_to(result).as_posix() for path in result.rglob("*") if path.is_file()}
    figures = {f"figures/{name}.{kind}" for name in ("sum", "noise") for kind in ("png", "svg", "npz", "csv")}
    assert found == {"notebook.ipynb", "claims.json", "provenance.json"} | figures
    assert project.leftovers() == []


def test_progress_is_one_line_per_cell(ran: tuple[Project, str]) -> None:
    project, said = ran
    lines = [line for line in said.splitlines() if line]
    assert len(lines) == 7
    assert all(re.fullmatch(r"\[toy-alpha quick\] \d/7 [A-Z].* · \d+\.\d s", line) for line in lines), lines
    assert lines[2].startswith("[toy-alpha quick] 3/7 The sum")
    status = json.loads((project.root / "results/quick/.status/toy-alpha.json").read_text())
    assert status["state"] == "complete"
    assert [cell["cell"] for cell in status["done"]] == list(range(1, 8))


def test_the_notebook_is_executed_and_free_of_times(ran: tuple[Project, str]) -> None:
    project, _ = ran
    path = project.result("toy-alpha") / "notebook.ipynb"
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, 8))
    text = path.read_text()
    assert "papermill" not in text
    assert str(project.root) not in text
    assert not re.search(r"20\d\d-\d\d-\d\dT", text)


def test_provenance_says_what_ran(ran: tuple[Project, str]) -> None:
    project, _ = ran
    content = project.provenance("toy-alpha")
    assert content["status"] == "complete"
    assert content["parameters"] == {"seed": 0, "trials": 4, "exponent": 2.0, "pause": 0.0}
    assert content["seed"] == 0
    assert content["threads"] == 1
    assert content["overrides"] == {}
    assert "replica.toys.first" in content["modules"]
    assert "replica.toys.second" not in content["modules"]
    assert content["packages"]["numpy"]
    assert content["packages"]["papermill"]
    assert 20 < content["peak_mb"] < 2000
    assert [cell["heading"] for cell in content["cells"]][2] == "The sum"
    assert set(content["figures"]) == {"sum", "noise"}
    assert set(content["figures"]["sum"]) == {"png", "svg", "npz", "csv"}
    assert project.replica("verify", "toy-alpha").returncode == 0


def test_the_same_seed_gives_the_same_bytes(ran: tuple[Project, str]) -> None:
    project, _ = ran
    result = project.result("toy-alpha")
    before = {path.name: path.read_bytes() for path in result.rglob("*") if path.is_file()}
    assert project.replica("run", "toy-alpha").returncode == 0
    after = {path.name: path.read_bytes() for path in result.rglob("*") if path.is_file()}
    assert before.keys() == after.keys()
    assert [name for name in before if before[name] != after[name]] == ["provenance.json"]


def test_overrides_go_to_their_own_folder(ran: tuple[Project, str]) -> None:
    project, _ = ran
    before = project.stamps()
    done = project.replica("run", "toy-alpha", "-p", "trials=3", "-p", "exponent=3")
    assert done.returncode == 0, done.stderr
    assert "results/custom/toy-alpha" in done.stdout
    assert project.stamps() == before
    content = project.provenance("toy-alpha", "custom")
    assert content["overrides"] == {"trials": "3", "exponent": "3"}
    assert content["parameters"]["trials"] == 3
    notebook = nbformat.read(project.result("toy-alpha", "custom") / "notebook.ipynb", as_version=4)
    cells = [cell.source for cell in notebook.cells if "trials: int" in cell.source]
    assert len(cells) == 1, "one parameters cell, the one that ran"
    assert "trials: int = 3  # how many" in cells[0]
    assert project.claims("toy-alpha", "custom")["total"]["value"] == 1 + 8 + 27


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("-p", "trails=3"), ["no parameter 'trails'", "Did you mean trials?", "exponent (float, 2.0)"]),
        (("-p", "trials=many"), ["parameter trials", "expected int", "'many'"]),
        (("-p", "trials=2.5"), ["parameter trials", "expected int", "2.5"]),
    ],
)
def test_a_wrong_parameter_is_refused_before_a_kernel_starts(
    ran: tuple[Project, str], arguments: tuple[str, ...], expected: list[str]
) -> None:
    project, _ = ran
    log = project.root / "results/custom/.logs/toy-alpha.log"
    log.unlink(missing_ok=True)
    done = project.replica("run", "toy-alpha", *arguments)
    assert done.returncode != 0
    for words in expected:
        assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not log.exists()


def test_an_unknown_paper_suggests_the_nearest(ran: tuple[Project, str]) -> None:
    done = ran[0].replica("run", "toy-alpa")
    assert done.returncode != 0
    assert "toy-alpha" in done.stderr


def test_one_figure_is_made_without_the_others(ran: tuple[Project, str]) -> None:
    project, _ = ran
    done = project.replica("figure", "toy-alpha", "noise", "-p", "pause=100", timeout=60)
    assert done.returncode == 0, done.stderr
    assert "results/figures-only/quick/toy-alpha/figures/noise.png" in done.stdout
    folder = project.root / "results/figures-only/quick/toy-alpha/figures"
    assert {path.name for path in folder.iterdir()} == {f"noise.{kind}" for kind in ("png", "svg", "npz", "csv")}
    full = project.result("toy-alpha") / "figures" / "noise.npz"
    assert (folder / "noise.npz").read_bytes() == full.read_bytes()
    assert project.leftovers() == []


def test_an_unknown_figure_lists_those_that_exist_nearest_first(ran: tuple[Project, str]) -> None:
    done = ran[0].replica("figure", "toy-alpha", "nois")
    assert done.returncode != 0
    assert "It has: noise, sum" in done.stderr
