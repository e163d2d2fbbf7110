"""Convolutional networks as pure functions of `dict[str, Tensor]`, for one model or many members at once.

Names are `block.layer.weight`, (*members, out, in, k, k) for a convolution and (*members, out, in) for a dense
layer, counting layers with parameters only. What a layer does is said in `layers`. Hidden layers are tanh, outputs linear.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from crar_model.core.params import Params
from crar_model.nets._conv import Packed, Plan, conv_backward, conv_forward, pack
from crar_model.nets.check import Shapes, layer_names, together, unchanged
from crar_model.nets.dense import fast_tanh
from crar_model.nets.layers import Layers, inputs, parameter_shapes
from crar_model.nets.network import Network, apply


def convolve(params: Params, block: str, layers: Layers, x: Tensor, planes: Tensor | None = None) -> Tensor:
    """Apply the network `block`.

    Args:
        params: parameters, with any leading member axes.
        block: name prefix, e.g. "reward".
        layers: the network.
        x: (*members, rows, channels, side, side), or without the member axes for what all members share, of the parameters' dtype and
            device.
        planes: (*members, rows, tries, values), each the same as so many constant maps in front of x; what does not depend on them is computed
            once for all tries.

    Returns:
        (*members, rows, channels, side, side), or (*members, rows, out) after a dense layer; with planes (*members, rows, tries, ...). Member
        axes broadcast against each other: parameters (n, 1, ...) and x (m, rows, ...) give every network on every x, (n, m, rows, ...).
        Float32 members on the CPU have first derivatives only.

    Raises:
        KeyError: for a missing parameter.
        TypeError, ValueError: for dtypes, devices, shapes and member axes that do not fit; the message names the tensor.
    """
    weights = [params[name] for k in range(len(layers)) for name in layer_names(block, k)]
    if x.dim() < 4 or x.shape[-1] != x.shape[-2]:
        wanted = "rows of square maps, (rows, channels, side, side) behind any member axes"
        raise ValueError(f"the input of {block} has shape {tuple(x.shape)}; wanted are {wanted}")
    if planes is None:
        network = _Conv(layers, x.shape[-3], x.shape[-1])
        return network.shaped(apply(network, block, weights, x.flatten(-3)).squeeze(-2))
    if planes.dtype != x.dtype or planes.device != x.device:
        raise TypeError(f"planes of {block} are {planes.dtype} on {planes.device} and its input {x.dtype} on {x.device}; give both alike")
    own = together(planes.shape[:-2], x.shape[:-3])
    if planes.dim() < 3 or own is None:
        raise ValueError(f"planes of {block} have shape {tuple(planes.shape)} and its input {tuple(x.shape)}; give as many rows of both")
    tries = planes.shape[-2]
    flat = torch.cat((planes.flatten(-2).expand(*own, -1), x.flatten(-3).expand(*own, -1)), dim=-1)
    if tries > 1 and torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (flat, *weights)):  # gradients are of one try a row
        maps = x.unsqueeze(-4).expand(*x.shape[:-3], tries, *x.shape[-3:]).flatten(-5, -4)
        alone = convolve(params, block, layers, maps, planes.flatten(-3, -2).unsqueeze(-2)).squeeze(-4 if layers[-1].maps else -2)
        return torch.unflatten(alone, -4 if layers[-1].maps else -2, (-1, tries))
    network = _Conv(layers, x.shape[-3], x.shape[-1], planes.shape[-1], tries, plain=planes.requires_grad)
    return network.shaped(apply(network, block, weights, flat))


@dataclass(frozen=True)
class _Conv(Network):
    """The forms of a convolutional network on rows of numbers: `tries` times the values of `planes`, then the maps; (..., tries, numbers)
    comes out. `plain` rules out the compiled kernels, which have no gradient of the planes' values."""

    layers: Layers
    channels: int
    side: int
    planes: int = 0
    tries: int = 1
    plain: bool = False
    rank = 2

    def shaped(self, out: Tensor) -> Tensor:
        """The last axis of an output as maps, where the last layer gives maps."""
        last = self.layers[-1]
        side = inputs(self.layers, self.channels + self.planes, self.side)[-1][1]
        return torch.unflatten(out, -1, (last.out, side, side)) if last.maps else out

    def wanted(self, block: str, weights: Shapes, row: tuple[int, ...]) -> Shapes:
        return parameter_shapes(self.layers, self.channels + self.planes, self.side)

    def lone(self, weights: Sequence[Tensor], x: Tensor) -> Tensor:
        if self._compiled(x) and not _followed(x, weights):
            alone = x.flatten(0, -2).unsqueeze(0)
            return self._given(weights, alone, 1).view(*x.shape[:-1], self.tries, -1)
        rows = self._computed(weights, x.flatten(0, -2), lambda layer: layer.plain)
        return rows.reshape(*x.shape[:-1], self.tries, -1)  # weights laid out channels last give maps that are

    def members(self, weights: Sequence[Tensor], x: Tensor) -> Tensor:
        if x.dim() == self.rank:
            x = x.expand(len(weights[0]), *x.shape)
        if not x.is_cpu:
            return self._computed(weights, x, lambda layer: layer.grouped).reshape(*x.shape[:2], self.tries, -1)
        if self._compiled(x):
            if _followed(x, weights):
                return cast(Tensor, _NativeConv.apply(self, x, *weights))
            return self._given(weights, x, 0)
        pieces = zip(*(weight.unbind(0) for weight in weights), strict=True)  # one member after the other: its arithmetic fills a core
        results = [self.lone(own, rows) for own, rows in zip(pieces, x.unbind(0), strict=True)]
        return torch.stack(results) if len(results) > 1 else results[0].unsqueeze(0)

    def broadcast(self, weights: Sequence[Tensor], x: Tensor, both: tuple[int, ...]) -> Tensor:
        shapes = self.wanted("", (), ())
        spread = [weight.expand(*both, *own).flatten(0, len(both) - 1) for weight, own in zip(weights, shapes, strict=True)]
        rows = x.expand(*both, *x.shape[-self.rank :]).flatten(0, len(both) - 1)
        return torch.unflatten(self.members(spread, rows), 0, both)

    def _computed(self, weights: Sequence[Tensor], x: Tensor, operation: Callable[[Any], Callable[..., Tensor]]) -> Tensor:
        """By PyTorch's operations: x (*members, rows, numbers) -> (*members, rows tries, ...); `operation` gives a layer's form."""
        head = self.tries * self.planes
        maps = torch.unflatten(x[..., head:], -1, (self.channels, self.side, self.side))
        for index, layer in enumerate(self.layers):
            weight, bias, apply_layer = weights[2 * index], weights[2 * index + 1], operation(layer)
            if index == 0 and self.planes:
                values = torch.unflatten(x[..., :head], -1, (self.tries, self.planes))
                maps = self._first(apply_layer, values, maps, weight, bias)
            else:
                maps = apply_layer(maps, weight, bias)
            if index < len(self.layers) - 1:
                maps = fast_tanh(maps)
        return maps

    def _first(self, apply_layer: Callable[..., Tensor], values: Tensor, maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """The first layer, linear up to its pooling: that of the maps, once for all tries, and that of every plane times its value."""
        lead = values.shape[:-3]
        if self.layers[0].pool > 1:
            constant = values[..., None, None].expand(*values.shape, self.side, self.side)
            spread = maps.unsqueeze(-4).expand(*values.shape[:-1], *maps.shape[-3:])
            return apply_layer(torch.cat((constant, spread), dim=-3).flatten(-5, -4), weight, bias)
        of_planes, of_maps = self.layers[0].split(weight, self.planes, self.side)
        seen = apply_layer(maps, of_maps, bias)  # (*members, rows, ...)
        ones = torch.eye(self.planes, dtype=maps.dtype, device=maps.device)[..., None, None].expand(*lead, -1, -1, self.side, self.side)
        each = apply_layer(ones, of_planes, torch.zeros_like(bias)).flatten(len(lead) + 1)  # (*members, planes, numbers)
        shape = seen.shape[len(lead) + 1 :]
        together = seen.flatten(len(lead) + 1).unsqueeze(-2) + (values.flatten(-3, -2) @ each).view(*values.shape[:-1], -1)
        return torch.unflatten(together.flatten(-3, -2), -1, shape)

    @property
    def plan(self) -> Plan:
        """The layers as the compiled kernels want them."""
        return _plan(self.layers, self.channels, self.side, self.planes)

    def _compiled(self, x: Tensor) -> bool:
        return x.is_cpu and x.dtype == torch.float32 and not self.plain and self.plan.fits

    def _given(self, weights: Sequence[Tensor], x: Tensor, lacking: int) -> Tensor:
        """Without a gradient; weights lack that many member axes."""
        plan = self.plan
        packed = _packed([weight.unsqueeze(0) if lacking else weight for weight in weights], weights, plan, back=False)
        return conv_forward(x.detach().contiguous(), packed, plan, self.tries, keep=False)[0].view(*x.shape[:2], self.tries, -1)


def _followed(x: Tensor, weights: Sequence[Tensor]) -> bool:
    """Whether somebody may ask for a gradient."""
    return torch.is_grad_enabled() and (x.requires_grad or any(weight.requires_grad for weight in weights))


@lru_cache(maxsize=256)
def _plan(layers: Layers, channels: int, side: int, planes: int) -> Plan:
    sources = inputs(layers, channels, side)
    return Plan([layer.table_row() for layer in layers], sources, planes)


_FROZEN: dict[tuple[int, bool], tuple[tuple[Any, ...], list[weakref.ref[Tensor]], Packed]] = {}
"""What was packed of weights that nobody trains, by the first one's identity, for as long as they live unchanged."""


def _packed(weights: Sequence[Tensor], own: Sequence[Tensor], plan: Plan, *, back: bool) -> Packed:
    """Weights with a member axis as the compiled kernels read them; `own` are the caller's tensors, by which they are known again.

    Weights that require a gradient are about to change and packed anew each time. The others may be written to in place, which PyTorch counts.
    """
    if any(weight.requires_grad or weight.is_inference() for weight in own):
        return pack([weight.detach().contiguous() for weight in weights], plan, back=back)
    state = (plan, *((id(weight), weight._version, weight.data_ptr()) for weight in own))
    key = (id(own[0]), back)
    held = _FROZEN.get(key)
    if held is not None and held[0] == state:
        return held[2]
    packed = pack([weight.contiguous() for weight in weights], plan, back=back)
    gone = functools.partial(_forget, key)
    _FROZEN[key] = state, [weakref.ref(weight, gone) for weight in own], packed
    return packed


def _forget(key: tuple[int, bool], _: object) -> None:
    _FROZEN.pop(key, None)


class _NativeConv(torch.autograd.Function):
    """A member-batched network as one node of the graph, computed by the compiled CPU kernels.

    First derivatives only: curvature runs in float64 on the plain path of :func:`convolve`.
    """

    @staticmethod
    def forward(ctx: Any, network: _Conv, x: Tensor, *weights: Tensor) -> Tensor:
        plan, x = network.plan, x.contiguous()
        packed = _packed(weights, weights, plan, back=True)
        out, ctx.kept = conv_forward(x, packed, plan, 1, keep=True)
        ctx.save_for_backward(x)
        ctx.packed, ctx.plan, ctx.weights = packed, plan, [weight.shape for weight in weights]
        out = out.unsqueeze(2)
        ctx.shapes = [x.shape, out.shape]
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        unchanged(ctx.shapes, (x, grad))
        _, for_input, *for_weights = ctx.needs_input_grad
        weights = ctx.weights if any(for_weights) else None
        grads, grad_x = conv_backward(x, ctx.kept, ctx.packed, ctx.plan, grad.flatten(2).contiguous(), weights, for_input=for_input)
        return (None, grad_x, *([None] * len(ctx.weights) if grads is None else grads))
