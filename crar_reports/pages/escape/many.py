"""`crar escape` from several minima: does what a minimum looks like say how many leave it?"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace
from functools import partial
from itertools import product
from math import factorial, prod
from pathlib import Path
from statistics import fmean

import numpy as np
from scipy.stats import PermutationMethod, pearsonr, rankdata

from crar_model.agent.symmetry import RIGHT
from crar_model.core.errors import UserError
from crar_model.core.files import StrPath
from crar_model.core.kept import kept
from crar_model.core.words import of_all
from crar_model.models.checkpoints import load_checkpoint
from crar_reports.measure.exits import Counted, Counts
from crar_reports.models.judged import base_of, distinct, judge, label_of, one_folder_each
from crar_reports.pages.escape.one import escape_key, write_escape
from crar_reports.pages.escape.records import UNKNOWN, Escape, Escapes, Grid, Kind, Relation, Row
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


def write_escapes(
    models: Sequence[StrPath],
    folder: StrPath,
    *,
    base_path: StrPath | None = None,
    grid: Grid | None = None,
    image: str = "png",
    command: str = "",
) -> Escapes:
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
        rows.append(row_of(kept(own / RESULTS, key, make, Escape, page=True), own.name))
    return write_page(Escapes(command, grid, len(paths) - len(fit), rows), folder)


def _came_back(path: Path, base_path: StrPath | None) -> bool:
    """Whether a transfer has its base's embedding, and with it no minimum to leave; asked of all before hours go into the first."""
    (one,) = judge([path], base_of(path, base_path))
    return one.evaluation.match is not None and one.evaluation.match.verdict in RIGHT


def write_page(results: Escapes, folder: StrPath) -> Escapes:
    """Write `report.md` and `results.json` from the rows; what is said of them is said anew. Returns the whole."""
    certified = results.minima
    results = replace(results, certified=len(certified), kinds=kinds(certified), relations=relations(certified))
    view = escapes_view(results, looks=LOOKS, outcomes=OUTCOMES)
    publish(folder, "escapes.md", {"r": results, "verdict": verdict(results), **view}, results)
    return results


def row_of(found: Escape, name: str) -> Row:
    """A row of the table: what the minimum looks like, and how many left it."""
    minimum, signature = found.minimum, found.minimum.signature
    cells = [
        Counted(c.optimiser, c.rate, c.batch, c.rule, seeds=c.seeds, left=c.left, matched=c.matched, diverged=c.diverged)
        for c in found.cells
    ]
    return Row(
        **summed(cells), name=name, path=found.failed.path, base=found.base.path, base_digest=found.base.digest, verdict=minimum.verdict,
        loss=found.totals.minimum, barrier=minimum.barrier, log_ratio=found.log_ratio, lowest=signature.lowest if signature else None,
        highest=signature.highest if signature else None, recipe=found.base.recipe or UNKNOWN, trained=found.failed.recipe or UNKNOWN, cells=cells,
    )  # fmt: skip


def summed(cells: Sequence[Counts]) -> dict[str, int]:
    """The counts of many cells."""
    return {item.name: sum(getattr(cell, item.name) for cell in cells) for item in fields(Counts)}


def kinds(rows: Sequence[Row]) -> list[Kind]:
    """Every kind of noise over all minima of bases of one recipe: how many left, how many of these for the base's embedding, from how
    many of these minima any left, and from how many any came to the base."""
    found: dict[tuple[str, str, str, float, int], list[Counted]] = {}
    for row, cell in ((one, cell) for one in rows for cell in one.cells):
        found.setdefault((row.recipe, cell.optimiser, cell.rule, cell.rate, cell.batch), []).append(cell)
    return [_kind(recipe, cells) for (recipe, *_), cells in found.items()]


def _kind(recipe: str, cells: Sequence[Counted]) -> Kind:
    one, counts = cells[0], Counts(**summed(cells))
    known = (
        None if counts.diverged else share([True] * counts.left + [False] * (counts.seeds - counts.left))
    )  # who diverged might have left
    arrived, minima = sum(bool(cell.matched) for cell in cells), sum(bool(cell.left) for cell in cells)
    return Kind(
        one.optimiser,
        one.rate,
        one.batch,
        one.rule,
        **vars(counts),
        recipe=recipe,
        minima=minima,
        arrived=arrived,
        of=len(cells),
        share=known,
    )


