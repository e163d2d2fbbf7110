"""Compiled updates of the convolutional agent of tile maps: loss terms, gradients, clipping and RMSprop, without Python between two updates.

A member's updates are computed by the threads of a team (`_team`), each of which runs this code. What they share is cut by sizes alone: pieces
of the encoder, parts of a batch, layers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from crar_model.core.compiled import numba
from crar_model.nets import _conv_layout as place
from crar_model.nets import _terms as terms
from crar_model.nets._blas import kernel, pointer
from crar_model.nets._conv_pack import move_weights
from crar_model.nets._conv_step import WHOLE, Home, encoder_copy, norm_of, step_member, sum_parts, whole_numbers
from crar_model.nets._conv_terms import Boards, part_of_term, room_for_networks
from crar_model.nets._encoder import SIZES, TENSORS, Encoding, encode_pieces, pack_encoder
from crar_model.nets._encoder_backward import encoder_gradient
from crar_model.nets._pieces import Drawn, Pieces, find_pieces
from crar_model.nets._rmsprop import HUGE, _sum_squares
from crar_model.nets._team import bounds, meet

ORDER = (0, 3, 1, 2)
"""Networks by their work, the largest first: transition, value, reward, discount."""


class Run(NamedTuple):
    """What updates learn from and what they work on."""

    action: Any  # (updates, batch)
    reward: Any  # (updates, batch)
    terminated: Any  # (updates, batch)
    targets: Any  # (updates, batch, A) values of s' by the target copy
    anchors: Any  # (updates or 1, batch, d)
    rates: Any  # (updates,)
    alive: Any  # (1,) whether the member goes on
    pieces: Pieces  # of one batch
    encoding: Encoding  # of one batch
    x: Any  # (2 batch, d) abstract states, those of s first
    g: Any  # (2 batch, d) their gradient
    given: Any  # (batch, planes + d) what networks read
    gx: Any  # (batch, d) gradient of terms on states alone
    gx_next: Any  # (batch, d)
    norms: Any  # (tensors,) sums of squares of the gradients
    flags: Any  # (7,) what threads tell each other


@kernel
def _state_gradient(team: Any, nets: Any, weights: Any, both: bool, gx: Any, gx_next: Any, g: Any) -> None:
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
            if weights[(0, 1, 2, terms.T_VALUE)[n]] == 0:
                continue
            net = nets[n]
            planes = net[place.PLANES]
            into = numba.carray(pointer(net[place.INTO] + 4 * b * (planes + d)), (planes + d,))
            for k in range(d):
                g[b, k] += into[planes + k]
            if n + 1 == terms.TRANSITION:
                missed = numba.carray(pointer(net[place.OUT] + 4 * b * d), (d,))
                for k in range(d):
                    g[b, k] += missed[k]
                    g[batch + b, k] -= missed[k]


@kernel
def _sum_gradients(team: Any, home: Home, takes: Any, norms: Any) -> None:
    """What the networks that a step trains make of the gradients of the parts, this thread's share of the layers."""
    item = 0
    for n in range(home.nets.shape[0]):
        net = home.nets[n]
        for layer in range(net[place.LAYERS] if takes[n + 1] else 0):
            item += 1
            if team[1] == 1 or item % (team[1] - 1) == team[0] - 1:  # the first thread has the end of the encoder's gradient
                tensor = net[place.TENSOR] + 2 * layer
                sum_parts(home.tables[net[place.FIRST] + layer], net, layer == 0, home.sizes.parts, norms[tensor : tensor + 2])


