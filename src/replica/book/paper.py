"""What a notebook talks to: it saves figures and checks claims. Everything else is done around the notebook."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replica.book import claims as claims_
from replica.book import figures
from replica.book.catalogue import PaperEntry, find, project_root, suggest
from replica.book.errors import UnknownClaim, UnknownFigure
from replica.book.manifest import Manifest

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def table_row(record: claims_.ClaimRecord) -> str:
    """What the claims table says of a claim before the verdict: name, source and expectation, as HTML cells."""
    return "".join(f"<td>{html.escape(cell)}</td>" for cell in (record.id, record.source, record.expect_text))


class ClaimsTable:
    """The verdicts of a run as a table. It shows no measured digits: they differ between CPUs in the last places,
    and this table is compared with the recorded one."""

    def __init__(self, records: list[claims_.ClaimRecord]) -> None:
        self.records = records

    def _rows(self) -> list[tuple[str, str, str, str]]:
        return [(entry.id, entry.source, entry.expect_text, entry.verdict) for entry in self.records]

    def __repr__(self) -> str:
        rows = [("claim", "source", "expected", "verdict"), *self._rows()]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        )

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in ("", "claim", "source", "expected", "verdict"))
        body = ""
        for entry in self.records:
            mark = claims_.VERDICT_MARKS[entry.verdict]
            body += f"<tr><td>{mark}</td>{table_row(entry)}<td>{entry.verdict}</td></tr>"
        return f'<table class="replica-claims"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


class Paper:
    """One paper in one run. Made by :func:`open_paper`."""

    def __init__(self, entry: PaperEntry, manifest: Manifest, profile: str, results: Path) -> None:
        self.slug = entry.slug
        self.manifest = manifest
        self.profile = profile
        self.results = results
        self._records: dict[str, claims_.ClaimRecord] = {}
        self._parameter_names = _parameter_names(entry)

    @property
    def parameters(self) -> dict[str, Any]:
        """The values that the notebook's parameters have now."""
        import __main__

        return {name: getattr(__main__, name) for name in self._parameter_names if hasattr(__main__, name)}

    def save_figure(self, fig: Figure, name: str, data: Mapping[str, Any]) -> None:
        """Save ``fig`` as the manifest's figure ``name`` (PNG, SVG), with the numbers behind it, and show it.

        ``data`` maps names to arrays, or names of tables to mappings of names to arrays; it is written to ``.npz``
        and, as text, to ``.csv``. Raises :class:`UnknownFigure` for a name the manifest does not declare.
        """
        if name not in self.manifest.figures:
            raise UnknownFigure(
                f"{self.slug}.yml declares no figure {name!r}. {suggest(name, list(self.manifest.figures))}"
            )
        metadata = {
            "paper": self.slug, "figure": name, "regenerates": self.manifest.figures[name].paper,
            "title": self.manifest.title, "profile": self.profile, "parameters": self.parameters,
            "seed": self.parameters.get("seed"), "packages": _versions(), "licence": "CC BY 4.0",
        }  # fmt: skip
        paths = figures.save(fig, self.results / "figures", name, data, metadata)
        import matplotlib.pyplot as plt

        plt.close(fig)
        _show(paths["png"])

    def check(
        self,
        name: str,
        value: Any,
        *,
        spread: float | None = None,
        spread_kind: str = "sd",
        seeds: int | None = None,
    ) -> None:
        """Judge ``value`` against the manifest's claim ``name``, record it and print the verdict.

        ``spread`` is the standard deviation (``spread_kind="sd"``) or standard error (``"se"``) over ``seeds``
        independent repetitions. Raises :class:`UnknownClaim`, and :class:`ClaimValueError` for NaN or a value of the
        wrong shape or type; a value that misses is recorded as failed and the notebook goes on.
        """
        if name not in self.manifest.claims:
            raise UnknownClaim(
                f"{self.slug}.yml declares no claim {name!r}. {suggest(name, list(self.manifest.claims))}"
            )
        spread = None if spread is None else float(spread)
        entry = claims_.record(
            name, self.manifest.claims[name], self.profile, value, spread=spread, spread_kind=spread_kind, seeds=seeds
        )
        self._records[name] = entry
        claims_.write_claims(self.results, self.slug, self.profile, self._records.values())
        mark = claims_.VERDICT_MARKS[entry.verdict]
        surprise = " (known discrepancy, but met)" if entry.surprise else ""
        print(f"{mark} {name}: {entry.value_text} (expected {entry.expect_text}) {entry.verdict}{surprise}")

    def claims(self) -> ClaimsTable:
        """The table of all claims of the manifest with this run's verdicts."""
        return ClaimsTable(
            [self._records.get(name) or claims_.missing(name, claim) for name, claim in self.manifest.claims.items()]
        )


def open_paper(slug: str) -> Paper:
    """Open the paper ``slug``: read its manifest, set the shared style, and say where its results go.

    Run through ``replica`` or ``make``, results go where the runner says; opened by hand in Jupyter they go to
    ``results/interactive/<slug>/``. Raises :class:`UnknownPaper` and :class:`ManifestError`.
    """
    root = project_root()
    entry = find(slug, root)
    figures.use_style()
    profile = os.environ.get("REPLICA_PROFILE", "quick")
    results = os.environ.get("REPLICA_RESULTS")
    folder = Path(results) if results else root / "results" / "interactive" / slug
    claims_file = folder / claims_.CLAIMS_FILE
    claims_file.unlink(missing_ok=True)  # a rerun in Jupyter must not show verdicts of the run before
    return Paper(entry, entry.manifest(), profile, folder)


def _parameter_names(entry: PaperEntry) -> list[str]:
    from replica.book.notebook_text import read_notebook
    from replica.book.profiles import declared

    return list(declared(read_notebook(entry.notebook)))


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("numpy", "scipy", "matplotlib")}


def _show(png: Path) -> None:
    try:
        from IPython import get_ipython
        from IPython.display import Image, display
    except ImportError:
        return
    if get_ipython() is not None:
        display(Image(data=png.read_bytes(), format="png"))
