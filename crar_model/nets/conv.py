"""Convolutional networks as pure functions of `dict[str, Tensor]`, for one model or many members at once.

Names are `block.layer.weight`, (*members, out, in, k, k) for a convolution and (*members, out, in) for a dense
layer, counting layers with parameters only. What a layer does is said in `layers`. Hidden layers are tanh, outputs linear.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from crar_model.nets._conv import Plan, conv_backward, conv_forward
from crar_model.nets.check import Shapes, layer_names, unchanged
from crar_model.nets.dense import fast_tanh
from crar_model.nets.layers import Layers, arranged, inputs, parameter_shapes, restored
from crar_model.nets.network import Network, apply
from crar_model.params import Params


def convolve(params: Params, block: str, layers: Layers, x: Tensor) -> Tensor:
    """Apply the network `block`.

    Args:
        params: parameters, with any leading member axes.
        block: name prefix, e.g. "reward".
        layers: the network.
        x: (*members, rows, channels, side, side), or without the member axes for what all members share, of the parameters' dtype and
            device.

    Returns:
        (*members, rows, channels, side, side), or (*members, rows, out) after a dense layer. Member axes broadcast against each other:
        parameters (n, 1, ...) and x (m, rows, ...) give every network on every x, (n, m, rows, ...). Float32 members on the CPU have first
        derivatives only.

    Raises:
        KeyError: for a missing parameter.
        TypeError, ValueError: for dtypes, devices, shapes and member axes that do not fit; the message names the tensor.
    """
    weights = [params[name] for k in range(len(layers)) for name in layer_names(block, k)]
    return apply(_Conv(layers), block, weights, x)


class _Conv(Network):
    """The forms of a convolutional network."""

    rank = 4

    def __init__(self, layers: Layers) -> None:
        self.layers = layers

    def wanted(self, block: str, weights: Shapes, row: tuple[int, ...]) -> Shapes:
        channels, side, other = row
        if side != other:
            raise ValueError(f"the input of {block} has maps of {side} x {other}; give square ones")
        return parameter_shapes(self.layers, channels, side)

    def lone(self, weights: Sequence[Tensor], x: Tensor) -> Tensor:
        rows = x.flatten(0, -4)
        for index, layer in enumerate(self.layers):
            rows = layer.plain(rows, weights[2 * index], weights[2 * index + 1])
            if index < len(self.layers) - 1:
                rows = fast_tanh(rows)
        return torch.unflatten(rows, 0, x.shape[:-3])

    def members(self, weights: Sequence[Tensor], x: Tensor) -> Tensor:
        if x.dim() == self.rank:
            x = x.expand(len(weights[0]), *x.shape)
        if not x.is_cpu:
            return _grouped(weights, self.layers, x)
        if x.dtype == torch.float32 and _plan(self.layers, *x.shape[2:4]).fits:
            return cast(Tensor, _NativeConv.apply(self.layers, x, *weights))
        pieces = zip(*(weight.unbind(0) for weight in weights), strict=True)  # one member after the other: its arithmetic fills a core
        results = [self.lone(own, rows) for own, rows in zip(pieces, x.unbind(0), strict=True)]
        return torch.stack(results) if len(results) > 1 else results[0].unsqueeze(0)

    def broadcast(self, weights: Sequence[Tensor], x: Tensor, both: tuple[int, ...]) -> Tensor:
        shapes = parameter_shapes(self.layers, *x.shape[-3:-1])
        spread = [weight.expand(*both, *own).flatten(0, len(both) - 1) for weight, own in zip(weights, shapes, strict=True)]
        maps = x.expand(*both, *x.shape[-self.rank :]).flatten(0, len(both) - 1)
        return torch.unflatten(self.members(spread, maps), 0, both)


def _grouped(weights: Sequence[Tensor], layers: Layers, x: Tensor) -> Tensor:
    """All members in one operation a layer: x (members, rows, channels, side, side), members as groups of channels."""
    for index, layer in enumerate(layers):
        x = layer.grouped(x, weights[2 * index], weights[2 * index + 1])
        if index < len(layers) - 1:
            x = fast_tanh(x)
    return x


@lru_cache(maxsize=256)
def _plan(layers: Layers, channels: int, side: int) -> Plan:
    """The layers as the compiled kernels want them."""
    found = inputs(layers, channels, side)
    return Plan([layer.table_row(*source) for layer, source in zip(layers, found, strict=False)], found[-1][1])


class _NativeConv(torch.autograd.Function):
    """A member-batched network as one node of the graph, computed by the compiled CPU kernels.

    First derivatives only: curvature runs in float64 on the plain path of :func:`convolve`.
    """

    @staticmethod
    def forward(ctx: Any, layers: Layers, x: Tensor, *weights: Tensor) -> Tensor:
        members, rows, channels, side = x.shape[:4]
        plan = _plan(layers, channels, side)
        given = arranged(layers, weights)
        acts, best = conv_forward(x.contiguous(), given, plan)
        ctx.save_for_backward(*acts[:-1], best, *given)
        out = acts[-1].view(members, rows, plan.last_side, plan.last_side, layers[-1].out).movedim(-1, 2)
        out = out if layers[-1].maps else out.flatten(2)
        ctx.layers, ctx.plan, ctx.shape, ctx.shapes = layers, plan, x.shape, [tensor.shape for tensor in (*given, out)]
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        layers, saved = ctx.layers, ctx.saved_tensors
        acts, best, weights = saved[: len(layers)], saved[len(layers)], saved[len(layers) + 1 :]
        unchanged(ctx.shapes, (*weights, grad))
        rows = ctx.shape[1]
        grad = (grad.movedim(2, -1) if layers[-1].maps else grad).flatten(1).clone(memory_format=torch.contiguous_format)
        _, for_input, *for_weights = ctx.needs_input_grad
        grads, grad_x = conv_backward(acts, best, weights, ctx.plan, grad, rows, for_weights=any(for_weights), for_input=for_input)
        for_each = [None] * len(weights) if grads is None else restored(layers, grads)
        return (None, None if grad_x is None else grad_x.view(ctx.shape), *for_each)
