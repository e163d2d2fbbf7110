"""Everything that `crar landscape` measures on one pair of models; the pages are written from it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import xarray as xr
from torch import Tensor

from crar_model.errors import UserError
from crar_model.evaluation import Evaluation, Match, Score, embed, evaluate, mean_move
from crar_model.losses import SHOWN
from crar_model.mazes.simple import SimpleMaze
from crar_model.params import DYNAMICS, Params, select
from crar_model.settings import PlaySettings
from crar_model.tasks import Task
from landscape_tools import barrier, sample_line
from reports.measure.minimum import Minimum, examine
from reports.measure.paths import Effort, Passage, find_passage
from reports.measure.release import Released, adapted_and_released
from reports.measure.shifts import Shift, landscape_shifts
from reports.measure.subject import Subject
from reports.measure.surface import encoder_dynamics
from reports.threads import cores, torch_threads

Stage = Callable[[str, int, int], None]
"""Called with (what is at work, stages done, stages in all)."""
QUICK_EPISODES = 20
SHORT = {"nearest_state_accuracy": "accuracy", "navigation_success": "navigation"}
"""Names of figures of merit in `results.json`, where they are not the task's own."""


@dataclass(frozen=True)
class LandscapeOptions:
    """What to measure.

    Attributes:
        points: points per line. resolution: points per axis of the surface.
        blocks: blocks of the dynamics that the second axis and the free paths move.
        terms: loss terms to sample and show.
        space: where surface and paths run, "embedding" or "weight"; "auto" is the task's choice: the embedding where the encoder can
            set every state freely.
        align: match hidden units before going to the optimum in weight space.
        quick: fewer iterations everywhere. certificate: converge and certify the failed encoder.
        image: "png" or "svg".
    """

    points: int = 101
    resolution: int = 51
    blocks: tuple[str, ...] = DYNAMICS
    terms: tuple[str, ...] = SHOWN
    space: str = "auto"
    align: bool = True
    quick: bool = False
    certificate: bool = True
    image: str = "png"

    def validate(self) -> None:
        """Raise UserError for a value out of range."""
        if self.points < 2:
            raise UserError(f"--points is {self.points}; give at least 2")
        if self.resolution < 2:
            raise UserError(f"--resolution is {self.resolution}; give at least 2")
        for flag, given, known in (("--blocks", self.blocks, DYNAMICS), ("--terms", self.terms, SHOWN)):
            for word in given:
                if word not in known:
                    raise UserError(f"{flag}: unknown {word!r}; choose from {', '.join(known)}")
            if not given:
                raise UserError(f"{flag} names nothing; choose from {', '.join(known)}")
        for flag, word, choices in (("--space", self.space, ("auto", "embedding", "weight")), ("--format", self.image, ("png", "svg"))):
            if word not in choices:
                raise UserError(f"{flag} is {word!r}; choose {' or '.join(choices)}")

    def settled(self, task: Task) -> LandscapeOptions:
        """The options with "auto" settled for a task."""
        return replace(self, space=task.sampling.space) if self.space == "auto" else self


@dataclass(frozen=True)
class Dissection:
    """What was measured. The last four are there only where the evaluation set is all there is.

    Attributes:
        failed, optimum: evaluations in the failed model's maze. match: the failed embedding against the optimum's.
        oddness: claim S1 on the base: mean over states of |e(-s) + e(s)| and |e(-s) - e(s)|, in mean moves.
        midpoint: claim S5: mean over states of |(x_failed + x_base) / 2|, in mean moves.
        lines: name -> line; surface: encoder x dynamics.
        adapted: dynamics alone; released: everything.
        how: of the scores. quick: whether work was cut short.
        errors: claim S4, see :func:`transition_errors`; None where the states cannot be listed.
        minimum: None without a certificate.
        passage: paths; shifts: of the encoder's landscape.
    """

    failed: Evaluation
    optimum: Evaluation
    match: Match
    oddness: tuple[float, float]
    midpoint: float
    lines: dict[str, xr.Dataset]
    surface: xr.Dataset
    adapted: Released
    released: Released
    how: PlaySettings
    quick: bool
    errors: dict[str, float] | None = None
    minimum: Minimum | None = None
    passage: Passage | None = None
    shifts: list[Shift] | None = None

    def plain(self) -> dict[str, Any]:
        """As plain data; what was not measured is left out."""
        result: dict[str, Any] = {
            "failed_terms": self.failed.terms, "optimum_terms": self.optimum.terms, "match": self.match.plain(), "distance": self.match.distance,
            "edge": self.match.mean_move,
            "quick": self.quick, "oddness": list(self.oddness), "midpoint": self.midpoint,
            "barriers": {
                space: {str(term): asdict(barrier(line, str(term))) for term in line.data_vars} for space, line in self.lines.items()
            },
            "adapted": self.adapted.plain(), "released": self.released.plain(),
        }  # fmt: skip
        for name, value in self.failed.metrics.items():
            other = self.optimum.metrics[name]
            if isinstance(value, Score) and isinstance(other, Score):
                result |= {f"failed_{name}": asdict(value), f"optimum_{name}": asdict(other), "how": asdict(self.how)}
            else:
                result[SHORT.get(name, name)] = [value, other]
        if self.errors is not None:
            result["errors"] = self.errors
        if self.passage is not None:
            result |= {"paths": self.passage.plain(), "certificate": None if self.minimum is None else self.minimum.plain()}
        if self.shifts is not None:
            result["shifts"] = [asdict(s) for s in self.shifts]
        return result


