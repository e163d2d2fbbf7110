"""Claims S12 and S14, which need a whole study: the same rules for this study's table and for the released scores.

Every rule can end in each verdict that its check names. From :data:`LEAST_BASES` bases on the unit is the base, since transfers of one base are alike; of fewer a
verdict is of the transfers of these very bases, and its scope says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crar_reports.claims.record import EXCEPTIONS, FAILS, HOLDS, UNDECIDED, Claim, Decided, OfStudy, Verdict, percent
from crar_reports.statistics import CHANCE, CONFIDENCE, differ, most_apart, share, share_words, unlike

Outcomes = Mapping[str, Sequence[bool]]
"""Base -> outcomes of its transfers."""
RELEARNED = "reset-encoder"
HALF = 0.5
"""More than this share is most."""
LEAST_BASES = 6
"""Bases from which the exact 95 % interval of a share over them can lie above or below a half; of fewer it always holds one."""
MANY_BASES, MANY_TRANSFERS, ALIKE = 8, 4, 0.5
"""Bases, and transfers of each, from which "does not depend on the base" can be said, and the least p for it."""
OF_OTHERS = ", which says nothing of others"
LONG_ENOUGH = "Undecided instead of 'does not hold' where the released runs answer otherwise cut off at our updates than in full, unless they refute it in full, too"


def most(values: Sequence[bool]) -> bool:
    """Whether most of some values are true."""
    return sum(values) > HALF * len(values)


def shown(values: Sequence[bool]) -> bool:
    """Whether the exact interval of their share lies above a half."""
    return share(values).low > HALF


def refuted(values: Sequence[bool]) -> bool:
    """Whether it lies below."""
    return share(values).high < HALF


def relearned(by_variant: Mapping[str, Outcomes]) -> Decided:
    """S12.

    Args:
        by_variant: of every variant, `freeze` among them.
    """
    usual = by_variant.get("freeze", {})
    hard = [base for base, values in usual.items() if values and most([not value for value in values])]
    others = [name for name in by_variant if name not in ("freeze", RELEARNED)]
    everything = sum(len(values) for groups in by_variant.values() for values in groups.values())
    count = len({base for groups in by_variant.values() for base in groups})
    tail = "".join(f"; `{name}` {words}" for name in others if (words := _of(by_variant[name], hard)))
    own = by_variant.get(RELEARNED, {})
    both = [base for base in hard if own.get(base)]
    if not usual or not own:
        return Decided(S12, UNDECIDED, f"`{RELEARNED}` or `freeze` was not run{tail}", everything, count)
    if not hard:
        nothing = f"`freeze` gets half or more through from each of {len(usual)} bases, so there is nothing to mend"
        return Decided(S12, UNDECIDED, nothing, everything, count)
    if not both:
        return Decided(S12, UNDECIDED, f"`{RELEARNED}` was not run from the bases that `freeze` fails from{tail}", everything, count)
    whole = len(both) >= LEAST_BASES
    mended, before = (counted(groups, both, by_base=whole) for groups in (own, usual))
    # over bases chosen by what `freeze` did, a test against it would find a difference of its own
    either = [base for base in usual if usual[base] and own.get(base)]
    everyone = counted(own, either, by_base=whole), counted(usual, either, by_base=whole)
    p = unlike(*everyone)
    figure = (
        f"from {units(len(both), 'that both were run from and `freeze` mostly fails from', by_base=whole)} `{RELEARNED}` gets {share_words(mended)} through, `freeze` "
        f"{share_words(before)}; from all {len(either)} that both were run from, counted alike, {_count(everyone[0])} against {_count(everyone[1])} (Boschloo's exact test, p = {p:.2g}){tail}"
    )
    if shown(mended):
        verdict = HOLDS
    elif refuted(mended):
        verdict = FAILS
    else:
        more = sum(everyone[0]) / len(everyone[0]) > sum(everyone[1]) / len(everyone[1])
        verdict = EXCEPTIONS if p < CHANCE and more else UNDECIDED
    if verdict == UNDECIDED:
        figure += (
            f"; undecided: the interval of `{RELEARNED}` holds a half{_always(len(mended))}, and no difference beyond chance favours it"
        )
    compared = sum(len(groups[base]) for groups in (own, usual) for base in either)
    return Decided(S12, verdict, figure, compared, len(either), scope=scope_of(len(both), verdict))


def _always(size: int) -> str:
    """Said of an interval of a share of `size` where it holds a half whatever the outcomes."""
    return "" if shown([True] * size) else f", as that of {size} always does"


def counted(groups: Outcomes, bases: Sequence[str], *, by_base: bool) -> list[bool]:
    """By base whether most succeeded; else all their transfers."""
    if not by_base:
        return [value for base in bases for value in groups.get(base, ())]
    return [most(groups[base]) for base in bases if groups.get(base)]


def units(bases: int, which: str, *, by_base: bool) -> str:
    """What is counted, in words."""
    return f"the {bases} base{'s' * (bases != 1)} {which}, {'each by most of its' if by_base else 'by'} transfers,"


def scope_of(bases: int, verdict: Verdict, updates: int = 0) -> str:
    """What a verdict is of, where that is fewer than six bases, or, with `updates` of each transfer, no longer ones."""
    few, length = f"{bases} base{'s' * (bases != 1)}" * (bases < LEAST_BASES), f"{updates:,} updates" * (updates > 0)
    words = " and ".join(filter(None, (few, length)))
    return f"for {words}{OF_OTHERS}" if words and verdict != UNDECIDED else ""


def _count(values: Sequence[bool]) -> str:
    return f"{sum(values)}/{len(values)}"


def _of(groups: Outcomes, bases: Sequence[str]) -> str:
    """Successes of a variant from some bases, in words; "" for none."""
    values = [value for base in bases for value in groups.get(base, ())]
    return _count(values) if values else ""


def _why_open(groups: Sequence[Sequence[bool]], *, many: bool) -> str:
    """Why it is not said whether success depends on the base, of groups that do not differ beyond chance."""
    if differ(most_apart(groups)) >= CHANCE:
        return "these outcomes could not differ beyond chance, however they fell"
    if not many:
        return f"that it does not is said from {MANY_BASES} bases with {MANY_TRANSFERS} transfers each"
    return f"p lies between {CHANCE:g} and {ALIKE:g}"


def depends(outcomes: Outcomes, predictor: str = "") -> Decided:
    """S14.

    Args:
        outcomes: of one variant by base.
        predictor: what predicts it, in words; "" where that was not asked.
    """
    told = {base: list(values) for base, values in outcomes.items() if values}
    models, tail = sum(map(len, told.values())), f"; {predictor}" if predictor else ""
    if len(told) < 2:
        return Decided(S14, UNDECIDED, f"transfers of {len(told)} base{'s' * (len(told) != 1)} only{tail}", models, len(told))
    values = [value for group in told.values() for value in group]
    if all(values) or not any(values):
        word = "succeeded" if all(values) else "failed"
        return Decided(S14, UNDECIDED, f"all {models} transfers {word}, so there is nothing to tell apart{tail}", models, len(told))
    p = differ(list(told.values()))
    shares = [sum(group) / len(group) for group in told.values()]
    figure = f"the share of successes goes from {100 * min(shares):.0f} to {100 * max(shares):.0f} % over {len(told)} bases (permutation test, p = {p:.2g}){tail}"
    if p < CHANCE:
        verdict = HOLDS
    else:
        many = len(told) >= MANY_BASES and min(map(len, told.values())) >= MANY_TRANSFERS
        verdict = FAILS if many and p > ALIKE and differ(most_apart(list(told.values()))) < CHANCE else UNDECIDED
        if verdict == UNDECIDED:
            figure += f"; undecided: {_why_open(list(told.values()), many=many)}"
    return Decided(S14, verdict, figure, models, len(told))


S12 = Claim(
    "S12", "re-learning the encoder from scratch succeeds where `freeze` fails",
    study=OfStudy(
        f"over the bases of which `freeze` gets fewer than half of its transfers through: the {percent(CONFIDENCE)} interval of the share that `{RELEARNED}` gets through lies "
        f"above a half (holds) or below (does not hold); else exceptions: over all bases that both were run from, more than `freeze` beyond chance. From "
        f"{LEAST_BASES} bases on these count, each by most of its transfers, of fewer their transfers. {LONG_ENOUGH}", relearned,
    ),
)  # fmt: skip
S14 = Claim(
    "S14", "whether a transfer succeeds depends on its base",
    study=OfStudy(
        f"a permutation test over bases, p below {CHANCE:g}; does not hold: {MANY_BASES} bases or more with {MANY_TRANSFERS} transfers each, p above {ALIKE:g}, and enough of "
        f"both outcomes for a p below {CHANCE:g}. {LONG_ENOUGH}", depends,
    ),
)  # fmt: skip
