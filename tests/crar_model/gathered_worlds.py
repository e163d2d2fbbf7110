"""Small worlds that were gathered, and data of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import minari
import numpy as np
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage

from crar_model.tasks import WorldTask, task_named
from crar_model.worlds.environments import Recipe, make
from crar_model.worlds.gathering import gather_episodes
from crar_model.worlds.world import World, save_world

LINE = "tests.small_worlds:tests/Line-v0"


def line(**arguments: Any) -> Recipe:
    return Recipe(LINE, arguments=tuple(f"{name}={value!r}" for name, value in arguments.items()))


def world_of(recipe: Recipe, steps: int = 1_500, **more: Any) -> World:
    return World.of(gather_episodes(recipe, steps, 3, **more))


def task_of_world(world: World, tmp_path: Path, dim: int = 0) -> WorldTask:
    save_world(tmp_path / "world.npz", world)
    task = task_named("world").with_data(str(tmp_path / "world.npz"), world.digest, dim)
    assert isinstance(task, WorldTask)
    return task


def foreign(folder: Path, each: list[EpisodeBuffer], **more: Any) -> Path:
    """A dataset as others write it."""
    env = make(line())
    folder.mkdir()
    storage = MinariStorage.new(folder / "data", env.observation_space, env.action_space, data_format="hdf5", **more)
    storage.update_metadata({"dataset_id": "others/line-v0", "minari_version": minari.__version__})
    storage.update_episodes(each)
    return folder


def buffer(cells: list[int], actions: list[int], *, ended: bool) -> EpisodeBuffer:
    last = [False] * (len(actions) - 1)
    return EpisodeBuffer(
        observations=np.eye(5, dtype=np.float32)[cells], actions=np.array(actions), rewards=[0.0] * (len(actions) - 1) + [float(ended)],
        terminations=[*last, ended], truncations=[*last, not ended],
    )  # fmt: skip
