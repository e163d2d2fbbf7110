"""Losses held against the reference's, and claims S3, S4 and S8: how small those of a failed transfer are, and whether training the dynamics makes them so.

The reference is the base's copy, converged under the frozen dynamics as the failed model is. Totals are compared above their floor, which the moves that change
nothing give to `consecutive`. S3 and S8 measure nearness by the same ratios, so that the same figures cannot bring out "holds" of the one and "does not hold" of
the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from crar_model.agent.loss import FOLLOWED
from crar_model.agent.symmetry import RIGHT
from crar_model.core.ratio import LEAST
from crar_model.models.merit import FAILED, SUCCESSFUL, Outcome, outcome
from crar_reports.claims.evidence import Alone, Errors, Listed, Pair, Released, Samples, Terms
from crar_reports.claims.reading import need
from crar_reports.claims.record import EXCEPTIONS, FAILS, HOLDS, UNDECIDED, Claim, Found, Measure, Rule, percent
from crar_reports.measure.move_errors import MOST
from landscape_tools import rank

COMPARED = tuple(term for term in FOLLOWED if term != "value")
"""Terms that do not depend on bootstrap values."""
NEAR, FAR = 2.0, 10.0
"""Ratios to the reference: of a term that is near, and that is not far."""
CLOSE = 1.1
"""Ratio of a total above its floor that is at the reference's level."""
GOOD_BASE = 0.97
"""Least share of transitions that a base must predict, for its losses to be what a failed model is held against."""
LOWER = 0.9
"""A descent that ends below this share of a total above its floor has found something lower."""
MOST_NEAR, FEW = 1.0, 0.1
"""Largest mean error near a side, in edges; share of moves above `MOST` edges that are exceptions."""


@dataclass(frozen=True)
class Ratios:
    """Losses over those of a reference: of every term of `COMPARED`, `consecutive` above its floor, and of the total above its own."""

    terms: dict[str, float]
    total: float

    @property
    def transition(self) -> float:
        """Of the transition term."""
        return self.terms["transition"]

    @property
    def structure(self) -> float:
        """The larger of the terms that keep states apart; NaN where one is."""
        return max(self.terms["random_pairs"], self.terms["consecutive"], key=rank)

    @property
    def largest(self) -> float:
        """Of both."""
        return max(self.transition, self.structure, key=rank)

    @property
    def at_level(self) -> bool:
        """Whether losses are at the reference's level."""
        return self.transition <= NEAR and self.total <= CLOSE


def above(terms: Terms, e: Pair) -> float:
    """A total above its floor."""
    return terms.total - e.floor.total


def ratios(terms: Terms, base: Terms, floor: Terms) -> Ratios:
    """Losses of a model over those of a base."""
    found = {term: getattr(terms, term) / max(getattr(base, term), LEAST) for term in COMPARED}
    found["consecutive"] = (terms.consecutive - floor.consecutive) / max(base.consecutive - floor.consecutive, LEAST)
    return Ratios(found, (terms.total - floor.total) / max(base.total - floor.total, LEAST))


def to_reference(terms: Terms, e: Pair) -> Ratios:
    """The same over those of a pair's reference."""
    return ratios(terms, e.optimum_terms, e.floor)


def does(e: Listed | Samples) -> Outcome:
    """What a transfer is by the one definition of success (`crar_model.models.merit`); open where an interval decides nothing."""
    if isinstance(e, Samples) and e.scored:
        return outcome({}, score=(_known(e.failed_score.low), _known(e.failed_score.high)))
    shares = {
        name: (_known(own[0]), _known(own[-1]))
        for name in ("accuracy", "navigation", "outcome_accuracy")
        if (own := getattr(e, name, None))
    }
    return outcome(shares)


def _known(figure: float | None) -> float:
    """NaN for what could not be measured, which is no success."""
    return math.nan if figure is None else figure


def looks(e: Pair) -> str:
    """The same by what its embedding looks like alone."""
    return SUCCESSFUL if e.match.verdict in RIGHT else FAILED


