"""``make reproduce``: Snakemake around the papers, then a table of what came of them.

Scheduling, parallel jobs, clusters and "is it done already" are Snakemake's. Added here is what it cannot know:
results that are of other code (a fresh clone, a restored cache), locks that a kill left behind, progress of jobs
whose output nobody sees, and the verdict.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from replica.book import plan, provenance, watch
from replica.book.catalogue import find, project_root
from replica.book.errors import ReplicaError
from replica.book.locks import Lock, hold
from replica.book.progress import MODE_VARIABLE
from replica.book.tether import tethered

LOG = "results/.logs/snakemake.log"
INTERRUPTED = 130
_SNAKEMAKE = "from snakemake.cli import main\nmain()\n"


def reproduce(
    slugs: list[str],
    profile: str = "quick",
    jobs: int = 1,
    executor: str | None = None,
    extra_args: list[str] | None = None,
    build_book: bool = True,
) -> int:
    """Bring the results of ``slugs`` and the book up to date; print a table, what is wrong, where the book is.

    Returns 0, or 1 when a claim failed or is missing, a notebook crashed, a manifest cannot be read, or the book was
    not built. ``executor`` is a Snakemake executor plugin; ``extra_args`` go to Snakemake as they are.
    """
    root = project_root()
    out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False, soft_wrap=True)
    waiting = "another `make reproduce` ({}) is at work in this checkout; waiting for it to end"
    with hold(root / "results" / ".locks" / "checkout.lock", lambda who: err.print(waiting.format(who))) as lock:
        described, problems = _describe(root, slugs, profile)
        runner = _Snakemake(root, profile, jobs, executor, extra_args or [], build_book, err, lock)
        runner.clear_stale_locks()
        shown = watch.Watch(root, profile, list(described), root / LOG)
        try:
            code = runner.run(plan.make(root, profile, described), _outdated(root, profile, described), shown)
            unfinished = [slug for slug in described if provenance.read(root / "results" / profile / slug) is None]
            if code < 0:
                err.print(f"Snakemake was killed by signal {-code}; the next `make reproduce` goes on from here")
                return 1
            if code != 0 and unfinished:
                # Snakemake skips what depends on a failed job, but the scorecard and the book are to say that it failed
                code = runner.run(plan.make(root, profile, described, only_existing=True), [], shown)
        except KeyboardInterrupt:
            err.print("interrupted; the next `make reproduce` goes on from here")
            return INTERRUPTED
        problems += _report(out, profile, list(described), shown)
    for sentence in problems:
        err.print(f"[red]✗[/red] {escape(sentence)}")
    if code != 0:
        err.print(f"[red]✗[/red] {escape(_what_failed(root, build_book))}")
    elif build_book:
        out.print(f"The book: {escape(str(root / 'build' / 'html' / 'index.html'))}  (or `make serve`)")
    return 1 if problems or code != 0 else 0


def _describe(root: Path, slugs: list[str], profile: str) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The papers that can run, and a sentence for each that cannot: one broken manifest stops nothing else."""
    described, problems = {}, []
    for slug in slugs:
        entry = find(slug, root)
        try:
            described[slug] = plan.describe(entry, entry.manifest(), profile)
        except ReplicaError as error:
            problems.append(f"{slug}: not run: {error}")
    return described, problems


def _outdated(root: Path, profile: str, described: dict[str, dict[str, Any]]) -> list[str]:
    """The results that are there but not those of the present code, or not as their run left them.

    Snakemake compares with its own notes in ``.snakemake``; a result that came from elsewhere it believes blindly.
    """
    found = []
    for slug, paper in described.items():
        folder = root / "results" / profile / slug
        content = provenance.read(folder)
        file = f"results/{profile}/{slug}/{provenance.PROVENANCE_FILE}"
        if not (root / file).exists():
            continue
        crashed = (root / "results" / profile / ".failed" / slug / "error.json").exists()
        if (
            content is None
            or content.get("digest") != paper["digest"]
            or crashed
            or provenance.damaged(folder, content)
        ):
            found.append(file)
    return found


