"""Parameters of a convolutional network in the order that its kernels read them in, for as long as updates go on: moved in, stepped, moved out.

A network's numbers are the packed ones of `_conv_pack`, then the weights of its planes, (planes, k, k, wide), then the planes' maps. Running
averages and gradients lie as the packed numbers without the turned weights, with the planes' weights behind them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from crar_model.core.compiled import numba
from crar_model.nets._blas import pointer
from crar_model.nets._conv_pack import BACK, BIAS, DENSE, FRONT, GRID, IN, LOW, OUT, SIDE, SIZE, WIDE_IN, WIDE_OUT
from crar_model.nets._rmsprop import _apply, _finite, _sum_squares

TURNED = 16
"""Side of the blocks in which weights are turned."""


@numba.njit(cache=True, nogil=True, error_model="numpy")
def move_weights(at: Any, table: Any, planes: int, packed: int, of_planes: int, out: bool) -> None:  # pragma: no cover - compiled
    """Between tensors as they are stored, at the addresses `at`, and numbers in the kernels' order: `out` to the tensors, else from them,
    where what fills whole vectors is 0."""
    for layer in range(table.shape[0]):
        n, m, size, wide = table[layer, IN], table[layer, OUT], table[layer, SIZE] * table[layer, SIZE], table[layer, WIDE_OUT]
        before = planes if layer == 0 else 0
        tensor, bias = numba.carray(pointer(at[2 * layer]), (m, before + n, size)), numba.carray(pointer(at[2 * layer + 1]), (m,))
        front = numba.carray(pointer(packed + 4 * table[layer, FRONT]), (size, n, wide))
        own, plane = numba.carray(pointer(packed + 4 * table[layer, BIAS]), (wide,)), numba.carray(pointer(of_planes), (before, size, wide))
        if not out:
            front[:], own[:], plane[:] = 0, 0, 0
        for o in range(m):
            if out:
                bias[o] = own[o]
            else:
                own[o] = bias[o]
            for c in range(before):
                for t in range(size):
                    if out:
                        tensor[o, c, t] = plane[c, t, o]
                    else:
                        plane[c, t, o] = tensor[o, c, t]
            for c in range(n):
                for t in range(size):
                    if out:
                        tensor[o, before + c, t] = front[t, c, o]
                    else:
                        front[t, c, o] = tensor[o, before + c, t]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _turn(source: int, rows: int, columns: int, step: int, target: int, target_step: int) -> None:  # pragma: no cover - compiled
    """target[column, row] = source[row, column]."""
    given, made = numba.carray(pointer(source), (rows, step)), numba.carray(pointer(target), (columns, target_step))
    for first in range(0, rows, TURNED):
        last = min(first + TURNED, rows)
        for begin in range(0, columns, TURNED):
            for column in range(begin, min(begin + TURNED, columns)):
                for row in range(first, last):
                    made[column, row] = given[row, column]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def derive(layer: Any, planes: int, packed: int, of_planes: int, maps: int, fresh: bool) -> None:  # pragma: no cover - compiled
    """What follows from a layer's weights: the turned ones, and the maps of the first layer's planes, of which there are none elsewhere.
    `fresh`: what fills whole vectors is not 0 yet."""
    n, m, size, wide, wide_in = layer[IN], layer[OUT], layer[SIZE], layer[WIDE_OUT], layer[WIDE_IN]
    front, back, area = packed + 4 * layer[FRONT], packed + 4 * layer[BACK], size * size
    if fresh:
        numba.carray(pointer(back), (m * wide_in * (1 if layer[DENSE] else area),))[:] = 0
    if layer[DENSE]:
        _turn(front, area * n, m, wide, back, wide_in)
    else:
        for t in range(area):
            _turn(front + 4 * t * n * wide, n, m, wide, back + 4 * (area - 1 - t) * m * wide_in, wide_in)
    if planes:
        grid, side, low = layer[GRID], layer[SIDE], layer[LOW]
        weight, made = numba.carray(pointer(of_planes), (planes, size, size, wide)), numba.carray(pointer(maps), (planes, grid, grid, wide))
        made[:] = 0
        for a in range(planes):
            for t in range(size):
                for u in range(size):
                    for i in range(max(0, low - t), min(grid, side + low - t)):
                        for j in range(max(0, low - u), min(grid, side + low - u)):
                            for o in range(wide):
                                made[a, i, j, o] += weight[a, t, u, o]


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def sum_parts(
    layer: Any, planes: int, parts: int, sums: int, sums_size: int, plane_sums: int, grads: int, plane_grads: int, norms: Any
) -> None:  # fmt: skip # pragma: no cover
    """Gradients of a layer from those of the parts, and the sums of squares of its weight and its bias."""
    n, m, size, wide = layer[IN], layer[OUT], layer[SIZE], layer[WIDE_OUT]
    rows = size * size * n + 1  # the bias lies behind the weights
    given = numba.carray(pointer(sums), (parts, sums_size))
    made, begin, count = numba.carray(pointer(grads), (sums_size,)), layer[FRONT], rows * wide
    for k in range(begin, begin + count):
        made[k] = given[0, k]
    for part in range(1, parts):
        for k in range(begin, begin + count):
            made[k] += given[part, k]
    norms[0], norms[1] = _row_squares(grads + 4 * begin, rows - 1, m, wide), _row_squares(grads + 4 * layer[BIAS], rows // rows, m, wide)
    if planes:
        grid, side, low = layer[GRID], layer[SIDE], layer[LOW]
        maps = numba.carray(pointer(plane_sums), (parts, planes, grid, grid, wide))
        weight = numba.carray(pointer(plane_grads), (planes, size, size, wide))
        weight[:] = 0
        for part in range(parts):
            for a in range(planes):
                for t in range(size):
                    for u in range(size):
                        for i in range(max(0, low - t), min(grid, side + low - t)):
                            for j in range(max(0, low - u), min(grid, side + low - u)):
                                for o in range(wide):
                                    weight[a, t, u, o] += maps[part, a, i, j, o]
        norms[0] += _row_squares(plane_grads, planes * size * size, m, wide)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _row_squares(at: int, rows: int, m: int, wide: int) -> Any:  # pragma: no cover - compiled
    """Sum of squares of the first m numbers in each of some rows of `wide`; the others are anything."""
    if m == wide:
        return _sum_squares(numba.carray(pointer(at), (rows * wide,)))
    values, result = numba.carray(pointer(at), (rows, wide)), np.float32(0)
    for row in range(rows):
        result += _sum_squares(values[row, :m])
    return result


@numba.njit(cache=True, nogil=True, error_model="numpy")
def step_rows(
    param: int, grad: int, square: int, rows: int, m: int, wide: int, scale: Any, rate: Any, decay: Any, epsilon: Any, look: bool
) -> bool:  # fmt: skip # pragma: no cover - compiled
    """One RMSprop step of the first m numbers in each of some rows of `wide`; False where one was looked at and is not finite."""
    shape = (1, rows * wide) if m == wide else (rows, wide)
    own, finite = shape[1] if m == wide else m, True
    p, g, s = numba.carray(pointer(param), shape), numba.carray(pointer(grad), shape), numba.carray(pointer(square), shape)
    for row in range(shape[0]):
        _apply(p[row, :own], g[row, :own], s[row, :own], scale, rate, decay, epsilon)
        if look:
            finite &= _finite(p[row, :own]) and _finite(s[row, :own])
    return finite


@numba.njit(cache=True, nogil=True, error_model="numpy")
def step_layer(
    layer: Any, planes: int, packed: int, of_planes: int, grads: int, plane_grads: int, squares: int, plane_squares: int, scales: Any,
    rate: Any, decay: Any, epsilon: Any, look: bool,
) -> Any:  # fmt: skip # pragma: no cover - compiled
    """:func:`step_rows` of a layer's weights, bias and planes' weights; scales, of weight and bias, clip them."""
    m, wide, area = layer[OUT], layer[WIDE_OUT], layer[SIZE] * layer[SIZE]
    front, bias = 4 * layer[FRONT], 4 * layer[BIAS]
    rows = area * layer[IN]
    finite = step_rows(packed + front, grads + front, squares + front, rows, m, wide, scales[0], rate, decay, epsilon, look)
    finite &= step_rows(packed + bias, grads + bias, squares + bias, rows // rows, m, wide, scales[1], rate, decay, epsilon, look)
    if planes:
        finite &= step_rows(of_planes, plane_grads, plane_squares, planes * area, m, wide, scales[0], rate, decay, epsilon, look)
    return finite
