"""The IDX format of MNIST and its relatives: big-endian header, then unsigned bytes."""

from __future__ import annotations

import struct

import numpy as np

from replica.datasets.dataset import DataError

IMAGES_MAGIC = 2051  # 0x00000803: unsigned bytes, three dimensions
LABELS_MAGIC = 2049  # 0x00000801: unsigned bytes, one dimension


def parse_idx(raw: bytes, magic: int, label: str = "IDX data") -> np.ndarray:
    """Decode an IDX array of unsigned bytes.

    Parameters
    ----------
    raw : bytes
        The whole file: magic number, one int32 length per dimension, then the values in C order.
    magic : int
        The magic number it must have: ``IMAGES_MAGIC`` (n, rows, columns) or ``LABELS_MAGIC`` (n,).
    label : str
        What to call the data in an error.

    Returns
    -------
    array of uint8

    Raises
    ------
    DataError
        On another magic number, or a length that does not match the header.
    """
    dimensions = magic & 0xFF
    header = 4 * (1 + dimensions)
    if len(raw) < header:
        raise DataError(f"{label}: expected an IDX header of {header} bytes, the file has {len(raw)}")
    found, *shape = struct.unpack(f">{1 + dimensions}i", raw[:header])
    if found != magic:
        raise DataError(f"{label}: expected the IDX magic number {magic}, found {found}")
    if min(shape) < 0:
        raise DataError(f"{label}: the IDX header gives a negative length {tuple(shape)}")
    count = int(np.prod(shape, dtype=np.int64))
    if len(raw) - header != count:
        raise DataError(
            f"{label}: the header promises {count} bytes for shape {tuple(shape)}, {len(raw) - header} follow"
        )
    return np.frombuffer(raw, dtype=np.uint8, offset=header).reshape(shape)
