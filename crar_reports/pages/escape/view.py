"""The words and tables of the pages of `crar escape`, of one minimum and of many, from what their `results.json` hold."""

from __future__ import annotations

import math
from collections.abc import Mapping

from crar_model.tasks import Task
from crar_reports.measure.exits import Watched
from crar_reports.pages import plain_words
from crar_reports.pages.escape.measure import DATA, DESCENT, ELSEWHERE
from crar_reports.pages.escape.records import Escape, Escapes
from crar_reports.press.markdown import measured, number, table
from crar_reports.statistics import CHANCE


def escape_view(r: Escape, task: Task) -> dict[str, str]:
    """What the template of one minimum places.

    Args:
        r: what its `results.json` holds.
        task: of the transfer.
    """
    left, matched, diverged, members = (
        sum(each) for each in zip(*((c.left, c.matched, c.diverged, c.seeds) for c in r.cells), strict=True)
    )
    steep = r.minimum.spectrum and r.minimum.spectrum.highest
    return {
        "plainly": plain_words.escape(left, matched, diverged, members, certificate=r.minimum.verdict),
        "minimum": table(["", ""], _minimum(r)),
        "what": task.sampling.what,
        "cells": table(
            ["optimiser", "rule", "rate", "batch", "left", "to the base", "diverged", "median, updates", "still in at the end, 95 %"],
            [
                (
                    c.optimiser, c.rule, f"{c.rate:g}", c.batch, f"{c.left} of {c.seeds}", c.matched, c.diverged,
                    f"{c.median:,.0f}" if c.median is not None else "not reached", _still_in(c),
                )
                for c in r.cells
            ],
        ),
        "data": f"{DATA:,}", "descent": str(DESCENT), "elsewhere": str(ELSEWHERE),
        "unstable": f", and plain gradient descent is unstable above a rate of 2 / curvature = {number(2 / steep)} by itself" if steep else "",
    }  # fmt: skip


def _minimum(r: Escape) -> list[tuple[str, str]]:
    """What the minimum is, a row each."""
    minimum, signature = r.minimum, r.minimum.signature
    rows = [("certificate", minimum.verdict)]
    if r.failed.recipe:
        rows.append(("trained by", f"{r.failed.recipe}, from a base of {r.base.recipe}"))
    rows += [
        (
            "total loss",
            f"{number(minimum.loss)}, of the base's copy at rest {number(r.totals.base)}; natural logarithm of the ratio of their losses above what no "
            f"encoder can lower {number(r.log_ratio)}",
        ),
        ("barrier to the base's embedding, best path found with frozen dynamics", f"{measured(minimum.barrier)} (an upper bound)"),
    ]
    if signature:
        span = f"{number(signature.lowest)} to {number(signature.highest)}"
        rows.append(("curvature of the embedding along its kinks, by the certificate", span))
    return [*rows, ("its own noiseless descent ends", f"{number(r.still)} mean moves from it")]


def _still_in(cell: Watched) -> str:
    """The share of a cell's members that stayed, with its interval: exact where nobody diverged, else the estimate's."""
    if found := cell.stayed:
        return f"{100 * found.share:.0f} % ({100 * found.low:.0f} % to {100 * found.high:.0f} %)"
    if not cell.inside:
        return "-"
    low, high = cell.low[-1], cell.high[-1]
    return f"{100 * cell.inside[-1]:.0f} %" + ("" if math.isnan(low) else f" ({100 * low:.0f} % to {100 * high:.0f} %)")


def escapes_view(r: Escapes, *, looks: Mapping[str, str], outcomes: Mapping[str, str]) -> dict[str, object]:
    """What the template of many minima places.

    Args:
        r: what the table's `results.json` holds.
        looks, outcomes: what the looks of a minimum, and the shares of members, are called.
    """
    left, matched, members = (sum(each) for each in zip((0, 0, 0), *((row.left, row.matched, row.seeds) for row in r.minima), strict=True))
    corrected = [each.corrected for each in r.relations if each.corrected is not None]
    together = any(p < CHANCE for p in corrected) if corrected else None
    rules, back = r.grid.rules, r.came_back
    return {
        "plainly": plain_words.escapes(left, matched, members, r.certified, together=together),
        "rules": f"rule{'s' * (len(rules) > 1)} {' and '.join(rules)}",
        "came_back": f" {back} of the transfers came back to their base and have no such minimum." if back else "",
        "minima": table(
            ["transfer", "trained by", "base", "certificate", "loss", "barrier", "log ratio of excess losses", "lowest curvature of the embedding", "highest", "left",
             "to the base", "diverged"],
            [
                (
                    f"[{row.name}]({row.name}/report.md)", row.trained, row.recipe, row.verdict, row.loss, row.barrier, row.log_ratio, row.lowest, row.highest,
                    f"{row.left} of {row.seeds}", row.matched, row.diverged,
                )
                for row in r.rows
            ],
        ),
        "kinds": table(
            ["bases of", "optimiser", "rule", "rate", "batch", "left", "95 % exact", "to the base", "diverged", "minima that any left", "of these to the base"],
            [
                (
                    k.recipe, k.optimiser, k.rule, f"{k.rate:g}", k.batch, f"{k.left} of {k.seeds}",
                    f"{100 * k.share.low:.1f} % to {100 * k.share.high:.1f} %" if k.share else "-", k.matched, k.diverged, f"{k.minima} of {k.of}", k.arrived,
                )
                for k in r.kinds
            ],
        ),
        "relations": table(
            ["of the minimum", "the share that", "bases of", "bases", "Spearman's rank correlation", "p, permutations", "p, Holm", "smallest p that the ties allow"],
            [
                (
                    looks[each.look], outcomes[each.outcome], each.recipe, each.bases,
                    *(("-", "-", "-") if each.rho is None else (f"{each.rho:.2f}", f"{each.p:.2g}", f"{each.corrected:.2g}")), f"{each.attainable:.2g}",
                )
                for each in r.relations
            ],
        ),
    }  # fmt: skip
