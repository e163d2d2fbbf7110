"""Scores of runs: a row a member, a base against its closed-form copy, and the table of all validations."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from crar_model.core.machine import cores
from crar_model.core.settings import PlaySettings
from crar_model.core.threads import torch_threads
from crar_model.models.checkpoints import Checkpoint
from crar_model.tasks.metrics import Score
from crar_model.tasks.playing import CONFIDENCE, score
from crar_reports.models.runs import Run, short_name

LAST = 10
"""Epochs that a run's final score is the mean of, as in the released table."""
WINDOW = 5
"""Epochs of the running mean that tells when scores come up; a choice of ours."""
ROUNDING = 1e-6
"""Scores that differ by less are equal: rewards of 0.1 are added up in float32."""
COLUMNS = (
    "variant", "base", "seed", "updates", f"mean of the last {LAST} validations", f"{WINDOW}-validation mean first above 0",
    "score of the last model", "score of the best validation's model", "embedding", "residual", "distance",
)  # fmt: skip


def running_mean(values: np.ndarray[Any, Any], window: int = WINDOW) -> np.ndarray[Any, Any]:
    """Mean of the last `window` values up to each one; of fewer at the start."""
    total = np.cumsum(np.concatenate(([0.0], values)))
    end = np.arange(1, len(values) + 1)
    start = np.maximum(0, end - window)
    result: np.ndarray[Any, Any] = (total[end] - total[start]) / (end - start)
    return result


def final(scores: np.ndarray[Any, Any]) -> float:
    """Final score: the mean of the last :data:`LAST` validations, or of the last half where there are fewer than twice as many, so that a
    short run's does not count the way up. Shape (validations,), at least one."""
    return float(scores[-min(LAST, -(-len(scores) // 2)) :].mean())


def span(found: Score | None) -> str:
    """A score with its interval; a dash for none."""
    return "-" if found is None else f"{found.mean:.2f} ({found.low:.2f} to {found.high:.2f})"


def score_rows(run: Run) -> list[tuple[object, ...]]:
    """One row per member, the columns `COLUMNS`."""
    rows: list[tuple[object, ...]] = []
    for k, member in enumerate(run.plan.members):
        own = run.losses["member"] == k
        scores, updates = run.losses["score"][own], run.losses["update"][own]
        above = np.flatnonzero(running_mean(scores)[1:] > 0)
        last, best = run.judged[k].evaluation, run.best[k].evaluation
        match = last.match
        rows.append(
            (
                run.plan.variant.name, short_name(Path(member.base)) if member.base else "", member.seed, run.judged[k].checkpoint.updates,
                float(scores[-LAST:].mean()), f"{int(updates[1:][above[0]]):,}" if len(above) else "-", span(last.score),
                f"{span(best.score)} at {run.best[k].checkpoint.updates:,}", "" if match is None else match.verdict,
                float("nan") if match is None else match.residual_edges, float("nan") if match is None else match.distance,
            )
        )  # fmt: skip
    return rows


@dataclass(frozen=True)
class Negation:
    """`negate-input` against its base.

    Attributes:
        base, model: scores on the same mazes with the same luck; same: the largest difference of an episode. apart: the model's on independent ones.
        difference, low, high: of the mean scores on independent mazes, by Welch's t interval.
    """

    base_name: str
    base: str
    model: str
    apart: str
    difference: float
    low: float
    high: float
    same: float
    episodes: int


def negation(name: str, base: Checkpoint, model: Checkpoint, how: PlaySettings) -> Negation:
    """`negate-input` against its base, called so, on the same mazes with the same luck, and on independent ones."""
    with torch_threads(1), ThreadPoolExecutor(max_workers=cores()) as pool:
        played = ((base, how), (model, how), (model, replace(how, seed=how.seed + 1)))
        first, same, apart = pool.map(lambda one: score(one[0].agent, one[0].parameters, inverse=one[0].inverse, how=one[1]), played)
    difference = apart.mean - first.mean
    low = high = difference
    if max(np.ptp(apart.values), np.ptp(first.values)) > ROUNDING:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # SciPy distrusts a sample of equal scores; here they are equal
            found = stats.ttest_ind(apart.values, first.values, equal_var=False).confidence_interval(CONFIDENCE)
        low, high = float(found.low), float(found.high)
    most = max(abs(x - y) for x, y in zip(same.values, first.values, strict=True))
    return Negation(name, span(first), span(same), span(apart), difference, low, high, most, how.episodes)


def scores_csv(runs: Sequence[Run]) -> str:
    """Every validation of every run as CSV."""
    lines = ["run,variant,member,seed,base,update,score"]
    for run in runs:
        table = run.losses
        for member, update, value in zip(table["member"], table["update"], table["score"], strict=True):
            about = run.plan.members[int(member)]
            base = short_name(Path(about.base)) if about.base else "none"
            lines.append(f"{run.folder.name},{run.plan.variant.name},{int(member)},{about.seed},{base},{int(update)},{value:.5g}")
    return "\n".join(lines) + "\n"
