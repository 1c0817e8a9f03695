"""The reference of the package and the pages that open a part."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml

from replica.book import pages

SOURCE = Path(__file__).resolve().parents[2] / "src" / "replica"


def test_every_science_room_and_module_has_its_place() -> None:
    rooms = pages.rooms(SOURCE)
    assert "book" not in rooms
    assert {"kernels", "sampling", "dynamics", "datasets"} <= rooms.keys()
    assert "learning_curves" in rooms["kernels"]
    text = pages.room_page("kernels", rooms["kernels"])
    assert text.startswith("# replica.kernels\n")
    assert text.count(":members:") == len(rooms["kernels"])


def test_a_page_called_like_a_part_opens_it_and_rooms_hang_under_the_package(staged_pages: list) -> None:
    toc = yaml.safe_load(pages.contents(staged_pages, {"kernels", "intro", "neural-circuits"}, ["kernels", "sampling"]))
    parts = {part["caption"]: part["chapters"] for part in toc["parts"]}
    assert parts["Kernels"][0] == {"file": "kernels"}
    assert parts["Kernels"][1]["file"].startswith("kernels/")
    assert "Neural circuits" not in parts, "no papers, no part"
    (package,) = [chapter for chapter in parts["Take part"] if chapter["file"] == "api"]
    assert package["sections"] == [{"file": "api/kernels"}, {"file": "api/sampling"}]
    assert "api" not in str(yaml.safe_load(pages.contents(staged_pages)))


@pytest.mark.parametrize("room", sorted(pages.rooms(SOURCE)))
def test_all_that_is_public_says_what_it_is(room: str) -> None:
    silent = []
    for path in sorted((SOURCE / room).glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        named = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        silent += [f"{path.name}: {node.name}" for node in named if node.name[0] != "_" and not ast.get_docstring(node)]
        if not ast.get_docstring(tree):
            silent.append(path.name)
    assert silent == []


@pytest.fixture
def staged_pages(executed: Path) -> list:
    from replica.book.page_model import load_pages

    return load_pages("quick", executed)[0]
