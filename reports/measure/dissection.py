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
from reports.measure.finds import Finds, descents
from reports.measure.minimum import Minimum, examine
from reports.measure.on_sample import FULL as FULL_BUDGET
from reports.measure.on_sample import QUICK as QUICK_BUDGET
from reports.measure.on_sample import Budget
from reports.measure.paths import Effort, Passage, find_passage
from reports.measure.release import Released, adapted_and_released
from reports.measure.sampled import Sampled, on_samples
from reports.measure.shifts import Shifts, landscape_shifts
from reports.measure.subject import Subject
from reports.measure.surface import encoder_dynamics
from reports.threads import cores, torch_threads

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
class LandscapeOptions:
    """What to measure.

    Attributes:
        points: points per line. resolution: points per axis of the surface.
        blocks: blocks of the dynamics that the second axis and the free paths move.
        terms: loss terms to sample and show.
        space: where surface and paths run, "embedding" or "weight"; "auto" is the task's choice: the embedding where the encoder can
            set every state freely.
        align: match hidden units before going to the optimum in weight space.
        quick: fewer iterations everywhere. full: where transitions are sampled, longer descents and the theorem's figures, which take as long as
            all else. certificate: converge and certify the failed encoder.
        sample: where transitions are sampled, those of the certificate and the paths.
        image: "png" or "svg".
    """

    points: int = 101
    resolution: int = 51
    blocks: tuple[str, ...] = DYNAMICS
    terms: tuple[str, ...] = SHOWN
    space: str = "auto"
    align: bool = True
    quick: bool = False
    full: bool = False
    certificate: bool = True
    sample: int = 2_048
    image: str = "png"

    def validate(self) -> None:
        """Raise UserError for a value out of range."""
        if self.points < 2:
            raise UserError(f"--points is {self.points}; give at least 2")
        if self.resolution < 2:
            raise UserError(f"--resolution is {self.resolution}; give at least 2")
        if self.sample < 1:
            raise UserError(f"--sample is {self.sample}; give at least 1")
        if self.quick and self.full:
            raise UserError("--quick and --full ask for opposite things; give one of them")
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
        errors: claim S4, see :func:`transition_errors`; None where the states cannot be listed.
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
        least = min(totals, key=lambda name: totals[name])
        return (
            ("reference", totals["reference"])
            if totals[least] > totals["reference"] - SAME * totals["reference"]
            else (least, totals[least])
        )

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
            "quick": self.quick, "oddness": list(self.oddness), "midpoint": self.midpoint,
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
            result["reference"] = self.reference.plain()
        if self.sampled is not None:
            result["sampled"] = self.sampled.plain()
        if self.passage is not None:
            result |= {"paths": self.passage.plain(), "certificate": None if self.minimum is None else self.minimum.plain()}
        if self.shifts is not None:
            result["shifts"], result["shifts_on"] = [asdict(s) for s in self.shifts.rows], self.shifts.sample
        if self.finds is not None:
            result["descents"], result["descents_on"] = [asdict(s) for s in self.finds.rows], self.finds.sizes
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


WORST = 4
"""Transitions that the concentration of the error is measured on: as many as lead through the door of the study's maze."""


def transition_errors(subject: Subject, maze: SimpleMaze) -> dict[str, Any]:
    """Claim S4: |T(x, a) - x'| of the failed model over the moves that change the state, in local edges: lengths of those very moves in the base's
    embedding.

    Returns:
        largest and mean error, share above 2 and of those the share at a door; means over the moves from beside an outer wall ("near") and
        the others ("far"); the share of the whole error on its `WORST` moves, and how many of them lead through a door; states near a side on
        the board as drawn and among those that there are; two mean edges in units of the abstract space.
    """
    batch = subject.batch
    x, base = subject.embedding(subject.failed), subject.embedding(subject.copy)
    with torch.no_grad():
        predicted = subject.agent.transition(subject.failed, x[batch.state], batch.action)
    moves = batch.state != batch.next_state
    before, after = batch.state[moves], batch.next_state[moves]
    edge = (base[after] - base[before]).norm(dim=1)
    error = (predicted - x[batch.next_state]).norm(dim=1)[moves]
    local = error / edge.clamp_min(1e-12)
    positions, rooms = maze.positions, maze.rooms()
    side = ((positions == positions.amin(0)) | (positions == positions.amax(0))).any(1)
    near, door = side[before], (rooms[before] < 0) | (rooms[after] < 0)
    above = local > 2
    worst = error.topk(min(WORST, len(error))).indices
    rows, columns = maze.walls.shape

    def mean(of: Tensor) -> float:
        return float(local[of].mean()) if bool(of.any()) else float("nan")

    return {
        "largest": float(local.max()), "mean": float(local.mean()), "above_two": float(above.double().mean()),
        "above_at_door": float(door[above].double().mean()) if bool(above.any()) else 0.0,
        "near": mean(near), "far": mean(~near), "moves": len(local), "near_states": int(side.sum()), "states": len(side),
        "board_near": 2 * (rows + columns) - 4, "board": rows * columns, "two_edges": 2 * float(edge.mean()),
        "worst": len(worst), "worst_share": float(error[worst].sum() / error.sum()), "worst_at_door": int(door[worst].sum()),
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
            space = "embedding" if quick and options.space == "embedding" else "weight"
            reference = examine(subject, "weight", base=True, iterations=QUICK_STEPS if quick else 300)
            return examine(subject, space) if options.certificate else None, reference

        adapted, released, (minimum, reference) = adapted_and_released(subject, options.blocks, quick=quick, beside=examined)
    if reference is not None:
        subject = subject.referred_to(reference.converged.point)
    sampled = None
    if on_sample:  # first, for lines and surface end at the reference
        with torch_threads(1):
            sampled = on_samples(subject, options.sample, options.blocks, budget, tick=at)
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
            effort = Effort(images=9, iterations=60, zooms=2, lift=False, searches=False) if quick else Effort()
            passage = find_passage(
                subject, start, options.blocks, None if quick else released.params, space=options.space, align=options.align, effort=effort
            )
        if theorem:
            at("theorem")
            shifts = landscape_shifts(subject, adapted.params)
            finds = None if quick else descents(subject, adapted.params, size=options.sample, budget=budget, known=sampled)
        at("figures of merit")
        table = subject.table
        failed, optimum, copy = judge_ends(table, how)
        if table is not subject:
            adapted, released = (
                replace(one, terms={name: float(value) for name, value in table.terms(one.params).items()}) for one in (adapted, released)
            )
        at("done")
    x_failed, x_base = subject.embedding(subject.failed).double(), subject.embedding(subject.copy).double()
    unit, states = float(mean_move(subject.batch, x_base)), subject.batch.states
    base = subject.optimum_file
    seen = [embed(task, base.parameters, inverse=inverse).double()[states] for inverse in (False, True)]
    odd, even = (float((seen[1] + sign * seen[0]).norm(dim=1).mean()) / unit for sign in (1.0, -1.0))
    midpoint = float((0.5 * (x_failed + x_base))[states].norm(dim=1).mean()) / unit
    errors = None if task.maze is None else transition_errors(subject, task.maze)
    return Dissection(
        subject, failed, optimum, copy, table.floor, subject.match(subject.embedding(subject.failed)), (odd, even), midpoint, lines, surface, adapted,
        released, how, quick, errors, minimum, reference, passage, shifts, finds, sampled,
        task.sampling.what if complete else f"{len(table.batch.state):,} held-out transitions, {int(table.batch.terminated.sum())} of them terminal",
    )  # fmt: skip


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
