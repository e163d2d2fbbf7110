"""The compiled RMSprop step: one pass per tensor and member instead of eight."""

from __future__ import annotations

from typing import Any

import numpy as np

from crar_model.core.compiled import numba
from crar_model.nets._blas import pointer

HUGE = np.float32(2.0**126)


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
def _copy(source: Any, target: Any) -> None:  # pragma: no cover - compiled
    for k in range(source.shape[0]):
        target[k] = source[k]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _finite(values: Any) -> Any:  # pragma: no cover - compiled
    finite = True
    for k in range(values.shape[0]):
        finite &= np.isfinite(values[k])
    return finite


@numba.njit(cache=True, nogil=True, error_model="numpy")
def step_member(
    params: Any, grads: Any, squares: Any, sizes: Any, rate: Any, decay: Any, epsilon: Any, clip: Any, per_tensor: Any, safe_rate: Any
) -> bool:  # fmt: skip # pragma: no cover - compiled
    """One step of one member, whose tensors lie at the addresses; False where it was not taken. Where the rate is not below `safe_rate` or
    the gradient is huge, the step is taken on trial: what it makes not finite is put back."""
    count = sizes.shape[0]
    own = np.empty(count, dtype=np.float32)
    whole = np.float32(0)
    for t in range(count):
        own[t] = _sum_squares(numba.carray(pointer(grads[t]), (sizes[t],)))
        whole += own[t]
    if not np.isfinite(whole):
        return False
    trial = not (abs(rate) < safe_rate and whole < HUGE)
    kept = np.empty((2, sizes.sum() if trial else 0), dtype=np.float32)
    at, finite = 0, True
    for t in range(count):
        scale = np.float32(1)
        if clip > 0:
            scale = clip / max(np.sqrt(own[t] if per_tensor else whole), clip)
        shape = (sizes[t],)
        param, square = numba.carray(pointer(params[t]), shape), numba.carray(pointer(squares[t]), shape)
        if trial:
            _copy(param, kept[0, at : at + sizes[t]])
            _copy(square, kept[1, at : at + sizes[t]])
            at += sizes[t]
        _apply(param, numba.carray(pointer(grads[t]), shape), square, scale, rate, decay, epsilon)
        if trial and not (_finite(param) and _finite(square)):
            finite = False
    if finite:
        return True
    at = 0
    for t in range(count):
        shape = (sizes[t],)
        _copy(kept[0, at : at + sizes[t]], numba.carray(pointer(params[t]), shape))
        _copy(kept[1, at : at + sizes[t]], numba.carray(pointer(squares[t]), shape))
        at += sizes[t]
    return False


@numba.njit(cache=True, nogil=True, error_model="numpy")
def rmsprop_kernel(
    addresses: Any, sizes: Any, rates: Any, alive: Any, decay: Any, epsilon: Any, clip: Any, per_tensor: Any, safe_rate: Any
) -> None:  # fmt: skip # pragma: no cover - compiled
    """One step of every living member; one whose step was not taken is no longer alive."""
    for member in range(alive.shape[0]):
        if alive[member]:
            shift = 4 * member * sizes
            alive[member] = step_member(
                addresses[0] + shift, addresses[1] + shift, addresses[2] + shift, sizes, rates[member], decay, epsilon, clip,
                per_tensor, safe_rate,
            )  # fmt: skip
