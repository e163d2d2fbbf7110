"""One model of a study: all that determines it, and the name that follows from that."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from crar_model.core.errors import UserError
from crar_model.core.files import typed
from crar_model.core.settings import NO_MATTER, TrainSettings, from_plain, to_plain
from crar_model.tasks import Task, task_of
from crar_model.training.variants import BASE, Variant, variant_named

FORMAT = 1
"""Goes up when the same settings give other numbers, so that no cell made before is taken for one of now."""
WITHOUT_EFFECT = ("workers", "checkpoint_interval", "snapshots", "data", "seed", "learning_rate")
"""Settings that are not part of a cell's name: they change no number of it, or stand in it elsewhere (`data` by its digest)."""
NAME_LENGTH = 16
LAST, BEST = "last", "best"
"""Which network of a base a transfer starts from: the last one, or that of the best validation."""


@dataclass(frozen=True)
class Cell:
    """A model to be made.

    Attributes:
        variant: "base", or a transfer variant.
        settings: of its training, without its own seed and learning rate.
        seed, learning_rate: its own.
        base: name of the cell that it starts from, "" for a base.
        start: `LAST` or `BEST`, what it takes of that cell; "" for a base.
        reset: how `reset-encoder` draws weights; "" where it is not asked.
        paired: observations of a supervised variant; 0 where it is not asked.
        group: under what name the study's file has it; not part of its own name.
    """

    variant: str
    settings: TrainSettings
    seed: int
    learning_rate: float
    base: str = ""
    start: str = ""
    reset: str = ""
    paired: int = 0
    group: str = ""

    @cached_property
    def name(self) -> str:
        """The name of its folder: a hash of everything that determines its numbers."""
        content = self.plain()
        content["settings"] = {
            name: value
            for name, value in content["settings"].items()
            if name not in WITHOUT_EFFECT and value not in NO_MATTER.get(name, ())
        }
        if self.settings.terminal_last:
            content["drawn"] = "all but the newest"  # the newest was drawn once
        del content["group"]
        if self.recipe.supervised and self.task.maze is not None:
            content["pairs"] = "states"  # they were steps of a walk once
        text = json.dumps({"format": FORMAT, **content}, sort_keys=True)
        return hashlib.sha256(text.encode("utf-8")).hexdigest()[:NAME_LENGTH]

    @property
    def recipe(self) -> Variant:
        """The variant itself."""
        return variant_named(self.variant)

    @property
    def task(self) -> Task:
        """The maze that it learns."""
        return task_of(self.settings)

    @property
    def is_base(self) -> bool:
        """Whether it starts from no other cell."""
        return self.variant == BASE.name

    def plain(self) -> dict[str, Any]:
        """As plain data, for its folder."""
        return {**{item.name: getattr(self, item.name) for item in dataclasses.fields(self)}, "settings": to_plain(self.settings)}

    @property
    def alike(self) -> str:
        """The same text for cells that can train as members of one program."""
        content = {**self.plain(), "seed": 0, "learning_rate": 0, "base": "", "start": "", "group": ""}
        return json.dumps(content, sort_keys=True)


def cell_from(content: dict[str, Any], *, where: str) -> Cell:
    """A cell from :meth:`Cell.plain`.

    Raises:
        UserError: for what is none, and for settings that this version does not know.
    """
    wrong, hint = f"{where}: not a cell of a study", "remove it, and it is made again"
    cell, settings = typed(content | {"settings": {}}, Cell, wrong, hint), typed(content.get("settings"), dict, f"{wrong}: settings", hint)
    try:
        cell = dataclasses.replace(cell, settings=from_plain(settings, where="settings"))
        _ = cell.name
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    return cell
