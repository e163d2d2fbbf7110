"""The placement landscape: the total loss by the place of the start state, with the models in it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib import patheffects
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from crar_reports.figures.style import MODEL_COLORS, PAPER, house_style

MARKS = {"base": ("s", 19.0), "start": ("D", 9.0), "failed": ("o", 12.0), "chosen": ("*", 12.0)}
"""Marker and size of the places that can be shown, the lowest first. A cured model lies on its base, so the base's square is hollow and wider than any."""
LABELS = {
    "start": "where a transfer starts",
    "failed": "the failed encoder",
    "chosen": "the chosen candidate",
    "base": "the base, in its own maze",
}


def placement_figure(data: xr.Dataset, places: Mapping[str, tuple[float, float] | None]) -> Figure:
    """Contours of the total loss over the start state's place.

    Args:
        data: with `total` over "x" and "y".
        places: where models have the start state, of `MARKS`.
    """
    values = data["total"].transpose("y", "x").values
    finite = values[np.isfinite(values)]
    low, high = float(finite.min()), float(np.quantile(finite, 0.98))
    with house_style():
        figure = Figure(figsize=(5.4, 4.6), layout="constrained")
        axes = figure.add_subplot()
        levels = np.geomspace(max(low, 1e-9), max(high, low * 1.01), 25)
        shown = np.clip(np.nan_to_num(values, nan=high, posinf=high), levels[0], levels[-1])
        drawn = axes.contourf(data["x"], data["y"], shown, levels=levels, norm=LogNorm(), cmap="viridis")
        edge = [patheffects.Stroke(linewidth=4.5, foreground=PAPER), patheffects.Normal()]
        for name, (marker, size) in MARKS.items():
            place = places.get(name)
            if place is not None:
                shown_mark = axes.plot(
                    *place, marker, color=MODEL_COLORS[name], markersize=size, linestyle="", label=LABELS[name], clip_on=False
                )[0]
                if name == "base":
                    shown_mark.set(markerfacecolor="none", markeredgewidth=2.5, path_effects=edge)
                else:
                    shown_mark.set(markeredgecolor=PAPER)
        axes.set(xlabel="start state, abstract feature $x_1$", ylabel="start state, abstract feature $x_2$", aspect="equal")
        axes.grid(visible=False)
        bar = figure.colorbar(drawn, ax=axes, label="total loss, all other states placed by the frozen dynamics", format="%.2g")
        bar.set_ticks(list(levels[::6]))
        figure.legend(loc="outside lower center", ncols=3, markerscale=0.7)
    return figure
