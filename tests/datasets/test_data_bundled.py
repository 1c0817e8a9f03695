"""The data that ship inside installed packages: shapes, ranges, agreement with the packages' own loaders."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import replica.datasets
from replica.datasets import DataError, load, loaded, resolve, status

BUNDLED = [
    "digits", "photo-patches", "photo-patches-10", "lee-background", "analogies", "wordsim353", "simlex999",
    "breast-cancer", "wine", "iris", "diabetes",
]  # fmt: skip


def test_import_is_cheap():
    code = (
        "import time, sys; start = time.perf_counter(); import replica.datasets; "
        "heavy = ('numpy', 'sklearn', 'torch', 'pydantic', 'pooch'); "
        "print(time.perf_counter() - start, [m for m in heavy if m in sys.modules])"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    times = [float(run.stdout.split(maxsplit=1)[0]) for run in runs]
    assert all(run.stdout.split(maxsplit=1)[1].strip() == "[]" for run in runs)
    assert min(times) < 0.1


def test_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    ours, theirs = load("digits"), load_digits()
    assert ours.inputs.shape == (1797, 8, 8)
    assert ours.inputs.dtype == np.float64
    assert np.array_equal(16 * ours.inputs, theirs.images)
    assert np.array_equal(ours.labels, theirs.target)
    assert ours.names == tuple("0123456789")
    assert ours.flat.shape == (1797, 64)
    assert ours.meta.source == "bundled"
    assert not ours.meta.is_stand_in
    assert ours.meta.sha256 == {"digits.csv.gz": "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"}


def test_digits_splits_share_no_example_and_cover_all():
    train, test, both = load("digits", "train"), load("digits", "test"), load("digits", "all")
    assert len(train) == 1297
    assert len(test) == 500
    assert np.array_equal(np.concatenate([train.inputs, test.inputs]), both.inputs)
    assert set(np.unique(test.labels)) == set(range(10))


def test_take_keeps_examples_and_labels_together():
    digits = load("digits")
    threes = digits.take(digits.labels == 3)
    assert len(threes) == np.sum(digits.labels == 3)
    assert set(threes.labels) == {3}
    assert threes.meta.shape == threes.inputs.shape
    assert len(digits) == 1797


@pytest.mark.parametrize(
    ("name", "rows", "features", "classes"), [("breast_cancer", 569, 30, 2), ("wine", 178, 13, 3), ("iris", 150, 4, 3)]
)
def test_tables_are_those_of_scikit_learn(name, rows, features, classes):
    import sklearn.datasets

    ours = load(name.replace("_", "-"))
    theirs = getattr(sklearn.datasets, f"load_{name}")()
    assert ours.inputs.shape == (rows, features)
    assert np.array_equal(ours.inputs, theirs.data)
    assert np.array_equal(ours.labels, theirs.target)
    assert len(ours.names) == classes
    assert ours.names == tuple(theirs.target_names)


def test_diabetes_is_that_of_scikit_learn():
    from sklearn.datasets import load_diabetes

    ours, theirs = load("diabetes"), load_diabetes()
    assert np.allclose(ours.inputs, theirs.data, rtol=0, atol=1e-12)
    assert np.array_equal(ours.labels, theirs.target)
    assert np.allclose(np.sum(ours.inputs**2, axis=0), 1)


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_sets_are_whole_described_and_the_same_every_time(name):
    first, second = load(name), load(name)
    assert np.array_equal(first.inputs, second.inputs)
    assert first.inputs is not second.inputs
    assert len(first.labels) == len(first.inputs)
    meta = first.meta
    assert meta.licence
    assert meta.citation
    assert meta.caption
    assert "{" not in meta.caption
    assert meta.origin
    assert meta.stand_in is None
    assert meta.shape == first.inputs.shape
    assert all(len(digest) == 64 for digest in meta.sha256.values())
    assert json.loads(json.dumps(meta.as_dict()))["name"] == name
    assert vars(meta)["is_stand_in"] is False
    assert resolve(name) == name


def test_example_counts_are_those_of_the_registry():
    from replica.datasets.registry import registry

    for name in BUNDLED:
        for split, count in registry().datasets[name].splits.items():
            if count is not None:
                assert len(load(name, split)) == count


@pytest.mark.parametrize("name", ["digits", "photo-patches", "photo-patches-10"])
def test_images_are_in_the_unit_interval(name):
    inputs = load(name).inputs
    assert inputs.min() >= 0
    assert inputs.max() <= 1
    assert inputs.max() > 0.9
    assert load(name, **({} if name == "photo-patches" else {"dtype": "float32"})).inputs.dtype in (
        np.float32,
        np.float64,
    )


def test_bad_requests_are_refused_with_a_sentence():
    with pytest.raises(DataError, match="Did you mean digits"):
        load("digit")
    with pytest.raises(DataError, match="Did you mean photo-patches"):
        load("photo_patch")
    with pytest.raises(DataError, match="Known names: digits"):
        load("qqqq")
    with pytest.raises(DataError, match="has the splits all, train, test; got 'validation'"):
        load("digits", "validation")
    with pytest.raises(DataError, match="source: expected 'auto', 'canonical' or 'stand-in'"):
        load("digits", source="fake")
    with pytest.raises(DataError, match="digits has no stand-in"):
        load("digits", source="stand-in")
    with pytest.raises(DataError, match="digits takes the options dtype; got colour"):
        load("digits", colour=True)
    with pytest.raises(DataError, match="iris takes no options; got dtype"):
        load("iris", dtype="float32")
    with pytest.raises(ValueError, match="expected a floating-point type"):
        load("digits", dtype="uint8")


def test_loaded_lists_each_use_once_in_order():
    for name in ("wine", "digits", "wine"):
        load(name)
    load("digits", "test")
    assert [(meta.name, meta.split) for meta in loaded()] == [("wine", "all"), ("digits", "all"), ("digits", "test")]


def test_status_tells_what_is_here():
    rows = {row["name"]: row for row in status(verify=True)}
    assert rows["digits"]["state"] == "bundled"
    assert rows["digits"]["bytes"] == 57523
    assert rows["mnist"]["state"] == "missing"
    assert rows["mnist"]["splits"] == []
    assert rows["cifar10"]["stand_in"] == "photo-patches-10"
    assert all(row["licence"] and row["path"] for row in rows.values())
    json.dumps(list(rows.values()))


def test_foreign_pickles_are_never_opened():
    for path in Path(replica.datasets.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword):
                assert node.arg != "allow_pickle", path
            if isinstance(node, ast.Import):
                assert not {alias.name for alias in node.names} & {"pickle", "joblib", "torch", "shelve"}, path
            if isinstance(node, ast.Attribute):
                assert not (node.attr == "load" and isinstance(node.value, ast.Name) and node.value.id == "np"), path
