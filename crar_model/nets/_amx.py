"""The large matrix products of the compiled kernels on the processor's tile unit (AMX), instead of `_panel` and `_micro`.

Each takes what the float32 product of its name takes, and returns 1, or 0 where it leaves the work to that one: for shapes too small to pay,
and for operands with a number of 2^60 or more, infinite or none. So no low part is infinity minus infinity, and no sum overflows that would
not in float32. The unit takes numbers below 2^-126 for zeros and rounds to nearest, whatever the thread's own mode; a low part below that is
lost, so operands below about 2^-110 have the precision of bfloat16.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from crar_model.core.compiled import numba
from crar_model.nets._blas import pointer
from crar_model.nets._amx_block import DEPTH, bits, block, configure, fold, pair, transposed

SIDE = 16
"""Rows of a tile, and its columns of C."""
ROWS = 32
"""Rows of a dense panel (`_panel`)."""
LEAST = 2_000
"""Numbers of a dense weight from which on the tiles are faster."""
HUGE = np.uint32(0x5D800000)
"""Bits of 2^60."""
FOLDED = 8
"""How far apart the numbers of a pair are in the order of `fold`."""


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _whole(count: int, unit: int) -> int:  # pragma: no cover - compiled
    return (count + unit - 1) // unit * unit


@numba.njit(cache=True, nogil=True, error_model="numpy")
def ordinary(worst: Any) -> int:  # pragma: no cover - compiled
    """1 where all magnitudes are such that the tiles may take them."""
    largest = np.uint32(0)
    for k in range(worst.shape[0]):
        largest = max(largest, worst[k])
    return 1 if largest < HUGE else 0


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _along(source: int, rows: int, n: int, into: Any, worst: Any) -> None:  # pragma: no cover - compiled
    """Numbers (rows, n) as bfloat16 in `into` (2, rows, n up to whole steps), high and low parts, in the order of `fold`."""
    row, low, at = 2 * into.shape[2], 2 * into.shape[1] * into.shape[2], into.ctypes.data
    for i in range(rows):
        fold(source + 4 * i * n, n, at + i * row, low, worst.ctypes.data)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _pairs(
    source: int, k: int, n: int, row: int, into: Any, line: int, apart: int, worst: Any
) -> None:  # fmt: skip # pragma: no cover - compiled
    """Rows (k, n), `row` bytes apart, as pairs of bfloat16 in `into` (2, lines, >= n) from `line` on, zeros up to whole steps: each with the next one for apart 1, or
    in the order of `fold` for 8."""
    goal, low, at = 4 * into.shape[2], 4 * into.shape[1] * into.shape[2], into.ctypes.data
    nothing = np.zeros(n if k % DEPTH else 0, dtype=np.float32)
    for q in range(_whole(k, DEPTH) // 2):
        first = q // apart * 2 * apart + q % apart
        one = source + first * row if first < k else nothing.ctypes.data
        other = source + (first + apart) * row if first + apart < k else nothing.ctypes.data
        pair(one, other, n, at + (line + q) * goal, low, worst.ctypes.data)
    nothing[:0] = 0  # it must live until here


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _turn(source: Any, into: Any) -> None:  # pragma: no cover - compiled
    """into (columns, lines) = the transposed source (lines, >= columns) of 32-bit numbers; lines in whole tiles."""
    columns = into.shape[0]
    row, goal = source.strides[0], into.strides[0]
    for i in range(0, source.shape[0], SIDE):
        for j in range(0, columns - SIDE + 1, SIDE):
            transposed(source[i:, j:].ctypes.data, row, into[j:, i:].ctypes.data, goal)
        for j in range(columns // SIDE * SIDE, columns):
            for k in range(i, i + SIDE):
                into[j, k] = source[k, j]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _shape(shapes: Any, r0: int, r1: int, w0: int, w1: int) -> None:  # pragma: no cover - compiled
    """Tiles for two blocks of rows and two of columns, at least 1 of each."""
    shapes[:] = 0
    shapes[0] = 1
    for i in range(2):
        rows = r1 if i else r0
        for j in range(2):
            shapes[16 + 2 * (2 * i + j)], shapes[48 + 2 * i + j] = 4 * (w1 if j else w0), rows
        shapes[16 + 2 * (4 + i)], shapes[48 + 4 + i] = 2 * DEPTH, rows
        shapes[16 + 2 * (6 + i)], shapes[48 + 6 + i] = 4 * (w1 if i else w0), DEPTH // 2
    configure(shapes.ctypes.data)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _product(
    a: int, a_i: int, a_low: int, b: int, b_row: int, b_low: int, c: int, c_i: int, steps: int, rows: int, columns: int, add: int
) -> None:  # fmt: skip # pragma: no cover - compiled
    """C (rows, columns) = A B of any size, strides in bytes; see `block`."""
    shapes, two = np.empty(64, dtype=np.uint8), 2 * SIDE
    for tail in range(2):
        begin, end = (rows // two * two, rows) if tail else (0, rows // two * two)
        if begin == end:
            continue
        own = min(two, end - begin)
        r0, r1 = (own + 1) // 2, max(1, own // 2)
        last = 0
        for column in range(0, columns, two):
            w = min(two, columns - column)
            if w != last:
                _shape(shapes, r0, r1, min(w, SIDE), max(1, w - SIDE))
            last = w
            for row in range(begin, end, two):
                down = r0 if own > 1 else 0
                here, there, target = a + row * a_i, b + 4 * column, c + row * c_i + 4 * column
                if w > SIDE:
                    block(2, here, a_i, down * a_i, 0, a_low, there, b_row, 4 * SIDE, b_low, target, c_i, down * c_i, 4 * SIDE, steps, 1, add)
                else:
                    block(1, here, a_i, down * a_i, 0, a_low, there, b_row, 0, b_low, target, c_i, down * c_i, 0, steps, 1, add)
    configure(0)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def layer_forward(weight: int, bias: int, x: int, y: int, n: int, m: int) -> int:  # pragma: no cover - compiled
    """`_panel.layer_forward`: lines of the weight are rows of A."""
    if m * n < LEAST:
        return 0
    k, two = _whole(n, DEPTH), 2 * SIDE
    a, b, worst = np.empty((2, two, k), dtype=np.uint16), np.empty((2, k // 2, ROWS), dtype=np.uint32), np.zeros(SIDE, dtype=np.uint32)
    _pairs(x, n, ROWS, 4 * ROWS, b, 0, FOLDED, worst)
    own, out = numba.carray(pointer(bias), (m,)), numba.carray(pointer(y), (m, ROWS))
    for first in range(0, m, two):  # what is multiplied was just made, and lies in the first cache
        rows = min(two, m - first)
        _along(weight + 4 * first * n, rows, n, a, worst)
        for i in range(first, first + rows):
            out[i] = own[i]
        _product(
            a.ctypes.data, 2 * k, 2 * two * k, b.ctypes.data, 4 * ROWS, 2 * k * ROWS, y + first * 4 * ROWS, 4 * ROWS, k // DEPTH, rows, ROWS, 1
        )  # fmt: skip
    return ordinary(worst) * min(1, len(a) + len(b))  # they must live until here


@numba.njit(cache=True, nogil=True, error_model="numpy")
def layer_backward(weight: int, grad: int, into: int, n: int, m: int) -> int:  # pragma: no cover - compiled
    """`_panel.layer_backward`, transposed: the gradient's rows are those of A, and what comes out is turned."""
    if m * n < LEAST:
        return 0
    k, two = _whole(m, DEPTH), 2 * SIDE
    turned, a = np.empty((2, k // 2, ROWS), dtype=np.uint32), np.empty((2, ROWS, k // 2), dtype=np.uint32)
    b, c, worst = np.empty((2, k // 2, two), dtype=np.uint32), np.empty((ROWS, two), dtype=np.uint32), np.zeros(SIDE, dtype=np.uint32)
    _pairs(grad, m, ROWS, 4 * ROWS, turned, 0, 1, worst)
    for part in range(2):
        _turn(turned[part], a[part])
    out = numba.carray(bits(into), (n, ROWS))
    for first in range(0, n, two):
        columns = min(two, n - first)
        _pairs(weight + 4 * first, m, columns, 4 * n, b, 0, 1, worst)
        _product(a.ctypes.data, 2 * k, 2 * k * ROWS, b.ctypes.data, 4 * two, 2 * k * two, c.ctypes.data, 4 * two, k // DEPTH, ROWS, columns, 0)
        _turn(c, out[first : first + columns])
    return ordinary(worst) * min(1, len(a) + len(b) + len(c))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def weight_gradient(grad: int, rows: int, into: int, n: int, m: int, add: int) -> int:  # pragma: no cover - compiled
    """`_panel.weight_gradient`: 32 rows are one step."""
    if m * n < LEAST:
        return 0
    a, b = np.empty((2, m, ROWS), dtype=np.uint16), np.empty((2, ROWS // 2, n), dtype=np.uint32)
    worst = np.zeros(SIDE, dtype=np.uint32)
    _along(grad, m, ROWS, a, worst)
    _pairs(rows, ROWS, n, 4 * n, b, 0, FOLDED, worst)
    if not ordinary(worst):
        return 0
    _product(a.ctypes.data, 2 * ROWS, 2 * m * ROWS, b.ctypes.data, 4 * n, 2 * ROWS * n, into, 4 * n, 1, m, n, add)
    return min(1, len(a) + len(b))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def convolved(
    x: int, weight: int, y: int, count: int, channels: int, width: int, size: int, grid: int, wide: int
) -> int:  # fmt: skip # pragma: no cover - compiled
    """`_conv_forward.convolved`. Rows of A are neighbouring pixels, or images where a line has few pixels; two lines or pixels go together."""
    inner, line, area = size * channels, width * channels, grid * grid
    if channels % SIDE or grid == 1:
        return 0
    steps, image = _whole(inner, DEPTH) // DEPTH, width * width * channels
    a, b = np.empty((2, 1, _whole(count * image, DEPTH) + DEPTH), dtype=np.uint16), np.empty((2, size * steps * DEPTH // 2, wide), dtype=np.uint32)
    worst = np.zeros(SIDE, dtype=np.uint32)
    _along(x, 1, count * image, a, worst)
    a[:, :, a.shape[2] - DEPTH :] = 0  # the last windows' steps read on
    for t in range(size):
        _pairs(weight + 4 * t * inner * wide, inner, wide, 4 * wide, b, t * steps * DEPTH // 2, FOLDED, worst)
    if not ordinary(worst):
        return 0
    pixels = grid >= SIDE // 2
    across, lines = (grid, count * grid) if pixels else (count, area)
    a_i, c_i = (2 * channels, 4 * wide) if pixels else (2 * image, 4 * area * wide)
    a_low, b_low = 2 * a.shape[2], 4 * b.shape[1] * wide
    shapes = np.empty(64, dtype=np.uint8)
    for first in range(0, across, SIDE):
        rows = min(SIDE, across - first)
        for column in range(0, wide, 2 * SIDE):
            _shape(shapes, rows, rows, SIDE, SIDE)
            there = b.ctypes.data + 4 * column
            for k in range(0, lines, 2):
                here, target = a.ctypes.data + first * a_i, y + first * c_i + 4 * column
                two = k + 1 < lines
                if pixels:
                    here += 2 * (k // grid * image + k % grid * line)
                    target += 4 * k * grid * wide
                    half = 2 * line if (k + 1) % grid else 2 * (image - (grid - 1) * line)
                    down = 4 * grid * wide
                else:
                    here += 2 * (k // grid * line + k % grid * channels)
                    target += 4 * k * wide
                    half = 2 * channels if (k + 1) % grid else 2 * (line - (grid - 1) * channels)
                    down = 4 * wide
                if not two:
                    half = down = 0
                if column + SIDE < wide:
                    block(2, here, a_i, half, 2 * line, a_low, there, 4 * wide, 4 * SIDE, b_low, target, c_i, down, 4 * SIDE, steps, size, 0)
                else:
                    block(1, here, a_i, half, 2 * line, a_low, there, 4 * wide, 0, b_low, target, c_i, down, 0, steps, size, 0)
    configure(0)
    return min(1, len(a) + len(b) + len(shapes))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def window_gradient(
    x: int, grad: int, target: int, count: int, channels: int, width: int, size: int, low: int, m: int, wide: int, add: int
) -> int:  # fmt: skip # pragma: no cover - compiled
    """`_conv_backward._weight_gradient`. Maps and gradient have zeros around them in frames of one width, so a window's place is a shift of all
    positions, those of the frame too: they are the summed index. grad: of the gradient's frame, m numbers a position."""
    if channels % SIDE or width == 1:
        return 0
    positions = count * width * width
    k, shift = _whole(positions, DEPTH), size - 1 - low
    before, after = _whole(shift * (width + 1), 2) // 2, _whole(low * (width + 1), 2) // 2
    turned, b = np.empty((2, k // 2, channels), dtype=np.uint32), np.empty((2, k // 2, m), dtype=np.uint32)
    worst = np.zeros(SIDE, dtype=np.uint32)
    _pairs(x, positions, channels, 4 * channels, turned, 0, 1, worst)
    _pairs(grad, positions, m, 4 * m, b, 0, 1, worst)
    if not ordinary(worst):
        return 0
    a = np.zeros((2, channels, before + k // 2 + after), dtype=np.uint32)
    for part in range(2):
        _turn(turned[part], a[part, :, before : before + k // 2])
    row = 4 * a.shape[2]
    for t in range(size):
        for u in range(size):
            at = a.ctypes.data + 4 * before + 2 * ((t - shift) * width + u - shift)
            into = target + 4 * (t * size + u) * channels * wide
            _product(at, row, row * channels, b.ctypes.data, 4 * m, 2 * k * m, into, 4 * wide, k // DEPTH, channels, m, add)
    return min(1, len(a) + len(b))
