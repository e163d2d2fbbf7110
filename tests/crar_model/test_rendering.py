"""Environments drawn as text, as an array, and in a window of pygame's."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest

import crar_model  # noqa: F401  (registers the environments)

NAMES = ["crar/SimpleMaze-v0", "crar/RandomMaze-v0"]


def made(name: str, mode: str) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*human.*")  # Gymnasium says that its own wrapper draws
        env = gymnasium.make(name, render_mode=mode)
    env.reset(seed=0)
    return env


@pytest.mark.parametrize("name", NAMES)
def test_text_shows_the_agent_where_it_is(name: str) -> None:
    env = made(name, "ansi")
    for action in (1, 3, 0, 2):
        info = env.step(action)[-1]
        rows = env.render().strip().splitlines()
        assert [len(row) for row in rows] == [8] * 8
        assert [(row.index("A"), at) for at, row in enumerate(rows) if "A" in row] == [tuple(info["position"])[::-1]]


@pytest.mark.parametrize("name", NAMES)
def test_a_window_shows_the_picture(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a screen: SDL draws into memory."""
    pygame = pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    window, picture = made(name, "human"), made(name, "rgb_array")
    for env in (window, picture):
        env.step(1)
    shown = pygame.surfarray.array3d(pygame.display.get_surface()).transpose(1, 0, 2)
    assert np.array_equal(shown, picture.render())
    window.close()
