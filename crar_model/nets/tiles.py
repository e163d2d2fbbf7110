"""Encoders of 48x48 images on tile maps: 1 -> Conv8 2x2 -> Conv16 2x2, pool 2 -> Conv32 3x3, pool 3 -> Conv3 1x1, or dense layers.

On the CPU each distinct piece of a batch is computed once (`tile_index`): in float32 with the 1x1 convolution by compiled kernels, else
by tensor operations, in float64 differentiable to any order. Elsewhere the images are drawn and convolved.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from crar_model.core.params import Params
from crar_model.core.tiles import CELL_PIXELS, NEGATED, SIZE, Other, draw_pixels
from crar_model.nets._tile_index import TileIndex, index_tiles
from crar_model.nets._tiles import tiles_backward, tiles_forward
from crar_model.nets.check import layer_names, member_axes, members_of_both, same_kind, unchanged
from crar_model.nets.conv import convolve
from crar_model.nets.dense import dense, fast_tanh
from crar_model.nets.layers import Conv, Layers, parameter_shapes

STEM: Layers = (Conv(8, 2), Conv(16, 2, pool=2), Conv(32, 3, pool=3))
"""The layers whose pieces are known: a position of what they give, (32, 8, 8), sees a tile and its neighbours."""
PIECES: Layers = (*STEM, Conv(3, 1))
"""The encoder that is compiled."""


def encode_tiles(params: Params, block: str, layers: Layers, tiles: Tensor, other: Other = NEGATED) -> Tensor:
    """What a convolutional network makes of the images that tile maps stand for.

    Args:
        params: parameters, with any leading member axes.
        block: name prefix, "encoder".
        layers: the network; on the CPU it is computed piece by piece where it is `PIECES`, or `STEM` and dense layers, else on drawn images.
        tiles: (*members, rows, 1, 8, 8), or (rows, 1, 8, 8) shared by all members: kinds of tiles, uint8 of `mazes.tiles.KINDS`.
        other: (contrast, brightness) of tiles of the other side.

    Returns:
        (*members, rows, numbers), maps flattened channel by channel, of the parameters' dtype: 192 numbers for `PIECES`, 3 channels of 8x8.

    Raises:
        KeyError: for a missing parameter.
        TypeError, ValueError: for dtypes, devices, shapes, member axes and kinds of tiles that do not fit.
    """
    weights = [params[name] for k in range(len(layers)) for name in layer_names(block, k)]
    behind = _dense_behind_stem(layers)
    if not (layers == PIECES or behind) or not tiles.is_cpu:
        out = convolve(params, block, layers, draw_pixels(tiles, weights[0].dtype, other))
        return out.flatten(-3) if layers[-1].maps else out
    if tiles.dim() < 4 or tiles.shape[-3] != 1:
        raise ValueError(f"tile maps have shape {tuple(tiles.shape)}; wanted is (rows, 1, {SIZE}, {SIZE}) behind any member axes")
    same_kind(block, weights, weights[0], layer_names(block, 0)[0])
    if not weights[0].is_cpu:
        raise ValueError(f"the parameters of {block} lie on {weights[0].device} and the tile maps on the CPU; give both on one device")
    shapes = parameter_shapes(layers, 1, SIZE * CELL_PIXELS)
    lead, alike = member_axes(block, tuple([weight.shape for weight in weights]), shapes)
    native = not behind and weights[0].dtype == torch.float32
    if not lead:
        index = index_tiles(tiles, other)
        found = _encode([weight.unsqueeze(0) for weight in weights], [index])[0] if native else _pieces(layers, weights, index)
        return torch.unflatten(found, 0, tiles.shape[:-3])
    own = tuple(tiles.shape[:-4])
    if behind and alike and not own:
        return _pieces(layers, weights, index_tiles(tiles, other))
    both = members_of_both(block, lead, own)
    flat = [weight.expand(*both, *shape).flatten(0, len(both) - 1) for weight, shape in zip(weights, shapes, strict=True)]
    if own:
        boards = tiles.expand(*both, *tiles.shape[-4:]).flatten(0, len(both) - 1).unbind(0)
        indices = [index_tiles(seen, other) for seen in boards]
    else:
        indices = [index_tiles(tiles, other)] * len(flat[0])
    if native:
        return torch.unflatten(_encode(flat, indices), 0, both)
    states = [
        _pieces(layers, weights_of_one, index)
        for *weights_of_one, index in zip(*(weight.unbind(0) for weight in flat), indices, strict=True)
    ]
    return torch.unflatten(torch.stack(states), 0, both)


def _dense_behind_stem(layers: Layers) -> bool:
    return layers[: len(STEM)] == STEM and len(layers) > len(STEM) and not any(layer.maps for layer in layers[len(STEM) :])


def _encode(weights: Sequence[Tensor], indices: Sequence[TileIndex]) -> Tensor:
    """Abstract states (members, N, 192) in float32: weights with a leading member axis, as many indices of N maps."""
    return cast(Tensor, _NativeEncoder.apply(indices, *weights))


def _pieces(layers: Layers, weights: Sequence[Tensor], index: TileIndex) -> Tensor:
    """Abstract states (*members, N, numbers) of the indexed tile maps by tensor operations; weights with the same member axes, if any."""
    pooled = _pooled(weights, index)  # (*members, W, 32)
    head = weights[2 * len(STEM) :]
    if layers[-1].maps:  # a 1x1 convolution: every window once
        position = _affine(pooled, head[0].flatten(-3), head[1])  # (*members, W, 3)
        return torch.unflatten(position.index_select(-2, index.places), -2, (-1, SIZE * SIZE)).mT.flatten(-2)
    maps = torch.unflatten(pooled.index_select(-2, index.places), -2, (-1, SIZE * SIZE))  # (*members, N, 64, 32)
    rows = maps.mT.flatten(-2)  # channel by channel: (*members, N, 2048)
    named = {
        name: tensor for k in range(len(head) // 2) for name, tensor in zip(layer_names("head", k), head[2 * k : 2 * k + 2], strict=True)
    }
    return dense(named, "head", rows)


def _pooled(weights: Sequence[Tensor], index: TileIndex) -> Tensor:
    """What `STEM` gives, after tanh, at every distinct window: (*members, W, 32)."""
    dtype = weights[0].dtype
    patches, inside = index.patches.to(dtype), index.inside.to(dtype)
    count, lead = patches.shape[0], weights[1].shape[:-1]
    first = torch.stack([patches[:, i : i + 3, j : j + 3] for i in (0, 1) for j in (0, 1)], dim=-1)  # (M, 3, 3, 4)
    first = _affine(first.view(-1, 4), weights[0].flatten(-3), weights[1])
    first = fast_tanh(first).reshape(*lead, count, 3, 3, 8) * inside.unsqueeze(-1)
    second = torch.stack([first[..., i : i + 2, j : j + 2, :] for i in (0, 1) for j in (0, 1)], dim=-1)  # (*members, M, 2, 2, 8, 4)
    second = _affine(second.reshape(*lead, 4 * count, 32), weights[2].flatten(-3), weights[3])
    second = fast_tanh(second.reshape(*lead, count, 4, 16).amax(-2))
    table = torch.cat((second, second.new_zeros(*lead, 1, 16)), dim=-2)  # its last row is padding
    third = table.index_select(-2, index.values.view(-1)).reshape(*lead, -1, 144)  # (*members, C, 9 taps of 16 channels)
    third = _affine(third, weights[4].flatten(-2).mT.flatten(-2), weights[5])
    return fast_tanh(torch.unflatten(third.index_select(-2, index.windows.view(-1)), -2, (-1, 9)).amax(-2))


def _affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x (*members, rows, in), or (rows, in) shared by all, through weight (*members, out, in) and bias (*members, out)."""
    return x @ weight.mT + bias.unsqueeze(-2)


class _NativeEncoder(torch.autograd.Function):
    """The encoders of all members as one node of the graph; first derivatives only."""

    @staticmethod
    def forward(ctx: Any, indices: Sequence[TileIndex], *weights: Tensor) -> Tensor:
        given = [weight.contiguous() for weight in weights]
        out = torch.empty(len(indices), len(indices[0].places) // 64, 192, dtype=torch.float32, device="cpu")
        kept = tiles_forward(given, indices, out)
        if any(ctx.needs_input_grad):
            ctx.kept, ctx.shapes = kept, [tensor.shape for tensor in (*given, out)]
            ctx.save_for_backward(*given)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        weights = ctx.saved_tensors
        unchanged(ctx.shapes, (*weights, grad))
        return (None, *tiles_backward(weights, ctx.kept, grad))
