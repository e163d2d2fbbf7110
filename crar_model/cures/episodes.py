"""Where do states lie that nobody can list? Windows of observed episodes, rolled by the frozen dynamics from one place of their common beginning.

No state comes back, so no table of moves closes a loop. What ties the places is that an encoder is smooth: what looks alike lies alike. So windows are
taken that begin with much the same observation, in many episodes. A place of that beginning settles all others, by T along the actions that were
taken. The embedding is then smoothed over the observations. A wrong place gives one observation different places at different times, and smoothing makes
transition errors of that. These need no observation of the base's world.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crar_model.agent.batch import Batch
from crar_model.core.kept import Pieces
from crar_model.core.params import DYNAMICS, Params, select
from crar_model.core.settings import CureSettings
from crar_model.core.streams import Stream
from crar_model.cures.descent import Tick, descend
from crar_model.cures.level import targets_of
from crar_model.cures.methods import ALONG, FITTED, scaled
from crar_model.cures.placement import REACH, why_not
from crar_model.cures.places import ALIKE, best_of
from crar_model.cures.problem import OwnData, Problem
from crar_model.cures.starts import Starts
from crar_model.mazes.automorphisms import Ints
from crar_model.tasks import Task, WorldTask
from crar_model.tasks.world_batches import split
from crar_model.worlds.tables import WorldTable

WINDOWS, STEPS = 64, 12
"""Windows, one an episode, and the steps of each at most."""
IMAGES = 16
"""Windows where observations are images, for convolutions."""
LEAST = 8
"""Windows of two steps and more, at least."""
LOOKED, NEIGHBOURS = 2_048, 32
"""Observations that are looked through for a common beginning, and the neighbours that it should have nearby."""
SMOOTH = 64
"""Directions of an embedding that are smooth in the observations: eigenvectors of a Gaussian kernel as wide as the median distance."""
LEAST_SHARE = 1e-8
"""An eigenvalue counts from this share of the largest."""
FLAT = 1e-6
"""Spread of a number that does not differ but by rounding."""
DRAWN = 12
"""2 to this power places of the beginning are drawn, from a scrambled Sobol sequence."""
CHUNK = 64
"""Places whose losses are computed at once."""


def why_no_places(task: Task) -> str | None:
    """Why states cannot be placed in a world, along a table of moves or along episodes, or None where they can."""
    why = why_not(task)
    if why is None or not isinstance(task, WorldTask) or task.listing.torn or task.sampling.complete:
        return why
    if len(lengths := _lengths(task.table_here)) < LEAST:
        return f"the dynamics are rolled along episodes, and {task.title} has {len(lengths)} of two steps or more, of at least {LEAST}"
    return None


def _lengths(table: WorldTable) -> list[int]:
    """Steps of the episodes that train, of those with two and more."""
    trains = split(table)[0]
    steps = np.unique(np.cumsum(table.world.first)[trains], return_counts=True)[1]
    return [int(count) for count in steps if count > 1]


@dataclass(frozen=True)
class Windows:
    """Windows of episodes that begin alike.

    Attributes:
        batch: their transitions in random order; every window has rows of its own, and an end leads nowhere: to the state itself.
        roots: (W,) rows that they begin with.
        rings: of each step the transitions (row before, action, row after) of all windows that have it.
        basis: (rows, F) orthonormal directions that are smooth in the observations.
    """

    batch: Batch
    roots: Tensor
    rings: tuple[tuple[Tensor, Tensor, Tensor], ...]
    basis: Tensor


@dataclass(frozen=True)
class Along(Problem):
    """The problem on windows alone, whose embeddings are places (m, W, d) of their beginnings.

    Attributes:
        windows: of its episodes.
    """

    windows: Windows = field(kw_only=True)

    def unfolded(self, places: Tensor) -> Tensor:
        """Embeddings (m, rows, d) that follow from places, the nearest that are smooth in the observations; the gradient reaches the places."""
        dynamics, basis = select(self.failed, DYNAMICS), self.windows.basis
        x = places.new_zeros(len(places), len(basis), places.shape[-1]).index_copy(1, self.windows.roots, places)
        for before, action, after in self.windows.rings:
            x = x.index_copy(1, after, self.agent.transition(dynamics, x[:, before], action))
        return basis @ (basis.T @ x)

    def terms(self, embedding: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Of what follows from places."""
        return super().terms(self.unfolded(embedding), batch)

    def compiled(self, still: Params, strict: float = 1.0, smoothing: float = 0.0) -> None:
        """No compiled code rolls."""
        return None


