"""Total loss along paths from the failed to the base's valley."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from crar_reports.figures.style import FAINT, PATH_COLORS, VERMILION, house_style
from landscape_tools import Path


def paths_figure(paths: Sequence[tuple[str, Path, str]], straight: tuple[np.ndarray, np.ndarray]) -> Figure:
    """Total loss along paths; the left panel has the straight line, the right one the first part of the frozen path.

    Args:
        paths: (label, path, colour), the frozen one first.
        straight: t and total of the straight line.
    """
    with house_style():
        figure = Figure(figsize=(9.0, 3.7), layout="constrained")
        whole, near = figure.subplots(1, 2)
        whole.plot(*straight, color=PATH_COLORS["straight"], linestyle="--", label="straight line, from the model as trained")
        for label, path, color in paths:
            whole.plot(path.walk.numpy(), path.heights.numpy(), color=color, label=label)
        whole.set(xlabel="share of the way walked", ylabel="total loss", yscale="log", title="from the failed to the base's valley")
        whole.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        whole.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))  # 0.2 instead of 2 x 10^-1
        whole.yaxis.set_minor_formatter(NullFormatter())
        frozen = paths[0][1]
        walk, heights = frozen.walk.numpy() * frozen.length, frozen.heights.numpy() - float(frozen.heights[0])
        last = max(4 * frozen.where, 0.05) * frozen.length
        kept = walk <= last
        near.plot(walk[kept], heights[kept], color=paths[0][2])
        near.axhline(0.0, color=FAINT, linewidth=1)
        top = int(np.argmax(heights))
        if np.isfinite(heights[top]):
            near.plot(walk[top], heights[top], "o", color=VERMILION)
            near.annotate(f"barrier {frozen.barrier:.2g}", (walk[top], heights[top]), textcoords="offset points", xytext=(6, 6))
        else:
            near.annotate(f"barrier {frozen.barrier:.2g}", (0.05, 0.9), xycoords="axes fraction")
        near.margins(y=0.14)  # room for the label
        near.set(xlabel="distance walked", ylabel="loss above the start", title="the start of the frozen path")
        figure.legend(*whole.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
