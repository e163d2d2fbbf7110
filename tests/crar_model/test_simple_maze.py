from __future__ import annotations

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st

from crar_model.core.tiles import AGENT_SPRITE
from crar_model.mazes.gym import SimpleMazeEnv
from crar_model.mazes.registration import SIMPLE_MAZE
from crar_model.mazes.simple import ACTION_STEPS, DOOR, Action, simple_maze


def test_table_facts() -> None:
    maze = simple_maze()
    assert (maze.n_states, maze.n_actions) == (31, 4)
    assert int((maze.successor == torch.arange(31).unsqueeze(1)).sum()) == 34  # no-ops
    assert tuple(maze.positions[maze.start].tolist()) == DOOR
    columns = maze.positions[:, 1]
    assert (int((columns < 4).sum()), int((columns == 4).sum()), int((columns > 4).sum())) == (18, 1, 12)
    assert len(maze.edges()) == (124 - 34) // 2


def test_successors_follow_the_grid() -> None:
    maze = simple_maze()
    for state, position in enumerate(maze.positions.tolist()):
        for action, (down, right) in enumerate(ACTION_STEPS):
            row, column = position[0] + down, position[1] + right
            expected = position if bool(maze.walls[row, column]) else [row, column]
            assert maze.positions[maze.successor[state, action]].tolist() == expected


def test_observations() -> None:
    maze = simple_maze()
    grid = maze.observations()
    assert grid.shape == (31, 1, 8, 8)
    assert sorted(set(grid.unique().tolist())) == [0.0, 0.5, 1.0]
    assert torch.equal((grid == 0.5).flatten(1).sum(1), torch.ones(31, dtype=torch.int64))
    assert torch.equal(maze.observations(inverse=True), -grid)
    pixels = maze.observations(pixels=True)
    row, column = maze.positions[7].tolist()
    assert pixels.shape == (31, 1, 48, 48)
    cell = pixels[7, 0, 6 * row : 6 * row + 6, 6 * column : 6 * column + 6]
    assert torch.equal(cell, torch.tensor(AGENT_SPRITE))


def test_rooms_are_what_the_door_joins() -> None:
    maze = simple_maze()
    columns = maze.positions[:, 1]
    assert torch.equal(maze.rooms(), torch.where(columns < 4, 0, torch.where(columns == 4, -1, 1)))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.booleans())
def test_gymnasium_steps_by_the_table(actions: list[int], inverse: bool) -> None:
    env, maze = gymnasium.make(SIMPLE_MAZE, inverse=inverse), simple_maze()
    seen, _ = env.reset(seed=0)
    state, table = maze.start, maze.observations(inverse=inverse).numpy()
    assert np.array_equal(table[state], seen)
    for action in actions:
        seen, reward, terminated, truncated, info = env.step(np.int64(action))
        state = int(maze.successor[state, action])
        assert np.array_equal(table[state], seen)
        assert (reward, terminated, truncated, info["state"]) == (0.0, False, False, state)


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("observation", ["grid", "pixels"])
def test_gymnasium_contract(inverse: bool, observation: str) -> None:
    env = gymnasium.make(SIMPLE_MAZE, inverse=inverse, observation=observation, render_mode="rgb_array")
    check_env(env.unwrapped)


def test_gymnasium_inverting_twice_is_the_identity() -> None:
    normal, inverse = (gymnasium.make(SIMPLE_MAZE, inverse=flag) for flag in (False, True))
    a, _ = normal.reset()
    b, _ = inverse.reset()
    for action in (2, 2, 0, 1, 3, 3, 3):
        assert np.array_equal(-b, a)
        a, b = normal.step(np.int64(action))[0], inverse.step(np.int64(action))[0]


def test_rendered_frame_shows_the_agent() -> None:
    env = gymnasium.make(SIMPLE_MAZE, render_mode="rgb_array")
    env.reset()
    before = env.render()
    env.step(np.int64(2))
    after = env.render()
    assert isinstance(before, np.ndarray)
    assert isinstance(after, np.ndarray)
    assert before.shape == (256, 256, 3)
    moved = np.argwhere((before != after).any(-1))
    assert moved[:, 0].min() >= 4 * 32  # only the two cells of row 4, columns 3 and 4, change
    assert moved[:, 0].max() < 5 * 32
    assert 3 * 32 <= moved[:, 1].min() < 4 * 32 <= moved[:, 1].max() < 5 * 32


def test_importing_the_package_registers_the_environment() -> None:
    script = "import gymnasium, crar_model; print(gymnasium.make('crar/SimpleMaze-v0', inverse=True).reset()[0].min())"
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "-1.0", done.stderr


def test_gymnasium_rejects_bad_arguments() -> None:
    env = gymnasium.make(SIMPLE_MAZE).unwrapped
    env.reset()
    with pytest.raises(ValueError, match="0 to 3"):
        env.step(7)
    with pytest.raises(ValueError, match="grid or pixels"):
        gymnasium.make(SIMPLE_MAZE, observation="sound")


def test_actions_have_names_and_the_maze_prints() -> None:
    env = gymnasium.make("crar/SimpleMaze-v0", render_mode="ansi")
    _, info = env.reset()
    assert info["action_names"] == tuple(action.name.lower() for action in Action)
    for action, (row, column) in zip(Action, ACTION_STEPS, strict=True):
        assert {"UP": (-1, 0), "DOWN": (1, 0), "LEFT": (0, -1), "RIGHT": (0, 1)}[action.name] == (row, column)
    text = env.render()
    assert isinstance(text, str)
    rows = text.splitlines()
    assert (len(rows), rows[4][4], rows[0]) == (8, "A", "########")
    env.step(np.int64(Action.LEFT))
    assert str(env.render()).splitlines()[4][3:5] == "A."
    with pytest.raises(ValueError, match="rgb_array, ansi or None"):
        SimpleMazeEnv(render_mode="human")
