"""Encoders that a cure has to choose from, and the choice, by losses alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from crar_model.core.params import Params
from crar_model.cures.level import Level
from crar_model.cures.problem import Problem, Tail
from crar_model.models.merit import WITHIN

ABOVE = 1.1
"""A candidate is at the level when its total is at most this many times the level's ..."""
FURTHER = 0.5
"""... and its worst transition is off by at most this many moves more than the level's worst."""
STRAYS = 0.01
"""... and at most this share of transitions more is predicted nearer another state than the level's."""
UNFIT = 0.1
"""Dynamics that mispredict more than this share of the transitions by half a move, wherever the states lie, fit no embedding."""
SAMPLED_MEAN, SAMPLED_OFF = 0.25, 0.05
"""Where no level is known: a candidate's errors, in moves, may have this mean, and this share beyond half a move."""


@dataclass(frozen=True)
class Candidate:
    """An encoder that a method ended with.

    Attributes:
        method, label: which of whose candidates.
        encoder: its parameters.
        terms: losses on the transitions that candidates are compared on.
        tail: of its transition errors.
        at_level: whether it reaches the level that the dynamics allow, or by_base: only its base's share of mispredictions.
        updates: that it took.
    """

    method: str
    label: str
    encoder: Params
    terms: dict[str, float]
    tail: Tail
    at_level: bool
    updates: int
    by_base: bool = False

    def plain(self) -> dict[str, Any]:
        """As plain data, without the encoder."""
        return {name: value for name, value in vars(self).items() if name not in ("encoder", "tail")} | {"tail": asdict(self.tail)}


def candidates_of(
    problem: Problem, level: Level | None, method: str, labels: tuple[str, ...], encoders: Params, index: Tensor, updates: int
) -> list[Candidate]:
    """Encoders (m, ...) as candidates.

    Args:
        problem: gives dynamics and transitions.
        level: what they are held against; None where the maze has none.
        method: whose they are.
        labels: of all of its candidates; index: (m,) which of them these are.
        updates: that each took.
    """
    names = [name for name in problem.failed if name in encoders]
    with torch.no_grad():
        embedding = problem.encode(encoders, problem.data.judged)
        terms = problem.terms(embedding, problem.data.judged)
    found = []
    for k, who in enumerate(index.tolist()):
        own = {name: float(value[k]) for name, value in terms.items()}
        tail = problem.tail(embedding[k])
        encoder = {name: encoders[name][k].detach().clone() for name in names}
        good = reaches(own, tail, level, problem.base_astray)
        by_base = good and level is not None and not reaches(own, tail, level)
        found.append(Candidate(method, labels[who], encoder, own, tail, good, updates, by_base))
    return found


def reaches(terms: dict[str, float], tail: Tail, level: Level | None, base_astray: float | None = None) -> bool:
    """Whether losses are those that the dynamics allow, in the mean and in the tail: a failure can err on 4 of 124 transitions only.

    Args:
        terms, tail: of a candidate.
        level: None where it cannot be known.
        base_astray: the share of transitions that the base mispredicts on its own side. Without a level it alone decides where it is known: a base of a hard
            world is itself beyond the fixed limits. With one, as few are enough where the base itself is not at what its dynamics allow.
    """
    if level is None:
        if base_astray is not None:
            return tail.astray is not None and tail.astray <= base_astray + WITHIN and tail.mean < float("inf")
        return tail.mean <= SAMPLED_MEAN and tail.off <= SAMPLED_OFF
    few = level.tail.astray or 0.0
    if base_astray is not None and tail.astray is not None and few + STRAYS < base_astray and tail.astray <= base_astray:
        return tail.mean < float("inf")
    return (  # every one of these is False of what is not a number
        level.tail.off <= UNFIT
        and tail.worst <= level.tail.worst + FURTHER
        and (tail.astray or 0.0) <= few + STRAYS
        and terms["total"] <= ABOVE * float(level.totals[0])
    )


def chosen(problem: Problem, candidates: list[Candidate]) -> Candidate:
    """Of those at the level the one with the fewest transitions astray, the lowest of these; where none is at the level, the lowest of all."""

    def rank(candidate: Candidate) -> tuple[float, float]:
        height = float(problem.rank({name: torch.tensor(value) for name, value in candidate.terms.items()}))
        return (candidate.tail.astray or 0.0) if candidate.at_level else 0.0, height

    return min([each for each in candidates if each.at_level] or candidates, key=rank)
