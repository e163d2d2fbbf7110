"""The recipe as a factorial: what `freeze` comes to by how the bases were trained and by how they were transferred.

Three answers were asked for before the runs (studies/recipe.toml), so that each can fail: whether the base's rule decides more than the transfer's, whether
transfers from joint bases ever succeed at the study's rate, and whether among bases of the sequential rule the base decides.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from crar_model.agent.symmetry import RIGHT
from crar_reports.claims.record import FAILS, HOLDS, UNDECIDED, Verdict
from crar_reports.claims.study import depends
from crar_reports.figures.survival import survival_figure
from crar_reports.pages.study.rows import USUAL, Groups, Key, Row, label, mostly, outcomes, rule_of, told
from crar_reports.pages.study.times import times_of
from crar_reports.press.publish import Content
from crar_reports.statistics import CHANCE, CONFIDENCE, DEALT, FEWEST_GROUPS, RESAMPLES, differ, share, share_words

RATE = 8e-5
"""The study's learning rate of transfers in the simple maze."""
JOINT, SEQUENTIAL = "joint", "sequential"
COLUMNS = ("bases", "transfers", "updates", "done", "succeeded", "matched", "by base: any", "by base: most", "p")
Shares = dict[tuple[str, str], dict[str, float]]
"""(recipe of the bases, transfers in words) -> base -> its share of successes."""


class Answer(NamedTuple):
    """What a question that was asked before the runs came to, with the figures in words."""

    question: str
    verdict: Verdict
    figure: str


@dataclass(frozen=True)
class RecipesPart:
    """Rows of the table, with `COLUMNS`; the answers; the name of the figure, "" for none."""

    rows: list[tuple[object, ...]]
    answers: list[Answer]
    figure: str


def recipes_part(groups: Groups, figure: str, files: dict[str, Content]) -> RecipesPart | None:
    """What the page shows; None where all bases are of one recipe.

    Args:
        groups: transfers of the table.
        figure: name of the curves. files: of the page; they are put among them.
    """
    arms = {key: own for key, rows in groups.items() if key.variant == USUAL and key.base and (own := told(rows))}
    if len({key.base for key in arms}) < 2:
        return None
    panels = []
    for base in dict.fromkeys(key.base for key in arms):
        curves = [(transfer_words(key), times_of(rows)) for key, rows in arms.items() if key.base == base]
        curves = [(name, times) for name, times in curves if len(times)]
        if curves:
            panels.append((f"bases: {base}", max(max((*times.reached, *times.censored)) for _, times in curves), curves))
    if panels:
        files[figure] = survival_figure(panels)
    rows = [_row(key, own, len(groups[key])) for key, own in arms.items()]
    return RecipesPart(rows, [decides_more(arms), never_from_joint(arms), *base_decides(arms)], figure if panels else "")


def transfer_words(key: Key) -> str:
    """How an arm was transferred, but for its length, such as "sequential 8e-05, terminal last"."""
    return ", ".join(filter(None, (f"{key.rule} {float(key.rate):g}", key.quirk)))


def _row(key: Key, rows: Sequence[Row], asked: int) -> tuple[object, ...]:
    ends = outcomes(rows)
    matched = sum(row["outcome"] in RIGHT for row in rows)
    return (
        key.base, transfer_words(key), f"{int(key.updates):,}", f"{len(rows)} of {asked}", sum(map(sum, ends.values())), matched,
        share_words(list(map(any, ends.values()))), share_words(mostly(rows)), differ(list(ends.values())),
    )  # fmt: skip


def shares_of(arms: Groups) -> Shares:
    """Share of successes of every base in every arm without the terminal quirk, of bases without it."""
    found: Shares = {}
    for key, rows in arms.items():
        if not key.quirk and "terminal" not in key.base:
            found[key.base, transfer_words(key)] = {base: sum(ends) / len(ends) for base, ends in outcomes(rows).items()}
    return found


