"""A study's folder. What lies here is the truth: a cell is done when its record says so, whoever made it.

study.json               whose folder it is
session.json             the client at work, and whether it wants its tasks to stop
cells/NAME/cell.json     what the cell is
cells/NAME/model.pt      its network; best.pt, losses.csv beside it
cells/NAME/record.json   written last: the cell is done
cells/NAME/judged-K.json its figures by the scoring with the key K
cells/NAME/attempts.json how often it has failed, and at what
packs/NAME/              cells in training as members of one program: a run folder, and the account of its updates
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from crar_model.core.errors import UserError
from crar_model.core.files import OTHER, Plain, StrPath, find_json, read_json, typed, write_json
from crar_model.core.kept import AGAIN
from crar_model.core.settings import PlaySettings
from crar_model.studies.cells import BEST, Cell, cell_from

STUDY = "crar-study"


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What `record.json` holds: updates of the cell, of its search, and taken more than once; when it diverged (-1: never), seconds of a core.

    Attributes:
        kept_update: when its network was kept by its losses; None for the last one.
    """

    cell: str = ""
    updates: int
    kept_update: int | None = None
    diverged_at: int
    search_updates: int
    seconds: float
    repeated_updates: int | None = None
    crar: str = ""

    @property
    def without_network(self) -> bool:
        """Whether there is no network to judge: it diverged, and none was kept from before."""
        return self.diverged_at >= 0 and self.kept_update is None


@dataclass(frozen=True)
class Figures:
    """What `judged-K.json` holds of a network, the last or the best, beside its figures of merit, which `metrics` names."""

    terms: dict[str, float]
    digest: str
    updates: int
    metrics: list[str]


@dataclass(frozen=True)
class About:
    """What `study.json` holds."""

    format: str
    name: str


@dataclass(frozen=True)
class Session:
    """What `session.json` holds."""

    token: str
    stop: bool


@dataclass(frozen=True)
class Attempts:
    """How often a cell has failed, and at what the last time."""

    failed: int
    last: str


