"""Compiled CPU kernels for small convolutional tanh networks in float32: the dynamics of the random mazes.

Maps lie channels last with the zeros of their padding around them, so that a row of a window is one run of memory, and `_micro.panel` makes
the forward pass and both gradients of a convolution from them without a copy of the windows. A dense layer is a convolution with one window
as large as the map. Constant maps in front of the input (`planes`: which action is tried) are the same for every window inside the map, so
their share of the first layer is one map per plane, added to what the layer makes of the other maps.

What is summed over rows is summed in parts whose bounds depend on the number of rows alone, so a result depends neither on who shares the
call nor on the number of threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from crar_model.core.compiled import numba
from crar_model.nets._arithmetic import CONVOLVED, taken
from crar_model.nets._blas import fusing, kernel, pointer, tanh_of
from crar_model.nets._conv_pack import ACT, BIAS, FRONT, GRID, IN, LOW, OUT, POOL, SIDE, SIZE, WIDE_OUT, WIDTH
from crar_model.nets._micro import panel

BLOCK = 8
"""Images that go through all layers together: their maps stay in a core's cache."""


@kernel
def convolved(x: int, weight: int, y: int, count: int, channels: int, width: int, size: int, grid: int, wide: int) -> None:
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


@kernel
def padded(source: Any, target: Any, low: int) -> None:
    """Maps (channels, side, side) as channels last with zeros around them: (width, width, channels)."""
    target[:] = 0
    for k in range(source.shape[0]):
        for i in range(source.shape[1]):
            for j in range(source.shape[2]):
                target[low + i, low + j, k] = source[k, i, j]


@fusing
def _activate(h: Any, bias: Any, y: Any, low: int) -> None:
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


@fusing
def _pool_activate(h: Any, bias: Any, y: Any, low: int, best: Any) -> None:
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


@kernel
def _add_planes(h: Any, values: Any, maps: Any, y: Any) -> None:
    """y = h + the planes' maps times their values, all flat but for maps (planes, numbers)."""
    for k in range(y.shape[0]):
        y[k] = h[k]
    for a in range(values.shape[0]):
        value = values[a]
        if value != 0:
            for k in range(y.shape[0]):
                y[k] += value * maps[a, k]


class ConvNet(NamedTuple):
    """A network as the kernels read it."""

    table: Any  # (layers, 15) of `_conv_pack`
    planes: int  # constant maps in front of its input
    record: int  # numbers that an image's inputs of all layers take
    packed: int  # address of a member's numbers
    maps: int  # address of its planes' maps
    size: int  # numbers from one member's to the next one's


@kernel
def shape_of(net: ConvNet) -> Any:
    """Channels and side of what a network reads, numbers of the first layer's output and of the last one's."""
    top, end = net.table[0], net.table[net.table.shape[0] - 1]
    return top[IN], top[SIDE], top[GRID] * top[GRID] * top[WIDE_OUT], end[OUT] * end[GRID] * end[GRID]


@kernel
def of_member(net: ConvNet, member: int) -> ConvNet:
    """The network of another member than the first."""
    _, _, map_size, _ = shape_of(net)
    packed, maps = net.packed + 4 * member * net.size, net.maps + 4 * member * net.planes * map_size
    return ConvNet(net.table, net.planes, net.record, packed, maps, net.size)


@kernel
def forward_block(net: ConvNet, row: int, count: int, each: int, x: int, acts: int, best: Any, h: int, apart: int, out: int) -> None:
    """All layers of a network on `count` rows, at most BLOCK, from `row` on of x (rows / each, each planes + numbers) into those of out
    (rows, given). acts: room for the rows' records; best: for the places of what is pooled; h, apart: for a layer's output."""
    layers, top, (channels, side, map_size, given) = net.table.shape[0], net.table[0], shape_of(net)
    length = each * net.planes + channels * side * side
    begin, width = row // each, top[WIDTH]
    seen = (row + count - 1) // each + 1 - begin
    for n in range(seen):
        padded(
            numba.carray(pointer(x + 4 * ((begin + n) * length + each * net.planes)), (channels, side, side)),
            numba.carray(pointer(acts + 4 * n * width * width * channels), (width, width, channels)), top[LOW],
        )  # fmt: skip
    for layer in range(layers):
        own = net.table[layer]
        m, grid, wide, of_planes = own[OUT], own[GRID], own[WIDE_OUT], net.planes if layer == 0 else 0
        convolved(
            acts + 4 * BLOCK * own[ACT], net.packed + 4 * own[FRONT], apart if of_planes else h, seen if layer == 0 else count, own[IN],
            own[WIDTH], own[SIZE], grid, wide,
        )  # fmt: skip
        for n in range(count if of_planes else 0):
            place, values = (row + n) // each, x + 4 * ((row + n) // each * length + (row + n) % each * of_planes)
            _add_planes(
                numba.carray(pointer(apart + 4 * (place - begin) * map_size), (map_size,)), numba.carray(pointer(values), (of_planes,)),
                numba.carray(pointer(net.maps), (of_planes, map_size)), numba.carray(pointer(h + 4 * n * map_size), (map_size,)),
            )  # fmt: skip
        bias = numba.carray(pointer(net.packed + 4 * own[BIAS]), (wide,))
        for n in range(count):
            made = numba.carray(pointer(h + 4 * n * grid * grid * wide), (grid, grid, wide))
            if layer == layers - 1:
                result = numba.carray(pointer(out + 4 * (row + n) * given), (m, grid, grid))
                for k in range(m):
                    for i in range(grid):
                        for j in range(grid):
                            result[k, i, j] = made[i, j, k] + bias[k]
                continue
            after = net.table[layer + 1]
            width = after[WIDTH]
            y = numba.carray(pointer(acts + 4 * (BLOCK * after[ACT] + n * width * width * m)), (width, width, m))
            if own[POOL] == 2:
                half = grid // 2
                size = half * half * m
                _pool_activate(made, bias, y, after[LOW], best[n * size : (n + 1) * size].reshape((half, half, m)))
            else:
                _activate(made, bias, y, after[LOW])


@kernel
def forward(
    first: int, last: int, block: int, rows: int, each: int, net: ConvNet, x: int, acts: int, best: Any, keep: bool, h: int, apart: int, out: int
) -> None:  # fmt: skip
    """:func:`forward_block` of some blocks of `block` rows of all members, x and out with a member axis in front. acts, best (blocks, numbers):
    of every block, or of one to be used again and again where not `keep`."""
    channels, side, _, given = shape_of(net)
    blocks, length = (rows + block - 1) // block, each * net.planes + channels * side * side
    for item in range(first, last):
        member, row = item // blocks, item % blocks * block
        forward_block(
            of_member(net, member), row, min(block, rows - row), each, x + 4 * member * (rows // each) * length,
            acts + (4 * BLOCK * net.record * item if keep else 0), best[item if keep else 0], h, apart, out + 4 * member * rows * given,
        )  # fmt: skip
