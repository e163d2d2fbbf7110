"""Convolutional networks as pure functions of `dict[str, Tensor]`, for one model or many members at once.

Names are `block.layer.weight`, (*members, out, in, k, k) for a convolution and (*members, out, in) for a dense
layer, counting layers with parameters only. Convolutions keep the size: 3x3 pads all sides, 2x2 pads bottom and
right (Keras's 'same'). Hidden layers are tanh, applied after a pooling where one follows: tanh is monotone, so
that is the same value for fewer evaluations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from crar_model.nets._conv import CONV, LINEAR, conv_backward, conv_forward
from crar_model.nets.dense import fast_tanh
from crar_model.params import Params


@dataclass(frozen=True)
class Conv:
    """A convolution of `size` x `size` with `out` channels, then max-pooling over `pool` x `pool` where pool > 1."""

    out: int
    size: int
    pool: int = 1


@dataclass(frozen=True)
class Linear:
    """A dense layer on the flattened input."""

    out: int
    pool: int = 1


Layers = tuple[Conv | Linear, ...]


def glorot_conv(block: str, layers: Layers, channels: int, side: int, rng: np.random.Generator) -> Params:
    """Glorot-uniform weights and zero biases of a network for one model, float32.

    Args:
        block: name prefix, e.g. "encoder".
        layers: the network.
        channels, side: of the input (channels, side, side).
        rng: source of the weights.
    """
    params: Params = {}
    flat = 0
    for index, layer in enumerate(layers):
        if isinstance(layer, Conv):
            shape: tuple[int, ...] = (layer.out, channels, layer.size, layer.size)
            fans = (channels + layer.out) * layer.size**2
            channels, side = layer.out, side // layer.pool
        else:
            wide = flat or channels * side * side
            shape, fans, flat = (layer.out, wide), wide + layer.out, layer.out
        limit = float(np.sqrt(6.0 / fans))
        params[f"{block}.{index}.weight"] = torch.from_numpy(rng.uniform(-limit, limit, size=shape).astype(np.float32))
        params[f"{block}.{index}.bias"] = torch.zeros(layer.out)
    return params


def convolve(params: Params, block: str, layers: Layers, x: Tensor) -> Tensor:
    """Apply the network `block`.

    Args:
        params: parameters; leading member axes are allowed and must be the same for all of the block.
        layers: the network.
        x: (*members, rows, channels, side, side), or without the member axes for what all members share. Parameters
            (n, 1, ...) and x (m, rows, ...) mean every network on every x.

    Returns:
        (*members, rows, channels, side, side), or (*members, rows, out) after a dense layer.
    """
    weights = [params[f"{block}.{k}.{kind}"] for k in range(len(layers)) for kind in ("weight", "bias")]
    lead = weights[1].shape[:-1]
    if len(lead) == 0:
        flat = x.flatten(0, -4)
        return torch.unflatten(_one(weights, layers, flat), 0, x.shape[:-3])
    if len(lead) == 2 and lead[1] == 1 and x.dim() == 5:  # every network on every x
        alone = {name: value.squeeze(1) for name, value in params.items() if name.startswith(block + ".")}
        rows = convolve(alone, block, layers, x.flatten(0, 1))
        return torch.unflatten(rows, 1, x.shape[:2])
    if len(lead) != 1:
        raise ValueError(f"parameters of {block} have member axes {tuple(lead)}; give at most one, or (n, 1)")
    if x.dim() == 4:
        x = x.expand(lead[0], *x.shape)
    if weights[0].device.type == "cpu" and weights[0].dtype == torch.float32:
        return cast(Tensor, _NativeConv.apply(layers, x, *weights))
    if weights[0].device.type == "cpu":  # one member after the other: its arithmetic fills a core
        pieces = zip(*(weight.unbind(0) for weight in weights), strict=True)
        results = [_one(own, layers, rows) for own, rows in zip(pieces, x.unbind(0), strict=True)]
        return torch.stack(results) if len(results) > 1 else results[0].unsqueeze(0)
    return _grouped(weights, layers, x)


def _pad(x: Tensor, size: int) -> tuple[Tensor, int]:
    return (F.pad(x, (0, 1, 0, 1)), 0) if size == 2 else (x, size // 2)


def _one(weights: Sequence[Tensor], layers: Layers, x: Tensor) -> Tensor:
    """One model: x (rows, channels, side, side)."""
    for index, layer in enumerate(layers):
        weight, bias = weights[2 * index], weights[2 * index + 1]
        if isinstance(layer, Conv):
            x, padding = _pad(x, layer.size)
            x = F.conv2d(x, weight, bias, padding=padding)
            if layer.pool > 1:
                x = F.max_pool2d(x, layer.pool)
        else:
            x = F.linear(x.flatten(1), weight, bias)
        if index < len(layers) - 1:
            x = fast_tanh(x)
    return x


def _grouped(weights: Sequence[Tensor], layers: Layers, x: Tensor) -> Tensor:
    """All members in one operation a layer: x (members, rows, channels, side, side), members as groups of channels."""
    members, rows = x.shape[:2]
    x = x.transpose(0, 1).flatten(1, 2)  # (rows, members channels, side, side)
    dense = False
    for index, layer in enumerate(layers):
        weight, bias = weights[2 * index], weights[2 * index + 1]
        if isinstance(layer, Conv):
            x, padding = _pad(x, layer.size)
            x = F.conv2d(x, weight.flatten(0, 1), bias.flatten(), padding=padding, groups=members)
            if layer.pool > 1:
                x = F.max_pool2d(x, layer.pool)
        else:
            if not dense:
                x, dense = x.reshape(rows, members, -1).transpose(0, 1), True
            x = torch.baddbmm(bias.unsqueeze(1), x, weight.mT)  # (members, rows, out)
        if index < len(layers) - 1:
            x = fast_tanh(x)
    return x if dense else torch.unflatten(x, 1, (members, -1)).transpose(0, 1)


@lru_cache(maxsize=32)
def _table(layers: Layers, channels: int, side: int) -> np.ndarray[Any, Any]:
    """The layers as the compiled kernels want them."""
    rows, flat = [], 0
    for layer in layers:
        if isinstance(layer, Conv):
            rows.append((CONV, channels, layer.out, layer.size, side, layer.pool))
            channels, side = layer.out, side // layer.pool
        else:
            rows.append((LINEAR, flat or channels * side * side, layer.out, 1, side, 1))
            flat = layer.out
    return np.array(rows, dtype=np.int64)


class _NativeConv(torch.autograd.Function):
    """A member-batched network as one node of the graph, computed by the compiled CPU kernels.

    First derivatives only: curvature runs in float64 on the plain path of :func:`convolve`.
    """

    @staticmethod
    def forward(ctx: Any, layers: Layers, x: Tensor, *weights: Tensor) -> Tensor:
        members, rows, channels, side = x.shape[:4]
        table = _table(layers, channels, side)
        arranged = [w.permute(0, 1, 3, 4, 2).contiguous() if w.dim() == 5 else w.contiguous() for w in weights]
        acts, best = conv_forward(x.contiguous(), arranged, table)
        ctx.save_for_backward(*acts[:-1], best, *arranged)
        ctx.table, ctx.shape = table, x.shape
        ctx.convolution = isinstance(layers[-1], Conv)
        out = acts[-1].view(members, rows, -1)
        if not ctx.convolution:
            return out
        small = int(table[-1][4])
        return out.view(members, rows, small, small, -1).movedim(-1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        count = len(ctx.table)
        acts, best, weights = ctx.saved_tensors[:count], ctx.saved_tensors[count], ctx.saved_tensors[count + 1 :]
        members, rows = ctx.shape[:2]
        grad = (grad.movedim(2, -1) if ctx.convolution else grad).reshape(members, -1).clone()
        _, for_input, *for_weights = ctx.needs_input_grad
        grads, grad_x = conv_backward(acts, best, weights, ctx.table, grad, rows, for_weights=any(for_weights), for_input=for_input)
        given = [None] * len(weights) if grads is None else [g.permute(0, 1, 4, 2, 3) if g.dim() == 5 else g for g in grads]
        return (None, None if grad_x is None else grad_x.view(ctx.shape), *given)
