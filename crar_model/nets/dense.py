"""Dense networks as pure functions of `dict[str, Tensor]`, for one model or many members at once.

Names are `block.layer.weight` with shape (*members, out, in) and `block.layer.bias` with (*members, out),
PyTorch's own layout behind optional leading axes. Hidden layers are tanh, outputs linear (section 3 of
docs/original.md, CRAR paper appendix).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from crar_model.core.params import Params
from crar_model.nets._dense import dense_backward, dense_forward
from crar_model.nets.check import Shapes, layer_names, unchanged
from crar_model.nets.layers import Linear, parameter_shapes
from crar_model.nets.network import Network, apply


def fast_tanh(x: Tensor) -> Tensor:
    """tanh(x): exact in float64; in float32 as 2 sigmoid(2x) - 1, within 1.5e-6 and several times faster on CPUs."""
    return torch.tanh(x) if x.dtype != torch.float32 else torch.sigmoid(2.0 * x) * 2.0 - 1.0


def dense(params: Params, block: str, x: Tensor) -> Tensor:
    """Apply the dense network `block`.

    Args:
        params: parameters, with any leading member axes.
        block: name prefix, e.g. "encoder".
        x: (*members, rows, in), or (rows, in) shared by all members, of the parameters' dtype and device.

    Returns:
        (*members, rows, out). Member axes broadcast against each other: parameters (n, 1, ...) and x (m, rows, in) give every network on
        every x, (n, m, rows, out). Float32 members on the CPU have first derivatives only.

    Raises:
        KeyError: for a block without parameters.
        TypeError, ValueError: for dtypes, devices, widths and member axes that do not fit; the message names the tensor.
    """
    weights: list[Tensor] = []
    while (names := layer_names(block, len(weights) // 2))[0] in params:
        weights += (params[names[0]], params[names[1]])
    if not weights:
        raise KeyError(f"no parameters of block {block!r}")
    return apply(_DENSE, block, weights, x)


def dense_jacobian(params: Params, block: str, x: Tensor) -> Tensor:
    """Derivative of the dense network `block` of one model by its parameters.

    A row's outputs depend on that row alone, so a layer's part is an outer product of what goes back to it and what it read; autograd,
    which cannot know that, multiplies matrices of all rows for every output.

    Args:
        params: parameters of one model.
        x: (rows, in).

    Returns:
        (rows, out, numbers) with the block's parameters flattened in the order of `params`.

    Raises:
        KeyError, TypeError, ValueError: as :func:`dense`.
    """
    with torch.no_grad():
        reads, layer = [x], 0
        while layer_names(block, layer + 1)[0] in params:
            reads.append(fast_tanh(_layer(params, block, layer, reads[-1])))
            layer += 1
        out = _layer(params, block, layer, reads[-1]).shape[-1]
        names = [name for name in params if name.startswith(f"{block}.")]
        begins = dict(zip(names, itertools.accumulate((params[name].numel() for name in names), initial=0), strict=False))
        result = x.new_empty(len(x), out, sum(params[name].numel() for name in names))
        back = torch.eye(out, dtype=x.dtype, device=x.device).expand(len(x), out, out)
        for at in range(layer, -1, -1):
            (weight, bias), read = layer_names(block, at), reads[at]
            width, inputs = params[weight].shape
            into = result[..., begins[weight] : begins[weight] + width * inputs].unflatten(-1, (width, inputs))
            torch.mul(back.unsqueeze(-1), read[:, None, None, :], out=into)
            result[..., begins[bias] : begins[bias] + width] = back
            if at:
                back = (back @ params[weight]) * (1 - read.square()).unsqueeze(1)
    return result


def _layer(params: Params, block: str, layer: int, x: Tensor) -> Tensor:
    """One layer before its tanh, checked as a network of its own."""
    first = layer_names(block, 0)
    return dense(dict(zip(first, (params[name] for name in layer_names(block, layer)), strict=True)), block, x)


class _Dense(Network):
    """The forms of a dense network; its layers are told by its parameters."""

    rank = 2

    def wanted(self, block: str, weights: Shapes, row: tuple[int, ...]) -> Shapes:
        return _wanted(block, weights, row[0])

    def lone(self, weights: Sequence[Tensor], x: Tensor) -> Tensor:
        last = len(weights) // 2 - 1
        for layer in range(last + 1):
            x = x @ weights[2 * layer].mT + weights[2 * layer + 1].unsqueeze(-2)  # (*members, rows, width)
            if layer < last:
                x = fast_tanh(x)
        return x

    def members(self, weights: Sequence[Tensor], x: Tensor) -> Tensor:
        if x.dtype != torch.float32:
            return self.lone(weights, x)
        return cast(Tensor, (_NativeDense if x.is_cpu else _BatchedDense).apply(x, *weights))

    def broadcast(self, weights: Sequence[Tensor], x: Tensor, both: tuple[int, ...]) -> Tensor:
        return self.lone(weights, x)


_DENSE = _Dense()


@lru_cache(maxsize=1024)
def _wanted(block: str, weights: Shapes, width: int) -> Shapes:
    for layer, shape in enumerate(weights[::2]):
        if len(shape) < 2 or 0 in shape[-2:]:
            raise ValueError(f"{layer_names(block, layer)[0]} has shape {tuple(shape)}; wanted is (out, in) behind any member axes")
    return parameter_shapes(tuple(Linear(shape[-2]) for shape in weights[::2]), width, 1)


class _NativeDense(torch.autograd.Function):
    """A member-batched tanh network as one node of the graph, computed by the compiled CPU kernels.

    First derivatives only: curvature runs in float64 on the plain path of :func:`dense`.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, *weights: Tensor) -> Tensor:
        weights = tuple([weight.contiguous() for weight in weights])
        out, ctx.kept = dense_forward(x, weights, keep=any(ctx.needs_input_grad))
        ctx.save_for_backward(*weights)
        ctx.shared, ctx.shapes = x.dim() == 2, [tensor.shape for tensor in (*weights, out)]
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        weights = ctx.saved_tensors
        unchanged(ctx.shapes, (*weights, grad))
        for_input, *for_weights = ctx.needs_input_grad
        grads, grad_x = dense_backward(ctx.kept, weights, grad, for_weights=any(for_weights), for_input=for_input)
        if grad_x is not None and ctx.shared:
            grad_x = grad_x.sum(0)
        return (grad_x, *(grads if grads is not None else [None] * len(weights)))


