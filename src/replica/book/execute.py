"""Running one paper: validate, execute in a private attempt directory, judge, describe, and only then put in place.

A result is a directory that appears as a whole, ``results/<profile>/<slug>/``; whatever stops a run leaves the
previous result as it was. Everything that a reader can get wrong is refused before a kernel starts.
"""

from __future__ import annotations

import contextlib
import difflib
import logging
import os
import platform
import re
import shutil
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from replica.book import catalogue, claims, digest, profiles, provenance
from replica.book.attempt import Run, clean, only, put_in_place, read_partial
from replica.book.errors import ReplicaError, UnknownFigure
from replica.book.locks import hold
from replica.book.notebook_text import read_notebook
from replica.book.progress import Progress, RunLog, headings, now, write_json
from replica.book.tether import watch_scheduler

CUSTOM = "custom"
FIGURES_ONLY = "figures-only"
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True)
class RunResult:
    """A finished run. ``reused`` tells that another process finished the same run while this one waited."""

    slug: str
    profile: str
    directory: Path
    claims: list[claims.ClaimRecord]
    provenance: dict[str, Any]
    reused: bool = False

    @property
    def seconds(self) -> float:
        """Wall-clock time of the run."""
        return float(self.provenance["seconds"])

    @property
    def exit_code(self) -> int:
        """0: the run came to its end. Whether its claims hold is for ``replica verify`` to say, so that a scheduler
        keeps the result of a paper that misses one."""
        return 0


class RunError(ReplicaError):
    """A run that did not come to its end; the message names the cell, the exception and the log."""

    def __init__(self, message: str, report: dict[str, Any]) -> None:
        super().__init__(message)
        self.report = report


def run_paper(
    slug: str,
    profile: str = "quick",
    overrides: dict[str, Any] | None = None,
    quiet: bool = False,
) -> RunResult:
    """Run the paper ``slug`` at ``profile`` and put its results into ``results/<profile>/<slug>/``.

    With ``overrides`` (parameters by name, as text or values) they go to ``results/custom/<slug>/``. A claim that
    misses is recorded, not raised.

    Raises
    ------
    UnknownPaper, ManifestError, NotebookError, ParameterError
        Before a kernel starts.
    RunError
        When a cell raises, the kernel dies, a figure of the manifest is not saved, or the notebook loads modules
        that its digest does not cover.
    """
    run = _plan(slug, profile, overrides or {}, CUSTOM if overrides else profile)
    with _running(run, quiet) as (progress, waited):
        if waited and (same := _finished(run)) is not None:
            progress.say("the run that was waited for has the same inputs; taking its results")
            progress.finished("complete")
            return same
        result = _execute(run, progress)
    if not quiet:
        print(_summary(run, result))
    return result


def run_figure(
    slug: str,
    figure: str,
    profile: str = "quick",
    overrides: dict[str, Any] | None = None,
    quiet: bool = False,
) -> Path:
    """Make one figure, without the cells that only other figures or checks need; returns the path of its
    picture (PNG; of an animation GIF).

    It goes to ``results/figures-only/<profile>/<slug>/figures/``. Raises :class:`UnknownFigure`, with the figures
    that exist, nearest first, and what :func:`run_paper` raises.
    """
    run = _plan(slug, profile, overrides or {}, f"{FIGURES_ONLY}/{profile}")
    if figure not in run.manifest.figures:
        known = _nearest_first(figure, list(run.manifest.figures))
        raise UnknownFigure(f"{slug} has no figure {figure!r}. It has: {', '.join(known)}")
    picture = "gif" if run.manifest.figures[figure].animation else "png"
    run.notebook = only(run.notebook, figure)
    with _running(run, quiet) as (progress, _):
        _kernel_run(run, progress)
        made = sorted((run.attempt / "figures").glob(f"{figure}.*"))
        if not any(path.suffix == f".{picture}" for path in made):
            message = f"{slug}: no cell tagged figure-{figure} saved the figure {figure!r}"
            raise RunError(message, _report(run, progress, "MissingFigure", message))
        folder = run.target / "figures"
        folder.mkdir(parents=True, exist_ok=True)
        for path in made:
            os.replace(path, folder / path.name)
        progress.finished("complete")
        return folder / f"{figure}.{picture}"


def _plan(slug: str, profile: str, overrides: dict[str, Any], family: str) -> Run:
    root = catalogue.project_root()
    entry = catalogue.find(slug, root)
    manifest = entry.manifest()
    parameters = profiles.resolve(entry, manifest, profile, overrides)
    return Run(
        root=root, entry=entry, manifest=manifest, profile=profile, overrides=overrides, parameters=parameters,
        notebook=profiles.apply(read_notebook(entry.notebook), parameters),
        digest=digest.paper_digest(entry, manifest, profile, overrides),
        closure=digest.module_closure(entry.notebook, root), family=family,
    )  # fmt: skip