def sample_lines(subject: Subject, points: int, terms: tuple[str, ...], align: bool) -> dict[str, xr.Dataset]:
    """Losses along the straight line between the encoders, in embedding space, in weight space, and in
    weight space to the nearest copy of the optimum under permutations and signs of hidden units.

    The dynamics are those of the failed model, which a `freeze` transfer shares with its base; the bootstrap
    values of `value` are frozen at the optimum's, so that the whole line sees one loss.
    """

    def in_weights(encoder: Params) -> dict[str, Tensor]:
        values = subject.terms(subject.dynamics | encoder)
        return {name: values[name] for name in terms}

    def in_embedding(point: Params) -> dict[str, Tensor]:
        values = subject.terms(subject.dynamics, point["embedding"])
        return {name: values[name] for name in terms}

    failed, optimum = select(subject.failed, ("encoder",)), select(subject.optimum, ("encoder",))
    ends = [{"embedding": subject.embedding(params)} for params in (subject.failed, subject.optimum)]
    lines = {
        "embedding": sample_line(in_embedding, ends[0], ends[1], points=points, **subject.sampling),
        "weight": sample_line(in_weights, failed, optimum, points=points, **subject.sampling),
    }
    return lines | ({"aligned": sample_line(in_weights, failed, subject.nearest, points=points, **subject.sampling)} if align else {})


def transition_errors(subject: Subject, maze: SimpleMaze) -> dict[str, float]:
    """Claim S4: |T(x, a) - x'| of all transitions of the failed model, in units of its mean edge length: largest, mean, share
    above 2, and means over the states beside an outer wall ("near") and the others ("far")."""
    x, batch = subject.embedding(subject.failed), subject.batch
    with torch.no_grad():
        predicted = subject.agent.transition(subject.failed, x[batch.state], batch.action)
    error = (predicted - x[batch.next_state]).norm(dim=1) / mean_move(batch, x)
    positions = maze.positions
    side = ((positions == positions.amin(0)) | (positions == positions.amax(0))).any(1)
    near = side[batch.state]
    return {
        "largest": float(error.max()), "mean": float(error.mean()), "above_two": float((error > 2).double().mean()),
        "near": float(error[near].mean()), "far": float(error[~near].mean()), "near_states": int(side.sum()), "states": len(side),
    }  # fmt: skip


def dissect(subject: Subject, options: LandscapeOptions, *, store: Path | None = None, stage: Stage | None = None) -> Dissection:
    """Measure everything; deterministic.

    Args:
        options: validated.
        store: file that keeps an unfinished surface, so that an interrupted one goes on.
        stage: told of the progress.
    """
    task = subject.task
    options = options.settled(task)
    complete, quick = task.sampling.complete, options.quick
    names = ["lines", "certificate and released dynamics" if complete else "dynamics adapted, everything released", "surface"]
    names += ["paths", "theorem"] if complete else []
    names += ["figures of merit"]

    def at(number: int) -> None:
        if stage is not None:
            stage(names[number] if number < len(names) else "done", number, len(names))

    terms = options.terms if "total" in options.terms else (*options.terms, "total")
    threads = 1 if complete else cores()  # a pass over all of a small maze is too small to share
    how = PlaySettings(episodes=QUICK_EPISODES) if quick else PlaySettings()
    with torch_threads(threads):
        at(0)
        lines = sample_lines(subject, options.points, terms, options.align)
    with torch_threads(1):
        at(1)

        def certified() -> Minimum | None:
            if not (complete and options.certificate):
                return None
            return examine(subject, "embedding" if quick and options.space == "embedding" else "weight")

        adapted, released, minimum = adapted_and_released(subject, options.blocks, quick=quick, beside=certified)
        at(2)
        surface = encoder_dynamics(
            subject, adapted.params, options.blocks, resolution=options.resolution, space=options.space, align=options.align,
            terms=terms, store=store, threads=threads,
        )  # fmt: skip
        passage = shifts = None
        if complete:
            at(3)
            start = select(subject.failed, ("encoder",)) if minimum is None else minimum.converged.point
            effort = Effort(images=9, iterations=60, zooms=2, lift=False) if quick else Effort()
            passage = find_passage(
                subject, start, options.blocks, None if quick else released.params, space=options.space, align=options.align, effort=effort
            )
            at(4)
            shifts = landscape_shifts(subject, adapted.params)
        at(len(names) - 1)
        failed, optimum = judge_ends(subject, how)
        at(len(names))
    x_failed, x_optimum = subject.embedding(subject.failed).double(), subject.embedding(subject.optimum).double()
    unit, states = float(mean_move(subject.batch, x_optimum)), subject.batch.states
    base = subject.optimum_file
    seen = [embed(task, base.parameters, inverse=inverse).double()[states] for inverse in (False, True)]
    odd, even = (float((seen[1] + sign * seen[0]).norm(dim=1).mean()) / unit for sign in (1.0, -1.0))
    midpoint = float((0.5 * (x_failed + x_optimum))[states].norm(dim=1).mean()) / unit
    errors = None if task.maze is None else transition_errors(subject, task.maze)
    return Dissection(
        failed, optimum, subject.match(subject.embedding(subject.failed)), (odd, even), midpoint, lines, surface, adapted, released, how, quick,
        errors, minimum, passage, shifts,
    )  # fmt: skip


def judge_ends(subject: Subject, how: PlaySettings) -> tuple[Evaluation, Evaluation]:
    """Evaluations of both models in the failed model's maze, the same luck for both. On a sample, the terms are those of the subject,
    whose bootstrap values are the optimum's."""

    def judged(params: Params) -> Evaluation:
        found = evaluate(subject.task, params, inverse=subject.inverse, settings=subject.settings, how=how)
        if subject.task.sampling.complete:
            return found
        return replace(found, terms={name: float(value) for name, value in subject.terms(params).items()})

    with ThreadPoolExecutor(max_workers=2) as pool:
        failed, optimum = pool.map(judged, (subject.failed, subject.optimum))
    return failed, optimum
