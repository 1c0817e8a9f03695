"""Labelled images."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path

import numpy as np

from replica.datasets.dataset import DataError, Dataset, Meta

_DIGITS_SPLITS = {"all": slice(None), "train": slice(0, 1297), "test": slice(1297, None)}


def load_digits(split: str = "all") -> Dataset:
    """The 1797 handwritten digits of scikit-learn: (n, 8, 8) float64 in [0, 1] (sixteenths), labels int64."""
    if split not in _DIGITS_SPLITS:
        raise DataError(f"digits has the splits {', '.join(_DIGITS_SPLITS)}; got {split!r}")
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise DataError("digits is part of scikit-learn, which is not installed")
    table = np.loadtxt(Path(package.origin).parent / "datasets/data/digits.csv.gz", delimiter=",")
    table = table[_DIGITS_SPLITS[split]]
    inputs = table[:, :-1].reshape(-1, 8, 8) / 16.0
    meta = Meta(
        name="digits", title="Handwritten digits", licence="CC BY 4.0", citation="UCI optdigits",
        caption="Handwritten digits of scikit-learn (8 × 8 pixels).", split=split, shape=inputs.shape,
        source="bundled", origin=f"scikit-learn {importlib.metadata.version('scikit-learn')}",
    )
    return Dataset(inputs, table[:, -1].astype(np.int64), meta, tuple("0123456789"))
