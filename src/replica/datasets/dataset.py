"""What a loader returns: the arrays, and a description of where they came from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


class DataError(RuntimeError):
    """A data set cannot be had as asked. The message says what is wrong and what to do about it."""


@dataclass(frozen=True)
class Meta:
    """Where the numbers of a data set come from.

    ``name`` is the name that was asked for. Where other data were used in its place, ``stand_in`` is
    their name, ``is_stand_in`` is true and ``caption`` says so in a sentence that every figure drawn
    from them must print.
    """

    name: str
    title: str
    licence: str
    citation: str
    caption: str
    split: str
    shape: tuple[int, ...]
    source: str  # "bundled" (inside an installed package), "canonical" (cache or download) or "stand-in"
    origin: str  # the same in words, e.g. "scikit-learn 1.9.1"
    sha256: dict[str, str] = field(default_factory=dict)  # of each file that was read
    stand_in: str | None = None
    is_stand_in: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_stand_in", self.stand_in is not None)

    def as_dict(self) -> dict[str, Any]:
        """The provenance record: plain values that JSON can hold, no paths."""
        return {
            "name": self.name,
            "source": self.source,
            "is_stand_in": self.is_stand_in,
            "stand_in": self.stand_in,
            "caption": self.caption,
            "origin": self.origin,
            "split": self.split,
            "shape": list(self.shape),
            "licence": self.licence,
            "sha256": dict(self.sha256),
        }


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in memory.

    Attributes
    ----------
    inputs : array, first axis = examples
        Images are (n, height, width) or (n, height, width, 3) in [0, 1]; tables (n, features);
        text is a vector of token numbers; word lists are arrays of strings.
    labels : array of length n, or None
        Class numbers (int64), regression targets (float64), or what the registry says.
    meta : Meta
        Source, licence, split, and whether this is a stand-in.
    names : tuple of str
        What the integers mean: names of classes, or the vocabulary of a text.
    """

    inputs: np.ndarray
    labels: np.ndarray | None
    meta: Meta
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def flat(self) -> np.ndarray:
        """``inputs`` with every example as one row: shape (n, features)."""
        return self.inputs.reshape(len(self.inputs), -1)

    def take(self, index: Any) -> Dataset:
        """The examples of an index array, slice or mask, with the same ``meta`` but for the shape."""
        inputs = self.inputs[index]
        labels = None if self.labels is None else self.labels[index]
        return replace(self, inputs=inputs, labels=labels, meta=replace(self.meta, shape=inputs.shape))
