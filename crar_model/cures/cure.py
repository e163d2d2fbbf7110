"""From a failed transfer to one that its frozen dynamics can use: candidates, descent, choice by losses alone."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from crar_model.core.errors import UserError
from crar_model.core.kept import Pieces
from crar_model.core.params import select
from crar_model.core.settings import CureSettings
from crar_model.cures.candidates import Candidate, candidates_of, chosen
from crar_model.cures.descent import Descent, Progress, Tick, Work, agent_updates, denormals_as_zero, descend
from crar_model.cures.episodes import placed_along, why_no_places
from crar_model.cures.level import Ground, Level, away_from, distinct, ground_of, level_updates, targets_of
from crar_model.cures.methods import (
    ALONG,
    AUTO,
    FIT,
    FITTED,
    METHODS,
    MISPLACED,
    ORDER,
    Method,
    Rounds,
    method_named,
    scaled,
)  # fmt: skip
from crar_model.cures.placement import Landscape, flat, why_not
from crar_model.cures.problem import Problem
from crar_model.cures.starts import Starts, starts_of
from crar_model.tasks import Task


@dataclass(frozen=True)
class Tried:
    """What one method did.

    Attributes:
        method: its name.
        candidates: of its last round, best first.
        dropped: (label, rank when it was left out, updates it took) of the others.
        updates: of all its candidates together; refining of the level apart.
        seconds: it took; of a run that was resumed, those of its last part.
    """

    method: str
    candidates: tuple[Candidate, ...]
    dropped: tuple[tuple[str, float, int], ...]
    updates: int
    seconds: float

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        return vars(self) | {"candidates": [each.plain() for each in self.candidates], "dropped": [list(each) for each in self.dropped]}


@dataclass(frozen=True)
class Cure:
    """What came of a cure.

    Attributes:
        method: that was asked for.
        tried: methods in their order; none where the losses say that there is nothing to cure.
        before: the failed encoder as a candidate.
        best: the candidate that the rule puts first.
        cured: whether it reaches the level.
        landscape: of the start state's place in a plane. level: of the placements; None where the world has none.
        level_seconds: that these took.
        base_astray: see `Problem`; what takes the level's place where there is none, or where the base itself is not at it.
    """

    method: str
    tried: tuple[Tried, ...]
    before: Candidate
    best: Candidate
    cured: bool
    landscape: Landscape | None
    level: Level | None
    level_seconds: float
    base_astray: float | None = None

    @property
    def loose(self) -> bool:
        """Whether candidates are held against fixed limits alone, which say little."""
        return self.level is None and self.base_astray is None

    @property
    def already(self) -> bool:
        """Whether the model itself reaches the level, so that nothing was tried."""
        return not self.tried

    @property
    def updates(self) -> int:
        """Of all candidates together, without those of the level."""
        return sum(each.updates for each in self.tried)


def methods_for(problem: Problem, name: str) -> tuple[Method, ...]:
    """The methods that a name stands for.

    Raises:
        UserError: for an unknown method, or one that the maze or a missing base does not allow.
    """
    if name == AUTO:
        allowed = (METHODS[each] for each in applying(problem.task))
        return tuple(method for method in allowed if problem.base is not None or not method.needs_base)
    method = method_named(name)
    why = refusal(problem.task, method)
    if why is not None:
        raise UserError(f"--method {name}: {why}; choose from {', '.join(applying(problem.task))}")
    if method.start == "anew" and problem.anew is None:
        raise UserError(f"--method {name} trains anew from the file of the base, and there is none; give it with --base")
    if method.needs_base and problem.base is None:
        raise UserError(f"--method {name} starts from the base's weights, and there is no base; give it with --base")
    return (method,)


def applying(task: Task) -> list[str]:
    """Names of the methods of `auto` that a maze allows."""
    return [name for name in ORDER if refusal(task, METHODS[name]) is None]


def refusal(task: Task, method: Method) -> str | None:
    """Why a method is not for a maze, or None where it is."""
    if method.placed and (task.sampling.complete or method.sampled):
        return why_no_places(task)
    if not (method.rounds if task.sampling.complete else method.sampled):
        return f"not for the {task.name} maze, whose transitions are {'listed' if task.sampling.complete else 'sampled'}"
    return None


def cure(
    problem: Problem,
    method: str = AUTO,
    settings: CureSettings | None = None,
    *,
    store: Pieces | None = None,
    progress: Progress | None = None,
    ground: Ground | None = None,
    anyway: bool = False,
) -> Cure:
    """Look for an encoder that the frozen dynamics can use.

    Nothing but the losses decides, on data of the failed model's own maze; no observation of the base's maze is made.

    Args:
        problem: from `pose`.
        method: a key of `METHODS`, or "auto": one after the other until one reaches the level.
        settings: what to spend.
        store: keeps unfinished work.
        progress: called with (updates taken, updates at most), of all candidates together.
        ground: of a problem with the same dynamics, data and settings, where one is known.
        anyway: try the methods even where the model's own losses reach the level: for a model that is known to have failed.

    Raises:
        UserError: for a method that is not allowed here, or dynamics that give no finite loss.
    """
    settings, store = settings or CureSettings(), store or Pieces()
    settings.validate()
    methods = methods_for(problem, method)
    if not methods:
        raise UserError("no method is left for this model; give its base with --base")
    placed = ground is None and why_not(problem.task) is None
    tick = Work(sum(_budget(problem, each, settings) for each in methods) + (level_updates(problem, settings) if placed else 0), progress)
    ground = ground or ground_of(problem, settings, store, tick)
    level = ground.level
    with denormals_as_zero():
        own = {name: value[None] for name, value in select(problem.failed, ("encoder",)).items()}
        before = candidates_of(problem, level, "noise", ("as it was",), own, torch.zeros(1, dtype=torch.int64), 0)[0]
        tried: list[Tried] = []
        for each in methods if anyway or not before.at_level else ():
            tried.append(_try(problem, each, settings, level, store, tick))
            if any(candidate.at_level for candidate in tried[-1].candidates):
                break
    best = chosen(problem, [candidate for each in tried for candidate in each.candidates] or [before])
    tick.end()
    return Cure(method, tuple(tried), before, best, best.at_level, ground.landscape, level, ground.seconds, problem.base_astray)


def _budget(problem: Problem, method: Method, settings: CureSettings) -> int:
    placed = 4 if problem.data.complete else 2 * FITTED
    starts = placed if method.placed else 1 if method.start == "anew" else settings.starts
    rounds = _rounds(problem, method, settings, starts)
    fit = agent_updates(scaled(FIT, settings.effort, starts), starts) if method.placed else 0
    fit += agent_updates(scaled(ALONG, settings.effort, ALONG[0].kept), ALONG[0].kept) if method.placed and not problem.data.complete else 0
    fit += agent_updates(scaled(MISPLACED, settings.effort, 2), 2) if method.start == "elsewhere" else 0
    return fit + agent_updates(rounds, rounds[0].kept)


def _rounds(problem: Problem, method: Method, settings: CureSettings, starts: int) -> Rounds:
    """A method's rounds: `effort` times as long, and where it searches no places as long as `budget` asks for."""
    rounds = method.rounds if problem.data.complete else method.sampled
    own = agent_updates(scaled(rounds, 1.0, starts), starts)
    effort = settings.effort if method.placed else max(settings.effort, settings.budget / own)
    return scaled(rounds, effort, starts)


