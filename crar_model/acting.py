"""What a trained model makes of observations: abstract states, planned values, actions."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from crar_model.agents import Agent
from crar_model.params import Params
from crar_model.planning import plan_values

Observation = np.ndarray[Any, Any] | Tensor


def as_rows(observation: Observation) -> tuple[Tensor, tuple[int, ...]]:
    """Observations as rows (n, 1, height, width), floats as float32, and the axes that came before the image.

    Args:
        observation: (height, width), (1, height, width) or any leading axes before either, as of a vector environment.

    Raises:
        ValueError: for fewer than two axes.
    """
    images = torch.as_tensor(observation)
    if images.dim() < 2:
        raise ValueError(f"an observation of shape {tuple(images.shape)}; give (height, width) or (1, height, width), with any axes before")
    lead = images.shape[:-3] if images.dim() > 2 and images.shape[-3] == 1 else images.shape[:-2]
    rows = images.reshape(-1, 1, *images.shape[-2:])
    return rows.to(torch.float32) if rows.is_floating_point() else rows, tuple(lead)


def encode(agent: Agent, params: Params, observation: Observation) -> Tensor:
    """Abstract states of observations: (..., 1, height, width) -> (..., d); see :func:`as_rows` for shapes."""
    rows, lead = as_rows(observation)
    with torch.no_grad():
        return agent.read(params, rows).view(*lead, -1)


def plan(agent: Agent, params: Params, observation: Observation, depth: int = 3) -> Tensor:
    """Q_plan of every action after `depth` steps of lookahead, the mean of Q^0 to Q^depth: (..., 1, height, width) -> (..., actions)."""
    rows, lead = as_rows(observation)
    with torch.no_grad():
        return plan_values(agent, params, agent.read(params, rows), depth).view(*lead, -1)
