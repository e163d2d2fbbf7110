"""The networks of a world, by what its observations are, and the first layer that undoes its other side."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from crar_model.agent.networks import Agent, DenseAgent
from crar_model.agent.pixels import PixelAgent
from crar_model.core.errors import UserError
from crar_model.worlds.tables import WorldTable

EXACT = 1e-6
"""How far a first layer that undoes another side may be off, of the largest number."""


def agent_of(table: WorldTable, size: int) -> Agent:
    """Dense networks, as wide at the input as an observation has numbers; of images an encoder that begins with convolutions.

    Args:
        table: what was observed.
        size: numbers of an abstract state.
    """
    actions = table.n_actions
    dynamics = (
        (size + actions, *DenseAgent.transition_net[1:-1], size), (size + actions, *DenseAgent.reward_net[1:]),
        (size, *DenseAgent.value_net[1:-1], actions),
    )  # fmt: skip
    if table.images:
        return PixelAgent(actions, (size,), (), *dynamics, table.shape)
    return DenseAgent(actions, (size,), (int(np.prod(table.shape)), *DenseAgent.encoder[1:-1], size), *dynamics)


def fitted(table: WorldTable, *, inverse: bool) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """A and c with A y + c = x of all observations, the smallest such A: y on one side, x on the other.

    Args:
        table: what was observed on both sides.
        inverse: the side of y.

    Raises:
        UserError: where there is none.
    """
    seen = (table.observations(inverse=side, dtype=torch.float64) for side in (inverse, not inverse))
    y, x = (one.flatten(1).numpy() for one in seen)
    columns = np.column_stack((y, np.ones(len(y))))
    solution = np.linalg.lstsq(columns, x, rcond=1e-12)[0]
    off = float(np.abs(columns @ solution - x).max())
    if off > EXACT * max(1.0, float(np.abs(x).max())):
        raise UserError(
            f"{table.world.title} seen through {table.world.about.get('other')}: no first layer undoes it exactly on the observations of the data "
            f"(off by {off:.2g}), so there is no closed-form copy of the base to compare with"
        )
    return solution[:-1].T, solution[-1]
