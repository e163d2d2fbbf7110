"""Intervals and tests of shares, times and scores, all SciPy's; the unit is the base where seeds share one."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
CHANCE = 0.05
"""A p below this is called beyond chance."""
RESAMPLES, CLUSTERED = 1_000, 10_000
"""Of bases: for an interval of a mean, and of a share."""
DEALT = 9_999
"""Tables drawn for a test of shares."""
TRIMMED = 0.25
"""Share that the interquartile mean leaves out at each end."""
FEWEST_GROUPS = 4
"""Bases from which an interval by resampling them is given; of two or three it has hardly more values than they have."""


@dataclass(frozen=True)
class Share:
    """So many of so many, the share and its 95 % interval; NaN of none."""

    count: int
    of: int
    share: float = math.nan
    low: float = math.nan
    high: float = math.nan

    def __str__(self) -> str:
        """ "3 of 8"."""
        return f"{self.count} of {self.of}"


@dataclass(frozen=True)
class Interval:
    """A 95 % interval; NaN where there is none."""

    low: float = math.nan
    high: float = math.nan


def share(values: Sequence[bool]) -> Share:
    """Count, share and Clopper-Pearson interval at 95 %."""
    if not values:
        return Share(0, 0)
    found: Any = stats.binomtest(sum(values), len(values)).proportion_ci(CONFIDENCE, method="exact")
    return Share(sum(values), len(values), sum(values) / len(values), float(found.low), float(found.high))


def share_by_base(groups: Sequence[Sequence[bool]]) -> Share:
    """Count and share over all tries, with a 95 % interval whose unit is the group (base): tries of one base are alike.

    It is of the mean over bases, each of which counts alike however many tries it has. The share of successes of further bases is at least that of bases all of whose tries succeed and at most that of those any of whose do. So the interval goes
    from the lower Clopper-Pearson bound of the one to the upper bound of the other: exact, on the safe side, and with a try a base the usual one. Where bases have
    unlike numbers of tries the share of all tries may lie outside, and the interval is widened to hold it.

    Args:
        groups: outcomes by base; empty ones count for nothing.
    """
    groups = [group for group in groups if len(group)]
    found = share([value for group in groups for value in group])
    if not groups:
        return found
    low, high = share([all(group) for group in groups]).low, share([any(group) for group in groups]).high
    return replace(found, low=min(low, found.share), high=max(high, found.share))


def clustered(groups: Sequence[Sequence[bool]]) -> Interval:
    """95 % interval of a share from resampling whole groups (percentiles); none for fewer than two groups, and where all values are equal:
    resampling them says nothing of what was not seen."""
    if len(groups) < 2 or len({value for group in groups for value in group}) < 2:
        return Interval()
    hits, sizes = (np.array([f(group) for group in groups]) for f in (sum, len))
    picks = np.random.default_rng(0).integers(0, len(groups), (CLUSTERED, len(groups)))
    shares = hits[picks].sum(1) / sizes[picks].sum(1)
    return Interval(*(float(np.quantile(shares, each)) for each in (0.025, 0.975)))


def share_words(values: Sequence[bool]) -> str:
    """Such as "3/8 (9 to 76 %)", of independent values; "-" for no values."""
    return _words(share(values))


def share_words_by_base(groups: Sequence[Sequence[bool]]) -> str:
    """The same by :func:`share_by_base`."""
    return _words(share_by_base(groups))


def _words(found: Share) -> str:
    return f"{found.count}/{found.of} ({100 * found.low:.0f} to {100 * found.high:.0f} %)" if found.of else "-"


def unlike(first: Sequence[bool], second: Sequence[bool]) -> float:
    """Two-sided p of Boschloo's exact test that two shares are one; NaN where either has no values, 1 where all values are equal."""
    if not first or not second:
        return math.nan
    table = [[sum(first), sum(second)], [len(first) - sum(first), len(second) - sum(second)]]
    if 0 in (sum(table[0]), sum(table[1])):
        return 1.0  # nothing differs, and SciPy gives NaN
    return float(stats.boschloo_exact(table, alternative="two-sided").pvalue)


def differ(groups: Sequence[Sequence[bool]]) -> float:
    """p that the shares of groups (bases) are one: Pearson's statistic among tables with the same margins, which is to deal the outcomes
    anew; NaN for fewer than two groups, 1 where all values are equal or every group has one."""
    table = np.array([(sum(group), len(group) - sum(group)) for group in groups if len(group)])
    if len(table) < 2:
        return math.nan
    if 0 in table.sum(0):
        return 1.0  # nothing differs, and SciPy refuses
    deal = stats.MonteCarloMethod(n_resamples=DEALT, rng=np.random.default_rng(0))
    return float(stats.chi2_contingency(table, correction=False, method=deal).pvalue)


