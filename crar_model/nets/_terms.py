"""Compiled loss terms of the dense agent and their gradients by hand.

`agent.loss.Loss` is the definition; `tests/crar_model/test_engine.py` and `test_losses_compiled.py` hold every term against its autograd.
Networks run on panels (`_panel`): 32 rows, feature by feature. `_update` trains by these terms and `_totals` draws landscapes of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from crar_model.core.compiled import numba
from crar_model.nets._blas import pointer
from crar_model.nets._panel import ROWS, network_backward, network_forward

ENCODER, TRANSITION, REWARD, DISCOUNT, VALUE = range(5)
T_TRANSITION, T_REWARD, T_DISCOUNT, T_BALL, T_RANDOM_PAIRS, T_CONSECUTIVE, T_VALUE, T_PAIRING = range(8)
"""Columns of a step's weights: the terms in the order of `agent.loss_compiled.COMPILED`, then `pairing`."""
C_DISCOUNT, C_RADIUS2, C_BALL_MAX, C_PAIR_MIN, C_PAIR_MAX, C_PAIR_SCALE, C_VALUE, C_DOUBLE = range(8)
"""Coefficients: discount factor, ball radius squared ... share of the value term, and 1 for double Q."""


@numba.njit(cache=True, nogil=True, error_model="numpy")
def panels(tiles: int, width: int) -> Any:  # pragma: no cover - compiled
    return np.zeros((tiles, width, ROWS), dtype=np.float32)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def stack(widths: Any, tiles: int) -> Any:  # pragma: no cover - compiled
    """Room for every layer's panels and the address of each."""
    room = np.zeros(widths.sum() * tiles * ROWS, dtype=np.float32)
    at = np.empty(widths.shape[0], dtype=np.int64)
    start = 0
    for layer in range(widths.shape[0]):
        at[layer] = room.ctypes.data + 4 * start
        start += widths[layer] * tiles * ROWS
    return room, at


@numba.njit(cache=True, nogil=True, error_model="numpy")
def pair_slope(squared: Any, scalars: Any) -> Any:  # pragma: no cover - compiled
    """Derivative of exp(-C sqrt(clip(s))) by s, 0 where the clip holds it."""
    if squared < scalars[C_PAIR_MIN] or squared > scalars[C_PAIR_MAX]:
        return np.float32(0)
    root = np.sqrt(squared)
    return np.float32(-scalars[C_PAIR_SCALE] * np.exp(-scalars[C_PAIR_SCALE] * root) / (np.float32(2) * root))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def structure_gradients(
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
            slope = weights[T_RANDOM_PAIRS] * share * np.float32(2) * pair_slope(squared, scalars)
            for c in range(d):
                part = slope * (x[b, c] - x[other, c])
                gx[b, c] += part
                gx[other, c] -= part
    if weights[T_CONSECUTIVE] != 0:
        for b in range(count):
            squared = np.float32(0)
            for c in range(d):
                squared += (x[b, c] - x_next[b, c]) * (x[b, c] - x_next[b, c])
            slope = weights[T_CONSECUTIVE] * share * np.float32(2) * pair_slope(squared, scalars)
            for c in range(d):
                part = slope * (x[b, c] - x_next[b, c])
                gx[b, c] += part
                gx_next[b, c] -= part
    if weights[T_PAIRING] != 0:
        for b in range(count):
            for c in range(d):
                gx[b, c] += weights[T_PAIRING] * share * np.float32(2) / np.float32(d) * (x[b, c] - anchor[b, c])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def dynamics_gradients(
    block: int, at: Any, grads: Any, first: Any, widths: Any, acts: Any, room: Any, back: Any, trained: bool, weight: Any, scalars: Any,
    x: Any, x_next: Any, action: Any, reward: Any, terminated: Any, gx: Any, gx_next: Any,
) -> float:  # fmt: skip # pragma: no cover - compiled
    """Add the gradient of `transition`, `reward` or `discount`; x and its kin are (batch, d). Returns what the term adds to the loss."""
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
    scale, twice = weight * np.float32(2) / np.float32(count), np.float64(0)
    for b in range(tiles * ROWS):
        tile, r = b // ROWS, b % ROWS
        for c in range(outputs):
            if b >= count:
                error = missed = np.float32(0)  # rows that fill the last panel
            elif block == TRANSITION:
                missed = x[b, c] + found[tile, c, r] - x_next[b, c]
                error = (np.float32(1) - terminated[b]) * scale / np.float32(d) * missed
                gx[b, c] += error
                gx_next[b, c] -= error
            elif block == REWARD:
                missed = found[tile, c, r] - reward[b]
                error = scale * missed
            else:
                missed = found[tile, c, r] - (np.float32(1) - terminated[b]) * scalars[C_DISCOUNT]
                error = scale * missed
            found[tile, c, r] = error
            twice += error * missed
    network_backward(at, grads, first, widths, 0, tiles, acts, acts[widths.shape[0] - 1], room, back, trained)
    read = numba.carray(pointer(back), (tiles, inputs, ROWS))
    for b in range(count):
        for c in range(d):
            gx[b, c] += read[b // ROWS, c, b % ROWS]
    return 0.5 * twice


@numba.njit(cache=True, nogil=True, error_model="numpy")
def value_gradients(
    at: Any, grads: Any, first: Any, widths: Any, acts: Any, room: Any, back: Any, trained: bool, weight: Any, scalars: Any,
    rows: int, picked: Any, following: Any, action: Any, reward: Any, terminated: Any, target: Any, errors: Any, ge: Any,
) -> float:  # fmt: skip # pragma: no cover - compiled
    """Add the gradient of `value`, each state's values computed once; acts[0] holds the abstract states of all rows, target (rows, A)
    their values by the target copy, errors is the address of (tiles, A, 32). Returns what the term adds to the loss."""
    count, outputs = picked.shape[0], widths[-1]
    tiles = (rows + ROWS - 1) // ROWS
    network_forward(at, first, widths, 0, tiles, acts)
    found = numba.carray(pointer(acts[widths.shape[0] - 1]), (tiles, outputs, ROWS))
    wrong = numba.carray(pointer(errors), (tiles, outputs, ROWS))
    for tile in range(tiles):
        for a in range(outputs):
            for r in range(ROWS):
                wrong[tile, a, r] = 0
    scale, twice = weight * scalars[C_VALUE] * np.float32(2) / np.float32(count), np.float64(0)
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
        missed = found[s // ROWS, taken, s % ROWS] - wanted
        wrong[s // ROWS, taken, s % ROWS] += scale * missed
        twice += scale * missed * missed
    network_backward(at, grads, first, widths, 0, tiles, acts, errors, room, back, trained)
    read = numba.carray(pointer(back), ge.shape)
    for tile in range(tiles):
        for c in range(ge.shape[1]):
            for r in range(ROWS):
                ge[tile, c, r] += read[tile, c, r]
    return 0.5 * twice


@numba.njit(cache=True, nogil=True, error_model="numpy")
def widths_of(widths: Any, starts: Any, block: int) -> Any:  # pragma: no cover - compiled
    return widths[starts[block] : starts[block + 1]]
