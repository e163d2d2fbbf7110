"""What the rest of the program asks of a maze; what needs PyTorch is imported where it is used."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath
from crar_model.core.params import Params
from crar_model.core.settings import PlaySettings, TrainSettings
from crar_model.mazes.maps import NEGATIVE_MAP, ObservationMap
from crar_model.tasks.samples import Samples

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from crar_model.agent.batch import Batch
    from crar_model.agent.networks import Agent
    from crar_model.agent.planning import Observation, Rows
    from crar_model.mazes.random_mazes import RandomMazeBatch
    from crar_model.mazes.table import StateTable
    from crar_model.tasks.data import Data
    from crar_model.tasks.metrics import Metric


GRID, IMAGE = "grid", "image"
"""How a maze may be seen: a number a cell, or 48x48 pixels."""


class Task(Samples, ABC):
    """One maze: its agent, defaults, data, evaluation set and figures of merit.

    Attributes:
        name: on the command line and in checkpoints.
        title: in the headings of reports.
        defaults: settings of training where they are not those of :class:`TrainSettings`, nested as in a TOML file.
        transfer_defaults: the same for `crar transfer`, on top of `defaults`.
        scored: whether agents of the maze have a score, so that training keeps the best model.
        sampling: how its loss is looked at.
        maze: the table of states where they can be listed, else None.
        reads_walks: whether it can learn from a file of `crar gather`.
        known_by_data: whether it is nothing without such a file, as a world is.
        pace: rule -> updates of one member in a second of one core, for estimates (docs/speed.md).
    """

    name: str
    title: str
    defaults: Mapping[str, Any] = {}
    transfer_defaults: Mapping[str, Any] = {}
    scored: bool = False
    reads_walks: bool = False
    known_by_data: bool = False
    pace: Mapping[str, float] = {"joint": 100.0, "sequential": 50.0}

    @property
    def maze(self) -> StateTable | None:
        """The table of states and moves, where the states can be listed."""
        return None

    def with_walls(self, walls: str) -> Task:
        """The same task in another layout, drawn as for `SimpleMaze.from_walls`; "" is the task's own.

        Raises:
            UserError: for a layout that cannot be, or a task that has no one layout.
        """
        if walls:
            raise UserError(f"--walls: the {self.name} maze has no one layout to replace; leave it out")
        return self

    def with_observation(self, observation: str) -> Task:
        """The same task seen as "grid" or "image"; "grid" is the task's own way.

        Raises:
            UserError: for a task that is seen in one way only, or a layout that this way cannot show.
        """
        if observation != GRID:
            raise UserError(f"--observation: the {self.name} maze is seen in one way only; leave it out")
        return self

    def with_data(self, data: str, digest: str, abstract_dim: int = 0, reward_scale: float = 0.0, near: StrPath | None = None) -> Task:
        """The same task in the world that data show; only a world is known by its data.

        Args:
            data, digest: where the data were, and what they are.
            abstract_dim: numbers of an abstract state; 0 is the task's own.
            reward_scale: what rewards are divided by; 0 is nothing.
            near: the folder of the run or model that names the data.

        Raises:
            UserError: for a task that is no world, or data that are not there.
        """
        if abstract_dim:
            raise UserError(f"--abstract-dim: the {self.name} maze has an agent of its own; leave it out")
        if reward_scale:
            raise UserError(f"--reward-scale: the {self.name} maze has rewards of its own; leave it out")
        return self

    def begun(self, settings: TrainSettings) -> TrainSettings:
        """The settings of a training that begins now: what follows from its data stands in them as a number.

        Raises:
            UserError: for a setting that its data do not take.
        """
        if settings.even_moves:
            raise UserError(f"--even-moves: of worlds that are known by their data, which the {self.name} maze is not; leave it out")
        return settings

    def rows_of(self, observation: Observation, *, inverse: bool) -> Rows:
        """Observations as an environment of one side gives them, as the agent's rows.

        Raises:
            ValueError: for what is no observation.
        """
        from crar_model.agent.planning import as_rows

        return as_rows(observation)

    @property
    def facts(self) -> tuple[str, ...]:
        """What is to be said of a world wherever its models are judged, a sentence each: found out from its data."""
        return ()

    @property
    def origin(self) -> dict[str, Any]:
        """What :meth:`with_data` is given to have the same world again; nothing for a task that is no world."""
        return {}

    def data_file(self, data: str, digest: str) -> tuple[int, str]:
        """Transitions of a file to learn from, and its digest; of a task that `reads_walks`.

        Raises:
            UserError: for a file that is none, or that is another than the digest says.
        """
        raise NotImplementedError(f"the {self.name} maze reads no files")

    observation_map = NEGATIVE_MAP
    """What the inverse maze makes of an observation."""
    as_studied: Task | None = None
    """The same task with the study's map; None for itself."""

    def with_map(self, observation_map: ObservationMap) -> Task:
        """The same task with another observation map; the same map gives the same task.

        Raises:
            UserError: for a map that the task's observations cannot express.
        """
        if observation_map == self.observation_map:
            return self
        plain = self.as_studied or self
        if observation_map == plain.observation_map:
            return plain
        why = plain.why_no_map(observation_map)
        if why is not None:
            raise UserError(f"--observation-map {observation_map.name}: {why}; choose another")
        found = _mapped(plain, observation_map)
        if found.maze is not None and getattr(found.maze, "map", None) != observation_map:
            raise UserError(
                f"--observation-map {observation_map.name}: the tables of the {self.name} maze do not apply it; choose negative"
            )
        return found

    def why_no_map(self, observation_map: ObservationMap) -> str | None:
        """Why observations cannot go through a map, or None where they can."""
        return f"the {self.name} maze shows its inverse only as the negative"

    def need_listing(self, where: object) -> None:
        """Raise :class:`UserError`, which begins with `where`, for a layout that is too large to list its states."""
        if self.sampling.drawn and (maze := self.maze) is not None:
            from crar_model.mazes.large import LISTED
            from crar_model.mazes.simple import SimpleMaze

            assert isinstance(maze, SimpleMaze)
            raise UserError(
                f"{where}: its layout has {maze.n_states:,} states of {maze.walls.numel():,} cells, and what is asked lists them all, which goes "
                f"up to {LISTED:,} states x cells; use `crar evaluate`, or a smaller layout"
            )

    def same_maze(self, other: Task) -> bool:
        """Whether two tasks are one maze in one layout, whatever their observation maps."""
        return (self.as_studied or self) is (other.as_studied or other)

    def carried(self, params: Params, *, inverse: bool) -> Params:
        """The closed-form optimum: parameters whose encoder makes of an observation on one side what the given one makes of it on the other.

        Args:
            params: of a model of the other side, with any leading member axes.
            inverse: the side to carry it to.

        Raises:
            UserError: for a map that the first layer cannot undo exactly.
        """
        from crar_model.agent.symmetry import negate_first_layer, scale_first_layer

        alike = self.observation_map.per_pixel
        if alike == (-1.0, 0.0):
            return negate_first_layer(params)
        if alike is not None and alike[1] == 0:
            return scale_first_layer(params, 1 / alike[0] if inverse else alike[0])
        raise UserError(
            f"--observation-map {self.observation_map.name}: no first layer of the {self.name} maze's encoder undoes it exactly, because its "
            "convolution pads images with zeros; choose another, or a brightness of 0"
        )

    @abstractmethod
    def agent(self) -> Agent:
        """The five networks."""

    @abstractmethod
    def data(self, settings: TrainSettings, seeds: Sequence[int], device: torch.device, bases: Sequence[Params] = ()) -> Data:
        """Training data of the members with these seeds.

        Args:
            settings: of the run; `inverse` is the maze that is learned.
            seeds: one a member; what a member sees depends on its own alone.
            device: where batches are wanted.
            bases: parameters of every member's base, for the supervised variant only.
        """

    @abstractmethod
    def batch(self, *, inverse: bool, dtype: torch.dtype) -> Batch:
        """The frozen evaluation set; the same states in both mazes, with `states` and `moves`."""

    def table(self, *, inverse: bool, dtype: torch.dtype) -> Batch:
        """The set that tables and verdicts are made on: the evaluation set, or a larger one where that is a sample."""
        return self.batch(inverse=inverse, dtype=dtype)

    @abstractmethod
    def metrics(self, agent: Agent, params: Params, *, inverse: bool, how: PlaySettings) -> dict[str, Metric]:
        """Figures of merit of one model beside its losses, by name: plain numbers and scores."""

    def validate(self, agent: Agent, params: Params, *, seeds: Sequence[Sequence[int]], settings: TrainSettings) -> Tensor:
        """Validation scores (members,) of members in training; asked of a task that is `scored` only.

        Args:
            agent, params: the members.
            seeds: of every member's mazes and luck.
            settings: of the run.
        """
        raise NotImplementedError(f"the {self.name} maze has no score")

    def game(self, seed: int, *, inverse: bool) -> RandomMazeBatch | None:
        """One episode to play and to watch; None where there is nothing to win."""
        return None


@lru_cache(maxsize=64)
def _mapped(task: Task, observation_map: ObservationMap) -> Task:
    own = copy.copy(task)
    own.observation_map, own.as_studied = observation_map, task
    return own
