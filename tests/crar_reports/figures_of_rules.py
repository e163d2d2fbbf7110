"""Figures of a transfer that rules are asked of, and how they are altered."""

from __future__ import annotations

import copy

from crar_model.core.files import Plain

NEAR = {
    "transition": 1e-3,
    "reward": 1e-4,
    "discount": 1e-4,
    "ball": 1e-4,
    "random_pairs": 0.02,
    "consecutive": 0.32,
    "value": 0.0,
    "total": 0.09,
}
BAD = NEAR | {"transition": 0.02, "total": 0.15}
SWAPPED = {"verdict": "swapped", "axes": [[-1, 0], [0, -1]], "residual_edges": 0.4, "identity_edges": 2.0}
MATCHED = SWAPPED | {"verdict": "matched"}


def path(barrier: float, start: float = 0.15, end: float = 0.09) -> Plain:
    return {"barrier": barrier, "start": start, "end": end}


def facts() -> Plain:
    """A failed transfer of a good base, in the simple maze: a certified minimum whose wall vanishes on a path."""
    line = {"random_pairs": {"where": 0.5}, "consecutive": {"where": 0.5}, "total": {"climb": 0.3}}
    shift = {"distance": 1.0, "values": 0.1, "gradients": 0.1}
    same = {"distance": 9.0, "values": 1e-16, "gradients": 1e-16}
    find = {"verdict": "minimum", "loss": 0.15, "level": 3.0, "match": "swapped", "least": 3.0, "most": 3.0, "apart": 0.0}
    return {
        "failed_terms": BAD, "optimum_terms": NEAR, "copy_terms": NEAR, "floor": {"consecutive": 0.27, "total": 0.054}, "match": SWAPPED,
        "quick": False, "oddness": [0.1, 2.0], "midpoint": 0.2, "barriers": dict.fromkeys(("embedding", "weight", "aligned"), line),
        "accuracy": [0.3, 0.98, 0.98], "navigation": [0.1, 0.9, 0.9],
        "errors": {
            "largest": 1.9, "mean": 0.9, "above_two": 0.0, "above_at_door": 0.0, "near": 0.9, "far": 1.2, "moves": 90, "near_states": 18,
            "states": 31, "board_near": 28, "board": 64, "two_edges": 0.7, "worst": 4, "worst_share": 0.1, "worst_at_door": 0,
        },
        "certificate": {
            "verdict": "minimum", "reason": "", "loss": 0.15, "terms": BAD, "match": SWAPPED, "multiplier_slack": 0.1, "weak": 0,
        },
        "paths": {
            "frozen": path(0.0), "free": path(0.0), "valleys": path(0.02), "straight": {"embedding": 0.3, "weight": 0.4}, "space": "embedding",
            "searches": {name: {"barrier": 0.0} for name in "abcde"}, "lifted": {"barrier": 0.0, "reached": 1.0},
        },
        "adapted": {"terms": BAD, "match": SWAPPED, "iterations": 10, "converged": True},
        "released": {"terms": NEAR, "match": SWAPPED, "iterations": 10, "converged": True},
        "shifts": [
            {"way": "0 of the way", "distance": 0.0, "values": 0.0, "gradients": 0.0}, {"way": "0.1 of the way", **shift}, {"way": "1 of the way", **shift},
            {"way": "hidden units exchanged and negated", **same}, {"way": "mirrored, seen from the mirrored encoders", **same},
        ],
        "descents": [{"way": "own", **find}, {"way": "adapted", **find, "level": 1.0}, {"way": "random", **find}],
    }  # fmt: skip


def changed(figures: Plain, changes: Plain) -> Plain:
    """The figures with some of them altered; "a.b" reaches into the tables."""
    result = copy.deepcopy(figures)
    for where, value in changes.items():
        *way, last = where.split(".")
        inner = result
        for step in way:
            inner = inner[step]
        inner[last] = value
    return result


BARRED = {"paths.frozen": path(0.2), "paths.searches": {name: {"barrier": 0.2} for name in "abcde"}}


def altered(figures: Plain, changes: Plain) -> Plain:
    """As `changed`, with numbered rows of the lists."""
    result = copy.deepcopy(figures)
    lists = {where: value for where, value in changes.items() if where.split(".")[0] in ("shifts", "descents") and "." in where}
    for where, value in lists.items():
        name, row, key = where.split(".")
        result[name][int(row)][key] = value
    return changed(result, {where: value for where, value in changes.items() if where not in lists})


def score(low: float, high: float) -> Plain:
    return {"mean": (low + high) / 2, "low": low, "high": high}


def sample() -> Plain:
    """The same in the random mazes."""
    own = {"verdict": "minimum", "reason": "", "both": "minimum", "both_reason": "", "loss": 0.15, "gradient": 1e-4, "match": SWAPPED}
    ways = {"straight": 0.4, "frozen": path(0.1), "free": path(0.01), "independent": {"frozen": 0.1, "free": 0.01, "straight": 0.4}}
    ways = {k: v | {"start": 0.15, "end": 0.08} if k in ("frozen", "free") else v for k, v in ways.items()}
    sampled = {
        "floors": {"sample": facts()["floor"]["total"]}, "sizes": {"sample": {"transitions": 2048, "terminal": 6, "maps": 300}}, "failed": own, "reference": own | {"loss": 0.08}, "paths": ways,
    }  # fmt: skip
    descents = [find | {"other_level": 3.0} for find in facts()["descents"]]
    return {
        **facts(),
        "descents": [descents[0], descents[1] | {"level": 1.5, "least": 0.8, "most": 1.7}, descents[2]],
        "sampled": sampled,
        "failed_score": score(-4.9, -4.5),
        "optimum_score": score(0.5, 0.9),
        "copy_score": score(0.5, 0.9),
    }
