"""Judges a model on its task's evaluation set: loss terms, figures of merit, and how its embedding relates to its base's.

Sources: section 8 of docs/original.md ("judged by eye" there) and claims S2, S3 and S11, with numbers in place of the eye; the
distance follows the released comparison of normal and transferred abstract states.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from crar_model.agents import Agent
from crar_model.batches import Batch
from crar_model.losses import loss_terms, total
from crar_model.mazes.simple import SimpleMaze
from crar_model.params import Params
from crar_model.settings import LossSettings, PlaySettings
from crar_model.symmetry import signed_permutations

if TYPE_CHECKING:
    from crar_model.tasks import Task

MATCH_LIMIT = 1.0
"""Largest residual, in mean moves of the base's embedding, at which an embedding counts as a copy of it."""


@dataclass(frozen=True)
class Match:
    """How a transferred embedding relates to the base's.

    Attributes:
        verdict: "matched" (the identity fits best), "swapped" (another signed permutation of the channels does),
            "neither" (none fits within `MATCH_LIMIT`).
        axes: the best signed permutation P, row-major, as nested lists: e_transfer = P e_base at every position.
        residual_edges: root mean square of |e_transfer - P e_base| over the states, in mean moves of the base embedding.
        identity_edges: the same for the identity.
        distance: mean Euclidean distance of the two embeddings as they are.
        mean_move: mean length of a move that changes the state, in the base's embedding: the unit above.
    """

    verdict: str
    axes: list[list[int]]
    residual_edges: float
    identity_edges: float
    distance: float
    mean_move: float

    def plain(self) -> dict[str, Any]:
        """The relation as plain data; the lengths stand beside it."""
        return {name: value for name, value in asdict(self).items() if name not in ("distance", "mean_move")}


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


@dataclass(frozen=True)
class Evaluation:
    """Figures of one model; see :func:`evaluate`.

    Attributes:
        terms: every loss term and the `total`, on the task's evaluation set.
        metrics: figures of merit by name, those of the task.
        match: against a base's embedding, where one was given.
        drawn: what a large layout is judged on in place of everything, in words; "" elsewhere.
    """

    terms: dict[str, float]
    metrics: dict[str, Metric]
    match: Match | None = None
    drawn: str = ""

    def share(self, name: str) -> float:
        """A figure of merit that is a plain number; NaN where the task has none of that name."""
        value = self.metrics.get(name, float("nan"))
        return value.mean if isinstance(value, Score) else value

    @property
    def score(self) -> Score | None:
        """The score, where the task has one."""
        found = self.metrics.get("score")
        return found if isinstance(found, Score) else None

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        metrics = {name: value.plain() if isinstance(value, Score) else value for name, value in self.metrics.items()}
        match = self.match
        compared = {} if match is None else {"match": match.plain(), "embedding_distance": match.distance, "mean_move": match.mean_move}
        drawn = {"drawn": self.drawn} if self.drawn else {}
        return {"terms": self.terms, **metrics, **compared, **drawn}


def dtype_of(task: Task) -> torch.dtype:
    """The precision that a task is evaluated in."""
    return torch.float64 if task.sampling.dtype == "float64" else torch.float32


def cast(params: Params, dtype: torch.dtype) -> Params:
    """Parameters without history in another precision."""
    return {name: value.detach().to(dtype) for name, value in params.items()}


def embed(task: Task, params: Params, *, inverse: bool) -> Tensor:
    """Abstract states of every row of the task's evaluation set, (rows, d), in the task's precision."""
    dtype = dtype_of(task)
    with torch.no_grad():
        return task.agent().encode(cast(params, dtype), task.batch(inverse=inverse, dtype=dtype).observations)


def evaluate(
    task: Task,
    params: Params,
    *,
    inverse: bool,
    settings: LossSettings,
    how: PlaySettings | None = None,
    base: tuple[Params, bool] | None = None,
) -> Evaluation:
    """Judge one model.

    Args:
        task: the maze.
        params: parameters of one model.
        inverse: maze to judge it in.
        settings: coefficients of the terms, whose weights make the total.
        how: how to play, where the task has a score.
        base: parameters of the base and whether it belongs to the inverse maze, to compare embeddings with.
    """
    agent, dtype = task.agent(), dtype_of(task)
    params = cast(params, dtype)
    batch = task.batch(inverse=inverse, dtype=dtype)
    terms = judged_terms(agent, params, task.table(inverse=inverse, dtype=dtype), settings)
    metrics = task.metrics(agent, params, inverse=inverse, how=how or PlaySettings())
    match = None
    if base is not None:
        match = match_embeddings(agent, batch, embed(task, base[0], inverse=base[1]), embed(task, params, inverse=inverse))
    return Evaluation(terms, metrics, match, task.sampling.drawn)


def judged_terms(agent: Agent, params: Params, batch: Batch, settings: LossSettings) -> dict[str, float]:
    """Every loss term of one model and their total."""
    one = cast(params, batch.reward.dtype)
    if batch.reward.dtype == torch.float32:  # the form that the compiled kernels take
        one = {name: value.unsqueeze(0) for name, value in one.items()}
    with torch.no_grad():
        terms = loss_terms(agent, one, batch, settings)
        terms["total"] = total(terms, settings)
    return {name: float(value) for name, value in terms.items()}


