"""Reads the file of a study and expands it into cells: bases first, then the transfers that start from them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath, read_text
from crar_model.core.ranges import MOST_WHOLE, in_keys
from crar_model.core.settings import KINDS, LossSettings, PlaySettings, TrainSettings, from_plain, load_toml, merged, to_plain
from crar_model.core.sizes import CELL, check_one
from crar_model.mazes.maps import ObservationMap
from crar_model.studies.cells import BEST, LAST, Cell
from crar_model.tasks import Task, default_settings, task_named, task_of
from crar_model.tasks.checks import check_settings
from crar_model.training.members import transferred, with_file
from crar_model.training.variants import BASE, VARIANTS

TOP = ("name", "pages", "archive_networks", "bases", "transfers", "evaluation")
PAGES = ("terms", "variants", "rates", "dependence", "times", "cost")
"""Parts of the report: terms of single models (Figure 16), variants (17), learning rates (18), dependence on the base, updates until success, cost."""
OF_BASES = ("name", "seeds")
SEED_DIGITS = 6
"""Hexadecimal digits of a base's name that are added to the seeds of what starts afresh beside it."""
OF_TRANSFERS = ("name", "bases", "first", "variants", "rates", "seeds", "maps", "reset", "paired", "start")
SETTINGS = tuple(item.name for item in dataclasses.fields(TrainSettings) if item.metadata)
OF_THE_BASE = ("maze", "walls", "observation", "inverse")
"""Settings that a transfer has from its base."""
OF_THE_STUDY = ("seed", "workers")
"""Settings that the study decides: seeds have a key of their own, the workers are those of the cluster."""
MAP = tuple(name for name in SETTINGS if name.startswith("map_") or name == "observation_map")
RESETS = ("glorot", "permute")
IN_A_STUDY = {"variant": "variants", "rate": "rates", "from": "bases", "members": "seeds"}
"""Flags whose keys have another name in a study's file."""


@dataclass(frozen=True)
class Study:
    """A study's file, expanded.

    Attributes:
        name: of the study; a folder keeps to one.
        cells: name -> cell; a base stands before what starts from it.
        how: how finished models are scored.
        pages: parts of the report that are made, of :data:`PAGES`.
        archive_networks: whether an archive keeps the network of a base whose transfers are all done.
    """

    name: str
    cells: dict[str, Cell]
    how: PlaySettings
    pages: tuple[str, ...] = PAGES
    archive_networks: bool = True


def read_study(path: StrPath) -> Study:
    """Read and expand a study's file.

    Raises:
        UserError: for a file that is not TOML, a name that is not known, a value of another type or out of range, and a variant that the
            maze lacks; the line names the file, the place in it and the nearest name that is known.
    """
    path = Path(path)
    content = load_toml(path)
    _known(f"{path}", content, TOP)
    name = _value(f"{path}: name", content.get("name", path.stem), str)
    groups: dict[str, list[Cell]] = {}
    for number, table in enumerate(_tables(path, content, "bases"), 1):
        where = f"{path}: [[bases]] {table.get('name', number)}"
        label = _value(f"{where}: name", table.get("name", f"bases-{number}"), str)
        if label in groups:
            raise UserError(f"{where}: two groups of bases have this name; choose another")
        groups[label] = _bases(path, where, label, table)
    if not groups:
        raise UserError(f"{path}: names no bases; add a table [[bases]] with maze, seeds and updates")
    cells = [cell for group in groups.values() for cell in group]
    for number, table in enumerate(_tables(path, content, "transfers"), 1):
        where = f"{path}: [[transfers]] {table.get('name', number)}"
        cells += _transfers(path, where, table, groups, number)
    how = _evaluation(path, content.get("evaluation", {}))
    networks = _value(f"{path}: archive_networks", content.get("archive_networks", True), bool)
    unique: dict[str, Cell] = {}
    for cell in cells:  # what two tables ask for is made once, under the first one's name
        unique.setdefault(cell.name, cell)
    return Study(name, unique, how, _pages(path, content.get("pages", list(PAGES))), networks)


def _bases(path: Path, where: str, label: str, table: Mapping[str, Any]) -> list[Cell]:
    given = _settings(path, where, table, OF_BASES, OF_THE_STUDY)
    if "maze" not in given:
        raise UserError(f"{where}: names no maze; add maze")
    maze = _value(f"{where}: maze", given["maze"], str)
    with _at(where):
        usual = default_settings(maze)
    settings = from_plain(merged(to_plain(usual), given), where=where)
    with _at(where):
        check_settings(settings)
        settings = with_file(task_of(settings).begun(settings))
    rate = settings.learning_rate
    return [Cell(BASE.name, _own(settings), seed, rate, group=label) for seed in _seeds(where, table)]


