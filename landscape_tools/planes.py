"""Losses on planes: through three points, along two directions, or one block against another.

Where the two axes move different blocks of a two-stage loss, outer(inner(first block), second block), a plane of m x n points needs m
passes through the first stage, not m n, and no parameter is copied per point: exact, and far cheaper than sampling the points one by
one. The encoder x dynamics surface is of this kind: what the dynamics see of the encoder is its embedding.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Unpack

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from landscape_tools.entrance import check_steady, entered, held_words, renamed, singly
from landscape_tools.evaluating import Loss, Vectorize, name_in_file, named
from landscape_tools.mapping import mapped, settled
from landscape_tools.options import allowed_threads, filled
from landscape_tools.points import Point, check_has, difference, dot, norm, wide
from landscape_tools.sampling import CHUNK_LIMIT, SAMPLING, Sampling, sample_entered, stepped
from landscape_tools.stores import Values, fingerprint, run_passes

Inner = Callable[[dict[str, Tensor]], Tensor]
Outer = Callable[[Tensor, dict[str, Tensor]], dict[str, Tensor]]


def sample_plane(
    loss: Loss,
    origin: Point,
    first: Point,
    second: Point,
    x: Sequence[float] | Tensor,
    y: Sequence[float] | Tensor,
    **options: Unpack[Sampling],
) -> xr.Dataset:
    """Evaluate every named loss at origin + x first + y second.

    The directions may move different blocks: `difference` of two encoders against `difference` of two transition
    models gives the surface encoder x dynamics.

    Args:
        loss: pure function of one parameter point to named scalars.
        origin: the point at x = y = 0.
        first, second: directions; each may name only some of the origin's parameters.
        x, y: coordinates along them, at least 2 each.
        options: of :class:`landscape_tools.sampling.Sampling`.

    Returns:
        one variable per loss over (y, x), named as by :func:`sample_line`; attributes `first_norm`, `second_norm`, `not_finite`, the number of values that are
        infinite or NaN and stay so, and `held` where frozen parameters or buffers stay as they are.

    Raises:
        ValueError: for a zero direction, fewer than 2 coordinates, or directions that do not fit.
    """
    (origin,), (first, second) = entered(loss, [origin]), renamed(loss, [first, second])
    xs, ys, lengths = _axes(x, y, first, second)
    grid = torch.stack(torch.meshgrid(ys, xs, indexing="ij")[::-1], dim=-1).view(-1, 2)  # rows of constant y
    values = sample_entered(loss, origin, [first, second], grid, taken=("x", "y"), **options)
    data = _dataset({name: v.reshape(len(ys), len(xs)) for name, v in values.items()}, xs, ys, lengths)
    held = held_words({name: value for name, value in origin.items() if name not in first and name not in second})
    return data.assign_attrs(held=held) if held else data


def three_point_axes(a: Point, b: Point, c: Point) -> tuple[dict[str, Tensor], dict[str, Tensor], tuple[float, float]]:
    """Axes of the plane through three points: `a` at (0, 0), `b` at (1, 0), and `c` at the returned coordinates.

    The first axis is b - a; the second is orthogonal to it and as long, so that pictures are not sheared.

    Raises:
        ValueError: when two points coincide or all three lie on a line.
    """
    first = difference(b, a)
    toward = difference(c, a)
    length = norm(first)
    along = dot(toward, first) / length**2
    zero = {n: torch.zeros_like(v) for n, v in {**first, **toward}.items()}
    rest = {n: toward.get(n, v) - along * first.get(n, v) for n, v in zero.items()}
    height = norm(rest)
    if not height > 1e-9 * norm(toward):  # also where it is NaN
        raise ValueError("the three points lie on a line, or are not finite; choose a third point off it")
    second = {n: v * (length / height) for n, v in rest.items()}
    return first, second, (along, height / length)


def sample_product(
    inner: Inner,
    outer: Outer,
    first: tuple[Point, Point],
    second: tuple[Point, Point],
    x: Sequence[float] | Tensor,
    y: Sequence[float] | Tensor,
    **options: Unpack[Sampling],
) -> xr.Dataset:
    """Evaluate every named loss at outer(inner(origin_1 + x direction_1), origin_2 + y direction_2).

    Args:
        inner: first block -> features, a tensor.
        outer: (features, second block) -> named scalars.
        first, second: (origin, direction) of each block, of the same names and shapes.
        x, y: coordinates along the directions, at least 2 each.
        options: of :class:`landscape_tools.sampling.Sampling`. With `vectorize="batched"`, `inner` takes parameters with a leading axis
            (m, ...) to features (m, ...), and `outer` takes features (m, ...) and parameters (n, ...) to values that broadcast to
            (n, m). `memory` holds the points' copies of the second block and the features; threads are for an `outer` known to be safe.

    Returns:
        as :func:`sample_plane`.

    Raises:
        ValueError: for a zero direction, fewer than 2 coordinates, or directions that do not fit.
    """
    xs, ys, lengths = _axes(x, y, first[1], second[1])
    how = filled(SAMPLING, options)
    threads = allowed_threads(outer, how["threads"])
    map_inner, map_outer = _stages(inner, outer, how["vectorize"])
    with torch.no_grad():
        features = torch.cat([map_inner(_along(*first, xs[at : at + CHUNK_LIMIT])) for at in range(0, len(xs), CHUNK_LIMIT)])
    columns, rows = _block(features, second[0], how["memory"] // threads, -(-len(ys) // threads), how["chunk"])  # work for every thread
    passes = [(i, j) for i in range(0, len(ys), rows) for j in range(0, len(xs), columns)]

    def evaluate(number: int) -> dict[str, np.ndarray[Any, Any]]:
        i, j = passes[number]
        with torch.no_grad():
            values = named(map_outer(features[j : j + columns], _along(*second, ys[i : i + rows])), ("x", "y"))
            shape = (len(ys[i : i + rows]), len(xs[j : j + columns]))
            return {name: value.double().expand(shape).cpu().numpy() for name, value in values.items()}

    def spot(number: int, stage: Callable[..., Any] = map_outer) -> dict[str, np.ndarray[Any, Any]]:
        i, j = passes[number]
        with torch.no_grad():
            values = stage(features[j : j + 1], _along(*second, ys[i : i + 1]))
            return {name: value.double().cpu().numpy() for name, value in values.items()}

    check_steady(lambda: spot(0, _stages(inner, outer, singly(how["vectorize"]))[1]))
    mark = fingerprint([*first, *second, {"x": xs, "y": ys, "features": features}], rows, columns)
    sizes = [len(ys[i : i + rows]) * len(xs[j : j + columns]) for i, j in passes]
    parts = run_passes(evaluate, sizes, mark, spot=spot, threads=threads, store=how["store"], progress=how["progress"])
    data = {name: np.empty((len(ys), len(xs))) for name in parts[0]}
    for (i, j), part in zip(passes, parts, strict=True):
        for name, value in part.items():
            data[name][i : i + rows, j : j + columns] = value
    return _dataset(data, xs, ys, lengths)


def _stages(inner: Inner, outer: Outer, vectorize: Vectorize) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Both stages for many points: parameters (m, ...) -> features (m, ...); these and parameters (n, ...) -> values (n, m)."""
    if vectorize == "batched":
        return inner, outer
    stages: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
        "vmap": (mapped(inner), mapped(torch.func.vmap(outer, in_dims=(0, None)), in_dims=(None, 0))),
        "loop": (lambda points: torch.stack([inner(point) for point in _rows(points)]), functools.partial(_each, outer)),
    }
    return (
        settled(lambda way, points: stages[way][0](points), lambda points: (_first(points),), vectorize, inner, count=_counted),
        settled(
            lambda way, features, points: stages[way][1](features, points),
            lambda features, points: (features[:1], _first(points)),
            vectorize,
            outer,
            count=lambda features, points: len(features) * _counted(points),
        ),
    )


