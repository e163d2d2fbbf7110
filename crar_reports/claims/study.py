"""How the claims that need a whole study are decided, S11 to S14: the same rules for this study's table and for the released scores.

Every rule can end in each verdict that its check names. From :data:`LEAST_BASES` bases on the unit is the base, since transfers of one base are alike; of fewer a
verdict is of the transfers of these very bases, and its scope says so.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from crar_model.core.files import Plain
from crar_reports.claims import listed as rules
from crar_reports.claims.listed import EXCEPTIONS, FAILS, HOLDS, UNDECIDED
from crar_reports.claims.table import decided
from crar_reports.statistics import CHANCE, differ, most_apart, share, share_words, unlike

Outcomes = Mapping[str, Sequence[bool]]
"""Base -> outcomes of its transfers."""
Runs = Sequence[tuple[str, str, float, bool]]
"""(base, seed, learning rate, success)."""
ODD_RATE = 1e-4
"""The learning rate that the appendix calls an odd one out (claim S13)."""
NEIGHBOURS = (5e-5, 5e-4)
"""Rates next to it in the study."""
WORK, FAIL = (5e-5, 5e-4, 1e-3), (1e-5, 5e-3)
"""Rates that mostly work and that fail, by the appendix."""
RELEARNED = "reset-encoder"
AGREE = 0.8
"""Share of models that must have one verdict for it to be that of all, as in `crar claims`."""
LEAST_BASES = 6
"""Bases from which the exact 95 % interval of a share over them can lie above or below a half; of fewer it always holds one."""
MANY_BASES, MANY_TRANSFERS, ALIKE = 8, 4, 0.5
"""Bases, and transfers of each, from which "does not depend on the base" can be said, and the least p for it."""
TEXTS = {
    "S11": "small losses, yet a score of -5",
    "S12": "re-learning the encoder from scratch succeeds where `freeze` fails",
    "S13": "learning rates: 1e-3, 5e-4 and 5e-5 mostly work, 5e-3 and 1e-5 fail, 1e-4 is an odd one out",
    "S14": "whether a transfer succeeds depends on its base",
}
OF_OTHERS = ", which says nothing of others"
LONG_ENOUGH = "Undecided instead of 'does not hold' where the released runs answer otherwise cut off at our updates than in full, unless they refute it in full, too"
CHECKS = {
    "S11": "of `freeze` transfers that fail, with the score's whole interval below 0 and below their base's: the score's interval below -4, every term but `value` within a factor 2 of the base's; exceptions: within 10, or "
    "near losses with the interval between -4 and 0",
    "S12": "over the bases of which `freeze` gets fewer than half of its transfers through: the 95 % interval of the share that `reset-encoder` gets through lies "
    "above a half (holds) or below (does not hold); else exceptions: over all bases that both were run from, more than `freeze` beyond chance. From 6 bases on "
    "these count, each by most of its transfers, of fewer their transfers. " + LONG_ENOUGH,
    "S13": "5e-5, 5e-4 and 1e-3 together succeed more than 1e-5 and 5e-3 together, beyond chance and in more than half; 1e-4 is worse than its neighbours beyond "
    "chance, by seeds added for it alone where there are such. Exceptions: the first, and 1e-4 mostly works, too, its interval above a half. Does not hold: the interval of the ones that should work below a half, "
    "or that of those that should fail above. Over the bases with all these rates; from 6 bases on these count, each by most of its transfers at those rates, of fewer their transfers. "
    + LONG_ENOUGH
    + "; rates that should fail and mostly succeed refute it whatever the length",
    "S14": "a permutation test over bases, p below 0.05; does not hold: 8 bases or more with 4 transfers each, p above 0.5, and enough of both outcomes for a p below 0.05. "
    + LONG_ENOUGH,
}


@dataclass(frozen=True)
class Decided:
    """A claim on a study.

    Attributes:
        id: of the claim. verdict: one of the four words, or "mixed".
        figure: the measured numbers in words. models: how many stand behind it. bases: how many these are of.
        updates: of every variant among them, how many its transfers were trained for.
        scope: what the verdict is of, where it says nothing of other bases; "" else.
        recipe: how bases and transfers were trained, in words; "" where it is not known.
        for_now: whether more updates of the same transfers may well undo a "does not hold": what has failed so far can come up, what has succeeded seldom
            goes down again.
    """

    id: str
    verdict: str
    figure: str
    models: int
    bases: int
    updates: Mapping[str, int] = field(default_factory=dict)
    scope: str = ""
    for_now: bool = True
    recipe: str = ""

    def plain(self) -> dict[str, Any]:
        """As plain data, with the claim's text."""
        return {name: value for name, value in asdict(self).items() if name != "for_now"} | {
            "claim": TEXTS[self.id],
            "check": CHECKS[self.id],
        }


