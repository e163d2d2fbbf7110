"""Figures of merit: shares where the states of a maze can be listed, scores where there is something to win."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from crar_model.agent.batch import Batch
from crar_model.agent.networks import Agent
from crar_model.core.params import Params
from crar_model.core.ratio import LIKE, LIKE_AT_0
from crar_model.mazes.table import StateTable


@dataclass(frozen=True)
class Score:
    """A score with its 95 % interval.

    Attributes:
        mean: total reward per episode started. low, high: its interval, by Student's t over episodes or runs.
        samples: episodes, or runs of the paper's protocol.
        solved, keys: share of episodes with all keys, keys found per episode; None in the paper's protocol.
        values: the single episodes' or runs' scores.
    """

    mean: float
    low: float
    high: float
    samples: int
    solved: float | None
    keys: float | None
    values: tuple[float, ...] = field(repr=False, default=())

    def plain(self) -> dict[str, Any]:
        """As plain data, without the single values."""
        return {name: value for name, value in asdict(self).items() if name != "values"}


Metric = float | Score
"""A figure of merit: a share in [0, 1], or a score."""


def table_metrics(maze: StateTable, agent: Agent, params: Params, *, inverse: bool) -> dict[str, Metric]:
    """What can be asked where the states can be listed: the share of transitions whose predicted abstract state is nearest to the
    right one, and the share of (start, goal) pairs that planning with the model's own predictions solves."""
    return navigation_metrics(maze, predicted_successor(maze, agent, params, inverse=inverse))


def navigation_metrics(maze: StateTable, predicted: Tensor, pairs: tuple[Tensor, Tensor] | None = None) -> dict[str, Metric]:
    """The same of predictions (N, A), with the pairs of :func:`navigation_success`; nothing where every move ends an episode."""
    if not len(maze.live):
        return {}
    accuracy = float((predicted == maze.successor)[maze.asked].double().mean())
    found = {"nearest_state_accuracy": accuracy, "navigation_success": navigation_success(predicted, maze, pairs)}
    return {name: value for name, value in found.items() if not math.isnan(value)}  # the mean of none


def outcome_metrics(agent: Agent, params: Params, batch: Batch, discount: float) -> dict[str, Metric]:
    """The share of transitions whose reward and end are predicted right; nothing where all have the same reward and none ends.

    A reward is right when it is nearest to its own of the rewards that there are, those that differ by rounding alone being one, an end when the predicted discount lies on its side of half the discount.
    """
    rewards = torch.unique(batch.reward)
    if len(rewards) < 2 and not bool(batch.terminated.any()):
        return {}
    with torch.no_grad():
        x = agent.encode(params, batch.observations)[batch.state]
        paid, left = agent.reward(params, x, batch.action), agent.discount(params, x, batch.action)
    nearest = rewards[(paid.unsqueeze(-1) - rewards).abs().nan_to_num(nan=torch.inf).argmin(-1)]
    same = torch.isclose(nearest, batch.reward, rtol=LIKE, atol=LIKE_AT_0 * float(rewards.abs().max()))
    right = same & paid.isfinite() & ((left < discount / 2) == (batch.terminated > 0)) & left.isfinite()
    return {"outcome_accuracy": float(right.double().mean())}


def predicted_successor(maze: StateTable, agent: Agent, params: Params, *, inverse: bool) -> Tensor:
    """State whose abstract state is nearest to T(e(s), a), (N, A) int64, for one model; what nobody asks a model for is as it is."""
    dtype, live = next(iter(params.values())).dtype, maze.live
    if not len(live):
        return maze.ways
    with torch.no_grad():
        x = agent.encode(params, maze.observations(inverse=inverse, dtype=dtype))  # (N, d)
        nearest = live[torch.cdist(moved_states(agent, params, x), x[live]).argmin(-1)].view(maze.n_states, maze.n_actions)
    return torch.where(maze.asked, nearest, maze.ways)


