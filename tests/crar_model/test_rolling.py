"""Rolling exact dynamics recovers a planted embedding in any dimension, up to symmetries of its world, and knows nothing of the observations."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crar_model.agent.symmetry import RIGHT, match_embeddings
from crar_model.core.kept import Pieces
from crar_model.core.settings import CureSettings
from crar_model.cures.copies import MOST, exchanges, heights, tried_permutations
from crar_model.cures.level import level_of
from crar_model.cures.placement import flat, survey
from crar_model.cures.places import rings_of, within
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


def test_rings_reach_every_state_and_come_from_the_one_before() -> None:
    problem = planted_problem(world(3, 3))
    placed = {problem.forest.roots[0]}
    for ring in rings_of(problem, problem.forest, 0):
        assert set(ring.before.tolist()) <= placed
        assert not placed & set(ring.after.tolist())
        assert (problem.moves.successor[ring.before, ring.action] == ring.after).all()
        placed |= set(ring.after.tolist())
        assert set(ring.placed.tolist()) == placed
    assert len(placed) == 7


def test_part_of_a_world_has_the_transitions_inside_it() -> None:
    problem = planted_problem(world(3, 3))
    whole, states = problem.data.judged, np.array([1, 4, 5])
    part = within(problem, states).data.judged
    inside = [(s, a, t) for s in range(7) for a in range(2) if (t := int(problem.moves.successor[s, a])) in states and s in states]
    found = zip(states[part.state].tolist(), part.action.tolist(), states[part.next_state].tolist(), strict=True)
    assert sorted(found) == sorted(inside)
    assert part.pairs is not None
    assert part.pairs.shape == (2, 3)
    assert torch.equal(part.observations, whole.observations[states])


@pytest.mark.parametrize("dimension", [3, 4, 5])
def test_a_signed_permutation_of_the_axes_is_found(dimension: int) -> None:
    """All of 3 axes, the lowest of all of 4, by descent of 5: the copy that undoes it has no transition error."""
    task = world(1, dimension)
    rng = np.random.default_rng(5)
    axes = torch.diag(torch.from_numpy(rng.choice((-1.0, 1.0), dimension)).float())[torch.from_numpy(rng.permutation(dimension))]
    problem = planted_problem(task)
    turned = dataclasses.replace(problem, failed=problem.failed | {"encoder.0.weight": (task.own.points @ axes.T).T.contiguous()})
    moves = tried_permutations(turned, 0)
    assert torch.equal(moves[0], torch.eye(dimension))
    assert len(moves) <= MOST
    assert len({move.numpy().tobytes() for move in moves}) == len(moves)
    assert float((moves.abs().sum(-1) - 1).abs().max()) == 0
    assert float(heights(turned, moves).min()) == pytest.approx(0, abs=1e-9)
    assert any(torch.equal(move, axes.T) for move in moves)


def test_every_signed_permutation_is_a_product_of_exchanges() -> None:
    steps, reached = exchanges(3), {torch.eye(3).numpy().tobytes()}
    queue = [torch.eye(3)]
    for here in queue:
        for near in steps @ here + 0.0:  # -0.0 is 0.0
            if (name := near.numpy().tobytes()) not in reached:
                reached.add(name)
                queue.append(near)
    assert len(reached) == 48
