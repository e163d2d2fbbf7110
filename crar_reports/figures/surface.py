"""Figure 15: the loss over encoder x dynamics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib import patheffects
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from crar_reports.figures.style import INK, MODEL_COLORS, PAPER, house_style

MARKS = (
    ("failed encoder, frozen dynamics", 0.0, 0.0, "o", MODEL_COLORS["failed"]),
    ("reference, frozen dynamics", 1.0, 0.0, "*", MODEL_COLORS["reference"]),
    ("failed encoder, adapted dynamics", 0.0, 1.0, "s", MODEL_COLORS["adapted"]),
)
"""(label, encoder, dynamics, marker, colour) of the models on the surface."""


@dataclass(frozen=True)
class Words:
    """What stands on a surface: marks as `MARKS`, what both axes move, and whose dynamics the frozen slice has."""

    marks: tuple[tuple[str, float, float, str, str], ...] = MARKS
    encoder: str = "encoder: 0 failed, 1 reference"
    dynamics: str = "dynamics: 0 the failed model's, 1 adapted to the failed embedding"
    slice: str = "frozen slice: the failed model's dynamics"


PAIR = Words()
ALONE = Words(
    (
        ("its own encoder and dynamics", 0.0, 0.0, "o", MODEL_COLORS["failed"]),
        ("encoder of the released model, own dynamics", 1.0, 0.0, "*", MODEL_COLORS["reference"]),
        ("own encoder, adapted dynamics", 0.0, 1.0, "s", MODEL_COLORS["adapted"]),
    ),
    "encoder: 0 its own, 1 the released model's",
    "dynamics: 0 its own, 1 adapted to its embedding",
    "frozen slice: its own dynamics",
)
"""Of a model without a base."""


def at_mark(surface: xr.Dataset, term: str, x: float, y: float) -> float:
    """A term of the surface at a model."""
    return float(surface[term].sel(x=x, y=y, method="nearest"))


def surface_figure(surface: xr.Dataset, term: str = "total", words: Words = PAIR) -> Figure:
    """Contour and 3-D view of a term over encoder x dynamics, the frozen slice drawn in, models marked."""
    values = surface[term].transpose("y", "x").values
    values = np.where(np.isfinite(values), values, np.nan)  # a gap in the picture
    floor = max(1e-9, float(np.nanmin(values[values > 0])) if (values > 0).any() else 1e-9)
    x, y = np.meshgrid(surface["x"].values, surface["y"].values)
    with house_style():
        figure = Figure(figsize=(10.5, 4.6), layout="constrained")
        flat = figure.add_subplot(1, 2, 1)
        solid = figure.add_subplot(1, 2, 2, projection="3d")
        levels = np.geomspace(floor, max(float(np.nanmax(values)), floor * 1.01), 25)
        drawn = flat.contourf(x, y, np.clip(values, floor, None), levels=levels, norm=LogNorm(), cmap="viridis")
        edge = [patheffects.Stroke(linewidth=3.2, foreground=PAPER), patheffects.Normal()]
        flat.axhline(0.0, color=INK, linewidth=1.6, linestyle="--", path_effects=edge, label=words.slice)
        for label, a, b, marker, color in words.marks:
            flat.plot(a, b, marker, color=color, markersize=11, markeredgecolor=PAPER, linestyle="", label=label, clip_on=False)
        flat.set(xlabel=words.encoder, ylabel=words.dynamics)
        flat.grid(visible=False)
        bar = figure.colorbar(drawn, ax=flat, label=f"{term} loss", format="%.2g")
        bar.set_ticks(list(levels[::6]))
        heights = np.log10(np.clip(values, floor, None))
        solid.plot_surface(x, y, heights, cmap="viridis", linewidth=0, antialiased=True, alpha=0.85, rcount=60, ccount=60)
        slice_ = np.log10(np.clip(surface[term].sel(y=0.0, method="nearest").values, floor, None))
        solid.plot(surface["x"].values, np.zeros_like(slice_), slice_ + 0.02, color=INK, linewidth=1.6, linestyle="--")
        for _, a, b, marker, color in words.marks:
            height = np.log10(max(floor, at_mark(surface, term, a, b)))
            solid.plot([a], [b], [height + 0.03], marker, color=color, markersize=9, markeredgecolor=PAPER, zorder=10)
        solid.set(xlabel="encoder", ylabel="dynamics", zlabel=f"log10 {term} loss")
        solid.view_init(elev=35, azim=-60)
        handles, labels = flat.get_legend_handles_labels()
        handles[0] = Line2D([], [], color=INK, linestyle="--")  # without the white edge of the contour
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure
