"""What a move pays whose reward varies: by the time that has passed, or at random."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from crar_model.worlds.episodes import Array
from crar_model.worlds.world import World

ALIKE = 3.0
"""Standard errors of a difference of means, up to which two moves are said to pay the same."""


def means_of_varying(world: World, pair: Array, varying: Array) -> tuple[Array, int]:
    """The reward that a table has for moves whose reward varies.

    Moves whose ranges overlap and whose reward is a function of the time since the start of the episode have one mean together: each was met at other times.
    Elsewhere a move has its own mean, or that of all whose means differ by less than `ALIKE` standard errors.

    Args:
        world: what was observed.
        pair: (T,) int64 the move of every transition.
        varying: (n,) int64 moves, ascending.

    Returns:
        (n,) float64 means, and how many of the moves go by the time.
    """
    if not len(varying):
        return np.zeros(0), 0
    where = np.flatnonzero(np.isin(pair, varying))
    which, paid = np.searchsorted(varying, pair[where]), world.reward[where]
    began = np.flatnonzero(world.first)
    time = where - began[np.searchsorted(began, where, side="right") - 1]
    count, total = np.bincount(which, minlength=len(varying)), np.bincount(which, weights=paid, minlength=len(varying))
    order, ends = np.argsort(which, kind="stable"), np.cumsum(count)[:-1]
    each, times = np.split(paid[order], ends), np.split(time[order], ends)
    low, high = (np.array([extreme(one) for one in each]) for extreme in (np.min, np.max))
    found, timed = np.zeros(len(varying)), 0
    for group in overlapping(low, high):
        goes_by = by_time(np.concatenate([times[move] for move in group]), np.concatenate([each[move] for move in group]))
        timed += goes_by * len(group)
        for own in [group] if goes_by else [group[alike] for alike in indistinct([each[move] for move in group])]:
            found[own] = total[own].sum() / count[own].sum()
    return found, timed


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
