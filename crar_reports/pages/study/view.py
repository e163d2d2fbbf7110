"""The words and tables of one maze on the page of `crar study`, from the parts that were made of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crar_model.core.words import plural
from crar_model.models.merit import definition
from crar_reports.claims.record import Decided
from crar_reports.claims.released_scores import BASES, EPOCH
from crar_reports.pages.predict_view import interval_words
from crar_reports.pages.study.cost import CostPart
from crar_reports.pages.study.dependence import ENOUGH, DependencePart
from crar_reports.pages.study.rates import RatesPart
from crar_reports.pages.study.recipes import COLUMNS, RecipesPart
from crar_reports.pages.study.terms import TermsPart
from crar_reports.pages.study.times import TimesPart
from crar_reports.pages.study.variants import VariantsPart
from crar_reports.press.markdown import table


@dataclass(frozen=True)
class Maze:
    """What the page shows of one maze; a part that was not asked for, or has no rows, is None or empty.

    Attributes:
        title: of it. scored: whether agents have a score. world: whether it is one's own. what: the evaluation set. drawn: what a large layout is judged on instead.
        bases: rows of their table. unable: bases of which no claim is asked.
        terms, variants, recipes, rates, dependence, times, cost: the parts; a dependence has the recipe of its bases beside it.
    """

    title: str
    scored: bool
    world: bool
    what: str
    drawn: list[str]
    bases: list[tuple[object, ...]]
    unable: list[str]
    terms: TermsPart | None = None
    variants: VariantsPart | None = None
    recipes: RecipesPart | None = None
    rates: Sequence[RatesPart] = ()
    dependence: Sequence[tuple[str, DependencePart]] = ()
    times: TimesPart | None = None
    cost: CostPart | None = None


Claimed = tuple[str, Decided]
"""A maze's name, and a claim that is decided there."""
SHOWN_LEFT = 20
"""Lines on models that are not done that a page has."""
BY_BASE = "*Figure: the share of transfers that succeeded with its exact 95 % interval, by base"
BY_EMBEDDING = "*Matched* is by the embedding alone, up to symmetries of the world."


def maze_view(maze: Maze) -> str:
    """The section of a maze: title, and every part that was asked for and has rows."""
    drawn = f"Too large a layout to list: {'; '.join(maze.drawn)}." if maze.drawn else ""
    parts = [f"## The {maze.title}", drawn, *_bases(maze)]
    parts += _terms(maze, maze.terms) if maze.terms else []
    parts += _variants(maze.variants, scored=maze.scored, world=maze.world) if maze.variants else []
    parts += _recipes(maze.recipes) if maze.recipes else []
    for recipe, part in maze.dependence:
        if part.depends or part.predicted:
            parts += _dependence(part, f": bases of {recipe}" if len(maze.dependence) > 1 and recipe else "")
    for study in maze.rates:
        parts += _rates(study)
    parts += _times(maze.times) if maze.times else []
    parts += _cost(maze.cost) if maze.cost else []
    return "\n\n".join(filter(None, parts))


def _bases(maze: Maze) -> list[str]:
    scores = ["final score", "what transfers start from: score"] if maze.scored else ["nearest state accuracy"]
    unable = maze.unable
    whose = "its" if len(unable) == 1 else "their"
    return [
        "### Bases",
        table(["base", "status", "updates", "learning rate", *scores, "total loss"], maze.bases),
        f"The claims are not asked of {', '.join(unable)}: what {whose} transfers start from does not score above 0 with its whole interval. The tables of variants, rates "
        "and times have them all the same." if unable else "",
    ]  # fmt: skip


def _terms(maze: Maze, part: TermsPart) -> list[str]:
    scores = "; below them validation scores, thin, and their mean over 5, bold" if maze.scored else ""
    return [
        "### A base, the best and the worst transfer (Figure 16)",
        f"{part.words} All are of `{part.label}`, {part.updates:,} updates. Of a transfer the last network is shown, of a base the one that "
        "transfers start from.",
        f"On {part.set}:",
        table(["term", *part.columns, "worst over base"], part.rows),
        f"![Terms and scores over updates]({part.figure})" if part.figure else "",
        f"*Figure: loss terms on {maze.what} over updates, a column a model{scores}.*" if part.figure else "",
    ]


