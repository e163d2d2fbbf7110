"""The total loss of many points of a landscape and its gradient, compiled: a fixed batch, explicit pairs, smooth maxima in `ball`.

Points are taken one after the other, so that what a point has stays in a core's cache; the terms are those that training follows (`_terms`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from crar_model.nets import _terms as terms
from crar_model.nets._blas import kernel
from crar_model.nets._first import Observed
from crar_model.nets._panel import ROWS, network_forward, room_for


class Points(NamedTuple):
    """Points and what comes out."""

    numbers: Any  # (points, n)
    gradients: Any  # (points, n)
    totals: Any  # (points,)
    embedded: int  # column where a point's abstract states (rows, d) begin, -1 where its encoder makes them
    params: Any  # (tensors,) addresses of the first point's parameters, 0 for an encoder that nobody asks
    grads: Any  # (tensors,) and of their gradients
    steps: Any  # (tensors,) bytes from one point to the next
    largest: int  # most numbers of a parameter


class Loss(NamedTuple):
    """A total loss."""

    weights: Any  # of the terms
    scalars: Any
    trained: Any  # (blocks,) whether a block moves
    smoothing: Any  # of the maxima in `ball`
    ball_states: Any  # (N,)
    ball_weights: Any  # (N P,)
    pair_one: Any  # (K,) rows
    pair_other: Any  # (K,) rows
    observed: Observed  # with embedded points only its rows count
    batch: terms.Batch  # its target is not read
    wanted: Any  # (batch,) what `value` regresses to
    live: bool  # instead to a point's own values of s', as numbers without a gradient


@kernel
def _pairs(x: Any, grad: Any, one: Any, other: Any, weight: Any, scalars: Any) -> float:
    """Add the gradient of a pairwise term over explicit pairs of rows of x (rows, d); returns what it adds to the loss."""
    count, d = one.shape[0], x.shape[1]
    share, found = weight / np.float32(count), 0.0
    for k in range(count):
        i, j = one[k], other[k]
        squared = np.float32(0)
        for c in range(d):
            squared += (x[i, c] - x[j, c]) * (x[i, c] - x[j, c])
        slope = share * np.float32(2) * terms.pair_slope(squared, scalars)
        for c in range(d):
            part = slope * (x[i, c] - x[j, c])
            grad[i, c] += part
            grad[j, c] -= part
        root = np.sqrt(min(max(squared, scalars[terms.C_PAIR_MIN]), scalars[terms.C_PAIR_MAX]))
        found += share * np.exp(-scalars[terms.C_PAIR_SCALE] * root)
    return found


@kernel
def _smooth_ball(x: Any, grad: Any, states: Any, weights: Any, smoothing: Any, scalars: Any) -> float:
    """Add the gradient of sum_i w_i smoothing logsumexp(pieces_i / smoothing); weights (states P,) hold the term's own. Returns the sum."""
    positions = weights.shape[0] // states.shape[0]
    found = 0.0
    for i in range(weights.shape[0]):
        row, position = states[i // positions], i % positions
        top = np.float32(0)
        for c in range(position, x.shape[1], positions):
            top = max(top, x[row, c] * x[row, c] - scalars[terms.C_RADIUS2])
        parts = np.exp(-top / smoothing)
        for c in range(position, x.shape[1], positions):
            parts += np.exp((x[row, c] * x[row, c] - scalars[terms.C_RADIUS2] - top) / smoothing)
        for c in range(position, x.shape[1], positions):
            share = np.exp((x[row, c] * x[row, c] - scalars[terms.C_RADIUS2] - top) / smoothing) / parts
            grad[row, c] += weights[i] * share * np.float32(2) * x[row, c]
        found += weights[i] * (top + smoothing * np.log(parts))
    return found


@kernel
def totals_kernel(points: Points, blocks: terms.Blocks, loss: Loss) -> None:
    """Totals and gradients at points."""
    tensors, rows, batch, observed = points.params.shape[0], loss.observed.rows, loss.batch, loss.observed
    state, next_state, weights, scalars, trained = batch.state, batch.next_state, loss.weights, loss.scalars, loss.trained
    count, embedded = state.shape[0], points.embedded
    own, into = np.empty(tensors, dtype=np.int64), np.empty(tensors, dtype=np.int64)
    state_tiles, batch_tiles = (rows + ROWS - 1) // ROWS, (count + ROWS - 1) // ROWS
    nets = terms.nets_for(blocks, own, into, state_tiles, batch_tiles)
    encoder, value = nets[terms.ENCODER], nets[terms.VALUE]
    room = room_for(max(state_tiles, batch_tiles), blocks.widths.max(), points.largest)
    embedding = terms.read(encoder)
    ge = np.zeros(embedding.shape, dtype=np.float32)
    d = ge.shape[1]
    every, g_every = np.zeros((rows, d), dtype=np.float32), np.zeros((rows, d), dtype=np.float32)
    states = terms.states_for(count, d)
    x, x_next, _, gx, gx_next = states
    target = np.zeros((rows, value.widths[-1]), dtype=np.float32)
    # A fixed wanted value is the reward of a move that ends all: no kernel of its own.
    over, wanted = (batch.terminated, batch.reward) if loss.live else (np.ones(count, dtype=np.float32), loss.wanted)
    of_value = terms.Batch(state, next_state, batch.action, wanted, over, target)
    for k in range(points.totals.shape[0]):
        for t in range(tensors):
            own[t], into[t] = points.params[t] + k * points.steps[t], points.grads[t] + k * points.steps[t]
        if embedded < 0:
            terms.encode(encoder, observed)
        else:
            for i in range(rows):
                for c in range(d):
                    embedding[i // ROWS, c, i % ROWS] = points.numbers[k, embedded + i * d + c]
        for i in range(rows):
            for c in range(d):
                every[i, c] = embedding[i // ROWS, c, i % ROWS]
        for b in range(count):
            for c in range(d):
                x[b, c], x_next[b, c] = every[state[b], c], every[next_state[b], c]
        g_every[:], gx[:], gx_next[:], ge[:] = 0, 0, 0, 0
        total = _smooth_ball(every, g_every, loss.ball_states, loss.ball_weights, loss.smoothing, scalars)
        if weights[terms.T_RANDOM_PAIRS] != 0:
            total += _pairs(every, g_every, loss.pair_one, loss.pair_other, weights[terms.T_RANDOM_PAIRS], scalars)
        if weights[terms.T_CONSECUTIVE] != 0:
            total += _pairs(every, g_every, state, next_state, weights[terms.T_CONSECUTIVE], scalars)
        for block in (terms.TRANSITION, terms.REWARD, terms.DISCOUNT):
            if weights[block - 1] != 0:
                total += terms.dynamics_gradients(block, nets[block], room, trained[block], weights[block - 1], scalars, states, batch)
        if weights[terms.T_VALUE] != 0:
            if loss.live:
                network_forward(value, 0)
                following = terms.read(value)
                for i in range(rows):
                    for a in range(target.shape[1]):
                        target[i, a] = following[i // ROWS, a, i % ROWS]
            total += terms.value_gradients(value, room, trained[terms.VALUE], weights[terms.T_VALUE], scalars, of_value, ge)
        points.totals[k] = total
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
                    points.gradients[k, embedded + i * d + c] = ge[i // ROWS, c, i % ROWS]
        elif trained[terms.ENCODER]:
            terms.encoder_backward(encoder, room, ge, observed)
