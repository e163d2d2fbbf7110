"""`crar maps`: which transfers and cures succeed through which observation map, counted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from crar_model.checkpoints import Checkpoint, load_checkpoint
from crar_model.errors import UserError
from crar_model.files import StrPath, write_text
from crar_model.settings import PlaySettings
from crar_model.training.variants import VARIANTS
from reports import console
from reports.cure import as_good
from reports.cures import clustered
from reports.markdown import render
from reports.models import expand, judge
from reports.statistics import share

Plain = dict[str, Any]


def write_maps(
    transfers: Sequence[StrPath], folder: StrPath, *, cures: Sequence[StrPath] = (), how: PlaySettings | None = None, command: str = ""
) -> Plain:
    """Count successes by map, by variant or cure, and by base, and write `report.md` and `results.json`.

    Args:
        transfers: run folders and checkpoints of transfers, whose bases are where they say.
        folder: made if missing.
        cures: folders of tables that `crar cure` wrote; a cure counts as restored or not.
        how: how agents are scored, where a maze has a score.
        command: shown in the report.

    Returns:
        what `results.json` holds.

    Raises:
        UserError: for transfers that name no base, and folders without a table.
    """
    folder, how = Path(folder), how or PlaySettings(episodes=100)
    rows = _transfers(expand(transfers), how) + [row for path in cures for row in _cures(Path(path))]
    if not rows:
        raise UserError("nothing to count; give transfers with --transfer or tables of crar cure with --cures")
    cells: dict[tuple[str, str], list[Plain]] = {}
    for row in rows:
        cells.setdefault((row["map"], row["way"]), []).append(row)
    table = []
    for (name, way), those in sorted(cells.items()):
        by_base: dict[str, list[bool]] = {}
        for row in those:
            by_base.setdefault(row["base"], []).append(row["good"])
        bases = {base: {"count": sum(values), "of": len(values)} for base, values in by_base.items()}
        spread = clustered(list(by_base.values()))
        table.append({"map": name, "updates": round(median(row["updates"] for row in those)), "way": way, "all": share([row["good"] for row in those]), "by_bases": spread, "bases": bases,
                      "bases_all": sum(all(values) for values in by_base.values())})  # fmt: skip
    results = {"command": command, "rows": rows, "table": table}
    write_text(folder / "results.json", json.dumps(results, indent=1) + "\n")
    render("maps.md", folder / "report.md", r=results)
    return results


def _transfers(paths: Sequence[Path], how: PlaySettings) -> list[Plain]:
    rows = []
    with console.progress_bar("maps", "transfers") as tick:
        for number, path in enumerate(paths):
            tick(number, len(paths))
            model = load_checkpoint(path)
            base = Path(str(model.info.get("base") or ""))
            if not model.info.get("base") or not base.is_file():
                raise UserError(
                    f"{path}: {'its base is not there' if model.info.get('base') else 'names no base'}; transfers are judged by theirs"
                )
            (one,), (reference,) = judge([path], base, how=how), judge([base], how=how)
            good = as_good(one.evaluation, reference.evaluation, complete=model.task.sampling.complete)
            rows.append({"path": str(path), "base": str(base), "map": model.task.observation_map.title,
                         "way": _way(model), "updates": updates_of(model), "good": good})  # fmt: skip
        tick(len(paths), len(paths))
    return rows


def _cures(folder: Path) -> list[Plain]:
    try:
        found = json.loads((folder / "results.json").read_text(encoding="utf-8"))["rows"]
        return [
            {"path": row["failed"]["path"], "base": row["base"], "map": load_checkpoint(row["failed"]["path"]).task.observation_map.title,
             "way": f"cure: {row['method']}", "updates": row["budget"]["updates"] + row["budget"]["level_updates"], "good": bool(row["restored"])}
            for row in found
        ]  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder}: no table of crar cure in it; give the --out of `crar cure` with several transfers") from error


def updates_of(model: Checkpoint) -> int:
    """Updates that a transfer took, those of its search and of the level that it looked for among them."""
    search = model.info.get("search") or {}
    return model.updates + int(search.get("updates", 0)) + int(search.get("level_updates", 0))


def _way(model: Checkpoint) -> str:
    """The variant, and of a supervised one how many pairs it learned from."""
    name = str(model.info.get("variant"))
    pairs = (model.info.get("settings") or {}).get("data_size")
    return f"{name}, {pairs} pairs" if name in VARIANTS and VARIANTS[name].supervised else name
