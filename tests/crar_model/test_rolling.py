"""Rolling exact dynamics recovers a planted embedding in any dimension, up to symmetries of its world, and knows nothing of the observations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crar_model.agent.symmetry import RIGHT, match_embeddings
from crar_model.core.kept import Pieces
from crar_model.core.settings import CureSettings
from crar_model.cures.level import level_of
from crar_model.cures.placement import flat, survey
from crar_model.cures.rolling import forest_of, unroll
from crar_model.mazes.automorphisms import NOWHERE, Moves
from crar_model.tasks.symmetries import symmetries_of
from tests.planted import PlantedTask, planted_problem

SMALL = CureSettings(effort=0.04, resolution=31)


def world(seed: int, dimension: int, parts: int = 1) -> PlantedTask:
    """Parts of 7 states each, whose two actions exchange states: what is joined can be reached from everywhere."""
    rng = np.random.default_rng(seed)
    while True:
        blocks = [np.column_stack([rng.permutation(7), rng.permutation(7)]) + 7 * k for k in range(parts)]
        points = torch.from_numpy(rng.uniform(-0.95, 0.95, (7 * parts, dimension))).float()
        task = PlantedTask(np.concatenate(blocks), points)
        if len(planted_problem(task).moves.parts) == parts and torch.pdist(points).min() > 0.15:
            return task


@pytest.mark.parametrize(("dimension", "parts"), [(2, 1), (3, 1), (5, 1), (3, 2)])
@settings(max_examples=3)
@given(seed=st.integers(0, 2**16))
def test_exact_dynamics_give_the_planted_embedding_back(dimension: int, parts: int, seed: int) -> None:
    task = world(seed, dimension, parts)
    problem = planted_problem(task)
    assert flat(problem) == (dimension == 2)
    landscape = survey(problem, SMALL.resolution) if flat(problem) else None
    level = level_of(problem, landscape, SMALL, Pieces())
    match = match_embeddings(task.agent(), problem.data.judged, task.own.points, level.embeddings[0], symmetries_of(task))
    assert match.verdict in RIGHT
    assert match.residual_edges < 1e-3
    assert level.tail.astray == 0


@given(seed=st.integers(0, 2**16), states=st.integers(1, 9), actions=st.integers(1, 3))
def test_a_forest_reaches_every_state_once(seed: int, states: int, actions: int) -> None:
    rng = np.random.default_rng(seed)
    seen = rng.integers(-1, states, (states, actions))
    ended = (rng.random(seen.shape) < 0.2) & (seen != NOWHERE)
    moves = Moves(np.where(ended, NOWHERE, seen), np.where(seen == NOWHERE, 0, 1 + ended), seen)
    forest = forest_of(moves, int(rng.integers(states)) if rng.random() < 0.5 else None)
    placed = set(forest.roots)
    for before, action, after in forest.steps:
        assert before in placed
        assert after not in placed
        assert moves.seen[before, action] == after
        assert forest.tree[before] == forest.tree[after]
        placed.add(after)
    assert placed == set(range(states))
    for number in range(len(forest.roots)):
        one, names = forest.only(number)
        assert [names[one.roots[0]], len(one.steps)] == [forest.roots[number], len(names) - 1]


def test_the_gradient_reaches_the_root() -> None:
    task = world(0, 3)
    problem = planted_problem(task)
    places = torch.zeros(2, 3, requires_grad=True)
    embedding = unroll(task.agent(), problem.failed, problem.forest, places)
    (gradient,) = torch.autograd.grad(embedding[:, problem.forest.roots[0]].sum(), [places])
    assert torch.equal(gradient, torch.ones(2, 3))
