"""Whether the states of a world can be listed, and what is to be said of it: found out from its data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crar_model.core.words import plural
from crar_model.worlds.episodes import Array
from crar_model.worlds.rewards import ALIKE, paid_by
from crar_model.worlds.world import World

MOST_MOVES = 1 << 14
"""States x actions up to which every move is listed."""
MOST_PAIRS = 1 << 15
"""Pairs of states up to which `random_pairs` is of all of them."""
MOST_GOALS = 256
"""States up to which every start and goal of navigation is tried."""
LEAST_KNOWN = 0.5
"""Share of the moves of states that act that the data must have tried, for the table to be called one."""
UNEVEN = 10.0
"""Times as often as another that a move was tried, from which that is said."""
LEAST_TRIES = 2.0
"""Times that a move was tried in the mean, at least: of what never came back nobody knows whether it always leads to the same."""


@dataclass(frozen=True)
class Listing:
    """What the data say of a world's states and moves.

    Attributes:
        successor: (R, A) int64 where each action leads; the state itself where it was not tried.
        known, ended: (R, A) bool, whether it was tried, and whether the episode ended there.
        reward: (R, A) float64; of moves whose rewards vary the mean, see :func:`crar_model.worlds.rewards.paid_by`.
        start: the observation that most episodes begin with; starts: how many different ones do.
        torn: pairs of an observation and an action that lead to several observations; torn_observations: observations with such an action.
        varying: pairs whose reward varies, where they always lead to the same; timed: those of them whose reward goes by the time that has passed;
            joined: further ones that were paid once, or at one time, as those are.
        silent: observations from which nothing was tried.
        closed: of those, observations that end an episode whenever they are met.
        listed: whether the table stands for the world.
        why: why it does not, in words; "" where it does.
    """

    successor: Array
    known: Array
    ended: Array
    reward: Array
    start: int
    starts: int
    torn: int
    torn_observations: int
    varying: int
    timed: int
    joined: int
    silent: int
    closed: int
    listed: bool
    why: str


def list_states(world: World) -> Listing:
    """Look at a world's data."""
    n, actions = len(world.frames), world.n_actions
    pair = world.state.astype(np.int64) * actions + world.action
    outcome = world.next_state.astype(np.int64) * 2 + world.terminated
    order = np.lexsort((outcome, pair))
    begins = np.concatenate(([True], pair[order][1:] != pair[order][:-1]))
    other = np.concatenate(([False], outcome[order][1:] != outcome[order][:-1])) & ~begins
    tried = pair[order][begins]
    several = np.unique(pair[order][other])
    shape = (n, actions)
    successor = np.repeat(np.arange(n)[:, None], actions, axis=1)
    known, ended = np.zeros(shape, dtype=np.bool_), np.zeros(shape, dtype=np.bool_)
    successor.ravel()[tried] = outcome[order][begins] // 2
    known.ravel()[tried] = True
    ended.ravel()[tried] = outcome[order][begins] % 2 == 1
    begin = world.state[world.first]
    starts, times = np.unique(begin, return_counts=True)
    silent = ~known.any(1)
    terminal = np.zeros(n, dtype=np.bool_)
    terminal[world.next_state[world.terminated]] = True
    acting = int((~silent).sum())
    share = float(known.sum() / max(1, acting * actions))
    why, tries = "", world.steps / max(1, len(tried))
    if len(several):
        why = f"{plural(len(several), 'pair')} of an observation and an action lead to different observations"
    elif n * actions > MOST_MOVES:
        why = f"{n:,} distinct observations with {actions} actions are more than {MOST_MOVES:,} moves"
    elif tries < LEAST_TRIES:
        why = f"its {n:,} distinct observations hardly come back: a move that was tried was tried {tries:.1f} times in the mean"
    elif share < LEAST_KNOWN:
        why = f"of the moves of its {acting:,} distinct observations {share:.0%} were tried"
    paid = paid_by(world, pair, several, ended.ravel(), listed=not why)
    return Listing(
        successor, known, ended, paid.reward.reshape(shape), int(starts[times.argmax()]), len(starts), len(several),
        len(np.unique(several // actions)), paid.varying, paid.timed, paid.joined, int(silent.sum()), int((silent & terminal).sum()),
        not why, why,
    )  # fmt: skip


def in_words(world: World, listing: Listing) -> tuple[str, ...]:
    """What is to be said of a world, a sentence each."""
    n, actions = listing.known.shape
    acting = n - listing.silent
    episodes, ends = int(world.first.sum()), int(world.terminated.sum())
    lines = [
        f"{world.steps:,} transitions of {plural(episodes, 'episode')} by a {world.about.get('policy', 'unknown')} policy; {ends:,} of them ended in the "
        f"world itself, {episodes - ends:,} were cut (a cut is no end: the value after it counts)"
    ]
    if listing.listed:
        known, asked = int(listing.known.sum()), acting * actions
        lines.append(
            f"the {plural(n, 'distinct observation')} can be listed and every move always leads to the same: the {known:,} moves that were tried are the "
            "evaluation set, complete for what the data reached"
        )
        often = np.bincount(world.state.astype(np.int64) * actions + world.action)
        few, many = int(often[often > 0].min()), int(often.max())
        if many >= UNEVEN * few:
            lines.append(f"a move was tried between {plural(few, 'time')} and {many:,}: `--even-moves` learns from each equally often")
        if asked > known:
            lines.append(f"{asked - known:,} of {asked:,} moves from states that act were never tried: nothing is said of them")
        if acting > MOST_GOALS:
            lines.append(f"`random_pairs` is of at most {MOST_PAIRS:,} drawn pairs of states, navigation of drawn starts and goals")
        if (edge := listing.silent - listing.closed) > 0:
            lines.append(f"from {plural(edge, 'observation')} nothing was tried: what lies behind was not reached")
    else:
        lines.append(f"states are not listed ({listing.why}), so losses are judged on a held-out sample of episodes")
    if listing.torn:
        lines.append(
            f"{plural(listing.torn, 'move')} from {plural(listing.torn_observations, 'observation')} do not always lead to the same: moves are random, or states "
            "look alike (partial observation)"
        )
    if listing.timed:
        lines.append(
            f"the reward of {plural(listing.timed + listing.joined, 'move')} goes by the time that has passed: the table has the mean, one for all such moves whose "
            "rewards overlap"
        )
    if others := listing.varying - listing.timed:
        lines.append(
            f"the reward of {plural(others, 'move')} varies, at random or by what is not observed: the table has the mean of each, one for moves whose means are "
            f"within {ALIKE:g} standard errors of each other"
        )
    if listing.starts > 1:
        lines.append(f"episodes begin with {listing.starts:,} different observations")
    if declared := world.about.get("declared"):
        lines.append(
            f"the environment declares observations of shape {tuple(declared)} and gives {world.frames.shape[1:]}, which is what is used"
        )
    return (*lines, *map(str, world.about.get("notes", ())))
