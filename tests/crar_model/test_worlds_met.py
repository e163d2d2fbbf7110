"""Faults that were met when environments that nobody here made were gathered, trained and cured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import minari
import pytest
from minari.dataset.minari_storage import MinariStorage

import crar_model
from crar_model.core.errors import UserError
from crar_model.models.checkpoints import load_checkpoint
from crar_model.worlds.environments import Recipe
from crar_model.worlds.gathering import gather_episodes
from crar_model.worlds.other import seen_in
from crar_model.worlds.storage import load_minari
from crar_model.worlds.world import World, load_world
from crar_reports.measure.options import LandscapeOptions
from tests.crar_model.gathered_worlds import buffer, foreign
from tests.test_bad_values import refused

LINE = "tests.small_worlds:tests/Line-v0"
SHORT: dict[str, Any] = {"updates": 8, "log_interval": 8, "checkpoint_interval": 8, "workers": 1, "members": 1}


def test_data_go_to_a_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Minari 0.5.4 looks for the files of a relative folder at twice its path."""
    monkeypatch.chdir(tmp_path)
    world = crar_model.gather_world("data/line", LINE, steps=200)
    assert load_world("data/line").digest == world.digest


def test_where_moves_are_random_placement_says_in_a_line_what_applies(tmp_path: Path) -> None:
    base = crar_model.train(tmp_path / "base", env=LINE, env_arg="slip=0.3", steps=8_000, **SHORT)
    there = crar_model.transfer(base.models[0], tmp_path / "freeze", **SHORT)
    line = "a table of moves that are always the same, and tests.small_worlds:tests/Line-v0 has none; choose from first-layer, symmetry"
    with pytest.raises(UserError, match=f"--method placement: .*{line}, restart$"):
        crar_model.cure(there.models[0], method="placement")
    with pytest.raises(UserError, match="--sample is 2,049, and for each of two samples"):
        LandscapeOptions(sample=2_049).settled(load_checkpoint(there.models[0]).task)  # before anything is measured
    with pytest.raises(UserError, match=f"--variant placement: .*{line}$"):
        crar_model.transfer(base.models[0], tmp_path / "placed", variant="placement", **SHORT)


def test_a_first_layer_of_convolutions_is_drawn_anew(tmp_path: Path) -> None:
    base = crar_model.train(tmp_path / "base", env=LINE, env_arg="kind='image'", steps=400, **SHORT)
    there = crar_model.transfer(base.models[0], tmp_path / "freeze", **SHORT)
    found = crar_model.cure(there.models[0], method="first-layer", starts=2, effort=0.002, anyway=True).found
    assert {candidate.method for tried in found.tried for candidate in tried.candidates} == {"first-layer"}
    own, encoder = load_checkpoint(base.models[0]).parameters, found.best.encoder
    assert [name for name, value in encoder.items() if not value.equal(own[name])] == ["encoder.0.weight", "encoder.0.bias"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--env", "Pendulum-v1"), "only discrete actions can be learned"),
        (("--env", "CartPol-v1"), "not registered with Gymnasium; did you mean CartPole-v"),
        (("--env", "no_such_package:Thing-v0"), "it needs the package no_such_package; pip install no_such_package"),
        (("--env", LINE, "--env-arg", "limit=1"), "its episodes end at once"),
        (("--env", LINE, "--env-arg", "bad=True"), "its observations are not finite (NaN or infinite)"),
        (("--data", "continuous"), "only discrete actions can be learned from"),
        (("--data", "nothing"), "no Minari dataset"),
    ],
)
def test_bad_input_ends_training_in_one_line(words: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    env = gymnasium.make("tests.small_worlds:tests/Throttle-v0")
    storage = MinariStorage.new((tmp_path / "continuous").absolute(), env.observation_space, env.action_space, data_format="hdf5")
    storage.update_metadata({"dataset_id": "others/throttle-v0", "minari_version": minari.__version__})
    assert said in refused("train", *words, "--out", "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["MaxAndSkipObservation", "NormalizeObservation", "NormalizeReward"])
def test_wrappers_that_change_what_is_seen_are_said(name: str) -> None:
    recipe = Recipe(LINE, wrappers=(f"gymnasium.wrappers:{name}",))
    assert name in gather_episodes(recipe, 64, 0).about["notes"][0]


def test_an_autoreset_below_a_time_limit_is_refused() -> None:
    with pytest.raises(UserError, match="resets itself by Autoreset"):
        gather_episodes(Recipe(LINE, wrappers=("gymnasium.wrappers:Autoreset", "tests.small_worlds:limited")), 64, 0)


def test_what_a_combination_brings_back_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Minari 0.5.4 combines the storages behind datasets, whatever a filter had left out of them."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "all"))
    short, whole = buffer([0, 1], [1], ended=False), buffer([0, 1, 2, 3, 4], [1] * 4, ended=True)
    kept = [
        minari.MinariDataset(foreign(tmp_path / name, [short, whole]) / "data").filter_episodes(lambda one: len(one.rewards) > 1)
        for name in "ab"
    ]
    (tmp_path / "all").mkdir()
    minari.combine_datasets(kept, "both-v0")
    found = load_minari(tmp_path / "all" / "both-v0")
    assert [len(one.actions) for one in found.each] == [1, 4, 1, 4]
    assert (
        "combined by Minari of others/line-v0 and others/line-v0: what a filter or a split had left out of them is in it again"
        in found.about["notes"]
    )
    assert "notes" not in load_minari(tmp_path / "a").about


def test_data_whose_episodes_lost_their_seeds_cannot_be_paired(tmp_path: Path) -> None:
    """Minari 0.5.4 loses the seeds of episodes that are added or combined."""
    world = World.of(load_minari(foreign(tmp_path / "data", [buffer([0, 1, 2, 3, 4], [1] * 4, ended=True)])))
    with pytest.raises(UserError, match="have no seeds, so they cannot be played again"):
        seen_in(world, Recipe(LINE))


def test_another_environment_whose_random_numbers_are_shifted_is_refused() -> None:
    """Gymnasium's StickyAction draws from the environment's own random numbers, also where no action is ever repeated."""
    world = World.of(gather_episodes(Recipe(LINE, arguments=("slip=0.3",)), 400, 0))
    assert len(seen_in(world, Recipe(LINE, arguments=("slip=0.3",))).other) == len(world.frames)
    with pytest.raises(UserError, match="takes another course"):
        seen_in(world, Recipe(LINE, ("tests.small_worlds:never_sticky",), ("slip=0.3",)))
