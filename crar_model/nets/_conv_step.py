"""What an update of the convolutional agent does with a gradient: clipping, RMSprop, and what follows from new weights, for the threads of a team."""

from __future__ import annotations

from typing import Any

import numpy as np

from crar_model.core.compiled import numba
from crar_model.nets._blas import pointer
from crar_model.nets._conv_state import derive, move_weights, step_layer, step_rows
from crar_model.nets._conv_terms import FIRST, GRADS, LAYERS, MADE, OF_PLANES, PARAMS, PLANE_GRADS, PLANES, TENSOR
from crar_model.nets._encoder import SIZES, TENSORS
from crar_model.nets._terms import ENCODER

S_PARTS, S_PART, S_POSITIONS, S_SQUARES, S_SLOT, S_ACTS, S_H, S_FRAME, S_BEST, S_BLOCKS, S_MOVED = range(11)
"""Sizes: parts and the rows of one; positions of an abstract state; where the running averages begin and the numbers of a slot's; a thread's room
for networks; where gradients begin, which the averages lie like."""
WHOLE = sum(SIZES)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def whole_numbers(
    team: Any, nets: Any, tables: Any, sizes: Any, room: int, at: Any, square_at: Any, trained: Any, out: bool
) -> None:  # fmt: skip # pragma: no cover - compiled
    """Networks from and to the tensors as they are stored; on the way in with what follows from the weights."""
    for n in range(nets.shape[0]):
        if n % team[1] != team[0]:
            continue
        net = nets[n]
        layers, own, planes = tables[net[FIRST] : net[FIRST] + net[LAYERS]], at[net[TENSOR] : net[TENSOR] + 2 * net[LAYERS]], net[PLANES]
        if trained[n + 1] or not out:
            move_weights(own, layers, planes, room + 4 * net[PARAMS], room + 4 * net[OF_PLANES], out)
        for slot in range(square_at.shape[0]):
            squares = square_at[slot, net[TENSOR] : net[TENSOR] + 2 * net[LAYERS]]
            if squares[0]:
                shift = room + 4 * (sizes[S_SQUARES] + slot * sizes[S_SLOT] - sizes[S_MOVED])
                move_weights(squares, layers, planes, shift + 4 * net[GRADS], shift + 4 * net[PLANE_GRADS], out)
        if not out:
            for layer in range(net[LAYERS]):
                derive(
                    layers[layer], planes if layer == 0 else 0, room + 4 * net[PARAMS], room + 4 * net[OF_PLANES], room + 4 * net[MADE], not out
                )  # fmt: skip


@numba.njit(cache=True, nogil=True, error_model="numpy")
def step_member(
    team: Any, nets: Any, tables: Any, sizes: Any, room: int, at: Any, encoder_grads: Any, square_at: Any, slot: int, takes: Any, norms: Any,
    rate: Any, optimiser: Any, per_tensor: bool, look: bool,
) -> bool:  # fmt: skip # pragma: no cover - compiled
    """RMSprop of what a step trains, this thread's share of the tensors; False where something was looked at and is not finite."""
    whole, finite, item = norm_of(norms, nets, takes), True, 0
    scales, clip = np.ones(2, dtype=np.float32), optimiser[2]
    for n in range(-1, nets.shape[0]):
        if not takes[n + 1]:
            continue
        for layer in range(TENSORS if n < 0 else nets[n, LAYERS]):
            item += 1
            if item % team[1] != team[0]:
                continue
            first = layer if n < 0 else nets[n, TENSOR] + 2 * layer
            for k in range(1 if n < 0 else 2):
                if clip > 0:
                    scales[k] = clip / max(np.sqrt(norms[first + k] if per_tensor else whole), clip)
            if n < 0:
                size = SIZES[layer]
                finite &= step_rows(
                    at[layer], encoder_grads[layer], square_at[slot, layer], size // size, size, size, scales[0], rate, optimiser[0], optimiser[1], look
                )  # fmt: skip
                continue
            net = nets[n]
            own, planes = tables[net[FIRST] + layer], net[PLANES] if layer == 0 else 0
            shift = room + 4 * (sizes[S_SQUARES] + slot * sizes[S_SLOT] - sizes[S_MOVED])
            packed, of_planes = room + 4 * net[PARAMS], room + 4 * net[OF_PLANES]
            finite &= step_layer(
                own, planes, packed, of_planes, room + 4 * net[GRADS], room + 4 * net[PLANE_GRADS], shift + 4 * net[GRADS],
                shift + 4 * net[PLANE_GRADS], scales, rate, optimiser[0], optimiser[1], look,
            )  # fmt: skip
            derive(own, planes, packed, of_planes, room + 4 * net[MADE], room == 0)
    return finite


@numba.njit(cache=True, nogil=True, error_model="numpy")
def norm_of(norms: Any, nets: Any, takes: Any) -> Any:  # pragma: no cover - compiled
    """Sum of squares of the whole gradient."""
    whole = np.float32(0)
    for t in range(TENSORS if takes[ENCODER] else 0):
        whole += norms[t]
    for n in range(nets.shape[0]):
        if takes[n + 1]:
            for t in range(nets[n, TENSOR], nets[n, TENSOR] + 2 * nets[n, LAYERS]):
                whole += norms[t]
    return whole


@numba.njit(cache=True, nogil=True, error_model="numpy")
def encoder_numbers(at: Any, squares: Any) -> Any:  # pragma: no cover - compiled
    """A copy of the encoder's parameters and averages, to go back to."""
    kept = np.empty((2, WHOLE), dtype=np.float32)
    encoder_copy(at, squares, kept, False)
    return kept


@numba.njit(cache=True, nogil=True, error_model="numpy")
def encoder_copy(at: Any, squares: Any, kept: Any, back: bool) -> None:  # pragma: no cover - compiled
    start = 0
    for t in range(TENSORS):
        size = SIZES[t]
        for row in range(2):
            address = squares[t] if row else at[t]
            if address:
                own = numba.carray(pointer(address), (size,))
                if back:
                    own[:] = kept[row, start : start + size]
                else:
                    kept[row, start : start + size] = own
        start += size
