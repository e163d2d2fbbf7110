"""What a landscape is drawn of: a failed model, the optimum it should have found, one frozen batch, and the CRAR loss
on it in the forms that `landscape_tools` takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crar_model.agents import Agent
from crar_model.batches import Batch, complete_batch
from crar_model.checkpoints import Checkpoint, load_checkpoint
from crar_model.errors import UserError
from crar_model.losses import TERMS, ball_pieces, loss_terms, total, value_targets
from crar_model.nets.conv import Conv
from crar_model.params import DYNAMICS, Params, select
from crar_model.random_evaluation import held_out_batch
from crar_model.settings import LossSettings
from crar_model.symmetry import in_maze
from landscape_tools.alignment import HiddenLayer, align, dense_chain
from landscape_tools.composite import Composite
from landscape_tools.points import unflatten
from reports.models import loss_settings

FOLLOWED = tuple(term for term in TERMS if term != "interpret")
"""Terms that training follows."""
SHOWN = (*FOLLOWED, "total")
"""Terms that reports draw."""


@dataclass(frozen=True)
class Subject:
    """A failed model and the global optimum of its maze on one frozen batch, in float64 (random mazes: float32).

    Attributes:
        failed_file, optimum_file: the checkpoints as read.
        failed, optimum: parameters as they stand in the failed model's maze.
        inverse: that maze.
        batch: all transitions and pairs of the simple maze, 512 held-out transitions of the random ones; its bootstrap values are the optimum's, so that all points see one loss.
        settings: coefficients of the failed model's loss.
    """

    failed_file: Checkpoint
    optimum_file: Checkpoint
    failed: Params
    optimum: Params
    inverse: bool
    batch: Batch
    settings: LossSettings

    @property
    def agent(self) -> Agent:
        """The networks of both models."""
        return self.failed_file.agent

    @cached_property
    def nearest(self) -> Params:
        """The optimum's encoder with hidden units permuted and negated to lie near the failed model's."""
        encoder = select(self.optimum, ("encoder",))
        return align(encoder, select(self.failed, ("encoder",)), hidden_layers(self.agent))

    @property
    def sampling(self) -> dict[str, Any]:
        """How `landscape_tools` samples the loss: the simple maze's is vmapped, the random mazes' takes points as members,
        few at a time, because 512 transitions fill the cache."""
        return {} if self.agent.maze == "simple" else {"batched": True, "chunk": 2}

    @property
    def dynamics(self) -> Params:
        """The failed model's dynamics, which a `freeze` transfer shares with its base."""
        return select(self.failed, DYNAMICS)

    def embedding(self, params: Params) -> Tensor:
        """(*members, rows, d) abstract states in the failed model's maze, (31, 2) in the simple one."""
        with torch.no_grad():
            return self.agent.encode(params, self.batch.observations)

    def terms(self, params: Params, embedding: Tensor | None = None, names: tuple[str, ...] = TERMS) -> dict[str, Tensor]:
        """Loss terms and their `total` where all of its terms are asked for."""
        values = loss_terms(self.agent, params, self.batch, self.settings, terms=names, embedding=embedding)
        weights = self.settings.weights()
        whole = all(name in names for name, weight in weights.items() if weight != 0)
        return values | {"total": total(values, self.settings)} if whole else values

    def heights(self, fixed: Params, smoothing: float = 0.0) -> Callable[[Params], Tensor]:
        """The total loss of many points at once: parameters (m, ...) that with `fixed` make whole models, or, in place of
        the encoder, "embedding" (m, 31, 2) -> (m,). `smoothing` above 0 replaces the maxima in `ball` by smooth ones and
        computes in float32, several times faster: for the forces on a path, not for its heights."""
        dtype = torch.float32 if smoothing > 0 else torch.float64
        smooth_terms, weights, batch = self._smooth_terms(), self._ball_weights().to(dtype), self.batch.to("cpu", dtype)
        # Two axes of 1: one network on every point's abstract states, the form that the compiled kernels take.
        still = {name: tensor.to(dtype)[None, None] for name, tensor in fixed.items()}

        def value(points: Params) -> Tensor:
            params = still | {name: tensor.to(dtype) for name, tensor in points.items()}
            embedding = params.pop("embedding", None)
            if embedding is None:
                embedding = self.agent.encode(params, batch.observations)
            smooth = total(loss_terms(self.agent, params, batch, self.settings, smooth_terms, embedding=embedding), self.settings)
            pieces = ball_pieces(embedding, self.settings)
            tops = smoothing * torch.logsumexp(pieces / smoothing, -1) if smoothing > 0 else pieces.amax(-1)
            heights = (smooth + (weights * tops).sum(-1)).double()
            return heights.squeeze(0) if heights.dim() == 2 else heights

        return value

    def _smooth_terms(self) -> tuple[str, ...]:
        return tuple(name for name, weight in self.settings.weights().items() if name != "ball" and weight != 0)

    def _ball_weights(self) -> Tensor:
        """(31,) what the maximum of each state weighs in the total."""
        rows = torch.bincount(self.batch.current, minlength=len(self.batch.observations)).double()
        return self.settings.ball_weight * rows / rows.sum()

    def outputs(self, encoder: Params) -> Tensor:
        """(62,) what the loss sees of an encoder: its embedding, flat."""
        return self.agent.encode(encoder, self.batch.observations).flatten()

    def composite(self, free: Params, fixed: Params) -> Composite:
        """The total loss of the parameters `free`, the others as in `fixed`, with the kinks of `ball` as pieces.

        With only the encoder free, the outputs are the 62 numbers of its embedding: `free` may also be
        {"embedding": (31, 2)} itself.
        """
        size = self.agent.abstract_size
        smooth_terms, weights = self._smooth_terms(), self._ball_weights()

        def smooth(params: Params, embedding: Tensor) -> Tensor:
            return total(loss_terms(self.agent, params, self.batch, self.settings, terms=smooth_terms, embedding=embedding), self.settings)

        def kinks(embedding: Tensor) -> Tensor:
            return ball_pieces(embedding, self.settings)

        if set(free) == {"embedding"}:
            return Composite(
                lambda z: smooth(fixed, z.view(-1, size)), lambda p: p["embedding"].flatten(), lambda z: kinks(z.view(-1, size)), weights
            )
        if all(name.startswith("encoder.") for name in free):
            return Composite(
                lambda z: smooth(fixed, z.view(-1, size)),
                self.outputs,
                lambda z: kinks(z.view(-1, size)),
                weights,
            )

        def joined(z: Tensor) -> Params:
            return fixed | unflatten(z, free)

        def encoded(z: Tensor) -> Tensor:
            return self.agent.encode(joined(z), self.batch.observations)

        return Composite(lambda z: smooth(joined(z), encoded(z)), None, lambda z: kinks(encoded(z)), weights)


