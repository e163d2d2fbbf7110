"""Go to a cell: the walk of an agent through a maze whose states can be listed, planned by its own predictions at every step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from crar_model.core.errors import UserError
from crar_model.mazes.simple import SimpleMaze
from crar_model.tasks.metrics import graph_distances

Cell = tuple[int, int]
"""(row, column), counted from 0 in the drawing of the walls."""


@dataclass(frozen=True)
class Walk:
    """What became of a walk.

    Attributes:
        cells: (row, column) before the first move and after each.
        plans: the cells of the route that the agent plans before each move, its own first; only its own where it plans none, as in the end.
        goal: where it should go. reached: whether it does.
        shortest: moves of the truly shortest route.
    """

    cells: tuple[Cell, ...]
    plans: tuple[tuple[Cell, ...], ...]
    goal: Cell
    reached: bool
    shortest: int

    @property
    def moves(self) -> int:
        """Moves taken."""
        return len(self.cells) - 1


def walk_to(maze: SimpleMaze, predicted: Tensor, goal: Cell, start: Cell | None = None) -> Walk:
    """Walk by the rule of :func:`crar_model.tasks.metrics.navigation_success`: the shortest route among the predicted moves, whose first action is
    taken in the true maze; twice the moves of the shortest route are allowed, plus two.

    Args:
        maze: the true maze.
        predicted: (N, A) int64 from :func:`crar_model.tasks.metrics.predicted_successor`.
        goal, start: cells; the maze's start where `start` is None.

    Raises:
        UserError: for a cell that is a wall or outside.
    """
    end = state_of(maze, goal, "goal")
    state = maze.start if start is None else state_of(maze, start, "start")
    place = [(int(row), int(column)) for row, column in maze.positions.tolist()]
    away, truth = (graph_distances(table, torch.tensor([end]))[0] for table in (predicted, maze.successor))
    shortest = int(truth[state])
    best = away[predicted].argmin(-1)  # (N,): ties go to the lowest action
    cells, plans = [place[state]], []
    while state != end and len(cells) - 1 < 2 * shortest + 2 and int(away[predicted[state, best[state]]]) < maze.n_states:
        plan = [state]
        while plan[-1] != end:
            plan.append(int(predicted[plan[-1], best[plan[-1]]]))
        plans.append(tuple(place[each] for each in plan))
        state = int(maze.successor[state, best[state]])
        cells.append(place[state])
    return Walk(tuple(cells), (*plans, (place[state],)), place[end], state == end, shortest)


def state_of(maze: SimpleMaze, cell: Cell, what: str) -> int:
    """The state at a cell, which an error calls `what`.

    Raises:
        UserError: for a wall, or a cell outside.
    """
    found = (maze.positions == torch.tensor(cell)).all(1).nonzero().flatten()
    if not len(found):
        rows, columns = maze.walls.shape
        raise UserError(
            f"{what}: no free cell at row {cell[0]}, column {cell[1]}; the maze has rows 0 to {rows - 1} and columns 0 to {columns - 1}"
        )
    return int(found[0])
