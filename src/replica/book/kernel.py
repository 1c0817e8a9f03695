"""Running the cells: a papermill engine whose kernel is private to the run, dies with it, and is asked at the end what
it loaded.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellExecutionError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, papermill_engines

from replica.book.progress import Progress
from replica.book.tether import tethered

ENGINE = "replica"
START_UPS = 3
KEEP_CACHES = 14 * 86400.0  # seconds
THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS",
)  # fmt: skip
# glibc hands arrays of 128 kB and more back to the system as soon as they are freed, and faults their pages in anew for
# the next one: three times the time of the arithmetic where many such arrays come and go. Other libraries ignore this.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(256 << 20)}

_LAUNCH = "from ipykernel.kernelapp import launch_new_instance\nlaunch_new_instance()\n"

# Executed silently after the last cell. VmHWM is this program's own peak; ru_maxrss would include what the parent
# held when it forked.
_PROBE = """
def _probe(path):
    import json, resource, sys
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        with open("/proc/self/status") as status:
            own = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    except OSError:
        pass
    datasets = sys.modules.get("replica.datasets")
    loaded = datasets.loaded() if hasattr(datasets, "loaded") else []
    content = {
        "modules": sorted(name for name in sys.modules if name == "replica" or name.startswith("replica.")),
        "package": list(getattr(sys.modules.get("replica"), "__path__", [])),
        "libraries": sorted({name.partition(".")[0] for name in sys.modules}),
        "peak_kb": max(own, peak) // (1024 if sys.platform == "darwin" else 1),
        "datasets": loaded,
    }
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file, default=lambda value: getattr(value, "__dict__", None) or str(value))
_probe(REPORT)
"""


@dataclass
class Session:
    """What one run of a kernel needs, and what it brings back."""

    workspace: Path  # private working directory; also holds the kernel's own files
    environment: dict[str, str]
    progress: Progress
    cells: list[dict[str, Any]] = field(default_factory=list)  # per executed cell: index, heading, seconds
    probe: dict[str, Any] = field(default_factory=dict)

    @property
    def kernel_log(self) -> Path:
        """What the kernel process itself wrote, beside the outputs of cells."""
        return self.workspace / "kernel.log"


def numba_cache(root: Path, source_digest: str) -> Path:
    """The folder of numba's cache for this state of the sources; those of states long gone are removed.

    Without a folder of its own, a compiled function would go on calling the old code of a module that has changed.
    """
    folder = root / ".cache" / "numba" / source_digest[:16]
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    for other in folder.parent.iterdir():
        with contextlib.suppress(OSError):  # another run may be clearing up too
            if time.time() - other.stat().st_mtime > KEEP_CACHES:
                shutil.rmtree(other, ignore_errors=True)
    return folder


def environment(
    root: Path, attempt: Path, workspace: Path, profile: str, threads: int, source_digest: str
) -> dict[str, str]:
    """The kernel's environment: the same on a laptop and in a cluster job, and blind to the user's own settings."""
    path = [str(root / "src"), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {
        **os.environ,
        **dict.fromkeys(THREAD_VARIABLES, str(threads)),
        **KEEP_MEMORY,
        "REPLICA_PROFILE": profile,
        "REPLICA_RESULTS": str(attempt),
        "REPLICA_ROOT": str(root),
        "NUMBA_CACHE_DIR": str(numba_cache(root, source_digest)),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join(path),  # the code that was hashed is the code that runs
        "IPYTHONDIR": str(workspace / "ipython"),
    }


class _OwnKernel(KernelSpecManager):
    """Knows one kernel: this interpreter, tethered to this process. A ``python3`` that the user has installed
    elsewhere under the same name is not taken for it."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        command = [*tethered(_LAUNCH), "-f", "{connection_file}"]
        return KernelSpec(
            argv=command, display_name="Python 3", language="python", metadata={"supported_encryption": ["curve"]}
        )


class _Client(PapermillNotebookClient):
    """papermill's client with our kernel, retries of its start, progress, and the probe at the end."""

    session: Session

    @contextmanager
    def setup_kernel(self, **_: Any) -> Iterator[None]:
        # Kernels that start at the same moment can pick the same port; only the start is tried again, never a cell.
        for attempt in range(1, START_UPS + 1):
            try:
                self._start()
                break
            except (RuntimeError, TimeoutError, OSError) as error:
                if attempt == START_UPS:
                    raise KernelStartError(f"the kernel did not start in {START_UPS} attempts: {error}") from error
                self.session.progress.say(f"the kernel did not start ({error}); trying again")
        try:
            yield
        finally:
            self._cleanup_kernel()

    def _start(self) -> None:
        workspace = self.session.workspace
        self.km = AsyncKernelManager(
            kernel_name="python3",
            kernel_spec_manager=_OwnKernel(),
            connection_file=str(workspace / "connection.json"),
            transport_encryption="auto",
        )
        (workspace / "connection.json").unlink(missing_ok=True)
        with self.session.kernel_log.open("ab") as log:
            self.start_new_kernel(env=self.session.environment, cwd=str(workspace / "work"), stdout=log, stderr=log)
        self.start_new_kernel_client()

    def execute_cell(self, cell: Any, cell_index: int, *args: Any, **kwargs: Any) -> Any:
        if cell.cell_type != "code":
            return cell
        progress = self.session.progress
        progress.cell_started()
        started = time.perf_counter()
        failed = True
        try:
            result = super().execute_cell(cell, cell_index, *args, **kwargs)
            failed = False
            return result
        finally:
            seconds = time.perf_counter() - started
            self.session.cells.append({"index": cell_index, "heading": progress.heading, "seconds": round(seconds, 3)})
            progress.cell_finished(seconds, failed=failed)

    def papermill_execute_cells(self) -> None:
        super().papermill_execute_cells()
        if any(cell.metadata.papermill.get("exception") for cell in self.nb.cells):
            return
        report = self.session.workspace / "probe.json"
        assert self.kc is not None
        request = self.kc.execute(_PROBE.replace("REPORT", repr(str(report))), silent=True, store_history=False)
        self.wait_for_reply(request)
        if not report.exists():
            raise CellExecutionError("the kernel did not say what it had loaded", "ProbeError", "no report")
        self.session.probe = json.loads(report.read_text(encoding="utf-8"))


class KernelStartError(RuntimeError):
    """The kernel could not be started."""


class ReplicaEngine(Engine):
    """Papermill's engine for Replica; ``session`` is a :class:`Session`."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: Any, kernel_name: str, *, session: Session, log_output: bool = False,
        stdout_file: Any = None, stderr_file: Any = None, start_timeout: int = 60, **_: Any,
    ) -> Any:  # fmt: skip
        client = _Client(
            nb_man, kernel_name=kernel_name, startup_timeout=start_timeout, timeout=None,
            log_output=log_output, stdout_file=stdout_file, stderr_file=stderr_file,
        )  # fmt: skip
        client.session = session
        return client.execute()


papermill_engines.register(ENGINE, ReplicaEngine)


def prepare_workspace(workspace: Path) -> None:
    """An empty private directory for the kernel."""
    shutil.rmtree(workspace, ignore_errors=True)
    (workspace / "work").mkdir(parents=True)


_NOISE = re.compile(r"Kernel is running over TCP without encryption|frozen modules|PYDEVD_DISABLE_FILE_VALIDATION")


def kernel_messages(log: Path) -> str:
    """What the kernel process wrote by itself, without the remarks it makes on every start."""
    if not log.exists():
        return ""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(line for line in lines if line.strip() and not _NOISE.search(line))
