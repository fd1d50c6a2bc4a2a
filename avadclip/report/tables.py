"""Markdown of the results -> HTML that loads nothing: without raw HTML, pictures or inline styles."""

from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict


def to_html(markdown: str) -> str:
    """CommonMark with tables, each of which scrolls. Headings are one level lower, below the page's own."""
    reader = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    for kind, rule in {
        "table_open": _open_table,
        "table_close": _close_table,
        "th_open": _cell,
        "td_open": _cell,
        "heading_open": _lower_heading,
        "heading_close": _lower_heading,
    }.items():
        reader.add_render_rule(kind, rule)
    html: str = reader.render(markdown)
    return html


def _open_table(_self: RendererHTML, _tokens: Sequence[Token], _i: int, _options: OptionsDict, _env: EnvType) -> str:
    return '<div class="wide" tabindex="0" role="region" aria-label="Table"><table>\n'


def _close_table(_self: RendererHTML, _tokens: Sequence[Token], _i: int, _options: OptionsDict, _env: EnvType) -> str:
    return "</table></div>\n"


def _cell(self: RendererHTML, tokens: Sequence[Token], i: int, options: OptionsDict, env: EnvType) -> str:
    # The page forbids inline styles, and markdown-it aligns with them.
    if tokens[i].attrs.pop("style", "") == "text-align:right":
        tokens[i].attrSet("class", "number")
    return self.renderToken(tokens, i, options, env)


def _lower_heading(self: RendererHTML, tokens: Sequence[Token], i: int, options: OptionsDict, env: EnvType) -> str:
    tokens[i].tag = f"h{min(int(tokens[i].tag[1]) + 1, 6)}"
    return self.renderToken(tokens, i, options, env)
