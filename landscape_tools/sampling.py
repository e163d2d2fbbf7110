"""Evaluates a loss at many points of an affine family, many points per pass.

The family is origin + sum_k c_k direction_k. A direction names only the parameters that it moves; parameters that
no direction moves are never copied, so a plane that moves one block costs memory for that block alone.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape_tools.points import Point

Loss = Callable[[dict[str, Tensor]], dict[str, Tensor]]
Progress = Callable[[int, int], None]
CHUNK_LIMIT = 64
"""Most points per pass: beyond this a pass leaves the cache and becomes slower."""
SAVE_EVERY = 5.0
"""Seconds between two saves of an unfinished sampling."""


def sample_points(
    loss: Loss,
    origin: Point,
    directions: Sequence[Point],
    coordinates: Tensor,
    *,
    batched: bool = False,
    chunk: int | None = None,
    memory: int = 256 * 2**20,
    threads: int = 1,
    store: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, np.ndarray[Any, Any]]:
    """Evaluate every named loss at origin + sum_k coordinates[:, k] directions[k].

    Args:
        loss: pure function of one point to named scalars; a bare scalar is named "loss".
        origin: name -> tensor.
        directions: each a name -> tensor of some of the origin's names and shapes.
        coordinates: (points, len(directions)) floating.
        batched: True when `loss` takes parameters with a leading axis and returns (points,) values by itself, which
            must then hold for a mix of parameters with and without that axis; False vmaps it.
        chunk: points per pass; None fits `memory`, at most 64.
        memory: bytes that the parameters of all passes at work may take.
        threads: passes at work at once; PyTorch's own threads should then be 1.
        store: file that keeps what is finished; a later call with the same family goes on from it, and the file is
            removed at the end.
        progress: called with (points finished, points in all).

    Returns:
        name -> (points,) float64; values that are not finite are NaN.

    Raises:
        ValueError: for directions that do not fit the origin or coordinates of the wrong shape.
    """
    _check(origin, directions, coordinates)
    evaluate = _evaluator(loss, origin, directions, batched)
    size = chunk or _fitting_chunk(directions, memory, threads)
    pieces = [(at, coordinates[at : at + size]) for at in range(0, len(coordinates), size)]
    memo = _Store(store, _fingerprint(origin, directions, coordinates, size))
    todo = [piece for piece in pieces if piece[0] not in memo.parts]
    done = len(coordinates) - sum(len(piece) for _, piece in todo)
    with ThreadPoolExecutor(max_workers=threads) as pool:
        # Results are taken in order, so at most `threads` passes are ever at work or waiting.
        for begin in range(0, len(todo), threads):
            group = todo[begin : begin + threads]
            for (at, piece), values in zip(group, pool.map(lambda item: evaluate(item[1]), group), strict=True):
                memo.add(at, values)
                done += len(piece)
            if progress is not None:
                progress(done, len(coordinates))
    result = {name: np.concatenate([memo.parts[at][name] for at, _ in pieces]) for name in memo.parts[0]}
    memo.finish()
    return {name: np.where(np.isfinite(values), values, np.nan) for name, values in result.items()}


def _check(origin: Point, directions: Sequence[Point], coordinates: Tensor) -> None:
    if coordinates.dim() != 2 or coordinates.shape[1] != len(directions) or len(coordinates) == 0:
        raise ValueError(f"coordinates are {tuple(coordinates.shape)}; they must be (points, {len(directions)}) with at least one point")
    for direction in directions:
        for name, value in direction.items():
            if name not in origin or origin[name].shape != value.shape:
                raise ValueError(f"a direction moves {name} {tuple(value.shape)}, which the origin does not have in that shape")


def _fitting_chunk(directions: Sequence[Point], memory: int, threads: int) -> int:
    names = {name: value for direction in directions for name, value in direction.items()}
    each = sum(value.numel() * value.element_size() for value in names.values())
    return int(max(1, min(CHUNK_LIMIT, memory // max(1, each * threads))))


def _evaluator(
    loss: Loss, origin: Point, directions: Sequence[Point], batched: bool
) -> Callable[[Tensor], dict[str, np.ndarray[Any, Any]]]:
    names = list(dict.fromkeys(name for direction in directions for name in direction))
    fixed = {name: value for name, value in origin.items() if name not in names}

    def named(point: dict[str, Tensor]) -> dict[str, Tensor]:
        values: Any = loss(fixed | point)
        return values if isinstance(values, dict) else {"loss": values}

    mapped = named if batched else torch.func.vmap(named)

    def evaluate(piece: Tensor) -> dict[str, np.ndarray[Any, Any]]:
        with torch.no_grad():
            points = {}
            for name in names:
                value = origin[name]
                stacked = value.unsqueeze(0)
                for k, direction in enumerate(directions):
                    if name in direction:
                        step = piece[:, k].to(value).view(-1, *([1] * value.dim()))
                        stacked = torch.addcmul(stacked, step, direction[name].unsqueeze(0))
                points[name] = stacked
            return {name: values.double().cpu().numpy() for name, values in mapped(points).items()}

    return evaluate


def _fingerprint(origin: Point, directions: Sequence[Point], coordinates: Tensor, size: int) -> str:
    hasher = hashlib.sha256(f"{size}".encode())
    for part in (origin, *directions, {"coordinates": coordinates}):
        for name, value in part.items():
            hasher.update(name.encode())
            hasher.update(value.detach().cpu().contiguous().numpy().tobytes())
    return hasher.hexdigest()


class _Store:
    """Finished passes, by their first point; kept on disk when there is a path."""

    def __init__(self, path: Path | None, fingerprint: str) -> None:
        self.path, self.fingerprint = path, fingerprint
        self.parts: dict[int, dict[str, np.ndarray[Any, Any]]] = {}
        self._saved = time.monotonic()
        if path is not None and path.exists():
            with np.load(path, allow_pickle=False) as content:
                if str(content["fingerprint"]) == fingerprint:
                    for key in content.files:
                        at, _, name = key.partition("/")
                        if name:
                            self.parts.setdefault(int(at), {})[name] = content[key]

    def add(self, at: int, values: dict[str, np.ndarray[Any, Any]]) -> None:
        self.parts[at] = values
        if self.path is not None and time.monotonic() - self._saved > SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Write all finished passes, so that a kill leaves the old file or the new one."""
        assert self.path is not None
        content = io.BytesIO()
        arrays = {f"{at}/{name}": values for at, part in self.parts.items() for name, values in part.items()}
        np.savez_compressed(content, allow_pickle=False, **arrays, fingerprint=np.array(self.fingerprint))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=self.path.parent)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content.getvalue())
        os.replace(temporary, self.path)
        self._saved = time.monotonic()

    def finish(self) -> None:
        if self.path is not None and self.path.exists():
            self.path.unlink()
