"""The toy project, run once a session, and the book built from it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.book_pages import toy_book as toy

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker for all of this folder: the toy project is run and built once."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("book"))


@pytest.fixture(scope="session")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy project after a run. Do not change it; ask for ``project``."""
    root = toy.make_project(tmp_path_factory.mktemp("toys") / "project")
    toy.run_toys(root)
    return root


@pytest.fixture
def project(executed: Path, tmp_path: Path) -> Path:
    """A copy of the executed toy project, to spoil."""
    return Path(shutil.copytree(executed, tmp_path / "project", symlinks=True))


@pytest.fixture(scope="session")
def toy_html(executed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The HTML of the toy book, built with warnings as errors."""
    from replica.book.stage import build

    root = Path(shutil.copytree(executed, tmp_path_factory.mktemp("built") / "project", symlinks=True))
    return build(root=root).parent


@pytest.fixture(scope="session")
def book_html(request: pytest.FixtureRequest) -> Path:
    """The book to look at: that in ``REPLICA_BOOK_HTML``, else the toy book."""
    named = os.environ.get("REPLICA_BOOK_HTML")
    if named:
        html = Path(named).resolve()
        assert (html / "index.html").is_file(), f"REPLICA_BOOK_HTML is {named!r}, but there is no index.html in it"
        return html
    built: Path = request.getfixturevalue("toy_html")
    return built
