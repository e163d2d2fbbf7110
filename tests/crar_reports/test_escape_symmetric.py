"""Who leaves a minimum for an embedding that is as right as the base's has arrived."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch

from crar_model.cures.problem import Problem
from crar_model.tasks import task_named
from crar_model.tasks.symmetries import symmetries_of
from crar_model.worlds.world import World, save_world
from crar_reports.pages.escape.measure import ELSEWHERE, distances, from_right

SIDES = 4


def ring(tmp_path: Path, *, marked: bool) -> Problem:
    """A ring of four states that one walks round in both senses; marked, one move is rewarded, so that no turn is a symmetry."""
    state = np.repeat(np.arange(SIDES), 4)
    action = np.tile([0, 0, 1, 1], SIDES)
    reward = np.where((state == 0) & (action == 0), float(marked), 0.0)
    first = np.arange(len(state)) == 0
    world = World(
        np.eye(SIDES, dtype=np.float32), state.astype(np.int32), ((state + 1 - 2 * action) % SIDES).astype(np.int32), action.astype(np.int16), reward,
        np.zeros(len(state), np.bool_), first, 2, {"title": "ring", "actions": ["on", "back"]},
    )  # fmt: skip
    save_world(tmp_path / "world.npz", world)
    task = task_named("world").with_data(str(tmp_path / "world.npz"), world.digest)
    batch = task.batch(inverse=False, dtype=torch.float32)
    return cast(Problem, SimpleNamespace(task=task, data=SimpleNamespace(judged=batch)))


def test_the_base_turned_is_where_one_arrives(tmp_path: Path) -> None:
    angle = torch.arange(SIDES) * torch.pi / 2
    base = torch.stack((angle.cos(), angle.sin(), torch.zeros(SIDES)), dim=1)
    turned, elsewhere = base.roll(1, 0), base.flip(0)
    ends = torch.stack((base, turned, elsewhere))
    found: dict[bool, Any] = {}
    for marked in (False, True):
        problem = ring(tmp_path, marked=marked)
        assert (symmetries_of(problem.task) is None) == marked
        found[marked] = (from_right(problem, ends, base) <= ELSEWHERE).tolist()
        assert (distances(problem, ends, base) <= ELSEWHERE).tolist() == [True, False, False]
    assert found == {False: [True, True, False], True: [True, False, False]}