@dataclass(frozen=True)
class Store:
    """The folder of a study.

    Attributes:
        root: the folder; an absolute path, since workers have working directories of their own.
    """

    root: Path

    def refuse(self, name: str) -> None:
        """Write nothing into a folder that is not this study's.

        Raises:
            UserError: where it is another's, or holds something else.
        """
        record = self.root / "study.json"
        if record.exists():
            found = read_json(record, About, "choose another --out")
            if found.format != STUDY:
                raise UserError(f"{record}: not the record of a study; choose another --out")
            if found.name != name:
                raise UserError(
                    f"{self.root}: holds the study {found.name!r}, not {name!r}; choose another --out, or give the file its name"
                )
        elif self.root.exists() and (not self.root.is_dir() or any(path.name != "lock" for path in self.root.iterdir())):
            raise UserError(f"{self.root}: exists and is not the folder of a study; choose an empty or new --out")

    def claim(self, name: str) -> None:
        """Make the folder that of a study.

        Raises:
            UserError: as :meth:`refuse`.
        """
        self.refuse(name)
        if not (self.root / "study.json").exists():
            write_json(self.root / "study.json", About(STUDY, name), indent=None)

    def folder(self, cell: str) -> Path:
        """Where a cell lies."""
        return self.root / "cells" / cell

    def model(self, cell: str, which: str) -> Path:
        """The network of a cell, the last or the best."""
        return self.folder(cell) / ("best.pt" if which == BEST else "model.pt")

    def write_cell(self, cell: Cell) -> None:
        """Say what a cell is, before anything of it is made."""
        path = self.folder(cell.name) / "cell.json"
        if not path.exists():
            write_json(path, cell.plain())

    def cell(self, name: str) -> Cell:
        """What a cell is.

        Raises:
            UserError: where that cannot be read, or the file describes another.
        """
        path = self.folder(name) / "cell.json"
        found = cell_from(read_json(path, dict, AGAIN), where=str(path))
        if found.name != name:
            raise UserError(f"{path}: describes another cell, {found.name}: edited, or of another version; {AGAIN}")
        return found

    def record(self, cell: str) -> Record | None:
        """The record of a cell that is done, else None; raises :class:`UserError` for a damaged one."""
        return find_json(self.folder(cell) / "record.json", Record, "remove it, and the cell is trained again")

    def judged(self, cell: str, how: PlaySettings) -> Plain | None:
        """The figures of a cell by a scoring, where they have been taken; raises :class:`UserError` for damaged ones.

        Earlier versions wrote empty ones of networks that were not there; these have not been taken.
        """
        path = self.judged_path(cell, how)
        found: dict[str, Plain] | None = find_json(path, dict[str, dict[str, Any]], AGAIN)
        if not found:
            record = self.record(cell) if found is not None else None
            return found if record is not None and record.without_network else None
        checked = [(figures, typed(figures, Figures, f"{path}: {OTHER}", AGAIN)) for figures in found.values()]
        if lacking := {name for figures, one in checked for name in one.metrics if name not in figures}:
            raise UserError(f"{path}: damaged: it lacks {', '.join(sorted(lacking))}; {AGAIN}")
        return found

    def write_judged(self, cell: str, how: PlaySettings, figures: Plain) -> None:
        """Keep the figures of a cell."""
        write_json(self.judged_path(cell, how), figures)

    def judged_path(self, cell: str, how: PlaySettings) -> Path:
        """Where the figures of a cell by a scoring lie."""
        return self.folder(cell) / f"judged-{key_of(asdict(how))}.json"

    def attempts(self, cell: str) -> tuple[int, str]:
        """(how often a cell has failed, at what the last time)."""
        path = self.folder(cell) / "attempts.json"
        found = find_json(path, Attempts, "remove it, and its failures are not counted") or Attempts(0, "")
        return found.failed, found.last

    def failed(self, cells: Iterable[str], why: str) -> None:
        """Count a failure of cells."""
        for cell in cells:
            count = self.attempts(cell)[0] + 1
            write_json(self.folder(cell) / "attempts.json", Attempts(count, why), indent=None)

    def forgive(self, cell: str) -> None:
        """Count a cell's failures from 0 again."""
        (self.folder(cell) / "attempts.json").unlink(missing_ok=True)

    def pack(self, cells: Iterable[str]) -> str:
        """Begin a pack of cells, or find the one begun; returns its name."""
        cells = list(cells)
        name = key_of(cells)
        path = self.root / "packs" / name / "pack.json"
        if not path.exists():
            write_json(path, cells, indent=None)
        return name

    def pack_cells(self, pack: str) -> list[str]:
        """The cells of a pack that was begun; none for one that has ended. Raises :class:`UserError` for a damaged one."""
        path = self.root / "packs" / pack / "pack.json"
        return find_json(path, list[str], "remove its folder, and its cells are trained anew") or []

    def packs(self) -> list[str]:
        """Packs that were begun and have not ended, by name."""
        return sorted(path.parent.name for path in (self.root / "packs").glob("*/pack.json"))

    def end_pack(self, pack: str) -> None:
        """Drop the folder of a pack whose cells are done; `pack.json` goes first, so that a half-dropped one is none."""
        folder = self.root / "packs" / pack
        (folder / "pack.json").unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)

    def begin_session(self, token: str) -> None:
        """Tell tasks of earlier clients, which may still be running, that another has come."""
        write_json(self.root / "session.json", Session(token, False), indent=None)

    def stop_session(self, token: str) -> None:
        """Ask the running tasks to save and stop."""
        write_json(self.root / "session.json", Session(token, True), indent=None)

    def stopped(self, token: str) -> bool:
        """Whether the tasks of a client are to save and stop."""
        found = None
        with suppress(UserError):  # what cannot be read tells a task nothing
            found = find_json(self.root / "session.json", Session, "")
        return found is not None and (found.token != token or found.stop)


def open_store(root: StrPath) -> Store:
    """The store of a folder."""
    return Store(Path(root).absolute())


def key_of(content: object) -> str:
    """A short name of plain data."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("utf-8")).hexdigest()[:12]
