"""Claim S7: is the failed encoder in a local minimum while the dynamics are frozen? And where the base's own encoder converges, so that
what the failed one is held against has been descended as far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from crar_model.agent.symmetry import Match
from crar_model.core.params import DYNAMICS, select
from crar_reports.measure.subject import Subject
from landscape_tools import Certificate, Converged, certify, converge


@dataclass(frozen=True)
class Minimum:
    """What an encoder is under the frozen dynamics.

    Attributes:
        converged: descent of the encoder alone, on all transitions and pairs.
        certificate: of where it ended.
        terms: loss terms there.
        still: how the embedding there relates to the base's.
        space: what moved: "weight" or "embedding".
    """

    converged: Converged
    certificate: Certificate
    terms: dict[str, float]
    still: Match
    space: str

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        c, s, spectrum = self.certificate, self.certificate.signature, self.certificate.spectrum
        return {
            "verdict": c.verdict, "reason": c.reason, "start": self.converged.start, "loss": c.loss, "subgradient_norm": c.subgradient.norm,
            "one_sided_gradient_norm": c.subgradient.one_sided, "kinks": c.subgradient.kinks, "multiplier_slack": c.slack,
            "weak": c.weak,
            "space": self.space, "terms": self.terms, "iterations": self.converged.iterations, "match": self.still.plain(),
            "signature": None if s is None else {
                "negative": s.negative, "flat": s.flat, "positive": s.positive, "unseen": s.unseen,
                "lowest": _end(s.eigenvalues, 0), "highest": _end(s.eigenvalues, -1), "smallest_singular": s.smallest_singular,
                "rank": s.rank, "outputs": s.outputs, "rest": s.rest,
            },
            "spectrum": None if spectrum is None else {
                "lowest": float(spectrum.lowest[0]), "lowest_residual": float(spectrum.lowest_residuals[0]),
                "highest": float(spectrum.highest[-1]), "highest_residual": float(spectrum.highest_residuals[-1]),
            },
            "escape_loss": None if c.escape is None else c.escape.loss,
        }  # fmt: skip


def examine(subject: Subject, space: str = "weight", *, base: bool = False, iterations: int = 300) -> Minimum:
    """Converge the failed encoder with the dynamics frozen, and certify the end.

    Args:
        space: "weight" moves the encoder's weights; "embedding" the numbers that the loss sees of them (62 in the simple maze), several times faster.
            Where the embedding's Jacobian has full rank the verdicts agree, but the two descents may end elsewhere.
        base: the same of the base's copy under its own dynamics: the reference.
        iterations: most steps of the descent.
    """
    begun = subject.copy if base else subject.failed
    fixed = select(begun, DYNAMICS)
    free = select(begun, ("encoder",)) if space == "weight" else {"embedding": subject.embedding(begun)}
    composite = subject.composite(free, fixed)
    converged = converge(composite, free, iterations=iterations)
    end = converged.point["embedding"] if space == "embedding" else subject.embedding(converged.point)
    terms = {name: float(value) for name, value in subject.terms(fixed, end).items()}
    return Minimum(converged, certify(composite, converged.point), terms, subject.match(end), space)


def _end(values: Tensor, at: int) -> float:
    """An end of a spectrum; NaN where the kinks hold every direction."""
    return float(values[at]) if len(values) else float("nan")
