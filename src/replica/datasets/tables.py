"""Small tables for classification and regression that ship with scikit-learn."""

from __future__ import annotations

import numpy as np

from replica.datasets.files import Files
from replica.datasets.images import Arrays


def load_table(files: Files, split: str) -> Arrays:
    """A classification table: inputs (n, features) in their own units, labels int64, names of the classes.

    The first line of the file is ``rows, features, class names...``; the last column is the class.
    """
    head, *rows = files.read(files.names()[0]).decode("ascii").splitlines()
    _, features, *classes = head.split(",")
    table = np.loadtxt(rows, delimiter=",")
    return table[:, : int(features)], table[:, -1].astype(np.int64), tuple(classes)


def load_diabetes(files: Files, split: str) -> Arrays:
    """Diabetes progression: (n, 10) features, each with mean 0 and sum of squares 1; the target is a float."""
    inputs = np.loadtxt(files.read("diabetes_data_raw.csv.gz").decode("ascii").splitlines())
    target = np.loadtxt(files.read("diabetes_target.csv.gz").decode("ascii").splitlines())
    inputs = inputs - inputs.mean(axis=0)
    return inputs / np.linalg.norm(inputs, axis=0), target, ()
