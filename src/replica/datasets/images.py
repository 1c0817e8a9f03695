"""Labelled images: scikit-learn's digits, MNIST and its relatives, CIFAR-10.

Each loader takes verified files and a split, and returns (inputs, labels, names of the classes).
"""

from __future__ import annotations

import tarfile
from typing import Any

import numpy as np

from replica.datasets.dataset import DataError
from replica.datasets.files import Files
from replica.datasets.idx import IMAGES_MAGIC, LABELS_MAGIC, parse_idx

Arrays = tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]

_FASHION = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_DIGITS_TRAIN = 1297


def to_unit(pixels: np.ndarray, dtype: Any, levels: int = 255) -> np.ndarray:
    """Pixels 0..levels as numbers in [0, 1] of a floating-point type; other types are refused (ValueError)."""
    kind = np.dtype(dtype)
    if kind.kind != "f":
        raise ValueError(f"dtype: expected a floating-point type such as 'float32', got {kind.name!r}")
    return pixels.astype(kind) / kind.type(levels)


def load_digits(files: Files, split: str, *, dtype: Any = "float64") -> Arrays:
    """Handwritten digits: (n, 8, 8) in [0, 1] (sixteenths), labels 0..9.

    ``train`` is the first 1297 and ``test`` the last 500 in the order of the file, so no writer is in both
    but perhaps one at the cut.
    """
    table = np.loadtxt(files.read("digits.csv.gz").decode("ascii").splitlines(), delimiter=",")
    table = {"train": table[:_DIGITS_TRAIN], "test": table[_DIGITS_TRAIN:]}.get(split, table)
    images = table[:, :-1].reshape(-1, 8, 8)
    return to_unit(images, dtype, levels=16), table[:, -1].astype(np.int64), tuple("0123456789")


def load_idx_images(files: Files, split: str, *, dtype: Any = "float32") -> Arrays:
    """MNIST or Fashion-MNIST: (n, 28, 28) in [0, 1], float32 unless asked otherwise; labels 0..9."""
    prefix = {"train": "train", "test": "t10k"}[split]
    pixels = parse_idx(files.read(f"{prefix}-images-idx3-ubyte.gz"), IMAGES_MAGIC, f"{prefix} images")
    labels = parse_idx(files.read(f"{prefix}-labels-idx1-ubyte.gz"), LABELS_MAGIC, f"{prefix} labels")
    if len(pixels) != len(labels):
        raise DataError(f"{files.entry.title}: {len(pixels)} images but {len(labels)} labels")
    names = _FASHION if files.name == "fashion-mnist" else tuple("0123456789")
    return to_unit(pixels, dtype), labels.astype(np.int64), names


def parse_cifar(raw: bytes, label: str = "CIFAR-10 batch") -> tuple[np.ndarray, np.ndarray]:
    """Decode the binary format of CIFAR-10: per image one label byte, then 3 x 32 x 32 bytes, colour by colour.

    Returns
    -------
    pixels : (n, 32, 32, 3) uint8, labels : (n,) int64

    Raises
    ------
    DataError
        If the length is not a multiple of 3073 bytes, or a label is above 9.
    """
    if len(raw) == 0 or len(raw) % 3073:
        raise DataError(f"{label}: expected a multiple of 3073 bytes, got {len(raw)}")
    records = np.frombuffer(raw, dtype=np.uint8).reshape(-1, 3073)
    labels = records[:, 0].astype(np.int64)
    if labels.max() > 9:
        raise DataError(f"{label}: expected labels 0..9, found {labels.max()}")
    return records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels


def load_cifar10(files: Files, split: str, *, dtype: Any = "float32") -> Arrays:
    """CIFAR-10: (n, 32, 32, 3) in [0, 1], colours last, float32 unless asked otherwise; labels 0..9.

    The archive is read member by member and never unpacked to disk.
    """
    wanted = ["test_batch.bin"] if split == "test" else [f"data_batch_{i}.bin" for i in range(1, 6)]
    batches: dict[str, bytes] = {}
    with tarfile.open(files.path("cifar-10-binary.tar.gz"), "r:gz") as archive:
        for member in archive:
            name = member.name.rpartition("/")[2]
            if name in wanted and (stream := archive.extractfile(member)) is not None:
                batches[name] = stream.read()
    if absent := [name for name in wanted if name not in batches]:
        raise DataError(f"cifar-10-binary.tar.gz does not contain {', '.join(absent)}")
    parts = [parse_cifar(batches[name], name) for name in wanted]
    pixels = np.concatenate([to_unit(images, dtype) for images, _ in parts])
    return pixels, np.concatenate([labels for _, labels in parts]), _CIFAR10
