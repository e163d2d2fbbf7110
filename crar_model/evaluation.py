"""Judges a model on the complete simple maze: loss terms, predictions, navigation, and the embedding's symmetry.

Source: section 7 of the original's facts ("judged by eye" there) and claims S2, S3 and S11, with numbers in
place of the eye.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from crar_model.agents import Agent
from crar_model.batches import complete_batch
from crar_model.losses import loss_terms, total
from crar_model.mazes.simple import SimpleMaze, graph_distances, simple_maze
from crar_model.params import Params
from crar_model.settings import LossSettings
from crar_model.symmetry import signed_permutations

MATCH_LIMIT = 1.0
"""Largest residual, in mean edge lengths, at which an embedding counts as a copy of the base's."""


@dataclass(frozen=True)
class Match:
    """How a transferred embedding relates to the base's.

    Attributes:
        verdict: "matched" (the identity fits best), "swapped" (another of the 8 signed axis permutations does),
            "neither" (none fits within `MATCH_LIMIT`).
        axes: the best signed permutation P, row-major, as nested lists: e_transfer = P e_base.
        residual_edges: root mean square of |e_transfer - P e_base| over the states, in mean edge lengths of the
            base embedding.
        identity_edges: the same for the identity.
    """

    verdict: str
    axes: list[list[int]]
    residual_edges: float
    identity_edges: float

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "verdict": self.verdict,
            "axes": self.axes,
            "residual_edges": self.residual_edges,
            "identity_edges": self.identity_edges,
        }


@dataclass(frozen=True)
class Evaluation:
    """Figures of one model on the complete maze; see :func:`evaluate`."""

    terms: dict[str, float]
    nearest_state_accuracy: float
    navigation_success: float
    match: Match | None = None


def embed(agent: Agent, params: Params, *, inverse: bool, dtype: torch.dtype = torch.float64) -> Tensor:
    """Abstract states of all 31 states, (*members, 31, 2)."""
    with torch.no_grad():
        return agent.encode(_cast(params, dtype), simple_maze().observations(inverse=inverse, dtype=dtype))


def _cast(params: Params, dtype: torch.dtype) -> Params:
    return {name: value.detach().to(dtype) for name, value in params.items()}


def evaluate(
    agent: Agent,
    params: Params,
    *,
    inverse: bool,
    settings: LossSettings,
    base_embedding: Tensor | None = None,
    dtype: torch.dtype = torch.float64,
) -> Evaluation:
    """Judge one model.

    Args:
        agent: gives the networks.
        params: parameters of one model.
        inverse: maze to judge it in.
        settings: coefficients of the terms.
        base_embedding: (31, 2) abstract states of the base in its own maze, to compare with.
        dtype: precision of the computation.
    """
    params = _cast(params, dtype)
    batch = complete_batch(inverse=inverse, dtype=dtype)
    with torch.no_grad():
        terms = loss_terms(agent, params, batch, settings)
        terms["total"] = total(terms, settings)
        predicted = predicted_successor(agent, params, inverse=inverse)
    maze = simple_maze()
    accuracy = (predicted == maze.successor).double().mean()
    match = None
    if base_embedding is not None:
        match = match_embeddings(base_embedding, embed(agent, params, inverse=inverse, dtype=dtype))
    return Evaluation({name: float(value) for name, value in terms.items()}, float(accuracy), navigation_success(predicted, maze), match)


def predicted_successor(agent: Agent, params: Params, *, inverse: bool) -> Tensor:
    """State whose abstract state is nearest to T(e(s), a), (31, 4) int64, for one model."""
    maze = simple_maze()
    dtype = next(iter(params.values())).dtype
    with torch.no_grad():
        x = agent.encode(params, maze.observations(inverse=inverse, dtype=dtype))  # (31, 2)
        action = torch.arange(maze.n_actions).repeat(maze.n_states)
        moved = agent.transition(params, x.repeat_interleave(maze.n_actions, 0), action)  # (124, 2)
        return torch.cdist(moved, x).argmin(-1).view(maze.n_states, maze.n_actions)


def navigation_success(predicted: Tensor, maze: SimpleMaze) -> float:
    """Share of the 930 (start, goal) pairs that planning with the model's own predictions solves.

    At every step the agent encodes what it sees, finds the shortest route to the goal among its predicted
    successors (each snapped to the nearest abstract state), and takes the route's first action in the true
    maze. Twice as many moves as the truly shortest route are allowed, plus two.

    Args:
        predicted: (31, 4) int64 from :func:`predicted_successor`.
        maze: the true maze.
    """
    n = maze.n_states
    distance = graph_distances(predicted)  # from row to column, in the model
    truth = maze.shortest_paths()
    cost = distance[predicted]  # (state, action, goal): what is left after the action, by the model
    policy = cost.argmin(dim=1)  # (state, goal); ties go to the lowest action
    known = cost.amin(dim=1) < n
    goal = torch.arange(n).expand(n, n)
    state = torch.arange(n).unsqueeze(1).expand(n, n)  # rows: start, columns: goal
    solved = state == goal
    for step in range(int(2 * truth.max()) + 2):
        action = policy[state, goal]
        moving = ~solved & known[state, goal] & (step < 2 * truth + 2)
        state = torch.where(moving, maze.successor[state, action], state)
        solved = solved | (state == goal)
    others = ~torch.eye(n, dtype=torch.bool)
    return float(solved[others].double().mean())


def mean_edge(embedding: Tensor) -> Tensor:
    """Mean length of the maze's edges (moves that change the state) in an embedding (*members, 31, 2)."""
    edges = simple_maze().edges()
    difference = embedding[..., edges[:, 0], :] - embedding[..., edges[:, 1], :]
    return difference.square().sum(-1).sqrt().mean(-1)


def match_embeddings(base: Tensor, transferred: Tensor) -> Match:
    """Best of the 8 signed axis permutations between two embeddings (31, 2), claim S2."""
    base, transferred = base.double(), transferred.double()
    candidates = signed_permutations(base.shape[-1])  # (8, 2, 2), identity first
    moved = torch.einsum("pij,nj->pni", candidates, base)
    residuals = (transferred - moved).square().sum(-1).mean(-1).sqrt() / mean_edge(base)
    best = int(residuals.argmin())
    residual = float(residuals[best])
    verdict = "neither" if residual > MATCH_LIMIT else ("matched" if best == 0 else "swapped")
    axes = [[int(value) for value in row] for row in candidates[best].tolist()]
    return Match(verdict, axes, residual, float(residuals[0]))
