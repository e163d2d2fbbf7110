"""`crar maps`: which transfers and cures succeed through which observation map, counted."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from crar_model.core.errors import UserError
from crar_model.core.files import Plain, StrPath, read_json
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
from crar_reports.pages.cure.many import clustered
from crar_reports.pages.maps_view import USUAL, maps_view, needs_the_negative, survivals
from crar_reports.press.publish import RESULTS, publish
from crar_reports.sections import place_of
from crar_reports.statistics import share, share_by_base

STATE = "maps-state"
"""Folder of unfinished work inside that of the page."""
TOLD = {"decay": "learning_rate_decay", "batch": "batch_size", "for": "updates", "rule": "update_rule"}
"""Settings that tell transfers of one variant apart, besides the learning rate, and what they are called."""
SPENT = ("effort", "budget")
"""And what tells cures of one method apart."""


def write_maps(
    transfers: Sequence[StrPath], folder: StrPath, *, cures: Sequence[StrPath] = (), how: PlaySettings | None = None, command: str = ""
) -> Plain:
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
    kept: dict[tuple[object, ...], Plain] = {}
    for row in rows:  # one network counts once, under however many paths and beside however many bases it stands
        if row["place"] != rows[0]["place"]:
            raise UserError(
                f"{row['path']}: of the {row['maze']} maze{_also(row)}, but {rows[0]['path']} is of the {rows[0]['maze']} maze{_also(rows[0])}; count them apart"
            )
        kept.setdefault((row["digest"], row["map"], row["way"], json.dumps(row["settings"], sort_keys=True)), row)
    rows, copies = list(kept.values()), len(rows) - len(kept)
    _tell_apart(rows)
    results = {"command": command, "definition": definition(scored=task_named(rows[0]["maze"]).scored), "rows": rows, "copies": copies}
    write_page(results, folder)
    shutil.rmtree(state, ignore_errors=True)
    return results


def _also(row: Plain) -> str:
    return "".join(f" ({what})" for what in row["place"][1:] if what)


def counted(rows: Sequence[Plain]) -> list[Plain]:
    """A row of the table for every map and way, bases told apart by what they are and called what they were called first."""
    called: dict[str, str] = {}
    for row in rows:
        called.setdefault(row["base_digest"], row["base"])
    cells: dict[tuple[str, str], list[Plain]] = {}
    for row in rows:
        cells.setdefault((row["map"], row["way"]), []).append(row)
    table = []
    for (name, way), those in sorted(cells.items(), key=lambda item: (item[0][0], _numbered(item[0][1]))):
        by_base: dict[str, list[bool]] = {}
        for row in those:
            by_base.setdefault(called[row["base_digest"]], []).append(row["good"])
        groups = list(by_base.values())
        table.append({
            "map": name, "way": way, "usual": those[0]["variant"] == USUAL, "updates": round(median(row["updates"] for row in those)),
            "all": share_by_base(groups), "by_bases": clustered(groups),
            "bases": {base: {"count": sum(values), "of": len(values)} for base, values in by_base.items()},
            "all_of_base": share([all(values) for values in groups]), "any_of_base": share([any(values) for values in groups]),
        })  # fmt: skip
    return table


def write_page(results: Plain, folder: StrPath) -> None:
    """Write `report.md` and `results.json` from rows and table; what is said of them is said anew."""
    if "definition" not in results:
        scored = any(task_named(row["maze"]).scored for row in results["rows"])
        results["definition"] = EARLIER if scored else definition(scored=False)
    rows = results["table"] = counted(results["rows"])
    bases = sorted({base for row in rows for base in row["bases"]}, key=_numbered)
    results |= {"needs": needs_the_negative(rows), "survives": survivals(rows), "bases": bases}
    publish(folder, "maps.md", {"r": results, **maps_view(results)}, results, short=True)


def _numbered(name: str) -> list[tuple[bool, int, str]]:
    """A key by which 2 pairs come before 16."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", name)]


def _tell_apart(rows: Sequence[Plain]) -> None:
    """Where a variant was tried with several values of a setting, through whatever maps, each is a way of its own."""
    seen: dict[tuple[str, str], set[float | str]] = {}
    for row in rows:
        for name, value in row["settings"].items():
            seen.setdefault((row["way"], name), set()).add(value)
    for row in rows:
        own = [f"{name} {_text(value)}" for name, value in row["settings"].items() if len(seen[row["way"], name]) > 1]
        row["way"] = ", ".join([row["way"], *own])


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _transfers(paths: Sequence[Path], how: PlaySettings, state: Path) -> list[Plain]:
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
            rows.append({
                "path": as_given(path), "digest": model.digest, "maze": model.maze, "place": place_of(model), "base": as_given(base), "base_digest": load_checkpoint(base).digest, "map": model.task.observation_map.title,
                "variant": str(model.info["variant"]), "way": _way(model), "settings": _settings(model), "updates": updates_of(model),
                "good": succeeds(path, base, how, state),
            })  # fmt: skip
        tick(len(paths), len(paths))
    return rows


CURES = {
    "settings": dict.fromkeys(SPENT, float),
    "rows": [{
        "failed": {"path": str, "digest": str}, "base": str, "base_digest": str, "method": str, "restored": (bool, None),
        "budget": {"updates": int, "level_updates": int},
    }],
}  # fmt: skip
"""What a table of cures holds."""


def _cures(folder: Path) -> list[Plain]:
    table = read_json(folder / RESULTS, CURES, "give the --out of `crar cure` with several transfers")
    settings = {name: table["settings"][name] for name in SPENT}
    rows = []
    for row in table["rows"]:
        failed = (
            row["failed"] if "place" in row["failed"] else row["failed"] | _seen(row["failed"]["path"], row["failed"]["digest"], folder)
        )
        rows.append({
            "path": failed["path"], "digest": failed["digest"], "maze": failed["maze"], "place": failed["place"], "base": row["base"],
            "base_digest": row["base_digest"], "variant": "", "map": failed["map"], "way": f"cure: {row['method']}",
            "settings": settings, "updates": row["budget"]["updates"] + row["budget"]["level_updates"], "good": bool(row["restored"]),
        })  # fmt: skip
    return rows


def _seen(path: str, digest: str, folder: Path) -> Plain:
    """The maze and the map of a transfer that an older table of cures names."""
    for place in places(path, folder):
        model = load_checkpoint(place)
        if model.digest == digest:
            return {"maze": model.maze, "place": place_of(model), "map": model.task.observation_map.title}
    raise UserError(f"{folder / 'results.json'}: the transfer {path} that it names is not there; make the table again with `crar cure`")


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
