"""The random mazes as Gymnasium environments."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from crar_model.mazes.gym_random import RandomMazeEnv
from crar_model.mazes.random_mazes import (
    ACTION_STEPS,
    RandomMazeAction,
)
from crar_model.mazes.registration import RANDOM_MAZE


@pytest.mark.parametrize("observation", ["pixels", "grid"])
@pytest.mark.parametrize("inverse", [False, True])
def test_gymnasium_accepts_the_environment(observation: str, inverse: bool) -> None:
    env = gymnasium.make(RANDOM_MAZE, observation=observation, inverse=inverse, render_mode="rgb_array")
    check_env(env.unwrapped)
    env.reset(seed=3)
    picture = env.render()
    assert isinstance(picture, np.ndarray)
    assert picture.shape == (256, 256, 3)


def test_gymnasium_episode() -> None:
    env = gymnasium.make(RANDOM_MAZE, max_steps=7)
    first, info = env.reset(seed=1)
    assert info == {"position": (1, 1), "keys": 3, "action_names": ("down", "right", "up", "left")}
    assert not np.array_equal(env.reset()[0], first)
    assert np.array_equal(env.reset(seed=1)[0], first)
    outcomes = [env.step(np.int64(0))[1:4] for _ in range(7)]
    assert [truncated for _, _, truncated in outcomes] == [False] * 6 + [True]
    with pytest.raises(ValueError, match="action"):
        env.unwrapped.step(4)
    for bad in ({"observation": "text"}, {"render_mode": "human"}, {"max_steps": -1}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            RandomMazeEnv(**bad)


def test_vector_environment_steps_like_single_ones_and_resets_at_the_next_step() -> None:
    many = gymnasium.make_vec(RANDOM_MAZE, num_envs=5, vectorization_mode="vector_entry_point", max_steps=4, render_mode="rgb_array")
    seen, info = many.reset(seed=2)
    assert seen.shape == (5, 1, 48, 48)
    assert info["keys"].tolist() == [3] * 5
    for step in range(1, 12):
        seen, rewards, terminated, truncated, info = many.step(np.full(5, step % 4))
        assert many.observation_space.contains(seen)
        if step % 5 == 0:  # the step after the truncated one
            assert not rewards.any()
            assert not truncated.any()
            assert (info["position"] == 1).all()
        else:
            assert (rewards != 0).all()
            assert (truncated | terminated).all() == (step % 5 == 4)
    assert len(many.render() or ()) == 5
    with pytest.raises(ValueError, match="integers"):
        many.step(np.full(5, 9))


def test_random_actions_have_names_and_the_maze_prints() -> None:
    for action, step in zip(RandomMazeAction, ACTION_STEPS, strict=True):
        assert {"UP": (-1, 0), "DOWN": (1, 0), "LEFT": (0, -1), "RIGHT": (0, 1)}[action.name] == step
    env = gymnasium.make(RANDOM_MAZE, render_mode="ansi")
    _, info = env.reset(seed=1)
    text = str(env.render())
    assert (text.count("K"), text.count("A"), len(text.splitlines())) == (3, 1, 8)
    assert info["action_names"] == ("down", "right", "up", "left")
    many = gymnasium.make_vec(RANDOM_MAZE, num_envs=2, vectorization_mode="vector_entry_point", render_mode="ansi")
    many.reset(seed=1)
    assert all(str(page).count("A") == 1 for page in many.render() or ())
