"""The ``replica`` command. Everything heavy is imported inside the command that needs it."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from replica.book.catalogue import find, papers, project_root
from replica.book.claims import VERDICT_MARKS
from replica.book.errors import ReplicaError
from replica.book.manifest import GROUPS, PARTS

app = typer.Typer(
    name="replica",
    help="Regenerate the figures of a publication and check its claims.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class Profile(StrEnum):
    """The scale of a run."""

    smoke = "smoke"
    quick = "quick"
    paper = "paper"


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
AtProfile = Annotated[Profile, typer.Option("--profile", help="smoke: seconds; quick: a minute; paper: full scale.")]
Overrides = Annotated[list[str], typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="Override a parameter.")]
Slug = Annotated[str, typer.Argument(help="The paper, as `replica list` names it.")]
Slugs = Annotated[list[str] | None, typer.Argument(help="Papers; all when none is named.")]
COLOURS = {"reproduced": "green", "failed": "red", "missing": "red", "discrepancy": "yellow", "unjudged": "dim"}


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the papers of the book."""
    rows = [{"slug": entry.slug, "part": entry.part, **_brief(entry.manifest())} for entry in papers()]
    if as_json:
        _print_json(rows)
        return
    table = Table(box=None, header_style="bold")
    for column in ("paper", "part", "year", "title", "figures", "claims"):
        table.add_column(column)
    for row in rows:
        cells = (row["slug"], PARTS[row["part"]], row["year"], row["title"], row["figures"], row["claims"])
        table.add_row(*(escape(str(cell)) for cell in cells))
    out.print(table)


@app.command()
def show(slug: Slug, as_json: AsJson = False) -> None:
    """Show one paper: citation, figures, claims, parameters at each profile."""
    from replica.book.profiles import resolve

    entry = find(slug)
    manifest = entry.manifest()
    parameters = {profile.value: resolve(entry, manifest, profile.value) for profile in Profile}
    if as_json:
        _print_json({"slug": slug, **manifest.model_dump(mode="json"), "parameters": parameters})
        return
    out.print(f"[bold]{escape(manifest.title)}[/bold]")
    out.print(escape(f"{', '.join(manifest.authors)} ({manifest.year}), {manifest.venue}. {GROUPS[manifest.group]}."))
    out.print(escape(manifest.summary))
    figures = _table("figure", "regenerates", "caption")
    for name, figure in manifest.figures.items():
        figures.add_row(name, escape(figure.paper), escape(figure.caption))
    claims = _table("claim", "basis", "source", "statement")
    for name, claim in manifest.claims.items():
        claims.add_row(name, claim.basis, escape(claim.source), escape(claim.statement))
    values = _table("parameter", *parameters)
    for name in parameters["quick"]:
        values.add_row(name, *(escape(str(parameters[profile][name])) for profile in parameters))
    for table in (figures, claims, values):
        out.print(table)
    out.print(f"Run it: replica run {slug}    one figure: replica figure {slug} {next(iter(manifest.figures))}")


@app.command()
def run(slug: Slug, profile: AtProfile = Profile.quick, p: Overrides = []) -> None:  # noqa: B006 (typer copies it)
    """Execute one paper's notebook here and now, and judge its claims."""
    from replica.book.execute import run_paper

    result = run_paper(slug, profile=profile.value, overrides=_overrides(p))
    raise typer.Exit(result.exit_code)


@app.command()
def figure(slug: Slug, figure_id: str, profile: AtProfile = Profile.quick, p: Overrides = []) -> None:  # noqa: B006
    """Regenerate one figure without computing the others, and say where it is."""
    from replica.book.execute import run_figure

    path = run_figure(slug, figure_id, profile=profile.value, overrides=_overrides(p))
    out.print(_shown(path))


