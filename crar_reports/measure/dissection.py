"""Everything that `crar landscape` measures on one pair of models; the pages are written from it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import xarray as xr
from msgspec import to_builtins

from crar_model.agent.symmetry import Match, mean_move
from crar_model.core.machine import cores
from crar_model.core.params import Params, select
from crar_model.core.ratio import ratio
from crar_model.core.settings import PlaySettings
from crar_model.core.threads import torch_threads
from crar_model.models.evaluation import Evaluation, embed, evaluate
from crar_model.models.merit import same_dynamics
from crar_model.tasks.metrics import Score
from crar_reports.measure.lines import sample_lines
from crar_reports.measure.minimum import Minimum, examine, heavy
from crar_reports.measure.move_errors import transition_errors
from crar_reports.measure.options import LandscapeOptions
from crar_reports.measure.paths import Effort, Passage, find_passage
from crar_reports.measure.release import Released, adapted_and_released
from crar_reports.measure.sample_minimum import FULL as FULL_BUDGET
from crar_reports.measure.sample_minimum import QUICK as QUICK_BUDGET
from crar_reports.measure.sample_minimum import Budget
from crar_reports.measure.sample_paths import Sampled, on_samples
from crar_reports.measure.shifted_descents import Finds, descents
from crar_reports.measure.shifts import Shifts, landscape_shifts
from crar_reports.measure.subject import Subject
from crar_reports.measure.surface import encoder_dynamics
from landscape_tools import barrier, rank

Stage = Callable[[str, int, int], None]
"""Called with (what is at work, stages done, stages in all)."""
QUICK_EPISODES = 20
QUICK_STEPS = 100
"""Of the reference's descent; the shipped base takes 54."""
SAME = 1e-6
"""Relative difference of two totals up to which neither lies below the other."""
SHORT = {"nearest_state_accuracy": "accuracy", "navigation_success": "navigation"}
"""Names of figures of merit in `results.json`, where they are not the task's own."""