def _transfers(path: Path, where: str, table: Mapping[str, Any], groups: Mapping[str, Sequence[Cell]], number: int) -> list[Cell]:
    given = _settings(path, where, table, OF_TRANSFERS, (*OF_THE_BASE, *OF_THE_STUDY))
    label = _value(f"{where}: name", table.get("name", f"transfers-{number}"), str)
    variants = _list(f"{where}: variants", table.get("variants", next(iter(VARIANTS))), str)
    if not variants:
        raise UserError(f"{where}: variants names none; choose from {', '.join(VARIANTS)}")
    rates: list[float | None] = [*_list(f"{where}: rates", table.get("rates", []), float)] or [None]
    reset = _value(f"{where}: reset", table.get("reset", RESETS[0]), str)
    paired = _value(f"{where}: paired", table.get("paired", 500), int)
    first = _value(f"{where}: first", table.get("first", 0), int)
    maps = table.get("maps", [{}])
    if not isinstance(maps, list) or not maps or not all(isinstance(each, dict) for each in maps):
        raise UserError(f"{where}: maps must be a list of tables such as {{ observation_map = 'mirror' }}")
    for each in maps:
        _known(f"{where}: maps", each, MAP)
    if reset not in RESETS:
        raise UserError(f"{where}: reset is {reset!r}; choose {' or '.join(RESETS)}")
    if first < 0:
        raise UserError(f"{where}: first is {first}; give how many bases of each group, at least 1")
    for name in variants:
        _word(f"{where}: variants", name, VARIANTS)
    names = _list(f"{where}: bases", table.get("bases", list(groups)), str)
    seeds, cells = _seeds(where, table), []
    many = sum(len(groups.get(name, ())[: first or None]) for name in names) * len(variants) * len(maps) * len(rates) * len(seeds)
    check_one("cells", many, CELL, lambda _: f"{where}: the number of cells")
    for name in names:
        _word(f"{where}: bases", name, groups)
        for variant in variants:
            for each in maps:
                for base in groups[name][: first or None]:
                    start = _value(f"{where}: start", table.get("start", BEST if base.task.scored else LAST), str)
                    if start not in (LAST, BEST) or (start == BEST and not base.task.scored):
                        raise UserError(f"{where}: start is {start!r}; choose {LAST}" + (f" or {BEST}" if base.task.scored else ""))
                    settings = _transfer_settings(where, base, variant, {**given, **each}, paired)
                    recipe = VARIANTS[variant]
                    for rate in rates:
                        with _at(where, learning_rate="learning_rate" if rate is None else "rates"):
                            own = settings.learning_rate if rate is None else rate
                            check_settings(dataclasses.replace(settings, learning_rate=own))
                        cells += [
                            Cell(
                                variant, _own(settings), seed, own, base.name, start, reset if recipe.start == "fresh-encoder" else "",
                                settings.data_size if recipe.supervised else 0, label,
                            )
                            for seed in (_moved(seeds, base) if recipe.start == "fresh" else seeds)
                        ]  # fmt: skip
    return cells


def _transfer_settings(where: str, base: Cell, variant: str, given: Mapping[str, Any], paired: int) -> TrainSettings:
    task, recipe = task_named(base.settings.maze), VARIANTS[variant]
    own = (*OF_THE_BASE, "data", "data_digest", "abstract_dim", "reward_scale") if task.known_by_data else OF_THE_BASE
    have = {name: getattr(base.settings, name) for name in own}
    seen = ObservationMap.of(to_plain(base.settings)).settings() if base.settings.inverse else {}
    usual = to_plain(default_settings(task.name))
    settings = from_plain(merged(usual, recipe.defaults(task), have, seen, given), where=where)
    with _at(where):
        check_settings(settings)
        settings = transferred(settings, recipe, inverse=not base.settings.inverse, paired=paired)
    with _at(where, data_size="paired"):
        check_settings(settings)
    return settings


def _own(settings: TrainSettings) -> TrainSettings:
    """Without what a member has for itself, so that cells that train together have the same."""
    usual = TrainSettings()
    return dataclasses.replace(settings, seed=usual.seed, learning_rate=usual.learning_rate, workers=1)


