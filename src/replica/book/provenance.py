"""Where a result comes from: what ran, on what, for how long, and the sha256 of what it made."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

PROVENANCE_FILE = "provenance.json"
TOOLS = ("papermill", "nbclient", "ipykernel", "jupytext")


def read(results: Path) -> dict[str, Any] | None:
    """The provenance in the folder ``results``; None where it is absent, unreadable or of an unfinished run."""
    try:
        content = json.loads((results / PROVENANCE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    complete = isinstance(content, dict) and content.get("status") == "complete" and "digest" in content
    return content if complete else None


def sha256(path: Path) -> str:
    """The sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def figure_digests(results: Path) -> dict[str, dict[str, str]]:
    """The sha256 of every file in ``figures/``: by figure, then by kind of file (``png``, ``csv``, ...).

    A figure with several tables has ``<id>.<table>.csv``; its kind is ``<table>.csv``.
    """
    found: dict[str, dict[str, str]] = {}
    for path in sorted((results / "figures").glob("*.*")):
        name, _, kind = path.name.partition(".")
        found.setdefault(name, {})[kind] = sha256(path)
    return found


def damaged(results: Path, content: dict[str, Any]) -> list[str]:
    """The files in ``results`` that are missing or not as the run that wrote ``content`` left them."""
    recorded = {"notebook.ipynb": content.get("notebook_sha256"), "claims.json": content.get("claims_sha256")}
    for name, kinds in content.get("figures", {}).items():
        recorded.update({f"figures/{name}.{kind}": digest for kind, digest in kinds.items()})
    return [
        name for name, digest in recorded.items() if not (results / name).is_file() or sha256(results / name) != digest
    ]


@cache
def owners() -> Mapping[str, list[str]]:
    """Which distribution each top-level module belongs to. It takes a third of a second to find out."""
    return metadata.packages_distributions()


def packages(libraries: list[str]) -> dict[str, str]:
    """The versions of the distributions that the modules ``libraries`` belong to, and of the tools that ran them."""
    names = {name for library in libraries for name in owners().get(library, [])} | set(TOOLS)
    versions = {}
    for name in sorted(names, key=str.lower):
        try:
            versions[name.lower()] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def commit(root: Path) -> tuple[str | None, bool | None]:
    """The commit that is checked out and whether tracked files differ from it; (None, None) outside git."""
    try:
        top = _git(root, "rev-parse", "--show-toplevel")
        if Path(top).resolve() != root.resolve():
            return None, None  # a copy without history that lies inside another repository
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
        return _git(root, "rev-parse", "HEAD"), bool(changed)
    except (OSError, subprocess.SubprocessError):
        return None, None


@cache
def machine() -> dict[str, str]:
    """System, architecture and processor; not the machine's name."""
    model = ""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        model = platform.processor()
    return {"system": platform.system(), "machine": platform.machine(), "cpu": model or "unknown"}


def _git(root: Path, *command: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *command], capture_output=True, text=True, timeout=30, check=True)
    return done.stdout.strip()
