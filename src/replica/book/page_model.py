"""What the book knows about one paper: its manifest, the verdict of the gate, and the result if it may be shown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from replica.book.catalogue import PaperEntry, papers
from replica.book.gate import PROVENANCE_FILE, crash_of, inspect, read_json, results_folder
from replica.book.manifest import Manifest
from replica.book.scorecard import COUNTED_BASES, collect, totals

TIME_CLASSES = (("under-10s", "under 10 s", 10.0), ("10-30s", "10 to 30 s", 30.0), ("30-60s", "30 to 60 s", 60.0))
LONGEST = ("over-60s", "over 60 s")


@dataclass(frozen=True)
class PaperPage:
    """A paper as a page shows it. ``status`` is ``complete``, ``refused``, ``crashed`` or ``not run``; only a complete
    one has claims with verdicts and a provenance."""

    entry: PaperEntry
    manifest: Manifest
    profile: str
    status: str
    reasons: list[str]
    row: dict[str, Any]
    provenance: dict[str, Any] = field(default_factory=dict)
    crash: dict[str, Any] | None = None

    @property
    def slug(self) -> str:
        return self.entry.slug

    @property
    def docname(self) -> str:
        """The page's place in the book, without suffix."""
        return f"{self.entry.part}/{self.slug}"

    @property
    def folder(self) -> Path:
        return results_folder(self.entry, self.profile)

    @property
    def claims(self) -> list[dict[str, Any]]:
        claims: list[dict[str, Any]] = self.row["claims"]
        return claims

    @property
    def seconds(self) -> float | None:
        return self.provenance.get("seconds")

    def counted(self, ours: bool = False) -> tuple[int, int]:
        """Reproduced and all claims: those of the publication and of theorems, or those we added."""
        chosen = [claim for claim in self.claims if (claim["basis"] not in COUNTED_BASES) == ours]
        return sum(claim["verdict"] == "reproduced" for claim in chosen), len(chosen)

    def figure_verdict(self, figure: str) -> str:
        """``reproduced`` when all claims tied to the figure are, ``disagrees`` when one is not, ``none`` without."""
        verdicts = {claim["verdict"] for claim in self.claims if claim["figure"] == figure} - {"unjudged"}
        if not verdicts:
            return "none"
        return "reproduced" if verdicts == {"reproduced"} else "disagrees"

    def time_class(self) -> tuple[str, str]:
        """The class of run times, name and wording, that the paper falls into."""
        for name, wording, bound in TIME_CLASSES:
            if (self.seconds or 0) < bound:
                return name, wording
        return LONGEST

    def figure_files(self, figure: str) -> dict[str, Path]:
        """The files of a figure by suffix."""
        recorded = self.provenance.get("figures", {}).get(figure, {})
        return {suffix: self.folder / "figures" / f"{figure}.{suffix}" for suffix in sorted(recorded)}

    def anchor(self, figure: str) -> str:
        """The label of a figure; it is global to the book."""
        return f"{self.slug}-figure-{figure}"

    def origin(self, figure: str) -> str:
        """Which figure of the publication this is, in words."""
        declared = self.manifest.figures[figure].paper
        declared = declared[0].upper() + declared[1:]
        if declared.lower().startswith("none"):
            return "Added here, not in the publication."
        return f"{declared}, regenerated." if self.status == "complete" else f"{declared}."

    def evidence_link(self, evidence: str) -> str:
        """Where a finding's evidence stands: the figure or the claim that it names, else the page."""

        def named(names: Iterable[str]) -> list[str]:
            return [name for name in names if re.search(rf"(?<![\w-]){name}(?![\w-])", evidence)]

        if figures := named(self.manifest.figures):
            return f"#{self.anchor(figures[0])}"
        return f"#{self.slug}-claims-at-a-glance" if named(self.manifest.claims) else f"/{self.docname}"


def load_pages(profile: str, root: Path) -> tuple[list[PaperPage], dict[str, Any]]:
    """All papers of the project and the totals over them, what the gate refuses counted as not reproduced."""
    entries = {entry.slug: entry for entry in papers(root)}
    rows = collect(profile, root=root)["papers"]
    pages = [_page(entries[row["slug"]], row, profile) for row in rows]
    return pages, totals([page.row for page in pages])


def _page(entry: PaperEntry, row: dict[str, Any], profile: str) -> PaperPage:
    manifest = entry.manifest()
    reasons = inspect(entry, profile)
    crash = crash_of(entry, profile)
    if not reasons:
        provenance = read_json(results_folder(entry, profile) / PROVENANCE_FILE)
        return PaperPage(entry, manifest, profile, "complete", [], row, provenance)
    present = results_folder(entry, profile).exists()
    status = "crashed" if crash is not None else "refused" if present else "not run"
    nothing = {
        "verdict": "missing",
        "value": None,
        "value_text": "no result",
        "spread": None,
        "seeds": None,
        "note": None,
    }
    blank = [{**claim, **nothing} for claim in row["claims"]]
    refused = {**row, "status": status, "claims": blank, "seconds": None, "peak_mb": None}
    return PaperPage(entry, manifest, profile, status, reasons, refused, {}, crash)
