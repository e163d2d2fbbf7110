"""Transfers of `crar claims` in groups, by recipe and by what became of them: the verdicts of each, their spreads, and the page's summary."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

import numpy as np

from crar_model.core.words import plural
from crar_reports.claims.evidence import Listed, Pair, Samples
from crar_reports.claims.losses import does, looks
from crar_reports.claims.record import AGREE, MIXED, Verdict, attempt, by_verdict, majority, percent, recipe_words
from crar_reports.claims.table import claims_of
from crar_reports.press.markdown import QUICK, Lines, _counted, number

DOES = "by what they do"
FAILED, SUCCEEDED = f"failed {DOES}", f"successful {DOES}"


def trained(pair: Pair) -> str:
    """How a transfer and its base were trained, in the words of verdicts; "" where its results do not say."""
    return recipe_words(**{f"{one}s": words for one, words in (pair.recipe or {"base": "", "transfer": ""}).items()})


def by_recipe(pairs: Sequence[Listed | Samples]) -> dict[str, list[Listed | Samples]]:
    """Transfers by how they and their bases were trained: a verdict over two recipes is two verdicts."""
    found: dict[str, list[Listed | Samples]] = {}
    for pair in pairs:
        found.setdefault(trained(pair), []).append(pair)
    return found


def grouped(pairs: Sequence[Listed | Samples]) -> dict[str, list[Listed | Samples]]:
    """Transfers that failed and that succeeded, by what they do and by what they look like; groups that have none are left out."""
    groups = {}
    for judge, by in ((does, DOES), (looks, "by what they look like")):
        for outcome in ("failed", "open", "successful"):
            groups[f"{outcome} {by}"] = [pair for pair in pairs if judge(pair) == outcome]
    return {name: group for name, group in groups.items() if group}


def verdicts(group: Sequence[Pair], *, complete: bool = True) -> dict[str, tuple[Verdict, str]]:
    """claim -> (the verdict of most transfers, or "mixed"; how many have which)."""
    return {claim.id: majority(rule.decide(pair)[1] for pair in group) for claim, rule in claims_of(complete=complete)}


def spreads(group: Sequence[Pair], *, complete: bool = True) -> list[tuple[str, str, str, str, str, int]]:
    """(claim, measure, median, lowest, highest, models) over a group; what a model lacks is left out, what is infinite counts as that."""
    rows = []
    for claim, measure in ((claim, measure) for claim, rule in claims_of(complete=complete) for measure in rule.measures):
        values = np.array([v for pair in group if (v := attempt(measure.read, pair)) is not None and not np.isnan(v)], dtype=float)
        if len(values):
            middle, low, high = (number(float(value)) for value in (np.median(values), values.min(), values.max()))
            rows.append((claim.id, measure.what, middle, low, high, len(values)))
    return rows


def failed_of(groups: Mapping[str, Sequence[Listed | Samples]]) -> list[Listed | Samples]:
    """The transfers that failed by what they do, of every recipe."""
    return [pair for name, group in groups.items() if name.startswith(FAILED) for pair in group]


def agreed(found: Sequence[Mapping[str, tuple[Verdict, str]]]) -> dict[str, Verdict]:
    """claim -> the verdict of all recipes, or "mixed"."""
    each = {name: {verdicts[name][0] for verdicts in found} for name in (found[0] if found else ())}
    return {name: own.pop() if len(own) == 1 else MIXED for name, own in each.items()}


def claims_summary(
    groups: Mapping[str, Sequence[Listed | Samples]], verdicts: Mapping[str, Mapping[str, tuple[str, str]]], *, bases: int
) -> Lines:
    """Of `crar claims`.

    Args:
        groups: "failed by what they do", "successful by what they look like" ... -> their dissections; every transfer is in one group of each kind.
        verdicts: group -> claim -> (verdict, how many transfers have which).
        bases: how many bases the transfers are of.
    """
    everything = [pair for name, group in groups.items() if DOES in name for pair in group]
    lines = [("Asked", f"which of the appendix's claims hold of {plural(len(everything), 'transfer')} from {plural(bases, 'base')}.")]
    for name, group in groups.items():
        found = by_verdict((claim, verdict) for claim, (verdict, _) in verdicts[name].items())
        lines.append((f"Found of the {len(group)} {name}", f"{found}."))
    if failed := failed_of(groups):
        straight, frozen, certified = zip(*map(_place, failed), strict=True)
        words = f"certificates: {_counted(certified)}; median climb {number(_median_known(straight))} on the straight line"
        lines.append(
            ("Where the failed ones sit", f"{words}, {number(_median_known(frozen))} on the best path found with frozen dynamics.")
        )
    sure = f"a verdict stands for a group when {percent(AGREE)} of it share it, else it is mixed; barriers are upper bounds"
    few = f"; the smallest group has {plural(min(map(len, groups.values())), 'transfer')}"
    quick = f"; {QUICK}" if any(pair.quick for pair in everything) else ""
    return [*lines, ("How sure", f"{sure}{few}{quick}.")]


def _median_known(values: Iterable[float | None]) -> float:
    """The median of what could be measured; NaN of nothing."""
    known = [value for value in values if value is not None and not math.isnan(value)]
    return median(known) if known else math.nan


def _place(e: Listed | Samples) -> tuple[float | None, float | None, str]:
    """Where a model sits: its climb on a straight line to the reference, on the best path with frozen dynamics, and what the certificate calls it; on samples
    with the independent one."""
    if isinstance(e, Samples) and e.sampled is not None:
        return e.sampled.paths.straight, e.sampled.paths.frozen.barrier, e.sampled.failed.both
    certificate, barrier = (e.certificate, e.paths.frozen.barrier) if isinstance(e, Listed) else (None, None)
    return e.barriers["embedding"]["total"].climb, barrier, certificate.verdict if certificate else "not certified"