@kernel
def conv_updates(team: Any, home: Home, memory: Any, steps: terms.Steps, index: Drawn, run: Run, gradient_only: bool) -> None:
    """Updates of one member, in place, by a thread of a team.

    memory: what the addresses of `home.nets` point at. index: its places are (updates, cells), of boards of s, then of s'. A call with
    `gradient_only` takes no step and leaves the last step's gradient where `home.grads` point, for every tensor of what trains.
    """
    nets, sizes, grads, x, given, gx, gx_next = home.nets, home.sizes, home.grads, run.x, run.given, run.gx, run.gx_next
    pieces, encoding, norms, flags, scalars, trained = run.pieces, run.encoding, run.norms, run.flags, steps.scalars, steps.trained
    updates, batch, d = run.action.shape[0], run.action.shape[1], x.shape[1]
    mine = room_for_networks(sizes)
    counts, parts = np.zeros((2, 3), dtype=np.int64), sizes.parts
    going = bool(run.alive[0])
    whole_numbers(team, home, trained, updates < 0)
    meet(team)
    for update in range(updates):
        if not going:
            break
        if team[0] == 0:
            find_pieces(index.values, index.windows, index.places[update], batch, pieces, counts)
            for k in range(6):
                flags[k] = counts[k // 3, k % 3]
        meet(team)
        for k in range(6):
            counts[k // 3, k % 3] = flags[k]
        boards = Boards(x, given, run.action[update], run.reward[update], run.terminated[update], run.targets[update])
        for step in range(steps.weights.shape[0]):
            weights, rate, takes = steps.weights[step], np.float32(run.rates[update] * steps.rates[step]), steps.takes[step]
            both = weights[terms.T_TRANSITION] != 0 or weights[terms.T_CONSECUTIVE] != 0
            seen = both or (weights[terms.T_VALUE] != 0 and scalars[terms.C_DOUBLE] != 0)
            if team[0] == 0:
                pack_encoder(home.at, encoding.packed)
            meet(team)
            encode_pieces(team, encoding, pieces, counts[1 if seen else 0], 2 * batch if seen else batch, x)
            first, last = bounds(team, batch)
            meet(team)
            for b in range(first, last):
                for a in range(given.shape[1] - d):
                    given[b, a] = boards.action[b] == a
                for k in range(d):
                    given[b, given.shape[1] - d + k] = x[b, k]
            meet(team)
            if team[0] == team[1] - 1:
                gx[:], gx_next[:] = 0, 0
                anchor = run.anchors[min(update, run.anchors.shape[0] - 1)]
                terms.structure_gradients(terms.States(x[:batch], x[batch:], anchor, gx, gx_next), weights, scalars, sizes.positions)
            for item in range(4 * parts):
                n, part = ORDER[item // parts], item % parts
                weight, begin = weights[terms.T_VALUE if n + 1 == terms.VALUE else n], part * sizes.part
                if item % team[1] == team[0] and weight != 0:
                    count = min(sizes.part, batch - begin)
                    part_of_term(n + 1, nets[n], home.tables, part, begin, count, weight, trained[n + 1], scalars, boards, mine)
            meet(team)
            if trained[terms.ENCODER]:
                _state_gradient(team, nets, weights, both, gx, gx_next, run.g)
                meet(team)
                encoder_gradient(team, encoding, pieces, counts[1 if both else 0], 2 * batch if both else batch, run.g, grads)
                if team[0] == 0:
                    for t in range(TENSORS):
                        norms[t] = _sum_squares(numba.carray(pointer(grads[t]), (SIZES[t],)))
            _sum_gradients(team, home, takes, norms)
            meet(team)
            if gradient_only:
                continue
            whole = norm_of(norms, nets, takes)
            if not np.isfinite(whole):
                going = False
                break
            if abs(rate) < steps.optimiser.safe_rate and whole < HUGE:
                step_member(team, home, step, takes, norms, rate, steps.optimiser, updates < 0)
                meet(team)
                continue
            if team[0] == 0:  # on trial, by one thread
                before, encoder = memory.copy(), np.empty((2, WHOLE), dtype=np.float32)
                encoder_copy(home.at, home.square_at[step], encoder, updates < 0)
                one = np.zeros(4, dtype=np.int64)
                one[1] = 1
                taken = step_member(one, home, step, takes, norms, rate, steps.optimiser, updates >= 0)
                if not taken:
                    memory[:] = before
                    encoder_copy(home.at, home.square_at[step], encoder, updates >= 0)
                flags[6] = 1 if taken else 0
            meet(team)
            if flags[6] == 0:
                going = False
                break
    if gradient_only:
        for n in range(4):
            net = nets[n]
            if n % team[1] == team[0] and trained[n + 1]:
                layers, own = (
                    home.tables[net[place.FIRST] : net[place.FIRST] + net[place.LAYERS]],
                    grads[net[place.TENSOR] : net[place.TENSOR] + 2 * net[place.LAYERS]],
                )
                move_weights(own, layers, net[place.PLANES], net[place.GRADS], net[place.PLANE_GRADS], updates >= 0)
    else:
        whole_numbers(team, home, trained, updates >= 0)
    if team[0] == 0:
        run.alive[0] = going