class _Snakemake:
    """Calls of Snakemake that share their settings."""

    def __init__(
        self, root: Path, profile: str, jobs: int, executor: str | None, extra: list[str], book: bool, err: Console,
        lock: Lock,
    ) -> None:  # fmt: skip
        self.root, self.profile, self.err, self.lock = root, profile, err, lock
        self.target = plan.STAMP if book else f"results/{profile}/scorecard.json"
        self.settings = ["--cores", str(jobs)]
        if executor:
            self.settings += ["--executor", executor, "--jobs", str(max(jobs, 2)), "--latency-wait", "60"]
        else:
            self.settings += ["--resources", f"mem_mb={_memory_mb()}"]
        self.extra = extra

    def run(self, content: dict[str, Any], forced: list[str], shown: watch.Watch) -> int:
        """One call; its exit code. What it says goes to a log: progress is shown from the status files."""
        file = self.root / "results" / ".plan" / f"{self.profile}.json"
        plan.write(file, content)
        if not (self.root / "build" / "html" / "index.html").exists():
            (self.root / plan.STAMP).unlink(missing_ok=True)
        command = [
            *self._base(), "--configfile", str(file.relative_to(self.root)), *self.settings,
            "--keep-going", "--rerun-incomplete", "--rerun-triggers", "mtime", "input", "--nocolor",
            *(["--forcerun", *forced] if forced else []), *self.extra, "--", self.target,
        ]  # fmt: skip
        log = self.root / LOG
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w", encoding="utf-8") as stream:
            process = subprocess.Popen(
                command, cwd=self.root, env=self._environment(), stdin=subprocess.DEVNULL, stdout=stream,
                stderr=subprocess.STDOUT, pass_fds=[self.lock.descriptor],
            )  # fmt: skip
            try:
                with shown:
                    return shown.follow(process)
            except BaseException:
                _end(process)
                raise

    def clear_stale_locks(self) -> None:
        """Remove Snakemake's locks when nobody is behind them: a killed Snakemake leaves them."""
        locks = self.root / ".snakemake" / "locks"
        if not locks.is_dir() or not any(locks.iterdir()):
            return
        waiting = "Snakemake ({}) is at work in this checkout; waiting for it to end"
        with hold(self.root / plan.RUNNING_LOCK, lambda who: self.err.print(waiting.format(who))):
            for lock in locks.iterdir():  # what --unlock does, in a second less
                lock.unlink(missing_ok=True)

    def _base(self) -> list[str]:
        return [*tethered(_SNAKEMAKE), "--snakefile", "Snakefile", "--directory", "."]

    def _environment(self) -> dict[str, str]:
        path = [str(self.root / "src"), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        return {
            **os.environ, "REPLICA_ROOT": str(self.root), "PYTHONPATH": os.pathsep.join(path),
            MODE_VARIABLE: "off", "PYTHONUNBUFFERED": "1",
        }  # fmt: skip


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let Snakemake end its jobs; a second Ctrl-C, or ten seconds, and it is killed (its jobs notice)."""
    with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
        process.terminate()
        process.wait(timeout=10)
    if process.poll() is None:
        process.kill()
        # not for ever: a Ctrl-C in the wrong microsecond leaves Popen's own lock taken, and waiting would never end
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            process.wait(timeout=10)


def _report(out: Console, profile: str, slugs: list[str], shown: watch.Watch) -> list[str]:
    """Print the table of papers; return a sentence for everything that keeps them from being reproduced."""
    from replica.book.scorecard import collect, problems, surprises

    if not slugs:
        return []
    card = collect(profile, slugs)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("paper", "claims reproduced", "seconds", ""):
        table.add_column(column, justify="right" if column == "seconds" else "left")
    for row in card["papers"]:
        verdicts = [claim["verdict"] for claim in row["claims"]]
        good = verdicts.count("reproduced")
        others = [f"{verdicts.count(kind)} {kind}" for kind in ("failed", "missing", "discrepancy", "unjudged")
                  if kind in verdicts and row["status"] == "complete"]  # fmt: skip
        state = ", ".join(others) if row["status"] == "complete" else row["status"]
        seconds = f"{row['seconds']:.1f}" if row["status"] == "complete" else "-"
        note = "" if row["slug"] in shown.ran else "up to date" if row["status"] == "complete" else ""
        table.add_row(row["slug"], f"{good} of {len(verdicts)}", seconds, "; ".join(filter(None, (state, note))))
    out.print(table)
    for sentence in surprises(card):
        out.print(f"! {escape(sentence)}")
    killed = shown.killed()
    return [killed.get(_slug_of(sentence), sentence) for sentence in problems(card)]


def _slug_of(sentence: str) -> str:
    return sentence.partition(":")[0]


def _what_failed(root: Path, build_book: bool) -> str:
    """Why the last call of Snakemake failed, from the logs."""
    book = root / "results" / ".logs" / "book.log"
    lines = (root / LOG).read_text(encoding="utf-8", errors="replace").splitlines()
    if build_book and any("rule book" in line for line in lines) and book.exists():
        return f"the book was not built: {book.read_text(encoding='utf-8').strip()}"
    last = [line for line in lines if line.strip()][-12:]
    return "\n    ".join([f"Snakemake failed; the end of {LOG}:", *last])


def _memory_mb() -> int:
    """The memory that jobs may share: nine tenths of the machine's, or of the container's."""
    import psutil

    limit = psutil.virtual_memory().total
    with contextlib.suppress(OSError, ValueError):
        limit = min(limit, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return int(0.9 * limit / 1e6)
