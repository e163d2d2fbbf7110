"""Where does the start state lie? In a maze whose moves are known, the frozen dynamics place all other states from there.

The loss over the places of the start state is the transfer's whole landscape in two dimensions: rolling T along a spanning tree of the maze
gives an embedding for every place, and what the tree leaves out tells whether the dynamics close its loops.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from crar_model.core.errors import UserError
from crar_model.core.params import DYNAMICS, select
from crar_model.cures.problem import Problem
from crar_model.cures.rolling import unroll
from crar_model.tasks import Task
from crar_model.tasks.symmetries import table_of

REACH = 1.2
"""The grid goes this far, in radii of the ball that `ball` leaves free."""
CHUNK = 512
"""Places whose losses are computed at once."""
PROMINENCE = 0.25
"""A valley is at least this deep, in units of its lowest loss: less is the roughness of the grid."""


@dataclass(frozen=True)
class Valley:
    """A local minimum of the placement landscape, with the places around it up to the passes to lower ones.

    Attributes:
        place: of the start state, (2,).
        total: loss there.
        share: of all places.
    """

    place: tuple[float, float]
    total: float
    share: float


@dataclass(frozen=True)
class Landscape:
    """The total loss by the place of the start state.

    Attributes:
        axis: (n,) coordinates, the same for both axes.
        total, transition: (n, n) losses; the first index is the first coordinate. Infinite where they are not finite.
        valleys: lowest first.
        owner: (n, n) number of the valley that each place belongs to.
    """

    axis: Tensor
    total: Tensor
    transition: Tensor
    valleys: tuple[Valley, ...]
    owner: Tensor

    def valley_of(self, place: Tensor) -> int:
        """Number of the valley that a place (2,) lies in."""
        row, column = (int((self.axis - x).abs().argmin()) for x in place.tolist())
        return int(self.owner[row, column])


def why_not(task: Task) -> str | None:
    """Why states cannot be placed in a world, or None where they can."""
    if table_of(task) is not None:
        return None
    whose = task.title if task.known_by_data else f"the {task.name} maze"
    return f"the dynamics are rolled along a table of moves that are always the same, and {whose} has none"


def flat(problem: Problem) -> bool:
    """Whether all embeddings follow from a place in a plane, so that the landscape of that place can be looked at."""
    return problem.agent.abstract_size == 2 and len(problem.forest.roots) == 1


def survey(problem: Problem, resolution: int) -> Landscape:
    """The placement landscape on a square grid.

    Args:
        problem: of a world that is :func:`flat`.
        resolution: places per axis.

    Raises:
        UserError: when the dynamics give no finite loss anywhere.
    """
    batch = problem.data.judged
    edge = REACH * problem.loss.settings.ball_radius
    axis = torch.linspace(-edge, edge, resolution)
    places = torch.cartesian_prod(axis, axis)
    dynamics = select(problem.failed, DYNAMICS)
    parts: list[tuple[Tensor, Tensor]] = []
    with torch.no_grad():
        for piece in torch.split(places, CHUNK):
            terms = problem.terms(unroll(problem.agent, dynamics, problem.forest, piece), batch)
            parts.append((terms["total"], terms["transition"]))
    total, transition = (
        torch.nan_to_num(torch.cat(values), nan=torch.inf).view(resolution, resolution) for values in zip(*parts, strict=True)
    )
    if not bool(torch.isfinite(total).any()):
        raise UserError("the dynamics give no finite loss wherever the start state is placed; use another checkpoint")
    lowest = basins(total)
    lows = sorted((float(total.flatten()[low]), int(low)) for low in torch.unique(lowest).tolist())
    valleys = tuple(
        Valley((float(places[low, 0]), float(places[low, 1])), height, float((lowest == low).double().mean())) for height, low in lows
    )
    owner = sum(((lowest == low) * k for k, (_, low) in enumerate(lows)), torch.zeros_like(lowest))
    return Landscape(axis, total, transition, valleys, owner)


def basins(total: Tensor, prominence: float = PROMINENCE) -> Tensor:
    """Which valley every place of a grid belongs to.

    The grid is flooded from below: a place joins the valley of its neighbours, or begins one where it has none; where two valleys meet, the
    higher one is part of the lower one unless it is deeper than `prominence` below the pass.

    Args:
        total: (n, n) losses, infinite where they are not finite.
        prominence: smallest depth of a valley, in units of its own lowest loss.

    Returns:
        (n, n) flat index of the lowest place of each place's valley.
    """
    n, heights = len(total), total.flatten().tolist()
    parent = [-1] * (n * n)

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    owner = [-1] * (n * n)
    for place in sorted(range(n * n), key=lambda k: (heights[k], k)):
        row, column = divmod(place, n)
        around = [i * n + j for i in range(max(0, row - 1), min(n, row + 2)) for j in range(max(0, column - 1), min(n, column + 2))]
        met = sorted({root(owner[k]) for k in around if owner[k] >= 0}, key=lambda k: (heights[k], k))
        owner[place] = met[0] if met else place
        if not met:
            parent[place] = place
        for other in met[1:]:
            if heights[place] - heights[other] < prominence * abs(heights[other]):
                parent[other] = met[0]
    return torch.tensor([root(k) for k in owner]).view(n, n)
