"""Which pieces of an index (`_tile_index`) some of its boards need, numbered in the order in which they first appear."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from crar_model.core.tiles import SIZE
from crar_model.nets._blas import kernel

CELLS = SIZE * SIZE


class Drawn(NamedTuple):
    """An index of tile maps, `_tile_index.TileIndex`, as the kernels read it."""

    patches: Any  # (M, 16) pixels, float32
    inside: Any  # (M, 9) which of a patch's first-layer values lie inside the image, float32
    values: Any  # (C, 9)
    windows: Any  # (W, 9)
    places: Any  # (boards 64,)


class Pieces(NamedTuple):
    """What :func:`find_pieces` works on and finds."""

    own_patch: Any  # numbers of the index's patches here, -1 for none
    own_value: Any  # of its values
    own_window: Any  # of its windows
    patch: Any  # patches of the index, number 1 first, for 0 stands for padding
    value: Any  # (n, 9) numbers of patches
    window: Any  # (n, 9) numbers of values
    place: Any  # numbers of windows
    value_list: Any  # values of the index
    window_list: Any  # windows of the index


@kernel
def room_for_pieces(index: Drawn, boards: int) -> Pieces:
    """Room for the pieces of as many boards of an index."""
    patches, values, windows = index.patches.shape[0], index.values.shape[0], index.windows.shape[0]
    return Pieces(
        np.full(patches, -1, dtype=np.int32), np.full(values, -1, dtype=np.int32), np.full(windows, -1, dtype=np.int32),
        np.empty(patches, dtype=np.int32), np.empty((values, 9), dtype=np.int32), np.empty((windows, 9), dtype=np.int32),
        np.empty(boards * CELLS, dtype=np.int32), np.empty(values, dtype=np.int32), np.empty(windows, dtype=np.int32),
    )  # fmt: skip


@kernel
def find_pieces(values: Any, windows: Any, places: Any, first: int, room: Pieces, counts: Any) -> None:
    """The pieces of the boards at `places`, those of the `first` boards before the others' so that these can be computed alone. counts (2, 3):
    patches, values and windows of the first boards and of all."""
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
