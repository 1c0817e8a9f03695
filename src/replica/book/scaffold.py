"""Starting a paper: ``replica new <slug>`` writes manifest and notebook with everything marked to fill in."""

from __future__ import annotations

import re
from pathlib import Path

from replica.book.catalogue import papers, project_root
from replica.book.errors import ReplicaError
from replica.book.manifest import PARTS

TEMPLATES = Path(__file__).parent / "templates" / "new"


def scaffold(slug: str, part: str, root: Path | None = None) -> list[Path]:
    """Write manifest and notebook of a new paper and return their paths.

    Raises :class:`ReplicaError` for a slug that is not lower-case words joined by hyphens, an unknown part, or a
    paper that exists (nothing is overwritten).
    """
    root = root or project_root()
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug):
        raise ReplicaError(
            f"expected a slug of lower-case words joined by hyphens, like silent-alignment; came {slug!r}"
        )
    if part not in PARTS:
        raise ReplicaError(f"expected a part among {', '.join(PARTS)}; came {part!r}")
    if slug in {entry.slug for entry in papers(root)}:
        raise ReplicaError(f"the paper {slug!r} exists already")
    targets = {
        "paper.yml": root / "notebooks" / part / f"{slug}.yml",
        "paper.md": root / "notebooks" / part / f"{slug}.md",
    }
    for target in targets.values():
        if target.exists():
            raise ReplicaError(f"{target.relative_to(root)} exists already; nothing was written")
    for template, target in targets.items():
        text = (TEMPLATES / template).read_text(encoding="utf-8")
        for mark, value in (("@SLUG@", slug), ("@PART@", part)):
            text = text.replace(mark, value)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return list(targets.values())
