from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crar_model.agent.networks import DenseAgent
from crar_model.agent.symmetry import MATCH_LIMIT, match_embeddings, mean_move, signed_permutations
from crar_model.core.settings import LossSettings
from crar_model.mazes.simple import simple_maze
from crar_model.models.checkpoints import load_checkpoint
from crar_model.models.evaluation import evaluate
from crar_model.tasks.batches import complete_batch
from crar_model.tasks.metrics import graph_distances, navigation_success

AGENT = DenseAgent()


def grid_embedding() -> torch.Tensor:
    """The maze laid out as it is: (31, 2), edges of length 0.3, not symmetric."""
    return 0.3 * (simple_maze().positions.double() - torch.tensor([3.5, 3.3]))


@given(st.integers(0, 7), st.floats(0, 0.2))
def test_the_planted_permutation_is_found(which: int, noise: float) -> None:
    base, matrix = grid_embedding(), signed_permutations()[which]
    shift = noise * torch.randn(31, 2, generator=torch.Generator().manual_seed(which), dtype=torch.float64) * 0.3
    match = match_embeddings(AGENT, complete_batch(), base, base @ matrix.T + shift)
    assert match.axes == [[int(v) for v in row] for row in matrix.tolist()]
    assert match.verdict == ("matched" if which == 0 else "swapped")
    assert match.residual_edges == pytest.approx(float(shift.square().sum(-1).mean().sqrt()) / 0.3)


def test_a_foreign_embedding_matches_neither() -> None:
    scattered = torch.randn(31, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    match = match_embeddings(AGENT, complete_batch(), grid_embedding(), scattered)
    assert match.verdict == "neither"
    assert match.residual_edges > MATCH_LIMIT


def test_mean_move_of_a_grid() -> None:
    assert float(mean_move(complete_batch(), grid_embedding())) == pytest.approx(0.3)


def test_navigation_with_the_true_model_always_succeeds() -> None:
    maze = simple_maze()
    assert navigation_success(maze.successor, maze) == 1.0


def test_navigation_with_exchanged_directions_mostly_fails() -> None:
    maze = simple_maze()
    assert navigation_success(maze.successor[:, [1, 0, 3, 2]], maze) < 0.1


def test_navigation_when_nothing_moves() -> None:
    maze = simple_maze()
    assert navigation_success(torch.arange(31).unsqueeze(1).expand(31, 4), maze) == 0.0


def test_one_blocked_prediction_costs_only_the_routes_that_need_it() -> None:
    maze = simple_maze()
    predicted = maze.successor.clone()
    predicted[maze.start, 3] = maze.start  # the model believes that the door does not lead to the right room
    # 12 goals in the right room for the 19 states on this side of it are lost, nothing else.
    assert navigation_success(predicted, maze) == pytest.approx(1 - 19 * 12 / 930)


def test_evaluate_names_every_term(base_run: Path) -> None:
    model = load_checkpoint(base_run / "member-0.pt")
    figures = evaluate(model.task, model.parameters, inverse=False, settings=LossSettings(), base=(model.parameters, False))
    assert set(figures.terms) == {"transition", "reward", "discount", "ball", "random_pairs", "consecutive", "value", "interpret", "total"}
    assert set(figures.metrics) == {"nearest_state_accuracy", "navigation_success"}
    assert 0 <= figures.share("nearest_state_accuracy") <= 1
    assert figures.match is not None
    assert figures.match.verdict == "matched"


def test_distances_follow_the_moves() -> None:
    maze = simple_maze()
    moves = graph_distances(maze.successor)
    left, right = (int(i) for i in ((maze.positions == torch.tensor(cell)).all(1).nonzero() for cell in ([1, 1], [6, 6])))
    assert int(moves[left, right]) == 3 + 3 + 2 + 2  # down to the door's row and on, through the door
    assert torch.equal(moves, moves.T)
    assert graph_distances(torch.tensor([[0], [0]])).tolist() == [[0, 2], [1, 0]]  # unreachable states are N away
