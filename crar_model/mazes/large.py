"""Layouts whose observations are too many to list: one pattern and one number a state stand for all of them, and a few drawn states for
the rest.

A table of all observations has states x cells numbers: 1,984 in the study's maze, 1.6 billion in a layout of 200x200 cells.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from crar_model.core.streams import Stream
from crar_model.core.tiles import CELL_PIXELS
from crar_model.mazes.simple import SimpleMaze

if TYPE_CHECKING:
    pass

LISTED = 1 << 18
"""Numbers of a table of observations up to which every state, transition and pair is listed."""
DRAWN = 128
"""States whose transitions and pairs stand for all of a large layout's."""
GOALS, STARTS = 32, 32
"""Drawn goals of a large layout, and drawn starts for each of them."""
SEED = 1_000_003
"""Of what is drawn; no member of a run has it."""
KEPT = 1 << 26
"""Numbers of a table of observations that an environment keeps."""
Array = np.ndarray[Any, Any]


def is_large(maze: SimpleMaze) -> bool:
    """Whether a maze is judged on drawn states, because a table of its observations is too large."""
    return maze.n_states * maze.walls.numel() > LISTED


def drawn_states(maze: SimpleMaze) -> Tensor:
    """(at most DRAWN,) int64 states, the same for every model, in ascending order."""
    rng = np.random.default_rng([SEED, Stream.DRAWN_STATES])
    return torch.from_numpy(np.sort(rng.permutation(maze.n_states)[:DRAWN]))


def drawn_pairs(n_states: int) -> tuple[Tensor, Tensor]:
    """Goals (GOALS,) and a row of starts for each, (GOALS, STARTS), int64; no start is its goal, and the same for every model."""
    rng = np.random.default_rng([SEED, Stream.DRAWN_PAIRS])
    goals = rng.permutation(n_states)[:GOALS]
    starts = rng.integers(0, n_states - 1, (len(goals), STARTS))
    return torch.from_numpy(goals), torch.from_numpy(starts + (starts >= goals[:, None]))


class ViewTable:
    """Observations of single states, drawn when they are asked for, in the place of an array of all.

    Attributes:
        shape: (states, 1, height, width) of that array.
    """

    def __init__(self, maze: SimpleMaze, *, inverse: bool, pixels: bool) -> None:
        self.maze, self.inverse, self.pixels = maze, inverse, pixels
        self.shape = (maze.n_states, *self[0].shape)
        ends = torch.tensor([-1.0, 1.0])[:, None, None, None].expand(2, *self.shape[1:])  # no pixel of the normal maze lies beyond
        self.ends = maze.map.apply(ends) if inverse else ends

    def __getitem__(self, state: int) -> Array:
        alone = replace(self.maze, positions=self.maze.positions[state : state + 1])
        view: Array = alone.observations(inverse=self.inverse, pixels=self.pixels)[0].numpy()
        return view

    def min(self) -> float:
        """A number that no observation goes below."""
        return float(self.ends.min())

    def max(self) -> float:
        """A number that no observation goes above."""
        return float(self.ends.max())


def observation_table(maze: SimpleMaze, *, inverse: bool, pixels: bool) -> Array | ViewTable:
    """The observations of all states, (states, 1, height, width) float32, kept where they fit the memory."""
    numbers = maze.n_states * maze.walls.numel() * (CELL_PIXELS**2 if pixels else 1)
    if numbers > KEPT:
        return ViewTable(maze, inverse=inverse, pixels=pixels)
    return maze.observations(inverse=inverse, pixels=pixels).numpy()
