"""Limits that a change by one would move: the moves that navigation may take, and the update from which a rate has fallen."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from crar_model.mazes.simple import SimpleMaze
from crar_model.tasks import default_settings
from crar_model.tasks.going import walk_to
from crar_model.tasks.metrics import navigation_success
from crar_model.training.members import base_plan
from crar_model.training.search import searched
from crar_model.training.trainer import Trainer


def ring(states: int) -> SimpleMaze:
    """States in a ring: action 0 goes on by one, action 1 back by one."""
    walls = torch.ones(3, states + 2, dtype=torch.bool)
    walls[1, 1:-1] = False
    at = torch.arange(states)
    return SimpleMaze(walls, (~walls).nonzero(), torch.stack(((at + 1) % states, (at - 1) % states), dim=1), start=0)


@pytest.mark.parametrize(("states", "solved"), [(8, 6), (9, 6), (12, 8), (41, 28)])
def test_navigation_may_take_twice_the_shortest_route_and_two_more(states: int, solved: int) -> None:
    """An agent that knows one direction only takes k moves to the goal k ahead, whose shortest route is min(k, states - k): of 8 states it just makes 6
    ahead (6 of 6 moves), of 9 it just misses 7 ahead (7 of 6)."""
    maze = ring(states)
    known = maze.successor.clone()
    known[:, 1] = torch.arange(states)  # it believes that going back does nothing
    counted = sum(k <= 2 * min(k, states - k) + 2 for k in range(1, states))
    assert counted == solved
    assert navigation_success(known, maze) == pytest.approx(solved / (states - 1))


@pytest.mark.parametrize("states", [8, 9, 12, 41])
def test_a_walk_may_take_as_many(states: int) -> None:
    """The walk that is drawn ends where navigation gives up."""
    maze = ring(states)
    known = maze.successor.clone()
    known[:, 1] = torch.arange(states)
    for goal in range(1, states):
        allowed, found = 2 * min(goal, states - goal) + 2, walk_to(maze, known, (1, 1 + goal), (1, 1))
        assert (found.reached, found.moves) == (goal <= allowed, min(goal, allowed))


def moves(interval: int, updates: int, **changes: Any) -> list[bool]:
    """Of every update, whether it moved any parameter, with a rate that falls to nothing after `interval` updates."""
    settings = dataclasses.replace(
        default_settings("simple"),
        updates=updates,
        data_size=200,
        log_interval=updates,
        decay_interval=interval,
        learning_rate_decay=0.0,
        **changes,
    )
    trainer, moved = Trainer(base_plan(settings, 1)), []
    for _ in range(updates):
        before = {name: value.detach().clone() for name, value in trainer.params.items()}
        trainer.take_updates(1)
        moved.append(any(not torch.equal(before[name], value) for name, value in trainer.params.items()))
    return moved


@pytest.mark.parametrize("engine", ["compiled", "reference"])
def test_the_rate_falls_at_the_interval_and_not_an_update_off(engine: str) -> None:
    assert moves(3, 6, engine=engine) == [True] * 3 + [False] * 3


def test_many_updates_at_once_have_the_rates_of_one_by_one() -> None:
    settings = dataclasses.replace(
        default_settings("simple"), updates=8, data_size=200, log_interval=8, decay_interval=3, learning_rate_decay=0.5
    )
    together, apart = (Trainer(base_plan(settings, 2)) for _ in range(2))
    together.take_updates(8)
    for _ in range(8):
        apart.take_updates(1)
    assert together.update == apart.update == 8
    assert all(torch.equal(value, apart.params[name]) for name, value in together.params.items())


def test_the_updates_of_a_search_are_its_candidates_and_its_levels() -> None:
    assert searched({"search": {"updates": 5_200, "level_updates": 9_000}}) == 14_200
    assert searched({"search": {"updates": 7}}) == 7
    assert searched({}) == searched({"search": None}) == 0
