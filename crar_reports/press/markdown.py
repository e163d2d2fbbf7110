"""What Markdown pages are made of: tables, lists, and numbers as they are shown."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; floats are shown with three significant digits."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(number(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def bullets(lines: Iterable[tuple[str, str]]) -> str:
    """A Markdown list of (what a line is about, its text)."""
    return "\n".join(f"- **{about}**: {text}" for about, text in lines)


def number(value: object) -> str:
    """A cell: floats short, NaN and None as a dash, everything else as it is."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.3g}"
    return str(value)


def measured(value: object) -> str:
    """A cell with a figure that was measured: NaN is what came out, not a gap."""
    return "NaN" if isinstance(value, float) and math.isnan(value) else number(value)


def share(value: float | None) -> str:
    """A share in per cent; one that is not finite, or None, as a dash."""
    return f"{100 * value:.0f} %" if value is not None and math.isfinite(value) else "-"


Lines = list[tuple[str, str]]
"""(what the line is about, its text): see :func:`crar_reports.press.markdown.bullets`."""
QUICK = "made with `--quick`, so descents, paths and scores were cut short"


def about_world(facts: Sequence[str]) -> Lines:
    """The line of a summary on a world that was found out from data; none without such facts."""
    return [("The world", f"{'; '.join(facts)}.")] if facts else []


def _counted(words: Sequence[str]) -> str:
    """ "holds 7, undecided 2" of the words, most frequent first."""
    return ", ".join(f"{word} {count}" for word, count in Counter(words).most_common())
