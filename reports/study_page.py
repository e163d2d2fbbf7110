"""The page of `crar study`: bases, success by variant, terms, learning rates, dependence on the base, times and cost."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crar_model.files import StrPath, write_text
from crar_model.studies.plan import PAGES
from crar_model.tasks import Task, task_named
from crar_model.training.variants import BASE
from crar_model.words import plural
from reports.markdown import render
from reports.released_scores import BASES
from reports.statistics import share_words
from reports.studies.cost import cost_part
from reports.studies.decisions import Decided
from reports.studies.dependence import ENOUGH, dependence_part
from reports.studies.rates import decide_rates, rates_part
from reports.studies.released import if_long_enough
from reports.studies.rows import (
    DONE,
    OPEN,
    Key,
    Row,
    base_name,
    by,
    groups_of,
    label,
    main_group,
    merit,
    number,
    score_words,
    sound,
    start_of,
    success,
    told,
)
from reports.studies.terms import terms_part
from reports.studies.times import times_part
from reports.studies.variants import decide_relearned, variants_part
from reports.study_table import read_table

RESULTS = "results.json"
SHOWN_LEFT = 20
"""Lines on models that are not done that a page has."""


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
    left = _left(rows)
    counts = Counter(row["status"] for row in rows)
    return render(
        "study_page.md", folder / "report.md", summary=summary(rows, claims), name=name, command=command, mazes=mazes, left=[line for _, line in left[:SHOWN_LEFT]],
        unfinished=sum(count for count, _ in left), unlisted=sum(count for count, _ in left[SHOWN_LEFT:]),
        counts=", ".join(f"{count} {word}" for word, count in counts.items()), claims=claims, measures=_measures(mazes), enough=ENOUGH, released_bases=[f"base {name}" for name in BASES],
    )  # fmt: skip


def _measures(mazes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Words of the glossary for what the mazes' models are measured by."""
    scored = {maze["scored"] for maze in mazes}
    return ["nearest state accuracy", "navigation success"] * (False in scored) + ["score"] * (True in scored)


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
            f"what becomes of {plural(len(transfers), 'transfer')} from {plural(len(rows) - len(transfers), 'base')}, and which claims of S11 to S14 hold of them.",
        )
    ]
    for maze in mazes:
        groups, title = groups_of(row for row in transfers if row["maze"] == maze), task_named(maze).title
        mains = [key for variant in dict.fromkeys(key[0] for key in groups) if (key := main_group(groups, variant)) is not None]
        words = [f"`{key[0]}` {share_words([success(row) for row in told(groups[key])])} {_trained(key)}" for key in mains]
        lines.append((f"Success in the {title}", f"{', '.join(words) or 'no transfer is done'}."))
        found = [f"{one['id']} {one['verdict']}{' ' + one['scope'] if one['scope'] else ''}" for one in claims if one["maze"] == maze]
        lines.append((f"Claims in the {title}", f"{', '.join(found) or 'none is decided'}."))
    bases = sorted({one["bases"] for one in claims})
    few = f"; the claims' verdicts are of {' to '.join(map(str, dict.fromkeys((bases[0], bases[-1]))))} bases" if bases else ""
    left = sum(row["status"] != DONE for row in rows)
    open_ = f"; {plural(left, 'model')} {'is' if left == 1 else 'are'} not done" if left else ""
    return [
        *lines,
        ("How sure", f"shares have 95 % intervals (Clopper-Pearson) of transfers, which are alike where they share a base{few}{open_}."),
    ]


def _trained(key: Key) -> str:
    return f"of {int(key[-1]):,} updates" if int(key[-1]) else "without an update"


def _left(rows: Sequence[Row]) -> list[tuple[int, tuple[object, ...]]]:
    """(models, a line of the page on them) of those that are not done: what failed by itself, with its cell; what is open a line a group."""
    names = {row["cell"]: base_name(row) for row in rows if row["variant"] == BASE.name}
    groups = groups_of(row for row in rows if row["status"] != DONE)
    lines: list[tuple[int, tuple[object, ...]]] = []
    for key, group in groups.items():
        for status, own in by(group, "status").items():
            for each in [own] if status == OPEN else [[row] for row in own]:
                bases, seeds = (
                    dict.fromkeys(values) for values in ((names.get(row["base"], "") for row in each), (row["seed"] for row in each))
                )
                about = (
                    label(key, groups),
                    f"{int(key[-1]):,}",
                    status,
                    len(each),
                    ", ".join(filter(None, bases)),
                    ", ".join(sorted(seeds, key=int)),
                )
                lines.append((len(each), (*about, "" if status == OPEN else each[0]["cell"], each[0]["why"])))
    return lines


def _maze(task: Task, rows: Sequence[Row], root: Path, folder: Path, pages: Sequence[str]) -> tuple[dict[str, Any], list[Decided]]:
    bases, transfers = ([row for row in rows if (row["variant"] == BASE.name) is wanted] for wanted in (True, False))
    able = sound(bases, transfers)
    of_able = [row for row in transfers if row["base"] in able]
    groups, asked = groups_of(transfers), groups_of(of_able)
    decided: list[Decided | None] = []
    found: dict[str, Any] = {
        "title": task.title, "scored": task.scored, "what": task.sampling.what, "bases": [_base_row(row, transfers) for row in bases],
        "unable": [base_name(row) for row in bases if row["status"] == DONE and row["cell"] not in able],
        "variants": [], "networks": [], "copies": [], "figure": "", "terms_rows": [], "rates": [], "depends": [], "predicted": "", "times": [], "cost": [],
    }  # fmt: skip
    if "terms" in pages:
        part, claim = terms_part(asked or groups, bases, root, folder / f"{task.name}-terms.png", task)
        found |= part
        decided.append(claim)
    if "variants" in pages and groups:
        found |= variants_part(groups, bases, folder / f"{task.name}-variants.png", task)
        decided.append(decide_relearned(asked))
    if "rates" in pages:
        found["rates"] = rates_part(rows, folder, task.name, released=task.released_scores)
        decided.append(decide_rates(of_able))
    if "dependence" in pages:
        part, claim = dependence_part(asked, bases, root, folder / f"{task.name}-calibration.png")
        found |= part
        decided.append(claim)
    if "times" in pages and task.scored:
        found |= times_part(groups, folder / f"{task.name}-times.png", released=task.released_scores)
    if "cost" in pages:
        found |= cost_part(rows, task)
    return found, [if_long_enough(one, task) for one in decided if one is not None]


def _base_row(row: Row, transfers: Sequence[Row]) -> tuple[object, ...]:
    """A base; where there is a score, with the network that transfers start from."""
    updates, start = int(row["updates_taken"]) if row["updates_taken"] else 0, start_of(row, transfers)
    own = [base_name(row), row["status"], f"{updates:,}", f"{float(row['learning_rate']):g}", merit(row)]
    if row["scored"] == "1":
        own.append(f"{score_words(row, start)} at {int(number(row, f'{start}_updates')):,}" if row.get(f"{start}_updates") else "-")
    return *own, number(row, f"{start}_total" if row["scored"] == "1" else "last_total")
