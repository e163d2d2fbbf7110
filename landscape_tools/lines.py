"""Losses along straight lines between two parameter points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Unpack

import numpy as np
import torch
import xarray as xr

from landscape_tools.entrance import entered
from landscape_tools.evaluating import Loss, name_in_file
from landscape_tools.finite import climb
from landscape_tools.points import Point, difference
from landscape_tools.sampling import Sampling, sample_entered


@dataclass(frozen=True)
class Barrier:
    """The highest point of a line, seen from its start.

    Attributes:
        start, end: loss at the two ends.
        peak: highest loss on the line; `where` its coordinate in [0, 1]. Infinite where a loss is; where one is NaN, NaN and the first such place.
        climb: peak - start, never below 0: what a walker from the start has to climb. NaN where a loss is, or where the start is infinite.
    """

    start: float
    end: float
    peak: float
    where: float
    climb: float


def sample_line(loss: Loss, start: Point, end: Point, *, points: int = 51, **options: Unpack[Sampling]) -> xr.Dataset:
    """Evaluate every named loss along the line from `start` to `end`, many points per pass (Goodfellow et al. 2015).

    Args:
        loss: pure function of one parameter point to named scalars.
        start, end: the ends, coordinates 0 and 1; each half of the line starts from its own end, so that both
            ends are evaluated exactly as given. Buffers in them are interpolated; what is no floating number stays that of the nearer end.
        points: number of points, ends included, at least 2.
        options: of :class:`landscape_tools.sampling.Sampling`.

    Returns:
        one variable per loss over the coordinate `t`, with "_" for what netCDF does not take in a name ("train/loss"); values that are
        infinite or NaN stay so, and the attribute `not_finite` counts them.

    Raises:
        ValueError: for fewer than 2 points or ends that do not fit or are identical.
    """
    if points < 2:
        raise ValueError(f"a line of {points} points; it needs at least 2")
    where = torch.linspace(0, 1, points, dtype=torch.float64)
    near = where[where <= 0.5]
    start, end = entered(loss, [start, end])
    first = sample_entered(loss, start, [difference(end, start)], near.unsqueeze(1), taken=("t",), **options)
    if options.get("store") is not None:  # each half has its own, so that the first leaves the second's alone
        options["store"] = f"{options['store']}.end"
    second = sample_entered(
        loss, end, [difference(start, end)], (1 - where[where > 0.5]).unsqueeze(1), taken=("t",), probe=False, **options
    )
    data = {name: np.concatenate((values, second[name])) for name, values in first.items()}
    lost = int(sum(np.count_nonzero(~np.isfinite(values)) for values in data.values()))
    return xr.Dataset(
        {name_in_file(name): ("t", values) for name, values in data.items()}, coords={"t": where.numpy()}, attrs={"not_finite": lost}
    )


def barrier(line: xr.Dataset, name: str) -> Barrier:
    """The barrier of one loss on a sampled line, in the unit of the loss.

    Args:
        line: of :func:`sample_line`, with the coordinate `t` in [0, 1].
        name: of the loss, as the line's variable has it.

    Raises:
        KeyError: for a loss that the line does not have.
    """
    values, where = line[name_in_file(name)].values, line["t"].values
    top = int(np.argmax(values))  # the first NaN, where there is one
    return Barrier(float(values[0]), float(values[-1]), float(values[top]), float(where[top]), climb(values))
