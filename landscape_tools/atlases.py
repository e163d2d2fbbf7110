"""An atlas of minima: which of several solutions are copies of each other, how high the passes between the others are at most.

Every two are aligned, joined by a path, and the highest loss on it bounds their pass from above: a better path may be lower, none of these is higher. Two
minima are also joined through others, for a symmetry that carries one copy into another carries paths along; so the passes of the graph are the lowest
over all chains. A disconnectivity graph (Becker & Karplus 1997) shows them: minima hang from the height at which the ground joins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np
import xarray as xr

from landscape_tools.alignment import Function, HiddenLayer, align
from landscape_tools.certificates import certify
from landscape_tools.connections import connect
from landscape_tools.entrance import entered
from landscape_tools.evaluating import ScalarLoss
from landscape_tools.lines import sample_line
from landscape_tools.options import filled
from landscape_tools.points import Point, moved, norm, trainable
from landscape_tools.polygons import Path
from landscape_tools.results import Result, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray[Any, Any]
Joined = Callable[[ScalarLoss, Point, Point], Path]
Progress = Callable[[int, int], None]
LINE = 31
"""Points of the straight line between two minima, which is a path, too."""


class Charting(TypedDict, total=False):
    """Settings of an atlas, given to :func:`atlas` as keywords.

    Attributes:
        chain: hidden layers that `align` matches; None takes the points as they are.
        function: as for `align`: what must not change.
        through: (loss, start, end) -> a path; :func:`landscape_tools.connect` by default, or for example an elastic band.
        certified: whether minima, and the tops of the passes of the graph, are certified.
        same: distance, as a share of the length of the point, up to which two points are copies.
        progress: called with (pairs joined, pairs in all).
    """

    chain: Sequence[HiddenLayer] | None
    function: Function | None
    through: Joined
    certified: bool
    same: float
    progress: Progress | None


CHARTING: Charting = {"chain": None, "function": None, "through": connect, "certified": True, "same": 1e-4, "progress": None}


@dataclass(frozen=True, repr=False)
class Atlas(Result):
    """Minima and upper bounds of the passes between them.

    Attributes:
        names: of the k points.
        losses: (k,).
        verdicts: what each is by `certify`; empty words where that was not asked for.
        distances: (k, k) Euclidean, after alignment.
        copies: (k,) number of the first point that each is a copy of; its own where it is none.
        heights: (k, k) highest loss on the path between each two; their own losses on the diagonal.
        passes: (k, k) lowest over all chains of these paths: upper bounds of the passes.
        merges: (k - 1, 3) of the graph, lowest first: two points whose ground joins, and at which height.
        tops: what `certify` says of the highest image of the path of each merge.
    """

    names: list[str]
    losses: Array
    verdicts: list[str]
    distances: Array
    copies: Array
    heights: Array
    passes: Array
    merges: Array
    tops: list[str]

    def lines(self) -> list[str]:
        """What the graph says, in sentences."""
        found = []
        for one, (name, first) in enumerate(zip(self.names, self.copies.tolist(), strict=True)):
            if one != first:
                found.append(f"{name} is a copy of {self.names[first]}.")
        for (one, two, height), top in zip(self.merges.tolist(), self.tops, strict=True):
            a, b = self.names[int(one)], self.names[int(two)]
            climb = height - max(self.losses[int(one)], self.losses[int(two)])
            what = f"; the top of that path is by certificate: {top}" if top else ""
            found.append(f"From {a} to {b} the loss need not rise above {height:.4g}, {climb:.3g} above the higher of the two{what}.")
        return found

    def plot(self, ax: Axes | None = None) -> Axes:
        """The disconnectivity graph: each minimum hangs from the height at which its ground joins that of another."""
        ax = new_axes(ax)
        groups: dict[int, list[int]] = {k: [k] for k in range(len(self.names))}
        owner = list(range(len(self.names)))
        for one, two, _ in self.merges.tolist():
            a, b = owner[int(one)], owner[int(two)]
            groups[a] += groups.pop(b)
            owner = [a if k == b else k for k in owner]
        order = [k for group in groups.values() for k in group]
        place, base = {k: float(order.index(k)) for k in order}, dict(enumerate(self.losses.tolist()))
        owner = list(range(len(self.names)))
        for one, two, height in self.merges.tolist():
            a, b = owner[int(one)], owner[int(two)]
            ax.plot([place[a], place[a], place[b], place[b]], [base[a], height, height, base[b]], color="black", linewidth=1)
            place[a], base[a] = 0.5 * (place[a] + place[b]), height
            owner = [a if k == b else k for k in owner]
        ax.plot([order.index(k) for k in range(len(order))], self.losses, "o", color="tab:blue")
        ax.set_xticks(range(len(order)), [self.names[k] for k in order], rotation=45, ha="right")
        ax.set(ylabel="loss", title="passes are upper bounds")
        if self.losses.min() > 0 and self.passes.max() > 20 * self.losses.min():
            ax.set_yscale("log")
        return ax

    def to_dataset(self) -> xr.Dataset:
        """All of it over `minimum` and `other`; the merges are by number."""
        pairs = {name: (("minimum", "other"), getattr(self, name)) for name in ("distances", "heights", "passes")}
        own = {"loss": ("minimum", self.losses), "copy_of": ("minimum", self.copies), "verdict": ("minimum", self.verdicts)}
        merges = {"merge": (("join", "part"), self.merges), "top": ("join", self.tops)}
        return xr.Dataset(
            {**own, **pairs, **merges}, coords={"minimum": self.names, "other": self.names}, attrs={"lines": " ".join(self.lines())}
        )


def atlas(loss: ScalarLoss, points: Mapping[str, Point], **settings: Unpack[Charting]) -> Atlas:
    """Align, join and certify several solutions.

    Args:
        loss: point -> scalar.
        points: name -> point, at least two, best the results of :func:`landscape_tools.converge`.
        settings: of :class:`Charting`.

    Raises:
        ValueError: for fewer than two points, or points that do not fit.
    """
    how = filled(CHARTING, settings)
    if len(points) < 2:
        raise ValueError(f"an atlas of {len(points)} points; it needs at least 2")
    names, places = list(points), entered(loss, list(points.values()))
    count, certified = len(names), how["certified"]
    losses = np.array([float(loss(dict(place))) for place in places])
    distances, heights = np.zeros((count, count)), np.diag(losses)
    copies, tops = np.arange(count), dict[tuple[int, int], Point]()
    pairs = [(i, j) for i in range(count) for j in range(i + 1, count)]
    for done, (i, j) in enumerate(pairs):
        chain = how["chain"]
        near = places[j] if chain is None else align(places[j], places[i], chain, function=how["function"])
        far = _apart(places[i], near)
        distances[i, j] = distances[j, i] = far
        if far <= how["same"] * norm(trainable(places[i])):
            copies[j] = min(copies[j], copies[i])
            height, top = max(losses[i], losses[j]), places[i]
        else:
            height, top = _pass(loss, places[i], near, how["through"])
        heights[i, j] = heights[j, i] = height
        tops[i, j] = top
        if how["progress"] is not None:
            how["progress"](done + 1, len(pairs))
    passes = heights.copy()
    for k in range(count):
        passes = np.fmin(passes, np.maximum(passes[:, k : k + 1], passes[k : k + 1]))
    merges = _merged(heights)
    said = [certify(loss, tops[int(i), int(j)]).verdict if certified else "" for i, j, _ in merges]
    verdicts = [certify(loss, place).verdict if certified else "" for place in places]
    return Atlas(names, losses, verdicts, distances, copies, heights, passes, np.array(merges).reshape(-1, 3), said)


def _apart(one: Point, other: Point) -> float:
    mine = trainable(one)
    return norm({name: other[name] - value for name, value in mine.items()})


def _pass(loss: ScalarLoss, start: Point, end: Point, through: Joined) -> tuple[float, Point]:
    """The highest loss of the lower of two ways, the straight one and the path, and the highest image of it."""
    line, path = sample_line(loss, start, end, points=LINE)["loss"].values, through(loss, start, end)
    direct, bent = float(np.nan_to_num(line, nan=np.inf).max()), float(path.heights.nan_to_num(np.inf).max())
    if direct <= bent:
        share = float(np.nan_to_num(line, nan=np.inf).argmax()) / (LINE - 1)
        step = {name: end[name] - value for name, value in start.items() if name in trainable(start)}
        return direct, moved(start, [step], [share])
    return bent, {name: value[path.peak] for name, value in path.points.items()}


def _merged(heights: Array) -> list[tuple[float, float, float]]:
    """The lowest paths that join all points (Kruskal 1956): pairs and heights, ascending."""
    count, found = len(heights), []
    group = list(range(count))
    pairs = [(one, two) for one in range(count) for two in range(one + 1, count)]
    for i, j in sorted(pairs, key=lambda pair: float(heights[pair])):
        if group[i] != group[j]:
            found.append((float(i), float(j), float(heights[i, j])))
            group = [group[i] if k == group[j] else k for k in group]
    return found
