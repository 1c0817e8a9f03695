"""Corpora as vectors of word numbers, and the word lists that embeddings are tested on.

Words are runs of the letters a-z after lower-casing; everything else separates them.
"""

from __future__ import annotations

import bz2
import io
import re
import tarfile
from array import array
from collections.abc import Iterable, Iterator

import numpy as np

from replica.datasets.dataset import DataError
from replica.datasets.files import Files
from replica.datasets.images import Arrays

_WORD = re.compile("[a-z]+")
_CHUNK = 1 << 20  # characters of text8 split at a time


def words(text: str) -> list[str]:
    """The words of a text: runs of a-z, lower-cased."""
    return _WORD.findall(text.lower())


def encode(
    documents: Iterable[Iterable[str]],
    min_count: int = 1,
    vocabulary: int | None = None,
    max_words: int | None = None,
) -> Arrays:
    """Number the words of a corpus by decreasing frequency (ties in alphabetical order).

    Parameters
    ----------
    documents : iterable of iterables of words
    min_count : int
        Rarer words are left out of the corpus, before any window is drawn.
    vocabulary : int, optional
        Keep only the so many most frequent words.
    max_words : int, optional
        Read only the so many first words of the corpus.

    Returns
    -------
    ids : (tokens,) int32, number of each word kept
    documents : (tokens,) int32, number of the document each stands in
    names : the vocabulary; ``names[ids[i]]`` is the i-th word

    Raises
    ------
    ValueError
        If a limit is below 1.
    """
    for label, value in (("min_count", min_count), ("vocabulary", vocabulary), ("max_words", max_words)):
        if value is not None and value < 1:
            raise ValueError(f"{label}: expected at least 1, got {value}")
    first_seen: dict[str, int] = {}
    ids, lengths = array("i"), array("i")
    for document in documents:
        before = len(ids)
        ids.extend(first_seen.setdefault(word, len(first_seen)) for word in document)
        if max_words is not None and len(ids) >= max_words:
            del ids[max_words:]
            lengths.append(len(ids) - before)
            break
        lengths.append(len(ids) - before)
    tokens = np.frombuffer(ids, dtype=np.int32)
    document_of = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    counts = np.bincount(tokens, minlength=len(first_seen))
    seen = list(first_seen)
    order = sorted((i for i in range(len(seen)) if counts[i] >= min_count), key=lambda i: (-counts[i], seen[i]))
    order = order[:vocabulary]
    rank = np.full(len(seen), -1, dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    numbered = rank[tokens] if len(seen) else tokens.copy()
    kept = numbered >= 0
    return numbered[kept], document_of[kept], tuple(seen[i] for i in order)


def _text8_words(raw: bytes) -> Iterator[str]:
    rest = ""
    with io.TextIOWrapper(io.BytesIO(raw), encoding="ascii") as stream:
        while chunk := stream.read(_CHUNK):
            *whole, rest = (rest + chunk).split(" ")
            yield from filter(None, whole)
    yield from rest.split()


def load_text8(files: Files, split: str, *, min_count: int = 1, vocabulary: int | None = None,
               max_words: int | None = None) -> Arrays:  # fmt: skip
    """text8 as word numbers; one document."""
    return encode([_text8_words(files.read("text8.zip"))], min_count, vocabulary, max_words)


def _wikipedia_pages(files: Files) -> Iterator[list[str]]:
    from gensim.corpora.wikicorpus import extract_pages, filter_wiki

    with bz2.open(files.path(files.names()[0]), "rb") as stream:
        for _, text, _ in extract_pages(stream, filter_namespaces=("0",)):
            yield words(filter_wiki(text))


def load_wikipedia_sample(files: Files, split: str, *, min_count: int = 1, vocabulary: int | None = None,
                          max_words: int | None = None) -> Arrays:  # fmt: skip
    """The 206 pages of gensim's Wikipedia sample, markup removed; labels are page numbers."""
    return encode(_wikipedia_pages(files), min_count, vocabulary, max_words)


def load_lines(files: Files, split: str, *, min_count: int = 1, vocabulary: int | None = None,
               max_words: int | None = None) -> Arrays:  # fmt: skip
    """A corpus with one document per line."""
    lines = files.read(files.names()[0]).decode("utf-8").splitlines()
    return encode((words(line) for line in lines), min_count, vocabulary, max_words)


def _brown_texts(files: Files) -> Iterator[list[str]]:
    texts: dict[str, str] = {}
    with tarfile.open(files.path(files.names()[0]), "r:gz") as archive:
        for member in archive:
            name = member.name.rpartition("/")[2]
            if re.fullmatch(r"c[a-r]\d\d", name) and (stream := archive.extractfile(member)) is not None:
                texts[name] = stream.read().decode("latin-1")
    if len(texts) != 500:
        raise DataError(f"{files.names()[0]}: expected the 500 texts of the Brown corpus, found {len(texts)}")
    for name in sorted(texts):
        yield words(" ".join(token.rpartition("/")[0] for token in texts[name].split()))


def load_brown(files: Files, split: str, *, min_count: int = 1, vocabulary: int | None = None,
               max_words: int | None = None) -> Arrays:  # fmt: skip
    """The 500 texts of the Brown corpus without their part-of-speech tags; labels are text numbers."""
    return encode(_brown_texts(files), min_count, vocabulary, max_words)


def load_analogies(files: Files, split: str) -> Arrays:
    """The Google analogy questions a : b :: c : d, lower-cased: (n, 4) strings; labels and names are sections."""
    questions: list[list[str]] = []
    labels: list[int] = []
    names: list[str] = []
    for line in files.read(files.names()[0]).decode("utf-8").splitlines():
        if line.startswith(":"):
            names.append(line[1:].strip())
        elif line.strip():
            questions.append(line.lower().split())
            labels.append(len(names) - 1)
    return np.array(questions), np.array(labels, dtype=np.int64), tuple(names)


def load_similarities(files: Files, split: str) -> Arrays:
    """Word pairs, lower-cased, with the mean score of human judges (0 to 10): (n, 2) strings, labels float64."""
    lines = files.read(files.names()[0]).decode("utf-8").splitlines()
    rows = [line.split("\t") for line in lines if line.strip() and not line.startswith("#")]
    pairs = np.array([[first.lower(), second.lower()] for first, second, _ in rows])
    return pairs, np.array([float(score) for *_, score in rows]), ()