@contextlib.contextmanager
def _running(run: Run, quiet: bool) -> Iterator[tuple[Progress, bool]]:
    """Hold the paper's lock, an empty attempt directory, the log and the progress; leave nothing behind."""
    watch_scheduler()
    waiting = f"[{run.slug} {run.profile}] waiting for {{}}, which runs the same paper at the same profile"
    with hold(run.home / ".locks" / f"{run.slug}.lock", lambda who: _say(waiting.format(who), quiet)) as lock:
        run.clear_attempts()
        run.attempt.mkdir(parents=True)
        log = RunLog(run.log_path)
        status = run.home / ".status" / f"{run.slug}.json"
        try:
            mode = "off" if quiet else None
            with Progress(run.slug, run.profile, headings(run.notebook), status, log, mode) as progress:
                try:
                    yield progress, lock.waited
                except BaseException:
                    progress.finished("failed")
                    raise
        finally:
            log.close()
            run.clear_attempts()


def _execute(run: Run, progress: Progress) -> RunResult:
    started, clock = now(), time.monotonic()
    threading.Thread(target=provenance.owners, daemon=True).start()  # asked for at the end; ready while cells run
    session, executed = _kernel_run(run, progress)
    absent = [
        name for name, figure in run.manifest.figures.items()
        if not all((run.attempt / "figures" / f"{name}.{kind}").exists() for kind in figure.kinds)
    ]  # fmt: skip
    if absent:
        _fail(run, progress, executed, "MissingFigure", f"the notebook never saved {', '.join(absent)}")
    records = claims.finalise(run.attempt, run.manifest, run.profile)
    nbformat.write(clean(executed, run), run.attempt / "notebook.ipynb")
    content = _describe(run, session, started, time.monotonic() - clock)
    write_json(run.attempt / provenance.PROVENANCE_FILE, content)
    put_in_place(run)
    shutil.rmtree(run.failed, ignore_errors=True)
    if not content["digest"]:
        progress.say("the sources changed during this run, so its results count as out of date; run it again")
    progress.finished("complete")
    return RunResult(run.slug, run.profile, run.target, records, content)


def _kernel_run(run: Run, progress: Progress) -> tuple[Any, NotebookNode]:
    """Execute the notebook in the attempt directory; raises :class:`RunError` when it does not come to its end."""
    # papermill and what it needs take a third of a second to import: not for `replica list`
    from nbclient.exceptions import CellControlSignal, CellExecutionError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError
    from papermill.execute import execute_notebook

    from replica.book import kernel

    logging.getLogger("papermill").setLevel(logging.ERROR)
    kernel.prepare_workspace(run.workspace)
    session = kernel.Session(
        workspace=run.workspace, progress=progress,
        environment=kernel.environment(
            run.root, run.attempt, run.workspace, run.profile, run.manifest.resources.threads,
            digest.source_digest(run.root),
        ),
    )  # fmt: skip
    partial = run.workspace / "notebook.partial.ipynb"
    executed, failure = None, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # papermill's own, of parts it has not modernised yet
            executed = execute_notebook(
                run.notebook, str(partial), engine_name=kernel.ENGINE, kernel_name="python3", progress_bar=False,
                stdout_file=progress.log.stream("out"), stderr_file=progress.log.stream("err"), session=session,
            )  # fmt: skip
    except PapermillExecutionError as error:
        progress.log.write(_ANSI.sub("", "\n".join(error.traceback)) + "\n")
        failure = error.ename, error.evalue
    except DeadKernelError:
        failure = "DeadKernel", "the kernel died (out of memory, or a crash in compiled code)"
    except (kernel.KernelStartError, CellExecutionError, CellControlSignal) as error:
        failure = type(error).__name__, str(error)
    if messages := kernel.kernel_messages(session.kernel_log):
        progress.log.section("the kernel process")
        progress.log.write(messages + "\n")
    if executed is None:
        _fail(run, progress, read_partial(partial), *(failure or ("PapermillError", "papermill returned no notebook")))
    assert executed is not None
    _check_modules(run, progress, session, executed)
    return session, executed


