"""The encoder of tile maps in compiled float32 code, on the distinct pieces of a batch: Conv8 2x2, Conv16 2x2 and pooling, Conv32 3x3 and pooling,
Conv3 1x1, for the threads of a team (`_team`).

Every product is a chain of `_micro.panel` in a fixed order, and what is summed over pieces is summed in parts whose bounds depend on the
number of pieces alone: a state depends on its own board, whatever else is computed with it, and no result on the number of threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from crar_model.core.compiled import numba
from crar_model.nets._blas import fusing, kernel, place_of, pointer, tanh_of
from crar_model.nets._micro import LANES, panel
from crar_model.nets._pieces import CELLS, Drawn, Pieces
from crar_model.nets._team import bounds, meet

SOME = 64
"""Third-layer values whose pieces are gathered together: they stay in the first cache."""
SHARES = 4
"""Parts of the third layer's values whose gradients are summed apart."""
TENSORS = 8
SIZES = (32, 8, 512, 16, 4608, 32, 96, 3)
"""Numbers of weight and bias of each layer in turn."""
W1, W2, W2_BACK, W3, W3_BACK, W4, B1, B2, B3, B4, PACKED = (0, 64, 576, 1088, 5696, 10304, 10816, 10832, 10848, 10880, 10896)
"""Where a packed encoder has its parts, and its numbers: weights of a tap and a channel of the input in a row of whole vectors of outputs;
those of the second and third layer also turned for the gradient of the input."""


@kernel
def pack_encoder(w: Any, packed: Any) -> None:
    """w: addresses of (8, 1, 2, 2), (8,), (16, 8, 2, 2), (16,), (32, 16, 3, 3), (32,), (3, 32, 1, 1), (3,)."""
    packed[:W2], packed[W4:] = 0, 0
    one, two = numba.carray(pointer(w[0]), (8, 4)), numba.carray(pointer(w[2]), (16, 8, 4))
    three, four = numba.carray(pointer(w[4]), (32, 16, 9)), numba.carray(pointer(w[6]), (3, 32))
    for t in range(4):
        for o in range(8):
            packed[W1 + t * LANES + o] = one[o, t]
    for o in range(16):
        for c in range(8):
            for t in range(4):
                packed[W2 + (t * 8 + c) * 16 + o] = two[o, c, t]
                packed[W2_BACK + o * 32 + t * 8 + c] = two[o, c, t]
    for o in range(32):
        for c in range(16):
            for t in range(9):
                packed[W3_BACK + o * 144 + t * 16 + c] = three[o, c, t]
    for k in range(144):
        for o in range(32):
            packed[W3 + k * 32 + o] = packed[W3_BACK + o * 144 + k]
    for c in range(32):
        for o in range(3):
            packed[W4 + c * LANES + o] = four[o, c]
    for k in range(4):
        size, at = (8, 16, 32, 3)[k], (B1, B2, B3, B4)[k]
        bias = numba.carray(pointer(w[2 * k + 1]), (size,))
        for o in range(size):
            packed[at + o] = bias[o]


class Encoding(NamedTuple):
    """A packed encoder and the index that it reads, and what it makes of pieces."""

    packed: Any  # the weights
    patches: Any  # of the index
    inside: Any  # of the index
    h1: Any  # of patches, from 1 on: patch 0 is padding
    h2: Any  # the same
    table: Any  # pooled
    best2: Any  # which of four that was
    h3: Any  # of values
    best3: Any  # of windows: the value that was pooled
    pooled: Any  # of windows
    position: Any  # of windows: the fourth layer
    g3: Any  # gradient of h3
    by_weight: Any  # of each share, that of the third layer's weights
    by_patch: Any  # of each share, that of the table


@kernel
def room_for_encoder(index: Drawn, patches: int, values: int, windows: int) -> Encoding:
    """Room for as many pieces."""
    f = np.float32
    return Encoding(
        np.empty(PACKED, f), index.patches, index.inside, np.empty((patches + 1, 9, 8), f), np.empty((4, patches + 1, 16), f),
        np.zeros((patches + 1, 16), f), np.empty((patches + 1, 16), np.int8), np.empty((values, 32), f), np.empty((windows, 32), np.int32),
        np.empty((windows, 32), f), np.empty((windows, LANES), f), np.empty((values, 32), f), np.empty((SHARES, 144, 32), f),
        np.empty((SHARES, patches + 1, 16), f),
    )  # fmt: skip


