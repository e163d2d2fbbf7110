"""Ways through embeddings and dynamics that a reader can walk along: the paths of S6 and S8, a cure, and the directions in which a minimum is flattest (S7)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import xarray as xr
from torch import Tensor

from crar_model.agent.symmetry import mean_move
from crar_model.core.params import DYNAMICS, Params, select
from crar_model.cures.rolling import forest_of, unroll
from crar_model.tasks.symmetries import table_of
from crar_reports.measure.mended import Mended
from crar_reports.measure.minimum import Minimum
from crar_reports.measure.paths import Passage
from crar_reports.measure.subject import Subject
from landscape_tools import Path, least_curved

DIRECTIONS = 3
"""Directions of least curvature that are shown."""
REACH = 0.5
"""How far these are followed either way: the root mean square over the states, in mean moves."""


@dataclass(frozen=True)
class Way:
    """A row of stops, each an embedding and, where they move, dynamics.

    Attributes:
        name, label, about: key, name on a page, and what it is in a sentence.
        position: (k,) where the stops are, in `unit`, ascending.
        embeddings: (k, rows, d) abstract states.
        dynamics: name -> (k, ...) of the blocks that move; None where the failed model's stay.
        straight: whether every place between two stops lies on the straight line between them.
        heights: positions and total losses as measured; None where they were not.
        peak: the stop with the highest loss, which thinning keeps.
        unit: what positions count.
        surface: whether its stops lie on the frozen slice of the surface encoder x dynamics, at these positions.
    """

    name: str
    label: str
    about: str
    position: Tensor
    embeddings: Tensor
    dynamics: Params | None
    straight: bool
    heights: tuple[Tensor, Tensor] | None
    peak: int = 0
    unit: str = "of the way"
    surface: bool = False


def straight_way(subject: Subject, line: xr.Dataset | None, about: str) -> Way:
    """From the failed embedding to the reference's.

    Args:
        subject: the pair.
        line: losses over `t`; None where they were not measured.
        about: what it is, in a sentence.
    """
    ends = torch.stack([subject.embedding(params) for params in (subject.failed, subject.optimum)])
    heights = None
    if line is not None:
        inside = (line["t"].values >= 0) & (line["t"].values <= 1)
        heights = (torch.from_numpy(line["t"].values[inside]), torch.from_numpy(line["total"].values[inside]))
    return Way("straight", "Straight line", about, torch.tensor([0.0, 1.0]), ends, None, True, heights, surface=True)


def passage_ways(subject: Subject, passage: Passage) -> list[Way]:
    """The paths that were found, each from left to right as it was measured."""
    given: list[tuple[str, str, str, Path | None]] = [
        (
            "frozen",
            "Frozen path",
            "The lowest path found while the dynamics stay frozen; it begins where the failed encoder converges.",
            passage.frozen,
        ),
        ("free", "Free path", "The lowest path found while the dynamics move too; it begins at the same place.", passage.free),
        (
            "valleys",
            "Released path",
            "From the released model, whose dynamics have adapted, to the reference; everything moves.",
            passage.valleys,
        ),
    ]
    return [_of_path(subject, name, label, about, path) for name, label, about, path in given if path is not None]


def _of_path(subject: Subject, name: str, label: str, about: str, path: Path) -> Way:
    moving = select(path.points, DYNAMICS)
    still = all(bool((value == value[:1]).all()) for value in moving.values())
    placed = "embedding" in path.points
    embeddings = path.points["embedding"] if placed else subject.embedding(select(path.points, ("encoder",)))
    return Way(name, label, about, path.position, embeddings, None if still else moving, placed, (path.walk, path.heights), int(path.peak))


def cure_way(subject: Subject, mended: Mended) -> Way:
    """From the failed embedding to that of a cure, in the steps of placement where that found it in a plane, else straight. Its losses are not measured."""
    encoder = {name: value.to(subject.failed[name].dtype) for name, value in mended.encoder.items()}
    begin, end = subject.embedding(subject.failed), subject.embedding(subject.failed | encoder)
    between: list[Tensor] = []
    about = f"The embedding moves straight from the failed one to that of the {mended.name} network ({mended.method}); the dynamics stay."
    maze, moves = subject.task.maze, table_of(subject.task)
    forest = None if maze is None or moves is None else forest_of(moves, maze.start)
    if mended.method == "placement" and forest is not None and subject.agent.abstract_size == 2 and len(forest.roots) == 1:
        free = None if mended.free is None else mended.free.to(end)
        near = end if free is None else free[(free - end).square().sum((1, 2)).argmin()]
        between = [unroll(subject.agent, subject.dynamics, forest, near[list(forest.roots)])[0], *([] if free is None else [near])]
        about = (
            f"The cure in {len(between) + 1} steps with straight lines between, whose losses nobody had to pass: put the start state elsewhere and let the dynamics "
            f"place the others; {'' if free is None else 'let these states descend freely; '}fit an encoder to them and train it ({mended.name})."
        )
    stops = torch.stack([begin, *between, end])
    return Way("cure", "The cure", about, torch.linspace(0, 1, len(stops), dtype=torch.float64), stops, None, True, None)


def flat_ways(subject: Subject, minimum: Minimum) -> list[Way]:
    """The directions of least curvature at the failed encoder's stationary point, each followed both ways; none where they cannot be told."""
    end = minimum.converged.point
    at = end["embedding"] if "embedding" in end else subject.embedding(end)
    found = least_curved(subject.composite({"embedding": at}, subject.dynamics), {"embedding": at}, DIRECTIONS)
    if found is None:
        return []
    unit = float(mean_move(subject.batch, at))
    ways = []
    for number, (curvature, direction) in enumerate(zip(*found, strict=True), start=1):
        step = direction.view_as(at) * unit * len(at) ** 0.5
        where = torch.tensor([-REACH, 0.0, REACH], dtype=torch.float64)
        about = (
            f"From where the failed encoder converges along direction {number} of least curvature, {float(curvature):.3g} per unit of the embedding; "
            "kinks of the ball term that hold the point are kept."
        )
        stops = at + where.view(-1, 1, 1) * step
        ways.append(Way(f"flat-{number}", f"Flat direction {number}", about, where, stops, None, True, None, 1, "mean moves (rms)"))
    return ways
