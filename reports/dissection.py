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
from crar_model.evaluation import Evaluation, Match, embed, evaluate, match_embeddings, mean_edge
from crar_model.mazes.simple import simple_maze
from crar_model.params import DYNAMICS, Params, select
from landscape_tools.lines import barrier, sample_line
from reports.minimum import Minimum, examine
from reports.passage import Effort, Passage, find_passage
from reports.released import Released, adapt, release
from reports.subject import SHOWN, Subject
from reports.surface import encoder_dynamics
from reports.theorem import Shift, landscape_shifts
from reports.threads import torch_threads

Stage = Callable[[str, int, int], None]
"""Called with (what is at work, stages done, stages in all)."""


@dataclass(frozen=True)
class LandscapeOptions:
    """What to measure.

    Attributes:
        points: points per line. resolution: points per axis of the surface.
        blocks: blocks of the dynamics that the second axis and the free paths move.
        terms: loss terms to sample and show.
        space: where surface and paths run, "embedding" or "weight"; "auto" is the embedding in the simple maze, where the
            encoder can set every state freely, and the weights in the random ones, where it cannot.
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

    def settled(self, maze: str) -> LandscapeOptions:
        """The options with "auto" settled for a maze."""
        space = "embedding" if maze == "simple" else "weight"
        return replace(self, space=space) if self.space == "auto" else self


@dataclass(frozen=True)
class Dissection:
    """What was measured.

    Attributes:
        failed, optimum: evaluations in the failed model's maze. match: the failed embedding against the optimum's.
        oddness: claim S1 on the base: mean over states of |e(-s) + e(s)| and |e(-s) - e(s)|, in mean edges.
        midpoint: claim S5: mean over states of |(x_failed + x_base) / 2|, in mean edges.
        errors: claim S4, see :func:`transition_errors`.
        lines: name -> line; surface: encoder x dynamics.
        minimum: None without a certificate. adapted: dynamics alone; released: everything.
        passage: paths; shifts: of the encoder's landscape.
        quick: whether iterations were cut short.
    """

    failed: Evaluation
    optimum: Evaluation
    match: Match
    oddness: tuple[float, float]
    midpoint: float
    errors: dict[str, float]
    lines: dict[str, xr.Dataset]
    surface: xr.Dataset
    minimum: Minimum | None
    adapted: Released
    released: Released
    passage: Passage
    shifts: list[Shift]
    quick: bool

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "failed_terms": self.failed.terms, "optimum_terms": self.optimum.terms, "match": self.match.plain(),
            "accuracy": [self.failed.nearest_state_accuracy, self.optimum.nearest_state_accuracy],
            "navigation": [self.failed.navigation_success, self.optimum.navigation_success],
            "quick": self.quick, "oddness": list(self.oddness), "midpoint": self.midpoint, "errors": self.errors,
            "barriers": {
                space: {str(term): asdict(barrier(line, str(term))) for term in line.data_vars} for space, line in self.lines.items()
            },
            "certificate": None if self.minimum is None else self.minimum.plain(),
            "adapted": self.adapted.plain(), "released": self.released.plain(),
            "paths": self.passage.plain(), "shifts": [asdict(s) for s in self.shifts],
        }  # fmt: skip


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


def transition_errors(subject: Subject) -> dict[str, float]:
    """Claim S4: |T(x, a) - x'| of all 124 transitions of the failed model, in units of its mean edge length: largest, mean, share
    above 2, and means over the states beside an outer wall ("near") and the others ("far")."""
    x, batch = subject.embedding(subject.failed), subject.batch
    with torch.no_grad():
        predicted = subject.agent.transition(subject.failed, x[batch.current], batch.action)
    error = (predicted - x[batch.following]).norm(dim=1) / mean_edge(x)
    positions = simple_maze().positions
    side = ((positions == positions.amin(0)) | (positions == positions.amax(0))).any(1)
    near = side[batch.current]
    return {
        "largest": float(error.max()), "mean": float(error.mean()), "above_two": float((error > 2).double().mean()),
        "near": float(error[near].mean()), "far": float(error[~near].mean()), "near_states": int(side.sum()),
    }  # fmt: skip


def dissect(subject: Subject, options: LandscapeOptions, *, store: Path | None = None, stage: Stage | None = None) -> Dissection:
    """Measure everything; deterministic.

    Args:
        options: validated.
        store: file that keeps an unfinished surface, so that an interrupted one goes on.
        stage: told of the progress.
    """
    names = ("lines", "certificate and released dynamics", "released dynamics", "surface", "paths", "theorem")

    def at(number: int) -> None:
        if stage is not None:
            stage(names[number] if number < len(names) else "done", number, len(names))

    options = options.settled("simple")
    quick = options.quick
    terms = options.terms if "total" in options.terms else (*options.terms, "total")
    with torch_threads(1):
        at(0)
        judged = [evaluate(subject.agent, p, inverse=subject.inverse, settings=subject.settings) for p in (subject.failed, subject.optimum)]
        x_failed, x_optimum = subject.embedding(subject.failed), subject.embedding(subject.optimum)
        lines = sample_lines(subject, options.points, terms, options.align)
        at(1)

        def of_dynamics() -> tuple[Released, Released]:
            return adapt(subject, options.blocks, 100 if quick else 400), release(subject, options.blocks, 100 if quick else 600)

        with ThreadPoolExecutor(max_workers=2) as pool:
            second = pool.submit(of_dynamics)
            minimum = examine(subject, "embedding" if quick and options.space == "embedding" else "weight") if options.certificate else None
            at(2)
            adapted, released = second.result()
        at(3)
        surface = encoder_dynamics(
            subject, adapted.params, options.blocks, resolution=options.resolution, space=options.space, align=options.align,
            terms=terms, store=store,
        )  # fmt: skip
        at(4)
        start = select(subject.failed, ("encoder",)) if minimum is None else minimum.converged.point
        effort = Effort(images=9, iterations=60, zooms=2, lift=False) if quick else Effort()
        passage = find_passage(
            subject, start, options.blocks, None if quick else released.params, space=options.space, align=options.align, effort=effort
        )
        at(5)
        shifts = landscape_shifts(subject, adapted.params)
        at(6)
    edge = float(mean_edge(x_optimum))
    base = subject.optimum_file
    with_sign = [embed(base.agent, base.parameters, inverse=inverse).double() for inverse in (False, True)]
    oddness = [float((with_sign[1] + sign * with_sign[0]).norm(dim=1).mean()) / edge for sign in (1.0, -1.0)]
    return Dissection(
        judged[0], judged[1], match_embeddings(x_optimum, x_failed), (oddness[0], oddness[1]),
        float((0.5 * (x_failed + x_optimum)).norm(dim=1).mean()) / edge, transition_errors(subject), lines, surface, minimum, adapted, released, passage, shifts, quick,
    )  # fmt: skip
