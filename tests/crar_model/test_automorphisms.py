"""Symmetries of tables of moves against all permutations tried, and against networkx; what they do to losses and verdicts."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from networkx.algorithms.isomorphism import DiGraphMatcher

from crar_model.agent.loss import TERMS, Loss
from crar_model.agent.networks import DenseAgent
from crar_model.agent.symmetry import MATCHED, NEITHER, SWAPPED, SYMMETRIC, match_embeddings, nearest_permutation, signed_permutations
from crar_model.core.settings import LossSettings
from crar_model.mazes import automorphisms
from crar_model.mazes.automorphisms import NOWHERE, Ints, Moves, Symmetries
from crar_model.tasks import TASKS
from crar_model.tasks.metrics import outcome_metrics
from crar_model.tasks.symmetries import moves_of, symmetries_of
from tests.planted import PlantedTask, table_batch


def drawn(seed: int, states: int, actions: int, kind: str) -> Moves:
    """A small random table: of any moves, of moves that exchange states (many symmetries), with gaps, or with rewards."""
    rng = np.random.default_rng(seed)
    seen = np.column_stack([rng.permutation(states) if kind == "exchange" else rng.integers(0, states, states) for _ in range(actions)])
    taken = rng.random(seen.shape) < (0.7 if kind == "gaps" else 1.0)
    paid = rng.integers(0, 2 if kind == "rewards" else 1, seen.shape)
    return Moves(np.where(taken, seen, NOWHERE), np.where(taken, 1 + paid, 0), np.where(taken, seen, NOWHERE))


def commutes(moves: Moves, p: Ints) -> bool:
    """Whether a permutation is a symmetry, by the definition."""
    moved = np.where(moves.successor == NOWHERE, NOWHERE, p[moves.successor])
    return bool((moves.successor[p] == moved).all() and (moves.kind[p] == moves.kind).all())


tables = st.tuples(st.integers(0, 2**16), st.integers(1, 6), st.integers(1, 2), st.sampled_from(("any", "exchange", "gaps", "rewards")))


@given(tables)
def test_symmetries_are_those_of_all_permutations(table: tuple[int, int, int, str]) -> None:
    moves = drawn(*table)
    every = [
        p
        for p in map(np.array, itertools.permutations(range(table[1])))
        if commutes(moves, p) and (p == np.arange(len(p)))[moves.silent].all()
    ]
    found = Symmetries(moves)
    assert found.whole
    assert found.order == len(every)
    cost = np.random.default_rng(table[0]).random((table[1], table[1]))
    best, least = found.nearest(cost)
    assert any((best == p).all() for p in every)
    assert least == pytest.approx(min(cost[np.arange(table[1]), p].sum() for p in every))


@given(tables)
def test_networkx_counts_as_many(table: tuple[int, int, int, str]) -> None:
    moves = drawn(*table)
    graph = nx.DiGraph()
    for state in range(table[1]):
        # Its moves that end or were never taken, and a state that nothing speaks of by itself.
        graph.add_node(
            state, kind=(tuple(moves.kind[state].tolist()), tuple(moves.successor[state] == NOWHERE), moves.silent[state] and state)
        )
    for state, action in zip(*np.nonzero(moves.successor != NOWHERE), strict=True):
        to = int(moves.successor[state, action])
        named = graph.get_edge_data(int(state), to, {"actions": ()})["actions"]
        graph.add_edge(int(state), to, actions=(*named, int(action)))
    same: Any = DiGraphMatcher(
        graph, graph, node_match=lambda a, b: a["kind"] == b["kind"], edge_match=lambda a, b: a["actions"] == b["actions"]
    )
    assert Symmetries(moves).order == sum(1 for _ in same.isomorphisms_iter())


def test_parts_that_are_alike_may_be_exchanged() -> None:
    """Three rings of 4 states: each turns by itself, and they may change places."""
    ring = np.roll(np.arange(4), -1)
    successor = np.concatenate([ring + 4 * k for k in range(3)])[:, None]
    found = Symmetries(Moves(successor, np.ones_like(successor), successor))
    assert found.order == 4**3 * 6
    wanted = np.concatenate(([9, 10, 11, 8], [0, 1, 2, 3], [6, 7, 4, 5]))
    best, least = found.nearest(1.0 - np.eye(12)[wanted])
    assert best.tolist() == wanted.tolist()
    assert least == 0


def test_too_many_ways_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(automorphisms, "MOST", 5)
    star = np.array([[0], [0], [0], [0], [0]])  # four states that lead to one: 24 symmetries
    found = Symmetries(Moves(star, np.ones_like(star), star))
    assert (found.order, found.whole) == (5, False)


def test_an_end_leads_nowhere_and_one_move_has_one_outcome() -> None:
    state, action, following = np.array([0, 1]), np.array([0, 0]), np.array([1, 0])
    moves = Moves.of(state, action, following, [0.0, 1.0], [0.0, 1.0], (2, 1))
    assert moves is not None
    assert (moves.successor.tolist(), moves.seen.tolist()) == ([[1], [NOWHERE]], [[1], [0]])
    assert Moves.of(np.array([0, 0]), np.array([0, 0]), following, [0, 0], [0, 0], (2, 1)) is None
    assert Moves.of(np.array([0, 0]), np.array([0, 0]), np.array([1, 1]), [0, 1], [0, 0], (2, 1)) is None


def square() -> tuple[Ints, torch.Tensor]:
    """Four corners, actions "next corner" and "stay"; the plane's quarter turn is its symmetry."""
    successor = np.column_stack((np.roll(np.arange(4), -1), np.arange(4)))
    return successor, torch.tensor([[1.0, 0.2], [-0.2, 1.0], [-1.0, -0.2], [0.2, -1.0]])


