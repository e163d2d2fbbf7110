"""How many are still in their minimum."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from crar_reports.figures.style import house_style
from crar_reports.measure.exits import Watched

DASHES = ("-", "--", ":", "-.")
LIGHTEST = 0.75
"""Of the colour map; beyond it lines are too pale for a white page."""
LATER = 1.05
"""The axis goes on beyond the end, so that the last step is seen."""
APART = 0.004
"""Curves are drawn this much below each other: many lie on one another."""


def escape_figure(cells: Sequence[Watched], updates: int) -> Figure:
    """Kaplan-Meier curves, a panel an optimiser and a rule, a line a cell: colours are rates, dashes batch sizes.

    Args:
        cells: with the course of each.
        updates: how long the members were watched.
    """
    names = list(dict.fromkeys((cell.optimiser, cell.rule) for cell in cells))
    with house_style():
        figure = Figure(figsize=(4.2 * len(names), 3.6), layout="constrained")
        for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
            own = [cell for cell in cells if (cell.optimiser, cell.rule) == name]
            rates, batches = sorted({cell.rate for cell in own}), sorted({cell.batch for cell in own})
            colors = colormaps["viridis"](np.linspace(0, LIGHTEST, len(rates)))
            for number, cell in enumerate(own):  # where all are still in, curves lie a line's width apart
                end = cell.inside[-1] if cell.inside else 1.0
                place = batches.index(cell.batch)
                axes.step(
                    [0, *cell.updates, LATER * updates], np.array([1, *cell.inside, end]) - APART * number, where="post",
                    color=colors[rates.index(cell.rate)], linestyle=DASHES[place % len(DASHES)],
                    label=f"rate {cell.rate:g}, batch {cell.batch}",
                )  # fmt: skip
            axes.set(
                title=f"{name[0]}, {name[1]} steps",
                xlabel="updates",
                ylabel="share still in",
                ylim=(-0.08, 1.05),
                xlim=(0, LATER * updates),
            )
            axes.legend(loc="center left", fontsize="small")
    return figure
