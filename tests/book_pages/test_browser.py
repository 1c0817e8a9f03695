"""The book in a real browser, opened from disk and from a server: no error, no outside request, and it works.

The book is the one in ``REPLICA_BOOK_HTML``, else a toy book built for the test. Screenshots go to
``build/screenshots`` for looking at.
"""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path(os.environ.get("REPLICA_CHROMIUM", "/usr/bin/chromium"))
REQUIRED = os.environ.get("REPLICA_REQUIRE_BROWSER") == "1"
SCREENSHOTS = Path(__file__).resolve().parents[2] / "build" / "screenshots"
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}

pytestmark = pytest.mark.browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium; without it the tests are skipped, or fail when ``REPLICA_REQUIRE_BROWSER=1``."""
    missing = None
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing = "playwright is not installed (pip install playwright)"
    if missing is None and not CHROMIUM.is_file():
        missing = f"there is no browser at {CHROMIUM} (apt-get install chromium, or set REPLICA_CHROMIUM)"
    if missing is not None:
        if REQUIRED:
            pytest.fail(f"a browser is demanded (REPLICA_REQUIRE_BROWSER=1), but {missing}")
        pytest.skip(missing)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield opened
        opened.close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="session")
def server(book_html: Path) -> Iterator[str]:
    """The address of a local server for the book."""
    handler = functools.partial(_Quiet, directory=str(book_html))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_address[1]}"
        served.shutdown()


@pytest.fixture(params=["file", "http"])
def address(request: pytest.FixtureRequest, book_html: Path) -> str:
    """The book's address, on disk and on a server."""
    return book_html.as_uri() if request.param == "file" else str(request.getfixturevalue("server"))


def names(html: Path) -> list[str]:
    found = [path.relative_to(html) for path in html.rglob("*.html")]
    return sorted(path.as_posix() for path in found if path.parts[0] != "_static")


class Visit:
    """A browser window that lets nothing out and writes down what tried, and every error."""

    def __init__(self, context: Any, own: str) -> None:
        self.errors: list[str] = []
        self.outside: list[str] = []
        self.own = own
        context.route("**/*", self._route)
        self.page = context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.errors.append(f"{self.page.url}: {error}"))
        self.page.on("requestfailed", self._failed)

    def _route(self, route: Any) -> None:
        url = route.request.url
        if url.startswith((self.own, "data:", "blob:")):
            route.continue_()
        else:
            self.outside.append(url)
            route.abort()

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(f"{self.page.url}: {message.text}")

    def _failed(self, request: Any) -> None:
        if "ERR_ABORTED" not in (request.failure or ""):  # given up because the test went on to the next page
            self.errors.append(f"{request.url}: {request.failure}")

    def open(self, name: str) -> Any:
        self.page.goto(f"{self.own}/{name}", wait_until="load")
        if name == "index.html":  # leads on to the first page
            self.page.wait_for_url("**/intro.html")
        self.page.evaluate("() => window.MathJax && MathJax.startup && MathJax.startup.promise.then(() => {})")
        return self.page


@contextmanager
def visiting(browser: Any, own: str, **options: Any) -> Iterator[Visit]:
    context = browser.new_context(**{"viewport": DESKTOP, **options})
    try:
        yield Visit(context, own.rstrip("/"))
    finally:
        context.close()


@pytest.mark.parametrize("device", ["phone, from disk", "desktop, from a server"])
def test_every_page_loads_without_error_or_outside_request(
    browser: Any, server: str, book_html: Path, device: str
) -> None:
    """One tour a device, since the formulas of all pages take their time; on a phone no page may scroll sideways."""
    phone = device.startswith("phone")
    with visiting(browser, book_html.as_uri() if phone else server, viewport=PHONE if phone else DESKTOP) as visit:
        for name in names(book_html):
            page = visit.open(name)
            assert page.title(), name
            raw = page.evaluate("() => document.querySelectorAll('.math:not(:has(mjx-container))').length")
            assert raw == 0, f"{name}: {raw} formulas are not typeset"
            assert page.locator("mjx-merror").count() == 0, f"{name}: a formula has an error"
            blank = page.evaluate(
                "() => [...document.images].filter(i => i.loading !== 'lazy' && !i.naturalWidth && i.offsetParent)"
                ".map(i => i.src)"
            )
            assert not blank, f"{name}: pictures that do not load: {blank}"
            if phone:
                assert _settled_width(page) <= PHONE["width"], f"{name} is {_settled_width(page)} px wide"
        assert visit.outside == []
        assert visit.errors == []


def _settled_width(page: Any) -> int:
    """The width of the page's content; formulas that are too wide are marked a moment after they are set."""
    width = 0
    for _ in range(20):
        width = int(page.evaluate("() => document.documentElement.scrollWidth"))
        if width <= PHONE["width"]:
            break
        page.wait_for_timeout(100)
    return width


def test_formulas_are_typeset(browser: Any, address: str, book_html: Path) -> None:
    paper = next(name for name in names(book_html) if "#" not in name and "/" in name and _has_card(book_html / name))
    with visiting(browser, address) as visit:
        page = visit.open(paper)
        assert page.locator("article mjx-container").count() > 0
        assert "\\mathcal" not in page.locator("article").inner_text()


def _has_card(path: Path) -> bool:
    return "paper-card" in path.read_text(encoding="utf-8")


