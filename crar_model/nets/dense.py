"""Dense networks as pure functions of `dict[str, Tensor]`, for one model or many members at once.

Names are `block.layer.weight` with shape (*members, out, in) and `block.layer.bias` with (*members, out),
PyTorch's own layout behind optional leading axes. Hidden layers are tanh, outputs linear (section 3 of
docs/original.md, CRAR paper appendix).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from crar_model.nets._dense import dense_backward, dense_forward
from crar_model.params import Params


def glorot_dense(block: str, sizes: Sequence[int], rng: np.random.Generator) -> Params:
    """Glorot-uniform weights and zero biases, Keras's defaults, for one model in float32.

    Args:
        block: name prefix, e.g. "encoder".
        sizes: layer widths, input first.
        rng: source of the weights; the same generator state gives the same weights.
    """
    params: Params = {}
    for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        limit = float(np.sqrt(6.0 / (fan_in + fan_out)))
        weight = rng.uniform(-limit, limit, size=(fan_out, fan_in)).astype(np.float32)
        params[f"{block}.{layer}.weight"] = torch.from_numpy(weight)
        params[f"{block}.{layer}.bias"] = torch.zeros(fan_out)
    return params


def fast_tanh(x: Tensor) -> Tensor:
    """tanh(x): exact in float64; in float32 as 2 sigmoid(2x) - 1, within 1.5e-6 and several times faster on CPUs."""
    return torch.tanh(x) if x.dtype != torch.float32 else torch.sigmoid(2.0 * x) * 2.0 - 1.0


def dense(params: Params, block: str, x: Tensor) -> Tensor:
    """Apply the dense network `block`.

    Args:
        params: parameters; leading member axes are allowed and must be the same for all of the block.
        x: (*members, rows, in) or (rows, in), shared by all members. Parameters (n, 1, ...) and x (m, rows, in) mean
            every network on every x.

    Returns:
        (*members, rows, out); (n, m, rows, out) for every network on every x.
    """
    weights: list[Tensor] = []
    while (name := f"{block}.{len(weights) // 2}.weight") in params:
        weights += (params[name], params[name[:-6] + "bias"])
    if not weights:
        raise KeyError(f"no parameters of block {block!r}")
    if weights[0].dim() == 4 and weights[0].shape[1] == 1 and x.dim() == 3:
        alone = {name: value.squeeze(1) for name, value in params.items() if name.startswith(block + ".")}
        rows = dense(alone, block, x.flatten(0, 1))  # (n, m rows, out)
        return rows.view(len(rows), *x.shape[:2], -1)
    if weights[0].dim() == 3 and weights[0].dtype == torch.float32 and x.dim() <= 3:
        fused = _NativeDense if weights[0].device.type == "cpu" else _BatchedDense
        return cast(Tensor, fused.apply(x, *weights))
    last = len(weights) // 2 - 1
    for layer in range(last + 1):
        x = x @ weights[2 * layer].mT + weights[2 * layer + 1].unsqueeze(-2)  # (*members, rows, width)
        if layer < last:
            x = fast_tanh(x)
    return x


class _NativeDense(torch.autograd.Function):
    """A member-batched tanh network as one node of the graph, computed by the compiled CPU kernels.

    First derivatives only: curvature runs in float64 on the plain path of :func:`dense`.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, *weights: Tensor) -> Tensor:
        activations = dense_forward(x, weights)
        ctx.save_for_backward(*activations[:-1], *weights)
        return activations[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        layers = len(ctx.saved_tensors) // 3
        inputs, weights = ctx.saved_tensors[:layers], ctx.saved_tensors[layers:]
        for_input, *for_weights = ctx.needs_input_grad
        grads, grad_x = dense_backward((*inputs, grad), weights, grad, for_weights=any(for_weights), for_input=for_input)
        if grad_x is not None and inputs[0].dim() == 2:
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
        n = len(ctx.saved_tensors) // 2
        inputs, weights = ctx.saved_tensors[:n], ctx.saved_tensors[n:]
        needed = ctx.needs_input_grad
        grads: list[Tensor | None] = [None] * len(needed)
        for layer in range(n - 1, -1, -1):
            if needed[1 + 2 * layer]:
                grads[1 + 2 * layer] = torch.bmm(grad.mT, inputs[layer])
                grads[2 + 2 * layer] = grad.sum(dim=1)
            if layer > 0:
                grad = torch.ops.aten.tanh_backward(torch.bmm(grad, weights[layer]), inputs[layer])
            elif needed[0]:
                grad = torch.bmm(grad, weights[0])
                grads[0] = grad.sum(0) if ctx.shared else grad
        return tuple(grads)
