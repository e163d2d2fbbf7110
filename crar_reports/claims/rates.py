"""Claim S13: which learning rates work, and the odd one out; the same rule for this study's runs and for the released ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from crar_reports.claims.record import EXCEPTIONS, FAILS, HOLDS, UNDECIDED, Claim, Decided, OfStudy
from crar_reports.claims.study import LEAST_BASES, LONG_ENOUGH, counted, most, refuted, scope_of, shown, units
from crar_reports.statistics import CHANCE, share_words, unlike

Runs = Sequence[tuple[str, str, float, bool]]
"""(base, seed, learning rate, success)."""
ODD_RATE = 1e-4
"""The learning rate that the appendix calls an odd one out."""
NEIGHBOURS = (5e-5, 5e-4)
"""Rates next to it in the study."""
WORK, FAIL = (5e-5, 5e-4, 1e-3), (1e-5, 5e-3)
"""Rates that mostly work and that fail, by the appendix."""


def short(rate: float) -> str:
    """A learning rate such as "5e-4"."""
    return f"{rate:.0e}".replace("e-0", "e-")


def listed(rates: Sequence[float], form: Callable[[float], str] = "{:g}".format) -> str:
    """Rates in words, "5e-05, 0.0005 and 0.001"."""
    *most, last = map(form, rates)
    return f"{', '.join(most)} and {last}"


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
        none = f"none of {bases} bases has transfers at all of {', '.join(f'{rate:g}' for rate in asked)}"
        return Decided(S13, UNDECIDED, none, models, bases)
    runs = [run for run in runs if run[0] in whole and _among(run[2], asked)]  # rates of other bases would differ by their bases
    if missing:
        return Decided(S13, UNDECIDED, f"no transfers at {', '.join(f'{rate:g}' for rate in missing)}", models, bases)
    odd, near, p_odd = odd_one(runs)
    by_base = len(whole) >= LEAST_BASES
    work, fail = (_at(runs, rates) for rates in (WORK, FAIL))
    p = unlike(work, fail)
    figure = (
        f"from {units(len(whole), 'of this study of rates', by_base=by_base)} at {listed(WORK)} {share_words(work)} succeed, at {listed(FAIL)} {share_words(fail)} "
        f"(Boschloo's exact test, p = {p:.2g}); at {ODD_RATE:g} {sum(odd)}/{len(odd)}{_added(runs)} against {sum(near)}/{len(near)} at its neighbours (p = {p_odd:.2g})"
    )
    trend = p < CHANCE and most(work) and sum(work) / len(work) > sum(fail) / len(fail)
    worse = p_odd < CHANCE and sum(odd) / len(odd) < sum(near) / len(near)
    reversed_ = shown(fail)
    if refuted(work) or reversed_:
        verdict = FAILS
    elif trend and worse:
        verdict = HOLDS
    else:
        verdict = EXCEPTIONS if trend and shown(odd) else UNDECIDED
    if verdict == UNDECIDED:
        figure += (
            f"; undecided: {ODD_RATE:g} is neither worse than its neighbours beyond chance nor shown to work mostly{_too_few(odd, near)}"
            if trend
            else "; undecided: the rates that should work are neither shown to work more often, and mostly, nor shown to fail mostly"
        )
    scope = scope_of(len(whole), verdict)
    return Decided(S13, verdict, figure, len(runs), len(whole), scope=scope, for_now=not reversed_)


def _added(runs: Runs) -> str:
    """Said where seeds at the odd rate are left out of its test."""
    left = len(runs) - len(_unsuggested(runs))
    return f" (seeds added for it alone; the {left} that suggested the question are not counted)" if left else ""


def _too_few(odd: Sequence[bool], near: Sequence[bool]) -> str:
    """Said where no outcome at the odd rate could have shown it to be worse than its neighbours, or to work."""
    possible = shown([True] * len(odd)) or unlike([False] * len(odd), near) < CHANCE
    return "" if possible else f", which no outcome of {len(odd)} could have shown beside these neighbours"


def _among(rate: float, rates: Sequence[float]) -> bool:
    return any(math.isclose(rate, other) for other in rates)


def _at(runs: Runs, rates: Sequence[float]) -> list[bool]:
    """What is counted at some rates: outcomes by base, or of few bases all transfers."""
    groups: dict[str, list[bool]] = {base: [] for base, *_ in runs}
    for base, _, rate, ok in runs:
        if _among(rate, rates):
            groups[base].append(ok)
    return counted(groups, list(groups), by_base=len(groups) >= LEAST_BASES)


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


S13 = Claim(
    "S13", f"learning rates: {listed(WORK[::-1], short)} mostly work, {listed(FAIL[::-1], short)} fail, {short(ODD_RATE)} is an odd one out",
    study=OfStudy(
        f"{listed(WORK, short)} together succeed more than {listed(FAIL, short)} together, beyond chance and in more than half; {short(ODD_RATE)} is worse than its neighbours "
        f"beyond chance, by seeds added for it alone where there are such. Exceptions: the first, and {short(ODD_RATE)} mostly works, too, its interval above a half. Does not "
        "hold: the interval of the ones that should work below a half, or that of those that should fail above. Over the bases with all these rates; from "
        f"{LEAST_BASES} bases on these count, each by most of its transfers at those rates, of fewer their transfers. {LONG_ENOUGH}; rates that should fail and mostly "
        "succeed refute it whatever the length", learning_rates,
    ),
)  # fmt: skip
