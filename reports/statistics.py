"""Intervals and tests of shares, times and scores, all SciPy's; the unit is the base where seeds share one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 1_000
TRIMMED = 0.25
"""Share that the interquartile mean leaves out at each end."""


def share(values: Sequence[bool]) -> dict[str, Any]:
    """Count, share and Clopper-Pearson interval at 95 %; None for no values."""
    if not values:
        return {"count": 0, "of": 0, "share": None, "low": None, "high": None}
    found: Any = stats.binomtest(sum(values), len(values)).proportion_ci(CONFIDENCE, method="exact")
    return {"count": sum(values), "of": len(values), "share": sum(values) / len(values), "low": float(found.low), "high": float(found.high)}


def share_words(values: Sequence[bool]) -> str:
    """Such as "3/8 (9 to 76 %)"; "-" for no values."""
    found = share(values)
    return f"{found['count']}/{found['of']} ({100 * found['low']:.0f} to {100 * found['high']:.0f} %)" if values else "-"


def unlike(first: Sequence[bool], second: Sequence[bool]) -> float:
    """Two-sided p of Boschloo's exact test that two shares are one; NaN where either has no values, 1 where all values are equal."""
    if not first or not second:
        return math.nan
    table = [[sum(first), sum(second)], [len(first) - sum(first), len(second) - sum(second)]]
    if 0 in (sum(table[0]), sum(table[1])):
        return 1.0  # nothing differs, and SciPy gives NaN
    return float(stats.boschloo_exact(table, alternative="two-sided").pvalue)


def differ(groups: Sequence[Sequence[bool]]) -> float:
    """p of a permutation test that the shares of groups (bases) are one: the spread of the shares, weighted by size, when values are dealt
    anew; NaN for fewer than two groups, 1 where all values are equal."""
    samples = [np.asarray(group, dtype=float) for group in groups if len(group)]
    if len(samples) < 2:
        return math.nan
    everything = np.concatenate(samples)
    if everything.min() == everything.max():
        return 1.0

    def spread(*parts: np.ndarray[Any, Any]) -> float:
        return float(sum(len(part) * (part.mean() - everything.mean()) ** 2 for part in parts))

    return float(
        stats.permutation_test(
            samples, spread, vectorized=False, n_resamples=RESAMPLES, alternative="greater", rng=np.random.default_rng(0)
        ).pvalue
    )


@dataclass(frozen=True)
class Times:
    """Updates until success, right-censored: `reached` where it came, `censored` where training ended before."""

    reached: tuple[float, ...]
    censored: tuple[float, ...]

    @property
    def data(self) -> stats.CensoredData:
        """As SciPy takes them."""
        return stats.CensoredData(uncensored=list(self.reached), right=list(self.censored))

    def __len__(self) -> int:
        return len(self.reached) + len(self.censored)


def survival_share(times: Times, at: float) -> tuple[float, float, float]:
    """Kaplan-Meier share that has succeeded by `at` updates, with its 95 % interval (log-log); NaN where there is none.

    Beyond the last success or censoring the estimate is that of the last moment.
    """
    if not times.reached:
        return 0.0, math.nan, math.nan
    left = stats.ecdf(times.data).sf
    bounds = left.confidence_interval(CONFIDENCE, method="log-log")
    value, low, high = (float(np.asarray(each.evaluate(at))) for each in (left, bounds.low, bounds.high))
    return 1 - value, 1 - high, 1 - low


def middle(times: Times) -> float:
    """Updates by which half have succeeded, by Kaplan-Meier; infinite where fewer than half ever do."""
    if not times.reached:
        return math.inf
    left = stats.ecdf(times.data).sf
    there = np.flatnonzero(left.probabilities <= 0.5)
    return float(left.quantiles[there[0]]) if len(there) else math.inf


def unlike_times(first: Times, second: Times) -> float:
    """Two-sided p of the log-rank test; NaN where either has no values or neither has a success."""
    if not len(first) or not len(second) or not (first.reached or second.reached):
        return math.nan
    return float(stats.logrank(first.data, second.data).pvalue)


def interquartile(groups: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """Interquartile mean over all values with the 95 % percentile interval from resampling whole groups (bases); NaN bounds for one group.

    Args:
        groups: values by base.
    """
    groups = [group for group in groups if len(group)]
    if not groups:
        return math.nan, math.nan, math.nan

    def mean(picked: Sequence[Sequence[float]]) -> float:
        return float(stats.trim_mean(np.concatenate([np.asarray(group, dtype=float) for group in picked]), TRIMMED))

    if len(groups) < 2:
        return mean(groups), math.nan, math.nan

    def of_numbers(numbers: np.ndarray[Any, Any]) -> float:
        return mean([groups[int(number)] for number in numbers])

    found = stats.bootstrap(
        (np.arange(len(groups)),), of_numbers, vectorized=False, method="percentile", n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE, rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    return mean(groups), float(found.low), float(found.high)
