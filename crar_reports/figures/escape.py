"""How many are still in their minimum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from crar_reports.figures.style import SLATE, house_style
from crar_reports.measure.exits import Watched

DASHES: tuple[Literal["-", "--", ":", "-."], ...] = ("-", "--", ":", "-.")
LIGHTEST = 0.75
"""Of the colour map; beyond it lines are too pale for a white page."""
LATER = 1.05
"""The axis goes on beyond the end, so that the last step is seen."""
WIDEST, NARROWEST = 4.5, 1.4
"""Widths of the first curve of a panel and of the last, in points: many lie on one another, and each is seen at the edge of the one above it."""
COLUMNS = 2


def escape_figure(cells: Sequence[Watched], updates: int) -> Figure:
    """Kaplan-Meier curves, a panel an optimiser and a rule, a line a cell: colours are rates, dashes batch sizes.

    Args:
        cells: with the course of each.
        updates: how long the members were watched.
    """
    names = list(dict.fromkeys((cell.optimiser, cell.rule) for cell in cells))
    rates, batches = sorted({cell.rate for cell in cells}), sorted({cell.batch for cell in cells})
    colors = dict(zip(rates, colormaps["viridis"](np.linspace(0, LIGHTEST, len(rates))), strict=True))
    dashes = {batch: DASHES[place % len(DASHES)] for place, batch in enumerate(batches)}
    columns = min(COLUMNS, len(names))
    lines = -(-len(names) // columns)
    with house_style():
        figure = Figure(figsize=(4.2 * columns, 3.1 * lines + 0.4), layout="constrained")
        grid = figure.subplots(lines, columns, squeeze=False, sharey=True).ravel()
        for axes in grid[len(names) :]:
            axes.set_axis_off()
        for place, (axes, name) in enumerate(zip(grid, names, strict=False)):
            own = [cell for cell in cells if (cell.optimiser, cell.rule) == name]
            for cell, width in zip(own, np.linspace(WIDEST, NARROWEST, len(own)) if len(own) > 1 else (NARROWEST,), strict=True):
                end = cell.inside[-1] if cell.inside else 1.0
                axes.step(
                    [0, *cell.updates, LATER * updates], [1, *cell.inside, end], where="post", color=colors[cell.rate],
                    linestyle=dashes[cell.batch], linewidth=width, clip_on=False,
                )  # fmt: skip
            axes.set_title(f"{name[0]}, {name[1]} steps", pad=9)
            axes.set(xlabel="updates", ylim=(0, 1), xlim=(0, LATER * updates))
            if place % columns == 0:
                axes.set_ylabel("share still in")
        handles = [Line2D([], [], color=color, linewidth=2.5, label=f"rate {rate:g}") for rate, color in colors.items()]
        handles += [Line2D([], [], color=SLATE, linestyle=dash, label=f"batch {batch}") for batch, dash in dashes.items()]
        figure.legend(handles=handles, loc="outside lower center", ncols=min(6, len(handles)))
    return figure
