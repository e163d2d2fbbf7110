"""Calls of the compiled convolutions: sizes, memory, and who computes what."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crar_model.nets import _conv_pack as packing
from crar_model.nets._blas import address, of_members
from crar_model.nets._conv_backward import backward
from crar_model.nets._conv_forward import BLOCK, ConvNet, forward
from crar_model.nets._micro import LANES, SLACK
from crar_model.nets._threads import get_threads, share

PARTS = 4
"""Most parts that the rows of a member are cut into where gradients are summed: as many threads can share one member's backward pass."""
CONV, LINEAR = 0, 1
_WORK = threading.local()


def _room(name: str, size: int) -> int:
    """Address of a float32 buffer of this thread of at least `size` numbers; its content is anybody's."""
    held: Tensor | None = getattr(_WORK, name, None)
    if held is None or held.numel() < size:
        held = _empty(size)
        setattr(_WORK, name, held)
    return held.data_ptr()


def _empty(*shape: int) -> Tensor:
    return torch.empty(shape, dtype=torch.float32, device="cpu")


def _whole(size: int) -> int:
    """Rounded up to whole vectors."""
    return -(-size // LANES) * LANES


class Plan:
    """Sizes of a network's pieces.

    Args:
        rows: KIND, OUT, SIZE, POOL of each layer.
        sources: (channels, side) that each layer reads, and behind them what the last one gives; channels of the first one without the planes.
        planes: constant maps in front of the input.

    Attributes:
        table: (layers, 15) int64, the columns of `_conv_pack`.
        record: numbers that an image's inputs of all layers take.
        packed: numbers of the packed parameters that the forward pass reads; `packed_back` with those of the backward pass.
        wide, frame: most numbers of an image in a layer's output, and in a layer's gradient with its padding.
        maps: numbers in the maps of all planes.
        pooled: numbers in the pooled output.
        given: numbers of the output.
        fits: whether the kernels can compute it: at most one layer pools, over 2x2, an even side, and not the last one.
    """

    def __init__(self, rows: Sequence[tuple[int, int, int, int]], sources: Sequence[tuple[int, int]], planes: int) -> None:
        table, act, front, pools = [], 0, 0, []
        self.pooled = self.wide = self.frame = 1
        for index, ((kind, m, size, pool), (n, side)) in enumerate(zip(rows, sources, strict=False)):
            dense = kind == LINEAR
            size, grid, low = (side, 1, 0) if dense else (size, side, (size - 1) // 2)  # 3x3 reaches one up and left, 2x2 down and right
            width = grid + size - 1
            wide_out, wide_in = _whole(m), _whole(n * side * side if dense else n)
            table.append(
                [n, m, size, side, grid, width, low, pool, wide_out, wide_in, act, front, front + n * size * size * wide_out, 0, dense]
            )
            act, front = act + n * width * width, front + (n * size * size + 1) * wide_out
            self.wide = max(self.wide, grid * grid * wide_out, wide_in if dense else side * side * wide_in)
            self.frame = max(self.frame, m if dense else width * width * m)
            if pool > 1:
                self.pooled = m * (side // pool) ** 2
                pools.append(pool == 2 and side % 2 == 0 and index < len(rows) - 1)
        self.record, self.packed, back = act, front, front
        for own in table:
            own[packing.BACK] = back
            back += own[packing.OUT] * own[packing.WIDE_IN] * (1 if own[packing.DENSE] else own[packing.SIZE] ** 2)
        self.packed_back = back
        self.table = np.array(table, dtype=np.int64)
        self.planes, self.maps = planes, planes * table[0][packing.GRID] ** 2 * table[0][packing.WIDE_OUT]
        channels, self.side = sources[-1]
        self.given = channels * self.side**2
        self.numbers = sources[0][0] * sources[0][1] ** 2
        self.fits = len(pools) <= 1 and all(pools)


@dataclass(frozen=True)
class Packed:
    """Parameters of all members as the kernels read them: (members, numbers) and (members, maps)."""

    numbers: Tensor
    maps: Tensor

    def net(self, plan: Plan) -> ConvNet:
        """The first member's network."""
        return ConvNet(plan.table, plan.planes, plan.record, self.numbers.data_ptr(), self.maps.data_ptr(), self.numbers.shape[1])


def pack(weights: Sequence[Tensor], plan: Plan, *, back: bool) -> Packed:
    """Arrange parameters.

    Args:
        weights: weight and bias of each layer in turn with a leading member axis, contiguous float32 on the CPU; their shapes fit the plan.
        plan: of the network.
        back: whether a backward pass follows.
    """
    members = weights[0].shape[0]
    packed = Packed(_empty(members, plan.packed_back if back else plan.packed), _empty(members, plan.maps))
    packing.pack(of_members(weights), plan.table, plan.planes, packed.numbers.numpy(), packed.maps.numpy(), back)
    return packed


def _like(shapes: Sequence[torch.Size], *, zeros: bool) -> list[Tensor]:
    """Contiguous tensors of these shapes in one piece of memory."""
    sizes = [shape.numel() for shape in shapes]
    memory = torch.zeros(sum(sizes), dtype=torch.float32, device="cpu") if zeros else _empty(sum(sizes))
    return [piece.view(shape) for piece, shape in zip(memory.split(sizes), shapes, strict=True)]


def conv_forward(x: Tensor, packed: Packed, plan: Plan, each: int, *, keep: bool) -> tuple[Tensor, tuple[Tensor, Any]]:
    """All layers of a network for every member.

    Args:
        x: (members, rows, numbers), float32 on the CPU, contiguous: `each` times the values of the planes, then the maps that they are all
            tried with, channels first.
        packed: parameters of as many members.
        plan: of the network; `plan.fits`.
        each: how often a row's maps are used.
        keep: whether a backward pass follows; then each is 1.

    Returns:
        (members, rows each, out, side, side) flattened behind the rows, channels first; and what the backward pass needs.
    """
    members, rows = x.shape[0], x.shape[1] * each
    block = BLOCK if keep else max(1, min(BLOCK, -(-members * rows // get_threads())))  # a few rows alone are for all threads too
    blocks = members * (-(-rows // block))
    out = _empty(members, rows, plan.given)
    acts = _empty(BLOCK * plan.record * blocks + SLACK) if keep else None
    best = np.empty((blocks if keep else 1, BLOCK * plan.pooled), dtype=np.int8)
    net, source, target = packed.net(plan), address(x), out.data_ptr()

    def work(first: int, last: int) -> None:
        at = _room("acts", BLOCK * plan.record + SLACK) if acts is None else acts.data_ptr()
        chosen, h, apart = best if keep else np.empty_like(best), _room("h", BLOCK * plan.wide), _room("apart", BLOCK * plan.wide)
        forward(first, last, block, rows, each, net, source, at, chosen, keep, h, apart, target)

    share(blocks, work)
    return out, (x if acts is None else acts, best)


def conv_backward(
    x: Tensor, kept: tuple[Tensor, Any], packed: Packed, plan: Plan, grad: Tensor, weights: Sequence[torch.Size] | None, *, for_input: bool
) -> tuple[list[Tensor] | None, Tensor | None]:  # fmt: skip
    """Gradients of :func:`conv_forward`.

    Args:
        x, packed, plan: as in the forward pass, packed with `back`.
        kept: what it returned.
        grad: (members, rows, numbers), gradient of the output, float32 on the CPU, contiguous.
        weights: shapes of the weights and biases in turn, with their leading member axis, where their gradients are wanted.
        for_input: whether that of the input is.

    Returns:
        gradients of weights and biases in turn, or None, and of x or None; the planes' share of the latter is 0, whatever it is.
    """
    members, rows = x.shape[:2]
    part = max(BLOCK, -(-rows // PARTS // BLOCK) * BLOCK)
    parts = max(1, -(-rows // part))
    acts, best = kept
    grad_x = torch.empty_like(x) if for_input else None
    grads = None if weights is None else _like(weights, zeros=rows == 0)
    targets = None if grads is None else of_members(grads)
    net, source, given, into = packed.net(plan), address(x), address(grad), 0 if grad_x is None else grad_x.data_ptr()

    def descend(first: int, last: int, sums: int = 0, plane_sums: int = 0, begin: int = 0) -> None:
        one, two = (_room(name, BLOCK * plan.frame + SLACK) for name in ("one", "two"))
        backward(
            begin + first, begin + last, parts, part, rows, net, source, acts.data_ptr(), best, one, two, _room("h", BLOCK * plan.wide), given,
            sums, plan.packed, plane_sums, into,
        )  # fmt: skip

    def sum_up(member: int, sums: int, plane_sums: int) -> None:
        assert targets is not None
        packing.unpack(parts, plan.table, plan.planes, sums, plan.packed, plane_sums, targets[member])

    def whole(first: int, last: int) -> None:
        sums, plane_sums = _room("sums", parts * plan.packed), _room("plane_sums", parts * plan.maps)
        for member in range(first, last):
            descend(0, parts, sums, plane_sums, member * parts)
            sum_up(member, sums, plane_sums)

    if targets is None or not rows:
        share(members * parts, descend)
    elif members >= get_threads():
        share(members, whole)
    else:  # the parts of a member in several threads, one member after the other
        sums, plane_sums = _room("sums", parts * plan.packed), _room("plane_sums", parts * plan.maps)
        for member in range(members):
            share(parts, partial(descend, sums=sums, plane_sums=plane_sums, begin=member * parts))
            sum_up(member, sums, plane_sums)
    return grads, grad_x
