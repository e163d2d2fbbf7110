"""Layers of a network: everything that the uses of a network ask of one, so that nobody asks which kind it is.

Between layers there are `channels` maps of `side` x `side`; a dense layer gives `out` channels of side 1. Convolutions keep the size: 3x3
pads all sides, 2x2 pads bottom and right (Keras's 'same'). The tanh between layers is not theirs: it is applied after a pooling, for tanh
is monotone, so that is the same value for fewer evaluations.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from crar_model.core.params import Params
from crar_model.nets._conv import CONV, LINEAR


class Layer(ABC):
    """What every layer gives.

    Attributes:
        out: channels that it gives.
        pool: side of the squares that max-pooling takes the largest of; 1 for no pooling.
        maps: True where it reads and gives maps, False where it reads everything as one row of numbers.
    """

    out: int
    pool: int
    maps: ClassVar[bool]

    @property
    def odd(self) -> bool:
        """Whether its units may be negated together with what reads them, without changing the network: tanh is odd, but the largest of
        negated values is the negated smallest, so not before a max-pooling."""
        return self.pool == 1

    @abstractmethod
    def weight_shape(self, channels: int, side: int) -> tuple[int, ...]:
        """Shape of one model's weight where the input is (channels, side, side)."""

    @abstractmethod
    def side_after(self, side: int) -> int:
        """Side of the maps that it gives."""

    @abstractmethod
    def plain(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Apply it for one model, without the tanh: x (rows, channels, side, side), or (rows, numbers) after a dense layer."""

    @abstractmethod
    def grouped(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Apply it for all members in one operation: x (members, rows, ...), weight and bias with a leading member axis."""

    @abstractmethod
    def split(self, weight: Tensor, channels: int, side: int) -> tuple[Tensor, Tensor]:
        """The weight (*members, ...) of the first `channels` of its input, maps of `side` x `side`, and that of the others; no copy."""

    @abstractmethod
    def table_row(self) -> tuple[int, int, int, int]:
        """What the compiled kernels know of it: KIND, OUT, SIZE, POOL."""


@dataclass(frozen=True)
class Conv(Layer):
    """A convolution of `size` x `size` with `out` channels, then max-pooling over `pool` x `pool` where pool > 1."""

    out: int
    size: int
    pool: int = 1
    maps: ClassVar[bool] = True

    def weight_shape(self, channels: int, side: int) -> tuple[int, ...]:
        """(out, channels, size, size)."""
        return (self.out, channels, self.size, self.size)

    def side_after(self, side: int) -> int:
        """Side after the pooling, which leaves out what fills no square."""
        return side // self.pool

    def plain(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """(rows, channels, side, side) -> (rows, out, side / pool, side / pool)."""
        return self._convolved(x, weight, bias, 1)

    def grouped(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """(members, rows, channels, side, side) -> (members, rows, out, side / pool, side / pool), members as groups of channels."""
        members = x.shape[0]
        together: Tensor = self._convolved(x.transpose(0, 1).flatten(1, 2), weight.flatten(0, 1), bias.flatten(), members)
        return torch.unflatten(together, 1, (members, self.out)).transpose(0, 1)

    def _convolved(self, x: Tensor, weight: Tensor, bias: Tensor, groups: int) -> Tensor:
        padding = self.size // 2
        if self.size % 2 == 0:
            before, padding = (self.size - 1) // 2, 0
            x = F.pad(x, (before, self.size // 2, before, self.size // 2))
        x = F.conv2d(x, weight, bias, padding=padding, groups=groups)
        return F.max_pool2d(x, self.pool) if self.pool > 1 else x

    def split(self, weight: Tensor, channels: int, side: int) -> tuple[Tensor, Tensor]:
        """(*members, out, in, k, k) by input channel."""
        return weight[..., :channels, :, :], weight[..., channels:, :, :]

    def table_row(self) -> tuple[int, int, int, int]:
        """What the compiled kernels know of it."""
        return (CONV, self.out, self.size, self.pool)


@dataclass(frozen=True)
class Linear(Layer):
    """A dense layer on the flattened input."""

    out: int
    pool: int = field(default=1, init=False)
    maps: ClassVar[bool] = False

    def weight_shape(self, channels: int, side: int) -> tuple[int, ...]:
        """(out, channels side side)."""
        return (self.out, channels * side * side)

    def side_after(self, side: int) -> int:
        """1."""
        return 1

    def plain(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """(rows, ...) -> (rows, out)."""
        return F.linear(x.flatten(1), weight, bias)

    def grouped(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """(members, rows, ...) -> (members, rows, out)."""
        return torch.baddbmm(bias.unsqueeze(1), x.flatten(2), weight.mT)

    def split(self, weight: Tensor, channels: int, side: int) -> tuple[Tensor, Tensor]:
        """(*members, out, in) by what it reads."""
        return weight[..., : channels * side**2], weight[..., channels * side**2 :]

    def table_row(self) -> tuple[int, int, int, int]:
        """What the compiled kernels know of it."""
        return (LINEAR, self.out, 1, 1)


Layers = tuple[Conv | Linear, ...]


@lru_cache(maxsize=256)
def inputs(layers: Layers, channels: int, side: int) -> tuple[tuple[int, int], ...]:
    """What every layer of a network reads, (channels, side), and behind them what the last one gives.

    Args:
        layers: the network.
        channels, side: of its input (channels, side, side).

    Raises:
        ValueError: where the layers make no network.
    """
    found = [(channels, side)]
    for layer in layers:
        found.append((layer.out, layer.side_after(found[-1][1])))
    if not layers or min(map(min, found)) < 1:
        raise ValueError(f"layers {layers} leave nothing of {channels} maps of side {side}; give layers that fit the input")
    if any(after.maps and not before.maps for before, after in itertools.pairwise(layers)):
        raise ValueError(f"layers {layers} have a convolution after a dense layer; give the convolutions first")
    return tuple(found)


@lru_cache(maxsize=256)
def parameter_shapes(layers: Layers, channels: int, side: int) -> tuple[tuple[int, ...], ...]:
    """Shapes of one model's weights and biases in turn.

    Args:
        layers: the network.
        channels, side: of its input (channels, side, side).
    """
    sources = inputs(layers, channels, side)[:-1]
    return tuple(shape for layer, source in zip(layers, sources, strict=True) for shape in (layer.weight_shape(*source), (layer.out,)))


def glorot_conv(block: str, layers: Layers, channels: int, side: int, rng: np.random.Generator) -> Params:
    """Glorot-uniform weights and zero biases, Keras's defaults, of a network for one model, float32.

    Args:
        block: name prefix, e.g. "encoder".
        layers: the network.
        channels, side: of the input (channels, side, side).
        rng: source of the weights; the same generator state gives the same weights.
    """
    params: Params = {}
    shapes = parameter_shapes(layers, channels, side)
    for index, (shape, bias) in enumerate(zip(shapes[::2], shapes[1::2], strict=True)):
        fans = (shape[0] + shape[1]) * math.prod(shape[2:])
        limit = float(np.sqrt(6.0 / fans))
        params[f"{block}.{index}.weight"] = torch.from_numpy(rng.uniform(-limit, limit, size=shape).astype(np.float32))
        params[f"{block}.{index}.bias"] = torch.zeros(bias, dtype=torch.float32)
    return params


def glorot_dense(block: str, sizes: Sequence[int], rng: np.random.Generator) -> Params:
    """:func:`glorot_conv` for a dense network.

    Args:
        block: name prefix, e.g. "encoder".
        sizes: layer widths, input first.
        rng: source of the weights.
    """
    return glorot_conv(block, tuple(Linear(size) for size in sizes[1:]), sizes[0], 1, rng)
