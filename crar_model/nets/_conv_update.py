"""Compiled updates of the convolutional agent of tile maps: loss terms, gradients, clipping and RMSprop, without Python between two updates.

A member's updates are computed by the threads of a team (`_team`), each of which runs this code. What they share is cut by sizes alone: pieces
of the encoder, parts of a batch, layers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from crar_model.core.compiled import numba
from crar_model.nets._blas import pointer
from crar_model.nets._conv_state import move_weights, sum_parts
from crar_model.nets._conv_step import (
    S_ACTS,
    S_BEST,
    S_BLOCKS,
    S_FRAME,
    S_H,
    S_PART,
    S_PARTS,
    S_POSITIONS,
    encoder_copy,
    encoder_numbers,
    norm_of,
    step_member,
    whole_numbers,
)  # fmt: skip
from crar_model.nets._conv_terms import (
    FIRST,
    GRADS,
    INTO,
    LAYERS,
    OUT,
    PACKED,
    PLANE_GRADS,
    PLANE_SUMS,
    PLANES,
    SUMS,
    TENSOR,
    part_of_term,
    room_for_networks,
)  # fmt: skip
from crar_model.nets._encoder import SIZES, TENSORS, encode_pieces, pack_encoder
from crar_model.nets._encoder_backward import encoder_gradient
from crar_model.nets._pieces import find_pieces
from crar_model.nets._rmsprop import HUGE, _sum_squares
from crar_model.nets._team import bounds, meet
from crar_model.nets._terms import C_DOUBLE, ENCODER, T_CONSECUTIVE, T_TRANSITION, T_VALUE, TRANSITION, VALUE, structure_gradients

PARTS = 2
"""Parts that the rows of a batch are cut into where gradients are summed: twice the number of networks is what can be computed side by side."""
ORDER = (0, 3, 1, 2)
"""Networks by their work, the largest first: transition, value, reward, discount."""


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _state_gradient(
    team: Any, nets: Any, sizes: Any, room: int, weights: Any, both: bool, gx: Any, gx_next: Any, g: Any
) -> None:  # fmt: skip # pragma: no cover - compiled
    """Gradient of the abstract states, g (2 batch, d): of the terms on states alone, then of each network's."""
    batch, d = gx.shape
    first, last = bounds(team, batch)
    for b in range(first, last):
        for k in range(d):
            g[b, k] = gx[b, k]
        if both:
            for k in range(d):
                g[batch + b, k] = gx_next[b, k]
        for n in range(4):
            if weights[(0, 1, 2, T_VALUE)[n]] == 0:
                continue
            net = nets[n]
            planes = net[PLANES]
            into = numba.carray(pointer(room + 4 * (net[INTO] + b * (planes + d))), (planes + d,))
            for k in range(d):
                g[b, k] += into[planes + k]
            if n + 1 == TRANSITION:
                missed = numba.carray(pointer(room + 4 * (net[OUT] + b * d)), (d,))
                for k in range(d):
                    g[b, k] += missed[k]
                    g[batch + b, k] -= missed[k]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def conv_updates(
    team: Any, tables: Any, nets: Any, sizes: Any, memory: Any, at: Any, square_at: Any, encoder_grads: Any, trained: Any, step_weights: Any,
    step_rate: Any, step_takes: Any, scalars: Any, optimiser: Any, per_tensor: bool, safe_rate: float, patches: Any, inside: Any, values: Any,
    windows: Any, places: Any, pieces: Any, encoder_room: Any, packed: Any, x: Any, given: Any, gx: Any, gx_next: Any, g: Any, action: Any,
    reward: Any, terminated: Any, targets: Any, anchors: Any, rates: Any, alive: Any, norms: Any, flags: Any, gradient_only: bool,
) -> None:  # fmt: skip # pragma: no cover - compiled
    """Updates of one member, in place.

    at, square_at (slots, tensors): addresses of its tensors, 0 for what a slot lacks, block by block; a slot is a step's. places (updates, cells):
    of boards of s, then of s', in the index. action ... (updates, batch); targets (updates, batch, A) values of s' by the target copy; anchors
    (updates or 1, batch, d); flags (7,): what threads tell each other. A call with `gradient_only` takes no step and leaves the last step's
    gradient where `encoder_grads` point, for every tensor of what trains.
    """
    room, updates, batch, d = np.int64(memory.ctypes.data), action.shape[0], action.shape[1], x.shape[1]
    mine = room_for_networks(sizes[S_ACTS], sizes[S_H], sizes[S_FRAME], sizes[S_BEST], sizes[S_BLOCKS])
    counts, parts = np.zeros((2, 3), dtype=np.int64), sizes[S_PARTS]
    going = bool(alive[0])
    whole_numbers(team, nets, tables, sizes, room, at, square_at, trained, updates < 0)
    meet(team)
    for update in range(updates):
        if not going:
            break
        if team[0] == 0:
            find_pieces(values, windows, places[update], batch, pieces, counts)
            for k in range(6):
                flags[k] = counts[k // 3, k % 3]
        meet(team)
        for k in range(6):
            counts[k // 3, k % 3] = flags[k]
        for step in range(step_weights.shape[0]):
            weights, rate = step_weights[step], np.float32(rates[update] * step_rate[step])
            both = weights[T_TRANSITION] != 0 or weights[T_CONSECUTIVE] != 0
            seen = both or (weights[T_VALUE] != 0 and scalars[C_DOUBLE] != 0)
            if team[0] == 0:
                pack_encoder(at, packed)
            meet(team)
            rows = 2 * batch if seen else batch
            encode_pieces(team, packed, patches, inside, pieces, counts[1 if seen else 0], rows, encoder_room, x)
            first, last = bounds(team, batch)
            meet(team)
            for b in range(first, last):
                for a in range(given.shape[1] - d):
                    given[b, a] = action[update, b] == a
                for k in range(d):
                    given[b, given.shape[1] - d + k] = x[b, k]
            meet(team)
            if team[0] == team[1] - 1:
                gx[:], gx_next[:] = 0, 0
                anchor = anchors[min(update, anchors.shape[0] - 1)]
                structure_gradients(x[:batch], x[batch:], anchor, weights, scalars, sizes[S_POSITIONS], gx, gx_next)
            for item in range(4 * parts):
                n, part = ORDER[item // parts], item % parts
                if item % team[1] != team[0] or weights[T_VALUE if n + 1 == VALUE else n] == 0:
                    continue
                begin = part * sizes[S_PART]
                part_of_term(
                    n + 1, nets[n], tables[nets[n, FIRST] : nets[n, FIRST] + nets[n, LAYERS]], part, begin, min(sizes[S_PART], batch - begin),
                    weights[T_VALUE if n + 1 == VALUE else n], trained[n + 1], scalars, room, x, given, action[update], reward[update],
                    terminated[update], targets[update], mine,
                )  # fmt: skip
            meet(team)
            if trained[ENCODER]:
                _state_gradient(team, nets, sizes, room, weights, both, gx, gx_next, g)
                meet(team)
                encoder_gradient(
                    team, packed, patches, inside, pieces, counts[1 if both else 0], 2 * batch if both else batch, encoder_room, g, encoder_grads
                )  # fmt: skip
                if team[0] == 0:
                    for t in range(TENSORS):
                        norms[t] = _sum_squares(numba.carray(pointer(encoder_grads[t]), (SIZES[t],)))
            item = 0
            for n in range(4):
                if not step_takes[step, n + 1]:
                    continue
                net = nets[n]
                for layer in range(net[LAYERS]):
                    item += 1
                    if team[1] > 1 and item % (team[1] - 1) != team[0] - 1:  # the first thread has the end of the encoder's gradient
                        continue
                    tensor = net[TENSOR] + 2 * layer
                    sum_parts(
                        tables[net[FIRST] + layer], net[PLANES] if layer == 0 else 0, parts, room + 4 * net[SUMS], net[PACKED],
                        room + 4 * net[PLANE_SUMS], room + 4 * net[GRADS], room + 4 * net[PLANE_GRADS], norms[tensor : tensor + 2],
                    )  # fmt: skip
            meet(team)
            if gradient_only:
                continue
            whole = norm_of(norms, nets, step_takes[step])
            if not np.isfinite(whole):
                going = False
                break
            if abs(rate) < safe_rate and whole < HUGE:
                step_member(
                    team, nets, tables, sizes, room, at, encoder_grads, square_at, step, step_takes[step], norms, rate, optimiser, per_tensor, updates < 0
                )  # fmt: skip
                meet(team)
                continue
            if team[0] == 0:  # on trial, by one thread
                before, encoder = memory.copy(), encoder_numbers(at, square_at[step])
                one = np.zeros(4, dtype=np.int64)
                one[1] = 1
                taken = step_member(
                    one, nets, tables, sizes, room, at, encoder_grads, square_at, step, step_takes[step], norms, rate, optimiser, per_tensor, updates >= 0
                )  # fmt: skip
                if not taken:
                    memory[:] = before
                    encoder_copy(at, square_at[step], encoder, True)
                flags[6] = 1 if taken else 0
            meet(team)
            if flags[6] == 0:
                going = False
                break
    if gradient_only:
        for n in range(4):
            if n % team[1] == team[0] and trained[n + 1]:
                net = nets[n]
                layers, own = tables[net[FIRST] : net[FIRST] + net[LAYERS]], encoder_grads[net[TENSOR] : net[TENSOR] + 2 * net[LAYERS]]
                move_weights(own, layers, net[PLANES], room + 4 * net[GRADS], room + 4 * net[PLANE_GRADS], True)
    else:
        whole_numbers(team, nets, tables, sizes, room, at, square_at, trained, updates >= 0)
    if team[0] == 0:
        alive[0] = going
