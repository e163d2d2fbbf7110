"""What a study cost: models, updates and hours of a core, beside the appendix E of the original."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from crar_model.tasks import Task
from crar_model.training.variants import BASE
from crar_reports.claims.study_facts import facts_of
from crar_reports.pages.study.rows import DONE, USUAL, Row


@dataclass(frozen=True)
class CostPart:
    """What the page shows of the cost: rows of its table and of that beside appendix E; what was trained more than once, in words; whether the second
    has bases, too."""

    rows: list[tuple[object, ...]]
    published: list[tuple[object, ...]]
    repeated: str
    with_bases: bool


def cost_part(rows: Sequence[Row], task: Task) -> CostPart:
    """The part, of the rows of a maze."""
    return CostPart(_cost(rows), _appendix_e(rows, task), _again(rows), any(kind == "all" for *_, kind in facts_of(task).published_cost))


def _cost(rows: Sequence[Row]) -> list[tuple[object, ...]]:
    """By variant and rule, and all together: models done, updates, hours of a core, updates a second of a core."""
    pairs: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        pairs.setdefault((row["variant"], row["update_rule"]), []).append(row)
    found: list[tuple[object, ...]] = []
    for (variant, rule), group in pairs.items():
        paces = [_taken(row) / float(row["seconds"]) for row in group if row["status"] == DONE and _taken(row) and float(row["seconds"])]
        found.append((variant, rule, *_spent(group)[:-1], f"{median(paces):,.0f}" if paces else "-"))
    return [*found, ("all", "", *_spent(rows))]  # a median over models of all kinds would be that of the kind with most


def _taken(row: Row) -> int:
    """Updates of a model, with those of a search: its time is among the model's seconds."""
    return int(row["updates_taken"]) + int(row["search_updates"])


def _spent(rows: Sequence[Row]) -> tuple[str, ...]:
    """Models done, updates with those of searches, hours of a core, updates a second of a core."""
    done = [row for row in rows if row["status"] == DONE]
    updates = sum(map(_taken, done))
    hours = sum(float(row["seconds"]) for row in done) / 3600
    return f"{len(done)} of {len(rows)}", f"{updates:,}", f"{hours:.3f}", f"{updates / (3600 * hours):,.0f}" if hours else "-"


def _appendix_e(rows: Sequence[Row], task: Task) -> list[tuple[object, ...]]:
    """The study's own cost, ours of the same experiments beside it."""
    kinds = {
        "freeze": [row for row in rows if row["variant"] == USUAL],
        "others": [row for row in rows if row["variant"] not in (USUAL, BASE.name)],
        "all": rows,
    }
    return [
        (what, machines, f"{hours:g}", *(_spent(kinds[kind]) if kind in kinds else ("-",) * 4))
        for what, machines, hours, kind in facts_of(task).published_cost
    ]


def _again(rows: Sequence[Row]) -> str:
    """How much was trained more than once, in words."""
    done = [row for row in rows if row["status"] == DONE]
    again, once = (sum(int(row[name] or 0) for row in done) for name in ("repeated_updates", "updates_taken"))
    if not again:
        return "No update was taken more than once."
    return f"{again:,} updates, {100 * again / once:.2g} % of {once:,}, were taken more than once: those of interrupted stretches since their last checkpoint."
