"""The simple maze as a task, in any layout and seen in either way."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from crar_model.core.errors import UserError
from crar_model.core.params import Params
from crar_model.core.settings import PlaySettings, TrainSettings
from crar_model.mazes.maps import OWN_MAP, ObservationMap
from crar_model.tasks.samples import Sampling
from crar_model.tasks.task import GRID, IMAGE, Task

if TYPE_CHECKING:
    import torch

    from crar_model.agent.batch import Batch
    from crar_model.agent.networks import Agent
    from crar_model.mazes.simple import SimpleMaze
    from crar_model.tasks.data import Data
    from crar_model.tasks.metrics import Metric


class SimpleMazeTask(Task):
    """Two rooms joined by a door, 31 states, no reward; every state and transition can be listed."""

    name, title = "simple", "simple maze"
    transfer_defaults = {"learning_rate": 8e-5, "updates": 60_000, "update_rule": "sequential"}
    sampling = Sampling("all 124 transitions", complete=True, dtype="float64", space="embedding")
    pace = {"joint": 8_000.0, "sequential": 1_600.0}

    walls = ""
    """The layout as a drawing; "" is the study's."""
    observation = GRID
    """How it is seen: "grid" or "image"."""
    large = False
    """Whether the layout is judged on drawn states, starts and goals."""

    def with_walls(self, walls: str) -> Task:
        """The task in another layout; the same drawing gives the same task."""
        return _walled(self, walls) if walls else self

    def with_observation(self, observation: str) -> Task:
        """The task seen as numbers or as images; the same way gives the same task."""
        if observation not in (GRID, IMAGE):
            raise UserError(f"--observation is {observation!r}; choose {GRID} or {IMAGE}")
        return _seen(self, observation) if observation != self.observation else self

    @property
    def maze(self) -> SimpleMaze:
        """The maze as tables."""
        from crar_model.mazes.simple import image_maze, mapped_maze, simple_maze, walled_maze

        if self.observation == IMAGE:
            return mapped_maze(image_maze(self.walls), self.observation_map)
        return mapped_maze(walled_maze(self.walls) if self.walls else simple_maze(), self.observation_map)

    def why_no_map(self, observation_map: ObservationMap) -> str | None:
        """Every map is possible on numbers; on images, which are maps of tiles, what treats all pixels alike."""
        if observation_map.name == OWN_MAP:
            return super().why_no_map(observation_map)
        if self.large and observation_map.name == "mix":
            return f"its matrix would be applied to each of the layout's {self.maze.n_states:,} states"
        if self.observation == GRID or observation_map.per_pixel is not None:
            return None
        return f"images of the {self.name} maze are kept as maps of tiles, and this map treats a pixel by where it stands"

    def carried(self, params: Params, *, inverse: bool) -> Params:
        """Every map that can be undone is undone by the first dense layer: W A^-1 in the place of W, and its bias."""
        if self.observation == IMAGE or self.observation_map.per_pixel == (-1.0, 0.0):
            return super().carried(params, inverse=inverse)
        from crar_model.agent.symmetry import undo_in_first_layer

        height, width = self.maze.walls.shape
        pieces = self.observation_map.undo(height, width) if inverse else self.observation_map.linear(height, width)
        return undo_in_first_layer(params, *pieces)

    def agent(self) -> Agent:
        """Dense networks with an abstract state of two numbers, as wide at the input as the maze has cells; convolutions before them for
        images."""
        from crar_model.agent.networks import DenseAgent, ImageAgent

        if self.observation == IMAGE:
            other = self.observation_map.per_pixel
            assert other is not None
            return ImageAgent(other=other)
        if not self.walls:
            return DenseAgent()
        return DenseAgent(encoder=(self.maze.walls.numel(), *DenseAgent.encoder[1:]))

    def data(self, settings: TrainSettings, seeds: Sequence[int], device: torch.device, bases: Sequence[Params] = ()) -> Data:
        """Walks as state indices."""
        from crar_model.tasks.data import TableData
        from crar_model.tasks.large_data import LargeData

        kind = LargeData if self.large else TableData
        return kind(self.maze, self.agent(), settings, seeds, device, bases)

    def batch(self, *, inverse: bool, dtype: torch.dtype) -> Batch:
        """All transitions and all pairs of distinct states; of a large layout those of drawn states."""
        from crar_model.tasks.batches import complete_batch
        from crar_model.tasks.drawn import drawn_batch

        make = drawn_batch if self.large else complete_batch
        return make(inverse=inverse, dtype=dtype, maze=self.maze)

    def metrics(self, agent: Agent, params: Params, *, inverse: bool, how: PlaySettings) -> dict[str, Metric]:
        """Share of transitions predicted to the right nearest state, and of (start, goal) pairs that planning solves."""
        from crar_model.tasks.drawn import drawn_metrics
        from crar_model.tasks.metrics import table_metrics

        measure = drawn_metrics if self.large else table_metrics
        return measure(self.maze, agent, params, inverse=inverse)


@lru_cache(maxsize=64)
def _walled(task: SimpleMazeTask, walls: str) -> SimpleMazeTask:
    own = copy.copy(task)
    own.walls = walls
    try:
        maze = own.maze
    except ValueError as error:
        raise UserError(f"--walls: {error}") from error
    own.title = f"{task.title} with other walls"
    own.sampling = replace(task.sampling, what=f"all {maze.n_states * maze.n_actions} transitions")
    from crar_model.mazes.large import is_large

    own.large = is_large(maze)
    if own.large:
        from crar_model.tasks.drawn import in_words

        what, pairs = in_words(maze)
        own.sampling = replace(task.sampling, what=what, pairs=pairs, complete=False)
    return own


@lru_cache(maxsize=64)
def _seen(task: SimpleMazeTask, observation: str) -> SimpleMazeTask:
    own = copy.copy(task)
    own.observation = observation
    try:
        own.maze  # noqa: B018 - a layout may have no such images
    except ValueError as error:
        raise UserError(f"--observation: {error}") from error
    own.title = f"{task.title} in 48x48 images"
    return own