@given(seed=st.integers(0, 2**16))
def test_all_losses_are_blind_to_a_symmetry(seed: int) -> None:
    """Whatever the networks: the terms of e p are those of e, for the transitions are renamed and their mean is over all."""
    successor, _ = square()
    agent = DenseAgent(2, (2,), (4, 5, 2), (4, 5, 2), (4, 5, 1), (2, 5, 2))
    params = {name: value.double() for name, value in agent.init(np.random.default_rng(seed)).items()}
    batch = table_batch(successor, np.zeros((4, 2)), np.zeros((4, 2)), 4).to("cpu", torch.float64)
    renamed = dataclasses.replace(batch, observations=batch.observations[[1, 2, 3, 0]])  # an encoder that takes each corner for the next
    here, there = (Loss(agent, LossSettings())(params, each) for each in (batch, renamed))
    for name in TERMS:
        if name != "interpret":
            assert float(here[name]) == pytest.approx(float(there[name]), abs=1e-12), name


@pytest.mark.parametrize(
    ("move", "verdict"),
    [
        (lambda x: x, MATCHED),
        (lambda x: x[torch.tensor([2, 3, 0, 1])], SYMMETRIC),
        (lambda x: x * torch.tensor([1.0, -1.0]), SWAPPED),  # the mirror image runs the corners backwards: actions keep their names
        (lambda x: torch.tensor([[5.0, 5.0], [-5.0, 5.0], [5.0, 4.0], [5.0, -5.0]]), NEITHER),
        (lambda x: x * torch.nan, NEITHER),
    ],
)
def test_verdicts_in_a_symmetric_world(move: Any, verdict: str) -> None:
    successor, points = square()
    task = PlantedTask(successor, points)
    symmetries = symmetries_of(task)
    assert symmetries is not None
    assert symmetries.order == 4
    batch = task.batch(inverse=False, dtype=torch.float64)
    match = match_embeddings(task.agent(), batch, points, move(points), symmetries)
    assert match.verdict == verdict
    assert match.symmetries == 4
    assert (match.renamed == [2, 3, 0, 1]) == (verdict == SYMMETRIC)
    assert {"symmetries", "symmetry_edges", "renamed"} <= set(match.plain())
    assert "symmetries" not in match_embeddings(task.agent(), batch, points, move(points)).plain()


def test_a_reward_breaks_a_symmetry() -> None:
    successor, points = square()
    assert symmetries_of(PlantedTask(successor, points, np.array([[1.0, 0], [0, 0], [0, 0], [0, 0]]))) is None


def test_the_two_mazes_have_no_symmetry() -> None:
    """So their verdicts are what they were."""
    assert [symmetries_of(task) for task in (TASKS["simple"], TASKS["random"])] == [None, None]
    assert moves_of(TASKS["simple"].batch(inverse=False, dtype=torch.float64), 4) is not None


@given(seed=st.integers(0, 2**16), channels=st.integers(1, 4))
def test_the_assignment_is_the_best_signed_permutation(seed: int, channels: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = (torch.from_numpy(rng.standard_normal((7, channels))) for _ in range(2))
    tried = min(float((y - x @ p.T).square().sum()) for p in signed_permutations(channels))
    assert float((y - x @ nearest_permutation(y.T @ x).T).square().sum()) == pytest.approx(tried)


def test_outcomes_are_rewards_and_ends() -> None:
    successor, points = square()
    paid = np.array([[1.0, 0], [0, 0], [0, 0], [0, 0]])
    task = PlantedTask(successor, points, paid)
    batch = task.batch(inverse=False, dtype=torch.float64)
    params = task.agent().init(np.random.default_rng(0))
    params |= {"encoder.0.weight": points.T.contiguous(), "encoder.0.bias": torch.zeros(2)}
    params = {name: value.double() for name, value in params.items()}
    right = {"outcome_accuracy": 1.0}
    assert outcome_metrics(task.agent(), params, batch, 0.9) == right
    turned = params | {"encoder.0.weight": params["encoder.0.weight"][:, [1, 2, 3, 0]]}
    assert outcome_metrics(task.agent(), turned, batch, 0.9) == {"outcome_accuracy": 0.75}  # moves are as right as before, rewards are not
    assert outcome_metrics(task.agent(), params, table_batch(successor, 0 * paid, 0 * paid, 4).to("cpu", torch.float64), 0.9) == {}