def _rows(points: Point) -> list[dict[str, Tensor]]:
    return [{name: value[k] for name, value in points.items()} for k in range(_counted(points))]


def _first(points: Point) -> dict[str, Tensor]:
    return {name: value[:1] for name, value in points.items()}


def _counted(points: Point) -> int:
    return len(next(iter(points.values())))


def _each(outer: Outer, features: Tensor, points: Point) -> dict[str, Tensor]:
    found = [[outer(feature, point) for feature in features] for point in _rows(points)]
    return {name: torch.stack([torch.stack([value[name] for value in row]) for row in found]) for name in found[0][0]}


def _along(origin: Point, direction: Point, steps: Tensor) -> dict[str, Tensor]:
    """name -> (len(steps), ...)."""
    check_has(direction, origin, "the direction")
    return {n: stepped(wide(v).unsqueeze(0), steps, direction[n]).to(v.dtype) for n, v in origin.items()}


FEATURE_WORK = 64
"""Numbers that evaluating one number of the features is taken to need at once, for the memory budget."""


def _block(features: Tensor, second: Point, memory: int, rows: int, chunk: int | None) -> tuple[int, int]:
    """(columns, rows) of a pass that fits the memory and, where that is still many points, the cache."""
    parameters = sum(value.numel() * value.element_size() for value in second.values())
    each = features[0].numel() * features.element_size() * FEATURE_WORK
    budget = min(memory, 16 * 2**20)  # larger passes leave the cache and become slower
    columns = int(max(1, min(len(features), CHUNK_LIMIT, budget // each)))
    fitting = int(max(1, min(rows, CHUNK_LIMIT, budget // (parameters + columns * each))))
    return columns, chunk or fitting


def _axes(
    x: Sequence[float] | Tensor, y: Sequence[float] | Tensor, first: Point, second: Point
) -> tuple[Tensor, Tensor, tuple[float, float]]:
    """Both coordinates in float64 and the lengths of both directions, checked."""
    xs, ys = (torch.as_tensor(axis, dtype=torch.float64) for axis in (x, y))
    if len(xs) < 2 or len(ys) < 2:
        raise ValueError(f"a plane of {len(xs)} x {len(ys)} points; it needs at least 2 x 2")
    lengths = norm(first), norm(second)
    for name, length in zip(("first", "second"), lengths, strict=True):
        if not 0 < length < np.inf:
            what = "zero" if length == 0 else "not finite"
            raise ValueError(f"the {name} direction is {what}, so it spans no plane")
    return xs, ys, lengths


def _dataset(values: dict[str, Values], xs: Tensor, ys: Tensor, lengths: tuple[float, float]) -> xr.Dataset:
    return xr.Dataset(
        {name_in_file(name): (("y", "x"), value) for name, value in values.items()},
        coords={"x": xs.numpy(), "y": ys.numpy()},
        attrs={
            "first_norm": lengths[0], "second_norm": lengths[1],
            "not_finite": int(sum(np.count_nonzero(~np.isfinite(value)) for value in values.values())),
        },
    )  # fmt: skip
