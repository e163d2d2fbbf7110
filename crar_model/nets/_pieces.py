"""Which pieces of an index (`_tile_index`) some of its boards need, numbered in the order in which they first appear."""

from __future__ import annotations

from typing import Any

import numpy as np

from crar_model.core.compiled import numba
from crar_model.core.tiles import SIZE

CELLS = SIZE * SIZE


@numba.njit(cache=True, nogil=True, error_model="numpy")
def room_for_pieces(patches: int, values: int, windows: int, boards: int) -> Any:  # pragma: no cover - compiled
    """Room for :func:`find_pieces`: own numbers of the index's patches, values and windows, -1 for none; then what it finds."""
    return (
        np.full(patches, -1, dtype=np.int32), np.full(values, -1, dtype=np.int32), np.full(windows, -1, dtype=np.int32),
        np.empty(patches, dtype=np.int32), np.empty((values, 9), dtype=np.int32), np.empty((windows, 9), dtype=np.int32),
        np.empty(boards * CELLS, dtype=np.int32), np.empty(values, dtype=np.int32), np.empty(windows, dtype=np.int32),
    )  # fmt: skip


@numba.njit(cache=True, nogil=True, error_model="numpy")
def find_pieces(values: Any, windows: Any, places: Any, first: int, room: Any, counts: Any) -> None:  # pragma: no cover - compiled
    """The pieces of boards, those of the `first` boards before the others' so that these can be computed alone.

    Writes into `room`, from its fourth array on: patches of the index, number 1 first, for 0 stands for padding; values (n, 9) as numbers of
    patches; windows (n, 9) as numbers of values; places as numbers of windows. counts (2, 3): patches, values and windows of the first boards
    and of all.
    """
    own_patch, own_value, own_window, patch, value, window, place, value_list, window_list = room
    padding = own_patch.shape[0]
    m = c = w = 0
    for half in range(2):
        begin, end = (0, first * CELLS) if half == 0 else (first * CELLS, places.shape[0])
        old_w, old_c = w, c
        for p in range(begin, end):
            index = places[p]
            if own_window[index] < 0:
                own_window[index] = w
                window_list[w] = index
                w += 1
            place[p] = own_window[index]
        for v in range(old_w, w):
            for t in range(9):
                index = windows[window_list[v], t]
                if own_value[index] < 0:
                    own_value[index] = c
                    value_list[c] = index
                    c += 1
                window[v, t] = own_value[index]
        for v in range(old_c, c):
            for t in range(9):
                index = values[value_list[v], t]
                if index == padding:
                    value[v, t] = 0
                    continue
                if own_patch[index] < 0:
                    patch[m] = index
                    m += 1
                    own_patch[index] = m
                value[v, t] = own_patch[index]
        counts[half, 0], counts[half, 1], counts[half, 2] = m, c, w
    for k in range(m):
        own_patch[patch[k]] = -1
    for k in range(c):
        own_value[value_list[k]] = -1
    for k in range(w):
        own_window[window_list[k]] = -1
