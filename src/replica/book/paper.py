"""What a notebook talks to: it saves figures and checks claims. Everything else is done around the notebook."""

from __future__ import annotations

import html
import os
from collections.abc import Callable, Mapping
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
        metadata = self._describe(name, animation=False)
        paths = figures.save(fig, self.results / "figures", name, data, metadata)
        _close(fig)
        _show(paths["png"])

    def save_animation(
        self,
        fig: Figure,
        name: str,
        draw: Callable[[int], object],
        *,
        frames: int,
        data: Mapping[str, Any],
        fps: float = 15,
        still: int = -1,
    ) -> None:
        """Save ``fig`` in motion as the manifest's figure ``name``, a GIF that loops, and show it.

        ``draw(k)`` changes ``fig`` to its frame ``k``, for ``k`` from 0 to ``frames - 1``. Frame ``still`` (by default
        the last) is saved as PNG and SVG too, for print, thumbnails and readers who ask for no motion. ``data`` is
        that of :meth:`save_figure`. Raises :class:`UnknownFigure` for a name that the manifest does not declare with
        ``animation: true``, and :class:`ReplicaError` for a file too large to record.
        """
        metadata = self._describe(name, animation=True)
        gif = figures.film(fig, name, draw, frames, fps)
        draw(range(frames)[still])
        paths = figures.save(fig, self.results / "figures", name, data, metadata, gif)
        _close(fig)
        _show(paths["gif"])

    def _describe(self, name: str, animation: bool) -> dict[str, Any]:
        """What is written into the figure's files; refuses a name the manifest does not declare as such a figure."""
        if name not in self.manifest.figures:
            raise UnknownFigure(
                f"{self.slug}.yml declares no figure {name!r}. {suggest(name, list(self.manifest.figures))}"
            )
        figure = self.manifest.figures[name]
        if figure.animation != animation:
            remedy = "add `animation: true`, or use save_figure" if animation else "use save_animation"
            raise UnknownFigure(
                f"{self.slug}.yml: figure {name!r} has animation: {str(not animation).lower()}; {remedy}"
            )
        return {
            "paper": self.slug, "figure": name, "regenerates": figure.paper,
            "title": self.manifest.title, "profile": self.profile, "parameters": self.parameters,
            "seed": self.parameters.get("seed"), "packages": _versions(), "licence": "CC BY 4.0",
        }  # fmt: skip

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


def _close(fig: Figure) -> None:
    import matplotlib.pyplot as plt

    plt.close(fig)


def _show(picture: Path) -> None:
    try:
        from IPython import get_ipython
        from IPython.display import Image, display
    except ImportError:
        return
    if get_ipython() is not None:
        display(Image(data=picture.read_bytes(), format=picture.suffix[1:]))
