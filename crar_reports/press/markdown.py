"""Rendering of report pages from the templates beside it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from crar_model.core.files import StrPath, write_text
from crar_model.core.ratio import ratio
from crar_model.core.words import plural
from crar_model.models.merit import definition
from crar_model.samples import as_given
from crar_reports.press.glossary import glossary, glossary_lines
from crar_reports.press.html import write_html


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


def render(template: str, path: StrPath, **values: Any) -> Path:
    """Fill a template of `crar_reports/templates`; write it atomically, and the same page as HTML beside it; returns the path of the Markdown.

    The figures that the page shows are written before it, for the HTML has them inside.

    Raises:
        jinja2.UndefinedError: when the template names a value that is not given.
        FileNotFoundError: when the page shows a figure that is not there.
        UserError: when a file cannot be written.
    """
    path = Path(path)
    environment = Environment(
        loader=PackageLoader("crar_reports", "templates"), undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    environment.filters["number"] = number
    environment.filters["measured"] = measured
    environment.filters["share"] = share
    environment.filters["as_given"] = as_given
    page = environment.get_template(template).render(
        definition=definition,
        table=table,
        bullets=bullets,
        plural=plural,
        glossary=glossary,
        glossary_lines=glossary_lines,
        ratio=ratio,
        **values,
    )
    write_text(path, page)
    write_html(page, path.with_suffix(".html"))
    return path


Plain = dict[str, Any]


Lines = list[tuple[str, str]]
"""(what the line is about, its text): see :func:`crar_reports.press.markdown.bullets`."""


QUICK = "made with `--quick`, so descents, paths and scores were cut short"


def _counted(words: Sequence[str]) -> str:
    """ "holds 7, undecided 2" of the words, most frequent first."""
    return ", ".join(f"{word} {count}" for word, count in Counter(words).most_common())