def relations(rows: Sequence[Row]) -> list[Relation]:
    """Spearman's rank correlation of each look with each outcome, as a share of those that did not diverge; its p from permutations (all of them
    where they are few), and the same by Holm's correction for as many as could be told. Bases of two recipes are asked apart. Minima of one base are
    one, by their means: seeds share a base.

    Ranks that are equal leave fewer orders that differ: where even the best of them would not come below chance for all that is asked, there
    is no p."""
    found = list[Relation]()
    recipes = list(dict.fromkeys(row.recipe for row in rows))
    for recipe, look, outcome in product(recipes, LOOKS, OUTCOMES):
        of_base: dict[str, list[tuple[float, float]]] = {}
        for row in (row for row in rows if row.recipe == recipe):
            value = getattr(row, look)
            if value is not None and not math.isnan(value) and row.seeds > row.diverged:
                of_base.setdefault(row.base_digest, []).append((value, getattr(row, outcome) / (row.seeds - row.diverged)))
        pairs = [(fmean(x for x, _ in each), fmean(y for _, y in each)) for each in of_base.values()]
        one = Relation(recipe, look, outcome, len(pairs), attainable(pairs))
        if one.attainable * len(recipes) * len(LOOKS) * len(OUTCOMES) < CHANCE:
            x, y = (rankdata(side) for side in zip(*pairs, strict=True))
            done = pearsonr(x, y, method=PermutationMethod(n_resamples=RESAMPLES, rng=np.random.default_rng(0)))  # of ranks: Spearman's
            one = replace(one, rho=float(done.statistic), p=float(done.pvalue))
        found.append(one)
    corrected = iter(holm([one.p for one in found if one.p is not None]))
    return [one if one.p is None else replace(one, corrected=next(corrected)) for one in found]


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


def verdict(results: Escapes) -> str:
    """What the certified minima say together, in a sentence or more."""
    rows = results.minima
    others = len(results.rows) - len(rows)
    aside = (
        f" {others} other{'s are' if others > 1 else ' is'} no certified minim{'a' if others > 1 else 'um'} and left out." if others else ""
    )
    if not rows:
        return f"Not one certified minimum, so nothing to leave.{aside}"
    all_of = Counts(**summed(rows))
    stayed_all = sum(not row.left and not row.diverged for row in rows)
    watched = f"{results.grid.updates:,} updates"
    said = (
        f"{of_all(all_of.left, all_of.seeds, 'members')} left {len(rows)} minim{'um' if len(rows) == 1 else 'a'} within {watched}, {all_of.matched} of them for the base's "
        f"embedding; {all_of.diverged} diverged; {stayed_all} of the minima kept all.{aside}"
    )
    went = [kind for kind in results.kinds if kind.left]
    stayed = [kind.share.high for kind in results.kinds if not kind.left and kind.share]
    if went:
        best = max(went, key=lambda kind: (kind.left / kind.seeds, kind.matched))
        said += (
            f" {len(went)} of {len(results.kinds)} kinds of noise carried any out; {best} (bases: {best.recipe}), carried "
            f"most, {best.left} of {best.seeds}, {best.matched} for the base's embedding."
        )
    if stayed:
        said += (
            f" Of each of the {len(stayed)} kinds that carried nobody out and where nobody diverged, by itself, at most {100 * max(stayed):.1f} % of such members "
            f"would leave these minima (exact 95 % interval)."
        )
    told = [each.corrected for each in results.relations if each.corrected is not None]
    sure = [each for each in results.relations if each.corrected is not None and each.corrected < CHANCE]
    if not told:
        return f"{said} Whether what a minimum looks like decides it cannot be told from these."
    if not sure:
        return f"{said} Nothing that a minimum looks like goes with the share that left, or with the one that came to the base (lowest p {min(told):.2g}, corrected)."
    ways = "; ".join(
        f"{LOOKS[each.look]} (bases: {each.recipe}) with the share that {OUTCOMES[each.outcome]}, rank correlation {each.rho:.2f}, p {each.corrected:.2g}"
        for each in sure
    )
    return f"{said} What goes together: {ways}."
