"""Judging claims: a measured value against the expectation in the manifest.

The verdicts are ``reproduced``, ``failed``, ``discrepancy`` (a known one, explained in the manifest), ``missing``
(the run never checked it) and ``unjudged`` (a statistical claim at profile ``smoke``).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from replica.book.errors import ClaimValueError
from replica.book.manifest import Claim, Expectation, Manifest

CLAIMS_FILE = "claims.json"
VERDICT_MARKS = {"reproduced": "✓", "failed": "✗", "discrepancy": "≠", "missing": "?", "unjudged": "·"}

Value = float | bool | list[Any]


@dataclass(frozen=True)
class ClaimRecord:
    """One judged claim, as it stands in ``claims.json``."""

    id: str
    statement: str
    basis: str
    source: str
    statistical: bool
    figure: str | None
    expect: dict[str, Any] | None
    expect_text: str
    value: Value | None
    value_text: str
    spread: float | None
    spread_kind: str | None
    seeds: int | None
    verdict: str
    surprise: bool
    known_discrepancy: str | None
    note: str | None


def judge(expect: Expectation, value: Any) -> bool:
    """Whether ``value`` meets ``expect``.

    ``equals``: $|v-e|\\le\\mathrm{atol}$ or $|v-e|\\le\\mathrm{rtol}\\,|e|$, entry by entry for a list; the bounds of
    ``at_least``, ``at_most`` and ``between`` count as met. Raises :class:`ClaimValueError` as :func:`clean` does.
    """
    found = clean(expect, value)
    if expect.holds is not None:
        return bool(found)
    number = np.asarray(found, dtype=float)
    if expect.equals is not None:
        target = np.asarray(expect.equals, dtype=float)
        allowed = expect.atol if expect.atol is not None else (expect.rtol or 0.0) * np.abs(target)
        return bool(np.all(np.abs(number - target) <= allowed))
    if expect.at_least is not None:
        return bool(number >= expect.at_least)
    if expect.at_most is not None:
        return bool(number <= expect.at_most)
    assert expect.between is not None
    return bool(expect.between[0] <= number <= expect.between[1])


def clean(expect: Expectation | None, value: Any) -> Value:
    """``value`` as plain Python numbers, of the type and shape that ``expect`` asks for.

    Raises
    ------
    ClaimValueError
        For NaN or an infinity, a wrong shape, or a truth value where a number is expected (and the reverse).
    """
    array = np.asarray(value)
    if expect is not None and expect.holds is not None:
        if array.shape != () or array.dtype != np.bool_:
            raise ClaimValueError(f"expected a single True or False; came {_describe(value)}")
        return bool(array)
    if array.dtype == np.bool_ or not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array):
        raise ClaimValueError(f"expected a real number; came {_describe(value)}")
    shape = np.shape(expect.equals) if expect is not None and expect.equals is not None else ()
    if expect is not None and array.shape != shape:
        raise ClaimValueError(f"expected {_shape_text(shape)}; came {_describe(value)}")
    if not np.all(np.isfinite(array)):
        raise ClaimValueError(f"expected finite numbers; came {_describe(value)}")
    plain: Value = array.astype(float).tolist()
    return plain


def record(
    name: str,
    claim: Claim,
    profile: str,
    value: Any,
    *,
    spread: float | None = None,
    spread_kind: str = "sd",
    seeds: int | None = None,
) -> ClaimRecord:
    """Judge ``value`` and make the record of it. Statistical claims are not judged at profile ``smoke``."""
    try:
        found = clean(claim.expect, value)
        met = judge(claim.expect, found) if claim.expect is not None else None
    except ClaimValueError as error:
        raise ClaimValueError(f"claim {name!r}: {error}") from None
    if spread is not None and not (math.isfinite(spread) and spread >= 0):
        raise ClaimValueError(f"claim {name!r}: expected a spread that is finite and not negative; came {spread!r}")
    if spread_kind not in ("sd", "se"):
        raise ClaimValueError(f"claim {name!r}: expected spread_kind 'sd' or 'se'; came {spread_kind!r}")
    if claim.known_discrepancy is not None:
        verdict = "discrepancy"
    elif claim.statistical and profile == "smoke":
        verdict = "unjudged"
    else:
        verdict = "reproduced" if met else "failed"
    note = None
    if claim.statistical and (seeds is None or seeds < 2):
        note = "measured on one seed" if seeds in (None, 1) and spread is None else None
    text = format_value(found, spread, _digits(claim.expect, 4))
    return _record(
        name, claim, value=found, value_text=text, verdict=verdict, note=note,
        spread=None if spread is None else float(spread), spread_kind=None if spread is None else spread_kind,
        seeds=seeds, surprise=bool(claim.known_discrepancy is not None and met and profile != "smoke"),
    )  # fmt: skip


def missing(name: str, claim: Claim) -> ClaimRecord:
    """The record of a claim that a run did not check."""
    note = "the run did not check this claim"
    return _record(name, claim, value=None, value_text="not checked", verdict="missing", note=note)


def finalise(results: Path, manifest: Manifest, profile: str) -> list[ClaimRecord]:
    """Complete ``claims.json`` in ``results`` with a ``missing`` record for every claim that was not checked,
    in the manifest's order, and return the records."""
    known = {entry.id: entry for entry in read_claims(results)}
    records = [known.get(name) or missing(name, claim) for name, claim in manifest.claims.items()]
    previous = json.loads((results / CLAIMS_FILE).read_text()) if (results / CLAIMS_FILE).exists() else {}
    write_claims(results, previous.get("slug", ""), profile, records)
    return records


