"""Where data files are, whether they are what they should be, and how they are downloaded.

A file is looked for in the installed package that ships it, then in the cache, then where a Debian
package puts it. The cache is the folder named by ``REPLICA_DATA``, else the user's cache folder; a
data set ``name`` keeps its files in ``<cache>/<name>/``. Every file is hashed each time it is read.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
import os
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from replica.datasets.dataset import DataError
from replica.datasets.registry import Entry, FileSpec

_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Found:
    """A file that exists; ``origin`` says where in words, ``ours`` whether it lies in the cache."""

    spec: FileSpec
    path: Path
    origin: str
    ours: bool


def data_home() -> Path:
    """The cache folder: ``REPLICA_DATA``, else the user's cache folder for ``replica``.

    A relative ``REPLICA_DATA`` counts from the project's root while a notebook is being executed
    (``REPLICA_ROOT``), else from the current folder.
    """
    chosen = os.environ.get("REPLICA_DATA", "").strip()
    if not chosen:
        import pooch

        return Path(pooch.os_cache("replica"))
    path = Path(chosen).expanduser()
    return (Path(os.environ.get("REPLICA_ROOT") or Path.cwd()) / path).resolve()


def download_allowed(download: bool | None) -> bool:
    """``download`` where it is given, else whether ``REPLICA_DOWNLOAD`` is set to something other than 0."""
    if download is None:
        return os.environ.get("REPLICA_DOWNLOAD", "").strip().lower() not in ("", "0", "no", "false")
    return download


def find(name: str, spec: FileSpec) -> Found | None:
    """Where a file of data set ``name`` is, or None. Looks at names only; see :func:`verify`."""
    if spec.package is not None and spec.path is not None:
        try:
            package = importlib.metadata.distribution(spec.package)
        except importlib.metadata.PackageNotFoundError:
            return None
        path = Path(str(package.locate_file(spec.path)))
        return Found(spec, path, f"{spec.package} {package.version}", ours=False) if path.is_file() else None
    folder = data_home() / name
    for candidate in (folder / spec.name, folder / _unpacked_name(spec)):
        if candidate.is_file():
            return Found(spec, candidate, "cache", ours=True)
    for system in spec.system:
        if Path(system).is_file():
            return Found(spec, Path(system), "Debian package", ours=False)
    return None


def _unpacked_name(spec: FileSpec) -> str:
    """The name that a copy without its wrapper has; only where the hash of the content is known."""
    wrapped = spec.content_sha256 is not None and spec.name.endswith((".gz", ".zip"))
    return spec.name.rpartition(".")[0] if wrapped else spec.name


class Files:
    """The files of one data set, each verified when it is first used; remembers hashes and origins."""

    def __init__(self, name: str, entry: Entry) -> None:
        self.name = name
        self.entry = entry
        self.hashes: dict[str, str] = {}
        self.origins: list[str] = []
        self._specs = {spec.name: spec for spec in entry.files}

    def names(self) -> list[str]:
        """The names of the files, as the registry lists them."""
        return list(self._specs)

    def locate(self, filename: str) -> Found:
        """A verified file; a DataError if it is missing or damaged."""
        spec = self._specs[filename]
        found = find(self.name, spec)
        if found is None:
            raise DataError(
                f"{self.entry.title}: a file is missing.\n{where_to_get(self.name, [spec], self.entry.install)}"
            )
        if filename not in self.hashes:
            self.hashes[filename] = verify(found)
            if found.origin not in self.origins:
                self.origins.append(found.origin)
        return found

    def path(self, filename: str) -> Path:
        """The path of a verified file."""
        return self.locate(filename).path

    def read(self, filename: str) -> bytes:
        """The content of a verified file, out of its wrapper."""
        return read_content(self.locate(filename))


def missing(name: str, entry: Entry, split: str | None) -> list[FileSpec]:
    """The files of a split that are nowhere on this machine."""
    return [spec for spec in entry.files_of(split) if find(name, spec) is None]


def hash_file(path: Path, algorithm: str = "sha256") -> str:
    """The hex digest of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def read_content(found: Found) -> bytes:
    """The bytes of a file, out of its ``.gz`` or ``.zip`` wrapper if it has one."""
    if found.path.suffix == ".gz":
        with gzip.open(found.path, "rb") as stream:
            return stream.read()
    if found.path.suffix == ".zip":
        with zipfile.ZipFile(found.path) as archive:
            return archive.read(found.spec.name.rpartition(".")[0])
    return found.path.read_bytes()


