"""Every notebook of the book: its conventions, its pair, and that it runs from the first cell to the last."""

import pytest

from replica.book.catalogue import papers
from replica.book.claims import read_claims
from replica.book.conventions import faults

ENTRIES = {entry.slug: entry for entry in papers()}


@pytest.mark.parametrize("slug", ENTRIES)
def test_conventions(slug):
    found = faults(ENTRIES[slug])
    assert not found, "\n" + "\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize("slug", ENTRIES)
def test_smoke_run_executes_every_cell_and_records_every_claim(slug, checkout):
    """A smoke run as a reader starts it; what does not depend on sampling is judged even here."""
    from replica.book.execute import run_paper

    result = run_paper(slug, profile="smoke")
    assert result.exit_code == 0
    records = read_claims(checkout / "results" / "smoke" / slug)
    assert [entry.id for entry in records] == list(ENTRIES[slug].manifest().claims)
    unmet = {entry.id: entry.value_text for entry in records if entry.verdict in ("failed", "missing")}
    assert not unmet


def test_there_are_no_notebooks_outside_the_parts(checkout):
    from replica.book.manifest import PARTS

    strays = [path for path in (checkout / "notebooks").rglob("*.ipynb") if path.with_suffix(".md") not in
              {entry.notebook for entry in ENTRIES.values()}]  # fmt: skip
    assert strays == []
    assert {entry.part for entry in ENTRIES.values()} <= PARTS.keys()