def most_apart(groups: Sequence[Sequence[bool]]) -> list[list[bool]]:
    """As many successes as there are, in groups of these sizes, where Pearson's statistic is highest: what a test of these numbers could find at best.

    With the margins given it grows with the sum of k^2 / n over groups of k successes in n, whose highest value is found group by group.
    """
    total = sum(map(sum, groups))
    best: dict[int, tuple[float, tuple[int, ...]]] = {0: (0.0, ())}
    for group in groups:
        size, further = len(group), dict[int, tuple[float, tuple[int, ...]]]()
        for had, (value, counts) in best.items():
            for count in range(min(size, total - had) + 1):
                whole = value + (count**2 / size if size else 0.0)
                if had + count not in further or whole > further[had + count][0]:
                    further[had + count] = whole, (*counts, count)
        best = further
    return [[True] * count + [False] * (len(group) - count) for count, group in zip(best[total][1], groups, strict=True)]


def holm(values: Sequence[float]) -> list[float]:
    """p of several tests, corrected for their number by Holm's step-down method, in the order given."""
    order, highest, found = sorted(range(len(values)), key=lambda place: values[place]), 0.0, [math.nan] * len(values)
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(values) - rank) * values[place]))
        found[place] = highest
    return found


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


def up_to(times: Times, end: float) -> Times:
    """The same as if training had ended at `end` updates."""
    late = [end for value in (*times.reached, *times.censored) if value > end]
    return Times(tuple(value for value in times.reached if value <= end), (*(value for value in times.censored if value <= end), *late))


def at_risk(times: Times, at: float) -> int:
    """Models that were in training at `at` updates without having succeeded before."""
    return sum(value >= at for value in (*times.reached, *times.censored))


@dataclass(frozen=True)
class Curve:
    """A Kaplan-Meier curve of success: steps, each value holds from its updates on.

    Attributes:
        updates: from 0 to the last success or censoring.
        share: that has succeeded. low, high: its pointwise 95 % interval (log-log); NaN where the formula gives none: before the first
            success, and once all have succeeded.
    """

    updates: tuple[float, ...]
    share: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def at(self, updates: float) -> tuple[float, float, float]:
        """(share, low, high) by then; beyond the end that of the end."""
        place = int(np.searchsorted(self.updates, updates, side="right")) - 1
        return self.share[place], self.low[place], self.high[place]


def success_curve(times: Times) -> Curve:
    """The curve of SciPy's `ecdf`.

    Raises:
        ValueError: for no models.
    """
    if not len(times):
        raise ValueError("a curve needs a model")
    end = max((*times.reached, *times.censored))
    if not times.reached:
        return Curve((0.0, end), (0.0, 0.0), (math.nan,) * 2, (math.nan,) * 2)
    left = stats.ecdf(times.data).sf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where it is undefined it is NaN, and the page says so
        bounds = left.confidence_interval(CONFIDENCE, method="log-log")
    steps = [1 - np.asarray(each.probabilities, dtype=float) for each in (left, bounds.high, bounds.low)]
    share, low, high = (tuple(map(float, values)) for values in steps)
    return Curve((0.0, *map(float, left.quantiles)), (0.0, *share), (math.nan, *low), (math.nan, *high))


def survival_share(times: Times, at: float) -> tuple[float, float, float]:
    """Kaplan-Meier share that has succeeded by `at` updates, with its 95 % interval (log-log); NaN where there is none.

    Beyond the last success or censoring the estimate is that of the last moment.
    """
    return success_curve(times).at(at)


def middle(times: Times) -> float:
    """Updates by which half have succeeded, by Kaplan-Meier; infinite where fewer than half ever do."""
    if not times.reached:
        return math.inf
    left = stats.ecdf(times.data).sf
    there = np.flatnonzero(left.probabilities <= 0.5)
    return float(left.quantiles[there[0]]) if len(there) else math.inf


def unlike_times(first: Times, second: Times) -> float:
    """Two-sided p of the log-rank test; NaN where either has no values or neither has a success, 1 where no success leaves anything to compare:
    at each all that were still at risk succeeded, or all were of one side."""
    if not len(first) or not len(second) or not (first.reached or second.reached):
        return math.nan
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # SciPy divides by a variance of 0
        p = float(stats.logrank(first.data, second.data).pvalue)
    return 1.0 if math.isnan(p) else p


def trimmed(count: int) -> int:
    """How many of so many values the interquartile mean leaves out at each end; none of fewer than four, whose mean it is."""
    return int(TRIMMED * count)


def interquartile(groups: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """Interquartile mean over all values with the 95 % percentile interval from resampling whole groups (bases); NaN bounds for
    fewer than four groups.

    Args:
        groups: values by base.
    """
    groups = [group for group in groups if len(group)]
    if not groups:
        return math.nan, math.nan, math.nan

    def mean(picked: Sequence[Sequence[float]]) -> float:
        return float(stats.trim_mean(np.concatenate([np.asarray(group, dtype=float) for group in picked]), TRIMMED))

    if len(groups) < FEWEST_GROUPS:
        return mean(groups), math.nan, math.nan

    def of_numbers(numbers: np.ndarray[Any, Any]) -> float:
        return mean([groups[int(number)] for number in numbers])

    found = stats.bootstrap(
        (np.arange(len(groups)),), of_numbers, vectorized=False, method="percentile", n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE, rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    return mean(groups), float(found.low), float(found.high)
