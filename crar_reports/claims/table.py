"""All claims of the appendix in their order, and what they come to on one pair of models or on one model."""

from __future__ import annotations

from typing import Any

from crar_reports.claims.dynamics import S9, S10
from crar_reports.claims.embeddings import S1, S2, S5
from crar_reports.claims.evidence import Alone, pair_of
from crar_reports.claims.losses import S3, S4, S8
from crar_reports.claims.minima import S6, S7
from crar_reports.claims.rates import S13
from crar_reports.claims.reading import Plain, read
from crar_reports.claims.record import Claim, Decision, Rule
from crar_reports.claims.small_losses import S11
from crar_reports.claims.study import S12, S14

CLAIMS = (S1, S2, S3, S4, S5, S6, S7, S8, S9, S10, S11, S12, S13, S14)
NAMED = {claim.id: claim for claim in CLAIMS}


def claims_of(*, complete: bool) -> list[tuple[Claim, Rule[Any]]]:
    """The claims that one pair of models decides, with their rules.

    Args:
        complete: whether its evaluation set is all there is.
    """
    return [(claim, rule) for claim in CLAIMS if (rule := claim.rule(complete=complete)) is not None]


def decide(d: Plain, *, complete: bool) -> list[Decision]:
    """All claims on one pair.

    Args:
        d: from `Dissection.plain()`, or as it was kept; of :func:`decided` those figures that the rule reads.
        complete: whether its evaluation set is all there is.
    """
    evidence = pair_of(d, complete=complete)
    return [_decision(claim, rule, evidence) for claim, rule in claims_of(complete=complete)]


def decided(name: str, d: Plain, *, complete: bool) -> Decision:
    """One claim on one pair, by its id; the others as of :func:`decide`."""
    return next(_decision(claim, rule, pair_of(d, complete=complete)) for claim, rule in claims_of(complete=complete) if claim.id == name)


def decide_alone(d: Plain) -> list[Decision]:
    """The claims that need no base.

    Args:
        d: from `crar_reports.measure.without_reference.Lone.plain`.
    """
    evidence = read(Alone, d)
    return [_decision(claim, claim.alone, evidence) for claim in CLAIMS if claim.alone is not None]


def need_a_base() -> list[Claim]:
    """The claims that one pair of models decides and one model does not."""
    return [claim for claim in CLAIMS if claim.listed is not None and claim.alone is None]


def _decision(claim: Claim, rule: Rule[Any], evidence: Any) -> Decision:
    return Decision(claim.id, claim.text, *rule.decide(evidence), rule.check)
