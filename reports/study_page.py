"""The page of `crar study`: success by variant and base, learning rates, times and cost, from the table alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from crar_model.files import StrPath
from crar_model.tasks import task_named
from crar_model.training.variants import BASE
from reports.figures.shares import shares_figure
from reports.figures.style import save_png
from reports.markdown import render
from reports.released_scores import ReleasedRun, released_runs
from reports.statistics import Times, differ, interquartile, middle, share_words, survival_share, unlike, unlike_times
from reports.study_table import read_table

Row = dict[str, str]
DONE = "done"
USUAL = "freeze"
"""The variant that the others are held against."""
ODD_RATE = 1e-4
"""The learning rate that the appendix calls an odd one out (claim S13)."""
CHANCE = 0.05
EPOCH = 2_000
"""Updates of an epoch of the released runs."""
Runs = list[tuple[str, str, float, bool]]
"""(base, seed, learning rate, success)."""


def write_study_page(table: StrPath, name: str, folder: StrPath, *, command: str = "") -> Path:
    """Write `report.md`, its HTML and figures to a folder; returns the path of the Markdown.

    Args:
        table: the `table.csv` of the study; nothing else of it is read.
        name: of the study.
        folder: where to write.
        command: shown as what made it.
    """
    folder, rows = Path(folder), read_table(Path(table))
    mazes = [_maze(maze, [row for row in rows if row["maze"] == maze], folder) for maze in dict.fromkeys(row["maze"] for row in rows)]
    left = [(row["cell"], row["variant"], row["status"], row["why"]) for row in rows if row["status"] != DONE]
    counts = Counter(row["status"] for row in rows)
    return render(
        "study_page.md", folder / "report.md", name=name, command=command, mazes=mazes, left=left[:20], unfinished=len(left),
        counts=", ".join(f"{count} {word}" for word, count in counts.items()),
    )  # fmt: skip


def _maze(maze: str, rows: Sequence[Row], folder: Path) -> dict[str, Any]:
    task = task_named(maze)
    bases = [row for row in rows if row["variant"] == BASE.name]
    groups = _groups(row for row in rows if row["variant"] != BASE.name)
    studies = _rate_studies(rows)
    found: dict[str, Any] = {
        "title": task.title, "scored": task.scored, "bases": [_base_row(row) for row in bases], "rates": [],
        "variants": [_variant_row(key, group, groups) for key, group in groups.items()],
        "columns": [f"base {_base(row)}" for row in bases], "by_base": [_by_base(key, group, bases) for key, group in groups.items()],
        "depends": [line for key, group in groups.items() if (line := _depends(key, group))], "times": [], "cost": _cost(rows),
        "published": task.published_cost, "released_times": [], "figure": "", "equal": 0,
    }  # fmt: skip
    shown = [(key, [_success(row) for row in _told(group)]) for key, group in groups.items()]
    if any(values for _, values in shown):
        found["figure"] = f"{maze}-variants.png"
        panels = [("all bases", [(_label(key, short=True), values) for key, values in shown if values])]
        save_png(shares_figure(panels, "share that succeeded"), folder / found["figure"])
    for number, (variant, runs) in enumerate(studies):
        found["rates"].append(_rates(variant, runs, folder / f"{maze}-rates-{number}.png", "this study"))
    if task.released_scores:
        released = [(run.base_model, str(run.seed), run.learning_rate, run.final > 0) for run in released_runs(USUAL, "42")]
        found["rates"].append(_rates(USUAL, released, folder / f"{maze}-rates-released.png", "the released scores, base 42"))
    if task.scored:
        found |= _times(groups, released=task.released_scores)
    return found


Key = tuple[str, str, str, str, str]
"""Variant, rule, learning rate, observation map, updates."""


def _key(row: Row) -> Key:
    return row["variant"], row["update_rule"], row["learning_rate"], row["observation_map"], row["updates"]


def _label(key: Key, *, short: bool = False) -> str:
    variant, rule, rate, seen, _ = key
    words = [variant, f"{float(rate):g}"] + ([] if rule == "joint" and short else [rule]) + ([] if seen == "negative" else [seen])
    return ", ".join(words)


def _groups(rows: Iterable[Row]) -> dict[Key, list[Row]]:
    groups: dict[Key, list[Row]] = {}
    for row in rows:
        groups.setdefault(_key(row), []).append(row)
    return groups


def _told(rows: Iterable[Row]) -> list[Row]:
    """Rows of models that are done and of which can be said whether they succeeded."""
    return [row for row in rows if row["status"] == DONE and row["success"] != ""]


def _success(row: Row) -> bool:
    return row["success"] == "1"


def _base(row: Row) -> str:
    return f"{row['group']}/{row['seed']}"


def _by(rows: Iterable[Row], column: str) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row[column], []).append(row)
    return found


def _number(row: Row, name: str) -> float:
    return float(row[name]) if row.get(name) else math.nan


def _merit(row: Row) -> float:
    """The figure of merit that the interquartile mean is of: the final score, or the share of transitions predicted to the right state."""
    return _number(row, "final_score" if row["scored"] == "1" else "last_nearest_state_accuracy")


def _base_row(row: Row) -> tuple[object, ...]:
    updates = int(row["updates_taken"]) if row["updates_taken"] else 0
    return _base(row), row["status"], f"{updates:,}", f"{float(row['learning_rate']):g}", _merit(row), _number(row, "last_total")


def _mostly(rows: Iterable[Row]) -> list[bool]:
    """For every base, whether more than half of its transfers succeeded."""
    return [sum(map(_success, group)) > len(group) / 2 for group in _by(rows, "base").values()]


def _variant_row(key: Key, group: Sequence[Row], groups: dict[Key, list[Row]]) -> tuple[object, ...]:
    told = _told(group)
    usual = next((_told(other) for (name, *rest), other in groups.items() if name == USUAL and tuple(rest) == key[1:]), [])
    p = math.nan if key[0] == USUAL or not usual else unlike(_mostly(told), _mostly(usual))
    mean, low, high = interquartile(
        [[value for row in rows if not math.isnan(value := _merit(row))] for rows in _by(told, "base").values()]
    )
    around = "" if math.isnan(low) else f" ({low:.3g} to {high:.3g})"
    return (
        _label(key), f"{len(told)} of {len(group)}", f"{int(key[-1]):,}", share_words([_success(row) for row in told]),
        share_words(_mostly(told)), f"{mean:.3g}{around}" if told else "-", p,
    )  # fmt: skip


def _by_base(key: Key, group: Sequence[Row], bases: Sequence[Row]) -> list[str]:
    cells = []
    for base in bases:
        own = [row for row in group if row["base"] == base["cell"]]
        told = _told(own)
        cells.append(
            (f"{sum(map(_success, told))}/{len(told)}" + (f", {len(own) - len(told)} open" if len(told) < len(own) else "")) if own else ""
        )
    return [_label(key), *cells]


def _depends(key: Key, group: Sequence[Row]) -> str:
    """Whether success depends on the base (claim S14), in words."""
    shares = [[_success(row) for row in rows] for rows in _by(_told(group), "base").values()]
    p = differ(shares)
    if math.isnan(p):
        return ""
    bases = f"{len(shares)} bases, {sum(map(len, shares))} transfers"
    word = "depends on the base" if p < CHANCE else "does not differ between the bases beyond chance"
    return f"`{_label(key)}`: success {word} (p = {p:.2g}; {bases})."


def _rate_studies(rows: Sequence[Row]) -> list[tuple[str, Runs]]:
    """Variants, under one rule and map, that were run at three learning rates or more."""
    found: dict[tuple[str, str, str, str], Runs] = {}
    for row in _told(rows):
        if row["variant"] != BASE.name:
            one = (row["base"], row["seed"], float(row["learning_rate"]), _success(row))
            found.setdefault((row["group"], row["variant"], row["update_rule"], row["observation_map"]), []).append(one)
    return [(f"{key[1]}, {key[2]}", runs) for key, runs in found.items() if len({rate for _, _, rate, _ in runs}) >= 3]


def _rates(variant: str, runs: Runs, figure: Path, source: str) -> dict[str, Any]:
    """Figure 18: one grouping by rate, one by seed, and the odd one against its neighbours."""
    rates = sorted({rate for _, _, rate, _ in runs})
    seeds = sorted({seed for _, seed, _, _ in runs}, key=int)
    by_rate = [(f"{rate:g}", [ok for _, _, other, ok in runs if other == rate]) for rate in rates]
    by_seed = [(f"seed {seed}", [ok for _, other, _, ok in runs if other == seed]) for seed in seeds]
    save_png(shares_figure([("by learning rate", by_rate), ("by seed", by_seed)], "share that succeeded"), figure)
    return {
        "variant": variant, "source": source, "bases": len({base for base, *_ in runs}), "figure": figure.name, "odd": _odd(runs, rates),
        "by_rate": [(name, share_words(values)) for name, values in by_rate],
        "by_seed": [(name, share_words(values)) for name, values in by_seed],
    }  # fmt: skip


def _odd(runs: Runs, rates: Sequence[float]) -> str:
    """Whether 1e-4 is worse than its neighbours beyond chance (claim S13), in words."""
    places = [place for place, rate in enumerate(rates) if math.isclose(rate, ODD_RATE)]
    if not places or places[0] in (0, len(rates) - 1):
        return f"{ODD_RATE:g} has not both neighbours here, so nothing is said of it."
    around = (rates[places[0] - 1], rates[places[0] + 1])
    own = [ok for _, _, rate, ok in runs if math.isclose(rate, ODD_RATE)]
    others = [ok for _, _, rate, ok in runs if rate in around]
    p = unlike(own, others)
    word = "unlike its neighbours beyond chance" if p < CHANCE else "not unlike its neighbours beyond chance"
    return (
        f"{ODD_RATE:g} is {word}: {sum(own)}/{len(own)} against {sum(others)}/{len(others)} at {around[0]:g} and {around[1]:g} together "
        f"(Boschloo's exact test, p = {p:.2g}; the unit is the transfer, given these bases)."
    )


def _times(groups: dict[Key, list[Row]], *, released: bool) -> dict[str, Any]:
    """Updates until success, and the released runs at equal updates."""
    ours = {key: _times_of(group) for key, group in groups.items() if key[0] in {row["variant"] for row in _told(group)}}
    ours = {key: times for key, times in ours.items() if len(times)}
    ends = [max((*times.reached, *times.censored)) for times in ours.values()]
    equal = int(min((end for end in ends if end), default=0))
    usual = next((times for key, times in ours.items() if key[0] == USUAL), None)
    rows = [_time_row(_label(key), times, equal, usual if key[0] != USUAL else None) for key, times in ours.items()]
    theirs = []
    for variant in dict.fromkeys(key[0] for key in ours) if released else ():
        runs = released_runs(variant)
        if runs and equal:
            theirs.append(_time_row(f"{variant}, released", _released_times(runs), equal, None))
    return {"times": rows, "released_times": theirs, "equal": equal}


def _times_of(rows: Sequence[Row]) -> Times:
    told = [row for row in _told(rows) if int(row["updates_taken"]) > 0]
    return Times(
        tuple(float(row["success_update"]) for row in told if row["success_update"]),
        tuple(float(row["updates_taken"]) for row in told if not row["success_update"]),
    )


def _released_times(runs: Sequence[ReleasedRun]) -> Times:
    firsts = [(run.first_above(), len(run.scores)) for run in runs]
    return Times(
        tuple(float(first * EPOCH) for first, _ in firsts if first is not None),
        tuple(float(length * EPOCH) for first, length in firsts if first is None),
    )


def _time_row(label: str, times: Times, at: int, usual: Times | None) -> tuple[object, ...]:
    value, low, high = survival_share(times, at)
    half = middle(times)
    p = unlike_times(times, usual) if usual is not None else math.nan
    return (
        label,
        len(times),
        len(times.reached),
        "not half" if math.isinf(half) else f"{half:,.0f}",
        f"{value:.2f} ({low:.2f} to {high:.2f})",
        p,
    )


def _cost(rows: Sequence[Row]) -> list[tuple[object, ...]]:
    """By variant and rule: models done, updates, hours of a core, updates a second of a core."""
    found: list[tuple[object, ...]] = []
    for (variant, rule), group in _pairs(rows).items():
        done = [row for row in group if row["status"] == DONE]
        updates = sum(int(row["updates_taken"]) + int(row["search_updates"]) for row in done)
        paces = [float(row["updates_per_second"]) for row in done if row["updates_per_second"]]
        hours = sum(float(row["seconds"]) for row in done) / 3600
        found.append(
            (variant, rule, f"{len(done)} of {len(group)}", f"{updates:,}", f"{hours:.3f}", f"{median(paces):,.0f}" if paces else "-")
        )
    return found


def _pairs(rows: Iterable[Row]) -> dict[tuple[str, str], list[Row]]:
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row["variant"], row["update_rule"]), []).append(row)
    return found
