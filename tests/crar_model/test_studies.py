"""Studies: what a file expands to, what names a cell, and that packing, kills and failures change no number."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import errno
import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from unittest.mock import Mock

import psutil
import pytest
from distributed import Client
from typer.testing import CliRunner

from benchmarks.study_kills import reason, taken
from cli import app, main
from crar_model.core.errors import UserError
from crar_model.core.files import write_text
from crar_model.core.settings import PlaySettings
from crar_model.models.checkpoints import load_checkpoint
from crar_model.studies import cluster, run, worker
from crar_model.studies.account import STRETCHES, repeated
from crar_model.studies.archive import put_away
from crar_model.studies.cells import FORMAT, NAME_LENGTH, WITHOUT_EFFECT
from crar_model.studies.packing import BLOCKED, DONE, FAILED, OPEN, estimate, packs_of, status
from crar_model.studies.plan import PAGES, Study, read_study
from crar_model.studies.run import only_client, run_study
from crar_model.studies.store import Store, open_store
from crar_model.studies.worker import WAITS, Order, differing, versions, work
from crar_model.training import shard
from crar_model.training.trainer import Trainer
from crar_reports.pages.study.page import write_study_page
from crar_reports.pages.study.table import COST, write_table

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


def test_a_file_expands_to_bases_and_what_starts_from_them(tmp_path: Path) -> None:
    study = expanded(SMALL, tmp_path)
    cells = list(study.cells.values())
    assert [(cell.variant, cell.seed, cell.group) for cell in cells[:2]] == [("base", 0, "b"), ("base", 1, "b")]
    assert len(cells) == 2 + 2 * 2 * 2 * 2  # bases, variants, rates, seeds
    freeze = cells[2]
    assert (freeze.variant, freeze.base, freeze.learning_rate, freeze.settings.updates) == ("freeze", cells[0].name, 1e-4, 20)
    assert freeze.settings.update_rule == "sequential"  # the maze's own default of a transfer
    assert freeze.settings.inverse
    assert {cell.settings.updates for cell in cells if cell.variant == "negate-input"} == {0}
    one = expanded(SMALL.replace('bases = "b"', 'bases = "b"\nfirst = 1'), tmp_path)
    assert len(one.cells) == 2 + 8
    maps = expanded(SMALL + 'maps = [{ observation_map = "negative" }, { observation_map = "mirror" }]\n', tmp_path)
    assert len(maps.cells) == 2 + 32
    twice = expanded(SMALL + SMALL[SMALL.index("[[transfers]]") :], tmp_path)  # asked for twice, made once
    assert list(twice.cells) == list(study.cells)
    assert estimate(cells).updates == 2 * 40 + 8 * 20


def test_networks_from_random_weights_are_not_the_same_once_a_base(tmp_path: Path) -> None:
    """`scratch` takes nothing from its base: with one seed for all bases its cells would be copies of one network."""
    cells = expanded(
        SMALL.replace('"negate-input"', '"scratch", "reset-encoder"').replace("rates = [1e-4, 1e-3]", ""), tmp_path
    ).cells.values()
    scratch = [cell for cell in cells if cell.variant == "scratch"]
    assert len({cell.base for cell in scratch}) > 1
    assert len({cell.seed for cell in scratch}) == len(scratch)
    text = SMALL.replace('"negate-input"', '"scratch"').replace("rates = [1e-4, 1e-3]", "")
    more = expanded(text.replace("seeds = 2\nupdates = 40", "seeds = 3\nupdates = 40"), tmp_path, "more.toml").cells
    assert {cell.name for cell in scratch} <= set(more)  # another base moves no other's seeds
    by_base: dict[str, set[int]] = {}
    for cell in cells:
        if cell.variant == "reset-encoder":  # takes its dynamics from the base
            by_base.setdefault(cell.base, set()).add(cell.seed)
    assert len(by_base) > 1
    assert len({tuple(sorted(seeds)) for seeds in by_base.values()}) == 1


def test_pairs_of_states_are_not_the_steps_of_a_walk_that_they_were(tmp_path: Path) -> None:
    """A finished cell of an earlier version, whose pairs were steps, has another name."""
    (cell,) = [
        each
        for each in expanded(SMALL.replace('["freeze", "negate-input"]', '["paired"]\npaired = 8'), tmp_path).cells.values()
        if each.variant == "paired"
    ][:1]
    assert cell.paired == cell.settings.data_size == 8
    content = cell.plain()
    content["settings"] = {name: value for name, value in content["settings"].items() if name not in WITHOUT_EFFECT}
    del content["group"]
    before = hashlib.sha256(json.dumps({"format": FORMAT, **content}, sort_keys=True).encode()).hexdigest()[:NAME_LENGTH]
    assert cell.name != before


def test_pages_are_chosen_and_change_no_cell(tmp_path: Path) -> None:
    study = expanded(SMALL, tmp_path)
    assert study.pages == PAGES
    less = expanded(SMALL.replace('"small"', '"small"\npages = ["times", "rates"]'), tmp_path)
    assert less.pages == ("rates", "times")
    assert list(less.cells) == list(study.cells)


def test_only_what_determines_a_cell_changes_its_name(tmp_path: Path) -> None:
    names = list(expanded(SMALL, tmp_path).cells)
    same = (
        SMALL.replace('"small"', '"other"'),
        SMALL.replace('name = "t"', 'name = "u"'),
        SMALL.replace("updates = 40", "updates = 40\ncheckpoint_interval = 7\nsnapshots = true"),
        SMALL + "[evaluation]\nepisodes = 3\n",
    )
    for text in same:
        assert list(expanded(text, tmp_path).cells) == names, text
    transfers_differ = (
        SMALL.replace("updates = 20", "updates = 21"),
        SMALL.replace("updates = 20", "updates = 20\nbatch_size = 16"),
        SMALL.replace("updates = 20", "updates = 20\nloss = { beta = 0.3 }"),
        SMALL.replace("updates = 20", "updates = 20\nengine = 'reference'"),
    )
    for text in transfers_differ:
        cells = expanded(text, tmp_path).cells.values()
        other = {cell.name for cell in cells if cell.variant == "freeze"}
        assert list(expanded(text, tmp_path).cells)[:2] == names[:2]
        assert not other & set(names), text
    everything = SMALL.replace("updates = 40", "updates = 41")  # a transfer of another base is another transfer
    assert not set(expanded(everything, tmp_path).cells) & set(names)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("updates = 20", "updatse = 20", r"\[\[transfers\]\] t: unknown key 'updatse'; the nearest known one is 'updates'"),
        ("updates = 40", "updates = 40\nloss = { bta = 1 }", "loss: unknown key 'bta'; the nearest known one is 'beta'"),
        ('name = "small"', 'nmae = "small"', "unknown key 'nmae'; the nearest known one is 'name'"),
        ('maze = "simple"', 'maze = "round"', "b: .*'round'; choose one of"),
        ('maze = "simple"\n', "", "names no maze"),
        ("updates = 40", "updates = '40'", "updates is '40'"),
        ("updates = 40", "updates = -1", "updates is -1"),
        ("seeds = 2", "seeds = 0", "seeds is 0"),
        ("seeds = 2", "seed = 2", "use seeds"),
        ("updates = 20", "maze = 'simple'", "maze is not for this table"),
        ('variants = ["freeze", "negate-input"]', 'variants = ["freezer"]', "'freezer' is not known; choose from freeze"),
        ('bases = "b"', 'bases = "c"', "'c' is not known; choose from b"),
        ("[1e-4, 1e-3]", "[0]", "rates is 0"),
        ("updates = 20", "start = 'best'", "start is 'best'; choose last"),
        ("updates = 20", "maps = [{ colour = 1 }]", "maps: unknown key 'colour'"),
        ("updates = 20", "paired = 0\nreset = 'zero'", "reset is 'zero'"),
        ('name = "small"', 'name = "small"\npages = ["ratse"]', "pages: unknown page 'ratse'; the nearest known one is 'rates'"),
        ('name = "small"', 'name = "small"\npages = 3', "pages is 3; it must be a text"),
        ("[[bases]]", "[[bases", "not a TOML file"),
    ],
)
def test_a_bad_file_is_named_with_the_remedy(before: str, after: str, said: str, tmp_path: Path) -> None:
    assert before in SMALL
    with pytest.raises(UserError, match=rf"study\.toml.*{said}") as caught:
        expanded(SMALL.replace(before, after, 1), tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def test_a_variant_that_the_maze_lacks_is_refused(tmp_path: Path) -> None:
    text = SMALL.replace('"simple"', '"random"').replace('["freeze", "negate-input"]', '["placement"]')
    with pytest.raises(UserError, match=r"\[\[transfers\]\] t: variants placement: "):
        expanded(text, tmp_path)


def test_the_published_files_are_studies() -> None:
    found = {
        path.stem: read_study(path) for path in STUDIES.glob("*.toml") if not path.stem.startswith("worlds_")
    }  # those name data to gather
    assert {"quick", "simple", "random", "learning_rates"} <= set(found)
    parts = {
        "recipe_first": "recipe",
        "recipe_more": "recipe",
        "recipe_cell": "recipe",
        "recipe_rates": "recipe",
    }  # a part is called as the whole, which goes on from its archive
    assert all(study.name == parts.get(stem, stem) for stem, study in found.items())
    assert set(found["recipe_first"].cells) < set(found["recipe"].cells)
    assert len({cell.settings.maze for cell in found["quick"].cells.values()}) == 2
    simple = found["simple"].cells.values()
    assert sum(cell.variant == "freeze" and cell.group == "joint" for cell in simple) >= 24 * 8


@pytest.mark.parametrize("name", ["recipe_more", "recipe"])
def test_cells_are_called_as_they_were(name: str) -> None:
    """Else nothing that an archive holds is found again, when a setting is added."""
    published = STUDIES.parent / "reports" / "published" / name / "table.csv.gz"
    made = {row["cell"] for row in csv.DictReader(gzip.decompress(published.read_bytes()).decode().splitlines())}
    assert made <= set(read_study(STUDIES / "recipe_more.toml").cells) | set(read_study(STUDIES / "recipe_first.toml").cells)


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


def test_a_local_cluster_without_a_worker_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "POLL", 0.0)
    monkeypatch.setattr(run, "ALONE", 0.0)
    study, store = ready(FEW, tmp_path)
    asked: list[int] = []

    def threads() -> dict[str, int]:
        asked.append(1)
        return {"a worker": 1} if len(asked) < 3 else {}

    client = SimpleNamespace(submit=lambda *_, **__: Mock(status="pending"), status="running", cluster=object(), nthreads=threads)
    with pytest.raises(UserError, match="no worker is left; what the tasks have saved is kept"):
        run._round(cast(Client, client), order(study, store), {"p": list(study.cells)[:1]}, [], study, "r", threading.Event(), None)
    assert len(asked) > 2


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


def test_a_folder_keeps_to_one_study(tmp_path: Path) -> None:
    _, store = ready(SMALL, tmp_path)
    store.claim("small")
    with pytest.raises(UserError, match="holds the study 'small', not 'other'"):
        store.claim("other")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    with pytest.raises(UserError, match="not the folder of a study"):
        open_store(tmp_path / "full").claim("small")


def comparable(table: Path) -> list[dict[str, str]]:
    """The rows of a table without what two runs have otherwise."""
    with table.open(newline="") as stream:
        return [{name: value for name, value in row.items() if name not in COST} for row in csv.DictReader(stream)]


def crar(*words: object) -> list[str]:
    return [sys.executable, "-m", "cli", *map(str, words)]


LONGER = FEW.replace("updates = 40\nlog_interval = 20\n", "updates = 6_000\nlog_interval = 1_000\ncheckpoint_interval = 500\n")
LONGER = LONGER.replace('name = "small"', 'name = "small"\npages = ["cost"]')


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Store]:
    """`LONGER`, run here to its end; its file lies in the folder above the store."""
    study, store = ready(LONGER, tmp_path_factory.mktemp("whole"))
    run_all(study, store, 8)
    return study, store


def kill_a_worker(client: int) -> None:
    """SIGKILL a worker process of a client; its nanny starts another."""
    while True:
        for child in psutil.Process(client).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if "spawn_main" in " ".join(child.cmdline()):
                    child.kill()
                    return
        time.sleep(0.02)


@pytest.fixture
def schedulers() -> list[subprocess.Popen[bytes]]:
    """The schedulers that a test has started."""
    return []


@pytest.fixture
def dask_cluster(tmp_path: Path, schedulers: list[subprocess.Popen[bytes]]) -> Iterator[Path]:
    """A scheduler and a worker as processes of their own; the scheduler's file."""
    file = tmp_path / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    started = [subprocess.Popen([*command, "--scheduler-file", str(file)], **quiet)]
    schedulers.append(started[0])
    flags = ["--nthreads", "1", "--no-dashboard", "--no-nanny", "--local-directory", str(tmp_path / "scratch")]
    try:
        while not file.exists():
            assert started[0].poll() is None
            time.sleep(0.1)
        command = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(file), *flags]
        started.append(subprocess.Popen(command, **quiet))
        yield file
    finally:
        for process in started:
            process.kill()
            process.wait()


