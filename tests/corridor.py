"""A task of one's own, in full: a corridor of five cells (docs/your_own_task.md shows this file)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from crar_model import tasks
from crar_model.agent.batch import Batch
from crar_model.agent.networks import Agent, DenseAgent
from crar_model.core.params import Params
from crar_model.core.settings import PlaySettings, TrainSettings
from crar_model.mazes.simple import SimpleMaze
from crar_model.tasks.batches import complete_batch
from crar_model.tasks.data import Data, TableData
from crar_model.tasks.metrics import Metric, table_metrics

LENGTH = 5


class Corridor(SimpleMaze):
    """Cells in a row; action 0 steps left, action 1 right; the agent sees a one-hot of its cell."""

    @property
    def action_names(self) -> tuple[str, ...]:
        return ("left", "right")

    def observations(self, *, inverse: bool = False, pixels: bool = False, dtype: torch.dtype = torch.float32) -> Tensor:
        seen = torch.eye(self.n_states, dtype=dtype).view(-1, 1, 1, self.n_states)  # (5, 1, 1, 5)
        return -seen if inverse else seen


def corridor() -> Corridor:
    walls = torch.ones(3, LENGTH + 2, dtype=torch.bool)
    walls[1, 1:-1] = False
    cells = torch.arange(LENGTH)
    moves = torch.stack((cells - 1, cells + 1), dim=1).clamp(0, LENGTH - 1)
    return Corridor(walls, (~walls).nonzero(), moves, start=LENGTH // 2)


class CorridorTask(tasks.Task):
    name, title = "corridor", "corridor of five cells"
    defaults = {"updates": 60, "log_interval": 20, "checkpoint_interval": 30, "data_size": 200}
    transfer_defaults = {"updates": 30}
    sampling = tasks.Sampling("all 10 transitions", complete=True, dtype="float64", space="embedding")

    @property
    def maze(self) -> SimpleMaze:
        return corridor()

    def agent(self) -> Agent:
        return DenseAgent(2, (2,), (LENGTH, 20, 10, 2), (4, 10, 10, 2), (4, 10, 1), (2, 10, 2))

    def data(self, settings: TrainSettings, seeds: Sequence[int], device: torch.device, bases: Sequence[Params] = ()) -> Data:
        return TableData(self.maze, self.agent(), settings, seeds, device, bases)

    def batch(self, *, inverse: bool, dtype: torch.dtype) -> Batch:
        return complete_batch(inverse=inverse, dtype=dtype, maze=self.maze)

    def metrics(self, agent: Agent, params: Params, *, inverse: bool, how: PlaySettings) -> dict[str, Metric]:
        return table_metrics(self.maze, agent, params, inverse=inverse)
