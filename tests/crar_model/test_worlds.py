"""Any Gymnasium environment: what is gathered, what a Minari dataset is read as, what a world is found to be, and the simple maze by this way."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import gymnasium
import minari
import numpy as np
import pytest
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage

from crar_model.core.errors import UserError
from crar_model.face.worlds import facts_of
from crar_model.worlds.environments import Recipe, make
from crar_model.worlds.gathering import gather_episodes
from crar_model.worlds.listing import list_states
from crar_model.worlds.storage import load_minari, save_minari
from crar_model.worlds.world import World, load_world, save_world
from tests.crar_model.gathered_worlds import LINE, buffer, foreign, line, world_of


@pytest.mark.parametrize("shared", [False, True])
def test_a_line_is_its_table(shared: bool) -> None:
    world = world_of(line(shared=shared, limit=12))
    found = list_states(world)
    place = world.frames.argmax(1)  # the cell that each observation shows
    assert sorted(place) == [0, 1, 2, 3, 4]
    assert found.listed
    for row, cell in enumerate(place):
        assert found.known[row].tolist() == [cell < 4] * 2
        if cell < 4:
            assert [place[to] for to in found.successor[row]] == [max(0, cell - 1), cell + 1]
            assert found.ended[row].tolist() == [False, cell == 3]
            assert found.reward[row].tolist() == [0.0, float(cell == 3)]
        else:
            assert found.successor[row].tolist() == [row, row]
    assert place[found.start] == 0
    assert (found.torn, found.varying, found.starts, found.closed) == (0, 0, 1, 1)


def test_no_transition_leads_from_one_episode_to_the_next_and_a_cut_is_no_end() -> None:
    episodes = gather_episodes(line(limit=6), 900, 0)
    for one in episodes.each:
        cells = one.frames.argmax(1)
        assert cells[0] == 0
        assert np.abs(np.diff(cells)).max() <= 1
        assert one.terminated == (cells[-1] == 4)
        assert one.truncated != one.terminated
        assert len(one.actions) <= 6
    cut = [one for one in episodes.each if one.truncated]
    assert cut
    assert any(one.terminated for one in episodes.each)
    assert not World.of(episodes).terminated[np.cumsum([len(one.actions) for one in episodes.each]) - 1].all()


def test_an_end_that_is_also_cut_is_an_end() -> None:
    episodes = gather_episodes(line(limit=4), 900, 0)  # four steps to the right end and cut at once
    assert any(one.terminated and len(one.actions) == 4 for one in episodes.each)
    assert not any(one.terminated and one.truncated for one in episodes.each)


def test_the_same_seed_gives_the_same_data_and_another_gives_others() -> None:
    first, again, other = (World.of(gather_episodes(line(), 400, seed)).digest for seed in (1, 1, 2))
    assert first == again != other


def test_partial_observation_is_said_with_its_count() -> None:
    world = world_of(line(twins=True))
    found = list_states(world)
    assert not found.listed
    assert (found.torn, found.torn_observations) == (
        2,
        1,
    )  # from the twins, left and right lead to two cells each, but left of cell 2 is a twin again
    assert "2 moves from 1 observation do not always lead to the same" in "\n".join(facts_of(world))


def test_random_moves_and_varying_rewards_are_said() -> None:
    slips = list_states(world_of(line(slip=0.2)))
    assert not slips.listed
    assert slips.torn == 8
    late = world_of(line(late=True))
    found = list_states(late)
    assert found.listed
    assert found.varying == 1
    ends = late.reward[late.terminated]
    assert found.reward.max() == pytest.approx(ends.mean())
    assert "the reward of 1 move goes by the time" in "\n".join(facts_of(late))


def test_what_was_not_reached_is_said() -> None:
    world = world_of(line(), policy="tests.small_worlds:always_right")
    found = list_states(world)
    assert found.listed  # half of the moves of the cells that act
    assert int(found.known.sum()) == 4
    assert "4 of 8 moves from states that act were never tried" in "\n".join(facts_of(world))


@pytest.mark.parametrize(("kind", "shape"), [("dict", (5,)), ("discrete", (5,)), ("image", (32, 32, 3)), ("box", (5,))])
def test_every_kind_of_observation_goes_through_minari_unchanged(kind: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    episodes = gather_episodes(line(kind=kind, first=3), 200, 0)
    save_minari(tmp_path / "data", episodes)
    again = load_minari(tmp_path / "data")
    assert again.each[0].frames.shape[1:] == shape
    assert World.of(again).digest == World.of(episodes).digest
    assert [one.seed for one in again.each] == [one.seed for one in episodes.each]
    assert list_states(World.of(again)).listed
    assert len(World.of(again).frames) == 5


def test_a_minari_reader_reads_what_was_gathered(tmp_path: Path) -> None:
    episodes = gather_episodes(line(first=1), 300, 0)
    save_minari(tmp_path / "data", episodes)
    dataset = minari.MinariDataset(tmp_path / "data" / "data")
    assert (dataset.total_episodes, dataset.total_steps) == (len(episodes.each), episodes.steps)
    assert all(dataset.action_space.contains(action) for action in dataset[0].actions)


def test_a_worlds_file_is_the_world(tmp_path: Path) -> None:
    world = world_of(line())
    save_world(tmp_path / "world.npz", world)
    again = load_world(tmp_path / "world.npz")
    assert again.digest == world.digest
    assert again.about == world.about
    (tmp_path / "world.npz").write_bytes((tmp_path / "world.npz").read_bytes()[:-100])
    with pytest.raises(UserError, match=r"world\.npz: no world"):
        load_world(tmp_path / "world.npz")


def test_false_transitions_of_an_autoreset_are_left_out(tmp_path: Path) -> None:
    whole = [buffer([0, 1, 2, 3, 4], [1] * 4, ended=True)]
    later = [buffer([4, 0, 1, 2, 3, 4], [0, 1, 1, 1, 1], ended=True) for _ in range(3)]  # from the old end to the new start
    found = load_minari(foreign(tmp_path / "a", whole + later))
    assert [len(one.actions) for one in found.each] == [4] * 4
    assert "3 transitions lead from the end of an episode to the start of the next" in found.about["notes"][0]
    honest = load_minari(foreign(tmp_path / "b", whole * 4))
    assert [len(one.actions) for one in honest.each] == [4] * 4
    assert "notes" not in honest.about


def test_data_that_cannot_be_learned_from_get_one_line(tmp_path: Path) -> None:
    env = gymnasium.make("tests.small_worlds:tests/Throttle-v0")
    storage = MinariStorage.new(tmp_path, env.observation_space, env.action_space, data_format="hdf5")
    storage.update_metadata({"dataset_id": "others/throttle-v0", "minari_version": minari.__version__})
    with pytest.raises(UserError, match="only discrete actions can be learned from"):
        load_minari(tmp_path)
    with pytest.raises(UserError, match="no Minari dataset"):
        load_minari(tmp_path / "nowhere")
    bad = buffer([0, 1], [1], ended=False)
    seen: Any = bad.observations
    seen[1] = np.nan
    with pytest.raises(UserError, match="not finite"):
        load_minari(foreign(tmp_path / "nan", [bad]))


@pytest.mark.parametrize(
    ("recipe", "line_of_it"),
    [
        (Recipe("tests.small_worlds:tests/Throttle-v0"), "only discrete actions"),
        (Recipe("CartPol-v1"), "did you mean CartPole-v"),
        (Recipe("no_such_package:Thing-v0"), "pip install no_such_package"),
        (line(limit=1), "end at once"),
        (line(bad=True), "not finite"),
        (line(nothing=1), "--env-arg"),
        (Recipe(LINE, wrappers=("gymnasium.wrappers:Autoreset",)), "Autoreset"),
        (Recipe(LINE, wrappers=("gymnasium.wrappers:NoSuchWrapper",)), "--wrapper"),
        (Recipe(LINE, wrappers=("nowrapper",)), "package.module:name"),
    ],
)
def test_bad_environments_get_one_line(recipe: Recipe, line_of_it: str) -> None:
    with pytest.raises(UserError, match=line_of_it) as error:
        gather_episodes(recipe, 1_000, 0)
    assert "\n" not in str(error.value)


def test_a_policy_gives_actions_that_there_are() -> None:
    with pytest.raises(UserError, match="whole numbers from 0 to 1"):
        gather_episodes(line(), 100, 0, policy="tests.small_worlds:too_far")


def test_minigrid_as_it_really_is() -> None:
    """What it declares is not what it shows; its mission is words; a last step in time and at the goal is an end."""
    views = "tests.small_worlds:small_view", "minigrid.wrappers:RGBImgPartialObsWrapper", "minigrid.wrappers:ImgObsWrapper"
    episodes = gather_episodes(Recipe("MiniGrid-Empty-5x5-v0", views), 48, 0)
    said = "\n".join(facts_of(World.of(episodes)))
    assert episodes.each[0].frames.shape[1:] == (56, 56, 3)
    assert "gives (56, 56, 3), which is what is used" in said
    plain = gather_episodes(Recipe("MiniGrid-Empty-5x5-v0", arguments=("max_steps=12",)), 1_500, 0)
    assert plain.each[0].frames.shape[1:] == (7 * 7 * 3 + 4,)
    assert "mission is no number and left out" in plain.about["notes"][0]
    assert plain.about["actions"][:3] == ["left", "right", "forward"]
    assert all(one.terminated != one.truncated for one in plain.each)


def test_wrappers_with_habits_are_said() -> None:
    recipe = dataclasses.replace(line(), wrappers=("gymnasium.wrappers:NormalizeReward",))
    assert "one move has many rewards" in gather_episodes(recipe, 64, 0).about["notes"][0]


def test_images_that_were_stored_as_jpeg_are_said(tmp_path: Path) -> None:
    env = make(line(kind="image"))
    storage = MinariStorage.new(tmp_path, env.observation_space, env.action_space, data_format="hdf5")
    storage.update_metadata({"dataset_id": "others/image-v0", "minari_version": minari.__version__})
    frames = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    storage.update_episodes(
        [EpisodeBuffer(observations=list(frames), actions=[0, 1], rewards=[0.0, 0.0], terminations=[False] * 2, truncations=[False, True])]
    )
    found = load_minari(tmp_path)
    assert not np.array_equal(found.each[0].frames, frames)
    assert "stored as JPEG" in found.about["notes"][0]