def mispredicted(agent: Agent, params: Params, x: Tensor, batch: Batch, *, complete: bool = False) -> float:
    """Share of the transitions of a batch that end no episode whose predicted abstract state is nearer to another one of the batch than to the one reached.

    Args:
        agent, params: whose transition network predicts.
        x: (rows, d) abstract states of the batch's observations.
        batch: transitions with an index of their action.
        complete: whether the batch is a whole table of moves; then the others are those of :attr:`StateTable.live`, as in :func:`predicted_successor`.
    """
    others = going_on(batch) if complete else torch.arange(len(x))
    action = batch.action if batch.onehot is None else batch.onehot
    with torch.no_grad():
        nearest = others[torch.cdist(agent.transition(params, x[batch.state], action), x[others]).argmin(-1)]
    return float((nearest != batch.next_state)[batch.terminated == 0].double().mean())


def going_on(batch: Batch) -> Tensor:
    """(n,) int64 rows that a transition begins at or leads to without an end, in ascending order."""
    found: Tensor = torch.unique(torch.cat((batch.state, batch.next_state))[(batch.terminated == 0).repeat(2)])
    return found


def moved_states(agent: Agent, params: Params, x: Tensor) -> Tensor:
    """T(x, a) of every state (N, d) and action, (N A, d), the actions of a state in turn."""
    action = torch.arange(agent.n_actions).repeat(len(x))
    return agent.transition(params, x.repeat_interleave(agent.n_actions, 0), action)


def navigation_success(predicted: Tensor, maze: StateTable, pairs: tuple[Tensor, Tensor] | None = None) -> float:
    """Share of (start, goal) pairs, 930 in the simple maze, that planning with the model's own predictions solves; of pairs with a way only.

    At every step the agent encodes what it sees, finds the shortest route to the goal among its predicted
    successors (each snapped to the nearest abstract state), and takes the route's first action in the true
    maze. Twice as many moves as the truly shortest route are allowed, plus two.

    Args:
        predicted: (N, A) int64 from :func:`predicted_successor`.
        maze: the true maze.
        pairs: goals (G,) and the starts of each, (G, S), int64, no start its own goal; None takes every state from every other.
    """
    n, live = maze.n_states, maze.live
    goals, state = (live, live.expand(len(live), -1)) if pairs is None else pairs
    row = torch.arange(len(goals)).unsqueeze(1)  # of a goal in the tables below
    distance, truth = graph_distances(predicted, goals), graph_distances(maze.ways, goals)
    solved = state == goals.unsqueeze(1)
    counted = ~solved & (truth[row, state] < n)
    allowed = torch.where(counted, 2 * truth[row, state] + 2, 0)
    for step in range(int(allowed.max())):
        cost = distance[row.unsqueeze(-1), predicted[state]]  # (goal, start, action): what is left after the action, by the model
        action = cost.argmin(-1)  # ties go to the lowest action
        moving = ~solved & (cost.amin(-1) < n) & (step < allowed)
        if not bool(moving.any()):
            break
        state = torch.where(moving, maze.ways[state, action], state)
        solved = solved | (state == goals.unsqueeze(1))
    return float(solved[counted].double().mean())


def graph_distances(successor: Tensor, goals: Tensor | None = None) -> Tensor:
    """Moves between states of a deterministic transition table.

    Args:
        successor: (N, A) int64, the state that each action leads to.
        goals: (G,) int64 states that are gone to; None for all.

    Returns:
        (N, N) int64, moves from row to column, or with `goals` (G, N), moves to each goal from every state; N where it cannot be reached.
    """
    from scipy.sparse import csr_array  # not at the top, as in `SimpleMaze.rooms`
    from scipy.sparse.csgraph import shortest_path

    n, actions = successor.shape
    rows, columns = torch.arange(n).repeat_interleave(actions).numpy(), successor.reshape(-1).numpy()
    if goals is not None:
        rows, columns = columns, rows  # backwards from the goals
    graph = csr_array((torch.ones(n * actions).numpy(), (rows, columns)), shape=(n, n))
    moves = torch.from_numpy(shortest_path(graph, unweighted=True, indices=None if goals is None else goals.numpy()))
    return moves.clamp_max(n).to(torch.int64)