def s3(e: Listed) -> Found:
    """Losses near the reference's."""
    ratio = to_reference(e.failed_terms, e)
    text = ", ".join(
        f"{term} x{ratio.terms[term]:{form}}" for term, form in (("transition", ".3g"), ("random_pairs", ".2g"), ("consecutive", ".2g"))
    )
    if e.accuracy[-1] < GOOD_BASE:
        return f"{text}; its base predicts {percent(e.accuracy[-1])} only", UNDECIDED
    if ratio.largest <= NEAR:
        return text, HOLDS
    return text, EXCEPTIONS if ratio.at_level or (ratio.structure <= NEAR and ratio.transition < FAR) else FAILS


def s3_sample(e: Samples) -> Found:
    """The same of every term on a sample."""
    ratio = to_reference(e.failed_terms, e)
    worst = max(ratio.terms.values(), key=rank)
    text = ", ".join(f"{term} x{value:.2g}" for term, value in ratio.terms.items())
    return text, HOLDS if worst <= NEAR else EXCEPTIONS if worst < FAR or ratio.at_level else FAILS


def _sides(x: Errors) -> str:
    return "no board, so no sides" if not x.board else f"near a side {need(x.near):.2g}, elsewhere {x.far:.2g}"


def _far_near(x: Errors) -> bool:
    """Whether the errors near a side are larger than said; a world that is no board has none."""
    return bool(x.board) and need(x.near) > MOST_NEAR


def s4(e: Listed) -> Found:
    """Errors of single transitions."""
    x = e.errors
    text = (
        f"in local edges: largest {x.largest:.2g}, mean {x.mean:.2g}; {percent(x.above_two)} of {x.moves} moves above {MOST:g}, {percent(x.above_at_door)} of those "
        f"at a door; {_sides(x)}; {percent(x.worst_share)} of the error on {x.worst} moves, {x.worst_at_door} of them at a "
        f"door; near a side {x.near_states} of {x.states} states ({x.board_near} of {x.board} cells as drawn); two mean edges {x.two_edges:.2g} (said: 0.66)"
        if x.board
        else f"in local edges: largest {x.largest:.2g}, mean {x.mean:.2g}; {percent(x.above_two)} of {x.moves} moves above {MOST:g}; {_sides(x)}; "
        f"{percent(x.worst_share)} of the error on {x.worst} moves"
    )
    bounded = x.above_two == 0 and not _far_near(x)
    if not bounded and not x.board and x.above_two >= FEW:
        return f"{text}; whether those are at doors, no world's data say", UNDECIDED
    return text, HOLDS if bounded else EXCEPTIONS if x.above_two < FEW or x.above_at_door == 1 else FAILS


def s4_alone(e: Alone) -> Found:
    """The same in the model's own edges."""
    x = e.errors
    text = (
        f"largest {x.largest:.2g}, mean {x.mean:.2g} of its own edges; {percent(x.above_two)} above {MOST:g}; {_sides(x)} ({x.near_states} of {x.states} "
        "states near one)"
    )
    return text, HOLDS if x.largest <= MOST and not _far_near(x) else EXCEPTIONS if x.above_two < FEW else FAILS


def s8(e: Pair) -> Found:
    """A way out once the dynamics are trained."""
    before, alone, everything = (to_reference(terms, e) for terms in (e.failed_terms, e.adapted.terms, e.released.terms))
    text = "; ".join(
        f"{what}: transition x{ratio.transition:.3g}, total above the floor x{ratio.total:.3g}"
        for what, ratio in (("failed", before), ("dynamics alone", alone), ("everything", everything))
    )
    match = e.released.match.verdict
    crossed = match in RIGHT and e.match.verdict not in RIGHT
    text += "; the embedding crosses over" if crossed else f"; the embedding stays {match}"
    if before.at_level:
        return f"{text}; at the reference's level before, so there is nothing to open", UNDECIDED
    if everything.at_level or alone.at_level:
        return text, HOLDS
    if not e.released.converged:
        return f"{text}; not converged after {_steps(e.released)}", UNDECIDED
    nearly = everything.total <= CLOSE and everything.transition < FAR and everything.structure <= NEAR
    return text, EXCEPTIONS if everything.largest <= NEAR or nearly else FAILS


def _steps(released: Released) -> str:
    return f"{released.updates} updates of training" if released.iterations is None else f"{released.iterations} iterations of descent"


