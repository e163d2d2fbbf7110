"""The level that frozen dynamics allow: the lowest placements refined as free embeddings, and the encoders that are fitted to these."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from crar_model.core.kept import Pieces
from crar_model.core.params import DYNAMICS, select
from crar_model.core.settings import CureSettings
from crar_model.core.streams import Stream
from crar_model.cures.descent import Descent, Tick, agent_updates, denormals_as_zero, descend
from crar_model.cures.methods import MISPLACED, REFINE, REPLACE, scaled
from crar_model.cures.placement import REACH, Landscape, flat, survey, why_not
from crar_model.cures.places import grown, grown_updates
from crar_model.cures.problem import Problem, Tail
from crar_model.cures.rolling import forest_of, other_roots, unroll
from crar_model.cures.starts import Starts
from crar_model.mazes.automorphisms import NOWHERE

DISTINCT = 0.25
"""Start states this far apart are two places, not one."""
ATTEMPTS = 6
"""Times that single states are put elsewhere, at most."""
GAIN = 0.005
"""Share of the lowest total that an attempt has to gain for another."""
KEPT = 8
"""Embeddings of a level."""
ROOTS, SURE, AGREED = 5, 0.01, 0.02
"""Embeddings grow from so many roots at most, until one leaves at most this share of the transitions astray, or two come to one total within this share of it:
then it is the dynamics that are not better."""
AGAIN = 0.05
"""Share of transitions predicted nearer another state than the one reached, above which a level is looked for once more: by rolling the
dynamics from every state. Well-trained dynamics leave less than half of it; where several states lie wrong together, moving one does not help."""
MOST = 256
"""Moves of an embedding whose state is put elsewhere, and states that are rolled from, at most (`Problem.at_once`): a world of thousands of moves has as many of
both, and the work would grow with their square."""


@dataclass(frozen=True)
class Level:
    """The best that free embeddings reach under the frozen dynamics: the level that these allow.

    Attributes:
        embeddings: (m, rows, d), lowest total first.
        totals: (m,) of each.
        tail: of the lowest.
        updates: that all of them took together.
    """

    embeddings: Tensor
    totals: Tensor
    tail: Tail
    updates: int


@dataclass(frozen=True)
class Ground:
    """What the frozen dynamics say of their maze before any encoder is looked at; the same for all transfers of a base.

    Attributes:
        landscape: of the start state's place in a plane. level: of the placements; None where the world has none.
        seconds: that these took.
    """

    landscape: Landscape | None
    level: Level | None
    seconds: float


def ground_of(problem: Problem, settings: CureSettings, store: Pieces | None = None, tick: Tick = lambda _: None) -> Ground:
    """The placement landscape and the level of a problem."""
    if why_not(problem.task) is not None:
        return Ground(None, None, 0.0)
    began = time.monotonic()
    with denormals_as_zero():
        landscape = survey(problem, settings.resolution) if flat(problem) else None
        level = level_of(problem, landscape, settings, store or Pieces(), tick)
    return Ground(landscape, level, time.monotonic() - began)


def level_of(problem: Problem, landscape: Landscape | None, settings: CureSettings, store: Pieces, tick: Tick = lambda _: None) -> Level:
    """Refine the lowest places, and those of the valleys, as free embeddings; then put single states of the lowest elsewhere, while that helps.

    Rolling imprecise dynamics along a tree can put a state on the wrong side of others, and a descent leaves it there.
    """
    if landscape is None:
        embeddings, totals, updates = grown_level(problem, settings, store, tick)
    else:
        start = lowest_of(problem, landscape)
        done: Descent = descend(problem, "level", {"embedding": start}, scaled(REFINE, settings.effort, len(start)), store=store, tick=tick)
        embeddings, totals, updates = done.free["embedding"], done.terms["total"], done.updates
    for attempt in range(ATTEMPTS):
        start = torch.cat([replaced(problem, embeddings[which]) for which in distinct(problem, embeddings)])
        rounds = scaled(REPLACE, settings.effort, len(start))
        done = descend(problem, f"level-{attempt}", {"embedding": start}, rounds, store=store, tick=tick)
        updates += done.updates
        gained = float(done.terms["total"][0]) < (1 - GAIN) * float(totals[0])
        totals = torch.cat((totals, done.terms["total"]))
        order = totals.argsort(stable=True)[:KEPT]
        embeddings, totals = torch.cat((embeddings, done.free["embedding"]))[order], totals[order]
        if not gained:
            break
    embeddings, totals, more = looked_again(problem, embeddings, totals, settings, store, tick)
    return Level(embeddings, totals, problem.tail(embeddings[0]), updates + more)


def grown_level(problem: Problem, settings: CureSettings, store: Pieces, tick: Tick) -> tuple[Tensor, Tensor, int]:
    """Embeddings (m, rows, d) that grew and were refined, their totals (m,), lowest first, and the updates: from one root, and from others while the lowest
    leaves more than `SURE` of the transitions astray and no two roots come to one total."""
    first = problem.forest.roots[0]
    embeddings, totals, taken = torch.empty(0), torch.empty(0), 0
    ends: list[float] = []
    for root in (first, *other_roots(problem.moves, first, ROOTS - 1)):
        start, updates = grown(problem, forest_of(problem.moves, root), settings, problem.at_once(REFINE[0].kept), store, tick)
        rounds = scaled(REFINE, settings.effort, len(start))
        done = descend(problem, f"level-from-{root}", {"embedding": start}, rounds, store=store, tick=tick)
        ends.append(float(done.terms["total"][0]))
        totals = torch.cat((totals, done.terms["total"]))
        order = totals.argsort(stable=True)[:KEPT]
        embeddings, totals, taken = torch.cat((embeddings, done.free["embedding"]))[order], totals[order], taken + updates + done.updates
        if (problem.tail(embeddings[0]).astray or 0.0) <= SURE or agreed(ends):
            break
    return embeddings, totals, taken


def agreed(ends: Sequence[float]) -> bool:
    """Whether the two lowest totals, each of another root, are one within `AGREED`."""
    low = sorted(ends)[:2]
    return len(low) == 2 and low[1] <= (1 + AGREED) * low[0]


def level_updates(problem: Problem, settings: CureSettings) -> int:
    """Updates that a level takes where all goes well: one root, one attempt."""
    kept = [(rounds, problem.at_once(rounds[0].kept)) for rounds in (REFINE, REPLACE)]
    own = sum(agent_updates(scaled(rounds, settings.effort, count), count) for rounds, count in kept)
    return own if flat(problem) else own + grown_updates(problem, problem.forest, settings, problem.at_once(REFINE[0].kept))


def lowest_of(problem: Problem, landscape: Landscape) -> Tensor:
    """Embeddings (m, rows, 2) that roll from the valleys and the lowest places of a landscape."""
    count = REFINE[0].kept
    lowest = landscape.total.flatten().argsort(stable=True)[:count]
    grid = torch.cartesian_prod(landscape.axis, landscape.axis)
    valleys = torch.tensor([valley.place for valley in landscape.valleys[: count // 4]])
    return rolled(problem, torch.cat((valleys, grid[lowest]))[:count])


def rolled(problem: Problem, places: Tensor) -> Tensor:
    """Embeddings (m, rows, d) that roll from places of the roots."""
    with torch.no_grad():
        return unroll(problem.agent, select(problem.failed, DYNAMICS), problem.forest, places)


def looked_again(
    problem: Problem, embeddings: Tensor, totals: Tensor, settings: CureSettings, store: Pieces, tick: Tick = lambda _: None
) -> tuple[Tensor, Tensor, int]:
    """Where the lowest embedding leaves more than `AGAIN` of the transitions astray: refine what rolls from each of its states, or some drawn of them, along
    another tree from each.

    Args:
        problem: gives dynamics and losses.
        embeddings, totals: (m, rows, d) and (m,), lowest first.
        settings, store, tick: as in :func:`level_of`.

    Returns:
        embeddings, totals, and the updates that it took, 0 where there was no need.
    """
    if (problem.tail(embeddings[0]).astray or 0.0) <= AGAIN:
        return embeddings, totals, 0
    dynamics, count = select(problem.failed, DYNAMICS), len(problem.moves.successor)
    most = problem.at_once(MOST)
    states = range(count) if count <= most else np.random.default_rng(count).permutation(count)[:most].tolist()
    forests = [forest_of(problem.moves, root) for root in states]
    with torch.no_grad():
        start = torch.cat([unroll(problem.agent, dynamics, each, embeddings[:1, list(each.roots)]) for each in forests])
    done = descend(problem, "level-rolled", {"embedding": start}, scaled(REPLACE, settings.effort, len(start)), store=store, tick=tick)
    totals = torch.cat((totals, done.terms["total"]))
    order = totals.argsort(stable=True)[:KEPT]
    return torch.cat((embeddings, done.free["embedding"]))[order], totals[order], done.updates


def distinct(problem: Problem, embeddings: Tensor) -> list[int]:
    """Numbers of the lowest embedding, and the next whose first root lies elsewhere."""
    at = embeddings[:, problem.forest.roots[0]]
    apart = torch.linalg.vector_norm(at - at[0], dim=-1) > DISTINCT * problem.loss.settings.ball_radius
    return [0, *apart.nonzero().flatten().tolist()[:1]]


def replaced(problem: Problem, embedding: Tensor) -> Tensor:
    """(m, rows, d) copies of an embedding, one a move that leads to another state: that state put where T has it from the state before. Of more moves than
    can be tried, those whose state lies farthest from there."""
    states, actions = problem.moves.successor.shape
    with torch.no_grad():
        every = torch.arange(actions).repeat(states)
        before = embedding.repeat_interleave(actions, dim=0)
        predicted = problem.agent.transition(select(problem.failed, DYNAMICS), before, every)
    to = torch.from_numpy(problem.moves.successor).flatten()
    moves = ((to != torch.arange(states).repeat_interleave(actions)) & (to != NOWHERE)).nonzero().flatten()
    if len(moves) > (most := problem.at_once(MOST)):
        off = torch.linalg.vector_norm(predicted[moves] - embedding[to[moves]], dim=-1)
        moves = moves[off.argsort(descending=True, stable=True)[:most].sort().values]
    copies = embedding.expand(len(moves), *embedding.shape).clone()
    copies[torch.arange(len(moves)), to[moves]] = predicted[moves]
    return copies


def away_from(problem: Problem, level: Level, settings: CureSettings, store: Pieces, tick: Tick = lambda _: None) -> tuple[Tensor, int]:
    """Embeddings for a control: as many places of the roots as are fitted to, drawn at random away from these, and what follows from them refined as the
    level is.

    Returns:
        (m, rows, d) embeddings, and the updates that refining them took.
    """
    radius, roots = problem.loss.settings.ball_radius, list(problem.forest.roots)
    rng, taken = np.random.default_rng([settings.seed, Stream.WEIGHTS]), level.embeddings[distinct(problem, level.embeddings)][:, roots]
    places: list[Tensor] = []
    while len(places) < len(taken):
        place = torch.from_numpy(rng.uniform(-REACH * radius, REACH * radius, taken.shape[1:])).to(taken.dtype)
        if bool((torch.linalg.vector_norm(taken - place, dim=-1) > DISTINCT * radius).all()):
            places.append(place)
    start = rolled(problem, torch.stack(places))
    done = descend(problem, "elsewhere", {"embedding": start}, scaled(MISPLACED, settings.effort, len(places)), store=store, tick=tick)
    return done.free["embedding"], done.updates


def targets_of(problem: Problem, embeddings: Tensor, chosen: Sequence[int], seed: int, root: tuple[int, str]) -> tuple[Starts, Tensor]:
    """Encoders to fit to embeddings: the failed one and a new one, to each of those chosen.

    Args:
        problem: gives the failed encoder.
        embeddings: (n, rows, d).
        chosen: numbers of those to fit to.
        seed: of the new encoder.
        root: the row whose place names an embedding, and what it is called.

    Returns:
        the encoders (m, ...), and the embedding that each is fitted to, (m, rows, d).
    """
    fresh = select(problem.agent.init(np.random.default_rng([seed, Stream.WEIGHTS])), ("encoder",))
    labels, encoders, targets = [], [], []
    for which in chosen:
        for name, encoder in (("failed", select(problem.failed, ("encoder",))), ("new", fresh)):
            place = ", ".join(f"{x:.2f}" for x in embeddings[which, root[0]].tolist())
            labels.append(f"{root[1]} at ({place}), {name} encoder")
            encoders.append(encoder)
            targets.append(embeddings[which])
    free = {name: torch.stack([encoder[name] for encoder in encoders]) for name in encoders[0]}
    return Starts(tuple(labels), free, {}), torch.stack(targets)
