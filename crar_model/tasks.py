"""The table of tasks: the only place where mazes have names, and all that the rest of the program asks of one.

A task is small enough to write a new one in an hour (docs/your_own_task.md). The table is read before PyTorch is loaded,
because the command line shows names and defaults, so what needs PyTorch is imported where it is used.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from crar_model.errors import UserError
from crar_model.mazes.maps import NEGATIVE_MAP, ObservationMap
from crar_model.params import Params
from crar_model.settings import PlaySettings, TrainSettings, from_plain
from crar_model.streams import Stream

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from crar_model.agents import Agent
    from crar_model.batches import Batch
    from crar_model.evaluation import Metric
    from crar_model.mazes.random_mazes import RandomMazeBatch
    from crar_model.mazes.simple import SimpleMaze
    from crar_model.training.data import Data


GRID, IMAGE = "grid", "image"


@dataclass(frozen=True)
class Sampling:
    """How the loss of a task is looked at, in landscapes and reports.

    Attributes:
        what: the evaluation set in words, such as "all 124 transitions".
        complete: whether that set is all there is, so that "local minimum" has an exact meaning on it. On a sample nothing is
            certified, and dynamics are adapted by training on fresh data instead of descent on the set.
        dtype: "float64" or "float32" of evaluations and landscapes.
        space: where surfaces and paths run: "embedding" where the encoder can set every state freely, else "weight".
        batched: whether points go in as members of one call; False maps a loss of one point over them.
        chunk: points per pass; None fits the memory.
        unit: what distances between embeddings are counted in, plural.
    """

    what: str
    complete: bool
    dtype: str
    space: str
    batched: bool = False
    chunk: int | None = None
    unit: str = "edges"


class Task(ABC):
    """One maze: its agent, defaults, data, evaluation set and figures of merit.

    Attributes:
        name: on the command line and in checkpoints.
        title: in the headings of reports.
        defaults: settings of training where they are not those of :class:`TrainSettings`, nested as in a TOML file.
        transfer_defaults: the same for `crar transfer`, on top of `defaults`.
        scored: whether agents of the maze have a score, so that training keeps the best model.
        sampling: how its loss is looked at.
        maze: the table of states where they can be listed, else None.
        judged_by_eye: (base, successes, failures) of the original's `freeze` transfers, where it judged them so.
        released_scores: whether the original released scores of its runs.
        reads_walks: whether it can learn from a file of `crar gather`.
        published_cost: (experiment, machines, hours of each) of the study's appendix E.
        pace: rule -> updates of one member in a second of one core, for estimates (docs/speed.md).
    """

    name: str
    title: str
    defaults: Mapping[str, Any] = {}
    transfer_defaults: Mapping[str, Any] = {}
    scored: bool = False
    sampling: Sampling
    judged_by_eye: tuple[tuple[str, int, int], ...] = ()
    released_scores: bool = False
    reads_walks: bool = False
    published_cost: tuple[tuple[str, str, float], ...] = ()
    pace: Mapping[str, float] = {"joint": 100.0, "sequential": 50.0}

    @property
    def maze(self) -> SimpleMaze | None:
        """The table of states, positions and moves, where the states can be listed."""
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
        from crar_model.symmetry import negate_first_layer, scale_first_layer

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

    def sample(self, *, inverse: bool, dtype: torch.dtype, size: int, number: int) -> Batch:
        """Further transitions, where the evaluation set is not all there is.

        Args:
            inverse: the maze to see them in; they are the same in both.
            dtype: of rewards.
            size: how many.
            number: which of the samples; no two, nor the evaluation set, have the same seed.

        Raises:
            UserError: for a sample without a terminal transition, on which `discount` would say nothing.
        """
        raise NotImplementedError(f"the {self.name} maze has no transitions but those of its evaluation set")

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


class SimpleMazeTask(Task):
    """Two rooms joined by a door, 31 states, no reward; every state and transition can be listed."""

    name, title = "simple", "simple maze"
    transfer_defaults = {"learning_rate": 8e-5, "updates": 60_000, "update_rule": "sequential"}
    sampling = Sampling("all 124 transitions", complete=True, dtype="float64", space="embedding")
    judged_by_eye: tuple[tuple[str, int, int], ...] = (("base 0002", 3, 19), ("base 0003", 21, 1))
    published_cost = (("all of the low-dimensional maze", "1 computer with a GTX 1050 Ti", 240.0),)
    pace = {"joint": 8_000.0, "sequential": 1_600.0}

    walls = ""
    """The layout as a drawing; "" is the study's."""
    observation = GRID
    """How it is seen: "grid" or "image"."""

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
        if self.observation == GRID or observation_map.per_pixel is not None:
            return None
        return f"images of the {self.name} maze are kept as maps of tiles, and this map treats a pixel by where it stands"

    def carried(self, params: Params, *, inverse: bool) -> Params:
        """Every map that can be undone is undone by the first dense layer: W A^-1 in the place of W, and its bias."""
        if self.observation == IMAGE or self.observation_map.per_pixel == (-1.0, 0.0):
            return super().carried(params, inverse=inverse)
        from crar_model.symmetry import undo_in_first_layer

        height, width = self.maze.walls.shape
        pieces = self.observation_map.undo(height, width) if inverse else self.observation_map.linear(height, width)
        return undo_in_first_layer(params, *pieces)

    def agent(self) -> Agent:
        """Dense networks with an abstract state of two numbers, as wide at the input as the maze has cells; convolutions before them for
        images."""
        from crar_model.agents import DenseAgent, ImageAgent

        if self.observation == IMAGE:
            other = self.observation_map.per_pixel
            assert other is not None
            return ImageAgent(other=other)
        if not self.walls:
            return DenseAgent()
        return DenseAgent(encoder=(self.maze.walls.numel(), *DenseAgent.encoder[1:]))

    def data(self, settings: TrainSettings, seeds: Sequence[int], device: torch.device, bases: Sequence[Params] = ()) -> Data:
        """Walks as state indices."""
        from crar_model.training.data import TableData

        return TableData(self.maze, self.agent(), settings, seeds, device, bases)

    def batch(self, *, inverse: bool, dtype: torch.dtype) -> Batch:
        """All transitions and all pairs of distinct states."""
        from crar_model.batches import complete_batch

        return complete_batch(inverse=inverse, dtype=dtype, maze=self.maze)

    def metrics(self, agent: Agent, params: Params, *, inverse: bool, how: PlaySettings) -> dict[str, Metric]:
        """Share of transitions predicted to the right nearest state, and of (start, goal) pairs that planning solves."""
        from crar_model.evaluation import table_metrics

        return table_metrics(self.maze, agent, params, inverse=inverse)


