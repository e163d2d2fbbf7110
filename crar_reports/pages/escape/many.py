"""`crar escape` from several minima: does what a minimum looks like say how many leave it?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from itertools import product
from math import factorial, prod
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from scipy.stats import PermutationMethod, pearsonr, rankdata

from crar_model.agent.symmetry import RIGHT
from crar_model.core.errors import UserError
from crar_model.core.files import MEASURED, Plain, StrPath
from crar_model.core.kept import kept
from crar_model.core.words import of_all
from crar_model.models.checkpoints import load_checkpoint
from crar_reports.models.judged import base_of, distinct, judge, label_of, one_folder_each
from crar_reports.pages.escape.measure import JOINT
from crar_reports.pages.escape.one import UNKNOWN, Grid, escape_key, noise_words, write_escape
from crar_reports.pages.escape.view import escapes_view
from crar_reports.press.publish import RESULTS, publish
from crar_reports.statistics import CHANCE, holm, share

RESAMPLES = 9_999
"""Permutations behind a p, where there are more."""
LOOKS = {
    "barrier": "barrier to the base's embedding (an upper bound)",
    "log_ratio": "logarithm of its excess loss over the reference's",
    "lowest": "lowest curvature of the embedding along its kinks",
    "highest": "highest",
}
"""What a minimum looks like. Curvatures are the certificate's: of the encoder's weights most directions change no embedding, and their lowest is
round-off."""
OUTCOMES = {"left": "left", "matched": "left for the base's embedding"}
"""What may go with it."""
MINIMUM = "minimum"
"""Verdict of the certificate without which a point counts for nothing here: who leaves a slope has not escaped."""
NOISE, COUNTS = ("optimiser", "rule", "rate", "batch"), ("seeds", "left", "matched", "diverged")
FOUND = {
    "failed": {"path": str, "digest": str}, "base": {"path": str, "digest": str}, "grid": dict, "log_ratio": MEASURED, "totals": {"minimum": MEASURED},
    "minimum": {"verdict": str, "barrier": MEASURED, "signature": (None, {"lowest": MEASURED, "highest": MEASURED})},
    "cells": [{"optimiser": str, "rate": float, "batch": int, **dict.fromkeys(COUNTS, int)}],
}  # fmt: skip
"""What the results of one minimum hold."""


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
    paths = distinct(models)
    one_folder_each(paths)
    fit = [path for path in paths if not _came_back(path, base_path)]
    if not fit:
        raise UserError(f"{paths[0]}: none of these transfers failed, so there is no minimum to leave; give one that did with --from")
    rows = []
    for path in fit:
        own, key = folder / label_of(path), escape_key(load_checkpoint(path), load_checkpoint(base_of(path, base_path)), grid)
        make = partial(write_escape, path, own, base_path=base_path, grid=grid, image=image, command=command)
        rows.append(row_of(kept(own / RESULTS, key, make, FOUND, page=True), own.name))
    results: Plain = {"command": command, "grid": asdict(grid), "came_back": len(paths) - len(fit), "rows": rows}
    write_page(results, folder)
    return results


def _came_back(path: Path, base_path: StrPath | None) -> bool:
    """Whether a transfer has its base's embedding, and with it no minimum to leave; asked of all before hours go into the first."""
    (one,) = judge([path], base_of(path, base_path))
    return one.evaluation.match is not None and one.evaluation.match.verdict in RIGHT


def write_page(results: Plain, folder: StrPath) -> None:
    """Write `report.md` and `results.json` from the rows; what is said of them is said anew."""
    for row in results["rows"]:
        row |= {"recipe": UNKNOWN, "trained": UNKNOWN} | row
    certified = [row for row in results["rows"] if row["verdict"] == MINIMUM]
    results |= {"certified": len(certified), "kinds": kinds(certified), "relations": relations(certified)}
    view = escapes_view(results, certified, looks=LOOKS, outcomes=OUTCOMES)
    publish(folder, "escapes.md", {"r": results, "verdict": verdict(results), **view}, results)


def row_of(found: Plain, name: str) -> Plain:
    """A row of the table: what the minimum looks like, and how many left it."""
    cells, signature = found["cells"], found["minimum"]["signature"] or {}
    counts = {key: sum(cell[key] for cell in cells) for key in COUNTS}
    return counts | {
        "name": name, "path": found["failed"]["path"], "base": found["base"]["path"], "base_digest": found["base"]["digest"], "verdict": found["minimum"]["verdict"],
        "loss": found["totals"]["minimum"], "barrier": found["minimum"]["barrier"], "log_ratio": found["log_ratio"],
        "lowest": signature.get("lowest"), "highest": signature.get("highest"),
        "recipe": found["base"].get("recipe", UNKNOWN), "trained": found["failed"].get("recipe", UNKNOWN),
        "cells": [{key: ({"rule": JOINT} | cell)[key] for key in (*NOISE, *COUNTS)} for cell in cells],
    }  # fmt: skip


def kinds(rows: Sequence[Plain]) -> list[Plain]:
    """Every kind of noise over all minima of bases of one recipe: how many left, how many of these for the base's embedding, from how
    many of these minima any left, and from how many any came to the base."""
    found: dict[tuple[Any, ...], Plain] = {}
    for row, cell in ((one, cell) for one in rows for cell in one["cells"]):
        kind = {"recipe": row.get("recipe", UNKNOWN)} | {key: ({"rule": JOINT} | cell)[key] for key in NOISE}
        total = found.setdefault(tuple(kind.values()), kind | dict.fromkeys((*COUNTS, "minima", "arrived", "of"), 0))
        for key in COUNTS:
            total[key] += cell[key]
        total["minima"] += bool(cell["left"])
        total["arrived"] += bool(cell["matched"])
        total["of"] += 1
    for total in found.values():  # where some diverged nobody knows whether they would have left
        total["share"] = None if total["diverged"] else share([True] * total["left"] + [False] * (total["seeds"] - total["left"]))
    return list(found.values())