def hidden_layers(agent: Agent) -> list[HiddenLayer]:
    """The hidden layers of an agent's encoder. The largest of negated values is the negated smallest, so a layer whose
    values are max-pooled has no sign symmetry."""
    signs = [not isinstance(layer, Conv) or layer.pool == 1 for layer in agent.encoder]
    if agent.maze == "simple":
        return dense_chain("encoder", len(agent.encoder) - 1)
    return [replace(layer, signs=sign) for layer, sign in zip(dense_chain("encoder", len(signs)), signs, strict=False)]


def load_subject(
    failed_path: Path,
    base_path: Path,
    *,
    failed_maze: str | None = None,
    base_maze: str | None = None,
    mazes: tuple[str, ...] = ("simple",),
) -> Subject:
    """Read both ends; a base of the other maze stands for its closed-form copy in the failed model's maze.

    Args:
        failed_path, base_path: checkpoints.
        failed_maze, base_maze: mazes of checkpoints that do not say, such as "simple" or "simple-inverse".
        mazes: those that the caller can dissect.

    Raises:
        UserError: for unusable, incompatible or identical models.
    """
    failed, base = (
        load_checkpoint(failed_path, maze=failed_maze, flag="--from-maze"),
        load_checkpoint(base_path, maze=base_maze, flag="--to-maze"),
    )
    if failed.maze != base.maze:
        raise UserError(
            f"{base_path}: a model of the {base.maze} maze, but {failed_path} is of the {failed.maze} maze; give two of one maze"
        )
    if failed.maze not in mazes:
        raise UserError(f"{failed_path}: a model of the {failed.maze} maze; this command takes models of: {', '.join(mazes)}")
    here = failed.parameters, in_maze(base, inverse=failed.inverse)
    # The compiled kernels of the convolutions are float32; on 512 transitions float64 would take ten times as long.
    dtype = torch.float64 if failed.maze == "simple" else torch.float32
    start, optimum = ({name: value.to(dtype) for name, value in params.items()} for params in here)
    if all(torch.equal(start[name], optimum[name]) for name in select(start, ("encoder",))):
        raise UserError(f"{failed_path}: its encoder is the optimum of {base_path} already; give a transfer that ended elsewhere")
    settings = loss_settings(failed)
    simple = failed.maze == "simple"
    batch = complete_batch(inverse=failed.inverse, dtype=dtype) if simple else held_out_batch(failed.inverse)
    targets = value_targets(failed.agent, optimum, batch, settings)
    batch = replace(batch, value_target=targets, onehot=failed.agent.one_hot(batch.action, dtype))
    return Subject(failed, base, start, optimum, failed.inverse, batch, settings)
