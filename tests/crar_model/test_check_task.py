"""`check_task` passes every task that there is, and names what is wrong with one that is not right."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from crar_model import check_task, tasks
from crar_model.agent.batch import Batch
from crar_model.agent.networks import Agent
from crar_model.core.errors import UserError
from crar_model.core.params import Params
from crar_model.core.settings import PlaySettings, TrainSettings
from crar_model.mazes.maps import ObservationMap
from crar_model.mazes.simple import SimpleMaze
from crar_model.tasks import task_as
from crar_model.tasks.data import TableData
from crar_model.tasks.metrics import Metric
from tests.corridor import Corridor, CorridorTask, corridor

WALLS = "#####\n#S..#\n#.#.#\n#...#\n#####\n"


@pytest.mark.parametrize(
    "make",
    [
        lambda: task_as("simple"),
        lambda: task_as("simple", WALLS),
        lambda: task_as("simple", observation="image"),
        lambda: task_as("simple", observation_map=ObservationMap("mix")),
        lambda: task_as("simple", observation_map=ObservationMap("texture")),
        lambda: task_as("random"),
        lambda: task_as("random", observation_map=ObservationMap("affine", brightness=0.0)),
        CorridorTask,
    ],
    ids=["simple", "walls", "image", "mix", "texture", "random", "affine", "corridor"],
)
def test_every_task_is_right(make: Callable[[], tasks.Task]) -> None:
    check_task(make())


class OneSided(Corridor):
    def observations(self, *, inverse: bool = False, pixels: bool = False, dtype: torch.dtype = torch.float32) -> Tensor:
        return super().observations(dtype=dtype)


class Shuffled(Corridor):
    def observations(self, *, inverse: bool = False, pixels: bool = False, dtype: torch.dtype = torch.float32) -> Tensor:
        seen = super().observations(inverse=inverse, dtype=dtype)
        return seen.flip(0) if inverse else seen


class OtherMaze(CorridorTask):
    kind: type[Corridor] = Corridor

    @property
    def maze(self) -> SimpleMaze:
        return self.kind(**{item.name: getattr(corridor(), item.name) for item in dataclasses.fields(SimpleMaze)})


class ShowsTheSame(OtherMaze):
    kind = OneSided


class ShowsAnotherOrder(OtherMaze):
    kind = Shuffled


class Changed(CorridorTask):
    """The corridor with fields of its evaluation set changed."""

    changes: dict[str, Callable[[Batch, bool], Any]] = {}

    def batch(self, *, inverse: bool, dtype: torch.dtype) -> Batch:
        batch = super().batch(inverse=inverse, dtype=dtype)
        return dataclasses.replace(batch, **{name: change(batch, inverse) for name, change in self.changes.items()})


def changed(**changes: Callable[[Batch, bool], Any]) -> Changed:
    task = Changed()
    task.changes = changes
    return task


class Random(CorridorTask):
    def metrics(self, agent: Agent, params: Params, *, inverse: bool, how: PlaySettings) -> dict[str, Metric]:
        return {"luck": float(torch.rand(()))}


class TooMuch(CorridorTask):
    def metrics(self, agent: Agent, params: Params, *, inverse: bool, how: PlaySettings) -> dict[str, Metric]:
        return {"share": 1.5}


class Beside(TableData):
    """Data whose members all see what the first one does, or what the last one does."""

    def __init__(
        self, maze: SimpleMaze, agent: Agent, settings: TrainSettings, seeds: Sequence[int], device: torch.device, *, which: int
    ) -> None:
        super().__init__(maze, agent, settings, [seeds[which]] * len(seeds), device)


class SeedOfAnother(CorridorTask):
    which = 0

    def data(self, settings: TrainSettings, seeds: Sequence[int], device: torch.device, bases: Sequence[Params] = ()) -> Any:
        return Beside(self.maze, self.agent(), settings, seeds, device, which=self.which)


class Raises(CorridorTask):
    def agent(self) -> Agent:
        raise KeyError("networks")


def with_attributes(**values: Any) -> CorridorTask:
    task = CorridorTask()
    for name, value in values.items():
        setattr(task, name, value)
    return task


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (with_attributes(name="my maze!"), "its name is 'my maze!'; give letters"),
        (with_attributes(name="corridor-inverse"), "not ending in -inverse"),
        (with_attributes(title=""), "it has no title; give one"),
        (with_attributes(sampling="all"), "give a crar_model.tasks.Sampling"),
        (with_attributes(sampling=dataclasses.replace(CorridorTask.sampling, dtype="float16")), "sampling.dtype is 'float16'; give float32 or float64"),
        (with_attributes(pace={"joint": 1.0}), "its pace lacks a rule"),
        (with_attributes(defaults={"update": 3}), "its defaults: unknown setting 'update'"),
        (with_attributes(transfer_defaults={"updates": -1}), "--updates is -1"),
        (with_attributes(scored=True), "no Score of the name 'score'; give one, or say scored = False"),
        (changed(reward=lambda batch, _: batch.reward.float()), r"reward is \(10,\) torch.float32; give \(10,\) finite torch.float64"),
        (changed(reward=lambda batch, _: batch.reward * torch.nan), "reward is .* finite"),
        (changed(state=lambda batch, _: batch.state + 3), "state is out of range or no int64; give int64 from 0 to 4"),
        (changed(terminated=lambda batch, _: batch.terminated + 0.5), "neither 0 nor 1; give 1 where it ended"),
        (changed(states=lambda *_: None), "states is missing; evaluation sets have states and moves"),
        (changed(moves=lambda batch, _: batch.moves[0]), r"moves is \(4,\); give \(2, N\)"),
        (changed(observations=lambda batch, _: batch.observations.flatten(1)), r"observations are \(5, 5\); give \(rows, 1, height, width\)"),
        (changed(action=lambda batch, inverse: batch.action.flip(0) if inverse else batch.action), "other transitions in the inverse maze"),
        (changed(reward=lambda batch, _: torch.rand_like(batch.reward)), "another set every time; draw it from a fixed seed"),
        (changed(action=lambda batch, _: batch.action * 0), "has 5 of 10 transitions; list all"),
        (ShowsTheSame(), "shows the same on both sides"),
        (ShowsAnotherOrder(), r"carried\(\) is off by .*in the same order"),
        (Random(), "metrics differ from call to call; play from how.seed alone"),
        (TooMuch(), "its metric share is 1.5; give a share from 0 to 1"),
        (SeedOfAnother(), "members of two seeds see the same data"),
        (type("Last", (SeedOfAnother,), {"which": -1})(), "a member's data depend on who is beside it"),
        (Raises(), "asked for its agent it raises KeyError"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_is_wrong_is_named_in_one_line(task: tasks.Task, said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        check_task(task)
    assert len(str(error.value).splitlines()) == 1