class _BatchedDense(torch.autograd.Function):
    """The same node by batched matrix products, for GPUs and shape checks on the `meta` device."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *weights: Tensor) -> Tensor:
        ctx.shared = x.dim() == 2
        if ctx.shared:
            x = x.expand(weights[0].shape[0], -1, -1)
        saved = [x]
        last = len(weights) // 2 - 1
        for layer in range(last + 1):
            x = torch.baddbmm(weights[2 * layer + 1].unsqueeze(1), x, weights[2 * layer].mT)
            if layer < last:
                x = x.tanh_()
                saved.append(x)
        ctx.save_for_backward(*saved, *weights[::2])
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        n = len(saved) // 2
        inputs, weights = saved[:n], saved[n:]
        needed = ctx.needs_input_grad
        grads: list[Tensor | None] = [None] * len(needed)
        for layer in range(n - 1, -1, -1):
            if needed[1 + 2 * layer] or needed[2 + 2 * layer]:
                grads[1 + 2 * layer] = torch.bmm(grad.mT, inputs[layer])
                grads[2 + 2 * layer] = grad.sum(dim=1)
            if layer > 0:
                grad = torch.ops.aten.tanh_backward(torch.bmm(grad, weights[layer]), inputs[layer])
            elif needed[0]:
                grad = torch.bmm(grad, weights[0])
                grads[0] = grad.sum(0) if ctx.shared else grad
        return tuple(grads)
