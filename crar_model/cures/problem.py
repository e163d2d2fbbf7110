"""What a cure may know: the failed model, perhaps its base's weights, and data of the failed model's own maze."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from crar_model.agent.agent import Agent
from crar_model.agent.batch import Batch
from crar_model.agent.loss import Loss
from crar_model.agent.loss_compiled import CompiledTotal
from crar_model.core.errors import UserError
from crar_model.core.params import DYNAMICS, Params, select
from crar_model.cures.rolling import Forest, forest_of
from crar_model.mazes.automorphisms import Moves
from crar_model.models.checkpoints import Checkpoint
from crar_model.tasks import Task, gathering_anew
from crar_model.tasks.metrics import mispredicted
from crar_model.tasks.samples import COMPARED
from crar_model.tasks.symmetries import table_of

WORK, LEAST = 100_000, 8
"""What descends at once times its transitions is at most this, of at least so many candidates."""
DATA_SIZE = 20_000
"""Transitions gathered to train on where they cannot be listed."""
JUDGED_SIZE = 512
"""Other transitions, of other maps, that candidates are compared on."""
JUDGED_SEED = 500_009
"""Added to the seed of the data for these."""
HALF_MOVE = 0.5
ALL_END = "every transition that it is judged on ends its episode, so no move is predicted"
SHARP = 1e-7
"""Smoothing of the maxima in `ball` where compiled code takes them: none that float32 can tell."""


@dataclass(frozen=True)
class Tail:
    """How far the predicted next abstract states are off, in mean moves of the embedding itself.

    Attributes:
        mean, high, worst: over the transitions: the mean, the 95th percentile, the largest.
        off: share of transitions that are off by more than half a move.
        astray: share whose prediction lies nearer another state than the one reached; in a world that cannot be listed, another state of the transitions
            that are compared. None in the random mazes.
    """

    mean: float
    high: float
    worst: float
    off: float
    astray: float | None = None


class OwnData:
    """Transitions of the failed model's own maze, as batches that all candidates share.

    Args:
        model: the failed model; its side of its maze is the only one that is ever observed.
        seed: of the random policy, where transitions are sampled.
    """

    def __init__(self, model: Checkpoint, seed: int) -> None:
        task = model.task
        self.complete = task.sampling.complete
        if self.complete:
            self.judged = model.loss.on(task.batch(inverse=model.inverse, dtype=torch.float32)).batch
            return
        settings = gathering_anew(replace(model.settings, inverse=model.inverse, device="cpu"), DATA_SIZE)
        device = torch.device("cpu")
        self._data = task.data(settings, [seed], device)
        held_out = task.compared(inverse=model.inverse, size=COMPARED)
        held_back = replace(settings, batch_size=JUDGED_SIZE)
        self.judged = _shared(task.data(held_back, [seed + JUDGED_SEED], device).batch(0)) if held_out is None else held_out

    @classmethod
    def listed(cls, batch: Batch) -> OwnData:
        """Transitions that are all there are."""
        own = cls.__new__(cls)
        own.complete, own.judged = True, batch
        return own

    def batch(self, update: int) -> Batch:
        """What the candidates train on at an update: everything where it can be listed."""
        return self.judged if self.complete else _shared(self._data.batch(update))


def _shared(batch: Batch) -> Batch:
    """The batch of a single member as one that all members share; rows of a table are shared already."""
    values: dict[str, Any] = {
        name: value.squeeze(0) if isinstance(value, Tensor) and value.dim() > 1 and value.shape[0] == 1 else value
        for name, value in vars(batch).items()
    }
    values["value_target"] = None
    return Batch(**values)


@dataclass(frozen=True)
class Problem:
    """A failed transfer, seen from its own maze.

    Attributes:
        task: the maze.
        failed: parameters of the failed model, float32.
        base: parameters of its base, of which no observation comes along; None where there is none.
        loss: of the failed model.
        data: of its own maze.
        anew: trains `freeze` from the base for so many updates, (1, ...) encoders; of who can (`crar_reports.pages.cure.one`), for the method "annealed".
        inverse: the side of the maze that the data are of.
        base_astray: `Tail.astray` of the base on its own side, which the transfer was told when it began; None where it was not.
    """

    task: Task
    failed: Params
    base: Params | None
    loss: Loss
    data: OwnData
    anew: Callable[[int], Params] | None = None
    inverse: bool = False
    base_astray: float | None = None

    def at_once(self, usual: int) -> int:
        """Candidates that descend at once in a world of so many transitions, `usual` where these are few."""
        return max(LEAST, min(usual, WORK // len(self.data.judged.state)))

    @property
    def agent(self) -> Agent:
        """The maze's networks."""
        return self.loss.agent

    @cached_property
    def moves(self) -> Moves:
        """The table of moves of a world that has one."""
        moves = table_of(self.task)
        assert moves is not None
        return moves

    @cached_property
    def forest(self) -> Forest:
        """How the dynamics are rolled along it: in a plane, where their landscape is looked at, from the start state."""
        maze = self.task.maze
        return forest_of(self.moves, maze.start if maze is not None and self.agent.abstract_size == 2 else None)

    @property
    def dynamics(self) -> Params:
        """The failed model's dynamics with two axes of 1: one network on the abstract states of every candidate."""
        return {name: value[None, None] for name, value in select(self.failed, DYNAMICS).items()}

    def terms(self, embedding: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Loss terms that count and their `total`, (m,) each, of abstract states (m, rows, d) under the frozen dynamics."""
        dynamics = self.dynamics
        with torch.no_grad():  # the bootstrap value is what the model itself says of the next state
            best = self.agent.value(dynamics, embedding.detach().index_select(-2, batch.next_state)).amax(-1).squeeze(0)
        targets = batch.reward + (1 - batch.terminated) * self.loss.settings.discount * best
        names = tuple(name for name, weight in self.loss.settings.weights().items() if weight != 0)
        found = self.loss.on(replace(batch, value_target=targets)).terms(dynamics, embedding, names)
        return {name: value.squeeze(0) if value.dim() == 2 else value for name, value in found.items()}

    def compiled(self, still: Params, strict: float = 1.0, smoothing: float = SHARP) -> CompiledTotal | None:
        """The total of :meth:`terms` and its gradient in compiled code, where the kernels take this problem.

        Args:
            still: parameters (...) of the encoder that all candidates share.
            strict: multiple of the transition term's weight.
            smoothing: of the maxima in `ball`.
        """
        settings = self.loss.settings
        strictly = replace(self.loss, settings=replace(settings, transition_weight=strict * settings.transition_weight))
        loss = strictly.on(replace(self.data.judged, value_target=None))
        fits = self.data.complete and CompiledTotal.fits(loss, live=True)
        return CompiledTotal(loss, select(self.failed, DYNAMICS) | still, smoothing) if fits else None

    def rank(self, terms: dict[str, Tensor]) -> Tensor:
        """(m,) what candidates are ordered by, lowest first: the total where the transitions are all there are; on a sample, whose
        structure terms differ by more than predictions do, the terms of prediction. What is not finite comes last."""
        found = terms["total"] if self.data.complete else terms["transition"] + terms["reward"]
        return torch.nan_to_num(found, nan=torch.inf)

    def tail(self, embedding: Tensor) -> Tail:
        """Of one embedding (rows, d) of the transitions that candidates are compared on."""
        batch = self.data.judged
        with torch.no_grad():
            x, reached = embedding[batch.state], embedding[batch.next_state]
            seen = batch.observations
            moving = (seen[batch.state] != seen[batch.next_state]).flatten(1).any(1)
            unit = torch.linalg.vector_norm((reached - x)[moving], dim=-1).mean().clamp_min(1e-12)
            action = batch.action if batch.onehot is None else batch.onehot
            predicted = self.agent.transition(select(self.failed, DYNAMICS), x, action)
            errors = (torch.linalg.vector_norm(predicted - reached, dim=-1) / unit)[batch.terminated == 0].double()
            told = self.data.complete or self.task.known_by_data
            astray = mispredicted(self.agent, self.failed, embedding, batch, complete=self.data.complete) if told else None
        errors = torch.nan_to_num(errors, nan=torch.inf)
        high, worst = torch.quantile(errors, 0.95), errors.max()
        return Tail(float(errors.mean()), float(high), float(worst), float((errors > HALF_MOVE).double().mean()), astray)

    def encode(self, encoder: Params, batch: Batch) -> Tensor:
        """Abstract states (m, rows, d) of encoders (m, ...)."""
        return self.agent.encode(encoder, batch.observations)


def pose(failed: Checkpoint, base: Checkpoint | None, seed: int, *, where: str = "the model") -> Problem:
    """The problem of a failed transfer.

    Args:
        failed: the model to cure.
        base: whose weights may be used.
        seed: of the data.
        where: named in errors.

    Raises:
        UserError: for a base that was never transferred, a base of another maze, dynamics that give no finite numbers, or transitions that all end.
    """
    if failed.info.get("variant") == "base" and not failed.base_name:
        raise UserError(f"{where}: a base model that was never transferred, so there is nothing to cure; give a transfer with --from")
    if base is not None and not base.task.same_maze(failed.task):
        raise UserError(
            f"{where}: a model of the {failed.task.title}, but its base is of the {base.task.title}; give its own base with --base"
        )
    failed.task.need_listing(where)
    own = OwnData(failed, seed)
    if bool((own.judged.terminated != 0).all()):
        raise UserError(f"{where}: {ALL_END}, so nothing tells a cure; gather longer episodes")
    known = failed.info.get("base_astray")
    problem = Problem(
        failed.task, failed.parameters, None if base is None else base.parameters, failed.loss, own, inverse=failed.inverse,
        base_astray=known if isinstance(known, float) else None,
    )  # fmt: skip
    with torch.no_grad():
        encoder = {name: value[None] for name, value in select(failed.parameters, ("encoder",)).items()}
        if not bool(torch.isfinite(problem.terms(problem.encode(encoder, own.judged), own.judged)["total"]).all()):
            raise UserError(f"{where}: its dynamics give losses that are not finite in its own maze; use another checkpoint")
    return problem
