"""Where compiled updates of the convolutional agent (`_conv_update`) keep what they work on."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from crar_model.core.tiles import SIZE
from crar_model.nets._conv import Plan
from crar_model.nets._conv_forward import BLOCK
from crar_model.nets._conv_pack import SIZE as WINDOW
from crar_model.nets._conv_pack import WIDE_OUT
from crar_model.nets._encoder import TENSORS
from crar_model.nets._micro import SLACK

PARTS = 2
"""Parts that the rows of a batch are cut into where gradients are summed: twice the number of networks is what can be computed side by side."""
FIRST, LAYERS, PLANES, PACKED, MAPS, RECORD, GIVEN, TENSOR, PARAMS, OF_PLANES, MADE, GRADS, PLANE_GRADS, SUMS, PLANE_SUMS, OUT, INTO = (
    range(17)
)
"""Columns of the table of networks: its first layer and their number in the table of layers; planes; numbers of the packed parameters without
the turned ones, of a part's maps, of an image's record, of an output; its first tensor; then addresses: packed parameters, weights of planes,
their maps; gradients of both; a part's gradients of both; outputs or their gradient; gradient of its input."""
_WORK = threading.local()


class Sizes(NamedTuple):
    """Of the work on a batch."""

    parts: int  # of its rows
    part: int  # rows of one
    blocks: int  # blocks of one
    positions: int  # of an abstract state
    acts: int  # numbers of a thread's room for networks: all layers' inputs
    h: int  # a layer's output
    frame: int  # its gradient with its padding
    best: int  # what is pooled
    squares: int  # bytes from gradients to the running averages of the first slot, which lie like them
    slot: int  # bytes from one slot's to the next one's


class Layout:
    """Where the networks of one member have their room, for a batch of some size.

    Attributes:
        tables, sizes: of `_conv_update`.
        memory: numbers of the room.
        given: numbers of a row that a network with planes reads.
    """

    def __init__(self, plans: Sequence[Plan], batch: int, steps: int) -> None:
        part = -(-batch // (PARTS * BLOCK)) * BLOCK
        parts, blocks = -(-batch // part), part // BLOCK
        self.tables = np.concatenate([plan.table for plan in plans])
        self._nets = np.zeros((len(plans), 17), dtype=np.int64)
        free, layer, tensor = 0, 0, TENSORS

        def take(numbers: int) -> int:
            nonlocal free
            free, at = free + numbers, free
            return at

        of_planes = [plan.planes * int(plan.table[0][WINDOW] ** 2 * plan.table[0][WIDE_OUT]) for plan in plans]
        for net, plan, planes in zip(self._nets, plans, of_planes, strict=True):
            net[:PARAMS] = layer, len(plan.table), plan.planes, plan.packed, plan.maps, plan.record, plan.given, tensor
            net[PARAMS:GRADS] = take(plan.packed_back), take(planes), take(plan.maps)
            layer, tensor = layer + len(plan.table), tensor + 2 * len(plan.table)
        moved = free
        for net, plan, planes in zip(self._nets, plans, of_planes, strict=True):
            net[GRADS:SUMS] = take(plan.packed), take(planes)
        slot = free - moved
        squares = take(slot * steps)
        for net, plan in zip(self._nets, plans, strict=True):
            net[SUMS:OUT] = take(parts * plan.packed), take(parts * plan.maps)
            net[OUT:] = take(batch * plan.given), take(batch * (plan.planes + plan.numbers))
        self.given = max(plan.planes + plan.numbers for plan in plans)
        self.memory = free + SLACK
        record, wide, frame, pooled = (max(getattr(plan, name) for plan in plans) for name in ("record", "wide", "frame", "pooled"))
        self.sizes = Sizes(
            parts, part, blocks, SIZE * SIZE, BLOCK * blocks * record + SLACK, BLOCK * wide, BLOCK * frame + SLACK, BLOCK * pooled,
            4 * (squares - moved), 4 * slot,
        )  # fmt: skip

    def nets_in(self, memory: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The table of networks that have their room in `memory`."""
        nets = self._nets.copy()
        nets[:, PARAMS:] = memory.ctypes.data + 4 * nets[:, PARAMS:]
        return nets


@lru_cache(maxsize=16)
def layout_of(plans: tuple[Plan, ...], batch: int, steps: int) -> Layout:
    """Made once for each size."""
    return Layout(plans, batch, steps)


def memory(numbers: int) -> np.ndarray[Any, Any]:
    """Room of this thread; its content is anybody's."""
    held: np.ndarray[Any, Any] | None = getattr(_WORK, "memory", None)
    if held is None or len(held) < numbers:
        held = _WORK.memory = np.empty(numbers, dtype=np.float32)
    return held
