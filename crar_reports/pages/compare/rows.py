"""Transfers of run folders and studies as rows of one table, that of `crar study`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath
from crar_model.core.settings import PlaySettings
from crar_model.models.checkpoints import Checkpoint, load_checkpoint
from crar_model.models.merit import SUCCESSFUL, outcome
from crar_model.studies.cells import BEST, LAST
from crar_model.training.search import searched
from crar_model.training.variants import BASE
from crar_reports import progress as console
from crar_reports.models.judged import Judged, judge, run_folders, succeeds
from crar_reports.models.runs import Run, refuse_unusable
from crar_reports.pages.study.rows import DONE, Row
from crar_reports.pages.study.table import FILE, as_text, near_its_base, read_table, scores_of, settings_of
from crar_reports.sections import columns_of, layout_of

TABLES = (FILE, f"{FILE}.gz")
"""Of a study, as `crar study` writes it and as it is published."""


def rows_of(paths: Sequence[StrPath], how: PlaySettings) -> tuple[list[Row], int]:
    """The transfers behind the paths, one network once, in the order given, and how many transfers of studies are not done and left out.

    Args:
        paths: run folders, folders of runs, folders of studies.
        how: how agents are scored, where a maze has a score; a study's table has its own scores.

    Raises:
        UserError: for a folder that is neither, a run that cannot be used, and one of bases.
    """
    found: dict[tuple[str, str], Row] = {}
    runs: list[Run] = []
    left: set[str] = set()
    for path in map(Path, paths):
        table = next((path / name for name in TABLES if (path / name).is_file()), None)
        if table is not None:
            transfers = [row for row in read_table(table) if row["variant"] != BASE.name]
            if not transfers:
                raise UserError(f"{table}: holds no transfers; give a study that has some")
            for row in transfers:
                if row["status"] == DONE:
                    found.setdefault((row.get("last_digest") or row["cell"], row["base"]), row)
                else:
                    left.add(row["cell"])
        else:
            runs += [_usable(folder, how) for folder in run_folders(path)]
    with console.progress_bar("compare", "runs") as tick:
        for number, run in enumerate(runs):
            tick(number, len(runs))
            for row in of_run(run):
                found.setdefault((row["last_digest"], row["base"]), row)
        tick(len(runs), len(runs))
    return list(found.values()), len(left - {row["cell"] for row in found.values()})


def _usable(folder: Path, how: PlaySettings) -> Run:
    if not (folder / "run.json").exists():
        raise UserError(
            f"{folder}: neither a run (no run.json) nor a study (no {FILE}); give folders that crar transfer or crar study wrote"
        )
    run = Run(folder, how)
    refuse_unusable(run)
    if run.plan.variant is BASE:
        raise UserError(f"{folder}: a run of bases; give runs of transfers")
    return run


def of_run(run: Run) -> list[Row]:
    """A row a member. A member of a run that was stopped counts with the updates that it has taken."""
    rows = []
    for k, (member, one) in enumerate(zip(run.plan.members, run.judged, strict=True)):
        model, found = one.checkpoint, run.base_of(one)
        if run.plan.variant.from_base and found is None:
            raise UserError(f"{one.path}: its base {member.base or '(none)'} is not there; put it where the run says")
        base = None if found is None else load_checkpoint(found)
        kept, diverged = model.info.get("kept"), int(model.info["diverged_at"])
        log = {name: values[run.losses["member"] == k] for name, values in run.losses.items()}
        row = {
            "cell": str(one.path), "group": run.folder.name, "status": DONE, "why": "", "variant": run.plan.variant.name, "maze": model.maze,
            "layout": layout_of(model.settings.walls), "scored": run.task.scored, "base": "" if base is None else base.digest,
            "base_start": LAST if found is None or not found.name.startswith(BEST) else BEST, "base_recipe": "" if base is None else base.recipe,
            **columns_of(model.task), **settings_of(run.plan.settings), "seed": member.seed, "learning_rate": member.learning_rate, "reset": run.plan.reset,
            "paired": run.plan.paired or "", "updates": model.updates, "updates_taken": model.updates, "search_updates": searched(model.info),
            "kept_update": kept["update"] if kept else "", "diverged_at": diverged, "last_digest": model.digest, "success_update": "",
            "success": _success(one, model, found, run.how) if diverged < 0 or kept else False, **_figures(one),
        }  # fmt: skip
        if diverged >= 0 and not kept:
            row["outcome"] = "diverged"
        if run.task.scored:
            row |= {"final_score": row.get("last_score_mean", "")} | scores_of(log)
        elif found is not None:
            row |= near_its_base(log, judge([found], how=run.how)[0].evaluation.terms["transition"])
        rows.append(as_text(row))
    return rows


def _success(one: Judged, model: Checkpoint, base: Path | None, how: PlaySettings) -> bool | str:
    """By the one definition; "" of what has neither a base nor a score."""
    if base is not None:
        return succeeds(one.path, base, how)
    score = one.evaluation.score
    return "" if score is None else outcome({}, score=(score.low, score.high)) == SUCCESSFUL


def _figures(one: Judged) -> dict[str, object]:
    """What a table of a study has of a last network, as far as it is counted."""
    evaluation = one.evaluation
    found: dict[str, object] = {f"last_{name}": value for name, value in evaluation.terms.items()}
    for name, value in evaluation.metrics.items():
        if name == "score" and evaluation.score is not None:
            found |= {f"last_score_{each}": getattr(evaluation.score, each) for each in ("mean", "low", "high")}
        else:
            found[f"last_{name}"] = value
    return found | {"outcome": evaluation.match.verdict if evaluation.match else "", "last_drawn": evaluation.drawn}
