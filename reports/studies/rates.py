"""Learning rates (Figure 18): shares by rate and by seed, and the odd one out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crar_model.files import StrPath
from crar_model.training.variants import BASE
from reports.figures.shares import shares_figure
from reports.figures.style import save_png
from reports.released_scores import released_runs
from reports.statistics import CHANCE, share_words
from reports.studies.decisions import ODD_RATE, Decided, Runs, learning_rates, odd_one
from reports.studies.rows import USUAL, Row, success, told

RELEASED_BASE = "42"
"""The base of the released study of learning rates."""


def rates_part(rows: Sequence[Row], folder: StrPath, maze: str, *, released: bool) -> tuple[list[dict[str, Any]], Decided | None]:
    """A dict a study of rates, ours first, and claim S13 by the one of most transfers; None where there is none."""
    folder = Path(folder)
    studies = rate_studies(rows)
    parts = [_part(variant, runs, folder / f"{maze}-rates-{number}.png", "this study") for number, (variant, runs) in enumerate(studies)]
    if released:
        parts.append(_part(USUAL, released_rates(), folder / f"{maze}-rates-released.png", f"the released scores, base {RELEASED_BASE}"))
    usual = [runs for variant, runs in studies if variant.startswith(USUAL)]
    return parts, learning_rates(max(usual, key=len)) if usual else None


def released_rates() -> Runs:
    """The released study of learning rates."""
    return [(run.base_model, str(run.seed), run.learning_rate, run.final > 0) for run in released_runs(USUAL, RELEASED_BASE)]


def rate_studies(rows: Sequence[Row]) -> list[tuple[str, Runs]]:
    """Variants, under one rule and map, that were run at three learning rates or more."""
    found: dict[tuple[str, str, str, str], list[tuple[str, str, float, bool]]] = {}
    for row in told(rows):
        if row["variant"] != BASE.name:
            one = (row["base"], row["seed"], float(row["learning_rate"]), success(row))
            found.setdefault((row["group"], row["variant"], row["update_rule"], row["observation_map"]), []).append(one)
    return [(f"{key[1]}, {key[2]}", runs) for key, runs in found.items() if len({rate for _, _, rate, _ in runs}) >= 3]


def _part(variant: str, runs: Runs, figure: Path, source: str) -> dict[str, Any]:
    """One grouping by rate, one by seed, and the odd one against its neighbours."""
    rates = sorted({rate for _, _, rate, _ in runs})
    seeds = sorted({seed for _, seed, _, _ in runs}, key=int)
    by_rate = [(f"{rate:g}", [ok for _, _, other, ok in runs if other == rate]) for rate in rates]
    by_seed = [(f"seed {seed}", [ok for _, other, _, ok in runs if other == seed]) for seed in seeds]
    save_png(shares_figure([("by learning rate", by_rate), ("by seed", by_seed)], "share that succeeded"), figure)
    return {
        "variant": variant, "source": source, "bases": len({base for base, *_ in runs}), "figure": figure.name, "odd": odd_words(runs),
        "by_rate": [(name, share_words(values)) for name, values in by_rate],
        "by_seed": [(name, share_words(values)) for name, values in by_seed],
    }  # fmt: skip


def odd_words(runs: Runs) -> str:
    """Whether 1e-4 is worse than its neighbours beyond chance (claim S13)."""
    own, others, p = odd_one(runs)
    if math.isnan(p):
        return f"{ODD_RATE:g} has not both neighbours here, so nothing is said of it."
    rates = sorted({rate for _, _, rate, _ in runs})
    place = min(range(len(rates)), key=lambda number: abs(rates[number] - ODD_RATE))
    word = "unlike its neighbours beyond chance" if p < CHANCE else "not unlike its neighbours beyond chance"
    unit = "the transfer" if len({base for base, *_ in runs}) == 1 else "the base, by most of its transfers"
    return (
        f"{ODD_RATE:g} is {word}: {sum(own)}/{len(own)} against {sum(others)}/{len(others)} at {rates[place - 1]:g} and {rates[place + 1]:g} together "
        f"(Boschloo's exact test, p = {p:.2g}; the unit is {unit})."
    )
