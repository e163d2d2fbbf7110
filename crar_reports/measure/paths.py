"""Claims S6 and S8: the way out, with the dynamics frozen and free.

Paths run in embedding space by default: what the loss sees of the encoder is its embedding, and `lift` shows that weights
exist for every embedding on the way.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from crar_model.agent.networks import Agent
from crar_model.core.params import DYNAMICS, Params, select
from crar_model.core.ratio import ratio
from crar_reports.measure.subject import Subject
from landscape_tools import (
    Lifted,
    Path,
    ScalarLoss,
    bezier_path,
    climb,
    elastic_band,
    flatten,
    gaussian_direction,
    lift,
    lowest,
    norm,
    rows_of,
    sample_polygon,
    values_of,
)

REFUTED = 0.1
"""A path to the reference below this share of the straight climb, and of the drop, refutes a barrier."""

SMOOTHING = 1e-3
"""Of the maxima in `ball`, for the forces; barriers are read off the exact loss."""


@dataclass(frozen=True)
class Effort:
    """How hard to look for a path: images of the band, iterations of the chain and of each zoom, zooms, whether to
    lift the path to weights, and whether to search in unlike ways where the first do not refute a barrier."""

    images: int = 15
    iterations: int = 300
    zooms: int = 8
    lift: bool = True
    searches: bool = True


@dataclass(frozen=True)
class Passage:
    """Paths from the failed model to the global optimum.

    Attributes:
        frozen: the lowest found from the failed encoder's stationary point on, where only the encoder moves.
        curve: a second opinion on it, a Bezier curve.
        free: from the same start, the dynamics move too.
        valleys: from the released model (swapped embedding, dynamics of its own) to the optimum, everything moves; None
            when nothing was released.
        lifted: the frozen path as a path of encoder weights, and the barrier of its polygon in weight space; None in
            weight space.
        searches: every search for the frozen path by its first guess, with the barrier it found.
        straight: climb of the total above the start on the straight line to the reference, by the space that the line is straight in.
        space: that the paths run in, "embedding" or "weight".
    """

    frozen: Path
    curve: Path
    free: Path
    valleys: Path | None
    lifted: tuple[Lifted, float] | None
    searches: dict[str, Path]
    straight: dict[str, float]
    space: str

    def plain(self) -> dict[str, Any]:
        """As plain data."""

        def numbers(path: Path) -> dict[str, Any]:
            return {
                "barrier": path.barrier, "where": path.where, "start": float(path.heights[0]), "end": float(path.heights[-1]),
                "force": path.force, "converged": path.converged, "iterations": path.iterations, "length": path.length,
            }  # fmt: skip

        lifted, barrier = self.lifted or (None, float("nan"))
        return {
            "frozen": numbers(self.frozen), "curve": numbers(self.curve), "free": numbers(self.free),
            "valleys": None if self.valleys is None else numbers(self.valleys),
            "searches": {name: {"barrier": path.barrier, "iterations": path.iterations} for name, path in self.searches.items()},
            "straight": self.straight, "space": self.space,
            "lifted": None if lifted is None else {
                "barrier": barrier, "reached": lifted.reached, "missed": lifted.missed, "smallest_singular": lifted.smallest_singular, "length": lifted.length,
            },
        }  # fmt: skip


def find_passage(
    subject: Subject, start: Params, blocks: tuple[str, ...], released: Params | None, *, space: str, align: bool, effort: Effort
) -> Passage:
    """Look for all paths.

    Args:
        start: encoder parameters, or in embedding space an "embedding", that the paths begin at.
        blocks: dynamics that may move on the free paths.
        released: parameters that the path between the valleys begins at.
        space: "embedding" or "weight".
        align: in weight space, go to the nearest copy of the optimum.
    """
    beginning = subject.failed | start
    goal = subject.optimum | (subject.nearest if align else {})
    ends = [_encoder(subject, params, space) for params in (beginning, goal)]
    options: dict[str, Any] = {
        "vectorize": "batched", "images": effort.images, "iterations": effort.iterations, "climb_after": effort.iterations // 3,
    }  # fmt: skip
    frozen_loss = subject.heights(subject.dynamics, SMOOTHING), subject.heights(subject.dynamics)
    moving = select(subject.failed, blocks)
    still = {name: value for name, value in subject.dynamics.items() if name not in moving}
    free_loss = subject.heights(still, SMOOTHING), subject.heights(still)
    free_ends = [end | select(params, blocks) for end, params in zip(ends, (beginning, goal), strict=True)]

    straight = _straight_climbs(subject, beginning, goal, frozen_loss[1])
    searches: dict[str, Path] = {}

    def with_frozen() -> None:
        searches["straight"] = elastic_band(frozen_loss[0], *ends, exact=frozen_loss[1], zooms=effort.zooms, **options)
        searches["Bezier curve"] = bezier_path(
            frozen_loss[0], *ends, exact=frozen_loss[1], vectorize="batched", points=15, iterations=effort.iterations, rate=0.02
        )

    def with_free() -> tuple[Path, Path | None]:
        free = elastic_band(free_loss[0], *free_ends, exact=free_loss[1], zooms=min(2, effort.zooms), **options)
        if released is None:
            return free, None
        first = _encoder(subject, released, space) | select(released, blocks)
        tries = []
        for turn in (1, -1):
            other = turned(subject.agent, goal, turn)
            middle = _encoder(subject, other, space) | select(other, blocks)
            tries.append(elastic_band(free_loss[0], first, free_ends[1], exact=free_loss[1], middle=middle, **options))
        return free, lowest(tries)

    with ThreadPoolExecutor(max_workers=2) as pool:  # each is a chain of small steps, so the two share the cores
        first_lane, second_lane = pool.submit(with_frozen), pool.submit(with_free)
        first_lane.result()
        free, valleys = second_lane.result()
        curve, best = searches["Bezier curve"], lowest(searches.values())
        drop = float(best.heights[0] - best.heights[-1])
        if effort.searches and not best.barrier <= REFUTED * max(0.0, min(straight[space], drop)):
            guesses = _guesses(subject, ends, goal, free, space)

            def search(guess: Params) -> Path:
                return elastic_band(frozen_loss[0], *ends, exact=frozen_loss[1], zooms=min(2, effort.zooms), guess=guess, **options)

            searches |= dict(zip(guesses, pool.map(search, guesses.values()), strict=True))
    frozen = lowest(searches.values())
    lifted = None
    if space == "embedding" and effort.lift:
        encoder = select(beginning, ("encoder",))
        found = lift(subject.outputs, encoder, frozen.points["embedding"].flatten(1), slope=subject.slope)
        corners = rows_of(found.points)
        _, heights = sample_polygon(values_of(frozen_loss[1], encoder, vectorize="batched"), corners, samples=8)
        lifted = found, climb(heights)
    if lowest((free, frozen)) is not free:  # frozen dynamics are one way of moving them
        count = len(frozen.losses)
        still_there = {name: value.expand(count, *value.shape) for name, value in select(beginning, blocks).items()}
        free = replace(frozen, points=frozen.points | still_there)
    return Passage(frozen, curve, free, valleys, lifted, searches, straight, space)


def _straight_climbs(subject: Subject, start: Params, goal: Params, loss: ScalarLoss) -> dict[str, float]:
    """Climbs above the start on straight lines to the reference: between the embeddings, the weights, and the weights of the nearest copy.
    Where the start is an embedding alone, that line only."""
    lines = {"embedding": [_encoder(subject, params, "embedding") for params in (start, goal)]}
    if "embedding" not in start:
        own = select(start, ("encoder",))
        nearest = subject.aligned(select(subject.optimum, ("encoder",)), own)
        lines |= {"weight": [own, select(subject.optimum, ("encoder",))], "aligned": [own, nearest]}
    climbs = {}
    for name, (first, last) in lines.items():
        ends = torch.stack([flatten(first), flatten(last)])
        _, heights = sample_polygon(values_of(loss, first, vectorize="batched"), ends, samples=100)
        climbs[name] = climb(heights)
    return climbs


def _guesses(subject: Subject, ends: list[Params], goal: Params, free: Path, space: str) -> dict[str, Params]:
    """Unlike first guesses of the frozen path: bent through the reference turned either way, shaken twice, and the way of the encoder on
    the path where the dynamics moved."""
    share = torch.linspace(0, 1, 9, dtype=torch.float64)

    def bent(middle: Params) -> Params:
        """A parabola through the middle."""
        rows = {}
        for name, first in ends[0].items():
            t = share.view(-1, *[1] * first.dim())
            rows[name] = (1 - t) * (1 - 2 * t) * first + 4 * t * (1 - t) * middle[name] + t * (2 * t - 1) * ends[1][name]
        return rows

    guesses = {f"turned {way}": bent(_turned_encoder(subject, goal, turn, space)) for way, turn in (("left", 1), ("right", -1))}
    for seed in range(2):
        noise = gaussian_direction(ends[0], torch.Generator().manual_seed(seed))
        size = 0.5 * ratio(norm({name: ends[1][name] - value for name, value in ends[0].items()}), norm(noise))
        guesses[f"shaken {seed}"] = bent({n: 0.5 * (v + ends[1][n]) + size * noise[n] for n, v in ends[0].items()})
    return guesses | {"the free path's encoders": {name: free.points[name] for name in ends[0]}}


def _turned_encoder(subject: Subject, params: Params, quarters: int, space: str) -> Params:
    """The encoder, or its embedding, with the plane of the first two channels turned by quarter turns."""
    turn = torch.linalg.matrix_power(_quarter(subject.agent.channels), quarters % 4)
    if space == "embedding":
        x = _encoder(subject, params, "embedding")["embedding"]
        return {"embedding": torch.einsum("ij,...jp->...ip", turn.to(x), subject.agent.by_position(x)).flatten(-2)}
    encoder = select(params, ("encoder",))
    last = len(subject.agent.unit_signs("encoder")) - 1
    for part in ("weight", "bias"):
        value = encoder[f"encoder.{last}.{part}"]
        encoder[f"encoder.{last}.{part}"] = (turn.to(value) @ value.flatten(1 if value.dim() > 1 else 0)).view(value.shape)
    return encoder


def _quarter(channels: int) -> Tensor:
    """A quarter turn of the first two channels."""
    quarter = torch.eye(channels, dtype=torch.float64)
    quarter[:2, :2] = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    return quarter


def _encoder(subject: Subject, params: Params, space: str) -> Params:
    if space == "weight":
        return select(params, ("encoder",))
    return {"embedding": params["embedding"] if "embedding" in params else subject.embedding(params)}


def turned(agent: Agent, params: Params, quarters: int) -> Params:
    """The same agent with the plane of its first two channels turned by quarter turns: a way from the swapped to the base embedding,
    because two quarter turns of two channels are -1. All loss terms are the same after every quarter turn, see :func:`mixed`."""
    return mixed(agent, params, torch.linalg.matrix_power(_quarter(agent.channels), quarters % 4))


def mixed(agent: Agent, params: Params, matrix: Tensor) -> Params:
    """The same agent with the channels of its abstract space mapped by an orthogonal matrix, at every position alike: the encoder's last layer
    maps the states, the dynamics' first layers map them back and the transition's last layer maps its step. All loss terms stay the same but
    `ball`, which signed permutations keep.

    Args:
        agent: whose networks they are, dense or convolutional.
        params: one model.
        matrix: (C, C) orthogonal, float64.
    """
    result = dict(params)
    for block in ("encoder", "transition"):
        last = len(agent.unit_signs(block)) - 1
        for name in (f"{block}.{last}.weight", f"{block}.{last}.bias"):
            given = torch.unflatten(params[name], 0, (agent.channels, -1))
            result[name] = torch.einsum("ij,jp...->ip...", matrix.to(given), given).flatten(0, 1).contiguous()
    for block in DYNAMICS:
        weight, inputs = result[f"{block}.0.weight"].clone(), agent.state_inputs(block)
        read = torch.unflatten(weight[:, inputs], 1, (agent.channels, -1))
        weight[:, inputs] = torch.einsum("oip...,ji->ojp...", read, matrix.to(read)).flatten(1, 2)
        result[f"{block}.0.weight"] = weight
    return result
