"""The surface encoder x dynamics (Figure 15), the paths, and the moves of the encoder's landscape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from landscape_tools.paths import Path
from reports.figures.style import house_style

if TYPE_CHECKING:
    from reports.theorem import Shift

MARKS = (
    ("failed encoder, frozen dynamics", 0.0, 0.0, "o", "#D55E00"),
    ("global optimum, frozen dynamics", 1.0, 0.0, "*", "#0072B2"),
    ("failed encoder, adapted dynamics", 0.0, 1.0, "s", "#009E73"),
)
"""(label, encoder, dynamics, marker, colour) of the models on the surface."""


def at_mark(surface: xr.Dataset, term: str, x: float, y: float) -> float:
    """A term of the surface at a model."""
    return float(surface[term].sel(x=x, y=y, method="nearest"))


def surface_figure(surface: xr.Dataset, term: str = "total") -> Figure:
    """Contour and 3-D view of a term over encoder x dynamics, the frozen slice drawn in, models marked."""
    values = surface[term].transpose("y", "x").values
    floor = max(1e-9, float(np.nanmin(values[values > 0])) if (values > 0).any() else 1e-9)
    x, y = np.meshgrid(surface["x"].values, surface["y"].values)
    with house_style():
        figure = Figure(figsize=(10.5, 4.6), layout="constrained")
        flat = figure.add_subplot(1, 2, 1)
        solid = figure.add_subplot(1, 2, 2, projection="3d")
        levels = np.geomspace(floor, max(float(np.nanmax(values)), floor * 1.01), 25)
        drawn = flat.contourf(x, y, np.clip(values, floor, None), levels=levels, norm=LogNorm(), cmap="viridis")
        flat.axhline(0.0, color="white", linewidth=1.5, linestyle="--", label="frozen slice: the base's dynamics")
        for label, a, b, marker, color in MARKS:
            flat.plot(a, b, marker, color=color, markersize=11, markeredgecolor="white", linestyle="", label=label, clip_on=False)
        flat.set(xlabel="encoder: 0 failed, 1 global optimum", ylabel="dynamics: 0 the base's, 1 adapted to the failed embedding")
        flat.grid(visible=False)
        bar = figure.colorbar(drawn, ax=flat, label=f"{term} loss", format="%.2g")
        bar.set_ticks(list(levels[::6]))
        heights = np.log10(np.clip(values, floor, None))
        solid.plot_surface(x, y, heights, cmap="viridis", linewidth=0, antialiased=True, alpha=0.85, rcount=60, ccount=60)
        slice_ = np.log10(np.clip(surface[term].sel(y=0.0, method="nearest").values, floor, None))
        solid.plot(surface["x"].values, np.zeros_like(slice_), slice_ + 0.02, color="black", linewidth=2)
        for _, a, b, marker, color in MARKS:
            height = np.log10(max(floor, at_mark(surface, term, a, b)))
            solid.plot([a], [b], [height + 0.03], marker, color=color, markersize=9, markeredgecolor="white", zorder=10)
        solid.set(xlabel="encoder", ylabel="dynamics", zlabel=f"log10 {term} loss")
        solid.view_init(elev=35, azim=-60)
        handles, labels = flat.get_legend_handles_labels()
        handles[0] = Line2D([], [], color="black", linestyle="--")
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


def paths_figure(paths: Sequence[tuple[str, Path, str]], straight: tuple[np.ndarray, np.ndarray]) -> Figure:
    """Total loss along paths; the left panel has the straight line, the right one the first part of the frozen path.

    Args:
        paths: (label, path, colour), the frozen one first.
        straight: t and total of the straight line.
    """
    with house_style():
        figure = Figure(figsize=(9.0, 3.7), layout="constrained")
        whole, near = figure.subplots(1, 2)
        whole.plot(*straight, color="#999999", linestyle="--", label="straight line")
        for label, path, color in paths:
            whole.plot(path.walk.numpy(), path.heights.numpy(), color=color, label=label)
        whole.set(xlabel="share of the way walked", ylabel="total loss", yscale="log", title="from the failed to the base's valley")
        frozen = paths[0][1]
        walk, heights = frozen.walk.numpy() * frozen.length, frozen.heights.numpy() - float(frozen.heights[0])
        last = max(4 * frozen.where, 0.05) * frozen.length
        kept = walk <= last
        near.plot(walk[kept], heights[kept], color=paths[0][2])
        near.axhline(0.0, color="#999999", linewidth=1)
        top = int(np.argmax(heights))
        near.plot(walk[top], heights[top], "o", color="#D55E00")
        near.annotate(f"barrier {frozen.barrier:.2g}", (walk[top], heights[top]), textcoords="offset points", xytext=(8, 4))
        near.set(xlabel="distance walked", ylabel="loss above the start", title="the start of the frozen path")
        figure.legend(*whole.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def shifts_figure(shifts: Sequence[Shift], shares: Sequence[float]) -> Figure:
    """Change of loss and gradient over the distance that the dynamics moved."""
    with house_style():
        figure = Figure(figsize=(8.2, 3.5), layout="constrained")
        left, right = figure.subplots(1, 2)
        count = len(shares)
        for label, part, color in (
            ("towards the adapted dynamics", shifts[1:count], "#0072B2"), ("random direction", shifts[count + 1 : 2 * count], "#D55E00"),
        ):  # fmt: skip
            distance = [s.distance for s in part]
            left.plot(distance, [s.values for s in part], "o-", color=color, label=label)
            right.plot(distance, [s.gradients for s in part], "o-", color=color, label=label)
        for axes, name in ((left, "change of the loss (rms)"), (right, "change of the gradient, relative")):
            axes.set(xscale="log", yscale="log", xlabel="distance moved by the dynamics", ylabel=name)
        left.legend()
    return figure
