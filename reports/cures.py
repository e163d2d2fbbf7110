"""`crar cure` on many transfers: every method on each, and one table with intervals."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from crar_model.checkpoints import load_checkpoint
from crar_model.errors import UserError
from crar_model.files import StrPath, write_text
from reports import console
from reports.cure import CureOptions, Plain, as_good, write_cure
from reports.data_files import shortened
from reports.markdown import render
from reports.models import expand, judge
from reports.statistics import share

RESAMPLES = 10_000
"""Of the bases, for the interval that takes transfers of one base as one."""


def write_cures(
    models: Sequence[StrPath],
    folder: StrPath,
    *,
    methods: Sequence[str],
    base_path: StrPath | None = None,
    to_path: StrPath | None = None,
    options: CureOptions | None = None,
    command: str = "",
) -> Plain:
    """Cure every transfer that failed with every method, and write `report.md`, `results.json` and a folder for each.

    A transfer that is as good as its base already is counted and left alone. Finished cures in `folder` are kept, so that an interrupted
    table goes on.

    Args:
        models: checkpoints and run folders.
        folder: made if missing; METHOD/RUN-MEMBER in it holds a cure.
        methods: keys of `METHODS`, or "auto".
        base_path, to_path: as in `write_cure`, for all; each transfer's own base where they are None.
        options: what else.
        command: shown in the report.

    Returns:
        what `results.json` holds.

    Raises:
        UserError: for a transfer whose base is not there, or as `write_cure`.
    """
    folder = Path(folder)
    base_path, to_path = (None if path is None else Path(path) for path in (base_path, to_path))
    options = options or CureOptions()
    paths = expand(models)
    judges = [to_path or _named(path) for path in paths]
    unfit: list[tuple[Path, Path]] = []
    failed: list[tuple[Path, Path]] = []
    for path, judge_path in zip(paths, judges, strict=True):
        (model,) = judge([path], judge_path, how=options.how)
        (base,) = judge([judge_path], how=options.how)
        good = as_good(model.evaluation, base.evaluation, complete=model.checkpoint.task.sampling.complete)
        (unfit if good else failed).append((path, judge_path))
    rows: list[Plain] = []
    with console.progress_bar(f"cure: {len(failed)} failed transfers", "cures") as tick:
        for number, (path, judge_path) in enumerate(failed):
            for place, method in enumerate(methods):
                tick(number * len(methods) + place, len(failed) * len(methods))
                own = folder / method / _label(path)
                made = _finished(own, path, method, options) or write_cure(
                    path, own, method=method, base_path=base_path, to_path=judge_path, options=options, command=command
                )
                rows.append(made)
        tick(len(failed) * len(methods), len(failed) * len(methods))
    table = [_counts(method, [row for row in rows if row["method"] == method]) for method in methods]
    results = {
        "command": command, "settings": asdict(options.settings), "transfers": len(paths), "failed": len(failed), "as_good": len(unfit),
        "table": table, "rows": [_short(row) for row in rows],
    }  # fmt: skip
    write_text(folder / "results.json", json.dumps(shortened(results), separators=(",", ":")) + "\n")
    render("cures.md", folder / "report.md", r=results, command=command)
    return results


def _named(path: Path) -> Path:
    base = str(load_checkpoint(path).info.get("base") or "")
    if not base or not Path(base).is_file():
        raise UserError(
            f"{path}: "
            + (f"its base {base} is not there" if base else "names no base")
            + "; a table is judged by a base: give it with --to"
        )
    return Path(base)


def _label(path: Path) -> str:
    return f"{path.resolve().parent.name}-{path.stem}"


def _finished(own: Path, path: Path, method: str, options: CureOptions) -> Plain | None:
    """A cure that an earlier call finished, where it is the same one."""
    file = own / "results.json"
    if not file.exists():
        return None
    found: Plain = json.loads(file.read_text(encoding="utf-8"))
    same = found["failed"]["digest"] == load_checkpoint(path).digest and found["method"] == method
    return found if same and found["settings"] == json.loads(json.dumps(asdict(options.settings))) else None


def _short(row: Plain) -> Plain:
    """A row of the table: what one cure came to."""
    names = ("method", "failed", "cured", "by", "restored", "lacks", "budget")
    merit = {side: {name: value for name, value in row[side].items() if name != "terms"} for side in ("before", "after")}
    level = None if row["level"] is None else row["level"]["total"]
    return (
        {name: row[name] for name in names} | merit | {"base": row["to"]["path"], "total": row["chosen"]["terms"]["total"], "level": level}
    )


def _counts(method: str, rows: Sequence[Plain]) -> Plain:
    """How many failed transfers a method restored, with exact intervals, and how far its own word is right."""
    bases = sorted({row["to"]["path"] for row in rows})
    says, is_so = ([bool(row[name]) for row in rows] for name in ("cured", "restored"))
    by_base = {base: [row["restored"] for row in rows if row["to"]["path"] == base] for base in bases}
    return {
        "method": method,
        "transfers": len(rows),
        "bases": len(bases),
        "cured": share(says),
        "restored": share(is_so),
        "restored_by_base": clustered(list(by_base.values())),
        "bases_restored": sum(all(each) for each in by_base.values()),
        "cured_not_restored": sum(a and not b for a, b in zip(says, is_so, strict=True)),
        "restored_not_cured": sum(b and not a for a, b in zip(says, is_so, strict=True)),
        "lacks": Counter(what for row in rows for what in row["lacks"]),
        "median_updates": float(np.median([row["budget"]["updates"] for row in rows])) if rows else None,
        "median_seconds": float(np.median([row["budget"]["seconds"] for row in rows])) if rows else None,
    }


def clustered(groups: Sequence[Sequence[bool]]) -> Plain:
    """95 % interval of a share from resampling whole groups (percentiles); None for fewer than two groups."""
    if len(groups) < 2:
        return {"low": None, "high": None}
    hits, sizes = (np.array([f(group) for group in groups]) for f in (sum, len))
    picks = np.random.default_rng(0).integers(0, len(groups), (RESAMPLES, len(groups)))
    shares = hits[picks].sum(1) / sizes[picks].sum(1)
    return {"low": float(np.quantile(shares, 0.025)), "high": float(np.quantile(shares, 0.975))}
