"""The shape of a sampled plane: its valleys, the passes at which they join, and its hills, each with how far it stands out.

A valley is born at its lowest point and ends where it joins a lower one: what it lasts, in units of the loss, is how deep it is (Edelsbrunner & Harer
2010). Points of the plane are neighbours along its axes and its diagonals. Nothing here knows what lies between them, and a valley of a plane need be none
of the loss: other directions may lead out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from landscape_tools.evaluating import name_in_file
from landscape_tools.results import Result, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, repr=False)
class Topology(Result):
    """Valleys and hills of a plane.

    Attributes:
        valleys: (v, 2) x and y of the lowest point of each, the deepest valley first; the lowest of all is the first.
        births, deaths: (v,) loss there, and at the pass where it joins a lower one; that of the first is infinite.
        passes: (v, 2) x and y of these passes, NaN for the first.
        into: (v,) number of the valley that it joins; -1 of the first. Together with `deaths` the merge tree.
        hills: (h, 2) births and deaths of rings of low ground around a hill, the highest standing first: from its lowest closed ring to its top.
    """

    valleys: Array
    births: Array
    deaths: Array
    passes: Array
    into: Array
    hills: Array

    def plot(self, ax: Axes | None = None) -> Axes:
        """The merge tree: each valley as a line from its lowest point up to the pass, where it joins another."""
        ax = new_axes(ax)
        top = float(np.nanmax(np.where(np.isfinite(self.deaths), self.deaths, np.nan), initial=self.births.max()))
        for k, (low, high, other) in enumerate(zip(self.births, self.deaths, self.into.tolist(), strict=True)):
            end = high if np.isfinite(high) else top + 0.1 * (top - low)
            ax.plot([k, k, max(other, 0)], [low, end, end] if other >= 0 else [low, end, np.nan], color="black", linewidth=1)
        ax.plot(range(len(self.births)), self.births, "o", color="tab:blue")
        ax.set_xticks(range(len(self.births)), [f"({x:.2g}, {y:.2g})" for x, y in self.valleys], rotation=45, ha="right")
        ax.set(xlabel="valley, by its lowest point", ylabel="loss", title="where the valleys of the plane join")
        return ax

    def to_dataset(self) -> xr.Dataset:
        """Valleys with their passes over `valley`, and the hills over `hill`."""
        own = {"birth": self.births, "death": self.deaths, "into": self.into}
        own |= {
            f"{name}_{axis}": part[:, k] for name, part in (("low", self.valleys), ("pass", self.passes)) for k, axis in enumerate("xy")
        }
        hills = {name: ("hill", self.hills[:, k]) for k, name in enumerate(("ring", "top"))}
        return xr.Dataset({**{name: ("valley", values) for name, values in own.items()}, **hills})


def topology(plane: xr.Dataset, *, name: str | None = None, least: float = 0.0) -> Topology:
    """Valleys and hills of a sampled plane.

    Args:
        plane: of `sample_plane`, or an adaptive plane's `to_dataset()`.
        name: of the loss, the first by default.
        least: depth that a valley or hill must have to be told of, in units of the loss, at least 0.

    Raises:
        ValueError: for a loss that there is not, one that is NaN somewhere, or a `least` below 0.
        ImportError: without gudhi, which counts the hills (`pip install gudhi`).
    """
    flat = [str(key) for key, values in plane.data_vars.items() if values.dims == ("y", "x")]
    wanted = flat[0] if name is None and flat else name_in_file(name or "")
    if wanted not in flat:
        raise ValueError(f"there is no loss {name!r} on a plane; there are {', '.join(flat) or 'none over (y, x)'}")
    if not least >= 0:
        raise ValueError(f"least is {least:g}; it must be at least 0")
    heights = plane[wanted].values.astype(float)
    if np.isnan(heights).any():
        raise ValueError(f"{wanted} is NaN at {int(np.isnan(heights).sum())} points of the plane, so its valleys are not known")
    places = np.stack(np.meshgrid(plane["x"].values, plane["y"].values), -1).reshape(-1, 2)
    found = _joined(heights, least)
    low, top, own, other = (np.array([row[k] for row in found]) for k in range(4))
    numbers = {point: k for k, point in enumerate(own.tolist())}
    passes = np.where(other[:, None] >= 0, places[np.maximum(top, 0).astype(int)], np.nan)
    deaths = np.where(other >= 0, heights.ravel()[np.maximum(top, 0).astype(int)], np.inf)
    into = np.array([numbers.get(int(point), -1) for point in other])
    return Topology(places[own.astype(int)], low, deaths, passes, into, _hills(heights, least))


def _joined(heights: Array, least: float) -> list[tuple[float, int, int, int]]:
    """(height of the lowest point, number of the pass, number of the lowest point, that of the valley joined) of each valley, the deepest first;
    -1 for the pass and the other of the lowest of all. Points are taken in order of height, and join the valleys beside them (Kruskal 1956)."""
    rows, columns = heights.shape
    flat = heights.ravel()
    owner = np.full(flat.size, -1)
    found: list[tuple[float, int, int, int]] = []

    def root(point: int) -> int:
        while owner[point] != point:
            owner[point] = owner[owner[point]]
            point = int(owner[point])
        return point

    for at in np.argsort(flat, kind="stable").tolist():
        row, column = divmod(at, columns)
        owner[at] = at
        around = ((row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j)
        beside = {root(r * columns + c) for r, c in around if 0 <= r < rows and 0 <= c < columns and owner[r * columns + c] >= 0}
        roots = sorted(beside | {at}, key=lambda point: (flat[point], point))
        for other in roots[1:]:
            if other != at and flat[at] - flat[other] > least:
                found.append((float(flat[other]), at, other, roots[0]))
            owner[other] = roots[0]
    lowest = int(np.argmin(flat))
    return [(float(flat[lowest]), -1, lowest, -1), *sorted(found, key=lambda row: row[0] - flat[row[1]])]


def _hills(heights: Array, least: float) -> Array:
    """(h, 2) rings and tops, the highest standing first."""
    try:
        import gudhi
    except ImportError as error:
        raise ImportError("the hills of a plane are counted by gudhi; pip install gudhi") from error
    complex_ = gudhi.CubicalComplex(top_dimensional_cells=heights)
    complex_.compute_persistence(homology_coeff_field=2, min_persistence=least)
    found: Array = np.asarray(complex_.persistence_intervals_in_dimension(1)).reshape(-1, 2)
    order = np.argsort(found[:, 0] - found[:, 1], kind="stable")
    return found[order]
