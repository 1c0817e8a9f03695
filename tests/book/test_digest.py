"""What a result depends on: everything that changes a number, nothing that does not."""

import re

import pytest

from replica.book.catalogue import find
from replica.book.digest import imports_of, module_closure, paper_digest, source_digest

from .toy import MANIFEST, NOTEBOOK


@pytest.fixture
def project(make_project):
    root = make_project(("kernels", "toy-law", NOTEBOOK, MANIFEST))
    room = root / "src" / "replica" / "toys"
    room.mkdir()
    (room / "__init__.py").write_text('"""Toys."""\n')
    (room / "used.py").write_text(
        "from replica.toys import deep\n\n\ndef law():\n    from .lazy import x\n    return x\n"
    )
    (room / "deep.py").write_text("VALUE = 1\n")
    (room / "lazy.py").write_text("x = 1\n")
    (room / "unused.py").write_text("VALUE = 1\n")
    entry = find("toy-law")
    entry.notebook.write_text(
        NOTEBOOK.replace("import numpy as np", "import numpy as np\nfrom replica.toys import used")
    )
    return root


def digest(**kwargs):
    entry = find("toy-law")
    return paper_digest(entry, entry.manifest(), kwargs.pop("profile", "quick"), **kwargs)


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_closure_has_every_package_on_the_way_and_imports_inside_functions(project):
    closure = module_closure(project / "notebooks" / "kernels" / "toy-law.md")
    for name in ("replica", "replica.toys", "replica.toys.used", "replica.toys.deep", "replica.toys.lazy"):
        assert name in closure
    assert "replica.toys.unused" not in closure
    assert "replica.book.cli" not in closure  # an edit of the command line must not rerun the papers
    assert "replica.book.stage" not in closure


CHANGES = {
    "code of a cell": ("notebooks/kernels/toy-law.md", "ax.plot(x, x)", "ax.plot(x, -x)"),
    "a parameter": ("notebooks/kernels/toy-law.md", "trials: int = 4", "trials: int = 5"),
    "a used module": ("src/replica/toys/used.py", "def law", "def other"),
    "a module used by it": ("src/replica/toys/deep.py", "1", "2"),
    "a module imported in a function": ("src/replica/toys/lazy.py", "1", "2"),
    "a package on the way": ("src/replica/toys/__init__.py", "Toys", "Joys"),
    "an expectation": ("notebooks/kernels/toy-law.yml", "atol: 0.1", "atol: 0.2"),
    "a source, which the claims table shows": ("notebooks/kernels/toy-law.yml", "source: ", "source: see "),
    "the lock": ("requirements.lock", "numpy==", "numpy==1"),
}
UNCHANGED = {
    "prose": ("notebooks/kernels/toy-law.md", "find that", "show that"),
    "a caption": ("notebooks/kernels/toy-law.yml", "A line.", "A straight line."),
    "alt text": ("notebooks/kernels/toy-law.yml", "A straight line that", "One straight line that"),
    "an unused module": ("src/replica/toys/unused.py", "1", "2"),
    "the command line": ("src/replica/book/cli.py", '"""The', '"""This is the'),
    "another profile": ("notebooks/kernels/toy-law.yml", "paper: {trials: 100}", "paper: {trials: 200}"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_what_changes_numbers_changes_the_digest(project, case):
    before = digest()
    path, old, new = CHANGES[case]
    edit(project / path, old, new)
    assert digest() != before


@pytest.mark.parametrize("case", UNCHANGED)
def test_what_does_not_leaves_it(project, case):
    before = digest()
    path, old, new = UNCHANGED[case]
    edit(project / path, old, new)
    assert digest() == before


def test_a_stand_in_is_out_of_date_once_the_real_data_are_here(project, monkeypatch):
    edit(project / "notebooks/kernels/toy-law.yml", "profiles:", "data: [mnist]\nprofiles:")
    monkeypatch.setattr("replica.datasets.resolve", lambda name: "digits")
    before = digest()
    monkeypatch.setattr("replica.datasets.resolve", lambda name: name)
    assert digest() != before


def test_profile_and_overrides_count(project):
    assert len({digest(), digest(profile="smoke"), digest(overrides={"trials": "9"})}) == 3
    assert digest(overrides={"trials": "4"}) == digest()


def test_source_digest_changes_with_any_module(project):
    before = source_digest(project)
    edit(project / "src/replica/toys/unused.py", "1", "2")
    assert source_digest(project) != before
    assert re.fullmatch(r"[0-9a-f]{64}", before)


def test_imports():
    code = "import numpy\nimport replica.a.b as c\nfrom replica.d import e\nfrom . import f\nfrom .g import h\n"
    assert imports_of(code, "replica.here.mod") == {
        "replica.a.b", "replica.d", "replica.d.e",
        "replica.here", "replica.here.f", "replica.here.g", "replica.here.g.h",
    }  # fmt: skip
    assert imports_of("if TYPE_CHECKING:\n    import replica.x\nelse:\n    import replica.y\n") == {"replica.y"}
