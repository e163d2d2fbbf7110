"""What all compiled kernels share: pointers, tanh and its slope, and the addresses that arrays are passed as, which `nets.check` has looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numba.extending import intrinsic as _intrinsic
from torch import Tensor

from crar_model.core.compiled import numba

intrinsic: Any = _intrinsic
_COMPILED: Any = {"cache": True, "nogil": True, "error_model": "numpy"}
kernel = numba.njit(**_COMPILED)
"""Compiles a function of this package; what is not said otherwise is computed as it is written."""
fusing = numba.njit(fastmath={"contract"}, **_COMPILED)
"""The same where a product and a sum may be one instruction."""
summing = numba.njit(fastmath={"reassoc", "contract"}, **_COMPILED)
"""The same where sums may be taken in any order, too."""
_INT = numba.types.int64
# Rational approximation of tanh on [-c, c], odd numerator over even denominator; the coefficients are those that
# Eigen's vectorised float tanh uses (within 3 units in the last place). Odd symmetry holds to the last bit.
_LIMIT = np.float32(7.90531110763549805)
_P1, _P3, _P5, _P7 = (np.float32(c) for c in (4.89352455891786e-03, 6.37261928875436e-04, 1.48572235717979e-05, 5.12229709037114e-08))
_P9, _P11, _P13 = (np.float32(c) for c in (-8.60467152213735e-11, 2.00018790482477e-13, -2.76076847742355e-16))
_Q0, _Q2, _Q4, _Q6 = (np.float32(c) for c in (4.89352518554385e-03, 2.26843463243900e-03, 1.18534705686654e-04, 1.19825839466702e-06))


@intrinsic
def pointer(typing_context: Any, address: Any) -> Any:
    """An integer address as a float32 pointer that `numba.carray` accepts."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return numba.types.CPointer(numba.types.float32)(_INT), build


@numba.njit(cache=True, nogil=True, error_model="numpy", inline="always")
def place_of(array: Any) -> Any:
    """Address of an array; signed, for one type of integer spares second compilations."""
    return np.int64(array.ctypes.data)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"}, inline="always")
def tanh_of(x: Any) -> Any:
    """tanh of one float32, within 3 units in the last place."""
    x = min(max(x, -_LIMIT), _LIMIT)
    s = x * x
    p = s * (s * (s * (s * (s * (s * _P13 + _P11) + _P9) + _P7) + _P5) + _P3) + _P1
    q = s * (s * (s * _Q6 + _Q4) + _Q2) + _Q0
    return x * p / q


@fusing
def through_tanh(grad: Any, y: Any) -> None:
    """Turn the gradient of y = tanh(x) into that of x, in place; both flat."""
    one = np.float32(1)
    for k in range(grad.shape[0]):
        grad[k] *= one - y[k] * y[k]


def address(tensor: Tensor) -> int:
    """Where the numbers of a tensor lie.

    Raises:
        TypeError: for a tensor that is not float32 on the CPU.
        ValueError: for one whose numbers do not lie one after the other.
    """
    if tensor.dtype is not torch.float32 or not tensor.is_cpu:
        raise TypeError(f"compiled code reads float32 on the CPU, not {tensor.dtype} on {tensor.device}; convert the tensor")
    if not tensor.is_contiguous() or tensor.is_neg():
        raise ValueError(f"compiled code reads contiguous tensors, not shape {tuple(tensor.shape)} with strides {tensor.stride()}; copy it")
    return tensor.data_ptr()


def addresses(tensors: Sequence[Tensor]) -> np.ndarray[Any, Any]:
    """:func:`address` of tensors, as int64."""
    return np.array([address(tensor) for tensor in tensors], dtype=np.int64)


def of_members(tensors: Sequence[Tensor]) -> np.ndarray[Any, Any]:
    """Addresses (members, tensors) of every member's share of contiguous float32 tensors on the CPU with a leading member axis."""
    members = tensors[0].shape[0]
    first = np.array([tensor.data_ptr() for tensor in tensors], dtype=np.int64)
    steps = 4 * np.array([tensor.numel() for tensor in tensors], dtype=np.int64) // max(1, members)
    found: np.ndarray[Any, Any] = first + np.arange(members, dtype=np.int64)[:, None] * steps
    return found
