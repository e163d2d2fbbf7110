"""What an encoder is on a fixed sample of transitions, where they cannot be listed: where its descent ends, its curvature there, and what an
independent sample says of the same point."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from crar_model.agent.loss import FOLLOWED
from crar_model.agent.symmetry import Match
from crar_model.core.params import DYNAMICS, Params, select
from crar_model.models.evaluation import dtype_of
from crar_reports.measure.subject import Subject
from landscape_tools import (
    Descended,
    Ends,
    descend,
    difference_product,
    flatten,
    spectrum_ends,
    unflatten,
    verdict_on_both,
    verdict_on_sample,
)

SAMPLE, INDEPENDENT = 0, 1
"""Numbers of the two samples."""


@dataclass(frozen=True)
class Budget:
    """What a certificate and its paths may cost.

    Attributes:
        iterations: of L-BFGS. stationary: norm of the gradient at which it is done; share: expected further gain at which it is done too, of
            what there is to gain: of the failed encoder's loss above the reference's, of the reference's above its floor.
        steps: of Lanczos' method. step: length of the moves that products are differences over.
        bends: steps of the Bezier curve that a path begins as; images, moves: of the elastic band that goes on from it, and its iterations.
        samples: per straight piece of a path.
    """

    iterations: int = 50
    stationary: float = 1e-3
    share: float = 0.1
    steps: int = 12
    step: float = 1e-2
    bends: int = 12
    images: int = 5
    moves: int = 2
    samples: int = 3


QUICK = Budget(iterations=4, steps=3, bends=2, images=3, moves=1, samples=2)
"""For `--quick`."""
FULL = Budget(iterations=100, steps=30)
"""For `--full` and `crar claims`."""


class SampleTotal:
    """The total loss of one point on a batch, with its gradient: `landscape_tools` takes it point by point."""

    def __init__(self, subject: Subject, fixed: Params, like: Params) -> None:
        self.subject, self.fixed, self.like = subject, fixed, dict(like)

    def __call__(self, point: Params) -> Tensor:
        """The loss, a scalar."""
        return self.subject.terms(self.fixed | dict(point), names=FOLLOWED)["total"]

    def slope(self, vector: np.ndarray[Any, Any]) -> tuple[float, np.ndarray[Any, Any]]:
        """(n,) float64 -> the loss and its gradient."""
        at = torch.from_numpy(np.ascontiguousarray(vector)).requires_grad_()
        value = self(unflatten(at, self.like))
        (gradient,) = torch.autograd.grad(value, at)
        return float(value.detach()), gradient.double().numpy()

    def with_gradients(self, rows: Tensor, like: Params) -> tuple[Tensor, Tensor]:
        """One after the other: the graph of a single point fills the cache."""
        found = [self.slope(row.detach().double().numpy()) for row in rows]
        return torch.tensor([value for value, _ in found], dtype=torch.float64), torch.stack([torch.from_numpy(g) for _, g in found])


@dataclass(frozen=True)
class OnSample:
    """A converged encoder on the sample and on an independent one.

    Attributes:
        encoder: its parameters.
        descended: how it got there. ends: of the spectrum on the sample; None where it was not looked at.
        target: loss on the sample that its descent is held against: the converged reference's, or the floor where it is the reference.
        budget: what it was allowed to cost.
        other_loss, other_gradient: on the independent sample; other_start its loss where the descent began.
        other_lowest, other_highest: curvature of the independent sample along the sample's extreme directions.
        match: how the embedding there relates to the base's.
    """

    encoder: Params
    descended: Descended
    ends: Ends | None
    target: float
    budget: Budget
    other_start: float
    other_loss: float
    other_gradient: float
    other_lowest: float
    other_highest: float
    match: Match

    def held_against(self, reference: OnSample) -> OnSample:
        """The same, with where the reference ended as the target."""
        return replace(self, target=reference.descended.loss)

    @property
    def left(self) -> float:
        """Expected further gain over what there is to gain; infinite at the target or below it."""
        gap = self.descended.loss - self.target
        return self.descended.expected / gap if gap > 0 else float("inf")

    @property
    def verdict(self) -> tuple[str, str]:
        """(word, reason), of the sample."""
        how = self.budget
        gap = self.descended.loss - self.target
        return verdict_on_sample(self.descended.gradient, self.ends, stationary=how.stationary, left=self.left, share=how.share, gap=gap)

    @property
    def both(self) -> tuple[str, str]:
        """The same of both samples."""
        highest = float("nan") if self.ends is None else self.ends.highest
        return verdict_on_both(self.verdict[0], self.descended.loss, highest, self.other_loss, self.other_lowest)

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        d, e = self.descended, self.ends
        return {
            "verdict": self.verdict[0], "reason": self.verdict[1], "both": self.both[0], "both_reason": self.both[1], "start": d.start,
            "loss": d.loss, "gradient": d.gradient, "iterations": d.iterations, "stopped": d.message, "expected": d.expected,
            "left": self.left,
            "spectrum": None if e is None else {
                "lowest": e.lowest, "lowest_residual": e.lowest_residual, "highest": e.highest, "highest_residual": e.highest_residual, "steps": e.steps,
            },
            "independent": {
                "start": self.other_start, "loss": self.other_loss, "gradient": self.other_gradient, "lowest": self.other_lowest,
                "highest": self.other_highest,
            },
            "match": self.match.plain(),
        }  # fmt: skip


def two_samples(subject: Subject, size: int) -> tuple[Subject, Subject]:
    """The subject on the sample and on the independent one.

    Raises:
        UserError: for a sample without a terminal transition.
    """
    dtype = dtype_of(subject.task)
    own, other = (subject.task.sample(inverse=subject.inverse, dtype=dtype, size=size, number=number) for number in (SAMPLE, INDEPENDENT))
    return subject.on(own), subject.on(other)


def copy_total(subject: Subject) -> float:
    """Loss of the base's copy as it is: a target of descents that go on beside the copy's own, for it is no lower than where that will end."""
    with torch.no_grad():
        return float(subject.terms(subject.copy, names=FOLLOWED)["total"])


def sizes_of(samples: tuple[Subject, Subject]) -> dict[str, dict[str, int]]:
    """Sizes of both samples."""
    return {which: size_of(one) for which, one in zip(("sample", "independent"), samples, strict=True)}


def size_of(subject: Subject) -> dict[str, int]:
    """Transitions, terminal ones and maps of a sample; of a world's the episodes."""
    batch, parts = subject.batch, "episodes" if subject.task.known_by_data else "maps"
    return {"transitions": len(batch.state), "terminal": int(batch.terminated.sum()), parts: batch.maps or 0}


