"""What the moves of a world pay; where a reward varies, by the time that has passed or at random."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from crar_model.core.ratio import LIKE, LIKE_AT_0
from crar_model.worlds.episodes import Array
from crar_model.worlds.world import World

ALIKE = 3.0
"""Standard errors of a difference of means, up to which two moves are said to pay the same."""


@dataclass(frozen=True)
class Paid:
    """What the moves of a table pay.

    Attributes:
        reward: (M,) float64 of every move; 0 of those that were not tried.
        varying, timed: moves whose reward varies where they always lead to the same, and those of them whose reward goes by the time.
        joined: moves of one reward each time that was among what others paid by the time, and has their mean.
    """

    reward: Array
    varying: int
    timed: int
    joined: int


def paid_by(world: World, pair: Array, torn: Array, ended: Array) -> Paid:
    """The reward that a table has for every move.

    Moves whose ranges overlap and whose reward is a function of the time since the start of the episode have one mean together: each was met at other times.
    Elsewhere a move has its own mean, or that of all whose means differ by less than `ALIKE` standard errors. Rewards that differ by rounding are one.

    Args:
        world: what was observed.
        pair: (T,) int64 the move of every transition.
        torn: moves that lead to several observations; they have their mean.
        ended: (M,) bool, moves that end an episode.
    """
    reward = snapped(world.reward)
    count, total = np.bincount(pair, minlength=len(ended)), np.bincount(pair, weights=reward, minlength=len(ended))
    found = np.where(count > 0, total / np.maximum(count, 1), 0.0)
    low, high = np.full(len(ended), np.inf), np.full(len(ended), -np.inf)
    np.minimum.at(low, pair, reward)
    np.maximum.at(high, pair, reward)
    tried, whole = count > 0, np.ones(len(ended), dtype=np.bool_)
    whole[torn] = False
    exact = tried & whole & (low == high)
    found[exact] = low[exact]  # not a mean's rounding
    varying = np.flatnonzero(tried & whole & (low < high))
    timed = joined = 0
    if not len(varying):
        return Paid(found, 0, 0, 0)
    began = np.flatnonzero(world.first)
    steps = np.arange(len(pair))
    time = steps - began[np.searchsorted(began, steps, side="right") - 1]
    order, ends = np.argsort(pair, kind="stable"), np.cumsum(count)[:-1]
    each, times = np.split(reward[order], ends), np.split(time[order], ends)
    for place in overlapping(low[varying], high[varying]):
        group = varying[place]
        when, what = (np.concatenate([of[move] for move in group]) for of in (times, each))
        if not by_time(when, what):
            for alike in indistinct([each[move] for move in group]):
                found[group[alike]] = total[group[alike]].sum() / count[group[alike]].sum()
            continue
        near = np.flatnonzero(exact & (low >= what.min()) & (high <= what.max()) & np.isin(ended, ended[group]))
        more = [move for move in near if goes_with(when, what, times[move], each[move])]
        timed, joined, group = timed + len(group), joined + len(more), np.concatenate((group, more)).astype(np.int64)
        found[group] = total[group].sum() / count[group].sum()
    return Paid(found, len(varying), timed, joined)


def snapped(reward: Array) -> Array:
    """Rewards, those that differ by rounding alone as one: the least of them."""
    values, place = np.unique(reward, return_inverse=True)
    apart = ~np.isclose(values[1:], values[:-1], rtol=LIKE, atol=LIKE_AT_0 * float(np.abs(values).max(initial=0.0)))
    first = np.concatenate(([0], np.flatnonzero(apart) + 1))
    return values[first][np.concatenate(([0], np.cumsum(apart)))][place.ravel()]


def goes_with(when: Array, what: Array, time: Array, paid: Array) -> bool:
    """Whether rewards of another move are those of its time: the same at a time that was met, between those of the times before and after elsewhere."""
    times, first = np.unique(when, return_index=True)
    at = what[first]
    after = np.searchsorted(times, time)
    if (after == len(times)).any() or (time < times[0]).any():
        return False
    met = times[after] == time
    one, other = at[np.where(met, after, after - 1)], at[after]
    return bool(((np.minimum(one, other) <= paid) & (paid <= np.maximum(one, other))).all())


def overlapping(low: Array, high: Array) -> list[Array]:
    """Places of intervals that overlap, directly or by others between them."""
    order = np.argsort(low)
    reach = np.maximum.accumulate(high[order])
    apart = np.flatnonzero(low[order][1:] > reach[:-1]) + 1
    return np.split(order, apart) if len(order) else []


def by_time(time: Array, paid: Array) -> bool:
    """Whether rewards are a function of the time: the same at one time, and never rising or never falling where no time comes twice."""
    order = np.lexsort((paid, time))
    again = np.diff(time[order]) == 0
    steps = np.diff(paid[order])
    if again.any():
        return bool((steps[again] == 0).all())
    return bool((steps >= 0).all() or (steps <= 0).all())


def indistinct(each: list[Array]) -> Iterator[Array]:
    """Places of moves whose means do not differ: the two nearest neighbours by Welch's statistic are put together, as long as that is below `ALIKE`.

    Args:
        each: rewards of a move, of at least two each.
    """
    order = sorted(range(len(each)), key=lambda move: float(each[move].mean()))
    groups = [np.array([move]) for move in order]
    count = np.array([float(len(each[move])) for move in order])
    total = np.array([each[move].sum() for move in order])
    square = np.array([np.square(each[move]).sum() for move in order])
    while len(groups) > 1:
        mean = total / count
        error = np.maximum(square / count - mean**2, 0) / np.maximum(count - 1, 1)
        apart = np.diff(mean) / np.sqrt(np.maximum(error[1:] + error[:-1], 1e-300))
        at = int(apart.argmin())
        if not apart[at] < ALIKE:
            break
        groups[at] = np.concatenate((groups[at], groups.pop(at + 1)))
        for sums in (count, total, square):
            sums[at] += sums[at + 1]
        count, total, square = (np.delete(sums, at + 1) for sums in (count, total, square))
    yield from groups
