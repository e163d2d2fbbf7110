"""Loss terms of the convolutional agent and their gradients: one network on some rows of a batch, forward and backward."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from crar_model.core.compiled import numba
from crar_model.nets import _conv_layout as place
from crar_model.nets._blas import kernel, place_of, pointer
from crar_model.nets._conv_backward import backward_block
from crar_model.nets._conv_forward import BLOCK, ConvNet, forward_block
from crar_model.nets._conv_layout import Sizes
from crar_model.nets._terms import C_DISCOUNT, C_DOUBLE, C_VALUE, REWARD, TRANSITION, VALUE


class Boards(NamedTuple):
    """A batch of tile maps."""

    x: Any  # (2 batch, d) abstract states, those of s first
    given: Any  # (batch, planes + d) actions one-hot and states
    action: Any  # (batch,)
    reward: Any  # (batch,)
    terminated: Any  # (batch,)
    targets: Any  # (batch, A) values of s' by the target copy


class Room(NamedTuple):
    """What a thread needs to compute one network on a part's rows."""

    acts: Any
    h: Any
    apart: Any
    one: Any
    two: Any
    best: Any


@kernel
def room_for_networks(sizes: Sizes) -> Room:
    """Room for the largest of them."""
    acts, h, apart = np.empty(sizes.acts, np.float32), np.empty(sizes.h, np.float32), np.empty(sizes.h, np.float32)
    one, two = np.empty(sizes.frame, np.float32), np.empty(sizes.frame, np.float32)
    return Room(acts, h, apart, one, two, np.empty((sizes.blocks, sizes.best), np.int8))


@kernel
def _run(net: ConvNet, count: int, source: int, out: int, room: Room) -> None:
    """A network on `count` rows at `source`; what a backward pass needs stays in the room."""
    for row in range(0, count, BLOCK):
        acts = place_of(room.acts) + 4 * net.record * row
        best, each = room.best[row // BLOCK], count // count  # a variable: Numba compiles a function anew for every literal
        forward_block(net, row, min(BLOCK, count - row), each, source, acts, best, place_of(room.h), place_of(room.apart), out)


@kernel
def part_of_term(
    block: int, row: Any, tables: Any, part: int, first: int, count: int, weight: Any, trained: bool, scalars: Any, boards: Boards, room: Room
) -> None:  # fmt: skip
    """The gradients that `count` rows from `first` on give to a term, `transition`, `reward`, `discount` or `value`, of the network in this
    row of the table: of the weights to the part's sums, of the network's input to its room, and that of its output in place of the output."""
    x, given, reward, terminated, targets = boards.x, boards.given, boards.reward, boards.terminated, boards.targets
    batch, d = given.shape[0], x.shape[1]
    outputs, layers = row[place.GIVEN], tables[row[place.FIRST] : row[place.FIRST] + row[place.LAYERS]]
    net = ConvNet(layers, row[place.PLANES], row[place.RECORD], row[place.PARAMS], row[place.MADE], row[place.PACKED])
    at = row[place.OUT] + 4 * first * outputs
    found = numba.carray(pointer(at), (count, outputs))
    source = place_of(x) + 4 * first * d if block == VALUE else place_of(given) + 4 * first * given.shape[1]
    best, double = np.zeros(count, dtype=np.int64), scalars[C_DOUBLE] != 0
    if block == VALUE:
        if double:
            _run(net, count, place_of(x) + 4 * (batch + first) * d, at, room)
        for b in range(count):
            for a in range(1, outputs):
                own, other = (found[b, a], found[b, best[b]]) if double else (targets[first + b, a], targets[first + b, best[b]])
                if own > other:
                    best[b] = a
    _run(net, count, source, at, room)
    scale = weight * np.float32(2) / np.float32(batch)
    for b in range(count):
        k = first + b
        going = np.float32(1) - terminated[k]
        if block == TRANSITION:
            for c in range(d):
                found[b, c] = going * scale / np.float32(d) * (x[k, c] + found[b, c] - x[batch + k, c])
        elif block == REWARD:
            found[b, 0] = scale * (found[b, 0] - reward[k])
        elif block == VALUE:
            taken = boards.action[k]
            missed = found[b, taken] - (reward[k] + going * scalars[C_DISCOUNT] * targets[k, best[b]])
            for a in range(outputs):
                found[b, a] = 0
            found[b, taken] = scale * scalars[C_VALUE] * missed
        else:
            found[b, 0] = scale * (found[b, 0] - going * scalars[C_DISCOUNT])
    sums = row[place.SUMS] + 4 * part * row[place.PACKED] if trained else 0
    plane_sums, into = row[place.PLANE_SUMS] + 4 * part * row[place.MAPS], row[place.INTO] + 4 * first * (row[place.PLANES] + d)
    one, two, h = place_of(room.one), place_of(room.two), place_of(room.h)
    for begin in range(0, count, BLOCK):
        acts, pooled, own = place_of(room.acts) + 4 * net.record * begin, room.best[begin // BLOCK], min(BLOCK, count - begin)
        backward_block(net, begin, own, source, acts, pooled, one, two, h, at, sums, plane_sums, begin > 0, into)
