"""Compiled updates of the dense agent: gradients of the loss terms (`_terms`), clipping and RMSprop, without Python between two updates.

Members are taken one after the other, each through all updates of a call, so that what a member has stays in a core's cache and no member
depends on another.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from crar_model.nets import _terms as terms
from crar_model.nets._blas import kernel
from crar_model.nets._first import Observed
from crar_model.nets._panel import ROWS, room_for
from crar_model.nets._rmsprop import step_member


class Members(NamedTuple):
    """What updates change."""

    params: Any  # (tensors,) addresses of the first member's numbers
    squares: Any  # (steps, tensors) addresses of its averages, 0 for what a step does not change
    grads: Any  # (tensors,) addresses of room for one member
    sizes: Any  # (tensors,) numbers of a member
    alive: Any  # (members,)


@kernel
def update_kernel(
    members: Members, blocks: terms.Blocks, steps: terms.Steps, observed: Observed, batches: terms.Batch, rates: Any, anchors: Any, gradient_only: bool
) -> None:  # fmt: skip
    """Updates of every living member, in place.

    batches: (updates, members, ...), with values (members, rows, A). rates (updates, members). anchors (members, rows or 0, d). A call with
    `gradient_only` leaves the gradients behind instead of taking steps.
    """
    updates, _, count = batches.state.shape
    params, grads, sizes, alive = members.params, members.grads, members.sizes, members.alive
    tensors, (trained, scalars) = sizes.shape[0], (steps.trained, steps.scalars)
    own, shift = np.empty(tensors, dtype=np.int64), np.empty(tensors, dtype=np.int64)
    state_tiles, batch_tiles = observed.scale.shape[0] // ROWS, (count + ROWS - 1) // ROWS
    nets = terms.nets_for(blocks, own, grads, state_tiles, batch_tiles)
    encoder, value = nets[terms.ENCODER], nets[terms.VALUE]
    room = room_for(max(state_tiles, batch_tiles), blocks.widths.max(), sizes.max())
    embedding = terms.read(encoder)
    ge = np.zeros(embedding.shape, dtype=np.float32)
    d = ge.shape[1]
    states = terms.states_for(count, d)
    x, x_next, anchor, gx, gx_next = states
    at, chosen = np.empty((3, tensors), dtype=np.int64), np.empty(tensors, dtype=np.int64)
    for member in range(alive.shape[0]):
        for t in range(tensors):
            shift[t] = 4 * member * sizes[t]
            own[t] = params[t] + shift[t]
        for update in range(updates):
            if not alive[member]:
                break
            s, n = batches.state[update, member], batches.next_state[update, member]
            batch = terms.Batch(
                s, n, batches.action[update, member], batches.reward[update, member], batches.terminated[update, member], batches.target[member]
            )  # fmt: skip
            for step in range(steps.weights.shape[0]):
                weights = steps.weights[step]
                terms.encode(encoder, observed)
                for b in range(count):
                    for c in range(d):
                        x[b, c] = embedding[s[b] // ROWS, c, s[b] % ROWS]
                        x_next[b, c] = embedding[n[b] // ROWS, c, n[b] % ROWS]
                        gx[b, c], gx_next[b, c] = 0, 0
                        if weights[terms.T_PAIRING] != 0:
                            anchor[b, c] = anchors[member, s[b], c]
                ge[:] = 0
                terms.structure_gradients(states, weights, scalars, 1)
                for block in (terms.TRANSITION, terms.REWARD, terms.DISCOUNT):
                    if weights[block - 1] != 0:
                        terms.dynamics_gradients(block, nets[block], room, trained[block], weights[block - 1], scalars, states, batch)
                if weights[terms.T_VALUE] != 0:
                    terms.value_gradients(value, room, trained[terms.VALUE], weights[terms.T_VALUE], scalars, batch, ge)
                if trained[terms.ENCODER]:
                    for b in range(count):
                        for c in range(d):
                            ge[s[b] // ROWS, c, s[b] % ROWS] += gx[b, c]
                            ge[n[b] // ROWS, c, n[b] % ROWS] += gx_next[b, c]
                    terms.encoder_backward(encoder, room, ge, observed)
                if gradient_only:
                    continue
                used = 0
                for t in range(tensors):
                    if steps.takes[step, t]:
                        chosen[used], at[0, used], at[1, used] = sizes[t], own[t], grads[t]
                        at[2, used] = members.squares[step, t] + shift[t]
                        used += 1
                rate = np.float32(rates[update, member] * steps.rates[step])
                alive[member] = step_member(at[0, :used], at[1, :used], at[2, :used], chosen[:used], rate, steps.optimiser)
                if not alive[member]:
                    break
