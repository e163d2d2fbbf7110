"""What `crar landscape` measures on a pair of models of the random mazes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import xarray as xr

from crar_model.evaluation import Match
from crar_model.params import BLOCKS, Params
from crar_model.random_evaluation import Score, ScoreSettings, compare_embeddings, score
from crar_model.settings import from_plain
from crar_model.training.members import Member, Plan
from crar_model.training.trainer import Trainer
from landscape_tools.lines import barrier
from landscape_tools.points import norm
from reports.dissection import LandscapeOptions, Stage, sample_lines
from reports.subject import Subject
from reports.surface import encoder_dynamics
from reports.threads import cores, torch_threads

UPDATES, QUICK_UPDATES = 1_000, 100
EPISODES, QUICK_EPISODES = 200, 20


@dataclass(frozen=True)
class Changed:
    """A failed model after training with more than its encoder, or other things than its encoder, free.

    Attributes:
        params: all parameters. terms: on the held-out batch. match, distance: of its embedding to the optimum's.
        updates: taken. moved: distance that the dynamics moved, in norms of the dynamics.
    """

    params: Params
    terms: dict[str, float]
    match: Match
    distance: float
    updates: int
    moved: float

    def plain(self) -> dict[str, Any]:
        """As plain data, without the parameters."""
        return {k: v for k, v in vars(self).items() if k not in ("params", "match")} | {"match": self.match.plain()}


@dataclass(frozen=True)
class RandomDissection:
    """What was measured.

    Attributes:
        failed_terms, optimum_terms: on the held-out batch, bootstrap values frozen at the optimum's.
        failed_score, optimum_score: in the failed model's maze, the same mazes and the same luck.
        match, distance, edge: the failed embedding against the optimum's over fresh mazes; mean length of a move.
        lines: name -> line. surface: encoder x dynamics.
        adapted: dynamics trained on the failed embedding alone. released: everything trained.
        how: of the scores.
    """

    failed_terms: dict[str, float]
    optimum_terms: dict[str, float]
    failed_score: Score
    optimum_score: Score
    match: Match
    distance: float
    edge: float
    lines: dict[str, xr.Dataset]
    surface: xr.Dataset
    adapted: Changed
    released: Changed
    how: ScoreSettings

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "failed_terms": self.failed_terms, "optimum_terms": self.optimum_terms,
            "failed_score": asdict(self.failed_score), "optimum_score": asdict(self.optimum_score), "how": asdict(self.how),
            "match": self.match.plain(), "distance": self.distance, "edge": self.edge,
            "barriers": {
                space: {str(term): asdict(barrier(line, str(term))) for term in line.data_vars} for space, line in self.lines.items()
            },
            "adapted": self.adapted.plain(), "released": self.released.plain(),
        }  # fmt: skip


def trained_further(subject: Subject, path: Path, blocks: tuple[str, ...], updates: int) -> Changed:
    """Train blocks of the failed model in its own maze, on a random policy's data, with its own settings and the joint rule."""
    stored = subject.failed_file.info.get("settings") or {"maze": "random"}
    settings = replace(
        from_plain(stored, where="checkpoint settings"), updates=updates, seed=0, update_rule="joint", structure_delay=0, device="cpu",
        data_size=20_000, inverse=subject.inverse, loss=subject.settings,
    )  # fmt: skip
    trainer = Trainer(Plan(settings, (Member(0, 5e-4, str(path)),), "further", trained=blocks))
    for _ in range(updates):  # without the log, whose validation runs would take as long
        trainer.one_update()
    params = trainer.member_parameters(0)
    terms = {name: float(value) for name, value in subject.terms(params).items()}
    match, distance, _ = _compare(subject, params)
    moved = norm({name: params[name] - value for name, value in subject.dynamics.items()}) / norm(subject.dynamics)
    return Changed(params, terms, match, distance, updates, moved)


def _compare(subject: Subject, params: Params) -> tuple[Match, float, float]:
    base = subject.optimum_file
    return compare_embeddings(
        subject.agent, params, inverse=subject.inverse, base=base.parameters, base_inverse=base.inverse
    )  # fmt: skip


def dissect_random(
    subject: Subject,
    failed_path: Path,
    options: LandscapeOptions,
    *,
    store: Path | None = None,
    stage: Stage | None = None,
) -> RandomDissection:
    """Measure everything; deterministic.

    Args:
        failed_path: checkpoint of the failed model.
        options: validated; what they say of certificate and paths is for the simple maze.
        store: file that keeps an unfinished surface, so that an interrupted one goes on.
        stage: told of the progress.
    """
    names = ("lines", "dynamics adapted, everything released", "surface", "scores")

    def at(number: int) -> None:
        if stage is not None:
            stage(names[number] if number < len(names) else "done", number, len(names))

    quick = options.quick
    terms = options.terms if "total" in options.terms else (*options.terms, "total")
    updates = QUICK_UPDATES if quick else UPDATES
    how = ScoreSettings(episodes=QUICK_EPISODES if quick else EPISODES)
    with torch_threads(cores()):
        at(0)
        lines = sample_lines(subject, options.points, terms, options.align)
    with torch_threads(1), ThreadPoolExecutor(max_workers=2) as pool:
        at(1)
        blocks = (options.blocks, BLOCKS)
        adapted, released = pool.map(lambda free: trained_further(subject, failed_path, free, updates), blocks)
        at(2)
        surface = encoder_dynamics(
            subject, adapted.params, options.blocks, resolution=options.resolution, space=options.space, align=options.align, terms=terms,
            store=store, threads=cores(),
        )  # fmt: skip
        at(3)
        ends = (subject.failed, subject.optimum)
        failed, optimum = pool.map(lambda params: score(subject.agent, params, inverse=subject.inverse, how=how), ends)
    judged = [{name: float(value) for name, value in subject.terms(params).items()} for params in ends]
    match, distance, edge = _compare(subject, subject.failed)
    at(4)
    return RandomDissection(judged[0], judged[1], failed, optimum, match, distance, edge, lines, surface, adapted, released, how)


def states_of(subject: Subject, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Observations (count, 1, 8, 8) and both models' abstract states (count, 3, 8, 8) of the first held-out transitions."""
    rows = subject.batch.current[:count]
    optimum, failed = (
        torch.unflatten(subject.embedding(p)[rows], 1, subject.agent.abstract_shape) for p in (subject.optimum, subject.failed)
    )
    return subject.batch.observations[rows], optimum, failed
