"""The random mazes' encoder on tile maps: 1 -> Conv8 2x2 -> Conv16 2x2, pool 2 -> Conv32 3x3, pool 3 -> Conv3 1x1.

On the CPU each distinct piece of a batch is computed once (`tile_index`): in float32 by compiled kernels, in float64
by tensor operations, differentiable to any order. Elsewhere the images are drawn and convolved.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from crar_model.nets._tile_index import TileIndex
from crar_model.nets._tiles import tiles_backward, tiles_forward
from crar_model.nets.dense import fast_tanh


def encode_pieces(weights: Sequence[Tensor], index: TileIndex) -> Tensor:
    """Abstract states of the indexed tile maps for one model.

    Args:
        weights: weight and bias of the four layers in turn: (8, 1, 2, 2), (8,), (16, 8, 2, 2), (16,), (32, 16, 3, 3),
            (32,), (3, 32, 1, 1), (3,).
        index: from `index_tiles`.

    Returns:
        (N, 192): 3 channels of 8x8, flattened channel by channel.
    """
    dtype = weights[0].dtype
    if dtype == torch.float32:
        return cast(Tensor, _NativeEncoder.apply(index, *weights))
    patches, inside = index.patches.to(dtype), index.inside.to(dtype)
    count = patches.shape[0]
    first = torch.stack([patches[:, i : i + 3, j : j + 3] for i in (0, 1) for j in (0, 1)], dim=-1)  # (M, 3, 3, 4)
    first = torch.addmm(weights[1], first.view(-1, 4), weights[0].flatten(1).mT)
    first = fast_tanh(first).view(count, 3, 3, 8) * inside.unsqueeze(-1)
    second = torch.stack([first[:, i : i + 2, j : j + 2] for i in (0, 1) for j in (0, 1)], dim=-1)  # (M, 2, 2, 8, 4)
    second = torch.addmm(weights[3], second.reshape(-1, 32), weights[2].flatten(1).mT)
    second = fast_tanh(second.view(count, 4, 16).amax(1))
    table = torch.cat((second, second.new_zeros(1, 16)))  # its last row is padding
    third = table.index_select(0, index.values.view(-1)).view(-1, 144)  # (C, 9 taps of 16 channels)
    third = torch.addmm(weights[5], third, weights[4].flatten(2).transpose(1, 2).flatten(1).mT)
    pooled = fast_tanh(third.index_select(0, index.windows.view(-1)).view(-1, 9, 32).amax(1))  # (W, 32)
    position = torch.addmm(weights[7], pooled, weights[6].flatten(1).mT)  # (W, 3)
    return position.index_select(0, index.places).view(-1, 64, 3).transpose(1, 2).flatten(1)


class _NativeEncoder(torch.autograd.Function):
    """The encoder of one model as one node of the graph; first derivatives only."""

    @staticmethod
    def forward(ctx: Any, index: TileIndex, *weights: Tensor) -> Tensor:
        arranged = [w.permute(0, 2, 3, 1).contiguous() if w.dim() == 4 else w.contiguous() for w in weights]
        out, kept = tiles_forward(arranged, index)
        if any(ctx.needs_input_grad):
            ctx.kept = kept
            ctx.save_for_backward(*arranged)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        grads = tiles_backward(ctx.saved_tensors, ctx.kept, grad)
        return (None, *(g.permute(0, 3, 1, 2) if g.dim() == 4 else g for g in grads))
