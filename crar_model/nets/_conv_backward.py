"""The backward pass of the compiled convolutions: gradients of the input and of the parameters from the maps that the forward pass kept."""

from __future__ import annotations

from typing import Any

import numpy as np

from crar_model.core.compiled import numba
from crar_model.nets._arithmetic import WINDOW_GRADIENT, taken
from crar_model.nets._blas import fusing, kernel, pointer
from crar_model.nets._conv_forward import BLOCK, ConvNet, convolved, of_member, padded, shape_of
from crar_model.nets._conv_pack import ACT, BACK, BIAS, DENSE, FRONT, GRID, IN, LOW, OUT, POOL, SIDE, SIZE, WIDE_IN, WIDE_OUT, WIDTH
from crar_model.nets._micro import panel


@fusing
def _through(grad: Any, y: Any, low: int, target: Any, shift: int) -> None:
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


@fusing
def _through_pool(grad: Any, y: Any, low: int, best: Any, target: Any, shift: int) -> None:
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


@kernel
def _sum_pixels(grad: Any, out: Any, add: bool) -> None:
    if not add:
        out[:] = 0
    for n in range(grad.shape[0]):
        for k in range(grad.shape[1]):
            out[k] += grad[n, k]


@kernel
def _weight_gradient(x: int, grad: int, line_grad: int, image_grad: int, target: int, count: int, layer: Any, add: bool) -> None:
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


@kernel
def _sum_planes(grad: Any, shift: int, values: Any, totals: Any) -> None:
    for a in range(values.shape[0]):
        value = values[a]
        if value != 0:
            for i in range(totals.shape[1]):
                for j in range(totals.shape[2]):
                    for k in range(grad.shape[2]):
                        totals[a, i, j, k] += value * grad[i + shift, j + shift, k]


@kernel
def backward_block(
    net: ConvNet, row: int, count: int, x: int, acts: int, best: Any, one: int, two: int, h: int, grad_out: int, sums: int, plane_sums: int,
    add: bool, grad_x: int,
) -> None:  # fmt: skip
    """Gradients after `forward_block` of these rows, with each 1, from grad_out (rows, given). sums, plane_sums: laid out as the numbers and
    maps of a member, added to where `add`, 0 for none; grad_x (rows, planes + numbers): 0 for none; one, two: room for a layer's padded
    gradient."""
    layers, planes, (channels, side, _, given) = net.table.shape[0], net.planes, shape_of(net)
    length, end, grad = planes + channels * side * side, net.table[layers - 1], one
    shift, frame = frame_of(end)
    for n in range(count):
        padded(
            numba.carray(pointer(grad_out + 4 * (row + n) * given), (end[OUT], end[GRID], end[GRID])),
            numba.carray(pointer(grad + 4 * n * frame * frame * end[OUT]), (frame, frame, end[OUT])), shift,
        )  # fmt: skip
    for layer in range(layers - 1, -1, -1):
        own = net.table[layer]
        n_in, m, grid, wide = own[IN], own[OUT], own[GRID], own[WIDE_IN]
        source, line, image = acts + 4 * BLOCK * own[ACT], frame * m, frame * frame * m
        if sums:
            _weight_gradient(source, grad + 4 * shift * (line + m), line, image, sums + 4 * own[FRONT], count, own, add)
            bias = numba.carray(pointer(sums + 4 * own[BIAS]), (m,))
            _sum_pixels(numba.carray(pointer(grad), (count * frame * frame, m)), bias, add)
            if layer == 0 and planes:
                totals = numba.carray(pointer(plane_sums), (planes, grid, grid, own[WIDE_OUT]))
                if not add:
                    totals[:] = 0
                for n in range(count):
                    values = numba.carray(pointer(x + 4 * (row + n) * length), (planes,))
                    _sum_planes(numba.carray(pointer(grad + 4 * n * image), (frame, frame, m)), shift, values, totals)
        if layer == 0 and not grad_x:
            break
        width, size, places = (1, 1, 1) if own[DENSE] else (frame, own[SIZE], own[SIDE])
        convolved(grad, net.packed + 4 * own[BACK], h, count, m, width, size, places, wide)
        step, area = n_in if own[DENSE] else wide, own[SIDE] * own[SIDE]
        spread = places * places * wide  # numbers of h from one image to the next
        if layer == 0:
            for n in range(count):
                made = numba.carray(pointer(h + 4 * n * spread), (area, step))
                target = numba.carray(pointer(grad_x + 4 * (row + n) * length), (length,))
                for k in range(planes):
                    target[k] = 0
                for k in range(channels):
                    for p in range(area):
                        target[planes + k * area + p] = made[p, k]
            break
        below = net.table[layer - 1]
        shift, frame = frame_of(below)
        into = two if grad == one else one
        for n in range(count):
            made = numba.carray(pointer(h + 4 * n * spread), (own[SIDE], own[SIDE], step))
            y = numba.carray(pointer(source + 4 * n * own[WIDTH] * own[WIDTH] * n_in), (own[WIDTH], own[WIDTH], n_in))
            target = numba.carray(pointer(into + 4 * n * frame * frame * n_in), (frame, frame, n_in))
            if below[POOL] == 2:
                numbers = own[SIDE] * own[SIDE] * n_in
                choice = best[n * numbers : (n + 1) * numbers].reshape((own[SIDE], own[SIDE], n_in))
                _through_pool(made, y, own[LOW], choice, target, shift)
            else:
                _through(made, y, own[LOW], target, shift)
        grad = into


@kernel
def frame_of(layer: Any) -> Any:
    """How many zeros lie before a layer's gradient in each direction, and the side of the gradient with all zeros around it."""
    return (0, 1) if layer[DENSE] else (layer[SIZE] - 1 - layer[LOW], layer[WIDTH])


@kernel
def backward(
    first: int, last: int, parts: int, part: int, rows: int, net: ConvNet, x: int, acts: int, best: Any, one: int, two: int, h: int,
    grad_out: int, sums: int, sums_size: int, plane_sums: int, grad_x: int,
) -> None:  # fmt: skip
    """:func:`backward_block` of some parts, of `part` rows, a multiple of BLOCK, of all members; sums, plane_sums: of one member's parts."""
    channels, side, map_size, given = shape_of(net)
    blocks, length = (rows + BLOCK - 1) // BLOCK, net.planes + channels * side * side
    for item in range(first, last):
        member, start = item // parts, item % parts * part
        begin, own = member * rows, of_member(net, member)
        own_sums = sums + 4 * (item % parts) * sums_size if sums else 0
        own_planes = plane_sums + 4 * (item % parts) * net.planes * map_size
        for row in range(start, min(start + part, rows), BLOCK):
            block = member * blocks + row // BLOCK
            backward_block(
                own, row, min(BLOCK, rows - row), x + 4 * begin * length, acts + 4 * BLOCK * net.record * block, best[block], one, two, h,
                grad_out + 4 * begin * given, own_sums, own_planes, row > start, grad_x + 4 * begin * length if grad_x else 0,
            )  # fmt: skip
