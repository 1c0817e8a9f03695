"""The three scales of a notebook: which parameters a profile means, and whether an override is allowed.

The notebook's ``parameters`` cell holds the values of ``quick``, each annotated (``trials: int = 40``).
``smoke`` and ``paper`` are overrides in the manifest; the command line may override further. papermill only logs
an unknown parameter, so names and types are checked here, before a kernel starts. The values are written into the
parameters cell itself: a reader sees one such cell, the one that ran.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import difflib
import io
import tokenize
from dataclasses import dataclass
from typing import Any

import yaml
from nbformat import NotebookNode

from replica.book.catalogue import PaperEntry
from replica.book.errors import NotebookError, ParameterError
from replica.book.manifest import PROFILES, Manifest
from replica.book.notebook_text import read_notebook

TYPES: dict[str, type] = {"int": int, "float": float, "str": str, "bool": bool, "list": list, "tuple": tuple}


@dataclass(frozen=True)
class Parameter:
    """A parameter as the notebook declares it: name, annotation, value at quick, line of its cell."""

    name: str
    annotation: str
    value: Any
    first_line: int
    last_line: int

    @property
    def base(self) -> type:
        """``list`` for ``list[int]``, ``int`` for ``int``, and so on."""
        return TYPES[self.annotation.split("[")[0]]


def parameters_cell(notebook: NotebookNode) -> NotebookNode:
    """The one code cell tagged ``parameters``; raises :class:`NotebookError` when there is not exactly one."""
    cells = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    if len(cells) != 1:
        raise NotebookError(f"expected exactly one cell tagged 'parameters'; came {len(cells)}")
    return cells[0]


def declared(notebook: NotebookNode) -> dict[str, Parameter]:
    """The parameters that the notebook declares, by name.

    Raises :class:`NotebookError` for a line that is not ``name: type = literal``.
    """
    found: dict[str, Parameter] = {}
    source = parameters_cell(notebook).source
    for node in ast.parse(source).body:
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None):
            line = source.splitlines()[node.lineno - 1]
            raise NotebookError(f"parameters cell: expected `name: type = value`; came `{line.strip()}`")
        annotation = ast.unparse(node.annotation)
        name = node.target.id
        if annotation.split("[")[0] not in TYPES:
            raise NotebookError(f"parameter {name}: expected a type among {', '.join(TYPES)}; came {annotation}")
        try:
            value = ast.literal_eval(node.value)
        except ValueError:
            text = ast.unparse(node.value)
            raise NotebookError(f"parameter {name}: expected a plain value; came the expression `{text}`") from None
        found[name] = Parameter(name, annotation, value, node.lineno, node.end_lineno or node.lineno)
        _check_type(found[name], value, "the notebook")
    return found


def resolve(
    entry: PaperEntry, manifest: Manifest, profile: str, overrides: dict[str, Any] | None = None
) -> dict[str, Any]:
    """All parameters and their values at ``profile``, the ``overrides`` applied last.

    Overrides may be text, as from a command line; they are read as YAML. Raises :class:`ParameterError` for an
    unknown name or a value of the wrong type, with the list of the parameters that exist.
    """
    if profile not in PROFILES:
        raise ParameterError(f"expected a profile among {', '.join(PROFILES)}; came {profile!r}")
    known = declared(read_notebook(entry.notebook))
    values = {name: parameter.value for name, parameter in known.items()}
    of_profile = getattr(manifest.profiles, profile, {})
    for origin, changes in ((f"profiles.{profile} of {entry.slug}.yml", of_profile), ("-p", overrides or {})):
        for name, value in changes.items():
            if name not in known:
                raise ParameterError(_unknown(entry.slug, name, known, origin))
            read = _read_text(known[name], value) if origin == "-p" else value
            values[name] = _check_type(known[name], read, origin)
    return values


def apply(notebook: NotebookNode, values: dict[str, Any]) -> NotebookNode:
    """A copy of ``notebook`` whose parameters cell holds ``values``; untouched lines keep their comments."""
    known = declared(notebook)
    changed = copy.deepcopy(notebook)
    cell = parameters_cell(changed)
    lines = cell.source.splitlines()
    for parameter in sorted(known.values(), key=lambda p: -p.first_line):
        if parameter.name not in values or _same(values[parameter.name], parameter.value):
            continue
        last = lines[parameter.last_line - 1]
        comment = _comment(last)
        line = f"{parameter.name}: {parameter.annotation} = {values[parameter.name]!r}"
        lines[parameter.first_line - 1 : parameter.last_line] = [line + (f"  {comment}" if comment else "")]
    cell["source"] = "\n".join(lines)
    return changed


def _same(new: Any, old: Any) -> bool:
    return type(new) is type(old) and new == old


def _comment(line: str) -> str:
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(line).readline))
    except (tokenize.TokenError, IndentationError, SyntaxError):
        return ""
    return next((token.string for token in tokens if token.type == tokenize.COMMENT), "")


def _read_text(parameter: Parameter, value: Any) -> Any:
    if not isinstance(value, str) or parameter.base is str:
        return value
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        return value


def _check_type(parameter: Parameter, value: Any, origin: str) -> Any:
    """``value`` as the parameter's type: an int is a float too, a list a tuple; nothing else is converted."""
    base = parameter.base
    if base is float and isinstance(value, str):  # YAML 1.1 reads 1e-3 as text
        with contextlib.suppress(ValueError):
            value = float(value)
    if base is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if base is tuple and isinstance(value, list):
        value = tuple(value)
    if not isinstance(value, base) or (base is not bool and isinstance(value, bool)):
        raise ParameterError(
            f"parameter {parameter.name} ({origin}): expected {parameter.annotation}, such as {parameter.value!r}; "
            f"came {value!r}"
        )
    return value


def _unknown(slug: str, name: str, known: dict[str, Parameter], origin: str) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    listing = ", ".join(f"{p.name} ({p.annotation}, {p.value!r})" for p in known.values())
    return f"{slug} has no parameter {name!r} ({origin}).{hint} It has: {listing}"
