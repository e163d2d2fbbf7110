"""The tidy table of a study: a row a model, with every setting, outcome, score and cost."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import io
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath, write_text
from crar_model.core.settings import NO_MATTER, LossSettings, TrainSettings
from crar_model.models.merit import SUCCESS, SUCCESSFUL, outcome
from crar_model.studies.cells import BEST, LAST, Cell
from crar_model.studies.packing import status
from crar_model.studies.plan import Study
from crar_model.studies.store import Store
from crar_model.training.log import read_losses
from crar_model.training.variants import BASE
from crar_reports.claims.losses import NEAR
from crar_reports.measure import scores as measure
from crar_reports.sections import columns_of, layout_of

Row = dict[str, Any]
Log = Mapping[str, np.ndarray[Any, Any]]
FILE = "table.csv"
NEEDED = {"cell", "variant", "status", "maze", "base"}
"""Columns without which a table is none of a study."""
ABOUT = (
    "cell", "group", "status", "why", "variant", "maze", "scored", "base", "base_seed", "base_start", "seed", "learning_rate", "reset", "paired", "base_recipe",
)  # fmt: skip
SETTINGS = tuple(
    item.name
    for item in dataclasses.fields(TrainSettings)
    if item.metadata and item.name not in ("maze", "seed", "learning_rate", "workers", "walls", "data")
)
LATE = ("even_moves",)
"""Settings that came after tables were published: they stand where a model has another value than those of before."""
LOSS = tuple(item.name for item in dataclasses.fields(LossSettings))
COST = ("seconds", "updates_per_second", "repeated_updates")
"""Columns that two runs of the same study have otherwise; all others are the same to the last digit on one kind of machine."""


def write_table(store: Store, study: Study, attempts: int) -> Path:
    """Write `table.csv`, a row a cell in the order of the study; returns its path.

    Columns: what the cell is (:data:`ABOUT`), every setting (those of the loss with `loss_` before), `updates_taken`, `search_updates`,
    `diverged_at` (-1 for none), `success` (1, 0, or nothing where it cannot be said: see :func:`success`), `outcome` (how the embedding
    relates to the base's), where there is a score `final_score` (mean of the last 10 validations, of the last half of fewer
    than 20; of a network that was kept or not trained, of its episodes), `success_update` (the update at
    which the 5-validation mean is above 0 for the first time; without a score the first logged one at which the transition term is near
    its base's), the figures of the last network and of that of the best validation
    (`last_...`, `best_...`), and :data:`COST`. Cells that are not done have nothing there. Where
    any has one: `layout`, its walls in one line, `world` and `judged_on`, which world of one's own it is and what it is judged on, and `kept_update`, of a variant with a search, whose network is the best by the losses: when that was.
    """
    found = status(store, study, attempts)
    rows = [_row(store, study, cell, *found[name]) for name, cell in study.cells.items()]
    extra = sorted({name for row in rows for name in row if name.startswith(("last_", "best_"))})
    told = [name for name in ("layout", "world", "judged_on", "kept_update") if any(row.get(name, "") != "" for row in rows)]
    columns = [
        *ABOUT, *told, *(name for name in SETTINGS if name not in LATE or any(name in row for row in rows)), *(f"loss_{name}" for name in LOSS), "updates_taken", "search_updates", "diverged_at", "success", "outcome",
        "final_score", "success_update", *extra, *COST,
    ]  # fmt: skip
    text = io.StringIO()
    table = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    table.writerows(map(as_text, rows))
    path = store.root / FILE
    write_text(path, text.getvalue())
    return path


def as_text(row: Row) -> dict[str, str]:
    """A row as it is written and read again."""
    return {name: _cell(value) for name, value in row.items()}


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _row(store: Store, study: Study, cell: Cell, word: str, why: str) -> Row:
    settings = cell.settings
    row: Row = {
        "cell": cell.name, "group": cell.group, "status": word, "why": why, "variant": cell.variant, "maze": settings.maze, "layout": layout_of(settings.walls),
        "scored": cell.task.scored, "base": cell.base, "base_seed": study.cells[cell.base].seed if cell.base else "",
        "base_start": cell.start, "seed": cell.seed, "learning_rate": cell.learning_rate, "reset": cell.reset, "paired": cell.paired or "",
        "base_recipe": _recipe(study.cells[cell.base]) if cell.base else "",
    }  # fmt: skip
    row |= columns_of(cell.task) | settings_of(settings)
    record, figures = store.record(cell.name), store.judged(cell.name, study.how)
    if record is None:
        return row
    row |= {
        "search_updates": record.search_updates,
        "diverged_at": record.diverged_at,
        "seconds": record.seconds,
        "updates_taken": record.updates,
    }
    row |= {"repeated_updates": record.repeated_updates or 0, "kept_update": "" if record.kept_update is None else record.kept_update}
    if record.updates and record.seconds > 0:
        row["updates_per_second"] = (record.updates + record.search_updates) / record.seconds
    if figures is None:
        return row
    for which in (LAST, BEST):
        row |= {f"{which}_{name}": value for name, value in _flat(figures.get(which, {})).items()}
    row["outcome"] = row.pop("last_match_verdict", "diverged" if record.diverged_at >= 0 else "")
    if cell.task.scored and figures:
        own = {"final_score": row[f"{LAST}_score_mean"]}
        row |= own | scores_of(read_losses(store.folder(cell.name))) | ({} if record.kept_update is None else own)
    origin = (store.judged(cell.base, study.how) or {}).get(cell.start, {}) if cell.base else {}
    row["success"] = success(cell, row, origin)
    if cell.base and not cell.task.scored:
        row |= near_its_base(read_losses(store.folder(cell.name)), origin["terms"]["transition"])
    return row


def settings_of(settings: TrainSettings) -> Row:
    """The columns of the settings."""
    own = {name: getattr(settings, name) for name in SETTINGS}
    own = {name: value for name, value in own.items() if name not in LATE or value not in NO_MATTER[name]}
    return own | {f"loss_{name}": getattr(settings.loss, name) for name in LOSS}


def _recipe(base: Cell) -> str:
    return base.settings.recipe(rate=base.learning_rate)


def success(cell: Cell, row: Row, base: Row) -> bool | str:
    """Whether a model succeeded by the one definition (`crar_model.models.merit`), of its last network. "" for a base without a score; a network that diverged
    has failed, and a score whose interval holds 0 is no success.

    Args:
        cell: the model.
        row: its figures.
        base: figures of its base, as they were judged; empty for a base.
    """
    if row["diverged_at"] >= 0 and row.get("kept_update", "") == "":
        return False
    if cell.task.scored:
        return outcome({}, score=(_number(row.get(f"{LAST}_score_low")), _number(row.get(f"{LAST}_score_high")))) == SUCCESSFUL
    if not base:
        return ""
    shares = {name: (_number(row.get(f"{LAST}_{name}")), _number(base.get(name))) for name in base["metrics"]}
    return bool(shares) and outcome(shares) == SUCCESSFUL


def _number(value: Any) -> float:
    """A figure; not a number, which is no success, where there is none."""
    return float(value) if isinstance(value, (int, float)) else float("nan")


def _flat(figures: Row, before: str = "") -> Row:
    flat: Row = {}
    for name, value in figures.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{before}{name}_" if name != "terms" else before)
        elif not isinstance(value, list):
            flat[f"{before}{name}"] = "" if value is None else value
    return flat


def scores_of(log: Log) -> Row:
    """What the validations of a model come to, from the columns of its log; nothing where there is only the one before the first update."""
    trained = log["update"] > 0
    values = log["score"][trained]
    if not len(values):
        return {}
    found: Row = {"final_score": measure.final(values)}
    if len(values) >= measure.WINDOW:
        means = np.lib.stride_tricks.sliding_window_view(values, measure.WINDOW).mean(1)  # as of the released runs
        above = np.flatnonzero(means > SUCCESS)
        if len(above):
            found["success_update"] = int(log["update"][trained][above[0] + measure.WINDOW - 1])
    return found


def near_its_base(log: Log, level: float) -> Row:
    """The first logged update, after the start, at which the transition term is near its base's (claim S3), `level`; nothing where it never is."""
    near = np.flatnonzero((log["update"] > 0) & (log["transition"] <= NEAR * level))
    return {"success_update": int(log["update"][near[0]])} if len(near) else {}


def read_table(path: StrPath) -> list[dict[str, str]]:
    """The rows of a table, all values as text; one named *.gz is packed.

    Raises:
        UserError: for a file that is no table of models, or is cut off within a line.
    """
    try:
        with (gzip.open if Path(path).suffix == ".gz" else open)(path, "rt", encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: no table ({type(error).__name__}); run crar study again") from error
    if not all(set(row) >= NEEDED and None not in row and None not in row.values() for row in rows):
        raise UserError(f"{path}: not a table of crar study, or one with a broken line; run crar study again")
    return list(map(partial(_with_recipe, bases={row["cell"]: row for row in rows if row["variant"] == BASE.name}), rows))


def _with_recipe(row: dict[str, str], bases: Mapping[str, dict[str, str]]) -> dict[str, str]:
    """A row with the recipe of its base; tables of before it stood there have it in the base's own row."""
    base = bases.get(row["base"])
    if base is None or row.get("base_recipe"):
        return row
    quirk = base.get("terminal_last") == "1"
    settings = TrainSettings(maze=base["maze"], update_rule=base["update_rule"], terminal_last=quirk)
    return row | {"base_recipe": settings.recipe(rate=float(base["learning_rate"]), updates=int(base["updates"]))}
