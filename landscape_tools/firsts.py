"""Layers that see the data themselves: their outputs are affine in the weights, so at a point of a family they are a sum of kept ones."""

from __future__ import annotations

import types
from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from landscape_tools.points import Point
from landscape_tools.walking import Walk

AFFINE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
LONG = 16
"""Products that an output takes from which it is worth reading two kept numbers in their place."""
LIMIT = 16 * 2**20
"""Bytes up to which outputs of a layer are kept: beyond these they are made faster than read, and would fill the memory."""


def keep_firsts(model: nn.Module, data: Collection[Tensor], walk: Walk) -> bool:
    """Let the layers of a mounted model keep their outputs on the data; whether there are any that may.

    A layer takes kept outputs only where its input is one of `data`, or a view of it, unwritten, and its weights are the tensors of the walk.

    Args:
        model: a copy that nobody else uses.
        data: tensors that stay the same objects as long as nothing writes into them.
        walk: whose tensors the model has for its own.
    """
    names = {id(value): name for name, value in model.named_parameters()}
    found = [layer for layer in model.modules() if type(layer) in AFFINE and _plain(layer, set(names), walk.moving)]
    for layer in found:
        vars(layer)["forward"] = types.MethodType(
            _First(layer, [names.get(id(p), "") for p in (layer.weight, layer.bias)], data, walk), layer
        )
    return bool(found)


def _plain(layer: nn.Module, known: set[int], moving: Collection[str]) -> bool:
    """Whether a layer computes with its own parameters alone."""
    weight = layer._parameters.get("weight")
    odd = "forward" in vars(layer) or layer._forward_pre_hooks or weight is None or id(weight) not in known
    return bool(moving) and not odd and weight is not None and weight.dtype in (torch.float32, torch.float64) and weight[0].numel() >= LONG


class _First:
    """The forward pass of a layer, by what is kept of its first input."""

    def __init__(self, layer: Any, names: Sequence[str], data: Collection[Tensor], walk: Walk) -> None:
        self._names, self._data, self._walk = names, data, walk
        self._made = type(layer).forward
        self._places = _places(layer)
        self._key: tuple[Any, ...] | None = None
        self._kept: list[Tensor | None] = []
        self._row: tuple[float, ...] | None = None
        self._base = torch.empty(0)

    def __call__(self, layer: Any, x: Tensor) -> Tensor:
        owner = next((part for part in self._data if x is part or x._base is part), None)
        if owner is None or self._names is None or _places(layer) != self._places:
            found: Tensor = self._made(layer, x)
            return found
        key = (id(owner), owner._version, x.storage_offset(), x.shape, x.stride(), x.dtype)
        if self._key is None:
            self._key, self._kept = key, self._outputs(layer, x)
        if key != self._key or not self._kept:
            found = self._made(layer, x)
            return found
        at = self._walk.coordinates
        assert at is not None
        start, along, *others = self._kept
        assert start is not None
        if at[1:] != self._row:
            self._row, self._base = at[1:], start
            for share, other in zip(at[1:], others, strict=True):
                self._base = self._base if other is None else torch.add(self._base, other, alpha=share)
        return self._base.clone() if along is None else torch.add(self._base, along, alpha=at[0])

    def _outputs(self, layer: Any, x: Tensor) -> list[Tensor | None]:
        """Those of the origin and of each direction, None of one that does not move the layer; nothing where they are too large to keep."""
        weight, bias = layer.weight, layer.bias
        through: Callable[..., Tensor] = nn.functional.linear if isinstance(layer, nn.Linear) else layer._conv_forward

        def of(point: Point, weight: Tensor, bias: Tensor | None) -> Tensor:
            return through(x, point.get(self._names[0], weight), None if bias is None else point.get(self._names[1], bias))

        start = of(self._walk.origin, weight, bias)
        if start.dtype != weight.dtype or start.numel() * start.element_size() * (2 + len(self._walk.directions)) > LIMIT:
            return []  # within autocast the digits are too few for sums
        still = None if bias is None else torch.zeros_like(bias)
        moved = [any(name in direction for name in self._names) for direction in self._walk.directions]
        pairs = zip(self._walk.directions, moved, strict=True)
        return [start, *(of(direction, torch.zeros_like(weight), still) if moves else None for direction, moves in pairs)]


def _places(layer: Any) -> list[int]:
    """Where the parameters of a layer lie."""
    return [value.data_ptr() for value in (layer.weight, layer.bias) if value is not None]
