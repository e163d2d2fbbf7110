"""What a loss is evaluated on: a table of observations and indices into it; and the evaluation sets of the tasks."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crar_model.mazes.simple import SimpleMaze, simple_maze
from crar_model.mazes.tiles import SIZE
from crar_model.mazes.walks import Walk, gather_walk
from crar_model.streams import Stream

HELD_OUT_SIZE = 512
"""Transitions of the random mazes on which losses are compared."""
HELD_OUT_SEED = 1_000_003
"""Seed of the walk that they come from; no member of a run has it."""
HELD_OUT_WALK = 25_600


@dataclass(frozen=True, repr=False)
class Batch:
    """Transitions (s, a, r, s', terminated) whose observations are rows of one table.

    A maze of 31 states has 31 distinct observations, so a batch encodes those once and picks rows: exact,
    and several times cheaper than encoding 2 x 32 images.

    In the random mazes every row is used once and members have rows of their own: first s, then s'.

    Attributes:
        observations: (rows, 1, 8, 8), shared by all members, or (*members, rows, 1, 8, 8): images of the simple maze,
            tile maps of the random ones.
        state, next_state: (*members, B) int64, rows of s and s'; (B,) where all members use the same.
        action: (*members, B) int64.
        reward, terminated: (*members, B) floating; terminated is 1 where the episode ended.
        pairs: (2, K) int64 rows for `random_pairs`; None pairs each s with the one before it in the batch.
        value_target: (*members, B) regression target of Q(e(s))[a]; None lets the loss compute it.
        onehot: (*members, B, 4) the actions one-hot, where they are at hand already.
        anchor: (*members, B, d) wanted abstract state of s, for the `paired` procedure only.
        states: (N,) rows of the distinct states that embeddings are compared on; evaluation sets only.
        moves: (2, E) rows before and after each move that changes the state, whose mean length is the unit of distances;
            evaluation sets only.
    """

    observations: Tensor
    state: Tensor
    next_state: Tensor
    action: Tensor
    reward: Tensor
    terminated: Tensor
    pairs: Tensor | None = None
    value_target: Tensor | None = None
    anchor: Tensor | None = None
    onehot: Tensor | None = None
    states: Tensor | None = None
    moves: Tensor | None = None

    def __repr__(self) -> str:
        """Shapes instead of numbers."""
        parts = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        return f"Batch({', '.join(f'{name} {tuple(value.shape)}' for name, value in parts.items() if value is not None)})"

    def to(self, device: torch.device | str, dtype: torch.dtype) -> Batch:
        """The same batch on another device, its floating tensors as `dtype`."""
        moved = {}
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if value is not None:
                moved[item.name] = value.to(device, dtype) if value.is_floating_point() else value.to(device)
        return Batch(**moved)


def complete_batch(*, inverse: bool = False, dtype: torch.dtype = torch.float32, maze: SimpleMaze | None = None) -> Batch:
    """All transitions of a maze whose states can be listed, and all pairs of distinct states: 124 and 465 in the simple maze.

    Pairs of a state with itself are left out: no encoder can change them.
    """
    maze = maze or simple_maze()
    n, actions = maze.n_states, maze.n_actions
    zeros = torch.zeros(n * actions, dtype=dtype)
    return Batch(
        observations=maze.observations(inverse=inverse, dtype=dtype),
        state=torch.arange(n).repeat_interleave(actions),
        next_state=maze.successor.reshape(-1),
        action=torch.arange(actions).repeat(n),
        reward=zeros,
        terminated=zeros.clone(),
        pairs=torch.triu_indices(n, n, offset=1),
        states=torch.arange(n),
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
    walk = gather_walk(seed, max(HELD_OUT_WALK, 2 * size), inverse=inverse)
    batch = walk_batch(walk, np.random.default_rng([seed, Stream.HELD_OUT]).permutation(len(walk))[:size])
    before, after = batch.state, batch.next_state
    moving = (batch.observations[before] != batch.observations[after]).flatten(1).any(1)
    return dataclasses.replace(batch, states=before, moves=torch.stack((before[moving], after[moving])))
