"""The other side of a world, as a function or another environment shows it: the same states, paired row by row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import cast

import numpy as np
from gymnasium import spaces

from crar_model.core.errors import UserError
from crar_model.core.words import plural
from crar_model.worlds.environments import Recipe, make, named
from crar_model.worlds.episodes import Array
from crar_model.worlds.world import World

PLAYED = 20
"""Episodes in which rewards and ends have to agree, at least: random numbers that are shifted show in a few."""


def mapped_by(world: World, path: str) -> World:
    """The world with another side that a function makes of its observations.

    Args:
        world: the world.
        path: package.module:function of all observations (R, ...), as the environment gives them, -> as many of the same shape.

    Raises:
        UserError: for no such function, or one that gives something else.
    """
    function = named(path, "--map")
    try:
        found = np.asarray(function(world.frames.copy()))
    except Exception as error:  # of whatever kind: the function is its author's
        raise UserError(f"--map {path}: it raises {type(error).__name__} ({error}); mend it") from error
    if found.shape != world.frames.shape:
        raise UserError(
            f"--map {path}: it makes {found.shape} of observations of shape {world.frames.shape}; give as many of the same shape"
        )
    _numbers(found, f"--map {path}")
    return replace(world, other=found, about={**world.about, "other": f"the map {path}", "map": path})


def seen_in(world: World, recipe: Recipe, progress: Callable[[int, int], None] | None = None) -> World:
    """The world with another side that another environment shows when the same actions are played from the same seeds.

    Episodes are played until every observation has its partner, and at least `PLAYED`; rewards and ends have to agree on the way.

    Args:
        world: gathered with known seeds.
        recipe: the other environment.
        progress: called with (observations with a partner, all).

    Raises:
        UserError: for data without seeds, an environment that takes another course, or observations of another shape.
    """
    where = f"--to-env {recipe.env}"
    if len(world.seed) != int(world.first.sum()) or (world.seed < 0).any():
        raise UserError(
            f"{where}: the episodes of these data have no seeds, so they cannot be played again; gather them with crar gather --env"
        )
    env = make(recipe)
    begins = [*np.flatnonzero(world.first).tolist(), world.steps]
    actions = cast(spaces.Discrete, env.action_space)
    offset = int(actions.start)
    if int(actions.n) != world.n_actions:
        raise UserError(f"{where}: it has {actions.n} actions, and this world {world.n_actions}; give one with the same actions")
    rows: dict[int, Array] = {}
    torn = set[int]()
    for number, (begin, end) in enumerate(pairwise(begins)):
        if len(rows) == len(world.frames) and number >= PLAYED:
            break
        frame, _ = env.reset(seed=int(world.seed[number]))
        _meet(rows, torn, int(world.state[begin]), frame)
        for step in range(begin, end):
            frame, reward, terminated, truncated, _ = env.step(int(world.action[step]) + offset)
            if terminated != world.terminated[step] or not np.isclose(float(reward), world.reward[step]) or (truncated and step < end - 1):
                raise UserError(
                    f"{where}: in episode {number} it takes another course from step {step - begin} on; give the same world seen otherwise"
                )
            _meet(rows, torn, int(world.next_state[step]), frame)
        if progress is not None:
            progress(len(rows), len(world.frames))
    env.close()
    found = np.stack([rows[row] for row in range(len(world.frames))])
    if found.shape[1:] != world.frames.shape[1:]:
        raise UserError(
            f"{where}: its observations have shape {found.shape[1:]}, this world's {world.frames.shape[1:]}, and a transfer begins with its base's encoder; "
            "give a --to-wrapper that makes them alike"
        )
    _numbers(found, where)
    notes = (
        [f"{plural(len(torn), 'observation')} look otherwise from time to time in {recipe.env}: the first look is taken"] if torn else []
    )
    about = {**world.about, "other": recipe.env, "other_recipe": recipe.plain(), "notes": [*world.about.get("notes", []), *notes]}
    return replace(world, other=found, about=about)


def _meet(rows: dict[int, Array], torn: set[int], row: int, frame: Array) -> None:
    """Note what a row looks like on the other side."""
    if row not in rows:
        rows[row] = frame
    elif not np.array_equal(rows[row], frame):
        torn.add(row)


def _numbers(found: Array, where: str) -> None:
    if not np.issubdtype(found.dtype, np.number) or not np.isfinite(found).all():
        raise UserError(f"{where}: its observations are not finite numbers; give one whose are")