def after(process: subprocess.Popen[str], happened: Callable[[], bool]) -> None:
    """Wait until something has happened, while a process runs."""
    while not happened():
        assert process.poll() is None
        time.sleep(0.02)


def test_killed_here_and_finished_on_a_cluster_of_two_processes_is_as_undisturbed(
    undisturbed: tuple[Study, Store], dask_cluster: Path, tmp_path: Path
) -> None:
    """A worker dies, then its client; this process finishes as a client of another cluster."""
    torn, (study, store) = tmp_path / "torn", undisturbed
    words = ["study", store.root.parent / "file.toml", "--out", torn]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(crar(*words, "--workers", 1, "--pack", 3), text=True, **quiet)

    def states() -> list[int]:
        return [path.stat().st_mtime_ns for path in torn.glob("packs/*/run/state/shard-0.pt")]

    after(process, lambda: bool(states()))
    kill_a_worker(process.pid)
    time.sleep(0.1)
    before = states()
    after(process, lambda: states() != before)  # by the worker that came in its place
    process.kill()
    process.wait()
    assert not list(torn.glob("cells/*/record.json"))
    other = open_store(torn)
    with only_client(other), cluster.cluster(scheduler_file=dask_cluster) as client:
        assert run_study(client, other, study).finished
    assert comparable(write_table(store, study, 3)) == comparable(write_table(other, study, 3))
    assert digests(study, store) == digests(study, other)
    assert not list(torn.glob("packs/*"))
    planned, everything = taken(torn / "table.csv")
    assert planned <= everything < planned * 2  # two stretches were killed soon after a checkpoint


