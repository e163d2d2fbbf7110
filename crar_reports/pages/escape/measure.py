"""How long does noise take to carry a transfer out of its minimum, with the dynamics frozen? Survival over a grid of rates and batch sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crar_model.agent.symmetry import mean_move
from crar_model.core.params import Params, select
from crar_model.core.settings import TrainSettings
from crar_model.core.sizes import OF_AN_ESCAPE
from crar_model.cures.problem import Problem
from crar_model.tasks import gathering_anew
from crar_model.tasks.symmetries import symmetries_of
from crar_model.training.members import Member, Plan
from crar_model.training.trainer import Trainer
from crar_model.training.variants import VARIANTS
from crar_reports.measure.exits import Cell, Exits
from landscape_tools import rows_of, unflatten

ELSEWHERE = 0.5
"""A noiseless descent ends elsewhere when its embedding is this far, in mean moves (rms), from the minimum."""
DESCENT = 400
"""Steps of a noiseless descent."""
SMOOTH = 0.01
"""Smoothing of the maxima in `ball` while it descends: at a kink no step along the gradient is lower, however short."""
FIRST_STEP = 1e-4
"""Length of its first, times the gradient."""
DATA = OF_AN_ESCAPE
"""Transitions of each member's walk; enough that their frequencies are nearly those of the evaluation set."""
OPTIMISERS: dict[str, dict[str, float]] = {
    "sgd": {"rms_decay": 1.0, "rms_epsilon": 1.0, "clip_norm": 0.0},  # averages stay 0, so the step is rate x gradient
    "rmsprop": {},
}
"""What each changes in the study's settings."""


def settle(problem: Problem, encoders: Params) -> tuple[Params, Tensor]:
    """Noiseless descents of many encoders: where they end, and their abstract states (m, rows, d).

    Gradient descent on all transitions whose step every member chooses for itself: it grows while the loss falls, and a step that does not
    lower the loss is taken back. An optimiser with normalised steps would leave a narrow minimum on its own.
    """
    here = {name: value.detach().clone() for name, value in encoders.items()}
    step = torch.full((len(next(iter(here.values()))),), FIRST_STEP)
    losses, gradient = _slope(problem, here)
    for _ in range(DESCENT):
        there = {name: value - step.view(-1, *[1] * (value.dim() - 1)) * gradient[name] for name, value in here.items()}
        tried, slope = _slope(problem, there)
        lower = tried < losses  # False for what is not finite

        def pick(new: Tensor, old: Tensor, lower: Tensor = lower) -> Tensor:
            return torch.where(lower.view(-1, *[1] * (new.dim() - 1)), new, old)

        here = {name: pick(there[name], here[name]) for name in here}
        gradient = {name: pick(slope[name], gradient[name]) for name in here}
        losses, step = pick(tried, losses), step * torch.where(lower, 1.3, 0.5)
    with torch.no_grad():
        return here, problem.encode(here, problem.data.judged)


def _slope(problem: Problem, encoders: Params) -> tuple[Tensor, Params]:
    """Total losses (m,) and their gradients."""
    kernel = problem.compiled({}, smoothing=SMOOTH)
    if kernel is not None:
        one = {name: value[0] for name, value in encoders.items()}
        totals, slopes = kernel.with_gradients(rows_of(encoders), one)
        return totals, unflatten(slopes, one)
    leaves = {name: value.detach().requires_grad_() for name, value in encoders.items()}
    batch = problem.data.judged
    losses = problem.terms(problem.encode(leaves, batch), batch)["total"]
    grads = torch.autograd.grad(losses.sum(), list(leaves.values()))
    return losses.detach(), dict(zip(leaves, grads, strict=True))


def distances(problem: Problem, embeddings: Tensor, home: Tensor) -> Tensor:
    """(m,) root mean square distance of embeddings (m, rows, d) from one (rows, d), in its mean moves."""
    states = problem.data.judged.states
    return (embeddings - home)[:, states].double().square().sum(-1).mean(-1).sqrt() / mean_move(problem.data.judged, home)


