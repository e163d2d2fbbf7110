"""What a training in a world begins with where nothing is said, and runs from before it was said."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import crar_model
from crar_model.core.errors import UserError
from crar_model.core.settings import TrainSettings
from crar_model.core.sizes import SAMPLE
from crar_model.models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from crar_model.models.keys import result_key
from crar_model.studies.cells import Cell
from crar_model.tasks import WorldTask, task_of
from crar_model.tasks.world_batches import evenly, walks_of
from crar_model.training.record import differences, read_run
from crar_model.worlds.environments import Recipe
from crar_model.worlds.episodes import Episode, Episodes
from crar_model.worlds.gathering import gather_episodes
from crar_model.worlds.world import World, save_world
from crar_reports.measure.options import LandscapeOptions
from crar_reports.measure.subject import load_subject, refuse_senseless
from crar_reports.sections import world_of

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
    with pytest.raises(UserError, match="held out beside the evaluation set, too few to judge on; gather more"):
        LandscapeOptions().settled(few)


def test_a_setting_that_says_nothing_is_no_other_setting(tmp_path: Path) -> None:
    """0 is found from the data, and 3 and 1 are what earlier runs had; a resume and a transfer take either."""
    settings = settings_in(tmp_path / "data", (4,), 7.0)
    crar_model.train(tmp_path / "base", maze="world", data=settings.data, members=1, **SHORT)
    nothing: dict[str, Any] = {"abstract_dim": 0, "reward_scale": 0.0}
    longer = crar_model.train(tmp_path / "base", maze="world", data=settings.data, resume=True, **nothing, **SHORT | {"updates": 30})
    there = crar_model.transfer(longer.models[0], tmp_path / "freeze", members=1, **nothing, **SHORT)
    assert load_checkpoint(there.models[0]).settings.abstract_dim == 6
    with pytest.raises(UserError, match="leave --abstract-dim and --reward-scale out"):
        crar_model.transfer(longer.models[0], tmp_path / "other", members=1, reward_scale=5.0, **SHORT)
    before = read_run(longer.folder)
    old = msgspec.structs.replace(before, settings=before.settings | {"abstract_dim": 0, "reward_scale": 0.0})
    now = msgspec.structs.replace(before, settings=before.settings | {"abstract_dim": 3, "reward_scale": 1.0})
    assert differences(old, now, "here") == []
    assert differences(old, before, "here") == ["abstract_dim", "reward_scale"]


def test_worlds_of_other_scales_have_other_names(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, (4,), 7.0)
    names = {
        world_of(task_of(dataclasses.replace(settings, reward_scale=scale, abstract_dim=dim)))
        for scale in (0.0, 1.0, 7.0)
        for dim in (0, 3, 6)
    }
    assert len(names) == 4
    assert sum("rewards / 7" in name for name in names) == 2
    assert sum("3 abstract numbers" in name for name in names) == 2


def test_a_failure_with_a_low_total_is_sent_to_a_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where states cannot be listed, dynamics allow totals below the base's at the cost of its predictions: then a landscape of totals shows no failure."""
    base = crar_model.train(tmp_path / "base", env="CartPole-v1", steps=6_000, members=1, **SHORT)
    there = crar_model.transfer(base.models[0], tmp_path / "freeze", members=1, **SHORT | {"updates": 2, "log_interval": 2})
    pair = load_subject(there.models[0], base.models[0])
    low = dataclasses.replace(pair, optimum={name: 3 * value for name, value in pair.optimum.items()})
    for share, words in (
        (0.9, "no higher than its base's.* give it to crar cure"),
        (0.1, "nothing failed here|no better than the transfer"),
    ):
        monkeypatch.setattr(WorldTask, "astray", lambda self, params, *, inverse, share=share: share if inverse else 0.1)
        with pytest.raises(UserError, match=words):
            refuse_senseless(low)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), min_size=1, max_size=60))
def test_every_move_comes_equally_often(moves: list[tuple[int, int]]) -> None:
    state, action = np.array(moves).T
    picks = evenly(state, action)
    found = Counter(zip(state[picks].tolist(), action[picks].tolist(), strict=True))
    assert set(found) == set(moves)
    assert set(found.values()) == {len(moves) // len(found)}
    for move in found:  # none of its own twice before each was once
        own = Counter(pick for pick in picks.tolist() if moves[pick] == move)
        assert max(own.values()) <= -(-found[move] // moves.count(move))


def test_even_moves_change_what_is_learned_and_stand_in_the_recipe(tmp_path: Path) -> None:
    world: dict[str, Any] = {"env": "MiniGrid-Empty-5x5-v0", "steps": 400, "fixed": True, **SHORT, "members": 1}
    plain, even = (crar_model.train(tmp_path / str(way), **world, even_moves=way) for way in (False, True))
    models = [load_checkpoint(run.models[0]) for run in (plain, even)]
    assert not models[0].parameters["encoder.0.weight"].equal(models[1].parameters["encoder.0.weight"])
    assert [", even moves" in model.settings.recipe() for model in models] == [False, True]
    task = models[1].task
    assert isinstance(task, WorldTask)
    walk = walks_of(task.table_here, models[1].settings, [0], paired=False)[0]
    assert len(set(Counter(zip(walk["state"].tolist(), walk["action"].tolist(), strict=True)).values())) == 1


def test_even_moves_are_refused_where_moves_are_not_counted(tmp_path: Path) -> None:
    kinds: list[dict[str, Any]] = [{"maze": "simple"}, {"maze": "random"}, {"env": "CartPole-v1", "steps": 300}]
    for kind in kinds:
        with pytest.raises(UserError, match=r"--even-moves: .*leave it out"):
            crar_model.train(tmp_path / "run", **kind, **SHORT, members=1, even_moves=True)
    base = crar_model.train(tmp_path / "base", maze="simple", members=1, **SHORT)
    for variant in ("freeze", "paired"):
        with pytest.raises(UserError, match=r"--even-moves: .*leave it out"):
            crar_model.transfer(base.models[0], tmp_path / "other", variant=variant, members=1, **SHORT, even_moves=True)