@fusing
def _stem(encoding: Encoding, patch: Any, first: int, last: int) -> None:
    """The first two layers of patches `first` to `last`, of 1 and more."""
    packed, patches, inside, h1, h2, table, best2 = encoding[:7]
    at, total = place_of(packed), np.empty(8, dtype=np.float32)
    zero = 0 * first  # a variable: Numba compiles a function anew for every literal
    for m in range(first, last):
        index = patch[m - 1]
        for i in range(9):
            corner = i // 3 * 4 + i % 3
            for o in range(8):
                total[o] = packed[B1 + o]
            for t in range(4):
                pixel = patches[index, corner + t // 2 * 4 + t % 2]
                for o in range(8):
                    total[o] += pixel * packed[W1 + t * LANES + o]
            for o in range(8):
                h1[m, i, o] = tanh_of(total[o]) * inside[index, i]
    for q in range(4):
        source = place_of(h1) + 4 * (72 * first + 8 * (q // 2 * 3 + q % 2))
        target = place_of(h2) + 64 * (q * h2.shape[1] + first)
        panel(
            source, zero + 72, zero + 1, zero + 24, at + 4 * W2, zero + 16, zero + 256, target, zero + 16, zero + 16, zero + 2, zero,
            last - first, zero + 16,
        )  # fmt: skip
    for m in range(first, last):
        for k in range(16):
            top, where = h2[0, m, k], 0
            for t in range(1, 4):
                if h2[t, m, k] > top:
                    top, where = h2[t, m, k], t
            table[m, k] = tanh_of(top + packed[B2 + k])
            best2[m, k] = where


@kernel
def gather(table: Any, value: Any, start: int, count: int, out: Any) -> None:
    """What some third-layer values see: (count, 9 taps of 16 channels)."""
    for v in range(count):
        for t in range(9):
            row = value[start + v, t]
            for k in range(16):
                out[v, t * 16 + k] = table[row, k]


@fusing
def _pool(encoding: Encoding, window: Any, first: int, last: int) -> None:
    """The third layer's pooling and the fourth layer, of some windows."""
    packed, (h3, best3, pooled, position) = encoding.packed, encoding[7:11]
    for v in range(first, last):
        row = window[v, 0]
        for k in range(32):
            pooled[v, k] = h3[row, k]
            best3[v, k] = row
        for t in range(1, 9):
            row = window[v, t]
            for k in range(32):
                if h3[row, k] > pooled[v, k]:
                    pooled[v, k] = h3[row, k]
                    best3[v, k] = row
        for k in range(32):
            pooled[v, k] = tanh_of(pooled[v, k] + packed[B3 + k])
    zero = 0 * first
    lanes, one = zero + LANES, zero + 1
    panel(
        place_of(pooled) + 128 * first, zero + 32, one, zero, place_of(packed) + 4 * W4, lanes, zero, place_of(position) + 64 * first, lanes,
        zero + 32, one, zero, last - first, lanes,
    )  # fmt: skip


@kernel
def encode_pieces(team: Any, encoding: Encoding, pieces: Pieces, counts: Any, boards: int, out: Any) -> None:
    """Abstract states out (boards, 192) of the first boards of `pieces`, whose counts are (3,)."""
    packed, table, h3, position, place = encoding.packed, encoding.table, encoding.h3, encoding.position, pieces.place
    first, last = bounds(team, counts[0])
    _stem(encoding, pieces.patch, first + 1, last + 1)
    meet(team)
    seen = np.empty((SOME, 144), dtype=np.float32)
    first, last = bounds(team, counts[1])
    zero = 0 * first
    one, wide, inner = zero + 1, zero + 32, zero + 144
    for start in range(first, last, SOME):
        own = min(SOME, last - start)
        gather(table, pieces.value, start, own, seen)
        panel(
            place_of(seen), inner, one, zero, place_of(packed) + 4 * W3, wide, zero, place_of(h3) + 128 * start, wide, inner, one, zero, own, wide,
        )  # fmt: skip
    meet(team)
    first, last = bounds(team, counts[2])
    _pool(encoding, pieces.window, first, last)
    meet(team)
    first, last = bounds(team, boards)
    for n in range(first, last):
        for k in range(3):
            bias = packed[B4 + k]
            for p in range(CELLS):
                out[n, k * CELLS + p] = position[place[n * CELLS + p], k] + bias
