"""Compiles the kernels of all tasks once: on a fresh checkout every worker of the tests would, side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from crar_model.tasks import TASKS, default_settings
from crar_model.training.members import Plan, base_plan
from crar_model.training.warmup import compile_missing


def plans() -> Iterator[Plan]:
    """One member of every task and observation, trained in either way."""
    for maze, observation in (*((maze, "grid") for maze in TASKS), ("simple", "image")):
        for engine in ("compiled", "reference"):
            yield base_plan(dataclasses.replace(default_settings(maze), engine=engine, observation=observation), 1)


if __name__ == "__main__":
    for plan in plans():
        compile_missing(plan, print)
