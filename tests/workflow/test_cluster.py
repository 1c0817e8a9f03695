"""Jobs handed to an executor plugin of Snakemake that is not the local one."""

from __future__ import annotations

import stat
import sys
from typing import Any

import pytest

from tests.workflow.toy import Project

SUBMIT = """\
#!/bin/sh
# A cluster of one machine: the job script runs by itself, its number is printed as a scheduler would.
echo submitted >> submissions.txt
nohup sh "$1" > "job-$$.log" 2>&1 &
echo $!
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the submit command is a shell script")
def test_a_submitted_job_gives_the_same_claims(project: Project) -> None:
    pytest.importorskip("snakemake_executor_plugin_cluster_generic")
    submit = project.root / "submit.sh"
    submit.write_text(SUBMIT)
    submit.chmod(submit.stat().st_mode | stat.S_IXUSR)
    project.edit(project.notebook("toy-gamma"), "time.sleep(pause)", "raise RuntimeError('on the node')")
    done = project.reproduce(
        executor="cluster-generic",
        snakemake="--cluster-generic-submit-cmd ./submit.sh --seconds-between-status-checks 1",
    )
    assert done.returncode == 1
    assert "toy-gamma: crashed in A pause (cell 6): RuntimeError: on the node" in done.stderr
    assert "[toy-alpha quick] 7/7 Claims" in done.stderr, "progress of submitted jobs is seen"
    assert (project.root / "submissions.txt").read_text().count("submitted") == 3
    submitted = {slug: essence(project, slug) for slug in ("toy-alpha", "toy-beta")}
    assert project.replica("run", "toy-alpha").returncode == 0
    assert project.replica("run", "toy-beta").returncode == 0
    assert {slug: essence(project, slug) for slug in submitted} == submitted
    assert (project.root / "results/quick/scorecard.json").exists()


def essence(project: Project, slug: str) -> dict[str, Any]:
    """What must not depend on where a job ran."""
    content = project.provenance(slug)
    return {name: content[name] for name in ("digest", "claims_sha256", "notebook_sha256", "figures", "modules")}
