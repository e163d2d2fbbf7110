"""`crar report`: bases, outcomes of transfers, learning curves, scores, and the appendix's figures for a failed transfer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib.figure import Figure

from crar_model.agent.loss import SHOWN
from crar_model.agent.symmetry import MATCHED, NEITHER, RIGHT, SWAPPED, SYMMETRIC, VERDICTS
from crar_model.core.errors import UserError
from crar_model.core.files import StrPath
from crar_model.core.settings import PlaySettings
from crar_model.core.words import plural, the
from crar_model.mazes.table import StateTable
from crar_model.models.checkpoints import load_checkpoint
from crar_model.models.evaluation import Evaluation
from crar_model.tasks.metrics import Score
from crar_reports import progress as console
from crar_reports.claims.losses import NEAR
from crar_reports.claims.study_facts import facts_of
from crar_reports.figures.embedding import embeddings_figure
from crar_reports.figures.inputs import inputs_figure, transition_error_figure
from crar_reports.figures.losses import losses_figure
from crar_reports.figures.scores import scores_figure
from crar_reports.measure.scores import negation, scores_csv
from crar_reports.models.judged import Judged, bases_in, judge, run_folders
from crar_reports.models.runs import Run, refuse_unusable, short_name
from crar_reports.pages import plain_words
from crar_reports.pages import report_view as view
from crar_reports.pages.cure.one import cure_line
from crar_reports.pages.cure.records import CureResult
from crar_reports.pages.report_tables import kept_words, model_row, outcomes_table, start_words, words
from crar_reports.press.glossary import TERMS
from crar_reports.press.markdown import Lines, about_world, number, table
from crar_reports.press.publish import Content, publish


def write_study(
    base_runs: Sequence[StrPath],
    transfers: Sequence[StrPath],
    folder: StrPath,
    *,
    how: PlaySettings | None = None,
    command: str = "",
    landscape: StrPath | None = None,
    cured: CureResult | None = None,
    note: str = "",
) -> Path:
    """Write `report.md`, figures, `results.json` and, where there are scores, `scores.csv` to `folder`; returns the report's path.

    Args:
        base_runs: run folders of the base models.
        transfers: run folders of transfers; the figures show a failed `freeze` member of the first that has one.
        folder: made if missing.
        how: of the scores.
        command: shown in the report as what made it.
        landscape: a landscape report to point to.
        cured: what `write_cure` returned for the transfer that is shown, its report in `cure/`.
        note: what else limits the page, for its summary.

    Raises:
        UserError: for folders that hold no run, or none of transfers, or runs of two mazes.
    """
    how = how or PlaySettings()
    how.validate()
    given = bases_in(base_runs)
    bases, runs = (  # a run named twice counts once
        [Run(run, how, given) for run in {run.resolve(): run for path in paths for run in run_folders(path)}.values()]
        for paths in (base_runs, transfers)
    )
    if not runs or not bases:
        raise UserError("--base and --transfer must each name at least one run folder")
    everything = [*bases, *runs]
    for run in everything:
        refuse_unusable(run)  # before any work
        if not run.task.same_maze(bases[0].task):
            raise UserError(
                f"{run.folder}: a run of the {run.task.title}, but {bases[0].folder} is of the {bases[0].task.title}; report them apart"
            )
    task = bases[0].task
    with console.progress_bar("report", "runs") as tick:
        for number, run in enumerate(everything):
            tick(number, len(everything))
            _ = run.judged, run.best
        tick(len(everything), len(everything))
    shown = pick_failed(runs)
    if shown is None:
        raise UserError(
            "--base: holds the base of none of the transfers, nor is one where they say; give the runs that they were made from"
        )
    _, model, origin = shown
    seen = model.checkpoint.task  # with the transfer's observation map
    maze = seen.maze if seen.sampling.complete else None  # figures of every state
    files: dict[str, Content] = {} if maze is None else dict(_embedding_figures(maze, model, origin))
    if task.scored:
        panels = [(run.title, run.losses, run.labels) for run in everything]
        reference = bases[0].best[0].evaluation.share("score")
        files["scores.png"] = scores_figure(panels, reference, f"{bases[0].folder.name}, whole episodes")
        files["scores.csv"] = scores_csv(everything)
    long = [run for run in everything if run.plan.settings.updates > 0]
    files["losses.png"] = losses_figure([(run.title, run.losses) for run in long], task.sampling.what)
    negations = [
        negation(short_name(base), load_checkpoint(base), one.checkpoint, how)
        for run in runs
        for one in run.judged
        if task.scored and run.plan.variant.start == "negated" and (base := run.base_of(one))
    ]
    models = [(run, kind, one) for run in everything for kind, group in (("last", run.judged), ("best", run.best)) for one in group]
    plain = [
        {"run": run.folder.name, "variant": run.plan.variant.name, "kind": kind, "base": _begun(one), **one.plain()}
        for run, kind, one in models
    ]
    ends = [
        (run in runs, End(run.plan.variant.name, one.checkpoint.updates, one.evaluation, _begun(one)))
        for run, kind, one in models
        if kind == "last"
    ]
    results: dict[str, Any] = {"command": command, "how": vars(how), "models": plain, "negations": negations}
    names = list(model.evaluation.metrics)
    old, new = ([one for moved, one in ends if moved is wanted] for wanted in (False, True))
    notes = [f"scores are means over {how.episodes} episodes, their 95 % intervals below"] if task.scored else []
    summary = study_summary(
        old, new, where=the(task.title, world=task.known_by_data), metrics=names, note="; ".join([*notes, *([note] if note else [])])
    )
    summary = [*about_world(task.facts), *summary]
    if cured is not None:
        summary.insert(-1, ("What gets it out", cure_line(cured)))
    listed, kept = maze is not None, kept_words(runs)
    values = {
        "plainly": plainly(old, new, cured), "made_by": f"`{command}`\n\n" if command else "", "summary": summary, "task": task,
        "place": task.title if task.known_by_data else f"the {task.name} maze",
        "runs": view.runs_table(everything), "outcomes": outcomes_table(runs, names),
        "starts": start_words(runs, task), "shares": view.share_words(task), "by_eye": view.by_eye(task),
        "scores": view.scores(everything, bases[0], how, negations, kept=kept) if task.scored else "",
        "pair": view.pair(origin, model) if listed else "", "states": view.states(task) if listed else "",
        "landscape": f"## What lies between it and its base's copy\n\nSee [the landscape report]({landscape}).\n\n" if landscape else "",
        "cure": view.cure_section(cured) if cured else "", "beside": ": losses beside scores (claim S11)" if task.scored else "",
        "models": table(
            ["model", "variant", "verdict", "residual", *map(words, names), *SHOWN], [model_row(one) for _, kind, one in models if kind == "last"]
        ), "kept": kept, "released": view.released() if facts_of(task).released_scores else "",
        "measures": ["score"] if task.scored else [name for name in map(words, names) if name in TERMS],
    }  # fmt: skip
    return publish(folder, "study.md", values, results, files)


def _begun(model: Judged) -> str:
    """Digest of the base that a transfer began from, "" of a base."""
    return str(model.checkpoint.info.get("base_digest") or "")


def _embedding_figures(maze: StateTable, model: Judged, origin: Judged) -> dict[str, Figure]:
    """Figures 11, 12 and 14 of a transfer and its base."""
    task = model.checkpoint.task
    own, other = model.checkpoint, origin.checkpoint
    verdict = model.evaluation.match.verdict if model.evaluation.match else ""
    panels = [
        (short_name(origin.path), other.parameters, other.inverse),
        (f"{short_name(model.path)}: {verdict}", own.parameters, own.inverse),
    ]
    return {
        "embeddings.png": embeddings_figure(task, panels),
        "inputs.png": inputs_figure(task, maze, other.parameters, base_inverse=other.inverse),
        "transition_error.png": transition_error_figure(task, maze, own.parameters, inverse=own.inverse),
    }


def pick_failed(runs: Sequence[Run]) -> tuple[Run, Judged, Judged] | None:
    """A failed transfer to look at, with its run and its base: swapped if there is one, else the first at hand."""
    candidates = [(run, model) for run in runs for model in run.judged if model.evaluation.match is not None]
    order = (SWAPPED, NEITHER, SYMMETRIC, MATCHED)

    def rank(pair: tuple[Run, Judged]) -> tuple[bool, int, float]:
        match = pair[1].evaluation.match
        assert match is not None
        return pair[0].plan.variant.name != "freeze", order.index(match.verdict), match.residual_edges

    candidates.sort(key=rank)  # the clearest of its kind first
    if not candidates:
        return None
    run, model = candidates[0]
    base = run.base_of(model)
    assert base is not None  # it was compared with
    return run, model, judge([base], how=run.how)[0]


@dataclass(frozen=True)
class End:
    """The last network of a run's member: of which variant, after how many updates, its figures, and of a transfer its base's digest."""

    variant: str
    updates: int
    figures: Evaluation
    base: str = ""


def study_summary(bases: Sequence[End], transfers: Sequence[End], *, where: str, metrics: Sequence[str], note: str = "") -> Lines:
    """Of `crar report`.

    Args:
        bases, transfers: last models.
        where: the maze in words.
        metrics: names of the figures of merit.
        note: what else limits the page, such as shortened schedules.
    """
    variants = list(dict.fromkeys(one.variant for one in transfers))
    begun = plural(len({one.base for one in transfers if one.base}) or len(bases), "base")
    lines = [
        (
            "Asked",
            f"what becomes of {begun} in {where} under {', '.join(f'`{name}`' for name in variants)}: "
            f"{plural(len(transfers), 'transfer')}.",
        )
    ]
    outcomes = []
    for name in variants:
        own = [one.figures for one in transfers if one.variant == name]
        counts = Counter(one.match.verdict if one.match else "not compared" for one in own)
        words = ", ".join(f"{counts[w]} {w}" for w in (*VERDICTS, "not compared") if counts[w])
        outcomes.append(f"`{name}` {words} of {len(own)}")
    lines.append(("Outcomes", f"{'; '.join(outcomes)}."))
    middles = []
    for metric in metrics:
        middles.append(f"{metric.replace('_', ' ')} {_middle(transfers, metric)} (bases {_middle(bases, metric)})")
    lines.append(("What they can do", f"{'; '.join(middles)}: medians."))
    lines.append(("Loss", f"median transition term {number(_transition(transfers))}, of the bases {number(_transition(bases))}."))
    lowest, highest = (f(one.updates for one in transfers) for f in (min, max))
    span = f"{lowest:,}" if lowest == highest else f"{lowest:,} to {highest:,}"
    sure = f"transfers of {span} updates from {begun}; other bases and longer runs may end otherwise"
    return [*lines, ("How sure", f"{sure}{'; ' + note if note else ''}.")]


def plainly(bases: Sequence[End], transfers: Sequence[End], cured: CureResult | None) -> str:
    """The page's first words; arguments as of :func:`study_summary`, and what `write_cure` returned."""
    matched = {
        name: [one.figures.match is not None and one.figures.match.verdict in RIGHT for one in transfers if one.variant == name]
        for name in dict.fromkeys(one.variant for one in transfers)
    }
    old, new = map(_transition, (bases, transfers))
    out = None if cured is None or cured.already else cured.cured
    symmetric = any(one.figures.match is not None and one.figures.match.verdict == SYMMETRIC for one in transfers)
    return plain_words.report(
        {name: (sum(each), len(each)) for name, each in matched.items()}, near=new <= NEAR * old, cured=out, symmetric=symmetric
    )


def _transition(models: Sequence[End]) -> float:
    return median(one.figures.terms["transition"] for one in models)


def _middle(models: Sequence[End], metric: str) -> str:
    values = [one.figures for one in models if metric in one.figures.metrics]
    if not values:
        return "-"
    middle = median(each.share(metric) for each in values)
    return f"{middle:.2f}" if isinstance(values[0].metrics[metric], Score) else f"{100 * middle:.0f} %"
