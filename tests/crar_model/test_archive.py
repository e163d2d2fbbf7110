"""Archives of studies: a study goes on from one as if its folder were there, and what is damaged or another's is refused."""

from __future__ import annotations

import io
import json
import lzma
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crar_model.core.errors import UserError
from crar_model.core.settings import PlaySettings
from crar_model.studies.archive import Keeper, bring_in, held, put_away, waiting
from crar_model.studies.packing import DONE, OPEN, status
from crar_model.studies.plan import Study
from crar_model.studies.store import Store, open_store
from crar_reports.pages.study.table import write_table
from tests.corruption import flipped, spliced, zeroed
from tests.crar_model.small_studies import FEW, comparable, ready, run_all

BIGGER = FEW.replace("[1e-4, 1e-3]", "[1e-4, 1e-3, 5e-3]")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Store, Path]:
    """A study that is done, and its archive."""
    folder = tmp_path_factory.mktemp("made")
    study, store = ready(FEW, folder)
    run_all(study, store, 8)
    (store.folder(next(iter(study.cells))) / "letter.txt").write_text("not of the study")
    assert put_away(store, study, folder / "all.tar.xz") == len(study.cells)
    return study, store, folder / "all.tar.xz"


def words(store: Store, study: Study) -> list[str]:
    return [word for word, _ in status(store, study, 3).values()]


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar}


