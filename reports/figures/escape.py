"""How many are still in their minimum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib import colormaps
from matplotlib.figure import Figure

from reports.figures.style import house_style


def escape_figure(cells: Sequence[dict[str, Any]], updates: int) -> Figure:
    """Kaplan-Meier curves, a panel an optimiser, a line a cell.

    Args:
        cells: with `optimiser`, `rate`, `batch`, `updates` and `inside`.
        updates: how long the members were watched.
    """
    names = list(dict.fromkeys(cell["optimiser"] for cell in cells))
    with house_style():
        figure = Figure(figsize=(4.2 * len(names), 3.6), layout="constrained")
        for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
            own = [cell for cell in cells if cell["optimiser"] == name]
            for cell, color in zip(own, colormaps["viridis"].resampled(len(own) + 1).colors, strict=False):  # type: ignore[attr-defined]
                end = cell["inside"][-1] if cell["inside"] else 1.0
                axes.step(
                    [0, *cell["updates"], updates], [1, *cell["inside"], end], where="post", color=color,
                    label=f"rate {cell['rate']:g}, batch {cell['batch']}",
                )  # fmt: skip
            axes.set(title=name, xlabel="updates", ylabel="share still in", ylim=(-0.02, 1.05), xlim=(0, updates))
            axes.legend(loc="lower left")
    return figure
