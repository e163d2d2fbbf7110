"""RMSprop with gradient clipping, per member.

`p -= lr g / (sqrt(v) + eps)` with `v = rho v + (1 - rho) g^2`, gradients first scaled to norm <= clip
(section 5 of docs/original.md). On the CPU one compiled pass per tensor replaces eight; elsewhere the
same arithmetic runs as tensor operations, without a host sync.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn

import numpy as np
import torch
from torch import Tensor

from crar_model.nets._rmsprop import Optimiser, rmsprop_kernel


@dataclass(frozen=True)
class RMSpropSettings:
    """rho, epsilon and clipping of the optimiser; `per_tensor` clips each tensor by its own norm, a `clip_norm` of 0 does not clip.

    Raises:
        ValueError: for a decay outside 0 to 1, and for an epsilon or a clip_norm that is negative or not finite.
    """

    decay: float = 0.9
    epsilon: float = 1e-4
    clip_norm: float = 1.0
    per_tensor: bool = False

    def __post_init__(self) -> None:
        if not (0 <= self.decay <= 1 and 0 <= self.epsilon < math.inf and 0 <= self.clip_norm < math.inf):
            raise ValueError(f"{self}: wanted are a decay from 0 to 1, and an epsilon and a clip_norm of at least 0, finite")


def rmsprop_step(
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    squares: Sequence[Tensor],
    learning_rate: Tensor,
    alive: Tensor,
    settings: RMSpropSettings,
) -> None:
    """Update parameters and squared-gradient averages in place, member by member.

    A member whose gradient is not finite, or whose step would make a parameter or an average that is not, is left as it was and marked in
    `alive`; members marked before are not touched.

    Args:
        params, grads, squares: tensors of shape (members, ...), one triple per parameter, of one dtype and on one device. What is written,
            `params` and `squares`, is contiguous.
        learning_rate: (members,) float32 or float64.
        alive: (members,) bool, False for members to leave alone; changed.
        settings: rho, epsilon, clipping.

    Raises:
        TypeError: for dtypes that do not fit.
        ValueError: for numbers of tensors, shapes, strides and devices that do not fit; the message names the tensor.
    """
    _check(params, grads, squares, learning_rate, alive)
    if params[0].is_cpu and params[0].dtype == torch.float32:
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
        norm = (own if settings.per_tensor else own.sum(0, keepdim=True).expand_as(own)).sqrt()
        scale = settings.clip_norm / norm.clamp_min(settings.clip_norm) if settings.clip_norm > 0 else torch.ones_like(norm)
        new_squares, new_params = [], []
        for index, (param, grad, square) in enumerate(zip(params, grads, squares, strict=True)):
            shape = (-1,) + (1,) * (param.dim() - 1)
            clipped = grad * scale[index].view(shape)
            new_square = settings.decay * square + (1 - settings.decay) * clipped.square()
            step = learning_rate.view(shape) * clipped / (new_square.sqrt() + settings.epsilon)
            new_squares.append(new_square)
            new_params.append((param - step).to(param.dtype))
        together = torch.cat([new.flatten(1) for new in (*new_params, *new_squares)], dim=1)
        alive &= torch.isfinite(own.sum(0)) & torch.isfinite(together).all(1)
        for old, new in zip((*params, *squares), (*new_params, *new_squares), strict=True):
            torch.where(alive.view((-1,) + (1,) * (old.dim() - 1)), new, old, out=old)


def _step_cpu(
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    squares: Sequence[Tensor],
    learning_rate: Tensor,
    alive: Tensor,
    settings: RMSpropSettings,
) -> None:
    members = len(alive)
    if members == 0:
        return
    dense = [grad.contiguous() for grad in grads]
    # Addresses instead of arrays: handing 30 arrays to compiled code costs more than the arithmetic.
    addresses = np.array([[t.data_ptr() for t in group] for group in (params, dense, squares)], dtype=np.int64)
    sizes = np.array([grad.numel() // members for grad in dense], dtype=np.int64)
    torch.autograd.graph.increment_version((*params, *squares))  # what the kernel writes, PyTorch would not know of
    rmsprop_kernel(addresses, sizes, learning_rate.detach().contiguous().numpy(), alive.numpy(), optimiser_of(settings))


@lru_cache(maxsize=64)
def optimiser_of(settings: RMSpropSettings) -> Optimiser:
    """As compiled code takes them."""
    decay, epsilon, clip = (np.float32(number) for number in (settings.decay, settings.epsilon, settings.clip_norm))
    return Optimiser(decay, epsilon, clip, settings.per_tensor, safe_rate(settings))


def safe_rate(settings: RMSpropSettings) -> float:
    """Learning rate below which no step of finite numbers gives others, unless the squared gradient is beyond 2^126.

    |step| <= rate |g| / max(sqrt((1 - rho) g^2), eps): at most rate / sqrt(1 - rho) while g^2 is a normal number, |g| >= 1e-15, and at most
    1e-15 rate / eps below. A step under 2^100 is less than half the distance between the largest float32 numbers, and rate |g| is finite
    for |g| < 2^63 with a rate under 2^62.
    """
    fresh = float(np.float32(1) - np.float32(settings.decay))
    return float(min(2.0**62, 2.0**99 * fresh**0.5, 2.0**99 * 1e15 * float(np.float32(settings.epsilon))))


def _check(params: Sequence[Tensor], grads: Sequence[Tensor], squares: Sequence[Tensor], learning_rate: Tensor, alive: Tensor) -> None:
    """Refuse what :func:`rmsprop_step` cannot take; a few dozen microseconds, for it runs in every update."""
    if not 0 < len(params) == len(grads) == len(squares):
        raise ValueError(f"{len(params)} params, {len(grads)} grads, {len(squares)} squares; give one of each for every parameter")
    if alive.dtype is not torch.bool:
        raise TypeError(f"alive is {alive.dtype}; wanted is torch.bool")
    if learning_rate.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"learning_rate is {learning_rate.dtype}; wanted is torch.float32 or torch.float64")
    like, members = params[0], alive.shape[:1]
    for tensor, what in ((alive, "alive"), (learning_rate, "learning_rate")):
        if tensor.dim() != 1 or tensor.shape != members or tensor.device != like.device:
            wanted = f"(members,) on {like.device}, the same for alive and learning_rate"
            raise ValueError(f"{what} has shape {tuple(tensor.shape)} on {tensor.device}; wanted is {wanted}")
    if not alive.is_contiguous():
        raise ValueError("alive shares memory between its members or is strided; give a tensor of its own, for it is changed")
    dtype, cpu, count = like.dtype, like.is_cpu, members[0]
    for index, (param, grad, square) in enumerate(zip(params, grads, squares, strict=True)):
        shape = param.shape
        if not (
            param.dtype is dtype and grad.dtype is dtype and square.dtype is dtype
            and shape and shape[0] == count and grad.shape == shape and square.shape == shape
            and param.is_cpu is cpu and grad.is_cpu is cpu and square.is_cpu is cpu
            and param.is_contiguous() and square.is_contiguous()
        ):  # fmt: skip
            _refuse(index, {"params": param, "grads": grad, "squares": square}, like, count)


def _refuse(index: int, triple: dict[str, Tensor], like: Tensor, members: int) -> NoReturn:
    """Say what is wrong with one triple."""
    shape = triple["params"].shape
    for group, tensor in triple.items():
        name = f"{group}[{index}]"
        if tensor.dtype is not like.dtype:
            raise TypeError(f"{name} is {tensor.dtype} and params[0] {like.dtype}; give all in one dtype")
        if tensor.is_cpu is not like.is_cpu:
            raise ValueError(f"{name} lies on {tensor.device} and params[0] on {like.device}; give all on one device")
        if tensor.shape != shape or shape[:1] != (members,):
            wanted = f"that of params[{index}], ({members}, ...) for {members} members"
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}; wanted is {wanted}")
        if group != "grads" and not tensor.is_contiguous():
            raise ValueError(f"{name} shares memory between its numbers or is strided; give a contiguous tensor, for it is changed")
    raise ValueError(f"the tensors of parameter {index} do not fit each other")
