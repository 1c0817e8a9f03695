"""The door to the data: ``load``, ``loaded``, ``status``, ``fetch``.

Nothing heavy is imported before a data set is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from replica.datasets.dataset import DataError, Dataset, Meta

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from replica.datasets.registry import Entry

Source = Literal["auto", "canonical", "stand-in"]

_LOADED: dict[tuple[str, str, str | None], Meta] = {}


def load(
    name: str,
    split: str | None = None,
    source: Source = "auto",
    download: bool | None = None,
    **options: Any,
) -> Dataset:
    """Load a data set by its registry name.

    The data themselves are looked for in the installed packages, in the cache (``REPLICA_DATA``, else the
    user's cache folder) and where Debian puts them; then they are downloaded, if that is allowed; only
    then, and only with ``source="auto"``, a bundled stand-in takes their place, and ``meta`` says so.

    Parameters
    ----------
    name : str
        A name of ``data/registry.yml``, e.g. ``"digits"``.
    split : str, optional
        ``"train"``, ``"test"``, ``"all"``, as the registry lists them; the first listed by default.
    source : {"auto", "canonical", "stand-in"}
        ``"canonical"`` never uses a stand-in, ``"stand-in"`` always does.
    download : bool, optional
        Whether missing files may be downloaded; by default only if ``REPLICA_DOWNLOAD=1``.
    **options
        Passed to the loader: ``dtype`` (images), ``size``, ``count``, ``rng``, ``white`` (patches),
        ``min_count``, ``vocabulary``, ``max_words`` (texts).

    Returns
    -------
    Dataset
        ``inputs``, ``labels``, ``meta``, ``names``; new arrays on every call.

    Raises
    ------
    DataError
        For an unknown name, split or option; for missing files (which, how large, where from, where to
        put them); for a file that is not what its hash says.
    """
    from replica.datasets.files import download_allowed, missing, where_to_get
    from replica.datasets.registry import lookup

    if source not in ("auto", "canonical", "stand-in"):
        raise DataError(f"source: expected 'auto', 'canonical' or 'stand-in', got {source!r}")
    key, entry = lookup(name)
    split = _check_split(key, entry, split)
    absent = missing(key, entry, split)
    if source != "stand-in" and absent and all(spec.urls for spec in absent) and download_allowed(download):
        fetch(key, split=split)
        absent = []
    if source != "stand-in" and not absent:
        data = _read(key, entry, split, options)
    elif source == "canonical" or not entry.stand_ins:
        if not absent:
            raise DataError(f"{key} has no stand-in: load it with source='auto' or 'canonical'.")
        how = where_to_get(key, absent, entry.install)
        raise DataError(f"{entry.title} ({key}, {split}) is not on this machine. Missing:\n{how}")
    else:
        data = _read_stand_in(key, entry, split, options)
    if source == "auto":
        _refuse_mixture(key, entry, split, data.meta)
    _LOADED.setdefault((key, split, data.meta.stand_in), data.meta)
    return data


def loaded() -> list[Meta]:
    """The descriptions of all data sets loaded in this process, in order of first use (for provenance)."""
    return list(_LOADED.values())


def resolve(name: str, split: str | None = None) -> str | None:
    """The name of the data that ``load(name, split)`` would use without a network: itself, a stand-in, or None."""
    from replica.datasets.files import missing
    from replica.datasets.registry import lookup

    key, entry = lookup(name)
    if not missing(key, entry, _check_split(key, entry, split)):
        return key
    return _first_stand_in(entry)


def fetch(name: str, progress: bool = True, split: str | None = None) -> list[Path]:
    """Make the files of a data set present and verified; download what is missing. Returns where they are.

    A damaged file in the cache is kept aside (with a warning) and downloaded anew.

    Raises
    ------
    DataError
        If a file cannot be downloaded or stored; the message says what to do.
    """
    from replica.datasets.files import Files, fetch_file, find, keep_aside_if_damaged, where_to_get
    from replica.datasets.registry import lookup

    key, entry = lookup(name)
    specs = entry.files_of(split)
    for spec in specs:
        found = find(key, spec)
        if found is not None and not keep_aside_if_damaged(found):
            continue
        if not spec.urls:
            raise DataError(f"{entry.title} ({key}):\n{where_to_get(key, [spec], entry.install)}")
        fetch_file(key, spec, progress)
    files = Files(key, entry)
    return [files.path(spec.name) for spec in specs]


def status(verify: bool = False) -> list[dict[str, Any]]:
    """What of the registry is on this machine, one plain dict per data set.

    Keys: ``name``; ``state`` (``bundled``, ``cached``, ``system``, ``partial``, ``missing``; ``damaged`` only
    with ``verify``, which hashes every file); ``splits`` that can be loaded; ``bytes`` of all files;
    ``stand_in``, what ``load`` would use instead, or None; ``licence``; ``path`` of the files, or where
    they would go.
    """
    from replica.datasets.registry import registry

    return [_status_of(key, entry, verify) for key, entry in registry().datasets.items()]


def _status_of(key: str, entry: Entry, verify: bool) -> dict[str, Any]:
    from replica.datasets.files import data_home, find, hash_is_right, missing

    found = {spec.name: find(key, spec) for spec in entry.files}
    present = [item for item in found.values() if item is not None]
    if not present:
        state = "missing"
    elif len(present) < len(found):
        state = "partial"
    elif entry.bundled:
        state = "bundled"
    else:
        state = "cached" if any(item.ours for item in present) else "system"
    if verify and not all(hash_is_right(item) for item in present):
        state = "damaged"
    complete = state in ("bundled", "cached", "system")
    return {
        "name": key,
        "state": state,
        "splits": [split for split in entry.splits if not missing(key, entry, split)],
        "bytes": sum(spec.bytes for spec in entry.files),
        "stand_in": None if complete else _first_stand_in(entry),
        "licence": entry.licence,
        "path": str(present[0].path.parent if present else data_home() / key),
    }


def _first_stand_in(entry: Entry) -> str | None:
    """The first stand-in that is here with all its splits, so that train and test are of one kind."""
    from replica.datasets.files import missing
    from replica.datasets.registry import lookup

    return next((s.name for s in entry.stand_ins if not missing(*lookup(s.name), None)), None)


def _check_split(key: str, entry: Entry, split: str | None) -> str:
    if split is None:
        return entry.default_split
    if split not in entry.splits:
        raise DataError(f"{key} has the splits {', '.join(entry.splits)}; got {split!r}.")
    return split


def _read(key: str, entry: Entry, split: str, options: dict[str, Any]) -> Dataset:
    from replica.datasets.files import Files

    loader = _loader(entry.loader)
    known = list(getattr(loader, "__kwdefaults__", None) or {})
    if unknown := [word for word in options if word not in known]:
        raise DataError(
            f"{key} takes {'the options ' + ', '.join(known) if known else 'no options'}; got {', '.join(unknown)}."
        )
    files = Files(key, entry)
    inputs, labels, names = loader(files, split, **options)
    meta = Meta(
        name=key, title=entry.title, licence=entry.licence, citation=entry.citation,
        caption=entry.caption.format(n=len(inputs)), split=split, shape=inputs.shape,
        source="bundled" if entry.bundled else "canonical", origin=", ".join(files.origins), sha256=files.hashes,
    )  # fmt: skip
    return Dataset(inputs, labels, meta, names)


def _read_stand_in(key: str, entry: Entry, split: str, options: dict[str, Any]) -> Dataset:
    from dataclasses import replace

    from replica.datasets.registry import lookup

    name = _first_stand_in(entry)
    if name is None:
        names = ", ".join(s.name for s in entry.stand_ins)
        raise DataError(f"{key} is not on this machine, and neither is a stand-in for it ({names}).")
    data = _read(name, lookup(name)[1], split, options)
    caption = next(s.caption for s in entry.stand_ins if s.name == name).format(n=len(data))
    return replace(data, meta=replace(data.meta, name=key, source="stand-in", stand_in=name, caption=caption))


def _refuse_mixture(key: str, entry: Entry, split: str, meta: Meta) -> None:
    """Never one split of the real data and another of a stand-in, unless the notebook asks for it in words."""
    from replica.datasets.files import missing, where_to_get

    for (name, other_split, stand_in), _ in _LOADED.items():
        if name != key or other_split == split or stand_in == meta.stand_in:
            continue
        real, replaced = (other_split, split) if meta.is_stand_in else (split, other_split)
        if absent := missing(key, entry, replaced):
            raise DataError(
                f"{key}: the {real} split is the real data, but for the {replaced} split there is only the stand-in "
                f"{meta.stand_in or stand_in}. Ask for source='stand-in' for both, or add what is missing:\n"
                f"{where_to_get(key, absent, entry.install)}"
            )


def _loader(kind: str) -> Callable[..., Any]:
    from replica.datasets import images, photographs, tables, text

    loaders: dict[str, Callable[..., Any]] = {
        "digits": images.load_digits,
        "idx": images.load_idx_images,
        "cifar10": images.load_cifar10,
        "photo-patches": photographs.load_photo_patches,
        "photo-patches-10": photographs.load_photo_patches_10,
        "text8": text.load_text8,
        "wikipedia-sample": text.load_wikipedia_sample,
        "brown": text.load_brown,
        "lines": text.load_lines,
        "analogies": text.load_analogies,
        "similarities": text.load_similarities,
        "table": tables.load_table,
        "diabetes": tables.load_diabetes,
    }
    return loaders[kind]
