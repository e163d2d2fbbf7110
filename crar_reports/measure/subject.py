"""What a landscape is drawn of: a failed model, the optimum it should have found, one frozen batch, and the CRAR loss
on it in the forms that `landscape_tools` takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crar_model.agent.agent import Agent
from crar_model.agent.batch import Batch
from crar_model.agent.loss import FrozenLoss
from crar_model.agent.loss_compiled import CompiledTotal, heights
from crar_model.agent.loss_rows import row_derivatives
from crar_model.agent.symmetry import RIGHT, SYMMETRIC, Match, match_embeddings, mean_move
from crar_model.core.errors import UserError
from crar_model.core.params import DYNAMICS, Params, select
from crar_model.models.checkpoints import Checkpoint, in_maze, load_checkpoint
from crar_model.models.evaluation import dtype_of, evaluate
from crar_model.models.merit import WITHIN, lacks
from crar_model.tasks import Task
from crar_model.tasks.symmetries import symmetries_of
from crar_model.training.variants import BASE
from landscape_tools import Composite, HiddenLayer, align, dense_chain, unflatten

LISTABLE = "mazes and worlds whose transitions can all be listed, such as the simple maze"

PROBES = 64
"""Observations on which an aligned encoder must give the same abstract states."""


@dataclass(frozen=True)
class Subject(FrozenLoss):
    """A failed model and what it missed, and the failed model's loss on one frozen batch, in the task's precision.

    Attributes:
        batch: the task's evaluation set; its bootstrap values are the copy's, so that all points see one loss.
        failed_file, optimum_file: the checkpoints as read.
        failed: parameters of the failed model.
        copy: the base as it stands in the failed model's maze: its own parameters, or the closed-form copy.
        optimum: the reference that losses are compared with and ways lead to: the copy, or where it converges (:meth:`referred_to`).
        failed_path, base_path: where the checkpoints lie.
    """

    failed_file: Checkpoint
    optimum_file: Checkpoint
    failed: Params
    copy: Params
    optimum: Params
    failed_path: Path
    base_path: Path

    @classmethod
    def of(cls, failed: Checkpoint, base: Checkpoint, paths: tuple[Path, Path]) -> Subject:
        """Both ends on the evaluation set of the failed model's maze; a base of the other one stands for its closed-form copy there.

        Raises:
            UserError: for a copy without a closed form.
        """
        dtype = dtype_of(failed.task)
        copied = in_maze(base, inverse=failed.inverse, task=failed.task)
        own, copy = ({name: value.to(dtype) for name, value in params.items()} for params in (failed.parameters, copied))
        here = failed.loss.on(failed.task.batch(inverse=failed.inverse, dtype=dtype), copy)
        return cls(here.loss, here.batch, failed, base, own, copy, copy, *paths)

    @cached_property
    def inverse(self) -> bool:
        """Whether the failed model's maze is the inverse one."""
        return self.failed_file.inverse

    @cached_property
    def task(self) -> Task:
        """The maze of both models."""
        return self.failed_file.task

    def referred_to(self, encoder: Params) -> Subject:
        """The same with another encoder as the reference, such as the one that the copy's converges to."""
        return replace(self, optimum=self.copy | encoder)

    def on(self, batch: Batch) -> Subject:
        """The same on other transitions, with the bootstrap values of the copy."""
        return replace(self, batch=self.loss.on(batch, self.copy).batch)

    def in_type(self, dtype: torch.dtype) -> Subject:
        """The same with parameters of another dtype; follow it by :meth:`on`, for the batch stays."""
        failed, copy, optimum = ({n: v.to(dtype) for n, v in params.items()} for params in (self.failed, self.copy, self.optimum))
        return replace(self, failed=failed, copy=copy, optimum=optimum)

    @cached_property
    def table(self) -> Subject:
        """The same on what tables and verdicts are made on."""
        if self.task.sampling.complete:
            return self
        return self.on(self.task.table(inverse=self.inverse, dtype=dtype_of(self.task)))

    @cached_property
    def floor(self) -> dict[str, float]:
        """What no encoder can lower: `consecutive` of the moves that change nothing, and its part in the total."""
        where, there = (self.batch.observations[rows].flatten(1) for rows in (self.batch.state, self.batch.next_state))
        still = float((where == there).all(1).double().mean())
        least = still * math.exp(-self.settings.pair_scale * self.settings.pair_min**0.5)
        return {"consecutive": least, "total": self.settings.weights()["consecutive"] * least}

    @cached_property
    def nearest(self) -> Params:
        """The optimum's encoder with hidden units permuted and negated to lie near the failed model's."""
        return self.aligned(select(self.optimum, ("encoder",)), select(self.failed, ("encoder",)))

    def aligned(self, moving: Params, fixed: Params) -> Params:
        """The copy of an encoder near another one; its abstract states on some of the batch are checked to stay the same."""
        return align(moving, fixed, hidden_layers(self.agent), function=lambda p: self.agent.encode(p, self.batch.observations[:PROBES]))

    @property
    def sampling(self) -> dict[str, Any]:
        """How `landscape_tools` samples the loss."""
        return {"vectorize": "batched" if self.task.sampling.batched else "vmap", "chunk": self.task.sampling.chunk}

    @property
    def dynamics(self) -> Params:
        """The failed model's dynamics, which a `freeze` transfer shares with its base."""
        return select(self.failed, DYNAMICS)

    def match(self, embedding: Tensor) -> Match:
        """How an embedding (rows, d) relates to the base's."""
        return match_embeddings(self.agent, self.batch, self.embedding(self.copy), embedding, symmetries_of(self.task))

    def heights(self, fixed: Params, smoothing: float = 0.0) -> Callable[[Params], Tensor]:
        """The total loss of many points at once, see :func:`crar_model.agent.loss_compiled.heights`."""
        return heights(self, fixed, smoothing)

    def outputs(self, encoder: Params) -> Tensor:
        """(rows d,) what the loss sees of an encoder: its embedding, flat; 62 numbers in the simple maze."""
        return self.agent.encode(encoder, self.batch.observations).flatten()

    def slope(self, encoder: Params) -> Tensor:
        """(rows d, parameters) Jacobian of :meth:`outputs`."""
        return self.agent.encoder_jacobian(encoder, self.batch.observations).flatten(0, 1)

    def composite(self, free: Params, fixed: Params) -> Composite:
        """The total loss of the parameters `free`, the others as in `fixed`, with the kinks of `ball` as pieces.

        With only the encoder free, the outputs are the numbers of its embedding: `free` may also be
        {"embedding": (rows, d)} itself.
        """
        size = self.agent.abstract_size
        placed = set(free) == {"embedding"}
        if placed or all(name.startswith("encoder.") for name in free):
            return Composite(
                lambda z: self.smooth(fixed, z.view(-1, size)),
                None if placed else self.outputs,
                lambda z: self.pieces(z.view(-1, size)),
                self.weights,
                None if placed else self.slope,
                derivatives=row_derivatives(self, fixed),
            )

        def encoded(z: Tensor) -> tuple[Params, Tensor]:
            params = fixed | unflatten(z, free)
            return params, self.agent.encode(params, self.batch.observations)

        def together(z: Tensor) -> tuple[Tensor, Tensor]:
            params, embedding = encoded(z)
            return self.smooth(params, embedding), self.pieces(embedding)

        kernels: dict[float, CompiledTotal] = {}

        def rough(z: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
            if smoothing not in kernels:
                kernels[smoothing] = CompiledTotal(self, fixed, smoothing)
            totals, gradients = kernels[smoothing].with_gradients(z.unsqueeze(0), free)
            return totals[0], gradients[0]

        return Composite(
            lambda z: together(z)[0], None, lambda z: self.pieces(encoded(z)[1]), self.weights, together=together,
            rough=rough if CompiledTotal.fits(self) else None,
        )  # fmt: skip


def hidden_layers(agent: Agent, block: str = "encoder") -> list[HiddenLayer]:
    """The hidden layers of a block of an agent, dense or convolutional: what they may be exchanged with, and which may be negated."""
    signs = agent.unit_signs(block)
    layers = dense_chain(block, len(signs))  # without the last, which is not hidden
    return [replace(layer, signs=sign) for layer, sign in zip(layers, signs, strict=False)]


def load_subject(
    failed_path: Path, base_path: Path, *, failed_maze: str | None = None, base_maze: str | None = None, complete_only: bool = False
) -> Subject:
    """Read both ends; a base of the other maze stands for its closed-form copy in the failed model's maze.

    Args:
        failed_path, base_path: checkpoints.
        failed_maze, base_maze: mazes of checkpoints that do not say, as in :func:`load_checkpoint`.
        complete_only: refuse models of a maze whose transitions cannot all be listed.

    Raises:
        UserError: for unusable, incompatible or identical models.
    """
    failed = load_checkpoint(failed_path, maze=failed_maze, flag="--from-maze")
    base = load_checkpoint(base_path, maze=base_maze, flag="--to-maze")
    if not failed.task.same_maze(base.task):
        raise UserError(
            f"{base_path}: a model of the {base.task.title}, but {failed_path} is of the {failed.task.title}; give two of one maze"
        )
    task = failed.task
    task.need_listing(failed_path)
    if complete_only and not task.sampling.complete:
        raise UserError(f"{failed_path}: a model of {task.title}; this command takes models of {LISTABLE}")
    subject = Subject.of(failed, base, (failed_path, base_path))
    if subject.batch.moves is not None and not subject.batch.moves.shape[1]:
        raise UserError(
            f"{failed_path}: no transition that it is judged on changes the state and goes on, so there is no move to measure in"
        )
    if all(torch.equal(subject.failed[name], subject.optimum[name]) for name in select(subject.failed, ("encoder",))):
        raise UserError(f"{failed_path}: its encoder is the optimum of {base_path} already; give a transfer that ended elsewhere")
    return subject


def refuse_senseless(subject: Subject) -> None:
    """Refuse a pair that a dissection could say nothing true of, before any of it is measured.

    Raises:
        UserError: for a base in the place of the transfer, a transfer that matched, or a reference that is no better than the transfer.
    """
    failed, base, file = subject.failed_path, subject.base_path, subject.failed_file
    if file.info.get("variant") == BASE.name and not file.base_name:
        raise UserError(f"{failed}: a base model, trained from random weights; give a transfer with --from")
    if not mean_move(subject.batch, subject.embedding(subject.copy)) > 0:
        raise UserError(f"{base}: all its states lie at one place, so nothing can be measured in its moves; give a base that is trained")
    match = subject.match(subject.embedding(subject.failed))
    # An embedding near the base's may still predict or play badly, and its dissection says why.
    if match.verdict in RIGHT and subject.task.sampling.complete and not _short_of(subject):
        symmetric = " up to a symmetry of the world" * (match.verdict == SYMMETRIC)
        raise UserError(
            f"{failed}: not a failed transfer, its embedding is that of {base}{symmetric} ({match.residual_edges:.2f} mean moves away) and does as well; "
            "give one that `crar evaluate` calls swapped or neither, or shows to do less"
        )
    with torch.no_grad():
        here, there = (float(subject.terms(params)["total"]) for params in (subject.failed, subject.optimum))
    own, usual = (subject.task.astray(one.parameters, inverse=one.inverse) for one in (file, subject.optimum_file))
    if not there < here and own is not None and usual is not None and own > usual + WITHIN:
        raise UserError(
            f"{failed}: its total loss {here:.3g} is no higher than its base's, {there:.3g}, though it mispredicts {own:.0%} of held-out transitions, its base {usual:.0%}: "
            "a landscape of totals says nothing of that failure; give it to crar cure"
        )
    if not there < here and file.info.get("base_digest") == subject.optimum_file.digest:
        raise UserError(
            f"{failed}: as good as its base in its maze, total loss {here:.3g} against {there:.3g}, so nothing failed here; give one that `crar evaluate` shows "
            "to predict less than its base"
        )
    if not there < here:
        raise UserError(
            f"{base}: no better than the transfer in its maze, total loss {there:.3g} against {here:.3g}, so it is not what {failed} missed; "
            "give a base that is trained further, or the transfer's own"
        )


def _short_of(subject: Subject) -> list[str]:
    """What the transfer lacks to have succeeded, each of the two judged on its own side."""
    model, base = (
        evaluate(one.task, one.parameters, inverse=one.inverse, settings=one.settings.loss)
        for one in (subject.failed_file, subject.optimum_file)
    )
    return lacks(model, base)


def origin_of(pair: Subject, command: str) -> dict[str, str | int]:
    """Attributes that say what a data file is of."""
    return {"failed": pair.failed_file.digest, "base": pair.optimum_file.digest, "inverse": int(pair.inverse), "command": command}
