"""Planning in the abstract space by looking a few steps ahead (CRAR paper section 3; section 6 of docs/original.md).

Q_plan = mean over i = 0..D of Q^i, where Q^0 = Q and Q^i(x, a) = R(x, a) + g(x, a) max_b Q^{i-1}(T(x, a), b). The
root expands all actions, a deeper node only those with the largest Q. The learned discount is used as it is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from crar_model.agents import Agent
from crar_model.params import Params

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
    best = values.topk(branching, dim=-1).indices if depth > 1 else action[..., :0]
    later = [values, *_lookahead(agent, params, nodes, best, depth - 1, branching)]
    return [reward + discount * torch.unflatten(value.amax(-1), -1, action.shape[-2:]) for value in later]