def windows_of(table: WorldTable, inverse: bool) -> Windows:
    """Windows of the episodes that train, one an episode, that begin nearest to the observation with the nearest neighbours.

    Args:
        table: of a world whose states are not listed.
        inverse: the side to see it on.
    """
    world, trains = table.world, split(table)[0]
    seen, rng = _measured(table, inverse), np.random.default_rng([0, Stream.HELD_OUT])
    state = world.state[trains].astype(np.int64)
    episode = np.cumsum(world.first)[trains]
    goes_on = np.concatenate((episode[1:] == episode[:-1], [False]))  # two steps and more
    looked = seen(rng.permutation(state[goes_on])[:LOOKED])
    near = torch.cdist(looked, looked).kthvalue(min(NEIGHBOURS + 1, len(looked)), dim=1).values
    middle = looked[int(near.argmin())]
    pieces = np.array_split(state, max(1, len(state) // LOOKED))
    away = np.concatenate([torch.linalg.vector_norm(seen(piece) - middle, dim=1).numpy() for piece in pieces])
    away[~goes_on] = np.inf
    order = np.lexsort((away, episode))
    one = order[np.concatenate(([True], episode[order][1:] != episode[order][:-1]))]
    chosen = [int(k) for k in one[np.argsort(away[one], kind="stable")][: IMAGES if table.images else WINDOWS] if np.isfinite(away[k])]
    picks, rows, roots, before, after, depth = [], list[int](), list[int](), list[int](), list[int](), list[int]()
    for k in chosen:
        roots.append(len(rows))
        rows.append(int(world.state[trains[k]]))
        for step in range(STEPS):
            if k + step >= len(trains) or episode[k + step] != episode[k]:
                break
            transition = trains[k + step]
            picks.append(transition)
            depth.append(step)
            before.append(len(rows) - 1)
            if not world.terminated[transition]:
                rows.append(int(world.next_state[transition]))
            after.append(len(rows) - 1)
    shown = table.rows(np.array(rows), inverse=inverse)
    action = torch.from_numpy(world.action[picks].astype(np.int64))
    each, state_of, next_of = torch.tensor(depth), torch.tensor(before), torch.tensor(after)
    rings = []
    for step in range(STEPS):
        at = ((each == step) & (state_of != next_of)).nonzero().flatten()
        rings.append((state_of[at], action[at], next_of[at]))
    mixed = torch.from_numpy(rng.permutation(len(picks)))
    reward, ended = (
        torch.from_numpy(np.asarray(values, dtype=np.float32)) for values in (table.paid(np.array(picks)), world.terminated[picks])
    )
    batch = Batch(shown, state_of[mixed], next_of[mixed], action[mixed], reward[mixed], ended[mixed])
    return Windows(batch, torch.tensor(roots), tuple(rings), smooth_basis(seen(np.array(rows))))


def _measured(table: WorldTable, inverse: bool) -> Callable[[Ints], Tensor]:
    """A function that gives rows of observations (n, numbers) to measure distances of: the numbers of a vector each in its own spread."""
    if table.shape[:2] != (1, 1):
        return lambda rows: table.rows(rows, inverse=inverse).flatten(1)
    every = table.rows(slice(None), inverse=inverse).flatten(1)
    wide = every.std(0)
    spread = (every - every.mean(0)) / torch.where(wide > FLAT, wide, 1.0)
    return lambda rows: spread[torch.from_numpy(rows)]


def smooth_basis(points: Tensor) -> Tensor:
    """(n, 1 + F) orthonormal columns: the constant, and the first eigenvectors of a Gaussian kernel of points (n, k) without their mean."""
    points = points.double()
    square = torch.cdist(points, points).square()
    wide = square.median().clamp_min(1e-12)
    kernel = torch.exp(-square / (2 * wide))
    centred = kernel - kernel.mean(0) - kernel.mean(1, keepdim=True) + kernel.mean()
    values, vectors = torch.linalg.eigh(centred)
    vectors = vectors[:, values > LEAST_SHARE * values[-1]][:, -SMOOTH:]  # not those of rounding, which may hold the constant
    constant = torch.full((len(points), 1), len(points) ** -0.5, dtype=torch.float64)
    return torch.cat((constant, vectors), 1).float()


def placed_along(problem: Problem, settings: CureSettings, store: Pieces, tick: Tick) -> tuple[Problem, Starts, Tensor, int]:
    """Embeddings of windows that the frozen dynamics and the smoothness of an encoder agree with, and encoders to fit to the lowest.

    Args:
        problem: of a world whose states are not listed.
        settings: `effort` of the descent.
        store: keeps unfinished work.
        tick: called with the updates taken.

    Returns:
        the problem on the windows alone, the encoders (m, ...), the embedding that each is to be fitted to, (m, rows, d), and the updates so far.

    Raises:
        UserError: when the dynamics give no finite loss anywhere.
    """
    assert isinstance(problem.task, WorldTask)
    windows = windows_of(problem.task.table_here, inverse=problem.inverse)
    inside = replace(problem, data=OwnData.listed(problem.loss.on(windows.batch).batch))
    along = Along(**{each.name: getattr(inside, each.name) for each in fields(inside)}, windows=windows)
    radius, size = problem.loss.settings.ball_radius, problem.agent.abstract_size
    engine: Any = torch.quasirandom.SobolEngine
    drawn = REACH * radius * (2 * engine(size, scramble=True, seed=DRAWN).draw_base2(DRAWN) - 1)
    places = drawn[:, None].expand(-1, len(windows.roots), -1)
    with torch.no_grad():
        totals = torch.cat([along.rank(along.terms(piece, windows.batch)) for piece in torch.split(places, CHUNK)])
    rounds = scaled(ALONG, settings.effort, ALONG[0].kept)
    kept = best_of(totals, drawn, rounds[0].kept, ALIKE * radius)
    done = descend(along, "along", {"embedding": places[kept].clone()}, rounds, store=store, tick=tick)
    with torch.no_grad():
        embeddings = along.unfolded(done.free["embedding"])
    chosen = range(min(FITTED, len(embeddings)))
    return inside, *targets_of(problem, embeddings, chosen, settings.seed, (int(windows.roots[0]), "beginning")), done.updates
