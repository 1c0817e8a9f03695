"""Locks that the system frees when their holder dies, so that no kill leaves one behind."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: two runs of one paper at the same time are not kept apart there
    fcntl = None  # type: ignore[assignment]


class Lock:
    """A held lock. ``waited`` tells whether somebody else held it before; a child process that inherits
    ``descriptor`` holds the lock too, until it ends."""

    def __init__(self, waited: bool, descriptor: int) -> None:
        self.waited, self.descriptor = waited, descriptor


@contextmanager
def hold(path: Path, on_wait: Callable[[str], None]) -> Iterator[Lock]:
    """Hold the lock file ``path``, waiting for it if need be.

    ``on_wait`` is called once, with who holds it (``process 1234``), before waiting. The file itself stays: removing
    it would let two processes hold two files of one name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        waited = _acquire(descriptor, on_wait)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield Lock(waited, descriptor)
    finally:
        os.close(descriptor)  # frees the lock


def _acquire(descriptor: int, on_wait: Callable[[str], None]) -> bool:
    if fcntl is None:
        return False
    waited = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return waited
        except BlockingIOError:
            if not waited:
                waited = True
                holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
                on_wait(f"process {holder}" if holder else "another process")
            time.sleep(0.2)  # not a blocking flock: Ctrl-C and the watch on the scheduler stay quick
