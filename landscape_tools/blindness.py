"""What a plane does not show: how much of the curvature lies in it, how it changes with seed and data, how far a trajectory is from it.

Two directions of a million see next to nothing of the few that are steep: a random plane through a saddle looks like a bowl. The Hessian on the plane is
compared with the ends of its spectrum and with its trace; other random planes through the same point, and the same plane under other losses (batches),
are measured beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from landscape_tools.directions import gaussian_direction, random_axes
from landscape_tools.entrance import entered, renamed
from landscape_tools.evaluating import ScalarLoss
from landscape_tools.points import HeldName, Point, difference, flatten, moved, norm, trainable
from landscape_tools.products import Curved, curved
from landscape_tools.results import Result, new_axes
from landscape_tools.spectra import Curvature, spectrum

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray[Any, Any]
RISE = math.e
"""How many times its value at the origin a loss has where a plane should end."""
FLATTER = 0.1
"""Share of the steepest curvature below which a plane shows next to nothing of it."""
FAR = 0.5
"""Share of a trajectory's movement from which it lies beside a plane more than in it."""


@dataclass(frozen=True, repr=False)
class Blindness(Result):
    """What a plane misses at its origin.

    Attributes:
        in_plane: (2,) ascending curvatures of the loss within the plane.
        lowest, highest: ends of the whole spectrum, with the residuals `lowest_residual` and `highest_residual`.
        trace, trace_low, trace_high: of the Hessian, and its 95 % interval; `dimension` the number of parameters.
        steepest: share of the largest curvature by size that the plane shows; `downward` the same of the lowest where that is negative, else NaN.
        traced: the plane's part of the trace.
        seeds: (s, 2) `in_plane` of random planes with other seeds.
        others: (o, 2) `in_plane` of the same plane under the other losses.
        outside: share of the squared movement of the snapshots, seen from the origin, that is out of the plane; NaN without any.
        distances: (snapshots,) Euclidean, from the plane.
        reach: (2,) how far to go along each direction: the largest power of 2, to either side, up to which the loss stays within `RISE` times its value
            at the origin.
    """

    in_plane: Array
    lowest: float
    highest: float
    lowest_residual: float
    highest_residual: float
    trace: float
    trace_low: float
    trace_high: float
    dimension: int
    steepest: float
    downward: float
    traced: float
    seeds: Array
    others: Array
    outside: float
    distances: Array
    reach: Array

    def lines(self) -> list[str]:
        """What is to be known of the picture, in sentences."""
        found = [
            f"The plane shows {self.steepest:.2g} of the steepest curvature, and {self.traced:.2g} of the trace, in 2 of {self.dimension} directions."
        ]
        if self.steepest < FLATTER:
            found.append(f"It looks flatter than the loss is: there is a direction with a curvature of {self._largest():.3g}.")
        if self.downward < FLATTER:
            found.append(f"The loss falls along a direction that the plane does not show (curvature {self.lowest:.3g}).")
        if len(self.seeds):
            found.append(
                f"Other random planes have curvatures from {self.seeds.min():.3g} to {self.seeds.max():.3g}; this one {self._pair()}."
            )
        if len(self.others):
            found.append(f"With other data this plane has curvatures from {self.others.min():.3g} to {self.others.max():.3g}.")
        if self.outside > FAR:
            found.append(f"The trajectory moves beside the plane: {self.outside:.0%} of its squared movement is out of it.")
        return [*found, f"Go to {self.reach[0]:g} along the first direction and to {self.reach[1]:g} along the second."]

    def _largest(self) -> float:
        return max(self.lowest, self.highest, key=abs)

    def _pair(self) -> str:
        return f"{self.in_plane[0]:.3g} and {self.in_plane[1]:.3g}"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Curvatures of the plane between the ends of the spectrum, with those of other seeds and other data."""
        ax = new_axes(ax)
        rows = {"whole": np.array([self.lowest, self.highest]), "plane": self.in_plane, "seeds": self.seeds, "data": self.others}
        for k, (name, values) in enumerate(rows.items()):
            ax.plot(
                values.ravel(),
                np.full(values.size, -k),
                "|" if name in ("seeds", "data") else "o",
                markersize=12 if k > 1 else 6,
                label=name,
            )
        ax.set_yticks([-k for k in range(len(rows))], list(rows))
        ax.axvline(0, color="grey", linewidth=0.5)
        ax.set_xscale("symlog", linthresh=max(1e-3 * abs(self._largest()), 1e-12))
        ax.set(xlabel="curvature", title=f"the plane shows {self.steepest:.2g} of the steepest curvature")
        return ax

    def to_dataset(self) -> xr.Dataset:
        """Its numbers; the sentences are the attribute `lines`."""
        names = ("lowest", "highest", "lowest_residual", "highest_residual", "trace", "trace_low", "trace_high", "dimension", "steepest")
        attrs = {name: getattr(self, name) for name in (*names, "downward", "traced", "outside")} | {"lines": " ".join(self.lines())}
        data = {"in_plane": ("side", self.in_plane), "reach": ("axis", self.reach), "distance": ("snapshot", self.distances)}
        return xr.Dataset({**data, "seeds": (("seed", "side"), self.seeds), "others": (("other", "side"), self.others)}, attrs=attrs)


def plane_misses(
    loss: ScalarLoss,
    origin: Point,
    first: Point,
    second: Point,
    *,
    seeds: int = 8,
    others: Sequence[ScalarLoss] = (),
    snapshots: Sequence[Point] = (),
    whole: Curvature | None = None,
) -> Blindness:
    """Measure what a plane misses at its origin.

    Args:
        loss: point -> scalar, twice differentiable.
        origin: the point at x = y = 0; float32 or float64.
        first, second: directions; buffers in them are held.
        seeds: other random planes to compare with, two products each.
        others: the same loss on other data.
        snapshots: points of a trajectory.
        whole: of :func:`landscape_tools.spectrum` at the origin, where you have it.

    Raises:
        ValueError: for directions that do not span a plane of trained parameters, or a curvature that is not finite.
    """
    (origin,), (first, second) = entered(loss, [origin]), renamed(loss, [first, second])
    like = trainable(origin)
    basis = _basis([first, second], like)
    matrix = curved(loss, origin, "hessian")
    whole = spectrum(loss, origin, steps=1, copies=False, tolerance=1e-4) if whole is None else whole
    inside = _within(matrix, basis)
    drawn = [_within(matrix, _basis(_drawn(origin, seed + 1), like)) for seed in range(seeds)]
    beside = [_within(curved(other, origin, "hessian"), basis) for other in others]
    moves = [flatten({**_zeros(like), **_step(snapshot, origin)}).double().cpu().numpy() for snapshot in entered(loss, snapshots)]
    rows = np.array(moves).reshape(len(moves), matrix.size)
    away = np.linalg.norm(rows - rows @ basis.T @ basis, axis=1)
    lowest, highest = float(whole.lowest[0]), float(whole.highest[-1])
    steep = max(abs(lowest), abs(highest))
    return Blindness(
        inside, lowest, highest, float(whole.lowest_residuals[0]), float(whole.highest_residuals[-1]),
        whole.trace, whole.trace_low, whole.trace_high, matrix.size,
        float(np.abs(inside).max()) / steep if steep else 1.0,
        min(0.0, float(inside[0])) / lowest if lowest < -float(whole.lowest_residuals[0]) else math.nan,
        float(inside.sum()) / whole.trace if whole.trace else math.nan,
        np.array(drawn).reshape(-1, 2), np.array(beside).reshape(-1, 2),
        float((away**2).sum() / np.square(rows).sum()) if rows.any() else math.nan, away,
        np.array([_reach(loss, origin, axis) for axis in (first, second)]),
    )  # fmt: skip


def _zeros(like: Point) -> dict[str, Tensor]:
    return {name: torch.zeros_like(value) for name, value in like.items()}


def _step(snapshot: Point, origin: Point) -> dict[str, Tensor]:
    names = [name for name in trainable(origin) if name in snapshot and not torch.equal(snapshot[name], origin[name])]
    return difference({n: snapshot[n] for n in names}, {n: origin[n] for n in names}) if names else {}


def _drawn(origin: Point, seed: int) -> tuple[Point, Point]:
    """Filter-normalised random axes; plain ones where the point has no filters or these are 0."""
    first, second = random_axes(origin, seed=seed)
    if min(norm(first), norm(second)) > 0:
        return first, second
    generator = torch.Generator().manual_seed(seed)
    return gaussian_direction(origin, generator), gaussian_direction(origin, generator)


def _basis(axes: Sequence[Point], like: Point) -> Array:
    """(2, n) orthonormal rows of the plane in the trained parameters."""
    rows = np.stack(
        [
            flatten({**_zeros(like), **{name: v.to(like[name]) for name, v in axis.items() if not isinstance(name, HeldName)}})
            .double()
            .cpu()
            .numpy()
            for axis in axes
        ]
    )
    found, triangle = np.linalg.qr(rows.T)
    if not np.abs(np.diag(triangle)).min() > 1e-9 * np.abs(triangle).max():  # also where it is NaN
        raise ValueError("the two directions span no plane of the trained parameters")
    basis: Array = found.T
    return basis


def _within(matrix: Curved, basis: Array) -> Array:
    """(2,) ascending curvatures on a plane."""
    images = matrix.times(basis)
    if not np.isfinite(images).all():
        raise ValueError("the Hessian is not finite here, so the plane has no curvature; certify says more")
    small = images @ basis.T
    found: Array = np.linalg.eigvalsh(0.5 * (small + small.T))
    return found


def _reach(loss: ScalarLoss, origin: Point, axis: Point) -> float:
    """The largest power of 2 to which a loss stays near its value at the origin, on both sides."""
    with torch.no_grad():
        here = float(loss(dict(origin)))
        limit = here + (RISE - 1) * abs(here)

        def within(step: float) -> bool:
            return all(float(loss(moved(origin, [axis], [sign * step]))) <= limit for sign in (1.0, -1.0))

        step = 1.0
        if within(step):
            while step < 2**10 and within(2 * step):
                step *= 2
        else:
            while step > 2**-20 and not within(step):
                step /= 2
    return step
