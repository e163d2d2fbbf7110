"""The table of moves of a task's world, where one is known, and its symmetries."""

from __future__ import annotations

from functools import lru_cache

import torch

from crar_model.agent.batch import Batch
from crar_model.mazes.automorphisms import Moves, Symmetries
from crar_model.tasks.task import Task


def moves_of(batch: Batch, actions: int) -> Moves | None:
    """The table of moves behind transitions, its states by their position in the batch's `states`.

    Args:
        batch: transitions that all members share, with `states`.
        actions: how many there are.

    Returns:
        None where one move came out in two ways, or a transition has a state that is not listed.
    """
    assert batch.states is not None
    place = torch.full((batch.observations.shape[-4],), -1)
    place[batch.states] = torch.arange(len(batch.states))
    state, following = (place[rows].numpy() for rows in (batch.state, batch.next_state))
    if (state < 0).any() or (following < 0).any():
        return None
    shape = (len(batch.states), actions)
    return Moves.of(state, batch.action.numpy(), following, batch.reward.numpy(), batch.terminated.numpy(), shape)


@lru_cache(maxsize=64)
def table_of(task: Task) -> Moves | None:
    """The table of moves of a task's world; None where the evaluation set is not all there is, or is no table."""
    if not task.sampling.complete:
        return None
    return moves_of(task.batch(inverse=False, dtype=torch.float64), task.agent().n_actions)


@lru_cache(maxsize=64)
def symmetries_of(task: Task) -> Symmetries | None:
    """All symmetries of a task's world; None where the identity is the only one, and where no table of moves is known: then none is looked for."""
    moves = table_of(task)
    found = None if moves is None else Symmetries(moves)
    return None if found is None or (found.order == 1 and found.whole) else found
