"""What the machine gives this process."""

from __future__ import annotations

import contextlib
import functools
import math
import os
from pathlib import Path

LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where a container says how much memory it may take."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> float:
    """Bytes of memory that this process can have at most: the machine's, or its container's; infinite where the system does not say."""
    return _least(LIMITS)


@functools.cache
def _least(places: tuple[str, ...]) -> float:
    """Asked once in a process: a study asks for every cell."""
    known = [math.inf]
    with contextlib.suppress(AttributeError, OSError, ValueError):  # no such question on Windows
        known.append(float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")))
    for place in places:
        with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
            known.append(float(Path(place).read_text(encoding="ascii")))
    return min(value for value in known if value > 0)
