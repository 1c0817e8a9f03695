"""Fixtures that several folders of tests use."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def checkout() -> Path:
    """The root of this checkout."""
    return ROOT


@pytest.fixture
def make_project(tmp_path, monkeypatch):
    """A function that lays out a project with toy papers and makes it the current one."""

    def make(*papers: tuple[str, str, str, str]) -> Path:
        root = tmp_path / "project"
        (root / "notebooks").mkdir(parents=True, exist_ok=True)
        for name in ("pyproject.toml", "requirements.lock"):
            shutil.copy(ROOT / name, root / name)
        if not (root / "src").exists():
            shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
        for part, slug, notebook, manifest in papers:
            folder = root / "notebooks" / part
            folder.mkdir(exist_ok=True)
            (folder / f"{slug}.md").write_text(notebook, encoding="utf-8")
            (folder / f"{slug}.yml").write_text(manifest, encoding="utf-8")
        monkeypatch.setenv("REPLICA_ROOT", str(root))
        return root

    return make
