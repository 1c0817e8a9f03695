"""kill -9 of every kind of process, at several moments: the next run completes and redoes only what was unfinished."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.workflow.toy import Project, descendants, running, wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are tied to each other by Linux's own means")


HELD = ("toy-beta", "toy-gamma")


def cell_of(project: Project, slug: str) -> int:
    status = project.root / "results/quick/.status" / f"{slug}.json"
    return int(json.loads(status.read_text())["cell"]) if status.exists() else 0


def process(pids: list[int], words: str) -> int:
    """The process among ``pids`` whose command line holds ``words``."""
    for pid in pids:
        if words in Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "):
            return pid
    raise AssertionError(f"no process with {words!r}")


def completes(project: Project, before: dict[str, int]) -> None:
    """The next run ends well, leaves what was finished alone, and nothing lies about."""
    project.let_go()
    done = project.reproduce()
    assert done.returncode == 0, done.stdout + done.stderr
    after = project.stamps()
    assert set(after) == {"toy-alpha", "toy-beta", "toy-gamma"}
    assert {slug: after[slug] for slug in before} == before, "redid what was finished"
    assert project.leftovers() == []
    assert all(entry["verdict"] == "reproduced" for slug in after for entry in project.claims(slug).values())


def begin(project: Project) -> tuple[subprocess.Popen[str], list[int]]:
    """A `reproduce` whose two unfinished papers are held in the middle of a cell, and its processes."""
    for slug in HELD:
        (project.root / "results/quick/.status" / f"{slug}.json").unlink(missing_ok=True)
    front = project.start("reproduce", "--jobs", "2", "--no-book")
    wait_for(lambda: all(cell_of(project, slug) == 6 for slug in HELD))
    return front, descendants(front.pid)


def gone(tree: list[int]) -> None:
    wait_for(lambda: not any(running(pid) for pid in tree), seconds=15)


@pytest.mark.slow
def test_one_kill_after_the_other(project: Project) -> None:
    """Each attempt goes on from what the one before left, and at last everything is there."""
    project.hold(*HELD)
    assert project.replica("run", "toy-alpha").returncode == 0
    before = project.stamps()
    assert set(before) == {"toy-alpha"}
    for victim in ("front end", "scheduler", "group", "Ctrl-C"):
        front, tree = begin(project)
        assert len(tree) >= 5  # Snakemake, two jobs, two kernels
        if victim == "front end":
            os.kill(front.pid, signal.SIGKILL)
        elif victim == "scheduler":
            os.kill(process(tree, "snakemake"), signal.SIGKILL)
        elif victim == "group":
            os.killpg(front.pid, signal.SIGKILL)  # kernels have sessions of their own: they must notice
        else:
            os.killpg(front.pid, signal.SIGINT)  # what a terminal does
        assert front.wait(timeout=120) == 130 if victim == "Ctrl-C" else front.wait(timeout=120) != 0, victim
        gone(tree)
        assert project.stamps() == before, victim
    assert "the next `make reproduce` goes on from here" in (project.root / "started.log").read_text()
    assert project.leftovers() == []

    front, tree = begin(project)
    os.kill(process(tree, "replica.book.cli run toy-beta"), signal.SIGKILL)
    project.let_go()
    assert front.wait(timeout=60) == 1
    said = (project.root / "started.log").read_text()
    assert "toy-beta: its job was killed in cell 6 of 7, “A pause”" in said
    before = project.stamps()
    assert set(before) == {"toy-alpha", "toy-gamma"}
    completes(project, before)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [1.0, 4.0])
def test_killed_at_any_moment(project: Project, seconds: float) -> None:
    front = project.start("reproduce", "--jobs", "2", "--no-book")
    time.sleep(seconds)
    tree = [front.pid, *descendants(front.pid)]
    os.killpg(front.pid, signal.SIGKILL)
    front.wait()
    wait_for(lambda: not any(running(pid) for pid in tree), seconds=15)
    completes(project, project.stamps())
