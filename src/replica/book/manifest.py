"""The manifest of a paper: what is cited, which figures and claims it has, and how it runs.

A manifest ``notebooks/<part>/<slug>.yml`` is validated here; :func:`load_manifest` reports *all* faults at once,
each with file, key, what was expected and what came.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from replica.book.errors import ManifestError

PARTS: dict[str, str] = {
    "physics-of-computation": "Physics of computation",
    "kernels": "Kernels",
    "feature-learning": "Feature learning",
    "scaling-limits": "Scaling limits",
    "data-structure": "Data structure",
    "sampling-and-inference": "Sampling and inference",
    "loss-landscapes": "Loss landscapes",
    "neural-circuits": "Neural circuits",
}
GROUPS: dict[str, str] = {
    "deweese": "DeWeese group",
    "bordelon-pehlevan": "Bordelon, Pehlevan and co-workers",
    "ingrosso": "Ingrosso and co-workers",
}
PROFILES = ("smoke", "quick", "paper")
SAVERS = ("save_figure", "save_animation")  # the methods of a paper that save a figure

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Text = Annotated[str, StringConstraints(min_length=3, strip_whitespace=True)]
Literal_ = bool | int | float | str | list[Any] | None


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Expectation(_Strict):
    """What the value of a claim must be: exactly one of ``equals`` (with ``rtol`` or ``atol``), ``at_least``,
    ``at_most``, ``between`` and ``holds``."""

    equals: float | list[float] | None = None
    rtol: Annotated[float, Field(gt=0, lt=1)] | None = None
    atol: Annotated[float, Field(gt=0)] | None = None
    at_least: float | None = None
    at_most: float | None = None
    between: tuple[float, float] | None = None
    holds: Literal[True] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Expectation:
        kinds = [k for k in ("equals", "at_least", "at_most", "between", "holds") if getattr(self, k) is not None]
        if len(kinds) != 1:
            raise ValueError(
                f"expected exactly one of equals, at_least, at_most, between, holds; came {kinds or 'none'}"
            )
        tolerances = [k for k in ("rtol", "atol") if getattr(self, k) is not None]
        if kinds == ["equals"] and len(tolerances) != 1:
            raise ValueError(f"equals needs exactly one of rtol and atol; came {tolerances or 'neither'}")
        if kinds != ["equals"] and tolerances:
            raise ValueError(f"{tolerances[0]} goes with equals only; came with {kinds[0]}")
        if self.between is not None and not self.between[0] < self.between[1]:
            raise ValueError(f"between needs [low, high] with low < high; came {list(self.between)}")
        if self.rtol is not None and self.equals is not None:
            numbers = self.equals if isinstance(self.equals, list) else [self.equals]
            if any(number == 0 for number in numbers):
                raise ValueError("rtol is meaningless around 0; use atol")
        return self


class Claim(_Strict):
    """A quantitative statement of the publication (or a theorem, or ours) that every run checks."""

    statement: Text
    basis: Literal["paper", "theorem", "ours"]
    source: Text
    expect: Expectation | None = None
    statistical: bool = False
    figure: Slug | None = None
    known_discrepancy: Text | None = None

    @model_validator(mode="after")
    def _judgeable(self) -> Claim:
        if self.expect is None and self.known_discrepancy is None:
            raise ValueError("a claim needs expect, or known_discrepancy with the reason why it is not reproduced")
        return self


class Figure(_Strict):
    """A figure that the notebook regenerates; ``animation`` marks one that moves."""

    paper: Text
    caption: Text
    alt: Annotated[str, StringConstraints(min_length=20, strip_whitespace=True)]
    animation: bool = False

    @property
    def kinds(self) -> tuple[str, ...]:
        """The files without which the figure is not complete."""
        return ("png", "svg", "npz", *(("gif",) if self.animation else ()))

    @property
    def saver(self) -> str:
        """The method of a paper that saves it."""
        return SAVERS[self.animation]


class Finding(_Strict):
    """What reproducing the paper taught: a slip, a limit, a surprise or a bug, with the place of its evidence."""

    kind: Literal["slip", "limit", "surprise", "bug"]
    text: Text
    evidence: Text


class QuickResources(_Strict):
    minutes: Annotated[float, Field(gt=0, le=5)] = 1
    memory_gb: Annotated[float, Field(gt=0, le=16)] = 2


class PaperResources(_Strict):
    hours: Annotated[float, Field(gt=0)] = 1
    gpu: bool = False


class Resources(_Strict):
    """What a run needs: BLAS/torch threads at any profile, minutes and memory at quick, hours at paper."""

    threads: Annotated[int, Field(ge=1, le=64)] = 1
    quick: QuickResources = QuickResources()
    paper: PaperResources = PaperResources()


class Profiles(_Strict):
    """Overrides of the notebook's parameters; the parameters cell itself holds the values of ``quick``."""

    smoke: dict[str, Literal_] = {}
    paper: dict[str, Literal_] = {}


