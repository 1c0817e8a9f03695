"""What a result depends on, as one sha256: code cells, parameters, the modules of ``replica`` that the notebook
really imports, what the manifest expects, and the lock file. Captions and prose are not part of it, nor are
modification times, which mean nothing in a fresh clone.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from replica.book.catalogue import PaperEntry, project_root
from replica.book.errors import NotebookError
from replica.book.manifest import Manifest
from replica.book.notebook_text import read_notebook
from replica.book.profiles import resolve

PACKAGE = "replica"


def paper_digest(entry: PaperEntry, manifest: Manifest, profile: str, overrides: dict[str, Any] | None = None) -> str:
    """The sha256 of all that the result of ``entry`` at ``profile`` depends on."""
    root = _root_of(entry)
    memory = root / ".cache" / "digests.json"
    name = f"{entry.slug} {profile} {json.dumps(overrides or {}, sort_keys=True, default=str)}"
    # parsing notebooks and following imports takes 50 ms a paper: not again while no byte of their inputs changed
    files = (entry.notebook, root / "requirements.lock", Path(__file__))
    at_hand = json.dumps({name: _data_at_hand(name) for name in manifest.data})
    inputs = [manifest.model_dump_json(), at_hand, source_digest(root), *map(_file_digest, files)]
    key = hashlib.sha256("\n".join(inputs).encode()).hexdigest()
    known = _remembered(memory)
    if known.get(name, [None])[0] != key:
        known[name] = [key, _paper_digest(entry, manifest, profile, overrides or {}, root)]
        _remember(memory, known)
    return known[name][1]


def _remembered(memory: Path) -> dict[str, list[str]]:
    try:
        known: dict[str, list[str]] = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known


def _remember(memory: Path, known: dict[str, list[str]]) -> None:
    with contextlib.suppress(OSError):  # it only saves time
        memory.parent.mkdir(parents=True, exist_ok=True)
        partial = memory.with_suffix(f".{os.getpid()}.tmp")
        partial.write_text(json.dumps(known, indent=0), encoding="utf-8")
        os.replace(partial, memory)


def _paper_digest(entry: PaperEntry, manifest: Manifest, profile: str, overrides: dict[str, Any], root: Path) -> str:
    notebook = read_notebook(entry.notebook)
    code = [
        {"source": cell.source.rstrip(), "tags": sorted(cell.metadata.get("tags", []))}
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]
    content = {
        "slug": entry.slug,
        "profile": profile,
        "parameters": resolve(entry, manifest, profile, overrides),
        "code": code,
        "modules": {name: _file_digest(path) for name, path in _closure_paths(entry.notebook, root).items()},
        "claims": {
            name: [
                claim.model_dump(mode="json", include={"expect", "source", "statistical"}),
                bool(claim.known_discrepancy),
            ]
            for name, claim in manifest.claims.items()
        },
        "figures": list(manifest.figures),
        "threads": manifest.resources.threads,
        "data": {name: _data_at_hand(name) for name in manifest.data},
        "lock": _file_digest(root / "requirements.lock"),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=list).encode()).hexdigest()


def module_closure(notebook: Path, root: Path | None = None) -> list[str]:
    """The modules of ``replica`` that the notebook imports, directly or through others, each package on the way
    included, sorted by name."""
    return sorted(_closure_paths(notebook, root or project_root()))


def source_digest(root: Path | None = None) -> str:
    """The sha256 of all of ``src/replica``; names the folder of numba's cache, which would otherwise run stale
    machine code when a module that a compiled function calls has changed."""
    source = (root or project_root()) / "src"
    together = hashlib.sha256()
    for path in sorted(source.rglob("*.py")):
        together.update(f"{path.relative_to(source)}:{_file_digest(path)}\n".encode())
    return together.hexdigest()


def imports_of(code: str, module: str | None = None, is_package: bool = False) -> set[str]:
    """The names of ``replica`` modules that ``code`` imports, inside functions too. ``from replica.a import b``
    yields both ``replica.a`` and ``replica.a.b``: only the file system tells whether b is a module.

    Imports under ``if TYPE_CHECKING:`` are not followed: they never run.
    """
    names: set[str] = set()
    tree = ast.parse(code)
    if module is None and PACKAGE not in code:  # most cells; only a module can import relatively, without the name
        return names
    for node in _running_statements(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level and module is not None:
                parts = module.split(".")
                kept = parts[: len(parts) - node.level + (1 if is_package else 0)]
                base = ".".join([*kept, *([base] if base else [])])
            names.add(base)
            names.update(f"{base}.{alias.name}" for alias in node.names)
    return {name for name in names if name == PACKAGE or name.startswith(PACKAGE + ".")}


def _running_statements(tree: ast.Module) -> list[ast.AST]:
    """All statements, without the expressions in them (imports are statements, and a walk of everything is slow)."""
    found: list[ast.AST] = []
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        found.append(node)
        blocks = ("orelse",) if _is_type_checking(node) else ("body", "handlers", "cases", "orelse", "finalbody")
        for block in blocks:
            stack.extend(getattr(node, block, ()))
    return found


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _closure_paths(notebook: Path, root: Path) -> dict[str, Path]:
    source = root / "src"
    found: dict[str, Path] = {}
    pending: set[str] = set()
    for number, cell in enumerate(read_notebook(notebook).cells, start=1):
        if cell.cell_type == "code":
            try:
                pending |= imports_of(cell.source)
            except SyntaxError as error:
                raise NotebookError(f"{notebook.name}: cell {number} is not valid Python: {error}") from None
    while pending:
        name = pending.pop()
        parts = name.split(".")
        for depth in range(1, len(parts) + 1):
            step = ".".join(parts[:depth])
            path = _module_path(step, source)
            if path is None or step in found:
                continue
            found[step] = path
            pending |= _imports_of_file(path, _file_digest(path), step)
    return found


def _module_path(name: str, source: Path) -> Path | None:
    base = source.joinpath(*name.split("."))
    for candidate in (base / "__init__.py", base.with_suffix(".py")):
        if candidate.is_file():
            return candidate
    return None


@cache
def _imports_of_file(path: Path, _digest: str, module: str) -> frozenset[str]:
    return frozenset(imports_of(path.read_text(encoding="utf-8"), module, path.name == "__init__.py"))


def _data_at_hand(name: str) -> str | None:
    """The data set that would be loaded: a result made from a stand-in is out of date once the real data are here."""
    from replica.datasets import resolve

    return resolve(name)


def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "absent"


def _root_of(entry: PaperEntry) -> Path:
    return entry.notebook.resolve().parents[2]
