"""Registers the environments with Gymnasium by name; their module is imported when one is made."""

from __future__ import annotations

SIMPLE_MAZE = "crar/SimpleMaze-v0"
RANDOM_MAZE = "crar/RandomMaze-v0"


def register() -> None:
    """Register the environments, once."""
    from gymnasium.envs import registration

    if SIMPLE_MAZE not in registration.registry:
        registration.register(SIMPLE_MAZE, entry_point="crar_model.mazes.gym:SimpleMazeEnv")
    if RANDOM_MAZE not in registration.registry:
        registration.register(
            RANDOM_MAZE,
            entry_point="crar_model.mazes.gym_random:RandomMazeEnv",
            vector_entry_point="crar_model.mazes.gym_random:vector_env",
        )
