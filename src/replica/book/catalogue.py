"""Where the papers are: the project's root and the notebooks in it."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from pathlib import Path

from replica.book.errors import ReplicaError, UnknownPaper
from replica.book.manifest import PARTS, Manifest, load_manifest


@dataclass(frozen=True)
class PaperEntry:
    """The files of one paper."""

    slug: str
    part: str
    notebook: Path
    manifest_path: Path
    ipynb: Path

    def manifest(self) -> Manifest:
        """The validated manifest (raises :class:`ManifestError`)."""
        return load_manifest(self.manifest_path)


def project_root() -> Path:
    """The folder that holds ``notebooks/``: ``REPLICA_ROOT``, else upwards from here, else of this checkout.

    Raises :class:`ReplicaError` when there is none.
    """
    named = os.environ.get("REPLICA_ROOT")
    if named:
        root = Path(named).resolve()
        if not (root / "notebooks").is_dir():
            raise ReplicaError(f"REPLICA_ROOT is {named!r}, but there is no folder notebooks/ in it")
        return root
    here = Path.cwd()
    checkout = Path(__file__).resolve().parents[3]
    for folder in (here, *here.parents, checkout):
        if (folder / "notebooks").is_dir() and (folder / "pyproject.toml").is_file():
            return folder
    raise ReplicaError(
        f"found no Replica project in {here} or above it: run this in a checkout, or set REPLICA_ROOT to one"
    )


def papers(root: Path | None = None) -> list[PaperEntry]:
    """All papers, in the order of the book's parts and then by slug."""
    root = root or project_root()
    entries = [_entry(path) for path in (root / "notebooks").glob("*/*.md")]
    order = {part: index for index, part in enumerate(PARTS)}
    return sorted(entries, key=lambda entry: (order.get(entry.part, len(order)), entry.slug))


def find(slug: str, root: Path | None = None) -> PaperEntry:
    """The paper called ``slug``; raises :class:`UnknownPaper` with the nearest names."""
    entries = {entry.slug: entry for entry in papers(root)}
    if slug in entries:
        return entries[slug]
    raise UnknownPaper(f"there is no paper {slug!r}. {suggest(slug, list(entries))}")


def suggest(word: str, known: list[str]) -> str:
    """A sentence that names the nearest of ``known``, or all of them when none is near."""
    near = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    near += [name for name in known if word and word in name and name not in near]
    if near:
        return f"Did you mean {' or '.join(near[:3])}?"
    return f"There are: {', '.join(known)}." if known else "There are none yet."


def _entry(notebook: Path) -> PaperEntry:
    return PaperEntry(
        slug=notebook.stem,
        part=notebook.parent.name,
        notebook=notebook,
        manifest_path=notebook.with_suffix(".yml"),
        ipynb=notebook.with_suffix(".ipynb"),
    )
