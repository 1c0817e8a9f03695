"""``make reproduce`` through Snakemake: what runs, what does not run again, and how it ends."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from tests.workflow.toy import Project, make_project


@pytest.fixture(scope="session")  # a module scope would end whenever xdist slips in another test
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose three papers have run; each test brings it back to that."""
    project = make_project(tmp_path_factory.mktemp("finished") / "project")
    done = project.reproduce()
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(project.stamps()) == {"toy-alpha", "toy-beta", "toy-gamma"}
    assert done.stdout.count("2 of 2") == 3
    assert "[toy-beta quick] 7/7 Claims" in done.stderr
    return project


def reran(project: Project, *slugs: str) -> set[str]:
    """The papers that `reproduce` executed again."""
    before = project.stamps()
    done = project.reproduce(*slugs)
    assert done.returncode == 0, done.stdout + done.stderr
    return {slug for slug, stamp in project.stamps().items() if before.get(slug) != stamp}


@pytest.mark.xdist_group("finished")
class TestNothingRunsAgain:
    def test_when_nothing_changed(self, finished: Project) -> None:
        started = time.monotonic()
        assert reran(finished) == set()
        assert time.monotonic() - started < 20  # benchmarks measure it; this only catches a run in disguise

    def test_when_files_are_only_touched(self, finished: Project) -> None:
        for path in [*finished.root.glob("notebooks/**/*"), *finished.root.glob("src/**/*.py")]:
            os.utime(path)
        assert reran(finished) == set()

    def test_for_a_caption_or_prose(self, finished: Project) -> None:
        finished.edit("notebooks/kernels/toy-alpha.yml", "The powers.", "The first powers.")
        finished.edit(finished.notebook("toy-beta"), "A sum.", "A sum of powers.")
        assert reran(finished) == set()

    def test_without_the_notes_of_snakemake(self, finished: Project) -> None:
        shutil.rmtree(finished.root / ".snakemake")
        assert reran(finished) == set()

    def test_after_a_run_by_hand(self, finished: Project) -> None:
        finished.edit(finished.notebook("toy-gamma"), "print(", "print('by hand', ")
        assert finished.replica("run", "toy-gamma").returncode == 0
        assert reran(finished) == set()


@pytest.mark.xdist_group("finished")
class TestWhatChangedRunsAgain:
    def test_a_module_reruns_the_papers_that_import_it(self, finished: Project) -> None:
        finished.edit("src/replica/toys/second.py", "return values", "return 1 * values")
        assert reran(finished) == {"toy-gamma"}
        finished.edit("src/replica/toys/first.py", "return values", "return 1 * values")
        assert reran(finished) == {"toy-alpha", "toy-beta"}

    def test_its_own_notebook_or_expectation_reruns_a_paper(self, finished: Project) -> None:
        finished.edit(finished.notebook("toy-beta"), 'print("values", values)', 'print("the values", values)')
        finished.edit("notebooks/kernels/toy-alpha.yml", "rtol: 1.0e-9", "rtol: 1.0e-8")
        assert reran(finished, "toy-beta") == {"toy-beta"}, "only what is asked for"
        assert reran(finished) == {"toy-alpha"}

    def test_a_result_that_was_edited_by_hand(self, finished: Project) -> None:
        claims = finished.result("toy-beta") / "claims.json"
        claims.write_text(claims.read_text().replace("30.0", "31.0"))
        (finished.result("toy-gamma") / "figures" / "sum.png").unlink()
        assert reran(finished) == {"toy-beta", "toy-gamma"}

    def test_results_in_a_clone_with_other_code(self, finished: Project, tmp_path: Path) -> None:
        clone = make_project(tmp_path / "clone")
        shutil.rmtree(clone.root / "src")
        shutil.copytree(finished.root / "src", clone.root / "src")
        shutil.rmtree(clone.root / "notebooks")
        shutil.copytree(finished.root / "notebooks", clone.root / "notebooks")
        shutil.copytree(finished.root / "results", clone.root / "results")
        assert reran(clone) == set(), "the same code: believed"
        shutil.rmtree(clone.root / ".snakemake")
        clone.edit("src/replica/toys/second.py", "return ", "return 0 + ")
        old = time.time() - 1e6
        os.utime(clone.root / "src/replica/toys/second.py", (old, old))
        assert reran(clone) == {"toy-gamma"}


def test_a_failing_notebook_stops_nothing_else(project: Project) -> None:
    project.edit(project.notebook("toy-alpha"), "time.sleep(pause)", "raise RuntimeError('no such thing')")
    done = project.reproduce()
    assert done.returncode == 1
    assert "toy-alpha: crashed in A pause (cell 6): RuntimeError: no such thing" in done.stderr
    assert "results/quick/.logs/toy-alpha.log" in done.stderr
    assert set(project.stamps()) == {"toy-beta", "toy-gamma"}
    assert (project.root / "results/quick/scorecard.json").exists(), "the scorecard is of whatever exists"
    before = project.stamps()
    project.edit(project.notebook("toy-alpha"), "raise RuntimeError('no such thing')", "time.sleep(pause)")
    done = project.reproduce()
    assert done.returncode == 0, done.stdout + done.stderr
    assert {slug: project.stamps()[slug] for slug in before} == before
    assert not (project.root / "results/quick/.failed/toy-alpha").exists()


def test_a_missed_claim_is_a_verdict_and_a_non_zero_exit(project: Project) -> None:
    project.edit(project.notebook("toy-alpha"), "float(values.sum())", "float(values.sum()) + 1")
    project.edit(project.notebook("toy-beta"), 'paper.check("total", float(values.sum()))', "pass")
    assert project.replica("run", "toy-alpha").returncode == 0, "the job itself went well"
    done = project.reproduce()
    assert done.returncode == 1
    assert "toy-alpha: claim total failed: 31, expected 30" in done.stderr
    assert "toy-beta: claim total was never checked" in done.stderr
    assert "toy-gamma" not in done.stderr.split("✗", 1)[1]
    assert project.claims("toy-alpha")["total"]["verdict"] == "failed"
    assert project.claims("toy-beta")["total"]["verdict"] == "missing"
    before = project.stamps()
    assert project.reproduce().returncode == 1, "nothing to do, but still not reproduced"
    assert project.stamps() == before


def test_a_broken_manifest_stops_only_its_paper(project: Project) -> None:
    project.edit("notebooks/kernels/toy-alpha.yml", "group: deweese", "group: nobody")
    done = project.reproduce()
    assert done.returncode == 1
    assert "toy-alpha: not run: toy-alpha.yml: group" in done.stderr
    assert set(project.stamps()) == {"toy-beta", "toy-gamma"}


def test_smoke_is_kept_apart_and_judges_no_statistics(project: Project) -> None:
    project.edit("notebooks/kernels/toy-gamma.yml", "equals: 30", "equals: 5")
    done = project.reproduce("toy-gamma", profile="smoke")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 unjudged" in done.stdout
    assert project.provenance("toy-gamma", "smoke")["parameters"]["trials"] == 2
    assert not project.result("toy-gamma").exists()


def test_two_reproduces_at_the_same_time(project: Project) -> None:
    first = project.start("reproduce", "toy-alpha", "--jobs", "1", "--no-book")
    time.sleep(0.3)
    second = project.reproduce("toy-alpha", "toy-gamma")
    assert first.wait(timeout=60) == 0, (project.root / "started.log").read_text()
    assert second.returncode == 0, second.stdout + second.stderr
    assert set(project.stamps()) == {"toy-alpha", "toy-gamma"}
    assert project.leftovers() == []
