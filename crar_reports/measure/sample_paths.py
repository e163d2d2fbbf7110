"""Claims S6 and S7 where transitions are sampled: what the failed encoder is on a fixed sample and on an independent one, and the way out
of it in the weights."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from crar_model.core.params import Params, select
from crar_reports.measure.sample_minimum import (
    Budget,
    Curvature,
    OnSample,
    SampleTotal,
    converge_encoder,
    copy_total,
    sizes_of,
    two_samples,
)
from crar_reports.measure.subject import Subject
from landscape_tools import (
    Path,
    bezier_path,
    climb,
    elastic_band,
    flatten,
    lowest,
    rows_of,
    sample_polygon,
    values_of,
)

RATE = 0.02
"""Of the curve's steps."""


@dataclass(frozen=True)
class SamplePaths:
    """Paths in the weights from the converged failed encoder to the converged reference.

    Attributes:
        frozen, free: with the dynamics frozen and free. straight: climb of the straight line between the same ends.
        other: barriers of the same three on the independent sample.
    """

    frozen: Path
    free: Path
    straight: float
    other: dict[str, float]

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "straight": self.straight,
            **{
                name: {
                    "barrier": p.barrier, "where": p.where, "start": float(p.heights[0]), "end": float(p.heights[-1]), "force": p.force,
                    "iterations": p.iterations, "converged": p.converged,
                }
                for name, p in (("frozen", self.frozen), ("free", self.free))
            },
            "independent": self.other,
        }  # fmt: skip


@dataclass(frozen=True)
class Sampled:
    """All that is measured on the samples.

    Attributes:
        sizes: of either sample: transitions, terminal ones, maps or episodes. floors: what no encoder can lower of its total.
        failed, reference: the failed encoder and the base's copy, converged; paths: between them.
        budget: what it was allowed to cost.
    """

    sizes: dict[str, dict[str, int]]
    floors: dict[str, float]
    failed: OnSample
    reference: OnSample
    paths: SamplePaths
    budget: Budget

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "sizes": self.sizes, "floors": self.floors, "failed": self.failed.plain(), "reference": self.reference.plain(), "paths": self.paths.plain(),
            "budget": asdict(self.budget),
        }  # fmt: skip


def on_samples(subject: Subject, size: int, blocks: tuple[str, ...], budget: Budget, tick: Callable[[str], None] | None = None) -> Sampled:
    """Converge, certify, and look for paths; deterministic.

    Args:
        subject: a pair whose transitions are sampled.
        size: transitions of either sample.
        blocks: of the dynamics that may move on the free path.
        budget: what it may cost.
        tick: told what begins.

    Raises:
        UserError: for a sample without a terminal transition.
    """
    samples = two_samples(subject, size)
    own, other = samples
    say = tick or (lambda _: None)
    say("certificate on samples")
    with ThreadPoolExecutor(max_workers=2) as pool:
        tries: tuple[tuple[Params, float, Curvature], ...] = (
            (own.failed, copy_total(own), "always"), (own.copy, own.floor["total"], "never"),
        )  # fmt: skip
        failed, reference = pool.map(lambda one: converge_encoder(*samples, one[0], budget, target=one[1], curvature=one[2]), tries)
    failed = failed.held_against(reference)
    say("paths on samples")
    paths = _paths(own.referred_to(reference.encoder), other, failed.encoder, blocks, budget)
    floors = {"sample": own.floor["total"], "independent": other.floor["total"]}
    return Sampled(sizes_of(samples), floors, failed, reference, paths, budget)


def _paths(own: Subject, other: Subject, start: Params, blocks: tuple[str, ...], budget: Budget) -> SamplePaths:
    """Both paths, each on a thread; their barriers on the independent sample are those of the same polygons."""
    begun = own.failed | start
    goal = own.optimum | replace(own, failed=begun).nearest
    moving = select(own.failed, blocks)
    still = {name: value for name, value in own.dynamics.items() if name not in moving}
    ways = {
        "frozen": (own.dynamics, select(begun, ("encoder",)), select(goal, ("encoder",))),
        "free": (still, select(begun, ("encoder", *blocks)), select(goal, ("encoder", *blocks))),
    }

    def way(name: str) -> tuple[Path, float]:
        fixed, first, last = ways[name]
        loss = SampleTotal(own, fixed, first)
        curve = bezier_path(
            loss, first, last, vectorize="loop", points=budget.images, iterations=budget.bends, rate=RATE, samples=budget.samples
        )
        band = elastic_band(
            loss, first, last, vectorize="loop", images=budget.images, iterations=budget.moves, climb_after=budget.moves, samples=budget.samples,
            guess=curve.points,
        )  # fmt: skip
        path = lowest((band, curve))
        chain = rows_of(path.points)
        return path, _climb(SampleTotal(other, fixed, first), first, chain)

    with ThreadPoolExecutor(max_workers=2) as pool:
        (frozen, frozen_there), (free, free_there) = pool.map(way, ways)
    fixed, first, last = ways["frozen"]
    line = torch.stack((flatten(first), flatten(last))).double()
    straight, straight_there = (
        _climb(SampleTotal(subject, fixed, first), first, line, samples=4 * budget.samples) for subject in (own, other)
    )
    if lowest((free, frozen)) is not free:  # frozen dynamics are one way of moving them
        free, free_there = frozen, frozen_there
    return SamplePaths(frozen, free, straight, {"frozen": frozen_there, "free": free_there, "straight": straight_there})


def _climb(loss: SampleTotal, like: Params, chain: Tensor, samples: int = 1) -> float:
    """Highest loss along a polygon above its start."""
    _, heights = sample_polygon(values_of(loss, like, "loop"), chain.double(), samples)
    return climb(heights)
