"""The scores that the original study released: 120 runs in the random mazes, a score an epoch, and the tables made of them.

Source: the `*_scores.jldump` files of the repository `geoffreyvd/deer-clean` (van Driessel and François-Lavet, arXiv 2111.11525),
rounded to 4 decimals; docs/original.md, section 8, has what they show.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from statistics import stdev
from typing import Any

import numpy as np

from crar_model.models.merit import SUCCESS
from crar_reports.claims.rates import short
from crar_reports.measure.scores import WINDOW, final

FILE = Path(__file__).parents[1] / "released" / "scores.csv.gz"
COLUMNS = np.dtype(
    [("variant", "U15"), ("base_model", "U2"), ("learning_rate", "f8"), ("seed", "i8"), ("epoch", "i8"), ("score", "f8")]
)  # fmt: skip
"""Columns of :func:`released_scores`."""
BASES = ("41", "42", "43", "44", "45")
VARIANTS = ("freeze", "reset-encoder", "unfreeze", "omit-ball", "delay-structure")
EPOCH = 2_000
"""Updates of an epoch."""
DELAYED, RELEASED_DELAY = "delay-structure", 30_000
"""The variant whose structure terms are off at first, and for how many updates of the released runs."""
RATE = 5e-4
"""Learning rate of all runs but those of the study of learning rates."""


@dataclass(frozen=True)
class ReleasedRun:
    """One released run.

    Attributes:
        variant: as in `crar transfer --variant`.
        base_model: name of the base, "" for `scratch`, which has none.
        learning_rate: of RMSprop, without decay.
        seed: of the run.
        scores: (epochs,) score of the validation after each epoch of 2,000 updates, from -5 (no key found) up; 64 to 200 epochs.
    """

    variant: str
    base_model: str
    learning_rate: float
    seed: int
    scores: np.ndarray[Any, Any] = field(repr=False)

    @property
    def final(self) -> float:
        """Final score: the mean of the last 10 epochs, of the last half of fewer than 20."""
        return final(self.scores)

    def until(self, updates: int | None) -> ReleasedRun:
        """The run as it would be had it ended after so many updates; None for all that it has."""
        return self if updates is None else replace(self, scores=self.scores[: max(1, updates // EPOCH)])

    def first_above(self, level: float = SUCCESS, *, window: int = WINDOW) -> int | None:
        """Epoch, from 1, at whose end the mean of the last `window` epochs is above a level for the first time; None for never.

        Args:
            level: a score.
            window: epochs of the running mean; before that many have run there is none.
        """
        if len(self.scores) < window:
            return None
        means = np.lib.stride_tricks.sliding_window_view(self.scores, window).mean(1)
        above = np.flatnonzero(means > level)
        return int(above[0]) + window if len(above) else None


@dataclass(frozen=True)
class Outcome:
    """What runs of one kind gave.

    Attributes:
        runs: how many.
        mean, sd: of their final scores; the standard deviation is the sample's (n - 1).
        successes: runs whose final score is above 0.
    """

    runs: int
    mean: float
    sd: float
    successes: int

    def __str__(self) -> str:
        """As in the study's tables: mean ± sd, successes/runs."""
        return f"{self.mean:.2f} ± {self.sd:.2f}, {self.successes}/{self.runs}"


@cache
def released_scores() -> np.ndarray[Any, Any]:
    """All validations of the 120 runs: (12492,) structured array with the columns :data:`COLUMNS`, read-only.

    A run's rows stand together, its epochs ascend from 1. `base_model` is "" for `scratch`.
    """
    with gzip.open(FILE, "rt", encoding="ascii", newline="") as stream:
        rows = list(csv.reader(stream))
    if tuple(rows[0]) != COLUMNS.names:
        raise ValueError(f"{FILE}: columns {rows[0]}; {COLUMNS.names} were packed")
    table = np.array([tuple(row) for row in rows[1:]], dtype=COLUMNS)
    table.flags.writeable = False
    return table


@cache
def _all_runs() -> tuple[ReleasedRun, ...]:
    table = released_scores()
    starts = np.flatnonzero(table["epoch"] == 1)
    return tuple(
        ReleasedRun(
            str(rows["variant"][0]), str(rows["base_model"][0]), float(rows["learning_rate"][0]), int(rows["seed"][0]), rows["score"]
        )
        for rows in np.split(table, starts[1:])
    )


def released_runs(variant: str | None = None, base_model: str | None = None, learning_rate: float | None = None) -> list[ReleasedRun]:
    """The released runs, or those of one variant, base model and learning rate; None leaves one open."""
    wanted = (variant, base_model, learning_rate)
    return [
        run
        for run in _all_runs()
        if all(want in (None, have) for want, have in zip(wanted, (run.variant, run.base_model, run.learning_rate), strict=True))
    ]


def outcome(runs: Iterable[ReleasedRun]) -> Outcome:
    """Mean, standard deviation and successes of some runs.

    Raises:
        ValueError: for fewer than two runs, which have no standard deviation.
    """
    finals = [run.final for run in runs]
    if len(finals) < 2:
        raise ValueError(f"{len(finals)} runs; a standard deviation needs two")
    return Outcome(len(finals), float(np.mean(finals)), stdev(finals), sum(final > SUCCESS for final in finals))


def released_rows() -> list[tuple[str, ...]]:
    """The released transfers as rows: variant, then a cell a base of :data:`BASES`, "" where nothing was released."""
    rows = []
    for variant in VARIANTS:
        groups = [released_runs(variant, base, RATE) for base in BASES]
        name = f"{variant}, lr 5e-4" if variant == "freeze" else variant
        rows.append((name, *(str(outcome(group)) if group else "" for group in groups)))
    return rows


def learning_rate_rows() -> list[tuple[str, ...]]:
    """The released study of learning rates, `freeze` from base 42: a row (rate, outcome) a rate, ascending."""
    rates = sorted({run.learning_rate for run in released_runs("freeze", "42")})
    return [(short(rate), str(outcome(released_runs("freeze", "42", rate)))) for rate in rates]


def first_above_rows() -> list[tuple[str, str, str]]:
    """When scores came up: (variant, base, epochs) of `scratch` and of every variant and base that was released at 5e-4.

    Epochs are at whose end the 5-epoch mean is above 0 for the first time: lowest to highest, and how many runs got there.
    """
    rows = []
    for variant, base in [("scratch", ""), *((variant, base) for variant in VARIANTS for base in BASES)]:
        runs = released_runs(variant, base, RATE)
        if not runs:
            continue
        reached = [epoch for run in runs if (epoch := run.first_above()) is not None]
        epochs = f"{min(reached)} to {max(reached)}" if reached else "-"
        rows.append((variant, base, f"{epochs} ({len(reached)}/{len(runs)})"))
    return rows
