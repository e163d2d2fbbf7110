"""What became of members that noise was to carry out of a minimum: counts, and the share still in with its interval."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.stats import CensoredData, ecdf

from crar_reports.statistics import CONFIDENCE, Share

JOINT = "joint"
"""The rule of a cell that names none, as results of older versions."""


@dataclass(frozen=True)
class Cell:
    """One kind of noise.

    Attributes:
        optimiser: a key of `OPTIMISERS`.
        rate: constant learning rate.
        batch: transitions per update.
        rule: what a step follows, "joint" or "sequential", as in `crar train`.
    """

    optimiser: str
    rate: float
    batch: int
    rule: str = JOINT

    def __str__(self) -> str:
        """A kind of noise in words, its rule beside its rate."""
        return f"{self.optimiser}, {self.rule} steps, at a rate of {self.rate:g} and batches of {self.batch}"


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Members: how many there were, left, left for the base's embedding, and stopped being finite."""

    seeds: int
    left: int
    matched: int
    diverged: int


@dataclass(frozen=True)
class Counted(Counts, Cell):
    """A cell and what became of its members."""


@dataclass(frozen=True, kw_only=True)
class Watched(Counted):
    """The same with the course of it.

    Attributes:
        at, seen: of every member, see :class:`Exits`.
        updates, inside, low, high: share still in after so many updates, a step an exit, with its interval; NaN where nobody is left.
        median: updates until half had left; None where they had not.
        stayed: share that stayed, where nobody diverged.
    """

    at: list[float] = field(default_factory=list)
    seen: list[float] = field(default_factory=list)
    updates: list[float]
    inside: list[float]
    low: list[float]
    high: list[float]
    median: float | None
    stayed: Share | None = None


@dataclass(frozen=True)
class Exits:
    """What became of the seeds of a cell.

    Attributes:
        at: (seeds,) update of the check that first found it out; NaN for one that stayed.
        seen: (seeds,) update of the last check that it was in.
        diverged: how many stopped being finite; they are censored at the check before.
        matched: of those that left, how many descents ended at the base's embedding, up to a symmetry of the world.
    """

    at: np.ndarray[Any, Any]
    seen: np.ndarray[Any, Any]
    diverged: int
    matched: int

    def watched(self, cell: Cell) -> Watched:
        """Counts and the Kaplan-Meier estimate: share still in at every exit, with 95 % intervals."""
        left = ~np.isnan(self.at)
        updates = inside = low = high = np.empty(0)
        if left.any():
            curve = ecdf(CensoredData(uncensored=self.at[left], right=self.seen[~left])).sf
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # where nobody is left there is no interval
                span = curve.confidence_interval(CONFIDENCE, method="log-log")
            keep = np.isin(curve.quantiles, self.at[left])
            updates, inside, low, high = (
                x[keep] for x in (curve.quantiles, curve.probabilities, span.low.probabilities, span.high.probabilities)
            )
        under = updates[inside <= 0.5]
        return Watched(
            **vars(cell), seeds=len(self.at), left=int(left.sum()), matched=self.matched, diverged=self.diverged, at=self.at.tolist(),
            seen=self.seen.tolist(), updates=updates.tolist(), inside=inside.tolist(), low=low.tolist(), high=high.tolist(),
            median=float(under[0]) if len(under) else None,
        )  # fmt: skip
