"""Figure 13: loss terms over updates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from crar_model.agent.loss import FOLLOWED
from crar_reports.figures.style import TERM_COLORS, house_style


def losses_figure(panels: Sequence[tuple[str, dict[str, np.ndarray[Any, Any]]]], what: str) -> Figure:
    """Loss terms on the batch of the log: the median member as a line, all members as a band.

    Args:
        panels: (title, columns of `losses.csv`) of each run.
        what: the batch, for the axis.
    """
    with house_style():
        figure = Figure(figsize=(4.4 * len(panels), 3.8), layout="constrained")
        grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (title, columns) in zip(grid, panels, strict=True):
            updates = np.unique(columns["update"])
            for term in FOLLOWED:
                spread = [columns[term][columns["update"] == update] for update in updates]
                low, middle, high = (np.array([f(values) for values in spread]) for f in (np.nanmin, np.nanmedian, np.nanmax))
                floor = 1e-8  # a logarithmic axis cannot show 0
                color = TERM_COLORS[term]
                axes.plot(updates / 1000, np.maximum(middle, floor), color=color, label=term, linewidth=1.5)
                axes.fill_between(updates / 1000, np.maximum(low, floor), np.maximum(high, floor), color=color, alpha=0.15, linewidth=0)
            axes.set(title=title, xlabel="updates (thousands)", yscale="log", ylim=(floor, 10))
        grid[0].set_ylabel(f"loss on {what}")
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=7)
    return figure
