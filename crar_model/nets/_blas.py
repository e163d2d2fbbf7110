"""What all compiled kernels are made of: matrix products of the BLAS that PyTorch ships (MKL), or of SciPy's where PyTorch's cannot
be called, and one pass of tanh, its slope, or a sum of rows. Arrays are passed as addresses, which `nets.check` has looked at."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba.extending import get_cython_function_address
from numba.extending import intrinsic as _intrinsic
from torch import Tensor

from crar_model.core.compiled import numba

intrinsic: Any = _intrinsic
_INT, _VOID = numba.types.int64, numba.types.void
# Rational approximation of tanh on [-c, c], odd numerator over even denominator; the coefficients are those that
# Eigen's vectorised float tanh uses (within 3 units in the last place). Odd symmetry holds to the last bit.
_LIMIT = np.float32(7.90531110763549805)
_P1, _P3, _P5, _P7 = (np.float32(c) for c in (4.89352455891786e-03, 6.37261928875436e-04, 1.48572235717979e-05, 5.12229709037114e-08))
_P9, _P11, _P13 = (np.float32(c) for c in (-8.60467152213735e-11, 2.00018790482477e-13, -2.76076847742355e-16))
_Q0, _Q2, _Q4, _Q6 = (np.float32(c) for c in (4.89352518554385e-03, 2.26843463243900e-03, 1.18534705686654e-04, 1.19825839466702e-06))


@lru_cache(maxsize=1)
def sgemm_address() -> int:
    """Address of a Fortran-convention sgemm with 32-bit integers: PyTorch's if it exports one, else SciPy's."""
    for library in sorted((Path(torch.__file__).parent / "lib").glob("libtorch_cpu.*")):
        try:
            return int(ctypes.cast(ctypes.CDLL(str(library)).sgemm_, ctypes.c_void_p).value or 0)
        except (OSError, AttributeError):
            continue
    return int(get_cython_function_address("scipy.linalg.cython_blas", "sgemm"))


@intrinsic
def pointer(typing_context: Any, address: Any) -> Any:
    """An integer address as a float32 pointer that `numba.carray` accepts."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return numba.types.CPointer(numba.types.float32)(_INT), build


@intrinsic
def _call_sgemm(typing_context: Any, function: Any, ta: Any, tb: Any, m: Any, n: Any, k: Any, alpha: Any, a: Any, lda: Any, b: Any, ldb: Any, beta: Any, c: Any, ldc: Any) -> Any:  # fmt: skip
    """Call sgemm at an address, all arguments being addresses; by address so that the kernels can be cached on disk."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * 13)
        builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), arguments[1:])
        return context.get_dummy_value()

    return _VOID(*([_INT] * 14)), build


@numba.njit(cache=True, nogil=True, error_model="numpy", inline="always")
def product(
    sgemm: Any, scratch: Any, flags: Any, kind: int, rows: int, inner: int, outer: int, a: int, b: int, c: int
) -> None:  # pragma: no cover
    """C = A B for row-major float32 at addresses: kind 0: A (rows, inner) B^T (outer, inner); 1: A (rows, inner)
    B (inner, outer); 2: A^T (inner, rows) B (inner, outer); 3: as 2, added to C."""
    scratch[0], scratch[1], scratch[2] = outer, rows, inner
    scratch[3] = inner if kind == 0 else outer
    scratch[4] = rows if kind >= 2 else inner
    at, one = scratch.ctypes.data, flags.ctypes.data
    no, yes = one + 8, one + 12
    _call_sgemm(
        sgemm, yes if kind == 0 else no, yes if kind >= 2 else no, at, at + 4, at + 8, one, b, at + 12, a, at + 16,
        one if kind == 3 else one + 4, c, at,
    )  # fmt: skip


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"}, inline="always")
def tanh_of(x: Any) -> Any:  # pragma: no cover - compiled
    """tanh of one float32, within 3 units in the last place."""
    x = min(max(x, -_LIMIT), _LIMIT)
    s = x * x
    p = s * (s * (s * (s * (s * (s * _P13 + _P11) + _P9) + _P7) + _P5) + _P3) + _P1
    q = s * (s * (s * _Q6 + _Q4) + _Q2) + _Q0
    return x * p / q


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def bias_tanh(h: Any, bias: Any, linear: bool) -> None:  # pragma: no cover - compiled
    """h = tanh(h + bias) in place for h (rows, width), or h + bias where `linear`."""
    for row in range(h.shape[0]):
        if linear:
            for k in range(h.shape[1]):
                h[row, k] += bias[k]
        else:
            for k in range(h.shape[1]):
                h[row, k] = tanh_of(h[row, k] + bias[k])


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def through_tanh(grad: Any, y: Any) -> None:  # pragma: no cover - compiled
    """Turn the gradient of y = tanh(x) into that of x, in place; both flat."""
    one = np.float32(1)
    for k in range(grad.shape[0]):
        grad[k] *= one - y[k] * y[k]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def sum_rows(grad: Any, out: Any, add: bool = False) -> None:  # pragma: no cover - compiled
    """Sum (rows, width) over its rows, or add that to what `out` holds."""
    if not add:
        for k in range(out.shape[0]):
            out[k] = 0
    for row in range(grad.shape[0]):
        for k in range(out.shape[0]):
            out[k] += grad[row, k]


# The constants an sgemm call points at: alpha = 1, beta = 0, and the letters "N" and "T".
FLAGS = np.frombuffer(
    np.array([1.0, 0.0], dtype=np.float32).tobytes() + b"N\0\0\0" + b"T\0\0\0", dtype=np.int32
).copy()  # fmt: skip


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
