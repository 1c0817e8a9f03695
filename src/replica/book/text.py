"""Text on its way into the book: templates, and the escaping of what manifests say (plain text with ``$math$``)."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

TEMPLATES = Path(__file__).parent / "templates"
# what must reach MyST untouched: formulas and code
_KEPT = re.compile(r"(?<!\\)(\$\$[^$]+\$\$|\$[^$\n]+\$|`[^`\n]+`)")
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$&^])")
_AT_START = re.compile(r"^([-+%:=]|\d+(?=[.)]))")
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def markdown(text: object) -> str:
    """``text`` on one line, so that MyST shows it as it is: only ``$math$`` and backticked code are interpreted."""
    parts = _KEPT.split(" ".join(str(text).split()))
    line = "".join(part if index % 2 else _SPECIAL.sub(r"\\\1", part) for index, part in enumerate(parts))
    return _AT_START.sub(_escape_start, line)


def html_math(text: object) -> Markup:
    """``text`` as HTML in which ``$math$`` is what Sphinx writes for a formula and backticks are code."""
    out = Markup("")
    for index, part in enumerate(_KEPT.split(" ".join(str(text).split()))):
        if index % 2 == 0:
            out += escape(part)
        elif part.startswith("$"):
            formula = part.strip("$")
            out += Markup('<span class="math notranslate nohighlight">\\({}\\)</span>').format(formula)
        else:
            out += Markup("<code>{}</code>").format(part.strip("`"))
    return out


def typeset(html: str) -> str:
    """``html`` with the ``$math$`` in its text marked as Sphinx marks formulas."""
    return re.sub(r"\$([^$<>]+)\$", r'<span class="math notranslate nohighlight">\\(\1\\)</span>', html)


def plain(text: object) -> str:
    """``text`` on one line without the dollars and backticks of formulas and code, for attributes and previews."""
    return " ".join(re.sub(r"[$`]", "", str(text)).split())


def title_of(name: str) -> str:
    """``learning-curves`` as ``Learning curves``."""
    return name.replace("-", " ").replace("_", " ").capitalize()


def without_colours(text: str) -> str:
    """``text`` without the escape codes with which terminals are coloured."""
    return _ANSI.sub("", text)


def code(text: object) -> str:
    """``text`` as inline code, whatever backticks it holds."""
    content = " ".join(str(text).split())
    ticks = "`" * (max((len(run) for run in re.findall(r"`+", content)), default=0) + 1)
    pad = " " if content.startswith("`") or content.endswith("`") else ""
    return f"{ticks}{pad}{content}{pad}{ticks}"


def separate_displays(source: str) -> str:
    """Markdown ``source`` with an empty line before and after each block of display mathematics.

    Jupyter shows ``$$`` on a line of its own as a display wherever it stands; MyST only between empty lines.
    """
    lines: list[str] = []
    fence, inside = "", False
    for line in source.splitlines():
        bare = line.strip()
        if not inside and (mark := re.match(r"(`{3,}|~{3,}|:{3,})", bare)):
            if not fence:
                fence = mark.group(1) if mark.group(1)[0] != ":" else ""
            elif bare.startswith(fence) and not bare.strip(fence[0]):
                fence = ""
        if fence or not bare.startswith("$$") or line.startswith("    "):
            closes = inside and not fence and bare.endswith("$$")
            lines.append(line)
            if closes:
                inside = False
                lines.append("")
            continue
        if inside:  # the closing line, perhaps with a label
            lines += [line, ""]
            inside = False
            continue
        if lines and lines[-1].strip():
            lines.append("")
        lines.append(line)
        inside = "$$" not in bare[2:]
        if not inside and re.fullmatch(r"\$\$.*\$\$(\s*\([\w:-]+\))?", bare):
            lines.append("")
    return "\n".join(lines)


def duration(seconds: float | None) -> str:
    """A run time as a reader says it: ``4.2 s``, ``38 s``, ``3 min 20 s``, ``5.1 h``."""
    if seconds is None:
        return "no result"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 119.5:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{int(seconds) // 60} min {int(seconds) % 60} s"
    return f"{seconds / 3600:.1f} h"


def render(template: str, **values: Any) -> str:
    """The template file ``template`` filled with ``values``; a missing value is an error."""
    return environment().get_template(template).render(**values)


@cache
def environment() -> Environment:
    """The templates of the book; those named ``*.html.j2`` escape what they are given."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(
        md=markdown, mathml=html_math, plain=plain, code=code, title_of=title_of, duration=duration,
    )  # fmt: skip
    return made


def _escape_start(match: re.Match[str]) -> str:
    found = match.group(0)
    return f"{found}\\" if found.isdigit() else f"\\{found}"
