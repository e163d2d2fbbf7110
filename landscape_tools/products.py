"""Planes whose two axes move different blocks of a two-stage loss: outer(inner(first block), second block).

The encoder x dynamics surface is of this kind: what the dynamics see of the encoder is its embedding. A plane of m x n
points then needs m passes through the first stage, not m n, and no parameter is copied per point: exact, and far
cheaper than sampling the points one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from landscape_tools.points import Point, norm
from landscape_tools.sampling import CHUNK_LIMIT, Progress, clean, fingerprint, run_passes

Inner = Callable[[dict[str, Tensor]], Tensor]
Outer = Callable[[Tensor, dict[str, Tensor]], dict[str, Tensor]]


def sample_product(
    inner: Inner,
    outer: Outer,
    first: tuple[Point, Point],
    second: tuple[Point, Point],
    x: Sequence[float] | Tensor,
    y: Sequence[float] | Tensor,
    *,
    batched: bool = False,
    chunk: int | None = None,
    memory: int = 256 * 2**20,
    threads: int = 1,
    store: Path | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Evaluate every named loss at outer(inner(origin_1 + x direction_1), origin_2 + y direction_2).

    Args:
        inner: first block -> features, a tensor.
        outer: (features, second block) -> named scalars.
        first, second: (origin, direction) of each block, of the same names and shapes.
        x, y: coordinates along the directions, at least 2 each.
        batched: True when `inner` takes parameters with a leading axis (m, ...) to features (m, ...), and `outer`
            takes features (m, ...) and parameters (n, ...) to values that broadcast to (n, m); False vmaps them.
        chunk: values of y per pass; None fits `memory`.
        memory: bytes that the points' copies of the second block, and the features they are evaluated on, may take.
        threads, store, progress: as in :func:`landscape_tools.sampling.sample_points`.

    Returns:
        as :func:`landscape_tools.planes.sample_plane`.

    Raises:
        ValueError: for a zero direction, fewer than 2 coordinates, or directions that do not fit.
    """
    xs, ys = (torch.as_tensor(axis, dtype=torch.float64) for axis in (x, y))
    if len(xs) < 2 or len(ys) < 2:
        raise ValueError(f"a plane of {len(xs)} x {len(ys)} points; it needs at least 2 x 2")
    lengths = norm(first[1]), norm(second[1])
    for name, length in zip(("first", "second"), lengths, strict=True):
        if length == 0:
            raise ValueError(f"the {name} direction is zero, so it spans no plane")
    map_inner: Any = inner if batched else torch.func.vmap(inner)
    map_outer: Any = outer if batched else torch.func.vmap(torch.func.vmap(outer, in_dims=(0, None)), in_dims=(None, 0))
    with torch.no_grad():
        features = torch.cat([map_inner(_along(*first, xs[at : at + CHUNK_LIMIT])) for at in range(0, len(xs), CHUNK_LIMIT)])
    columns, rows = _block(features, second[0], memory // threads, -(-len(ys) // threads), chunk)  # work for every thread
    passes = [(i, j) for i in range(0, len(ys), rows) for j in range(0, len(xs), columns)]

    def evaluate(number: int) -> dict[str, np.ndarray[Any, Any]]:
        i, j = passes[number]
        with torch.no_grad():
            values = map_outer(features[j : j + columns], _along(*second, ys[i : i + rows]))
            shape = (len(ys[i : i + rows]), len(xs[j : j + columns]))
            return {name: value.double().expand(shape).cpu().numpy() for name, value in values.items()}

    mark = fingerprint([*first, *second, {"x": xs, "y": ys, "features": features}], rows, columns)
    sizes = [len(ys[i : i + rows]) * len(xs[j : j + columns]) for i, j in passes]
    parts = run_passes(evaluate, sizes, mark, threads=threads, store=store, progress=progress)
    data = {name: np.empty((len(ys), len(xs))) for name in parts[0]}
    for (i, j), part in zip(passes, parts, strict=True):
        for name, value in part.items():
            data[name][i : i + rows, j : j + columns] = clean(value)
    lost = int(sum(np.count_nonzero(np.isnan(value)) for value in data.values()))
    return xr.Dataset(
        {name: (("y", "x"), value) for name, value in data.items()},
        coords={"x": xs.numpy(), "y": ys.numpy()},
        attrs={"first_norm": lengths[0], "second_norm": lengths[1], "not_finite": lost},
    )


def _along(origin: Point, direction: Point, steps: Tensor) -> dict[str, Tensor]:
    """name -> (len(steps), ...)."""
    return {n: torch.addcmul(v.unsqueeze(0), steps.to(v).view(-1, *([1] * v.dim())), direction[n].unsqueeze(0)) for n, v in origin.items()}


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
