"""How the compiled convolutions keep a network: the table of its layers, and its parameters in the order that they are read in.

A network's numbers are the weights of its layers, (k, k, in, whole vectors of out), their biases, and the turned weights that the gradient of
the input reads. The weights of the planes in front of its input lie apart, (planes, k, k, whole vectors of out), and so do the maps that the
first layer makes of planes of ones. Gradients and running averages lie as the numbers without the turned weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from crar_model.core.compiled import numba
from crar_model.nets._blas import kernel, pointer
from crar_model.nets._micro import LANES

IN, OUT, SIZE, SIDE, GRID, WIDTH, LOW, POOL, WIDE_OUT, WIDE_IN, ACT, FRONT, BIAS, BACK, DENSE = range(15)
"""Columns of the table of layers: channels read and given; sides of the window, of the map read, of the map given before pooling, of the map
read with its padding; padding above and to the left; pooling; channels given and read, rounded up to whole vectors (of a dense layer: all
numbers read); numbers before this layer's input in an image's record; where its weights, bias and transposed weights lie in the packed
parameters; 1 for a dense layer."""


@kernel
def move_weights(at: Any, table: Any, planes: int, packed: int, of_planes: int, out: bool) -> None:
    """Between tensors (out, planes and in, k, k) and (out,) of each layer, at the addresses `at`, and numbers in the kernels' order: `out` to
    the tensors, else from them, where what fills whole vectors is 0. A vector at a time, so that its lines stay in the first cache."""
    for layer in range(table.shape[0]):
        n, m, area, wide = table[layer, IN], table[layer, OUT], table[layer, SIZE] * table[layer, SIZE], table[layer, WIDE_OUT]
        before = planes if layer == 0 else 0
        tensor, bias = numba.carray(pointer(at[2 * layer]), (m, before + n, area)), numba.carray(pointer(at[2 * layer + 1]), (m,))
        front = numba.carray(pointer(packed + 4 * table[layer, FRONT]), (area, n, wide))
        own, plane = numba.carray(pointer(packed + 4 * table[layer, BIAS]), (wide,)), numba.carray(pointer(of_planes), (before, area, wide))
        if not out:
            front[:], own[:], plane[:] = 0, 0, 0
        for o in range(m):
            if out:
                bias[o] = own[o]
            else:
                own[o] = bias[o]
        for start in range(0, m, LANES):
            stop = min(start + LANES, m)
            for c in range(before + n):
                for t in range(area):
                    row = plane[c, t] if c < before else front[t, c - before]
                    if out:
                        for o in range(start, stop):
                            tensor[o, c, t] = row[o]
                    else:
                        for o in range(start, stop):
                            row[o] = tensor[o, c, t]


@kernel
def turn_weights(layer: Any, packed: int, fresh: bool) -> None:
    """Weights as the gradient of the input reads them: windows turned around, channels read and given exchanged. `fresh`: what fills whole
    vectors is not 0 yet."""
    n, m, wide, wide_in = layer[IN], layer[OUT], layer[WIDE_OUT], layer[WIDE_IN]
    area = layer[SIZE] * layer[SIZE]
    windows, rows = (1, area * n) if layer[DENSE] else (area, n)  # a dense layer reads all of its input as channels
    given = numba.carray(pointer(packed + 4 * layer[FRONT]), (windows, rows, wide))
    made = numba.carray(pointer(packed + 4 * layer[BACK]), (windows, m, wide_in))
    if fresh:
        made[:] = 0
    for t in range(windows):
        source, target = given[t], made[windows - 1 - t]
        for first in range(0, rows, LANES):
            for begin in range(0, m, LANES):
                for column in range(begin, min(begin + LANES, m)):
                    for row in range(first, min(first + LANES, rows)):
                        target[column, row] = source[row, column]


@kernel
def planes_and_maps(layer: Any, planes: int, parts: int, of_planes: int, maps: int, back: bool) -> None:
    """What the first layer makes of each plane of ones, (parts, planes, grid, grid, wide), from its weights, or `back`: their gradient from
    that of the maps of some parts."""
    grid, side, low, size, wide = layer[GRID], layer[SIDE], layer[LOW], layer[SIZE], layer[WIDE_OUT]
    weight = numba.carray(pointer(of_planes), (planes, size, size, wide))
    made = numba.carray(pointer(maps), (parts, planes, grid, grid, wide))
    if back:
        weight[:] = 0
    else:
        made[:] = 0
    for part in range(parts):
        for a in range(planes):
            for t in range(size):
                for u in range(size):
                    for i in range(max(0, low - t), min(grid, side + low - t)):
                        for j in range(max(0, low - u), min(grid, side + low - u)):
                            source, target = (made[part, a, i, j], weight[a, t, u]) if back else (weight[a, t, u], made[part, a, i, j])
                            for o in range(wide):
                                target[o] += source[o]


@kernel
def pack(weights: Any, table: Any, planes: int, packed: Any, plane_maps: Any, back: bool) -> None:
    """Arrange the weights of members, (members, 2 layers) addresses of weight and bias of each layer, as `packed` (members, numbers) and maps
    (members, numbers)."""
    top = table[0]
    room = np.empty(planes * top[SIZE] * top[SIZE] * top[WIDE_OUT], dtype=np.float32)
    of_planes = np.int64(room.ctypes.data)
    for member in range(weights.shape[0]):
        at = np.int64(packed[member].ctypes.data)
        move_weights(weights[member], table, planes, at, of_planes, member < 0)
        if planes:
            planes_and_maps(top, planes, planes // planes, of_planes, np.int64(plane_maps[member].ctypes.data), member < 0)
        for layer in range(table.shape[0] if back else 0):
            turn_weights(table[layer], at, member >= 0)
    room[:0] = 0  # it must live until here


@kernel
def unpack(parts: int, table: Any, planes: int, sums: int, sums_size: int, plane_sums: int, grads: Any) -> None:
    """Add the gradients of a member's parts, each laid out as the packed parameters and the maps, and write them as the parameters lie:
    grads are addresses as a member's weights of :func:`pack`."""
    top = table[0]
    room = np.empty(planes * top[SIZE] * top[SIZE] * top[WIDE_OUT], dtype=np.float32)
    of_planes = np.int64(room.ctypes.data)
    _add_parts(numba.carray(pointer(sums), (parts, sums_size)))
    if planes:
        _add_parts(numba.carray(pointer(plane_sums), (parts, planes * top[GRID] * top[GRID] * top[WIDE_OUT])))
        planes_and_maps(top, planes, parts // parts, of_planes, plane_sums, planes > 0)
    move_weights(grads, table, planes, sums, of_planes, parts > 0)
    room[:0] = 0  # it must live until here


@kernel
def _add_parts(sums: Any) -> None:
    for part in range(1, sums.shape[0]):
        for k in range(sums.shape[1]):
            sums[0, k] += sums[part, k]
