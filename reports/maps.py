"""`crar maps`: which transfers and cures succeed through which observation map, counted."""

from __future__ import annotations

import json
import re
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
from reports.cures import clustered
from reports.markdown import render
from reports.merit import as_good
from reports.models import expand, judge
from reports.statistics import share

Plain = dict[str, Any]
USUAL, NEGATIVE = "freeze", "negative"
WORKS, FAILS, OPEN = "works", "fails", "undecided"
HALF = 0.5
TOLD = {"decay": "learning_rate_decay", "batch": "batch_size", "for": "updates"}
"""Settings that tell transfers of one variant apart, besides the learning rate, and what they are called."""


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
    _tell_apart(rows)
    cells: dict[tuple[str, str], list[Plain]] = {}
    for row in rows:
        cells.setdefault((row["map"], row["way"]), []).append(row)
    table = []
    for (name, way), those in sorted(cells.items(), key=lambda item: (item[0][0], _numbered(item[0][1]))):
        by_base: dict[str, list[bool]] = {}
        for row in those:
            by_base.setdefault(row["base"], []).append(row["good"])
        bases = {base: {"count": sum(values), "of": len(values)} for base, values in by_base.items()}
        spread = clustered(list(by_base.values()))
        table.append({"map": name, "updates": round(median(row["updates"] for row in those)), "way": way, "all": share([row["good"] for row in those]), "by_bases": spread, "bases": bases,
                      "bases_all": sum(all(values) for values in by_base.values())})  # fmt: skip
    results = {"command": command, "rows": rows, "table": table}
    write_page(results, folder)
    return results


def write_page(results: Plain, folder: StrPath) -> None:
    """Write `report.md` and `results.json` from rows and table; what is said of them is said anew."""
    table = results["table"]
    bases = sorted({base for row in table for base in row["bases"]}, key=_numbered)
    results |= {"needs": needs_the_negative(table), "survives": survivals(table), "bases": bases}
    write_text(Path(folder) / "results.json", json.dumps(results, indent=1) + "\n")
    render("maps.md", Path(folder) / "report.md", r=results)


def _numbered(name: str) -> list[tuple[bool, int, str]]:
    """A key by which 2 pairs come before 16."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", name)]


def _tell_apart(rows: Sequence[Plain]) -> None:
    """Where a variant was tried through one map with several values of a setting, each is a way of its own."""
    seen: dict[tuple[str, str, str], set[float]] = {}
    for row in rows:
        for name, value in row["settings"].items():
            seen.setdefault((row["map"], row["way"], name), set()).add(value)
    for row in rows:
        own = [f"{name} {value:g}" for name, value in row["settings"].items() if len(seen[row["map"], row["way"], name]) > 1]
        row["way"] = ", ".join([row["way"], *own])


def standing(row: Plain) -> str:
    """`WORKS` or `FAILS` where the whole interval, exact and by bases, lies on one side of a half; else `OPEN`."""
    spread = row["by_bases"]
    lows, highs = ([bound for bound in (row["all"][side], spread[side]) if bound is not None] for side in ("low", "high"))
    return WORKS if min(lows) > HALF else FAILS if max(highs) < HALF else OPEN


def needs_the_negative(table: Sequence[Plain]) -> str:
    """Whether `freeze` fails through the negative alone, in words."""
    found = {row["map"]: row for row in table if row["way"] == USUAL}
    others = [row for name, row in found.items() if name != NEGATIVE]
    if NEGATIVE not in found or not others:
        return f"Not asked: that takes `{USUAL}` transfers through the negative and through another map."
    own = found[NEGATIVE]
    told = {word: ", ".join(_counted(row) for row in others if standing(row) == word) for word in (FAILS, WORKS, OPEN)}
    rest = "".join(f"; {word} {told[key]}" for key, word in ((WORKS, "it works through"), (OPEN, "undecided through")) if told[key])
    if told[FAILS]:
        return f"No: `{USUAL}` fails through {told[FAILS]}, too{rest}. Through the negative {own['all']['count']} of {own['all']['of']} succeed."
    if standing(own) == FAILS and not told[OPEN]:
        return f"Of the maps asked, yes: `{USUAL}` fails through {_counted(own)} alone{rest}."
    return f"Undecided: through the negative {own['all']['count']} of {own['all']['of']} succeed{rest}."


def survivals(table: Sequence[Plain]) -> list[str]:
    """What each variant and cure works through, and what not, in words."""
    lines = []
    for way in dict.fromkeys(row["way"] for row in table):
        rows = [row for row in table if row["way"] == way]
        parts = [
            f"{words} {', '.join(_counted(row) for row in rows if standing(row) == word)}"
            for word, words in ((WORKS, "works through"), (FAILS, "fails through"), (OPEN, "is undecided through"))
            if any(standing(row) == word for row in rows)
        ]
        lines.append(f"`{way}` {'; '.join(parts)}.")
    return lines


def _counted(row: Plain) -> str:
    return f"{row['map']} ({row['all']['count']} of {row['all']['of']})"


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
            held = VARIANTS[str(model.info["variant"])].trained == ("encoder",)  # other dynamics have their own embedding
            good = as_good(one.evaluation, reference.evaluation, complete=held and model.task.sampling.complete)
            rows.append({"path": str(path), "base": str(base), "map": model.task.observation_map.title,
                         "way": _way(model), "settings": _settings(model), "updates": updates_of(model), "good": good})  # fmt: skip
        tick(len(paths), len(paths))
    return rows


def _cures(folder: Path) -> list[Plain]:
    try:
        found = json.loads((folder / "results.json").read_text(encoding="utf-8"))["rows"]
        return [
            {"path": row["failed"]["path"], "base": row["base"], "map": load_checkpoint(row["failed"]["path"]).task.observation_map.title,
             "way": f"cure: {row['method']}", "settings": {}, "updates": row["budget"]["updates"] + row["budget"]["level_updates"], "good": bool(row["restored"])}
            for row in found
        ]  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder}: no table of crar cure in it; give the --out of `crar cure` with several transfers") from error


def updates_of(model: Checkpoint) -> int:
    """Updates that a transfer took, those of its search and of the level that it looked for among them."""
    search = model.info.get("search") or {}
    return model.updates + int(search.get("updates", 0)) + int(search.get("level_updates", 0))


def _settings(model: Checkpoint) -> dict[str, float]:
    """Settings by which transfers of one variant may differ."""
    stored = model.info.get("settings") or {}
    return {"rate": float(model.info["learning_rate"])} | {short: float(stored[name]) for short, name in TOLD.items() if name in stored}


def _way(model: Checkpoint) -> str:
    """The variant, and of a supervised one how many pairs it learned from."""
    name = str(model.info.get("variant"))
    pairs = (model.info.get("settings") or {}).get("data_size")
    return f"{name}, {pairs} pair{'s' if pairs != 1 else ''}" if name in VARIANTS and VARIANTS[name].supervised else name
