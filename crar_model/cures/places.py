"""Where do the states lie? Growing embeddings from a root in an abstract space of any dimension, where no grid can be looked at.

Errors of learned dynamics add up along a tree: where moves are as long as the space, what rolls from the right place may end anywhere. So only the states
next to the root are rolled from the places drawn for it. Then, ring by ring, those that grew well descend as free embeddings of what is placed so far, and the
next ring is put where T has it from all of its neighbours in the mean. No observation is needed, only the table of moves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crar_model.agent.batch import Batch
from crar_model.core.errors import UserError
from crar_model.core.kept import Pieces
from crar_model.core.params import DYNAMICS, select
from crar_model.core.settings import CureSettings
from crar_model.cures.descent import Tick, descend
from crar_model.cures.methods import GROWN, Round, scaled
from crar_model.cures.placement import CHUNK, REACH
from crar_model.cures.problem import OwnData, Problem
from crar_model.cures.rolling import Forest
from crar_model.mazes.automorphisms import NOWHERE, Ints

DRAWN = 13
"""2 to this power places of a root are drawn, from one scrambled Sobol sequence: it fills a space of any dimension evenly."""
NEXT = 2
"""Rings around the root that are rolled before the first choice."""
FEW, WIDER = 256, 1.15
"""Beyond so many states placed, all of them descend only once there are so many times as many as at the last descent: in a world of thousands of moves a ring
adds few states, and every descent moves all."""
ALIKE = 0.05
"""Embeddings that differ by less in every number are one; in radii of the ball that `ball` leaves free."""


@dataclass(frozen=True)
class Ring:
    """States at the same number of moves from the root.

    Attributes:
        placed: all states up to here, in their order.
        before, action, after: moves that lead from what was placed before to the states of this ring.
    """

    placed: Ints
    before: Ints
    action: Ints
    after: Ints


def rings_of(problem: Problem, forest: Forest, number: int) -> tuple[Ring, ...]:
    """The rings of one tree of a forest around its root, nearest first; an end is a way only to what nothing else leads to."""
    successor = problem.moves.successor
    depth = np.full(len(forest.tree), -1)
    depth[forest.roots[number]] = 0
    by_tree = np.full(len(depth), NOWHERE)
    for step, (one, _, other) in enumerate(forest.steps):
        if forest.tree[other] == number:
            depth[other], by_tree[other] = depth[one] + 1, step
    grid: Any = np.indices(successor.shape)
    states, actions = grid
    known = (successor != NOWHERE) & (depth[states] >= 0) & (depth[successor] == depth[states] + 1)
    before, action, after = states[known], actions[known], successor[known]
    left = np.setdiff1d(np.flatnonzero(depth > 0), after)  # behind an end alone
    more = np.array([forest.steps[by_tree[state]] for state in left], np.int64).reshape(-1, 3)
    before, action, after = (np.concatenate(pair) for pair in zip((before, action, after), more.T, strict=True))
    rings = []
    for ring in range(1, int(depth.max()) + 1):
        here = depth[after] == ring
        rings.append(Ring(np.flatnonzero((depth >= 0) & (depth <= ring)), before[here], action[here], after[here]))
    return tuple(rings)


def stops_of(rings: Sequence[Ring]) -> tuple[int, ...]:
    """Numbers of the rings, from 1, after which all that is placed descends; the last is one of them."""
    stops: list[int] = []
    before = 0
    for k, ring in enumerate(rings, start=1):
        placed = len(ring.placed)
        if k == len(rings) or (k >= NEXT and (placed <= FEW or placed >= WIDER * before)):
            stops.append(k)
            before = placed
    return tuple(stops)


def kept_at(k: int, rings: Sequence[Ring], this: Round, count: int) -> int:
    """Candidates that descend after ring `k`: ever fewer, `count` after the last."""
    share = max(0, k - NEXT) / max(1, len(rings) - NEXT)
    return max(count, round(this.kept * math.pow(count / this.kept, share)))


def grown_updates(problem: Problem, forest: Forest, settings: CureSettings, count: int) -> int:
    """Updates of all candidates that grow from the roots, at most."""
    (this,) = scaled(GROWN, settings.effort, GROWN[0].kept)
    trees = [rings_of(problem, forest, number) for number in range(len(forest.roots))]
    return sum(this.updates * kept_at(k, rings, this, count) for rings in trees for k in stops_of(rings))


def grown(
    problem: Problem, forest: Forest, settings: CureSettings, count: int, store: Pieces, tick: Tick = lambda _: None
) -> tuple[Tensor, int]:
    """Embeddings that grow from the roots. Each tree grows by itself; the k-th best of one is put beside the k-th best of the others.

    Args:
        problem: of a world whose table of moves is known.
        forest: gives the roots.
        settings: `effort` of the descents.
        count: embeddings wanted.
        store: keeps unfinished work.
        tick: called with the updates taken.

    Returns:
        (count, states, d), and the updates of all candidates together.

    Raises:
        UserError: when the dynamics give no finite loss anywhere.
    """
    found = torch.zeros(count, len(forest.tree), problem.agent.abstract_size)
    taken = 0
    for number in range(len(forest.roots)):
        states, values, updates = _grown(problem, forest, number, count, settings, store, tick)
        found[:, states] = values[torch.arange(count) % len(values)]
        taken += updates
    return found, taken


def _grown(
    problem: Problem, forest: Forest, number: int, count: int, settings: CureSettings, store: Pieces, tick: Tick
) -> tuple[Ints, Tensor, int]:
    """The states of one tree, embeddings (m, states of the tree, d) with the lowest first, and the updates that they took."""
    root, radius, size = forest.roots[number], problem.loss.settings.ball_radius, problem.agent.abstract_size
    engine: Any = torch.quasirandom.SobolEngine
    drawn = engine(size, scramble=True, seed=DRAWN).draw_base2(DRAWN)
    x = torch.zeros(len(drawn), len(forest.tree), size)
    x[:, root] = REACH * radius * (2 * drawn - 1)
    rings, taken, placed = rings_of(problem, forest, number), 0, np.array([root])
    stops = stops_of(rings)
    (this,) = scaled(GROWN, settings.effort, GROWN[0].kept)
    for k, ring in enumerate(rings, start=1):
        _place(problem, x, ring)
        placed = ring.placed
        if k not in stops:
            continue
        inside = within(problem, placed)
        if len(inside.data.judged.state) == 0:
            continue
        here = x[:, placed]
        kept = _best(inside, here, kept_at(k, rings, this, count), ALIKE * radius)
        name = f"grown-{root}-{k}"
        done = descend(inside, name, {"embedding": here[kept]}, (replace(this, kept=len(kept)),), store=store, tick=tick)
        taken += done.updates
        x = torch.zeros(len(kept), *x.shape[1:])
        x[:, placed] = done.free["embedding"]
    return placed, x[:count, placed], taken


def _place(problem: Problem, x: Tensor, ring: Ring) -> None:
    """Put the states of a ring where T has them, in the mean over the moves that lead there; x (m, states, d) changes."""
    after, names = np.unique(ring.after, return_inverse=True)
    with torch.no_grad():
        for piece in torch.split(x, CHUNK):
            action = torch.from_numpy(ring.action)
            reached = problem.agent.transition(select(problem.failed, DYNAMICS), piece[:, ring.before], action)
            total = torch.zeros(len(piece), len(after), x.shape[-1]).index_add_(1, torch.from_numpy(names), reached)
            piece[:, after] = total / torch.from_numpy(np.bincount(names)).to(x.dtype)[:, None]


def _best(problem: Problem, embeddings: Tensor, count: int, alike: float) -> Tensor:
    """Numbers of the lowest of embeddings (m, rows, d), those that are alike once.

    Raises:
        UserError: where none has a finite loss.
    """
    batch = problem.data.judged
    with torch.no_grad():
        totals = torch.cat([problem.rank(problem.terms(piece, batch)) for piece in torch.split(embeddings, CHUNK)])
    return best_of(totals, embeddings, count, alike)


def best_of(totals: Tensor, points: Tensor, count: int, alike: float) -> Tensor:
    """Numbers of the points (m, ...) with the lowest totals (m,), at most `count`; of those that differ by at most `alike` in every number one.

    Raises:
        UserError: where no total is finite.
    """
    if not bool(torch.isfinite(totals).any()):
        raise UserError("the dynamics give no finite loss wherever the states are placed; use another checkpoint")
    flat = points.flatten(1).numpy()
    kept: list[int] = []
    for number in totals.argsort(stable=True).tolist():
        if not kept or (np.abs(flat[kept] - flat[number]).max(1) > alike).all():
            kept.append(number)
        if len(kept) == count:
            break
    return torch.tensor(kept)


def within(problem: Problem, states: Ints) -> Problem:
    """The same problem on the transitions and pairs that stay within some of the states, which are named there by their place in `states`."""
    return replace(problem, data=OwnData.listed(inside_of(problem.data.judged, torch.from_numpy(states))))


def inside_of(batch: Batch, states: Tensor) -> Batch:
    """What of a complete evaluation set stays within some of its states."""
    assert batch.states is not None
    name = torch.full((batch.observations.shape[-4],), -1)
    name[batch.states[states]] = torch.arange(len(states))
    kept = (name[batch.state] >= 0) & (name[batch.next_state] >= 0)
    pairs = None if batch.pairs is None else name[batch.pairs][:, (name[batch.pairs] >= 0).all(0)]
    rows = {item: getattr(batch, item)[kept] for item in ("action", "reward", "terminated")}
    return replace(
        batch,
        observations=batch.observations[batch.states[states]],
        state=name[batch.state[kept]],
        next_state=name[batch.next_state[kept]],
        pairs=pairs,
        onehot=None if batch.onehot is None else batch.onehot[kept],
        states=torch.arange(len(states)),
        **rows,
    )
