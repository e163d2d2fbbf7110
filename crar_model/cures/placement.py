"""Where does the start state lie? In a maze whose moves are known, the frozen dynamics place all other states from there.

The loss over the places of the start state is the transfer's whole landscape in two dimensions: rolling T along a spanning tree of the maze
gives an embedding for every place, and what the tree leaves out tells whether the dynamics close its loops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from crar_model.agent.networks import Agent
from crar_model.core.errors import UserError
from crar_model.core.kept import Pieces
from crar_model.core.params import DYNAMICS, Params, select
from crar_model.core.settings import CureSettings
from crar_model.core.streams import Stream
from crar_model.cures.descent import Descent, Tick, descend
from crar_model.cures.methods import MISPLACED, REFINE, REPLACE, scaled
from crar_model.cures.problem import Problem, Tail
from crar_model.cures.starts import Starts
from crar_model.mazes.simple import SimpleMaze
from crar_model.tasks import Task

REACH = 1.2
"""The grid goes this far, in radii of the ball that `ball` leaves free."""
CHUNK = 512
"""Places whose losses are computed at once."""
PROMINENCE = 0.25
"""A valley is at least this deep, in units of its lowest loss: less is the roughness of the grid."""
DISTINCT = 0.25
"""Start states this far apart are two places, not one."""
ATTEMPTS = 6
"""Times that single states are put elsewhere, at most."""
GAIN = 0.005
"""Share of the lowest total that an attempt has to gain for another."""
KEPT = 8
"""Embeddings of a level."""
AGAIN = 0.05
"""Share of transitions predicted nearer another state than the one reached, above which a level is looked for once more: by rolling the
dynamics from every state. Well-trained dynamics leave less than half of it; where several states lie wrong together, moving one does not help."""


@dataclass(frozen=True)
class Valley:
    """A local minimum of the placement landscape, with the places around it up to the passes to lower ones.

    Attributes:
        place: of the start state, (2,).
        total: loss there.
        share: of all places.
    """

    place: tuple[float, float]
    total: float
    share: float


@dataclass(frozen=True)
class Landscape:
    """The total loss by the place of the start state.

    Attributes:
        axis: (n,) coordinates, the same for both axes.
        total, transition: (n, n) losses; the first index is the first coordinate. Infinite where they are not finite.
        valleys: lowest first.
        owner: (n, n) number of the valley that each place belongs to.
    """

    axis: Tensor
    total: Tensor
    transition: Tensor
    valleys: tuple[Valley, ...]
    owner: Tensor

    def valley_of(self, place: Tensor) -> int:
        """Number of the valley that a place (2,) lies in."""
        row, column = (int((self.axis - x).abs().argmin()) for x in place.tolist())
        return int(self.owner[row, column])


@dataclass(frozen=True)
class Level:
    """The best that free embeddings reach under the frozen dynamics: the level that these allow.

    Attributes:
        embeddings: (m, rows, 2), lowest total first.
        totals: (m,) of each.
        tail: of the lowest.
        updates: that all of them took together.
    """

    embeddings: Tensor
    totals: Tensor
    tail: Tail
    updates: int


def why_not(task: Task, agent: Agent) -> str | None:
    """Why states cannot be placed in a maze, or None where they can."""
    if task.maze is None:
        return f"the dynamics are rolled along moves that are always the same, and the {task.name} maze draws a new map every episode"
    if agent.abstract_size != 2:
        return f"the start state is placed in a plane, and the abstract state of the {task.name} maze has {agent.abstract_size} numbers"
    return None


def maze_of(problem: Problem) -> SimpleMaze:
    """The table of moves that placement rolls the dynamics along; of a maze that :func:`why_not` has nothing against."""
    assert problem.task.maze is not None
    return problem.task.maze


def unroll(agent: Agent, params: Params, maze: SimpleMaze, places: Tensor, root: int | None = None) -> Tensor:
    """Embeddings that follow from places of one state by T along a spanning tree, breadth first.

    Args:
        agent, params: T, of one model.
        maze: gives the moves.
        places: (m, 2) of that state.
        root: the state; the start state where it is None.

    Returns:
        (m, states, 2).
    """
    found: list[Tensor | None] = [None] * maze.n_states
    root = maze.start if root is None else root
    found[root] = places
    queue = [root]
    with torch.no_grad():
        for state in queue:
            here = found[state]
            assert here is not None
            for action, following in enumerate(maze.successor[state].tolist()):
                if found[following] is None:
                    found[following] = agent.transition(params, here, torch.full((len(places),), action))
                    queue.append(following)
    return torch.stack([x for x in found if x is not None], dim=1)


def survey(problem: Problem, resolution: int) -> Landscape:
    """The placement landscape on a square grid.

    Args:
        problem: of a maze that :func:`why_not` has nothing against.
        resolution: places per axis.

    Raises:
        UserError: when the dynamics give no finite loss anywhere.
    """
    maze, batch = maze_of(problem), problem.data.judged
    edge = REACH * problem.loss.ball_radius
    axis = torch.linspace(-edge, edge, resolution)
    places = torch.cartesian_prod(axis, axis)
    dynamics = select(problem.failed, DYNAMICS)
    parts: list[tuple[Tensor, Tensor]] = []
    with torch.no_grad():
        for piece in torch.split(places, CHUNK):
            terms = problem.terms(unroll(problem.agent, dynamics, maze, piece), batch)
            parts.append((terms["total"], terms["transition"]))
    total, transition = (
        torch.nan_to_num(torch.cat(values), nan=torch.inf).view(resolution, resolution) for values in zip(*parts, strict=True)
    )
    if not bool(torch.isfinite(total).any()):
        raise UserError("the dynamics give no finite loss wherever the start state is placed; use another checkpoint")
    lowest = basins(total)
    lows = sorted((float(total.flatten()[low]), int(low)) for low in torch.unique(lowest).tolist())
    valleys = tuple(
        Valley((float(places[low, 0]), float(places[low, 1])), height, float((lowest == low).double().mean())) for height, low in lows
    )
    owner = sum(((lowest == low) * k for k, (_, low) in enumerate(lows)), torch.zeros_like(lowest))
    return Landscape(axis, total, transition, valleys, owner)


def basins(total: Tensor, prominence: float = PROMINENCE) -> Tensor:
    """Which valley every place of a grid belongs to.

    The grid is flooded from below: a place joins the valley of its neighbours, or begins one where it has none; where two valleys meet, the
    higher one is part of the lower one unless it is deeper than `prominence` below the pass.

    Args:
        total: (n, n) losses, infinite where they are not finite.
        prominence: smallest depth of a valley, in units of its own lowest loss.

    Returns:
        (n, n) flat index of the lowest place of each place's valley.
    """
    n, heights = len(total), total.flatten().tolist()
    parent = [-1] * (n * n)

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    owner = [-1] * (n * n)
    for place in sorted(range(n * n), key=lambda k: (heights[k], k)):
        row, column = divmod(place, n)
        around = [i * n + j for i in range(max(0, row - 1), min(n, row + 2)) for j in range(max(0, column - 1), min(n, column + 2))]
        met = sorted({root(owner[k]) for k in around if owner[k] >= 0}, key=lambda k: (heights[k], k))
        owner[place] = met[0] if met else place
        if not met:
            parent[place] = place
        for other in met[1:]:
            if heights[place] - heights[other] < prominence * abs(heights[other]):
                parent[other] = met[0]
    return torch.tensor([root(k) for k in owner]).view(n, n)


def level_of(problem: Problem, landscape: Landscape, settings: CureSettings, store: Pieces, tick: Tick = lambda _: None) -> Level:
    """Refine the lowest places, and those of the valleys, as free embeddings; then put single states of the lowest elsewhere, while that helps.

    Rolling imprecise dynamics along a tree can put a state on the wrong side of others, and a descent leaves it there.
    """
    count = REFINE[0].kept
    lowest = landscape.total.flatten().argsort(stable=True)[:count]
    grid = torch.cartesian_prod(landscape.axis, landscape.axis)
    valleys = torch.tensor([valley.place for valley in landscape.valleys[: count // 4]])
    places = torch.cat((valleys, grid[lowest]))[:count]
    start = unroll(problem.agent, select(problem.failed, DYNAMICS), maze_of(problem), places)
    rounds = scaled(REFINE, settings.effort, len(places))
    done: Descent = descend(problem, "level", {"embedding": start}, rounds, store=store, tick=tick)
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


def looked_again(
    problem: Problem, embeddings: Tensor, totals: Tensor, settings: CureSettings, store: Pieces, tick: Tick = lambda _: None
) -> tuple[Tensor, Tensor, int]:
    """Where the lowest embedding leaves more than `AGAIN` of the transitions astray: refine what rolls from each of its states, along
    another tree from each.

    Args:
        problem: gives dynamics and losses.
        embeddings, totals: (m, rows, 2) and (m,), lowest first.
        settings, store, tick: as in :func:`level_of`.

    Returns:
        embeddings, totals, and the updates that it took, 0 where there was no need.
    """
    if (problem.tail(embeddings[0]).astray or 0.0) <= AGAIN:
        return embeddings, totals, 0
    maze, dynamics = maze_of(problem), select(problem.failed, DYNAMICS)
    start = torch.cat([unroll(problem.agent, dynamics, maze, embeddings[0, root][None], root) for root in range(maze.n_states)])
    done = descend(problem, "level-rolled", {"embedding": start}, scaled(REPLACE, settings.effort, len(start)), store=store, tick=tick)
    totals = torch.cat((totals, done.terms["total"]))
    order = totals.argsort(stable=True)[:KEPT]
    return torch.cat((embeddings, done.free["embedding"]))[order], totals[order], done.updates


def distinct(problem: Problem, embeddings: Tensor) -> list[int]:
    """Numbers of the lowest embedding, and the next whose start state lies elsewhere."""
    at = embeddings[:, maze_of(problem).start]
    apart = torch.linalg.vector_norm(at - at[0], dim=-1) > DISTINCT * problem.loss.ball_radius
    return [0, *apart.nonzero().flatten().tolist()[:1]]


def replaced(problem: Problem, embedding: Tensor) -> Tensor:
    """(m, rows, 2) copies of an embedding, one a move that leads to another state: that state put where T has it from the state before."""
    maze, states, actions = maze_of(problem), *maze_of(problem).successor.shape
    with torch.no_grad():
        every = torch.arange(actions).repeat(states)
        before = embedding.repeat_interleave(actions, dim=0)
        predicted = problem.agent.transition(select(problem.failed, DYNAMICS), before, every)
    to = torch.as_tensor(maze.successor).flatten()
    moves = (to != torch.arange(states).repeat_interleave(actions)).nonzero().flatten()
    copies = embedding.expand(len(moves), *embedding.shape).clone()
    copies[torch.arange(len(moves)), to[moves]] = predicted[moves]
    return copies


def away_from(problem: Problem, level: Level, settings: CureSettings, store: Pieces, tick: Tick = lambda _: None) -> tuple[Tensor, int]:
    """Embeddings for a control: as many places of the start state as are fitted to, drawn at random away from these, and what follows from them refined as the
    level is.

    Returns:
        (m, rows, 2) embeddings, and the updates that refining them took.
    """
    maze, radius = maze_of(problem), problem.loss.ball_radius
    rng, taken = np.random.default_rng([settings.seed, Stream.WEIGHTS]), level.embeddings[distinct(problem, level.embeddings), maze.start]
    places: list[Tensor] = []
    while len(places) < len(taken):
        place = torch.from_numpy(rng.uniform(-REACH * radius, REACH * radius, 2)).to(taken.dtype)
        if bool((torch.linalg.vector_norm(taken - place, dim=-1) > DISTINCT * radius).all()):
            places.append(place)
    start = unroll(problem.agent, select(problem.failed, DYNAMICS), maze, torch.stack(places))
    done = descend(problem, "elsewhere", {"embedding": start}, scaled(MISPLACED, settings.effort, len(places)), store=store, tick=tick)
    return done.free["embedding"], done.updates


def targets_of(problem: Problem, embeddings: Tensor, chosen: Sequence[int], seed: int) -> tuple[Starts, Tensor]:
    """Encoders to fit to embeddings: the failed one and a new one, to each of those chosen.

    Args:
        problem: gives the failed encoder.
        embeddings: (n, rows, 2).
        chosen: numbers of those to fit to.
        seed: of the new encoder.

    Returns:
        the encoders (m, ...), and the embedding that each is fitted to, (m, rows, 2).
    """
    at = embeddings[:, maze_of(problem).start]
    fresh = select(problem.agent.init(np.random.default_rng([seed, Stream.WEIGHTS])), ("encoder",))
    labels, encoders, targets = [], [], []
    for which in chosen:
        for name, encoder in (("failed", select(problem.failed, ("encoder",))), ("new", fresh)):
            x, y = at[which].tolist()
            labels.append(f"start at ({x:.2f}, {y:.2f}), {name} encoder")
            encoders.append(encoder)
            targets.append(embeddings[which])
    free = {name: torch.stack([encoder[name] for encoder in encoders]) for name in encoders[0]}
    return Starts(tuple(labels), free, {}), torch.stack(targets)