@app.command()
def reproduce(
    slugs: Slugs = None,
    profile: AtProfile = Profile.quick,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Cores to use; all when not given.")] = None,
    executor: Annotated[str | None, typer.Option(help="A Snakemake executor plugin, such as slurm.")] = None,
    book: Annotated[bool | None, typer.Option(help="Build the book afterwards; by default at quick only.")] = None,
    snakemake: Annotated[str, typer.Option(help="More arguments for Snakemake, as one text.")] = "",
) -> None:
    """Execute papers through Snakemake, redoing only what changed; then build the book.

    The book shows the results of one profile, so only `quick` builds it unasked: a smoke run, or one paper at full
    scale, must not empty the pages of all others.
    """
    import os
    import shlex

    from replica.book.workflow import reproduce as reproduce_

    chosen = [find(slug).slug for slug in slugs] if slugs else [entry.slug for entry in papers()]
    raise typer.Exit(
        reproduce_(
            chosen,
            profile=profile.value,
            jobs=jobs or os.cpu_count() or 1,
            executor=executor or None,
            extra_args=shlex.split(snakemake),
            build_book=profile is Profile.quick if book is None else book,
        )
    )


@app.command()
def verify(slugs: Slugs = None, profile: AtProfile = Profile.quick, as_json: AsJson = False) -> None:
    """Check results on disk: complete, of the present code, every claim met. Exit code 1 when not."""
    from replica.book.gate import inspect
    from replica.book.scorecard import collect, problems, surprises

    card = collect(profile.value, _known(slugs))
    found = problems(card)
    for row in card["papers"]:
        if row["status"] == "complete":
            found += [f"{row['slug']}: {reason}" for reason in inspect(find(row["slug"]), profile.value)]
    if as_json:
        _print_json({"ok": not found, "problems": found, "surprises": surprises(card)})
    else:
        for sentence in surprises(card):
            err.print(f"[yellow]![/yellow] {escape(sentence)}")
        for sentence in found:
            err.print(f"[red]✗[/red] {escape(sentence)}")
        if not found:
            total = card["totals"]
            out.print(f"[green]✓[/green] {total['papers']} papers, {total['verdicts']['reproduced']} claims reproduced")
    raise typer.Exit(1 if found else 0)


@app.command()
def scorecard(slugs: Slugs = None, profile: AtProfile = Profile.quick, as_json: AsJson = False) -> None:
    """Show every claim with its verdict, and the totals."""
    from replica.book.scorecard import collect

    card = collect(profile.value, _known(slugs))
    if as_json:
        _print_json(card)
        return
    table = _table("paper", "", "claim", "basis", "measured", "expected", "source")
    for row in card["papers"]:
        for index, claim in enumerate(row["claims"]):
            colour, mark = COLOURS[claim["verdict"]], VERDICT_MARKS[claim["verdict"]]
            cells = (claim["id"], claim["basis"], claim["value_text"], claim["expect_text"], claim["source"])
            name = row["slug"] if index == 0 else ""
            table.add_row(name, f"[{colour}]{mark}[/{colour}]", *(escape(cell) for cell in cells))
    out.print(table)
    total = card["totals"]
    out.print(
        f"{total['executed']} of {total['papers']} papers executed at {profile.value}; "
        f"{total['claims_of_papers_reproduced']} of {total['claims_of_papers']} claims of papers and theorems "
        f"reproduced (and {total['claims_of_ours']} of our own checked); {total['seconds']:g} s"
    )


