"""`crar claims`: the appendix's claims S1 to S10 decided over many transfers, with the spread over models."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from crar_model.checkpoints import load_checkpoint
from crar_model.errors import UserError
from crar_model.files import write_text
from reports import console
from reports.claims import RULES, decide
from reports.dissection import LandscapeOptions, dissect
from reports.markdown import number, render
from reports.models import expand
from reports.subject import load_subject

Plain = dict[str, Any]
MEASURES: tuple[tuple[str, str, Callable[[Plain], float | None]], ...] = (
    ("S1", "norm of e(-s)+e(s) over that of e(-s)-e(s), base", lambda d: d["oddness"][0] / d["oddness"][1]),
    ("S2", "residual of the best signed permutation, edges", lambda d: d["match"]["residual_edges"]),
    ("S3", "transition term over the base's", lambda d: d["failed_terms"]["transition"] / d["optimum_terms"]["transition"]),
    ("S3", "random_pairs over the base's", lambda d: d["failed_terms"]["random_pairs"] / d["optimum_terms"]["random_pairs"]),
    ("S4", "largest transition error, edges", lambda d: d["errors"]["largest"]),
    ("S4", "mean transition error near a side, edges", lambda d: d["errors"]["near"]),
    ("S5", "distance of the midpoints from 0, edges", lambda d: d["midpoint"]),
    ("S5", "t where random_pairs peaks", lambda d: d["barriers"]["embedding"]["random_pairs"]["where"]),
    ("S6", "climb of the total, straight in embedding space", lambda d: d["barriers"]["embedding"]["total"]["climb"]),
    ("S6", "climb, straight in weight space", lambda d: d["barriers"]["weight"]["total"]["climb"]),
    ("S6", "climb, straight to the nearest copy", lambda d: d["barriers"]["aligned"]["total"]["climb"]),
    ("S6", "barrier of the path, dynamics frozen", lambda d: d["paths"]["frozen"]["barrier"]),
    ("S6", "largest force left on that path", lambda d: d["paths"]["frozen"]["force"]),
    ("S7", "total at the encoder's stationary point", lambda d: d["certificate"]["loss"]),
    ("S7", "norm of the smallest subgradient there", lambda d: d["certificate"]["subgradient_norm"]),
    ("S7", "lowest curvature there", lambda d: (d["certificate"]["signature"] or {}).get("lowest")),
    ("S8", "total of the released model over the base's", lambda d: d["released"]["terms"]["total"] / d["optimum_terms"]["total"]),
    ("S8", "barrier of the path, dynamics free", lambda d: d["paths"]["free"]["barrier"]),
    ("S9", "loss moved per unit of the dynamics, 1 % of the way", lambda d: d["shifts"][2]["values"] / d["shifts"][2]["distance"]),
    ("S10", "total of the failed encoder under adapted dynamics over the base's", lambda d: d["adapted"]["terms"]["total"] / d["optimum_terms"]["total"]),
    ("S10", "barrier between the released valley and the base's, all free", lambda d: (d["paths"]["valleys"] or {}).get("barrier")),
)  # fmt: skip
"""(claim, what, how to read it from `Dissection.plain()`)."""


def write_claims(
    transfers: Sequence[Path], folder: Path, *, limit: int = 1, quick: bool = False, resume: bool = False, command: str = ""
) -> Path:
    """Dissect transfers and write `report.md`, `results.json` and one file per transfer under `pairs`; returns the report's path.

    Args:
        transfers: run folders or checkpoints; each names its base, which must still be there.
        folder: made if missing; finished transfers are kept in it, so that an interrupted run goes on with `resume`.
        limit: most transfers per base.
        quick: cut paths and descents short.
        resume: use what `folder` has.
        command: shown in the report.

    Raises:
        UserError: for a transfer whose base is missing, or an existing folder without `resume`.
    """
    if (folder / "pairs").exists() and not resume:
        raise UserError(f"{folder}: holds dissected transfers already; add --resume to keep them or choose another --out")
    if limit < 1:
        raise UserError(f"--limit is {limit}; give at least 1")
    pairs: list[tuple[Path, Path]] = []
    for path in expand(transfers):
        base = load_checkpoint(path).info.get("base")
        if not base:
            raise UserError(f"{path}: names no base, so it is no transfer; give runs of crar transfer")
        if not Path(base).exists():
            raise UserError(f"{base}: the base of {path} is not there; run this where `crar transfer` ran")
        if sum(known == Path(base) for _, known in pairs) < limit:
            pairs.append((path, Path(base)))
    options = LandscapeOptions(quick=quick, resolution=25)
    found: list[tuple[Path, Path, Plain]] = []
    with console.progress_bar(f"claims: {len(pairs)} transfers") as tick:
        for done, (path, base) in enumerate(pairs):
            tick(done, len(pairs))
            subject = load_subject(path, base)
            store = folder / "pairs" / f"{subject.failed_file.digest}-{'quick' if quick else 'full'}.json"
            if not store.exists():
                write_text(store, json.dumps(dissect(subject, options).plain()))
            found.append((path, base, json.loads(store.read_text(encoding="utf-8"))))
        tick(len(pairs), len(pairs))
    groups = {
        "failed": [d for _, _, d in found if d["match"]["verdict"] != "matched"],
        "successful": [d for _, _, d in found if d["match"]["verdict"] == "matched"],
    }
    results = {
        "command": command,
        "pairs": [{"transfer": str(p), "base": str(b), **d, "claims": [asdict(c) for c in decide(d)]} for p, b, d in found],
    }
    write_text(folder / "results.json", json.dumps(results, separators=(",", ":")) + "\n")
    return render(
        "claims.md", folder / "report.md", command=command, found=found, groups={k: v for k, v in groups.items() if v}, quick=quick,
        verdicts={name: verdicts(group) for name, group in groups.items() if group},
        spreads={name: spreads(group) for name, group in groups.items() if group}, rules=RULES,
    )  # fmt: skip


def verdicts(group: Sequence[Plain]) -> dict[str, tuple[str, str]]:
    """claim -> (the verdict of most transfers, or "mixed"; how many have which)."""
    result = {}
    for number_, name in enumerate(rule[0] for rule in RULES):
        counts = Counter(decide(d)[number_].verdict for d in group)
        most, size = counts.most_common(1)[0]
        text = ", ".join(f"{verdict} {count}" for verdict, count in counts.most_common())
        result[name] = (most if size >= 0.8 * len(group) else "mixed", text)
    return result


def spreads(group: Sequence[Plain]) -> list[tuple[str, str, str, str, str, int]]:
    """(claim, measure, median, lowest, highest, models) over a group; what a model lacks is left out."""
    rows = []
    for claim, what, read in MEASURES:
        values = np.array([v for d in group if (v := read(d)) is not None and np.isfinite(v)], dtype=float)
        if len(values):
            rows.append(
                (claim, what, number(float(np.median(values))), number(float(values.min())), number(float(values.max())), len(values))
            )
    return rows