@dataclass(frozen=True)
class Dissection:
    """What was measured. From `minimum` to `passage` only where the evaluation set is all there is, `sampled` only where it is not.

    Attributes:
        subject: the pair, with the reference that all was measured against.
        failed, optimum, copy: evaluations in the failed model's maze of the failed model, of the reference and of the base's copy as it is.
        floor: what no encoder can lower, see `Subject.floor`.
        match: the failed embedding against the base's.
        oddness: claim S1 on the base: mean over states of |e(-s) + e(s)| and |e(-s) - e(s)|, in mean moves.
        midpoint: claim S5: mean over states of |(x_failed + x_base) / 2|, in mean moves.
        lines: name -> line; surface: encoder x dynamics.
        adapted: dynamics alone; released: everything.
        how: of the scores. quick: whether work was cut short.
        errors: claim S4, see `move_errors.transition_errors`; None where the states cannot be listed.
        minimum: None without a certificate. reference: where the base's copy converges.
        passage: paths; shifts: of the encoder's landscape; finds: what descents find in the moved ones. Of a sample, the last two with
            `LandscapeOptions.full` only.
        sampled: certificate and paths on a sample and an independent one; None without a certificate.
        table: evaluation set of the tables, in words.
    """

    subject: Subject
    failed: Evaluation
    optimum: Evaluation
    copy: Evaluation
    floor: dict[str, float]
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
    reference: Minimum | None = None
    passage: Passage | None = None
    shifts: Shifts | None = None
    finds: Finds | None = None
    sampled: Sampled | None = None
    table: str = ""

    @property
    def lowest(self) -> tuple[str, float]:
        """The lowest total found anywhere, whatever the dynamics, and what has it; the reference where nothing lies below it."""
        totals = {
            "reference": self.optimum.terms["total"], "base's copy": self.copy.terms["total"],
            "failed model with adapted dynamics": self.adapted.terms["total"], "released model": self.released.terms["total"],
        }  # fmt: skip
        if self.subject.task.sampling.complete:  # else pictures are drawn on other transitions than tables
            totals["surface"] = float(self.surface["total"].min())
            totals |= {f"line ({space})": float(line["total"].min()) for space, line in self.lines.items()}
        if self.minimum is not None:
            totals["failed model's stationary point"] = self.minimum.converged.loss
        if self.passage is not None:
            paths = {"frozen": self.passage.frozen, "free": self.passage.free, "valleys": self.passage.valleys}
            totals |= {f"path ({name})": float(path.heights.min()) for name, path in paths.items() if path is not None}
        least = min(totals, key=lambda name: rank(totals[name]))
        if totals[least] > totals["reference"] - SAME * totals["reference"]:
            least = "reference"
        return least, totals[least]

    @property
    def reference_name(self) -> str:
        """What the reference may be called."""
        return "global optimum" if self.lowest[0] == "reference" else "reference"

    def plain(self) -> dict[str, Any]:
        """As plain data; what was not measured is left out."""
        result: dict[str, Any] = {
            "failed_terms": self.failed.terms, "optimum_terms": self.optimum.terms, "copy_terms": self.copy.terms, "floor": self.floor,
            "lowest": list(self.lowest), "match": self.match.plain(), "distance": self.match.distance,
            "edge": self.match.mean_move,
            "quick": self.quick, "same_dynamics": same_dynamics(self.subject.failed_file, self.subject.optimum_file), "oddness": list(self.oddness), "midpoint": self.midpoint,
            "barriers": {
                space: {str(term): asdict(barrier(line, str(term))) for term in line.data_vars} for space, line in self.lines.items()
            },
            "adapted": self.adapted.plain(), "released": self.released.plain(),
        }  # fmt: skip
        for name, value in self.failed.metrics.items():
            other, copy = self.optimum.metrics[name], self.copy.metrics[name]
            if isinstance(value, Score) and isinstance(other, Score) and isinstance(copy, Score):
                scores = {"failed": value, "optimum": other, "copy": copy}
                result |= {f"{which}_{name}": asdict(score) for which, score in scores.items()} | {"how": asdict(self.how)}
            else:
                result[SHORT.get(name, name)] = [value, other, copy]
        if self.errors is not None:
            result["errors"] = self.errors
        if self.reference is not None:
            result["reference"] = to_builtins(self.reference.figures())
        if self.sampled is not None:
            result["sampled"] = self.sampled.plain()
        if self.passage is not None:
            result |= {"paths": self.passage.plain(), "certificate": None if self.minimum is None else to_builtins(self.minimum.figures())}
        if self.shifts is not None:
            result["shifts"], result["shifts_on"] = [asdict(s) for s in self.shifts.rows], self.shifts.sample
        if self.finds is not None:
            result["descents"], result["descents_on"] = [asdict(s) for s in self.finds.rows], self.finds.sizes
        return result


