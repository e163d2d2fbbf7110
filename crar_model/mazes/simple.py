"""The simple maze of the study as tensors: 8x8 cells, two rooms joined by one door, 31 states.

Source: `simple_maze_env` of the released code (no reward, never terminal) and Figure 3 of the paper.
Everything a learner can ask of this maze is a lookup in two small tables, so a batch of any size
steps in one indexing operation.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import IntEnum
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from crar_model.core.tiles import AGENT_SPRITE, BLANK, CELL_PIXELS, NEGATIVE, PLAIN_AGENT, PLAIN_FREE, PLAIN_WALL, SIZE, draw_pixels
from crar_model.mazes.maps import NEGATIVE_MAP, ObservationMap
from crar_model.mazes.table import StateTable

DOOR = (4, 4)


class Action(IntEnum):
    """Actions of the simple maze, in the order of `ACTION_STEPS`; the random mazes use another."""

    UP = 0
    DOWN = 1
    LEFT = 2
    RIGHT = 3


ACTION_NAMES = tuple(action.name.lower() for action in Action)
ACTION_STEPS = ((-1, 0), (1, 0), (0, -1), (0, 1))
WALL, FREE, AGENT = 1.0, 0.0, 0.5
MOST_CELLS = 1 << 16
"""Cells of a layout: of 256x256 the first layer alone has 13 million numbers."""


@dataclass(frozen=True)
class SimpleMaze(StateTable):
    """Constant tables of a maze of rooms: of the study's by :func:`simple_maze`, of any other by :meth:`from_walls`.

    Attributes:
        walls: (H, W) bool, True where a cell is wall; the border is.
        positions: (N, 2) int64, (row, column) of every state, in reading order.
        successor: (N, 4) int64, state reached by each action; a wall leaves the state as it is.
        start: index of the state where every episode begins, in the study's maze the door.
        map: what the inverse maze makes of an observation.
    """

    walls: Tensor
    positions: Tensor
    successor: Tensor
    start: int
    map: ObservationMap = NEGATIVE_MAP
    label_title: ClassVar[str] = "row and column of the cell"

    @classmethod
    def from_walls(cls, text: str) -> SimpleMaze:
        """A maze from a drawing: a line a row, `#` a wall, `.` a free cell, `S` the free cell where episodes begin (else the first).

        Raises:
            ValueError: for other characters, more than `MOST_CELLS` cells, rows of different lengths, a border that is not all wall, fewer than two free cells, several
                starts, or cells that cannot be reached; the message names row and column, counted from 0.
        """
        rows = [line.rstrip() for line in text.strip("\n").splitlines()]
        if not rows:
            raise ValueError("the drawing is empty; give a line a row")
        if len(rows) * len(rows[0]) > MOST_CELLS:
            raise ValueError(f"the drawing has {len(rows):,} rows of {len(rows[0]):,} cells; layouts have up to {MOST_CELLS:,} cells")
        for number, line in enumerate(rows):
            if len(line) != len(rows[0]):
                raise ValueError(f"row {number} has {len(line)} cells and row 0 has {len(rows[0])}; give rows of one length")
            for column, cell in enumerate(line):
                if cell not in "#.S":
                    raise ValueError(f"row {number}, column {column} holds {cell!r}; draw walls as #, free cells as . and the start as S")
                if cell != "#" and (number in (0, len(rows) - 1) or column in (0, len(line) - 1)):
                    raise ValueError(f"row {number}, column {column} of the border is free; close the border with walls")
        walls = torch.tensor([[cell == "#" for cell in line] for line in rows])
        starts = [(row, line.index("S")) for row, line in enumerate(rows) for _ in range(line.count("S"))]
        if len(starts) > 1:
            raise ValueError(f"there are {len(starts)} starts; mark one cell with S")
        free = (~walls).nonzero().tolist()
        if len(free) < 2:
            raise ValueError("there are fewer than two free cells; draw them as .")
        return cls._of(walls, starts[0] if starts else (free[0][0], free[0][1]))

    @classmethod
    def _of(cls, walls: Tensor, start: tuple[int, int]) -> SimpleMaze:
        """The tables of walls with a closed border."""
        positions = (~walls).nonzero()
        index = torch.full(walls.shape, -1, dtype=torch.int64)
        index[positions[:, 0], positions[:, 1]] = torch.arange(len(positions))
        columns = []
        for step in ACTION_STEPS:
            target = positions + torch.tensor(step)
            reached = index[target[:, 0], target[:, 1]]
            columns.append(torch.where(reached >= 0, reached, torch.arange(len(positions))))
        maze = cls(walls, positions, torch.stack(columns, dim=1), int(index[start]))
        met, edge = torch.zeros(maze.n_states, dtype=torch.bool), torch.tensor([maze.start])
        while len(edge):
            met[edge] = True
            edge = torch.unique(maze.successor[edge])
            edge = edge[~met[edge]]
        if not bool(met.all()):
            row, column = positions[~met][0].tolist()
            raise ValueError(f"row {row}, column {column} cannot be reached from the start; join it, or wall it up")
        return maze

    @property
    def action_names(self) -> tuple[str, ...]:
        """Name of every action."""
        return ACTION_NAMES

    def rooms(self) -> Tensor:
        """(N,) int64 room of every state, counted from 0 in reading order; -1 for a door, a cell with two free neighbours, opposite each
        other. Rooms are what is left connected without the doors."""
        from scipy.sparse import csr_array  # not at the top: training needs no rooms, and every worker would wait for it
        from scipy.sparse.csgraph import connected_components

        free = torch.nn.functional.pad(~self.walls, (1, 1, 1, 1))
        row, column = (self.positions + 1).unbind(1)
        up, down, left, right = free[row - 1, column], free[row + 1, column], free[row, column - 1], free[row, column + 1]
        door = (up & down & ~left & ~right) | (left & right & ~up & ~down)
        inside = ~door[self.successor] & ~door.unsqueeze(1)
        rows, actions = inside.nonzero(as_tuple=True)
        graph = csr_array(
            (torch.ones(len(rows)).numpy(), (rows.numpy(), self.successor[rows, actions].numpy())), shape=(self.n_states,) * 2
        )
        label = torch.from_numpy(connected_components(graph, directed=False)[1]).to(torch.int64)
        order = list(dict.fromkeys(label[~door].tolist()))
        return torch.tensor([-1 if is_door else order.index(room) for is_door, room in zip(door.tolist(), label.tolist(), strict=True)])

    def regions(self) -> tuple[Tensor, dict[int, str]]:
        """The rooms; two of them are the left and the right one."""
        rooms = self.rooms()
        count = int(rooms.max()) + 1
        names = {room: ("left room", "right room")[room] if count == 2 else f"room {room + 1}" for room in range(count)}
        return rooms, names | ({-1: "door"} if bool((rooms < 0).any()) else {})

    def label(self, state: int) -> str:
        """Row and column."""
        row, column = self.positions[state].tolist()
        return f"{row}{column}"

    def caption(self, state: int) -> str:
        """Where the agent is."""
        return f"agent at {tuple(self.positions[state].tolist())}"

    def observations(self, *, inverse: bool = False, pixels: bool = False, dtype: torch.dtype = torch.float32) -> Tensor:
        """Observation of every state.

        Args:
            inverse: as the inverse maze shows it, through `map`; the study's negates it (wall -1, free 0, agent -0.5), as the released
                weights require.
            pixels: draw each cell as 6x6 pixels with the agent's sprite instead of one number a cell.
            dtype: floating type of the result.

        Returns:
            (N, 1, H, W), or with `pixels` (N, 1, 6 H, 6 W), values in [-1, 1] but for maps that leave that range.
        """
        n = self.n_states
        grid = self.walls.to(dtype).expand(n, *self.walls.shape).clone()
        rows, columns = self.positions[:, 0], self.positions[:, 1]
        if pixels:
            cells = grid.repeat_interleave(CELL_PIXELS, dim=1).repeat_interleave(CELL_PIXELS, dim=2)
            sprite = torch.tensor(AGENT_SPRITE, dtype=dtype)
            for state, (row, column) in enumerate(self.positions.tolist()):
                top, left = row * CELL_PIXELS, column * CELL_PIXELS
                cells[state, top : top + CELL_PIXELS, left : left + CELL_PIXELS] = sprite
            grid = cells
        else:
            grid[torch.arange(n), rows, columns] = AGENT
        grid = grid.unsqueeze(1)
        return self.map.apply(grid) if inverse else grid


class ImageMaze(SimpleMaze):
    """The same maze seen as 48x48 images, which are handed around as tile maps (`mazes.tiles`); its map treats all pixels alike."""

    @classmethod
    def of(cls, maze: SimpleMaze) -> ImageMaze:
        """The maze of these tables.

        Raises:
            ValueError: for other than 8x8 cells.
        """
        if maze.walls.shape != (SIZE, SIZE):
            rows, columns = maze.walls.shape
            raise ValueError(f"the layout has {rows}x{columns} cells, and images show {SIZE}x{SIZE}; draw it in {SIZE} rows of {SIZE}")
        return cls(**{item.name: getattr(maze, item.name) for item in fields(maze)})

    def observations(self, *, inverse: bool = False, pixels: bool = False, dtype: torch.dtype = torch.float32) -> Tensor:
        """(N, 1, 8, 8) uint8 tile map of every state, or with `pixels` the images that they stand for, (N, 1, 48, 48) of this dtype."""
        if pixels:
            return super().observations(inverse=inverse, pixels=True, dtype=dtype)
        tiles = torch.where(self.walls, PLAIN_WALL, PLAIN_FREE).to(torch.uint8).repeat(self.n_states, 1, 1)
        tiles[torch.arange(self.n_states), self.positions[:, 0], self.positions[:, 1]] = PLAIN_AGENT
        tiles = tiles.unsqueeze(1)
        return tiles + NEGATIVE if inverse else tiles

    def blank(self) -> Tensor:
        """(1, 1, 8, 8) the tile map of an image that is all zeros."""
        return torch.full((1, 1, SIZE, SIZE), BLANK, dtype=torch.uint8)

    def pictures(self, *, inverse: bool = False) -> Tensor:
        """(N, 48, 48) the images."""
        other = self.map.per_pixel
        assert other is not None
        return draw_pixels(self.observations(inverse=inverse), other=other)[:, 0]


def mapped_maze(maze: SimpleMaze, observation_map: ObservationMap) -> SimpleMaze:
    """A maze with another observation map."""
    return maze if maze.map == observation_map else replace(maze, map=observation_map)


@lru_cache(maxsize=64)
def walled_maze(text: str) -> SimpleMaze:
    """:meth:`SimpleMaze.from_walls`, kept."""
    return SimpleMaze.from_walls(text)


@lru_cache(maxsize=64)
def image_maze(text: str = "") -> ImageMaze:
    """:class:`ImageMaze` of a drawing, or of the study's maze, kept."""
    return ImageMaze.of(walled_maze(text) if text else simple_maze())


@lru_cache(maxsize=1)
def simple_maze() -> SimpleMaze:
    """The simple maze: left room rows 1-6 x columns 1-3, the door (4, 4), right room columns 5-6."""
    walls = torch.ones(SIZE, SIZE, dtype=torch.bool)
    walls[1:7, 1:4] = False
    walls[1:7, 5:7] = False
    walls[DOOR] = False
    return SimpleMaze._of(walls, DOOR)
