"""Compiles the kernels of all tasks once: on a fresh checkout every worker of the tests would, side by side.

`python -m tests.kernels dense` those of dense networks alone, `conv` the others: few are of both, and each takes a core.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from crar_model.core.settings import TrainSettings
from crar_model.nets import DENSE_STEPS, DENSE_UPDATES
from crar_model.tasks import TASKS, default_settings
from crar_model.training.members import Plan, base_plan
from crar_model.training.warmup import compile_missing, needed
from crar_model.worlds.environments import Recipe
from crar_model.worlds.gathering import gather_episodes
from crar_model.worlds.world import World, save_world


def settings_of_worlds(folder: Path) -> Iterator[TrainSettings]:
    """A small world of numbers and one of images, which are known by their data alone."""
    for kind in ("box", "image"):
        recipe = Recipe("tests.small_worlds:tests/Line-v0", arguments=(f"kind={kind!r}",))
        world = World.of(gather_episodes(recipe, 300, 0))
        save_world(folder / f"{kind}.npz", world)
        yield dataclasses.replace(default_settings("world"), data=str(folder / f"{kind}.npz"), data_digest=world.digest)


def plans() -> Iterator[Plan]:
    """One member of every task and observation, trained in either way."""
    with TemporaryDirectory() as folder:
        told = [default_settings(maze) for maze, task in TASKS.items() if not task.known_by_data]
        told += [dataclasses.replace(default_settings("simple"), observation="image"), *settings_of_worlds(Path(folder))]
        for settings in told:
            for engine in ("compiled", "reference"):
                yield base_plan(dataclasses.replace(settings, engine=engine), 1)


def is_dense(plan: Plan) -> bool:
    """Whether its training needs no kernel but those of dense networks."""
    return {*needed(plan).functions} <= {*DENSE_STEPS.functions, *DENSE_UPDATES.functions}


if __name__ == "__main__":
    for plan in plans():
        if is_dense(plan) == (sys.argv[1] == "dense"):
            compile_missing(plan, print)
