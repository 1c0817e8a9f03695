"""Cache, downloads and stand-ins, against a web server on this machine."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from replica.datasets import DataError, fetch, load, loaded, resolve, status
from replica.datasets.files import data_home, find, where_to_get
from replica.datasets.images import parse_cifar
from replica.datasets.registry import FileSpec, lookup

from .conftest import USER_CACHE, entry, put, sha256


def state(name: str) -> dict:
    return next(row for row in status() if row["name"] == name)


# --- finding


def test_the_cache_is_where_replica_data_says(monkeypatch, tmp_path):
    monkeypatch.setenv("REPLICA_DATA", str(tmp_path / "elsewhere"))
    assert data_home() == tmp_path / "elsewhere"
    monkeypatch.setenv("REPLICA_DATA", "~/numbers")
    assert data_home() == Path.home() / "numbers"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPLICA_DATA", "here")
    assert data_home() == tmp_path / "here"
    monkeypatch.setenv("REPLICA_ROOT", str(tmp_path / "project"))  # a notebook runs in another folder
    assert data_home() == tmp_path / "project" / "here"
    monkeypatch.delenv("REPLICA_DATA")
    assert data_home().name == "replica"


def test_complete_cache_is_used_without_asking_the_network(cache, toy_mnist, web):
    put(cache, "mnist", toy_mnist)
    data = load("mnist", download=True)
    assert data.inputs.shape == (6, 28, 28)
    assert data.inputs.dtype == np.float32
    assert list(data.labels) == list(range(6))
    assert (data.meta.source, data.meta.origin, data.meta.is_stand_in) == ("canonical", "cache", False)
    assert data.meta.sha256.keys() == {"train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"}
    pixels = np.frombuffer(gzip.decompress(toy_mnist["train-images-idx3-ubyte.gz"])[16:], dtype=np.uint8)
    assert np.allclose(data.inputs.ravel(), pixels / 255)
    assert web.asked == []
    assert state("mnist")["state"] == "cached"


def test_half_a_cache_serves_its_split_and_names_what_is_missing(cache, toy_mnist):
    put(cache, "mnist", {name: raw for name, raw in toy_mnist.items() if name.startswith("t10k")})
    assert len(load("mnist", "test", source="canonical")) == 4
    assert (state("mnist")["state"], state("mnist")["splits"]) == ("partial", ["test"])
    assert (resolve("mnist", "test"), resolve("mnist", "train")) == ("mnist", "digits")
    with pytest.raises(DataError) as caught:
        load("mnist", "train", source="canonical")
    text = str(caught.value)
    for word in (
        "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "http://127.0.0.1", " kB", "sha256:",
        f"put it at {cache / 'mnist' / 'train-images-idx3-ubyte.gz'}", "replica data mnist", "REPLICA_DATA",
    ):  # fmt: skip
        assert word in text
    assert "t10k" not in text


def test_real_and_stand_in_splits_are_never_mixed_silently(cache, toy_mnist):
    put(cache, "mnist", {name: raw for name, raw in toy_mnist.items() if name.startswith("t10k")})
    load("mnist", "test")
    with pytest.raises(
        DataError, match=r"the test split is the real data, but for the train split there is only .* digits"
    ):
        load("mnist", "train")
    assert load("mnist", "train", source="stand-in").meta.stand_in == "digits"
    with pytest.raises(DataError, match="the test split is the real data"):
        load("mnist", "test")
    put(cache, "mnist", toy_mnist)
    assert not load("mnist", "test").meta.is_stand_in
    assert not load("mnist", "train").meta.is_stand_in


def test_unpacked_and_recompressed_copies_are_known_by_their_content(cache, toy_mnist):
    contents = {name: gzip.decompress(raw) for name, raw in toy_mnist.items()}
    put(cache, "mnist", {name.removesuffix(".gz"): raw for name, raw in contents.items() if "images" in name})
    put(cache, "mnist", {name: gzip.compress(raw, 1, mtime=9) for name, raw in contents.items() if "labels" in name})
    assert len(load("mnist", "train", source="canonical")) == 6


def test_a_system_copy_is_used_and_never_touched(cache, toy_mnist, use_registry, tmp_path):
    system = tmp_path / "usr"
    system.mkdir()
    name = "t10k-labels-idx1-ubyte.gz"
    (system / name).write_bytes(toy_mnist[name])
    specs = lookup("mnist")[1].model_dump()["files"]
    specs = [spec | {"system": [str(system / spec["name"])]} for spec in specs if spec["splits"] == ("test",)]
    use_registry(mnist=entry("idx", specs, splits={"test": 4}))
    put(cache, "mnist", {"t10k-images-idx3-ubyte.gz": toy_mnist["t10k-images-idx3-ubyte.gz"]})
    assert load("mnist").meta.origin == "cache, Debian package"
    (system / name).write_bytes(b"spoiled")
    with pytest.raises(DataError, match="It belongs to Debian package: reinstall that"):
        load("mnist")
    assert (system / name).read_bytes() == b"spoiled"


# --- stand-ins


def test_a_stand_in_says_so_everywhere(toy_mnist, web):
    data = load("mnist", "train")
    assert data.inputs.shape == (1297, 8, 8)
    assert data.meta.is_stand_in
    assert (data.meta.name, data.meta.stand_in, data.meta.source) == ("mnist", "digits", "stand-in")
    assert data.meta.caption == "MNIST replaced by 1297 digits."
    assert loaded()[0].as_dict()["is_stand_in"] is True
    assert vars(loaded()[0])["is_stand_in"] is True
    assert web.asked == []
    assert state("mnist")["stand_in"] == "digits"


def test_the_real_registry_has_honest_captions_for_its_stand_ins():
    for name, stand_in in (("mnist", "digits"), ("fashion-mnist", "digits"), ("cifar10", "photo-patches-10")):
        for split in ("train", "test"):
            data = load(name, split, source="stand-in")
            if data.meta.stand_in == "fashion-mnist":  # where Debian's package is installed
                continue
            assert data.meta.stand_in == stand_in
            assert "replaced by" in data.meta.caption
            assert f"{len(data):,}" in data.meta.caption
            assert "accuracies are not the paper's" in data.meta.caption


def test_canonical_never_falls_back(toy_mnist):
    with pytest.raises(DataError, match="is not on this machine"):
        load("mnist", source="canonical")


def test_an_option_the_stand_in_does_not_know_is_refused(toy_mnist):
    with pytest.raises(DataError, match="digits takes the options dtype; got size"):
        load("mnist", size=28)


# --- downloading


def test_nothing_is_downloaded_unless_allowed(toy_mnist, web, monkeypatch):
    load("mnist")
    monkeypatch.setenv("REPLICA_DOWNLOAD", "0")
    load("mnist")
    monkeypatch.setenv("REPLICA_DOWNLOAD", "1")
    load("mnist", download=False)
    assert web.asked == []


def test_download_by_argument_and_by_environment(cache, toy_mnist, web, monkeypatch):
    assert not load("mnist", "test", download=True).meta.is_stand_in
    assert sorted(web.asked) == ["/t10k-images-idx3-ubyte.gz", "/t10k-labels-idx1-ubyte.gz"]
    monkeypatch.setenv("REPLICA_DOWNLOAD", "1")
    assert len(load("mnist", "train")) == 6
    assert {path.name for path in (cache / "mnist").iterdir()} == set(toy_mnist)
    asked = len(web.asked)
    load("mnist", "train")
    assert len(web.asked) == asked


def test_fetch_returns_verified_files(cache, toy_mnist, capfd):
    paths = fetch("mnist", progress=True)
    assert {path.name: path.read_bytes() for path in paths} == toy_mnist
    assert "100%" in capfd.readouterr().err
    assert fetch("digits")[0].name == "digits.csv.gz"


def test_the_second_address_is_tried_when_the_first_fails(cache, toy_mnist, use_registry, web):
    specs = [spec | {"urls": [f"{web.url}/gone/{spec['name']}", *spec["urls"]]} for spec in files_of("mnist")]
    use_registry(mnist=entry("idx", specs, splits={"train": 6, "test": 4}))
    assert len(fetch("mnist", progress=False)) == 4
    assert "/gone/train-images-idx3-ubyte.gz" in web.asked


def files_of(name: str) -> list[dict]:
    return registry_entry(name)["files"]


def registry_entry(name: str) -> dict:
    return lookup(name)[1].model_dump()


def test_not_found_names_the_answer_the_address_and_the_remedy(cache, toy_mnist, web):
    web.files.clear()
    with pytest.raises(DataError) as caught:
        load("mnist", download=True)
    assert "the server answered 404" in str(caught.value)
    assert f"{web.url}/train-images-idx3-ubyte.gz" in str(caught.value)
    assert "put it at" in str(caught.value)
    assert not any((cache / "mnist").glob("*.gz"))


def test_a_broken_connection_leaves_no_file(cache, toy_mnist, web):
    web.truncate.add("/train-images-idx3-ubyte.gz")
    with pytest.raises(DataError, match="broke off before the end"):
        fetch("mnist", progress=False)
    assert list((cache / "mnist").iterdir()) == []
    web.truncate.clear()
    assert len(fetch("mnist", progress=False)) == 4


def test_a_wrong_file_is_thrown_away(cache, toy_mnist, web):
    web.files["/train-images-idx3-ubyte.gz"] = b"<html>log in to the hotel's network</html>"
    with pytest.raises(DataError, match="not the registered file"):
        fetch("mnist", progress=False)
    assert list((cache / "mnist").iterdir()) == []


def test_no_network_says_so(cache, toy_mnist, use_registry):
    specs = [spec | {"urls": [f"http://127.0.0.1:9/{spec['name']}"]} for spec in files_of("mnist")]
    use_registry(mnist=entry("idx", specs, splits={"train": 6, "test": 4}))
    with pytest.raises(DataError, match="no connection") as caught:
        load("mnist", source="canonical", download=True)
    assert "put it at" in str(caught.value)


def test_a_cache_that_cannot_be_written_says_so(toy_mnist, tmp_path, monkeypatch):
    (tmp_path / "a-file").write_text("")
    monkeypatch.setenv("REPLICA_DATA", str(tmp_path / "a-file"))
    with pytest.raises(DataError, match=r"cannot be stored in .* Point REPLICA_DATA at a folder"):
        fetch("mnist", progress=False)


def test_a_killed_download_leaves_no_half_file(cache, web):
    body = os.urandom(200_000)
    web.files["/big.bin"] = body
    web.stall.add("/big.bin")
    spec = {"name": "big.bin", "bytes": len(body), "sha256": sha256(body), "urls": [f"{web.url}/big.bin"]}
    code = (
        "import json, sys; from replica.datasets.files import fetch_file; "
        "from replica.datasets.registry import FileSpec; "
        "fetch_file('toy', FileSpec.model_validate(json.loads(sys.argv[1])))"
    )
    child = subprocess.Popen([sys.executable, "-c", code, json.dumps(spec)])
    assert web.half_sent.wait(30)
    child.send_signal(signal.SIGKILL)
    child.wait()
    web.go_on.set()
    assert not (cache / "toy" / "big.bin").exists()
    web.stall.clear()
    subprocess.run([sys.executable, "-c", code, json.dumps(spec)], check=True)
    assert (cache / "toy" / "big.bin").read_bytes() == body


def test_an_md5_serves_where_no_sha256_is_known(cache, web):
    import hashlib

    from replica.datasets.files import fetch_file, hash_is_right

    web.files["/old.bin"] = b"old"
    md5 = hashlib.md5(b"old").hexdigest()
    spec = FileSpec(name="old.bin", bytes=3, md5=md5, urls=(f"{web.url}/old.bin",))
    fetch_file("toy", spec)
    assert hash_is_right(find("toy", spec))
    (cache / "toy" / "old.bin").write_bytes(b"odd")
    assert not hash_is_right(find("toy", spec))


# --- damage


@pytest.mark.parametrize("damage", ["flipped", "truncated", "empty"])
def test_a_damaged_file_is_refused_and_kept_aside(cache, toy_mnist, damage):
    name = "train-images-idx3-ubyte.gz"
    raw = toy_mnist[name]
    bad = {"flipped": raw[:200] + bytes([raw[200] ^ 1]) + raw[201:], "truncated": raw[: len(raw) // 2], "empty": b""}[
        damage
    ]
    folder = put(cache, "mnist", toy_mnist | {name: bad})
    with pytest.raises(
        DataError, match=f"is not the file it should be: expected {len(raw):,} bytes .* kept as {name}.corrupt"
    ):
        load("mnist", "train")
    assert not (folder / name).exists()
    assert (folder / f"{name}.corrupt").read_bytes() == bad
    (folder / name).write_bytes(b"bad again")
    with pytest.raises(DataError, match=f"{name}.corrupt-2"):
        load("mnist", "train")
    assert (folder / f"{name}.corrupt").read_bytes() == bad
    fetch("mnist", progress=False)
    assert len(load("mnist", "train", source="canonical")) == 6


def test_fetch_replaces_a_damaged_file_and_warns(cache, toy_mnist):
    name = "train-labels-idx1-ubyte.gz"
    folder = put(cache, "mnist", toy_mnist | {name: b"spoiled"})
    assert next(row for row in status(verify=True) if row["name"] == "mnist")["state"] == "damaged"
    assert (folder / name).exists()  # looking changes nothing
    with pytest.warns(RuntimeWarning, match=r"kept as train-labels-idx1-ubyte.gz\.corrupt"):
        fetch("mnist", progress=False)
    assert (folder / name).read_bytes() == toy_mnist[name]


def test_a_damaged_file_in_a_read_only_cache_stays_and_is_said_to(cache, toy_mnist, monkeypatch):
    name = "t10k-labels-idx1-ubyte.gz"
    folder = put(cache, "mnist", toy_mnist | {name: b"spoiled"})

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(DataError, match="still there, because the folder cannot be written to"):
        load("mnist", "test")
    with pytest.raises(DataError, match="still there"):
        fetch("mnist", progress=False)
    assert (folder / name).read_bytes() == b"spoiled"


# --- CIFAR-10


def cifar_batch(count: int, rng: np.random.Generator) -> bytes:
    records = np.hstack([rng.integers(0, 10, (count, 1)), rng.integers(0, 256, (count, 3072))])
    return records.astype(np.uint8).tobytes()


def cifar_archive(batches: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, body in batches.items():
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return buffer.getvalue()


def use_cifar(raw: bytes, cache: Path, use_registry) -> None:
    spec = {
        "name": "cifar-10-binary.tar.gz",
        "bytes": len(raw),
        "sha256": sha256(raw),
        "urls": ["https://example.org/c"],
    }
    use_registry(cifar10=entry("cifar10", [spec], splits={"train": 10, "test": 3}))
    put(cache, "cifar10", {"cifar-10-binary.tar.gz": raw})


def test_cifar_batches_come_in_order_with_colours_last(cache, use_registry):
    rng = np.random.default_rng(0)
    batches = {f"data_batch_{i}.bin": cifar_batch(2, rng) for i in (3, 1, 5, 2, 4)}
    batches["test_batch.bin"] = cifar_batch(3, rng)
    use_cifar(cifar_archive(batches), cache, use_registry)
    train, test = load("cifar10", "train"), load("cifar10", "test")
    assert train.inputs.shape == (10, 32, 32, 3)
    assert test.inputs.shape == (3, 32, 32, 3)
    records = np.frombuffer(b"".join(batches[f"data_batch_{i}.bin"] for i in range(1, 6)), np.uint8).reshape(10, 3073)
    assert np.array_equal(train.labels, records[:, 0])
    for row, column, colour in ((0, 0, 0), (3, 17, 1), (31, 31, 2)):
        expected = records[:, 1 + 1024 * colour + 32 * row + column] / 255
        assert np.allclose(train.inputs[:, row, column, colour], expected)
    assert train.names[3] == "cat"


def test_a_cifar_archive_without_a_batch_is_refused(cache, use_registry):
    use_cifar(cifar_archive({"test_batch.bin": cifar_batch(3, np.random.default_rng(0))}), cache, use_registry)
    with pytest.raises(DataError, match=r"does not contain data_batch_1\.bin, data_batch_2\.bin"):
        load("cifar10", "train")


def test_bad_cifar_records_are_refused():
    with pytest.raises(DataError, match="multiple of 3073 bytes, got 3072"):
        parse_cifar(bytes(3072))
    with pytest.raises(DataError, match="multiple of 3073"):
        parse_cifar(b"")
    with pytest.raises(DataError, match=r"labels 0\.\.9, found 255"):
        parse_cifar(b"\xff" * 3073)


# --- the real thing, where it is


def test_instructions_name_debians_package_and_python_packages():
    name, fashion = lookup("fashion-mnist")
    assert "apt-get install dataset-fashion-mnist" in where_to_get(name, fashion.files, fashion.install)
    name, digits = lookup("digits")
    assert "part of the Python package scikit-learn" in where_to_get(name, digits.files)


def test_the_real_mnist_test_images(monkeypatch):
    """Runs where the cache of whoever runs the tests has them (``replica data mnist``)."""
    monkeypatch.delenv("REPLICA_DATA")
    if USER_CACHE:
        monkeypatch.setenv("REPLICA_DATA", USER_CACHE)
    if resolve("mnist", "test") != "mnist":
        pytest.skip(f"MNIST's test files are not in the cache ({data_home()}); `replica data mnist` gets them")
    data = load("mnist", "test", source="canonical")
    assert data.inputs.shape == (10000, 28, 28)
    assert list(data.labels[:10]) == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(data.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert data.inputs.mean() == pytest.approx(0.1325, abs=1e-4)
