"""The map check of the released code, with its defect: one path finder serves all three keys and is never cleared.

The search for the second key starts with the cells that the first search closed still closed, and a closed
cell is never looked at again. So a key that an earlier search has passed over counts as unreachable, and most
solvable maps are rejected. The order in which A* closes cells decides which, so this follows it: Manhattan
heuristic, a binary heap of (f, cell), neighbours in the order below, left, above, right of (column, row). Cells compare by
their f of the moment, and an entry keeps the f that it went in with, so of two entries with equal f the one whose cell has a
smaller f by now comes first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from crar_model.core.compiled import numba

_SIZE = 8


@numba.njit(cache=True)
def _before(key: int, cell: int, other_key: int, other: int, f: Any) -> bool:  # pragma: no cover - compiled
    """Whether one entry comes before another: by f as it was when it went in, then by the cell's f as it is now."""
    return bool(key < other_key or (key == other_key and f[cell] < f[other]))


@numba.njit(cache=True)
def _rise(heap: Any, keys: Any, at: int, cell: int, key: int, f: Any) -> None:  # pragma: no cover - compiled
    """Put an entry at a place of the heap and move it up while it comes before its parent: heapq's order among equals."""
    while at > 0:
        parent = (at - 1) >> 1
        if not _before(key, cell, keys[parent], heap[parent], f):
            break
        heap[at], keys[at] = heap[parent], keys[parent]
        at = parent
    heap[at], keys[at] = cell, key


@numba.njit(cache=True)
def _pop(heap: Any, keys: Any, length: int, f: Any) -> int:  # pragma: no cover - compiled
    """Take the top away: a hole sinks to a leaf along the children that come first, and the last entry rises from there."""
    end = length - 1
    last, key = heap[end], keys[end]
    at, child = 0, 1
    while child < end:
        right = child + 1
        if right < end and not _before(keys[child], heap[child], keys[right], heap[right], f):
            child = right
        heap[at], keys[at] = heap[child], keys[child]
        at = child
        child = 2 * at + 1
    _rise(heap, keys, at, last, key, f)
    return end


@numba.njit(cache=True)
def _accepts(walls: Any, keys: Any, start: int) -> bool:  # pragma: no cover - compiled
    closed = np.zeros(_SIZE * _SIZE, dtype=np.bool_)
    g = np.zeros(_SIZE * _SIZE, dtype=np.int64)
    f = np.zeros(_SIZE * _SIZE, dtype=np.int64)
    heap = np.zeros(1024, dtype=np.int64)
    priority = np.zeros(1024, dtype=np.int64)
    length = 0
    for k in range(keys.shape[0]):
        end = keys[k]
        _rise(heap, priority, length, start, f[start], f)
        length += 1
        found = False
        while length > 0 and not found:
            cell = heap[0]
            length = _pop(heap, priority, length, f)
            closed[cell] = True
            if cell == end:
                found = True
                break
            row, column = cell // _SIZE, cell % _SIZE
            for turn in range(4):
                r = row + (1 if turn == 0 else -1 if turn == 2 else 0)
                c = column + (-1 if turn == 1 else 1 if turn == 3 else 0)
                if r < 0 or c < 0 or r >= _SIZE or c >= _SIZE:
                    continue
                other = r * _SIZE + c
                if walls[other] or closed[other]:
                    continue
                waiting = False
                for at in range(length):
                    if heap[at] == other and priority[at] == f[other]:
                        waiting = True
                        break
                if waiting and not g[other] > g[cell] + 10:
                    continue
                g[other] = g[cell] + 10
                f[other] = g[other] + 10 * (abs(r - end // _SIZE) + abs(c - end % _SIZE))
                if not waiting:
                    _rise(heap, priority, length, other, f[other], f)
                    length += 1
        if not found:
            return False
    return True


@numba.njit(cache=True)
def _accept_all(walls: Any, keys: Any, start: int, out: Any) -> None:  # pragma: no cover - compiled
    for n in range(walls.shape[0]):
        out[n] = _accepts(walls[n], keys[n], start)


def legacy_accepts(walls: np.ndarray[Any, Any], keys: np.ndarray[Any, Any], start: int) -> np.ndarray[Any, Any]:
    """Whether the released code would accept each map.

    Args:
        walls: (N, 64) bool, cells in reading order.
        keys: (N, 3) int64 cells, in the order in which they were drawn: the order matters.
        start: the agent's cell.

    Returns:
        (N,) bool.
    """
    out = np.zeros(len(walls), dtype=np.bool_)
    _accept_all(np.ascontiguousarray(walls), np.ascontiguousarray(keys, dtype=np.int64), start, out)
    return out
