"""Links from the book to the repository; made from one configured address, and only to paths that git tracks."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml


@dataclass(frozen=True)
class Repository:
    """Where the project lives, from ``repository`` in ``book/_config.yml``."""

    url: str
    branch: str

    @property
    def github(self) -> str | None:
        """``owner/name`` on GitHub, None for any other host."""
        match = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(\.git)?/?", self.url)
        return match.group(1) if match else None

    def source(self, path: str) -> str:
        """The page that shows ``path``."""
        return f"{self.url.rstrip('/')}/blob/{self.branch}/{path}"

    def edit(self, path: str) -> str:
        """The page on which ``path`` is edited."""
        return f"{self.url.rstrip('/')}/edit/{self.branch}/{path}"

    def binder(self, path: str) -> str | None:
        """``path`` opened on mybinder.org."""
        if self.github is None:
            return None
        return f"https://mybinder.org/v2/gh/{self.github}/{self.branch}?urlpath=lab/tree/{path}"

    def colab(self, path: str) -> str | None:
        """``path`` opened in Google Colab."""
        if self.github is None:
            return None
        return f"https://colab.research.google.com/github/{self.github}/blob/{self.branch}/{path}"

    @property
    def site(self) -> str:
        """The address on GitHub Pages that belongs to the repository, empty for any other host."""
        if self.github is None:
            return ""
        owner, name = self.github.split("/")
        return f"https://{owner.lower()}.github.io/{name}/"


def read_repository(config: Path) -> Repository:
    """The repository named in the book's configuration file."""
    content = yaml.safe_load(config.read_text(encoding="utf-8"))["repository"]
    return Repository(content["url"], content["branch"])


def tracked_paths(root: Path) -> set[str]:
    """The paths in git's index; every file where ``root`` is no checkout (an unpacked archive)."""
    try:
        listing = subprocess.run(
            ["git", "-C", str(root), "ls-files", "-z"], capture_output=True, check=True, text=True, timeout=60
        ).stdout
        return {path for path in listing.split("\0") if path}
    except (OSError, subprocess.SubprocessError):
        folders = ("notebooks", "book", "src", "data")
        return {p.relative_to(root).as_posix() for name in folders for p in (root / name).rglob("*") if p.is_file()}


def paper_links(repository: Repository, tracked: set[str], part: str, slug: str) -> dict[str, str]:
    """Launch and source links of a paper, only those whose path is in git: a dead button is worse than none."""
    text, notebook, manifest = (f"notebooks/{part}/{slug}.{suffix}" for suffix in ("md", "ipynb", "yml"))
    wanted = {
        "source": (text, repository.source(text)),
        "edit": (text, repository.edit(text)),
        "manifest": (manifest, repository.source(manifest)),
        "binder": (notebook, repository.binder(notebook)),
        "colab": (notebook, repository.colab(notebook)),
    }
    return {name: link for name, (path, link) in wanted.items() if link and path in tracked}
