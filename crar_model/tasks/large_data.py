"""Training data of layouts whose observations are too many to list."""

from __future__ import annotations

import torch
from torch import Tensor

from crar_model.core.params import Params
from crar_model.mazes.simple import SimpleMaze
from crar_model.nets import Observed
from crar_model.tasks.data import TableData
from crar_model.tasks.drawn import encode_all, observed


class LargeData(TableData):
    """Walks of a layout whose observations are too many to list: a batch has those of its own states."""

    maze: SimpleMaze

    def _observe(self) -> None:
        self.places = torch.arange(2 * self.settings.batch_size, device=self.device).chunk(2)
        self._seen = observed(self.maze, inverse=self.settings.inverse, blank=self.settings.terminal_last)

    def _encode(self, params: Params) -> Tensor:
        return encode_all(self.agent, params, self._seen)

    def _encode_others(self, params: Params) -> Tensor:
        return encode_all(self.agent, params, observed(self.maze, inverse=not self.settings.inverse))

    @property
    def seen(self) -> Observed:
        """Every observation, as one pattern and one number a state."""
        return self._seen

    def _rows(self, state: Tensor, next_state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rows = torch.cat((state, next_state), dim=-1)  # (members, 2 batch)
        shown = torch.from_numpy(self._seen.dense(rows.flatten().cpu().numpy())).to(self.device)
        first, second = self.places
        return shown.view(*rows.shape, 1, *self.maze.walls.shape), first, second
