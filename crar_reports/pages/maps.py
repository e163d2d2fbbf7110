"""`crar maps`: which transfers and cures succeed through which observation map, counted."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath, read_json
from crar_model.core.places import places
from crar_model.core.settings import PlaySettings
from crar_model.models.checkpoints import Checkpoint, load_checkpoint
from crar_model.models.merit import EARLIER, definition
from crar_model.samples import as_given
from crar_model.tasks import task_named
from crar_model.training.search import searched
from crar_model.training.variants import VARIANTS
from crar_reports import progress as console
from crar_reports.models.judged import expand, succeeds
from crar_reports.pages.cure.records import Failed, Table
from crar_reports.pages.maps_view import USUAL, Cell, Maps, Row, Tally, maps_view, needs_the_negative, survivals
from crar_reports.press.publish import RESULTS, publish
from crar_reports.sections import place_of
from crar_reports.statistics import clustered, share, share_by_base

STATE = "maps-state"
"""Folder of unfinished work inside that of the page."""
TOLD = {"decay": "learning_rate_decay", "batch": "batch_size", "for": "updates", "rule": "update_rule"}
"""Settings that tell transfers of one variant apart, besides the learning rate, and what they are called."""


def write_maps(
    transfers: Sequence[StrPath], folder: StrPath, *, cures: Sequence[StrPath] = (), how: PlaySettings | None = None, command: str = ""
) -> Maps:
    """Count successes by map, by variant or cure, and by base, and write `report.md` and `results.json`.

    Args:
        transfers: run folders and checkpoints of transfers, whose bases are where they say.
        folder: made if missing; outcomes that an interrupted call has found are kept there.
        cures: folders of tables that `crar cure` wrote; a cure counts as restored or not.
        how: how agents are scored, where a maze has a score.
        command: shown in the report.

    Returns:
        what `results.json` holds.

    Raises:
        UserError: for transfers that name no base, and folders without a table.
    """
    how = how or PlaySettings(episodes=100)
    once = {path.resolve(): path for path in expand(transfers)}
    state = Path(folder) / STATE
    rows = _transfers(list(once.values()), how, state) + [row for path in cures for row in _cures(Path(path))]
    if not rows:
        raise UserError("nothing to count; give transfers with --transfer or tables of crar cure with --cures")
    kept: dict[tuple[object, ...], Row] = {}
    for row in rows:  # one network counts once, under however many paths and beside however many bases it stands
        if row.place != rows[0].place:
            raise UserError(
                f"{row.path}: of the {row.maze} maze{_also(row)}, but {rows[0].path} is of the {rows[0].maze} maze{_also(rows[0])}; count them apart"
            )
        kept.setdefault((row.digest, row.map, row.way, *sorted(row.settings.items())), row)
    told, task = told_apart(list(kept.values())), task_named(rows[0].maze)
    results = write_page(Maps(command, told, len(rows) - len(kept), definition(scored=task.scored, world=task.known_by_data)), folder)
    shutil.rmtree(state, ignore_errors=True)
    return results


def _also(row: Row) -> str:
    return "".join(f" ({what})" for what in row.place[1:] if what)


def counted(rows: Sequence[Row]) -> list[Cell]:
    """A row of the table for every map and way, bases told apart by what they are and called what they were called first."""
    called: dict[str, str] = {}
    for row in rows:
        called.setdefault(row.base_digest, row.base)
    cells: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        cells.setdefault((row.map, row.way), []).append(row)
    table = []
    for (name, way), those in sorted(cells.items(), key=lambda item: (item[0][0], _numbered(item[0][1]))):
        by_base: dict[str, list[bool]] = {}
        for row in those:
            by_base.setdefault(called[row.base_digest], []).append(row.good)
        groups = list(by_base.values())
        table.append(Cell(
            name, way, those[0].variant == USUAL, round(median(row.updates for row in those)), share_by_base(groups), clustered(groups),
            {base: Tally(sum(values), len(values)) for base, values in by_base.items()},
            share([all(values) for values in groups]), share([any(values) for values in groups]),
        ))  # fmt: skip
    return table


def write_page(results: Maps, folder: StrPath) -> Maps:
    """Write `report.md` and `results.json` from the rows; what is said of them is said anew. Returns the whole."""
    scored = any(task_named(row.maze).scored for row in results.rows)
    said = results.definition or (EARLIER if scored else definition(scored=False))
    table = counted(results.rows)
    bases = sorted({base for row in table for base in row.bases}, key=_numbered)
    results = replace(results, definition=said, table=table, needs=needs_the_negative(table), survives=survivals(table), bases=bases)
    publish(folder, "maps.md", {"r": results, **maps_view(results)}, results, short=True)
    return results


def _numbered(name: str) -> list[tuple[bool, int, str]]:
    """A key by which 2 pairs come before 16."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", name)]