def _check_modules(run: Run, progress: Progress, session: Any, executed: NotebookNode) -> None:
    """The modules that the kernel loaded must be among those that the digest covers, and come from this checkout."""
    surplus = sorted(set(session.probe["modules"]) - set(run.closure))
    if surplus:
        _fail(
            run, progress, executed, "UndeclaredModules",
            f"the kernel loaded {', '.join(surplus)}, which the notebook's imports do not name, so a change there "
            "would go unnoticed; import it explicitly (from replica.x import y)",
        )  # fmt: skip
    source = run.root / "src" / "replica"
    foreign = [path for path in session.probe["package"] if Path(path).resolve() != source.resolve()]
    if foreign:
        _fail(run, progress, executed, "ForeignPackage", f"the kernel ran replica from {foreign[0]}, not from {source}")


def _describe(run: Run, session: Any, started: str, seconds: float) -> dict[str, Any]:
    same = digest.paper_digest(run.entry, run.entry.manifest(), run.profile, run.overrides) == run.digest
    commit, dirty = provenance.commit(run.root)
    return {
        "schema": 1, "slug": run.slug, "part": run.entry.part, "profile": run.profile, "status": "complete",
        "digest": run.digest if same else "", "parameters": run.parameters, "overrides": run.overrides,
        "seed": run.parameters.get("seed"), "threads": run.manifest.resources.threads,
        "commit": commit, "dirty": dirty, "started": started, "finished": now(), "seconds": round(seconds, 2),
        "cells": session.cells, "peak_mb": round(session.probe["peak_kb"] / 1024),
        "python": platform.python_version(),
        "platform": provenance.machine(), "packages": provenance.packages(session.probe["libraries"]),
        "modules": [name for name in run.closure if name in session.probe["modules"]],
        "datasets": session.probe["datasets"], "figures": provenance.figure_digests(run.attempt),
        "notebook_sha256": provenance.sha256(run.attempt / "notebook.ipynb"),
        "claims_sha256": provenance.sha256(run.attempt / claims.CLAIMS_FILE),
    }  # fmt: skip


def _finished(run: Run) -> RunResult | None:
    content = provenance.read(run.target)
    if content is None or content.get("digest") != run.digest:
        return None
    return RunResult(run.slug, run.profile, run.target, claims.read_claims(run.target), content, reused=True)


def _fail(run: Run, progress: Progress, executed: NotebookNode | None, ename: str, evalue: str) -> None:
    """Keep notebook, log and a report in ``.failed/<slug>/`` and raise the :class:`RunError`."""
    place = f"cell {progress.number} of {len(progress.names)}, “{progress.heading}”" if progress.number else "the start"
    detail = _ANSI.sub("", f"{ename}: {evalue}").strip()
    first = detail.splitlines()[0] if detail else ename
    message = (
        f"{run.slug} ({run.profile}) stopped in {place}: {first}\n"
        f"  log: {run.shown(run.log_path)}; notebook with the traceback: {run.shown(run.failed / 'notebook.ipynb')}"
    )
    progress.log.section("failed")
    progress.log.write(f"{place}: {detail}\n")
    report = _report(run, progress, ename, _ANSI.sub("", evalue))
    write_json(run.workspace / "failed" / "error.json", report)
    if executed is not None:
        nbformat.write(clean(executed, run), run.workspace / "failed" / "notebook.ipynb")
    shutil.copyfile(run.log_path, run.workspace / "failed" / "run.log")
    run.failed.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(run.failed, ignore_errors=True)
    os.rename(run.workspace / "failed", run.failed)
    raise RunError(message, report)


def _report(run: Run, progress: Progress, ename: str, evalue: str) -> dict[str, Any]:
    return {
        "slug": run.slug, "profile": run.profile, "cell": progress.number, "heading": progress.heading,
        "ename": ename, "evalue": evalue, "when": now(), "log": run.shown(run.log_path),
    }  # fmt: skip


def _nearest_first(word: str, known: list[str]) -> list[str]:
    return sorted(known, key=lambda name: -difflib.SequenceMatcher(None, word, name).ratio())


def _summary(run: Run, result: RunResult) -> str:
    verdicts = [record.verdict for record in result.claims]
    others = [f"{verdicts.count(kind)} {kind}" for kind in dict.fromkeys(verdicts) if kind != "reproduced"]
    lines = [
        f"{run.slug} ({run.profile}): {verdicts.count('reproduced')} of {len(verdicts)} claims reproduced"
        + (f" ({', '.join(others)})" if others else "")
        + f" in {result.seconds:.1f} s; results in {run.shown(result.directory)}"
    ]
    lines += [
        f"  {record.verdict}: {record.id}: {record.value_text}, expected {record.expect_text}"
        for record in result.claims if record.verdict in ("failed", "missing")
    ]  # fmt: skip
    return "\n".join(lines)


def _say(line: str, quiet: bool) -> None:
    if not quiet:
        print(line, file=sys.stderr, flush=True)
