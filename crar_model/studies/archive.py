"""A study's finished cells in one small file: so that it goes on elsewhere, or another day, without the folder that it was made in."""

from __future__ import annotations

import io
import json
import lzma
import tarfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath, parse_json, write_bytes
from crar_model.core.settings import PlaySettings
from crar_model.studies.cells import BEST, LAST, Cell, cell_from
from crar_model.studies.plan import Study
from crar_model.studies.store import STUDY, Store

ABOUT = "study.json"
RECORD = "record.json"
JUDGED = "judged-*.json"
KEPT = ("cell.json", RECORD, "losses.csv", JUDGED, "foresight-*.json", "verdict-losses.json")
"""Of every cell. Networks are kept of bases only, and there those that transfers start from; by a study's wish, only transfers that are open."""
MODELS = ("model.pt", "best.pt")
LIMIT = 2**30
"""Bytes that an archive may unpack to."""
END = 2 * tarfile.BLOCKSIZE
"""Zero bytes that end a tar file."""
EVERY = 600.0
"""Seconds from one writing of an archive to the next while a study runs."""

Entries = dict[str, dict[str, bytes]]


def bring_in(store: Store, study: Study, path: StrPath) -> int:
    """Put the finished cells of an archive where the study lacks them; returns how many. A file that is not there brings none.

    A cell is brought only whole: with the figures that the study asks for and, if transfers of the study start from it, the networks. Where an
    archive lacks those, its transfers wait until their bases are made again (:func:`waiting`).

    Raises:
        UserError: for a file that is damaged, another study's, or with other networks of bases that the folder has.
    """
    entries = _read(Path(path), study.name)
    _refuse_other_bases(store, study, entries, Path(path))
    lacking = _lacking(store, study, entries)
    for name in lacking:
        for file in sorted(entries[name], key=lambda one: one == RECORD):  # the record says that all else is there
            write_bytes(store.folder(name) / file, entries[name][file])
    return len(lacking)


def held(store: Store, study: Study, path: StrPath) -> list[str]:
    """Cells that :func:`bring_in` would bring, at once or when the bases that are :func:`waiting` have been made again; errors as there."""
    entries = _read(Path(path), study.name)
    _refuse_other_bases(store, study, entries, Path(path))
    now = _lacking(store, study, entries)
    first = set(waiting(store, study, path))
    later = [name for name, cell in study.cells.items() if cell.base in first and _figures(store, cell, study.how) in entries.get(name, {})]
    return [*now, *(name for name in later if name not in now and store.record(name) is None)]


def waiting(store: Store, study: Study, path: StrPath) -> list[str]:
    """After :func:`bring_in`, the bases that are made again before their transfers can be brought: the archive lacks networks that others need."""
    if study.archive_networks:
        return []
    entries = _read(Path(path), study.name)
    behind = {cell.base for name, cell in study.cells.items() if cell.base and name in entries and store.record(name) is None}
    return [name for name in study.cells if name in behind and store.record(name) is None]


def _lacking(store: Store, study: Study, entries: Entries) -> list[str]:
    found: list[str] = []
    done: set[str] = set()
    if not study.archive_networks:
        done = {name for name, cell in study.cells.items() if cell.base and _figures(store, cell, study.how) in entries.get(name, {})}
    for name, cell in study.cells.items():
        files = entries.get(name)
        if files is None or store.record(name) is not None or not _whole(store, study, cell, files, done):
            continue
        # without its base it would be judged beside one that is made anew
        if not cell.base or store.record(cell.base) is not None or cell.base in found:
            found.append(name)
    return found


def _refuse_other_bases(store: Store, study: Study, entries: Entries, path: Path) -> None:
    """Keep transfers from one network of a base apart from those of another under its name: kinds of machines differ in the last bits.

    Raises:
        UserError: where the archive has other networks of a base than the folder.
    """
    for name, cell in study.cells.items():
        if cell.base or name not in entries or store.record(name) is None:
            continue
        theirs = entries[name]
        own = {file.name: file.read_bytes() for file in store.folder(name).iterdir() if file.name in MODELS or fnmatch(file.name, JUDGED)}
        alike = [file for file in MODELS if file in own and own[file] == theirs.get(file)]
        here, there = _digests(own), _digests(theirs)
        unlike = [file for file in here if file in there and here[file] != there[file]]
        unknown = [file for file in MODELS if file in own and file in theirs and file not in (*alike, *(here.keys() & there.keys()))]
        if unlike or unknown:
            raise UserError(
                f"{path}: has another network of the base {name} than {store.folder(name) / (unlike or unknown)[0]}, made on another kind of machine; give another --archive, or another --out to go on from this one"
            )


def _digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """Digests of a base's networks, by their file, as they were judged."""
    found: dict[str, str] = {}
    for file, content in files.items():
        if fnmatch(file, JUDGED):
            try:
                figures = parse_json(content)
                found |= {model: figures[which]["digest"] for model, which in zip(MODELS, (LAST, BEST), strict=True) if which in figures}
            except (ValueError, KeyError, TypeError):  # as if it had not been judged
                continue
    return found


