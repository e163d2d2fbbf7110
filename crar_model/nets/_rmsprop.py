"""The compiled RMSprop step: one pass per tensor and member instead of eight."""

from __future__ import annotations

from typing import Any

import numpy as np

from crar_model.compiled import numba
from crar_model.nets._blas import pointer


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
def rmsprop_kernel(
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
