"""Progress of a run: a line per cell for a log, a live line for a terminal, a status file for everyone else.

The status file ``results/<profile>/.status/<slug>.json`` is what ``make reproduce`` shows: it works the same for a
job on this machine and for one on a node of a cluster that shares the file system.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from nbformat import NotebookNode

HEARTBEAT = 15.0  # seconds between signs of life of a long cell, where there is no terminal
STATUS_EVERY = 2.0
MODE_VARIABLE = "REPLICA_PROGRESS"  # lines | terminal | off; the scheduler's front end sets off and reads status files


def now() -> str:
    """The time as provenance and status files write it: ISO, UTC, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` so that a reader sees the old file or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    partial.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(partial, path)


def headings(notebook: NotebookNode) -> list[str]:
    """For each code cell, the nearest Markdown heading before it."""
    names: list[str] = []
    current = "Start"
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            fenced = False
            for line in cell.source.splitlines():
                fenced ^= line.startswith(("```", "~~~"))
                match = None if fenced else re.match(r"#{1,6}\s+(.+?)\s*#*$", line)
                if match:
                    current = match.group(1).replace("$", "").replace("`", "")
        elif cell.cell_type == "code":
            names.append(current)
    return names


def cell_line(slug: str, profile: str, number: int, total: int, heading: str, seconds: float) -> str:
    """``[slug quick] 7/23 Learning curves · 12.3 s``."""
    if number == 0:
        return f"[{slug} {profile}] starting a kernel"
    return f"[{slug} {profile}] {number}/{total} {heading} · {seconds:.1f} s"


class Progress:
    """Follows one run of a notebook, cell by cell."""

    def __init__(
        self, slug: str, profile: str, names: list[str], status: Path, log: RunLog, mode: str | None = None
    ) -> None:
        self.slug, self.profile, self.names, self.status_path, self.log = slug, profile, names, status, log
        self.mode = mode or os.environ.get(MODE_VARIABLE) or ("terminal" if sys.stderr.isatty() else "lines")
        self.number = 0
        self.note = ""
        self._started = time.monotonic()
        self._cell_started = self._started
        self._done: list[dict[str, Any]] = []
        self._state = "starting"
        self._begun = now()
        self._live: Any = None
        self._stop = threading.Event()
        self._guard = threading.Lock()
        self._ticker = threading.Thread(target=self._tick, daemon=True, name="progress")

    @property
    def heading(self) -> str:
        """The heading of the current cell."""
        return self.names[self.number - 1] if 0 < self.number <= len(self.names) else "Start"

    def __enter__(self) -> Progress:
        if self.mode == "terminal":
            from rich.console import Console

            self._live = Console(stderr=True, highlight=False).status(self._label(), spinner="dots")
            self._live.start()
        self._write_status()
        self._ticker.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._ticker.join(timeout=5)
        if self._live is not None:
            self._live.stop()

    def cell_started(self) -> None:
        """The next code cell starts."""
        self.number += 1
        self.note = ""
        self._state = "running"
        self._cell_started = time.monotonic()
        self.log.section(f"cell {self.number}/{len(self.names)} {self.heading}")
        self._write_status()
        if self._live is not None:
            self._live.update(self._label())

    def cell_finished(self, seconds: float, failed: bool = False) -> None:
        """The current code cell is through."""
        self.log.end_line()
        self._done.append({"cell": self.number, "heading": self.heading, "seconds": round(seconds, 3)})
        line = cell_line(self.slug, self.profile, self.number, len(self.names), self.heading, seconds)
        self._print(line + (" · failed" if failed else ""))
        self.note = ""
        self._write_status()

    def finished(self, state: str) -> None:
        """The run is over: ``complete`` or ``failed``."""
        self._state = state
        self._write_status()

    def say(self, sentence: str) -> None:
        """A line about the run itself."""
        self.log.write(sentence + "\n")
        self._print(f"[{self.slug} {self.profile}] {sentence}")

    def _print(self, line: str) -> None:
        if self.mode == "off":
            return
        if self._live is not None:
            self._live.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            with contextlib.suppress(OSError, ValueError):  # a closed terminal must not end the run
                print(line, file=sys.stderr, flush=True)

    def _label(self) -> Any:
        from rich.text import Text

        seconds = time.monotonic() - self._cell_started
        line = cell_line(self.slug, self.profile, self.number, len(self.names), self.heading, seconds)
        return Text(line + (f" · {self.note}" if self.note else ""), no_wrap=True, overflow="ellipsis")

    def _tick(self) -> None:
        wait = 0.5 if self.mode == "terminal" else STATUS_EVERY
        said = time.monotonic()
        while not self._stop.wait(wait):
            self.note = self.log.bar
            if self._live is not None:
                self._live.update(self._label())
            self._write_status()
            current = time.monotonic()
            if self._live is None and self.number and current - max(said, self._cell_started) > HEARTBEAT:
                said = current
                line = cell_line(
                    self.slug, self.profile, self.number, len(self.names), self.heading, current - self._cell_started
                )
                self._print(f"{line} so far" + (f" · {self.note}" if self.note else ""))

    def _write_status(self) -> None:
        current = time.monotonic()
        content = {
            "slug": self.slug, "profile": self.profile, "state": self._state, "pid": os.getpid(),
            "cell": self.number, "cells": len(self.names), "heading": self.heading, "note": self.note,
            "started": self._begun, "updated": now(), "seconds": round(current - self._started, 1),
            "cell_seconds": round(current - self._cell_started, 1), "done": list(self._done),
        }  # fmt: skip
        with self._guard, contextlib.suppress(OSError):  # a full disk shows in the results, not here
            write_json(self.status_path, content)


class RunLog:
    """The run's log file. Of a progress bar that redraws itself only the last state is kept."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.bar = ""
        self._file: IO[str] = path.open("w", encoding="utf-8")
        self._partial = {"out": "", "err": ""}

    def section(self, title: str) -> None:
        """A heading between the outputs of two cells."""
        self.end_line()
        self._file.write(f"--- {title}\n")
        self._file.flush()

    def write(self, text: str, stream: str = "out") -> None:
        """Append ``text`` as it comes, in any pieces."""
        *lines, rest = (self._partial[stream] + text.replace("\r\n", "\n")).split("\n")
        for line in lines:
            self._file.write(_last_drawn(line) + "\n")
        self._partial[stream] = _last_drawn(rest) if len(rest) > 4096 else rest
        if "\r" in text or rest:
            self.bar = _last_drawn(rest).strip()[:80] if stream == "err" else self.bar
        self._file.flush()

    def end_line(self) -> None:
        """Write out a line that has no end yet (a progress bar that was left standing)."""
        for stream, rest in self._partial.items():
            if rest.strip():
                self._file.write(_last_drawn(rest) + "\n")
            self._partial[stream] = ""
        self.bar = ""
        self._file.flush()

    def close(self) -> None:
        """End the log."""
        self.end_line()
        self._file.close()

    def stream(self, name: str) -> Any:
        """A file-like object for papermill that writes here."""
        return _Stream(self, name)


class _Stream:
    def __init__(self, log: RunLog, name: str) -> None:
        self._log, self._name = log, name

    def write(self, text: str) -> None:
        self._log.write(text, self._name)

    def flush(self) -> None:
        """Nothing is held back."""


def _last_drawn(line: str) -> str:
    drawn = [part for part in line.split("\r") if part.strip()]
    return drawn[-1].rstrip() if drawn else ""
