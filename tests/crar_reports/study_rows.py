"""Rows of a study that tests make up."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crar_model.agent.loss import SHOWN

Row = dict[str, Any]
TRAINED = 60_000


def row(cell: str, **given: Any) -> Row:
    """A row of a table, of a base where no variant is named."""
    scored = given.get("maze", "random") == "random"
    usual: Row = {
        "cell": cell, "group": "g", "status": "done", "why": "", "variant": "base", "maze": "random", "scored": int(scored), "base": "",
        "base_start": "", "seed": 0, "learning_rate": 0.0005, "update_rule": "joint", "observation_map": "negative", "updates": TRAINED,
        "updates_taken": TRAINED, "search_updates": 0, "repeated_updates": 0, "log_interval": 1_000, "success": "", "outcome": "neither", "final_score": 0.5, "success_update": "", "seconds": 10,
        "updates_per_second": 100, "last_nearest_state_accuracy": 1,
    }  # fmt: skip
    usual |= {"last_updates": TRAINED, "best_updates": 50_000}
    usual |= {f"{which}_{term}": 0.001 for which in ("last", "best") for term in SHOWN}
    usual |= {f"{which}_score_{name}": value for which in ("last", "best") for name, value in (("mean", 0.5), ("low", 0.3), ("high", 0.7))}
    return usual | given


def transfer(number: int, base: str, *, good: bool, at: int = 0, **given: Any) -> Row:
    """A transfer that came up after `at` updates, or failed."""
    own = {
        "variant": "freeze", "base": base, "base_start": "best", "seed": number, "success": int(good), "success_update": at if good else "",
        "final_score": 0.8 - number / 100 if good else -4.4 - number / 100,
    }  # fmt: skip
    return row(**{"cell": f"{base}-{given.get('variant', 'freeze')}-{number}", **own, **given})


def text_rows(rows: Sequence[Row]) -> list[dict[str, str]]:
    return [{name: str(value) for name, value in one.items()} for one in rows]


def write_rows(path: Path, rows: Sequence[Row]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    return path


def a_study(hits: Sequence[int], each: int = 4) -> list[Row]:
    """Bases, of each so many `freeze` transfers succeed; and two `unfreeze` of each, which all do."""
    rows = [row(f"b{number}", seed=number) for number in range(len(hits))]
    for number, count in enumerate(hits):
        rows += [transfer(k, f"b{number}", good=k < count, at=10_000 * (k + 1)) for k in range(each)]
        rows += [
            transfer(k, f"b{number}", good=True, at=4_000 + k, variant="unfreeze", updates_taken=20_000, updates=20_000) for k in range(2)
        ]
    return rows


def pair(score: tuple[float, float], worst: float) -> Row:
    """A failed transfer: the interval of its score, and the transition term over the base's."""
    base = dict.fromkeys(SHOWN, 0.01)
    floor = {"consecutive": 0.0, "total": 0.0}
    bounds = {"mean": sum(score) / 2, "low": score[0], "high": score[1]}
    return {
        "failed_terms": base | {"transition": 0.01 * worst},
        "copy_terms": base,
        "floor": floor,
        "failed_score": bounds,
        "copy_score": bounds,
    }


def rates(bases: str = "b", **hits: int) -> list[tuple[str, str, float, bool]]:
    """Of every base six seeds a rate, twelve at 1e-4; how many succeed."""
    values = {"low": 1e-5, "under": 5e-5, "odd": 1e-4, "over": 5e-4, "middle": 1e-3, "high": 5e-3}
    seeds = {name: 12 if name == "odd" else 6 for name in values}
    return [
        (base, str(seed), rate, seed < hits.get(name, 0)) for base in bases for name, rate in values.items() for seed in range(seeds[name])
    ]
