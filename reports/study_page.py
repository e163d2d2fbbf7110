"""The page of `crar study`: bases, success by variant, terms, learning rates, dependence on the base, times and cost."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from crar_model.files import StrPath, write_text
from crar_model.studies.plan import PAGES
from crar_model.tasks import Task, task_named
from crar_model.training.variants import BASE
from reports.figures.shares import shares_figure
from reports.figures.style import save_png
from reports.markdown import render
from reports.released_scores import BASES, released_rows
from reports.statistics import interquartile, share_words, unlike
from reports.studies.decisions import Decided, relearned
from reports.studies.dependence import ENOUGH, dependence_part
from reports.studies.rates import decide_rates, rates_part
from reports.studies.rows import (
    DONE,
    OPEN,
    USUAL,
    Groups,
    Key,
    Row,
    base_name,
    by,
    groups_of,
    label,
    main_group,
    merit,
    mostly,
    number,
    outcomes,
    score_words,
    sound,
    start_of,
    success,
    told,
)
from reports.studies.terms import terms_part
from reports.studies.times import times_part
from reports.study_table import read_table

RESULTS = "results.json"
SHOWN_LEFT = 20
"""Models that are not done and that a page lists by name."""


def write_study_page(table: StrPath, name: str, folder: StrPath, *, pages: Sequence[str] = PAGES, command: str = "") -> Path:
    """Write `report.md`, its HTML, figures and `results.json` to a folder; returns the path of the Markdown.

    Args:
        table: the `table.csv` of the study; beside it lie the cells with their models and logs.
        name: of the study.
        folder: where to write.
        pages: parts to make, of `crar_model.studies.plan.PAGES`.
        command: shown as what made it.
    """
    folder, table = Path(folder), Path(table)
    folder.mkdir(parents=True, exist_ok=True)
    rows = read_table(table)
    mazes, claims = [], []
    for maze, own in by(rows, "maze").items():
        part, decided = _maze(task_named(maze), own, table.parent, folder, pages)
        mazes.append(part)
        claims += [{"maze": maze, **one.plain()} for one in decided]
    write_text(folder / RESULTS, json.dumps({"command": command, "study": name, "claims": claims}, indent=1) + "\n")
    left = [
        (row["cell"], row["variant"], f"{float(row['learning_rate']):g}", row["seed"], row["status"], row["why"])
        for row in rows
        if row["status"] != DONE
    ]
    counts = Counter(row["status"] for row in rows)
    return render(
        "study_page.md", folder / "report.md", summary=summary(rows, claims), name=name, command=command, mazes=mazes, left=left[:SHOWN_LEFT], unfinished=len(left),
        counts=", ".join(f"{count} {word}" for word, count in counts.items()), claims=claims, enough=ENOUGH, released_bases=[f"base {name}" for name in BASES],
    )  # fmt: skip


def summary(rows: Sequence[Row], claims: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What was asked, found and how sure it is.

    Args:
        rows: of the table.
        claims: `Decided.plain()` of every claim, with its maze.
    """
    transfers, mazes = [row for row in rows if row["variant"] != BASE.name], by(rows, "maze")
    lines = [
        (
            "Asked",
            f"what becomes of {len(transfers)} transfers from {len(rows) - len(transfers)} bases, and which claims of S11 to S14 hold of them.",
        )
    ]
    for maze in mazes:
        groups, title = groups_of(row for row in transfers if row["maze"] == maze), task_named(maze).title
        mains = [key for variant in dict.fromkeys(key[0] for key in groups) if (key := main_group(groups, variant)) is not None]
        words = [f"`{key[0]}` {share_words([success(row) for row in told(groups[key])])}" for key in mains]
        lines.append((f"Success in the {title}", f"{', '.join(words) or 'no transfer is done'}."))
        found = [f"{one['id']} {one['verdict']}" for one in claims if one["maze"] == maze]
        lines.append((f"Claims in the {title}", f"{', '.join(found) or 'none is decided'}."))
    bases = sorted({one["bases"] for one in claims})
    few = f"; the claims' verdicts are of {' to '.join(map(str, dict.fromkeys((bases[0], bases[-1]))))} bases" if bases else ""
    left = sum(row["status"] != DONE for row in rows)
    open_ = f"; {left} models are not done" if left else ""
    return [
        *lines,
        ("How sure", f"shares have 95 % intervals (Clopper-Pearson) of transfers, which are alike where they share a base{few}{open_}."),
    ]


