"""What a base says of its transfers before there is one: symmetry of its embedding, signed copies under its own dynamics, valleys."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from crar_model.agent.symmetry import TRIED, signed_permutations
from crar_model.core.errors import UserError
from crar_model.core.params import select
from crar_model.cures.copies import exchanges
from crar_model.cures.placement import Landscape, Valley, flat, survey, why_not
from crar_model.cures.problem import Problem, pose
from crar_model.mazes.maps import ObservationMap
from crar_model.models.checkpoints import Checkpoint

CHUNK = 8
"""Copies whose losses are computed at once."""
TINY = 1e-12


@dataclass(frozen=True)
class Copy:
    """The base's embedding behind a signed permutation P of the channels, under the base's own dynamics.

    Attributes:
        axes: P as nested lists.
        transition: that term of the copy.
    """

    axes: list[list[int]]
    transition: float


@dataclass(frozen=True)
class Seen:
    """A :class:`Foresight` without the grid of its landscape, of which the valleys are left; None where states cannot be placed."""

    oddness: float
    bias: float
    start: dict[str, float]
    copies: tuple[Copy, ...]
    valleys: tuple[Valley, ...] | None
    places: dict[str, tuple[float, float]]
    valley_of: dict[str, int]
    features: dict[str, float]


@dataclass(frozen=True)
class Foresight:
    """What is seen of a base before any transfer.

    Attributes:
        oddness: mean |e(s') + e(s)| / mean |e(s') - e(s)| over the states, s' the same state in the other maze: 0 for an embedding that the
            other maze negates.
        bias: mean absolute bias of all its networks.
        start: losses of the base in the other maze, where a transfer starts.
        copies: the identity first; of more than four channels those that exchange two axes or negate one.
        landscape: of the place of the start state; None where states cannot be placed.
        places: "base" and "start": where the base has the start state in its own maze, and where a transfer begins.
        valley_of: the number of the valley that each place lies in.
    """

    oddness: float
    bias: float
    start: dict[str, float]
    copies: tuple[Copy, ...]
    landscape: Landscape | None
    places: dict[str, tuple[float, float]]
    valley_of: dict[str, int]

    @property
    def features(self) -> dict[str, float]:
        """What a predictor may use, by name; losses as logarithms of ratios."""
        own = self.copies[0].transition
        found = {
            "log oddness": _log(self.oddness),
            "log mean bias": _log(self.bias),
            "log start transition": _log(self.start["transition"]),
            "log own transition": _log(own),
            "log lowest copy over own": _log(min(copy.transition for copy in self.copies[1:])) - _log(own),
        }
        if self.landscape is None:
            return found
        valleys, start = self.landscape.valleys, self.landscape.valleys[self.valley_of["start"]]
        return found | {
            "valleys": float(len(valleys)),
            "share of the start's valley": start.share,
            "share of the base's valley": valleys[self.valley_of["base"]].share,
            "log depth of the start's valley over the lowest": _log(start.total) - _log(valleys[0].total),
            "starts in the base's valley": float(self.valley_of["start"] == self.valley_of["base"]),
        }

    @property
    def seen(self) -> Seen:
        """What a page and a file hold of it."""
        valleys = None if self.landscape is None else self.landscape.valleys
        return Seen(self.oddness, self.bias, self.start, self.copies, valleys, self.places, self.valley_of, self.features)


def _log(value: float) -> float:
    return math.log(max(value, TINY))


def seen_through(base: Checkpoint, observation_map: ObservationMap, where: str) -> Checkpoint:
    """A base whose other maze shows its observations through a map.

    Raises:
        UserError: for a base that was itself trained behind another map, or a map that the maze does not have.
    """
    if base.inverse and observation_map != base.task.observation_map:
        raise UserError(f"{where}: a base of the maze seen through {base.task.observation_map.title}; give the same --observation-map")
    found = replace(base, info=base.info | {"settings": {**(base.info.get("settings") or {}), **observation_map.settings()}})
    assert found.task.observation_map == observation_map
    return found


def foresee(base: Checkpoint, *, resolution: int = 61, seed: int = 0, where: str = "the model") -> Foresight:
    """Look at a base, without a transfer and without training.

    Args:
        base: a model that was never transferred.
        resolution: places per axis of the placement landscape.
        seed: of the data, where transitions are sampled.
        where: named in errors.

    Raises:
        UserError: for a transfer, or dynamics that give no finite loss.
    """
    if base.base_name:
        raise UserError(f"{where}: a transfer; give the base that it came from, {base.info['base']}")
    problem = pose(replace(base, inverse=not base.inverse, info=base.info | {"variant": "moved"}), base, seed, where=where)
    task, agent = base.task, base.agent
    sides = [task.batch(inverse=side, dtype=torch.float32) for side in (base.inverse, not base.inverse)]
    own, other = (problem.loss.on(batch) for batch in sides)
    encoder = {name: value[None] for name, value in select(base.parameters, ("encoder",)).items()}
    with torch.no_grad():
        here, there = own.embedding(encoder), other.embedding(encoder)
        start = {name: float(value) for name, value in problem.terms(there, other.batch).items()}
        moves = signed_permutations(agent.channels, torch.float32) if agent.channels <= TRIED else exchanges(agent.channels)
        images = torch.einsum("pij,njk->pnik", moves, agent.by_position(here[0])).flatten(2)  # (copies, rows, d)
        errors = [own.terms(problem.dynamics, piece, ("transition",))["transition"].flatten() for piece in torch.split(images, CHUNK)]
    copies = tuple(
        Copy([[int(x) for x in row] for row in move.tolist()], transition)
        for move, transition in zip(moves, torch.cat(errors).tolist(), strict=True)
    )
    assert own.batch.states is not None
    pair = [x[0, own.batch.states].double() for x in (here, there)]
    odd, even = (float((pair[1] + sign * pair[0]).norm(dim=1).mean()) for sign in (1.0, -1.0))
    biases = torch.cat([value.flatten() for name, value in base.parameters.items() if name.endswith(".bias")])
    return Foresight(odd / max(even, TINY), float(biases.abs().mean()), start, copies, *_placed(problem, here[0], there[0], resolution))


def _placed(
    problem: Problem, own: Tensor, other: Tensor, resolution: int
) -> tuple[Landscape | None, dict[str, tuple[float, float]], dict[str, int]]:
    if why_not(problem.task) is not None or not flat(problem):
        return None, {}, {}
    landscape, at = survey(problem, resolution), problem.forest.roots[0]
    places = {"base": own[at], "start": other[at]}
    plain = {name: (float(place[0]), float(place[1])) for name, place in places.items()}
    return landscape, plain, {name: landscape.valley_of(place) for name, place in places.items()}
