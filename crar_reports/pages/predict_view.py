"""The words and tables of the page of `crar predict`, and the record of what it tells."""

from __future__ import annotations

from dataclasses import dataclass, field

from crar_model.agent.symmetry import axes_words
from crar_model.core.words import the
from crar_model.cures.foresight import Seen
from crar_model.models.merit import definition
from crar_model.tasks import Task
from crar_reports.measure import forecast
from crar_reports.measure.forecast import Chance, Estimate, Scores
from crar_reports.pages import plain_words
from crar_reports.press.markdown import number, table
from crar_reports.press.nouns import noun

SHOWN = 8
"""Signed copies of a base that a page lists."""
MARKS = {"base": "the base", "start": "a transfer's start"}
"""What the marks of a placement landscape are called."""


@dataclass(frozen=True)
class _Named:
    """A base and how it was trained."""

    path: str
    digest: str
    recipe: str = field(default="", kw_only=True)


@dataclass(frozen=True)
class BaseSeen(Seen, _Named):
    """A base, and what is seen of it."""


@dataclass(frozen=True)
class Outcome:
    """What became of the transfers of a base, and how they were trained."""

    successes: int
    transfers: int
    recipe: str = ""


@dataclass(frozen=True)
class Prediction:
    """What `results.json` holds.

    Attributes:
        command: that made it. maze: its name. observation_map: that transfers are seen through.
        bases: in the order given.
        scores: of the predictors, None where nothing is scored. unscored: why, where transfers were given.
        outcomes: by base, None without transfers. chances: by base, None without scores.
    """

    command: str
    maze: str
    observation_map: str
    bases: list[BaseSeen]
    scores: Scores | None = None
    unscored: str | None = None
    outcomes: list[Outcome] | None = None
    chances: list[Chance] | None = None


def verdict(r: Prediction) -> str:
    """What the scores say, in a sentence."""
    return f"Nothing was scored: {r.unscored or 'no transfers were given'}." if r.scores is None else forecast.verdict(r.scores)


def predict_view(r: Prediction, task: Task, *, figure: str | None, chart: str | None) -> dict[str, str]:
    """What the template places.

    Args:
        r: what was seen.
        task: of the bases.
        figure: the file of the first base's placement landscape. chart: of the calibration. None where there is none.
    """
    predicts = None if r.scores is None else bool(r.scores.predicts)
    landscape = ", and the total loss by the place of the start state" if figure else ""
    rows = [(number, base.path, *base.features.values()) for number, base in enumerate(r.bases, 1)]
    return {
        "plainly": plain_words.predict(given=r.outcomes is not None, predicts=predicts),
        "verdict": verdict(r),
        "elsewhere": f"in the other {noun(task)}",
        "looked_at": f"Each base of {the(task.title, world=task.known_by_data)} was looked at without training and without a transfer: its embedding in both {noun(task)}s (the other one's observations "
        f"seen through the map {task.observation_map.title}), the signed copies of its embedding under its own dynamics{landscape}.",
        "bases": table(["", "base", *r.bases[0].features], rows),
        "first": _first(r.bases[0], figure),
        "outcomes": _outcomes(r, task) if r.outcomes else "",
        "scores": _scores(r.scores, chart) if r.scores else "",
        "chances": _chances(r),
    }


BY = {
    "constant": "the share of the other bases' transfers, since nothing known of a base predicts better",
    "logistic": "logistic regression on all that is known of it",
    "threshold": "the one figure and cut that told the other bases apart best",
}
"""What a predictor goes by, in words."""