def dissect(subject: Subject, options: LandscapeOptions, *, store: Path | None = None, stage: Stage | None = None) -> Dissection:
    """Measure everything; deterministic.

    Args:
        options: validated.
        store: file that keeps an unfinished surface, so that an interrupted one goes on.
        stage: told of the progress.
    """
    task = subject.task
    options = options.settled(task)
    complete, quick, size = task.sampling.complete, options.quick, task.sample_size(options.sample)
    on_sample = options.certificate and not complete
    names = ["certificate and released dynamics" if complete else "dynamics adapted, everything released"]
    names += ["certificate on samples", "paths on samples"] if on_sample else []
    theorem = complete or options.full
    names += ["lines", "surface", *(["paths"] if complete else []), *(["theorem"] if theorem else []), "figures of merit"]

    def at(name: str) -> None:
        if stage is not None:
            stage(name, names.index(name) if name in names else len(names), len(names))

    terms = options.terms if "total" in options.terms else (*options.terms, "total")
    threads = 1 if complete else cores()  # a pass over all of a small maze is too small to share
    how = PlaySettings(episodes=QUICK_EPISODES) if quick else PlaySettings()
    budget = QUICK_BUDGET if quick else FULL_BUDGET if options.full else Budget()
    at(names[0])
    with torch_threads(1):

        def examined() -> tuple[Minimum | None, Minimum | None]:
            if not complete:
                return None, None
            space = "embedding" if (quick or heavy(subject)) and options.space == "embedding" else "weight"
            reference = examine(subject, "weight", base=True, iterations=QUICK_STEPS if quick else None)
            return examine(subject, space) if options.certificate else None, reference

        adapted, released, (minimum, reference) = adapted_and_released(subject, options.blocks, quick=quick, beside=examined)
    if reference is not None:
        subject = subject.referred_to(reference.converged.point)
    sampled = None
    if on_sample:  # first, for lines and surface end at the reference
        with torch_threads(1):
            sampled = on_samples(subject, size, options.blocks, budget, tick=at)
        subject = subject.referred_to(sampled.reference.encoder)
    with torch_threads(threads):
        at("lines")
        lines = sample_lines(subject, options.points, terms, options.align)
    with torch_threads(1):
        at("surface")
        surface = encoder_dynamics(
            subject, adapted.params, options.blocks, resolution=options.resolution, space=options.space, align=options.align,
            terms=terms, store=store, threads=threads,
        )  # fmt: skip
        passage = shifts = finds = None
        if complete:
            at("paths")
            start = select(subject.failed, ("encoder",)) if minimum is None else minimum.converged.point
            effort = Effort(images=9, iterations=60, zooms=2, lift=False, searches=False) if quick else Effort(lift=not heavy(subject))
            passage = find_passage(
                subject, start, options.blocks, None if quick else released.params, space=options.space, align=options.align, effort=effort
            )
        if theorem:
            at("theorem")
            shifts = landscape_shifts(subject, adapted.params)
            finds = None if quick else descents(subject, adapted.params, size=size, budget=budget, known=sampled)
        at("figures of merit")
        table = subject.table
        failed, optimum, copy = judge_ends(table, how)
        if table is not subject:
            adapted, released = (
                replace(one, terms={name: float(value) for name, value in table.terms(one.params).items()}) for one in (adapted, released)
            )
        at("done")
    x_failed, x_base = subject.embedding(subject.failed).double(), subject.embedding(subject.copy).double()
    midpoint = ratio(float((0.5 * (x_failed + x_base))[subject.batch.states].norm(dim=1).mean()), float(mean_move(subject.batch, x_base)))
    errors = None if task.maze is None else transition_errors(subject, task.maze)
    return Dissection(
        subject, failed, optimum, copy, table.floor, subject.match(subject.embedding(subject.failed)), oddness(subject), midpoint, lines, surface, adapted,
        released, how, quick, errors, minimum, reference, passage, shifts, finds, sampled,
        task.sampling.what if complete else f"{len(table.batch.state):,} held-out transitions, {int(table.batch.terminated.sum())} of them terminal",
    )  # fmt: skip


def oddness(subject: Subject) -> tuple[float, float]:
    """Claim S1 on the base: mean over states of |e(-s) + e(s)| and |e(-s) - e(s)|, in mean moves of its copy's embedding."""
    unit, base = float(mean_move(subject.batch, subject.embedding(subject.copy).double())), subject.optimum_file.parameters
    seen = [embed(subject.task, base, inverse=inverse).double()[subject.batch.states] for inverse in (False, True)]
    odd, even = (ratio(float((seen[1] + sign * seen[0]).norm(dim=1).mean()), unit) for sign in (1.0, -1.0))
    return odd, even


def judge_ends(subject: Subject, how: PlaySettings) -> tuple[Evaluation, Evaluation, Evaluation]:
    """Evaluations of the failed model, the reference and the base's copy in the failed model's maze, the same luck for all. On a sample, the terms are those of the subject,
    whose bootstrap values are the copy's."""

    def judged(params: Params) -> Evaluation:
        found = evaluate(subject.task, params, inverse=subject.inverse, settings=subject.settings, how=how)
        return replace(found, terms={name: float(value) for name, value in subject.terms(params).items()})

    models = [subject.failed, subject.copy] + ([] if subject.optimum is subject.copy else [subject.optimum])
    with ThreadPoolExecutor(max_workers=2) as pool:
        failed, copy, *other = pool.map(judged, models)
    return failed, other[0] if other else copy, copy
