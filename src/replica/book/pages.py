"""The generated pages: gallery, scorecard, what reproducing taught us, index of papers, front matter, contents."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import yaml

from replica.book.citation import bibtex, short_authors
from replica.book.manifest import GROUPS, PARTS
from replica.book.page_model import LONGEST, TIME_CLASSES, PaperPage
from replica.book.text import plain, render, title_of

VERDICTS = {"reproduced": "claims reproduced", "disagrees": "a claim disagrees", "none": "no claim of its own"}
KINDS = (
    ("limit", "Limits", "Where a result stops being true, or how fast it does."),
    ("slip", "Slips", "A sign, a factor or an index that has to be read differently for the rest to hold."),
    ("surprise", "Surprises", "What we did not expect and then found to be right."),
    ("bug", "Published code", "What in published code explains a panel that the text alone does not."),
)
COLLAGE_FIGURES = 8
Sizes = dict[str, tuple[int, int]]


def thumbnail_name(page: PaperPage, figure: str) -> str:
    """The stable address of a figure's thumbnail, relative to the book's root."""
    return f"_static/thumbnails/{page.slug}--{figure}.png"


def cards(pages: list[PaperPage], sizes: Sizes) -> list[dict[str, Any]]:
    """One card for each regenerated figure; ``sizes`` are those of the thumbnails by address."""
    made = []
    for page in (page for page in pages if page.status == "complete"):
        for name, figure in page.manifest.figures.items():
            added = figure.paper.lower().startswith("none")
            verdict = page.figure_verdict(name)
            made.append(
                {
                    "href": f"{page.docname}.html#{page.anchor(name)}",
                    "thumbnail": thumbnail_name(page, name),
                    "size": sizes[thumbnail_name(page, name)],
                    "alt": plain(figure.alt),
                    "title": title_of(name) + ("" if added else f" · {figure.paper}"),
                    "paper": page.manifest.title,
                    "part": page.entry.part,
                    "verdict": verdict,
                    "verdict_text": VERDICTS[verdict],
                    "time": page.time_class()[0],
                    "seconds": page.seconds,
                }
            )
    return made


def gallery(pages: list[PaperPage], sizes: Sizes) -> str:
    """Every figure as a thumbnail that leads to its place, with filters by part, claims and run time."""
    shown = cards(pages, sizes)
    present = {card["part"] for card in shown}
    html = render(
        "gallery.html.j2", cards=shown, verdicts=list(VERDICTS.items()),
        parts=[(part, title) for part, title in PARTS.items() if part in present],
        times=[(name, wording) for name, wording, _ in TIME_CLASSES] + [LONGEST],
    )  # fmt: skip
    return render("gallery.md.j2", gallery=html.strip())


def front(pages: list[PaperPage], totals: dict[str, Any], profile: str, sizes: Sizes) -> str:
    """What the first page includes: a collage of figures, the totals, the offline copy."""
    chosen = collage_order(cards(pages, sizes))[:COLLAGE_FIGURES]
    return render(
        "front.md.j2", totals=totals, profile=profile, collage=render("collage.html.j2", cards=chosen).strip()
    )


def collage_order(shown: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cards with the first figure of each paper first, then the second of each, and so on."""
    rank: dict[str, int] = {}
    ranked = []
    for card in shown:
        rank[card["paper"]] = rank.get(card["paper"], -1) + 1
        ranked.append((rank[card["paper"]], card))
    return [card for _, card in sorted(ranked, key=lambda pair: pair[0])]


def scorecard(pages: list[PaperPage], totals: dict[str, Any], profile: str) -> str:
    """Every paper with its claims, the totals, and the funnel beside the published baseline."""
    ours = [page.counted(ours=True) for page in pages]
    whole = [page.counted() for page in pages if page.status == "complete"]
    return render(
        "scorecard.md.j2", pages=pages, totals=totals, profile=profile,
        ours=(sum(k for k, _ in ours), sum(n for _, n in ours)), whole=sum(k == n for k, n in whole),
    )  # fmt: skip


