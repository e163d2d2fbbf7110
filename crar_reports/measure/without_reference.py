"""What can be measured of a model whose base is not at hand: everything is held against the model itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import xarray as xr
from msgspec import to_builtins

from crar_model.core.errors import UserError
from crar_model.core.params import select
from crar_model.core.settings import PlaySettings
from crar_model.core.threads import torch_threads
from crar_model.models.checkpoints import load_checkpoint
from crar_model.tasks.metrics import Metric
from crar_reports.measure.dissection import SHORT, Stage, oddness
from crar_reports.measure.minimum import Minimum, examine
from crar_reports.measure.move_errors import transition_errors
from crar_reports.measure.options import LandscapeOptions
from crar_reports.measure.release import Released, adapted_and_released
from crar_reports.measure.shifts import Shift, landscape_shifts
from crar_reports.measure.subject import LISTABLE, Subject
from crar_reports.measure.surface import encoder_dynamics

STAGES = ("certificate and released dynamics", "surface", "theorem")


@dataclass(frozen=True)
class Lone:
    """What was measured of one model.

    Attributes:
        subject: the model in both places; its `optimum` is the model with the encoder that it has once everything is released, so ways lead there.
        minimum: its encoder converged under its own dynamics, and what that point is.
        adapted: its dynamics trained on its embedding as it is. released: everything free.
        surface: encoder (0 its own, 1 the released one) x dynamics (0 its own, 1 the adapted ones).
        shifts: how its encoder's landscape moves with the dynamics.
        terms: loss terms of the model; stationary: those where its encoder converged; floor: what no encoder can lower of the total.
        metrics: its figures of merit.
        oddness: mean over states of |e(-s) + e(s)| and |e(-s) - e(s)|, in its mean moves.
        errors: of its transition model, in its own edges; see `transition_errors`.
        quick: whether work was cut short.
    """

    subject: Subject
    minimum: Minimum
    adapted: Released
    released: Released
    surface: xr.Dataset
    shifts: list[Shift]
    terms: dict[str, float]
    stationary: dict[str, float]
    floor: float
    metrics: dict[str, Metric]
    oddness: tuple[float, float]
    errors: dict[str, Any]
    quick: bool

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "terms": self.terms, "stationary_terms": self.stationary, "floor": self.floor, "quick": self.quick, "oddness": list(self.oddness),
            "errors": self.errors, "certificate": to_builtins(self.minimum.figures()), "adapted": self.adapted.plain(), "released": self.released.plain(),
            "shifts": [asdict(shift) for shift in self.shifts],
            **{SHORT.get(name, name): value for name, value in self.metrics.items()},
        }  # fmt: skip


def lone_subject(path: Path, *, maze: str | None = None) -> Subject:
    """A model without a base, in both places of a subject.

    Args:
        path: the checkpoint.
        maze: of a checkpoint that does not say, as in :func:`load_checkpoint`.

    Raises:
        UserError: for an unusable checkpoint, or one of a maze whose transitions cannot all be listed.
    """
    model = load_checkpoint(path, maze=maze, flag="--from-maze")
    model.task.need_listing(path)
    if not model.task.sampling.complete:
        raise UserError(f"{path}: a model of {model.task.title}, which needs its base (--to); without one go models of {LISTABLE}")
    return Subject.of(model, model, (path, path))


def examine_alone(subject: Subject, options: LandscapeOptions, *, store: Path | None = None, stage: Stage | None = None) -> Lone:
    """Measure everything that needs no base; deterministic.

    Args:
        subject: from :func:`lone_subject`.
        options: validated; lines and paths, which lead to a base, are left out, and the certificate is always made.
        store: file that keeps an unfinished surface, so that an interrupted one goes on.
        stage: told of the progress.
    """
    task, quick = subject.task, options.quick
    options = options.settled(task)
    assert task.maze is not None

    def at(number: int) -> None:
        if stage is not None:
            stage(STAGES[number] if number < len(STAGES) else "done", number, len(STAGES))

    terms = options.terms if "total" in options.terms else (*options.terms, "total")
    with torch_threads(1):
        at(0)
        space = "embedding" if quick and options.space == "embedding" else "weight"
        adapted, released, minimum = adapted_and_released(subject, options.blocks, quick=quick, beside=lambda: examine(subject, space))
        if all(torch.equal(released.params[name], value) for name, value in select(subject.failed, ("encoder",)).items()):
            raise UserError(
                f"{subject.failed_path}: releasing everything moves its encoder nowhere, so there is no surface; give its base with --to"
            )
        towards = replace(subject, optimum=subject.failed | select(released.params, ("encoder",)))
        at(1)
        surface = encoder_dynamics(
            towards, adapted.params, options.blocks, resolution=options.resolution, space=options.space, align=options.align, terms=terms,
            store=store,
        )  # fmt: skip
        at(2)
        shifts = landscape_shifts(towards, adapted.params).rows
        at(3)
    end = minimum.converged.point
    with torch.no_grad():
        here = subject.terms(subject.failed)
        there = subject.terms(subject.dynamics, end["embedding"]) if "embedding" in end else subject.terms(subject.failed | end)
    metrics = task.metrics(subject.agent, subject.failed, inverse=subject.inverse, how=PlaySettings())
    return Lone(
        towards, minimum, adapted, released, surface, shifts, {name: float(value) for name, value in here.items()},
        {name: float(value) for name, value in there.items()}, subject.floor["total"], metrics, oddness(subject), transition_errors(subject, task.maze),
        quick,
    )  # fmt: skip
