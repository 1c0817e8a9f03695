"""The conventions check names what is missing, and a scaffolded paper is told precisely what to fill in."""

import nbformat
import pytest

from replica.book.catalogue import find, papers, suggest
from replica.book.claims import missing
from replica.book.conventions import faults
from replica.book.errors import ReplicaError, UnknownPaper
from replica.book.pairs import update_pair
from replica.book.paper import ClaimsTable
from replica.book.scaffold import scaffold

from .toy import MANIFEST, NOTEBOOK


@pytest.fixture
def entry(make_project):
    make_project(("kernels", "toy-law", NOTEBOOK, MANIFEST))
    return find("toy-law")


def own_faults(entry):
    """The faults of text and manifest (the toy has no recorded outputs)."""
    update_pair(entry.notebook, entry.ipynb)
    return [fault for fault in faults(entry) if "no recorded outputs" not in fault]


def test_a_healthy_paper_has_only_its_recording_left(entry):
    assert own_faults(entry) == []
    assert faults(entry) == [
        "toy-law.ipynb has no recorded outputs; `make record PAPER=toy-law` takes them from the last quick run"
    ]


SPOILED = {
    "no seed": ("seed: int = 0  # seed of all random numbers\n", "", "no seed"),
    "figure never saved": ('paper.save_figure(fig, "line", data={"x": x, "y": x})', "pass", "saved 0 times"),
    "unknown figure": ('save_figure(fig, "line"', 'save_figure(fig, "lime"', "saves 'lime'"),
    "a still saved as an animation": (
        'save_figure(fig, "line"',
        'save_animation(fig, "line"',
        "save it with paper.save_figure",
    ),
    "no figure tag": ("figure-line", "other", "needs the tag figure-line"),
    "unknown figure tag": ("[figure-line]", "[figure-line, figure-lime]", "figure-lime names no figure"),
    "claim never checked": ('paper.check("two", 1 + x[-1] / width)', "pass", "'two' is never checked"),
    "unknown claim": ('paper.check("two"', 'paper.check("too"', "checks 'too'"),
    "no claims table": ("paper.claims()", "paper.claims", "holds only"),
    "claims not compared": (", nbval-check-output", "", "nbval-check-output"),
    "no conventions table": ("## Conventions and choices", "## Choices", "## Conventions and choices"),
    "two titles": ("## Setup", "# Setup", "one heading of the first level"),
    "another title": ("# A toy law", "# A joy law", "expected the heading `# A toy law`"),
    "label without the slug": ("Nothing.", "(eq-law)=\nNothing.", "'eq-law'"),
    "not Python": ("fig, ax = plt.subplots()", "fig, ax = plt.subplots(", "not valid Python"),
    "a cell too long": ("ax.plot(x, x)\n", "ax.plot(x, x)\n" * 60, "move physics"),
    "still to fill in": ("Nothing.", "FILL IN: the findings", "line"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_each_fault_is_named(entry, case):
    old, new, words = SPOILED[case]
    assert old in NOTEBOOK
    entry.notebook.write_text(NOTEBOOK.replace(old, new, 1))
    assert any(words in fault for fault in own_faults(entry))


def test_a_pair_out_of_step_is_named(entry):
    update_pair(entry.notebook, entry.ipynb)
    entry.notebook.write_text(NOTEBOOK.replace("find that", "show that"))
    assert any("out of step" in fault and "make record" in fault for fault in faults(entry))


@pytest.fixture
def recorded(entry):
    """The toy with the outputs that a run would have left; returns what writes a change of them."""
    update_pair(entry.notebook, entry.ipynb)
    pair = nbformat.read(entry.ipynb, as_version=4)
    table = ClaimsTable([missing(name, claim) for name, claim in entry.manifest().claims.items()])
    (claims,) = (cell for cell in pair.cells if "claims" in cell.metadata.get("tags", []))
    claims.outputs = [nbformat.v4.new_output("execute_result", {"text/html": table._repr_html_()}, execution_count=1)]
    claims.execution_count = 1
    nbformat.write(pair, entry.ipynb)
    assert faults(entry) == []
    return pair


def test_a_recorded_table_of_claims_that_were_reworded_since_is_named(entry, recorded):
    entry.manifest_path.write_text(MANIFEST.replace('source: "Eq. 2"', 'source: "Equation 2 & 3"'))
    assert ["toy-law.ipynb shows other claims than toy-law.yml (rough)" in fault for fault in faults(entry)] == [True]


def test_a_picture_that_is_shown_but_not_saved_is_named(entry, recorded):
    setup = next(cell for cell in recorded.cells if cell.cell_type == "code")
    setup.outputs = [nbformat.v4.new_output("display_data", {"image/png": "AAAA"})]
    setup.execution_count = 1
    nbformat.write(recorded, entry.ipynb)
    assert ["code cell 1 shows a picture that it does not save" in fault for fault in faults(entry)] == [True]


def test_a_scaffolded_paper_is_told_what_to_fill_in(entry, make_project):
    root = make_project()
    paths = scaffold("new-law", "scaling-limits", root)
    assert [path.name for path in paths] == ["new-law.yml", "new-law.md"]
    found = faults(find("new-law"))
    assert sum("still to fill in" in fault for fault in found) >= 10
    assert all("new-law" in fault for fault in found)
    with pytest.raises(ReplicaError, match="exists already"):
        scaffold("new-law", "scaling-limits", root)


@pytest.mark.parametrize(("slug", "part"), [("New_Law", "kernels"), ("new law", "kernels"), ("ok", "kitchen")])
def test_bad_names_are_refused(entry, make_project, slug, part):
    with pytest.raises(ReplicaError, match="expected a"):
        scaffold(slug, part, make_project())


def test_an_unknown_slug_suggests_the_nearest(entry):
    with pytest.raises(UnknownPaper, match="Did you mean toy-law"):
        find("toy-lav")
    assert suggest("zzz", ["a", "b"]) == "There are: a, b."
    assert [paper.slug for paper in papers()] == ["toy-law"]
