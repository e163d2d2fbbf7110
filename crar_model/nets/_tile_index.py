"""What repeats in a batch of tile maps, so that the encoder's convolutions see each distinct piece once.

A 48x48 image is 64 tiles of a few kinds. A pooled pixel of the encoder's second layer sees 4x4 pixels, a value of
its third layer 3x3 pooled pixels, and a position of the abstract state 3x3 such values, which is a tile and its
eight neighbours. In a batch of 64 observations about 170 of 36,864 pooled pixels, 850 of 36,864 third-layer values
and 850 of 4,096 positions are distinct; computing those alone is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crar_model.core.compiled import numba
from crar_model.core.tiles import BLANK, KINDS, NEGATED, OUTSIDE, SIZE, Other, pixel_table

_KNOWN = np.isin(np.arange(OUTSIDE), KINDS)


@dataclass(frozen=True)
class TileIndex:
    """Distinct pieces of a batch of tile maps and where they go.

    Attributes:
        patches: (M, 4, 4) kinds and pixels behind a pooled pixel, drawn: float64 in [-1, 1], 0 outside the image.
        inside: (M, 3, 3) 1 where a value of the first layer lies inside the image, else 0: the second layer's padding.
        values: (C, 9) int64 rows of `patches` that a third-layer value sees; M stands for padding.
        windows: (W, 9) int64 rows of `values` that are pooled to one position of the abstract state.
        places: (N 64,) int64 row of `windows` for every position of every map, in reading order.
    """

    patches: Tensor
    inside: Tensor
    values: Tensor
    windows: Tensor
    places: Tensor


@numba.njit(cache=True, inline="always")
def _slot(key: Any, mask: Any) -> Any:
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    return np.int64((mixed >> np.uint64(32)) & np.uint64(mask))


@numba.njit(cache=True, nogil=True)
def _grow(table: Any) -> Any:
    return np.concatenate((table, np.empty_like(table)))


@numba.njit(cache=True, nogil=True)
def _find_windows(tiles: Any, places: Any, mask: int) -> Any:
    """Distinct 3x3 neighbourhoods as keys of 4 bits a tile, reading order from the lowest bits."""
    slots = np.full(mask + 1, -1, dtype=np.int32)
    keys = np.empty(places.shape[0], dtype=np.int64)
    count = 0
    board = np.full((SIZE + 2, SIZE + 2), OUTSIDE, dtype=np.int64)
    lines = np.empty((SIZE + 2, SIZE), dtype=np.int64)  # three tiles side by side
    for n in range(tiles.shape[0]):
        for r in range(SIZE):
            for c in range(SIZE):
                board[r + 1, c + 1] = tiles[n, r, c]
        for r in range(SIZE + 2):
            for c in range(SIZE):
                lines[r, c] = board[r, c] | board[r, c + 1] << 4 | board[r, c + 2] << 8
        for r in range(SIZE):
            for c in range(SIZE):
                key = lines[r, c] | lines[r + 1, c] << 12 | lines[r + 2, c] << 24
                slot = _slot(key, mask)
                while slots[slot] >= 0 and keys[slots[slot]] != key:
                    slot = (slot + 1) & mask
                if slots[slot] < 0:
                    slots[slot] = count
                    keys[count] = key
                    count += 1
                places[(n * SIZE + r) * SIZE + c] = slots[slot]
    return keys[:count]


@numba.njit(cache=True, nogil=True)
def _find_values(keys: Any, mask: int, pixel_mask: int) -> Any:
    """Pooled pixels and third-layer values that the neighbourhoods need.

    Returns the pooled pixels' keys, the values' rows of pooled pixels, and the neighbourhoods' rows of values.
    """
    pixel_slots = np.full(pixel_mask + 1, -1, dtype=np.int32)
    pixel_keys = np.empty(1024, dtype=np.int64)
    pixels = 0
    value_slots = np.full(mask + 1, -1, dtype=np.int32)
    values = np.empty((keys.shape[0] * 9, 9), dtype=np.int64)
    found = 0
    windows = np.empty((keys.shape[0], 9), dtype=np.int64)
    ring, mixed = np.empty((5, 5), dtype=np.int64), np.empty((5, 3), dtype=np.int64)
    kinds = np.empty((3, 3), dtype=np.int64)
    for w in range(keys.shape[0]):
        for k in range(9):
            kinds[k // 3, k % 3] = (keys[w] >> (4 * k)) & 15
        for i in range(5):
            # Ring position i lies in the tile above (0), the middle tile (1, 2, 3) or the one below (4).
            tr, a = (0, 2) if i == 0 else (2, 0) if i == 4 else (1, i - 1)
            for j in range(5):
                tc, b = (0, 2) if j == 0 else (2, 0) if j == 4 else (1, j - 1)
                if kinds[tr, tc] == OUTSIDE:
                    ring[i, j] = -1
                    continue
                key = np.int64(a * 3 + b) | (kinds[tr, tc] << 4)
                if b == 2:
                    key |= kinds[tr, tc + 1] << 8
                if a == 2:
                    key |= kinds[tr + 1, tc] << 12
                if a == 2 and b == 2:
                    key |= kinds[tr + 1, tc + 1] << 16
                slot = _slot(key, pixel_mask)
                while pixel_slots[slot] >= 0 and pixel_keys[pixel_slots[slot]] != key:
                    slot = (slot + 1) & pixel_mask
                if pixel_slots[slot] < 0:
                    if pixels == pixel_keys.shape[0]:
                        pixel_keys = _grow(pixel_keys)
                    pixel_slots[slot] = pixels
                    pixel_keys[pixels] = key
                    pixels += 1
                ring[i, j] = pixel_slots[slot]
        for i in range(5):
            for j in range(3):
                mixed[i, j] = ring[i, j] + np.int64(1000003) * (ring[i, j + 1] + np.int64(1000003) * ring[i, j + 2])
        for k in range(9):
            for t in range(9):
                values[found, t] = ring[k // 3 + t // 3, k % 3 + t % 3]
            code = mixed[k // 3, k % 3] + np.int64(7368787) * (mixed[k // 3 + 1, k % 3] + np.int64(7368787) * mixed[k // 3 + 2, k % 3])
            slot = _slot(code, mask)
            while value_slots[slot] >= 0:
                same = True
                for t in range(9):
                    if values[value_slots[slot], t] != values[found, t]:
                        same = False
                        break
                if same:
                    break
                slot = (slot + 1) & mask
            if value_slots[slot] < 0:
                value_slots[slot] = found
                found += 1
            windows[w, k] = value_slots[slot]
    for v in range(found):
        for t in range(9):
            if values[v, t] < 0:
                values[v, t] = pixels
    return pixel_keys[:pixels].copy(), values[:found].copy(), windows


@numba.njit(cache=True, nogil=True)
def _draw(keys: Any, table: Any, patches: Any, inside: Any) -> None:
    for m in range(keys.shape[0]):
        a, b = (keys[m] & 15) // 3, (keys[m] & 15) % 3
        for i in range(4):
            for j in range(4):
                y, x = 2 * a + i, 2 * b + j
                shift = 4 + 4 * (x // 6) + 8 * (y // 6)
                kind = (keys[m] >> shift) & 15
                patches[m, i, j] = table[kind, y % 6, x % 6]
                if i < 3 and j < 3:
                    inside[m, i, j] = 0.0 if kind == OUTSIDE else 1.0


def index_tiles(tiles: Tensor, other: Other = NEGATED) -> TileIndex:
    """Find the distinct pieces of tile maps.

    Args:
        tiles: (..., 8, 8) kinds of tiles, integers of `mazes.tiles.KINDS` on the CPU; N maps together.
        other: (contrast, brightness) of tiles of the other side.

    Raises:
        TypeError: for numbers that are no integers.
        ValueError: for another shape, another device, no map at all, or a number that is no kind.
    """
    if tiles.is_floating_point() or tiles.is_complex() or tiles.dtype == torch.bool:
        raise TypeError(f"tile maps are {tiles.dtype}; wanted are integers, torch.uint8")
    if tiles.shape[-2:] != (SIZE, SIZE) or not tiles.is_cpu:
        raise ValueError(f"tile maps have shape {tuple(tiles.shape)} on {tiles.device}; wanted is (..., {SIZE}, {SIZE}) on the CPU")
    # By DLPack, for under `torch.func` even a tensor that nothing is asked of has no `numpy()`.
    boards = np.ascontiguousarray(np.from_dlpack(tiles).reshape(-1, SIZE, SIZE))
    if not boards.size:
        raise ValueError("there are no tile maps; give at least one")
    least, most = int(boards.min()), int(boards.max())
    if not 0 <= least <= most < OUTSIDE or (most > BLANK and not _KNOWN[boards].all()):
        raise ValueError(f"tile maps hold numbers from {least} to {most}; wanted are kinds of tiles, {KINDS}")
    kinds = most + 1 if most <= BLANK else len(np.unique(boards))
    places = np.empty(boards.size, dtype=np.int64)
    keys = _find_windows(boards, places, _power_of_two(2 * boards.size) - 1)
    pixel_keys, values, windows = _find_values(keys, _power_of_two(18 * len(keys)) - 1, _pixel_slots(kinds) - 1)
    patches = np.empty((len(pixel_keys), 4, 4), dtype=np.float64)
    inside = np.empty((len(pixel_keys), 3, 3), dtype=np.float32)
    _draw(pixel_keys, pixel_table(other), patches, inside)
    as_tensor: Any = torch.from_numpy
    return TileIndex(as_tensor(patches), as_tensor(inside), as_tensor(values), as_tensor(windows), as_tensor(places))


def _pixel_slots(kinds: int) -> int:
    """More than twice the pooled pixels that there can be: 4 inside a tile, 4 across two tiles, 1 across four, the outside a kind too."""
    kinds += 1
    return _power_of_two(2 * (4 * kinds + 4 * kinds**2 + kinds**4))


def _power_of_two(least: int) -> int:
    return 1 << max(4, (least - 1).bit_length())
