"""What staging writes: complete pages, nothing twice, nothing stale, and everything escaped."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml
from PIL import Image

from replica.book import pages
from replica.book.catalogue import find
from replica.book.citation import bibtex, citation, short_authors
from replica.book.links import Repository, paper_links, read_repository, tracked_paths
from replica.book.manifest import Manifest, load_manifest
from replica.book.page_model import PaperPage, load_pages
from replica.book.publish import ZIP_NAME, BookBuildError, build_html
from replica.book.scorecard import collect
from replica.book.stage import stage
from replica.book.thumbnails import collage, thumbnail

SLUG = "toy-learnability"
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def staged(executed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = Path(shutil.copytree(executed, tmp_path_factory.mktemp("staged") / "project", symlinks=True))
    stage(root=root)
    return root


@pytest.fixture(scope="session")
def page(staged: Path) -> PaperPage:
    return next(page for page in load_pages("quick", staged)[0] if page.slug == SLUG)


@pytest.fixture(scope="session")
def notebook(staged: Path) -> Any:
    return nbformat.read(staged / "build" / "book" / "kernels" / f"{SLUG}.ipynb", as_version=4)


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {str(p): (p.stat().st_mtime_ns, p.read_bytes()) for p in folder.rglob("*") if p.is_file()}


def test_staging_twice_rewrites_nothing(staged: Path) -> None:
    before = snapshot(staged / "build" / "book")
    report = stage(root=staged)
    assert (report.written, report.removed) == (0, 0)
    assert snapshot(staged / "build" / "book") == before


def test_a_changed_caption_rewrites_only_its_pages(project: Path) -> None:
    stage(root=project)
    before = snapshot(project / "build" / "book")
    manifest = find(SLUG, project).manifest_path
    manifest.write_text(manifest.read_text(encoding="utf-8").replace("Eigenvalues that", "Eigenvalues which"))
    stage(root=project)
    after = snapshot(project / "build" / "book")
    changed = {Path(name).name for name in after if after[name] != before[name]}
    assert changed == {f"{SLUG}.ipynb"}


def test_a_paper_that_is_gone_leaves_nothing(project: Path) -> None:
    stage(root=project)
    entry = find(SLUG, project)
    entry.notebook.unlink()
    entry.manifest_path.unlink()
    stage(root=project)
    assert not [path for path in (project / "build" / "book").rglob("*") if SLUG in path.name]
    assert "Kernels" not in (project / "build" / "book" / "_toc.yml").read_text()


def test_a_project_without_papers_has_a_book(project: Path) -> None:
    shutil.rmtree(project / "notebooks")
    (project / "notebooks").mkdir()
    report = stage(root=project)
    assert report.papers == {}
    build_html(project)


def test_the_contents_follow_the_order_of_the_parts(staged: Path) -> None:
    toc = yaml.safe_load((staged / "build" / "book" / "_toc.yml").read_text())
    captions = [part["caption"] for part in toc["parts"]]
    assert captions == [
        "The book", "Kernels", "Feature learning", "Data structure", "Sampling and inference", "Take part",
    ]  # fmt: skip


def test_alternative_text_comes_from_the_manifest(page: PaperPage, notebook: Any) -> None:
    options = [cell.metadata.mystnb for cell in notebook.cells if "mystnb" in cell.metadata]
    assert [option.image.alt for option in options] == [figure.alt for figure in page.manifest.figures.values()]
    assert [option.figure.name for option in options] == [page.anchor(name) for name in page.manifest.figures]


def test_the_page_has_card_claims_and_footers(notebook: Any) -> None:
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for wanted in (
        "{bdg-warning}`2 of 3 claims reproduced`",
        "{bdg-muted}`1 of 1 checks of ours`",
        "https://arxiv.org/abs/2110.03922",
        "@article{toy-learnability,",
        "Theorem 3.2 · theorem",
        "8 ± 1e-08 (relative)",
        "standard error, 8 seeds",
        "Why not: The exponent is 2 with the kernel as printed; `1/n**2` in the authors' code says so too.",
        "`make figure PAPER=toy-learnability FIG=spectrum`",
        "/files/toy-learnability/learning-curve.csv",
        "/files/toy-learnability/toy-learnability.ipynb",
        "kappa = 0.1",
    ):
        assert wanted in prose, wanted
    assert prose.index("of 3 claims") < prose.index("## Claims at a glance") < prose.index("## Setup")


def test_captions_keep_formulas_and_escape_the_rest(notebook: Any) -> None:
    caption = next(cell.metadata.mystnb.figure.caption for cell in notebook.cells if "mystnb" in cell.metadata)
    assert caption == (
        '**Figure 2, regenerated.** Learnability $\\mathcal{L}=n/(n+\\kappa)$ against $n$, "quoted" \\& \\<tagged\\>; '
        "50% of \\[it\\] \\* is \\| measured\\_here."
    )


def test_the_download_is_clean_and_runs_alone(staged: Path, page: PaperPage) -> None:
    path = staged / "build" / "book" / "files" / SLUG / f"{SLUG}.ipynb"
    text = path.read_text(encoding="utf-8")
    assert str(staged) not in text
    for trace in ("papermill", "start_time", "bdg-", "stderr", '"execution": {'):
        assert trace not in text, trace
    download = nbformat.read(path, as_version=4)
    nbformat.validate(download)
    code = [cell for cell in download.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert [cell["id"] for cell in download.cells] == [f"{SLUG}-{n:02d}" for n in range(len(download.cells))]


def test_a_crashed_paper_shows_its_traceback_and_no_paths(staged: Path) -> None:
    text = (staged / "build" / "book" / "feature-learning" / "toy-crash.md").read_text(encoding="utf-8")
    assert "The last run of this paper failed" in text
    assert "ValueError: the *matrix* is singular: det = 0" in text
    assert "the \\*matrix\\* is singular" in text
    assert str(staged) not in text
    assert "\x1b" not in text


def test_the_scorecard_page_agrees_with_the_scorecard(staged: Path) -> None:
    totals = collect("quick", root=staged)["totals"]
    text = (staged / "build" / "book" / "scorecard.md").read_text(encoding="utf-8")
    assert f"**{totals['claims_of_papers_reproduced']} of {totals['claims_of_papers']} claims of publications" in text
    for number in ("15,817", "1,203 (7.6 %)", "879 (5.6 %)", "2 (50 %)"):
        assert number in text


def test_every_claim_that_disagrees_is_listed_with_its_reason(staged: Path) -> None:
    text = (staged / "build" / "book" / "lessons.md").read_text(encoding="utf-8")
    assert text.count("The exponent is 2 with the kernel as printed") == 2  # of the two papers with a result
    assert f"[figure spectrum](#{SLUG}-figure-spectrum)" in text
    assert f"[claim conservation-law](#{SLUG}-claims-at-a-glance)" in text


def test_the_gallery_escapes_and_describes(staged: Path) -> None:
    text = (staged / "build" / "book" / "gallery.md").read_text(encoding="utf-8")
    assert 'alt="A rising curve with &#34;eight&#34; markers &amp; error bars that scatter around it."' in text
    assert 'data-part="kernels" data-verdict="reproduced" data-time="under-10s"' in text
    assert "\\(K\\)" in text
    assert "\n\n</ul>" not in text


def test_figure_verdicts(page: PaperPage) -> None:
    assert page.figure_verdict("learning-curve") == "reproduced"
    assert page.figure_verdict("spectrum") == "disagrees"
    assert page.counted() == (2, 3)
    assert page.counted(ours=True) == (1, 1)


def test_collage_takes_turns_between_papers() -> None:
    shown = [{"paper": "a", "n": 1}, {"paper": "a", "n": 2}, {"paper": "b", "n": 1}]
    assert [(card["paper"], card["n"]) for card in pages.collage_order(shown)] == [("a", 1), ("b", 1), ("a", 2)]


def test_thumbnails_are_small_and_stable(page: PaperPage, tmp_path: Path) -> None:
    figure = page.figure_files("spectrum")["png"]
    assert thumbnail(figure) == thumbnail(figure)
    small = tmp_path / "small.png"
    small.write_bytes(thumbnail(figure, width=320))
    with Image.open(small) as opened:
        assert opened.width == 320
        assert opened.convert("RGB").getpixel((2, 2)) == (255, 255, 255)
    small.write_bytes(collage([figure] * 5))
    with Image.open(small) as opened:
        assert opened.size == (1200, 630)


def test_social_entries_have_stable_pictures(staged: Path, page: PaperPage) -> None:
    entries = json.loads((staged / "build" / "book" / "_generated" / "social.json").read_text(encoding="utf-8"))
    assert entries[page.docname]["image"] == f"_static/thumbnails/{SLUG}--learning-curve.png"
    assert entries[page.docname]["description"] == "The learnability of all modes adds up to the number of samples n."
    for entry in entries.values():
        assert "image" not in entry or (staged / "build" / "book" / entry["image"]).is_file()


# --- citations and links ---------------------------------------------------------------------------------------


def manifest_with(page: PaperPage, **changes: Any) -> Manifest:
    return page.manifest.model_copy(update=changes)


def test_citation(page: PaperPage) -> None:
    assert citation(page.manifest).startswith("Ada Author and Bea O'Neill (2021). Learnability & the")
    assert short_authors(page.manifest) == "Author and O'Neill"
    assert short_authors(manifest_with(page, authors=list("ABCDE"))) == "A et al."


@pytest.mark.parametrize(
    ("venue", "first"),
    [("TMLR 2023", "@article"), ("ICML 2014 (JMLR W&CP 32)", "@inproceedings"), ("arXiv preprint", "@misc")],
)
def test_bibtex(page: PaperPage, venue: str, first: str) -> None:
    entry = bibtex(manifest_with(page, venue=venue, doi="10.1000/a_b"), "key")
    assert entry.startswith(f"{first}{{key,")
    assert "author        = {Ada Author and Bea O'Neill}" in entry
    assert "Learnability \\& the" in entry
    assert "doi           = {10.1000/a_b}" in entry
    assert entry.count("{") == entry.count("}")


def test_links_come_from_one_address() -> None:
    repository = Repository("https://github.com/Some-One/replica", "v1")
    assert repository.source("a/b.md") == "https://github.com/Some-One/replica/blob/v1/a/b.md"
    assert repository.binder("n/x.ipynb") == "https://mybinder.org/v2/gh/Some-One/replica/v1?urlpath=lab/tree/n/x.ipynb"
    assert repository.colab("n/x.ipynb") == (
        "https://colab.research.google.com/github/Some-One/replica/blob/v1/n/x.ipynb"
    )
    assert repository.site == "https://some-one.github.io/replica/"


def test_another_host_has_no_launch_links() -> None:
    repository = Repository("https://codeberg.org/some/replica", "main")
    links = paper_links(repository, {"notebooks/p/s.md", "notebooks/p/s.ipynb", "notebooks/p/s.yml"}, "p", "s")
    assert set(links) == {"source", "edit", "manifest"}
    assert repository.site == ""


def test_only_paths_in_git_are_linked() -> None:
    repository = Repository("https://github.com/a/b", "main")
    assert set(paper_links(repository, {"notebooks/p/s.md"}, "p", "s")) == {"source", "edit"}


def test_every_launch_link_of_this_repository_is_in_git() -> None:
    tracked = tracked_paths(REPOSITORY)
    repository = read_repository(REPOSITORY / "book" / "_config.yml")
    for manifest in sorted((REPOSITORY / "notebooks").glob("*/*.yml")):
        slug, part = manifest.stem, manifest.parent.name
        for name, link in paper_links(repository, tracked, part, slug).items():
            path = link.split("urlpath=lab/tree/")[-1].split(f"/{repository.branch}/")[-1]
            assert path in tracked, (name, link)
    assert {"book/_config.yml", "book/intro.md"} <= tracked


def test_the_address_of_the_repository_stands_in_one_place() -> None:
    """The how-to names it for people to copy; everything else is made from the configuration."""
    url = read_repository(REPOSITORY / "book" / "_config.yml").url
    for path in [*(REPOSITORY / "src" / "replica" / "book").rglob("*"), *(REPOSITORY / "book" / "_ext").rglob("*.py")]:
        if path.is_file() and path.suffix in (".py", ".j2"):
            assert url not in path.read_text(encoding="utf-8"), path


def test_manifests_of_the_toys_are_valid(staged: Path) -> None:
    for path in (staged / "notebooks").glob("*/*.yml"):
        load_manifest(path)


# --- building --------------------------------------------------------------------------------------------------


def test_a_warning_fails_the_build_every_time(project: Path) -> None:
    page = project / "book" / "how-to-read.md"
    page.write_text(page.read_text(encoding="utf-8") + "\n[nowhere](no-such-page.md)\n", encoding="utf-8")
    stage(root=project)
    for _ in range(2):  # a cached page must not hide its warning from the second build
        with pytest.raises(BookBuildError, match=r"book/how-to-read\.md.*no-such-page"):
            build_html(project)
    assert not (project / "build" / "html" / "index.html").exists()


def test_two_builds_at_once_wait_for_each_other(project: Path) -> None:
    code = f"from pathlib import Path; from replica.book.stage import build; build(root=Path({str(project)!r}))"
    both = [
        subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, cwd=REPOSITORY)
        for _ in range(2)
    ]
    errors = [process.communicate(timeout=300)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    assert sum("which builds the book" in text for text in errors) == 1
    assert zipfile.is_zipfile(project / "build" / "html" / ZIP_NAME)


def test_building_without_staging_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BookBuildError, match="make book"):
        build_html(tmp_path)


def test_the_offline_copy_is_complete_and_without_itself(toy_html: Path) -> None:
    with zipfile.ZipFile(toy_html / ZIP_NAME) as packed:
        names = {name.removeprefix("replica-book/") for name in packed.namelist()}
        intro = packed.read("replica-book/intro.html").decode()
    outside = {path.relative_to(toy_html).as_posix() for path in toy_html.rglob("*") if path.is_file()}
    assert names == outside - {ZIP_NAME}
    assert "This is the offline copy" in intro
    assert ZIP_NAME not in intro
    online = (toy_html / "intro.html").read_text(encoding="utf-8")
    size = round((toy_html / ZIP_NAME).stat().st_size / 1e6)
    assert f'href="{ZIP_NAME}" download>Download this book</a> ({size} MB zip)' in online


def test_rebuilding_an_unchanged_book_changes_nothing(toy_html: Path) -> None:
    root = toy_html.parents[1]
    archive = (toy_html / ZIP_NAME).stat().st_mtime_ns
    before = {path: data for path, (_, data) in snapshot(toy_html).items()}
    stage(root=root)
    build_html(root)
    after = {path: data for path, (_, data) in snapshot(toy_html).items()}
    assert {path for path in before | after if before.get(path) != after.get(path)} == set()
    assert (toy_html / ZIP_NAME).stat().st_mtime_ns == archive
