"""Staging: the sources of the book, put together in ``build/book`` from ``book/`` and what passed the gate."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from replica.book import notebook_page, pages
from replica.book.catalogue import project_root
from replica.book.gate import sha256
from replica.book.links import paper_links, read_repository, tracked_paths
from replica.book.locks import hold
from replica.book.page_model import PaperPage, load_pages
from replica.book.publish import BookBuildError, build_html
from replica.book.thumbnails import collage, size_of, thumbnail

__all__ = ["BookBuildError", "StageReport", "build", "stage"]

COLLAGE = "_static/collage.png"
STAMPS = "_generated/stamps.json"


@dataclass
class StageReport:
    """What staging did: the papers by status with the gate's reasons, and how many files it had to write."""

    folder: Path
    profile: str
    papers: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, list[str]] = field(default_factory=dict)
    totals: dict[str, Any] = field(default_factory=dict)
    written: int = 0
    removed: int = 0
    files: int = 0


class Folder:
    """A folder of which only changed files are rewritten, so that Sphinx rebuilds only changed pages."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kept: set[Path] = set()
        self.written = 0

    def write(self, name: str, content: str | bytes) -> None:
        """Write the file ``name`` unless it holds ``content`` already."""
        target = self._claim(name)
        data = content.encode("utf-8") if isinstance(content, str) else content
        if not target.is_file() or target.read_bytes() != data:
            target.write_bytes(data)
            self.written += 1

    def derive(self, name: str, source: Path, stamps: dict[str, str], make: Callable[[Path], bytes]) -> None:
        """Write ``make(source)`` to ``name`` unless it was made from the same bytes before."""
        digest = sha256(source) or ""
        target = self._claim(name)
        if not target.is_file() or stamps.get(name) != digest:
            self.write(name, make(source))
        stamps[name] = digest

    def copy(self, name: str, source: Path) -> None:
        """Copy ``source`` to ``name`` unless it is there already."""
        self.write(name, source.read_bytes())

    def prune(self) -> int:
        """Delete the files that this staging did not claim, and the folders that this empties."""
        stale = [path for path in self.path.rglob("*") if path.is_file() and path not in self.kept]
        for path in stale:
            path.unlink()
        for folder in sorted((p for p in self.path.rglob("*") if p.is_dir()), reverse=True):
            if not any(folder.iterdir()):
                folder.rmdir()
        return len(stale)

    def _claim(self, name: str) -> Path:
        target = self.path / name
        self.kept.add(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


def stage(profile: str = "quick", root: Path | None = None) -> StageReport:
    """Write ``build/book`` from ``book/`` and the results at ``profile`` that pass the gate.

    A paper whose result is refused, whose run crashed, or that never ran, gets a page that says so.
    """
    root = root or project_root()
    with _alone(root):
        return _stage(profile, root)


def _stage(profile: str, root: Path) -> StageReport:
    own = root / "book"
    folder = Folder(root / "build" / "book")
    papers, totals = load_pages(profile, root)
    _copy_own(own, folder)
    sizes = _pictures(papers, folder)
    repository = read_repository(own / "_config.yml")
    tracked = tracked_paths(root)
    for page in papers:
        _stage_paper(page, paper_links(repository, tracked, page.entry.part, page.slug), folder)
    rooms = pages.rooms(root / "src" / "replica") if (own / "api.md").is_file() else {}
    for room, modules in rooms.items():
        folder.write(f"api/{room}.md", pages.room_page(room, modules))
    folder.write("_toc.yml", pages.contents(papers, {path.stem for path in own.glob("*.md")}, rooms))
    folder.write("references.bib", pages.bibliography(papers, (own / "references.bib").read_text(encoding="utf-8")))
    folder.write("gallery.md", pages.gallery(papers, sizes))
    folder.write("scorecard.md", pages.scorecard(papers, totals, profile))
    folder.write("lessons.md", pages.lessons(papers))
    folder.write("papers.md", pages.index_of_papers(papers))
    folder.write("_generated/front.md", pages.front(papers, totals, profile, sizes))
    folder.write("_generated/social.json", json.dumps(pages.social(papers, COLLAGE), indent=1, ensure_ascii=False))
    folder.write("_config.yml", _configuration(own / "_config.yml", repository.site))
    return StageReport(
        folder=folder.path, profile=profile, papers={page.slug: page.status for page in papers},
        reasons={page.slug: page.reasons for page in papers if page.reasons}, totals=totals,
        removed=folder.prune(), written=folder.written, files=len(folder.kept),
    )  # fmt: skip


def build(profile: str = "quick", strict: bool = True, root: Path | None = None) -> Path:
    """Stage the results at ``profile`` and build them into ``build/html``; returns its first page.

    Raises :class:`BookBuildError` as :func:`replica.book.publish.build_html` does.
    """
    root = root or project_root()
    with _alone(root):
        _stage(profile, root)
        return build_html(root, strict=strict)


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Two processes that stage and build the same book would mix their files: one waits for the other."""

    def say(holder: str) -> None:
        print(f"waiting for {holder}, which builds the book", file=sys.stderr, flush=True)

    with hold(root / "build" / ".book.lock", say):
        yield


def _copy_own(own: Path, folder: Folder) -> None:
    for path in sorted(own.rglob("*")):
        name = path.relative_to(own).as_posix()
        generated = name in ("_config.yml", "_toc.yml", "references.bib", COLLAGE)
        if path.is_file() and not generated and "__pycache__" not in path.parts:
            folder.copy(name, path)


def _pictures(papers: list[PaperPage], folder: Folder) -> pages.Sizes:
    """Thumbnails and collage; returns the thumbnails' sizes."""
    stamps_file = folder.path / STAMPS
    stamps: dict[str, str] = json.loads(stamps_file.read_text(encoding="utf-8")) if stamps_file.is_file() else {}
    figures = [(page, name) for page in papers if page.status == "complete" for name in page.manifest.figures]
    for page, name in figures:
        folder.derive(pages.thumbnail_name(page, name), page.figure_files(name)["png"], stamps, thumbnail)
    names = [pages.thumbnail_name(page, name) for page, name in figures]
    sizes = {name: size_of(folder.path / name) for name in names}
    order = [card["thumbnail"] for card in pages.collage_order(pages.cards(papers, sizes))]
    folder.write(COLLAGE, collage([folder.path / name for name in order]))
    folder.write(STAMPS, json.dumps({name: stamps[name] for name in names}, indent=1, sort_keys=True))
    return sizes


def _stage_paper(page: PaperPage, links: dict[str, str], folder: Folder) -> None:
    if page.status != "complete":
        folder.write(f"{page.docname}.md", notebook_page.absent(page, links))
        return
    folder.write(f"{page.docname}.ipynb", _notebook_text(notebook_page.staged(page, links)))
    files = f"files/{page.slug}"
    folder.write(f"{files}/{page.slug}.ipynb", _notebook_text(notebook_page.cleaned(page)))
    folder.copy(f"{files}/{page.slug}.md", page.entry.notebook)
    for name in page.manifest.figures:
        for suffix, path in page.figure_files(name).items():
            folder.copy(f"{files}/{name}.{suffix}", path)


def _notebook_text(notebook: Any) -> str:
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _configuration(path: Path, site: str) -> str:
    """The book's configuration with the address of its site filled in."""
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["html"]["baseurl"] = config["html"].get("baseurl") or site
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True)


def clean(root: Path | None = None) -> None:
    """Remove what staging and building made."""
    for name in ("book", "html", "sphinx"):
        shutil.rmtree((root or project_root()) / "build" / name, ignore_errors=True)
