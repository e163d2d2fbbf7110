"""The loss log of a run: one labelled table on disk."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crar_model.agent.loss import TERMS
from crar_model.core.errors import UserError
from crar_model.core.files import StrPath, write_text
from crar_model.tasks import Task
from crar_model.training.events import Events
from crar_model.training.members import Member

ABOUT = ("member", "seed", "base", "learning_rate", "update")


def logged(task: Task) -> tuple[str, ...]:
    """Columns of the log: every term on the evaluation batch, their weighted sum, and the score where there is one."""
    return (*TERMS, "total", "score") if task.scored else (*TERMS, "total")


class LossLog:
    """Rows of every member by update, kept in order and written atomically as `losses.csv`.

    Args:
        folder: the run folder.
        members: all members of the run.
        columns: from :func:`logged`.
        events: also told of new rows; None for none.
    """

    def __init__(self, folder: Path, members: Sequence[Member], columns: Sequence[str], events: Events | None = None) -> None:
        self.folder, self.members, self.columns = folder, members, columns
        self.rows: dict[tuple[int, int], np.ndarray[Any, Any]] = {}
        self.events = events

    def restore(self, first_member: int, updates: Sequence[int], values: Sequence[np.ndarray[Any, Any]]) -> None:
        """Take over the rows of a saved shard, (members, terms) per update, whose events TensorBoard has."""
        for update, table in zip(updates, values, strict=True):
            for k, row in enumerate(table):
                self.rows[first_member + k, update] = row
                if self.events is not None:
                    self.events.restored(first_member + k, update)

    def add(self, first_member: int, update: int, table: np.ndarray[Any, Any]) -> None:
        """Add the (members, terms) values of one shard at one update."""
        for k, row in enumerate(table):
            self.rows[first_member + k, update] = row
            if self.events is not None:
                self.events.losses(first_member + k, update, dict(zip(self.columns, map(float, row), strict=True)))

    def write(self) -> None:
        """Write `losses.csv` anew and flush TensorBoard."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow((*ABOUT, *self.columns))
        for member, update in sorted(self.rows):
            about = self.members[member]
            values = [f"{value:.8g}" for value in self.rows[member, update]]
            table.writerow([member, about.seed, about.base, about.learning_rate, update, *values])
        write_text(self.folder / "losses.csv", text.getvalue())
        if self.events is not None:
            self.events.flush()

    def close(self) -> None:
        """Write what is left."""
        self.write()


def read_losses(folder: StrPath) -> dict[str, np.ndarray[Any, Any]]:
    """Columns of a run's `losses.csv` as arrays; `base` as text, the rest as numbers.

    Raises:
        UserError: when the run has not written one yet, or it is damaged.
    """
    path = Path(folder) / "losses.csv"
    hint = "the run writes it anew: go on with it by --resume, or give another run"
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            table = csv.DictReader(stream, strict=True)
            rows, names = list(table), table.fieldnames or ()
    except OSError as error:
        raise UserError(f"{path}: cannot read ({error.strerror or error}); {hint}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: damaged, no table of losses ({error}); {hint}") from error
    wanted = {"update", *TERMS, "total"}
    if lacking := sorted(wanted - set(names)) or [name for name in names if list(names).count(name) > 1]:
        raise UserError(f"{path}: damaged, its heading lacks or repeats {', '.join(lacking)}; {hint}")
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise UserError(f"{path}: damaged, line {number} has more or fewer cells than the heading; {hint}")
    try:
        return {name: np.array([row[name] if name == "base" else float(row[name]) for row in rows]) for name in names}
    except ValueError as error:
        raise UserError(f"{path}: damaged ({error}); {hint}") from error
