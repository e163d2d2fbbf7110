"""Where compiled updates of the convolutional agent (`_conv_update`) keep what they work on."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from crar_model.core.tiles import SIZE
from crar_model.nets import _conv_terms as terms
from crar_model.nets._conv import Plan
from crar_model.nets._conv_forward import BLOCK
from crar_model.nets._conv_pack import SIZE as WINDOW
from crar_model.nets._conv_pack import WIDE_OUT
from crar_model.nets._conv_update import PARTS
from crar_model.nets._encoder import TENSORS
from crar_model.nets._micro import SLACK

_WORK = threading.local()


class Layout:
    """Where the networks of one member have their room, for a batch of some size.

    Attributes:
        tables, nets, sizes: of `_conv_update`.
        memory: numbers of the room.
        given: numbers of a row that a network with planes reads.
    """

    def __init__(self, plans: Sequence[Plan], batch: int, steps: int) -> None:
        self.part = -(-batch // (PARTS * BLOCK)) * BLOCK
        self.parts = -(-batch // self.part)
        self.tables = np.concatenate([plan.table for plan in plans])
        self.nets = np.zeros((len(plans), 17), dtype=np.int64)
        free, layer, tensor = 0, 0, TENSORS

        def take(numbers: int) -> int:
            nonlocal free
            free, at = free + numbers, free
            return at

        of_planes = [plan.planes * int(plan.table[0][WINDOW] ** 2 * plan.table[0][WIDE_OUT]) for plan in plans]
        for net, plan, planes in zip(self.nets, plans, of_planes, strict=True):
            net[terms.FIRST], net[terms.LAYERS], net[terms.TENSOR] = layer, len(plan.table), tensor
            net[terms.PLANES], net[terms.PACKED], net[terms.MAPS] = plan.planes, plan.packed, plan.maps
            net[terms.RECORD], net[terms.GIVEN] = plan.record, plan.given
            net[terms.PARAMS], net[terms.OF_PLANES], net[terms.MADE] = take(plan.packed_back), take(planes), take(plan.maps)
            layer, tensor = layer + len(plan.table), tensor + 2 * len(plan.table)
        moved = free
        for net, plan, planes in zip(self.nets, plans, of_planes, strict=True):
            net[terms.GRADS], net[terms.PLANE_GRADS] = take(plan.packed), take(planes)
        slot = free - moved
        squares = take(slot * steps)
        for net, plan in zip(self.nets, plans, strict=True):
            net[terms.SUMS], net[terms.PLANE_SUMS] = take(self.parts * plan.packed), take(self.parts * plan.maps)
            net[terms.OUT], net[terms.INTO] = take(batch * plan.given), take(batch * (plan.planes + plan.numbers))
        self.given = max(plan.planes + plan.numbers for plan in plans)
        self.memory, blocks = free + SLACK, self.part // BLOCK
        most = {name: max(getattr(plan, name) for plan in plans) for name in ("record", "wide", "frame", "pooled")}
        self.sizes = np.array(
            [
                self.parts, self.part, SIZE * SIZE, squares, slot, BLOCK * blocks * most["record"] + SLACK, BLOCK * most["wide"],
                BLOCK * most["frame"] + SLACK, BLOCK * most["pooled"], blocks, moved,
            ],
            dtype=np.int64,
        )  # fmt: skip


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