def put_away(store: Store, study: Study, path: StrPath) -> int:
    """Write all finished cells to an archive, atomically, beside those that it had; returns how many it holds.

    The same cells make the same bytes.

    Raises:
        UserError: as :func:`bring_in`, for a full disk, and for more than could be read again.
    """
    path = Path(path)
    entries = _read(path, study.name)
    _refuse_other_bases(store, study, entries, path)
    finished = _finished(store, study)
    done = finished if not study.archive_networks else set[str]()
    for name in finished:
        wanted = (*KEPT, *_networks(store, study, study.cells[name], done))
        entries[name] = entries.get(name, {}) | {  # another scoring's figures and networks that another file starts from stay
            file.name: file.read_bytes() for file in store.folder(name).iterdir() if any(fnmatch(file.name, one) for one in wanted)
        }
    about = json.dumps({"format": STUDY, "name": study.name}).encode()
    size = len(about) + sum(len(content) for files in entries.values() for content in files.values())
    if size > LIMIT:  # what cannot be read again is not written
        raise UserError(
            f"{path}: the finished cells take {size / 1e9:.2f} GB, and an archive holds up to {LIMIT / 1e9:.2f}; they are in --out, leave --archive out"
        )
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:xz") as tar:
        _add(tar, ABOUT, about)
        for name in sorted(entries):
            for file in sorted(entries[name]):
                _add(tar, f"cells/{name}/{file}", entries[name][file])
    write_bytes(path, content.getvalue())
    return len(entries)


class Keeper:
    """Keeps an archive up to date while a study runs: a machine that is lent may be gone without a word.

    Args:
        store, study, path: of :func:`put_away`.
        say: told what was kept at the end, and what could not be kept in between.
    """

    def __init__(self, store: Store, study: Study, path: StrPath, say: Callable[[str], None]) -> None:
        self.store, self.study, self.path, self.say = store, study, path, say
        self.last, self.had = time.monotonic(), _finished(self.store, self.study)

    def now_and_then(self) -> None:
        """Write the archive where the last time is ten minutes ago and there is something new. One that cannot be written now does not end the run."""
        if time.monotonic() - self.last < EVERY:
            return
        self.last, finished = time.monotonic(), _finished(self.store, self.study)
        if finished != self.had and self.try_to_keep():
            self.had = finished

    def try_to_keep(self) -> bool:
        """Write the archive; says why where that cannot be, and returns whether it was."""
        try:
            put_away(self.store, self.study, self.path)
        except (UserError, OSError) as error:
            self.say(f"not kept now: {error}")
            return False
        return True

    def keep(self) -> None:
        """Write the archive and say what it has; errors as :func:`put_away`."""
        self.say(f"{self.path} has {put_away(self.store, self.study, self.path)} finished cells")


def _finished(store: Store, study: Study) -> set[str]:
    """Cells that are done and judged."""
    return {name for name in study.cells if store.record(name) is not None and store.judged(name, study.how) is not None}


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _networks(store: Store, study: Study, cell: Cell, done: Collection[str] = ()) -> set[str]:
    """Files of the networks of a cell that others of the study start from, but for those that are done."""
    return {store.model(cell.name, other.start).name for name, other in study.cells.items() if other.base == cell.name and name not in done}


def _whole(store: Store, study: Study, cell: Cell, files: dict[str, bytes], done: Collection[str]) -> bool:
    return {_figures(store, cell, study.how), *_networks(store, study, cell, done)} <= set(files)


def _figures(store: Store, cell: Cell, how: PlaySettings) -> str:
    return store.judged_path(cell.name, how).name


def _read(path: Path, study: str) -> Entries:
    """The files of every cell, by the cell's name; only names that an archive has are taken."""
    if not path.exists():
        return {}
    damaged = UserError(f"{path}: not an archive of a study, damaged, or of another version of crar; name another --archive, or remove it")
    try:
        files = dict(_files(path))
    except (OSError, tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise damaged from error
    entries: Entries = {}
    try:
        about = parse_json(files.pop(ABOUT))
        if about["format"] != STUDY:
            raise damaged
        for full, content in files.items():
            folder, name, file = full.split("/")
            if folder != "cells" or not any(fnmatch(file, one) for one in (*KEPT, *MODELS)):
                raise damaged
            entries.setdefault(name, {})[file] = content
        for name, own in entries.items():
            if RECORD not in own or cell_from(parse_json(own["cell.json"]), where=str(path)).name != name:
                raise damaged
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged from error
    if about["name"] != study:
        raise UserError(f"{path}: holds the study {about['name']!r}, not {study!r}; name another --archive, or give the file its name")
    return entries


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(_unpacked(path)), mode="r:") as tar:
        left = LIMIT
        for entry in tar:
            left -= entry.size
            content = tar.extractfile(entry) if entry.isfile() and left >= 0 else None
            if content is None:
                raise tarfile.TarError(entry.name)
            yield entry.name, content.read()


def _unpacked(path: Path) -> bytes:
    """The tar file in an archive. It is looked at to its last byte: `tarfile` reads no further than its last entry, and the check sums stand
    behind that.

    Raises:
        EOFError: where either has no end, or something follows it.
    """
    unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ)
    content = unpacker.decompress(path.read_bytes(), LIMIT + LIMIT // 8)
    if not unpacker.eof or unpacker.unused_data or not content.endswith(bytes(END)):
        raise EOFError(path)
    return content
