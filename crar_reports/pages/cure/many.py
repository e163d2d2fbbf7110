"""`crar cure` on many transfers: every method on each, and one table with intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from crar_model.agent.symmetry import RIGHT
from crar_model.core.files import OTHER, Plain, StrPath, typed
from crar_model.core.kept import AGAIN, kept
from crar_model.cures.methods import AUTO, METHODS
from crar_model.models.checkpoints import Checkpoint, load_checkpoint
from crar_model.models.merit import EARLIER, definition
from crar_model.training.mending import own_base
from crar_reports import progress as console
from crar_reports.models.judged import base_of, distinct, label_of, one_folder_each, succeeds
from crar_reports.pages.cure.one import TABLE_OF_MOVES, CureOptions, cure_key, write_cure
from crar_reports.pages.cure.view import cures_view
from crar_reports.press.publish import RESULTS, publish
from crar_reports.statistics import clustered, share, share_by_base

SEARCH_PLACES = (AUTO, "placement")
"""Methods whose first step is the search of places, and with it the level; all others are only judged by that."""
SEED_DIGITS = 6
"""Hexadecimal digits of a transfer's digest that are added to the seed."""


class Cost(TypedDict):
    """What a cure took."""

    updates: int
    level_updates: int
    seconds: float


class Found(TypedDict):
    """What the results of one cure hold at least."""

    method: str
    failed: dict[str, Any]
    settings: dict[str, Any]
    cured: bool
    by: str | None
    restored: bool | None
    budget: Cost
    before: dict[str, Any]
    after: dict[str, Any]
    chosen: dict[str, Any]
    level: dict[str, Any] | None
    to: dict[str, Any] | None


def write_cures(
    models: Sequence[StrPath],
    folder: StrPath,
    *,
    methods: Sequence[str],
    base_path: StrPath | None = None,
    to_path: StrPath | None = None,
    options: CureOptions | None = None,
    command: str = "",
) -> Plain:
    """Cure every transfer that failed with every method, and write `report.md`, `results.json` and a folder for each.

    A transfer that is as good as its base already is counted and left alone. Finished cures in `folder` are kept, so that an interrupted
    table goes on.

    Args:
        models: checkpoints and run folders.
        folder: made if missing; METHOD/RUN-MEMBER in it holds a cure.
        methods: keys of `METHODS`, or "auto".
        base_path, to_path: as in `write_cure`, for all; each transfer's own base where they are None.
        options: what else.
        command: shown in the report.

    Returns:
        what `results.json` holds.

    Raises:
        UserError: for a transfer whose base is not there, or as `write_cure`.
    """
    folder = Path(folder)
    base_path, to_path = (None if path is None else Path(path) for path in (base_path, to_path))
    options = replace(options or CureOptions(), anyway=True, explorer=False)
    paths = distinct(models)
    one_folder_each(paths)
    failed = [(path, base_of(path, to_path)) for path in paths]
    failed = [pair for pair in failed if not succeeds(*pair, options.how)]
    made: dict[tuple[Path, str], Plain] = {}
    with console.progress_bar(f"cure: {len(failed)} failed transfers", "cures") as tick:
        for path, judge_path in failed:
            own = seeded(options, load_checkpoint(path))
            for method in sorted(methods, key=lambda name: name not in SEARCH_PLACES):  # these first: they say what the others may spend
                tick(len(made), len(failed) * len(methods))
                spent = [_searched(made[path, name]) for name in SEARCH_PLACES if (path, name) in made]
                here = own if method in SEARCH_PLACES else _with_budget(own, max(spent, default=0))
                at, model = folder / method / label_of(path), load_checkpoint(path)
                key = cure_key(model, own_base(model, base_path), load_checkpoint(judge_path), method, here)
                ways: Plain = {"method": method, "base_path": base_path, "to_path": judge_path, "options": here, "command": command}
                found = made[path, method] = kept(at / RESULTS, key, partial(write_cure, path, at, **ways), dict, page=True)
                typed(found, Found, f"{at / RESULTS}: {OTHER}", AGAIN)
        tick(len(made), len(failed) * len(methods))
    rows = [made[path, method] for path, _ in failed for method in methods]
    results = {
        "command": command, "settings": asdict(options.settings), "transfers": len(paths), "failed": len(failed),
        "as_good": len(paths) - len(failed), "rows": [_short(row) for row in rows],
        "definition": definition(scored=load_checkpoint(paths[0]).task.scored),
    }  # fmt: skip
    write_page(results, folder)
    return results


