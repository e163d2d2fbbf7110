"""Claim S9: what a descent of the encoder finds in landscapes of moved dynamics."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from crar_model.core.params import DYNAMICS, Params, select
from crar_model.core.ratio import LEAST, ratio
from crar_model.core.sizes import SAMPLE
from crar_reports.measure.acting import certified
from crar_reports.measure.sample_minimum import Budget, Curvature, OnSample, converge_encoder, copy_total, sizes_of, two_samples
from crar_reports.measure.sample_paths import Sampled
from crar_reports.measure.shifts import random_walk
from crar_reports.measure.subject import Subject
from landscape_tools import NOT_CONVERGED, UNDECIDED, converge

STEPS = 150
"""Of each descent of an embedding."""


@dataclass(frozen=True)
class Descent:
    """What a descent of the encoder finds under moved dynamics.

    Attributes:
        way: what was done to the dynamics.
        verdict: of the stationary point, from its certificate; on samples, from that of both. reason: of it, on samples.
        loss: total there, the dynamics' own; `level` it above the floor, over the reference's.
        match: how the embedding there relates to the base's.
        least, most: the level, were the descent to go on, and were the reference's to; `level` itself where both are done.
        steps: that it took.
        other_level: the level on the independent sample, above that one's floor; None where there is none.
        apart: distance of the embedding there from the one under the model's own dynamics, root mean square over states, in mean edges of the
            base's; None where it was not measured.
    """

    way: str
    verdict: str
    loss: float
    level: float
    match: str
    reason: str
    least: float
    most: float
    steps: int
    other_level: float | None = None
    apart: float | None = None


@dataclass(frozen=True)
class Finds:
    """What descents found.

    Attributes:
        rows: one for each way of moving the dynamics, the model's own first.
        sizes: of the samples that they ran on; None where the transitions are all there are.
        budget: of each descent on samples.
    """

    rows: list[Descent]
    sizes: dict[str, dict[str, int]] | None = None
    budget: Budget | None = None


def moved_dynamics(subject: Subject, adapted: Params, seed: int = 0) -> dict[str, Params]:
    """The model's own dynamics, the adapted ones, and ones a random walk of the same length away."""
    own, goal = subject.dynamics, select(adapted, DYNAMICS)
    random = random_walk(own, {name: goal[name] - value for name, value in own.items()}, seed)
    return {"own": own, "towards the adapted dynamics": goal, "in a random direction": {n: v + random[n] for n, v in own.items()}}


def descents(
    subject: Subject, adapted: Params, *, size: int = SAMPLE, budget: Budget | None = None, known: Sampled | None = None, seed: int = 0
) -> Finds:
    """Descents of the failed encoder under the model's own dynamics, under the adapted ones, and under random ones: of its embedding where the
    states can be listed, else of its weights on a sample, certified on that and on an independent one.

    Args:
        subject: a pair.
        adapted: parameters with the adapted dynamics.
        size, budget: of a sample and of each descent on it.
        known: what was measured on these samples already, the reference and the descent under the model's own dynamics.
        seed: of the random walk.

    Raises:
        UserError: for a sample without a terminal transition.
    """
    ways = moved_dynamics(subject, adapted, seed)
    if subject.task.sampling.complete:
        return Finds(_of_embedding(subject, ways))
    return _of_weights(subject, ways, size, budget or Budget(), known)


def _of_embedding(subject: Subject, ways: dict[str, Params]) -> list[Descent]:
    with torch.no_grad():
        reference = float(subject.terms(subject.optimum)["total"]) - subject.floor["total"]

    def descend(item: tuple[str, Params]) -> tuple[Descent, Tensor]:
        way, dynamics = item
        start = {"embedding": subject.embedding(subject.failed)}
        composite = subject.composite(start, dynamics)
        found = converge(composite, start, iterations=STEPS)
        match = subject.match(found.point["embedding"]).verdict
        level = (found.loss - subject.floor["total"]) / max(reference, LEAST)
        row = Descent(way, certified(subject, composite, found.point).verdict, found.loss, level, match, "", level, level, found.iterations)
        return row, found.point["embedding"]

    with ThreadPoolExecutor(max_workers=2) as pool:
        return _held_apart(subject, list(pool.map(descend, ways.items())))


def _held_apart(subject: Subject, found: list[tuple[Descent, Tensor]]) -> list[Descent]:
    """The descents with the distance of each embedding (rows, d) from the first one's."""
    states, own = subject.batch.states, found[0][1]
    unit = subject.match(own).mean_move
    return [
        replace(row, apart=ratio(float((embedding - own)[states].double().square().sum(-1).mean().sqrt()), unit))
        for row, embedding in found
    ]


def _of_weights(subject: Subject, ways: dict[str, Params], size: int, budget: Budget, known: Sampled | None) -> Finds:
    samples = two_samples(subject, size)
    own = samples[0]
    copy, floors = copy_total(own), [each.floor["total"] for each in samples]
    todo: list[tuple[Params, float, Curvature]] = [(subject.failed | dynamics, copy, "always") for dynamics in ways.values()]
    if known is None:
        todo.append((subject.copy, floors[0], "never"))
    else:
        todo = todo[1:]
    with ThreadPoolExecutor(max_workers=2) as pool:
        found = list(pool.map(lambda one: converge_encoder(*samples, one[0], budget, target=one[1], curvature=one[2]), todo))
    if known is None:
        *found, reference = found
    else:
        found, reference = [known.failed, *found], known.reference
    rows = [_row(way, one.held_against(reference), reference, floors) for way, one in zip(ways, found, strict=True)]
    ends = [own.embedding(subject.failed | one.encoder) for one in found]
    return Finds(_held_apart(own, list(zip(rows, ends, strict=True))), sizes_of(samples), budget)


def _row(way: str, found: OnSample, reference: OnSample, floors: list[float]) -> Descent:
    end, base, (floor, other_floor) = found.descended, reference.descended, floors
    above, level = end.loss - floor, max(base.loss - floor, LEAST)
    other = (found.other_loss - other_floor) / max(reference.other_loss - other_floor, LEAST)
    # Never below the floor, which is as low as either can go.
    least, most = max(0.0, above - end.expected) / level, above / max(level - base.expected, 1e-3 * level)
    verdict, reason = found.both
    if found.verdict[0] == verdict and verdict in (NOT_CONVERGED, UNDECIDED):  # the independent sample was not asked
        reason = found.verdict[1]
    return Descent(way, verdict, end.loss, above / level, found.match.verdict, reason, least, most, end.iterations, other)
