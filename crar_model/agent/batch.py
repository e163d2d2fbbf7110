"""What a loss is evaluated on: a table of observations and indices into it; and the evaluation sets of the tasks."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


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
        maps: how many maps, one an episode, the transitions come from, of a world how many episodes; drawn evaluation sets only.
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
    maps: int | None = None

    def __repr__(self) -> str:
        """Shapes instead of numbers."""
        parts = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        return f"Batch({', '.join(f'{name} {tuple(value.shape)}' for name, value in parts.items() if isinstance(value, Tensor))})"

    def to(self, device: torch.device | str, dtype: torch.dtype) -> Batch:
        """The same batch on another device, its floating tensors as `dtype`."""
        moved: dict[str, Any] = {}
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Tensor):
                moved[item.name] = value.to(device, dtype) if value.is_floating_point() else value.to(device)
            elif value is not None:
                moved[item.name] = value
        return Batch(**moved)