def s8_alone(e: Alone) -> Found:
    """Something lower once everything is trained."""
    text = (
        f"frozen {e.stationary_terms.total:.3g}, released {e.released.terms.total:.3g} (floor {e.floor:.3g}); its embedding is then "
        f"{e.released.match.identity_edges:.2g} edges from where it was"
    )
    return text, HOLDS if lower(e, e.released.terms.total) else UNDECIDED if e.quick else FAILS  # a short descent decides nothing


def lower(e: Alone, *totals: float) -> bool:
    """Whether one of some totals lies clearly below that of the encoder's stationary point, above the floor."""
    least, here = (max(total - e.floor, 0.0) for total in (min(totals), e.stationary_terms.total))
    return least < LOWER * here


def _over(term: str) -> Callable[[Pair], float]:
    """Reads a term over the reference's."""
    return lambda e: to_reference(e.failed_terms, e).terms[term]


LEVEL = f"transition within a factor {NEAR:g}, total above its floor within {percent(CLOSE - 1)} of the reference's"
S3 = Claim(
    "S3", "the failed losses are nearly the base's",
    listed=Rule(
        f"against the converged reference of a base of at least {percent(GOOD_BASE)}: transition, random_pairs, consecutive (above its floor) within a factor "
        f"{NEAR:g}; exceptions: transition below {FAR:g}, or at the reference's level as in S8", s3,
        (
            Measure("transition term over the reference's", _over("transition")),
            Measure("random_pairs over the reference's", _over("random_pairs")),
            Measure("accuracy of the base", lambda e: e.accuracy[-1]),
        ),
    ),
    samples=Rule(
        f"every term but `value` within a factor {NEAR:g}, `consecutive` above its floor; exceptions: within {FAR:g}, or at the level of S8", s3_sample,
        tuple(Measure(f"{term} over the reference's{', both above its floor' * (term == 'consecutive')}", _over(term)) for term in COMPARED),
    ),
)  # fmt: skip
S4 = Claim(
    "S4", "transition error at most two edges, one near a side",
    listed=Rule(
        f"over the moves that change the state, in lengths of those very moves in the base: none above {MOST:g}, mean near a side at most {MOST_NEAR:g}; exceptions: "
        f"under {percent(FEW)} above {MOST:g}, or those at a door alone", s4,
        (
            Measure("largest transition error, local edges", lambda e: e.errors.largest),
            Measure("share of the moves above two local edges", lambda e: e.errors.above_two),
            Measure("mean transition error near a side, local edges", lambda e: e.errors.near),
            Measure("share of the error on its 4 worst moves", lambda e: e.errors.worst_share),
            Measure("two mean edges (the appendix: 0.33*2)", lambda e: e.errors.two_edges),
        ),
    ),
    alone=Rule(
        f"largest error {MOST:g}, mean near a side {MOST_NEAR:g}, in its own edges; exceptions: under {percent(FEW)} above {MOST:g}", s4_alone,
    ),
)  # fmt: skip
S8 = Claim(
    "S8", "training the dynamics turns it into a global minimum or opens a way",
    listed=Rule(
        f"descent from the failed model, of the dynamics alone or of everything: {LEVEL}; exceptions: one of the two; one that had not converged decides nothing", s8,
        (
            Measure("total above the floor over the reference's, dynamics alone trained", lambda e: to_reference(e.adapted.terms, e).total),
            Measure("the same, everything trained", lambda e: to_reference(e.released.terms, e).total),
            Measure("transition over the reference's, everything trained", lambda e: to_reference(e.released.terms, e).transition),
            Measure("barrier of the path, dynamics free", lambda e: e.paths.free.barrier),
        ),
    ),
    samples=Rule(
        f"training on fresh data from the failed model, of the dynamics alone or of everything: {LEVEL}; without that a short training decides nothing", s8,
        (
            Measure("total above the floor over the reference's, everything trained", lambda e: to_reference(e.released.terms, e).total),
            Measure("barrier of the path, dynamics free", lambda e: need(e.sampled).paths.free.barrier),
        ),
    ),
    alone=Rule(
        f"everything released ends at least {percent(1 - LOWER)} below the frozen stationary point, above the floor; whether that is the base's level is not known",
        s8_alone,
    ),
)  # fmt: skip