def lessons(pages: list[PaperPage]) -> str:
    """The findings of all papers by kind, and the claims that are not reproduced."""
    complete = [page for page in pages if page.status == "complete"]
    findings = {
        kind: [(page, found) for page in complete for found in page.manifest.findings if found.kind == kind]
        for kind, _, _ in KINDS
    }
    disagreements = [
        (page, claim) for page in complete for claim in page.claims if claim["verdict"] in ("discrepancy", "failed")
    ]
    return render("lessons.md.j2", kinds=KINDS, findings=findings, disagreements=disagreements)


def index_of_papers(pages: list[PaperPage]) -> str:
    """The papers by part, by research group and by year."""
    years = sorted({page.manifest.year for page in pages}, reverse=True)
    indexes = [
        ("By part", [(title, [p for p in pages if p.entry.part == part]) for part, title in PARTS.items()]),
        ("By research group", [(name, [p for p in pages if p.manifest.group == key]) for key, name in GROUPS.items()]),
        ("By year", [(str(year), [p for p in pages if p.manifest.year == year]) for year in years]),
    ]
    present = [(heading, [(name, members) for name, members in groups if members]) for heading, groups in indexes]
    return render("papers.md.j2", indexes=present, authors=short_authors)


def bibliography(pages: list[PaperPage], own: str) -> str:
    """The book's own references and an entry for each paper, under its slug."""
    return own.rstrip() + "\n\n" + "\n\n".join(bibtex(page.manifest, page.slug) for page in pages) + "\n"


def contents(pages: list[PaperPage], own: Collection[str] = (), rooms: Iterable[str] = ()) -> str:
    """The table of contents: parts in the book's order, only those with papers.

    ``own`` names the book's own pages: one that is called like a part opens it. ``rooms`` are the rooms of the package
    that have a page.
    """
    parts = [
        {
            "caption": title,
            "chapters": [{"file": part}] * (part in own)
            + [{"file": page.docname} for page in pages if page.entry.part == part],
        }
        for part, title in PARTS.items()
        if any(page.entry.part == part for page in pages)
    ]
    start = ["how-to-read", "gallery", "scorecard", "lessons", "papers"]
    end: list[dict[str, Any]] = [{"file": "how-to-reproduce"}, {"file": "add-a-paper"}]
    sections = [{"file": f"api/{room}"} for room in rooms]
    if sections:
        end.append({"file": "api", "sections": sections})
    toc = {
        "format": "jb-book",
        "root": "intro",
        "parts": [
            {"caption": "The book", "chapters": [{"file": name} for name in start]},
            *parts,
            {"caption": "Take part", "chapters": [*end, {"file": "references"}]},
        ],
    }
    return yaml.safe_dump(toc, sort_keys=False)


def rooms(source: Path) -> dict[str, list[str]]:
    """The science rooms of the package in the folder ``source`` and their modules, without the machinery."""
    packages = sorted(path.parent for path in source.glob("*/__init__.py") if path.parent.name != "book")
    return {
        package.name: sorted(path.stem for path in package.glob("*.py") if not path.stem.startswith("_"))
        for package in packages
    }


def room_page(room: str, modules: list[str]) -> str:
    """The reference of one room, which Sphinx takes from the docstrings."""
    return render("room.md.j2", room=room, modules=modules)


def social(pages: list[PaperPage], picture: str) -> dict[str, dict[str, str]]:
    """Description and picture of each page for link previews; the entry ``""`` holds for all other pages."""
    entries = {
        "": {
            "description": "A reproducible companion to the statistical physics of learning: one notebook for each "
            "publication, its figures regenerated and its claims checked.",
            "image": picture,
            "alt": "A collage of figures regenerated in this book.",
        }
    }
    for page in pages:
        entry = {"description": plain(page.manifest.summary)}
        if page.status == "complete":
            name, figure = next(iter(page.manifest.figures.items()))
            entry.update(image=thumbnail_name(page, name), alt=plain(figure.alt))
        entries[page.docname] = entry
    return entries
