"""Training data of a world: a batch encodes the observations of its own transitions, where they are fewer than all."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from crar_model.core.params import Params
from crar_model.tasks.data import TableData
from crar_model.worlds.tables import WorldTable

CHUNK = 2_048
"""Observations that are encoded at once."""


class WorldData(TableData):
    """Draws from a world whose encoder is dense, so that updates can run in compiled code."""

    maze: WorldTable

    def _observe(self) -> None:
        self.places = torch.arange(2 * self.settings.batch_size, device=self.device).chunk(2)
        self.observations = self.maze.observations(inverse=self.settings.inverse).to(self.device)

    @property
    def _whole(self) -> bool:
        """Whether a batch encodes everything, which is no more than its own transitions."""
        return self.maze.n_states <= 2 * self.settings.batch_size

    def _encode(self, params: Params) -> Tensor:
        return torch.cat([self.agent.encode(params, part) for part in torch.split(self.observations, CHUNK)], dim=-2)

    def _rows(self, state: Tensor, next_state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self._whole:
            return super()._rows(state, next_state)
        first, second = self.places
        return self.observations[torch.cat((state, next_state), dim=-1)], first, second


class ImageData(WorldData):
    """Draws from a world of images, which are kept as they were observed and scaled when they are asked for."""

    def _observe(self) -> None:
        self.places = torch.arange(2 * self.settings.batch_size, device=self.device).chunk(2)

    @property
    def listed(self) -> None:
        """No compiled code updates convolutions of any size."""
        return None

    def _encode_others(self, params: Params) -> Tensor:
        pieces = np.array_split(np.arange(self.maze.n_states), max(1, self.maze.n_states // CHUNK))
        with torch.no_grad():
            seen = (self.maze.rows(piece, inverse=not self.settings.inverse) for piece in pieces)
            return torch.cat([self.agent.encode(params, part) for part in seen], dim=-2)

    def new_target(self, target: Params) -> None:
        """Nothing to note: the loss asks for the values of a batch's own next states."""

    def _rows(self, state: Tensor, next_state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rows = torch.cat((state, next_state), dim=-1)
        each, place = np.unique(rows.cpu().numpy(), return_inverse=True)
        shown = self.maze.rows(each, inverse=self.settings.inverse).to(self.device)
        first, second = self.places
        return shown[torch.from_numpy(place.reshape(rows.shape)).to(self.device)], first, second