def hash_is_right(found: Found) -> bool:
    """Whether a file is the registered one, or has the registered content in another wrapper."""
    spec = found.spec
    kind, _, expected = spec.known_hash.partition(":")
    good = hash_file(found.path, kind) == expected
    if good or spec.content_sha256 is None:
        return good
    try:
        return hashlib.sha256(read_content(found)).hexdigest() == spec.content_sha256
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, KeyError):
        return False


def verify(found: Found) -> str:
    """Check a file against the registry; return the sha256 of the file as it lies there.

    A file with another wrapper but the registered content (recompressed, or unpacked) is accepted.

    Raises
    ------
    DataError
        If it is not the registered file. One in the cache is moved aside to ``<name>.corrupt``.
    """
    if not hash_is_right(found):
        raise DataError(_refusal(found))
    return hash_file(found.path)


def keep_aside_if_damaged(found: Found) -> bool:
    """Whether a file of the cache was damaged and has been moved aside (with a warning that says so)."""
    if not found.ours or hash_is_right(found):
        return False
    text = _refusal(found)
    if found.path.exists():
        raise DataError(text)
    warnings.warn(text, RuntimeWarning, stacklevel=3)
    return True


def _refusal(found: Found) -> str:
    spec, path = found.spec, found.path
    kind = spec.known_hash.partition(":")[0]
    text = (
        f"{path} is not the file it should be: expected {spec.bytes:,} bytes with {spec.known_hash}, "
        f"found {path.stat().st_size:,} bytes with {kind}:{hash_file(path, kind)}. It was not used"
    )
    if not found.ours:
        return f"{text}. It belongs to {found.origin}: reinstall that, at the version that requirements.lock names."
    return f"{text}{_set_aside(path)} Run `replica data {path.parent.name}` for a good copy."


def _set_aside(path: Path) -> str:
    """Rename a bad file to the first free ``<name>.corrupt``; say what became of it."""
    number, aside = 1, path.with_name(path.name + ".corrupt")
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.corrupt-{number}")
    try:
        path.rename(aside)
    except OSError as error:
        return (
            f", and it is still there, because the folder cannot be written to ({error.strerror}): remove it yourself."
        )
    return f" and is kept as {aside.name}."


def fetch_file(name: str, spec: FileSpec, progress: bool = False) -> Path:
    """Download one file into the cache, trying its addresses in turn.

    pooch writes to a temporary file in the same folder, checks the hash and only then moves it into
    place, so an interrupted or damaged download never has the file's name.
    """
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    folder, problems = data_home() / name, []
    for url in spec.urls:
        try:
            path = pooch.retrieve(
                url, known_hash=spec.known_hash, fname=spec.name, path=folder,
                downloader=pooch.HTTPDownloader(progressbar=progress, timeout=_TIMEOUT_S),
            )  # fmt: skip
            return Path(path)
        except (requests.RequestException, ValueError) as error:  # a wrong hash is a ValueError
            problems.append(f"{url}: {_reason(error)}")
        except OSError as error:
            raise DataError(
                f"{spec.name} cannot be stored in {folder} ({error.strerror or error}). "
                "Point REPLICA_DATA at a folder that can be written to and has room."
            ) from error
    raise DataError("The download failed:\n  " + "\n  ".join(problems) + "\n" + where_to_get(name, [spec]))


def _reason(error: Exception) -> str:
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off before the end of the file"
    if isinstance(error, requests.Timeout):
        return f"no answer within {_TIMEOUT_S:g} s"
    if isinstance(error, requests.ConnectionError):
        return "no connection (no network, or the server cannot be reached)"
    if isinstance(error, ValueError) and "hash" in str(error).lower():
        return "what came is not the registered file (its hash differs), so it was thrown away"
    return f"{type(error).__name__}: {error}"


def where_to_get(name: str, specs: Sequence[FileSpec], install: str | None = None) -> str:
    """For missing files: what each is, where it comes from, how large it is and where to put it."""
    lines = []
    for spec in specs:
        if spec.package is not None:
            lines.append(
                f"{spec.name} ({_size(spec.bytes)}) is part of the Python package {spec.package}: install that."
            )
            continue
        origin = " or ".join(spec.urls) or spec.by_hand
        lines.append(
            f"{spec.name} ({_size(spec.bytes)}, {spec.known_hash}) comes from {origin}; "
            f"put it at {data_home() / name / spec.name}"
        )
    if any(spec.urls for spec in specs):
        lines.append(
            f"Or let Replica get it: `replica data {name}` (needs a network); REPLICA_DOWNLOAD=1 allows "
            "downloads while notebooks run; REPLICA_DATA names another cache folder."
        )
        if install:
            lines.append(f"On Debian `{install}` also provides it.")
    return "\n".join(lines)


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"