def _try(problem: Problem, method: Method, settings: CureSettings, level: Level | None, store: Pieces, tick: Tick) -> Tried:
    began = time.monotonic()
    fitted = 0
    if method.start == "anew":
        return _anew(problem, method, settings, level, tick)
    if method.placed:
        placing, starts, targets, fitted = _placed(problem, method, settings, level, store, tick)

        def distance(embedding: Tensor, index: Tensor) -> Tensor:
            return (embedding - targets[index]).square().mean((-1, -2))

        fit = scaled(FIT, settings.effort, len(starts.labels))
        first = descend(placing, f"{method.name}-fit", starts.free, fit, store=store, tick=tick, objective=distance)
        fitted += first.updates
        starts = Starts(tuple(starts.labels[int(k)] for k in first.index), first.free, {})
    else:
        starts = starts_of(problem, method, settings)
    rounds = _rounds(problem, method, settings, len(starts.labels))
    found: Descent = descend(problem, method.name, starts.free, rounds, store=store, tick=tick, still=starts.still)
    left = len(found.index)
    whole = found.free | {name: value.expand(left, *value.shape).contiguous() for name, value in starts.still.items()}
    candidates = candidates_of(problem, level, method.name, starts.labels, whole, found.index, found.each)
    dropped = tuple((starts.labels[who], rank, count) for who, rank, count in found.dropped)
    return Tried(method.name, tuple(candidates), dropped, found.updates + fitted, time.monotonic() - began)


def _placed(
    problem: Problem, method: Method, settings: CureSettings, level: Level | None, store: Pieces, tick: Tick
) -> tuple[Problem, Starts, Tensor, int]:
    """Where encoders are fitted: a problem with the states that were placed, encoders, what each is fitted to, and the updates that the search took."""
    if level is None:
        return placed_along(problem, settings, store, tick)
    root = problem.forest.roots[0], "start" if flat(problem) else "root"
    embeddings, chosen, taken = level.embeddings, distinct(problem, level.embeddings), 0
    if method.start == "elsewhere":
        embeddings, taken = away_from(problem, level, settings, store, tick)
        chosen = list(range(len(embeddings)))
    return problem, *targets_of(problem, embeddings, chosen, settings.seed, root), taken


def _anew(problem: Problem, method: Method, settings: CureSettings, level: Level | None, tick: Tick) -> Tried:
    """What the trainer comes to, with the updates of one candidate."""
    began = time.monotonic()
    assert problem.anew is not None
    updates = agent_updates(_rounds(problem, method, settings, 1), 1)
    found = problem.anew(updates)
    tick(updates)
    candidates = candidates_of(problem, level, method.name, ("freeze",), found, torch.zeros(1, dtype=torch.int64), updates)
    return Tried(method.name, tuple(candidates), (), updates, time.monotonic() - began)
