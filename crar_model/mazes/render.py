"""Pictures of mazes for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

WALL_COLOR, FREE_COLOR, GRID_COLOR = (52, 58, 72), (246, 244, 238), (222, 218, 208)
KEY_COLOR = (214, 158, 32)
AGENT_COLOR, EYE_COLOR = (214, 69, 65), (255, 255, 255)


MODES = ("rgb_array", "ansi")
"""Values of `render_mode` beside None."""
LIST = "_list"
LISTS = tuple(mode + LIST for mode in MODES)
"""The same for all pictures since they were last asked for."""


def check_mode(mode: str | None, known: Sequence[str] = MODES) -> None:
    """Raise ValueError for a render mode that there is not."""
    if mode is not None and mode not in known:
        raise ValueError(f"render_mode is {mode!r}; choose {', '.join(known)} or None")


def write_cells(walls: np.ndarray[Any, Any], agent: tuple[int, int], *, keys: Sequence[tuple[int, int]] = ()) -> str:
    """The maze as text, a line a row: # wall, . free, K key, A agent."""
    cells = np.where(walls, "#", ".")
    for row, column in keys:
        cells[row, column] = "K"
    cells[agent] = "A"
    return "\n".join("".join(row) for row in cells) + "\n"


def draw_cells(
    walls: np.ndarray[Any, Any], agent: tuple[int, int], *, keys: Sequence[tuple[int, int]] = (), inverse: bool = False, cell: int = 32
) -> np.ndarray[Any, Any]:
    """Draw walls, floor, keys, and the agent, a round figure with two eyes.

    Args:
        walls: (rows, columns) bool.
        agent: (row, column).
        keys: (row, column) of each.
        inverse: draw the photographic negative, as the inverse maze is.
        cell: pixels per cell.

    Returns:
        (rows cell, columns cell, 3) uint8.
    """
    colors = np.where(walls[..., None], np.array(WALL_COLOR), np.array(FREE_COLOR))
    image = colors.repeat(cell, axis=0).repeat(cell, axis=1).astype(np.uint8)
    floor = ~walls.repeat(cell, axis=0).repeat(cell, axis=1)
    y, x = np.indices(image.shape[:2])
    image[floor & ((y % cell == 0) | (x % cell == 0))] = GRID_COLOR
    for row, column in keys:
        dy, dx = y - (row + 0.5) * cell, x - (column + 0.5) * cell
        ring = np.abs(np.hypot(dy + 0.16 * cell, dx) - 0.12 * cell) <= 0.05 * cell
        shaft = (np.abs(dx) <= 0.045 * cell) & (dy >= -0.04 * cell) & (dy <= 0.32 * cell)
        teeth = (dx >= 0) & (dx <= 0.15 * cell) & ((np.abs(dy - 0.18 * cell) <= 0.035 * cell) | (np.abs(dy - 0.29 * cell) <= 0.035 * cell))
        image[ring | shaft | teeth] = KEY_COLOR
    middle_y, middle_x = ((index + 0.5) * cell - 0.5 for index in agent)
    image[np.hypot(y - middle_y, x - middle_x) <= 0.36 * cell] = AGENT_COLOR
    for side in (-1, 1):
        eye = np.hypot(y - (middle_y - 0.08 * cell), x - (middle_x + side * 0.13 * cell)) <= 0.07 * cell
        image[eye] = EYE_COLOR
    return 255 - image if inverse else image
