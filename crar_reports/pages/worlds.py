"""Worlds that nobody here made, side by side: does the trap exist there, what gets out of it, and where does the method end?

Made from the folders of `crar study` and of `crar cure` on its failed transfers; nothing is measured here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from crar_model.agent.symmetry import RIGHT, VERDICTS
from crar_model.core.errors import UserError
from crar_model.core.files import StrPath, read_json
from crar_model.tasks.worlds import ABSTRACT
from crar_model.training.variants import BASE
from crar_reports.figures.shares import shares_figure
from crar_reports.pages.cure.records import Made, Table
from crar_reports.pages.study.rows import DONE, USUAL, Row, by, number, success, told
from crar_reports.pages.study.table import FILE, read_table
from crar_reports.pages.worlds_view import Mended, OneWorld, Through, Worlds, worlds_view
from crar_reports.press.publish import RESULTS, publish
from crar_reports.sections import map_of
from crar_reports.statistics import share_by_base

REACHED = "last_navigation_success"


@dataclass(frozen=True)
class _Study:
    command: str


def write_page(results: Worlds, folder: StrPath) -> Worlds:
    """Write `report.md`, `results.json` and the figure of records into a folder, made if missing; what is said of them is said anew."""
    panels = [
        (
            each.name,
            [(f"freeze, {one.map}", one.by_base) for one in each.through] + [(f"cure: {one.method}", one.by_base) for one in each.mended],
        )
        for each in results.worlds
    ]
    figure = shares_figure(panels, "share that succeeded, or was restored")
    publish(folder, "worlds.md", {"r": results, **worlds_view(results.worlds)}, results, {"shares.png": figure}, short=True)
    return results


def one_world(study: StrPath, cures: StrPath | None) -> OneWorld:
    """The record of a world.

    Args:
        study: folder of a study of one world.
        cures: folder of the table of cures of its failed transfers, or None.

    Raises:
        UserError: for a study of no world or of several, one without a transfer that is done, and cures of transfers of another study.
    """
    study, cures = Path(study), None if cures is None else Path(cures)
    rows = read_table(study / FILE)
    names = {row.get("world", "") for row in rows}
    if len(names) != 1 or "" in names:
        raise UserError(f"{study}: a study of {len(names - {''})} worlds of one's own; give one of a single world")
    bases = [row for row in rows if row["variant"] == BASE.name and row["status"] == DONE]
    transfers = [row for row in rows if row["variant"] == USUAL]
    if not bases or not told(transfers):
        raise UserError(f"{study}: no `{USUAL}` transfer is done; go on with the study")
    able = sorted(number(row, "last_nearest_state_accuracy") for row in bases)
    reached = [number(row, REACHED) for row in bases if row.get(REACHED)]
    table = None if cures is None else read_json(cures / RESULTS, Table, "give the --out of `crar cure` with several transfers")
    made = [read_json(study / RESULTS, _Study, "make the page with `crar study`").command, *([table.command] if table else [])]
    return OneWorld(
        names.pop().partition(", ")[0], rows[0]["judged_on"], len(bases), int(bases[0]["updates"]),
        (median(able), able[0], able[-1]), [_through(name, own) for name, own in by_map(transfers).items()],
        _mended(table, {row["last_digest"] for row in bases}, sum(not success(row) for row in told(transfers)), cures) if table else [],
        list(map(_short, made)), numbers=int(bases[0].get("abstract_dim") or 0) or ABSTRACT, reached=median(reached) if len(reached) == len(bases) else None,
        even_moves=bases[0].get("even_moves") == "1",
    )  # fmt: skip


def by_map(rows: Sequence[Row]) -> Mapping[str, list[Row]]:
    """Rows by the name of their map."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(map_of(row).name, []).append(row)
    return found


def _through(name: str, rows: Sequence[Row]) -> Through:
    done = told(rows)
    groups = list(by(done, "base").values())
    good = [[success(row) for row in group] for group in groups]
    right = [[row["outcome"] in RIGHT for row in group] for group in groups]
    verdicts = {word: count for word in (*VERDICTS, "diverged") if (count := sum(row["outcome"] == word for row in done))}
    return Through(name, int(rows[0]["updates"]), len(rows) - len(done), share_by_base(good), share_by_base(right), verdicts, good)


def _mended(table: Table, bases: set[str], failed: int, cures: Path | None) -> list[Mended]:
    found = []
    if foreign := [row.failed.path for row in table.rows if row.base_digest not in bases]:
        raise UserError(f"{cures}: {foreign[0]} is of a base that the study does not have; give the cures of its own transfers")
    for method in dict.fromkeys(row.method for row in table.rows):
        rows = [row for row in table.rows if row.method == method]

        def groups(of: Sequence[Made]) -> list[list[bool]]:
            each: dict[str, list[bool]] = {}
            for row in of:
                each.setdefault(row.base_digest, []).append(bool(row.restored))
            return list(each.values())

        maps = dict.fromkeys(row.failed.map.partition(",")[0] for row in rows)
        found.append(Mended(
            method, share_by_base(groups(rows)), groups(rows),
            {name: share_by_base(groups([row for row in rows if row.failed.map.partition(",")[0] == name])) for name in maps},
            sum(row.cured and not row.restored for row in rows), round(median(row.budget.updates + row.budget.level_updates for row in rows)),
            failed, next((one.valley for one in table.table if one.method == method), None),
        ))  # fmt: skip
    return found


def _short(command: str) -> str:
    """A command whose many models are named once."""
    words = command.split(" --from ")
    return command if len(words) < 3 else f"{words[0]} --from {words[1]} ... --from {words[-1]}"