def _evaluation(path: Path, table: Any) -> PlaySettings:
    where = f"{path}: [evaluation]"
    names = [item.name for item in dataclasses.fields(PlaySettings)]
    if not isinstance(table, dict):
        raise UserError(f"{path}: evaluation is a single value; make it a table, [evaluation]")
    _known(where, table, names)
    usual = PlaySettings()
    how = PlaySettings(**{name: _value(f"{where}: {name}", value, type(getattr(usual, name))) for name, value in table.items()})
    with _at(where, planning_depth="depth"):
        how.validate()
    return how


def _pages(path: Path, names: Any) -> tuple[str, ...]:
    found = _list(f"{path}: pages", names, str)
    for name in found:
        if name not in PAGES:
            raise UserError(f"{path}: pages: unknown page {name!r}; the nearest known one is {_nearest(name, PAGES)!r}")
    return tuple(name for name in PAGES if name in found)


def _settings(path: Path, where: str, table: Mapping[str, Any], own: Sequence[str], decided: Sequence[str]) -> dict[str, Any]:
    """The training settings among the keys of a table."""
    usable = [name for name in SETTINGS if name not in decided]
    for name in table:
        if name in decided:
            raise UserError(f"{where}: {name} is not for this table; " + ("use seeds" if name == "seed" else "leave it out"))
    _known(where, table, (*own, *usable, "loss"))
    given = {name: value for name, value in table.items() if name not in own}
    loss = given.get("loss", {})
    if not isinstance(loss, dict):
        raise UserError(f"{where}: loss is a single value; make it a table")
    _known(f"{where}: loss", loss, [item.name for item in dataclasses.fields(LossSettings)])
    beside = path.parent
    if "walls" in given:
        if not _value(f"{where}: walls", given["walls"], str):
            raise UserError(f"{where}: walls names no file; give one, or leave it out for the study's maze")
        given["walls"] = read_text(beside / given["walls"], what=f"{where}: walls: ", give="give a text file").strip("\n") + "\n"
    if given.get("data"):
        given["data"] = str((beside / _value(f"{where}: data", given["data"], str)).resolve())
    return given


def _seeds(where: str, table: Mapping[str, Any]) -> list[int]:
    """`seeds = 3` is 0, 1, 2; a list is taken as it is."""
    seeds = table.get("seeds", 1)
    if type(seeds) is int:
        check_one("seeds", seeds, CELL, lambda name: f"{where}: {name}")
    found = list(range(seeds)) if type(seeds) is int else seeds
    if not isinstance(found, list) or not found or not all(type(seed) is int and 0 <= seed <= MOST_WHOLE for seed in found):
        raise UserError(f"{where}: seeds is {seeds!r}; give how many, at least 1, or a list of them, none above {MOST_WHOLE:,}")
    return list(dict.fromkeys(found))


def _moved(seeds: list[int], base: Cell) -> list[int]:
    """The seeds of a base, which share none with another's: a variant that takes nothing from its base would otherwise train the same
    networks once a base."""
    return [seed + int(base.name[:SEED_DIGITS], 16) for seed in seeds]


def _tables(path: Path, content: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    tables = content.get(name, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UserError(f"{path}: {name} must be tables, each under [[{name}]]")
    return tables


def _known(where: str, table: Mapping[str, Any], names: Iterable[str]) -> None:
    """Refuse a key that is none of the names."""
    names = list(names)
    for key in table:
        if key not in names:
            raise UserError(f"{where}: unknown key {key!r}; the nearest known one is {_nearest(key, names)!r}")


def _nearest(word: str, known: Iterable[str]) -> str:
    return get_close_matches(word, list(known), n=1, cutoff=0.0)[0]


def _word(where: str, word: str, known: Iterable[str]) -> None:
    if word not in known:
        raise UserError(f"{where}: {word!r} is not known; choose from {', '.join(known)}")


def _list(where: str, value: Any, kind: type) -> list[Any]:
    return [_value(where, each, kind) for each in (value if isinstance(value, list) else [value])]


def _value(where: str, value: Any, kind: type) -> Any:
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise UserError(f"{where} is {value!r}; it must be {KINDS[kind]}")
    return value


@contextmanager
def _at(where: str, **others: str) -> Iterator[None]:
    """Have errors inside name their place in the file and its keys, `others` where they have another name."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{where}: {in_keys(str(error), IN_A_STUDY | others)}") from error


def parameters(task: Task) -> int:
    """How many numbers a model of a maze has."""
    return sum(math.prod(shape) for shape in task.agent().shapes().values())
