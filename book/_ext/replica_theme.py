"""What the book asks of Sphinx beyond its configuration: no foreign scripts, the reader's own light or dark mode,
Open Graph tags with stable pictures, and MathJax on pages whose mathematics stands in generated HTML."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import sys
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes

from replica.book.links import read_repository

_STAR = re.compile(r"(?<=[(\s])\*(?=[A-Za-z]\w*[.,)\w])(?!\*)")
_DISPLAYED = re.compile(r"^( *)\$\$(.+?)\$\$ *$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<![\w$`])\$([^$`]+)\$(?![\w$])")
SOCIAL_FILE = "_generated/social.json"


def load_social(app: Any) -> None:
    """Read the descriptions and pictures that staging wrote, one entry a page."""
    path = Path(app.srcdir) / SOCIAL_FILE
    app.replica_social = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def mark_math(app: Any, doctree: nodes.document) -> None:
    """Tell Sphinx that a page needs MathJax when only its raw HTML holds formulas."""
    if any('class="math' in raw.astext() for raw in doctree.findall(nodes.raw)):
        app.env.get_domain("math").data["has_equations"][app.env.docname] = True


def math_everywhere(app: Any, env: Any) -> None:
    """A title with a formula stands at the side of every page, so every page needs MathJax."""
    if any(next(title.findall(nodes.math), None) is not None for title in env.titles.values()):
        app.set_html_assets_policy("always")


def adjust_page(app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Drop the scripts and styles of thebe (they fail twice on every page), set the mode, add Open Graph tags."""
    for kind in ("script_files", "css_files"):
        if kind in context:
            context[kind] = [item for item in context[kind] if not _is_thebe(item)]
    context["default_mode"] = "auto"
    context["metatags"] = context.get("metatags", "") + _open_graph(app, pagename, context)


def drop_launcher(app: Any, doctree: nodes.document, docname: str) -> None:
    """Remove the configuration that thebe writes into the page's body."""
    for raw in list(doctree.findall(nodes.raw)):
        if "thebe" in raw.astext():
            raw.parent.remove(raw)


def prepare_docstring(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Formulas between dollars become what reStructuredText calls formulas, and the star of a shape ``(*S, L)`` is not
    taken for the start of emphasis."""
    text = _STAR.sub(r"\\*", "\n".join(lines))
    text = _DISPLAYED.sub(lambda found: _block(found[1], found[2]), text)
    lines[:] = _INLINE.sub(r":math:`\1`", text).split("\n")


def skip_fields(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """The fields of a named tuple are told in its docstring; Python's own words for them say only their number."""
    return True if (inspect.getdoc(obj) or "").startswith("Alias for field number") else None


def _block(indent: str, formula: str) -> str:
    return f"\n{indent}.. math:: {' '.join(formula.split())}\n"


def link_to_source(app: Any, config: Any) -> None:
    """Let the reference link each function to its lines in the repository."""
    repository = read_repository(Path(app.srcdir) / "_config.yml")

    def resolve(domain: str, info: dict[str, str]) -> str | None:
        module = sys.modules.get(info["module"])
        if module is None:
            return None
        path = f"src/{module.__name__.replace('.', '/')}{'/__init__.py' if hasattr(module, '__path__') else '.py'}"
        page = repository.source(path)
        found: Any = module
        for name in info["fullname"].split("."):
            found = getattr(found, name, None)
        try:
            lines, start = inspect.getsourcelines(inspect.unwrap(found))
        except (TypeError, OSError):  # a constant has no lines of its own
            return page
        return f"{page}#L{start}-L{start + len(lines) - 1}"

    config.linkcode_resolve = resolve


def _is_thebe(item: Any) -> bool:
    body = getattr(item, "attributes", {}).get("body") or ""
    return "thebe" in f"{getattr(item, 'filename', item)} {body}".lower()


def _open_graph(app: Any, pagename: str, context: dict[str, Any]) -> str:
    social = app.replica_social
    page = {**social.get("", {}), **social.get(pagename, {})}
    if not page:
        return ""
    base = (app.config.html_baseurl or "").rstrip("/")
    title = context.get("title") or app.config.html_title
    tags = {
        "og:type": "article" if pagename in social else "website",
        "og:site_name": app.config.html_title,
        "og:title": _plain(str(title)),
        "og:description": page["description"],
        "og:image": f"{base}/{page['image']}" if base else f"{context['pathto'](page['image'], 1)}",
        "og:image:alt": page["alt"],
    }
    if base:
        tags["og:url"] = f"{base}/{pagename}.html"
    lines = [f'<meta property="{name}" content="{escape(value)}" />' for name, value in tags.items() if value]
    lines.append('<meta name="twitter:card" content="summary_large_image" />')
    lines.append(f'<meta name="description" content="{escape(page["description"])}" />')
    return "\n" + "\n".join(lines)


def _plain(title: str) -> str:
    from docutils.utils import unescape
    from markupsafe import Markup

    return unescape(Markup(title).striptags())


def setup(app: Any) -> dict[str, Any]:
    app.connect("config-inited", link_to_source)
    app.connect("builder-inited", load_social)
    app.connect("autodoc-process-docstring", prepare_docstring, priority=400)  # before napoleon writes its own
    app.connect("autodoc-skip-member", skip_fields)
    app.connect("doctree-read", mark_math)
    app.connect("env-updated", math_everywhere)
    app.connect("doctree-resolved", drop_launcher, priority=900)
    app.connect("html-page-context", adjust_page, priority=900)
    # pages read by an older version of this file are read again
    version = int(hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8], 16)
    return {"env_version": version, "parallel_read_safe": True, "parallel_write_safe": True}
