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


@pytest.fixture
def started(project: Project) -> tuple[Project, subprocess.Popen[str]]:
    """A `reproduce` of which toy-alpha is done and the two others are in the middle of a cell."""
    project.hold("toy-beta", "toy-gamma")
    assert project.replica("run", "toy-alpha").returncode == 0
    front = project.start("reproduce", "--jobs", "2", "--no-book")
    wait_for(lambda: all(cell_of(project, slug) == 6 for slug in ("toy-beta", "toy-gamma")))
    return project, front


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


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["front end", "scheduler", "group"])
def test_everything_ends_with_the_one_that_was_killed(
    started: tuple[Project, subprocess.Popen[str]], victim: str
) -> None:
    project, front = started
    tree = descendants(front.pid)
    before = project.stamps()
    assert set(before) == {"toy-alpha"}
    assert len(tree) >= 5  # Snakemake, two jobs, two kernels
    if victim == "front end":
        os.kill(front.pid, signal.SIGKILL)
    elif victim == "scheduler":
        os.kill(process(tree, "snakemake"), signal.SIGKILL)
    else:
        os.killpg(front.pid, signal.SIGKILL)  # kernels have sessions of their own: they must notice
    front.wait(timeout=30)
    assert front.returncode != 0
    wait_for(lambda: not any(running(pid) for pid in tree), seconds=15)
    assert project.stamps() == before
    completes(project, before)


def test_ctrl_c_ends_everything_and_says_how_to_go_on(started: tuple[Project, subprocess.Popen[str]]) -> None:
    project, front = started
    tree = descendants(front.pid)
    os.killpg(front.pid, signal.SIGINT)  # what a terminal does
    assert front.wait(timeout=30) == 130
    wait_for(lambda: not any(running(pid) for pid in tree), seconds=15)
    assert "the next `make reproduce` goes on from here" in (project.root / "started.log").read_text()
    assert project.leftovers() == []


@pytest.mark.slow
def test_a_killed_job_is_named_and_the_others_go_on(started: tuple[Project, subprocess.Popen[str]]) -> None:
    project, front = started
    tree = descendants(front.pid)
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
