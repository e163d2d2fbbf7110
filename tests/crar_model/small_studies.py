"""Small studies for tests, and what is done with them."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from crar_model.models.checkpoints import load_checkpoint
from crar_model.studies.packing import packs_of
from crar_model.studies.plan import Study, read_study
from crar_model.studies.store import Store, open_store
from crar_model.studies.worker import Order, versions, work
from crar_reports.pages.study.table import COST

STUDIES = Path(__file__).parents[2] / "studies"
SMALL = """
name = "small"
[[bases]]
name = "b"
maze = "simple"
seeds = 2
updates = 40
log_interval = 20
[[transfers]]
name = "t"
bases = "b"
variants = ["freeze", "negate-input"]
rates = [1e-4, 1e-3]
seeds = 2
updates = 20
log_interval = 10
"""
FEW = SMALL.replace('bases = "b"', 'bases = "b"\nfirst = 1').replace(', "negate-input"]', "]")
"""Two bases and four transfers of the first."""


def expanded(text: str, folder: Path, name: str = "study.toml") -> Study:
    (folder / name).write_text(text)
    return read_study(folder / name)


def ready(text: str, root: Path) -> tuple[Study, Store]:
    """A study and its folder, as a client leaves them before the first task."""
    root.mkdir(parents=True, exist_ok=True)
    study, store = expanded(text, root, "file.toml"), open_store(root / "out")
    store.claim(study.name)
    for cell in study.cells.values():
        store.write_cell(cell)
    store.begin_session("me")
    return study, store


def order(study: Study, store: Store) -> Order:
    return Order(store, "me", study.how, versions())


def run_all(study: Study, store: Store, size: int, workers: int = 1) -> None:
    for pack, cells in packs_of(store, study.cells.values(), size, workers).items():
        report = work(order(study, store), pack, cells)
        assert report.status == "done", report


def digests(study: Study, store: Store) -> dict[str, str]:
    return {name: load_checkpoint(store.folder(name) / "model.pt").digest for name in study.cells}


def comparable(table: Path) -> list[dict[str, str]]:
    """The rows of a table without what two runs have otherwise."""
    with table.open(newline="") as stream:
        return [{name: value for name, value in row.items() if name not in COST} for row in csv.DictReader(stream)]


def crar(*words: object) -> list[str]:
    return [sys.executable, "-m", "cli", *map(str, words)]
