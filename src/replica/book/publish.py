"""From the staged sources to HTML: jupyter-book with warnings as errors, and the book as one zip to read offline."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from replica.book.errors import ReplicaError
from replica.book.text import without_colours

ZIP_NAME = "replica-book.zip"
OFFLINE_MARK = "<!--offline-book-->"
# bundles of MathJax that the book never loads: it uses tex-chtml
_UNUSED = re.compile(
    r"_static/mathjax/(mml-\w+|tex-mml-\w+|tex-svg\S*|tex-chtml-full\S*|node-main|latest)\.js$|"
    r"_static/mathjax/(output/svg|adaptors)/|sphinx-thebe\.js$|\.map$|\.buildinfo$|objects\.inv$"
)


class BookBuildError(ReplicaError):
    """The book could not be built, or not without warnings."""


def build_html(root: Path, strict: bool = True) -> Path:
    """Build ``build/book`` into ``build/html`` and return its first page.

    jupyter-book runs in a process of its own with its words in ``build/book.log``. It builds into a folder beside, so
    a failed build leaves the book that was there.

    Raises
    ------
    BookBuildError
        With the warnings, when there are any and ``strict`` holds, or when the build failed.
    """
    work = root / "build" / "sphinx"
    log = root / "build" / "book.log"
    source = root / "build" / "book"
    if not (source / "_toc.yml").is_file():
        raise BookBuildError("there is nothing staged in build/book; run `make book`, which stages and builds")
    start = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", start, "build", str(source), "--path-output", str(work), "-n", "--keep-going"]
    work.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    with log.open("w", encoding="utf-8") as stream:
        done = subprocess.run(
            [*command, *(["-W"] if strict else [])], stdout=stream, stderr=subprocess.STDOUT, env=environment, cwd=root
        )
    if done.returncode != 0 or "WARNING" in log.read_text(encoding="utf-8", errors="replace"):
        # what was read is kept in the cache with its warnings forgotten: the next build would pass unjustly
        shutil.rmtree(work / "_build" / ".doctrees", ignore_errors=True)
    if done.returncode != 0:
        raise BookBuildError(f"the book was not built:\n{_complaints(log, root)}\n(all of it: {log.relative_to(root)})")
    # Sphinx copies these only when it has a page to write
    shutil.copytree(source / "_static", work / "_build" / "html" / "_static", dirs_exist_ok=True)
    html = root / "build" / "html"
    _publish(work / "_build" / "html", html)
    return html / "index.html"


def _publish(built: Path, html: Path) -> None:
    """Bring ``html`` in step with ``built``, its zip included; nothing is rewritten that has not changed."""
    files = {path.relative_to(built).as_posix(): path for path in built.rglob("*") if path.is_file()}
    files = {name: path for name, path in files.items() if not _UNUSED.search(name)}
    marked = [name for name, path in files.items() if name == "intro.html" and OFFLINE_MARK in path.read_text("utf-8")]
    html.mkdir(parents=True, exist_ok=True)
    gone = [p for p in html.rglob("*") if p.is_file() and p.relative_to(html).as_posix() not in {*files, ZIP_NAME}]
    changed = [name for name, path in files.items() if name not in marked and not _same(path, html / name)]
    archive = html / ZIP_NAME
    offline = {name: _offline(files[name]) for name in marked}
    if changed or gone or not _holds(archive, offline):
        archive.unlink(missing_ok=True)  # should this be cut short, the next build makes it again
    for name in changed:
        (html / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(files[name], html / name)
    for path in gone:
        path.unlink()
    if not archive.exists():
        _write_zip(archive, files, offline)
    for name in marked:
        text = files[name].read_text(encoding="utf-8").replace(OFFLINE_MARK, _offer(archive))
        if not (html / name).is_file() or (html / name).read_text(encoding="utf-8") != text:
            (html / name).write_text(text, encoding="utf-8")


def _write_zip(archive: Path, files: dict[str, Path], replaced: dict[str, str]) -> None:
    partial = archive.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as packed:
        for name, path in sorted(files.items()):
            # a fixed date: the same book gives the same zip
            entry = zipfile.ZipInfo(f"replica-book/{name}", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            packed.writestr(entry, replaced[name] if name in replaced else path.read_bytes())
    os.replace(partial, archive)


def _holds(archive: Path, pages: dict[str, str]) -> bool:
    if not archive.is_file():
        return False
    with zipfile.ZipFile(archive) as packed:
        names = {f"replica-book/{name}": text for name, text in pages.items()}
        return all(name in packed.namelist() and packed.read(name).decode() == text for name, text in names.items())


def _offer(archive: Path) -> str:
    size = max(1, round(archive.stat().st_size / 1e6))
    return (
        f'<a class="offline-link" href="{ZIP_NAME}" download>Download this book</a> ({size} MB zip). Unpack it and '
        "open <code>index.html</code>: pictures, formulas and search work without a network."
    )


def _offline(page: Path) -> str:
    text = "This is the offline copy of the book: pictures, formulas and search work without a network."
    return page.read_text(encoding="utf-8").replace(OFFLINE_MARK, text)


def _same(new: Path, old: Path) -> bool:
    if not old.is_file():
        return False
    a, b = new.stat(), old.stat()
    return a.st_size == b.st_size and (a.st_mtime_ns == b.st_mtime_ns or new.read_bytes() == old.read_bytes())


def _complaints(log: Path, root: Path) -> str:
    lines = without_colours(log.read_text(encoding="utf-8", errors="replace")).splitlines()
    wanted = [line for line in lines if re.search(r"WARNING|ERROR|SEVERE|Exception|Error:", line)] or lines[-20:]
    return "\n".join(line.replace(f"{root}/", "") for line in wanted[:60])