def _variants(part: VariantsPart, *, scored: bool, world: bool) -> list[str]:
    figure = part.figure
    merit = "final score" if scored else "nearest state accuracy"
    kept = " (of what a search kept, that one's)" if part.searching else ""
    says = (
        f"The score is the last network's{kept}, over {part.episodes} whole episodes. A final score is of "
        f"validations of {part.score_copies} runs of {part.score_steps} steps each, of the last half of them where there are fewer than 20; of what was not trained, and of "
        "what a variant with a search kept, it is that over whole episodes."
    ) if scored else ""  # fmt: skip
    header = ["variant", "done", "updates", "transfers", "bases", *(["final score above 0"] if scored else []), "interquartile mean", "p"]
    return [
        "### Success by variant (Figure 17)",
        " ".join(
            filter(None, (f"A transfer succeeded when {definition(scored=scored, world=world)}.", says, _INTERVALS.format(merit=merit)))
        ),
        table(header, part.rows),
        "\n".join(f"- `{variant}`: {about}." for variant, about in part.abouts),
        f"![Share of successes by variant]({figure})" if figure else "",
        f"{BY_BASE}.*" if figure else "",
        *part.copies,
        "By base, successes of the transfers that are done; ? where some are open, ! where some were left:",
        *(table([name if len(part.by_base) > 1 else "variant", "updates", *seeds], rows) for name, seeds, rows in part.by_base),
        *(_networks(part) if part.networks else []),
        *_released(part),
    ]


_INTERVALS = (
    "Intervals are exact at 95 %, and their unit is the base, since transfers of one base are alike: from the lower Clopper-Pearson bound of the share of bases all of "
    "whose transfers succeed to the upper one of those any of whose do. The column *bases* counts bases of which more than half of the transfers succeeded, and *p* "
    "(Boschloo's exact test, not corrected for the number of rows) holds it against `freeze` with the same rule, rate, map and updates, over the bases that both were run "
    "from; a dash where they share too few for any outcome to differ beyond chance. `scratch` starts from no base, so it has neither. The last but one is the "
    "interquartile mean of the {merit}: a quarter of the models is trimmed at each end, rounded down, so that of fewer than four it is their mean. Its interval is by "
    "resampling bases, of four or more."
)


def _networks(part: VariantsPart) -> list[str]:
    kept = f" (of {part.searching} the best by the losses, which may be of an earlier update)" if part.searching else ""
    score = (
        f", and what they score over {part.episodes} whole episodes each, whose 95 % interval lies above 0, holds it or lies below"
        if part.episodes
        else ""
    )
    header = ["variant", "updates", "matched", "swapped", "neither", *(["above 0", "open", "below 0"] if part.episodes else [])]
    return [f"How the networks look at the end{kept}{score}; what diverged is in none of the columns:", table(header, part.networks)]


def _released(part: VariantsPart) -> list[str]:
    said = []
    if part.released:
        said += [
            "The released runs, of 64 to 100 epochs of 2,000 updates, mean and standard deviation of the final score, and how many of 6 seeds have one above 0:",
            table(["variant", *(f"base {name}" for name in BASES)], part.released),
        ]
    if part.by_eye:
        said += ["The released `freeze` transfers, judged by eye:", table(["base", "succeeded"], part.by_eye)]
    return said


def _recipes(part: RecipesPart) -> list[str]:
    figure = part.figure
    answers = [f"- {question}: **{verdict}**. {said[0].upper()}{said[1:]}." for question, verdict, said in part.answers]
    return [
        "### Success by recipe",
        "How the bases were trained, and how they were transferred. *By base* counts bases: with a success at all, and with more than half of their transfers, each with "
        f"its exact 95 % interval (Clopper-Pearson); *p* is the permutation test that shares of success are one over the bases of a row. {BY_EMBEDDING}",
        table(COLUMNS, part.rows),
        "Asked before the runs:",
        "\n".join(answers),
        f"![Share of transfers that have come near their base's transition term, by recipe]({figure})" if figure else "",
        "*Figure: Kaplan-Meier curves, pointwise 95 % band: the first logged update at which the transition term is within a factor 2 of the base's, a panel a recipe of "
        "bases, a curve a kind of transfers.\nEvery transfer counts for itself. Numbers below are transfers at risk.*" if figure else "",
    ]  # fmt: skip


def _dependence(part: DependencePart, of: str) -> list[str]:
    said = [f"### Does success depend on the base, and what predicts it? (S14){of}", *part.depends, part.predicted]
    if part.predictors:
        said += [
            table(["base", "succeeded", *part.features], part.predictors),
            "What each base says before there is a transfer, as `crar predict` has it; losses are natural logarithms. Predictors are scored from "
            f"{ENOUGH} bases on, each base predicted by what was fitted to the others.",
        ]
    if part.scores:
        rows = [(row.name, *map(interval_words, (row.brier, row.area, row.gain))) for row in part.scores.rows]
        said.append(table(["predictor", "Brier score", "ROC area", "Brier score minus the constant's"], rows))
        if part.calibration:
            said += [
                f"![Calibration]({part.calibration})",
                "*Figure: bases in groups of equal size by their prediction; bars are exact 95 % intervals of the share, by base; the constant predictor is one group.*",
            ]
    return said