def match_embeddings(agent: Agent, batch: Batch, base: Tensor, transferred: Tensor) -> Match:
    """Best of the signed permutations of the channels (8 of 2, 48 of 3) between two embeddings, claim S2.

    Args:
        agent: gives channels and positions.
        batch: the evaluation set that both are of, with `states` and `moves`.
        base, transferred: (rows, d) abstract states, each model seeing its own maze.
    """
    assert batch.states is not None
    unit = mean_move(batch, base)
    pair = [agent.by_position(x[batch.states].double()) for x in (base, transferred)]  # (N, C, P)
    candidates = signed_permutations(agent.channels)  # (n, C, C), identity first
    moved = torch.einsum("pij,njk->pnik", candidates, pair[0])
    residuals = (pair[1] - moved).square().sum((-1, -2)).mean(-1).sqrt() / unit
    best = int(residuals.nan_to_num(nan=torch.inf).argmin())  # what is not a number fits never
    residual = float(residuals[best])
    verdict = ("matched" if best == 0 else "swapped") if residual <= MATCH_LIMIT else "neither"
    axes = [[int(value) for value in row] for row in candidates[best].tolist()]
    distance = float(torch.linalg.vector_norm((transferred - base)[batch.states].double(), dim=1).mean())
    return Match(verdict, axes, residual, float(residuals[0]), distance, float(unit))


def mean_move(batch: Batch, embedding: Tensor) -> Tensor:
    """Mean Euclidean length of the moves that change the state, in an embedding (rows, d) of an evaluation set; float64."""
    assert batch.moves is not None
    before, after = batch.moves
    return (embedding[after] - embedding[before]).double().square().sum(-1).sqrt().mean()


def table_metrics(maze: SimpleMaze, agent: Agent, params: Params, *, inverse: bool) -> dict[str, Metric]:
    """What can be asked where the states can be listed: the share of transitions whose predicted abstract state is nearest to the
    right one, and the share of (start, goal) pairs that planning with the model's own predictions solves."""
    return navigation_metrics(maze, predicted_successor(maze, agent, params, inverse=inverse))


def navigation_metrics(maze: SimpleMaze, predicted: Tensor, pairs: tuple[Tensor, Tensor] | None = None) -> dict[str, Metric]:
    """The same of predictions (N, A), with the pairs of :func:`navigation_success`."""
    accuracy = (predicted == maze.successor).double().mean()
    return {"nearest_state_accuracy": float(accuracy), "navigation_success": navigation_success(predicted, maze, pairs)}


def predicted_successor(maze: SimpleMaze, agent: Agent, params: Params, *, inverse: bool) -> Tensor:
    """State whose abstract state is nearest to T(e(s), a), (N, A) int64, for one model."""
    dtype = next(iter(params.values())).dtype
    with torch.no_grad():
        x = agent.encode(params, maze.observations(inverse=inverse, dtype=dtype))  # (N, d)
        return torch.cdist(moved_states(agent, params, x), x).argmin(-1).view(maze.n_states, maze.n_actions)


def moved_states(agent: Agent, params: Params, x: Tensor) -> Tensor:
    """T(x, a) of every state (N, d) and action, (N A, d), the actions of a state in turn."""
    action = torch.arange(agent.n_actions).repeat(len(x))
    return agent.transition(params, x.repeat_interleave(agent.n_actions, 0), action)


def navigation_success(predicted: Tensor, maze: SimpleMaze, pairs: tuple[Tensor, Tensor] | None = None) -> float:
    """Share of (start, goal) pairs, 930 in the simple maze, that planning with the model's own predictions solves.

    At every step the agent encodes what it sees, finds the shortest route to the goal among its predicted
    successors (each snapped to the nearest abstract state), and takes the route's first action in the true
    maze. Twice as many moves as the truly shortest route are allowed, plus two.

    Args:
        predicted: (N, A) int64 from :func:`predicted_successor`.
        maze: the true maze.
        pairs: goals (G,) and the starts of each, (G, S), int64, no start its own goal; None takes every state from every other.
    """
    n = maze.n_states
    goals, state = (torch.arange(n), torch.arange(n).expand(n, n)) if pairs is None else pairs
    row = torch.arange(len(goals)).unsqueeze(1)  # of a goal in the tables below
    distance, truth = graph_distances(predicted, goals), graph_distances(maze.successor, goals)
    allowed = 2 * truth[row, state] + 2
    others = solved = state == goals.unsqueeze(1)
    for step in range(int(allowed.max())):
        cost = distance[row.unsqueeze(-1), predicted[state]]  # (goal, start, action): what is left after the action, by the model
        action = cost.argmin(-1)  # ties go to the lowest action
        moving = ~solved & (cost.amin(-1) < n) & (step < allowed)
        if not bool(moving.any()):
            break
        state = torch.where(moving, maze.successor[state, action], state)
        solved = solved | (state == goals.unsqueeze(1))
    return float(solved[~others].double().mean())


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