def test_ctrl_c_saves_and_the_same_command_goes_on(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(LONGER.replace("6_000", "3_000_000"))
    out = tmp_path / "out"
    command = crar("study", tmp_path / "study.toml", "--out", out, "--workers", 1)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True)
    while not list(out.glob("packs/*/run/state/shard-0.pt")):
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "the same command goes on" in said
    assert list(out.glob("packs/*/seconds"))  # the task itself came to its end


def test_ctrl_c_before_the_tasks_run_ends_a_background_job_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A shell starts such a job with Ctrl-C ignored; compiling takes half a minute, in which it was lost."""
    ready(FEW, tmp_path)
    monkeypatch.setattr(run, "compile_for", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    monkeypatch.setattr(sys, "argv", ["crar", "study", str(tmp_path / "file.toml"), "--out", str(tmp_path / "out")])
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(SystemExit) as ended:
            main()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.value.code == 130
    assert "crar: stopped" in capsys.readouterr().err


def test_a_scheduler_that_does_not_answer_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "ANSWERS_WITHIN", 0.5)
    with pytest.raises(UserError, match=r"nothing answers at tcp://127\.0\.0\.1:9"), cluster.cluster(scheduler="tcp://127.0.0.1:9"):
        pass
    with pytest.raises(UserError, match=r"none\.json does not exist"), cluster.cluster(scheduler_file=tmp_path / "none.json"):
        pass


def test_a_cluster_of_another_version_is_refused() -> None:
    other = versions() | {"numpy": "0.1"}

    class Asked:
        """A client of a cluster whose lone worker has other versions than its scheduler."""

        def run_on_scheduler(self, of: Callable[[], dict[str, str]]) -> dict[str, str]:
            return of()

        def run(self, _: object) -> dict[str, dict[str, str]]:
            return {"tcp://w": other}

    asked = cast(Client, Asked())
    with pytest.raises(UserError, match=r"tcp://w at tcp://s has numpy 0\.1 \(client: .*install the same versions"):
        cluster._same_versions(asked, "tcp://s")
    other.update(versions())
    cluster._same_versions(asked, "tcp://s")


def test_a_dry_run_tells_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(SMALL)
    said = CliRunner().invoke(app, ["study", str(tmp_path / "study.toml"), "--out", str(tmp_path / "out"), "--dry-run"])
    assert said.exit_code == 0, said.output
    for line in (
        "b: 2 cells, base, simple",
        "t: 8 cells, freeze, simple",
        "study small: 18 cells, 240 updates",
        "still to run: 18 cells, 240 updates",
    ):
        assert line in said.output
    assert not list(tmp_path.glob("out/*"))
    assert "searches" not in said.output


def test_a_dry_run_counts_what_an_archive_holds_and_refuses_as_the_run_would(tmp_path: Path) -> None:
    study, store = ready(SMALL, tmp_path / "made")
    run_all(study, store, 8)
    put_away(store, study, tmp_path / "a.tar.xz")
    searched = SMALL.replace('"negate-input"]', '"negate-input", "placement"]')
    (tmp_path / "study.toml").write_text(searched)
    words = ["study", str(tmp_path / "study.toml"), "--dry-run", "--archive", str(tmp_path / "a.tar.xz"), "--out"]
    said = CliRunner().invoke(app, [*words, str(tmp_path / "out")])
    assert said.exit_code == 0, said.output
    assert "still to run: 8 cells, 160 updates" in said.output
    assert "hours without the searches before the updates of placement" in said.output
    assert not (tmp_path / "out").exists()
    (tmp_path / "study.toml").write_text(searched.replace('name = "small"', 'name = "other"'))
    for flags in (words, [*words[:3], "--out"]):
        said = CliRunner().invoke(app, [*flags, str(store.root)])
        assert (said.exit_code, "holds the study 'small', not 'other'" in str(said.exception)) == (1, True), said.output


def test_a_killed_scheduler_ends_the_command_and_loses_nothing(
    undisturbed: tuple[Study, Store], dask_cluster: Path, schedulers: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    study, store = ready(LONGER, tmp_path)
    words = ["study", tmp_path / "file.toml", "--out", store.root, "--scheduler-file", dask_cluster, "--pack", 3]
    process = subprocess.Popen(crar(*words), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    after(process, lambda: bool(list(store.root.glob("packs/*/run/state/shard-0.pt"))))
    schedulers[0].kill()
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 2, said
    assert "the scheduler is gone; what its tasks have saved is kept, the same command goes on" in " ".join(said.split())
    assert "Traceback" not in said
    store.begin_session("me")  # which the worker that is left heeds, too
    run_all(study, store, 3)
    assert digests(study, store) == digests(*undisturbed)


def test_a_base_that_fails_leaves_the_others_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the command: exit code 1, the base and what waits for it named, all else done and in the archive, though the page breaks."""
    study, store = ready(SMALL, tmp_path)
    run_all(study, store, 4)
    first = next(iter(study.cells))
    (store.folder(first) / "record.json").unlink()
    store.failed([first], "broken")
    lost = [name for name, cell in study.cells.items() if cell.base == first]
    for name in lost:
        (store.folder(name) / "record.json").unlink()
    monkeypatch.setattr(cluster, "cluster", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr("crar_model.studies.run.run_study", lambda *_, **__: SimpleNamespace(finished=True))
    command = ["study", str(tmp_path / "file.toml"), "--out", str(store.root), "--attempts", "1", "--archive", str(tmp_path / "a.tar.xz")]
    said = CliRunner().invoke(app, command)
    assert said.exit_code == 1, said.output
    assert f"cell {first} (base) was left: broken" in said.output
    assert sum("was left" in line for line in said.output.splitlines()) == 1 + len(lost)
    assert "9 cells done" in said.output
    whole = (tmp_path / "a.tar.xz").read_bytes()
    (tmp_path / "a.tar.xz").unlink()
    monkeypatch.setattr("crar_reports.pages.study.page.write_study_page", lambda *_, **__: 1 / 0)
    assert CliRunner().invoke(app, command).exit_code == 1
    assert (tmp_path / "a.tar.xz").read_bytes() == whole
    (tmp_path / "a.tar.xz").unlink()
    (store.root / "table.csv").unlink()

    def gone(*_: object, **__: object) -> None:
        raise UserError("the scheduler is gone")

    monkeypatch.setattr("crar_model.studies.run.run_study", gone)
    said = CliRunner().invoke(app, command)
    assert "the scheduler is gone" in str(said.exception)
    assert (tmp_path / "a.tar.xz").read_bytes() == whole
    assert (store.root / "table.csv").exists()
    (tmp_path / "a.tar.xz").write_bytes(b"damaged meanwhile")
    monkeypatch.setattr("crar_model.studies.archive.bring_in", lambda *_: 0)
    said = CliRunner().invoke(app, command)
    assert "the scheduler is gone" in str(said.exception)  # not what came of it
    assert "not kept now: " in said.output
