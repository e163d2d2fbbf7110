"""Threads that compute one call together: each runs the same compiled code with its own number, and they meet where one reads what another wrote."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba.extending import intrinsic as _intrinsic

from crar_model.core.compiled import numba
from crar_model.nets._blas import kernel
from crar_model.nets._threads import get_threads, share

intrinsic: Any = _intrinsic
_INT = numba.types.int64
_I64 = ir.IntType(64)
PATIENCE = 2_000
"""Looks at the others before a waiting thread offers its core to somebody else."""
CROWDED = 2.0
"""Running threads a core from which on no call is shared."""
_TOGETHER = threading.Lock()


@intrinsic
def _count(typing_context: Any, address: Any) -> Any:
    """Add 1 to the integer at an address, visible to all threads; returns the sum."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = builder.inttoptr(arguments[0], _I64.as_pointer())
        return builder.add(builder.atomic_rmw("add", place, ir.Constant(_I64, 1), "seq_cst"), ir.Constant(_I64, 1))

    return _INT(_INT), build


@intrinsic
def _look(typing_context: Any, address: Any) -> Any:
    """The integer at an address as the other threads left it."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load_atomic(builder.inttoptr(arguments[0], _I64.as_pointer()), "seq_cst", 8)

    return _INT(_INT), build


@intrinsic
def _offer(typing_context: Any, function: Any) -> Any:
    """Call a function without arguments at an address."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.call(builder.inttoptr(arguments[0], ir.FunctionType(ir.IntType(32), []).as_pointer()), [])
        return context.get_dummy_value()

    return numba.types.void(_INT), build


@kernel
def meet(team: Any) -> None:
    """Wait for the others. team: number of this thread, threads, address of the count of arrivals, that of a function that gives way."""
    if team[1] < 2:
        return
    arrived = _count(team[2])
    wanted, looks = (arrived + team[1] - 1) // team[1] * team[1], 0
    while _look(team[2]) < wanted:
        looks += 1
        if looks > PATIENCE:
            _offer(team[3])


@kernel
def bounds(team: Any, items: int) -> Any:
    """This thread's share of items whose results do not depend on who computes them."""
    return items * team[0] // team[1], items * (team[0] + 1) // team[1]


@lru_cache(maxsize=1)
def _giving_way() -> int:
    """Address of a function that lets other threads run; 0 where none is known."""
    for name in ("sched_yield", "SwitchToThread"):
        try:
            return int(ctypes.cast(getattr(ctypes.CDLL(None if name == "sched_yield" else "kernel32"), name), ctypes.c_void_p).value or 0)
        except (OSError, AttributeError, TypeError):
            continue
    return 0


def alone() -> np.ndarray[Any, Any]:
    """A team of one."""
    return np.array([0, 1, 0, 0], dtype=np.int64)


def crowded() -> bool:
    """Whether other work holds this machine's cores: threads that wait for each other then lose more by the clock than they gain."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > CROWDED * (os.cpu_count() or 1)


def together(work: Callable[[np.ndarray[Any, Any]], object]) -> None:
    """Call work(team) in as many threads as may share a call, in one where the machine is crowded, and return when all have ended; one such
    call at a time, for its threads wait for each other."""
    threads = get_threads() if _giving_way() and not crowded() else 1
    if threads < 2:
        work(alone())
        return
    arrivals = np.zeros(1, dtype=np.int64)

    def one(first: int, last: int) -> None:
        assert last == first + 1
        work(np.array([first, threads, arrivals.ctypes.data, _giving_way()], dtype=np.int64))

    with _TOGETHER:
        share(threads, one)
