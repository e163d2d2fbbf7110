"""The evaluation sets of both mazes: the transitions that losses, landscapes and verdicts are computed on."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from crar_model.agent.batch import Batch
from crar_model.core.streams import Stream
from crar_model.core.tiles import SIZE
from crar_model.mazes.simple import simple_maze
from crar_model.mazes.table import StateTable
from crar_model.mazes.walks import Walk, gather_walk

HELD_OUT_SIZE = 512
"""Transitions of the random mazes on which losses are compared."""


HELD_OUT_SEED = 1_000_003
"""Seed of the walk that they come from; no member of a run has it."""


HELD_OUT_WALK = 25_600


TABLE_SIZE = 8_192
"""Transitions of the random mazes behind tables and verdicts: of 512, one or two are terminal, and a single one that a model misses would
double its `discount`."""


SAMPLE_SEED = 1_000_101
"""Seed of the first further sample; its successors have their own."""


LEAST_MAPS = 200
"""Maps that a further sample's walk leads through, at least; it goes on until it has."""


def complete_batch(*, inverse: bool = False, dtype: torch.dtype = torch.float32, maze: StateTable | None = None) -> Batch:
    """All known transitions of a world whose states can be listed, and all pairs of distinct states: 124 and 465 in the simple maze.

    Pairs of a state with itself are left out: no encoder can change them. So are those of states that only end an episode: no dynamics start there.
    """
    maze = maze or simple_maze()
    state, action = maze.known.nonzero(as_tuple=True)
    return Batch(
        observations=maze.observations(inverse=inverse, dtype=dtype),
        state=state,
        next_state=maze.successor[state, action],
        action=action,
        reward=maze.rewards[state, action].to(dtype),
        terminated=maze.ended[state, action].to(dtype),
        pairs=maze.pairs,
        states=torch.arange(maze.n_states),
        moves=maze.edges().T,
    )


def walk_batch(walk: Walk, picks: np.ndarray[Any, Any], dtype: torch.dtype = torch.float32) -> Batch:
    """Some transitions of a walk of the random mazes as a batch shared by all members.

    Args:
        walk: from `gather_walk`.
        picks: (B,) transitions.
        dtype: of reward and terminated.
    """
    rows = np.concatenate((walk.state[picks], walk.next_state[picks]))
    state, next_state = torch.arange(len(rows)).chunk(2)
    return Batch(
        torch.from_numpy(walk.tiles[rows]).view(-1, 1, SIZE, SIZE), state, next_state, torch.from_numpy(walk.action[picks].astype(np.int64)),
        torch.from_numpy(walk.reward[picks]).to(dtype), torch.from_numpy(walk.terminated[picks]).to(dtype),
    )  # fmt: skip


@lru_cache(maxsize=8)
def held_out_batch(inverse: bool, size: int = HELD_OUT_SIZE, seed: int = HELD_OUT_SEED) -> Batch:
    """`size` transitions of a random walk in the random mazes that no training sees, in random order, so that neighbours, which
    `random_pairs` compares, are unrelated. The same transitions in both mazes; float32."""
    return _drawn(gather_walk(seed, max(HELD_OUT_WALK, 2 * size), inverse=inverse), size, seed)


@lru_cache(maxsize=4)
def further_batch(inverse: bool, size: int, number: int) -> Batch:
    """`size` transitions of a walk of their own, of at least as many maps as `LEAST_MAPS` or as transitions, in random order.

    Args:
        inverse: the maze to see them in; they are the same in both.
        size: how many.
        number: which of the samples; two numbers share no map but by chance.
    """
    length = max(HELD_OUT_WALK, 2 * size)
    while True:
        walk = gather_walk(SAMPLE_SEED + number, length, inverse=inverse)
        batch = _drawn(walk, size, SAMPLE_SEED + number)
        assert batch.maps is not None
        if batch.maps >= min(size, LEAST_MAPS) or length >= MOST_STEPS:
            return batch
        length *= 2


MOST_STEPS = 2**21
"""Longest walk that a further sample is drawn of."""


def _drawn(walk: Walk, size: int, seed: int) -> Batch:
    """Transitions of a walk in random order, as an evaluation set."""
    picks = np.random.default_rng([seed, Stream.HELD_OUT]).permutation(len(walk))[:size]
    batch = walk_batch(walk, picks)
    before, after = batch.state, batch.next_state
    moving = (batch.observations[before] != batch.observations[after]).flatten(1).any(1)
    number = np.cumsum(walk.terminated) - walk.terminated  # of the map that each step is in
    maps = len(np.unique(number[picks]))
    return dataclasses.replace(batch, states=before, moves=torch.stack((before[moving], after[moving])), maps=maps)
