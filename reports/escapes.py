"""`crar escape` from several minima: does what a minimum looks like say how many leave it?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import PermutationMethod, pearsonr, rankdata

from crar_model.checkpoints import load_checkpoint
from crar_model.errors import UserError
from crar_model.files import StrPath, write_text
from reports.escape import Grid, write_escape
from reports.markdown import render
from reports.models import expand

FEWEST = 4
"""Minima that a rank correlation needs: fewer cannot be told from chance whatever they say."""
RESAMPLES = 9_999
"""Permutations behind a p, where there are more."""
LOOKS = {
    "barrier": "barrier to the base's embedding (an upper bound)",
    "log_ratio": "logarithm of its loss over the base's",
    "lowest": "lowest curvature",
    "highest": "highest curvature",
}
"""What a minimum looks like."""
Plain = dict[str, Any]


def write_escapes(
    models: Sequence[StrPath],
    folder: StrPath,
    *,
    base_path: StrPath | None = None,
    grid: Grid | None = None,
    image: str = "png",
    command: str = "",
) -> Plain:
    """Run `write_escape` on every transfer, each in a folder of its own, and write `report.md` and `results.json` of all.

    Args:
        models: checkpoints and run folders.
        folder: made if missing; a minimum that an earlier call finished is kept.
        base_path, grid, image, command: as in `write_escape`.

    Returns:
        what `results.json` holds.

    Raises:
        UserError: as `write_escape`, and for two transfers of one name.
    """
    folder, grid = Path(folder), grid or Grid()
    paths = expand(models)
    names = [f"{path.resolve().parent.name}-{path.stem}" for path in paths]
    if len(set(names)) < len(names):
        raise UserError(f"{paths[0]}: two transfers of one name; give each once")
    rows = []
    for path, name in zip(paths, names, strict=True):
        own = folder / name
        found = _finished(own, path, grid) or write_escape(path, own, base_path=base_path, grid=grid, image=image, command=command)
        rows.append(row_of(found, name))
    results: Plain = {"command": command, "grid": asdict(grid), "rows": rows, "relations": relations(rows)}
    write_text(folder / "results.json", json.dumps(results, indent=1) + "\n")
    render("escapes.md", folder / "report.md", r=results, verdict=verdict(results), looks=LOOKS)
    return results


def _finished(own: Path, path: Path, grid: Grid) -> Plain | None:
    file = own / "results.json"
    if not file.exists():
        return None
    found: Plain = json.loads(file.read_text(encoding="utf-8"))
    same = found["failed"]["digest"] == load_checkpoint(path).digest and found["grid"] == json.loads(json.dumps(asdict(grid)))
    return found if same else None


def row_of(found: Plain, name: str) -> Plain:
    """A row of the table: what the minimum looks like, and how many left it."""
    cells, spectrum = found["cells"], found["minimum"]["spectrum"] or {}
    counts = {key: sum(cell[key] for cell in cells) for key in ("seeds", "left", "matched", "diverged")}
    return counts | {
        "name": name, "path": found["failed"]["path"], "base": found["base"]["path"], "verdict": found["minimum"]["verdict"],
        "loss": found["totals"]["minimum"], "barrier": found["minimum"]["barrier"], "log_ratio": found["log_ratio"],
        "lowest": spectrum.get("lowest"), "highest": spectrum.get("highest"), "cells": len(cells),
    }  # fmt: skip


def relations(rows: Sequence[Plain]) -> list[Plain]:
    """Spearman's rank correlation of each look with the share that left, and its p from permutations (all of them where they are few)."""
    found = []
    for look in LOOKS:
        pairs = [(row[look], row["left"] / row["seeds"]) for row in rows if row[look] is not None]
        rank: Plain = {"look": look, "minima": len(pairs), "rho": None, "p": None}
        if len(pairs) >= FEWEST and all(len(set(side)) > 1 for side in zip(*pairs, strict=True)):
            x, y = (rankdata(side) for side in zip(*pairs, strict=True))
            done = pearsonr(x, y, method=PermutationMethod(n_resamples=RESAMPLES, rng=np.random.default_rng(0)))  # of ranks: Spearman's
            rank |= {"rho": float(done.statistic), "p": float(done.pvalue)}
        found.append(rank)
    return found


def verdict(results: Plain) -> str:
    """What the minima say together, in a sentence or two."""
    rows = results["rows"]
    left, seeds = (sum(row[key] for row in rows) for key in ("left", "seeds"))
    matched, kept = sum(row["matched"] for row in rows), sum(not row["left"] for row in rows)
    said = (
        f"{left} of {seeds} members left {len(rows)} minima within {results['grid']['updates']:,} updates, {matched} of them for the base's "
        f"embedding; {kept} of the minima kept all."
    )
    told = [each for each in results["relations"] if each["p"] is not None]
    sure = [each for each in told if each["p"] < 0.05]
    if not told:
        return f"{said} Whether what a minimum looks like decides it cannot be told from these."
    if not sure:
        return f"{said} Nothing that a minimum looks like goes with the share that left (lowest p {min(each['p'] for each in told):.2g})."
    ways = "; ".join(f"{LOOKS[each['look']]}, rank correlation {each['rho']:.2f}, p {each['p']:.2g}" for each in sure)
    return f"{said} The share that left goes with: {ways}."
