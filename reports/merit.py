"""Is a model as good as its base? The judgement that cures, maps and predictors share."""

from __future__ import annotations

import torch

from crar_model.checkpoints import Checkpoint
from crar_model.evaluation import Evaluation, Score
from crar_model.params import DYNAMICS, select

WITHIN = 0.02
"""A share counts as the base's when it is at most this much below it."""


def same_dynamics(model: Checkpoint, base: Checkpoint) -> bool:
    """Whether a model has its base's dynamics, number by number."""
    own = model.parameters
    return all(name in own and torch.equal(own[name], value) for name, value in select(base.parameters, DYNAMICS).items())


def asks_embedding(model: Checkpoint, base: Checkpoint) -> bool:
    """Whether a model is to have its base's embedding: where the states can be listed and the dynamics are the base's. Dynamics that have
    changed bring an embedding of their own, which is no worse for being another."""
    return model.task.sampling.complete and same_dynamics(model, base)


def as_good(model: Evaluation, base: Evaluation, *, embedding: bool) -> bool:
    """Whether a model is what its base is: every share within 2 points of the base's, a score within its interval, and with `embedding`
    (:func:`asks_embedding`) its embedding the base's."""
    return not lacks(model, base, embedding=embedding)


def lacks(model: Evaluation, base: Evaluation, *, embedding: bool) -> list[str]:
    """What a model falls short of its base in: names of figures of merit, "embedding" first where it is not the base's."""
    least = {name: value.low if isinstance(value, Score) else value - WITHIN for name, value in base.metrics.items()}
    short = [name for name, low in least.items() if not model.share(name) >= low]
    return ["embedding"] * (embedding and model.match is not None and model.match.verdict != "matched") + short