Curvature = Literal["always", "converged", "never"]
"""When to look at the spectrum where a descent ended; of an end that had not converged it decides nothing."""


def converge_encoder(own: Subject, other: Subject, begun: Params, budget: Budget, *, target: float, curvature: Curvature) -> OnSample:
    """The encoder of a model, converged on the sample under the model's dynamics.

    Args:
        own, other: the pair on the sample and on the independent one.
        begun: all parameters of the model.
        budget: what it may cost.
        target: loss on the sample that the descent is held against.
        curvature: when to look at it.
    """
    encoder, fixed = select(begun, ("encoder",)), select(begun, DYNAMICS)
    here, there = (SampleTotal(subject, fixed, encoder) for subject in (own, other))
    start = flatten(encoder).double().numpy()

    def enough(loss: float, expected: float) -> bool:
        return 0 <= expected <= budget.share * (loss - target)

    found = descend(here.slope, start, iterations=budget.iterations, tolerance=budget.stationary, enough=enough)
    ends, lowest, highest = None, float("nan"), float("nan")
    converged = found.gradient <= budget.stationary or enough(found.loss, found.expected)
    if curvature == "always" or (curvature == "converged" and converged):
        ends = spectrum_ends(difference_product(here.slope, found.point, budget.step), len(start), steps=budget.steps)
        product = difference_product(there.slope, found.point, budget.step)
        lowest, highest = (float(v @ product(v)) for v in (ends.low, ends.high))
    other_loss, gradient = there.slope(found.point)
    point = unflatten(torch.from_numpy(found.point), encoder)
    return OnSample(
        point, found, ends, target, budget, there.slope(start)[0], other_loss, float(np.linalg.norm(gradient)), lowest, highest,
        own.match(own.embedding(begun | point)),
    )  # fmt: skip
