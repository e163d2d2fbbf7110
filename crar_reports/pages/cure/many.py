"""`crar cure` on many transfers: every method on each, and one table with intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from crar_model.agent.symmetry import RIGHT
from crar_model.core.files import StrPath
from crar_model.core.kept import kept
from crar_model.core.words import of_all
from crar_model.cures.methods import AUTO, METHODS
from crar_model.models.checkpoints import Checkpoint, load_checkpoint
from crar_model.models.merit import EARLIER, definition
from crar_model.training.mending import own_base
from crar_reports import progress as console
from crar_reports.models.judged import base_of, distinct, label_of, one_folder_each, succeeds
from crar_reports.pages.cure.one import ALONG_EPISODES, TABLE_OF_MOVES, CureOptions, cure_key, write_cure
from crar_reports.pages.cure.records import Cures, OfMethod, Row
from crar_reports.pages.cure.view import cures_view
from crar_reports.press.publish import RESULTS, publish
from crar_reports.statistics import clustered, share, share_by_base

SEARCH_PLACES = (AUTO, "placement")
"""Methods whose first step is the search of places, and with it the level; all others are only judged by that."""
SEED_DIGITS = 6
"""Hexadecimal digits of a transfer's digest that are added to the seed."""


def write_cures(
    models: Sequence[StrPath],
    folder: StrPath,
    *,
    methods: Sequence[str],
    base_path: StrPath | None = None,
    to_path: StrPath | None = None,
    options: CureOptions | None = None,
    command: str = "",
) -> Cures:
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
    made: dict[tuple[Path, str], Row] = {}
    with console.progress_bar(f"cure: {len(failed)} failed transfers", "cures") as tick:
        for path, judge_path in failed:
            own = seeded(options, load_checkpoint(path))
            for method in sorted(methods, key=lambda name: name not in SEARCH_PLACES):  # these first: they say what the others may spend
                tick(len(made), len(failed) * len(methods))
                spent = [_searched(made[path, name]) for name in SEARCH_PLACES if (path, name) in made]
                here = own if method in SEARCH_PLACES else _with_budget(own, max(spent, default=0))
                at, model = folder / method / label_of(path), load_checkpoint(path)
                key = cure_key(model, own_base(model, base_path), load_checkpoint(judge_path), method, here)

                def inside(done: int, all_of_it: int, what: str = f"{label_of(path)}, {method}") -> None:
                    tick.at(len(made), len(failed) * len(methods), f"{what}: {of_all(done, all_of_it, 'updates')}")

                make = partial(
                    write_cure,
                    path,
                    at,
                    method=method,
                    base_path=base_path,
                    to_path=judge_path,
                    options=here,
                    progress=inside,
                    command=command,
                )
                made[path, method] = Row.of(kept(at / RESULTS, key, make, dict, page=True), at / RESULTS)
        tick(len(made), len(failed) * len(methods))
    rows = [made[path, method] for path, _ in failed for method in methods]
    task = load_checkpoint(paths[0]).task
    said = definition(scored=task.scored, world=task.known_by_data)
    return write_page(Cures(command, options.settings, len(paths), len(failed), len(paths) - len(failed), rows, said), folder)


def write_page(results: Cures, folder: StrPath) -> Cures:
    """Write `report.md` and `results.json` from the rows; what is counted of them is counted anew. Returns the whole."""
    rows = results.rows
    methods, leveled = list(dict.fromkeys(row.method for row in rows)), bool(rows) and rows[0].level is not None
    said = results.definition or (definition(scored=False) if leveled else EARLIER)
    table = [_counts(method, [row for row in rows if row.method == method]) for method in methods]
    results = replace(results, definition=said, table=table, spending=spending(rows))
    placed = ""
    if leveled and any(name == AUTO or METHODS[name].placed for name in methods):
        placed = TABLE_OF_MOVES
    elif not leveled and any(row.by is not None and METHODS[row.by].placed for row in rows):
        placed = ALONG_EPISODES
    publish(folder, "cures.md", {"r": results, **cures_view(results, placed)}, results, short=True)
    return results


def seeded(options: CureOptions, failed: Checkpoint) -> CureOptions:
    """The options with a seed of the transfer's own, from its digest: else the new encoders of one transfer are those of all others."""
    return replace(options, settings=replace(options.settings, seed=options.settings.seed + int(failed.digest[:SEED_DIGITS], 16)))


def spending(rows: Sequence[Row]) -> str:
    """How the updates that the methods had compare, transfer by transfer, in words: with a search of places where there is one."""
    searched: dict[str, int] = {}
    for row in rows:
        if row.method in SEARCH_PLACES and row.budget.level_updates:
            searched[row.failed.path] = max(_spent(row), searched.get(row.failed.path, 0))
    alike = [name for name, method in METHODS.items() if method.placed]  # a control of placement has the budget of its fit
    others = [row for row in rows if row.method not in (*SEARCH_PLACES, *alike) and row.failed.path in searched]
    if not others:
        taken = {
            method: [row.budget.updates for row in rows if row.method == method] for method in dict.fromkeys(row.method for row in rows)
        }
        if len(taken) < 2:
            return ""
        each = ", ".join(f"{method} {_span(values)}" for method, values in taken.items())
        same = len({value for values in taken.values() for value in values}) == 1
        return f"Updates of all candidates of a transfer: {each}" + ("." if same else "; budgets are **not equal**.")
    shares = [row.budget.updates / searched[row.failed.path] for row in others]
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


def _searched(row: Row) -> int:
    """Updates of a search of places, its level included; 0 for a method of a maze that has none."""
    return _spent(row) if row.budget.level_updates else 0


def _spent(row: Row) -> int:
    """Updates of one search of places, its level included."""
    return row.budget.updates + row.budget.level_updates


def _with_budget(options: CureOptions, updates: int) -> CureOptions:
    return replace(options, settings=replace(options.settings, budget=max(updates, options.settings.budget)))


def _counts(method: str, rows: Sequence[Row]) -> OfMethod:
    says, is_so = [row.cured for row in rows], [row.restored for row in rows]
    by_base: dict[str, list[bool]] = {}
    valleys: dict[str, list[bool]] = {}
    for row in rows:
        by_base.setdefault(row.base_digest, []).append(row.restored)
        valleys.setdefault(row.base_digest, []).append(row.after.match is not None and row.after.match.verdict in RIGHT)
    spent = [row.budget for row in rows]
    return OfMethod(
        method, len(rows), share(says), share_by_base(list(by_base.values())), clustered(list(by_base.values())), share_by_base(list(valleys.values())),
        share([all(each) for each in by_base.values()]), sum(a and not b for a, b in zip(says, is_so, strict=True)),
        sum(b and not a for a, b in zip(says, is_so, strict=True)), Counter(what for row in rows for what in row.lacks), _middle(each.updates for each in spent),
        _middle(each.level_updates for each in spent) if method in SEARCH_PLACES else 0, _middle(each.seconds for each in spent),
    )  # fmt: skip


def _middle(values: Iterable[float]) -> float:
    return float(np.median(list(values)))