def chance_lines(r: Prediction) -> list[str]:
    """For every base the probability that a transfer of it succeeds, and what came of predictions like it, in a sentence or two."""
    if r.chances is None:
        return [f"No probability is given: {r.unscored or 'it takes outcomes of transfers, given with --transfer'}."]
    lines = []
    for base, end, chance in zip(r.bases, r.outcomes or (), r.chances, strict=True):
        alike, own = chance.alike, f"; its own: {end.successes} of {end.transfers}" if end.transfers else ""
        lines.append(
            f"A transfer of `{base.path}` succeeds with a probability of {per_cent(chance.probability)}, by {BY[chance.by]}{own}. "
            f"Of {'all bases' if chance.by == 'constant' else 'the bases whose predictions were nearest'}, {per_cent(alike.predicted)} on average, "
            f"{alike.count} of {alike.of} transfers succeeded: "
            f"{per_cent(alike.share)}, 95 % interval by base {100 * alike.low:.0f} to {100 * alike.high:.0f} %."
        )
    return lines


def per_cent(value: float) -> str:
    """A probability as it is read; what is not quite 0 or 1 is not shown as it."""
    shown = 100 * value
    if 0 < value < 1:
        shown = min(max(shown, 0.1), 99.9)
    return f"{shown:.{1 if 0 < shown < 10 or 99 < shown < 100 else 0}f} %"


def _chances(r: Prediction) -> str:
    lines = chance_lines(r)
    shown = lines[0] if len(lines) == 1 else "\n".join(f"- {line}" for line in lines)
    return f"## How likely is it?\n\n{shown}\n\n"


def _first(base: BaseSeen, figure: str | None) -> str:
    """What the first base says, in full."""
    few, copies = base.copies[:SHOWN], len(base.copies)
    parts = [f"## {base.path}", table(["signed copy", "transition"], [(axes_words(copy.axes), copy.transition) for copy in few])]
    if copies > SHOWN:
        parts.append(f"The first {SHOWN} of {copies}; all are in `results.json`.")
    start = base.start
    parts.append(f"A transfer starts at a total loss of {number(start['total'])}, transition {number(start['transition'])}.")
    if figure:
        rows = [
            (
                place + 1, f"({v.place[0]:.2f}, {v.place[1]:.2f})", v.total, f"{100 * v.share:.0f} %",
                " ".join(MARKS[name] for name, where in base.valley_of.items() if where == place),
            )
            for place, v in enumerate(base.valleys or ())
        ]  # fmt: skip
        parts += [
            f"![Total loss by the place of the start state]({figure})",
            "*Figure: every point is an embedding: the start state is put there, and the dynamics place the others.*",
            table(["valley", "place", "total", "share of the places", "in it"], rows),
        ]
    return "".join(f"{part}\n\n" for part in parts)


def _outcomes(r: Prediction, task: Task) -> str:
    rows = [(k, base.path, end.successes, end.transfers) for k, (base, end) in enumerate(zip(r.bases, r.outcomes or (), strict=True), 1)]
    return (
        f"## What became of the transfers\n\n{table(['', 'base', 'succeeded', 'of'], rows)}\n\n"
        f"A transfer succeeds where {definition(scored=task.scored, world=task.known_by_data)}.\n\n"
    )


def _scores(scores: Scores, chart: str | None) -> str:
    rows = [(row.name, *map(interval_words, (row.brier, row.area, row.bias, row.gain))) for row in scores.rows]
    corrected = next(row.gain.confidence for row in scores.rows if row.gain)
    header = ["predictor", "Brier score", "ROC area", "predicted minus succeeded", "Brier score minus the constant's"]
    return (
        f"## Does anything predict them?\n\n{table(header, rows)}\n\n"
        "Every base is predicted by what was fitted to the others. *constant*: their share of successes; *logistic*: logistic regression on all "
        f"{len(scores.features)} features with a ridge; *threshold*: the one feature and cut with the highest likelihood. Intervals resample bases with the predictions "
        f"as they are; 95 %, the last column {100 * corrected:.1f} %, for {len(scores.rows) - 1} predictors were tried.\n\n"
        f"![Calibration]({chart})\n\n"
        "*Figure: bases in groups of equal size by their prediction; bars are exact 95 % intervals of the share, by base; the constant predictor is one group.*\n\n"
    )


def interval_words(found: Estimate | None) -> str:
    """A value with its interval; a dash for none."""
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})" if found else "-"
