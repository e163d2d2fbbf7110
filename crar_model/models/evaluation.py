"""Judges a model on its task's evaluation set: loss terms, figures of merit, and how its embedding relates to its base's.

Sources: section 8 of docs/original.md ("judged by eye" there) and claims S2, S3 and S11, with numbers in place of the eye; the
distance follows the released comparison of normal and transferred abstract states.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from crar_model.agent.loss import Loss
from crar_model.agent.symmetry import Match, match_embeddings
from crar_model.core.files import typed
from crar_model.core.params import Params
from crar_model.core.settings import LossSettings, PlaySettings
from crar_model.tasks.metrics import Metric, Score, outcome_metrics
from crar_model.tasks.symmetries import symmetries_of

if TYPE_CHECKING:
    from crar_model.tasks import Task


@dataclass(frozen=True)
class Evaluation:
    """Figures of one model; see :func:`evaluate`.

    Attributes:
        terms: every loss term and the `total`, on the task's evaluation set.
        metrics: figures of merit by name, those of the task.
        match: against a base's embedding, where one was given.
        drawn: what a large layout is judged on in place of everything, in words; "" elsewhere.
    """

    terms: dict[str, float]
    metrics: dict[str, Metric]
    match: Match | None = None
    drawn: str = ""

    def share(self, name: str) -> float:
        """A figure of merit that is a plain number; NaN where the task has none of that name."""
        value = self.metrics.get(name, float("nan"))
        return value.mean if isinstance(value, Score) else value

    @property
    def score(self) -> Score | None:
        """The score, where the task has one."""
        found = self.metrics.get("score")
        return found if isinstance(found, Score) else None

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        return {"terms": self.terms, **self.merits()}

    def merits(self) -> dict[str, Any]:
        """As plain data, without the loss terms."""
        metrics = {name: value.plain() if isinstance(value, Score) else value for name, value in self.metrics.items()}
        match = self.match
        compared = {} if match is None else {"match": match.plain(), "embedding_distance": match.distance, "mean_move": match.mean_move}
        drawn = {"drawn": self.drawn} if self.drawn else {}
        return {**metrics, **compared, **drawn}

    @classmethod
    def of(cls, plain: Mapping[str, Any], where: str = "an evaluation") -> Evaluation:
        """From what :meth:`plain` or :meth:`merits` gave, as it is read from a file.

        Raises:
            UserError: for other data; `where` they lie.
        """
        left, hint = dict(plain), "make it again"
        terms, match, drawn = left.pop("terms", {}), left.pop("match", None), left.pop("drawn", "")
        lengths = {"distance": left.pop("embedding_distance", None), "mean_move": left.pop("mean_move", None)}
        metrics: dict[str, Metric] = {}
        for name, value in left.items():
            metrics[name] = typed(value, Score, where, hint) if isinstance(value, Mapping) else typed(value, float, where, hint)
        found = None if match is None else typed(match | lengths, Match, where, hint)
        return cls(typed(terms, dict[str, float], where, hint), metrics, found, drawn)


def dtype_of(task: Task) -> torch.dtype:
    """The precision that a task is evaluated in."""
    return torch.float64 if task.sampling.dtype == "float64" else torch.float32


def cast(params: Params, dtype: torch.dtype) -> Params:
    """Parameters without history in another precision."""
    return {name: value.detach().to(dtype) for name, value in params.items()}


def embed(task: Task, params: Params, *, inverse: bool) -> Tensor:
    """Abstract states of every row of the task's evaluation set, (rows, d), in the task's precision."""
    dtype = dtype_of(task)
    with torch.no_grad():
        return task.agent().encode(cast(params, dtype), task.batch(inverse=inverse, dtype=dtype).observations)


def evaluate(
    task: Task,
    params: Params,
    *,
    inverse: bool,
    settings: LossSettings,
    how: PlaySettings | None = None,
    base: tuple[Params, bool] | None = None,
) -> Evaluation:
    """Judge one model.

    Args:
        task: the maze.
        params: parameters of one model.
        inverse: maze to judge it in.
        settings: coefficients of the terms, whose weights make the total.
        how: how to play, where the task has a score.
        base: parameters of the base and whether it belongs to the inverse maze, to compare embeddings with.
    """
    agent, dtype = task.agent(), dtype_of(task)
    params = cast(params, dtype)
    batch = task.batch(inverse=inverse, dtype=dtype)
    loss = Loss(agent, settings).on(task.table(inverse=inverse, dtype=dtype))
    # One member where the terms are in float32: the form that the compiled kernels take.
    one = params if dtype == torch.float64 else {name: value.unsqueeze(0) for name, value in params.items()}
    with torch.no_grad():
        terms = {name: float(value) for name, value in loss.terms(one).items()}
    metrics = task.metrics(agent, params, inverse=inverse, how=how or PlaySettings())
    if task.sampling.complete or not metrics:  # where every transition ends an episode no state is predicted: rewards and ends are
        metrics |= outcome_metrics(agent, params, batch, settings.discount)
    match = None
    if base is not None and batch.moves is not None and batch.moves.shape[1]:  # without a move embeddings have no unit of length
        both = embed(task, base[0], inverse=base[1]), embed(task, params, inverse=inverse)
        match = match_embeddings(agent, batch, *both, symmetries_of(task))
    return Evaluation(terms, metrics, match, task.sampling.drawn)
