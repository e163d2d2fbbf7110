"""Did a model succeed? The one definition, a maze each, that studies, claims, cures, maps and predictors share.

Where the states can be listed a model succeeds when its shares (transitions, and rewards and ends where they differ, predicted right; goals reached) are
within 2 points of its base's: what it can do decides, not what its embedding looks like. With its base's dynamics an embedding that is the base's up to a
symmetry of the world (`crar_model.mazes.automorphisms`) can do all that the base can; in a world whose only symmetry is the identity that is the match. Where
there is a score, a model succeeds when the score's whole 95 % interval lies above 0, and has failed when that lies below.
The original judged the one by eye, and counted final scores above 0 in the other; pages show those beside.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import torch

from crar_model.core.params import DYNAMICS, select
from crar_model.models.checkpoints import Checkpoint
from crar_model.models.evaluation import Evaluation
from crar_model.tasks.metrics import Score

WITHIN = 0.02
"""A share counts as the base's when it is at most this much below it."""
ROUNDING = 1e-9
"""Of shares: exactly `WITHIN` below is within, however it is rounded."""
SUCCESS = 0.0
"""A score above this counts as a successful model (section 8 of docs/original.md)."""
SCORE = "score"
EARLIER = "it is as good as its base: its score reaches the interval of its base's"
"""How random mazes were judged by cures and maps of older versions."""


class Outcome(StrEnum):
    """What a model comes to; open where nothing is missing but the score, and its interval holds 0."""

    SUCCESSFUL = "successful"
    FAILED = "failed"
    OPEN = "open"


SUCCESSFUL, FAILED, OPEN = Outcome


def definition(*, scored: bool, world: bool = False) -> str:
    """When a model succeeds, in words, and how the original judged; for mazes with a score, or without, or for a world of one's own."""
    if world:
        return (
            "its shares of transitions predicted right, and where states can be listed of rewards and ends predicted right, if those differ, and of goals "
            "reached by planning, are at most 2 points below its base's, whatever its embedding looks like"
        )
    if scored:
        return (
            "the whole 95 % interval of its score lies above 0 (it has failed where that lies below; in between it is open, and no success); the original "
            "counts a final score above 0, the mean of the last 10 validations, without an interval"
        )
    return (
        "its shares of transitions predicted right and of goals reached by planning are at most 2 points below its base's, whatever its embedding looks "
        "like; the original was judged by eye"
    )


def short_of(shares: Mapping[str, tuple[float, float]], *, score: tuple[float, float] | None = None) -> list[str]:
    """What a model lacks to succeed: names of shares, "score"; empty for a success.

    Args:
        shares: name -> (its own, its base's).
        score: interval of its score, where the maze has one.
    """
    short = [name for name, (own, base) in shares.items() if not own >= base - WITHIN - ROUNDING]
    return short + [SCORE] * (score is not None and not score[0] > SUCCESS)


def outcome(shares: Mapping[str, tuple[float, float]], *, score: tuple[float, float] | None = None) -> Outcome:
    """Whether a model succeeded; arguments as of :func:`short_of`."""
    short = short_of(shares, score=score)
    return SUCCESSFUL if not short else OPEN if short == [SCORE] and score is not None and score[1] >= SUCCESS else FAILED


def same_dynamics(model: Checkpoint, base: Checkpoint) -> bool:
    """Whether a model has its base's dynamics, number by number."""
    own = model.parameters
    return all(name in own and torch.equal(own[name], value) for name, value in select(base.parameters, DYNAMICS).items())


def as_good(model: Evaluation, base: Evaluation) -> bool:
    """Whether a model succeeded."""
    return not lacks(model, base)


def lacks(model: Evaluation, base: Evaluation) -> list[str]:
    """What a model lacks to succeed, as :func:`short_of` has it."""
    shares = {name: (model.share(name), value) for name, value in base.metrics.items() if not isinstance(value, Score)}
    score = None if base.score is None else (-1.0, -1.0) if model.score is None else (model.score.low, model.score.high)
    return short_of(shares, score=score)
