"""How many threads a call of compiled code is shared by, and sharing it.

What a call computes is cut into items by its sizes alone, never by the number of threads, so that number changes no bit of a result.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import torch

_DENORMAL = 5e-324


class _Pool:
    """The other threads of this process, made when they are first needed; a forked process makes its own."""

    def __init__(self) -> None:
        self.wanted = 0
        self.made: tuple[int, int, ThreadPoolExecutor] | None = None

    def executor(self, threads: int) -> ThreadPoolExecutor:
        """One with at least `threads` threads."""
        if self.made is None or self.made[0] != os.getpid() or self.made[1] < threads:
            self.made = (os.getpid(), threads, ThreadPoolExecutor(threads, thread_name_prefix="crar-nets"))
        return self.made[2]


_POOL = _Pool()


def set_threads(count: int) -> None:
    """Share every call by `count` threads of this process, 0 for as many as PyTorch's own operations use.

    Raises:
        ValueError: for a negative number.
    """
    if count < 0:
        raise ValueError(f"{count} threads; give at least 1, or 0 for as many as PyTorch uses")
    _POOL.wanted = count


def get_threads() -> int:
    """Threads that share a call."""
    return _POOL.wanted or torch.get_num_threads()


def share(items: int, work: Callable[[int, int], object]) -> None:
    """Call work(first, last) for ranges that make up 0 to `items`, in as many threads as there may be, and return when all have ended.

    Args:
        items: independent of each other.
        work: releases the interpreter's lock; an exception of it is raised here.
    """
    threads = min(get_threads(), items)
    if threads < 2:
        work(0, items)
        return
    bounds = [items * k // threads for k in range(threads + 1)]
    flushed = _DENORMAL == 0.0  # a comparison sees whether this thread takes denormals for zeros; the others must do the same

    def apart(first: int, last: int) -> None:
        torch.set_flush_denormal(flushed)
        work(first, last)

    executor = _POOL.executor(threads - 1)
    others = [executor.submit(apart, bounds[k], bounds[k + 1]) for k in range(1, threads)]
    try:
        work(bounds[0], bounds[1])
    finally:
        wait(others)  # they write to memory that must outlive them
    for other in others:
        other.result()
