"""Episodes of an environment by a random policy, or one of your own, in many copies side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium import spaces

from crar_model.core.errors import UserError
from crar_model.core.streams import Stream
from crar_model.core.version import __version__
from crar_model.worlds.copies import copies_of, seconds_of
from crar_model.worlds.environments import Recipe, action_names, make, named
from crar_model.worlds.episodes import Array, Episode, Episodes
from crar_model.worlds.plain import habits

COPIES = 16
"""Environments side by side."""
Policy = Callable[[Array, np.random.Generator], Any]
"""(observations of some copies, a generator) -> an action each."""
WORTH = 20_000
"""Steps from which it is looked at whether several processes pay."""
MOST_ENDS, LOOKED_AT = 0.95, 500
"""Share of the steps that end an episode from which nothing can be learned of moves, and steps after which it is looked at."""


def gather_episodes(
    recipe: Recipe, steps: int, seed: int, policy: str = "", progress: Callable[[int, int], None] | None = None, processes: int = 0
) -> Episodes:
    """Gather transitions; the same arguments give the same episodes, in however many processes.

    No transition leads from one episode to the next: a copy whose episode has ended is reset by itself. Episodes that are still running at the
    end are cut, which is no end in the world itself.

    Args:
        recipe: the environment.
        steps: transitions, at least; the last step of all copies may bring a few more.
        seed: of the environments and the policy.
        policy: package.module:function of (observations of several copies, a generator) -> an action each; "" is uniformly random.
        progress: called with (transitions so far, wanted).
        processes: that step copies; 0 for as many as pay.

    Raises:
        UserError: as :func:`make`, for a policy without usable actions, observations that are not numbers, and episodes that end at once.
    """
    act = cast(Policy, named(policy, "--policy")) if policy else None
    first = make(recipe)  # all that is wrong with it is said before copies are made
    names, n_actions = action_names(first), int(cast(spaces.Discrete, first.action_space).n)
    offset, declared = int(cast(spaces.Discrete, first.action_space).start), getattr(first, "declared", None)
    limit, notes = getattr(first.spec, "max_episode_steps", None), habits(first)
    copies = max(1, min(COPIES, steps // 64))
    seconds = seconds_of(first, steps) if steps >= WORTH else 0.0
    first.close()
    envs = copies_of(recipe, copies, seconds, processes)
    rng = np.random.default_rng([seed, Stream.POLICY])
    done: list[Episode] = []
    running: list[dict[str, list[Any]]] = [{"frames": [], "actions": [], "rewards": []} for _ in range(copies)]
    luck = np.random.default_rng([seed, Stream.EPISODES])

    def next_seed() -> int:
        return seed if recipe.fixed else int(luck.integers(2**31))

    seeds = [next_seed() for _ in range(copies)]
    seen = envs.reset(seeds)
    _begin(running, seen, np.ones(copies, dtype=np.bool_))
    taken = 0

    def close(copy: int, *, terminated: bool, truncated: bool) -> None:
        own = running[copy]
        frames, rewards = np.stack(own["frames"]), np.array(own["rewards"], dtype=np.float64)
        done.append(
            Episode(frames, np.array(own["actions"], dtype=np.int64), rewards, terminated, truncated and not terminated, seeds[copy])
        )
        seeds[copy] = next_seed()

    try:
        while taken < steps:
            actions = rng.integers(0, n_actions, copies) if act is None else _chosen(act, seen, rng, copies, n_actions, policy)
            seen, rewards, terminated, truncated = envs.step(actions + offset)
            _finite(recipe.env, seen, rewards)
            for copy in range(copies):
                own = running[copy]
                own["frames"].append(np.array(seen[copy]))
                own["actions"].append(actions[copy])
                own["rewards"].append(rewards[copy])
                if terminated[copy] or truncated[copy]:
                    close(copy, terminated=bool(terminated[copy]), truncated=bool(truncated[copy]))
            taken += copies
            ended = np.asarray(terminated) | np.asarray(truncated)
            if ended.any():
                if taken >= min(steps, LOOKED_AT) and len(done) > MOST_ENDS * taken:
                    raise UserError(
                        f"--env {recipe.env}: its episodes end at once, after {taken / len(done):.1f} steps in the mean; give another"
                    )
                seen = envs.reset(seeds, ended)
                _begin(running, seen, ended)
            if progress is not None:
                progress(min(taken, steps), steps)
    finally:
        envs.close()
    for copy in range(copies):
        if running[copy]["actions"]:
            close(copy, terminated=False, truncated=True)
    about = {
        "title": recipe.env, "recipe": recipe.plain(), "policy": policy or "uniformly random", "seed": seed, "steps": steps,
        "actions": list(names), "limit": limit, "crar": __version__, "gymnasium": gymnasium.__version__,
        **({"notes": notes} if notes else {}),
        **({"declared": list(declared)} if declared is not None and tuple(declared) != done[0].frames.shape[1:] else {}),
    }  # fmt: skip
    return Episodes(tuple(done), n_actions, about)


def _begin(running: list[dict[str, list[Any]]], seen: Array, where: Array) -> None:
    """New episodes of some copies."""
    for copy in np.flatnonzero(where):
        running[copy] = {"frames": [np.array(seen[copy])], "actions": [], "rewards": []}


def _chosen(act: Policy, seen: Array, rng: np.random.Generator, copies: int, n_actions: int, policy: str) -> Array:
    """The actions of a policy of the user's own."""
    try:
        found = np.asarray(act(np.array(seen), rng))
    except Exception as error:  # of whatever kind: a policy is its author's
        raise UserError(
            f"--policy {policy}: it fails ({type(error).__name__}: {error}); it is called with the observations of {copies} copies and a generator"
        ) from error
    if found.shape != (copies,) or not np.issubdtype(found.dtype, np.integer) or found.min() < 0 or found.max() >= n_actions:
        raise UserError(
            f"--policy {policy}: it gives {found!r} for {copies} observations; give {copies} whole numbers from 0 to {n_actions - 1}"
        )
    return found.astype(np.int64)


def _finite(env: str, seen: Array, rewards: Array) -> None:
    """Refuse what is not a number."""
    for what, values in (("observations", seen), ("rewards", rewards)):
        if np.issubdtype(np.asarray(values).dtype, np.floating) and not np.isfinite(values).all():
            raise UserError(f"--env {env}: its {what} are not finite (NaN or infinite); give a --wrapper that makes them so")
