"""The total loss of many points of a landscape and its gradient, compiled: a fixed batch, explicit pairs, smooth maxima in `ball`.

Points are taken one after the other, so that what a point has stays in a core's cache; the terms are those that training follows (`_terms`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from crar_model.core.compiled import numba
from crar_model.nets._blas import pointer
from crar_model.nets._first import first_backward, first_forward
from crar_model.nets._panel import ROWS, network_backward, network_forward
from crar_model.nets._terms import (
    C_PAIR_MAX,
    C_PAIR_MIN,
    C_PAIR_SCALE,
    C_RADIUS2,
    DISCOUNT,
    ENCODER,
    REWARD,
    T_CONSECUTIVE,
    T_RANDOM_PAIRS,
    T_VALUE,
    TRANSITION,
    VALUE,
    dynamics_gradients,
    pair_slope,
    panels,
    stack,
    value_gradients,
    widths_of,
)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _pairs(x: Any, grad: Any, one: Any, other: Any, weight: Any, scalars: Any) -> float:  # pragma: no cover - compiled
    """Add the gradient of a pairwise term over explicit pairs of rows of x (rows, d); returns what it adds to the loss."""
    count, d = one.shape[0], x.shape[1]
    share, found = weight / np.float32(count), 0.0
    for k in range(count):
        i, j = one[k], other[k]
        squared = np.float32(0)
        for c in range(d):
            squared += (x[i, c] - x[j, c]) * (x[i, c] - x[j, c])
        slope = share * np.float32(2) * pair_slope(squared, scalars)
        for c in range(d):
            part = slope * (x[i, c] - x[j, c])
            grad[i, c] += part
            grad[j, c] -= part
        root = np.sqrt(min(max(squared, scalars[C_PAIR_MIN]), scalars[C_PAIR_MAX]))
        found += share * np.exp(-scalars[C_PAIR_SCALE] * root)
    return found


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _smooth_ball(x: Any, grad: Any, states: Any, weights: Any, smoothing: Any, scalars: Any) -> float:  # pragma: no cover - compiled
    """Add the gradient of sum_i w_i smoothing logsumexp(pieces_i / smoothing); weights (states P,) hold the term's own. Returns the sum."""
    positions = weights.shape[0] // states.shape[0]
    found = 0.0
    for i in range(weights.shape[0]):
        row, position = states[i // positions], i % positions
        top = np.float32(0)
        for c in range(position, x.shape[1], positions):
            top = max(top, x[row, c] * x[row, c] - scalars[C_RADIUS2])
        parts = np.exp(-top / smoothing)
        for c in range(position, x.shape[1], positions):
            parts += np.exp((x[row, c] * x[row, c] - scalars[C_RADIUS2] - top) / smoothing)
        for c in range(position, x.shape[1], positions):
            share = np.exp((x[row, c] * x[row, c] - scalars[C_RADIUS2] - top) / smoothing) / parts
            grad[row, c] += weights[i] * share * np.float32(2) * x[row, c]
        found += weights[i] * (top + smoothing * np.log(parts))
    return found


@numba.njit(cache=True, nogil=True, error_model="numpy")
def totals_kernel(
    points: Any, gradients: Any, totals: Any, embedded: int, params: Any, param_steps: Any, grads: Any, grad_steps: Any, most_numbers: int,
    first: Any, widths: Any, starts: Any, trained: Any, weights: Any, scalars: Any, smoothing: Any, ball_states: Any, ball_weights: Any,
    pair_one: Any, pair_other: Any, rows: int, shared: Any, scale: Any, entries: Any, columns: Any, values: Any,
    state: Any, next_state: Any, action: Any, reward: Any, terminated: Any, wanted: Any, live: bool,
) -> int:  # fmt: skip # pragma: no cover - compiled
    """Totals (points,) and their gradients (points, n) at points (points, n).

    embedded: column where a point's abstract states (rows, d) begin, -1 where its encoder makes them. params, grads (tensors,): addresses of
    the first point's parameters and their gradients, and the bytes from one point to the next; an encoder that nobody asks has 0. first, starts: first
    tensor and first width of each block. weights: of the terms. ball_states (N,), ball_weights (N P,); pairs of rows; the batch: rows of s
    and s', actions, rewards, ends, and wanted values (batch,); where `live` is set these are not read, and a point's own values of s' take their
    place, as numbers without a gradient. The observations are scale (rows up to whole panels) times shared
    (pixels,), plus entries (row, column, value); with embedded points only the panels count.
    """
    tensors, count = params.shape[0], state.shape[0]
    encoder = widths_of(widths, starts, ENCODER)
    layers, d, units = encoder.shape[0] - 1, encoder[-1], encoder[1]
    state_tiles, batch_tiles = (rows + ROWS - 1) // ROWS, (count + ROWS - 1) // ROWS
    most = max(state_tiles, batch_tiles)
    room_e, acts_e = stack(encoder, state_tiles)
    room_t, acts_t = stack(widths_of(widths, starts, TRANSITION), batch_tiles)
    room_r, acts_r = stack(widths_of(widths, starts, REWARD), batch_tiles)
    room_g, acts_g = stack(widths_of(widths, starts, DISCOUNT), batch_tiles)
    room_q, acts_q = stack(widths_of(widths, starts, VALUE), state_tiles)
    acts_q[0] = acts_e[layers]
    widest = widths.max()
    one, two, turned = panels(most, widest), panels(most, widest), panels(1, widest)
    more = np.empty(most_numbers, dtype=np.float32)
    room = np.empty(4, dtype=np.int64)  # addresses are unsigned; one type of integer spares second compilations
    room[0], room[1], room[2], room[3] = one.ctypes.data, two.ctypes.data, turned.ctypes.data, more.ctypes.data
    returned, wrong = panels(most, widest), panels(state_tiles, widths_of(widths, starts, VALUE)[-1])
    back, errors = np.int64(returned.ctypes.data), np.int64(wrong.ctypes.data)
    embedding = numba.carray(pointer(acts_e[layers]), (state_tiles, d, ROWS))
    ge = panels(state_tiles, d)
    every, g_every = np.zeros((rows, d), dtype=np.float32), np.zeros((rows, d), dtype=np.float32)
    x, x_next = np.zeros((count, d), dtype=np.float32), np.zeros((count, d), dtype=np.float32)
    gx, gx_next = np.zeros((count, d), dtype=np.float32), np.zeros((count, d), dtype=np.float32)
    # A fixed wanted value is the reward of a move that ends all: no kernel of its own.
    over, unseen = terminated if live else np.ones(count, dtype=np.float32), np.zeros((rows, widths[-1]), dtype=np.float32)
    if live:
        wanted = reward
    own, into = np.empty(tensors, dtype=np.int64), np.empty(tensors, dtype=np.int64)
    for k in range(points.shape[0]):
        for t in range(tensors):
            own[t], into[t] = params[t] + k * param_steps[t], grads[t] + k * grad_steps[t]
        if embedded < 0:
            first_forward(own[0], own[1], acts_e[1], units, shared, scale, entries, columns, values)
            network_forward(own, first[ENCODER], encoder, 1, state_tiles, acts_e)
        else:
            for i in range(rows):
                for c in range(d):
                    embedding[i // ROWS, c, i % ROWS] = points[k, embedded + i * d + c]
        for i in range(rows):
            for c in range(d):
                every[i, c] = embedding[i // ROWS, c, i % ROWS]
        for b in range(count):
            for c in range(d):
                x[b, c], x_next[b, c] = every[state[b], c], every[next_state[b], c]
        g_every[:], gx[:], gx_next[:], ge[:] = 0, 0, 0, 0
        total = _smooth_ball(every, g_every, ball_states, ball_weights, smoothing, scalars)
        if weights[T_RANDOM_PAIRS] != 0:
            total += _pairs(every, g_every, pair_one, pair_other, weights[T_RANDOM_PAIRS], scalars)
        if weights[T_CONSECUTIVE] != 0:
            total += _pairs(every, g_every, state, next_state, weights[T_CONSECUTIVE], scalars)
        for block in (TRANSITION, REWARD, DISCOUNT):
            if weights[block - 1] != 0:
                acts = acts_t if block == TRANSITION else acts_r if block == REWARD else acts_g
                total += dynamics_gradients(
                    block, own, into, first[block], widths_of(widths, starts, block), acts, room, back, trained[block],
                    weights[block - 1], scalars, x, x_next, action, reward, terminated, gx, gx_next,
                )  # fmt: skip
        if weights[T_VALUE] != 0:
            if live:
                values_of = widths_of(widths, starts, VALUE)
                network_forward(own, first[VALUE], values_of, 0, state_tiles, acts_q)
                following = numba.carray(pointer(acts_q[values_of.shape[0] - 1]), (state_tiles, values_of[-1], ROWS))
                for i in range(rows):
                    for a in range(values_of[-1]):
                        unseen[i, a] = following[i // ROWS, a, i % ROWS]
            total += value_gradients(
                own, into, first[VALUE], widths_of(widths, starts, VALUE), acts_q, room, back, trained[VALUE], weights[T_VALUE],
                scalars, rows, state, next_state, action, wanted, over, unseen, errors, ge,
            )  # fmt: skip
        totals[k] = total
        for b in range(count):
            for c in range(d):
                g_every[state[b], c] += gx[b, c]
                g_every[next_state[b], c] += gx_next[b, c]
        for i in range(rows):
            for c in range(d):
                ge[i // ROWS, c, i % ROWS] += g_every[i, c]
        if embedded >= 0:
            for i in range(rows):
                for c in range(d):
                    gradients[k, embedded + i * d + c] = ge[i // ROWS, c, i % ROWS]
        elif trained[ENCODER]:
            hidden = network_backward(
                own, into, first[ENCODER], encoder, 1, state_tiles, acts_e, np.int64(ge.ctypes.data), room, room[1], True
            )  # fmt: skip
            first_backward(hidden, into[0], into[1], units, shared, scale, entries, columns, values)
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
