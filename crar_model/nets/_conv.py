"""Compiled CPU kernels for small convolutional tanh networks in float32: the dynamics of the random mazes.

On maps of 8x8 with 16 to 64 channels, starting PyTorch's operations, padding, pooling and three passes a tanh cost
more than the arithmetic. Here one call runs all layers of all members, channels last: every convolution is one matrix
product of the BLAS that PyTorch ships on a copy of its windows, bias, pooling and tanh are one pass. Members are
computed one after the other, so a result does not depend on who shares the call.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crar_model.compiled import numba
from crar_model.nets._blas import FLAGS, address, addresses, bias_tanh, pointer, product, sgemm_address, sum_rows, tanh_of, through_tanh

# Columns of the layer table.
KIND, IN, OUT, SIZE, SIDE, POOL = range(6)
CONV, LINEAR = 0, 1
BLOCK = 8
"""Rows that go through all layers together: their windows and activations stay in a core's cache."""
_WORK = threading.local()


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _windows(x: Any, col: Any, size: int) -> None:  # pragma: no cover - compiled
    """Copy the size x size window of every pixel of x (rows, side, side, c) to col (rows, side, side, size, size c)."""
    rows, side, c = x.shape[0], x.shape[1], x.shape[3]
    low = (size - 1) // 2  # 3x3 reaches one up and left, 2x2 only down and right
    for n in range(rows):
        for i in range(side):
            for t in range(size):
                source = i + t - low
                if source < 0 or source >= side:
                    for j in range(side):
                        for k in range(size * c):
                            col[n, i, j, t, k] = 0
                    continue
                for j in range(side):
                    for u in range(size):
                        at = j + u - low
                        if at < 0 or at >= side:
                            for k in range(c):
                                col[n, i, j, t, u * c + k] = 0
                        else:
                            for k in range(c):
                                col[n, i, j, t, u * c + k] = x[n, source, at, k]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _add_windows(col: Any, x: Any, size: int) -> None:  # pragma: no cover - compiled
    """The transpose of :func:`_windows`: add every window's entries to the pixels that they came from."""
    rows, side, c = x.shape[0], x.shape[1], x.shape[3]
    low = (size - 1) // 2
    for n in range(rows):
        for i in range(side):
            for j in range(side):
                for k in range(c):
                    x[n, i, j, k] = 0
        for i in range(side):
            for t in range(size):
                target = i + t - low
                if target < 0 or target >= side:
                    continue
                for j in range(side):
                    for u in range(size):
                        at = j + u - low
                        if at >= 0 and at < side:
                            for k in range(c):
                                x[n, target, at, k] += col[n, i, j, t, u * c + k]


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _bias_pool_tanh(h: Any, bias: Any, y: Any, best: Any) -> None:  # pragma: no cover - compiled
    """y = tanh(max over 2x2 of h (rows, side, side, c) + bias), best the position 0..3 of the maximum."""
    rows, half, c = y.shape[0], y.shape[1], y.shape[3]
    for n in range(rows):
        for i in range(half):
            for j in range(half):
                for k in range(c):
                    top, where = h[n, 2 * i, 2 * j, k], 0
                    for t in range(1, 4):
                        value = h[n, 2 * i + t // 2, 2 * j + t % 2, k]
                        if value > top:
                            top, where = value, t
                    y[n, i, j, k] = tanh_of(top + bias[k])
                    best[n, i, j, k] = where


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _unpool(grad: Any, best: Any, out: Any) -> None:  # pragma: no cover - compiled
    rows, half, c = grad.shape[0], grad.shape[1], grad.shape[3]
    for n in range(rows):
        for i in range(half):
            for j in range(half):
                for t in range(4):
                    for k in range(c):
                        out[n, 2 * i + t // 2, 2 * j + t % 2, k] = grad[n, i, j, k] if best[n, i, j, k] == t else np.float32(0)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _swap(x: Any, out: Any) -> None:  # pragma: no cover - compiled
    """(rows, a, b) -> (rows, b, a)."""
    for n in range(x.shape[0]):
        for a in range(x.shape[1]):
            for b in range(x.shape[2]):
                out[n, b, a] = x[n, a, b]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _forward(
    sgemm: Any, rows: int, table: Any, flags: Any, x: int, weights: Any, acts: Any, best: Any, col: int, wide: int, swapped: int
) -> None:  # fmt: skip # pragma: no cover
    """Some rows of one member. acts: address of each layer's output; acts[0] of its channels-last input."""
    scratch = np.empty(8, dtype=np.int32)
    layers = table.shape[0]
    pixels = table[0, SIDE] * table[0, SIDE]
    channels = table[0, IN]
    _swap(numba.carray(pointer(x), (rows, channels, pixels)), numba.carray(pointer(acts[0]), (rows, pixels, channels)))
    for layer in range(layers):
        n, m, size, side = table[layer, IN], table[layer, OUT], table[layer, SIZE], table[layer, SIDE]
        area = side * side
        bias = numba.carray(pointer(weights[2 * layer + 1]), (m,))
        last = layer == layers - 1
        source = acts[layer]
        if table[layer, KIND] == LINEAR:
            if area > 1:  # dense weights count channel by channel
                _swap(numba.carray(pointer(source), (rows, area, n)), numba.carray(pointer(swapped), (rows, n, area)))
                source = swapped
            product(sgemm, scratch, flags, 0, rows, n * area, m, source, weights[2 * layer], acts[layer + 1])
            bias_tanh(numba.carray(pointer(acts[layer + 1]), (rows, m)), bias, last)
            continue
        count = rows * area
        if size > 1:
            _windows(
                numba.carray(pointer(source), (rows, side, side, n)), numba.carray(pointer(col), (rows, side, side, size, size * n)), size
            )
            source = col
        target = wide if table[layer, POOL] == 2 else acts[layer + 1]
        product(sgemm, scratch, flags, 0, count, size * size * n, m, source, weights[2 * layer], target)
        if table[layer, POOL] == 2:
            half = side // 2
            _bias_pool_tanh(
                numba.carray(pointer(wide), (rows, side, side, m)), bias, numba.carray(pointer(acts[layer + 1]), (rows, half, half, m)),
                best.reshape((rows, half, half, m)),
            )  # fmt: skip
        else:
            bias_tanh(numba.carray(pointer(target), (count, m)), bias, last)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _backward(
    sgemm: Any, rows: int, table: Any, flags: Any, weights: Any, acts: Any, best: Any, col: int, wide: int, swapped: int,
    grad_out: int, one: int, two: int, grads: Any, grad_x: int, add: bool,
) -> None:  # fmt: skip # pragma: no cover
    """Some rows of one member. grad_out: gradient of the output, channels last; one, two: room for a layer's gradients; add: add to
    the gradients of the weights instead of setting them."""
    scratch = np.empty(8, dtype=np.int32)
    layers = table.shape[0]
    grad = grad_out
    for layer in range(layers - 1, -1, -1):
        n, m, size, side = table[layer, IN], table[layer, OUT], table[layer, SIZE], table[layer, SIDE]
        area = side * side
        conv = table[layer, KIND] == CONV
        pooled = table[layer, POOL] == 2
        count = rows * area if conv else rows
        outputs = (count // 4 if pooled else count) * m
        if layer < layers - 1:
            through_tanh(numba.carray(pointer(grad), (outputs,)), numba.carray(pointer(acts[layer + 1]), (outputs,)))
        if pooled:
            half = side // 2
            _unpool(
                numba.carray(pointer(grad), (rows, half, half, m)), best.reshape((rows, half, half, m)),
                numba.carray(pointer(wide), (rows, side, side, m)),
            )  # fmt: skip
            grad = wide
        inner = size * size * n if conv else area * n
        flat = not conv and area > 1
        source = acts[layer]
        if grads[2 * layer] != 0:
            if flat:
                _swap(numba.carray(pointer(source), (rows, area, n)), numba.carray(pointer(swapped), (rows, n, area)))
                source = swapped
            elif conv and size > 1:
                _windows(
                    numba.carray(pointer(source), (rows, side, side, n)), numba.carray(pointer(col), (rows, side, side, size, size * n)),
                    size,
                )  # fmt: skip
                source = col
            product(sgemm, scratch, flags, 3 if add else 2, m, count, inner, grad, source, grads[2 * layer])
            sum_rows(numba.carray(pointer(grad), (count, m)), numba.carray(pointer(grads[2 * layer + 1]), (m,)), add)
        if layer == 0 and grad_x == 0:
            return
        into = two if grad == one else one
        spread = conv and size > 1
        product(sgemm, scratch, flags, 1, count, m, inner, grad, weights[2 * layer], col if spread else swapped if flat else into)
        if spread:
            _add_windows(
                numba.carray(pointer(col), (rows, side, side, size, size * n)), numba.carray(pointer(into), (rows, side, side, n)), size
            )
        elif flat:
            _swap(numba.carray(pointer(swapped), (rows, n, area)), numba.carray(pointer(into), (rows, area, n)))
        grad = into
    pixels, channels = table[0, SIDE] * table[0, SIDE], table[0, IN]
    _swap(numba.carray(pointer(grad), (rows, pixels, channels)), numba.carray(pointer(grad_x), (rows, channels, pixels)))


def _room(name: str, size: int) -> int:
    """Address of a float32 buffer of this thread of at least `size` numbers; its content is anybody's."""
    held: Tensor | None = getattr(_WORK, name, None)
    if held is None or held.numel() < size:
        held = _empty(size)
        setattr(_WORK, name, held)
    return held.data_ptr()


def _empty(*shape: int) -> Tensor:
    return torch.empty(shape, dtype=torch.float32, device="cpu")


class Plan:
    """Sizes of a network's pieces, per row.

    Attributes:
        table: (layers, 6) int64, the columns KIND, IN, OUT, SIZE, SIDE, POOL of each layer: IN and SIDE are those of the maps that it reads.
        acts: numbers in the input and in every output.
        col, wide, flat: numbers in the largest copy of windows, unpooled map and flattened map.
        pooled: numbers in the pooled output.
        last_side: side of the last output.
        fits: whether the kernels can compute it: at most one layer pools, over 2x2, an even side, and not the last one.
    """

    def __init__(self, rows: Sequence[tuple[int, ...]], last_side: int) -> None:
        self.last_side = last_side
        self.table = np.array(rows, dtype=np.int64)
        acts, self.col, self.wide, self.flat, self.pooled = [rows[0][IN] * rows[0][SIDE] ** 2], 1, 1, 1, 1
        pools = []
        for index, (kind, n, m, size, side, pool) in enumerate(rows):
            count = side * side if kind == CONV else 1
            acts.append(m * count // pool**2)
            if kind == CONV:
                self.col, self.wide = max(self.col, count * size * size * n), max(self.wide, count * m)
            else:
                self.flat = max(self.flat, n * side * side)
            if pool > 1:
                self.pooled = acts[-1]
                pools.append(pool == 2 and side % 2 == 0 and index < len(rows) - 1)
        self.acts = np.array(acts)
        self.fits = len(pools) <= 1 and all(pools)


def conv_forward(x: Tensor, weights: Sequence[Tensor], plan: Plan) -> tuple[list[Tensor], Tensor]:
    """All layers of a network for every member.

    Args:
        x: (members, rows, channels, side, side), float32 on the CPU, contiguous.
        weights: weight and bias of each layer in turn with a leading member axis, contiguous float32 on the CPU; those of convolutions as
            (members, out, k, k, in). Their shapes fit the plan.
        plan: of the network on such an input; `plan.fits`.

    Returns:
        channels-last input and every layer's output, each (members, numbers), and the pooling's choices.
    """
    members, rows = x.shape[:2]
    source, weight_at = address(x), addresses(weights)
    acts = [_empty(members, rows * int(size)) for size in plan.acts]
    best = torch.empty(members, rows * plan.pooled, dtype=torch.int8, device="cpu")
    rooms = [_room(name, BLOCK * size) for name, size in (("col", plan.col), ("wide", plan.wide), ("flat", plan.flat))]
    sgemm = sgemm_address()
    weight_step = 4 * np.array([w.shape[1:].numel() for w in weights])
    act_at, choices = addresses(acts), best.numpy()
    for k in range(members):
        for row in range(0, rows, BLOCK):
            count, skip = min(BLOCK, rows - row), 4 * (k * rows + row)
            _forward(
                sgemm, count, plan.table, FLAGS, source + skip * int(plan.acts[0]), weight_at + k * weight_step,
                act_at + skip * plan.acts, choices[k, row * plan.pooled : (row + count) * plan.pooled], *rooms,
            )  # fmt: skip
    return acts, best


def conv_backward(
    acts: Sequence[Tensor], best: Tensor, weights: Sequence[Tensor], plan: Plan, grad: Tensor, rows: int,
    *, for_weights: bool, for_input: bool,
) -> tuple[list[Tensor] | None, Tensor | None]:  # fmt: skip
    """Gradients of :func:`conv_forward`.

    Args:
        acts, best: what the forward pass returned, without the last output.
        weights, plan: as in the forward pass.
        grad: (members, numbers), gradient of the last output, channels last, float32 on the CPU, contiguous; overwritten.
        rows: rows of a member.
        for_weights, for_input: which gradients to compute.

    Returns:
        gradients of the weights in their own layout, or None, and of the input (members, numbers), channels first.
    """
    members = grad.shape[0]
    grad_out, weight_at = address(grad), addresses(weights)
    grads = [torch.empty_like(w) if rows else torch.zeros_like(w) for w in weights] if for_weights else None
    grad_x = _empty(members, rows * int(plan.acts[0])) if for_input else None
    names = (("col", plan.col), ("wide", plan.wide), ("flat", plan.flat), ("one", int(plan.acts.max())), ("two", int(plan.acts.max())))
    col, unpooled, swapped, one, two = (_room(name, BLOCK * size) for name, size in names)
    sgemm = sgemm_address()
    weight_step = 4 * np.array([w.shape[1:].numel() for w in weights])
    grad_at = addresses(grads) if grads is not None else np.zeros(len(weights), dtype=np.int64)
    grad_step = weight_step if grads is not None else np.zeros_like(weight_step)
    act_at, choices = addresses(acts), best.numpy()
    for k in range(members):
        for row in range(0, rows, BLOCK):
            count, skip = min(BLOCK, rows - row), 4 * (k * rows + row)
            _backward(
                sgemm, count, plan.table, FLAGS, weight_at + k * weight_step, act_at + skip * plan.acts[:-1],
                choices[k, row * plan.pooled : (row + count) * plan.pooled], col, unpooled, swapped,
                grad_out + skip * int(plan.acts[-1]), one, two, grad_at + k * grad_step,
                0 if grad_x is None else grad_x.data_ptr() + skip * int(plan.acts[0]), row > 0,
            )  # fmt: skip
    return grads, grad_x
