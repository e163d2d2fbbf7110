"""Losses on planes: through three points, along two directions, or one block against another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from landscape_tools.points import Point, difference, norm
from landscape_tools.sampling import Loss, sample_points


def sample_plane(
    loss: Loss,
    origin: Point,
    first: Point,
    second: Point,
    x: Sequence[float] | Tensor,
    y: Sequence[float] | Tensor,
    **options: Any,
) -> xr.Dataset:
    """Evaluate every named loss at origin + x first + y second.

    The directions may move different blocks: `difference` of two encoders against `difference` of two transition
    models gives the surface encoder x dynamics.

    Args:
        loss: pure function of one parameter point to named scalars.
        origin: the point at x = y = 0.
        first, second: directions; each may name only some of the origin's parameters.
        x, y: coordinates along them, at least 2 each.
        options: of :func:`landscape_tools.sampling.sample_points`.

    Returns:
        one variable per loss over (y, x); attributes `first_norm`, `second_norm`, `not_finite`.

    Raises:
        ValueError: for a zero direction, fewer than 2 coordinates, or directions that do not fit.
    """
    xs, ys = (torch.as_tensor(axis, dtype=torch.float64) for axis in (x, y))
    if len(xs) < 2 or len(ys) < 2:
        raise ValueError(f"a plane of {len(xs)} x {len(ys)} points; it needs at least 2 x 2")
    lengths = norm(first), norm(second)
    for name, length in zip(("first", "second"), lengths, strict=True):
        if length == 0:
            raise ValueError(f"the {name} direction is zero, so it spans no plane")
    grid = torch.stack(torch.meshgrid(ys, xs, indexing="ij")[::-1], dim=-1).view(-1, 2)  # rows of constant y
    values = sample_points(loss, origin, [first, second], grid, **options)
    shape = (len(ys), len(xs))
    lost = int(sum(np.count_nonzero(np.isnan(v)) for v in values.values()))
    return xr.Dataset(
        {name: (("y", "x"), v.reshape(shape)) for name, v in values.items()},
        coords={"x": xs.numpy(), "y": ys.numpy()},
        attrs={"first_norm": lengths[0], "second_norm": lengths[1], "not_finite": lost},
    )


def three_point_axes(a: Point, b: Point, c: Point) -> tuple[dict[str, Tensor], dict[str, Tensor], tuple[float, float]]:
    """Axes of the plane through three points: `a` at (0, 0), `b` at (1, 0), and `c` at the returned coordinates.

    The first axis is b - a; the second is orthogonal to it and as long, so that pictures are not sheared.

    Raises:
        ValueError: when two points coincide or all three lie on a line.
    """
    first = difference(b, a)
    toward = difference(c, a)
    length = norm(first)
    along = sum(float((toward[n].double() * v.double()).sum()) for n, v in first.items()) / length**2
    rest = {n: v - along * first[n] for n, v in toward.items()}
    height = norm(rest)
    if height <= 1e-9 * norm(toward):
        raise ValueError("the three points lie on a line; choose a third point off it")
    second = {n: v * (length / height) for n, v in rest.items()}
    return first, second, (along, height / length)
