"""Shares with their intervals, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from crar_reports.figures.style import house_style
from crar_reports.statistics import share_by_base


def shares_figure(panels: Sequence[tuple[str, Sequence[tuple[str, Sequence[Sequence[bool]]]]]], what: str) -> Figure:
    """A panel a grouping: the share of successes of every group with its exact 95 % interval by base and the count.

    Args:
        panels: (title, (group, successes by base) in order).
        what: the axis in words.
    """
    with house_style():
        widths = [max(2, len(groups)) for _, groups in panels]
        figure, axes = plt.subplots(
            1, len(panels), figsize=(2 + 0.75 * sum(widths), 3.2), squeeze=False, sharey=True, width_ratios=widths, layout="constrained"
        )
        for axis, (title, groups) in zip(axes[0], panels, strict=True):
            for place, (_, values) in enumerate(groups):
                found = share_by_base(values)
                if not found.of:
                    continue
                low, high = found.share - found.low, found.high - found.share
                axis.errorbar(place, found.share, yerr=[[max(0.0, low)], [max(0.0, high)]], fmt="o", color="#0072B2", capsize=3)
                axis.annotate(f"{found.count}/{found.of}", (place, 1.04), ha="center", fontsize=7, annotation_clip=False)
            axis.set_xticks(range(len(groups)), [name for name, _ in groups], rotation=30, ha="right", rotation_mode="anchor")
            axis.set_xlim(-0.6, len(groups) - 0.4)
            axis.set_ylim(-0.03, 1.12)
            axis.set_title(title)
        axes[0][0].set_ylabel(what)
    plt.close(figure)
    return figure
