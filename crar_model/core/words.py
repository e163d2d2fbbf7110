"""Words for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def plural(count: int, word: str) -> str:
    """A count with its word: "1 model", "1,200 models"."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def the(title: str, *, world: bool) -> str:
    """The title of a task after "in": that of a world is a name, and has no article."""
    return title if world else f"the {title}"


def of_all(done: int, everything: int, words: str) -> str:
    """How many of how many, the word in the plural as it is given: "1 of 1 model", "3 of 8 models"."""
    return f"{done} of {everything} {words.removesuffix('s') if everything == 1 else words}"


def html_table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A table for a notebook; all text is escaped."""
    lines = (("th", header), *(("td", row) for row in rows))
    body = "".join(f"<tr>{''.join(f'<{tag}>{escape(str(cell))}</{tag}>' for cell in cells)}</tr>" for tag, cells in lines)
    return f"<table>{body}</table>"
