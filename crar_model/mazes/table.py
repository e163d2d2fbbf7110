"""A world whose states and moves can be listed, as tables; what a learner asks of it is a lookup."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from crar_model.mazes.maps import ObservationMap


class StateTable(ABC):
    """States, moves and observations of a world.

    Attributes:
        successor: (N, A) int64, the state that each action leads to; the state itself where that is not known, and once an episode has ended.
        start: index of the state where most episodes begin.
        map: what the other side makes of an observation.
    """

    successor: Tensor
    start: int
    map: ObservationMap
    label_title: ClassVar[str] = "number of the state"
    """What a state's label is."""

    @property
    @abstractmethod
    def action_names(self) -> tuple[str, ...]:
        """Name of every action."""

    @abstractmethod
    def observations(self, *, inverse: bool = False, pixels: bool = False, dtype: torch.dtype = torch.float32) -> Tensor:
        """(N, channels, height, width) observation of every state, on one side or the other."""

    @abstractmethod
    def regions(self) -> tuple[Tensor, dict[int, str]]:
        """(N,) int64 part of the world that each state lies in, -1 for a door, and the parts' names."""

    @abstractmethod
    def label(self, state: int) -> str:
        """What a state is called, in a few letters."""

    @abstractmethod
    def caption(self, state: int) -> str:
        """What a state is called, in words."""

    @property
    def n_states(self) -> int:
        """Number of states."""
        return int(self.successor.shape[0])

    @property
    def n_actions(self) -> int:
        """Number of actions."""
        return int(self.successor.shape[1])

    @property
    def known(self) -> Tensor:
        """(N, A) bool, whether what an action leads to is known."""
        return torch.ones(self.successor.shape, dtype=torch.bool)

    @property
    def ended(self) -> Tensor:
        """(N, A) bool, whether the episode ends with the action."""
        return torch.zeros(self.successor.shape, dtype=torch.bool)

    @property
    def rewards(self) -> Tensor:
        """(N, A) float64 reward of each action, its mean where that varies."""
        return torch.zeros(self.successor.shape, dtype=torch.float64)

    @property
    def ways(self) -> Tensor:
        """(N, A) int64 where an agent gets by each action: an end leads nowhere, whatever was seen behind it."""
        return torch.where(self.ended, torch.arange(self.n_states).unsqueeze(1), self.successor)

    @property
    def asked(self) -> Tensor:
        """(N, A) bool, the moves that a transition model has to predict: known, and not the end of an episode."""
        return self.known & ~self.ended

    @property
    def live(self) -> Tensor:
        """(n,) int64 states that the dynamics say something of, in ascending order: those that act, and those that a move leads to."""
        asked = self.asked
        met = asked.any(1)
        met[self.successor[asked]] = True
        return met.nonzero().squeeze(1)

    @property
    def pairs(self) -> Tensor:
        """(2, K) int64 pairs of states that are to lie apart: all of those that the dynamics say something of."""
        live = self.live
        return live[torch.triu_indices(len(live), len(live), offset=1)]

    def edges(self) -> Tensor:
        """Every move that changes the state, once per unordered pair: (E, 2) int64 state pairs, the lower index first, in the order in which the
        table has them."""
        source = torch.arange(self.n_states).unsqueeze(1).expand(self.successor.shape)
        moving = self.asked & (source != self.successor)
        both = zip(source[moving].tolist(), self.successor[moving].tolist(), strict=True)
        pairs = dict.fromkeys((min(pair), max(pair)) for pair in both)
        return torch.tensor(list(pairs), dtype=torch.int64).view(-1, 2)

    def blank(self) -> Tensor:
        """(1, channels, height, width) the observation that is all zeros."""
        return torch.zeros_like(self.observations()[:1])

    def pictures(self, *, inverse: bool = False) -> Tensor:
        """(N, rows, columns) what the observations of all states show: their channels' mean."""
        return self.observations(inverse=inverse).mean(1)
