"""Gymnasium environments of the mazes; importing `crar_model` registers them."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath, read_text
from crar_model.core.tiles import SIZE
from crar_model.mazes.gym_checks import check_options, chosen
from crar_model.mazes.large import observation_table
from crar_model.mazes.maps import ObservationMap, as_map
from crar_model.mazes.render import MODES, check_mode, draw_cells, write_cells
from crar_model.mazes.simple import ACTION_NAMES, SimpleMaze, simple_maze


class SimpleMazeEnv(gymnasium.Env[np.ndarray[Any, Any], np.int64]):
    """The simple maze of the study: two rooms joined by a door, nothing to win.

    Actions: Discrete(4): 0 up, 1 down, 2 left, 3 right; a move into a wall leaves the agent where it is.
    Observations: Box(-1, 1, (1, 8, 8), float32): wall 1, free 0, agent 0.5, or with `observation="pixels"`
    (1, 48, 48) with 6x6 pixels a cell. With `inverse=True` every value is negated, or goes through another `map`, with the bounds of its values.
    Rewards: always 0. Episodes start at the door (4, 4), or at the S of other walls, and never terminate; give `max_episode_steps` to
    `gymnasium.make` for a time limit.
    Info: `state` (0..30 in the study's maze), `position` (row, column), `action_names`.

    Args:
        inverse: serve the inverse maze's observations.
        map: what the inverse maze makes of an observation, a name or an :class:`ObservationMap`.
        observation: "grid" or "pixels".
        walls: another layout, as a drawing, see :meth:`SimpleMaze.from_walls`, or as the path of a file that holds one, as `--walls`
            takes it; observations are then (1, H, W).
        render_mode: "rgb_array", "ansi" (text) or None.
    """

    metadata: dict[str, Any] = {"render_modes": [*MODES], "render_fps": 8}

    def __init__(
        self, *, inverse: bool = False, map: str | ObservationMap = "negative", observation: str = "grid", walls: str | PathLike[str] = "",
        render_mode: str | None = None,
    ) -> None:  # fmt: skip
        if observation not in ("grid", "pixels"):
            raise ValueError(f"observation is {observation!r}; choose grid or pixels")
        check_mode(render_mode)
        self.render_mode, self.inverse = render_mode, inverse
        self._maze = replace(SimpleMaze.from_walls(drawing(walls)) if walls else simple_maze(), map=as_map(map))
        self._table = observation_table(self._maze, inverse=inverse, pixels=observation == "pixels")
        self._state = self._maze.start
        self.observation_space = spaces.Box(
            min(-1.0, float(self._table.min())), max(1.0, float(self._table.max())), shape=self._table.shape[1:], dtype=np.float32
        )
        self.action_space = spaces.Discrete(len(ACTION_NAMES))

    def _info(self) -> dict[str, Any]:
        row, column = self._maze.positions[self._state].tolist()
        return {"state": self._state, "position": (row, column), "action_names": ACTION_NAMES}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
        """Put the agent at the door; the maze has no randomness.

        Raises:
            ValueError: for options, which there are none of.
        """
        check_options(options)
        super().reset(seed=seed)
        self._state = self._maze.start
        return self._table[self._state].copy(), self._info()

    def step(self, action: np.int64 | int) -> tuple[np.ndarray[Any, Any], float, bool, bool, dict[str, Any]]:
        """Move the agent.

        Raises:
            ValueError: for anything but an integer from 0 to 3.
        """
        self._state = int(self._maze.successor[self._state, chosen(action, len(ACTION_NAMES))])
        return self._table[self._state].copy(), 0.0, False, False, self._info()

    def render(self) -> np.ndarray[Any, Any] | str | None:
        """The maze as a uint8 picture (256, 256, 3), in inverse colours in the inverse maze, whatever its map, or as text."""
        if self.render_mode is None:
            return None
        agent = tuple(self._maze.positions[self._state].tolist())
        if self.render_mode == "ansi":
            return write_cells(self._maze.walls.numpy(), agent)
        return draw_cells(self._maze.walls.numpy(), agent, inverse=self.inverse, cell=256 // SIZE)


def drawing(walls: StrPath) -> str:
    """The drawing of a layout: what is given, or what the file holds that it names; a drawing has several lines, a path one.

    Raises:
        ValueError: for a file that cannot be read.
    """
    if isinstance(walls, str) and "\n" in walls:
        return walls
    try:
        return read_text(walls, what="walls: ", give="give a drawing, or a text file that holds one")
    except UserError as error:
        raise ValueError(str(error)) from error
