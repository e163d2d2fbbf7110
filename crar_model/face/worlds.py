"""Data of any Gymnasium environment: what `crar gather --env` and `crar train --env` do as functions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath
from crar_model.core.fresh import fresh
from crar_model.core.sizes import STEP_OF_TILES, check_one
from crar_model.core.watching import Notice, Watch, untold, unwatched
from crar_model.core.words import plural

if TYPE_CHECKING:
    from crar_model.tasks import Task
    from crar_model.worlds.world import World

STEPS = 50_000
"""Transitions where nothing is said."""
SUFFIX = "-data"
"""Added to a run's folder: where `crar train --env` puts what it gathers."""


def gather_world(
    out: StrPath,
    env: str,
    *,
    wrapper: str | Sequence[str] = (),
    env_arg: str | Sequence[str] = (),
    fixed: bool = False,
    steps: int = STEPS,
    seed: int = 0,
    policy: str = "",
    force: bool = False,
    watch: Watch = unwatched,
    notice: Notice = untold,
) -> World:
    """Gather from an environment and write a Minari dataset.

    Args:
        out: its folder.
        env: id of the environment.
        wrapper: package.module:Wrapper, the innermost first.
        env_arg: arguments of the environment, NAME=VALUE.
        fixed: let every episode begin as the seed begins the first.
        steps: transitions, at least.
        seed: of environment and policy.
        policy: package.module:function of (observations, generator) -> actions; "" is uniformly random.
        force: write over a dataset that is there.
        watch: shows progress.
        notice: told in a line each what the data say of the world.

    Raises:
        UserError: for an environment, a wrapper or a policy that cannot be used, or a folder that holds something.
    """
    import shutil

    from crar_model.worlds.environments import Recipe
    from crar_model.worlds.gathering import gather_episodes
    from crar_model.worlds.storage import save_minari
    from crar_model.worlds.world import World

    check_one("steps", steps, STEP_OF_TILES)
    fresh(out, force=force)
    recipe = Recipe(env, _each(wrapper), _each(env_arg), fixed)
    with watch(f"{env}: {plural(steps, 'transition')}", "transitions") as tick:
        episodes = gather_episodes(recipe, steps, seed, policy, tick)
    if force and (Path(out) / "data").exists():
        shutil.rmtree(Path(out) / "data")
    save_minari(out, episodes)
    world = World.of(episodes)
    for line in facts_of(world):
        notice(line)
    return world


def facts_of(world: World) -> tuple[str, ...]:
    """What the data say of a world, a sentence each."""
    from crar_model.worlds.listing import list_states
    from crar_model.worlds.tables import facts_of as told

    return told(world, list_states(world))


def settings_of_world(
    out: StrPath, given: dict[str, Any], how: dict[str, Any], *, resume: bool, watch: Watch, notice: Notice
) -> dict[str, Any]:
    """The settings of a training in a world, with its data where the run folder will have them.

    Args:
        out: the run folder.
        given: settings as they were given: `maze`, `data` ...
        how: of gathering: `env`, `wrapper`, `env_arg`, `fixed`, `steps`, `policy`, empty where nothing was said.
        resume: whether the run goes on, so that its world is there.
        watch, notice: as in :func:`gather_world`.

    Raises:
        UserError: for an environment beside data, and whatever cannot be gathered or read.
    """
    from crar_model.tasks.worlds import NAME

    asked = {name: value for name, value in how.items() if value not in ("", (), [], None, False)}
    data = given.get("data")
    if asked and "env" not in asked:
        raise UserError(f"--{next(iter(asked)).replace('_', '-')} is about an environment; give --env ID too")
    if not asked and (not data or given.get("maze", NAME) != NAME or (Path(data).suffix == ".npz" and "maze" not in given)):
        return given
    if asked and data:
        raise UserError("--env gathers data, and --data names some; give one of the two")
    if given.setdefault("maze", NAME) != NAME:
        raise UserError(f"--env: it is learned as --maze {NAME}; leave --maze {given['maze']} out")
    from crar_model.worlds.world import FILE, load_world

    kept = Path(out) / FILE
    if not resume and (Path(out) / "run.json").exists():
        raise UserError(f"{out}: holds a run already; add --resume to continue it or choose another --out")
    if resume and kept.exists():
        return given | {"data": str(kept), "data_digest": load_world(kept).digest}
    if asked:
        data = _gathered(Path(f"{out}{SUFFIX}"), asked, int(given.get("seed", 0)), watch, notice)
    world = load_world(data or "")
    for line in facts_of(world):
        notice(line)
    return given | {"data": str(kept), "data_digest": world.digest}


def other_side(
    task: Task, function: str, env: str, wrapper: str | Sequence[str], arguments: str | Sequence[str], watch: Watch
) -> dict[str, Any]:
    """Settings of a transfer to a side of a world that a function or another environment shows.

    Args:
        task: of the base.
        function: package.module:function; "" for none.
        env, wrapper, arguments: the environment; "" for none.
        watch: shows progress.

    Raises:
        UserError: for a task that is no world, and whatever cannot be paired.
    """
    from crar_model.mazes.maps import OWN_MAP
    from crar_model.tasks.worlds import WorldTask
    from crar_model.worlds.environments import Recipe
    from crar_model.worlds.other import mapped_by, seen_in
    from crar_model.worlds.world import FILE, remember

    flag = "--map" if function else "--to-env"
    if not isinstance(task, WorldTask):
        raise UserError(f"{flag}: only worlds that were gathered from an environment have such another side; see --observation-map")
    if bool(function) == bool(env):
        raise UserError("--map and --to-env each say what the other side shows; give one of them")
    if function:
        world = mapped_by(task.world, function)
    else:
        with watch(f"{env}: the same actions from the same seeds", "observations") as tick:
            world = seen_in(
                task.world, Recipe(env, _each(wrapper), _each(arguments), bool(task.world.about.get("recipe", {}).get("fixed"))), tick
            )
    return {"data": FILE, "data_digest": remember(world).digest, "observation_map": OWN_MAP}


def _gathered(folder: Path, asked: dict[str, Any], seed: int, watch: Watch, notice: Notice) -> Path:
    """The folder of a dataset by these flags, gathered now if it is not there."""
    from crar_model.worlds.environments import Recipe
    from crar_model.worlds.storage import load_minari

    if folder.exists():
        about = load_minari(folder).about
        recipe = Recipe(asked["env"], _each(asked.get("wrapper", ())), _each(asked.get("env_arg", ())), bool(asked.get("fixed")))
        same = {
            "recipe": recipe.plain(),
            "seed": seed,
            "steps": asked.get("steps", STEPS),
            "policy": asked.get("policy") or "uniformly random",
        }
        if any(about.get(name) != value for name, value in same.items()):
            raise UserError(f"{folder}: holds data that were gathered otherwise; choose another --out, or give --data {folder}")
        notice(f"{folder}: gathered before, by the same flags")
        return folder
    gather_world(folder, seed=seed, watch=watch, **asked)
    notice(f"{folder}: what was gathered, a Minari dataset")
    return folder


def _each(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)
