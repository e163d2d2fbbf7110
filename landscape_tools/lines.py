"""Losses along straight lines between two parameter points."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from torch import Tensor

Point = Mapping[str, Tensor]
Loss = Callable[[dict[str, Tensor]], dict[str, Tensor]]


@dataclass(frozen=True)
class Barrier:
    """The highest point of a line, seen from its start.

    Attributes:
        start, end: loss at the two ends.
        peak: highest finite loss on the line; `where` its coordinate in [0, 1].
        climb: peak - start, never below 0: what a walker from the start has to climb.
    """

    start: float
    end: float
    peak: float
    where: float
    climb: float


def check_points(start: Point, end: Point) -> None:
    """Raise ValueError unless both points have the same names and shapes and differ somewhere."""
    if set(start) != set(end):
        raise ValueError(f"the two points differ in their parameters: {', '.join(sorted(set(start) ^ set(end)))}")
    for name in start:
        if start[name].shape != end[name].shape:
            raise ValueError(f"parameter {name} is {tuple(start[name].shape)} in one point and {tuple(end[name].shape)} in the other")
    if all(torch.equal(start[name], end[name]) for name in start):
        raise ValueError("the two points are identical, so there is no line between them")


def between(start: Point, end: Point, where: Tensor) -> dict[str, Tensor]:
    """Points of the straight line, stacked: name -> (points, ...); `where` 0 and 1 give the ends exactly.

    Args:
        start, end: two parameter points of the same shapes.
        where: (points,) coordinates.
    """
    stacked = {}
    for name, value in start.items():
        at = where.to(value).view(-1, *([1] * value.dim()))
        stacked[name] = (1 - at) * value + at * end[name]  # exact at both ends, unlike start + at * (end - start)
    return stacked


def sample_line(loss: Loss, start: Point, end: Point, *, points: int = 51, chunk: int = 32) -> xr.Dataset:
    """Evaluate every named loss along the line from `start` to `end`, many points per pass.

    Args:
        loss: pure function of one parameter point; it is vmapped.
        start, end: the ends, coordinates 0 and 1.
        points: number of points, ends included, at least 2.
        chunk: points per pass.

    Returns:
        one variable per loss over the coordinate `t`; values that are not finite are NaN and counted in the
        attribute `not_finite`.

    Raises:
        ValueError: for fewer than 2 points or unusable ends.
    """
    if points < 2:
        raise ValueError(f"a line of {points} points; it needs at least 2")
    check_points(start, end)
    where = torch.linspace(0, 1, points, dtype=torch.float64)
    batched = torch.func.vmap(loss)
    parts: dict[str, list[Tensor]] = {}
    with torch.no_grad():
        for piece in torch.split(where, chunk):
            for name, values in batched(between(start, end, piece)).items():
                parts.setdefault(name, []).append(values.double().cpu())
    data = {name: torch.cat(values).numpy() for name, values in parts.items()}
    lost = int(sum(np.count_nonzero(~np.isfinite(values)) for values in data.values()))
    clean = {name: ("t", np.where(np.isfinite(values), values, np.nan)) for name, values in data.items()}
    return xr.Dataset(clean, coords={"t": where.numpy()}, attrs={"not_finite": lost})


def barrier(line: xr.Dataset, name: str) -> Barrier:
    """The barrier of one loss on a sampled line."""
    values, where = line[name].values, line["t"].values
    top = int(np.nanargmax(values))
    start = float(values[0])
    return Barrier(start, float(values[-1]), float(values[top]), float(where[top]), max(0.0, float(values[top]) - start))