def from_right(problem: Problem, embeddings: Tensor, base: Tensor) -> Tensor:
    """(m,) the same from the nearest right one: that of the base (rows, d), its states renamed by a symmetry of the world where it has some."""
    found, states = symmetries_of(problem.task), problem.data.judged.states
    if found is None or states is None:
        return distances(problem, embeddings, base)
    away = torch.zeros(len(embeddings), dtype=torch.float64)
    for number, one in enumerate(embeddings):
        cost = torch.cdist(one[states].double(), base[states].double()).square()
        renamed = base.clone()
        renamed[states] = base[states[torch.from_numpy(found.nearest(cost.numpy())[0])]]
        away[number] = distances(problem, one[None], renamed)[0]
    return away


def escape(
    minimum: Path,
    problem: Problem,
    settings: TrainSettings,
    cells: Sequence[Cell],
    *,
    seeds: int,
    checks: int,
    base: Tensor | None = None,
    tick: Callable[[int, int], None] | None = None,
) -> list[Exits]:
    """Run cells of one optimiser, one rule and one batch size as members of one program.

    Args:
        minimum: checkpoint of the minimum that all start from.
        problem: of that checkpoint.
        settings: of the run; `updates` is how long it is watched.
        cells: that differ in their rate alone.
        seeds: members of every cell.
        checks: equally spaced noiseless descents of the members that are still in.
        base: embedding (rows, d) of the base, to tell who arrived there, or at one that is as right by a symmetry of the world.
        tick: called with (checks done, checks).

    Returns:
        one a cell.
    """
    trainer = started(minimum, settings, cells, seeds)
    members = trainer.plan.members
    own = {name: value[None] for name, value in select(problem.failed, ("encoder",)).items()}
    home = problem.encode(own, problem.data.judged)[0]
    at, seen = np.full(len(members), np.nan), np.zeros(len(members))
    inside, diverged = (torch.full((len(members),), value, dtype=torch.bool) for value in (True, False))
    matched = np.zeros(len(members), bool)
    for check in range(checks):
        trainer.advance((check + 1) * settings.updates // checks - trainer.update)
        diverged |= inside & ~trainer.alive
        inside &= trainer.alive
        who = inside.nonzero().flatten()
        if len(who):
            encoders = {name: trainer.params[name].detach()[who].clone() for name in own}
            ended = settle(problem, encoders)[1]
            away = distances(problem, ended, home)
            lost = ~torch.isfinite(away)  # who ends nowhere has not left
            diverged[who[lost]], inside[who[lost]] = True, False
            who, ended, away = who[~lost], ended[~lost], away[~lost]
            out = away > ELSEWHERE
            at[who[out].numpy()], seen[who[~out].numpy()] = trainer.update, trainer.update
            if base is not None:
                matched[who[out].numpy()] = (from_right(problem, ended[out], base) <= ELSEWHERE).numpy()
            inside[who[out]] = False
        if tick is not None:
            tick(check + 1, checks)
    groups = [slice(k * seeds, (k + 1) * seeds) for k in range(len(cells))]
    return [Exits(at[g], seen[g], int(diverged[g].sum()), int(matched[g].sum())) for g in groups]


def started(minimum: Path, settings: TrainSettings, cells: Sequence[Cell], seeds: int) -> Trainer:
    """The trainer of cells that differ in their rate alone, before its first update: `seeds` members of each, by the trainer's own steps of their rule."""
    (kind,) = {(cell.optimiser, cell.rule, cell.batch) for cell in cells}
    optimiser, rule, batch = kind
    changes: dict[str, Any] = OPTIMISERS[optimiser]
    settings = replace(
        gathering_anew(settings, DATA), **changes, batch_size=batch, learning_rate_decay=1.0, update_rule=rule, structure_delay=0,
        device="cpu", log_interval=max(1, settings.updates),
    )  # fmt: skip
    members = tuple(Member(seed, cell.rate, str(minimum)) for cell in cells for seed in range(seeds))
    return Trainer(Plan(settings, members, VARIANTS["freeze"]))
