"""Claim S7: is the failed encoder in a local minimum while the dynamics are frozen? And where the base's own encoder converges, so that
what the failed one is held against has been descended as far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from crar_model.agent.symmetry import Match
from crar_model.core.params import DYNAMICS, select
from crar_reports.measure.acting import certified
from crar_reports.measure.subject import Subject
from landscape_tools import Certificate, Converged, converge
from landscape_tools.convergence import NEWTON_LIMIT

STEPS, MANY_STEPS = 300, 1_500
"""Most steps of a descent: of Newton's method, and where an embedding has too many numbers for it."""
HEAVY = 1 << 28
"""Numbers of a Jacobian that are held at most: 2 GiB."""


@dataclass(frozen=True)
class Curvatures:
    """Of the embedding along its kinks: signs counted, both ends, and how much of it the encoder's weights reach; see :class:`landscape_tools.Signature`."""

    negative: int
    flat: int
    positive: int
    unseen: int
    lowest: float
    highest: float
    smallest_singular: float
    rank: int
    outputs: int
    rest: float


@dataclass(frozen=True)
class Ends:
    """Of the spectrum of the weights, with the residuals of both."""

    lowest: float
    lowest_residual: float
    highest: float
    highest_residual: float


@dataclass(frozen=True)
class AtRest:
    """A :class:`Minimum` in numbers."""

    verdict: str
    reason: str
    start: float
    loss: float
    subgradient_norm: float
    one_sided_gradient_norm: float
    kinks: int
    multiplier_slack: float | None
    weak: int
    space: str
    terms: dict[str, float]
    iterations: int
    match: dict[str, Any]
    signature: Curvatures | None
    spectrum: Ends | None
    escape_loss: float | None
    smoothing: float = 0.0
    moved: str = ""
    """What the descent moved, where another space was certified."""


@dataclass(frozen=True)
class Minimum:
    """What an encoder is under the frozen dynamics.

    Attributes:
        converged: descent of the encoder alone, on all transitions and pairs.
        certificate: of where it ended.
        terms: loss terms there.
        still: how the embedding there relates to the base's.
        space: what was certified: "weight" or "embedding".
        moved: what the descent moved; "" for the same.
    """

    converged: Converged
    certificate: Certificate
    terms: dict[str, float]
    still: Match
    space: str
    moved: str = ""

    def figures(self) -> AtRest:
        """What it comes to in numbers."""
        c, s, whole = self.certificate, self.certificate.signature, self.certificate.spectrum
        return AtRest(
            c.verdict, c.reason, self.converged.start, c.loss, c.subgradient.norm, c.subgradient.one_sided, c.subgradient.kinks, c.slack, c.weak,
            self.space, self.terms, self.converged.iterations, self.still.plain(),
            None if s is None else Curvatures(
                s.negative, s.flat, s.positive, s.unseen, _end(s.eigenvalues, 0), _end(s.eigenvalues, -1), s.smallest_singular, s.rank, s.outputs, s.rest,
            ),
            None if whole is None else Ends(
                float(whole.lowest[0]), float(whole.lowest_residuals[0]), float(whole.highest[-1]), float(whole.highest_residuals[-1]),
            ),
            None if c.escape is None else c.escape.loss, self.converged.smoothing, self.moved,
        )  # fmt: skip


def heavy(subject: Subject) -> bool:
    """Whether the Jacobian of the embedding by the encoder's weights is too large to be held, so that embeddings alone are certified and no path is lifted."""
    weights = sum(value.numel() for value in select(subject.failed, ("encoder",)).values())
    return subject.embedding(subject.failed).numel() * weights > HEAVY


def examine(subject: Subject, space: str = "weight", *, base: bool = False, iterations: int | None = None) -> Minimum:
    """Converge the failed encoder with the dynamics frozen, and certify the end.

    Args:
        space: "weight" moves the encoder's weights; "embedding" the numbers that the loss sees of them (62 in the simple maze), several times faster.
            Where the embedding's Jacobian has full rank the verdicts agree, but the two descents may end elsewhere. What is :func:`heavy` is certified as an
            embedding either way, which is more to ask of it.
        base: the same of the base's copy under its own dynamics: the reference.
        iterations: most steps of the descent; by default as many as its method needs.
    """
    begun = subject.copy if base else subject.failed
    fixed = select(begun, DYNAMICS)
    free = select(begun, ("encoder",)) if space == "weight" else {"embedding": subject.embedding(begun)}
    composite = subject.composite(free, fixed)
    steps = iterations or (STEPS if subject.embedding(begun).numel() <= NEWTON_LIMIT else MANY_STEPS)
    converged = converge(composite, free, iterations=steps)
    end = converged.point["embedding"] if space == "embedding" else subject.embedding(converged.point)
    terms = {name: float(value) for name, value in subject.terms(fixed, end).items()}
    point, moved = converged.point, ""
    if space == "weight" and heavy(subject):
        point, moved, space = {"embedding": end}, space, "embedding"
        composite = subject.composite(point, fixed)
    return Minimum(converged, certified(subject, composite, point), terms, subject.match(end), space, moved)


def _end(values: Tensor, at: int) -> float:
    """An end of a spectrum; NaN where the kinks hold every direction."""
    return float(values[at]) if len(values) else float("nan")
