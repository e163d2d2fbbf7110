"""Figure 16: terms and scores of single models over updates, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from crar_model.agent.loss import FOLLOWED
from crar_reports.figures.style import BLUE, SLATE, TERM_COLORS, house_style
from crar_reports.measure.scores import running_mean

Log = Mapping[str, np.ndarray[Any, Any]]
FLOOR = 1e-8
"""A logarithmic axis cannot show 0."""


def outcomes_figure(panels: Sequence[tuple[str, Log]], what: str) -> Figure:
    """A column a model: its loss terms, and below them its validation scores where it has any.

    Args:
        panels: (title, columns of its log).
        what: what the losses are of, for the axis.
    """
    scored = any("score" in log for _, log in panels)
    with house_style():
        figure = Figure(figsize=(3.9 * len(panels), 3.6 + 2.2 * scored), layout="constrained")
        grid = figure.subplots(1 + scored, len(panels), sharey="row", sharex="col", squeeze=False, height_ratios=(3, 2)[: 1 + scored])
        for column, (title, log) in zip(grid.T, panels, strict=True):
            x = log["update"] / 1000
            mark = "o" if len(x) == 1 else ""
            for term in FOLLOWED:
                column[0].plot(x, np.maximum(log[term], FLOOR), color=TERM_COLORS[term], label=term, linewidth=1.4, marker=mark)
            column[0].set(title=title, yscale="log", ylim=(FLOOR, 10))
            if "score" in log:
                column[1].plot(x, log["score"], color=BLUE, linewidth=0.7, alpha=0.5, marker=mark)
                column[1].plot(x, running_mean(log["score"]), color=BLUE, linewidth=1.8)
                column[1].axhline(0.0, color=SLATE, linewidth=0.8)
                column[1].set_ylim(-5.2, 2.6)
            column[-1].set_xlabel("updates (thousands)")
        grid[0][0].set_ylabel(f"loss on {what}")
        if scored:
            grid[1][0].set_ylabel("score")
        handles, labels = grid[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(FOLLOWED))
    return figure
