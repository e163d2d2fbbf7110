"""Updates until a score comes up above 0: Kaplan-Meier curves, log-rank tests, and the released runs at equal updates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crar_model.training.variants import VARIANTS
from crar_reports.claims.released_scores import DELAYED, EPOCH, RELEASED_DELAY, ReleasedRun, released_runs
from crar_reports.figures.survival import survival_figure
from crar_reports.pages.study.rows import USUAL, Groups, Key, Row, label, main_group, origin, told
from crar_reports.press.publish import Content
from crar_reports.statistics import CHANCE, Times, middle, survival_share, unlike_times, up_to


def times_of(rows: Sequence[Row]) -> Times:
    """Updates until success of models that tell and have trained; those of a search before count, too."""
    rows = [row for row in told(rows) if int(row["updates_taken"]) > 0]
    return Times(
        tuple(float(row["success_update"]) + int(row["search_updates"]) for row in rows if row["success_update"]),
        tuple(float(row["updates_taken"]) + int(row["search_updates"]) for row in rows if not row["success_update"]),
    )


def released_times(runs: Sequence[ReleasedRun]) -> Times:
    """The same of released runs."""
    firsts = [(run.first_above(), len(run.scores)) for run in runs]
    return Times(
        tuple(float(first * EPOCH) for first, _ in firsts if first is not None),
        tuple(float(length * EPOCH) for first, length in firsts if first is None),
    )


@dataclass(frozen=True)
class TimesPart:
    """What the page shows of the updates until a score came up.

    Attributes:
        rows: of the table, the released runs of a group cut off where it ends. has_released: whether there are such.
        equal: updates that all of our rows were trained for. words: sentences. figure: its name.
        validated: updates between validations, in words.
    """

    rows: list[tuple[object, ...]]
    has_released: bool
    equal: int
    words: list[str]
    figure: str
    validated: str


def times_part(groups: Groups, figure: str, files: dict[str, Content], *, released: bool) -> TimesPart | None:
    """Rows of the table, sentences and the figure; None where no model that tells has trained.

    Args:
        groups: of the table.
        figure: its name. files: of the page; it is put among them.
        released: whether scores of runs in this maze were released.
    """
    ours = {key: times for key, rows in groups.items() if len(times := times_of(rows))}
    if not ours:
        return None
    trained = {key: _length(groups[key]) for key in ours}
    equal = min(trained.values())
    main = main_group(groups, USUAL)
    theirs = {key: found for key in ours if released and len(found := released_times(_released(key, groups[key])))}
    shown = [key for variant in VARIANTS if (key := main_group(groups, variant)) in ours and key is not None]
    panels = [
        (
            label(key, groups, short=True),
            trained[key],
            [("this study", ours[key]), *([("released", up_to(theirs[key], trained[key]))] if key in theirs else [])],
        )
        for key in shown
    ]
    files[figure] = survival_figure(panels)
    rows = []
    for key, times in ours.items():
        name, end = label(key, groups), trained[key]
        rows.append(_row(name, end, f"{len(times)} of {len(groups[key])}", times, equal, _shared(groups, key, main)))
        if key in theirs:
            rows.append(_row(f"{name}, released", end, str(len(theirs[key])), up_to(theirs[key], end), equal))
    every = sorted({int(row["log_interval"]) for key in ours for row in told(groups[key])})
    words = [line for key in shown for line in _sentences(key, groups, ours, theirs.get(key), main, trained[key])]
    return TimesPart(rows, bool(theirs), equal, words, figure, " or ".join(f"{each:,}" for each in every))


def _released(key: Key, rows: Sequence[Row]) -> list[ReleasedRun]:
    """Released runs of the variant and rate of a group; where the original has that variant at another rate only, or with another delay, none."""
    if key.variant == DELAYED and any(int(row["structure_delay"]) != RELEASED_DELAY for row in rows):
        return []
    return released_runs(key.variant, None, float(key.rate))


def _length(rows: Sequence[Row]) -> int:
    """Updates that the longest-trained of some models took, a search before included."""
    return max(int(row["updates_taken"]) + int(row["search_updates"]) for row in told(rows))


def _sentences(key: Key, groups: Groups, ours: Mapping[Key, Times], released: Times | None, main: Key | None, end: int) -> list[str]:
    """The log-rank tests of a variant in words: against the usual one, and against the released runs at equal updates, `end` of them."""
    lines, times = [], ours[key]
    if main in ours and main is not None and key != main:
        lines.append(f"`{label(key, groups)}` against `{label(main, groups)}`: {_differ(_shared(groups, key, main))}.")
    if released is not None:
        theirs = up_to(released, end)
        lines.append(
            f"`{label(key, groups)}` against the {len(released)} released runs up to {end:,} updates: {_differ(unlike_times(times, theirs))}; "
            f"{len(times.reached)}/{len(times)} of ours and {len(theirs.reached)}/{len(theirs)} of theirs had come up by then."
        )
    return lines


def _differ(p: float) -> str:
    if math.isnan(p):
        return "nothing came up on either side, or they share no base, or no run of their own, so there is nothing to test"
    return f"the times {'differ' if p < CHANCE else 'do not differ'} beyond chance (log-rank, p = {p:.2g})"


def _shared(groups: Groups, key: Key, main: Key | None) -> float:
    """p of the log-rank test of a group against the usual one over the bases that both were run from, without runs that are on both sides; NaN for none."""
    if main is None or key == main:
        return math.nan
    usual = told(groups[main])
    same = set(map(origin, usual))
    own = [row for row in told(groups[key]) if origin(row) not in same]  # but the beginnings, or the ends, of the other side's runs
    if not VARIANTS[key.variant].from_base:  # it shares no base with any
        return unlike_times(times_of(own), times_of(usual))
    both = {row["base"] for row in own} & {row["base"] for row in usual}
    return unlike_times(*(times_of([row for row in rows if row["base"] in both]) for rows in (own, usual)))


def _row(name: str, end: int, models: str, times: Times, at: int, p: float = math.nan) -> tuple[object, ...]:
    value, low, high = survival_share(times, at)
    half = middle(times)
    around = "" if math.isnan(low) else f" ({low:.2f} to {high:.2f})"
    return name, f"{end:,}", models, len(times.reached), "not half" if math.isinf(half) else f"{half:,.0f}", f"{value:.2f}{around}", p