def test_search_finds_learnability(browser: Any, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.open("search.html?q=learnability")
        page.wait_for_selector("#search-results ul.search li a", timeout=15000)
        page.wait_for_timeout(500)
        links = page.locator("#search-results ul.search li a")
        assert links.count() > 0
        links.first.click()
        page.wait_for_load_state()
        assert "learnability" in page.content().lower()
        assert visit.errors == []
        assert visit.outside == []


def test_search_can_be_reached_from_any_page(browser: Any, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.open("gallery.html")
        assert page.locator(".search-button-field:visible, .search-button:visible").count() == 1, "one search box"
        page.locator(".search-button-field:visible").click()
        field = page.locator("#pst-search-dialog input[type=search]")
        field.fill("learnability")
        field.press("Enter")
        page.wait_for_selector("#search-results ul.search li a", timeout=15000)
        assert visit.errors == []


def test_gallery_filters_round_trip_through_the_address(browser: Any, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.open("gallery.html")
        cards = page.locator("#gallery > .gallery-card")
        shown = page.locator("#gallery > .gallery-card:visible")
        everything = cards.count()
        assert shown.count() == everything > 0
        part = cards.first.get_attribute("data-part")
        page.select_option("#gallery-part", part)
        page.select_option("#gallery-verdict", "reproduced")
        wanted = page.locator(f"#gallery > [data-part={part}][data-verdict=reproduced]").count()
        assert shown.count() == wanted
        assert page.evaluate("() => location.hash") == f"#part={part}&verdict=reproduced"
        link = page.url
        page.goto("about:blank")
        page.goto(link)
        assert page.input_value("#gallery-part") == part
        assert page.input_value("#gallery-verdict") == "reproduced"
        assert shown.count() == wanted
        assert page.locator("#gallery-count").inner_text().startswith(f"{wanted} ")
        page.click("#gallery-filters button[type=reset]")
        page.wait_for_function("() => location.hash === ''")
        assert shown.count() == everything
        page.evaluate("() => { location.hash = '#part=no-such-part&time=%3Cb%3E' }")
        page.wait_for_timeout(100)
        assert shown.count() == everything
        assert visit.errors == []


def test_gallery_works_from_the_keyboard(browser: Any, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.open("gallery.html")
        page.focus("#gallery-verdict")
        page.keyboard.press("ArrowDown")
        assert page.evaluate("() => location.hash") == "#verdict=reproduced"
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")  # Show all
        page.wait_for_function("() => location.hash === ''")
        page.keyboard.press("Tab")
        target = page.evaluate("() => document.activeElement.getAttribute('href')")
        assert ".html#" in target
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/{target}")
        anchor = target.split("#")[1]
        assert page.evaluate("id => document.getElementById(id).querySelector('img') !== null", anchor)


def test_figures_are_opaque_white_in_the_dark(browser: Any, book_html: Path) -> None:
    paper = next(name for name in names(book_html) if "/" in name and _has_card(book_html / name))
    with visiting(browser, book_html.as_uri(), color_scheme="dark") as visit:
        page = visit.open(paper)
        assert page.evaluate("() => document.documentElement.dataset.theme") == "dark"
        style = "e => { const s = getComputedStyle(e); return [s.filter, s.backgroundColor] }"
        for selector in ("div.cell_output img",):
            assert page.locator(selector).first.evaluate(style) == ["none", "rgb(255, 255, 255)"]


def test_an_animation_can_be_stopped_and_rests_for_those_who_ask(browser: Any, book_html: Path) -> None:
    paper = next(name for name in names(book_html) if ".gif" in (book_html / name).read_text(encoding="utf-8"))
    film, still = "div.cell_output img[src$='.gif']", "div.cell_output canvas"
    for wish, moving in (("no-preference", True), ("reduce", False)):
        with visiting(browser, book_html.as_uri(), reduced_motion=wish) as visit:
            page = visit.open(paper)
            button = page.locator(".animation-button").first
            for moves in (moving, not moving, moving):
                assert page.locator(film).first.is_visible() is moves
                assert page.locator(still).first.is_visible() is not moves
                assert button.inner_text() == ("Pause" if moves else "Play")
                button.press("Enter")
            assert page.locator(still).first.get_attribute("aria-label")
            assert visit.errors == []


def test_the_offline_copy_opens_from_disk(browser: Any, book_html: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(book_html / "replica-book.zip") as packed:
        packed.extractall(tmp_path)
    own = tmp_path / "replica-book"
    with visiting(browser, own.as_uri()) as visit:
        page = visit.open("index.html")
        assert "This is the offline copy" in page.locator(".offline-book").inner_text()
        visit.open("scorecard.html")
        assert page.locator("article mjx-container").count() > 0
        assert visit.errors == []
        assert visit.outside == []


def to_look_at(html: Path) -> list[str]:
    """Of the toy book a few pages; of the real one all but most papers, unless ``REPLICA_SCREENSHOTS=all``."""
    if "REPLICA_BOOK_HTML" not in os.environ:
        return ["intro.html", "gallery.html", "kernels/toy-learnability.html"]
    wanted = [name for name in names(html) if name not in ("index.html", "genindex.html", "search.html")]
    papers = [name for name in wanted if "/" in name]
    spared = [] if os.environ.get("REPLICA_SCREENSHOTS") == "all" else papers[4:]
    return [name for name in wanted if name not in spared]


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["390", "1280"])
def test_screenshots_for_looking_at(browser: Any, book_html: Path, viewport: dict[str, int], mode: str) -> None:
    folder = SCREENSHOTS / f"{viewport['width']}-{mode}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with visiting(browser, book_html.as_uri(), viewport=viewport, color_scheme=mode) as visit:
        for name in to_look_at(book_html):
            page = visit.open(name)
            page.evaluate("() => document.querySelectorAll('img').forEach(i => { i.loading = 'eager' })")
            page.evaluate("() => Promise.all([...document.images].map(i => i.decode().catch(() => {})))")
            page.screenshot(path=folder / f"{name.removesuffix('.html').replace('/', '--')}.png", full_page=True)
    assert list(folder.iterdir())
