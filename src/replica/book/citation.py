"""How a publication is cited: in a sentence, and as BibTeX."""

from __future__ import annotations

import re

from replica.book.manifest import Manifest

_MEETINGS = re.compile(r"^(ICML|ICLR|NeurIPS|NIPS|COLT|AISTATS|UAI|MSML|ALT|ISIT|Proceedings)\b")


def citation(manifest: Manifest) -> str:
    """Authors (year). Title. Venue."""
    return f"{_listed(manifest.authors)} ({manifest.year}). {manifest.title}. {manifest.venue}."


def short_authors(manifest: Manifest) -> str:
    """Family names: ``Simon, Dickens, Karkada and DeWeese``; ``et al.`` beyond four."""
    names = [author.split()[-1] for author in manifest.authors]
    return f"{names[0]} et al." if len(names) > 4 else _listed(names)


def bibtex(manifest: Manifest, key: str) -> str:
    """The BibTeX entry of the publication under ``key``."""
    fields = {
        "author": " and ".join(manifest.authors),
        "title": "{" + manifest.title + "}",
        "year": str(manifest.year),
    }
    venue = manifest.venue
    if venue.lower().startswith("arxiv"):
        kind = "misc"
        fields["howpublished"] = venue
    elif _MEETINGS.match(venue):
        kind = "inproceedings"
        fields["booktitle"] = venue
    else:
        kind = "article"
        fields["journal"] = venue
    if manifest.arxiv:
        fields.update(eprint=manifest.arxiv, archiveprefix="arXiv")
    if manifest.doi:
        fields["doi"] = manifest.doi
    width = max(map(len, fields))
    verbatim = {"eprint", "doi"}
    lines = [
        f"  {name:<{width}} = {{{value if name in verbatim else _latex(value)}}}" for name, value in fields.items()
    ]
    return f"@{kind}{{{key},\n" + ",\n".join(lines) + "\n}"


def _latex(text: str) -> str:
    return re.sub(r"(?<!\\)([&%#_])", r"\\\1", " ".join(text.split()))


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
