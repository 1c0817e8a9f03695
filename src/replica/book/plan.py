"""What the Snakefile needs to know: the papers with digests and resources, and the files that the book is made of."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from replica.book import provenance
from replica.book.catalogue import PaperEntry, find, papers, project_root
from replica.book.digest import paper_digest
from replica.book.manifest import Manifest

STAMP = "build/.book.stamp"
RUNNING_LOCK = "results/.locks/snakemake.lock"
_kept_open: list[int] = []


def complete(config: dict[str, Any]) -> dict[str, Any]:
    """The plan for a Snakemake that was called by hand, with ``config`` from its command line."""
    root = project_root()
    named = str(config.get("papers", "")).split()
    entries = [find(slug, root) for slug in named] or papers(root)
    profile = str(config.get("profile", "quick"))
    return make(root, profile, {entry.slug: describe(entry, entry.manifest(), profile) for entry in entries})


def describe(entry: PaperEntry, manifest: Manifest, profile: str) -> dict[str, Any]:
    """One paper for the Snakefile. Resources at ``paper`` are for the cluster: it wants a limit for each job."""
    root = entry.notebook.resolve().parents[2]
    resources = manifest.resources
    full = profile == "paper"
    return {
        "notebook": entry.notebook.resolve().relative_to(root).as_posix(),
        "manifest": entry.manifest_path.resolve().relative_to(root).as_posix(),
        "digest": paper_digest(entry, manifest, profile),
        "threads": resources.threads,
        "mem_mb": round(1000 * resources.quick.memory_gb * (4 if full else 1)),
        "minutes": round(60 * resources.paper.hours) if full else round(5 + 3 * resources.quick.minutes),
        "gpu": int(full and resources.paper.gpu),
    }


def make(root: Path, profile: str, described: dict[str, dict[str, Any]], only_existing: bool = False) -> dict[str, Any]:
    """The whole plan. The book is made of the results of the papers described and of whatever else has run;
    with ``only_existing``, of nothing that would have to be run first."""
    results = root / "results" / profile
    existing = {path.parent.name for path in results.glob("*/provenance.json")}
    known = {entry.slug: entry for entry in papers(root)}
    wanted = (existing if only_existing else existing | set(described)) & set(known)
    # papers that were not asked for: described by what they have, so that nothing runs them
    others = {
        slug: _as_it_is(known[slug], (provenance.read(results / slug) or {}).get("digest", ""))
        for slug in wanted - set(described)
    }
    # the crash of a paper that is about to run again is no input: it goes when the run succeeds
    settled = set(known) if only_existing else set(known) - set(described)
    crashes = [f"results/{profile}/.failed/{slug}/error.json" for slug in sorted(settled)]
    return {
        "profile": profile,
        "stamp": STAMP,
        "papers": {**described, **others},
        "results": [f"results/{profile}/{slug}/provenance.json" for slug in sorted(wanted)]
        + [path for path in crashes if (root / path).exists()],
        "wording": _files(root, "notebooks/*/*.md", "notebooks/*/*.yml"),
        "sources": _files(root, "book/**/*", "data/*.yml", "src/replica/book/**/*"),
    }


def mark_running() -> None:
    """Hold a lock as long as this process lives: ``make reproduce``, which finds Snakemake's own locks (they outlive
    a kill), can tell by it whether they are stale."""
    try:
        import fcntl
    except ImportError:
        return
    path = project_root() / RUNNING_LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    except OSError:
        pass
    _kept_open.append(descriptor)


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a plan as a configuration file for Snakemake."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _as_it_is(entry: PaperEntry, digest: str) -> dict[str, Any]:
    root = entry.notebook.resolve().parents[2]
    return {
        "notebook": entry.notebook.resolve().relative_to(root).as_posix(),
        "manifest": entry.manifest_path.resolve().relative_to(root).as_posix(),
        "digest": digest, "threads": 1, "mem_mb": 1000, "minutes": 10, "gpu": 0,
    }  # fmt: skip


def _files(root: Path, *patterns: str) -> list[str]:
    found = {path for pattern in patterns for path in root.glob(pattern) if path.is_file()}
    return sorted(
        path.relative_to(root).as_posix()
        for path in found
        if "__pycache__" not in path.parts and "_build" not in path.parts and not path.name.startswith(".")
    )
