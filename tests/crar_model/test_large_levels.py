"""The level of a world of many moves: what descends is bounded, and the embedding is still found."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from crar_model.agent.symmetry import RIGHT, match_embeddings
from crar_model.core.kept import Pieces
from crar_model.core.settings import CureSettings
from crar_model.cures import level as levels
from crar_model.cures import places
from crar_model.cures import problem as problems
from crar_model.cures.copies import tried_permutations
from crar_model.cures.descent import Work, descend
from crar_model.cures.level import agreed, grown_level, level_of, level_updates, looked_again, replaced
from crar_model.cures.methods import Round
from crar_model.cures.places import FEW, WIDER, Ring, rings_of, stops_of
from crar_model.cures.problem import Problem
from crar_model.tasks.symmetries import symmetries_of
from tests.planted import PlantedTask, planted_problem

SMALL = CureSettings(effort=0.04)
ROWS, COLUMNS = 14, 3
MOST = 40
"""Of the tests, whose world is small."""


@pytest.fixture(autouse=True)
def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The room counts as large."""
    monkeypatch.setattr(places, "FEW", 8)
    monkeypatch.setattr(places, "DRAWN", 9)
    monkeypatch.setattr(problems, "WORK", MOST * ROWS * COLUMNS * 4)


@pytest.fixture(scope="module")
def task() -> PlantedTask:
    """A room of 42 states with four moves each; a move against a wall stays."""
    row, column = np.divmod(np.arange(ROWS * COLUMNS), COLUMNS)
    steps = ((-1, 0), (1, 0), (0, -1), (0, 1))
    moved = [np.clip(row + i, 0, ROWS - 1) * COLUMNS + np.clip(column + j, 0, COLUMNS - 1) for i, j in steps]
    points = torch.from_numpy(np.random.default_rng(0).uniform(-0.95, 0.95, (ROWS * COLUMNS, 3))).float()
    return PlantedTask(np.column_stack(moved), points)


@pytest.fixture(scope="module")
def room(task: PlantedTask) -> Problem:
    return planted_problem(task)


def ring(placed: int) -> Ring:
    none = np.empty(0, np.int64)
    return Ring(np.arange(placed), none, none, none)


def test_every_ring_of_a_small_world_descends_and_few_of_a_large_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "FEW", FEW)
    assert stops_of([ring(k) for k in (3, 6, 9, FEW)]) == (2, 3, 4)
    assert stops_of([ring(4)]) == (1,)
    sizes = [FEW + 10 * k for k in range(1, 60)]
    stops = stops_of([ring(n) for n in sizes])
    assert len(stops) < len(sizes) / 4
    assert stops[-1] == len(sizes)
    at = [sizes[k - 1] for k in stops[:-1]]
    assert all(after >= WIDER * before for before, after in pairwise(at))


def test_the_planted_embedding_of_many_moves_is_found_by_bounded_work(
    task: PlantedTask, room: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: dict[str, int] = {}

    def counted(problem: Problem, name: str, free: Any, rounds: Any, **how: Any) -> Any:
        begun[name] = len(free["embedding"])
        return descend(problem, name, free, rounds, **how)

    monkeypatch.setattr(places, "descend", counted)
    monkeypatch.setattr(levels, "descend", counted)
    ticks: list[int] = []
    level = level_of(room, None, SMALL, Pieces(), ticks.append)
    match = match_embeddings(task.agent(), room.data.judged, task.own.points, level.embeddings[0], symmetries_of(task))
    assert match.verdict in RIGHT
    assert level.tail.astray == 0
    grown = [name for name in begun if name.startswith("grown-")]
    assert len(grown) == len(stops_of(rings_of(room, room.forest, 0))) < len(rings_of(room, room.forest, 0)) - 1  # of one root
    assert begun["level-0"] <= 2 * MOST
    assert sum(ticks) == level.updates
    assert level.updates <= 1.5 * level_updates(room, SMALL)  # what progress is counted against


def test_of_many_moves_the_worst_states_are_put_elsewhere(task: PlantedTask, room: Problem) -> None:
    right = task.own.points
    wrong = right.clone()
    wrong[[7, 33]] += 0.5
    copies = replaced(room, wrong)
    assert len(copies) == MOST < 4 * len(wrong)
    moved = (copies != wrong).any(-1)
    tried = moved.double().argmax(1).tolist()
    assert {7, 33} <= set(tried)
    back = copies[[k for k, state in enumerate(tried) if state == 7], 7]
    assert float((back - right[7]).norm(dim=-1).min()) < 1e-5  # where the dynamics have it


def test_of_many_states_some_are_rolled_from(task: PlantedTask, room: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def counted(problem: Problem, name: str, free: Any, rounds: Any, **how: Any) -> Any:
        seen.append(len(free["embedding"]))
        return descend(problem, name, free, rounds, **how)

    monkeypatch.setattr(levels, "descend", counted)
    wrong = task.own.points.flip(0)
    looked_again(room, wrong[None], torch.tensor([9.0]), SMALL, Pieces())
    assert seen == [MOST]


@pytest.mark.parametrize(
    ("ends", "one"),
    [((), False), ((1.0,), False), ((1.0, 1.01), True), ((1.0, 1.5), False), ((1.0, 1.5, 1.51), False), ((1.5, 1.0, 1.01), True)],
)
def test_two_roots_agree_where_the_lowest_two_do(ends: tuple[float, ...], one: bool) -> None:
    assert agreed(ends) is one


def test_roots_that_agree_end_the_search_though_the_dynamics_are_poor(room: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every root comes to the same total, and a share of the transitions stays astray: the third root is not asked."""
    roots: list[int] = []

    def poor(problem: Problem, forest: Any, settings: Any, count: int, store: Any, tick: Any) -> tuple[torch.Tensor, int]:
        roots.append(forest.roots[0])
        return torch.zeros(count, len(forest.tree), 3) + 0.01 * torch.arange(count)[:, None, None], 0

    monkeypatch.setattr(levels, "grown", poor)
    grown_level(room, SMALL, Pieces(), lambda _: None)
    assert len(roots) == 2


def test_what_descends_at_once_is_bounded_by_the_transitions(room: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    count = len(room.data.judged.state)
    for work, usual, most in ((1_000 * count, 32, 32), (20 * count, 32, 20), (20 * count, 8, 8), (count, 32, problems.LEAST)):
        monkeypatch.setattr(problems, "WORK", work)
        assert room.at_once(usual) == most
    monkeypatch.setattr(problems, "WORK", 10 * count)
    assert len(tried_permutations(room, 0)) == 10  # of 48 copies behind signed permutations of 3 axes


def test_progress_never_says_that_all_is_done_while_a_descent_is_ahead(room: Problem) -> None:
    """A search that needs more than was planned: a line of progress is shown only while less is done than is planned."""
    seen: list[tuple[int, int]] = []
    work = Work(0, lambda done, planned: seen.append((done, planned)))
    start = torch.zeros(4, len(room.agent.encode(room.failed, room.data.judged.observations)), 3)
    rounds = (Round(4, 30, 1e-2), Round(2, 10, 1e-2))
    for name in ("a", "b"):
        descend(room, name, {"embedding": start}, rounds, store=Pieces(), tick=work)
    assert [done for done, _ in seen] == [100, 120, 140, 240, 260, 280]
    assert [planned for _, planned in seen] == [140] * 3 + [280] * 3
    work.planned = 300
    work.end()
    assert seen[-1] == (300, 300)