@lru_cache(maxsize=64)
def _mapped(task: Task, observation_map: ObservationMap) -> Task:
    own = copy.copy(task)
    own.observation_map, own.as_studied = observation_map, task
    return own


@lru_cache(maxsize=64)
def _walled(task: SimpleMazeTask, walls: str) -> SimpleMazeTask:
    own = copy.copy(task)
    own.walls = walls
    try:
        maze = own.maze
    except ValueError as error:
        raise UserError(f"--walls: {error}") from error
    own.title = f"{task.title} with other walls"
    own.judged_by_eye = ()  # that was of the study's layout
    own.sampling = replace(task.sampling, what=f"all {maze.n_states * maze.n_actions} transitions")
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
    own.judged_by_eye = ()  # that was of grids
    return own


class RandomMazesTask(Task):
    """48x48 images, a new map every episode, three keys to fetch."""

    name, title = "random", "random mazes"
    defaults = {
        "updates": 400_000, "learning_rate_decay": 1.0, "decay_interval": 2_000, "data_size": 200_000, "log_interval": 2_000,
        "checkpoint_interval": 2_000, "loss": {"beta": 1.0, "double_q": True},
    }  # fmt: skip
    transfer_defaults = {"updates": 200_000}
    scored = True
    released_scores = True
    reads_walks = True
    published_cost = (
        ("original approach, 5 base models", "4 nodes with a Xeon Bronze 3104 and 4 GTX 1080 Ti each", 48.0),
        ("embeddings of the base models", "1 computer with a GTX 1050 Ti", 0.5),
        ("the other approaches", "4 nodes with a Xeon Bronze 3104 and 4 GTX 1080 Ti each", 48.0),
    )
    pace = {"joint": 87.0, "sequential": 57.0}
    # 512 transitions fill the cache, so few points go through at a time; the compiled convolutions are float32, float64 is ten times slower.
    sampling = Sampling(
        "512 held-out transitions", complete=False, dtype="float32", space="weight", batched=True, chunk=2, unit="moves"
    )  # fmt: skip

    def agent(self) -> Agent:
        """Convolutional networks with an abstract state of 3 channels of 8x8."""
        from crar_model.agents import ConvAgent

        other = self.observation_map.per_pixel
        assert other is not None
        return ConvAgent(other=other)

    def why_no_map(self, observation_map: ObservationMap) -> str | None:
        """Observations are maps of tiles, drawn inside the encoder: what treats all tiles alike can be drawn so."""
        if observation_map.per_pixel is not None:
            return None
        return f"the {self.name} maze keeps observations as maps of tiles, and this map treats a tile by where it stands"

    def data(self, settings: TrainSettings, seeds: Sequence[int], device: torch.device, bases: Sequence[Params] = ()) -> Data:
        """Walks as tile maps."""
        from crar_model.training.data import TileData

        return TileData(self.agent(), settings, seeds, device, bases)

    def batch(self, *, inverse: bool, dtype: torch.dtype) -> Batch:
        """Transitions of a random walk that no training sees."""
        from crar_model.batches import held_out_batch

        return held_out_batch(inverse).to("cpu", dtype)

    def table(self, *, inverse: bool, dtype: torch.dtype) -> Batch:
        """More of the same kind, of which one terminal transition is a small part."""
        from crar_model.batches import TABLE_SIZE, held_out_batch

        return held_out_batch(inverse, TABLE_SIZE).to("cpu", dtype)

    def sample(self, *, inverse: bool, dtype: torch.dtype, size: int, number: int) -> Batch:
        """Transitions of a random walk of its own."""
        from crar_model.batches import further_batch

        batch = further_batch(inverse, size, number).to("cpu", dtype)
        if not bool(batch.terminated.any()):
            raise UserError(f"--sample is {size}: none of the transitions drawn is terminal, so `discount` would say nothing; give more")
        return batch

    def metrics(self, agent: Agent, params: Params, *, inverse: bool, how: PlaySettings) -> dict[str, Metric]:
        """The score, with its interval."""
        from crar_model.scoring import score

        return {"score": score(agent, params, inverse=inverse, how=how)}

    def validate(self, agent: Agent, params: Params, *, seeds: Sequence[Sequence[int]], settings: TrainSettings) -> Tensor:
        """Scores by the paper's protocol, averaged over independent runs."""
        from crar_model.scoring import paper_scores

        how = PlaySettings(depth=settings.planning_depth, epsilon=settings.epsilon, legacy_astar=settings.legacy_astar)
        runs = paper_scores(agent, params, seeds, how, inverse=settings.inverse, num_envs=settings.score_copies, steps=settings.score_steps)
        return runs.mean(1)

    def game(self, seed: int, *, inverse: bool) -> RandomMazeBatch:
        """One maze with its keys."""
        from crar_model.mazes.random_mazes import RandomMazeBatch, draw_maps

        return RandomMazeBatch(1, maps=draw_maps([seed, Stream.SCORE_MAPS], 1), inverse=inverse)