def _maze(task: Task, rows: Sequence[Row], root: Path, folder: Path, pages: Sequence[str]) -> tuple[dict[str, Any], list[Decided]]:
    bases, transfers = ([row for row in rows if (row["variant"] == BASE.name) is wanted] for wanted in (True, False))
    groups, able = groups_of(transfers), sound(bases, transfers)
    decided: list[Decided | None] = []
    found: dict[str, Any] = {
        "title": task.title, "scored": task.scored, "what": task.sampling.what, "bases": [_base_row(row, transfers) for row in bases],
        "unable": [base_name(row) for row in bases if row["status"] == DONE and row["cell"] not in able],
        "variants": [], "copies": [], "figure": "", "terms_rows": [], "rates": [], "depends": [], "predicted": "", "times": [], "cost": [],
    }  # fmt: skip
    if "terms" in pages:
        part, claim = terms_part(groups, bases, root, folder / f"{task.name}-terms.png", task)
        found |= part
        decided.append(claim)
    if "variants" in pages and groups:
        found |= _variants(groups, bases, folder / f"{task.name}-variants.png")
        found["released"] = released_rows() if task.released_scores else []
        found["by_eye"] = [(name, f"{good}/{good + bad}") for name, good, bad in task.judged_by_eye]
        decided.append(_relearned(groups_of(row for row in transfers if row["base"] in able)))
    if "rates" in pages:
        found["rates"], studies = rates_part(rows, folder, task.name, released=task.released_scores)
        decided.append(decide_rates(studies, able))
    if "dependence" in pages:
        part, claim = dependence_part(groups, bases, root, folder / f"{task.name}-calibration.png", of=able)
        found |= part
        decided.append(claim)
    if "times" in pages and task.scored:
        found |= times_part(groups, folder / f"{task.name}-times.png", released=task.released_scores)
    if "cost" in pages:
        found |= {"cost": _cost(rows), "published": _appendix_e(rows, task), "repeated": _repeated(rows)}
    return found, [one for one in decided if one is not None]


def _base_row(row: Row, transfers: Sequence[Row]) -> tuple[object, ...]:
    """A base; where there is a score, with the network that transfers start from."""
    updates, start = int(row["updates_taken"]) if row["updates_taken"] else 0, start_of(row, transfers)
    own = [base_name(row), row["status"], f"{updates:,}", f"{float(row['learning_rate']):g}", merit(row)]
    if row["scored"] == "1":
        own.append(f"{score_words(row, start)} at {int(number(row, f'{start}_updates')):,}" if row.get(f"{start}_updates") else "-")
    return *own, number(row, f"{start}_total" if row["scored"] == "1" else "last_total")


def _variants(groups: Groups, bases: Sequence[Row], figure: Path) -> dict[str, Any]:
    """Success by variant and base (Figure 17)."""
    shown = [(label(key, groups, short=True), [success(row) for row in told(group)]) for key, group in groups.items()]
    shown = [(name, values) for name, values in shown if values]
    if shown:
        save_png(shares_figure([("all bases", shown)], "share that succeeded"), figure)
    return {
        "variants": [_variant_row(key, group, groups) for key, group in groups.items()], "figure": figure.name if shown else "",
        "copies": _copies(groups), "columns": _short([base_name(row) for row in bases]), "by_base": [_by_base(label(key, groups), key, group, bases) for key, group in groups.items()],
    }  # fmt: skip


def _copies(groups: Groups) -> list[str]:
    """Variants whose models are fewer networks than rows, in words: what starts afresh is the same from every base."""
    lines = []
    for key, group in groups.items():
        digests = [row["last_digest"] for row in told(group) if row.get("last_digest")]
        if len(set(digests)) < len(digests):
            lines.append(
                f"`{label(key, groups)}`: {len(digests)} models are {len(set(digests))} networks, so its intervals and p are far too narrow."
            )
    return lines


def _relearned(groups: Groups) -> Decided | None:
    """Claim S12, each variant by its group of most models; None where no `freeze` transfer tells."""
    usual = main_group(groups, USUAL)
    if usual is None:
        return None
    variants = dict.fromkeys(key[0] for key in groups)
    chosen: Mapping[str, Key | None] = {variant: main_group(groups, variant, usual) for variant in variants}
    kept = {variant: key for variant, key in chosen.items() if key is not None}
    return replace(
        relearned({variant: outcomes(groups[key]) for variant, key in kept.items()}),
        updates={variant: int(key[-1]) for variant, key in kept.items()},
    )


