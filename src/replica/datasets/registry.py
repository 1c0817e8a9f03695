"""The registry of data sets: ``data/registry.yml``, read and validated.

The file is part of the project (``data/registry.yml``), and of the installed package, where the wheel
puts a copy beside this module. A checkout always reads its own.
"""

from __future__ import annotations

import difflib
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from replica.datasets.dataset import DataError

Loader = Literal[
    "digits", "idx", "cifar10", "photo-patches", "photo-patches-10",
    "text8", "wikipedia-sample", "brown", "lines", "analogies", "similarities", "table", "diabetes",
]  # fmt: skip
_HEX64 = r"^[0-9a-f]{64}$"
_HEX32 = r"^[0-9a-f]{32}$"
_NAME = r"^[a-z0-9][a-z0-9_-]*$"


def _check_caption(value: str) -> str:
    try:
        value.format(n=1)
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError("may contain {n} or {n:,} and no other braces") from error
    return value


Caption = Annotated[str, AfterValidator(_check_caption)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FileSpec(_Model):
    """One file: its name, size and hashes, and where it can be found."""

    name: str
    bytes: int = Field(gt=0)
    sha256: str | None = Field(None, pattern=_HEX64)
    md5: str | None = Field(None, pattern=_HEX32)
    content_sha256: str | None = Field(None, pattern=_HEX64)
    splits: tuple[str, ...] = ()  # the splits that need it; empty = all
    urls: tuple[str, ...] = ()
    by_hand: str | None = None  # how a person gets the file, where no address may be fetched from
    system: tuple[str, ...] = ()
    package: str | None = None
    path: str | None = None
    licence: str | None = None

    @field_validator("name")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if not value or PurePosixPath(value).name != value or value in (".", ".."):
            raise ValueError("expected a file name without folders")
        return value

    @field_validator("path")
    @classmethod
    def _inside(cls, value: str | None) -> str | None:
        if value is not None and (PurePosixPath(value).is_absolute() or ".." in PurePosixPath(value).parts):
            raise ValueError("expected a path inside the installed package, e.g. sklearn/datasets/data/iris.csv")
        return value

    @field_validator("urls")
    @classmethod
    def _web(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            if not url.startswith(("https://", "http://")):
                raise ValueError(f"expected http(s) addresses, got {url!r}")
        return value

    @model_validator(mode="after")
    def _has_home_and_hash(self) -> FileSpec:
        if self.sha256 is None and self.md5 is None:
            raise ValueError("expected a sha256 (or, where none is known, an md5)")
        if (self.package is None) != (self.path is None):
            raise ValueError("`package` and `path` belong together")
        if self.package is None and not self.urls and not self.by_hand:
            raise ValueError("expected `urls`, `by_hand`, or `package` and `path`: where does the file come from?")
        return self

    @property
    def known_hash(self) -> str:
        """The hash to ask a download for, in pooch's notation."""
        return f"sha256:{self.sha256}" if self.sha256 else f"md5:{self.md5}"


class StandIn(_Model):
    """Another data set that may be used in place of this one, and the sentence that says so."""

    name: str
    caption: Caption


class Entry(_Model):
    """One data set of the registry."""

    title: str
    kind: Literal["images", "text", "words", "table"]
    loader: Loader
    licence: str
    citation: str
    home: str
    caption: Caption
    splits: dict[str, int | None]
    files: tuple[FileSpec, ...]
    shape: tuple[int, ...] = ()
    classes: int | None = None
    aliases: tuple[str, ...] = ()
    install: str | None = None
    stand_ins: tuple[StandIn, ...] = ()

    @model_validator(mode="after")
    def _known_splits(self) -> Entry:
        if not self.splits or not self.files:  # here and not as a length of the field, which also counts broken items
            raise ValueError("expected at least one split and one file")
        for file in self.files:
            for split in file.splits:
                if split not in self.splits:
                    raise ValueError(
                        f"file {file.name} serves the split {split!r}, which is not among {list(self.splits)}"
                    )
        return self

    @property
    def default_split(self) -> str:
        return next(iter(self.splits))

    @property
    def bundled(self) -> bool:
        """Whether every file comes with an installed Python package."""
        return all(file.package for file in self.files)

    def files_of(self, split: str | None) -> tuple[FileSpec, ...]:
        """The files that a split needs (all files for None)."""
        return tuple(f for f in self.files if split is None or not f.splits or split in f.splits)


class Registry(_Model):
    """``data/registry.yml`` as it was read: every data set by name, with its aliases and stand-ins checked."""

    schema_version: Literal[1] = Field(alias="schema")
    datasets: dict[str, Entry]

    @model_validator(mode="after")
    def _cross_references(self) -> Registry:
        seen: set[str] = set()
        for name, entry in self.datasets.items():
            for word in (name, *entry.aliases):
                if word in seen:
                    raise ValueError(f"the name {word!r} is used twice")
                seen.add(word)
            for stand_in in entry.stand_ins:
                other = self.datasets.get(stand_in.name)
                if other is None or stand_in.name == name:
                    raise ValueError(f"{name}: stand-in {stand_in.name!r} is not another data set of the registry")
                if missing := set(entry.splits) - set(other.splits):
                    raise ValueError(f"{name}: stand-in {stand_in.name} has no split {', '.join(sorted(missing))}")
        return self


def registry_path() -> Path:
    """Where the registry is: in the checkout's ``data`` folder, else beside this module (installed package)."""
    source = Path(__file__).resolve().parents[2]
    checkout = source.parent
    if source.name == "src" and (checkout / "data" / "registry.yml").is_file():
        return checkout / "data" / "registry.yml"
    installed = Path(__file__).with_name("registry.yml")
    if installed.is_file():
        return installed
    raise DataError(
        f"The registry of data sets is missing: neither {checkout / 'data' / 'registry.yml'} nor {installed} exists. "
        "Reinstall the package, or restore data/registry.yml from git."
    )


def read_registry(path: Path) -> Registry:
    """Read and validate a registry file.

    Raises
    ------
    DataError
        Naming the file and, for every mistake at once, the key, what was expected and what came.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{path}: cannot be read as YAML: {error}") from error
    try:
        return Registry.model_validate(raw)
    except ValidationError as error:
        lines = [_explain(problem) for problem in error.errors(include_url=False)]
        raise DataError(f"{path}: {len(lines)} mistake(s)\n" + "\n".join(f"  {line}" for line in lines)) from None


def _explain(problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"]) or "(file)"
    got = "" if isinstance(problem["input"], (dict, list)) else f" (got {problem['input']!r})"
    return f"{key}: {problem['msg'].removeprefix('Value error, ')}{got}"


@lru_cache(maxsize=1)
def registry() -> Registry:
    """The project's registry, read once per process."""
    return read_registry(registry_path())


def lookup(name: str) -> tuple[str, Entry]:
    """The registry's own name and entry for a name or alias; an unknown name suggests the nearest one."""
    entries = registry().datasets
    aliases = {alias: key for key, entry in entries.items() for alias in entry.aliases}
    key = aliases.get(name, name)
    if key in entries:
        return key, entries[key]
    near = difflib.get_close_matches(str(name).lower().replace("_", "-"), [*entries, *aliases], n=2, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    raise DataError(f"There is no data set {name!r} in the registry. {hint}Known names: {', '.join(entries)}.")
