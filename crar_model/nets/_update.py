"""Compiled updates of the dense agent: gradients of the loss terms (`_terms`), clipping and RMSprop, without Python between two updates.

Members are taken one after the other, each through all updates of a call, so that what a member has stays in a core's cache and no member
depends on another.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from crar_model.core.compiled import numba
from crar_model.nets._blas import pointer
from crar_model.nets._first import first_backward, first_forward
from crar_model.nets._panel import ROWS, network_backward, network_forward
from crar_model.nets._rmsprop import step_member
from crar_model.nets._terms import (
    DISCOUNT,
    ENCODER,
    REWARD,
    T_PAIRING,
    T_VALUE,
    TRANSITION,
    VALUE,
    dynamics_gradients,
    panels,
    stack,
    structure_gradients,
    value_gradients,
    widths_of,
)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def update_kernel(
    params: Any, grads: Any, squares: Any, sizes: Any, first: Any, widths: Any, starts: Any, trained: Any,
    step_weights: Any, step_slot: Any, step_rate: Any, step_tensors: Any, rates: Any, alive: Any, optimiser: Any, per_tensor: bool,
    safe_rate: float, scalars: Any, rows: int, shared: Any, scale: Any, entries: Any, columns: Any, values: Any,
    state: Any, next_state: Any, action: Any, reward: Any, terminated: Any, target: Any, anchors: Any, gradient_only: bool,
) -> int:  # fmt: skip # pragma: no cover - compiled
    """Updates of every living member, in place.

    params (tensors,), squares (slots, tensors): addresses of the first member's numbers, 0 for what a slot lacks; grads (tensors,): of
    room for one member, which a call with `gradient_only` leaves behind instead of taking steps. first, starts: first tensor and first
    width of each block. step_tensors (steps, tensors): what a step trains. rates (updates, members). state ... (updates, members, batch).
    target (members, rows, A) values of the target copy; anchors (members, rows or 0, d). The observations are scale (rows up to whole
    panels) times shared (pixels,), plus entries (row, column, value).
    """
    updates, members, count = state.shape
    steps, tensors = step_tensors.shape
    encoder = widths_of(widths, starts, ENCODER)
    layers, d, units = encoder.shape[0] - 1, encoder[-1], encoder[1]
    state_tiles, batch_tiles = scale.shape[0] // ROWS, (count + ROWS - 1) // ROWS
    most = max(state_tiles, batch_tiles)
    room_e, acts_e = stack(encoder, state_tiles)
    room_t, acts_t = stack(widths_of(widths, starts, TRANSITION), batch_tiles)
    room_r, acts_r = stack(widths_of(widths, starts, REWARD), batch_tiles)
    room_g, acts_g = stack(widths_of(widths, starts, DISCOUNT), batch_tiles)
    room_q, acts_q = stack(widths_of(widths, starts, VALUE), state_tiles)
    acts_q[0] = acts_e[layers]
    widest = widths.max()
    one, two, turned = panels(most, widest), panels(most, widest), panels(1, widest)
    more = np.empty(sizes.max() if most > 1 else 1, dtype=np.float32)
    room = np.empty(4, dtype=np.int64)  # addresses are unsigned; one type of integer spares second compilations
    room[0], room[1], room[2], room[3] = one.ctypes.data, two.ctypes.data, turned.ctypes.data, more.ctypes.data
    returned, wrong = panels(most, widest), panels(state_tiles, widths_of(widths, starts, VALUE)[-1])
    back, errors = np.int64(returned.ctypes.data), np.int64(wrong.ctypes.data)
    embedding = numba.carray(pointer(acts_e[layers]), (state_tiles, d, ROWS))
    ge = panels(state_tiles, d)
    x, x_next = np.zeros((count, d), dtype=np.float32), np.zeros((count, d), dtype=np.float32)
    gx, gx_next = np.zeros((count, d), dtype=np.float32), np.zeros((count, d), dtype=np.float32)
    anchor = np.zeros((count, d), dtype=np.float32)
    own, shift = np.empty(tensors, dtype=np.int64), np.empty(tensors, dtype=np.int64)
    at_param, at_grad = np.empty(tensors, dtype=np.int64), np.empty(tensors, dtype=np.int64)
    at_square, run_sizes = np.empty(tensors, dtype=np.int64), np.empty(tensors, dtype=np.int64)
    for member in range(members):
        for t in range(tensors):
            shift[t] = 4 * member * sizes[t]
            own[t] = params[t] + shift[t]
        for update in range(updates):
            if not alive[member]:
                break
            s, n, a = state[update, member], next_state[update, member], action[update, member]
            r, ended = reward[update, member], terminated[update, member]
            for step in range(steps):
                weights = step_weights[step]
                first_forward(own[0], own[1], acts_e[1], units, shared, scale, entries, columns, values)
                network_forward(own, first[ENCODER], encoder, 1, state_tiles, acts_e)
                for b in range(count):
                    for c in range(d):
                        x[b, c] = embedding[s[b] // ROWS, c, s[b] % ROWS]
                        x_next[b, c] = embedding[n[b] // ROWS, c, n[b] % ROWS]
                        gx[b, c], gx_next[b, c] = 0, 0
                        if weights[T_PAIRING] != 0:
                            anchor[b, c] = anchors[member, s[b], c]
                for tile in range(state_tiles):
                    for c in range(d):
                        for row in range(ROWS):
                            ge[tile, c, row] = 0
                structure_gradients(x, x_next, anchor, weights, scalars, 1, gx, gx_next)
                for block in (TRANSITION, REWARD, DISCOUNT):
                    if weights[block - 1] != 0:
                        acts = acts_t if block == TRANSITION else acts_r if block == REWARD else acts_g
                        dynamics_gradients(
                            block, own, grads, first[block], widths_of(widths, starts, block), acts, room, back, trained[block],
                            weights[block - 1], scalars, x, x_next, a, r, ended, gx, gx_next,
                        )  # fmt: skip
                if weights[T_VALUE] != 0:
                    value_gradients(
                        own, grads, first[VALUE], widths_of(widths, starts, VALUE), acts_q, room, back, trained[VALUE], weights[T_VALUE],
                        scalars, rows, s, n, a, r, ended, target[member], errors, ge,
                    )  # fmt: skip
                if trained[ENCODER]:
                    for b in range(count):
                        for c in range(d):
                            ge[s[b] // ROWS, c, s[b] % ROWS] += gx[b, c]
                            ge[n[b] // ROWS, c, n[b] % ROWS] += gx_next[b, c]
                    hidden = network_backward(
                        own,
                        grads,
                        first[ENCODER],
                        encoder,
                        1,
                        state_tiles,
                        acts_e,
                        np.int64(ge.ctypes.data),
                        room,
                        room[1],
                        trained[ENCODER],
                    )
                    first_backward(hidden, grads[0], grads[1], units, shared, scale, entries, columns, values)
                if gradient_only:
                    continue
                used = 0
                for t in range(tensors):
                    if step_tensors[step, t]:
                        run_sizes[used], at_param[used], at_grad[used] = sizes[t], own[t], grads[t]
                        at_square[used] = squares[step_slot[step], t] + shift[t]
                        used += 1
                alive[member] = step_member(
                    at_param[:used], at_grad[:used], at_square[:used], run_sizes[:used], np.float32(rates[update, member] * step_rate[step]),
                    optimiser[0], optimiser[1], optimiser[2], per_tensor, safe_rate,
                )  # fmt: skip
                if not alive[member]:
                    break
    # What only addresses point at must live until here: Numba gives arrays up after their last use.
    return (
        len(room_e)
        + len(room_t)
        + len(room_r)
        + len(room_g)
        + len(room_q)
        + len(one)
        + len(two)
        + len(turned)
        + len(more)
        + len(returned)
        + len(wrong)
    )
