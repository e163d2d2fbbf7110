"""How a model of a layout too large to list is judged: on drawn states, starts and goals, the same for every model."""

from __future__ import annotations

import torch
from torch import Tensor

from crar_model.agents import Agent
from crar_model.batches import Batch
from crar_model.evaluation import Metric, moved_states, navigation_metrics
from crar_model.mazes.large import GOALS, STARTS, drawn_pairs, drawn_states, encode_all, observed
from crar_model.mazes.simple import SimpleMaze
from crar_model.params import Params


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