def _variant_row(key: Key, group: Sequence[Row], groups: Groups) -> tuple[object, ...]:
    own = told(group)
    usual = next((told(other) for (name, *rest), other in groups.items() if name == USUAL and tuple(rest) == key[1:]), [])
    p = math.nan if key[0] == USUAL or not usual else unlike(mostly(own), mostly(usual))
    mean, low, high = interquartile([[value for row in rows if not math.isnan(value := merit(row))] for rows in by(own, "base").values()])
    around = "" if math.isnan(low) else f" ({low:.3g} to {high:.3g})"
    nowhere = sum(math.isnan(merit(row)) for row in own)
    around += f", {nowhere} diverged left out" if nowhere else ""
    return (
        label(key, groups), f"{len(own)} of {len(group)}", _trained(key, own), share_words([success(row) for row in own]),
        share_words(mostly(own)), f"{mean:.3g}{around}" if len(own) > nowhere else ("all diverged" if own else "-"), p,
    )  # fmt: skip


def _short(names: Sequence[str]) -> list[str]:
    """Names of bases for the heads of narrow columns: their seeds where all are of one group."""
    groups = {name.rpartition("/")[0] for name in names}
    return [name.rpartition("/")[2] for name in names] if len(groups) == 1 else list(names)


def _by_base(name: str, key: Key, group: Sequence[Row], bases: Sequence[Row]) -> list[str]:
    """A row of the table by base: successes of those done, "?" where some are open and "!" where some were left, all narrow, since a study may
    have dozens of bases."""
    cells = []
    for base in bases:
        own = [row for row in group if row["base"] == base["cell"]]
        done, words = told(own), {row["status"] for row in own} - {DONE}
        mark = ("?" if OPEN in words else "") + ("!" if words - {OPEN} else "")
        cells.append(f"{sum(map(success, done))}/{len(done)}{mark}" if done else mark)
    return [name, f"{int(key[-1]):,}", *cells]


def _trained(key: Key, rows: Sequence[Row]) -> str:
    """Updates of a group in words, those of a search before apart."""
    searched = [int(row["search_updates"]) for row in rows if int(row["search_updates"])]
    return f"{int(key[-1]):,}" + (f" after {median(searched):,.0f} of a search" if searched else "")


def _repeated(rows: Sequence[Row]) -> str:
    """How much was trained more than once, in words."""
    done = [row for row in rows if row["status"] == DONE]
    again, once = (sum(int(row[name] or 0) for row in done) for name in ("repeated_updates", "updates_taken"))
    if not again:
        return "No update was taken more than once."
    return f"{again:,} updates, {100 * again / once:.2g} % of {once:,}, were taken more than once: those of interrupted stretches since their last checkpoint."


def _cost(rows: Sequence[Row]) -> list[tuple[object, ...]]:
    """By variant and rule, and all together: models done, updates, hours of a core, updates a second of a core."""
    pairs: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        pairs.setdefault((row["variant"], row["update_rule"]), []).append(row)
    found: list[tuple[object, ...]] = []
    for (variant, rule), group in pairs.items():
        paces = [float(row["updates_per_second"]) for row in group if row["status"] == DONE and row["updates_per_second"]]
        found.append((variant, rule, *_spent(group)[:-1], f"{median(paces):,.0f}" if paces else "-"))
    return [*found, ("all", "", *_spent(rows))]  # a median over models of all kinds would be that of the kind with most


def _spent(rows: Sequence[Row]) -> tuple[str, ...]:
    """Models done, updates with those of searches, hours of a core, updates a second of a core."""
    done = [row for row in rows if row["status"] == DONE]
    updates = sum(int(row["updates_taken"]) + int(row["search_updates"]) for row in done)
    hours = sum(float(row["seconds"]) for row in done) / 3600
    return f"{len(done)} of {len(rows)}", f"{updates:,}", f"{hours:.3f}", f"{updates / (3600 * hours):,.0f}" if hours else "-"


def _appendix_e(rows: Sequence[Row], task: Task) -> list[tuple[object, ...]]:
    """The study's own cost, ours of the same experiments beside it."""
    kinds = {
        "freeze": [row for row in rows if row["variant"] == USUAL],
        "others": [row for row in rows if row["variant"] not in (USUAL, BASE.name)],
        "all": rows,
    }
    return [
        (what, machines, f"{hours:g}", *(_spent(kinds[kind]) if kind in kinds else ("-",) * 4))
        for what, machines, hours, kind in task.published_cost
    ]
