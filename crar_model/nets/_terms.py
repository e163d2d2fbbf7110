"""Compiled loss terms of the dense agent and their gradients by hand.

`agent.loss.Loss` is the definition; `tests/crar_model/test_engine.py` and `test_losses_compiled.py` hold every term against its autograd.
Networks run on panels (`_panel`): 32 rows, feature by feature. `_update` trains by these terms and `_totals` draws landscapes of them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from crar_model.core.compiled import numba
from crar_model.nets._blas import kernel, place_of, pointer
from crar_model.nets._first import Observed, first_backward, first_forward
from crar_model.nets._panel import ROWS, Net, Room, aligned, network_backward, network_forward
from crar_model.nets._rmsprop import Optimiser

ENCODER, TRANSITION, REWARD, DISCOUNT, VALUE = range(5)
T_TRANSITION, T_REWARD, T_DISCOUNT, T_BALL, T_RANDOM_PAIRS, T_CONSECUTIVE, T_VALUE, T_PAIRING = range(8)
"""Columns of a step's weights: the terms in the order of `agent.loss_compiled.COMPILED`, then `pairing`."""
C_DISCOUNT, C_RADIUS2, C_BALL_MAX, C_PAIR_MIN, C_PAIR_MAX, C_PAIR_SCALE, C_VALUE, C_DOUBLE = range(8)
"""Coefficients: discount factor, ball radius squared ... share of the value term, and 1 for double Q."""


class Steps(NamedTuple):
    """What an update consists of."""

    weights: Any  # (steps, 8) of the terms
    rates: Any  # (steps,) share of the rate
    takes: Any  # (steps, tensors), of boards (steps, blocks): whether a step changes it
    trained: Any  # (blocks,) whether it trains
    scalars: Any  # coefficients
    optimiser: Optimiser


class Blocks(NamedTuple):
    """Layers of all blocks."""

    widths: Any  # block by block, input first
    starts: Any  # where a block begins among them


class Batch(NamedTuple):
    """What a batch says."""

    state: Any  # (batch,) rows of s
    next_state: Any  # (batch,) rows of s'
    action: Any  # (batch,)
    reward: Any  # (batch,)
    terminated: Any  # (batch,) ends
    target: Any  # (rows, A) values of every state by the target copy


class States(NamedTuple):
    """Abstract states of a batch, all (batch, d)."""

    x: Any  # of s
    x_next: Any  # of s'
    anchor: Any  # what `pairing` wants of s
    gx: Any  # gradient of x
    gx_next: Any  # gradient of x_next


@kernel
def states_for(count: int, d: int) -> States:
    """Room for those of a batch."""
    f = np.float32
    return States(
        np.zeros((count, d), f), np.zeros((count, d), f), np.zeros((count, d), f), np.zeros((count, d), f), np.zeros((count, d), f)
    )


@kernel
def _net(block: int, blocks: Blocks, at: Any, grads: Any, tiles: int) -> Net:
    """A block's network, with room for every layer's panels."""
    first, last = blocks.starts[block], blocks.starts[block + 1]
    widths, acts = blocks.widths[first:last], np.empty(last - first, dtype=np.int64)
    memory, start = aligned(widths.sum() * tiles * ROWS), 0
    memory[:] = 0
    for layer in range(widths.shape[0]):
        acts[layer] = place_of(memory) + 4 * start
        start += widths[layer] * tiles * ROWS
    own = slice(2 * (first - block), 2 * (last - block - 1))  # every layer has a weight and a bias
    return Net(widths, tiles, at[own], grads[own], acts, memory)


@kernel
def nets_for(blocks: Blocks, at: Any, grads: Any, state_tiles: int, batch_tiles: int) -> Any:
    """Networks of a member whose addresses `at` and `grads` hold; encoder and value see all states, and what the one gives the other reads."""
    encoder, value = _net(ENCODER, blocks, at, grads, state_tiles), _net(VALUE, blocks, at, grads, state_tiles)
    value.acts[0] = encoder.acts[encoder.acts.shape[0] - 1]
    return (
        encoder, _net(TRANSITION, blocks, at, grads, batch_tiles), _net(REWARD, blocks, at, grads, batch_tiles),
        _net(DISCOUNT, blocks, at, grads, batch_tiles), value,
    )  # fmt: skip


@kernel
def read(net: Net) -> Any:
    """What a network gives: (tiles, width, 32)."""
    last = net.acts.shape[0] - 1
    return numba.carray(pointer(net.acts[last]), (net.tiles, net.widths[last], ROWS))


