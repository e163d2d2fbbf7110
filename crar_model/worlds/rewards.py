"""What the moves of a world pay; where a reward varies, by the time that has passed or at random."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from crar_model.core.ratio import LIKE, LIKE_AT_0
from crar_model.worlds.episodes import Array
from crar_model.worlds.world import World

FEWEST = 5
"""Values of a reward from which it is said to go by the time: fewer fall or rise by chance."""
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


def paid_by(world: World, pair: Array, torn: Array, ended: Array, *, listed: bool) -> Paid:
    """The reward that a table has for every move.

    Moves whose ranges overlap and whose reward falls, or rises, with the time since the start of the episode have one mean together: each was met at other times.
    Elsewhere a move has its own mean, or that of all whose means differ by less than `ALIKE` standard errors. Rewards that differ by rounding are one.

    Args:
        world: what was observed.
        pair: (T,) int64 the move of every transition.
        torn: moves that lead to several observations; they have their mean.
        ended: (M,) bool, moves that end an episode.
        listed: whether the table stands for the world; elsewhere a move has its mean.
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
    if not len(varying) or not listed:
        return Paid(found, len(varying), 0, 0)
    began = np.flatnonzero(world.first)
    steps = np.arange(len(pair))
    time = steps - began[np.searchsorted(began, steps, side="right") - 1]
    order, ends = np.argsort(pair, kind="stable"), np.cumsum(count)[:-1]
    each, times = np.split(reward[order], ends), np.split(time[order], ends)
    for place in overlapping(low[varying], high[varying]):
        group = varying[place]
        when, what = (np.concatenate([of[move] for move in group]) for of in (times, each))
        course = Course(when, what)
        if not course.holds:
            timed += sum(Course(times[move], each[move]).holds for move in group)
            for alike in indistinct([each[move] for move in group]):
                found[group[alike]] = total[group[alike]].sum() / count[group[alike]].sum()
            continue
        near = np.flatnonzero(exact & (low >= what.min()) & (high <= what.max()) & np.isin(ended, ended[group]))
        more = [move for move in near if course.has(times[move], each[move])]
        timed, joined, group = timed + len(group), joined + len(more), np.concatenate((group, more)).astype(np.int64)
        found[group] = total[group].sum() / count[group].sum()
    return Paid(found, len(varying), timed, joined)


def snapped(reward: Array) -> Array:
    """Rewards, those that differ from the least of them by rounding alone as that one."""
    if not len(reward):
        return reward
    values, place = np.unique(reward, return_inverse=True)
    reach = values + np.maximum(LIKE * np.abs(values), LIKE_AT_0 * np.abs(values).max())
    least = np.arange(len(values))
    for at in np.flatnonzero(values[1:] <= reach[:-1]):
        if values[at + 1] <= reach[least[at]]:
            least[at + 1] = least[at]
    found: Array = values[least][place.ravel()]
    return found


class Course:
    """Rewards by the time, sorted: what was paid when."""

    def __init__(self, when: Array, what: Array) -> None:
        self.times, first = np.unique(when, return_index=True)
        self.paid = what[first]
        order = np.lexsort((what, when))
        again = np.diff(when[order]) == 0
        steps = np.diff(what[order])
        falls_or_rises = (steps >= 0).all() or (steps <= 0).all()
        self.holds = bool((steps[again] == 0).all() and falls_or_rises and len(np.unique(what)) >= FEWEST)
        """Whether it is a function of the time that never rises or never falls, of enough values to tell."""

    def has(self, time: Array, paid: Array) -> bool:
        """Whether another move's rewards lie on it: the same at a time that was met, elsewhere between those of the times before and after."""
        after = np.searchsorted(self.times, time)
        if (after == len(self.times)).any() or (time < self.times[0]).any():
            return False
        one, other = self.paid[np.where(self.times[after] == time, after, after - 1)], self.paid[after]
        return bool(((np.minimum(one, other) <= paid) & (paid <= np.maximum(one, other))).all())


def overlapping(low: Array, high: Array) -> list[Array]:
    """Places of intervals that overlap, directly or by others between them."""
    order = np.argsort(low)
    reach = np.maximum.accumulate(high[order])
    apart = np.flatnonzero(low[order][1:] > reach[:-1]) + 1
    return np.split(order, apart) if len(order) else []


def indistinct(each: list[Array]) -> Iterator[Array]:
    """Places of moves whose means do not differ, from the lowest on: the next is put to those before it as long as Welch's statistic is below `ALIKE`.

    Args:
        each: rewards of a move, of at least two each.
    """
    middle = np.concatenate(each).mean()  # about which squares lose no digits
    each = [paid - middle for paid in each]
    order = sorted(range(len(each)), key=lambda move: float(each[move].mean()))
    group, sums = [order[0]], _sums(each[order[0]])
    for move in order[1:]:
        more = _sums(each[move])
        if _apart(sums, more) < ALIKE:
            group.append(move)
            sums += more
        else:
            yield np.array(group)
            group, sums = [move], more
    yield np.array(group)


def _sums(paid: Array) -> Array:
    return np.array([len(paid), paid.sum(), np.square(paid).sum()])


def _apart(one: Array, other: Array) -> float:
    """Difference of two means over its standard error, from counts, sums and sums of squares."""
    (n, total, square), (m, sum_, squares) = one, other
    error = max(square / n - (total / n) ** 2, 0.0) / max(n - 1, 1) + max(squares / m - (sum_ / m) ** 2, 0.0) / max(m - 1, 1)
    return float((sum_ / m - total / n) / max(error, 1e-300) ** 0.5)
