"""A clean cache, a toy registry and a local web server for the tests of the data sets."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import os
import struct
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from replica.datasets import api
from replica.datasets import registry as registry_module
from replica.datasets.registry import Registry

# the cache of whoever runs the tests, before the fixture below hides it
USER_CACHE = os.environ.get("REPLICA_DATA")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, no permission to download, nothing loaded yet."""
    home = tmp_path / "cache"
    monkeypatch.setenv("REPLICA_DATA", str(home))
    monkeypatch.delenv("REPLICA_DOWNLOAD", raising=False)
    monkeypatch.delenv("REPLICA_ROOT", raising=False)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setattr(api, "_LOADED", {})
    return home


def idx_bytes(values: np.ndarray) -> bytes:
    """An IDX file of unsigned bytes."""
    return struct.pack(f">{1 + values.ndim}i", 0x800 + values.ndim, *values.shape) + values.astype(np.uint8).tobytes()


@dataclass
class Web:
    """A web server on this machine: what it serves by path, and what it was asked for."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    truncate: set[str] = field(default_factory=set)  # send half of the promised bytes, then hang up
    stall: set[str] = field(default_factory=set)  # send half, then wait for `go_on`
    half_sent: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def web():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(self.path)
            body = site.files.get(self.path)
            if body is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            half = len(body) // 2
            self.wfile.write(body[:half])
            self.wfile.flush()
            if self.path in site.truncate:
                self.close_connection = True
                return
            if self.path in site.stall:
                site.half_sent.set()
                site.go_on.wait(20)
            self.wfile.write(body[half:])

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site = Web(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield site
    site.go_on.set()
    server.shutdown()
    server.server_close()
    thread.join()


def sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def entry(loader: str, files: list[dict], **more: object) -> dict:
    """A registry entry with the fields that do not matter here filled in."""
    filler = {
        "title": "Toy",
        "kind": "images",
        "licence": "CC0",
        "citation": "none",
        "home": "none",
        "caption": "Toy ({n}).",
    }
    return filler | {"loader": loader, "files": files} | more


@pytest.fixture
def use_registry(monkeypatch: pytest.MonkeyPatch):
    """Replace the registry of this process by entries given as plain dicts (beside the real bundled ones)."""
    real = registry_module.read_registry(registry_module.registry_path()).model_dump(by_alias=True)["datasets"]

    def use(**datasets: dict) -> None:
        datasets = {name.replace("_", "-"): value for name, value in datasets.items()}
        bundled = {name: value for name, value in real.items() if all(f["package"] for f in value["files"])}
        made = Registry.model_validate({"schema": 1, "datasets": bundled | datasets})
        monkeypatch.setattr(registry_module, "registry", lambda: made)

    return use


@pytest.fixture
def toy_mnist(web: Web, use_registry) -> dict[str, bytes]:
    """A tiny MNIST on the local server: 6 training and 4 test images. Returns the files by name."""
    rng = np.random.default_rng(1)
    files = {}
    for prefix, count in (("train", 6), ("t10k", 4)):
        images = idx_bytes(rng.integers(0, 256, (count, 28, 28)))
        labels = idx_bytes(np.arange(count))
        files[f"{prefix}-images-idx3-ubyte.gz"] = gzip.compress(images, mtime=0)
        files[f"{prefix}-labels-idx1-ubyte.gz"] = gzip.compress(labels, mtime=0)
    web.files.update({f"/{name}": raw for name, raw in files.items()})
    specs = [
        {
            "name": name,
            "bytes": len(raw),
            "sha256": sha256(raw),
            "content_sha256": sha256(gzip.decompress(raw)),
            "splits": ["train" if name.startswith("train") else "test"],
            "urls": [f"{web.url}/{name}"],
        }
        for name, raw in files.items()
    ]
    stand_ins = [{"name": "digits", "caption": "MNIST replaced by {n} digits."}]
    use_registry(mnist=entry("idx", specs, splits={"train": 6, "test": 4}, stand_ins=stand_ins))
    return files


def put(cache: Path, name: str, files: dict[str, bytes]) -> Path:
    """Write files into the cache folder of a data set."""
    folder = cache / name
    folder.mkdir(parents=True, exist_ok=True)
    for filename, raw in files.items():
        (folder / filename).write_bytes(raw)
    return folder
