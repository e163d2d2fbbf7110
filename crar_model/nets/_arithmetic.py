"""Which arithmetic the large products of compiled kernels are done in: float32, or tiles where the processor has them (`_amx`).

Kernels read the choice from memory that all of a process share, at run time. So none is compiled twice, none takes an argument for it, and
a process that does not choose tiles compiles nothing of them.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba.core import cgutils

from crar_model.core.compiled import numba
from crar_model.core.settings import ARITHMETICS
from crar_model.nets._blas import intrinsic

CONVOLVED, WINDOW_GRADIENT = range(2)
_SYMBOL = "crar_chosen_products"
_CHOSEN = np.zeros(2, dtype=np.int64)
"""Address of each product, 0 where float32 is chosen."""
binding.add_symbol(_SYMBOL, _CHOSEN.ctypes.data)
_SYSCALL, _ASK, _TILE_DATA = 158, 0x1023, 18
"""arch_prctl of x86-64, its request for a permission, and the permission: a process has to ask Linux once for the tiles' registers."""


@intrinsic(prefer_literal=True)
def taken(typing_context: Any, product: Any, arguments: Any) -> Any:
    """Whether the chosen arithmetic has taken a product (literal) over, called with these integers: 1, or 0 where the caller is to compute it."""
    if not hasattr(product, "literal_value"):
        return None  # Numba asks without literals first

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        integer, kinds = ir.IntType(64), list(signature.args[1])
        numbers = [
            context.cast(builder, value, kind, numba.types.int64)
            for value, kind in zip(cgutils.unpack_tuple(builder, given[1]), kinds, strict=True)
        ]
        table = builder.module.globals.get(_SYMBOL) or ir.GlobalVariable(builder.module, ir.ArrayType(integer, len(_CHOSEN)), _SYMBOL)
        place = [ir.Constant(ir.IntType(32), 0), ir.Constant(ir.IntType(32), product.literal_value)]
        address, before = builder.load_atomic(builder.gep(table, place), "monotonic", 8), builder.block
        with builder.if_then(builder.icmp_signed("!=", address, ir.Constant(integer, 0))):
            kind = ir.FunctionType(integer, [integer] * len(numbers)).as_pointer()
            done = builder.call(builder.inttoptr(address, kind), numbers)
            called = builder.block
        result = builder.phi(integer)
        result.add_incoming(ir.Constant(integer, 0), before)
        result.add_incoming(done, called)
        return result

    return numba.types.int64(product, arguments), build


def tiles_lacking() -> str:
    """Why this process can have no tiles, in words; "" where it can. Asks the system for them."""
    features = binding.get_host_cpu_features()
    if not (features.get("amx-tile") and features.get("amx-bf16") and features.get("avx512f")):
        return "this processor has no tile unit for bfloat16 (AMX)"
    if sys.platform != "linux" or ctypes.CDLL(None).syscall(_SYSCALL, _ASK, _TILE_DATA) != 0:
        return "this system gives no process the processor's tiles (AMX)"
    return ""


def set_arithmetic(name: str) -> None:
    """Choose the arithmetic of this process's compiled products, in all of its threads; compiles what tiles need where no cache has it.

    Args:
        name: float32, or tiles: products of float32 numbers as three of bfloat16 ones, summed in float32.

    Raises:
        ValueError: for another name, and for tiles where there are none.
    """
    if name not in ARITHMETICS:
        raise ValueError(f"no arithmetic {name!r}; give one of {', '.join(ARITHMETICS)}")
    if name == "float32":
        _CHOSEN[:] = 0
        return
    if lacking := tiles_lacking():
        raise ValueError(f"{lacking}; give float32")
    from crar_model.nets._amx import addresses

    _CHOSEN[:] = addresses()


def get_arithmetic() -> str:
    """The one that is chosen."""
    return ARITHMETICS[int(_CHOSEN.any())]
