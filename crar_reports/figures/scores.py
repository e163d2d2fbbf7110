"""Validation scores over updates: one panel a run, a thin line a member, its running mean bold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from crar_reports.figures.style import SERIES, SLATE, house_style
from crar_reports.measure.scores import running_mean


def scores_figure(
    panels: Sequence[tuple[str, dict[str, np.ndarray[Any, Any]], Sequence[str]]], reference: float | None = None, reference_label: str = ""
) -> Figure:
    """Scores of runs over updates.

    Args:
        panels: (title, columns of `losses.csv`, a label for every member) of each run.
        reference, reference_label: a score to compare with, drawn as a dashed line, and its name; None leaves it out.
    """
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    most = max(len(labels) for _, _, labels in panels)  # the legend's lines need room above the curves
    with house_style():
        figure = Figure(figsize=(3.6 * columns + 0.6, 2.9 * rows + 0.4), layout="constrained")
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        for axes, (title, table, labels) in zip(grid.flat, panels, strict=False):
            for number, label in enumerate(labels):
                own = table["member"] == number
                x, y = table["update"][own] / 1000, table["score"][own]
                color = SERIES[number % len(SERIES)]
                mark = "o" if len(x) == 1 else ""
                axes.plot(x, y, color=color, linewidth=0.7, alpha=0.45, marker=mark)
                axes.plot(x, running_mean(y), color=color, linewidth=1.9, label=label, marker=mark)
            axes.axhline(0.0, color=SLATE, linewidth=0.8)
            if reference is not None:
                axes.axhline(reference, color=SLATE, linewidth=0.9, linestyle="--", label=reference_label)
            axes.set(title=title, xlabel="updates (thousands)", ylim=(-5.2, 3.6 + 0.55 * max(0, most - 2)))
            axes.legend(loc="upper left")
            if table["update"].max() == 0:  # a variant that takes no updates
                axes.set_xlim(-1, 10)
        for row in grid:
            row[0].set_ylabel("score: total reward / episodes started")
    return figure
