"""The HTML as files: links lead somewhere, pictures are described, nothing is loaded from outside."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup, Tag

GENERATED_BY_SPHINX = {"genindex.html", "search.html", "index.html"}


@cache
def soup(page: Path) -> BeautifulSoup:
    return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")


@cache
def anchors(page: Path) -> frozenset[str]:
    return frozenset(tag["id"] for tag in soup(page).find_all(id=True))


def pages_of(html: Path) -> list[Path]:
    return sorted(path for path in html.rglob("*.html") if "_static" not in path.relative_to(html).parts)


def paper_pages(html: Path) -> list[Path]:
    """The pages of papers with a result: those with a card."""
    return [page for page in pages_of(html) if soup(page).select(".paper-card")]


def test_there_are_pages(book_html: Path) -> None:
    names = {page.relative_to(book_html).as_posix() for page in pages_of(book_html)}
    assert {
        "intro.html", "how-to-read.html", "how-to-reproduce.html", "add-a-paper.html", "gallery.html", "scorecard.html",
        "lessons.html", "papers.html", "references.html", "search.html",
    } <= names  # fmt: skip
    assert paper_pages(book_html)


def test_internal_links_resolve(book_html: Path) -> None:
    broken = []
    for page in pages_of(book_html):
        for tag in soup(page).find_all(["a", "link", "script", "img"]):
            address = str(tag.get("href") or tag.get("src") or "")
            parts = urlsplit(address)
            if not address or parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            anchored = bool(parts.fragment) and target.suffix == ".html"
            if not target.is_file() or (anchored and not _has(target, unquote(parts.fragment))):
                broken.append((page.name, address))
    assert not broken


def _has(page: Path, fragment: str) -> bool:
    return fragment in anchors(page) or fragment.startswith(("part=", "verdict=", "time="))


def test_nothing_is_loaded_from_outside(book_html: Path) -> None:
    loaded = [
        (page.name, str(tag))
        for page in pages_of(book_html)
        for tag in soup(page).find_all(["script", "img", "link", "iframe", "source"])
        if urlsplit(str(tag.get("src") or tag.get("href") or "")).netloc and tag.get("rel") != ["canonical"]
    ]
    assert not loaded


def test_thebe_is_gone(book_html: Path) -> None:
    assert not [page.name for page in pages_of(book_html) if "thebe" in page.read_text(encoding="utf-8").lower()]


def test_pictures_have_alternative_text(book_html: Path) -> None:
    for page in pages_of(book_html):
        for image in soup(page).find_all("img"):
            if "logo__image" in image.get("class", []):
                continue  # the name of the book stands beside it
            alt = str(image.get("alt") or "").strip()
            source = str(image["src"])
            assert len(alt) >= 10, (page.name, source, alt)
            assert Path(source).name not in alt, (page.name, alt)
            assert not re.search(r"\.(png|svg)$|^_images|/", alt.split()[0]), (page.name, alt)


def test_every_figure_is_described_captioned_and_footed(book_html: Path) -> None:
    for page in paper_pages(book_html):
        figures = soup(page).select("div.cell_output figure")
        footers = soup(page).select(".figure-footer")
        assert len(figures) == len(footers) > 0, page.name
        for figure, footer in zip(figures, footers, strict=True):
            image = figure.find("img")
            assert isinstance(image, Tag)
            assert image["alt"]
            caption = figure.select_one(".caption-text")
            assert caption is not None
            assert re.search(r"regenerated\.|Added here, not in the publication\.", caption.get_text())
            links = [str(link["href"]) for link in footer.select("a.download")]
            kinds = {Path(link).suffix for link in links}
            assert {".npz", ".png", ".svg"} <= kinds, (page.name, kinds)
            assert all((page.parent / link).resolve().is_file() for link in links)
            assert f"make figure PAPER={page.stem} FIG=" in footer.get_text()
            assert footer.find("details") is not None


def test_every_paper_has_card_and_claims(book_html: Path) -> None:
    for page in paper_pages(book_html):
        card = soup(page).select_one(".paper-card")
        assert card is not None
        text = card.get_text(" ")
        assert re.search(r"\d+ of \d+ claims reproduced", text), page.name
        assert "@" in text  # BibTeX
        assert {Path(str(a["href"])).suffix for a in card.select("a.download")} == {".ipynb", ".md"}
        claims = soup(page).select("table.claims-table tbody tr")
        assert claims, page.name
        assert all(row.select(".sd-badge") for row in claims), page.name
        headings = [heading.get_text().rstrip("#") for heading in soup(page).select("article h2")]
        assert headings[0] == "Claims at a glance"


def test_badge_scorecard_and_claims_agree(book_html: Path) -> None:
    scorecard = soup(book_html / "scorecard.html").get_text(" ")
    for page in paper_pages(book_html):
        card = soup(page).select_one(".paper-card")
        assert card is not None
        badge = re.search(r"(\d+) of (\d+) claims reproduced", card.get_text(" "))
        assert badge is not None
        rows = [
            row for row in soup(page).select("table.claims-table tbody tr") if "a check of ours" not in row.get_text()
        ]
        good = [row for row in rows if "✓ reproduced" in row.get_text()]
        assert (len(good), len(rows)) == (int(badge[1]), int(badge[2])), page.name
        assert f"{badge[1]} of {badge[2]}" in scorecard


def test_gallery_shows_every_figure(book_html: Path) -> None:
    cards = soup(book_html / "gallery.html").select("#gallery > .gallery-card")
    assert len(cards) == sum(len(soup(page).select(".figure-footer")) for page in paper_pages(book_html))
    for card in cards:
        image = card.find("img")
        assert isinstance(image, Tag)
        assert image["loading"] == "lazy"
        assert str(image["src"]).startswith("_static/thumbnails/")


def test_pages_can_be_shared(book_html: Path) -> None:
    for page in pages_of(book_html):
        if page.name in GENERATED_BY_SPHINX:
            continue
        tags = {str(tag["property"]): str(tag["content"]) for tag in soup(page).find_all("meta", property=True)}
        assert {"og:title", "og:description", "og:image", "og:image:alt", "og:type"} <= set(tags), page.name
        picture = tags["og:image"].split("/_static/")[-1]
        assert (book_html / "_static" / picture).is_file(), tags["og:image"]
        assert re.fullmatch(r"(thumbnails/[a-z0-9-]+--[a-z0-9-]+|collage)\.png", picture)


def test_first_page_offers_the_offline_copy(book_html: Path) -> None:
    offer = soup(book_html / "intro.html").select_one(".offline-book")
    assert offer is not None
    assert re.search(r"Download this book \(\d+ MB zip\)", offer.get_text())


def test_no_page_leaks_unrendered_markup(book_html: Path) -> None:
    for page in pages_of(book_html):
        body = soup(page).select_one("article")
        if body is None:
            continue
        text = " ".join(
            str(node) for node in body.find_all(string=True) if node.find_parent(["pre", "code", "script"]) is None
        )
        leak = re.search(r"\{(bdg|download|cite|ref)[\w:-]*\}|:::|\{\{|\]\{\.|\$\$", text)
        assert leak is None, (page.name, text[max(0, leak.start() - 60) : leak.end() + 60])


@pytest.mark.parametrize("name", ["search", "genindex"])
def test_reserved_names_are_sphinx_s_own(book_html: Path, name: str) -> None:
    assert not (book_html / f"{name}.md").exists()
    assert (book_html / f"{name}.html").is_file()


def test_commands_in_the_book_s_own_pages_name_what_exists() -> None:
    """A figure or paper that is renamed would leave the instructions pointing nowhere."""
    from replica.book.catalogue import papers

    root = Path(__file__).resolve().parents[2]
    known = {entry.slug: entry.manifest() for entry in papers(root)}
    verbs = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in (root / "book").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        for slug, figure in re.findall(r"PAPER=([a-z-]+) FIG=([a-z-]+)", text):
            assert figure in known[slug].figures, (page.name, slug, figure)
        for slug in re.findall(r"replica (?:show|run) ([a-z-]+)", text):
            assert slug in known, (page.name, slug)
        assert set(re.findall(r"\bmake ([a-z-]+)(?=[ `\n])", _code(text))) <= verbs, page.name


def _code(text: str) -> str:
    return "\n".join(re.findall(r"`[^`\n]+`|^```bash$.*?^```$", text, re.MULTILINE | re.DOTALL))
