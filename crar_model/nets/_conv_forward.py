"""Compiled CPU kernels for small convolutional tanh networks in float32: the dynamics of the random mazes.

Maps lie channels last with the zeros of their padding around them, so that a row of a window is one run of memory, and `_micro.panel` makes
the forward pass and both gradients of a convolution from them without a copy of the windows. A dense layer is a convolution with one window
as large as the map. Constant maps in front of the input (`planes`: which action is tried) are the same for every window inside the map, so
their share of the first layer is one map per plane, added to what the layer makes of the other maps.

What is summed over rows is summed in parts whose bounds depend on the number of rows alone, so a result depends neither on who shares the
call nor on the number of threads.
"""

from __future__ import annotations

from typing import Any

from crar_model.core.compiled import numba
from crar_model.nets._arithmetic import CONVOLVED, taken
from crar_model.nets._blas import pointer, tanh_of
from crar_model.nets._conv_pack import ACT, BIAS, FRONT, GRID, IN, LOW, OUT, POOL, SIDE, SIZE, WIDE_OUT, WIDTH
from crar_model.nets._micro import panel

BLOCK = 8
"""Images that go through all layers together: their maps stay in a core's cache."""


@numba.njit(cache=True, nogil=True, error_model="numpy")
def convolved(
    x: int, weight: int, y: int, count: int, channels: int, width: int, size: int, grid: int, wide: int
) -> None:  # fmt: skip # pragma: no cover
    """y (count, grid, grid, wide) of x (count, width, width, channels) and weight (size, size, channels, wide)."""
    if taken(CONVOLVED, (x, weight, y, count, channels, width, size, grid, wide)):
        return
    line, inner = width * channels, size * channels
    image, given = width * line, grid * grid * wide
    if grid >= BLOCK or (grid >= 4 and count < BLOCK):  # neighbouring pixels are the rows of a tile
        for n in range(count):
            for i in range(grid):
                panel(
                    x + 4 * (n * image + i * line), channels, 1, line, weight, wide, inner * wide, y + 4 * (n * given + i * grid * wide), wide,
                    inner, size, 0, grid, wide,
                )  # fmt: skip
        return
    for i in range(grid):  # images are
        for j in range(grid):
            panel(
                x + 4 * (i * line + j * channels), image, 1, line, weight, wide, inner * wide, y + 4 * (i * grid + j) * wide, given,
                inner, size, 0, count, wide,
            )  # fmt: skip


