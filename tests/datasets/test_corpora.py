"""Corpora as word numbers, against counting by hand; word lists."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replica.datasets import DataError, load
from replica.datasets.text import encode, words

from .conftest import entry, put, sha256

corpora = st.lists(st.lists(st.sampled_from("abcdefg"), max_size=12), max_size=6)


def decode(data) -> list[str]:
    return [data.names[i] for i in data.inputs]


def test_words_are_runs_of_letters():
    assert words("It's 1984, naïve Mr. O'Brien\n") == ["it", "s", "na", "ve", "mr", "o", "brien"]


@given(corpora, st.integers(1, 4), st.none() | st.integers(1, 5), st.none() | st.integers(1, 20))
def test_encoding_against_counting(documents, min_count, vocabulary, max_words):
    ids, document_of, names = encode(documents, min_count, vocabulary, max_words)
    flat = [(word, number) for number, document in enumerate(documents) for word in document][:max_words]
    counts = Counter(word for word, _ in flat)
    expected = sorted((w for w in counts if counts[w] >= min_count), key=lambda w: (-counts[w], w))[:vocabulary]
    assert list(names) == expected
    kept = [(word, number) for word, number in flat if word in expected]
    assert [names[i] for i in ids] == [word for word, _ in kept]
    assert list(document_of) == [number for _, number in kept]
    assert ids.dtype == np.int32


def test_limits_below_one_are_refused():
    for limit in ("min_count", "vocabulary", "max_words"):
        with pytest.raises(ValueError, match=f"{limit}: expected at least 1, got 0"):
            encode([["a"]], **{limit: 0})


def test_wikipedia_stands_in_for_text8_and_says_so():
    data = load("text", min_count=5)
    assert data.meta.name == "text8"
    assert data.meta.stand_in == "wikipedia-sample"
    assert data.meta.caption.startswith("text8 replaced by the Wikipedia sample of gensim (")
    assert f"{len(data):,} words" in data.meta.caption
    assert 350_000 < len(data) < 480_000
    assert {"the", "of", "and"} == set(data.names[:3])
    counts = np.bincount(data.inputs)
    assert np.all(np.diff(counts) <= 0)
    assert counts.min() >= 5
    assert np.all(np.diff(data.labels) >= 0)
    assert not {"nbsp", "http", "ref"} & set(data.names[:100])  # the markup is gone


def test_lee_corpus_has_three_hundred_documents():
    data = load("lee-background")
    assert len(np.unique(data.labels)) == 300
    assert len(data) == 60302
    assert len(load("lee-background", max_words=1000, vocabulary=50).names) == 50


def test_text8_from_its_archive_or_unpacked(cache, use_registry):
    text = " anarchism originated as a term of abuse " + "of the a " * 3
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("text8", text)
    raw = buffer.getvalue()
    spec = {
        "name": "text8.zip", "bytes": len(raw), "sha256": sha256(raw), "content_sha256": sha256(text.encode()),
        "urls": ["https://example.org/text8.zip"],
    }  # fmt: skip
    use_registry(text8=entry("text8", [spec], splits={"all": None}))
    put(cache, "text8", {"text8.zip": raw})
    packed = load("text8")
    assert decode(packed) == text.split()
    (cache / "text8" / "text8.zip").unlink()
    put(cache, "text8", {"text8": text.encode()})
    assert np.array_equal(load("text8").inputs, packed.inputs)


def test_text8_words_across_chunks(monkeypatch):
    from replica.datasets import text

    raw = b" alpha beta gamma delta epsilon"
    for chunk in range(1, 12):
        monkeypatch.setattr(text, "_CHUNK", chunk)
        assert list(text._text8_words(raw)) == ["alpha", "beta", "gamma", "delta", "epsilon"]


def brown_archive(count: int) -> bytes:
    buffer = io.BytesIO()
    names = [f"c{chr(ord('a') + i // 99)}{i % 99:02d}" for i in range(count)]
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in [*reversed(names), "README"]:
            body = f"\n\n\tThe/at {name}/nn won't/md* do/do and/or/cc ./.\n".encode()
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return buffer.getvalue()


@pytest.mark.parametrize("count", [500, 499])
def test_brown_loses_its_tags_and_must_be_whole(cache, use_registry, count):
    raw = brown_archive(count)
    spec = {"name": "brown.tgz", "bytes": len(raw), "sha256": sha256(raw), "urls": ["https://example.org/brown.tgz"]}
    use_registry(brown=entry("brown", [spec], splits={"all": None}))
    put(cache, "brown", {"brown.tgz": raw})
    if count < 500:
        with pytest.raises(DataError, match="expected the 500 texts of the Brown corpus, found 499"):
            load("brown")
        return
    data = load("brown")
    first = [word for word, document in zip(decode(data), data.labels) if document == 0]
    assert first == ["the", "ca", "won", "t", "do", "and", "or"]
    assert data.labels.max() == 499


def test_analogies_have_their_sections():
    data = load("analogies")
    assert data.inputs.shape == (19544, 4)
    assert list(data.inputs[0]) == ["athens", "greece", "baghdad", "iraq"]
    assert len(data.names) == 14
    assert np.bincount(data.labels)[data.names.index("family")] == 506
    assert data.inputs.dtype.kind == "U"


@pytest.mark.parametrize(("name", "count"), [("wordsim353", 353), ("simlex999", 999)])
def test_similarities_are_scores_from_zero_to_ten(name, count):
    data = load(name)
    assert data.inputs.shape == (count, 2)
    assert data.labels.min() >= 0
    assert data.labels.max() <= 10
    pair = {"wordsim353": ("love", "sex", 6.77), "simlex999": ("old", "new", 1.58)}[name]
    assert (*data.inputs[0], data.labels[0]) == pair
