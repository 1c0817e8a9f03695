"""The scorecard: every paper with its claims, verdicts and times, read from the results on disk."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from replica.book.catalogue import PaperEntry, papers, project_root
from replica.book.claims import ClaimRecord, missing, read_claims
from replica.book.manifest import Claim

COUNTED_BASES = ("paper", "theorem")


def collect(profile: str = "quick", slugs: list[str] | None = None, root: Path | None = None) -> dict[str, Any]:
    """The scorecard at ``profile`` as plain data: ``{"papers": [...], "totals": {...}}``.

    ``status`` of a paper is ``complete``, ``crashed``, ``stale`` (its result is of other code) or ``not run``; the
    claims of a paper without a complete result count as ``missing``.
    """
    root = root or project_root()
    entries = [entry for entry in papers(root) if not slugs or entry.slug in slugs]
    rows = [_paper_row(entry, profile, root) for entry in entries]
    return {"profile": profile, "papers": rows, "totals": totals(rows)}


def totals(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Sums over papers; what rests on a publication or a theorem is counted apart from what we added."""
    verdicts: Counter[str] = Counter()
    of_papers: Counter[str] = Counter()
    for row in rows:
        for claim in row["claims"]:
            verdicts[claim["verdict"]] += 1
            of_papers["all"] += claim["basis"] in COUNTED_BASES
            of_papers["reproduced"] += claim["basis"] in COUNTED_BASES and claim["verdict"] == "reproduced"
    status = Counter(row["status"] for row in rows)
    return {
        "papers": len(rows),
        "executed": status["complete"],
        "crashed": status["crashed"],
        "claims": sum(verdicts.values()),
        "claims_of_papers": of_papers["all"],
        "claims_of_papers_reproduced": of_papers["reproduced"],
        "claims_of_ours": sum(verdicts.values()) - of_papers["all"],
        "verdicts": {name: verdicts[name] for name in ("reproduced", "discrepancy", "failed", "missing", "unjudged")},
        "findings": sum(len(row["findings"]) for row in rows),
        "figures": sum(len(row["figures"]) for row in rows),
        "seconds": round(sum(row["seconds"] or 0 for row in rows), 1),
    }


def _paper_row(entry: PaperEntry, profile: str, root: Path) -> dict[str, Any]:
    from replica.book.digest import paper_digest

    manifest = entry.manifest()
    folder = root / "results" / profile / entry.slug
    provenance = _read(folder / "provenance.json")
    crash = _read(root / "results" / profile / ".failed" / entry.slug / "error.json")
    if crash is not None:
        status = "crashed"
    elif provenance is None:
        status = "not run"
    else:
        current = provenance.get("digest") == paper_digest(entry, manifest, profile)
        status = "complete" if current else "stale"
    records = {record.id: record for record in read_claims(folder)} if status == "complete" else {}
    claims = [_claim_row(records.get(name) or missing(name, claim), claim) for name, claim in manifest.claims.items()]
    return {
        "slug": entry.slug,
        "title": manifest.title,
        "part": entry.part,
        "group": manifest.group,
        "year": manifest.year,
        "profile": profile,
        "status": status,
        "error": crash,
        "seconds": provenance.get("seconds") if provenance else None,
        "peak_mb": provenance.get("peak_mb") if provenance else None,
        "commit": provenance.get("commit") if provenance else None,
        "finished": provenance.get("finished") if provenance else None,
        "datasets": provenance.get("datasets", []) if provenance else [],
        "figures": list(manifest.figures),
        "claims": claims,
        "findings": [finding.model_dump() for finding in manifest.findings],
    }


def _claim_row(record: ClaimRecord, claim: Claim) -> dict[str, Any]:
    """The measured part of the record, and the wording as the manifest has it now (wording does not rerun a paper)."""
    wording = claim.model_dump(include={"statement", "basis", "source", "figure", "known_discrepancy"})
    return {**asdict(record), **wording}


def _read(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def problems(card: dict[str, Any]) -> list[str]:
    """What keeps the papers of ``card`` from being reproduced, a sentence each; empty when all is well.

    Known discrepancies are no problem here (they are shown as such), nor are unjudged claims.
    """
    found = []
    for row in card["papers"]:
        slug, profile = row["slug"], row["profile"]
        again = f"`make reproduce PAPER={slug}" + ("`" if profile == "quick" else f" PROFILE={profile}`")
        if row["status"] == "crashed":
            error = row["error"]
            found.append(
                f"{slug}: crashed in {error.get('heading') or 'a cell'} (cell {error.get('cell')}): "
                f"{error.get('ename')}: {error.get('evalue')}; log: {error.get('log')}"
            )
        elif row["status"] == "stale":
            found.append(f"{slug}: the result at {profile} is of other code than is here now; {again} renews it")
        elif row["status"] == "not run":
            found.append(f"{slug}: not run at {profile}; {again} runs it")
        else:
            found += [
                _claim_problem(slug, claim) for claim in row["claims"] if claim["verdict"] in ("failed", "missing")
            ]
    return found


def surprises(card: dict[str, Any]) -> list[str]:
    """Known discrepancies that met their expectation after all, a sentence each."""
    return [
        f"{row['slug']}: claim {claim['id']} is listed as a known discrepancy but came out as expected "
        f"({claim['value_text']}, expected {claim['expect_text']}); is the entry out of date?"
        for row in card["papers"]
        for claim in row["claims"]
        if claim["surprise"]
    ]


def _claim_problem(slug: str, claim: dict[str, Any]) -> str:
    if claim["verdict"] == "missing":
        return f"{slug}: claim {claim['id']} was never checked by the run"
    measured, expected = claim["value_text"], claim["expect_text"]
    return f"{slug}: claim {claim['id']} failed: {measured}, expected {expected} ({claim['source']})"
