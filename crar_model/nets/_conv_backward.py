"""The backward pass of the compiled convolutions: gradients of the input and of the parameters from the maps that the forward pass kept."""

from __future__ import annotations

from typing import Any

import numpy as np

from crar_model.core.compiled import numba
from crar_model.nets._arithmetic import WINDOW_GRADIENT, taken
from crar_model.nets._blas import pointer
from crar_model.nets._conv_forward import BLOCK, convolved, padded
from crar_model.nets._conv_pack import ACT, BACK, BIAS, DENSE, FRONT, GRID, IN, LOW, OUT, POOL, SIDE, SIZE, WIDE_IN, WIDE_OUT, WIDTH
from crar_model.nets._micro import panel


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _through(grad: Any, y: Any, low: int, target: Any, shift: int) -> None:  # pragma: no cover - compiled
    """The gradient of tanh's argument from that of its value y (width, width, channels): in the middle of `target`, zeros around it."""
    one, width, channels = np.float32(1), target.shape[0], target.shape[2]
    side = grad.shape[0]
    for i in range(width):
        for j in range(width):
            if shift <= i < shift + side and shift <= j < shift + side:
                for k in range(channels):
                    value = y[i - shift + low, j - shift + low, k]
                    target[i, j, k] = grad[i - shift, j - shift, k] * (one - value * value)
            else:
                for k in range(channels):
                    target[i, j, k] = 0


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _through_pool(grad: Any, y: Any, low: int, best: Any, target: Any, shift: int) -> None:  # pragma: no cover - compiled
    """The same before a max-pooling over 2x2."""
    one, zero, half, channels = np.float32(1), np.float32(0), grad.shape[0], target.shape[2]
    target[:] = 0
    for i in range(half):
        for j in range(half):
            for t in range(4):
                for k in range(channels):
                    value = y[i + low, j + low, k]
                    here = best[i, j, k] == t
                    target[shift + 2 * i + t // 2, shift + 2 * j + t % 2, k] = grad[i, j, k] * (one - value * value) if here else zero


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _sum_pixels(grad: Any, out: Any, add: bool) -> None:  # pragma: no cover - compiled
    if not add:
        out[:] = 0
    for n in range(grad.shape[0]):
        for k in range(grad.shape[1]):
            out[k] += grad[n, k]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _weight_gradient(
    x: int, grad: int, line_grad: int, image_grad: int, target: int, count: int, layer: Any, add: bool
) -> None:  # fmt: skip # pragma: no cover
    """Sum over images and pixels of every number of a window times every channel of the gradient: (size, size, channels, wide)."""
    channels, width, size, grid, wide, m = layer[IN], layer[WIDTH], layer[SIZE], layer[GRID], layer[WIDE_OUT], layer[OUT]
    line, inner = width * channels, size * channels
    image = width * line
    if grid == 1:
        for t in range(size):
            panel(
                x + 4 * t * line, 1, image, 0, grad, image_grad, 0, target + 4 * t * inner * wide, wide, count, 1, 1 if add else 0, inner, wide
            )  # fmt: skip
        return
    begin = grad - 4 * (size - 1 - layer[LOW]) * (line_grad + m)  # of the frame
    if taken(WINDOW_GRADIENT, (x, begin, target, count, channels, width, size, layer[LOW], m, wide, add)):
        return
    for n in range(count):
        for t in range(size):
            panel(
                x + 4 * (n * image + t * line), 1, channels, line, grad + 4 * n * image_grad, m, line_grad, target + 4 * t * inner * wide, wide,
                grid, grid, 1 if add or n > 0 else 0, inner, wide,
            )  # fmt: skip


@numba.njit(cache=True, nogil=True, error_model="numpy")
def backward(
    first: int, last: int, parts: int, part: int, rows: int, planes: int, table: Any, x: int, packed: int, packed_size: int, acts: int,
    record: int, best: Any, one: int, two: int, h: int, grad_out: int, sums: int, sums_size: int, plane_sums: int, grad_x: int,
) -> None:  # fmt: skip # pragma: no cover
    """Some parts of `part` rows, a multiple of BLOCK. sums, plane_sums: address of the gradients of one member's parts, laid out as the packed
    parameters and maps, 0 for none; grad_x: 0 for none; one, two: room for a layer's padded gradient."""
    layers = table.shape[0]
    blocks = (rows + BLOCK - 1) // BLOCK
    top, end = table[0], table[layers - 1]
    channels, side = top[IN], top[SIDE]
    length, map_size = planes + channels * side * side, top[GRID] * top[GRID] * top[WIDE_OUT]
    given = end[OUT] * end[GRID] * end[GRID]
    for item in range(first, last):
        member, start = item // parts, item % parts * part
        parameters = packed + 4 * member * packed_size
        for row in range(start, min(start + part, rows), BLOCK):
            count, add = min(BLOCK, rows - row), row > start
            block = member * blocks + row // BLOCK
            at, chosen = acts + 4 * BLOCK * record * block, best[block]
            grad = one
            shift = 0 if end[DENSE] else end[SIZE] - 1 - end[LOW]
            frame = 1 if end[DENSE] else end[WIDTH]
            for n in range(count):
                padded(
                    numba.carray(pointer(grad_out + 4 * (member * rows + row + n) * given), (end[OUT], end[GRID], end[GRID])),
                    numba.carray(pointer(grad + 4 * n * frame * frame * end[OUT]), (frame, frame, end[OUT])), shift,
                )  # fmt: skip
            for layer in range(layers - 1, -1, -1):
                own = table[layer]
                n_in, m, grid, dense = own[IN], own[OUT], own[GRID], own[DENSE]
                source, line, image = at + 4 * BLOCK * own[ACT], frame * m, frame * frame * m
                middle = grad + 4 * shift * (line + m)
                if sums:
                    own_sums = sums + 4 * (item % parts) * sums_size
                    _weight_gradient(source, middle, line, image, own_sums + 4 * own[FRONT], count, own, add)
                    bias = numba.carray(pointer(own_sums + 4 * own[BIAS]), (m,))
                    _sum_pixels(numba.carray(pointer(grad), (count * frame * frame, m)), bias, add)
                    if layer == 0 and planes:
                        totals = numba.carray(
                            pointer(plane_sums + 4 * (item % parts) * planes * map_size), (planes, grid, grid, own[WIDE_OUT])
                        )
                        if not add:
                            totals[:] = 0
                        for n in range(count):
                            values = numba.carray(pointer(x + 4 * (member * rows + row + n) * length), (planes,))
                            _sum_planes(numba.carray(pointer(grad + 4 * n * image), (frame, frame, m)), shift, values, totals)
                if layer == 0 and not grad_x:
                    break
                wide = own[WIDE_IN]
                if dense:
                    convolved(grad, parameters + 4 * own[BACK], h, count, m, 1, 1, 1, wide)
                else:
                    convolved(grad, parameters + 4 * own[BACK], h, count, m, frame, own[SIZE], own[SIDE], wide)
                step, area = n_in if dense else wide, own[SIDE] * own[SIDE]
                spread = wide if dense else area * wide  # numbers of h from one image to the next
                if layer == 0:
                    for n in range(count):
                        made = numba.carray(pointer(h + 4 * n * spread), (area, step))
                        target = numba.carray(pointer(grad_x + 4 * (member * rows + row + n) * length), (length,))
                        for k in range(planes):
                            target[k] = 0
                        for k in range(channels):
                            for p in range(area):
                                target[planes + k * area + p] = made[p, k]
                    break
                below = table[layer - 1]
                shift = 0 if below[DENSE] else below[SIZE] - 1 - below[LOW]
                frame = 1 if below[DENSE] else below[WIDTH]
                into = two if grad == one else one
                for n in range(count):
                    made = numba.carray(pointer(h + 4 * n * spread), (own[SIDE], own[SIDE], step))
                    y = numba.carray(pointer(source + 4 * n * own[WIDTH] * own[WIDTH] * n_in), (own[WIDTH], own[WIDTH], n_in))
                    target = numba.carray(pointer(into + 4 * n * frame * frame * n_in), (frame, frame, n_in))
                    if below[POOL] == 2:
                        size = own[SIDE] * own[SIDE] * n_in
                        choice = chosen[n * size : (n + 1) * size].reshape((own[SIDE], own[SIDE], n_in))
                        _through_pool(made, y, own[LOW], choice, target, shift)
                    else:
                        _through(made, y, own[LOW], target, shift)
                grad = into


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _sum_planes(grad: Any, shift: int, values: Any, totals: Any) -> None:  # pragma: no cover - compiled
    for a in range(values.shape[0]):
        value = values[a]
        if value != 0:
            for i in range(totals.shape[1]):
                for j in range(totals.shape[2]):
                    for k in range(grad.shape[2]):
                        totals[a, i, j, k] += value * grad[i + shift, j + shift, k]
