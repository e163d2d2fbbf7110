"""What a training in a world begins with where nothing is said, and runs from before it was said."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import crar_model
from crar_model.core.errors import UserError
from crar_model.core.settings import TrainSettings
from crar_model.core.sizes import SAMPLE
from crar_model.models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from crar_model.models.keys import result_key
from crar_model.studies.cells import Cell
from crar_model.tasks import WorldTask, task_of
from crar_model.tasks.world_batches import walks_of
from crar_model.worlds.environments import Recipe
from crar_model.worlds.episodes import Episode, Episodes
from crar_model.worlds.gathering import gather_episodes
from crar_model.worlds.world import World, save_world
from crar_reports.measure.options import LandscapeOptions

SHORT: dict[str, Any] = {"updates": 20, "log_interval": 10, "checkpoint_interval": 20, "workers": 1}


def settings_in(folder: Path, shape: tuple[int, ...], paid: float = 1.0) -> TrainSettings:
    """Settings of a world with two episodes whose observations have a shape and whose largest reward is `paid` below nothing."""
    rng = np.random.default_rng(0)
    each = [
        Episode(rng.random((21, *shape)).astype(np.float32), rng.integers(0, 2, 20), np.linspace(-paid, paid / 2, 20), True, False, k)
        for k in range(4)
    ]
    world = World.of(Episodes(tuple(each), 2, {"title": "made", "actions": ["left", "right"]}))
    folder.mkdir(exist_ok=True)
    save_world(folder / "world.npz", world)
    return TrainSettings(maze="world", data=str(folder / "world.npz"), data_digest=world.digest)


@pytest.mark.parametrize(("shape", "size"), [((1,), 3), ((4,), 6), ((6,), 8), ((40,), 8), ((5, 5), 8), ((7, 7, 3), 8), ((32, 32, 3), 8)])
def test_the_numbers_of_an_abstract_state_follow_from_the_observation(tmp_path: Path, shape: tuple[int, ...], size: int) -> None:
    settings = settings_in(tmp_path, shape)
    begun = task_of(settings).begun(settings)
    assert begun.abstract_dim == size
    assert task_of(begun).agent().abstract_size == size
    assert task_of(settings).begun(dataclasses.replace(settings, abstract_dim=2)).abstract_dim == 2
    assert task_of(settings).agent().abstract_size == 3  # a run of before says nothing


@pytest.mark.parametrize(("paid", "scale"), [(0.5, 1.0), (1.0, 1.0), (100.0, 100.0)])
def test_rewards_are_learned_in_units_of_the_largest(tmp_path: Path, paid: float, scale: float) -> None:
    settings = settings_in(tmp_path, (4,), paid)
    begun = task_of(settings).begun(settings)
    assert begun.reward_scale == scale
    task, before = task_of(begun), task_of(settings)
    assert isinstance(task, WorldTask)
    assert isinstance(before, WorldTask)
    assert (f"rewards are divided by {scale:g}" in task.facts) == (scale != 1)
    for side in (False, True):
        scaled, plain = (one.batch(inverse=side, dtype=torch.float64).reward for one in (task, before))
        torch.testing.assert_close(scaled * scale, plain)
        assert float(scaled.abs().max()) <= 1
    trained, raw = (walks_of(one.table_here, begun, [0], paired=False)[0]["reward"] for one in (task, before))
    np.testing.assert_allclose(trained * scale, raw, rtol=1e-6)
    assert task.same_maze(before) == (scale == 1 and begun.abstract_dim == 3)
    assert task.origin["reward_scale"] == scale


def test_a_run_says_both_and_its_transfers_take_them(tmp_path: Path) -> None:
    settings = settings_in(tmp_path / "data", (4,), 7.0)
    run = crar_model.train(tmp_path / "base", maze="world", data=settings.data, members=1, **SHORT)
    there = crar_model.transfer(run.models[0], tmp_path / "freeze", members=1, **SHORT)
    for path in (*run.models, *there.models):
        own = load_checkpoint(path).settings
        assert (own.abstract_dim, own.reward_scale) == (6, 7.0)
    other = crar_model.train(tmp_path / "other", maze="world", data=settings.data, members=1, abstract_dim=3, reward_scale=1.0, **SHORT)
    model = load_checkpoint(other.models[0])
    old = Checkpoint(model.maze, model.inverse, model.parameters, model.updates, model.info | {"settings": _without(model)})
    save_checkpoint(tmp_path / "other" / "old.pt", old)
    read = load_checkpoint(tmp_path / "other" / "old.pt")  # of a version that knew neither
    assert read.agent.abstract_size == 3
    assert result_key("any", model=read) == result_key("any", model=model)
    cells = [Cell("base", one.settings, 0, 1e-3).name for one in (read, model)]
    assert cells[0] == cells[1]
    assert Cell("base", dataclasses.replace(model.settings, reward_scale=7.0), 0, 1e-3).name not in cells


def _without(model: Checkpoint) -> dict[str, object]:
    return {name: value for name, value in dataclasses.asdict(model.settings).items() if name not in ("abstract_dim", "reward_scale")}


def test_a_maze_with_rewards_of_its_own_has_no_scale(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--reward-scale: the simple maze"):
        crar_model.train(tmp_path / "run", reward_scale=2.0)


def test_a_small_world_gives_the_sample_that_it_has(tmp_path: Path) -> None:
    """The usual size is cut to what is held out, another one is refused where there is less; the landscape's options take the number."""
    world = World.of(gather_episodes(Recipe("tests.small_worlds:tests/Line-v0", arguments=("slip=0.2",)), 8_000, 3))
    save_world(tmp_path / "world.npz", world)
    task = task_of(TrainSettings(maze="world", data=str(tmp_path / "world.npz"), data_digest=world.digest))
    size = LandscapeOptions().settled(task).sample
    assert 64 <= size < SAMPLE
    for number in (0, 1):
        assert len(task.sample(inverse=True, dtype=torch.float32, size=size, number=number).action) == size
    assert LandscapeOptions(sample=size - 1).settled(task).sample == size - 1
    with pytest.raises(UserError, match=f"--sample is {size + 1}, and for each of two samples {size} transitions .* give at most that"):
        LandscapeOptions(sample=size + 1).settled(task)
    tiny = World.of(gather_episodes(Recipe("tests.small_worlds:tests/Line-v0", arguments=("slip=0.2",)), 400, 3))
    save_world(tmp_path / "tiny.npz", tiny)
    few = task_of(TrainSettings(maze="world", data=str(tmp_path / "tiny.npz"), data_digest=tiny.digest))
    with pytest.raises(UserError, match="held out beside the evaluation set; gather more"):
        LandscapeOptions().settled(few)
