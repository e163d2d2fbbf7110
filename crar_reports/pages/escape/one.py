"""`crar escape`: why noise does not carry a failed transfer out, from its minimum over a grid of learning rates and batch sizes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch

from crar_model.agent.symmetry import mean_move
from crar_model.core.errors import UserError
from crar_model.core.files import StrPath
from crar_model.core.guards import only_one
from crar_model.core.kept import kept
from crar_model.core.threads import torch_threads
from crar_model.core.words import of_all, plural
from crar_model.cures.problem import pose
from crar_model.models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from crar_model.models.evaluation import embed
from crar_model.models.keys import result_key
from crar_model.samples import as_given
from crar_model.tasks import Task
from crar_reports import progress as console
from crar_reports.figures.escape import escape_figure
from crar_reports.measure.exits import Cell, Watched
from crar_reports.measure.minimum import Minimum, examine
from crar_reports.measure.paths import SMOOTHING
from crar_reports.measure.subject import Subject, load_subject, refuse_senseless
from crar_reports.models.judged import base_of
from crar_reports.pages.escape.measure import distances, escape, settle
from crar_reports.pages.escape.records import UNKNOWN, Escape, Grid, Model, Start, Totals
from crar_reports.pages.escape.view import escape_view
from crar_reports.press.publish import publish
from crar_reports.statistics import share
from landscape_tools import elastic_band

T = TypeVar("T")
EDITION = 1
"""Of what is found of a minimum; what was kept of another is found again."""


def write_escape(
    failed_path: StrPath,
    folder: StrPath,
    *,
    base_path: StrPath | None = None,
    grid: Grid | None = None,
    image: str = "png",
    command: str = "",
) -> Escape:
    """Certify the minimum of a failed transfer, try to leave it, and write `report.md`, `results.json`, `minimum.pt` and the figure.

    Args:
        failed_path: the transfer.
        folder: made if missing; finished cells in it are kept.
        base_path: its base; the one that it names where it is None.
        grid: what is tried.
        image: format of the figure.
        command: shown in the report.

    Raises:
        UserError: for unusable models, a maze whose transitions cannot all be listed, or a transfer that did not fail.
    """
    failed_path, folder = Path(failed_path), Path(folder)
    grid = grid or Grid()
    grid.validate()
    failed = load_checkpoint(failed_path)
    base_path = base_of(failed_path, base_path)
    subject = load_subject(failed_path, base_path, complete_only=True)
    refuse_senseless(subject)
    with only_one(folder, "another crar escape works there"):
        return _look(failed_path, base_path, failed, subject, folder, grid, image, command)


def _look(
    failed_path: Path, base_path: Path, failed: Checkpoint, subject: Subject, folder: Path, grid: Grid, image: str, command: str
) -> Escape:
    """The looks of :func:`write_escape`, those that an earlier call finished read from `state.json`."""
    state, fingerprint = folder / "state.json", escape_key(failed, subject.optimum_file, grid)

    def piece(name: str, make: Callable[[], T], kind: type[T]) -> T:
        return kept(state, {"fingerprint": fingerprint}, make, kind, piece=name)

    def certified() -> Start:
        found = examine(subject)
        end = {name: value.detach().to(torch.float32) for name, value in found.converged.point.items()}
        save_checkpoint(folder / "minimum.pt", replace(failed, parameters=failed.parameters | end))
        return Start(**vars(found.figures()), barrier=barrier(subject, found))

    about = piece("minimum", certified, Start)
    if math.isnan(about.reference):  # the base's copy at rest under the frozen dynamics, as the minimum is
        about = replace(about, reference=piece("reference", lambda: examine(subject, base=True).certificate.loss, float))
    minimum = load_checkpoint(folder / "minimum.pt")
    problem = pose(minimum, subject.optimum_file, 0, where=str(failed_path))
    settings = replace(failed.settings, inverse=failed.inverse, updates=grid.updates)
    base = embed(failed.task, subject.optimum_file.parameters, inverse=subject.optimum_file.inverse).float()
    groups = grid.groups()
    with torch_threads(1):
        own = {name: value[None] for name, value in minimum.parameters.items() if name.startswith("encoder.")}
        at = problem.encode(own, problem.data.judged)[0]
        if not mean_move(problem.data.judged, at) > 0:
            raise UserError(
                f"{failed_path}: all its states lie at one place, so how far a member goes from there has no unit; give another transfer"
            )
        still = float(distances(problem, settle(problem, own)[1], at)[0])
        with console.progress_bar(f"escape: {sum(map(len, groups))} cells", "checks") as tick:

            def watched(number: int) -> list[Watched]:
                done = escape(
                    folder / "minimum.pt", problem, settings, groups[number], seeds=grid.seeds, checks=grid.checks, base=base,
                    tick=lambda k, n: tick(number * n + k, len(groups) * n),
                )  # fmt: skip
                return [exits.watched(cell) for cell, exits in zip(groups[number], done, strict=True)]

            cells = [
                cell for number, group in enumerate(groups) for cell in piece(_name(group[0]), partial(watched, number), list[Watched])
            ]
    totals = Totals(about.loss, about.reference, subject.floor["total"])
    origin = subject.optimum_file
    results = Escape(
        command, Model(as_given(failed_path), failed.digest, failed.recipe or UNKNOWN), Model(as_given(base_path), origin.digest, origin.recipe or UNKNOWN),
        grid, about, totals, log_ratio(totals.minimum - totals.floor, totals.base - totals.floor), still, cells, fingerprint,
    )  # fmt: skip
    results = write_page(results, folder, failed.task, image)
    state.unlink(missing_ok=True)
    return results


def escape_key(failed: Checkpoint, base: Checkpoint, grid: Grid) -> str:
    """Of all that what is found of a minimum depends on."""
    return result_key("escape", EDITION, failed=failed, base=base, grid=grid)


def write_page(results: Escape, folder: StrPath, task: Task, image: str = "png") -> Escape:
    """Write the page of one minimum from its cells; what is said of them is said anew. Returns the whole."""
    cells = [
        replace(cell, stayed=None if cell.diverged else share([False] * cell.left + [True] * (cell.seeds - cell.left)))
        for cell in results.cells
    ]
    results, figure = replace(results, cells=cells), f"survival.{image}"
    values = {"r": results, "verdict": verdict(results), "figure": figure, **escape_view(results, task)}
    publish(folder, "escape.md", values, results, {figure: escape_figure(cells, results.grid.updates)})
    return results


def log_ratio(level: float, reference: float) -> float:
    """Natural logarithm of a level over the reference's; NaN where one of them does not lie above its floor."""
    return math.log(level / reference) if level > 0 and reference > 0 else math.nan


