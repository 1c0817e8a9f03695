"""Processes that end with the one they work for, however that one ends.

``kill -9`` runs no clean-up code, so each process must notice by itself: a kernel by the kernel's parent-death signal
(it may sit in compiled code that holds the interpreter's lock), a job by watching the scheduler that started it.
The first is Linux's own; elsewhere ipykernel's polling of its parent is what there is.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

SCHEDULER_PID = "REPLICA_SCHEDULER_PID"

# Runs in a child before anything else. The second look at the parent closes the gap in which it died before prctl.
_PREAMBLE = (
    "import os, signal, sys\n"
    "if sys.platform == 'linux':\n"
    "    import ctypes\n"
    "    ctypes.CDLL(None).prctl(1, signal.SIGKILL)\n"  # 1 is PR_SET_PDEATHSIG
    "    if os.getppid() != {parent}:\n"
    "        os._exit(1)\n"
    "if sys.path and sys.path[0] == '':\n"
    "    del sys.path[0]\n"
)


def tethered(code: str) -> list[str]:
    """The start of a command line that runs ``code`` in this interpreter, to be killed when the caller dies."""
    return [sys.executable, "-c", _PREAMBLE.format(parent=os.getpid()) + code]


def watch_scheduler(on_death: Callable[[], None] | None = None) -> None:
    """Leave at once (exit code 1) when the scheduler named in the environment dies.

    A no-op when nobody named one. A scheduler that is no longer an ancestor is dead already, its number perhaps taken
    by another process.
    """
    named = os.environ.get(SCHEDULER_PID, "")
    if not named.isdigit() or int(named) == os.getpid():
        return
    pid = int(named)

    def leave() -> None:
        if on_death is not None:
            with contextlib.suppress(Exception):
                on_death()
        os._exit(1)

    if sys.platform == "linux" and pid not in ancestors():
        leave()
    threading.Thread(target=_wait_for_end, args=(pid, leave), daemon=True, name="scheduler-watch").start()


def ancestors() -> list[int]:
    """The process numbers of this process's parent, its parent, and so on (Linux)."""
    found: list[int] = []
    pid = os.getppid()
    while pid > 0 and pid not in found:
        found.append(pid)
        try:
            # the command's name, in brackets, may hold blanks and brackets itself
            after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
        except OSError:
            break
        pid = int(after_name.split()[1])
    return found


def alive(pid: int) -> bool:
    """Whether there is a process ``pid``."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _wait_for_end(pid: int, leave: Callable[[], None]) -> None:
    try:
        handle = os.pidfd_open(pid)  # readable once the process has ended; no polling, no reuse of its number
    except ProcessLookupError:
        return leave()
    except (AttributeError, OSError):
        while alive(pid):
            time.sleep(1.0)
        return leave()
    select.select([handle], [], [])
    return leave()
