"""``replica run`` when something goes wrong: crashes, undeclared modules, kills, two at a time."""

from __future__ import annotations

import json
import os
import signal

import nbformat

from tests.workflow.toy import Project, children, running, wait_for


def test_a_crash_names_cell_exception_and_log_and_keeps_the_last_result(project: Project) -> None:
    assert project.replica("run", "toy-alpha").returncode == 0
    before = project.stamps()
    project.edit(project.notebook("toy-alpha"), "time.sleep(pause)", "print('nearly'); values / None")
    done = project.replica("run", "toy-alpha")
    assert done.returncode != 0
    assert "cell 6 of 7, “A pause”: TypeError" in done.stderr
    assert "results/quick/.logs/toy-alpha.log" in done.stderr
    assert "Traceback (most recent call last)" not in done.stderr
    failed = project.root / "results/quick/.failed/toy-alpha"
    error = json.loads((failed / "error.json").read_text())
    assert (error["cell"], error["heading"], error["ename"]) == (6, "A pause", "TypeError")
    log = (failed / "run.log").read_text()
    assert "nearly" in log
    assert "TypeError" in log
    notebook = nbformat.read(failed / "notebook.ipynb", as_version=4)
    assert any(output.output_type == "error" for cell in notebook.cells for output in cell.get("outputs", []))
    assert project.stamps() == before
    assert project.leftovers() == []
    project.edit(project.notebook("toy-alpha"), "values / None", "values")
    assert project.replica("run", "toy-alpha").returncode == 0
    assert not failed.exists()


def test_a_kernel_that_dies_is_reported(project: Project) -> None:
    project.edit(project.notebook("toy-alpha"), "time.sleep(pause)", "import os; os.kill(os.getpid(), 9)")
    done = project.replica("run", "toy-alpha")
    assert done.returncode != 0
    assert "DeadKernel" in done.stderr
    assert "A pause" in done.stderr


def test_modules_that_the_imports_do_not_name_fail_the_run(project: Project) -> None:
    hidden = "import importlib; importlib.import_module('replica.' + 'toys.second')"
    project.edit(project.notebook("toy-alpha"), "time.sleep(pause)", hidden)
    done = project.replica("run", "toy-alpha")
    assert done.returncode != 0
    assert "replica.toys.second" in done.stderr
    assert "import it explicitly" in done.stderr
    assert not project.result("toy-alpha").exists()


def test_a_figure_that_is_never_saved_fails_the_run(project: Project) -> None:
    project.edit(project.notebook("toy-alpha"), 'paper.save_figure(fig, "noise", data={"noise": noise})', "fig")
    done = project.replica("run", "toy-alpha")
    assert done.returncode != 0
    assert "never saved noise" in done.stderr


def test_progress_bars_and_warnings_stay_out_of_notebook_and_log(project: Project) -> None:
    bar = "from tqdm import tqdm\nfor _ in tqdm(range(30), desc='sweep', mininterval=0): time.sleep(0.01)"
    project.edit(project.notebook("toy-alpha"), "time.sleep(pause)", bar)
    done = project.replica("run", "toy-alpha")
    assert done.returncode == 0, done.stderr
    log = (project.root / "results/quick/.logs/toy-alpha.log").read_text()
    assert log.count("sweep:") == 1
    assert "30/30" in log
    assert "TCP" not in log + done.stderr
    assert "sweep" not in (project.result("toy-alpha") / "notebook.ipynb").read_text().replace("desc='sweep'", "")


def test_two_runs_of_one_paper_wait_for_each_other(project: Project) -> None:
    project.hold("toy-alpha")
    log = project.root / "started.log"
    first = project.start("run", "toy-alpha")
    lock = project.root / "results/quick/.locks/toy-alpha.lock"
    wait_for(lambda: lock.exists() and lock.read_text() == str(first.pid))
    second = project.start("run", "toy-alpha")
    wait_for(lambda: f"waiting for process {first.pid}" in log.read_text())
    project.let_go()
    assert (first.wait(timeout=60), second.wait(timeout=60)) == (0, 0)
    assert "taking its results" in log.read_text()
    assert project.leftovers() == []


def test_a_killed_run_leaves_no_kernel_and_no_lock(project: Project) -> None:
    # a loop in compiled code that holds the interpreter's lock: the kernel cannot notice by itself
    stuck = "import re; re.match(r'(a+)+$', 'a' * 60 + 'b')"
    project.edit(project.notebook("toy-alpha"), "time.sleep(pause)", stuck)
    job = project.start("run", "toy-alpha")
    status = project.root / "results/quick/.status/toy-alpha.json"
    wait_for(lambda: status.exists() and json.loads(status.read_text())["cell"] == 6)
    kernels = children(job.pid)
    assert kernels
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    wait_for(lambda: not any(running(pid) for pid in kernels), seconds=15)
    project.edit(project.notebook("toy-alpha"), stuck, "time.sleep(pause)")
    assert project.replica("run", "toy-alpha", timeout=60).returncode == 0
    assert project.leftovers() == []
