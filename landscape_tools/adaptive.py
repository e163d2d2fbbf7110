"""Planes of few evaluations, with an error bar: interpolated between Chebyshev's points, finer where points held out are missed.

A picture of 25 x 25 takes 625 evaluations wherever the loss is smooth. Here the logarithm of the loss is interpolated, rectangle by rectangle. What a
rectangle is refined by cannot say how good it is, so at the end new points are drawn at random, and the largest miss among them is the error. They also
bound how much of the plane may be worse. Where a last draw misses more than the tolerance, it refines once more and a newer one is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np
import xarray as xr

from landscape_tools.chebyshev import ORDERS, Rectangle
from landscape_tools.entrance import entered, renamed
from landscape_tools.evaluating import ScalarLoss, Vectorize
from landscape_tools.options import filled
from landscape_tools.pictures import plot
from landscape_tools.places import Places, Progress
from landscape_tools.points import Point
from landscape_tools.results import Result, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray[Any, Any]
INSIDE = 4
"""Points held out in a rectangle, by which it is refined."""
SURE = 0.95
"""Of the share of the plane that may be worse."""


@dataclass(frozen=True, repr=False)
class AdaptivePlane(Result):
    """A plane that is known everywhere, to an error.

    Attributes:
        rectangles: (r, 5) of each part: x from, x to, y from, y to, points per axis.
        values: for every rectangle in turn its points' losses, in rows of constant y; their logarithms where `logarithmic`.
        logarithmic: whether all losses met are positive.
        checks: (m, 3) of the last draw: x, y and the loss.
        error: largest miss among the checks, as a share: of the loss where `logarithmic`, else of the range of losses met. Infinite where a check or a
            rectangle around it is not finite.
        typical: median of these misses.
        worse: share of the plane that may miss by more than `error`, at 95 % confidence.
        tolerance: what was asked for; `met` whether `error` is within it.
        evaluations: of the loss, checks included.
        unfinished: rectangles that would have been refined, had `most` evaluations not been spent.
    """

    rectangles: Array
    values: Array
    logarithmic: bool
    checks: Array
    error: float
    typical: float
    worse: float
    tolerance: float
    met: bool
    evaluations: int
    unfinished: int

    def at(self, places: Array) -> Array:
        """(m, 2) places of the plane -> (m,) losses; NaN outside, and in a rectangle with a loss that is not finite."""
        found, first = np.full(len(places), np.nan), 0
        for x_low, x_high, y_low, y_high, order in self.rectangles:
            part = Rectangle((x_low, x_high), (y_low, y_high), int(order))
            values = self.values[first : first + part.order**2]
            first += part.order**2
            mine = part.has(places)
            if mine.any():
                with np.errstate(invalid="ignore"):
                    found[mine] = part.interpolated(values, places[mine])
        return np.exp(found) if self.logarithmic else found

    def to_dataset(self, resolution: int = 101) -> xr.Dataset:
        """The picture at any resolution, with what is said of it as attributes; `saved` is the share of evaluations that a grid of it takes more."""
        sides = self.rectangles
        x, y = (np.linspace(sides[:, low].min(), sides[:, low + 1].max(), resolution) for low in (0, 2))
        heights = self.at(np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)).reshape(resolution, resolution)
        names = ("error", "typical", "worse", "tolerance", "evaluations", "unfinished")
        attrs = {name: getattr(self, name) for name in names} | {"met": int(self.met), "saved": 1 - self.evaluations / resolution**2}
        checks = {f"check_{name}": ("check", self.checks[:, k]) for k, name in enumerate(("x", "y", "loss"))}
        return xr.Dataset({"loss": (("y", "x"), heights), **checks}, coords={"x": x, "y": y}, attrs=attrs)

    def plot(self, ax: Axes | None = None) -> Axes:
        """The picture under its error bar; a title in red says that it misses more than was asked for."""
        ax = plot(self.to_dataset(), new_axes(ax), name="loss")
        words = f"{self.evaluations} evaluations, largest of {len(self.checks)} held-out errors {self.error:.2g}"
        ax.set_title(
            words if self.met else f"{words}: MORE THAN {self.tolerance:g}", color="black" if self.met else "red", fontsize="small"
        )
        return ax


class Adaptive(TypedDict, total=False):
    """Settings of an adaptive plane, given to :func:`adaptive_plane` as keywords.

    Attributes:
        tolerance: share of the loss that the picture may miss; where losses are not all positive, of their range.
        most: evaluations after which nothing is refined any more; up to as many checks are drawn beyond them.
        checks: points of a draw.
        vectorize: as in :class:`landscape_tools.sampling.Sampling`.
        seed: of what is held out.
        progress: called with (evaluations taken, `most`).
    """

    tolerance: float
    most: int
    checks: int
    vectorize: Vectorize
    seed: int
    progress: Progress | None


ADAPTIVE: Adaptive = {"tolerance": 0.01, "most": 600, "checks": 40, "vectorize": "auto", "seed": 0, "progress": None}


def adaptive_plane(
    loss: ScalarLoss,
    origin: Point,
    first: Point,
    second: Point,
    x: tuple[float, float],
    y: tuple[float, float],
    **settings: Unpack[Adaptive],
) -> AdaptivePlane:
    """A plane origin + x first + y second with an error bar, from as few evaluations as the loss allows.

    Args:
        loss: pure function of one point to a scalar.
        origin: the point at x = y = 0.
        first, second: directions, as for :func:`landscape_tools.sample_plane`.
        x, y: from and to along them.
        settings: of :class:`Adaptive`.

    Raises:
        ValueError: for an empty side, a tolerance or counts that are not positive, directions that do not fit, or a random loss.
    """
    how = filled(ADAPTIVE, settings)
    tolerance, most, checks = how["tolerance"], how["most"], how["checks"]
    if not (x[0] < x[1] and y[0] < y[1]):
        raise ValueError(f"the plane is x from {x[0]:g} to {x[1]:g}, y from {y[0]:g} to {y[1]:g}; each must rise")
    if not tolerance > 0 or most < 1 or checks < 1:
        raise ValueError(f"tolerance is {tolerance:g}, most {most} and checks {checks}; each must be above 0")
    (origin,), directions = entered(loss, [origin]), renamed(loss, [first, second])
    known_at = Places(loss, origin, directions, (x[1], y[1]), how["vectorize"], most, how["progress"])
    generator, parts, held, draws = np.random.default_rng(how["seed"]), [Rectangle(x, y, ORDERS[0])], np.empty((0, 2)), 0
    spent = False
    while True:
        parts, held, spent = _refined(known_at, parts, held, generator, tolerance)
        draws += 1
        last = generator.uniform((x[0], y[0]), (x[1], y[1]), (checks, 2))
        known_at.take(np.concatenate([last, *(part.places() for part in parts)]))
        misses = known_at.misses(parts, last)
        if spent or len(known_at) >= most or misses.max() <= tolerance:
            break
        held = np.concatenate((held, last))
    left = sum(known_at.worst(part, held) > tolerance for part in parts)
    error = float(misses.max())
    return AdaptivePlane(
        np.array([[*part.x, *part.y, part.order] for part in parts]),
        np.concatenate([known_at.heights(part.places()) for part in parts]),
        known_at.logarithmic, np.column_stack((last, known_at.losses(last))), error, float(np.median(misses)),
        # Draws after a draw that failed get ever smaller shares of the doubt.
        1 - float(((1 - SURE) / 2 ** (draws - 1)) ** (1 / checks)), tolerance, error <= tolerance, len(known_at), left,
    )  # fmt: skip


def _refined(
    known_at: Places, parts: list[Rectangle], held: Array, generator: np.random.Generator, tolerance: float
) -> tuple[list[Rectangle], Array, bool]:
    """The rectangles refined until none misses what is held out in it by more than the tolerance, all points held out, and whether the evaluations
    are spent."""
    fresh = parts
    while True:
        drawn = [generator.uniform((part.x[0], part.y[0]), (part.x[1], part.y[1]), (INSIDE, 2)) for part in fresh]
        held = np.concatenate((held, *drawn))
        known_at.take(np.concatenate([held, *(part.places() for part in parts)]))
        worst = {part: known_at.worst(part, held) for part in parts}
        missed = [part for part in parts if worst[part] > tolerance]
        if not missed:
            return parts, held, False
        fresh, cost = [], len(known_at)
        for part in sorted(missed, key=lambda part: -worst[part]):
            finer = part.finer()
            cost += sum(part.order**2 + INSIDE for part in finer)
            if cost > known_at.most:
                break
            parts = [other for other in parts if other is not part] + finer
            fresh += finer
        if not fresh:
            return parts, held, True
