"""The table of tasks: the only place where mazes have names.

A task is small enough to write a new one in an hour (docs/your_own_task.md). The table is read before PyTorch is loaded,
because the command line shows names and defaults, so what needs PyTorch is imported where it is used.
"""

from __future__ import annotations

from dataclasses import replace

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath
from crar_model.core.settings import TrainSettings, from_plain
from crar_model.mazes.maps import NEGATIVE_MAP, ObservationMap, as_map
from crar_model.tasks.random_mazes import RandomMazesTask
from crar_model.tasks.samples import Sampling
from crar_model.tasks.simple import SimpleMazeTask
from crar_model.tasks.task import GRID, IMAGE, Task
from crar_model.tasks.worlds import WorldTask

__all__ = [
    "GRID", "IMAGE", "INVERSE", "TASKS", "RandomMazesTask", "Sampling", "SimpleMazeTask", "Task", "WorldTask", "add_task", "default_settings", "gathering_anew", "side_named",
    "sides", "task_as", "task_named", "task_of",
]  # fmt: skip

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


def task_of(settings: TrainSettings, maze: str = "", near: StrPath | None = None) -> Task:
    """The task that settings name, as :func:`task_as`, in the world that their data show.

    Args:
        settings: of a training.
        maze: in the place of the settings' own.
        near: the folder of the run or model that they are of, where its data may lie.
    """
    task = task_named(maze or settings.maze).with_walls(settings.walls).with_observation(settings.observation)
    task = task.with_data(settings.data, settings.data_digest, settings.abstract_dim, settings.reward_scale, near)
    return task.with_map(as_map(ObservationMap.of(settings)))


def gathering_anew(settings: TrainSettings, size: int) -> TrainSettings:
    """The settings with `size` transitions gathered anew in the place of a file's; a world is known by its data and keeps them, all of them."""
    if task_named(settings.maze).known_by_data:
        return replace(settings, data_size=task_of(settings).data_file(settings.data, settings.data_digest)[0])
    return replace(settings, data="", data_digest="", data_size=size)


def default_settings(maze: str) -> TrainSettings:
    """The study's settings of base training in a maze.

    Raises:
        UserError: for an unknown maze.
    """
    return from_plain({**task_named(maze).defaults, "maze": maze}, where="maze settings")


add_task(SimpleMazeTask())
add_task(RandomMazesTask())
add_task(WorldTask())
