"""Pairs: the text wins, whatever the modification times; outputs of unchanged cells stay; diffs stay quiet."""

import json
import os

import nbformat
import pytest

from replica.book.catalogue import find
from replica.book.errors import NotebookError, PairError
from replica.book.notebook_text import read_notebook
from replica.book.pairs import difference, record, update_pair

from .toy import MANIFEST, NOTEBOOK


@pytest.fixture
def entry(make_project):
    make_project(("kernels", "toy-law", NOTEBOOK, MANIFEST))
    return find("toy-law")


def executed(entry, path):
    """A notebook as a run leaves it: outputs, times and a progress bar on stderr."""
    notebook = read_notebook(entry.notebook)
    for number, cell in enumerate((c for c in notebook.cells if c.cell_type == "code"), start=1):
        cell["execution_count"] = number + 10
        cell["metadata"]["papermill"] = {"duration": number * 0.1}
        cell["outputs"] = [
            nbformat.v4.new_output("stream", name="stdout", text=f"cell {number}\n"),
            nbformat.v4.new_output("stream", name="stderr", text="100%|####|\n"),
        ]
    nbformat.write(notebook, path)
    return path


def test_ids_are_stable_and_named_by_the_slug(entry):
    ids = [cell.id for cell in read_notebook(entry.notebook).cells]
    assert ids[0] == "toy-law-00"
    assert len(set(ids)) == len(ids)


def test_recording_keeps_outputs_without_times_or_stderr_and_is_quiet(entry, tmp_path):
    run = executed(entry, tmp_path / "run.ipynb")
    assert record(entry.notebook, run, entry.ipynb)
    text = entry.ipynb.read_text()
    assert "papermill" not in text
    assert "####" not in text
    pair = nbformat.read(entry.ipynb, as_version=4)
    counts = [cell.execution_count for cell in pair.cells if cell.cell_type == "code"]
    assert counts == [1, 2, 3, 4]
    assert difference(entry.notebook, entry.ipynb) is None
    assert not record(entry.notebook, run, entry.ipynb)  # nothing new: not one byte changes
    nbformat.validate(pair)


def test_an_edit_of_the_text_wins_over_a_newer_pair(entry, tmp_path):
    record(entry.notebook, executed(entry, tmp_path / "run.ipynb"), entry.ipynb)
    entry.notebook.write_text(NOTEBOOK.replace("x = np.linspace(0, width, 5)", "x = np.linspace(0, width, 9)"))
    os.utime(entry.notebook, (1, 1))  # as in a fresh clone, the times say nothing
    assert "9" in difference(entry.notebook, entry.ipynb)
    assert update_pair(entry.notebook, entry.ipynb)
    assert difference(entry.notebook, entry.ipynb) is None
    cells = [cell for cell in json.loads(entry.ipynb.read_text())["cells"] if cell["cell_type"] == "code"]
    assert [bool(cell["outputs"]) for cell in cells] == [True, True, False, True]


def test_an_edit_of_prose_is_a_difference_too(entry):
    update_pair(entry.notebook, entry.ipynb)
    entry.notebook.write_text(NOTEBOOK.replace("find that", "show that"))
    assert "show that" in difference(entry.notebook, entry.ipynb)


def test_a_run_of_other_cells_is_not_recorded(entry, tmp_path):
    run = executed(entry, tmp_path / "run.ipynb")
    entry.notebook.write_text(NOTEBOOK.replace("trials: int = 4", "trials: int = 5"))
    with pytest.raises(PairError, match="make reproduce PAPER=toy-law"):
        record(entry.notebook, run, entry.ipynb)


def test_prose_may_change_after_the_run(entry, tmp_path):
    run = executed(entry, tmp_path / "run.ipynb")
    entry.notebook.write_text(NOTEBOOK.replace("## Setup", "Some words more.\n\n+++\n\n## Setup"))
    assert record(entry.notebook, run, entry.ipynb)
    assert difference(entry.notebook, entry.ipynb) is None


def test_a_recorded_picture_is_the_picture_in_256_colours(entry, tmp_path):
    import base64
    import io

    import numpy as np
    from PIL import Image

    ramp = np.linspace(0, 255, 300 * 200 * 3).reshape(200, 300, 3).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(ramp).save(buffer, format="png")
    run = nbformat.read(executed(entry, tmp_path / "run.ipynb"), as_version=4)
    picture = base64.b64encode(buffer.getvalue()).decode()
    run.cells[1].outputs = [nbformat.v4.new_output("display_data", data={"image/png": picture})]
    assert run.cells[1].cell_type == "code"
    nbformat.write(run, tmp_path / "run.ipynb")
    record(entry.notebook, tmp_path / "run.ipynb", entry.ipynb)
    recorded = nbformat.read(entry.ipynb, as_version=4).cells[1].outputs[0].data["image/png"]
    small = np.asarray(Image.open(io.BytesIO(base64.b64decode(recorded))).convert("RGB"))
    assert np.abs(small.astype(int) - ramp).max() <= 16


def test_a_missing_pair_names_the_remedy(entry):
    with pytest.raises(PairError, match="make record PAPER=toy-law"):
        difference(entry.notebook, entry.ipynb)


def test_text_that_is_no_notebook_is_refused(tmp_path):
    path = tmp_path / "broken.md"
    path.write_text("---\njupytext: [\n---\n```{code-cell}\nx=1\n```\n")
    with pytest.raises(NotebookError, match=r"broken\.md"):
        read_notebook(path)
