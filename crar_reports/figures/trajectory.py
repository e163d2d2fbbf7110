"""The way of a training on the plane nearest to it (Li et al. 2018, section 7)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from crar_reports.figures.style import BLUE, GRID, INK, PAPER, VERMILION, house_style


def trajectory_figure(data: xr.Dataset, updates: Sequence[int], whose: str) -> Figure:
    """Contours of the total loss on the plane of `sample_trajectory`, the snapshots drawn in, some of them with their updates.

    Args:
        data: of `sample_trajectory`.
        updates: at every snapshot.
        whose: the model, for the title.
    """
    with house_style():
        figure = Figure(figsize=(6.4, 4.8), layout="constrained")
        axes = figure.subplots()
        values = np.where(np.isfinite(data["total"].values), data["total"].values, np.nan)  # a gap in the picture
        levels = np.geomspace(np.nanmin(values), np.nanmax(values), 25)
        drawn = axes.contourf(data["x"], data["y"], values, levels=levels, norm=LogNorm(), cmap="viridis")
        axes.plot(data["snapshot_x"], data["snapshot_y"], "o-", color=GRID, markeredgecolor=INK, markersize=4, label="snapshots")
        x, y = data["snapshot_x"].values, data["snapshot_y"].values
        for at, marker, color, name in ((0, "s", VERMILION, "start"), (-1, "*", BLUE, "end")):
            axes.plot(
                x[at],
                y[at],
                marker,
                color=color,
                markersize=12,
                markeredgecolor=PAPER,
                linestyle="",
                label=f"{name}, update {updates[at]:,}",
            )
        for at in sorted({round(k * (len(updates) - 1) / 4) for k in range(1, 4)}):
            axes.annotate(f"{updates[at]:,}", (x[at], y[at]), textcoords="offset points", xytext=(7, 5), color=PAPER, fontsize=8)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        axes.set(
            xlabel=f"first axis ({100 * data.attrs['explained_x']:.0f} % of the squared distances from the end)",
            ylabel=f"second axis ({100 * data.attrs['explained_y']:.0f} %)", title=f"total loss on the plane of the training of {whose}",
        )  # fmt: skip
        axes.grid(visible=False)
        figure.colorbar(drawn, ax=axes, label="total loss", format="%.2g").set_ticks(list(levels[::6]))
    return figure
