"""The gradient of the encoder of tile maps in compiled float32 code, after `_encoder`, for the threads of a team."""

from __future__ import annotations

from typing import Any

import numpy as np

from crar_model.core.compiled import numba
from crar_model.nets._blas import fusing, kernel, place_of, pointer
from crar_model.nets._encoder import SHARES, SOME, W2_BACK, W3_BACK, W4, Encoding, gather
from crar_model.nets._micro import LANES, panel
from crar_model.nets._pieces import Pieces
from crar_model.nets._team import meet


@fusing
def _through_windows(half: int, encoding: Encoding, g4: Any, windows: int, by_weight: Any, by_bias: Any) -> None:
    """Sixteen channels of the third layer's gradient g3, all zero before, and of those of the fourth layer's weights and the third's biases."""
    packed, best3, pooled, g3 = encoding.packed, encoding.best3, encoding.pooled, encoding.g3
    one, begin, own = np.float32(1), 16 * half, np.empty(16, dtype=np.float32)
    for v in range(windows):
        a, b, c = g4[v, 0], g4[v, 1], g4[v, 2]
        for k in range(16):
            value = pooled[v, begin + k]
            by_weight[0, begin + k] += a * value
            by_weight[1, begin + k] += b * value
            by_weight[2, begin + k] += c * value
            at = W4 + (begin + k) * LANES
            own[k] = (a * packed[at] + b * packed[at + 1] + c * packed[at + 2]) * (one - value * value)
            by_bias[begin + k] += own[k]
        for k in range(16):
            g3[best3[v, begin + k], begin + k] += own[k]


@kernel
def _through_values(encoding: Encoding, value: Any, first: int, last: int, by_weight: Any, gt: Any) -> None:
    """One part's gradients of the third layer's weights (144, 32) and of what it reads, gt (patches, 16)."""
    packed, table, g3 = encoding.packed, encoding.table, encoding.g3
    seen, into = np.empty((SOME, 144), dtype=np.float32), np.empty((SOME, 144), dtype=np.float32)
    gt[:] = 0
    zero = 0 * first  # a variable: Numba compiles a function anew for every literal
    one, wide, inner = zero + 1, zero + 32, zero + 144
    if first >= last:
        by_weight[:] = 0
    for start in range(first, last, SOME):
        own = min(SOME, last - start)
        gather(table, value, start, own, seen)
        at = place_of(g3) + 128 * start
        panel(place_of(seen), one, inner, zero, at, wide, zero, place_of(by_weight), wide, own, one, zero + (start > first), inner, wide)
        panel(at, wide, one, zero, place_of(packed) + 4 * W3_BACK, inner, zero, place_of(into), inner, wide, one, zero, own, inner)
        for v in range(own):
            for t in range(9):
                row = value[start + v, t]
                for k in range(16):
                    gt[row, k] += into[v, t * 16 + k]


