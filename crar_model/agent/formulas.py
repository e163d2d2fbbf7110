"""What loss terms are made of, where a term is more than a line."""

from __future__ import annotations

import torch
from torch import Tensor

from crar_model.agent.agent import Agent
from crar_model.agent.batch import Batch
from crar_model.core.params import Params
from crar_model.core.settings import LossSettings


def rows(embedding: Tensor, index: Tensor) -> Tensor:
    """Rows of (*members, rows, d): index (B,) is shared by all members, (*members, B) is each member's own."""
    if index.dim() == 1:
        return embedding.index_select(-2, index)
    return torch.take_along_dim(embedding, index.unsqueeze(-1), dim=-2)


def pairwise(difference: Tensor, settings: LossSettings) -> Tensor:
    """exp(-C_d |difference|) of (*members, K, d), the squared norm clipped: (*members, K)."""
    squared = difference.square().sum(-1).clamp(settings.pair_min, settings.pair_max)
    return torch.exp(-settings.pair_scale * squared.sqrt())


def pair_difference(embedding: Tensor, x: Tensor, batch: Batch) -> Tensor:
    """(*members, K, d) between the states of each pair: those that the batch lists, or every state x (*members, B, d) and the one before it."""
    if batch.pairs is None:
        return x - x.roll(1, dims=-2)
    return embedding[..., batch.pairs[0], :] - embedding[..., batch.pairs[1], :]


def sideways(agent: Agent, params: Params, x: Tensor) -> Tensor:
    """`interpret`: -cos between T(x, 0) - x and the first axis, averaged over all actions, of which only action 0 has a
    direction (the released code's choice); its learning rate there is 0, so it is logged and never followed."""
    first = torch.zeros(x.shape[:-1], dtype=torch.int64, device=x.device)
    move = (agent.transition(params, x, first) - x)[..., :2]
    cosine = move[..., 0] / move.square().sum(-1).clamp_min(1e-12).sqrt()
    return -cosine.mean(-1) / agent.n_actions
