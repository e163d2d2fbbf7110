"""How a model of a layout too large to list is judged: on drawn states, starts and goals, the same for every model."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from crar_model.agent.batch import Batch
from crar_model.agent.networks import Agent
from crar_model.core.params import Params
from crar_model.mazes.large import GOALS, STARTS, drawn_pairs, drawn_states
from crar_model.mazes.simple import AGENT, SimpleMaze
from crar_model.nets import Observed
from crar_model.tasks.metrics import Metric, moved_states, navigation_metrics

CHUNK = 256
"""States that are encoded at once."""


def observed(maze: SimpleMaze, *, inverse: bool, blank: bool = False) -> Observed:
    """All observations of a maze as one pattern and one number a state.

    Args:
        maze: on numbers, with a map that takes every pixel to one pixel.
        inverse: as the inverse maze shows it.
        blank: one more row, of zeros.
    """
    from crar_model.nets import Observed

    height, width = maze.walls.shape
    empty = maze.walls.to(torch.float32)
    everywhere = torch.full_like(empty, AGENT)
    column = (maze.positions[:, 0] * width + maze.positions[:, 1]).numpy()
    if inverse:
        empty, everywhere = maze.map.apply(empty), maze.map.apply(everywhere)
        column = maze.map.order(height, width).argsort()[column]
    shared = empty.flatten().numpy()
    value = everywhere.flatten().numpy()[column] - shared[column]
    scale = np.ones(maze.n_states + blank, dtype=np.float32)
    scale[maze.n_states :] = 0
    return Observed.sparse(shared, scale, np.arange(maze.n_states), column, value)


def encode_all(agent: Agent, params: Params, seen: Observed) -> Tensor:
    """Abstract states of all observations, (*members, rows, d), by an agent whose encoder is dense.

    The first layer's product with the pattern is taken once, so that a state costs as much as one column.
    """
    first = "encoder.0.weight"
    weight, found = params[first], []
    common = weight @ torch.from_numpy(seen.shared).to(weight).unsqueeze(-1)  # (*members, units, 1)
    for begin in range(0, seen.rows, CHUNK):
        part = seen.pick(np.arange(begin, min(begin + CHUNK, seen.rows)))
        own = torch.zeros(part.rows, 1 + len(part.row), dtype=weight.dtype)
        own[:, 0] = torch.from_numpy(part.scale[: part.rows])
        own[torch.from_numpy(part.row), 1 + torch.arange(len(part.row))] = torch.from_numpy(part.value).to(weight.dtype)
        columns = torch.cat((common, weight[..., torch.from_numpy(part.column).to(weight.device)]), dim=-1)
        found.append(agent.encode(params | {first: columns.contiguous()}, own.to(weight.device)[:, None, None]))
    return torch.cat(found, dim=-2)


def drawn_batch(maze: SimpleMaze, *, inverse: bool, dtype: torch.dtype) -> Batch:
    """All transitions of the drawn states, and all pairs of them; observations are those of these states and of where they lead."""
    drawn = drawn_states(maze)
    reached = maze.successor[drawn]  # (n, A)
    rows, place = torch.unique(torch.cat((drawn, reached.flatten())), return_inverse=True)
    states, n, actions = place[: len(drawn)], len(drawn), maze.n_actions
    state, next_state = states.repeat_interleave(actions), place[len(drawn) :]
    zeros = torch.zeros(n * actions, dtype=dtype)
    return Batch(
        observations=torch.from_numpy(observed(maze, inverse=inverse).dense(rows.numpy())).to(dtype).view(-1, 1, *maze.walls.shape),
        state=state,
        next_state=next_state,
        action=torch.arange(actions).repeat(n),
        reward=zeros,
        terminated=zeros.clone(),
        pairs=states[torch.triu_indices(n, n, offset=1)],
        states=states,
        moves=torch.stack((state, next_state))[:, state != next_state],
    )


def drawn_metrics(maze: SimpleMaze, agent: Agent, params: Params, *, inverse: bool) -> dict[str, Metric]:
    """The figures of :func:`table_metrics`: predictions of every state, navigation on the drawn pairs."""
    with torch.no_grad():
        x = encode_all(agent, params, observed(maze, inverse=inverse))
        nearest = nearest_rows(moved_states(agent, params, x), x).view(maze.n_states, maze.n_actions)
    return navigation_metrics(maze, nearest, drawn_pairs(maze.n_states))


def nearest_rows(points: Tensor, x: Tensor) -> Tensor:
    """(M,) int64 which row of x (N, d) is nearest to each of the points (M, d), without a table of M x N; 0 where anything is not finite."""
    from scipy.spatial import KDTree  # not at the top, as in `SimpleMaze.rooms`

    if not bool(torch.isfinite(x).all() and torch.isfinite(points).all()):
        return torch.zeros(len(points), dtype=torch.int64)
    return torch.from_numpy(KDTree(x.double().numpy()).query(points.double().numpy())[1]).to(torch.int64)


def in_words(maze: SimpleMaze) -> tuple[str, str]:
    """What losses and what navigation are judged on."""
    drawn, n = len(drawn_states(maze)), maze.n_states
    goals, actions = min(GOALS, n), maze.n_actions
    return (
        f"{drawn * actions:,} of {n * actions:,} transitions, drawn",
        f"{goals * STARTS:,} of {n * (n - 1):,} pairs of start and goal, drawn",
    )
