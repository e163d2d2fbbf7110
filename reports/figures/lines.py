"""Loss terms along straight lines from the failed model to the global optimum."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr
from matplotlib.figure import Figure

from reports.figures.style import TERM_COLORS, house_style


def lines_figure(panels: Sequence[tuple[str, xr.Dataset]], terms: Sequence[str], what: str) -> Figure:
    """One panel per line, one curve per loss term, shared logarithmic axis.

    Args:
        panels: (title, line over `t`) pairs.
        terms: variables to draw.
        what: the batch, for the axis.
    """
    floor = 1e-6  # a logarithmic axis cannot show 0
    with house_style():
        figure = Figure(figsize=(3.7 * len(panels), 3.9), layout="constrained")
        grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (title, line) in zip(grid, panels, strict=True):
            for term in terms:
                values = line[term].values.clip(min=floor)
                axes.plot(line["t"], values, color=TERM_COLORS[term], label=term, linewidth=2.2 if term == "total" else 1.4)
            axes.set(title=title, xlabel="t: 0 failed, 1 global optimum", yscale="log")
        grid[0].set_ylim(bottom=floor)  # after the last panel, so that the shared axis reaches the highest of all
        grid[0].set_ylabel(f"loss on {what}")
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(terms))
    return figure
