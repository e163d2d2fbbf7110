"""Gradient and Hessian of the total in the embedding, from what the loss is made of: terms of one transition, one pair or one state each.

Given a row of its own for each of them, the Hessian falls into blocks of at most two rows. All blocks are read off at once, one product
with a vector for each column of a block: 4 in the simple maze, where autograd alone takes one for each of the 62 numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from crar_model.agent.loss import FrozenLoss
from crar_model.core.params import Params

Derivatives = Callable[[Tensor, float | Tensor], tuple[Tensor, Tensor]]


def row_derivatives(loss: FrozenLoss, fixed: Params) -> Derivatives | None:
    """Derivatives of `FrozenLoss.total` in a flattened embedding.

    Args:
        loss: on an evaluation set.
        fixed: the dynamics.

    Returns:
        (embedding (rows d,), smoothing) -> gradient (n,), Hessian (n, n) with n = rows d, and the same of the Lagrangian for multipliers
        (groups, alternatives) in place of a smoothing; None for a batch whose pairs are not listed, or whose value targets move.
    """
    batch = loss.batch
    if batch.pairs is None or batch.states is None or batch.value_target is None or batch.state.dim() != 1:
        return None
    size, moves, pairs, alone = loss.agent.abstract_size, len(batch.state), batch.pairs.shape[1], len(batch.states)
    index = torch.cat((batch.state, batch.next_state, batch.pairs[0], batch.pairs[1], batch.states))
    own = torch.arange(len(index))
    first = torch.cat((own[:moves], own[:moves], own[2 * moves :][:pairs], own[2 * moves :][:pairs], own[len(own) - alone :]))
    second = torch.cat((own[moves:][:moves], own[moves:][:moves], *[own[2 * moves + pairs :][:pairs]] * 2, own[len(own) - alone :]))
    partner = torch.stack((first, second))  # (2, rows): the two rows of the block that a row is in
    rows_of_pairs = torch.stack((own[2 * moves :][:pairs], own[2 * moves + pairs :][:pairs]))
    spread = replace(
        loss,
        batch=replace(batch, state=own[:moves], next_state=own[moves:][:moves], pairs=rows_of_pairs, states=own[len(own) - alone :]),
    )
    channel = torch.arange(size)
    rows = (index.view(1, 1, -1, 1) * size + channel.view(1, 1, 1, -1)).expand(2, size, -1, -1)
    columns = (index[partner].view(2, 1, -1, 1) * size + channel.view(1, -1, 1, 1)).expand_as(rows)
    place = (rows * (len(batch.observations) * size) + columns).flatten()  # in the Hessian, row by row
    side = torch.zeros(2, len(index))
    side[0, first], side[1, second] = 1.0, 1.0
    side[1, len(own) - alone :] = 0.0  # a state alone is a block of one row
    directions = torch.einsum("sr,kc->skrc", side, torch.eye(size)).flatten(0, 1)  # (2 d, rows, d)

    def derivatives(z: Tensor, how: float | Tensor) -> tuple[Tensor, Tensor]:
        table = z.detach().view(-1, size).index_select(0, index).requires_grad_()
        if isinstance(how, Tensor):
            value = spread.smooth(fixed, table) + (loss.weights.to(z).unsqueeze(-1) * how * spread.pieces(table)).sum()
        else:
            value = spread.total(fixed, table, how, loss.weights)
        (slope,) = torch.autograd.grad(value, table, create_graph=True)
        (products,) = torch.autograd.grad(slope, table, directions.to(z.dtype), is_grads_batched=True)
        gradient = z.new_zeros(len(z)).index_add(0, rows[0, 0].flatten(), slope.detach().flatten())
        return gradient, z.new_zeros(len(z) ** 2).index_add_(0, place, products.flatten()).view(len(z), len(z))

    return derivatives
