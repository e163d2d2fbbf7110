"""A world whose dynamics are exact: every abstract state moves to where the planted embedding has the successor of the nearest state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crar_model.agent.agent import Agent
from crar_model.agent.batch import Batch
from crar_model.agent.loss import Loss
from crar_model.core.params import DYNAMICS, Params
from crar_model.core.settings import LossSettings, PlaySettings, TrainSettings
from crar_model.cures.problem import OwnData, Problem
from crar_model.tasks import Sampling, Task
from crar_model.tasks.data import Data
from crar_model.tasks.metrics import Metric

PLAIN = LossSettings(beta=0.0, random_pairs_weight=0.0)
"""Predictions alone: structure terms would pull the planted points elsewhere."""


def table_batch(successor: np.ndarray[Any, Any], reward: np.ndarray[Any, Any], ended: np.ndarray[Any, Any], size: int) -> Batch:
    """All transitions of a table (N, A), states seen as one-hots of `size` numbers."""
    states, actions = successor.shape
    before, after = torch.arange(states).repeat_interleave(actions), torch.from_numpy(successor.flatten())
    moving = before != after
    return Batch(
        torch.eye(states, size)[:, None, None, :], before, after, torch.arange(actions).repeat(states), torch.from_numpy(reward.flatten()).float(),
        torch.from_numpy(ended.flatten()).float(), torch.triu_indices(states, states, offset=1), states=torch.arange(states),
        moves=torch.stack((before[moving], after[moving])),
    )  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class PlantedAgent(Agent):
    """Attributes: points (N, d), successor (N, A) of the planted embedding, reward (N, A)."""

    points: Tensor
    successor: Tensor
    reward_of: Tensor

    def unit_signs(self, block: str) -> tuple[bool, ...]:
        return (True,)

    def state_inputs(self, block: str) -> slice:
        return slice(0, self.abstract_size)

    def init(self, rng: np.random.Generator) -> Params:
        size = len(self.points)
        encoder = torch.from_numpy(rng.standard_normal((self.abstract_size, size), dtype=np.float32))
        return {"encoder.0.weight": encoder, "encoder.0.bias": torch.zeros(self.abstract_size)} | {
            f"{block}.0.bias": torch.zeros(1) for block in DYNAMICS
        }

    def encode(self, params: Params, observations: Tensor) -> Tensor:
        return observations.flatten(-3) @ params["encoder.0.weight"].transpose(-1, -2) + params["encoder.0.bias"].unsqueeze(-2)

    def network(self, params: Params, block: str, x: Tensor, onehot: Tensor | None = None) -> Tensor:
        if block == "value":
            return torch.zeros(*x.shape[:-1], self.n_actions)
        assert onehot is not None
        points = self.points.to(x.dtype)
        nearest = torch.cdist(x.detach(), points.expand(*x.shape[:-2], *points.shape)).argmin(-1)
        action = onehot.argmax(-1)
        if block == "transition":
            return points[self.successor[nearest, action]] - x
        found = self.reward_of[nearest, action] if block == "reward" else torch.full(nearest.shape, 0.9)
        return found.unsqueeze(-1)


class PlantedTask(Task):
    """A table of moves with exact dynamics."""

    name, title = "planted", "planted world"
    sampling = Sampling("all transitions", complete=True, dtype="float64", space="embedding")

    def __init__(self, successor: np.ndarray[Any, Any], points: Tensor, reward: np.ndarray[Any, Any] | None = None) -> None:
        self.successor, self.paid = successor, np.zeros(successor.shape) if reward is None else reward
        self.own = PlantedAgent(
            n_actions=successor.shape[1],
            abstract_shape=(points.shape[1],),
            points=points,
            successor=torch.from_numpy(successor),
            reward_of=torch.from_numpy(self.paid).float(),
        )

    def agent(self) -> Agent:
        return self.own

    def data(self, settings: TrainSettings, seeds: Sequence[int], device: torch.device, bases: Sequence[Params] = ()) -> Data:
        raise NotImplementedError

    def batch(self, *, inverse: bool, dtype: torch.dtype) -> Batch:
        ended = np.zeros(self.successor.shape)
        return table_batch(self.successor, self.paid, ended, len(self.successor)).to("cpu", dtype)

    def metrics(self, agent: Agent, params: Params, *, inverse: bool, how: PlaySettings) -> dict[str, Metric]:
        return {}


def planted_problem(task: PlantedTask) -> Problem:
    """The problem of a transfer in that world whose encoder is random."""
    agent = task.agent()
    batch = Loss(agent, PLAIN).on(task.batch(inverse=True, dtype=torch.float32)).batch
    return Problem(task, agent.init(np.random.default_rng(0)), None, Loss(agent, PLAIN), OwnData.listed(batch))
