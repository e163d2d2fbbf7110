"""Pictures of sampled lines, planes and trajectories, which are datasets and so have no methods of their own."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from landscape_tools.evaluating import name_in_file
from landscape_tools.results import Result, new_axes, page, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEVELS = 24
"""Of the contours of a plane."""
STEEP = 100.0
"""Highest over lowest from which the colours of a plane are logarithmic."""


def plot(found: xr.Dataset | Result, ax: Axes | None = None, *, name: str | None = None) -> Axes:
    """Draw a line, a plane or a trajectory, or any other result.

    Args:
        found: of `sample_line`, `sample_plane`, `sample_product`, `sample_trajectory`, or a result with a `plot` of its own.
        ax: Matplotlib axes; new ones by default.
        name: of the loss on a plane, its first by default; a line shows all unless one is named.

    Returns:
        the axes. Colours of a plane are logarithmic where its losses are positive and differ much; what is not finite is left white.

    Raises:
        ValueError: for a loss that there is not, or another dataset.
    """
    if isinstance(found, Result):
        return found.plot(ax)
    flat = [str(key) for key, values in found.data_vars.items() if values.dims in (("t",), ("y", "x"))]
    wanted = flat if name is None else [name_in_file(name)]
    if not flat or not set(wanted) <= set(flat):
        raise ValueError(f"there is no loss {name!r} to draw; there are {', '.join(flat) or 'none over t or over (y, x)'}")
    ax = new_axes(ax)
    if found[wanted[0]].dims == ("t",):
        for key in wanted:
            ax.plot(found["t"].values, found[key].values, label=key)
        ax.set(xlabel="t", ylabel="loss")
        ax.legend()
        return ax
    _contours(found, wanted[0], ax)
    if "snapshot_x" in found:
        ax.plot(found["snapshot_x"].values, found["snapshot_y"].values, ".-", color="white", linewidth=0.8)
        ax.plot(found["snapshot_x"].values[-1], found["snapshot_y"].values[-1], "*", color="white", markersize=12)
        ax.set(xlabel=f"x ({found.attrs['explained_x']:.0%} of the movement)", ylabel=f"y ({found.attrs['explained_y']:.0%})")
    return ax


def _contours(found: xr.Dataset, name: str, ax: Axes) -> None:
    from matplotlib.colors import LogNorm, Normalize

    heights = np.ma.masked_invalid(found[name].values)
    ax.set(xlabel="x", ylabel="y", title=name)
    if heights.count() == 0:
        return
    low, high = float(heights.min()), float(heights.max())
    steep = low > 0 and high > STEEP * low
    levels = (np.geomspace if steep else np.linspace)(low, high, LEVELS) if high > low else None
    norm = LogNorm(low, high) if steep else Normalize(low, high)
    drawn = ax.contourf(found["x"].values, found["y"].values, heights, levels=levels, norm=norm)
    ax.figure.colorbar(drawn, ax=ax, format="%.3g", label="loss")


def to_html(found: xr.Dataset | Result, *, name: str | None = None) -> str:
    """One offline page of a result: its picture and its numbers."""
    return found.to_html() if isinstance(found, Result) else page(plot(found, name=name), found, name or "Landscape")


def show(found: xr.Dataset | Result, path: str | PathLike[str] | None = None, *, name: str | None = None) -> Path:
    """Write :func:`to_html` into a file and give its path; without a path into a new one, which a browser opens."""
    return shown(to_html(found, name=name), path)