TASKS: dict[str, Task] = {}
INVERSE = "-inverse"


def add_task(task: Task) -> None:
    """Put a task into the table; one of the same name is replaced."""
    TASKS[task.name] = task


def task_named(name: str, *, what: str = "--maze is") -> Task:
    """The task of a name.

    Args:
        name: a maze's name.
        what: how the error begins.

    Raises:
        UserError: for a maze that is not in the table.
    """
    if name not in TASKS:
        raise UserError(f"{what} {name!r}; choose one of {', '.join(TASKS)}")
    return TASKS[name]


def sides() -> tuple[str, ...]:
    """Every maze and its inverse, as one names them where both are meant: NAME and NAME-inverse."""
    return tuple(f"{name}{side}" for name in TASKS for side in ("", INVERSE))


def side_named(word: str, flag: str) -> tuple[str, bool]:
    """(name of the maze, whether its inverse) of one of :func:`sides`.

    Args:
        word: what was given.
        flag: what supplied it, for the error.

    Raises:
        UserError: for anything else.
    """
    name = word.removesuffix(INVERSE)
    if word not in sides():
        raise UserError(f"{flag} is {word!r}; give a maze, {', '.join(TASKS)}, or NAME{INVERSE} for its inverse")
    return name, word != name


def task_as(name: str, walls: str = "", observation: str = GRID, observation_map: ObservationMap = NEGATIVE_MAP) -> Task:
    """The task of a name in a layout, seen in a way, with an observation map; the same four give the same task.

    Raises:
        UserError: for an unknown maze, a layout that cannot be, a way in which it is not seen, or a map that this way cannot show.
    """
    return task_named(name).with_walls(walls).with_observation(observation).with_map(observation_map)


def task_of(settings: TrainSettings) -> Task:
    """The task that settings name, as :func:`task_as`."""
    return task_as(settings.maze, settings.walls, settings.observation, ObservationMap.of(settings))


def default_settings(maze: str) -> TrainSettings:
    """The study's settings of base training in a maze.

    Raises:
        UserError: for an unknown maze.
    """
    return from_plain({**task_named(maze).defaults, "maze": maze}, where="maze settings")


add_task(SimpleMazeTask())
add_task(RandomMazesTask())
