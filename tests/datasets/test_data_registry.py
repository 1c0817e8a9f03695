"""The registry file: valid, complete, found from a checkout and from an installed package; broken ones explained."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from replica.datasets import DataError, api
from replica.datasets import registry as registry_module
from replica.datasets.registry import read_registry, registry, registry_path

ROOT = Path(__file__).resolve().parents[2]


def test_every_entry_can_be_loaded_and_is_documented():
    readme = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    for name, entry in registry().datasets.items():
        assert callable(api._loader(entry.loader)), name
        assert f"`{name}`" in readme, name
        assert all(file.sha256 for file in entry.files), f"{name}: a sha256 is known for all"
        assert all(stand_in.caption.startswith(entry.title.split()[0]) for stand_in in entry.stand_ins)


def test_archives_whose_original_holds_pickles_are_not_used():
    assert "cifar-10-python" not in registry_path().read_text(encoding="utf-8")


def test_found_in_the_checkout_else_beside_the_module(tmp_path, monkeypatch):
    assert registry_path() == ROOT / "data" / "registry.yml"
    package = tmp_path / "lib" / "site-packages" / "replica" / "datasets"
    package.mkdir(parents=True)
    monkeypatch.setattr(registry_module, "__file__", str(package / "registry.py"))
    with pytest.raises(DataError, match=r"Reinstall the package, or restore data/registry.yml"):
        registry_path()
    shutil.copy(ROOT / "data" / "registry.yml", package)
    assert registry_path() == package / "registry.yml"
    assert read_registry(registry_path()) == registry()


def good() -> dict:
    file = {"name": "a.gz", "bytes": 3, "sha256": "0" * 64, "urls": ["https://example.org/a.gz"], "splits": ["train"]}
    entry = {
        "title": "A", "kind": "images", "loader": "idx", "licence": "CC0", "citation": "c", "home": "h",
        "caption": "A ({n:,}).", "splits": {"train": 1, "test": 1}, "files": [file],
    }  # fmt: skip
    return {"schema": 1, "datasets": {"a": entry}}


def spoil(path: str, value: object) -> dict:
    made = good()
    *way, last = path.split("/")
    place = made
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return made


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("datasets/a/files/0/sha256", "xyz", r"datasets\.a\.files\.0\.sha256: .*pattern.*got 'xyz'"),
        ("datasets/a/files/0/sha256", None, "expected a sha256"),
        ("datasets/a/files/0/urls", None, "where does the file come from"),
        ("datasets/a/files/0/urls", ["ftp://example.org"], r"expected http\(s\) addresses, got 'ftp"),
        ("datasets/a/files/0/name", "../a.gz", "expected a file name without folders"),
        ("datasets/a/files/0/package", "sklearn", "`package` and `path` belong together"),
        ("datasets/a/files/0/path", "../../etc/passwd", "expected a path inside the installed package"),
        ("datasets/a/files/0/bytes", 0, "greater than 0"),
        ("datasets/a/files/0/splits", ["validation"], "serves the split 'validation', which is not among"),
        ("datasets/a/caption", "{m} images", r"may contain \{n\} or \{n:,\}"),
        ("datasets/a/files", [], "expected at least one split and one file"),
        ("datasets/a/loader", "pickle", r"datasets\.a\.loader: .*'digits', 'idx'"),
        ("datasets/a/license", "CC0", r"datasets\.a\.license: Extra inputs are not permitted"),
        ("datasets/a/licence", None, r"datasets\.a\.licence: Field required"),
        ("datasets/a/stand_ins", [{"name": "b", "caption": "B."}], "stand-in 'b' is not another data set"),
        ("datasets/a/stand_ins", [{"name": "a", "caption": "A."}], "stand-in 'a' is not another data set"),
        ("datasets/a/aliases", ["a"], "the name 'a' is used twice"),
        ("schema", 2, "schema: Input should be 1"),
    ],
)
def test_a_broken_registry_names_the_key_and_what_was_expected(tmp_path, path, value, message):
    file = tmp_path / "registry.yml"
    file.write_text(yaml.safe_dump(spoil(path, value)))
    with pytest.raises(DataError, match=message) as caught:
        read_registry(file)
    assert str(file) in str(caught.value)


def test_all_mistakes_come_at_once(tmp_path):
    made = good()
    del made["datasets"]["a"]["title"]
    made["datasets"]["a"]["kind"] = "sound"
    made["datasets"]["a"]["files"][0]["bytes"] = "many"
    file = tmp_path / "registry.yml"
    file.write_text(yaml.safe_dump(made))
    with pytest.raises(DataError) as caught:
        read_registry(file)
    assert "3 mistake(s)" in str(caught.value)
    assert len(re.findall(r"^  datasets\.a\.", str(caught.value), flags=re.M)) == 3


def test_stand_ins_must_offer_the_same_splits(tmp_path):
    made = good()
    other = made["datasets"]["a"] | {
        "splits": {"all": 1},
        "files": [made["datasets"]["a"]["files"][0] | {"splits": []}],
    }
    made["datasets"]["b"] = other
    made["datasets"]["a"] = made["datasets"]["a"] | {"stand_ins": [{"name": "b", "caption": "B."}]}
    file = tmp_path / "registry.yml"
    file.write_text(yaml.safe_dump(made))
    with pytest.raises(DataError, match="stand-in b has no split test, train"):
        read_registry(file)


def test_a_file_that_is_not_yaml_is_explained(tmp_path):
    file = tmp_path / "registry.yml"
    file.write_text("a: [1,")
    with pytest.raises(DataError, match="cannot be read as YAML"):
        read_registry(file)
    with pytest.raises(DataError, match="cannot be read as YAML"):
        read_registry(tmp_path / "none.yml")
