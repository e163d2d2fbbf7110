"""The compiled RMSprop step: one pass per tensor and member instead of eight."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from crar_model.core.compiled import numba
from crar_model.nets._blas import fusing, kernel, pointer, summing

HUGE = np.float32(2.0**126)


class Optimiser(NamedTuple):
    """RMSprop's settings: float32 numbers, whether each tensor is clipped by its own norm, and `rmsprop.safe_rate`."""

    decay: Any
    epsilon: Any
    clip: Any
    per_tensor: bool
    safe_rate: float


@summing
def _sum_squares(values: Any) -> Any:
    result = np.float32(0)
    for k in range(values.shape[0]):
        result += values[k] * values[k]
    return result


@fusing
def _apply(param: Any, grad: Any, square: Any, scale: Any, rate: Any, optimiser: Optimiser) -> None:
    one, decay, epsilon = np.float32(1), optimiser.decay, optimiser.epsilon
    for k in range(param.shape[0]):
        g = grad[k] * scale
        v = decay * square[k] + (one - decay) * g * g
        square[k] = v
        param[k] -= rate * g / (np.sqrt(v) + epsilon)


@kernel
def scale_of(own: Any, whole: Any, optimiser: Optimiser) -> Any:
    """What clips a gradient, from the sums of squares of its tensor and of all."""
    if optimiser.clip > 0:
        return optimiser.clip / max(np.sqrt(own if optimiser.per_tensor else whole), optimiser.clip)
    return np.float32(1)


@kernel
def _copy(source: Any, target: Any) -> None:
    for k in range(source.shape[0]):
        target[k] = source[k]


@kernel
def _finite(values: Any) -> Any:
    finite = True
    for k in range(values.shape[0]):
        finite &= np.isfinite(values[k])
    return finite


@kernel
def step_member(params: Any, grads: Any, squares: Any, sizes: Any, rate: Any, optimiser: Optimiser) -> bool:
    """One step of one member, whose tensors lie at the addresses; False where it was not taken. Where the rate is not below `safe_rate` or
    the gradient is huge, the step is taken on trial: what it makes not finite is put back."""
    count = sizes.shape[0]
    own, whole = np.empty(count, dtype=np.float32), np.float32(0)
    for t in range(count):
        own[t] = _sum_squares(numba.carray(pointer(grads[t]), (sizes[t],)))
        whole += own[t]
    if not np.isfinite(whole):
        return False
    trial = not (abs(rate) < optimiser.safe_rate and whole < HUGE)
    kept = np.empty((2, sizes.sum() if trial else 0), dtype=np.float32)
    at, finite = 0, True
    for t in range(count):
        shape = (sizes[t],)
        param, square = numba.carray(pointer(params[t]), shape), numba.carray(pointer(squares[t]), shape)
        if trial:
            _copy(param, kept[0, at : at + sizes[t]])
            _copy(square, kept[1, at : at + sizes[t]])
            at += sizes[t]
        _apply(param, numba.carray(pointer(grads[t]), shape), square, scale_of(own[t], whole, optimiser), rate, optimiser)
        if trial and not (_finite(param) and _finite(square)):
            finite = False
    at = 0
    for t in range(0 if finite else count):
        shape = (sizes[t],)
        _copy(kept[0, at : at + sizes[t]], numba.carray(pointer(params[t]), shape))
        _copy(kept[1, at : at + sizes[t]], numba.carray(pointer(squares[t]), shape))
        at += sizes[t]
    return finite


@kernel
def rmsprop_kernel(addresses: Any, sizes: Any, rates: Any, alive: Any, optimiser: Optimiser) -> None:
    """One step of every living member; one whose step was not taken is no longer alive."""
    for member in range(alive.shape[0]):
        if alive[member]:
            at = addresses + 4 * member * sizes
            alive[member] = step_member(at[0], at[1], at[2], sizes, rates[member], optimiser)
