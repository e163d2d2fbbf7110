"""`crar demo`: the whole story at small size, from random weights to the dissection of a failed transfer and what gets it out."""

from __future__ import annotations

from pathlib import Path

from crar_model.agent.symmetry import RIGHT
from crar_model.core.errors import UserError
from crar_model.core.files import StrPath, is_empty
from crar_model.core.settings import TrainSettings, from_plain, to_plain
from crar_model.core.words import plural
from crar_model.cures.methods import AUTO
from crar_model.tasks import task_named
from crar_model.training.members import Plan, base_plan, transfer_plan
from crar_model.training.runner import RunResult, run_plan
from crar_reports.figures.explorer import NAME as EXPLORER
from crar_reports.measure.options import LandscapeOptions
from crar_reports.models.judged import judge
from crar_reports.models.runs import Run
from crar_reports.pages.cure.one import CureOptions, write_cure
from crar_reports.pages.cure.records import CureResult
from crar_reports.pages.evaluate import print_evaluation
from crar_reports.pages.landscape.page import write_landscape
from crar_reports.pages.report import pick_failed, write_study
from crar_reports.progress import progress_bar, say

BASES, SEEDS = 2, 4
BASE_SCHEDULE: dict[str, float | int | str] = {"updates": 14_000, "decay_interval": 1_000, "checkpoint_interval": 1_000}
TRANSFER_SCHEDULE: dict[str, float | int | str] = {"updates": 3_000, "checkpoint_interval": 500}


def run_demo(folder: StrPath, *, seed: int = 0, resume: bool = False, command: str = "") -> Path:
    """Train, transfer, judge, dissect, cure, report; returns the path of the report.

    The schedules are the study's, shortened: the bases' learning rate decays five times sooner, so that they
    converge in about a minute, and the transfers take 3,000 updates at the study's rate.

    Args:
        folder: where the runs and the report go.
        seed: seed of the first base and the first transfer.
        resume: continue what an interrupted demo left.
        command: shown in the report.

    Raises:
        UserError: when the folder holds a demo and `resume` is False, or the demo was stopped.
    """
    folder = Path(folder)
    if not is_empty(folder) and not resume:
        raise UserError(f"{folder}: exists already; add --resume to continue or choose another --out")
    settings = _settings(BASE_SCHEDULE, seed)
    _run(base_plan(settings, BASES), folder / "base")
    bases = [folder / "base" / f"member-{k}.pt" for k in range(BASES)]
    transfer_settings = _settings(dict(task_named(TrainSettings().maze).transfer_defaults) | TRANSFER_SCHEDULE, seed)
    runs = []
    for variant, members in (("freeze", SEEDS), ("negate-input", 1)):
        runs.append(folder / variant)
        _run(transfer_plan(transfer_settings, bases, variant, members), runs[-1])
    print_evaluation(judge([folder / "base", *runs], use_own_base=True))
    shown = pick_failed([Run(path) for path in runs])
    assert shown is not None
    _, failed, base = shown
    verdict = failed.evaluation.match.verdict if failed.evaluation.match else ""
    landscape, cured = None, None
    if verdict not in RIGHT:
        cured = _cure(failed.path, base.path, folder / "cure")
        model = str(folder / "cure" / "cured.pt") if cured.cured else ""
        line_command = (
            f"crar landscape --quick --from {failed.path} --to {base.path}{model and f' --cured {model}'} --out {folder / 'landscape'}"
        )
        write_landscape(
            failed.path, base.path, folder / "landscape", options=LandscapeOptions(quick=True, cured=model), command=line_command
        )
        landscape = Path("landscape/report.md")
    note = f"schedules cut short for a demo: {BASE_SCHEDULE['updates']:,} updates a base, {TRANSFER_SCHEDULE['updates']:,} a transfer"
    return write_study([folder / "base"], runs, folder, command=command, landscape=landscape, cured=cured, note=note)


def what_to_see(folder: StrPath) -> str:
    """The explorer of a demo and three sentences on it; "" where no transfer failed, so that there is none."""
    page = Path(folder) / "landscape" / EXPLORER
    if not page.exists():
        return ""
    return "\n".join(
        (
            f"explorer: {page}",
            "Open it in a browser and drag the marker: left stands the failed encoder, right the one that it should have become.",
            "Choose a path and press Play: red arrows are moves that the agent predicts wrongly, and they turn grey where it is restored.",
            "In the maze the agent walks the route that it plans; click a cell to send it there, at any place of the path.",
        )
    )


def _settings(schedule: dict[str, float | int | str], seed: int) -> TrainSettings:
    return from_plain(to_plain(TrainSettings()) | schedule | {"seed": seed}, where="demo")


def _cure(failed: Path, base: Path, folder: Path) -> CureResult:
    """A cure of the failed transfer, chosen without the base and then judged by it; see `write_cure`."""
    command = f"crar cure --from {failed} --to {base} --out {folder}"
    with progress_bar("cure: auto") as tick:
        return write_cure(failed, folder, method=AUTO, to_path=base, options=CureOptions(anyway=True), progress=tick, command=command)


def _run(plan: Plan, folder: Path) -> RunResult:
    what = f"{plan.variant.name}: {plural(len(plan.members), 'member')} x {plural(plan.settings.updates, 'update')}"
    with progress_bar(what) as tick:
        result = run_plan(plan, folder, resume=(folder / "run.json").exists(), progress=tick, notice=say)
    if not result.finished:
        raise KeyboardInterrupt
    return result