@app.command()
def data(
    fetch: Annotated[list[str] | None, typer.Argument(help="Data sets to download; none to list them all.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the data sets: licence, whether they are at hand, where; or download some."""
    from replica import datasets

    for name in fetch or []:
        datasets.fetch(name)
    rows = datasets.status()
    if as_json:
        _print_json(rows)
        return
    table = _table("data set", "state", "splits", "MB", "stand-in", "licence")
    for row in rows:
        size = f"{(row['bytes'] or 0) / 1e6:.1f}"
        cells = (row["name"], row["state"], " ".join(row["splits"]), size, row["stand_in"] or "", row["licence"])
        table.add_row(*(escape(cell) for cell in cells))
    out.print(table)
    out.print("Download one with: replica data NAME (--json tells where the files are)")


@app.command()
def new(
    slug: Annotated[str, typer.Argument(help="Lower-case words joined by hyphens, such as silent-alignment.")],
    part: Annotated[str, typer.Option(help=f"One of {', '.join(PARTS)}.")],
) -> None:
    """Start a paper: manifest and notebook, marked where they are to be filled in."""
    from replica.book.scaffold import scaffold

    for path in scaffold(slug, part):
        out.print(_shown(path))
    out.print(
        "Physics goes into a room of src/replica, and its tests into the room of the same name in tests.\n"
        f"Fill them in; `replica check {slug}` (and `make test`) says what is still missing."
    )


@app.command()
def check(slugs: Slugs = None) -> None:
    """Check notebooks and manifests against the book's conventions, without running them."""
    from replica.book.conventions import faults

    chosen = [find(slug) for slug in slugs] if slugs else papers()
    found = [fault for entry in chosen for fault in faults(entry)]
    for fault in found:
        err.print(f"[red]✗[/red] {escape(fault)}")
    if not found:
        out.print(f"[green]✓[/green] {len(chosen)} papers keep the conventions")
    raise typer.Exit(1 if found else 0)


@app.command()
def record(
    slugs: Slugs = None,
    text_only: Annotated[bool, typer.Option(help="Only bring the cells in step; keep recorded outputs.")] = False,
) -> None:
    """Refresh the recorded .ipynb of papers from their last quick run (text to .ipynb, never back)."""
    from replica.book.pairs import record as record_
    from replica.book.pairs import update_pair
    from replica.book.scorecard import collect

    root = project_root()
    for entry in [find(slug) for slug in slugs] if slugs else papers():
        if text_only:
            changed = update_pair(entry.notebook, entry.ipynb)
        else:
            row = collect("quick", [entry.slug])["papers"][0]
            if row["status"] != "complete":
                raise ReplicaError(
                    f"{entry.slug}: the quick result is {row['status']}; run `make reproduce PAPER={entry.slug}` first"
                )
            executed = root / "results" / "quick" / entry.slug / "notebook.ipynb"
            changed = record_(entry.notebook, executed, entry.ipynb)
        out.print(f"{_shown(entry.ipynb)}: {'refreshed' if changed else 'unchanged'}")


@app.command()
def book(profile: AtProfile = Profile.quick) -> None:
    """Stage the results that pass the gate and build the book into build/html."""
    from replica.book.gate import inspect
    from replica.book.stage import build

    first_page = build(profile.value)
    for entry in papers():
        for reason in inspect(entry, profile.value):
            err.print(f"[yellow]![/yellow] {entry.slug} has no results in the book: {escape(reason)}")
    out.print(f"The book is in {_shown(first_page)}")


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold")
    for column in columns:
        table.add_column(column)
    return table


def _brief(manifest: Any) -> dict[str, Any]:
    return {
        "title": manifest.title,
        "year": manifest.year,
        "group": manifest.group,
        "figures": len(manifest.figures),
        "claims": len(manifest.claims),
    }


def _known(slugs: list[str] | None) -> list[str]:
    return [find(slug).slug for slug in slugs or []]


def _overrides(pairs: list[str]) -> dict[str, str]:
    split = [pair.partition("=") for pair in pairs]
    for name, equals, _ in split:
        if not (name and equals):
            raise ReplicaError(f"expected -p name=value, such as -p trials=10; came -p {name}")
    return {name: value for name, _, value in split}


def _print_json(content: Any) -> None:
    sys.stdout.write(json.dumps(content, indent=1, ensure_ascii=False, default=str) + "\n")


def _shown(path: Path) -> str:
    return escape(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))


def main() -> None:
    """Entry point: errors that a reader can mend end with their sentence and exit code 2, not with a traceback."""
    from replica.datasets import DataError

    try:
        app()
    except (ReplicaError, DataError) as error:
        err.print(f"[bold red]error[/bold red] {escape(str(error))}")
        sys.exit(2)


if __name__ == "__main__":
    main()