@kernel
def encode(net: Net, observed: Observed) -> None:
    """Abstract states of all observations."""
    first_forward(net.at[0], net.at[1], net.acts[1], net.widths[1], observed)
    network_forward(net, 1)


@kernel
def encoder_backward(net: Net, room: Room, grad: Any, observed: Observed) -> None:
    """Gradients of the encoder's parameters from that of all abstract states (tiles, d, 32)."""
    hidden = network_backward(net, 1, place_of(grad), room, place_of(room.odd), True)
    first_backward(hidden, net.grads[0], net.grads[1], net.widths[1], observed)


@kernel
def pair_slope(squared: Any, scalars: Any) -> Any:
    """Derivative of exp(-C sqrt(clip(s))) by s, 0 where the clip holds it."""
    if squared < scalars[C_PAIR_MIN] or squared > scalars[C_PAIR_MAX]:
        return np.float32(0)
    root = np.sqrt(squared)
    return np.float32(-scalars[C_PAIR_SCALE] * np.exp(-scalars[C_PAIR_SCALE] * root) / (np.float32(2) * root))


@kernel
def structure_gradients(states: States, weights: Any, scalars: Any, positions: int) -> None:
    """Add the gradients of the terms that look at abstract states alone, with the `positions` of a channel side by side."""
    x, x_next, anchor, gx, gx_next = states
    count, d = x.shape
    share = np.float32(1) / np.float32(count)
    if weights[T_BALL] != 0:
        part = share / np.float32(positions)
        for b in range(count):
            for p in range(positions):
                largest = np.float32(0)
                for c in range(p, d, positions):
                    square = x[b, c] * x[b, c]
                    if not square <= largest:  # also what is not a number
                        largest = square
                excess = largest - scalars[C_RADIUS2]
                if not np.isfinite(largest):  # the definition's gradient is not finite either, and stops the member
                    gx[b, p] = np.nan
                    continue
                if excess < 0 or excess > scalars[C_BALL_MAX]:
                    continue
                ties = 0
                for c in range(p, d, positions):
                    ties += x[b, c] * x[b, c] == largest
                for c in range(p, d, positions):
                    if x[b, c] * x[b, c] == largest:
                        gx[b, c] += weights[T_BALL] * part * np.float32(2) * x[b, c] / np.float32(ties)
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


@kernel
def dynamics_gradients(
    block: int, net: Net, room: Room, trained: bool, weight: Any, scalars: Any, states: States, batch: Batch
) -> float:  # fmt: skip
    """Add the gradient of `transition`, `reward` or `discount`. Returns what the term adds to the loss."""
    (x, x_next, _, gx, gx_next), terminated = states, batch.terminated
    action, reward, (count, d) = batch.action, batch.reward, x.shape
    inputs, outputs, tiles = net.widths[0], net.widths[-1], net.tiles
    given = numba.carray(pointer(net.acts[0]), (tiles, inputs, ROWS))
    for b in range(count):
        tile, r = b // ROWS, b % ROWS
        for c in range(d):
            given[tile, c, r] = x[b, c]
        for c in range(d, inputs):
            given[tile, c, r] = action[b] == c - d
    network_forward(net, 0)
    found = read(net)
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
    back = place_of(room.back)
    network_backward(net, 0, net.acts[net.acts.shape[0] - 1], room, back, trained)
    into = numba.carray(pointer(back), (tiles, inputs, ROWS))
    for b in range(count):
        for c in range(d):
            gx[b, c] += into[b // ROWS, c, b % ROWS]
    return 0.5 * twice


@kernel
def value_gradients(net: Net, room: Room, trained: bool, weight: Any, scalars: Any, batch: Batch, grad: Any) -> float:
    """Add the gradient of `value` to that of all abstract states, (tiles, d, 32), each state's values computed once. Returns what the term
    adds to the loss."""
    state, following, action, reward, terminated, target = batch
    count, outputs, given, back = state.shape[0], net.widths[-1], place_of(room.given), place_of(room.back)
    wrong = numba.carray(pointer(given), (net.tiles, outputs, ROWS))
    network_forward(net, 0)
    found = read(net)
    wrong[:] = 0
    scale, twice = weight * scalars[C_VALUE] * np.float32(2) / np.float32(count), np.float64(0)
    for b in range(count):
        s, n = state[b], following[b]
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
    network_backward(net, 0, given, room, back, trained)
    into = numba.carray(pointer(back), grad.shape)
    for tile in range(grad.shape[0]):
        for c in range(grad.shape[1]):
            for r in range(ROWS):
                grad[tile, c, r] += into[tile, c, r]
    return 0.5 * twice