@numba.njit(cache=True, nogil=True, error_model="numpy")
def padded(source: Any, target: Any, low: int) -> None:  # pragma: no cover - compiled
    """Maps (channels, side, side) as channels last with zeros around them: (width, width, channels)."""
    target[:] = 0
    for k in range(source.shape[0]):
        for i in range(source.shape[1]):
            for j in range(source.shape[2]):
                target[low + i, low + j, k] = source[k, i, j]


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _activate(h: Any, bias: Any, y: Any, low: int) -> None:  # pragma: no cover - compiled
    """tanh of h (grid, grid, >= channels) and a bias, in the middle of y (width, width, channels)."""
    grid, width, channels = h.shape[0], y.shape[0], y.shape[2]
    for i in range(width):
        for j in range(width):
            if low <= i < low + grid and low <= j < low + grid:
                for k in range(channels):
                    y[i, j, k] = tanh_of(h[i - low, j - low, k] + bias[k])
            else:
                for k in range(channels):
                    y[i, j, k] = 0


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _pool_activate(h: Any, bias: Any, y: Any, low: int, best: Any) -> None:  # pragma: no cover - compiled
    """The same of the largest in each 2x2 of h, whose position 0..3 goes to `best` (grid / 2, grid / 2, channels)."""
    half, channels = h.shape[0] // 2, y.shape[2]
    y[:] = 0
    for i in range(half):
        for j in range(half):
            for k in range(channels):
                top, where = h[2 * i, 2 * j, k], 0
                for t in range(1, 4):
                    value = h[2 * i + t // 2, 2 * j + t % 2, k]
                    if value > top:
                        top, where = value, t
                y[low + i, low + j, k] = tanh_of(top + bias[k])
                best[i, j, k] = where


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _add_planes(h: Any, values: Any, maps: Any, y: Any) -> None:  # pragma: no cover - compiled
    """y = h + the planes' maps times their values, all flat but for maps (planes, numbers)."""
    for k in range(y.shape[0]):
        y[k] = h[k]
    for a in range(values.shape[0]):
        value = values[a]
        if value != 0:
            for k in range(y.shape[0]):
                y[k] += value * maps[a, k]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def forward(
    first: int, last: int, block: int, rows: int, each: int, planes: int, table: Any, x: int, packed: int, packed_size: int, plane_maps: int,
    acts: int, record: int, keep: bool, best: Any, h: int, apart: int, out: int,
) -> None:  # fmt: skip # pragma: no cover
    """Some blocks of `block` rows, at most BLOCK. x (members, rows / each, each planes + numbers); packed and plane_maps of each member; acts: the blocks' records of
    `record` numbers an image, or one of them to be used again and again where not `keep`; h, apart: room for a layer's output."""
    layers = table.shape[0]
    blocks = (rows + block - 1) // block
    top, end = table[0], table[layers - 1]
    channels, side = top[IN], top[SIDE]
    length, map_size = each * planes + channels * side * side, top[GRID] * top[GRID] * top[WIDE_OUT]
    given = end[OUT] * end[GRID] * end[GRID]
    for item in range(first, last):
        member, row = item // blocks, item % blocks * block
        count = min(block, rows - row)
        at = acts + 4 * BLOCK * record * item if keep else acts
        chosen = best[item if keep else 0]
        parameters, maps = packed + 4 * member * packed_size, plane_maps + 4 * member * planes * map_size
        begin = row // each
        seen = (row + count - 1) // each + 1 - begin
        for n in range(seen):
            source = x + 4 * ((member * (rows // each) + begin + n) * length + each * planes)
            width = top[WIDTH]
            padded(
                numba.carray(pointer(source), (channels, side, side)),
                numba.carray(pointer(at + 4 * n * width * width * channels), (width, width, channels)), top[LOW],
            )  # fmt: skip
        for layer in range(layers):
            own = table[layer]
            n_in, m, grid, wide = own[IN], own[OUT], own[GRID], own[WIDE_OUT]
            target = apart if layer == 0 and planes else h
            convolved(
                at + 4 * BLOCK * own[ACT], parameters + 4 * own[FRONT], target, seen if layer == 0 else count, n_in, own[WIDTH], own[SIZE],
                grid, wide,
            )  # fmt: skip
            if layer == 0 and planes:
                for n in range(count):
                    place = (row + n) // each
                    values = x + 4 * ((member * (rows // each) + place) * length + (row + n) % each * planes)
                    _add_planes(
                        numba.carray(pointer(apart + 4 * (place - begin) * map_size), (map_size,)), numba.carray(pointer(values), (planes,)),
                        numba.carray(pointer(maps), (planes, map_size)), numba.carray(pointer(h + 4 * n * map_size), (map_size,)),
                    )  # fmt: skip
            bias = numba.carray(pointer(parameters + 4 * own[BIAS]), (wide,))
            for n in range(count):
                made = numba.carray(pointer(h + 4 * n * grid * grid * wide), (grid, grid, wide))
                if layer == layers - 1:
                    result = numba.carray(pointer(out + 4 * (member * rows + row + n) * given), (m, grid, grid))
                    for k in range(m):
                        for i in range(grid):
                            for j in range(grid):
                                result[k, i, j] = made[i, j, k] + bias[k]
                    continue
                after = table[layer + 1]
                width = after[WIDTH]
                y = numba.carray(pointer(at + 4 * (BLOCK * after[ACT] + n * width * width * m)), (width, width, m))
                if own[POOL] == 2:
                    half = grid // 2
                    size = half * half * m
                    _pool_activate(made, bias, y, after[LOW], chosen[n * size : (n + 1) * size].reshape((half, half, m)))
                else:
                    _activate(made, bias, y, after[LOW])
