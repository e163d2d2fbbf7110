"""Learning rates (Figure 18): shares by rate and by seed, and the odd one out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from crar_model.agent.symmetry import RIGHT
from crar_model.models.merit import SUCCESS
from crar_model.training.variants import BASE
from crar_reports.claims.rates import NEIGHBOURS, ODD_RATE, Runs, learning_rates, odd_one
from crar_reports.claims.record import Decided
from crar_reports.claims.released_scores import released_runs
from crar_reports.claims.study import LEAST_BASES
from crar_reports.figures.shares import shares_figure
from crar_reports.pages.study.rows import USUAL, Row, by, key_of, origin, success, told
from crar_reports.press.publish import Content
from crar_reports.statistics import CHANCE, share_words_by_base

RELEASED_BASE = "42"
"""The base of the released study of learning rates."""
OURS = "this study"
FEWEST_RATES = 3
"""Learning rates of one variant that are shown as a study of them."""


@dataclass(frozen=True)
class RateStudy:
    """One variant at several learning rates.

    Attributes:
        variant, rule: what it is; "" for the released ones' rule. source: whose runs these are.
        runs: (base, seed, rate, success) of those that tell. planned: rate -> models asked for. updates: of each.
        matched: rate -> embeddings that match the base's; empty where that is not known.
        recipe: how bases and transfers were trained, but for the rate; "" where that is not known.
    """

    variant: str
    rule: str
    source: str
    runs: Runs
    planned: Mapping[float, int]
    updates: int
    matched: Mapping[float, int] = field(default_factory=dict)
    recipe: str = ""


@dataclass(frozen=True)
class RatesPart:
    """What the page shows of one study of rates.

    Attributes:
        variant, source, bases, updates: what it is, and of how many bases. released: whether these are the released runs.
        figure: its name, "" for none. odd: a sentence on the odd rate. by_rate, by_seed: rows of the tables.
    """

    variant: str
    source: str
    bases: int
    figure: str
    odd: str
    updates: int
    released: bool
    by_rate: list[tuple[object, ...]]
    by_seed: list[tuple[str, str]]


def rates_part(rows: Sequence[Row], maze: str, files: dict[str, Content], *, released: bool) -> list[RatesPart]:
    """A part a study of rates, ours first; the released one is shown cut off where ours ends, too.
    Figures, whose names begin with `maze`, are put among the page's files."""
    studies = rate_studies(rows)
    shown, name = list(studies), f"the released scores, base {RELEASED_BASE}"
    for updates in sorted({study.updates for study in studies if study.variant == USUAL and study.runs}) if released else ():
        shown.append(_released_study(released_rates(updates), f"{name}, until our {updates:,} updates", updates))
    if released:
        shown.append(_released_study(released_rates(), f"{name}, to their ends", 0))
    ours = len(studies)
    names = [f"{maze}-rates-{number if number < ours else f'released-{number - ours}'}.png" for number in range(len(shown))]
    return [_part(study, figure, files) for study, figure in zip(shown, names, strict=True)]


def decide_rates(rows: Sequence[Row]) -> Decided | None:
    """Claim S13 by the study of `freeze` with most transfers that tell; None where there is none.

    Args:
        rows: transfers from the bases that are asked of.
    """
    chosen = max((study for study in rate_studies(rows) if study.variant == USUAL), key=lambda study: len(study.runs), default=None)
    return None if chosen is None else replace(learning_rates(chosen.runs), updates={USUAL: chosen.updates}, recipe=chosen.recipe)


def released_rates(updates: int | None = None) -> Runs:
    """The released study of learning rates, its runs cut off after some updates."""
    runs = released_runs(USUAL, RELEASED_BASE)
    return [(run.base_model, str(run.seed), run.learning_rate, run.until(updates).final > SUCCESS) for run in runs]


def _released_study(runs: Runs, source: str, updates: int) -> RateStudy:
    return RateStudy(USUAL, "", source, runs, Counter(rate for _, _, rate, _ in runs), updates)


def rate_studies(rows: Sequence[Row]) -> list[RateStudy]:
    """Transfers alike in all but base, seed and learning rate, from the bases that they are asked for from at three rates or more."""
    found: dict[object, list[Row]] = {}
    for row in rows:
        if row["variant"] != BASE.name:  # a cell has the group of the first table that asks for it, so that is not what keeps studies apart
            found.setdefault((row["updates"], row.get("base_recipe"), origin(row, but=("base", "seed", "learning_rate"))), []).append(row)
    studies = []
    for asked_for in found.values():
        several = {base for base, own in by(asked_for, "base").items() if len({row["learning_rate"] for row in own}) >= FEWEST_RATES}
        group = [row for row in asked_for if row["base"] in several]
        if group:
            runs = [(row["base"], row["seed"], float(row["learning_rate"]), success(row)) for row in told(group)]
            planned, first = Counter(float(row["learning_rate"]) for row in group), group[0]
            matched = Counter(float(row["learning_rate"]) for row in told(group) if row["outcome"] in RIGHT)
            studies.append(
                RateStudy(
                    first["variant"],
                    first["update_rule"],
                    OURS,
                    runs,
                    planned,
                    int(first["updates"]),
                    matched,
                    key_of(first).recipe_of_rates,
                )
            )
    return studies


def _part(study: RateStudy, figure: str, files: dict[str, Content]) -> RatesPart:
    """One grouping by rate, one by seed, and the odd one against its neighbours."""
    runs = study.runs
    seeds = sorted({seed for _, seed, _, _ in runs}, key=int)
    by_rate = [(f"{rate:g}", _by_base([run for run in runs if run[2] == rate])) for rate in sorted(study.planned)]
    by_seed = [(f"seed {seed}", _by_base([run for run in runs if run[1] == seed])) for seed in seeds]
    if runs:
        files[figure] = shares_figure([("by learning rate", by_rate), ("by seed", by_seed)], "share that succeeded")
    shown: list[tuple[object, ...]] = [
        (
            name,
            f"{sum(map(len, values))} of {count}",
            share_words_by_base(values),
            study.matched.get(rate, 0) if study.source == OURS else "-",
        )
        for (name, values), (rate, count) in zip(by_rate, sorted(study.planned.items()), strict=True)
    ]
    return RatesPart(
        ", ".join(filter(None, (study.variant, study.rule))), study.source, len({base for base, *_ in runs}), figure if runs else "", odd_words(runs),
        study.updates, study.source != OURS, shown, [(name, share_words_by_base(values)) for name, values in by_seed],
    )  # fmt: skip


def _by_base(runs: Runs) -> list[list[bool]]:
    return [[ok for base, *_, ok in runs if base == one] for one in dict.fromkeys(base for base, *_ in runs)]


def odd_words(runs: Runs) -> str:
    """Whether 1e-4 is worse than its neighbours beyond chance (claim S13)."""
    own, others, p = odd_one(runs)
    around = " and ".join(f"{rate:g}" for rate in NEIGHBOURS)
    if math.isnan(p):
        return f"{ODD_RATE:g} and both its neighbours, {around}, are not done here, so nothing is said of it."
    word = "unlike its neighbours beyond chance" if p < CHANCE else "not unlike its neighbours beyond chance"
    unit = "the transfer, given these bases" if len({base for base, *_ in runs}) < LEAST_BASES else "the base, by most of its transfers"
    return (
        f"{ODD_RATE:g} is {word}: {sum(own)}/{len(own)} against {sum(others)}/{len(others)} at {around} together "
        f"(Boschloo's exact test, p = {p:.2g}; the unit is {unit})."
    )