def told_apart(rows: Sequence[Row]) -> list[Row]:
    """Where a variant was tried with several values of a setting, through whatever maps, each is a way of its own."""
    seen: dict[tuple[str, str], set[float | str]] = {}
    for row in rows:
        for name, value in row.settings.items():
            seen.setdefault((row.way, name), set()).add(value)

    def own(row: Row) -> list[str]:
        return [f"{name} {_text(value)}" for name, value in row.settings.items() if len(seen[row.way, name]) > 1]

    return [replace(row, way=", ".join([row.way, *own(row)])) for row in rows]


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _transfers(paths: Sequence[Path], how: PlaySettings, state: Path) -> list[Row]:
    rows = []
    with console.progress_bar("maps", "transfers") as tick:
        for number, path in enumerate(paths):
            tick(number, len(paths))
            model = load_checkpoint(path)
            base = model.base_file
            if base is None:
                raise UserError(
                    f"{path}: {'its base is not there' if model.base_name else 'names no base'}; transfers are judged by theirs"
                )
            rows.append(Row(
                as_given(path), model.digest, model.maze, as_given(base), load_checkpoint(base).digest, model.task.observation_map.title,
                str(model.info["variant"]), _way(model), _settings(model), updates_of(model), succeeds(path, base, how, state), tuple(place_of(model)),
            ))  # fmt: skip
        tick(len(paths), len(paths))
    return rows


def _cures(folder: Path) -> list[Row]:
    table = read_json(folder / RESULTS, Table, "give the --out of `crar cure` with several transfers")
    rows = []
    for row in table.rows:
        failed = row.failed if row.failed.place else _seen(row.failed, folder)
        rows.append(Row(
            failed.path, failed.digest, failed.maze, row.base, row.base_digest, failed.map, "", f"cure: {row.method}", {"effort": table.settings.effort, "budget": table.settings.budget},
            row.budget.updates + row.budget.level_updates, bool(row.restored), failed.place,
        ))  # fmt: skip
    return rows


def _seen(failed: Failed, folder: Path) -> Failed:
    """With the maze and the map of a transfer that an older table of cures names."""
    for place in places(failed.path, folder):
        model = load_checkpoint(place)
        if model.digest == failed.digest:
            return replace(failed, maze=model.maze, place=tuple(place_of(model)), map=model.task.observation_map.title)
    raise UserError(f"{folder / RESULTS}: the transfer {failed.path} that it names is not there; make the table again with `crar cure`")


def updates_of(model: Checkpoint) -> int:
    """Updates that a transfer took, those of its search and of the level that it looked for among them."""
    return model.updates + searched(model.info)


def _settings(model: Checkpoint) -> dict[str, float | str]:
    """Settings by which transfers of one variant may differ."""
    stored = model.info.get("settings") or {}
    return {"rate": float(model.info["learning_rate"])} | {short: stored[name] for short, name in TOLD.items() if name in stored}


def _way(model: Checkpoint) -> str:
    """The variant, and of a supervised one how many pairs it learned from."""
    name = str(model.info.get("variant"))
    pairs = (model.info.get("settings") or {}).get("data_size")
    return f"{name}, {pairs} pair{'s' if pairs != 1 else ''}" if name in VARIANTS and VARIANTS[name].supervised else name
