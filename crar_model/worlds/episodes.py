"""Episodes as flat arrays: what gathering writes, what a Minari dataset is read as, and what a world is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Episode:
    """One episode.

    Attributes:
        frames: (steps + 1, ...) observations, the last one after the last step.
        actions: (steps,) int64, counted from 0.
        rewards: (steps,) float64.
        terminated: whether the last step ended the episode in the world itself.
        truncated: whether it was cut there, by a time limit or by the end of gathering; an end in the world itself comes first.
        seed: that the episode began with, where it is known.
    """

    frames: Array
    actions: Array
    rewards: Array
    terminated: bool
    truncated: bool
    seed: int | None = None


@dataclass(frozen=True)
class Episodes:
    """Episodes of one environment, and how they came about.

    Attributes:
        each: the episodes.
        n_actions: number of actions.
        about: plain data: title, recipe of the environment, policy, seed, names of the actions, notes.
    """

    each: tuple[Episode, ...]
    n_actions: int
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Transitions of all episodes together."""
        return sum(len(one.actions) for one in self.each)
