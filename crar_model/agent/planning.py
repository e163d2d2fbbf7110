"""Planning in the abstract space by looking a few steps ahead (CRAR paper section 3; section 6 of docs/original.md).

Q_plan = mean over i = 0..D of Q^i, where Q^0 = Q and Q^i(x, a) = R(x, a) + g(x, a) max_b Q^{i-1}(T(x, a), b). The
root expands all actions, a deeper node only those with the largest Q. The learned discount is used as it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from crar_model.agent.agent import Agent
from crar_model.core.params import Params

BRANCHING = 2
"""Actions that a node below the root expands."""


def plan_values(agent: Agent, params: Params, x: Tensor, depth: int, branching: int = BRANCHING) -> Tensor:
    """Q_plan of every action, batched over states and members.

    One tree serves all i: which nodes exist depends on Q alone. It has 4 (1 + 2 + ... + 2^(D-1)) inner edges per
    state for branching 2.

    Args:
        agent: gives the networks.
        params: parameters with optional leading member axes.
        x: (*members, N, d) abstract states.
        depth: D, at least 0; 0 is Q itself.
        branching: actions expanded below the root.

    Returns:
        (*members, N, 4).

    Raises:
        ValueError: for a negative depth.
    """
    if depth < 0:
        raise ValueError(f"depth is {depth}; give at least 0")
    with torch.no_grad():
        values = agent.value(params, x)
        every = torch.arange(agent.n_actions, device=x.device).expand(values.shape)
        return torch.stack([values, *_lookahead(agent, params, x, every, depth, branching)]).mean(0)


def _lookahead(agent: Agent, params: Params, x: Tensor, action: Tensor, depth: int, branching: int) -> list[Tensor]:
    """Q^1 .. Q^depth of the actions (*members, N, e) in the states (*members, N, d), each (*members, N, e)."""
    if depth == 0:
        return []
    reward, discount, reached = agent.outcomes(params, x, action)
    nodes = reached.flatten(-3, -2)  # (*members, N e, d)
    values = agent.value(params, nodes)
    best = values.topk(min(branching, agent.n_actions), dim=-1).indices if depth > 1 else action[..., :0]
    later = [values, *_lookahead(agent, params, nodes, best, depth - 1, branching)]
    return [reward + discount * torch.unflatten(value.amax(-1), -1, action.shape[-2:]) for value in later]


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


Rows = tuple[Tensor, tuple[int, ...]]
"""Observations as rows, and the axes that came before them, as :func:`as_rows` gives them."""


def encode(agent: Agent, params: Params, seen: Rows) -> Tensor:
    """Abstract states (..., d) of observations."""
    rows, lead = seen
    with torch.no_grad():
        return agent.read(params, rows).view(*lead, -1)


def plan(agent: Agent, params: Params, seen: Rows, depth: int = 3) -> Tensor:
    """Q_plan (..., actions) of every action after `depth` steps of lookahead, the mean of Q^0 to Q^depth."""
    rows, lead = seen
    with torch.no_grad():
        return plan_values(agent, params, agent.read(params, rows), depth).view(*lead, -1)