def write_page(results: Plain, folder: StrPath) -> None:
    """Write `report.md` and `results.json` from the rows; what is counted of them is counted anew."""
    rows = results["rows"]
    methods = list(dict.fromkeys(row["method"] for row in rows))
    results.setdefault("definition", definition(scored=False) if rows and rows[0]["level"] is not None else EARLIER)
    results |= {
        "table": [_counts(method, [row for row in rows if row["method"] == method]) for method in methods],
        "spending": spending(rows),
    }
    placed = TABLE_OF_MOVES if any(name == AUTO or METHODS[name].placed for name in methods) and rows[0]["level"] is not None else ""
    publish(folder, "cures.md", {"r": results, "command": results["command"], **cures_view(results, placed)}, results, short=True)


def seeded(options: CureOptions, failed: Checkpoint) -> CureOptions:
    """The options with a seed of the transfer's own, from its digest: else the new encoders of one transfer are those of all others."""
    return replace(options, settings=replace(options.settings, seed=options.settings.seed + int(failed.digest[:SEED_DIGITS], 16)))


def spending(rows: Sequence[Plain]) -> str:
    """How the updates that the methods had compare, transfer by transfer, in words: with a search of places where there is one."""
    searched: dict[str, int] = {}
    for row in rows:
        if row["method"] in SEARCH_PLACES and row["budget"]["level_updates"]:
            searched[row["failed"]["path"]] = max(_spent(row), searched.get(row["failed"]["path"], 0))
    alike = [name for name, method in METHODS.items() if method.placed]  # a control of placement has the budget of its fit
    others = [row for row in rows if row["method"] not in (*SEARCH_PLACES, *alike) and row["failed"]["path"] in searched]
    if not others:
        taken = {
            method: [row["budget"]["updates"] for row in rows if row["method"] == method]
            for method in dict.fromkeys(row["method"] for row in rows)
        }
        if len(taken) < 2:
            return ""
        each = ", ".join(f"{method} {_span(values)}" for method, values in taken.items())
        same = len({value for values in taken.values() for value in values}) == 1
        return f"Updates of all candidates of a transfer: {each}" + ("." if same else "; budgets are **not equal**.")
    shares = [row["budget"]["updates"] / searched[row["failed"]["path"]] for row in others]
    words = (
        f"The candidates of the other methods took {min(shares):.2f} to {max(shares):.2f} times as many updates as the search of places, its "
        "level included"
    )
    if min(shares) < 1:
        return f"{words}: budgets are **not equal**, and a method with less may have failed for that."
    return f"{words}, of the same transfer: none had less to spend."


def _span(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _searched(row: Plain) -> int:
    """Updates of a search of places, its level included; 0 for a method of a maze that has none."""
    return _spent(row) if row["budget"]["level_updates"] else 0


def _spent(row: Plain) -> int:
    """Updates of one search of places, its level included."""
    return int(row["budget"]["updates"]) + int(row["budget"]["level_updates"])


def _with_budget(options: CureOptions, updates: int) -> CureOptions:
    return replace(options, settings=replace(options.settings, budget=max(updates, options.settings.budget)))


def _short(row: Plain) -> Plain:
    """A row of the table: what one cure came to."""
    names = ("method", "failed", "cured", "by", "restored", "lacks", "budget")
    merit = {side: {name: value for name, value in row[side].items() if name != "terms"} for side in ("before", "after")}
    level = None if row["level"] is None else row["level"]["total"]
    about = {"seed": row["settings"]["seed"], "base": row["to"]["path"], "base_digest": row["to"]["digest"], "level": level}
    return {name: row[name] for name in names} | merit | about | {"total": row["chosen"]["terms"]["total"]}


def _counts(method: str, rows: Sequence[Plain]) -> Plain:
    """How many failed transfers a method brought into their base's embedding (the right valley) and how many it restored, with exact intervals by base, and
    how far its own word is right."""
    says, is_so = ([bool(row[name]) for row in rows] for name in ("cured", "restored"))
    by_base: dict[str, list[bool]] = {}
    valleys: dict[str, list[bool]] = {}
    for row in rows:
        by_base.setdefault(row["base_digest"], []).append(bool(row["restored"]))
        valleys.setdefault(row["base_digest"], []).append(row["after"]["match"]["verdict"] in RIGHT)

    def middle(name: str) -> float:
        return float(np.median([row["budget"][name] for row in rows]))

    return {
        "method": method, "transfers": len(rows), "cured": share(says), "restored": share_by_base(list(by_base.values())),
        "restored_by_base": clustered(list(by_base.values())), "valley": share_by_base(list(valleys.values())),
        "bases_restored": share([all(each) for each in by_base.values()]),
        "cured_not_restored": sum(a and not b for a, b in zip(says, is_so, strict=True)),
        "restored_not_cured": sum(b and not a for a, b in zip(says, is_so, strict=True)),
        "lacks": Counter(what for row in rows for what in row["lacks"]), "median_updates": middle("updates"),
        "median_level_updates": middle("level_updates") if method in SEARCH_PLACES else 0, "median_seconds": middle("seconds"),
    }  # fmt: skip