def effects(shares: Shares) -> tuple[float, float]:
    """(of the base's rule, of the transfer's rule): mean share of successes under `sequential` minus that under `joint`, every cell of the factorial with
    one weight; NaN where a side was not run. The base's is compared within arms, the transfer's within bases and rates."""
    of_base = []
    for arm in dict.fromkeys(arm for _, arm in shares):
        sides = {
            rule: [
                float(np.mean(list(own.values())))
                for (base, other), own in shares.items()
                if own and other == arm and rule_of(base) == rule
            ]
            for rule in (JOINT, SEQUENTIAL)
        }
        if all(sides.values()):
            of_base.append(float(np.mean(sides[SEQUENTIAL]) - np.mean(sides[JOINT])))
    of_transfer = []
    for (base, arm), own in shares.items():
        twin = shares.get((base, arm.replace(SEQUENTIAL, JOINT, 1)), {}) if arm.startswith(SEQUENTIAL) else {}
        both = own.keys() & twin.keys()
        if both:
            of_transfer.append(float(np.mean([own[name] - twin[name] for name in both])))
    return _mean(of_base), _mean(of_transfer)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def decides_more(arms: Groups) -> Answer:
    """whether the base's rule decides more than the transfer's, by resampling bases within their recipe."""
    question, shares = "The base's rule decides more than the transfer's", shares_of(arms)
    base, transfer = effects(shares)
    if math.isnan(base) or math.isnan(transfer):
        return Answer(question, UNDECIDED, "a side of the comparison was not run")
    kinds = {recipe: sorted({name for (other, _), own in shares.items() if other == recipe for name in own}) for recipe, _ in shares}
    words = f"sequential minus joint, of the base {100 * base:.0f} points of success, of the transfer {100 * transfer:.0f}"
    if min(map(len, kinds.values())) < FEWEST_GROUPS:
        return Answer(question, UNDECIDED, f"{words}; fewer than {FEWEST_GROUPS} bases of a recipe")
    rng, differences = np.random.default_rng(0), []
    for _ in range(RESAMPLES):
        drawn = {recipe: [names[place] for place in rng.integers(len(names), size=len(names))] for recipe, names in kinds.items()}
        one, other = effects({cell: _drawn(own, drawn[cell[0]]) for cell, own in shares.items()})
        differences.append(abs(one) - abs(other))
    low, high = np.nanquantile(differences, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    verdict = HOLDS if low > 0 else FAILS if high < 0 else UNDECIDED
    p = _p_of_base_rule(shares)
    return Answer(
        question, verdict, f"{words}; the first is larger by {100 * (abs(base) - abs(transfer)):.0f} points (95 % interval {100 * low:.0f} to {100 * high:.0f}, bases resampled "
        f"within their recipe); shares of bases of the two rules {'differ' if p < CHANCE else 'do not differ'} beyond chance (permutation of bases, p = {p:.2g})"
    )  # fmt: skip


def _drawn(own: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    """The shares of drawn bases, as often as they were drawn; a base that the arm lacks is left out."""
    return {f"{place}": own[name] for place, name in enumerate(names) if name in own}


def _p_of_base_rule(shares: Shares) -> float:
    """Two-sided p that bases of either rule have one mean share, over all arms of each; NaN where a side is missing."""
    by_base: dict[str, dict[str, list[float]]] = {JOINT: {}, SEQUENTIAL: {}}
    for (recipe, _), own in shares.items():
        for name, value in own.items():
            by_base[rule_of(recipe)].setdefault(name, []).append(value)
    sides = [np.array([np.mean(values) for values in by_base[rule].values()]) for rule in (SEQUENTIAL, JOINT)]
    if not all(map(len, sides)):
        return math.nan
    if np.ptp(np.concatenate(sides)) == 0:
        return 1.0

    def apart(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any], axis: int) -> Any:
        return np.mean(one, axis) - np.mean(other, axis)

    return float(stats.permutation_test(sides, apart, vectorized=True, n_resamples=DEALT, rng=np.random.default_rng(0)).pvalue)


def never_from_joint(arms: Groups) -> Answer:
    """whether no transfer of a joint base succeeds at the study's rate."""
    question = f"No transfer from a joint base succeeds at {RATE:g}"
    rows = [row for key, own in arms.items() if rule_of(key.base) == JOINT and math.isclose(float(key.rate), RATE) for row in own]
    if not rows:
        return Answer(question, UNDECIDED, "none was run")
    ends = outcomes(rows)
    hits, of = sum(map(sum, ends.values())), len(rows)
    high = share([any(values) for values in ends.values()]).high
    words = f"{hits} of {of} transfers of {len(ends)} bases succeed"
    return Answer(
        question,
        FAILS if hits else HOLDS,
        words + ("" if hits else f"; at most {100 * high:.0f} % of such bases have one (exact, 95 %)"),
    )


def base_decides(arms: Groups) -> list[Answer]:
    """S14 for every sequential recipe, by the original's own transfers."""
    found: list[Answer] = []
    for key, rows in arms.items():
        if (
            rule_of(key.base) == SEQUENTIAL == key.rule
            and math.isclose(float(key.rate), RATE)
            and (not key.quirk or "terminal" in key.base)
        ):
            decided = depends(outcomes(rows))
            found.append(Answer(f"Among bases of {key.base}, the base decides `{label(key)}`", decided.verdict, decided.figure))
    return found