def small_losses(
    pairs: Sequence[Plain], bases: int, lost: int = 0, *, of: int = 0, good: Sequence[Plain] = (), updates: int = 0
) -> Decided:
    """S11 over failed transfers.

    Args:
        pairs: what `crar_reports.claims.sampled.s11_sample` takes, of each.
        bases: how many they are of.
        lost: further failed transfers, whose networks are not here to be measured.
        of: all transfers that these were found among; 0 leaves it out.
        good: the same of trained transfers through the same frozen dynamics that score above 0 with their whole interval: what a ratio says of failure
            shows beside them.
        updates: of each failed transfer; 0 for none that are known.
    """
    rest = f"; the networks of {lost} further ones are not here to be measured" if lost else ""
    if not pairs:
        none = "no `freeze` transfer scores below 0 and below its base, each by its whole interval"
        gone = f"the networks of the {lost} failed transfers are not here to be measured"
        return Decided("S11", UNDECIDED, gone if lost else none, 0, bases)
    counts = Counter(decided("S11", pair, complete=False).verdict for pair in pairs)
    most, size = counts.most_common(1)[0]
    low = sum(pair["failed_score"]["high"] < rules.LOW_SCORE for pair in pairs)
    words = ", ".join(f"{verdict} {count}" for verdict, count in counts.most_common())
    figure = (
        f"{f'of {of} transfers {len(pairs) + lost} fail with their whole interval; ' if of else ''}of {len(pairs)} failed transfers {low} score below {rules.LOW_SCORE:g} with their whole "
        f"interval, and {_near(pairs)} have every term within a factor {rules.NEAR:g} of the base's ({words}), transition {_span(pairs)} times the base's{rest}"
    )
    if good:
        figure += f"; of {len(good)} trained transfers through frozen dynamics that score above 0 with theirs {_near(good)} have every term within a factor {rules.NEAR:g}, transition {_span(good)} times"
    verdict = most if size >= AGREE * len(pairs) else "mixed"
    scope = scope_of(bases, verdict, updates)
    return Decided("S11", verdict, figure, len(pairs), bases, {"freeze": updates} if updates else {}, scope)


def _near(pairs: Sequence[Plain]) -> int:
    """How many have every term but `value` within a factor 2 of the base's."""
    return sum(all(rules.ratios(pair["failed_terms"], pair, "copy_terms")[term] <= rules.NEAR for term in rules.COMPARED) for pair in pairs)


def _span(pairs: Sequence[Plain]) -> str:
    """Smallest and largest ratio of the transition term to the base's."""
    found = [rules.ratios(pair["failed_terms"], pair, "copy_terms")["transition"] for pair in pairs]
    return f"{min(found):.3g} to {max(found):.3g}"