class Manifest(_Strict):
    """A validated manifest; see the module's docstring."""

    title: Text
    authors: Annotated[list[Text], Field(min_length=1)]
    year: Annotated[int, Field(ge=1900, le=2100)]
    venue: Text
    arxiv: Annotated[str, StringConstraints(pattern=r"^(\d{4}\.\d{4,5}|[a-z-]+(\.[A-Z]{2})?/\d{7})$")] | None = None
    doi: Annotated[str, StringConstraints(pattern=r"^10\.\d{4,9}/\S+$")] | None = None
    code: Annotated[str, StringConstraints(pattern=r"^https?://\S+$")] | None = None
    group: Literal["deweese", "bordelon-pehlevan", "ingrosso"]
    part: Literal[
        "physics-of-computation", "kernels", "feature-learning", "scaling-limits",
        "data-structure", "sampling-and-inference", "loss-landscapes", "neural-circuits",
    ]  # fmt: skip
    summary: Text
    keywords: list[Text] = []
    figures: Annotated[dict[Slug, Figure], Field(min_length=1)]
    claims: Annotated[dict[Slug, Claim], Field(min_length=1)]
    profiles: Profiles = Profiles()
    findings: list[Finding] = []
    data: list[Slug] = []
    resources: Resources = Resources()

    @field_validator("summary")
    @classmethod
    def _one_sentence(cls, summary: str) -> str:
        if not summary.endswith("."):
            raise ValueError("expected one sentence that ends with a full stop")
        return summary

    @model_validator(mode="after")
    def _figures_exist(self) -> Manifest:
        for name, claim in self.claims.items():
            if claim.figure is not None and claim.figure not in self.figures:
                known = ", ".join(self.figures)
                raise ValueError(f"claim {name!r} names the figure {claim.figure!r}; the manifest declares: {known}")
        return self


class _UniqueKeys(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # in C where it can: 10 x faster
    """YAML's safe loader, but a key that stands twice is an error instead of silently replacing the first."""


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=deep)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", key_node.start_mark)
        seen.add(key)
    return yaml.SafeLoader.construct_mapping(loader, node, deep)


_UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
# YAML 1.1 reads 1e-8 as a string because it wants a dot; people write it, so read it as the number it is.
_UniqueKeys.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def load_manifest(path: Path) -> Manifest:
    """Read and validate the manifest at ``path``.

    Raises
    ------
    ManifestError
        With one line per fault: file, key, what was expected, what came.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeys)
    except FileNotFoundError:
        raise ManifestError(
            f"{path.name}: there is no manifest beside the notebook; `replica new {path.stem}` writes one"
        ) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "unknown place"
        problem = getattr(error, "problem", None) or error
        raise ManifestError(f"{path.name}: not valid YAML at {place}: {problem}") from None
    if not isinstance(content, dict):
        raise ManifestError(f"{path.name}: expected a mapping with title, authors, ...; came {type(content).__name__}")
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        faults = [f"{path.name}: {_fault(detail)}" for detail in error.errors()]
        raise ManifestError("\n".join(faults)) from None
    if path.parent.name in PARTS and manifest.part != path.parent.name:
        raise ManifestError(
            f"{path.name}: part: expected {path.parent.name!r}, the folder it lies in; came {manifest.part!r}"
        )
    return manifest


_HINTS = {
    "string_pattern_mismatch": "expected text of the form {pattern}",
    "missing": "expected a value; the key is missing",
    "extra_forbidden": "unknown key; remove it or correct its spelling",
    "string_too_short": "expected at least {min_length} characters",
    "too_short": "expected at least {min_length} entry",
    "literal_error": "expected one of {expected}",
}


def _fault(detail: Any) -> str:
    """One validation fault as ``key: expectation; came value``."""
    # pydantic names the branch of a union in the location; a reader only wants the keys of the file
    keys = [
        str(k) for k in detail["loc"] if not (isinstance(k, str) and ("[" in k or k in ("float", "constrained-str")))
    ]
    hint = _HINTS.get(detail["type"])
    expected = hint.format(**detail.get("ctx", {})) if hint else detail["msg"].removeprefix("Value error, ")
    came = "" if detail["type"] in ("missing", "value_error") else f"; came {_short(detail['input'])}"
    return f"{'.'.join(keys) or 'manifest'}: {expected}{came}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
