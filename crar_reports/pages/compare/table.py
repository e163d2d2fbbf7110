"""Variants x maps x rates x update rules: a line a group of transfers that were made alike, for `crar compare` and first on the page of a study."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from crar_model.training.variants import BASE, VARIANTS
from crar_reports.figures.shares import shares_figure
from crar_reports.figures.survival import survival_figure
from crar_reports.pages.study.recipes import transfer_words
from crar_reports.pages.study.rows import Key, Row, groups_of, label, mostly, successes, told, units_of
from crar_reports.pages.study.times import times_of
from crar_reports.press.markdown import table
from crar_reports.press.publish import Content
from crar_reports.sections import sections_of
from crar_reports.statistics import Times, middle, share, share_by_base

CURVES = 4
"""Curves of a panel; groups beyond it go into a further one of the same name."""
FILE = "compare.csv"


@dataclass(frozen=True)
class Line:
    """A group of transfers that were made alike.

    Attributes:
        maze, variant, map, rule, rate, updates, quirk, bases: what it is; without updates there is no rule and no rate.
        count, of, share, low, high: successes (:func:`crar_reports.statistics.share_by_base`).
        units: bases, or models of no base. of_bases: whether they start from bases.
        count_mostly, low_mostly, high_mostly: bases of which more than half succeeded, and the interval of their share.
        timed: whether the log says when a transfer came near. half: updates by which half have (Kaplan-Meier), None where fewer ever do.
    """

    maze: str
    variant: str
    map: str
    rule: str
    rate: float | None
    updates: int
    quirk: str
    bases: str
    count: int
    of: int
    share: float
    low: float
    high: float
    units: int
    of_bases: bool
    count_mostly: int | None
    low_mostly: float | None
    high_mostly: float | None
    timed: bool
    half: float | None


def compared(rows: Sequence[Row]) -> list[Line]:
    """A line for every group of transfers that tell whether they succeeded, those of a maze together, by variant, map, rule and rate."""
    found = []
    for section in sections_of(rows):
        groups = groups_of(row for row in section.rows if row["variant"] != BASE.name)
        for key, group in sorted(groups.items(), key=_order):
            own = told(group)
            if not own:
                continue
            related, times, trains = VARIANTS[key.variant].from_base, times_of(own), int(key.updates) > 0
            good = share_by_base(successes(own))
            most = share(mostly(own)) if related else None
            count, low, high = (most.count, most.low, most.high) if most else (None, None, None)
            half = middle(times) if len(times) else math.inf
            found.append(
                Line(
                    section.title, key.variant, key.seen, key.rule if trains else "", float(key.rate) if trains else None, int(key.updates), key.quirk, key.base,
                    good.count, good.of, good.share, good.low, good.high, len(units_of(own)), related, count, low, high,
                    len(times) > 0, half if math.isfinite(half) else None,
                )
            )  # fmt: skip
    return found


def _order(item: tuple[Key, Sequence[Row]]) -> tuple[Any, ...]:
    key = item[0]
    return list(VARIANTS).index(key.variant), key.seen, key.rule, float(key.rate), int(key.updates), key.base, key.quirk


def compared_view(lines: Sequence[Line]) -> str:
    """The table in Markdown: what came out right after the variant, so that a narrow window shows it.

    Columns in which all lines are alike are left out, but variant, rule, rate and updates.
    """
    mazes, maps, recipes = ({getattr(line, name) for line in lines} for name in ("maze", "map", "bases"))
    columns: list[tuple[str, bool, Callable[[Line], str]]] = [
        ("maze", len(mazes) > 1, lambda line: line.maze),
        ("variant", True, lambda line: line.variant + (f", {line.quirk}" if line.quirk else "")),
        ("map", len(maps) > 1, lambda line: line.map),
        ("succeeded", True, lambda line: f"{line.count}/{line.of}"),
        ("share", True, lambda line: f"{100 * line.share:.0f} %"),
        ("95 % interval by base", True, lambda line: f"{100 * line.low:.0f} to {100 * line.high:.0f} %"),
        ("rule", True, lambda line: line.rule or "-"),
        ("rate", True, lambda line: "-" if line.rate is None else f"{line.rate:g}"),
        ("updates", True, lambda line: f"{line.updates:,}"),
        ("bases that mostly succeed", True, lambda line: f"{line.count_mostly}/{line.units}" if line.of_bases else "-"),
        ("half by", any(line.timed for line in lines), _half),
        ("bases trained by", len(recipes) > 1, lambda line: line.bases or "-"),
    ]  # fmt: skip
    shown = [(name, cell) for name, has, cell in columns if has]
    return table([name for name, _ in shown], [[cell(line) for _, cell in shown] for line in lines])


def _half(line: Line) -> str:
    return f"{line.half:,.0f}" if line.half is not None else "never" if line.timed else "-"


def compared_csv(lines: Sequence[Line]) -> str:
    """The same in full, a line a group; what there is not is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(vars(lines[0])), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if value is None else value for name, value in vars(line).items()} for line in lines)
    return text.getvalue()


def compared_figures(rows: Sequence[Row]) -> dict[str, Content]:
    """Shares with intervals, and curves of the updates until a transfer came near, a panel a variant and map of a maze."""
    shares: list[tuple[str, list[tuple[str, list[list[bool]]]]]] = []
    panels: list[tuple[str, float, list[tuple[str, Times]]]] = []
    sections = sections_of(rows)
    for section in sections:
        groups = {
            key: own
            for key, group in sorted(groups_of(section.rows).items(), key=_order)
            if key.variant != BASE.name and (own := told(group))
        }
        shares.append((section.title, [(label(key, groups), successes(own)) for key, own in groups.items()]))
        recipes, maps = {key.base for key in groups if key.base}, {key.seen for key in groups}
        by: dict[str, list[tuple[str, Times]]] = {}
        for key, own in groups.items():
            if len(times := times_of(own)):
                from_ = f"\nbases: {key.base}" if len(recipes) > 1 and key.base else ""
                title = f"{f'{section.title}: ' if len(sections) > 1 else ''}{key.variant}{f', {key.seen}' if len(maps) > 1 else ''}{from_}"
                by.setdefault(title, []).append((_curve(key, groups), times))
        for title, curves in by.items():
            for start in range(0, len(curves), CURVES):
                part = curves[start : start + CURVES]
                panels.append((title, max(max((*times.reached, *times.censored)) for _, times in part), part))
    figures: dict[str, Content] = {"shares.png": shares_figure(shares, "share that succeeded")}
    if panels:
        figures["times.png"] = survival_figure(panels)
    return figures


def _curve(key: Key, among: Iterable[Key]) -> str:
    """What tells a curve from the others of its panel: how it was trained, and for how long where another was so, too."""
    words = transfer_words(key)
    again = any(transfer_words(other) == words and other._replace(updates=key.updates) == key and other != key for other in among)
    return f"{words}, {int(key.updates):,}" if again else words