def repacked(files: dict[str, bytes], path: Path) -> Path:
    with tarfile.open(path, "w:xz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


def test_an_archive_stands_for_the_folder(finished: tuple[Study, Store, Path], tmp_path: Path) -> None:
    study, store, archive = finished
    fresh, other = ready(FEW, tmp_path)
    assert words(other, fresh) == [OPEN] * len(study.cells)
    assert bring_in(other, fresh, archive) == len(study.cells)
    assert words(other, fresh) == [DONE] * len(study.cells)
    assert write_table(other, fresh, 3).read_bytes() == write_table(store, study, 3).read_bytes()
    assert bring_in(other, fresh, archive) == 0  # what is there stays


def test_it_has_the_networks_that_others_start_from_and_nothing_else(finished: tuple[Study, Store, Path]) -> None:
    study, _, archive = finished
    found = members(archive)
    origin = next(cell.base for cell in study.cells.values() if cell.base)
    assert [name for name in found if name.endswith(".pt")] == [f"cells/{origin}/model.pt"]
    assert not any(name.endswith("letter.txt") for name in found)


def test_a_study_goes_on_from_it_to_the_same_table(finished: tuple[Study, Store, Path], tmp_path: Path) -> None:
    """Two transfers are new: the same numbers follow as in the folder that made the base itself."""
    _, _, archive = finished
    more, there = ready(BIGGER, tmp_path / "there")
    assert bring_in(there, more, archive) == 6
    assert words(there, more).count(OPEN) == 2
    run_all(more, there, 1)
    again, whole = ready(BIGGER, tmp_path / "whole")
    run_all(again, whole, 8)
    assert comparable(write_table(there, more, 3)) == comparable(write_table(whole, again, 3))


def test_the_same_cells_make_the_same_bytes_and_no_cell_is_dropped(finished: tuple[Study, Store, Path], tmp_path: Path) -> None:
    study, _, archive = finished
    fewer, store = ready(FEW.replace("[1e-4, 1e-3]", "[1e-4]"), tmp_path)
    copy = tmp_path / "copy.tar.xz"
    copy.write_bytes(archive.read_bytes())
    assert bring_in(store, fewer, copy) == len(fewer.cells) < len(study.cells)
    assert put_away(store, fewer, copy) == len(study.cells)  # those that this file has no use for, too
    assert copy.read_bytes() == archive.read_bytes()
    assert bring_in(store, fewer, tmp_path / "none.tar.xz") == 0


def test_networks_stay_where_a_file_starts_nothing_from_them(finished: tuple[Study, Store, Path], tmp_path: Path) -> None:
    _, _, archive = finished
    bases, store = ready(FEW.split("[[transfers]]", maxsplit=1)[0], tmp_path)
    copy = tmp_path / "copy.tar.xz"
    copy.write_bytes(archive.read_bytes())
    assert bring_in(store, bases, copy) == len(bases.cells)
    put_away(store, bases, copy)
    assert members(copy) == members(archive)


def test_only_whole_cells_are_brought(finished: tuple[Study, Store, Path], tmp_path: Path) -> None:
    study, _, archive = finished
    files = members(archive)
    origin = next(cell.base for cell in study.cells.values() if cell.base)
    without = repacked({name: content for name, content in files.items() if not name.endswith(".pt")}, tmp_path / "without.tar.xz")
    fresh, store = ready(FEW, tmp_path / "a")
    assert bring_in(store, fresh, without) == 1  # the base that nothing starts from: transfers do not come without theirs
    assert status(store, fresh, 3)[origin][0] == OPEN
    judged_again = Study(study.name, study.cells, PlaySettings(episodes=3))  # the archive lacks these figures
    assert bring_in(open_store(tmp_path / "b"), judged_again, archive) == 0


def test_what_could_not_be_read_again_is_not_written(
    finished: tuple[Study, Store, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, store, archive = finished
    with tarfile.open(archive) as tar:
        size = sum(entry.size for entry in tar)
    copy = tmp_path / "copy.tar.xz"
    monkeypatch.setattr("crar_model.studies.archive.LIMIT", size - 1)
    with pytest.raises(UserError, match="an archive holds up to"):
        put_away(store, study, copy)
    assert not copy.exists()
    monkeypatch.setattr("crar_model.studies.archive.LIMIT", size)
    put_away(store, study, copy)
    assert copy.read_bytes() == archive.read_bytes()
    put_away(store, study, copy)  # and it can be read


def test_another_study_is_refused(finished: tuple[Study, Store, Path], tmp_path: Path) -> None:
    _, _, archive = finished
    other, store = ready(FEW.replace('name = "small"', 'name = "other"'), tmp_path)
    for wrong in (bring_in, put_away):
        with pytest.raises(UserError, match=r"all\.tar\.xz: holds the study 'small', not 'other'"):
            wrong(store, other, archive)


@pytest.mark.parametrize("name", ["../outside.json", "/outside.json", "cells/../outside.json", "cells/x/y/record.json", "cells/x/run.sh"])
def test_names_that_an_archive_does_not_have_are_refused(name: str, finished: tuple[Study, Store, Path], tmp_path: Path) -> None:
    fresh, store = ready(FEW, tmp_path / "a")
    wrong = repacked({**members(finished[2]), name: b"{}"}, tmp_path / "wrong.tar.xz")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match="not an archive of a study"):
        bring_in(store, fresh, wrong)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_cell_under_the_name_of_another_is_refused(finished: tuple[Study, Store, Path], tmp_path: Path) -> None:
    """A cell's name is that of its content, so an altered cell cannot stand for one that the study wants."""
    study, _, archive = finished
    first, second = list(study.cells)[:2]
    files = members(archive)
    files[f"cells/{first}/cell.json"] = files[f"cells/{second}/cell.json"]
    fresh, store = ready(FEW, tmp_path / "a")
    with pytest.raises(UserError, match="not an archive of a study"):
        bring_in(store, fresh, repacked(files, tmp_path / "wrong.tar.xz"))


def test_damage_is_one_line(finished: tuple[Study, Store, Path], tmp_path: Path) -> None:
    study, _, archive = finished
    whole, rng = archive.read_bytes(), np.random.default_rng(0)
    fresh, store = ready(FEW, tmp_path / "a")
    copies = [damage(whole, rng) for damage in (flipped, zeroed, spliced) for _ in range(20)]
    copies += [whole[: len(whole) * k // 10] for k in range(10)] + [b"no archive", lzma.compress(b"no archive")]
    damaged, lines = tmp_path / "damaged.tar.xz", []
    for content in copies:
        damaged.write_bytes(content)
        try:
            bring_in(store, fresh, damaged)
        except UserError as error:
            lines.append(str(error))
    assert all(line.startswith(f"{damaged}: ") for line in lines)
    assert len(lines) >= len(copies) - 5  # a splice can be of equal bytes
    assert words(store, fresh).count(DONE) in (0, len(study.cells))


def test_transfers_of_another_network_of_a_base_are_kept_apart(finished: tuple[Study, Store, Path], tmp_path: Path) -> None:
    """Kinds of machines differ in the last bits, so a base that was made here is not the archive's by its name alone."""
    _, _, archive = finished
    fresh, store = ready(FEW, tmp_path / "a")
    origin = next(cell.base for cell in fresh.cells.values() if cell.base)
    bring_in(store, fresh, archive)
    files, own = members(archive), store.folder(origin) / "model.pt"
    own.write_bytes(own.read_bytes() + b"another zip, the same network")
    copy = tmp_path / "copy.tar.xz"
    copy.write_bytes(archive.read_bytes())
    assert put_away(store, fresh, copy) == len(fresh.cells)
    copy.write_bytes(archive.read_bytes())
    judged = store.judged_path(origin, fresh.how)
    whole = judged.read_text()
    figures = json.loads(whole)
    figures["last"]["digest"] = "another"
    judged.write_text(json.dumps(figures))
    for wrong in (bring_in, held, put_away):
        with pytest.raises(UserError, match=rf"copy\.tar\.xz: has another network of the base {origin}"):
            wrong(store, fresh, copy)
    judged.unlink()  # another file, and nothing known of it
    with pytest.raises(UserError, match="another network"):
        bring_in(store, fresh, copy)
    own.write_bytes(files[f"cells/{origin}/model.pt"])
    assert bring_in(store, fresh, copy) == 0


def test_it_is_kept_now_and_then(finished: tuple[Study, Store, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, store, archive = finished
    said: list[str] = []
    keeper = Keeper(store, study, tmp_path / "kept.tar.xz", said.append)
    keeper.now_and_then()
    assert not keeper.path.exists()  # not yet time
    monkeypatch.setattr("crar_model.studies.archive.EVERY", 0.0)
    keeper.now_and_then()
    assert not keeper.path.exists()  # nothing new
    keeper.had = set()
    keeper.now_and_then()
    assert keeper.path.read_bytes() == archive.read_bytes()
    keeper.path.write_bytes(b"damaged")
    keeper.had = set()
    keeper.now_and_then()  # and the run goes on
    assert said[0].startswith("not kept now: ")
    with pytest.raises(UserError, match="not an archive"):
        keeper.keep()

    def broken(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("crar_model.studies.archive.put_away", broken)
    assert not keeper.try_to_keep()
    assert said[-1] == "not kept now: no space left"


def test_what_it_holds_is_told_without_being_brought(finished: tuple[Study, Store, Path], tmp_path: Path) -> None:
    study, _, archive = finished
    fresh, store = ready(FEW, tmp_path)
    assert held(store, fresh, archive) == list(study.cells)
    assert words(store, fresh) == [OPEN] * len(study.cells)
    bring_in(store, fresh, archive)
    assert held(store, fresh, archive) == []


def test_networks_can_be_left_out_and_their_bases_are_made_again(finished: tuple[Study, Store, Path], tmp_path: Path) -> None:
    """Bases are cheap in some studies and their networks are all that is large: a longer file trains them anew, to the same bits."""
    study, store, archive = finished
    light, slim = replace(study, archive_networks=False), tmp_path / "slim.tar.xz"
    assert put_away(store, light, slim) == len(study.cells)
    assert not [name for name in members(slim) if name.endswith(".pt")]
    same, folder = ready(FEW, tmp_path / "same")
    same = replace(same, archive_networks=False)
    assert bring_in(folder, same, slim) == len(study.cells)
    assert waiting(folder, same, slim) == []
    assert write_table(folder, same, 3).read_bytes() == write_table(store, study, 3).read_bytes()
    more, there = ready(BIGGER, tmp_path / "there")
    more = replace(more, archive_networks=False)
    brought = bring_in(there, more, slim)
    first = waiting(there, more, slim)
    assert len(held(there, more, slim)) == len(study.cells) - len(first) - brought  # what still comes, when these have been made again
    assert first == [
        name for name, cell in more.cells.items() if not cell.base and any(other.base == name for other in more.cells.values())
    ]
    run_all(replace(more, cells={name: more.cells[name] for name in first}), there, 8)
    assert bring_in(there, more, slim) == len(study.cells) - len(first) - 1
    assert waiting(there, more, slim) == []
    put_away(there, more, slim)
    assert {name.split("/")[1] for name in members(slim) if name.endswith(".pt")} == set(first)  # their transfers are open
    run_all(more, there, 1)
    again, whole = ready(BIGGER, tmp_path / "whole")
    run_all(again, whole, 8)
    assert comparable(write_table(there, more, 3)) == comparable(write_table(whole, again, 3))
    assert bring_in(open_store(tmp_path / "none"), light, archive) == len(study.cells)  # one with networks stands for one without
