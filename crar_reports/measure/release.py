"""Claim S8: what the failed model becomes when its dynamics may move, alone or together with the encoder.

Where the evaluation set is all there is, by full-batch descent on it; on a sample, by training on fresh data of the same maze.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from crar_model.agent.loss import FOLLOWED
from crar_model.agent.symmetry import Match
from crar_model.core.params import BLOCKS, Params, select
from crar_model.core.ratio import ratio
from crar_model.training.members import Member, Plan
from crar_model.training.trainer import Trainer
from crar_model.training.variants import Variant
from crar_reports.measure.subject import Subject
from landscape_tools import Composite, composite_of, converge, norm

ROUND = 200
"""Iterations of a round of a descent; there are as many as the iterations allow, and none after one that changes little."""
SETTLED = 0.01
"""A round that lowers the total above its floor by less than this share of it is the last."""
SMOOTHINGS = (1e-2, 1e-3)
"""Of the maxima in `ball`, while encoder and dynamics descend together."""
UPDATES, QUICK_UPDATES = 1_000, 100
"""Of training on fresh data."""
TRAINING_DATA = 20_000
RATE = 5e-4


@dataclass(frozen=True)
class Released:
    """A failed model after more than its encoder, or other things than its encoder, were free.

    Attributes:
        params: all parameters.
        terms: its loss terms on the subject's batch.
        match: its embedding against the optimum's.
        how: "descent" on the batch, L-BFGS iterations, or "training" on fresh data, updates.
        steps: iterations or updates taken.
        converged: whether the last round of the descent lowered the total above its floor by less than `SETTLED`; False of a training.
        moved: distance that the dynamics moved, in norms of the dynamics.
    """

    params: Params
    terms: dict[str, float]
    match: Match
    how: str
    steps: int
    converged: bool
    moved: float

    def plain(self) -> dict[str, Any]:
        """As plain data, without the parameters."""
        count = {"descent": "iterations", "training": "updates"}[self.how]
        return {
            "terms": self.terms, "match": self.match.plain(), "distance": self.match.distance, count: self.steps, "converged": self.converged,
            "moved": self.moved,
        }  # fmt: skip


def adapt(subject: Subject, blocks: tuple[str, ...], iterations: int = 400) -> Released:
    """Train blocks of the dynamics alone on the failed embedding as it is: the second axis of the surface."""
    free = select(subject.failed, blocks)
    still = {name: value for name, value in subject.failed.items() if name not in free}
    embedding = subject.embedding(subject.failed)
    return _descended(subject, composite_of(lambda p: subject.terms(still | p, embedding, FOLLOWED)["total"], free), free, iterations)


def fitted(subject: Subject, blocks: tuple[str, ...]) -> Released:
    """Blocks of the dynamics alone fitted to the failed encoder: by descent on all transitions, or by training on fresh data where they are sampled."""
    return adapt(subject, blocks) if subject.task.sampling.complete else train_further(subject, blocks, UPDATES)


def release(subject: Subject, blocks: tuple[str, ...], iterations: int = 800, start: Params | None = None) -> Released:
    """Descend from the failed model with the encoder and blocks of the dynamics free together.

    Args:
        start: where to begin in place of the failed model, such as where its dynamics have been adapted already: from there the descent
            gets as low in a third of the iterations.
    """
    begun = subject.failed if start is None else start
    free = select(begun, ("encoder", *blocks))
    still = {name: value for name, value in begun.items() if name not in free}
    return _descended(subject, subject.composite(free, still), free, iterations)


def _descended(subject: Subject, loss: Composite, free: Params, iterations: int) -> Released:
    """Descend in rounds, until one lowers the total above its floor by little."""
    point, taken, settled = dict(free), 0, False
    while taken < iterations and not settled:
        done = converge(loss, point, iterations=min(ROUND, iterations - taken), smoothings=SMOOTHINGS if taken == 0 else SMOOTHINGS[-1:])
        if done.loss > done.start:  # of the smoothed loss it is lower
            settled = True
            break
        settled = done.start - done.loss < SETTLED * (done.start - subject.floor["total"])
        point, taken = done.point, taken + done.iterations
    return _result(subject, subject.failed | point, "descent", taken, settled)


def train_further(subject: Subject, blocks: tuple[str, ...], updates: int) -> Released:
    """Train blocks of the failed model in its own maze, on a random policy's data, with its own settings and the joint rule."""
    settings = replace(
        subject.failed_file.settings,
        updates=updates, seed=0, update_rule="joint", structure_delay=0, device="cpu", data_size=TRAINING_DATA, inverse=subject.inverse,
        loss=subject.settings,
    )  # fmt: skip
    plan = Plan(settings, (Member(0, RATE, str(subject.failed_path)),), Variant("further", trained=blocks))
    trainer = Trainer(plan)
    for _ in range(updates):  # without the log, whose validation runs would take as long
        trainer.one_update()
    return _result(subject, trainer.member_parameters(0), "training", updates, False)


def adapted_and_released(
    subject: Subject, blocks: tuple[str, ...], *, quick: bool, beside: Callable[[], Any]
) -> tuple[Released, Released, Any]:
    """The failed model with blocks of its dynamics trained alone, and with encoder and dynamics released, on two threads.

    Args:
        quick: cut both short.
        beside: further work, done on the other thread beside descents.

    Returns:
        adapted, released, and what `beside` returned.
    """
    with ThreadPoolExecutor(max_workers=2) as pool:
        if subject.task.sampling.complete:

            def descents() -> tuple[Released, Released]:
                first = adapt(subject, blocks, 100 if quick else 800)
                return first, release(subject, blocks, 100 if quick else 800, first.params)

            second = pool.submit(descents)
            other = beside()
            return *second.result(), other
        updates = QUICK_UPDATES if quick else UPDATES
        adapted, released = pool.map(lambda free: train_further(subject, free, updates), (blocks, BLOCKS))
    return adapted, released, beside()


def _result(subject: Subject, params: Params, how: str, steps: int, converged: bool) -> Released:
    terms = {name: float(value) for name, value in subject.terms(params).items()}
    moved = ratio(norm({name: params[name] - value for name, value in subject.dynamics.items()}), norm(subject.dynamics))
    return Released(params, terms, subject.match(subject.embedding(params)), how, steps, converged, moved)
