"""Compiled CPU kernels of the random mazes' encoder in float32, on the distinct pieces of a batch.

After `tile_index` has found what repeats, an encoder pass is four matrix products of a few hundred rows; what is left
to save is everything around them. One call runs all of it for one model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crar_model.core.compiled import numba
from crar_model.nets._blas import FLAGS, address, bias_tanh, of_members, pointer, product, sgemm_address, sum_rows, tanh_of, through_tanh
from crar_model.nets._micro import panel
from crar_model.nets._threads import share
from crar_model.nets._tile_index import TileIndex

SOME = 64
"""Third-layer values whose pieces are gathered together: they stay in the first cache."""


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _gather(table: Any, values: Any, start: int, count: int, out: Any) -> None:  # pragma: no cover - compiled
    """What some third-layer values see: (count, 9 taps of 16 channels)."""
    for v in range(count):
        for t in range(9):
            row = values[start + v, t]
            for k in range(16):
                out[v, t * 16 + k] = table[row, k]


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _forward(
    sgemm: Any, flags: Any, w: Any, patches: Any, inside: Any, values: Any, windows: Any, places: Any,
    col1: Any, h1: Any, col2: Any, h2: Any, best2: Any, table: Any, h3: Any, best3: Any, pooled: Any, position: Any, out: Any,
) -> None:  # fmt: skip # pragma: no cover
    scratch = np.empty(8, dtype=np.int32)
    count = patches.shape[0]
    for m in range(count):
        for i in range(3):
            for j in range(3):
                for t in range(4):
                    col1[m * 9 + i * 3 + j, t] = patches[m, i + t // 2, j + t % 2]
    product(sgemm, scratch, flags, 0, count * 9, 4, 8, col1.ctypes.data, w[0], h1.ctypes.data)
    bias_tanh(h1, numba.carray(pointer(w[1]), (8,)), False)
    for m in range(count):
        for i in range(9):
            for k in range(8):
                h1[m * 9 + i, k] *= inside[m, i // 3, i % 3]
    for m in range(count):
        for i in range(4):
            for t in range(4):
                source = m * 9 + (i // 2 + t // 2) * 3 + i % 2 + t % 2
                for k in range(8):
                    col2[m * 4 + i, t * 8 + k] = h1[source, k]
    product(sgemm, scratch, flags, 0, count * 4, 32, 16, col2.ctypes.data, w[2], h2.ctypes.data)
    bias2 = numba.carray(pointer(w[3]), (16,))
    for m in range(count):
        for k in range(16):
            top, where = h2[4 * m, k], 0
            for t in range(1, 4):
                if h2[4 * m + t, k] > top:
                    top, where = h2[4 * m + t, k], t
            table[m, k] = tanh_of(top + bias2[k])
            best2[m, k] = where
    for k in range(16):
        table[count, k] = 0
    found = values.shape[0]
    front, seen = np.empty((144, 32), dtype=np.float32), np.empty((SOME, 144), dtype=np.float32)
    back = numba.carray(pointer(w[4]), (32, 144))
    for o in range(32):
        for k in range(144):
            front[k, o] = back[o, k]
    for start in range(0, found, SOME):
        own = min(SOME, found - start)
        _gather(table, values, start, own, seen)
        panel(seen.ctypes.data, 144, 1, 0, front.ctypes.data, 32, 0, h3.ctypes.data + 128 * start, 32, 144, 1, 0, own, 32)
    bias3 = numba.carray(pointer(w[5]), (32,))
    top3 = np.empty(32, dtype=np.float32)
    for v in range(windows.shape[0]):
        row = windows[v, 0]
        for k in range(32):
            top3[k] = h3[row, k]
            best3[v, k] = row
        for t in range(1, 9):
            row = windows[v, t]
            for k in range(32):
                if h3[row, k] > top3[k]:
                    top3[k] = h3[row, k]
                    best3[v, k] = row
        for k in range(32):
            pooled[v, k] = tanh_of(top3[k] + bias3[k])
    product(sgemm, scratch, flags, 0, windows.shape[0], 32, 3, pooled.ctypes.data, w[6], position.ctypes.data)
    bias4 = numba.carray(pointer(w[7]), (3,))
    for p in range(places.shape[0]):
        row = places[p]
        for k in range(3):
            out[p // 64, k, p % 64] = position[row, k] + bias4[k]


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _backward(
    sgemm: Any, flags: Any, w: Any, g: Any, inside: Any, values: Any, places: Any,
    col1: Any, h1: Any, col2: Any, best2: Any, table: Any, best3: Any, pooled: Any, grad: Any,
) -> None:  # fmt: skip # pragma: no cover
    scratch = np.empty(8, dtype=np.int32)
    count, found, seen = best2.shape[0], values.shape[0], pooled.shape[0]
    g4 = np.zeros((seen, 3), dtype=np.float32)
    for p in range(places.shape[0]):
        row = places[p]
        for k in range(3):
            g4[row, k] += grad[p // 64, k, p % 64]
    product(sgemm, scratch, flags, 2, 3, seen, 32, g4.ctypes.data, pooled.ctypes.data, g[6])
    sum_rows(g4, numba.carray(pointer(g[7]), (3,)))
    gp = np.empty((seen, 32), dtype=np.float32)
    product(sgemm, scratch, flags, 1, seen, 3, 32, g4.ctypes.data, w[6], gp.ctypes.data)
    through_tanh(gp.reshape(-1), pooled.reshape(-1))
    g3 = np.zeros((found, 32), dtype=np.float32)
    for v in range(seen):
        for k in range(32):
            g3[best3[v, k], k] += gp[v, k]
    sum_rows(g3, numba.carray(pointer(g[5]), (32,)))
    dcol2 = np.empty_like(col2)
    gt = np.zeros((count + 1, 16), dtype=np.float32)
    some, into, total = (
        np.empty((SOME, 144), dtype=np.float32),
        np.empty((SOME, 144), dtype=np.float32),
        np.empty((144, 32), dtype=np.float32),
    )
    for start in range(0, found, SOME):
        own = min(SOME, found - start)
        _gather(table, values, start, own, some)
        at = g3.ctypes.data + 128 * start
        panel(some.ctypes.data, 1, 144, 0, at, 32, 0, total.ctypes.data, 32, own, 1, 1 if start else 0, 144, 32)
        panel(at, 32, 1, 0, w[4], 144, 0, into.ctypes.data, 144, 32, 1, 0, own, 144)
        for v in range(own):
            for t in range(9):
                row = values[start + v, t]
                for k in range(16):
                    gt[row, k] += into[v, t * 16 + k]
    own_grad = numba.carray(pointer(g[4]), (32, 144))
    for o in range(32):
        for k in range(144):
            own_grad[o, k] = total[k, o]
    through_tanh(gt.reshape(-1), table.reshape(-1))
    g2 = np.zeros((4 * count, 16), dtype=np.float32)
    for m in range(count):
        for k in range(16):
            g2[4 * m + best2[m, k], k] = gt[m, k]
    product(sgemm, scratch, flags, 2, 16, 4 * count, 32, g2.ctypes.data, col2.ctypes.data, g[2])
    sum_rows(g2, numba.carray(pointer(g[3]), (16,)))
    product(sgemm, scratch, flags, 1, 4 * count, 16, 32, g2.ctypes.data, w[2], dcol2.ctypes.data)
    g1 = np.zeros((9 * count, 8), dtype=np.float32)
    for m in range(count):
        for i in range(4):
            for t in range(4):
                source = m * 9 + (i // 2 + t // 2) * 3 + i % 2 + t % 2
                for k in range(8):
                    g1[source, k] += dcol2[m * 4 + i, t * 8 + k]
        for i in range(9):
            for k in range(8):  # a value outside the image is 0 whatever the weights: h1 there is 0, its tanh's slope must not count
                g1[m * 9 + i, k] *= inside[m, i // 3, i % 3]
    through_tanh(g1.reshape(-1), h1.reshape(-1))
    product(sgemm, scratch, flags, 2, 8, 9 * count, 4, g1.ctypes.data, col1.ctypes.data, g[0])
    sum_rows(g1, numba.carray(pointer(g[1]), (8,)))


def tiles_forward(weights: Sequence[Tensor], indices: Sequence[TileIndex], out: Tensor) -> list[tuple[Any, ...]]:
    """Abstract states of the indexed tile maps for every member, and what :func:`tiles_backward` needs.

    Args:
        weights: weight and bias of the four layers with a leading member axis, contiguous float32 on the CPU, as (members, out, k, k, in) and
            (members, out); their shapes are those of the encoder.
        indices: from `index_tiles`, one a member, of N maps each.
        out: (members, N, 192) float32 on the CPU, written.
    """
    weight_at, shaped = of_members(weights), out.view(len(indices), -1, 3, 64).numpy()
    kept: list[tuple[Any, ...]] = [()] * len(indices)

    def work(first: int, last: int) -> None:
        for member in range(first, last):
            kept[member] = _one_forward(weight_at[member], indices[member], shaped[member])

    share(len(indices), work)
    return kept


def _one_forward(weight_at: Any, index: TileIndex, out: Any) -> tuple[Any, ...]:
    count, found, seen = len(index.patches), len(index.values), len(index.windows)

    def room(*shape: int) -> Any:
        return np.empty(shape, dtype=np.float32)

    col1, h1, col2, h2, table = room(9 * count, 4), room(9 * count, 8), room(4 * count, 32), room(4 * count, 16), room(count + 1, 16)
    h3, pooled, position = room(found, 32), room(seen, 32), room(seen, 3)
    best2, best3 = np.empty((count, 16), dtype=np.int8), np.empty((seen, 32), dtype=np.int32)
    values, windows, places = index.values.numpy(), index.windows.numpy(), index.places.numpy()
    patches, inside = index.patches.numpy(), index.inside.numpy()
    _forward(
        sgemm_address(), FLAGS, weight_at, patches, inside, values, windows, places,
        col1, h1, col2, h2, best2, table, h3, best3, pooled, position, out,
    )  # fmt: skip
    return inside, values, places, col1, h1, col2, best2, table, best3, pooled


def tiles_backward(weights: Sequence[Tensor], kept: Sequence[tuple[Any, ...]], grad: Tensor) -> list[Tensor]:
    """Gradients of the weights, in their layout.

    Args:
        weights: as in the forward pass.
        kept: what the forward pass returned.
        grad: (members, N, 192), gradient of the abstract states, float32 on the CPU.
    """
    address(grad := grad.contiguous())
    grads = [torch.empty_like(weight) for weight in weights]
    shaped = grad.view(len(kept), -1, 3, 64).numpy()
    weight_at, grad_at = of_members(weights), of_members(grads)

    def work(first: int, last: int) -> None:
        for member in range(first, last):
            _backward(sgemm_address(), FLAGS, weight_at[member], grad_at[member], *kept[member], shaped[member])

    share(len(kept), work)
    return grads
