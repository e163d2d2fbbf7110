"""Claim S4: where the transition errors of a failed transfer lie on the board of a maze whose states can be listed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from crar_model.core.ratio import ratio
from crar_model.mazes.simple import SimpleMaze
from crar_model.mazes.table import StateTable
from crar_reports.measure.subject import Subject

MOST = 2.0
"""Local edges that an error is said not to exceed."""
WORST = 4
"""Transitions that the concentration of the error is measured on: as many as lead through the door of the study's maze."""


def transition_errors(subject: Subject, maze: StateTable) -> dict[str, Any]:
    """Claim S4: |T(x, a) - x'| of the failed model over the moves that change the state, in local edges: lengths of those very moves in the base's
    embedding.

    Returns:
        largest and mean error, share above `MOST` and of those the share at a door; means over the moves from beside an outer wall ("near") and
        the others ("far"); the share of the whole error on its `WORST` moves, and how many of them lead through a door; states near a side on
        the board as drawn and among those that there are; two mean edges in units of the abstract space. A world that is no board has neither
        sides nor doors, and 0 cells.
    """
    batch = subject.batch
    x, base = subject.embedding(subject.failed), subject.embedding(subject.copy)
    with torch.no_grad():
        predicted = subject.agent.transition(subject.failed, x[batch.state], batch.action)
    moves = (batch.state != batch.next_state) & (batch.terminated == 0)
    before, after = batch.state[moves], batch.next_state[moves]
    edge = (base[after] - base[before]).norm(dim=1)
    error = (predicted - x[batch.next_state]).norm(dim=1)[moves]
    local = torch.where(error == 0, 0.0, error / edge)  # infinite where the base moves nowhere
    rooms = maze.regions()[0]
    side, (rows, columns) = torch.zeros(maze.n_states, dtype=torch.bool), (0, 0)
    if isinstance(maze, SimpleMaze):
        positions, (rows, columns) = maze.positions, maze.walls.shape
        side = ((positions == positions.amin(0)) | (positions == positions.amax(0))).any(1)
    near, door = side[before], (rooms[before] < 0) | (rooms[after] < 0)
    above = local > MOST
    worst = error.topk(min(WORST, len(error))).indices

    def mean(of: Tensor) -> float:
        return float(local[of].mean()) if bool(of.any()) else float("nan")

    return {
        "largest": float(local.max()), "mean": float(local.mean()), "above_two": float(above.double().mean()),
        "above_at_door": float(door[above].double().mean()) if bool(above.any()) else 0.0,
        "near": mean(near), "far": mean(~near), "moves": len(local), "near_states": int(side.sum()), "states": len(side),
        "board_near": max(0, 2 * (rows + columns) - 4), "board": rows * columns, "two_edges": MOST * float(edge.mean()),
        "worst": len(worst), "worst_share": ratio(float(error[worst].sum()), float(error.sum())), "worst_at_door": int(door[worst].sum()),
    }  # fmt: skip
