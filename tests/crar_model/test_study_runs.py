"""Packs of a study: that packing, stops and failures change no number."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from unittest.mock import Mock

import pytest
from distributed import Client

from benchmarks.study_kills import reason, taken
from crar_model.core.files import write_text
from crar_model.core.settings import PlaySettings
from crar_model.studies import run, worker
from crar_model.studies.account import STRETCHES, repeated
from crar_model.studies.packing import BLOCKED, DONE, FAILED, OPEN, packs_of, status
from crar_model.studies.store import Store
from crar_model.studies.worker import WAITS, Order, differing, versions, work
from crar_model.training import shard
from crar_model.training.trainer import Trainer
from crar_reports.pages.study.page import write_study_page
from crar_reports.pages.study.table import write_table
from tests.crar_model.small_studies import FEW, SMALL, comparable, digests, expanded, order, ready, run_all


def test_packing_changes_no_bit(tmp_path: Path) -> None:
    together, alone = ready(FEW, tmp_path / "a"), ready(FEW, tmp_path / "b")
    run_all(*together, size=8)
    run_all(*alone, size=1)
    assert digests(*together) == digests(*alone)
    assert not list((alone[1].root / "packs").glob("*"))
    tables = [write_table(store, study, 3) for study, store in (together, alone)]
    assert comparable(tables[0]) == comparable(tables[1])
    assert "Success by variant" in write_study_page(tables[0], "small", tmp_path / "page").read_text()


def test_a_changed_file_runs_only_what_is_new(tmp_path: Path) -> None:
    study, store = ready(FEW, tmp_path)
    run_all(study, store, 8)
    more = expanded(FEW.replace("[1e-4, 1e-3]", "[1e-4, 1e-3, 5e-3]"), tmp_path)
    left = [more.cells[name] for name, (word, _) in status(store, more, 3).items() if word == OPEN]
    assert {cell.learning_rate for cell in left} == {5e-3}
    assert len(left) == 2
    how = PlaySettings(episodes=3)  # another scoring judges again, and trains nothing
    assert store.judged(next(iter(study.cells)), study.how) is not None
    assert store.judged(next(iter(study.cells)), how) is None


def test_a_stopped_pack_goes_on_where_it_was_whatever_the_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "LOOK_EVERY", 0.0)
    text = FEW.replace("updates = 40", "updates = 400")
    study, store = ready(text, tmp_path / "a")
    bases = [cell for cell in study.cells.values() if cell.is_base]
    (pack,) = packs_of(store, bases, 2, 1)
    asked = []

    class Stops(Store):
        def stopped(self, token: str) -> bool:
            asked.append(token)
            return len(asked) > 2  # when the task begins and before the first updates; then stop

    report = work(dataclasses.replace(order(study, store), store=Stops(store.root)), pack, [cell.name for cell in bases])
    assert report.status == "stopped"
    assert packs_of(store, bases, 1, 1) == {pack: [cell.name for cell in bases]}
    run_all(study, store, 1)
    other = ready(text, tmp_path / "b")
    run_all(*other, size=2)
    assert digests(study, store) == digests(*other)


RECORD = {"updates": 40, "diverged_at": -1, "search_updates": 0, "seconds": 1.0, "repeated_updates": 0, "crar": "0"}
"""What a finished cell leaves, but for its name."""


@pytest.mark.parametrize(
    ("taken", "with_bases", "done", "kept"),
    [("40", True, False, True), ("", True, False, False), ("40", False, False, False), ("40", True, True, False)],
)
def test_a_shorter_file_keeps_what_a_begun_pack_has_taken(taken: str, with_bases: bool, done: bool, kept: bool, tmp_path: Path) -> None:
    """Unless there is nothing to keep, its base is neither there nor asked for, or a member of it is done and would be trained again."""
    study, store = ready(FEW, tmp_path)
    bases, transfers = ([cell for cell in study.cells.values() if cell.is_base is wanted] for wanted in (True, False))
    (pack,) = packs_of(store, transfers, 4, 1)
    if taken:
        (store.root / "packs" / pack / "at").write_text(taken)
    if done:
        write_text(store.folder(transfers[3].name) / "record.json", json.dumps(RECORD | {"cell": transfers[3].name}))
    asked = [*(bases if with_bases else []), *transfers[:3]]
    found = packs_of(store, asked, 4, 1)
    assert (pack in found) == kept
    assert found.get(pack, []) == ([cell.name for cell in transfers] if kept else [])
    assert {name for cells in found.values() for name in cells} == {cell.name for cell in asked} | ({transfers[3].name} if kept else set())


def test_a_network_that_cannot_be_read_fails_alone(tmp_path: Path) -> None:
    study, store = ready(FEW, tmp_path)
    run_all(study, store, 8)
    how = PlaySettings(episodes=3)
    *others, odd = study.cells  # a transfer: what starts from a base cannot be judged without it
    (store.folder(odd) / "model.pt").write_bytes(b"half")
    report = work(Order(store, "me", how, versions()), "", list(study.cells))
    assert report.status == "failed"
    assert store.attempts(odd)[0] == 1
    assert all(store.judged(name, how) is not None and not store.attempts(name)[0] for name in others)


def test_what_is_taken_again_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill loses what was done since the last checkpoint; here an error in its place, between two checkpoints."""
    study, store = ready(FEW.replace("updates = 40", "updates = 400\ncheckpoint_interval = 100"), tmp_path)
    bases = [cell for cell in study.cells.values() if cell.is_base]
    (pack,) = packs_of(store, bases, 2, 1)
    log = store.root / "packs" / pack / STRETCHES
    whole = Trainer.advance

    def killed(self: Trainer, updates: int) -> None:
        whole(self, updates)
        if self.update == 150:
            log.write_text(f"{log.read_text()}{2 * 150}\n")  # the last word of the process
            raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "advance", killed)
    monkeypatch.setattr(shard, "CHUNK", 50)
    with pytest.raises(KeyboardInterrupt):
        work(order(study, store), pack, [cell.name for cell in bases])
    monkeypatch.undo()
    assert work(order(study, store), pack, [cell.name for cell in bases]).status == "done"
    assert [record.repeated_updates for cell in bases if (record := store.record(cell.name))] == [50, 50]
    run_all(study, store, 8)
    table = write_table(store, study, 3)
    assert taken(table) == (2 * 400 + 4 * 20, 2 * 400 + 4 * 20 + 100)
    assert "100 updates of 880 were taken again" in reason(880, 980, 3)
    assert reason(880, 880, 0) == "every update was taken once"
    page = write_study_page(table, "small", tmp_path / "page", pages=["cost"]).read_text()
    assert "100 updates, 11 % of 880, were taken more than once" in page


