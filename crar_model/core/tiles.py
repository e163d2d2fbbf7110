"""Tile maps: an 8x8 board as one small integer a cell, and the images they stand for.

A 48x48 observation is 64 tiles of 6x6 pixels, so a board is kept as 64 bytes instead of 9,216 and drawn where
the pixels are needed. The kind of a tile tells its sign too: kind + NEGATIVE is the same tile negated, as the
inverse maze shows it. The random mazes scale what is drawn to 2 p - 1, the simple maze shows p itself: its walls and its agent are
kinds of their own, its free cells are blank. Sprites: `maze_env` of the released code (section 2 of docs/original.md).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

SIZE = 8
CELL_PIXELS = 6
FREE, WALL, AGENT, KEY = range(4)
NEGATIVE = 4
"""Added to a kind: the tile of the other side, in the study negated."""
BLANK = 8
"""All pixels 0, whatever the maze: the observation after a terminal step in the released code."""
PLAIN_FREE, PLAIN_WALL, PLAIN_AGENT = BLANK, 9, 10
"""Free cell, wall and agent that are not scaled: pixels in [0, 1]."""
KINDS = (*range(11), *(kind + NEGATIVE for kind in (PLAIN_FREE, PLAIN_WALL, PLAIN_AGENT)))
"""All kinds of tiles."""
OUTSIDE = 15
"""Beyond the border, where convolutions see padding; never in a stored map."""

AGENT_SPRITE = (
    (0.0, 0.0, 0.8, 0.0, 0.0, 0.0),
    (0.9, 0.9, 0.9, 0.9, 0.9, 0.0),
    (0.0, 0.9, 0.9, 0.9, 0.0, 0.0),
    (0.0, 0.9, 0.9, 0.9, 0.0, 0.0),
    (0.0, 0.9, 0.0, 0.9, 0.0, 0.0),
    (0.9, 0.9, 0.0, 0.9, 0.9, 0.0),
)
KEY_SPRITE = (
    (0.0, 0.6, 0.6, 0.6, 0.0, 0.0),
    (0.0, 0.7, 0.0, 0.7, 0.0, 0.0),
    (0.0, 0.6, 0.6, 0.6, 0.0, 0.0),
    (0.0, 0.7, 0.0, 0.0, 0.0, 0.0),
    (0.0, 0.7, 0.7, 0.0, 0.0, 0.0),
    (0.0, 0.7, 0.7, 0.7, 0.0, 0.0),
)
GRID_VALUES = (0.0, 0.99, 0.25, 0.5)
"""The 8x8 observation's value of FREE, WALL, AGENT, KEY: what the released code's rescaling leaves."""


Other = tuple[float, float]
"""(contrast, brightness) of the tiles of the other side, kind + NEGATIVE."""
NEGATED: Other = (-1.0, 0.0)


@lru_cache(maxsize=8)
def pixel_table(other: Other = NEGATED) -> np.ndarray[Any, Any]:
    """Pixels of every kind of tile, (16, 6, 6) float64: 2 p - 1 of the drawing p, or p itself, the same on the other side, and zeros."""
    drawn = np.zeros((4, CELL_PIXELS, CELL_PIXELS))
    drawn[WALL], drawn[AGENT], drawn[KEY] = 1.0, AGENT_SPRITE, KEY_SPRITE
    table = np.zeros((16, CELL_PIXELS, CELL_PIXELS))
    table[:4] = 2 * drawn - 1
    table[PLAIN_WALL], table[PLAIN_AGENT] = drawn[WALL], drawn[AGENT]
    for first, last in ((FREE, KEY), (PLAIN_FREE, PLAIN_AGENT)):
        table[first + NEGATIVE : last + NEGATIVE + 1] = other[0] * table[first : last + 1] + other[1]
    return table


@lru_cache(maxsize=8)
def tile_pixels(dtype: torch.dtype = torch.float32, device: str = "cpu", other: Other = NEGATED) -> Tensor:
    """:func:`pixel_table` as a tensor."""
    return torch.from_numpy(pixel_table(other)).to(device, dtype)


def draw_pixels(tiles: Tensor, dtype: torch.dtype = torch.float32, other: Other = NEGATED) -> Tensor:
    """Images of tile maps.

    Args:
        tiles: (..., 1, 8, 8) integer kinds.
        dtype: floating type of the result.
        other: how tiles of the other side look.

    Returns:
        (..., 1, 48, 48), on the device of the map.
    """
    pixels = tile_pixels(dtype, str(tiles.device), other)[tiles.to(torch.int64)]  # (..., 1, 8, 8, 6, 6)
    rows, columns = tiles.shape[-2] * CELL_PIXELS, tiles.shape[-1] * CELL_PIXELS
    return pixels.transpose(-3, -2).reshape(*tiles.shape[:-2], rows, columns)


def draw_grid(tiles: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """The 8x8 observation of tile maps (..., 1, 8, 8): one number a cell, negated in the inverse maze."""
    values = torch.tensor([*GRID_VALUES, *(-v for v in GRID_VALUES), *[0.0] * 8], dtype=dtype, device=tiles.device)
    return values[tiles.to(torch.int64)]


def read_grid(values: Tensor) -> Tensor:
    """Tile maps of 8x8 observations: the inverse of :func:`draw_grid`; walls tell which maze it is, for free cells are 0 in both.

    Args:
        values: (..., 1, 8, 8) floating.

    Returns:
        the same shape, uint8.

    Raises:
        ValueError: for numbers that no tile has.
    """
    inverse = values.amin((-1, -2), keepdim=True) < -GRID_VALUES[WALL] / 2
    table = torch.tensor(GRID_VALUES, dtype=values.dtype, device=values.device)
    off, kind = (torch.where(inverse, -values, values).unsqueeze(-1) - table).abs().min(-1)
    if float(off.max()) > 1e-3:
        raise ValueError(f"an 8x8 observation holds a number {float(off.max()):.2g} away from {GRID_VALUES}, so it is none of this maze")
    return (kind + NEGATIVE * inverse).to(torch.uint8)


def negated(tiles: Tensor) -> Tensor:
    """The same maps as the other maze shows them: every observation negated."""
    return torch.where(tiles == BLANK, tiles, tiles ^ NEGATIVE)
