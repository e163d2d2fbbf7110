"""RMSprop with gradient clipping, per member.

`p -= lr g / (sqrt(v) + eps)` with `v = rho v + (1 - rho) g^2`, gradients first scaled to norm <= clip
(section 5 of the original's facts). On the CPU one compiled pass per tensor replaces eight; elsewhere the
same arithmetic runs as tensor operations, without a host sync.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crar_model.kernels import numba, pointer


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
    _rmsprop_kernel(
        addresses, sizes, learning_rate.numpy(), alive.numpy(), np.float32(settings.decay),
        np.float32(settings.epsilon), np.float32(settings.clip_norm), settings.per_tensor,
    )  # fmt: skip


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _sum_squares(values: Any) -> Any:  # pragma: no cover - compiled
    result = np.float32(0)
    for k in range(values.shape[0]):
        result += values[k] * values[k]
    return result


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _apply(param: Any, grad: Any, square: Any, scale: Any, rate: Any, decay: Any, epsilon: Any) -> None:  # pragma: no cover
    one = np.float32(1)
    for k in range(param.shape[0]):
        g = grad[k] * scale
        v = decay * square[k] + (one - decay) * g * g
        square[k] = v
        param[k] -= rate * g / (np.sqrt(v) + epsilon)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _rmsprop_kernel(
    addresses: Any, sizes: Any, rates: Any, alive: Any, decay: Any, epsilon: Any, clip: Any, per_tensor: Any
) -> None:  # pragma: no cover - compiled
    count = sizes.shape[0]
    scale = np.ones(count, dtype=np.float32)
    own = np.empty(count, dtype=np.float32)
    for member in range(alive.shape[0]):
        if not alive[member]:
            continue
        whole = np.float32(0)
        for t in range(count):
            start = addresses[1, t] + 4 * member * sizes[t]
            own[t] = _sum_squares(numba.carray(pointer(start), (sizes[t],)))
            whole += own[t]
        if not np.isfinite(whole):
            alive[member] = False
            continue
        for t in range(count):
            if clip > 0:
                norm = np.sqrt(own[t] if per_tensor else whole)
                scale[t] = clip / max(norm, clip)
            shift, shape = 4 * member * sizes[t], (sizes[t],)
            _apply(
                numba.carray(pointer(addresses[0, t] + shift), shape),
                numba.carray(pointer(addresses[1, t] + shift), shape),
                numba.carray(pointer(addresses[2, t] + shift), shape),
                scale[t], rates[member], decay, epsilon,
            )  # fmt: skip
