"""The large matrix products of the compiled convolutions on the processor's tile unit (AMX), instead of `_micro`.

Each takes what the float32 product of its name takes, and returns 1, or 0 where it leaves the work to that one: for shapes too small to pay,
and for operands with a number of 2^60 or more, infinite or none. So no low part is infinity minus infinity, and no sum overflows that would
not in float32. The unit takes numbers below 2^-126 for zeros and rounds to nearest, whatever the thread's own mode; a low part below that is
lost, so operands below about 2^-110 have the precision of bfloat16.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from crar_model.core.compiled import numba
from crar_model.nets._amx_block import DEPTH, block, configure
from crar_model.nets._amx_halves import fold, pair, transposed
from crar_model.nets._blas import kernel, place_of

SIDE = 16
"""Rows of a tile, and its columns of C."""
LEAST = 3
"""Side of a window from which on its gradient is faster by tiles: smaller ones shift too few times over what is converted."""
HUGE = np.uint32(0x5D800000)
"""Bits of 2^60."""
SOME = 5
"""Steps that are taken for all places of a window before the next ones."""
FOLDED = 8
"""How far apart the numbers of a pair are in the order of `fold`."""


@kernel
def _whole(count: int, unit: int) -> int:
    return (count + unit - 1) // unit * unit


@kernel
def ordinary(worst: Any) -> int:
    """1 where all magnitudes are such that the tiles may take them."""
    largest = np.uint32(0)
    for k in range(worst.shape[0]):
        largest = max(largest, worst[k])
    return 1 if largest < HUGE else 0


@kernel
def _along(source: int, rows: int, n: int, into: Any, worst: Any) -> None:
    """Numbers (rows, n) as bfloat16 in `into` (2, rows, n up to whole steps), high and low parts, in the order of `fold`."""
    row, low, at = 2 * into.shape[2], 2 * into.shape[1] * into.shape[2], into.ctypes.data
    for i in range(rows):
        fold(source + 4 * i * n, n, at + i * row, low, worst.ctypes.data)


@kernel
def _pairs(source: int, k: int, n: int, row: int, into: Any, line: int, apart: int, worst: Any) -> None:
    """Rows (k, n), `row` bytes apart, as pairs of bfloat16 in `into` (2, lines, >= n) from `line` on, zeros up to whole steps: each with the next one for apart 1, or
    in the order of `fold` for 8."""
    goal, low, at = 4 * into.shape[2], 4 * into.shape[1] * into.shape[2], into.ctypes.data
    nothing = np.zeros(n if k % DEPTH else 0, dtype=np.float32)
    lacking = np.int64(nothing.ctypes.data)  # addresses are unsigned, and with signed ones Numba would make floats of them
    for q in range(_whole(k, DEPTH) // 2):
        first = q // apart * 2 * apart + q % apart
        one = source + first * row if first < k else lacking
        other = source + (first + apart) * row if first + apart < k else lacking
        pair(one, other, n, at + (line + q) * goal, low, worst.ctypes.data)
    nothing[:0] = 0  # it must live until here


@kernel
def _turn(source: Any, into: Any) -> None:
    """into (columns, lines) = the transposed source (lines, columns) of 32-bit numbers, both in whole tiles."""
    row, goal = source.strides[0], into.strides[0]
    for i in range(0, source.shape[0], SIDE):
        for j in range(0, source.shape[1], SIDE):
            transposed(source[i:, j:].ctypes.data, row, into[j:, i:].ctypes.data, goal)


@kernel
def _shape(shapes: Any, rows: int, columns: int) -> None:
    """Tiles for two times so many rows, and for 1 to 32 columns."""
    shapes[:] = 0
    shapes[0] = 1
    for tile in range(8):
        wide = 4 * (max(1, columns - SIDE) if tile % 2 else min(columns, SIDE))
        shapes[16 + 2 * tile] = 2 * DEPTH if tile in (4, 5) else wide
        shapes[48 + tile] = DEPTH // 2 if tile > 5 else rows
    configure(shapes.ctypes.data)


def convolved(x: int, weight: int, y: int, count: int, channels: int, width: int, size: int, grid: int, wide: int) -> int:
    """`_conv_forward.convolved`. Rows of A are neighbouring pixels, or images where a line has few pixels; two lines or pixels go together."""
    inner, line, area = size * channels, width * channels, grid * grid
    if channels % SIDE or size == 1 or grid == 1:
        return 0
    steps, image, two = _whole(inner, DEPTH) // DEPTH, width * width * channels, 2 * SIDE
    a = np.empty((2, 1, _whole(count * image, DEPTH) + DEPTH), dtype=np.uint16)
    b, worst = np.empty((2, size * steps * DEPTH // 2, two), dtype=np.uint32), np.zeros(SIDE, dtype=np.uint32)
    _along(x, 1, count * image, a, worst)
    a[:, :, a.shape[2] - DEPTH :] = 0  # the last windows' steps read on
    pixels = grid >= SIDE // 2
    across, lines = (grid, count * grid) if pixels else (count, area)
    a_i, c_i = (2 * channels, 4 * wide) if pixels else (2 * image, 4 * area * wide)
    a_low, b_low, b_row = 2 * a.shape[2], 4 * b.shape[1] * two, 4 * two
    here, there, down = place_of(a), place_of(b), 4 * wide * (grid if pixels else 1)
    shapes = np.empty(64, dtype=np.uint8)
    for column in range(0, wide, two):
        columns = min(two, wide - column)
        for t in range(size):
            _pairs(weight + 4 * (t * inner * wide + column), inner, columns, 4 * wide, b, t * steps * DEPTH // 2, FOLDED, worst)
        for first in range(0, across, SIDE):
            rows = min(SIDE, across - first)
            _shape(shapes, rows, columns)
            for k in range(0, lines, 2):
                i, j = k // grid, k % grid
                own = here + first * a_i + 2 * (i * image + j * line if pixels else i * line + j * channels)
                target = y + first * c_i + 4 * column + k * down
                # to the next line or pixel, and to the first one behind the last
                step, over = (line, image) if pixels else (channels, line)
                half = 2 * (step if j < grid - 1 else over - (grid - 1) * step)
                last = k + 1 == lines
                rows_a, below = (own, a_i, 0 if last else half, 2 * line, a_low), 0 if last else down
                if columns > SIDE:
                    block(2, rows_a, (there, b_row, 4 * SIDE, b_low), (target, c_i, below, 4 * SIDE), steps, size, 0)
                else:
                    block(1, rows_a, (there, b_row, 0, b_low), (target, c_i, below, 0), steps, size, 0)
    configure(0)
    done: int = ordinary(worst) * min(1, len(a) + len(b) + len(shapes))  # what only addresses point at must live until here
    return done


def window_gradient(
    x: int, grad: int, target: int, count: int, channels: int, width: int, size: int, low: int, m: int, wide: int, add: int
) -> int:  # fmt: skip
    """`_conv_backward._weight_gradient`. Maps and gradient have zeros around them in frames of one width, so a window's place is a shift of all
    positions, those of the frame too: they are the summed index. grad: of the gradient's frame, m numbers a position."""
    if channels % SIDE or size < LEAST:
        return 0
    positions, two = count * width * width, 2 * SIDE
    k, shift, strips = _whole(positions, DEPTH), size - 1 - low, _whole(m, two) // two
    before, after = _whole(shift * (width + 1), 2) // 2, _whole(low * (width + 1), 2) // 2
    turned, worst = np.empty((2, k // 2, channels), dtype=np.uint32), np.zeros(SIDE, dtype=np.uint32)
    b, shapes = np.empty((strips, 2, k // 2, two), dtype=np.uint32), np.empty(64, dtype=np.uint8)
    _pairs(x, positions, channels, 4 * channels, turned, 0, 1, worst)
    for strip in range(strips):
        _pairs(grad + 4 * strip * two, positions, min(two, m - strip * two), 4 * m, b[strip], 0, 1, worst)
    if not ordinary(worst):
        return 0
    a = np.empty((2, channels, before + k // 2 + after), dtype=np.uint32)
    a[:, :, :before], a[:, :, before + k // 2 :] = 0, 0
    for part in range(2):
        _turn(turned[part], a[part, :, before : before + k // 2])
    a_i, a_low, b_row, b_low, c_i = 4 * a.shape[2], 4 * a.shape[1] * a.shape[2], 4 * two, 2 * k * two, 4 * wide
    steps, here, line = k // DEPTH, place_of(a) + 4 * before, 2 * DEPTH * two
    for strip in range(strips):
        w, there = min(two, m - strip * two), place_of(b[strip])
        for first in range(0, channels, two):
            rows = min(SIDE, (channels - first) // 2)
            _shape(shapes, rows, w)
            for step in range(0, steps, SOME):  # these positions stay in the first cache while the windows shift over them
                some, more = min(SOME, steps - step), 1 if add or step else 0
                for t in range(size):
                    for u in range(size):
                        own = here + first * a_i + 2 * ((t - shift) * width + u - shift + step * DEPTH)
                        other, into = there + step * line, target + c_i * ((t * size + u) * channels + first) + 4 * strip * two
                        rows_a, own_c = (own, a_i, rows * a_i, 0, a_low), rows * c_i
                        if w > SIDE:
                            block(2, rows_a, (other, b_row, 4 * SIDE, b_low), (into, c_i, own_c, 4 * SIDE), some, 1, more)
                        else:
                            block(1, rows_a, (other, b_row, 0, b_low), (into, c_i, own_c, 0), some, 1, more)
    configure(0)
    return min(1, len(a) + len(b))


PRODUCTS = (convolved, window_gradient)
"""In the order of `_arithmetic.CONVOLVED` and what follows it."""


@lru_cache(maxsize=1)
def addresses() -> tuple[int, ...]:
    """Of the compiled products; compiles them where no cache has them."""
    return tuple(made.address for made in map(numba.callback, PRODUCTS))
