"""Worlds of short episodes, arguments in words, and settings of worlds that cannot be."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import crar_model
import crar_reports
from crar_model.agent.symmetry import mean_move
from crar_model.core.errors import UserError
from crar_model.core.settings import TrainSettings
from crar_model.core.sizes import SAMPLE
from crar_model.models.checkpoints import load_checkpoint
from crar_model.tasks import Task, task_of
from crar_model.worlds.environments import Recipe, arguments_of
from crar_model.worlds.episodes import Episode, Episodes
from crar_model.worlds.gathering import gather_episodes
from crar_model.worlds.world import World, save_world
from crar_reports.measure.options import LandscapeOptions
from crar_reports.measure.sample_minimum import two_samples
from crar_reports.measure.subject import load_subject
from crar_reports.press.nouns import parts_words, side_of, size_words
from tests.crar_reports.pages import end_early
from tests.test_bad_values import refused

SHORT: dict[str, Any] = {"updates": 8, "log_interval": 8, "checkpoint_interval": 8, "workers": 1, "members": 1}


def made(folder: Path, lengths: list[int], kind: type[np.floating[Any]] = np.float32) -> TrainSettings:
    """A world of observations that never come back, in episodes that end after so many steps."""
    rng = np.random.default_rng(0)
    each = [
        Episode(rng.random((steps + 1, 3)).astype(kind), rng.integers(0, 2, steps), rng.integers(0, 2, steps).astype(float), True, False, k)
        for k, steps in enumerate(lengths)
    ]
    world = World.of(Episodes(tuple(each), 2, {"title": "made", "actions": ["left", "right"]}))
    save_world(folder / "world.npz", world)
    return TrainSettings(maze="world", data=str(folder / "world.npz"), data_digest=world.digest)


@pytest.mark.parametrize(
    ("text", "value"),
    [("false", False), ("False", False), ("TRUE", True), ("null", None), ("8x8", "8x8"), ("'false'", "false"), ("0.5", 0.5)],
)
def test_an_argument_in_words_of_other_languages_is_what_they_mean(text: str, value: object) -> None:
    """The word "false" counts as true: FrozenLake with is_slippery=false was slippery."""
    assert arguments_of(Recipe("x", arguments=(f"one={text}",))) == {"one": value}


def test_episodes_of_one_or_two_steps_are_gathered() -> None:
    found = gather_episodes(Recipe("Blackjack-v1"), 1_000, 0)
    assert found.steps < 2 * len(found.each)
    assert max(len(one.actions) for one in found.each) > 2


def test_where_all_ends_rewards_and_ends_are_judged(tmp_path: Path) -> None:
    """Every transition ends its episode, so that no state is predicted: there was NaN."""
    settings = made(tmp_path, [1] * 60)
    base = crar_model.train(tmp_path / "base", maze="world", data=settings.data, **SHORT)
    there = crar_model.transfer(base.models[0], tmp_path / "freeze", **SHORT)
    (one,) = crar_model.evaluate(tmp_path / "freeze").plain()["models"]
    assert not [name for name, value in one.items() if isinstance(value, float) and math.isnan(value)]
    assert 0 <= one["outcome_accuracy"] <= 1
    assert "nearest_state_accuracy" not in one
    with pytest.raises(UserError, match="every transition that it is judged on ends its episode, so no move is predicted"):
        crar_model.cure(there.models[0], method="first-layer")
    with pytest.raises(UserError, match="there is no move to measure in"):
        load_subject(there.models[0], base.models[0])


def test_a_world_whose_listed_moves_all_end_has_no_shares_of_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = np.eye(4, dtype=np.float32)
    each = [Episode(frames[[k % 3, 3]], rng.integers(0, 2, 1), np.array([float(k % 3 == 1)]), True, False, k) for k in range(60)]
    world = World.of(Episodes(tuple(each), 2, {"title": "bandit", "actions": ["left", "right"]}))
    save_world(tmp_path / "world.npz", world)
    crar_model.train(tmp_path / "base", maze="world", data=str(tmp_path / "world.npz"), **SHORT)
    (one,) = crar_model.evaluate(tmp_path / "base").plain()["models"]
    assert not [name for name, value in one.items() if isinstance(value, float) and math.isnan(value)]
    assert "outcome_accuracy" in one


@pytest.mark.parametrize("scale", ["1e-40", "1e-13", "-1", "inf", "1e13"])
def test_a_scale_that_float32_cannot_divide_by_is_refused(scale: str, tmp_path: Path) -> None:
    assert "--reward-scale is " in refused("train", "--env", "CartPole-v1", "--reward-scale", scale, "--out", tmp_path / "run")
    for good in (0.0, 1e-12, 1e12):
        dataclasses.replace(TrainSettings(), reward_scale=good).validate()


def small(tmp_path: Path) -> Task:
    return task_of(made(tmp_path, [20] * 200))


def test_a_sample_that_was_asked_for_is_not_cut(tmp_path: Path) -> None:
    """The usual number is cut to what is held out; the same number is refused where it was given."""
    task = small(tmp_path)
    usual = LandscapeOptions().settled(task).sample
    assert usual is not None
    assert usual < SAMPLE
    with pytest.raises(UserError, match=f"--sample is 2,048, and for each of two samples {usual:,} transitions"):
        LandscapeOptions(sample=SAMPLE).settled(task)


def test_samples_of_a_world_are_of_episodes(tmp_path: Path) -> None:
    settings = made(tmp_path, [20] * 200)
    base = crar_model.train(tmp_path / "base", maze="world", data=settings.data, **SHORT)
    there = crar_model.transfer(base.models[0], tmp_path / "freeze", **SHORT)
    subject = load_subject(there.models[0], base.models[0])
    assert mean_move(subject.batch, subject.embedding(subject.copy)) > 0
    own, _ = two_samples(subject, 64)
    from crar_reports.measure.sample_minimum import size_of

    size = size_of(own)
    assert set(size) == {"transitions", "terminal", "episodes"}
    assert size_words(size) == f"64 transitions of {size['episodes']} episodes ({size['terminal']} terminal)"
    assert parts_words({"maps": 2}, "other ") == "2 other maps"
    assert side_of(subject.task, inverse=True) == "inverse world"
    assert side_of(task_of(TrainSettings(maze="random")), inverse=False) == "normal mazes"
    assert not torch.equal(subject.failed["encoder.0.weight"], load_checkpoint(base.models[0]).parameters["encoder.0.weight"])


def test_claims_of_two_worlds_are_decided_apart_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One page took the transfers of both, by the words of the last; `crar verdicts` called each a world of your own."""
    end_early(monkeypatch)
    made: dict[str, Path] = {}
    for name, limit in (("one", "20"), ("two", "4")):
        base = crar_model.train(
            tmp_path / f"{name}-base", env="tests.small_worlds:tests/Line-v0", env_arg=f"limit={limit}", steps=400, **SHORT
        )
        made[name] = crar_model.transfer(base.models[0], tmp_path / name, **SHORT | {"updates": 2}).folder
    with pytest.raises(UserError, match=r"is of tests\.small_worlds:tests/Line-v0, 7 abstract numbers; judge them apart"):
        crar_reports.decide_claims([made["one"], made["two"]], out=tmp_path / "both", quick=True)
    crar_reports.decide_claims(made["one"], out=tmp_path / "claims", quick=True)
    crar_reports.verdicts(claims=tmp_path / "claims", out=tmp_path / "verdicts")
    said = (tmp_path / "verdicts" / "report.md").read_text()
    assert "**Found in tests.small_worlds:tests/Line-v0, bases" in said
    assert "| tests.small_worlds:tests/Line-v0 |" in said
    assert "world maze" not in said