def relearned(by_variant: Mapping[str, Outcomes]) -> Decided:
    """S12.

    Args:
        by_variant: of every variant, `freeze` among them.
    """
    usual = by_variant.get("freeze", {})
    hard = [base for base, values in usual.items() if values and sum(values) < len(values) / 2]
    others = [name for name in by_variant if name not in ("freeze", RELEARNED)]
    everything = sum(len(values) for groups in by_variant.values() for values in groups.values())
    count = len({base for groups in by_variant.values() for base in groups})
    tail = "".join(f"; `{name}` {words}" for name in others if (words := _of(by_variant[name], hard)))
    own = by_variant.get(RELEARNED, {})
    both = [base for base in hard if own.get(base)]
    if not usual or not own:
        return Decided("S12", UNDECIDED, f"`{RELEARNED}` or `freeze` was not run{tail}", everything, count)
    if not hard:
        return Decided(
            "S12",
            UNDECIDED,
            f"`freeze` gets half or more through from each of {len(usual)} bases, so there is nothing to mend",
            everything,
            count,
        )
    if not both:
        return Decided("S12", UNDECIDED, f"`{RELEARNED}` was not run from the bases that `freeze` fails from{tail}", everything, count)
    whole = len(both) >= LEAST_BASES
    mended, before = (_counted(groups, both, by_base=whole) for groups in (own, usual))
    # over bases chosen by what `freeze` did, a test against it would find a difference of its own
    either = [base for base in usual if usual[base] and own.get(base)]
    everyone = _counted(own, either, by_base=whole), _counted(usual, either, by_base=whole)
    found, p = share(mended), unlike(*everyone)
    figure = (
        f"from {_units(len(both), 'that both were run from and `freeze` mostly fails from', by_base=whole)} `{RELEARNED}` gets {share_words(mended)} through, `freeze` "
        f"{share_words(before)}; from all {len(either)} that both were run from, counted alike, {_count(everyone[0])} against {_count(everyone[1])} (Boschloo's exact test, p = {p:.2g}){tail}"
    )
    if found["low"] > 0.5:
        verdict = HOLDS
    elif found["high"] < 0.5:
        verdict = FAILS
    else:
        more = sum(everyone[0]) / len(everyone[0]) > sum(everyone[1]) / len(everyone[1])
        verdict = EXCEPTIONS if p < CHANCE and more else UNDECIDED
    if verdict == UNDECIDED:
        figure += (
            f"; undecided: the interval of `{RELEARNED}` holds a half{_always(len(mended))}, and no difference beyond chance favours it"
        )
    compared = sum(len(groups[base]) for groups in (own, usual) for base in either)
    return Decided("S12", verdict, figure, compared, len(either), scope=scope_of(len(both), verdict))


def _always(size: int) -> str:
    """Said of an interval of a share of `size` where it holds a half whatever the outcomes."""
    return "" if share([True] * size)["low"] > 0.5 else f", as that of {size} always does"


def _counted(groups: Outcomes, bases: Sequence[str], *, by_base: bool) -> list[bool]:
    """By base whether most succeeded; else all their transfers."""
    if not by_base:
        return [value for base in bases for value in groups.get(base, ())]
    return [sum(groups[base]) > len(groups[base]) / 2 for base in bases if groups.get(base)]


def _units(bases: int, which: str, *, by_base: bool) -> str:
    """What is counted, in words."""
    return f"the {bases} base{'s' * (bases != 1)} {which}, {'each by most of its' if by_base else 'by'} transfers,"


def scope_of(bases: int, verdict: str, updates: int = 0) -> str:
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


