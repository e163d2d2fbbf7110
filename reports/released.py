"""Claim S8: what the failed model becomes when its dynamics may move, alone or together with the encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crar_model.evaluation import Match, match_embeddings
from crar_model.params import Params, select
from landscape_tools.composite import composite_of
from landscape_tools.convergence import converge
from landscape_tools.points import norm
from reports.subject import Subject

SMOOTHINGS = (1e-2, 1e-3)
"""Of the maxima in `ball`, while encoder and dynamics descend together."""


@dataclass(frozen=True)
class Released:
    """A failed model after full-batch descent with more than its encoder free.

    Attributes:
        params: all parameters.
        terms: its loss terms.
        match: its embedding against the optimum's.
        iterations: L-BFGS iterations taken.
        moved: distance that the dynamics moved, in norms of the dynamics.
    """

    params: Params
    terms: dict[str, float]
    match: Match
    iterations: int
    moved: float

    def plain(self) -> dict[str, Any]:
        """As plain data, without the parameters."""
        return {"terms": self.terms, "match": self.match.plain(), "iterations": self.iterations, "moved": self.moved}


def adapt(subject: Subject, blocks: tuple[str, ...], iterations: int = 400) -> Released:
    """Train blocks of the dynamics alone on the failed embedding as it is: the second axis of the surface."""
    free = select(subject.failed, blocks)
    still = {name: value for name, value in subject.failed.items() if name not in free}
    embedding = subject.embedding(subject.failed)
    done = converge(composite_of(lambda p: subject.terms(still | p, embedding)["total"], free), free, iterations=iterations)
    return _result(subject, subject.failed | done.point, done.iterations)


def release(subject: Subject, blocks: tuple[str, ...], iterations: int = 800) -> Released:
    """Descend from the failed model with the encoder and blocks of the dynamics free together."""
    free = select(subject.failed, ("encoder", *blocks))
    still = {name: value for name, value in subject.failed.items() if name not in free}
    done = converge(subject.composite(free, still), free, iterations=iterations, smoothings=SMOOTHINGS)
    return _result(subject, subject.failed | done.point, done.iterations)


def _result(subject: Subject, params: Params, iterations: int) -> Released:
    terms = {name: float(value) for name, value in subject.terms(params).items()}
    match = match_embeddings(subject.embedding(subject.optimum), subject.embedding(params))
    moved = norm({name: params[name] - value for name, value in subject.dynamics.items()}) / norm(subject.dynamics)
    return Released(params, terms, match, iterations, moved)
