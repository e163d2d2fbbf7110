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

from crar_model.params import DYNAMICS, Params, select
from landscape_tools import Lifted, Path, bezier_path, elastic_band, lift, sample_polygon, values_of
from reports.measure.subject import Subject

SMOOTHING = 1e-3
"""Of the maxima in `ball`, for the forces; barriers are read off the exact loss."""


@dataclass(frozen=True)
class Effort:
    """How hard to look for a path: images of the band, iterations of the chain and of each zoom, zooms, and whether to
    lift the path to weights."""

    images: int = 15
    iterations: int = 300
    zooms: int = 8
    lift: bool = True


@dataclass(frozen=True)
class Passage:
    """Paths from the failed model to the global optimum.

    Attributes:
        frozen: from the failed encoder's stationary point, only the encoder moves.
        curve: a second opinion on it, a Bezier curve.
        free: from the same start, the dynamics move too.
        valleys: from the released model (swapped embedding, dynamics of its own) to the optimum, everything moves; None
            when nothing was released.
        lifted: the frozen path as a path of encoder weights, and the barrier of its polygon in weight space; None in
            weight space.
    """

    frozen: Path
    curve: Path
    free: Path
    valleys: Path | None
    lifted: tuple[Lifted, float] | None

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

    def with_frozen() -> tuple[Path, Path, tuple[Lifted, float] | None]:
        frozen = elastic_band(frozen_loss[0], *ends, exact=frozen_loss[1], zooms=effort.zooms, **options)
        curve = bezier_path(
            frozen_loss[0], *ends, exact=frozen_loss[1], vectorize="batched", points=15, iterations=effort.iterations, rate=0.02
        )
        if space == "weight" or not effort.lift:
            return frozen, curve, None
        encoder = select(beginning, ("encoder",))
        lifted = lift(subject.outputs, encoder, frozen.points["embedding"].flatten(1))
        corners = torch.cat([value.flatten(1) for value in lifted.points.values()], dim=1)
        _, heights = sample_polygon(values_of(frozen_loss[1], encoder, vectorize="batched"), corners, samples=8)
        return frozen, curve, (lifted, max(0.0, float(heights.max() - heights[0])))

    def with_free() -> tuple[Path, Path | None]:
        free = elastic_band(free_loss[0], *free_ends, exact=free_loss[1], zooms=min(2, effort.zooms), **options)
        if released is None:
            return free, None
        first = _encoder(subject, released, space) | select(released, blocks)
        tries = []
        for turn in (1, -1):
            middle = _encoder(subject, turned(goal, turn), space) | select(turned(goal, turn), blocks)
            tries.append(elastic_band(free_loss[0], first, free_ends[1], exact=free_loss[1], middle=middle, **options))
        return free, min(tries, key=lambda path: path.barrier)

    with ThreadPoolExecutor(max_workers=2) as pool:  # each is a chain of small steps, so the two share the cores
        first_lane, second_lane = pool.submit(with_frozen), pool.submit(with_free)
        (frozen, curve, lifted), (free, valleys) = first_lane.result(), second_lane.result()
    if free.barrier > frozen.barrier:  # frozen dynamics are one way of moving them
        count = len(frozen.losses)
        still_there = {name: value.expand(count, *value.shape) for name, value in select(beginning, blocks).items()}
        free = replace(frozen, points=frozen.points | still_there)
    return Passage(frozen, curve, free, valleys, lifted)


def _encoder(subject: Subject, params: Params, space: str) -> Params:
    if space == "weight":
        return select(params, ("encoder",))
    return {"embedding": params["embedding"] if "embedding" in params else subject.embedding(params)}


def turned(params: Params, quarters: int) -> Params:
    """The same agent with the plane of its first two channels turned by quarter turns: a way from the swapped to the base embedding,
    because two quarter turns of two channels are -1. All loss terms are the same after every quarter turn, see :func:`mixed`."""
    channels = int(_last(params, "encoder").shape[0])
    quarter = torch.eye(channels, dtype=torch.float64)
    quarter[:2, :2] = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    return mixed(params, torch.matrix_power(quarter, quarters % 4))


def mixed(params: Params, matrix: Tensor) -> Params:
    """The same dense agent with its abstract space mapped by an orthogonal matrix: the encoder's last layer maps the states, the
    dynamics' first layers map them back and the transition's last layer maps its step. All loss terms stay the same but `ball`,
    which signed permutations keep.

    Args:
        params: one model of dense networks.
        matrix: (d, d) orthogonal, float64.
    """
    result = dict(params)
    for block in ("encoder", "transition"):
        last = max(int(name.split(".")[1]) for name in select(params, (block,)))
        for part in ("weight", "bias"):
            result[f"{block}.{last}.{part}"] = matrix.to(params[f"{block}.{last}.{part}"]) @ params[f"{block}.{last}.{part}"]
    for block in DYNAMICS:
        weight = result[f"{block}.0.weight"].clone()
        weight[:, : len(matrix)] = weight[:, : len(matrix)] @ matrix.T.to(weight)
        result[f"{block}.0.weight"] = weight
    return result


def _last(params: Params, block: str) -> Tensor:
    layers = select(params, (block,))
    return layers[f"{block}.{max(int(name.split('.')[1]) for name in layers)}.bias"]
