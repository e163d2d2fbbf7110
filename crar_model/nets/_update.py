"""Compiled updates of the dense agent: loss terms, their gradient by hand, clipping and RMSprop, without Python between two updates.

`losses.loss_terms` is the definition; `tests/crar_model/test_engine.py` holds the gradient of every term against its autograd. Members are
taken one after the other, each through all updates of a call, so that what a member has stays in a core's cache and no member
depends on another. Batches live on panels (`_panel`): 32 rows, feature by feature.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from crar_model.compiled import numba
from crar_model.nets._blas import pointer
from crar_model.nets._first import first_backward, first_forward
from crar_model.nets._panel import ROWS, network_backward, network_forward
from crar_model.nets._rmsprop import step_member

ENCODER, TRANSITION, REWARD, DISCOUNT, VALUE = range(5)
T_TRANSITION, T_REWARD, T_DISCOUNT, T_BALL, T_RANDOM_PAIRS, T_CONSECUTIVE, T_VALUE, T_PAIRING = range(8)
"""Columns of a step's weights: the terms in the order of `losses.FOLLOWED`, then `pairing`."""
C_DISCOUNT, C_RADIUS2, C_BALL_MAX, C_PAIR_MIN, C_PAIR_MAX, C_PAIR_SCALE, C_VALUE, C_DOUBLE = range(8)
"""Coefficients: discount factor, ball radius squared ... share of the value term, and 1 for double Q."""


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _panels(tiles: int, width: int) -> Any:  # pragma: no cover - compiled
    return np.zeros((tiles, width, ROWS), dtype=np.float32)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _stack(widths: Any, tiles: int) -> Any:  # pragma: no cover - compiled
    """Room for every layer's panels and the address of each."""
    room = np.zeros(widths.sum() * tiles * ROWS, dtype=np.float32)
    at = np.empty(widths.shape[0], dtype=np.int64)
    start = 0
    for layer in range(widths.shape[0]):
        at[layer] = room.ctypes.data + 4 * start
        start += widths[layer] * tiles * ROWS
    return room, at


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _pair_slope(squared: Any, scalars: Any) -> Any:  # pragma: no cover - compiled
    """Derivative of exp(-C sqrt(clip(s))) by s, 0 where the clip holds it."""
    if squared < scalars[C_PAIR_MIN] or squared > scalars[C_PAIR_MAX]:
        return np.float32(0)
    root = np.sqrt(squared)
    return np.float32(-scalars[C_PAIR_SCALE] * np.exp(-scalars[C_PAIR_SCALE] * root) / (np.float32(2) * root))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _structure_gradients(
    x: Any, x_next: Any, anchor: Any, weights: Any, scalars: Any, gx: Any, gx_next: Any
) -> None:  # fmt: skip # pragma: no cover - compiled
    """Add the gradients of the terms that look at abstract states alone; all (batch, d)."""
    count, d = x.shape
    share = np.float32(1) / np.float32(count)
    if weights[T_BALL] != 0:
        for b in range(count):
            largest = np.float32(0)
            for c in range(d):
                square = x[b, c] * x[b, c]
                if not square <= largest:  # also what is not a number
                    largest = square
            excess = largest - scalars[C_RADIUS2]
            if not np.isfinite(largest):  # the definition's gradient is not finite either, and stops the member
                gx[b, 0] = np.nan
                continue
            if excess < 0 or excess > scalars[C_BALL_MAX]:
                continue
            ties = 0
            for c in range(d):
                ties += x[b, c] * x[b, c] == largest
            for c in range(d):
                if x[b, c] * x[b, c] == largest:
                    gx[b, c] += weights[T_BALL] * share * np.float32(2) * x[b, c] / np.float32(ties)
    if weights[T_RANDOM_PAIRS] != 0:
        for b in range(count):
            other = b - 1 if b > 0 else count - 1
            squared = np.float32(0)
            for c in range(d):
                squared += (x[b, c] - x[other, c]) * (x[b, c] - x[other, c])
            slope = weights[T_RANDOM_PAIRS] * share * np.float32(2) * _pair_slope(squared, scalars)
            for c in range(d):
                part = slope * (x[b, c] - x[other, c])
                gx[b, c] += part
                gx[other, c] -= part
    if weights[T_CONSECUTIVE] != 0:
        for b in range(count):
            squared = np.float32(0)
            for c in range(d):
                squared += (x[b, c] - x_next[b, c]) * (x[b, c] - x_next[b, c])
            slope = weights[T_CONSECUTIVE] * share * np.float32(2) * _pair_slope(squared, scalars)
            for c in range(d):
                part = slope * (x[b, c] - x_next[b, c])
                gx[b, c] += part
                gx_next[b, c] -= part
    if weights[T_PAIRING] != 0:
        for b in range(count):
            for c in range(d):
                gx[b, c] += weights[T_PAIRING] * share * np.float32(2) / np.float32(d) * (x[b, c] - anchor[b, c])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _dynamics_gradients(
    block: int, at: Any, grads: Any, first: Any, widths: Any, acts: Any, room: Any, back: Any, trained: bool, weight: Any, scalars: Any,
    x: Any, x_next: Any, action: Any, reward: Any, terminated: Any, gx: Any, gx_next: Any,
) -> None:  # fmt: skip # pragma: no cover - compiled
    """Add the gradient of `transition`, `reward` or `discount`; x and its kin are (batch, d)."""
    count, d = x.shape
    inputs, outputs = widths[0], widths[-1]
    tiles = (count + ROWS - 1) // ROWS
    given = numba.carray(pointer(acts[0]), (tiles, inputs, ROWS))
    for b in range(count):
        tile, r = b // ROWS, b % ROWS
        for c in range(d):
            given[tile, c, r] = x[b, c]
        for c in range(d, inputs):
            given[tile, c, r] = action[b] == c - d
    network_forward(at, first, widths, 0, tiles, acts)
    found = numba.carray(pointer(acts[widths.shape[0] - 1]), (tiles, outputs, ROWS))
    scale = weight * np.float32(2) / np.float32(count)
    for b in range(tiles * ROWS):
        tile, r = b // ROWS, b % ROWS
        for c in range(outputs):
            if b >= count:
                error = np.float32(0)  # rows that fill the last panel
            elif block == TRANSITION:
                error = (np.float32(1) - terminated[b]) * scale / np.float32(d) * (x[b, c] + found[tile, c, r] - x_next[b, c])
                gx[b, c] += error
                gx_next[b, c] -= error
            elif block == REWARD:
                error = scale * (found[tile, c, r] - reward[b])
            else:
                error = scale * (found[tile, c, r] - (np.float32(1) - terminated[b]) * scalars[C_DISCOUNT])
            found[tile, c, r] = error
    network_backward(at, grads, first, widths, 0, tiles, acts, acts[widths.shape[0] - 1], room, back, trained)
    read = numba.carray(pointer(back), (tiles, inputs, ROWS))
    for b in range(count):
        for c in range(d):
            gx[b, c] += read[b // ROWS, c, b % ROWS]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _value_gradients(
    at: Any, grads: Any, first: Any, widths: Any, acts: Any, room: Any, back: Any, trained: bool, weight: Any, scalars: Any,
    rows: int, picked: Any, following: Any, action: Any, reward: Any, terminated: Any, target: Any, errors: Any, ge: Any,
) -> None:  # fmt: skip # pragma: no cover - compiled
    """Add the gradient of `value`, each state's values computed once; acts[0] holds the abstract states of all rows, target (rows, A)
    their values by the target copy, errors is the address of (tiles, A, 32)."""
    count, outputs = picked.shape[0], widths[-1]
    tiles = (rows + ROWS - 1) // ROWS
    network_forward(at, first, widths, 0, tiles, acts)
    found = numba.carray(pointer(acts[widths.shape[0] - 1]), (tiles, outputs, ROWS))
    wrong = numba.carray(pointer(errors), (tiles, outputs, ROWS))
    for tile in range(tiles):
        for a in range(outputs):
            for r in range(ROWS):
                wrong[tile, a, r] = 0
    scale = weight * scalars[C_VALUE] * np.float32(2) / np.float32(count)
    for b in range(count):
        s, n = picked[b], following[b]
        best = 0
        for a in range(1, outputs):
            if scalars[C_DOUBLE] != 0:
                if found[n // ROWS, a, n % ROWS] > found[n // ROWS, best, n % ROWS]:
                    best = a
            elif target[n, a] > target[n, best]:
                best = a
        wanted = reward[b] + (np.float32(1) - terminated[b]) * scalars[C_DISCOUNT] * target[n, best]
        taken = action[b]
        wrong[s // ROWS, taken, s % ROWS] += scale * (found[s // ROWS, taken, s % ROWS] - wanted)
    network_backward(at, grads, first, widths, 0, tiles, acts, errors, room, back, trained)
    read = numba.carray(pointer(back), ge.shape)
    for tile in range(tiles):
        for c in range(ge.shape[1]):
            for r in range(ROWS):
                ge[tile, c, r] += read[tile, c, r]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _widths_of(widths: Any, starts: Any, block: int) -> Any:  # pragma: no cover - compiled
    return widths[starts[block] : starts[block + 1]]


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
    encoder = _widths_of(widths, starts, ENCODER)
    layers, d, units = encoder.shape[0] - 1, encoder[-1], encoder[1]
    state_tiles, batch_tiles = scale.shape[0] // ROWS, (count + ROWS - 1) // ROWS
    most = max(state_tiles, batch_tiles)
    room_e, acts_e = _stack(encoder, state_tiles)
    room_t, acts_t = _stack(_widths_of(widths, starts, TRANSITION), batch_tiles)
    room_r, acts_r = _stack(_widths_of(widths, starts, REWARD), batch_tiles)
    room_g, acts_g = _stack(_widths_of(widths, starts, DISCOUNT), batch_tiles)
    room_q, acts_q = _stack(_widths_of(widths, starts, VALUE), state_tiles)
    acts_q[0] = acts_e[layers]
    widest = widths.max()
    one, two, turned = _panels(most, widest), _panels(most, widest), _panels(1, widest)
    more = np.empty(sizes.max() if most > 1 else 1, dtype=np.float32)
    room = np.empty(4, dtype=np.int64)  # addresses are unsigned; one type of integer spares second compilations
    room[0], room[1], room[2], room[3] = one.ctypes.data, two.ctypes.data, turned.ctypes.data, more.ctypes.data
    returned, wrong = _panels(most, widest), _panels(state_tiles, _widths_of(widths, starts, VALUE)[-1])
    back, errors = np.int64(returned.ctypes.data), np.int64(wrong.ctypes.data)
    embedding = numba.carray(pointer(acts_e[layers]), (state_tiles, d, ROWS))
    ge = _panels(state_tiles, d)
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
                _structure_gradients(x, x_next, anchor, weights, scalars, gx, gx_next)
                for block in (TRANSITION, REWARD, DISCOUNT):
                    if weights[block - 1] != 0:
                        acts = acts_t if block == TRANSITION else acts_r if block == REWARD else acts_g
                        _dynamics_gradients(
                            block, own, grads, first[block], _widths_of(widths, starts, block), acts, room, back, trained[block],
                            weights[block - 1], scalars, x, x_next, a, r, ended, gx, gx_next,
                        )  # fmt: skip
                if weights[T_VALUE] != 0:
                    _value_gradients(
                        own, grads, first[VALUE], _widths_of(widths, starts, VALUE), acts_q, room, back, trained[VALUE], weights[T_VALUE],
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
