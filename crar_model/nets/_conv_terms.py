"""Compiled loss terms of the convolutional agent: one network on some rows of a batch, forward, its error, and backward.

`agent.loss.Loss` is the definition; `tests/crar_model/test_conv_engine.py` holds every term against its autograd in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from crar_model.core.compiled import numba
from crar_model.nets._blas import pointer
from crar_model.nets._conv_backward import backward
from crar_model.nets._conv_forward import BLOCK, forward
from crar_model.nets._terms import C_DISCOUNT, C_DOUBLE, C_VALUE, REWARD, TRANSITION, VALUE

FIRST, LAYERS, PLANES, PACKED, MAPS, RECORD, GIVEN, TENSOR, PARAMS, OF_PLANES, MADE, GRADS, PLANE_GRADS, SUMS, PLANE_SUMS, OUT, INTO = (
    range(17)
)
"""Columns of the table of networks: its first layer and their number in the table of layers; planes; numbers of the packed parameters without
the turned ones, of a part's maps, of an image's record, of an output; its first tensor; then where it has its room: packed parameters, weights
of planes, their maps; gradients of both; a part's gradients of both; outputs or their gradient; gradient of its input."""


@numba.njit(cache=True, nogil=True, error_model="numpy")
def room_for_networks(acts: int, h: int, frame: int, best: int, blocks: int) -> Any:  # pragma: no cover - compiled
    """What a thread needs to compute one network on a part's rows: acts, h, apart, one, two, best."""
    f = np.float32
    return (np.empty(acts, f), np.empty(h, f), np.empty(h, f), np.empty(frame, f), np.empty(frame, f), np.empty((blocks, best), np.int8))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _run(net: Any, layers: Any, count: int, source: int, room: int, out: int, mine: Any, keep: bool) -> None:  # pragma: no cover - compiled
    acts, h, apart, _, _, best = mine
    zero = 0 * count  # a variable: Numba compiles a function anew for every literal
    forward(
        zero, (count + BLOCK - 1) // BLOCK, zero + BLOCK, count, zero + 1, net[PLANES], layers, source, room + 4 * net[PARAMS], zero, room + 4 * net[MADE],
        np.int64(acts.ctypes.data), net[RECORD], keep, best, np.int64(h.ctypes.data), np.int64(apart.ctypes.data), out,
    )  # fmt: skip


@numba.njit(cache=True, nogil=True, error_model="numpy")
def part_of_term(
    block: int, net: Any, layers: Any, part: int, first: int, count: int, weight: Any, trained: bool, scalars: Any, room: int, x: Any,
    given: Any, action: Any, reward: Any, terminated: Any, targets: Any, mine: Any,
) -> None:  # fmt: skip # pragma: no cover - compiled
    """The gradients that `count` rows from `first` on give to a term, `transition`, `reward`, `discount` or `value`: of the weights to the part's
    sums, of the network's input to its room, and that of its output in place of the output.

    x (2 batch, d): abstract states, those of s first; given (batch, planes + d): actions one-hot and states; targets (batch, A): values of s' by
    the target copy.
    """
    batch, d = given.shape[0], x.shape[1]
    outputs = net[GIVEN]
    at = room + 4 * (net[OUT] + first * outputs)
    found = numba.carray(pointer(at), (count, outputs))
    source = np.int64(x.ctypes.data) + 4 * first * d if block == VALUE else np.int64(given.ctypes.data) + 4 * first * given.shape[1]
    best, zero = np.zeros(count, dtype=np.int64), 0 * count
    if block == VALUE:
        if scalars[C_DOUBLE] != 0:
            _run(net, layers, count, np.int64(x.ctypes.data) + 4 * (batch + first) * d, room, at, mine, count < 0)
        for b in range(count):
            for a in range(1, outputs):
                own, other = (
                    (found[b, a], found[b, best[b]]) if scalars[C_DOUBLE] != 0 else (targets[first + b, a], targets[first + b, best[b]])
                )
                if own > other:
                    best[b] = a
    _run(net, layers, count, source, room, at, mine, count >= 0)
    scale = weight * np.float32(2) / np.float32(batch)
    for b in range(count):
        row = first + b
        going = np.float32(1) - terminated[row]
        if block == TRANSITION:
            for c in range(d):
                found[b, c] = going * scale / np.float32(d) * (x[row, c] + found[b, c] - x[batch + row, c])
        elif block == REWARD:
            found[b, 0] = scale * (found[b, 0] - reward[row])
        elif block == VALUE:
            taken = action[row]
            missed = found[b, taken] - (reward[row] + going * scalars[C_DISCOUNT] * targets[row, best[b]])
            for a in range(outputs):
                found[b, a] = 0
            found[b, taken] = scale * scalars[C_VALUE] * missed
        else:
            found[b, 0] = scale * (found[b, 0] - going * scalars[C_DISCOUNT])
    acts, h, _, one, two, chosen = mine
    sums = room + 4 * (net[SUMS] + part * net[PACKED]) if trained else 0
    backward(
        zero, zero + 1, zero + 1, (count + BLOCK - 1) // BLOCK * BLOCK, count, net[PLANES], layers, source, room + 4 * net[PARAMS], zero, np.int64(acts.ctypes.data),
        net[RECORD], chosen, np.int64(one.ctypes.data), np.int64(two.ctypes.data), np.int64(h.ctypes.data), at, sums, net[PACKED],
        room + 4 * (net[PLANE_SUMS] + part * net[MAPS]) if trained else 0, room + 4 * (net[INTO] + first * (net[PLANES] + d)),
    )  # fmt: skip
