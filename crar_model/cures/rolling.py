"""Embeddings that frozen dynamics give by themselves: from the place of one state, T along a spanning tree of the moves places the others.

A right embedding is e(s') = T(e(s), a) along every move, so it is settled by the places of the roots: one where all states can be reached from one. Rolling
gives an embedding for every place of the root, and it has no transition error on the tree. What the tree leaves out tells a right place from a wrong one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from crar_model.agent.agent import Agent
from crar_model.core.params import Params
from crar_model.mazes.automorphisms import NOWHERE, Ints, Moves


@dataclass(frozen=True)
class Forest:
    """Spanning trees of a table of moves, breadth first.

    Attributes:
        roots: a state each tree; a state is in the first tree that reaches it.
        steps: (state before, action, state after) in the order of rolling.
        tree: (N,) number of each state's tree.
    """

    roots: tuple[int, ...]
    steps: tuple[tuple[int, int, int], ...]
    tree: Ints

    def only(self, number: int) -> tuple[Forest, Ints]:
        """One tree by itself, and its states, whose places in that array are their names in it."""
        states = np.flatnonzero(self.tree == number)
        name = {int(state): place for place, state in enumerate(states)}
        steps = tuple((name[s], a, name[t]) for s, a, t in self.steps if t in name)
        return Forest((name[self.roots[number]],), steps, np.zeros(len(states), np.int64)), states


def forest_of(moves: Moves, root: int | None = None) -> Forest:
    """Trees that reach every state: from `root` first, then from the most central state of each source. Moves that end an episode, behind which the
    dynamics say nothing, are taken last, to have some place for what only they lead to.

    Args:
        moves: the table.
        root: of the first tree; the most central state of the largest source where it is None.
    """
    tree = np.full(len(moves.successor), -1)
    roots: list[int] = []
    steps: list[tuple[int, int, int]] = []

    def grow(queue: list[int], successor: Ints) -> None:
        for state in queue:
            for action, following in enumerate(successor[state].tolist()):
                if following != NOWHERE and tree[following] < 0:
                    tree[following] = tree[state]
                    steps.append((state, action, following))
                    queue.append(following)

    def plant(state: int) -> None:
        if tree[state] < 0:
            tree[state] = len(roots)
            roots.append(state)
            grow([state], moves.successor)

    if root is not None:
        plant(root)
    for state in central(moves):
        plant(state)
    grow(np.flatnonzero(tree >= 0).tolist(), moves.seen)
    for state in np.flatnonzero(tree < 0).tolist():
        plant(state)
    return Forest(tuple(roots), tuple(steps), tree)


def central(moves: Moves) -> Iterator[int]:
    """Of each source that moves lead out of, the largest first, the state from which the farthest state is nearest."""
    from scipy.sparse.csgraph import dijkstra  # not at the top, as in `SimpleMaze.rooms`

    graph, strong = moves.graph, moves.strong
    sources = [np.flatnonzero(strong == strong[root]) for _, roots in moves.parts for root in roots if not moves.silent[root]]
    for inside in sorted(sources, key=lambda each: -len(each)):
        far = dijkstra(graph, unweighted=True, indices=inside)
        farthest = np.where(np.isfinite(far), far, 0).max(1)
        yield int(inside[farthest.argmin()])


def other_roots(moves: Moves, root: int, count: int) -> list[int]:
    """States that reach all that a root reaches, drawn at random: those that it can be reached from, and it from them."""
    alike = np.flatnonzero((moves.strong == moves.strong[root]) & (np.arange(len(moves.successor)) != root))
    return [int(state) for state in np.random.default_rng(root).permutation(alike)[:count]]


def unroll(agent: Agent, params: Params, forest: Forest, places: Tensor) -> Tensor:
    """Embeddings that follow from places of the roots; the gradient reaches the places.

    Args:
        agent, params: T, of one model.
        forest: how to roll.
        places: (m, d) of the only root, or (m, roots, d).

    Returns:
        (m, states, d).
    """
    places = places if places.dim() == 3 else places[:, None]
    found: list[Tensor | None] = [None] * len(forest.tree)
    for number, root in enumerate(forest.roots):
        found[root] = places[:, number]
    for before, action, after in forest.steps:
        here = found[before]
        assert here is not None
        found[after] = agent.transition(params, here, torch.full((len(places),), action))
    return torch.stack([x for x in found if x is not None], dim=1)
