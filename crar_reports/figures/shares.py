"""Shares with their intervals, one below the other."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from crar_reports.figures.style import BLUE, house_style
from crar_reports.statistics import share_by_base

LINE, PLOT, LETTER = 0.24, 4.4, 0.068
"""Inches of a group, of the plot with its counts, and of a letter of a label."""


def shares_figure(panels: Sequence[tuple[str, Sequence[tuple[str, Sequence[Sequence[bool]]]]]], what: str) -> Figure:
    """A panel a grouping, a line a group: the share of successes with its exact 95 % interval by base, and the count at the right end.

    Args:
        panels: (title, (group, successes by base) in order).
        what: the axis in words.
    """
    longest = max((len(name) for _, groups in panels for name, _ in groups), default=0)
    heights = [max(1, len(groups)) + 0.6 for _, groups in panels]
    with house_style():
        figure = Figure(figsize=(PLOT + LETTER * longest, LINE * sum(heights) + 0.35 * len(panels) + 0.5), layout="constrained")
        grid = figure.subplots(len(panels), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
        for axis, (title, groups) in zip(grid, panels, strict=True):
            for place, (_, values) in enumerate(groups):
                found = share_by_base(values)
                if not found.of:
                    continue
                low, high = found.share - found.low, found.high - found.share
                bars = axis.errorbar(found.share, place, xerr=[[max(0.0, low)], [max(0.0, high)]], fmt="o", color=BLUE, capsize=3)
                for part in (bars[0], *bars[1], *bars[2]):
                    part.set_clip_on(False)  # a marker at 0 or 1 is whole
                axis.annotate(f"{found.count}/{found.of}", (1.03, place), va="center", fontsize=8, annotation_clip=False)
            axis.set_yticks(range(len(groups)), [name for name, _ in groups])
            axis.set(ylim=(len(groups) - 0.4, -0.6), xlim=(0, 1), title=title)
            axis.grid(visible=False, axis="y")
        grid[-1].set_xlabel(what)
    return figure
