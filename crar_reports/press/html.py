"""A report as one HTML file that opens offline: the same Markdown, with its figures inside."""

from __future__ import annotations

import base64
import mimetypes
import re
from collections.abc import MutableMapping, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict
from markupsafe import Markup

from crar_model.core.files import StrPath, write_text

WIDEST = 36
"""Letters of code that fit on a line of a phone."""
SHORT, LONG = 14, 40
"""Letters of a cell up to which it stays on one line, and from which on it is a text."""
NUMBER = re.compile(r"-?[\d.,]+(e[-+]?\d+)?( %)?")


def write_html(markdown: str, path: StrPath) -> Path:
    """Write a report's Markdown as HTML, atomically; returns the path.

    Figures named relative to the page are put inside as data URIs. A code span that is the name of a file beside the page links to it, and
    a link to the Markdown of another report leads to the HTML beside that. HTML in the Markdown is shown, never obeyed.

    Args:
        markdown: the report, which opens with its title as a heading.
        path: where to write; figures and files are looked for in its folder.

    Raises:
        FileNotFoundError: when the page shows a figure that is not there.
        UserError: when it cannot be written.
    """
    path = Path(path)
    parser = MarkdownIt("commonmark", {"html": False}, renderer_cls=PageRenderer).enable("table")
    tokens = parser.parse(markdown)
    title = next((after.content for token, after in pairwise(tokens) if token.type == "heading_open"), path.stem)
    body = str(parser.renderer.render(tokens, parser.options, {"folder": path.parent}))
    write_text(path, whole_page(title, body))
    return path


def whole_page(title: str, body: str, *, whole_window: bool = False) -> str:
    """The body of a page with head and style.

    Args:
        title: of the window, plain text.
        body: HTML, taken as it is.
        whole_window: leave out margins and the style of a text.
    """
    return templates(autoescape=True).get_template("page.html").render(title=title, body=Markup(body), whole_window=whole_window)


def templates(*, autoescape: bool = False) -> Environment:
    """The templates of the pages, in Markdown; with `autoescape` those in HTML."""
    loader = PackageLoader("crar_reports", "templates")
    return Environment(loader=loader, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True, autoescape=autoescape)


class PageRenderer(RendererHTML):
    """HTML of Markdown whose figures are inside; `env["folder"]` is the folder of the page."""

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        """A figure, inside as a data URI unless it is one or comes from elsewhere."""
        token = tokens[idx]
        source = str(token.attrs["src"])
        if ":" not in source:
            kind = mimetypes.guess_type(source)[0] or "application/octet-stream"
            token.attrs["src"] = f"data:{kind};base64,{base64.b64encode((env['folder'] / source).read_bytes()).decode('ascii')}"
        return super().image(tokens, idx, options, env)

    def code_inline(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        """A code span, which breaks between words and after a slash; one that names a file beside the page links to it."""
        name = tokens[idx].content
        shown = f"<code>{_words(name)}</code>"
        beside = name in {item.name for item in env["folder"].iterdir() if item.is_file()}  # a command can be longer than names may be
        return f'<a href="{name}">{shown}</a>' if beside else shown

    def link_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        """The start of a link; to another report's Markdown, it leads to the HTML beside that where there is one."""
        token = tokens[idx]
        target = str(token.attrs["href"])
        page = target.removesuffix(".md") + ".html"
        if ":" not in target and target.endswith(".md") and (env["folder"] / page).is_file():
            token.attrs["href"] = page
        return self.renderToken(tokens, idx, options, env)

    def paragraph_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        """The start of a paragraph; one that is a command has a box of its own, in which a long one scrolls."""
        inside = tokens[idx + 1].children or ()
        if len(inside) == 1 and inside[0].type == "code_inline" and " " in inside[0].content:
            tokens[idx].attrs.update({"class": "command", "tabindex": "0"})
        return self.renderToken(tokens, idx, options, env)

    def table_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        """The start of a table, in a box of its own that scrolls where the table is wider than the page."""
        return '<div class="table" tabindex="0">' + self.renderToken(tokens, idx, options, env)

    def td_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        """The start of a cell: a number stays on one line; on a phone a word does so too; a text gets room, for tables scroll."""
        words = tokens[idx + 1].content
        if words:
            short = " " not in words and len(words) <= SHORT
            tokens[idx].attrs["class"] = (
                "number" if NUMBER.fullmatch(words) else "short" if short else "long" if len(words) > LONG else "words"
            )
        return self.renderToken(tokens, idx, options, env)

    def table_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        """The end of a table and its box."""
        return self.renderToken(tokens, idx, options, env) + "</div>\n"


def _words(code: str) -> str:
    """The words of a code span as HTML, none of which breaks but after a slash; a part too long for a phone may break anywhere."""
    words = []
    for word in code.split(" "):
        parts = [part for part in re.split("(?<=[/=,])", word) if part]
        whole = len(parts) == 1 and re.fullmatch(r"\w*", word)
        words.append(
            escape(word)
            if whole
            else "<wbr>".join(escape(part) if len(part) > WIDEST else f"<span>{escape(part)}</span>" for part in parts)
        )
    return " ".join(words)
