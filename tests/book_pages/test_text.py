"""What manifests say reaches the page as it was written, formulas and code aside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from mdit_py_plugins.attrs import attrs_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.myst_role import myst_role_plugin

from replica.book.text import code, duration, html_math, markdown, plain, separate_displays, title_of


def shown(source: str) -> str:
    """What a reader sees of one line of MyST: its text, formulas between dollars."""
    parser = MarkdownIt("commonmark").use(dollarmath_plugin, double_inline=True).use(myst_role_plugin)
    parser.use(attrs_plugin, spans=True)
    tokens = parser.parse(source)
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"], source
    parts = []
    for token in tokens[1].children or []:
        assert token.type in ("text", "text_special", "math_inline", "code_inline"), (source, token.type)
        parts.append(f"${token.content}$" if token.type == "math_inline" else token.content)
    return "".join(parts)


@pytest.mark.parametrize(
    "text",
    [
        'a "quote" & <b>tag</b> of 50% [link](x) ![i](y) {role}`no',
        "*stars* _under_ __two__ ~tilde~ #hash |pipe| a_b_c ^up^",
        "- not a list",
        "1. not a list",
        "2) nor this",
        "# not a heading",
        "> not a quotation",
        "% not a comment",
        ":::{note}",
        "+++ no break",
        "= no rule",
        "costs $5",
        "back\\slash \\alpha and {braces}",
        "&amp; &lt;",
        "<https://example.org>",
    ],
)
def test_markdown_shows_plain_text_as_it_is(text: str) -> None:
    assert shown(markdown(text)) == text


@given(st.text(st.characters(codec="ascii", min_codepoint=32, exclude_characters="$`"), min_size=1))
def test_markdown_shows_any_plain_text(text: str) -> None:
    line = " ".join(text.split())
    if line:
        assert shown(markdown(text)) == line


def test_markdown_keeps_formulas_and_code() -> None:
    text = r"for $|x|_2 \le 1_{[0,1)}$ use `f(x_*)` and *no* stars"
    assert shown(markdown(text)) == r"for $|x|_2 \le 1_{[0,1)}$ use f(x_*) and *no* stars"


def test_markdown_is_one_line() -> None:
    assert "\n" not in markdown("two\nlines")


def test_html_math_escapes_all_but_formulas() -> None:
    assert html_math('a < "b" & $x<y$ `c<d`') == (
        'a &lt; &#34;b&#34; &amp; <span class="math notranslate nohighlight">\\(x&lt;y\\)</span> <code>c&lt;d</code>'
    )


def test_plain_drops_markup() -> None:
    assert plain("the sum of $n$ `modes`\n here") == "the sum of n modes here"


@pytest.mark.parametrize(
    ("text", "wanted"), [("make x", "`make x`"), ("a`b", "``a`b``"), ("`b", "`` `b ``"), ("a``b", "```a``b```")]
)
def test_code_survives_backticks(text: str, wanted: str) -> None:
    assert code(text) == wanted


@pytest.mark.parametrize(
    ("seconds", "wanted"),
    [
        (None, "no result"), (0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (119, "119 s"), (200, "3 min 20 s"),
        (18360, "5.1 h"),
    ],
)  # fmt: skip
def test_duration(seconds: float | None, wanted: str) -> None:
    assert duration(seconds) == wanted


def test_title_of() -> None:
    assert title_of("learning-curves") == "Learning curves"


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("The law\n$$\na=b\n$$\nholds", "The law\n\n$$\na=b\n$$\n\nholds"),
        ("The law\n$$a=b$$\nholds", "The law\n\n$$a=b$$\n\nholds"),
        ("x\n$$\na\n$$ (slug-law)\ny", "x\n\n$$\na\n$$ (slug-law)\n\ny"),
        ("x\n$$\na\n+b$$\ny", "x\n\n$$\na\n+b$$\n\ny"),
        ("x\n\n$$\na\n$$\n\ny", "x\n\n$$\na\n$$\n\n\ny"),
        ("```\nx\n$$\n```\ny", "```\nx\n$$\n```\ny"),
        ("inline $a$ and $$b$$ stay", "inline $a$ and $$b$$ stay"),
        ("x\n$$a\n=b$$ then", "x\n\n$$a\n=b$$ then"),
    ],
)
def test_separate_displays(source: str, wanted: str) -> None:
    assert separate_displays(source) == wanted