def _rates(study: RatesPart) -> list[str]:
    updates = f", {study.updates:,} updates" if study.updates else ""
    released = (
        " The appendix singled this rate out after looking at the first six seeds there, so the test counts the six that were added for it alone."
        if study.released
        else ""
    )
    said = [
        f"### Learning rates of {study.variant}: {study.source} (Figure 18)",
        f"{study.bases} base{'s' * (study.bases != 1)}{updates}. {study.odd}{released} {BY_EMBEDDING}",
        table(["learning rate", "done", "succeeded", "matched"], study.by_rate),
    ]
    if study.figure:
        said += [
            table(["seed", "succeeded"], study.by_seed),
            f"![Share of successes by learning rate and by seed]({study.figure})",
            f"{BY_BASE}; of one base it says nothing of others.*",
        ]
    return said


def _times(part: TimesPart) -> list[str]:
    equal, released = f"{part.equal:,}", part.has_released
    cut = f", the released runs every {EPOCH:,}, cut off where ours of the row above end" if released else ""
    dashed = (
        " Dashed: the released runs of the same variant and learning rate, of all their bases, cut off where ours end." if released else ""
    )
    return [
        "### Updates until a score above 0",
        "*Coming up* is not yet success, which a final score tells: the update at which the mean of the last 5 validations is above 0 for the first time, right-censored at "
        f"the end of training (Kaplan-Meier). Ours are validated every {part.validated} updates{cut}; updates of a search before count, too. Nothing can come up before its "
        f'fifth validation, so a curve that begins with a jump says "by then". *By {equal} updates* is the share that has come up by then, the longest time that all rows here '
        "were trained for; *p* is the log-rank test against the `freeze` row of most models, over the bases that both were run from (of `scratch`, which has none, over all), "
        "without runs that are on both sides; a dash where that leaves nothing to test. Every transfer counts for itself: where bases differ, these intervals are too narrow "
        "and these p too small.",
        table(["variant", "updates", "models", "came up", "half by", f"by {equal} updates", "p"], part.rows),
        f"![Share that has come up over updates]({part.figure})",
        "*Figure: Kaplan-Meier curves with their pointwise 95 % band, of each variant the group of most models; marks are ends of training without it, the numbers below are "
        f"models at risk.{dashed}*",
        "\n".join(f"- {line}" for line in part.words),
    ]


def _cost(part: CostPart) -> list[str]:
    said = [
        "### Cost",
        table(["variant", "rule", "models", "updates", "core hours", "updates/s of a core"], part.rows),
        "Updates of searches are among the updates and the time; updates/s are the median over models, in the last row the quotient of the two columns before.",
        part.repeated,
    ]
    if part.published:
        alone = "" if part.with_bases else " Bases are in the table above alone."
        said += [
            "Beside the study's appendix E, which names hours and machines and no updates. Ours are hours of one core in training, over all of its stretches but those that "
            f"were killed; judging, scoring and this page are not in them.{alone}",
            table(["experiment", "theirs on", "hours", "ours: models", "updates", "core hours", "updates/s of a core"], part.published),
        ]
    return said


def unfinished_view(left: Sequence[tuple[int, tuple[object, ...]]]) -> str:
    """What is said of models that are not done; `left`: (how many, a row on them)."""
    count, unlisted = sum(models for models, _ in left), sum(models for models, _ in left[SHOWN_LEFT:])
    if not count:
        return ""
    are = "is" if count == 1 else "are"
    lines = [
        f"**{plural(count, 'model')} {are} not done**; tables count what is done, and say of how many. The same command goes on.",
        table(["variant", "updates", "status", "models", "bases", "seeds", "cell", "why"], [line for _, line in left[:SHOWN_LEFT]]),
        *([f"{unlisted} more have a row in the table."] if unlisted else []),
    ]
    return "".join(f"{line}\n\n" for line in lines)


def claims_view(claims: Sequence[Claimed]) -> str:
    """The section of the verdicts of a study, a list item each; "" without one."""
    lines = [
        f"- **{c.id}**, {c.claim.text} ({maze}{c.recipe and '; ' + c.recipe}): **{c.verdict}**{c.scope and ' ' + c.scope}, "
        f"{plural(c.models, 'model')} of {plural(c.bases, 'base')}: {c.figure}. Check: {c.claim.study and c.claim.study.check}."
        for maze, c in claims
    ]
    listed = "\n".join(lines)
    return (
        f"## Claims\n\n{listed}\n\n`crar verdicts` puts them beside the other claims and the released data's own answers.\n\n"
        if lines
        else ""
    )
