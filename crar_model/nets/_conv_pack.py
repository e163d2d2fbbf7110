"""How the compiled convolutions keep a network: the table of its layers, and its parameters in the order that they are read in."""

from __future__ import annotations

from typing import Any

import numpy as np

from crar_model.core.compiled import numba
from crar_model.nets._blas import pointer
from crar_model.nets._micro import LANES

IN, OUT, SIZE, SIDE, GRID, WIDTH, LOW, POOL, WIDE_OUT, WIDE_IN, ACT, FRONT, BIAS, BACK, DENSE = range(15)
"""Columns of the table of layers: channels read and given; sides of the window, of the map read, of the map given before pooling, of the map
read with its padding; padding above and to the left; pooling; channels given and read, rounded up to whole vectors (of a dense layer: all
numbers read); numbers before this layer's input in an image's record; where its weights, bias and transposed weights lie in the packed
parameters; 1 for a dense layer."""


@numba.njit(cache=True, nogil=True, error_model="numpy")
def pack(
    first: int, last: int, weights: Any, table: Any, planes: int, packed: int, packed_size: int, plane_maps: int, back: bool
) -> None:  # fmt: skip # pragma: no cover
    """Arrange the weights of some members for `panel`.

    weights (members, 2 layers): addresses of weight (out, planes and channels, k, k) and bias of each layer. Each member has `packed_size`
    numbers from `packed` on, and maps (planes, grid, grid, out) from `plane_maps` on: what the first layer makes of a plane of ones.
    """
    grid = table[0, GRID]
    for member in range(first, last):
        own, maps = packed + 4 * member * packed_size, plane_maps + 4 * member * planes * grid * grid * table[0, WIDE_OUT]
        _pack(weights[member], table, planes, own, maps, back)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _pack(weights: Any, table: Any, planes: int, packed: int, plane_maps: int, back: bool) -> None:  # pragma: no cover - compiled
    for layer in range(table.shape[0]):
        n, m, size, wide = table[layer, IN], table[layer, OUT], table[layer, SIZE], table[layer, WIDE_OUT]
        before = planes if layer == 0 else 0
        weight = numba.carray(pointer(weights[2 * layer]), (m, before + n, size, size))
        bias, own = numba.carray(pointer(weights[2 * layer + 1]), (m,)), numba.carray(pointer(packed + 4 * table[layer, BIAS]), (wide,))
        for o in range(wide):
            own[o] = bias[o] if o < m else np.float32(0)
        front = numba.carray(pointer(packed + 4 * table[layer, FRONT]), (size, size, n, wide))
        _to_front(weight, before, front)
        if before:
            _map_planes(weight, table[layer], numba.carray(pointer(plane_maps), (planes, table[layer, GRID], table[layer, GRID], wide)))
        if back:
            _to_back(weight, before, numba.carray(pointer(packed + 4 * table[layer, BACK]), (_back_size(table[layer]),)), table[layer])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _back_size(layer: Any) -> Any:  # pragma: no cover - compiled
    return layer[OUT] * layer[WIDE_IN] * (1 if layer[DENSE] else layer[SIZE] * layer[SIZE])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _to_front(weight: Any, before: int, front: Any) -> None:  # pragma: no cover - compiled
    """(out, before + in, k, k) -> (k, k, in, whole vectors of out), a vector at a time so that its lines stay in the first cache."""
    m, size = weight.shape[0], weight.shape[2]
    for start in range(0, front.shape[3], LANES):
        stop = min(start + LANES, m)
        for c in range(front.shape[2]):
            for t in range(size):
                for u in range(size):
                    for o in range(start, stop):
                        front[t, u, c, o] = weight[o, before + c, t, u]
                    for o in range(stop, start + LANES):
                        front[t, u, c, o] = 0


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _to_back(weight: Any, before: int, back: Any, layer: Any) -> None:  # pragma: no cover - compiled
    """Weights as the gradient of the input reads them: windows turned around, channels read and given exchanged."""
    size, n, m, wide = layer[SIZE], layer[IN], layer[OUT], layer[WIDE_IN]
    if layer[DENSE]:
        for o in range(m):
            for t in range(size):
                for u in range(size):
                    for c in range(n):
                        back[o * wide + (t * size + u) * n + c] = weight[o, before + c, t, u]
            for k in range(size * size * n, wide):
                back[o * wide + k] = 0
        return
    for o in range(m):
        for start in range(0, wide, LANES):
            stop = min(start + LANES, n)
            for t in range(size):
                for u in range(size):
                    at = (((size - 1 - t) * size + size - 1 - u) * m + o) * wide
                    for c in range(start, stop):
                        back[at + c] = weight[o, before + c, t, u]
                    for c in range(stop, start + LANES):
                        back[at + c] = 0


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _map_planes(weight: Any, layer: Any, maps: Any) -> None:  # pragma: no cover - compiled
    """What the first layer makes of each plane of ones: (planes, grid, grid, out)."""
    grid, side, low, size = layer[GRID], layer[SIDE], layer[LOW], layer[SIZE]
    maps[:] = 0
    for a in range(maps.shape[0]):
        for i in range(grid):
            for j in range(grid):
                for t in range(size):
                    for u in range(size):
                        if 0 <= i + t - low < side and 0 <= j + u - low < side:
                            for o in range(weight.shape[0]):
                                maps[a, i, j, o] += weight[o, a, t, u]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def unpack(
    parts: int, table: Any, planes: int, sums: int, sums_size: int, plane_sums: int, grads: Any
) -> None:  # fmt: skip # pragma: no cover
    """Add the gradients of a member's parts, each laid out as the packed parameters and the maps, and write them as the parameters lie:
    grads are addresses as the weights of :func:`pack`."""
    top = table[0]
    map_size = planes * top[GRID] * top[GRID] * top[WIDE_OUT]
    _add_parts(numba.carray(pointer(sums), (parts, sums_size)))
    for layer in range(table.shape[0]):
        n, m, size, wide = table[layer, IN], table[layer, OUT], table[layer, SIZE], table[layer, WIDE_OUT]
        before = planes if layer == 0 else 0
        grad = numba.carray(pointer(grads[2 * layer]), (m, before + n, size, size))
        bias, own = numba.carray(pointer(grads[2 * layer + 1]), (m,)), numba.carray(pointer(sums + 4 * table[layer, BIAS]), (m,))
        for o in range(m):
            bias[o] = own[o]
        front = numba.carray(pointer(sums + 4 * table[layer, FRONT]), (size, size, n, wide))
        for start in range(0, wide, LANES):
            for c in range(n):
                for t in range(size):
                    for u in range(size):
                        for o in range(start, min(start + LANES, m)):
                            grad[o, before + c, t, u] = front[t, u, c, o]
        if before:
            _add_parts(numba.carray(pointer(plane_sums), (parts, map_size)))
            _from_maps(numba.carray(pointer(plane_sums), (planes, top[GRID], top[GRID], wide)), top, grad)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _add_parts(sums: Any) -> None:  # pragma: no cover - compiled
    for part in range(1, sums.shape[0]):
        for k in range(sums.shape[1]):
            sums[0, k] += sums[part, k]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _from_maps(maps: Any, layer: Any, grad: Any) -> None:  # pragma: no cover - compiled
    """The transpose of :func:`_map_planes`."""
    grid, side, low, size = layer[GRID], layer[SIDE], layer[LOW], layer[SIZE]
    for o in range(grad.shape[0]):
        for a in range(maps.shape[0]):
            for t in range(size):
                for u in range(size):
                    total = np.float32(0)
                    for i in range(grid):
                        for j in range(grid):
                            if 0 <= i + t - low < side and 0 <= j + u - low < side:
                                total += maps[a, i, j, o]
                    grad[o, a, t, u] = total