def read_claims(results: Path) -> list[ClaimRecord]:
    """The records in ``results``, or none where there is no file yet."""
    path = results / CLAIMS_FILE
    if not path.exists():
        return []
    return [ClaimRecord(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))["claims"]]


def write_claims(results: Path, slug: str, profile: str, records: Iterable[ClaimRecord]) -> None:
    """Write ``claims.json`` in one step, so that a reader never sees half a file."""
    content = {"schema": 1, "slug": slug, "profile": profile, "claims": [asdict(entry) for entry in records]}
    path = results / CLAIMS_FILE
    results.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".json.tmp")
    partial.write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(partial, path)


def expectation_text(expect: Expectation | None) -> str:
    """The expectation as a reader writes it: ``32 ± 1e-08 (relative)``, ``≥ 2``, ``in [3.9, 4]``, ``holds``."""
    if expect is None:
        return "not judged"
    if expect.equals is not None:
        target = format_value(expect.equals, None, _digits(expect, 6))
        kind = " (relative)" if expect.rtol is not None else ""
        return f"{target} ± {_plain(expect.rtol if expect.rtol is not None else expect.atol, 3)}{kind}"
    if expect.at_least is not None:
        return f"≥ {_plain(expect.at_least, 6)}"
    if expect.at_most is not None:
        return f"≤ {_plain(expect.at_most, 6)}"
    if expect.between is not None:
        return f"in [{_plain(expect.between[0], 6)}, {_plain(expect.between[1], 6)}]"
    return "holds"


def format_value(value: Value | None, spread: float | None = None, digits: int = 4) -> str:
    """A value with its spread, rounded to ``digits`` significant digits."""
    if value is None:
        return "not checked"
    if isinstance(value, bool):
        return "holds" if value else "does not hold"
    if isinstance(value, list):
        return "[" + ", ".join(format_value(entry, None, digits) for entry in value) + "]"
    return _plain(value, digits) + ("" if spread is None else f" ± {_plain(spread, 2)}")


def _record(name: str, claim: Claim, **measured: Any) -> ClaimRecord:
    blank = {"spread": None, "spread_kind": None, "seeds": None, "surprise": False}
    return ClaimRecord(
        id=name, statement=claim.statement, basis=claim.basis, source=claim.source, statistical=claim.statistical,
        figure=claim.figure, known_discrepancy=claim.known_discrepancy,
        expect=None if claim.expect is None else claim.expect.model_dump(exclude_none=True, mode="json"),
        expect_text=expectation_text(claim.expect), **{**blank, **measured},
    )  # fmt: skip


def _digits(expect: Expectation | None, least: int) -> int:
    """Significant digits that show whether a value is within the tolerance: at least ``least``, at most 12."""
    if expect is None or expect.equals is None:
        return least
    size = max(np.max(np.abs(expect.equals)), np.finfo(float).tiny)
    relative = expect.rtol if expect.rtol is not None else (expect.atol or size) / size
    return int(np.clip(math.ceil(-math.log10(relative)) + 1, least, 12))


def _plain(number: float | None, digits: int) -> str:
    return "" if number is None else f"{number:.{digits}g}"


def _shape_text(shape: tuple[int, ...]) -> str:
    return "a single number" if shape == () else f"numbers of shape {shape}"


def _describe(value: Any) -> str:
    array = np.asarray(value)
    if array.shape == ():
        return f"{value!r}"
    return f"an array of shape {array.shape} and type {array.dtype}"
