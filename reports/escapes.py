"""`crar escape` from several minima: does what a minimum looks like say how many leave it?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from scipy.stats import PermutationMethod, pearsonr, rankdata

from crar_model.checkpoints import load_checkpoint
from crar_model.files import StrPath, write_text
from reports.escape import Grid, write_escape
from reports.markdown import render
from reports.models import expand, label_of, one_folder_each

FEWEST = 6
"""Bases that a rank correlation needs: of 5 the smallest two-sided p, 2 of 120 permutations, is above 0.05 when corrected for four looks."""
RESAMPLES = 9_999
"""Permutations behind a p, where there are more."""
LOOKS = {
    "barrier": "barrier to the base's embedding (an upper bound)",
    "log_ratio": "logarithm of its level over the reference's",
    "lowest": "lowest curvature",
    "highest": "highest curvature",
}
"""What a minimum looks like."""
KIND, COUNTS = ("optimiser", "rate", "batch"), ("seeds", "left", "matched", "diverged")
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
    one_folder_each(paths)
    rows = []
    for path in paths:
        own = folder / label_of(path)
        found = _finished(own, path, base_path, grid) or write_escape(
            path, own, base_path=base_path, grid=grid, image=image, command=command
        )
        rows.append(row_of(found, own.name))
    results: Plain = {"command": command, "grid": asdict(grid), "rows": rows, "kinds": kinds(rows), "relations": relations(rows)}
    write_text(folder / "results.json", json.dumps(results, indent=1) + "\n")
    render("escapes.md", folder / "report.md", r=results, verdict=verdict(results), looks=LOOKS)
    return results


def _finished(own: Path, path: Path, base_path: StrPath | None, grid: Grid) -> Plain | None:
    """What an earlier call found of the same minimum, base and grid."""
    file = own / "results.json"
    if not file.exists():
        return None
    found: Plain = json.loads(file.read_text(encoding="utf-8"))
    failed = load_checkpoint(path)
    base = Path(base_path or str(failed.info.get("base") or ""))
    same = base.is_file() and found["base"]["digest"] == load_checkpoint(base).digest and found["failed"]["digest"] == failed.digest
    return found if same and found["grid"] == json.loads(json.dumps(asdict(grid))) else None


def row_of(found: Plain, name: str) -> Plain:
    """A row of the table: what the minimum looks like, and how many left it."""
    cells, spectrum = found["cells"], found["minimum"]["spectrum"] or {}
    counts = {key: sum(cell[key] for cell in cells) for key in COUNTS}
    return counts | {
        "name": name, "path": found["failed"]["path"], "base": found["base"]["path"], "verdict": found["minimum"]["verdict"],
        "loss": found["totals"]["minimum"], "barrier": found["minimum"]["barrier"], "log_ratio": found["log_ratio"],
        "lowest": spectrum.get("lowest"), "highest": spectrum.get("highest"),
        "cells": [{key: cell[key] for key in (*KIND, *COUNTS)} for cell in cells],
    }  # fmt: skip


def kinds(rows: Sequence[Plain]) -> list[Plain]:
    """Every kind of noise over all minima: how many left, how many of these for the base's embedding, and how many minima let any go."""
    found: dict[tuple[Any, ...], Plain] = {}
    for cell in (cell for row in rows for cell in row["cells"]):
        total = found.setdefault(tuple(cell[key] for key in KIND), {key: cell[key] for key in KIND} | dict.fromkeys((*COUNTS, "minima"), 0))
        for key in COUNTS:
            total[key] += cell[key]
        total["minima"] += bool(cell["left"])
    return list(found.values())


def relations(rows: Sequence[Plain]) -> list[Plain]:
    """Spearman's rank correlation of each look with the share that left, of those that did not diverge; its p from permutations (all of them where they
    are few), and the same by Holm's correction for as many looks as were asked. Minima of one base are one, by their means: seeds share a base."""
    found: list[Plain] = []
    for look in LOOKS:
        of_base: dict[str, list[tuple[float, float]]] = {}
        for row in rows:
            if row[look] is not None and row["seeds"] > row["diverged"]:
                of_base.setdefault(row["base"], []).append((row[look], row["left"] / (row["seeds"] - row["diverged"])))
        pairs = [(fmean(x for x, _ in each), fmean(y for _, y in each)) for each in of_base.values()]
        rank: Plain = {"look": look, "bases": len(pairs), "rho": None, "p": None, "corrected": None}
        if len(pairs) >= FEWEST and all(len(set(side)) > 1 for side in zip(*pairs, strict=True)):
            x, y = (rankdata(side) for side in zip(*pairs, strict=True))
            done = pearsonr(x, y, method=PermutationMethod(n_resamples=RESAMPLES, rng=np.random.default_rng(0)))  # of ranks: Spearman's
            rank |= {"rho": float(done.statistic), "p": float(done.pvalue)}
        found.append(rank)
    asked, highest = sorted((each for each in found if each["p"] is not None), key=lambda each: each["p"]), 0.0
    for place, each in enumerate(asked):
        highest = max(highest, min(1.0, (len(asked) - place) * each["p"]))
        each["corrected"] = highest
    return found


def verdict(results: Plain) -> str:
    """What the minima say together, in a sentence or two."""
    rows = results["rows"]
    left, seeds = (sum(row[key] for row in rows) for key in ("left", "seeds"))
    matched, diverged = (sum(row[key] for row in rows) for key in ("matched", "diverged"))
    kept = sum(not row["left"] and not row["diverged"] for row in rows)
    said = (
        f"{left} of {seeds} members left {len(rows)} minima within {results['grid']['updates']:,} updates, {matched} of them for the base's "
        f"embedding; {diverged} diverged; {kept} of the minima kept all."
    )
    went = [kind for kind in results["kinds"] if kind["left"]]
    if went:
        best = max(went, key=lambda kind: (kind["left"] / kind["seeds"], kind["matched"]))
        said += (
            f" {len(went)} of {len(results['kinds'])} kinds of noise carried any out; {best['optimiser']} at a rate of {best['rate']:g} and batches of "
            f"{best['batch']} carried most, {best['left']} of {best['seeds']}, {best['matched']} for the base's embedding."
        )
    told = [each for each in results["relations"] if each["p"] is not None]
    sure = [each for each in told if each["corrected"] < 0.05]
    if not told:
        return f"{said} Whether what a minimum looks like decides it cannot be told from these."
    if not sure:
        return f"{said} Nothing that a minimum looks like goes with the share that left (lowest p {min(each['corrected'] for each in told):.2g}, corrected)."
    ways = "; ".join(f"{LOOKS[each['look']]}, rank correlation {each['rho']:.2f}, p {each['corrected']:.2g}" for each in sure)
    return f"{said} The share that left goes with: {ways}."
