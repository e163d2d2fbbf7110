"""The first layer of a dense encoder on observations that are one shared pattern and a few entries of their own, compiled.

In a maze the pattern is the walls and the entry the agent's cell: a constant vector and one column a state take the place of a product.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from crar_model.core.compiled import numba
from crar_model.nets._blas import fusing, pointer, summing
from crar_model.nets._panel import ROWS, tanh_flat

WORTH = 4
"""A product is replaced where the entries are fewer than its numbers by this factor."""
LARGEST = 1 << 16
"""Numbers of an input that is looked at."""


class Observed(NamedTuple):
    """Observations of all states as a shared one and what each has of its own: obs[s] = scale[s] shared + a few entries. In a maze that is
    the wall pattern and the agent's cell, so the first layer takes one column a state instead of a product.

    Attributes:
        rows: number of observations.
        shared: (pixels,) what most of them show.
        scale: (rows up to whole panels,) 1, or 0 where little of it is seen.
        row, column, value: (entries,) what the rest is, in the order of the rows.
    """

    rows: int
    shared: np.ndarray[Any, Any]
    scale: np.ndarray[Any, Any]
    row: np.ndarray[Any, Any]
    column: np.ndarray[Any, Any]
    value: np.ndarray[Any, Any]

    @classmethod
    def of(cls, observations: np.ndarray[Any, Any]) -> Observed:
        """Take (rows, pixels) apart, float32."""
        rows, pixels = observations.shape
        shared = np.empty(pixels, dtype=np.float32)
        for pixel in range(pixels):
            found, counts = np.unique(observations[:, pixel], return_counts=True)
            shared[pixel] = found[counts.argmax()]
        own = (observations != shared).sum(1) <= (observations != 0).sum(1)
        scale = np.zeros(-(-rows // ROWS) * ROWS, dtype=np.float32)
        scale[:rows] = own
        rest = observations - own[:, None] * shared
        row, column = rest.nonzero()
        return cls(rows, shared, scale, row.astype(np.int64), column.astype(np.int64), rest[row, column].astype(np.float32))

    @classmethod
    def sparse(cls, shared: Any, scale: Any, row: Any, column: Any, value: Any) -> Observed:
        """Of parts as above, with a `scale` of one number an observation and entries in the order of their rows."""
        whole = np.zeros(-(-len(scale) // ROWS) * ROWS, dtype=np.float32)
        whole[: len(scale)] = scale
        single = shared.astype(np.float32), whole, row.astype(np.int64), column.astype(np.int64), value.astype(np.float32)
        return cls(len(scale), *single)

    def pick(self, rows: np.ndarray[Any, Any]) -> Observed:
        """Some of the observations (count,), which may name one twice."""
        first, last = np.searchsorted(self.row, rows), np.searchsorted(self.row, rows, side="right")
        counts = last - first
        entries = np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        return Observed.sparse(
            self.shared, self.scale[rows], np.repeat(np.arange(len(rows)), counts), self.column[entries], self.value[entries]
        )

    def dense(self, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Some of the observations as they are, (count, pixels) float32."""
        part = self.pick(rows)
        numbers: np.ndarray[Any, Any] = part.scale[: part.rows, None] * part.shared
        numbers[part.row, part.column] += part.value
        return numbers


@summing
def _dot(a: Any, b: Any) -> Any:
    result = np.float32(0)
    for k in range(a.shape[0]):
        result += a[k] * b[k]
    return result


@summing
def _sum(a: Any) -> Any:
    result = np.float32(0)
    for k in range(a.shape[0]):
        result += a[k]
    return result


@fusing
def first_forward(weight: int, bias: int, h: int, units: int, seen: Observed) -> None:
    """First hidden layer on all observations: (tiles, units, 32)."""
    shared, scale, entries, columns, values = seen.shared, seen.scale, seen.row, seen.column, seen.value
    tiles = scale.shape[0] // ROWS
    w, b = numba.carray(pointer(weight), (units, shared.shape[0])), numba.carray(pointer(bias), (units,))
    out = numba.carray(pointer(h), (tiles, units, ROWS))
    for j in range(units):
        common = _dot(w[j], shared)
        for tile in range(tiles):
            for r in range(ROWS):
                out[tile, j, r] = b[j] + scale[tile * ROWS + r] * common
    for j in range(units):
        for e in range(entries.shape[0]):
            out[entries[e] // ROWS, j, entries[e] % ROWS] += values[e] * w[j, columns[e]]
    tanh_flat(out.reshape(-1))


@summing
def first_backward(grad: int, weight: int, bias: int, units: int, seen: Observed) -> None:
    """Gradients of the first layer's weight and bias from that of its sums (tiles, units, 32)."""
    shared, scale, entries, columns, values = seen.shared, seen.scale, seen.row, seen.column, seen.value
    tiles = scale.shape[0] // ROWS
    g = numba.carray(pointer(grad), (tiles, units, ROWS))
    gw, gb = numba.carray(pointer(weight), (units, shared.shape[0])), numba.carray(pointer(bias), (units,))
    for j in range(units):
        whole, common = np.float32(0), np.float32(0)
        for tile in range(tiles):
            whole += _sum(g[tile, j])
            common += _dot(g[tile, j], scale[tile * ROWS : (tile + 1) * ROWS])
        gb[j] = whole
        for k in range(shared.shape[0]):
            gw[j, k] = common * shared[k]
    for j in range(units):
        for e in range(entries.shape[0]):
            gw[j, columns[e]] += values[e] * g[entries[e] // ROWS, j, entries[e] % ROWS]


def observed(x: Tensor) -> Observed | None:
    """An input (rows, pixels) taken apart, or None where that would not be less work."""
    if not 0 < x.numel() <= LARGEST or x.requires_grad:
        return None
    found = _observed(x.contiguous().numpy().tobytes(), x.shape[0])
    return found if WORTH * len(found.row) < x.numel() else None


@lru_cache(maxsize=64)
def _observed(numbers: bytes, rows: int) -> Observed:
    return Observed.of(np.frombuffer(numbers, dtype=np.float32).reshape(rows, -1))
