"""The words and tables of the page of `crar report`, from what was read of the runs."""

from __future__ import annotations

from collections.abc import Sequence

from crar_model.agent.symmetry import axes_words
from crar_model.core.settings import PlaySettings
from crar_model.samples import as_given
from crar_model.tasks import Task
from crar_model.tasks.metrics import Metric, Score
from crar_reports.claims.released_scores import released_rows
from crar_reports.claims.study_facts import facts_of
from crar_reports.measure.scores import COLUMNS, Negation, score_rows
from crar_reports.models.judged import Judged
from crar_reports.models.runs import Run
from crar_reports.pages.cure.records import CureResult
from crar_reports.press.markdown import table
from crar_reports.press.nouns import noun

BASES = ("base 41", "base 42", "base 43", "base 44", "base 45")


def runs_table(everything: Sequence[Run]) -> str:
    """The runs with the commands that repeat them."""
    rows = [(run.folder.name, f"`{run.command}`", len(run.plan.members), f"{run.updates:,}") for run in everything]
    return table(["run", "command", "members", "updates each"], rows)


def share_words(task: Task) -> str:
    """What the figures of merit of a maze without a score are; "" of one with."""
    if task.scored:
        return ""
    said = " *Nearest state accuracy* is the share of the transitions whose predicted next abstract state is nearest to the right one"
    if not task.sampling.complete and not task.sampling.pairs:
        return f"{said}."
    return f"{said}, *navigation success* the share of {task.sampling.pairs or '(start, goal) pairs'} that planning solves."


def by_eye(task: Task) -> str:
    """What was released of this maze; "" where nothing was."""
    if not facts_of(task).judged_by_eye:
        return ""
    counts = "; ".join(f"{name} {good} successes and {bad} failures" for name, good, bad in facts_of(task).judged_by_eye)
    return f"The released transfers in this maze (`freeze` at 8e-5, judged by eye): {counts}.\n\n"


def scores(everything: Sequence[Run], base: Run, how: PlaySettings, negations: Sequence[Negation], *, kept: str) -> str:
    """Validations over updates, scores of models, and the closed form beside its base."""
    s = base.plan.settings
    searched = " The last model of a variant with a search is the one that was kept." if kept else ""
    return (
        "## Scores over updates\n\n![Scores](scores.png)\n\n*Figure: validation scores over updates, a panel a run, a colour a member.*\n\n"
        f"Validations by the paper's protocol: runs of {s.score_steps} steps with {100 * s.epsilon:.0f} % random actions, planning depth {s.planning_depth}, episodes of at most 50 "
        f"steps; score = total reward / episodes started. Thin: the mean of {s.score_copies} such runs; bold: its mean over 5 validations; dashed: the first base's best model over "
        f"{how.episodes} whole episodes. All of it is in `scores.csv`.\n\n{table(COLUMNS, [row for run in everything for row in score_rows(run)])}\n\n"
        f"Scores of models: {how.episodes} episodes, one in each of as many mazes, planning depth {how.depth}, {100 * how.epsilon:.0f} % random actions, the same mazes and random "
        "actions for every model; in brackets the 95 % interval by Student's t. *Embedding*: the last model's abstract states against its base's over fresh mazes, each model seeing "
        f"its own maze; *residual* in mean moves, *distance* the mean Euclidean distance.{searched}\n\n## `negate-input`: the closed form\n\n"
        f"{' '.join(map(_negated, negations)) or 'No run of this variant was given.'}\n\n"
    )


def _negated(n: Negation) -> str:
    return (
        f"From {n.base_name}: the base scores {n.base} in its own mazes, its copy with the first layer negated {n.model} in the inverse of the same mazes, after no update; "
        f"the largest difference in any of the {n.episodes} episodes is {n.same:.1g}. In independent mazes the copy scores {n.apart}, a difference to the base of "
        f"{n.difference:.2f} ({n.low:.2f} to {n.high:.2f}, 95 %, Welch)."
    )


def pair(origin: Judged, shown: Judged) -> str:
    """A transfer beside its base, where all states can be listed."""
    match = shown.evaluation.match
    assert match is not None  # it was compared with its base
    return (
        f"## A base and a {match.verdict} transfer (Figure 11)\n\n`{as_given(origin.path)}` beside `{as_given(shown.path)}`. Lines are the estimated transitions e(s) to T(e(s), a) "
        f"from every state. The best signed permutation is {axes_words(match.axes)}, residual {match.residual_edges:.2f} {shown.checkpoint.task.sampling.unit} (identity "
        f"{match.identity_edges:.2f}).\n\n![Embeddings with estimated transitions](embeddings.png)\n\n"
        "*Figure: the base left, the transfer right; numbers are explained below them, arrows are the estimated moves from every state.*\n\n"
    )


def states(task: Task) -> str:
    """Figures 12 and 14, where all states can be listed."""
    return f"""## The same state in both {noun(task)}s (Figure 12)

![Input matrices and embeddings](inputs.png)

*Figure: one state as the {noun(task)} and its inverse show it, and where the base's encoder puts each: the transfer has to bring the second onto the first.*

## One move of the transfer (Figure 14)

![Transition error](transition_error.png)

*Figure: one state, its neighbour after a move, and the transfer's abstract states of both beside the one that its dynamics expect; dotted is the error.*

"""


def cure_section(cured: CureResult) -> str:
    """What `write_cure` made of the transfer that is shown."""
    base, budget = cured.to and cured.to.evaluation, cured.budget
    weights = ", and the weights of its base" if cured.base_used else ""
    confirmed = {None: "", True: ", and the base confirms it", False: ", but the base does not confirm it"}[cured.restored]
    said = (
        f"**{cured.by}** is as good as the dynamics allow{confirmed}:"
        if cured.cured
        else f"Nothing was as good as the dynamics allow; the best candidate, of {cured.by}:"
    )
    merits = list(base.metrics) if base else []
    rows = []
    for title, e in (("failed transfer", cured.before), ("best candidate", cured.after), *((("its base", base),) if base else ())):
        match = (e.match.verdict, e.match.residual_edges) if e.match else ("-", "-")
        rows.append((title, e.terms["total"], e.terms["transition"], *(_merit(e.metrics[name]) for name in merits), *match))
    header = ["", "total loss", "transition", *(name.replace("_", " ") for name in merits), "embedding", "residual"]
    return (
        f"## What gets it out\n\n`crar cure` tried {', then '.join(each.method for each in cured.found.tried)} on `{cured.failed.path}`. It knew the frozen dynamics and data of "
        f"the transfer's own maze{weights}, not how the observations changed, and chose by losses alone. {said}\n\n{table(header, rows)}\n\n"
        f"{budget.updates:,} updates of candidates, {budget.seconds:.0f} s. See [the report of the cure](cure/report.md).\n\n"
    )


def _merit(value: Metric) -> str:
    return f"{value.mean:.2f}" if isinstance(value, Score) else f"{100 * value:.1f} %"


def released() -> str:
    """The released scores of the random mazes."""
    return (
        f"## The released results\n\n{table(['', *BASES], released_rows())}\n\nReleased runs of 100 epochs (200,000 updates), 6 seeds a cell: mean and standard deviation over seeds of "
        "the mean score of the last 10 epochs, and how many seeds have a mean above 0. Ours are fewer and shorter: the tables above say how many.\n\n"
    )
