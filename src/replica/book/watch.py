"""Following the jobs of Snakemake by their status files, wherever they run."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from replica.book.progress import HEARTBEAT, cell_line
from replica.book.tether import alive

POLL = 0.2


class Watch:
    """Shows what the jobs of ``slugs`` do: a line per finished cell, and on a terminal a live line per notebook."""

    def __init__(self, root: Path, profile: str, slugs: list[str], log: Path) -> None:
        self._folder = root / "results" / profile / ".status"
        self._profile = profile
        self._slugs = slugs
        self._log = log
        self._at_book = False
        self._before = {slug: self._identity(self._read(slug)) for slug in slugs}
        self._shown: dict[str, tuple[Any, int]] = {}
        self._said: dict[str, float] = {}
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._live: Live | None = None
        self.ran: set[str] = set()

    def __enter__(self) -> Watch:
        if self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def follow(self, process: subprocess.Popen[bytes]) -> int:
        """Show progress until ``process`` ends; its exit code."""
        while True:
            try:
                code = process.wait(timeout=POLL)
            except subprocess.TimeoutExpired:
                self._look()
                continue
            self._look()
            return code

    def killed(self) -> dict[str, str]:
        """A sentence for each paper whose job ended without a word, by slug."""
        sentences = {}
        for slug in self.ran:
            status = self._read(slug)
            if status and status["state"] in ("starting", "running") and not alive(status["pid"]):
                sentences[slug] = (
                    f"{slug}: its job was killed in cell {status['cell']} of {status['cells']}, “{status['heading']}” "
                    f"(out of memory or time?); log: results/{self._profile}/.logs/{slug}.log"
                )
        return sentences

    def _look(self) -> None:
        lines = []
        for slug in self._slugs:
            status = self._read(slug)
            if status is None or self._identity(status) == self._before[slug]:
                continue
            self.ran.add(slug)
            self._print_cells(slug, status)
            if status["state"] in ("starting", "running"):
                lines.append(self._line(status))
        if self._book_has_begun():
            lines.append("building the book")
        if self._live is not None:
            self._live.update(Group(*(Text(line, no_wrap=True, overflow="ellipsis") for line in lines)))

    def _book_has_begun(self) -> bool:
        if not self._at_book:
            try:
                self._at_book = "rule book:" in self._log.read_text(encoding="utf-8", errors="replace")
            except OSError:
                return False
            if self._at_book and self._live is None:
                self._console.print("building the book")
        return self._at_book

    def _print_cells(self, slug: str, status: dict[str, Any]) -> None:
        identity, count = self._shown.get(slug, (None, 0))
        if identity != self._identity(status):
            count = 0
        for cell in status["done"][count:]:
            line = cell_line(slug, self._profile, cell["cell"], status["cells"], cell["heading"], cell["seconds"])
            self._console.print(line, markup=False)
            self._said[slug] = time.monotonic()
        self._shown[slug] = self._identity(status), len(status["done"])
        quiet = time.monotonic() - self._said.setdefault(slug, time.monotonic())
        if self._live is None and quiet > HEARTBEAT and status["state"] == "running":
            self._said[slug] = time.monotonic()
            self._console.print(f"{self._line(status)} so far", markup=False)

    def _line(self, status: dict[str, Any]) -> str:
        note = f" · {status['note']}" if status["note"] else ""
        number, total = status["cell"], status["cells"]
        seconds = status["cell_seconds"]
        return cell_line(status["slug"], self._profile, number, total, status["heading"], seconds) + note

    def _read(self, slug: str) -> dict[str, Any] | None:
        try:
            content: dict[str, Any] = json.loads((self._folder / f"{slug}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return content

    @staticmethod
    def _identity(status: dict[str, Any] | None) -> Any:
        return None if status is None else (status["started"], status["pid"])