def barrier(subject: Subject, found: Minimum) -> float:
    """What the best path found from the minimum's embedding to the base's climbs, with the dynamics frozen: an upper bound."""
    ends = [
        {"embedding": subject.embedding(subject.failed | dict(found.converged.point))},
        {"embedding": subject.embedding(subject.optimum)},
    ]
    path = elastic_band(
        subject.heights(subject.dynamics, SMOOTHING), *ends, exact=subject.heights(subject.dynamics), vectorize="batched", images=9,
        iterations=60, climb_after=20, zooms=2,
    )  # fmt: skip
    return float(path.barrier)


def verdict(results: Escape) -> str:
    """What the cells say, in a sentence."""
    cells = results.cells
    left, seeds = sum(cell.left for cell in cells), sum(cell.seeds for cell in cells)
    if not left:
        said = (
            f"Nothing left: {plural(seeds, 'member')} in {plural(len(cells), 'cell')}, watched for {plural(results.grid.updates, 'update')}"
        )
        sure = [1 - cell.stayed.low for cell in cells if cell.stayed]
        if not sure:
            return f"{said}; in every cell some diverged."
        every = "the one cell" if len(sure) == 1 else f"each of the {len(sure)} cells"
        return f"{said}; of {every} where nobody diverged, by itself, at most {100 * max(sure):.1f} % of such members would leave (exact 95 % interval)."
    best = max(cells, key=lambda cell: (cell.left / cell.seeds, cell.matched))
    arrived = sum(cell.matched for cell in cells)
    none = sum(not cell.left and not cell.diverged for cell in cells)
    return (
        f"{of_all(left, seeds, 'members')} left within {plural(results.grid.updates, 'update')}, {arrived} of them for the base's embedding; most of them, "
        f"{best.left} of {best.seeds}, by {best}; "
        f"{of_all(none, len(cells), 'cells')} kept all."
    )


def _name(cell: Cell) -> str:
    """Under which the cells that run together are kept."""
    return f"{cell.optimiser} {cell.rule} {cell.batch}"
