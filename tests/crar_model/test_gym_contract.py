"""What Gymnasium's users rely on: its own vector environments and ours accept, refuse and give the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.wrappers.vector import DictInfoToList

from crar_model.mazes.gym_checks import positive
from crar_model.mazes.random_mazes import RandomMazeAction
from crar_model.mazes.registration import RANDOM_MAZE, SIMPLE_MAZE

ROOMS = "######\n#..#.#\n#S...#\n######\n"
BAD_ACTIONS = (1.7, "1", 4, -1, None, [1], np.float32(1.0), torch.tensor(1.0), 2**70)
BAD_EACH = ([0.9, 1.9, 2.9], ["1", "2", "3"], [0, 1], [0, 1, 4], [0, -1, 1], [True, False, True], 1, [[0, 1, 2]], [None, 1, 2])
BAD_MASKS = ([1, 0, 0], [True, False], [False, False, False], None, np.ones((3, 1), bool))


def vector(copies: int = 3, mode: str | None = None, **given: Any) -> Any:
    return gymnasium.make_vec(RANDOM_MAZE, num_envs=copies, vectorization_mode=mode, **given)


@pytest.mark.parametrize("name", [SIMPLE_MAZE, RANDOM_MAZE])
def test_an_action_is_an_integer(name: str) -> None:
    env: Any = gymnasium.make(name).unwrapped
    env.reset(seed=0)
    before = env._info()
    for bad in BAD_ACTIONS:
        with pytest.raises(ValueError, match="give an integer from 0 to 3"):
            env.step(bad)
    assert env._info() == before
    for good in (1, np.int32(1), np.array(1), torch.tensor(1), RandomMazeAction.RIGHT):
        env.step(good)


def test_actions_of_many_are_integers() -> None:
    env = vector()
    env.reset(seed=0)
    for bad in BAD_EACH:
        with pytest.raises(ValueError, match="actions must be 3 integers from 0 to 3"):
            env.step(bad)
    for good in ([0, 1, 2], np.array([0, 1, 2], np.uint8), torch.tensor([0, 1, 2])):
        env.step(good)


def test_a_list_of_seeds_gives_each_copy_the_maps_of_its_own() -> None:
    many, apart = vector(), vector(mode="sync")
    for seeds in ([1, 2, 3], (4, 4, 4), np.array([7, 8, 9])):
        ours = many.reset(seed=seeds)[0]
        theirs = apart.reset(seed=[int(seed) for seed in seeds])[0]
        assert np.array_equal(ours, theirs)
    for step in range(5):
        ours, theirs = (env.step(np.array([step % 4, (step + 1) % 4, step // 3 % 4])) for env in (many, apart))
        assert all(np.allclose(a, b) for a, b in zip(ours[:4], theirs[:4], strict=True))
    assert not np.array_equal(*(many.reset(seed=[1, None, 3])[0][1] for _ in range(2)))
    for bad in ([1, 2], [], np.array(3)):
        with pytest.raises(ValueError, match="seed is"):
            many.reset(seed=bad)


def test_a_mask_restarts_some_copies_and_leaves_the_others_where_they_are() -> None:
    many = vector(max_steps=3)
    many.reset(seed=0)
    for _ in range(3):
        before, _, _, late, told = many.step(np.array([1, 0, 1]))
    assert late.all()
    mask = np.array([True, False, False])
    options = {"reset_mask": mask}
    after, info = many.reset(options=options)
    assert options == {"reset_mask": mask}
    assert np.array_equal(after[1:], before[1:])
    assert np.array_equal(info["position"][1:], told["position"][1:])
    assert info["position"][0].tolist() == [1, 1]
    rewards, _, again = many.step(np.array([1, 0, 1]))[1:4]
    assert (rewards != 0).tolist() == [True, False, False]  # the others begin their next episode at this step
    assert not again.any()
    assert np.array_equal(many.reset(seed=5, options={"reset_mask": mask})[0][0], many.reset(seed=5)[0][0])
    for bad in BAD_MASKS:
        with pytest.raises(ValueError, match=r"reset_mask is .*give 3 times True or False"):
            many.reset(options={"reset_mask": bad})


@pytest.mark.parametrize("make", [lambda: gymnasium.make(SIMPLE_MAZE), lambda: gymnasium.make(RANDOM_MAZE), vector])
def test_an_option_that_changes_nothing_is_refused(make: Any) -> None:
    env = make()
    env.reset(options={})
    with pytest.raises(ValueError, match="options has 'start'"):
        env.reset(options={"start": (2, 2)})


@pytest.mark.parametrize(
    "given",
    [
        {"max_episode_steps": 4}, {"max_episode_steps": -1, "max_steps": 5}, {"max_episode_steps": 9, "max_steps": 4}, {"disable_env_checker": True},
        {"render_mode": "rgb_array"}, {"render_mode": "ansi"}, {"render_mode": "rgb_array_list"}, {"render_mode": "ansi_list"},
        {"inverse": True, "observation": "grid"}, {"inverse": True, "map": "affine"},
    ],
)  # fmt: skip
def test_what_make_accepts_make_vec_accepts(given: dict[str, Any]) -> None:
    gymnasium.make(RANDOM_MAZE, **given)
    ours, theirs = (vector(2, mode, **given) for mode in (None, "sync"))
    ours.reset(seed=[3, 4])
    theirs.reset(seed=[3, 4])
    for _ in range(5):
        a, b = (env.step(np.array([0, 1])) for env in (ours, theirs))
        assert all(np.allclose(x, y) for x, y in zip(a[1:4], b[1:4], strict=True))
        if bool((a[2] | a[3]).any()):
            break
        assert np.array_equal(a[0], b[0])
    shown = [env.render() if given.get("render_mode") else None for env in (ours, theirs)]
    if shown[0] is not None:
        assert [np.array_equal(x, y) for x, y in zip(*shown, strict=True)] == [True, True]
        again = ours.render()
        assert given["render_mode"] not in ("rgb_array_list", "ansi_list") or again == ([], [])


def test_pictures_are_collected_from_each_copy_s_own_beginning() -> None:
    many = vector(2, render_mode="ansi_list", max_steps=2)
    many.reset(seed=0)
    many.step(np.zeros(2, np.int64))
    many.reset(options={"reset_mask": np.array([True, False])})
    assert [len(pictures) for pictures in many.render()] == [1, 2]
    many.step(np.zeros(2, np.int64))
    assert [len(pictures) for pictures in many.render()] == [1, 1]


def test_a_window_of_many_is_gymnasium_s_own() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SDL_VIDEODRIVER", "dummy")
        env: Any = vector(2, render_mode="human")
    assert env.render_mode == "human"
    assert env.unwrapped.render_mode == "rgb_array"


def test_gymnasium_s_own_wrappers_read_what_is_told() -> None:
    listed = DictInfoToList(vector(2))
    told: Any = listed.reset(seed=0)[1]
    assert [each["keys"] for each in told] == [3, 3]


@pytest.mark.parametrize("bad", [{"max_episode_steps": 0}, {"max_episode_steps": 2.5}, {"max_steps": "9"}, {"max_steps": True}])
def test_limits_are_counts(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(bad))} is .*give an integer of at least"):
        vector(**bad)


def test_a_count_of_mazes_is_one() -> None:
    for bad in (0, -1, 2.0, "3"):
        with pytest.raises(ValueError, match=r"num_envs is .*give an integer of at least 1"):
            positive("num_envs", bad)
    with pytest.raises(ValueError, match="num_envs is 0"):
        vector(0)


@pytest.mark.parametrize("text", [ROOMS, "\ufeff" + ROOMS, ROOMS.replace("\n", "\r\n")])
def test_walls_are_a_drawing_or_the_file_of_one(text: str, tmp_path: Path) -> None:
    file = tmp_path / "rooms.txt"
    file.write_bytes(text.encode("utf-8"))
    drawn = gymnasium.make(SIMPLE_MAZE, walls=ROOMS).reset()[0]
    for given in (str(file), file):
        assert np.array_equal(gymnasium.make(SIMPLE_MAZE, walls=given).reset()[0], drawn)
    for bad in (str(tmp_path / "none.txt"), tmp_path, "x" * 5000):
        with pytest.raises(ValueError, match=r"walls: cannot read .*give a drawing, or a text file that holds one"):
            gymnasium.make(SIMPLE_MAZE, walls=bad)
    file.write_bytes(text.encode("utf-16"))
    with pytest.raises(ValueError, match=r"rooms\.txt is no UTF-8 text"):
        gymnasium.make(SIMPLE_MAZE, walls=file)