def learning_rates(runs: Runs) -> Decided:
    """S13."""
    asked = (*WORK, *FAIL, ODD_RATE)
    missing = [rate for rate in asked if not any(_among(other, (rate,)) for _, _, other, _ in runs)]
    whole = [
        base
        for base in dict.fromkeys(base for base, *_ in runs)
        if all(_at([run for run in runs if run[0] == base], (rate,)) for rate in asked)
    ]
    models, bases = len(runs), len({base for base, *_ in runs})
    if not missing and not whole:
        return Decided(
            "S13", UNDECIDED, f"none of {bases} bases has transfers at all of {', '.join(f'{rate:g}' for rate in asked)}", models, bases
        )
    runs = [run for run in runs if run[0] in whole and _among(run[2], asked)]  # rates of other bases would differ by their bases
    if missing:
        return Decided("S13", UNDECIDED, f"no transfers at {', '.join(f'{rate:g}' for rate in missing)}", models, bases)
    odd, near, p_odd = odd_one(runs)
    by_base = len(whole) >= LEAST_BASES
    work, fail = (_at(runs, rates) for rates in (WORK, FAIL))
    p = unlike(work, fail)
    figure = (
        f"from {_units(len(whole), 'of this study of rates', by_base=by_base)} at 5e-05, 0.0005 and 0.001 {share_words(work)} succeed, at 1e-05 and 0.005 {share_words(fail)} "
        f"(Boschloo's exact test, p = {p:.2g}); at {ODD_RATE:g} {sum(odd)}/{len(odd)}{_added(runs)} against {sum(near)}/{len(near)} at its neighbours (p = {p_odd:.2g})"
    )
    trend = p < CHANCE and sum(work) > len(work) / 2 and sum(work) / len(work) > sum(fail) / len(fail)
    worse = p_odd < CHANCE and sum(odd) / len(odd) < sum(near) / len(near)
    reversed_ = share(fail)["low"] > 0.5
    if share(work)["high"] < 0.5 or reversed_:
        verdict = FAILS
    elif trend and worse:
        verdict = HOLDS
    else:
        verdict = EXCEPTIONS if trend and share(odd)["low"] > 0.5 else UNDECIDED
    if verdict == UNDECIDED:
        figure += (
            f"; undecided: {ODD_RATE:g} is neither worse than its neighbours beyond chance nor shown to work mostly{_too_few(odd, near)}"
            if trend
            else "; undecided: the rates that should work are neither shown to work more often, and mostly, nor shown to fail mostly"
        )
    scope = scope_of(len(whole), verdict)
    return Decided("S13", verdict, figure, len(runs), len(whole), scope=scope, for_now=not reversed_)


def _added(runs: Runs) -> str:
    """Said where seeds at the odd rate are left out of its test."""
    left = len(runs) - len(_unsuggested(runs))
    return f" (seeds added for it alone; the {left} that suggested the question are not counted)" if left else ""


def _too_few(odd: Sequence[bool], near: Sequence[bool]) -> str:
    """Said where no outcome at the odd rate could have shown it to be worse than its neighbours, or to work."""
    best, worst = [True] * len(odd), [False] * len(odd)
    shown = share(best)["low"] > 0.5 or unlike(worst, near) < CHANCE
    return "" if shown else f", which no outcome of {len(odd)} could have shown beside these neighbours"


def _among(rate: float, rates: Sequence[float]) -> bool:
    return any(math.isclose(rate, other) for other in rates)


def _at(runs: Runs, rates: Sequence[float]) -> list[bool]:
    """What is counted at some rates: outcomes by base, or of few bases all transfers."""
    groups: dict[str, list[bool]] = {base: [] for base, *_ in runs}
    for base, _, rate, ok in runs:
        if _among(rate, rates):
            groups[base].append(ok)
    return _counted(groups, list(groups), by_base=len(groups) >= LEAST_BASES)


def odd_one(runs: Runs) -> tuple[list[bool], list[bool], float]:
    """What is counted at the odd rate and at its two neighbours together, with the p of Boschloo's exact test; NaN unless all three were run."""
    own, each = _at(_unsuggested(runs), (ODD_RATE,)), [_at(runs, (rate,)) for rate in NEIGHBOURS]
    if not own or not all(each):
        return [], [], math.nan
    others = _at(runs, NEIGHBOURS)
    return own, others, unlike(own, others)


def _unsuggested(runs: Runs) -> Runs:
    """The runs without those at the odd rate whose seeds its neighbours have, too, where others were added for it alone: the appendix added six after the
    first six had suggested the question, and what suggests a question cannot answer it."""
    shared = {(base, seed) for base, seed, rate, _ in runs if _among(rate, NEIGHBOURS)}
    odd = [run for run in runs if _among(run[2], (ODD_RATE,))]
    added = [run for run in odd if run[:2] not in shared]
    return [run for run in runs if not _among(run[2], (ODD_RATE,))] + (added or odd)


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
        return Decided("S14", UNDECIDED, f"transfers of {len(told)} base{'s' * (len(told) != 1)} only{tail}", models, len(told))
    values = [value for group in told.values() for value in group]
    if all(values) or not any(values):
        word = "succeeded" if all(values) else "failed"
        return Decided("S14", UNDECIDED, f"all {models} transfers {word}, so there is nothing to tell apart{tail}", models, len(told))
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
    return Decided("S14", verdict, figure, models, len(told))
