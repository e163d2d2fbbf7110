"""Claim S11: losses of a transfer are small, and yet its score is the lowest there is; of one pair, and of all failed transfers of a study."""

from __future__ import annotations

from collections.abc import Sequence

from crar_model.models.merit import SUCCESS
from crar_reports.claims.evidence import Samples
from crar_reports.claims.losses import FAR, NEAR, Ratios, ratios
from crar_reports.claims.record import EXCEPTIONS, FAILS, HOLDS, UNDECIDED, Claim, Decided, Found, Measure, OfStudy, Rule, majority
from crar_reports.claims.study import scope_of

LOW_SCORE = -4.0
"""A score whose whole interval lies below this is the lowest there is: no key found."""


def to_copy(e: Samples) -> Ratios:
    """Losses of a transfer over those of its base as it is."""
    return ratios(e.failed_terms, e.copy_terms, e.floor)


def s11(e: Samples) -> Found:
    """Small losses beside the lowest score."""
    failed, base = e.failed_score, e.copy_score
    if not e.scored:
        return "the world has no score", UNDECIDED
    terms = to_copy(e).terms
    term = max(terms, key=lambda name: terms[name])
    text = (
        f"score {failed.mean:.2f} ({failed.low:.2f} to {failed.high:.2f}), base {base.mean:.2f} ({base.low:.2f} to {base.high:.2f}); largest ratio of a term "
        f"{terms[term]:.2g} ({term})"
    )
    if not failed.high < SUCCESS:
        return f"{text}; {'no failure' if failed.low > SUCCESS else 'the interval does not say whether it failed'}", UNDECIDED
    if terms[term] > NEAR:
        return text, EXCEPTIONS if failed.high < LOW_SCORE and terms[term] < FAR else FAILS
    if failed.high < LOW_SCORE:
        return text, HOLDS
    return text, EXCEPTIONS if failed.low > LOW_SCORE else UNDECIDED


def small_losses(
    pairs: Sequence[Samples], bases: int, lost: int = 0, *, of: int = 0, good: Sequence[Ratios] = (), updates: int = 0
) -> Decided:
    """S11 over failed transfers.

    Args:
        pairs: terms of each and of its base (`failed_terms`, `copy_terms`), their floor and both scores.
        bases: how many they are of.
        lost: further failed transfers, whose networks are not here to be measured.
        of: all transfers that these were found among; 0 leaves it out.
        good: losses of trained transfers through the same frozen dynamics that score above 0 with their whole interval: what a ratio says of failure
            shows beside them.
        updates: of each failed transfer; 0 for none that are known.
    """
    rest = f"; the networks of {lost} further ones are not here to be measured" if lost else ""
    if not pairs:
        none = "no `freeze` transfer scores below 0 and below its base, each by its whole interval"
        gone = f"the networks of the {lost} failed transfers are not here to be measured"
        return Decided(S11, UNDECIDED, gone if lost else none, 0, bases)
    verdict, words = majority(RULE.decide(pair)[1] for pair in pairs)
    losses = [to_copy(pair) for pair in pairs]
    low = sum(pair.failed_score.high < LOW_SCORE for pair in pairs)
    figure = (
        f"{f'of {of} transfers {len(pairs) + lost} fail with their whole interval; ' if of else ''}of {len(pairs)} failed transfers {low} score below {LOW_SCORE:g} with their whole "
        f"interval, and {_near(losses)} have every term within a factor {NEAR:g} of the base's ({words}), transition {_span(losses)} times the base's{rest}"
    )
    if good:
        figure += f"; of {len(good)} trained transfers through frozen dynamics that score above 0 with theirs {_near(good)} have every term within a factor {NEAR:g}, transition {_span(good)} times"
    return Decided(S11, verdict, figure, len(pairs), bases, {"freeze": updates} if updates else {}, scope_of(bases, verdict, updates))


def _near(found: Sequence[Ratios]) -> int:
    """How many have every term but `value` near the base's."""
    return sum(all(value <= NEAR for value in each.terms.values()) for each in found)


def _span(found: Sequence[Ratios]) -> str:
    """Smallest and largest ratio of the transition term to the base's."""
    values = [each.transition for each in found]
    return f"{min(values):.3g} to {max(values):.3g}"


RULE: Rule[Samples] = Rule(
    f"the interval of the score below {LOW_SCORE:g} with every term but `value` within a factor {NEAR:g} of the base's; exceptions: below {LOW_SCORE:g} with all within "
    f"{FAR:g}, or near losses with the interval between {LOW_SCORE:g} and {SUCCESS:g}", s11,
    (Measure("score of the transfer", lambda e: e.failed_score.mean), Measure("score of its base", lambda e: e.copy_score.mean)),
)  # fmt: skip
S11 = Claim(
    "S11", "small losses, yet a score of -5", samples=RULE,
    study=OfStudy(
        f"of `freeze` transfers that fail, with the score's whole interval below {SUCCESS:g} and below their base's: the score's interval below {LOW_SCORE:g}, every term "
        f"but `value` within a factor {NEAR:g} of the base's; exceptions: within {FAR:g}, or near losses with the interval between {LOW_SCORE:g} and {SUCCESS:g}",
        small_losses,
    ),
)  # fmt: skip