@fusing
def _through_stem(encoding: Encoding, patch: Any, count: int, g: Any) -> None:
    """Gradients of the first two layers, written to the addresses g."""
    packed, patches, inside, h1, _, table, best2 = encoding[:7]
    gts = encoding.by_patch
    one, zero = np.float32(1), 0 * count
    m16 = zero + 16
    g2, dcol = np.zeros((4, count + 1, 16), dtype=np.float32), np.empty((count + 1, 32), dtype=np.float32)
    g1, total = np.zeros((count + 1, 9, 8), dtype=np.float32), np.empty((32, 16), dtype=np.float32)
    bias2 = numba.carray(pointer(g[3]), (16,))
    bias2[:] = 0
    for m in range(1, count + 1):
        for k in range(16):
            own = gts[0, m, k]
            for part in range(1, SHARES):
                own += gts[part, m, k]
            own *= one - table[m, k] * table[m, k]
            bias2[k] += own
            for t in range(4):
                g2[t, m, k] = own if best2[m, k] == t else np.float32(0)
    for q in range(4):
        at = place_of(g2) + 64 * (q * (count + 1) + 1)
        corner = 8 * (q // 2 * 3 + q % 2)
        for t in range(2):
            panel(
                place_of(h1) + 4 * (72 + corner + 24 * t), zero + 1, zero + 72, zero, at, m16, zero, place_of(total) + 1024 * t, m16, count,
                zero + 1, zero + (q > 0), m16, m16,
            )  # fmt: skip
        panel(
            at, m16, zero + 1, zero, place_of(packed) + 4 * W2_BACK, zero + 32, zero, place_of(dcol), zero + 32, m16, zero + 1, zero, count, zero + 32
        )  # fmt: skip
        for m in range(count):
            for t in range(4):
                for k in range(8):
                    g1[m + 1, (q // 2 + t // 2) * 3 + q % 2 + t % 2, k] += dcol[m, t * 8 + k]
    weight2 = numba.carray(pointer(g[2]), (16, 8, 4))
    for o in range(16):
        for c in range(8):
            for t in range(4):
                weight2[o, c, t] = total[t * 8 + c, o]
    weight1, bias1 = numba.carray(pointer(g[0]), (8, 4)), numba.carray(pointer(g[1]), (8,))
    sums, biases, own8 = np.zeros((4, 8), dtype=np.float32), np.zeros(8, dtype=np.float32), np.empty(8, dtype=np.float32)
    for m in range(1, count + 1):
        index = patch[m - 1]
        for i in range(9):
            corner = i // 3 * 4 + i % 3
            for k in range(8):  # a value outside the image is 0 whatever the weights: its tanh's slope must not count
                own8[k] = g1[m, i, k] * inside[index, i] * (one - h1[m, i, k] * h1[m, i, k])
                biases[k] += own8[k]
            for t in range(4):
                pixel = patches[index, corner + t // 2 * 4 + t % 2]
                for k in range(8):
                    sums[t, k] += pixel * own8[k]
    for k in range(8):
        bias1[k] = biases[k]
        for t in range(4):
            weight1[k, t] = sums[t, k]


@kernel
def encoder_gradient(team: Any, encoding: Encoding, pieces: Pieces, counts: Any, boards: int, grad: Any, g: Any) -> None:
    """Gradients of the weights at the addresses g, laid out as they are, from grad (boards, 192), after :func:`encode_pieces` of these boards.
    The first thread's last share is done when the team meets again."""
    place, g3, weights, gts = pieces.place, encoding.g3, encoding.by_weight, encoding.by_patch
    g4 = np.zeros((counts[2], 3), dtype=np.float32)  # every thread its own: adding up is faster than waiting
    for n in range(boards):
        for k in range(3):
            for p in range(64):
                g4[place[n * 64 + p], k] += grad[n, k * 64 + p]
    weight4, bias3, bias4 = numba.carray(pointer(g[6]), (3, 32)), numba.carray(pointer(g[5]), (32,)), numba.carray(pointer(g[7]), (3,))
    for half in range(2):
        if half % team[1] == team[0]:
            g3[: counts[1], 16 * half : 16 * half + 16] = 0
            weight4[:, 16 * half : 16 * half + 16] = 0
            bias3[16 * half : 16 * half + 16] = 0
            _through_windows(half, encoding, g4, counts[2], weight4, bias3)
    meet(team)
    share = (counts[1] + SHARES - 1) // SHARES
    for part in range(SHARES):
        if part % team[1] == team[0]:
            first, last = min(part * share, counts[1]), min((part + 1) * share, counts[1])
            _through_values(encoding, pieces.value, first, last, weights[part], gts[part, : counts[0] + 1])
    meet(team)
    if team[0] == 0:
        bias4[:] = 0
        for v in range(counts[2]):
            for k in range(3):
                bias4[k] += g4[v, k]
        weight3 = numba.carray(pointer(g[4]), (32, 16, 9))
        for o in range(32):
            for c in range(16):
                for t in range(9):
                    own = weights[0, t * 16 + c, o]
                    for part in range(1, SHARES):
                        own += weights[part, t * 16 + c, o]
                    weight3[o, c, t] = own
        _through_stem(encoding, pieces.patch, counts[0], g)
