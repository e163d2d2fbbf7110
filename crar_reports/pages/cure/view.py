"""The words and tables of the pages of `crar cure`, of one transfer and of many."""

from __future__ import annotations

import math

from crar_model.core.words import plural
from crar_model.cures.methods import METHODS
from crar_model.cures.problem import Tail
from crar_model.tasks import Task
from crar_model.tasks.metrics import Metric, Score
from crar_reports.claims.record import UNSAID
from crar_reports.pages import plain_words
from crar_reports.pages.cure.records import CureResult, Cures, Placed
from crar_reports.press.markdown import number, table
from crar_reports.statistics import Interval, Share

CONTROLS = {
    "misplaced": "`misplaced` is placement without its choice: places of the start state drawn at random, away from those of the best free embeddings, refined, fitted and trained on by "
    "the same steps.",
    "annealed": "`annealed` is `freeze` once more, from the base, by the failed transfer's own rule and batches, from a rate of 0.005 that falls to 0.6 of it twelve times "
    "in its budget.",
}
"""What the controls in a table of methods are."""


def cure_view(r: CureResult, task: Task, *, figure: str | None, placed: str, explorer: str = "") -> dict[str, str]:
    """What the template of one cure places.

    Args:
        r: of `write_cure`.
        task: of the model.
        figure: the file of the placement landscape; None without one.
        placed: what is said where states are placed.
        explorer: the file of the explorer; "" without one.
    """
    spent, who = r.budget, "the model" if r.already else "failed"
    level_updates = f", {spent.level_updates} of free embeddings" if spent.level_updates else ""
    return {
        "plainly": plain_words.cure(
            already=r.already,
            by=r.by if r.cured else None,
            restored=r.restored,
            loose=r.found.loose,
            as_base=r.as_base,
        ),
        "title": _title(r),
        "came_to": f"{_came_to(r)}{' The world: ' + '; '.join(task.facts) + '.' if task.facts else ''}",
        "errors": _errors(r, who),
        "where": "all transitions" if task.sampling.complete else "transitions that nothing was trained on",
        "notes": _notes(r, placed),
        "budget": f"{spent.updates} updates of candidates{level_updates}, {spent.seconds:.0f} s in all",
        "placement": "" if figure is None or r.placement is None else _placement(r.placement, figure, placed),
        "outcome": _outcome(r, who),
        "compared": _compared(r, task),
        "files": "`results.json`" + (", `placement.nc`" if figure else ""),
        "explorer": f"To drag the start state, play the cure and watch the agent: `{explorer}`, which opens offline.\n\n"
        if explorer
        else "",
    }


def _title(r: CureResult) -> str:
    if r.already or not r.cured:
        return "Nothing to cure" if r.already else "Not cured"
    return f"Within the limits by {r.by}" if r.found.loose else f"Cured by {r.by}"


def _came_to(r: CureResult) -> str:
    if r.already:
        low = (
            "losses are within the limits below"
            if r.level is None
            else "losses are as low as its frozen dynamics allow, in the mean and in the tail"
        )
        if r.as_base and r.level is not None:
            low = "mispredictions are no more than its base's, though its dynamics allow fewer"
        return f"Its {low}. So nothing was tried, and no model is written."
    if r.cured:
        weights = ", the weights of its base" if r.base_used else ""
        before, after = (number(one.terms["total"]) for one in (r.before, r.after))
        return (
            f"Total loss {before} before, {after} after. The encoder was found from the checkpoint{weights} and data of its own maze alone. "
            "The model is `cured.pt`."
        )
    best, failed = (number(one.terms["total"]) for one in (r.chosen, r.found.before))
    return (
        f"No candidate is as good as the dynamics allow, so no model is written. The best of them, of {r.by}, has a total of {best}; "
        f"the failed model has {failed}."
    )


def _errors(r: CureResult, who: str) -> str:
    models = [(who, r.found.before)] + ([] if r.already else [("chosen", r.chosen)])
    rows: list[tuple[object, ...]] = [("best free embedding", float(r.level.totals[0]), "", *_tail(r.level.tail))] if r.level else []
    rows += [(name, c.terms["total"], c.terms["transition"], *_tail(c.tail)) for name, c in models]
    return table(["", "total", "transition", "error: mean", "95th percentile", "worst", "above half a move", "mispredicted"], rows)


def _tail(tail: Tail) -> tuple[object, ...]:
    return tail.mean, tail.high, tail.worst, percent(tail.off), percent(tail.astray)


def percent(value: float | None, digits: int = 1) -> str:
    """A share in per cent; None as a dash."""
    return "-" if value is None else f"{100 * value:.{digits}f} %"


def _notes(r: CureResult, placed: str) -> str:
    """Of a base with other dynamics, and the candidates of every method that was tried."""
    parts = []
    if r.base and not r.base.same_dynamics:
        parts.append(f"The base whose weights may be used, `{r.base.path}`, has other dynamics than this model, which trained its own.")
    if r.level is None and any(METHODS[tried.method].placed for tried in r.found.tried):
        parts.append(placed)
    if r.found.tried:
        parts.append("## Candidates")
    for tried in r.found.tried:
        rows: list[tuple[object, ...]] = [
            (
                c.label,
                *(c.terms[name] for name in ("total", "transition", "reward")),
                c.tail.worst,
                "yes" if c.at_level else "no",
                c.updates,
            )
            for c in tried.candidates
        ]
        rows += [(label, f"left out at {number(rank)}", "", "", "", "", updates) for label, rank, updates in tried.dropped]
        parts += [
            f"{tried.method}: {tried.updates} updates of all candidates together, {tried.seconds:.0f} s.",
            table(["candidate", "total", "transition", "reward", "worst error, moves", "good enough", "updates"], rows),
        ]
    return "".join(f"{part}\n\n" for part in parts)