def relations(rows: Sequence[Plain]) -> list[Plain]:
    """Spearman's rank correlation of each look with each outcome, as a share of those that did not diverge; its p from permutations (all of them
    where they are few), and the same by Holm's correction for as many as could be told. Bases of two recipes are asked apart. Minima of one base are
    one, by their means: seeds share a base.

    Ranks that are equal leave fewer orders that differ: where even the best of them would not come below chance for all that is asked, there
    is no p."""
    found: list[Plain] = []
    recipes = list(dict.fromkeys(row.get("recipe", UNKNOWN) for row in rows))
    for recipe, look, outcome in product(recipes, LOOKS, OUTCOMES):
        of_base: dict[str, list[tuple[float, float]]] = {}
        for row in (row for row in rows if row.get("recipe", UNKNOWN) == recipe):
            if row[look] is not None and row["seeds"] > row["diverged"]:
                of_base.setdefault(row["base_digest"], []).append((row[look], row[outcome] / (row["seeds"] - row["diverged"])))
        pairs = [(fmean(x for x, _ in each), fmean(y for _, y in each)) for each in of_base.values()]
        rank: Plain = {"recipe": recipe, "look": look, "outcome": outcome, "bases": len(pairs), "attainable": attainable(pairs)}
        rank |= {"rho": None, "p": None, "corrected": None}
        if rank["attainable"] * len(recipes) * len(LOOKS) * len(OUTCOMES) < CHANCE:
            x, y = (rankdata(side) for side in zip(*pairs, strict=True))
            done = pearsonr(x, y, method=PermutationMethod(n_resamples=RESAMPLES, rng=np.random.default_rng(0)))  # of ranks: Spearman's
            rank |= {"rho": float(done.statistic), "p": float(done.pvalue)}
        found.append(rank)
    asked = [each for each in found if each["p"] is not None]
    for each, corrected in zip(asked, holm([each["p"] for each in asked]), strict=True):
        each["corrected"] = corrected
    return found


def attainable(pairs: Sequence[tuple[float, float]]) -> float:
    """The smallest two-sided p that a permutation test of these ranks can give: every order of equal values counts among the best ones."""
    if not pairs:
        return 1.0
    x, y = (sorted(side) for side in zip(*pairs, strict=True))
    best = []
    for order in (y, y[::-1]):  # permutations of equal values within x, within y, but those that move a pair onto its like only once
        same = prod(factorial(count) for count in Counter(zip(x, order, strict=True)).values())
        best.append(prod(factorial(count) for side in (x, y) for count in Counter(side).values()) // same)
    resampled = 2 / (RESAMPLES + 1) if factorial(len(x)) > RESAMPLES else 0.0
    return min(1.0, max(resampled, 2 * min(best) / factorial(len(x))))


def verdict(results: Plain) -> str:
    """What the certified minima say together, in a sentence or more."""
    rows = [row for row in results["rows"] if row["verdict"] == MINIMUM]
    others = len(results["rows"]) - len(rows)
    aside = (
        f" {others} other{'s are' if others > 1 else ' is'} no certified minim{'a' if others > 1 else 'um'} and left out." if others else ""
    )
    if not rows:
        return f"Not one certified minimum, so nothing to leave.{aside}"
    left, seeds = (sum(row[key] for row in rows) for key in ("left", "seeds"))
    matched, diverged = (sum(row[key] for row in rows) for key in ("matched", "diverged"))
    stayed_all = sum(not row["left"] and not row["diverged"] for row in rows)
    watched = f"{results['grid']['updates']:,} updates"
    said = (
        f"{of_all(left, seeds, 'members')} left {len(rows)} minim{'um' if len(rows) == 1 else 'a'} within {watched}, {matched} of them for the base's "
        f"embedding; {diverged} diverged; {stayed_all} of the minima kept all.{aside}"
    )
    went = [kind for kind in results["kinds"] if kind["left"]]
    stayed = [kind for kind in results["kinds"] if not kind["left"] and not kind["diverged"]]
    if went:
        best = max(went, key=lambda kind: (kind["left"] / kind["seeds"], kind["matched"]))
        said += (
            f" {len(went)} of {len(results['kinds'])} kinds of noise carried any out; {noise_words(best)} (bases: {best['recipe']}), carried "
            f"most, {best['left']} of {best['seeds']}, {best['matched']} for the base's embedding."
        )
    if stayed:
        most = max(kind["share"]["high"] for kind in stayed)
        said += (
            f" Of each of the {len(stayed)} kinds that carried nobody out and where nobody diverged, by itself, at most {100 * most:.1f} % of such members "
            f"would leave these minima (exact 95 % interval)."
        )
    told = [each for each in results["relations"] if each["p"] is not None]
    sure = [each for each in told if each["corrected"] < CHANCE]
    if not told:
        return f"{said} Whether what a minimum looks like decides it cannot be told from these."
    if not sure:
        return f"{said} Nothing that a minimum looks like goes with the share that left, or with the one that came to the base (lowest p {min(each['corrected'] for each in told):.2g}, corrected)."
    ways = "; ".join(
        f"{LOOKS[each['look']]} (bases: {each['recipe']}) with the share that {OUTCOMES[each['outcome']]}, rank correlation {each['rho']:.2f}, p {each['corrected']:.2g}"
        for each in sure
    )
    return f"{said} What goes together: {ways}."