def test_the_account_of_stretches(tmp_path: Path) -> None:
    log = tmp_path / "stretches"
    assert repeated(log) == 0
    log.write_text("begin\n0\n50\n100\n")
    assert repeated(log) == 0
    log.write_text("begin\n0\n50\n150\nbegin\n100\n150\n200\nbegin\n200\nbegin\n0\n400\n")
    assert repeated(log) == 50 + 200  # after a kill, after a stop, after a run that was dropped

    log.write_bytes(b"begin\n0\n150\nbegin\n\xff\x00\n100\n200\n")  # a machine that lost its power
    assert repeated(log) == 50


def test_a_cell_that_fails_is_counted_and_left_and_the_others_go_on(tmp_path: Path) -> None:
    study, store = ready(SMALL, tmp_path)
    bases = [cell for cell in study.cells.values() if cell.is_base]
    for pack, names in packs_of(store, bases, 2, 1).items():
        assert work(order(study, store), pack, names).status == "done"
    (store.folder(bases[0].name) / "model.pt").write_bytes(b"damaged")
    for _ in range(4):
        wanted = [study.cells[name] for name, (word, _) in status(store, study, 2).items() if word == OPEN]
        for pack, names in packs_of(store, wanted, 4, 1).items():
            work(order(study, store), pack, names)
    found = status(store, study, 2)
    for name, cell in study.cells.items():
        assert found[name][0] == (FAILED if cell.base == bases[0].name else DONE), cell
        if cell.base == bases[0].name:
            assert "model.pt" in found[name][1]
    store.forgive(next(name for name, (word, _) in found.items() if word == FAILED))
    assert [word for word, _ in status(store, study, 2).values()].count(FAILED) == 7


def test_what_starts_from_a_failed_base_is_blocked(tmp_path: Path) -> None:
    study, store = ready(SMALL, tmp_path)
    first = next(iter(study.cells))
    for _ in range(3):
        store.failed([first], "broken")
    found = status(store, study, 3)
    assert found[first] == (FAILED, "broken")
    assert {found[name][0] for name, cell in study.cells.items() if cell.base == first} == {BLOCKED}
    transfer = next(cell for cell in study.cells.values() if cell.base == first)
    pack = store.pack([transfer.name])
    assert work(order(study, store), pack, [transfer.name]).status == WAITS
    page = write_study_page(write_table(store, study, 3), "small", tmp_path / "page").read_text()
    assert "**18 models are not done**" in page


def test_a_worker_of_another_version_refuses(tmp_path: Path) -> None:
    study, store = ready(SMALL, tmp_path)
    first = next(iter(study.cells))
    other = dataclasses.replace(order(study, store), versions=versions() | {"torch": "1.0"})
    report = work(other, store.pack([first]), [first])
    assert report.status == "failed"
    assert "torch" in report.why
    assert store.attempts(first)[0] == 0
    assert differing(versions(), versions()) == ""


def test_progress_does_not_fall_back_while_a_task_judges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pack whose cells are done is gone from the disk before its task returns."""
    monkeypatch.setattr(run, "POLL", 0.0)
    study, store = ready(FEW, tmp_path)
    bases = [cell.name for cell in study.cells.values() if cell.is_base]
    (pack,) = packs_of(store, [study.cells[name] for name in bases], 2, 1)
    task = Mock(status="pending", result=lambda: worker.Report("done", ""))
    client = SimpleNamespace(submit=lambda *_, **__: task, status="running", cluster=None)
    seen: list[int] = []

    def told(taken: int, _: int) -> None:
        seen.append(taken)
        if len(seen) == 1:
            (store.root / "packs" / pack / "at").write_text("60")
        elif len(seen) == 2:
            work(order(study, store), pack, bases)  # trained and judged; here the task has not returned yet
        elif len(seen) == 3:
            task.status = "finished"

    run._round(cast(Client, client), order(study, store), {pack: bases}, [], study, "r", threading.Event(), told)
    assert seen == [0, 60, 80, 80]


def test_a_full_disk_is_no_failure_of_a_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, store = ready(SMALL, tmp_path)
    first = next(iter(study.cells))
    pack = store.pack([first])

    def no_space(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    report = work(order(study, store), pack, [first])
    assert report.status == "disk full"
    assert "No space left" in report.why
    monkeypatch.undo()
    assert store.attempts(first)[0] == 0
    assert work(order(study, store), pack, [first]).status == "done"
