"""The IDX parser against files made here, whole and spoiled."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from replica.datasets import DataError
from replica.datasets.idx import IMAGES_MAGIC, LABELS_MAGIC, parse_idx


def idx_bytes(values):
    return struct.pack(f">{1 + values.ndim}i", 0x800 + values.ndim, *values.shape) + values.tobytes()


@given(arrays.arrays(np.uint8, arrays.array_shapes(min_dims=3, max_dims=3, min_side=0, max_side=6)))
def test_images_survive_the_round_trip(images):
    back = parse_idx(idx_bytes(images), IMAGES_MAGIC)
    assert back.shape == images.shape
    assert np.array_equal(back, images)


@given(arrays.arrays(np.uint8, st.integers(0, 30)), st.integers(1, 40))
def test_any_shortened_or_lengthened_file_is_refused(labels, amount):
    whole = idx_bytes(labels)
    with pytest.raises(DataError):
        parse_idx(whole[:-amount], LABELS_MAGIC)
    with pytest.raises(DataError, match="the header promises"):
        parse_idx(whole + b"\0" * amount, LABELS_MAGIC)


def test_errors_say_what_was_expected():
    labels = idx_bytes(np.arange(4, dtype=np.uint8))
    with pytest.raises(DataError, match="train images: expected an IDX header of 16 bytes, the file has 12"):
        parse_idx(labels, IMAGES_MAGIC, "train images")
    images = idx_bytes(np.zeros((2, 2, 2), dtype=np.uint8))
    with pytest.raises(DataError, match="expected the IDX magic number 2049, found 2051"):
        parse_idx(images, LABELS_MAGIC)
    with pytest.raises(DataError, match="negative length"):
        parse_idx(struct.pack(">2i", LABELS_MAGIC, -4), LABELS_MAGIC)
    with pytest.raises(DataError, match="promises"):  # lengths whose product overflows 32 bits
        parse_idx(struct.pack(">4i", IMAGES_MAGIC, 65536, 65536, 4), IMAGES_MAGIC)
