"""Films of agents: pictures of a maze, several of them side by side, and the GIF with its poster frame."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from crar_model.core.files import StrPath, write_bytes
from crar_model.mazes.render import draw_cells

PATH_COLOR, GOAL_COLOR, TRAIL_COLOR = (0, 114, 178), (0, 158, 115), (130, 130, 130)
HEAD, FOOT, GAP, TEXT = 22, 26, 14, 13
FRAME_MS, LAST_MS = 350, 2500
COLORS = 64
"""Of a GIF's frame."""
Cell = tuple[int, int]


def maze_picture(
    walls: np.ndarray[Any, Any], cells: Sequence[Cell], *, keys: Sequence[Cell] = (), goal: Cell | None = None, trail: Sequence[Cell] = (),
    inverse: bool = False, cell: int = 40,
) -> Image.Image:  # fmt: skip
    """A maze with its agent and the route that it plans.

    Args:
        walls: (rows, columns) bool.
        cells: the agent's own (row, column), then those of its planned route.
        keys: that are left. goal: where it should go. trail: where it has been, its own cell last.
        inverse: draw the photographic negative, as the inverse maze is; routes keep their colours.
        cell: pixels per cell.
    """
    image = Image.fromarray(draw_cells(walls, cells[0], keys=keys, inverse=inverse, cell=cell))
    pen = ImageDraw.Draw(image)

    def middle(place: Cell) -> tuple[float, float]:
        return (place[1] + 0.5) * cell, (place[0] + 0.5) * cell

    if goal is not None:
        x, y = middle(goal)
        pen.rectangle((x - 0.42 * cell, y - 0.42 * cell, x + 0.42 * cell, y + 0.42 * cell), outline=GOAL_COLOR, width=max(2, cell // 10))
    if len(set(trail)) > 1:
        pen.line([middle(place) for place in trail], fill=TRAIL_COLOR, width=max(2, cell // 12))
    route = [middle(place) for place in cells]
    if len(set(route)) > 1:
        pen.line(route, fill=PATH_COLOR, width=max(2, cell // 13))
    for x, y in route[1:]:
        pen.ellipse((x - cell / 8, y - cell / 8, x + cell / 8, y + cell / 8), outline=PATH_COLOR, width=2)
    return image


def framed(picture: Image.Image, above: str, below: str) -> Image.Image:
    """A picture with a line of text above and one below; without the first where it is ""."""
    head = HEAD if above else 0
    image = Image.new("RGB", (picture.width, head + picture.height + FOOT), "white")
    image.paste(picture, (0, head))
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(TEXT)
    pen.text((3, 2), above, fill="black", font=font)
    pen.text((3, head + picture.height + 4), below, fill="black", font=font)
    return image


def side_by_side(films: Sequence[Sequence[Image.Image]]) -> list[Image.Image]:
    """Films of one size beside each other; one that ends first stays at its last frame."""
    width, height = films[0][0].size
    frames = []
    for k in range(max(len(film) for film in films)):
        frame = Image.new("RGB", (len(films) * (width + GAP) - GAP, height), "white")
        for number, film in enumerate(films):
            frame.paste(film[min(k, len(film) - 1)], (number * (width + GAP), 0))
        frames.append(frame)
    return frames


def save_film(frames: Sequence[Image.Image], out: StrPath, *, poster: bool = False) -> Path | None:
    """Write an animated GIF and, with `poster`, its last frame as a PNG of the same name beside it, whose path is returned."""
    buffer, times = io.BytesIO(), [FRAME_MS] * (len(frames) - 1) + [LAST_MS]
    small = [frame.quantize(COLORS) for frame in frames]
    small[0].save(buffer, format="GIF", save_all=True, append_images=small[1:], duration=times, loop=0, optimize=True)
    write_bytes(out, buffer.getvalue())
    if not poster:
        return None
    still, path = io.BytesIO(), Path(out).with_suffix(".png")
    small[-1].save(still, format="PNG", optimize=True)
    write_bytes(path, still.getvalue())
    return path
