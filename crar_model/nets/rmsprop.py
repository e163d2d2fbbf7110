"""RMSprop with gradient clipping, per member.

`p -= lr g / (sqrt(v) + eps)` with `v = rho v + (1 - rho) g^2`, gradients first scaled to norm <= clip
(section 5 of docs/original.md). On the CPU one compiled pass per tensor replaces eight; elsewhere the
same arithmetic runs as tensor operations, without a host sync.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from crar_model.nets._rmsprop import rmsprop_kernel


@dataclass(frozen=True)
class RMSpropSettings:
    """rho, epsilon and clipping of the optimiser; `per_tensor` clips each tensor by its own norm."""

    decay: float = 0.9
    epsilon: float = 1e-4
    clip_norm: float = 1.0
    per_tensor: bool = False


def rmsprop_step(
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    squares: Sequence[Tensor],
    learning_rate: Tensor,
    alive: Tensor,
    settings: RMSpropSettings,
) -> None:
    """Update parameters and squared-gradient averages in place, member by member.

    Args:
        params, grads, squares: tensors of shape (members, ...), one triple per parameter.
        learning_rate: (members,) floating.
        alive: (members,) bool. A member whose gradient is not finite is left as it was and marked False;
            members already False are not touched.
        settings: rho, epsilon, clipping.
    """
    if params[0].device.type == "cpu" and params[0].dtype == torch.float32:
        _step_cpu(params, grads, squares, learning_rate, alive, settings)
    else:
        step_tensor_ops(params, grads, squares, learning_rate, alive, settings)


def step_tensor_ops(
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    squares: Sequence[Tensor],
    learning_rate: Tensor,
    alive: Tensor,
    settings: RMSpropSettings,
) -> None:
    """:func:`rmsprop_step` by tensor operations, for every device."""
    with torch.no_grad():
        own = torch.stack([grad.flatten(1).square().sum(1) for grad in grads])  # (tensors, members)
        alive &= torch.isfinite(own).all(0)
        norm = (own if settings.per_tensor else own.sum(0, keepdim=True).expand_as(own)).sqrt()
        scale = settings.clip_norm / norm.clamp_min(settings.clip_norm) if settings.clip_norm > 0 else torch.ones_like(norm)
        for index, (param, grad, square) in enumerate(zip(params, grads, squares, strict=True)):
            shape = (-1,) + (1,) * (param.dim() - 1)
            keep = alive.view(shape)
            clipped = grad * scale[index].view(shape)
            new_square = settings.decay * square + (1 - settings.decay) * clipped.square()
            step = learning_rate.view(shape) * clipped / (new_square.sqrt() + settings.epsilon)
            square.copy_(torch.where(keep, new_square, square))
            param.copy_(torch.where(keep, param - step, param))


def _step_cpu(
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    squares: Sequence[Tensor],
    learning_rate: Tensor,
    alive: Tensor,
    settings: RMSpropSettings,
) -> None:
    members = alive.shape[0]
    dense = [grad.contiguous() for grad in grads]
    # Addresses instead of arrays: handing 30 arrays to compiled code costs more than the arithmetic.
    addresses = np.array([[t.data_ptr() for t in group] for group in (params, dense, squares)], dtype=np.int64)
    sizes = np.array([grad.numel() // members for grad in dense], dtype=np.int64)
    rmsprop_kernel(
        addresses, sizes, learning_rate.numpy(), alive.numpy(), np.float32(settings.decay),
        np.float32(settings.epsilon), np.float32(settings.clip_norm), settings.per_tensor,
    )  # fmt: skip