def _placement(placement: Placed, figure: str, placed: str) -> str:
    rows = [
        (
            f"({v.place[0]:.2f}, {v.place[1]:.2f})", v.total, percent(v.share, 0),
            " ".join(name for name, where in placement.valley_of.items() if where == valley),
        )
        for valley, v in enumerate(placement.valleys)
    ]  # fmt: skip
    return (
        f"## Where the start state lies\n\n![Total loss by the place of the start state]({figure})\n\nEvery point is an embedding: the start state is put there, "
        f"and the frozen dynamics place the others. {placed} Valleys, lowest first:\n\n{table(['place', 'total', 'share of the places', 'models in it'], rows)}\n\n"
    )


def _outcome(r: CureResult, who: str) -> str:
    names = list(r.after.metrics)
    models = [(who, r.before)] + ([] if r.already else [("chosen", r.after)]) + ([("base", r.to.evaluation)] if r.to else [])
    rows = []
    for title, e in models:
        match = (e.match.verdict, e.match.residual_edges) if e.match else ("-", "-")
        rows.append((title, *(_merit(e.metrics[name]) for name in names), *match))
    return table(["", *names, "embedding", "residual, moves"], rows)


def _merit(value: Metric) -> str:
    return f"{value.mean:.2f} ({value.low:.2f} to {value.high:.2f})" if isinstance(value, Score) else percent(value)


def _compared(r: CureResult, task: Task) -> str:
    if not r.to:
        return "Nothing was compared with a base; `--to base.pt` does so."
    by = f"with `{r.to.path}`"
    if not r.already:
        said = f"Compared {by} after the choice: {'restored' if r.restored else 'not restored'}"
    elif r.restored:
        said = f"Compared {by}: as good as its base"
    else:
        said = (
            f"Compared {by}: not as good as its base, which losses do not show: a table of several transfers looks for a cure all the same"
        )
    embedding = ", and its embedding" if task.sampling.complete and r.to.same_dynamics else ""
    return f"{said} (shares within 2 points of the base's or a score within its interval{embedding})."


def cures_view(r: Cures, placed: str) -> dict[str, str]:
    """What the template of many cures places.

    Args:
        r: the table.
        placed: what is said where states are placed.
    """
    methods, one, alone = r.table, r.transfers == 1, r.as_good == 1
    kinds = sorted({kind for row in methods for kind in row.lacks})
    restored = {row.method: (row.restored.count, row.restored.of) for row in methods}
    return {
        "recipe": f"**Recipe**: {'; and '.join(dict.fromkeys(row.failed.recipe or UNSAID for row in r.rows))}.\n\n" if r.rows else "",
        "plainly": plain_words.cures(restored, sum(row.cured_not_restored for row in methods)),
        "counted": f"{plural(r.transfers, 'transfer')} {'was' if one else 'were'} compared with {'its base' if one else 'their bases'}; {r.as_good} of them "
        f"succeeded and {'was' if alone else 'were'} left alone, {r.failed} failed.",
        "restored": table(
            ["method", "right valley", "95 % exact, by base", "restored", "95 % exact, by base", "bases with all restored", "95 % exact, bases", "95 %, bases resampled"],
            [
                (t.method, *(x for found in (t.valley, t.restored, t.bases_restored) for x in (found, interval(found))), interval(t.restored_by_base))
                for t in methods
            ],
        ),
        "notes": "".join(f"{text}\n\n" for text in (placed, *(CONTROLS[t.method] for t in methods if t.method in CONTROLS)) if text),
        "said": table(
            ["method", "says cured", "says cured, is not", "is restored, says not", "updates of candidates, median", "of free embeddings", "seconds, median"],
            [
                (
                    t.method, t.cured.count, t.cured_not_restored, t.restored_not_cured, f"{t.median_updates:,.0f}",
                    f"{t.median_level_updates:,.0f}", t.median_seconds,
                )
                for t in methods
            ],
        ),
        "lacks": table(
            ["method", "not restored", *(kind.replace("_", " ") for kind in kinds)],
            [(t.method, t.restored.of - t.restored.count, *(t.lacks.get(kind, 0) for kind in kinds)) for t in methods],
        ),
        "each": table(
            ["transfer", "base", "method", "says", "by", "total", "best free embedding", "updates", "is", "falls short in"],
            [
                (
                    row.failed.path, row.base, row.method, "cured" if row.cured else "not cured", row.by, row.total, row.level,
                    f"{row.budget.updates:,}", "restored" if row.restored else "not restored", ", ".join(row.lacks).replace("_", " ") or "-",
                )
                for row in r.rows
            ],
        ),
    }  # fmt: skip


def interval(found: Share | Interval) -> str:
    """A 95 % interval of a share; a dash where there is none."""
    return "-" if math.isnan(found.low) else f"{percent(found.low, 0)} to {percent(found.high, 0)}"
