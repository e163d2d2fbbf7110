"""The way of a training on its principal plane (Li et al. 2018, section 7)."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from reports.figures.style import house_style


def trajectory_figure(data: xr.Dataset) -> Figure:
    """Contours of the total loss on the plane of `sample_trajectory`, the snapshots drawn in."""
    with house_style():
        figure = Figure(figsize=(6.4, 4.8), layout="constrained")
        axes = figure.subplots()
        values = data["total"].values
        levels = np.geomspace(np.nanmin(values), np.nanmax(values), 25)
        drawn = axes.contourf(data["x"], data["y"], values, levels=levels, norm=LogNorm(), cmap="viridis")
        axes.plot(data["snapshot_x"], data["snapshot_y"], "o-", color="white", markeredgecolor="black", markersize=4)
        axes.set(
            xlabel=f"first axis ({100 * data.attrs['explained_x']:.0f} % of the variance)",
            ylabel=f"second axis ({100 * data.attrs['explained_y']:.0f} %)", title="total loss on the plane of the trajectory",
        )  # fmt: skip
        axes.grid(visible=False)
        figure.colorbar(drawn, ax=axes, label="total loss", format="%.2g").set_ticks(list(levels[::6]))
    return figure
