"""Runs a plan in a folder: splits the members among processes, keeps the log, resumes, stops cleanly.

A run folder holds `run.json` (what the run is), `member-K.pt` (every member's latest model; of a variant with a search its best by the losses,
beside `last-K.pt`), `losses.csv`, `tensorboard/`, and `state/` (what a resumed run continues from).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import torch

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath, write_json, write_text
from crar_model.core.guards import only_one
from crar_model.core.machine import cores
from crar_model.core.tensor_files import load_plain
from crar_model.models.checkpoints import load_checkpoint
from crar_model.tasks import WorldTask
from crar_model.tasks.checks import check_memory
from crar_model.training.arithmetic import check_arithmetic
from crar_model.training.events import Events
from crar_model.training.log import LossLog, logged
from crar_model.training.members import Plan
from crar_model.training.processes import run_here, run_processes
from crar_model.training.record import Record, describe, differences, moved, plan_of, read_run
from crar_model.training.search import search_starts, with_starts
from crar_model.training.shard import ShardJob, load_state
from crar_model.training.trainer import kept_rows
from crar_model.training.warmup import Notice, compile_missing

__all__ = ["Guest", "Progress", "Rows", "RunResult", "check_folder", "plan_of", "read_run", "run_plan"]


@dataclass(frozen=True)
class RunResult:
    """What a run left: `members` are the checkpoint paths, `diverged` maps member -> update, `finished` is False
    after a stop; `kept` maps member -> what is known of a network that was kept by its losses: `update`, `of` how many, `by` what."""

    folder: Path
    members: tuple[Path, ...]
    diverged: dict[int, int]
    finished: bool
    kept: dict[int, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Guest:
    """Conditions of a run inside another program's process, such as a worker of a cluster; its members must be in one process.

    Attributes:
        stopped: asked now and then; True saves and ends the call, as Ctrl-C does.
        threads: that share the compiled networks.
    """

    stopped: Callable[[], bool]
    threads: int = 1


BEFORE = ("state", "world.npz")
"""What a run folder may hold before its record is written."""
Progress = Callable[[int, int], None]
Rows = Callable[[int, int, dict[str, Any]], None]


def run_plan(
    plan: Plan,
    folder: StrPath,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    rows: Rows | None = None,
    tensorboard: bool = True,
    notice: Notice | None = None,
    guest: Guest | None = None,
) -> RunResult:
    """Train all members of a plan, or go on where an earlier call stopped.

    Args:
        plan: from `base_plan` or `transfer_plan`.
        folder: the run folder; made if missing.
        resume: continue the run in `folder`; it may have more updates than before.
        progress: called with (updates taken, updates in all), summed over members.
        rows: called with new rows of the log as (first member, update, column -> (members,) values).
        tensorboard: also write TensorBoard events.
        notice: told in one line where kernels have to be compiled first, and of tiles.
        guest: of a run inside another program's process; None for a run that has the machine.

    Raises:
        UserError: when the folder holds another run, another process trains in it, it cannot be written, or the device or the arithmetic is not there.
    """
    folder = Path(folder)
    check_memory(plan.settings, len(plan.members))
    _check_device(plan.settings.device)
    check_arithmetic(plan, notice)
    if resume and (folder / "run.json").exists():
        plan = moved(plan, folder)
    described = describe(plan)  # names an unusable base before anything is written
    check_folder(folder, resume)
    with only_one(folder, "another process trains there", "state/lock"):
        plan = with_starts(plan, folder)
        shards = _prepare(plan, described, folder, resume)
        compile_missing(plan, notice)  # here, so that the workers find them
        stopped = guest.stopped if guest is not None else None
        if guest is not None:
            shards = [replace(job, threads=guest.threads) for job in shards]
        try:
            search_starts(plan, folder, _until(stopped, progress))
        except _Stopped:
            return RunResult(folder, (), {}, False)
        return _run(plan, folder, shards, progress, rows, tensorboard, stopped)


class _Stopped(Exception):
    """A search was told to stop; what it has finished lies on disk."""


def _until(stopped: Callable[[], bool] | None, progress: Progress | None) -> Progress:
    """The progress of a search that ends when it is told to."""

    def tick(done: int, everything: int) -> None:
        if stopped is not None and stopped():
            raise _Stopped
        if progress is not None:
            progress(done, everything)

    return tick


def _run(
    plan: Plan,
    folder: Path,
    shards: list[ShardJob],
    progress: Progress | None,
    rows: Rows | None,
    tensorboard: bool,
    stopped: Callable[[], bool] | None,
) -> RunResult:
    events = Events(folder, plan) if tensorboard else None
    log = LossLog(folder, plan.members, logged(plan.task), events)
    updates = [0] * len(shards)
    for job in shards:
        if job.state_path.exists():
            state = load_state(job)
            rows_kept = kept_rows(state, plan.settings)
            log.restore(job.first, state["log_updates"][:rows_kept], list(state["log_values"].numpy()[:rows_kept]))
            updates[job.index] = int(state["update"])
    diverged: dict[int, int] = {}
    everything = plan.settings.updates * len(plan.members)

    def receive(index: int, kind: str, content: dict[str, Any]) -> None:
        if kind == "rows":
            log.add(shards[index].first, content["update"], content["values"])
            if rows is not None:
                rows(shards[index].first, content["update"], dict(zip(log.columns, content["values"].T, strict=True)))
        elif kind == "diverged":
            diverged[content["member"]] = content["update"]
        elif kind == "saved":
            if events is not None:
                for member in range(shards[index].first, shards[index].first + shards[index].count):
                    events.judge(member)
            log.write()
        if kind in ("progress", "saved"):
            updates[index] = content["update"]
            if progress is not None:
                progress(sum(job.count * updates[job.index] for job in shards), everything)

    if progress is not None:  # where it goes on from
        progress(sum(job.count * updates[job.index] for job in shards), everything)
    try:
        finished = run_here(shards[0], receive, stopped) if len(shards) == 1 else run_processes(shards, receive)
    finally:
        log.close()
    paths = tuple(folder / f"member-{k}.pt" for k in range(len(plan.members)))
    kept: dict[int, dict[str, Any]] = {}
    for k, path in enumerate(paths):
        info = load_plain(path)["info"]  # read as it is: what has diverged need not be a usable model
        if info["diverged_at"] >= 0:
            diverged[k] = info["diverged_at"]
        if "kept" in info:
            kept[k] = info["kept"]
    return RunResult(folder, paths, diverged, finished, kept)


def _check_device(name: str) -> None:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"--device is {name!r}; give cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"--device is {name!r}; give cpu, cuda or cuda:N")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"--device is {name!r}, but this PyTorch finds no CUDA GPU; use --device cpu")


def check_folder(folder: StrPath, resume: bool) -> None:
    """Refuse a folder before anything is written to it.

    Raises:
        UserError: for a run that is there already, none to resume, or a folder that holds something else.
    """
    folder = Path(folder)
    if (folder / "run.json").exists():
        if not resume:
            raise UserError(f"{folder}: holds a run already; add --resume to continue it or choose another --out")
        if not (folder / "state").exists() and _taken(folder):
            raise UserError(
                f"{folder}: its state/, which a run goes on from, is gone; start anew in another --out, or go on from its models"
            )
    elif resume:
        raise UserError(f"{folder}: there is no run to resume (run.json is missing); leave --resume out to start one")
    elif folder.exists() and (not folder.is_dir() or any(path.name not in BEFORE for path in folder.iterdir())):
        raise UserError(f"{folder}: exists and is not a run folder; choose an empty or new --out")


def _taken(folder: Path) -> int:
    """Updates that the furthest member of a run has taken, as far as its models say."""
    return max((load_checkpoint(path).updates for path in folder.glob("member-*.pt")), default=0)


def _prepare(plan: Plan, described: Record, folder: Path, resume: bool) -> list[ShardJob]:
    """Write or check `run.json` and split the members; a resumed run keeps its split. The folder is locked."""
    check_folder(folder, resume)  # again: another process may have begun a run since
    record = folder / "run.json"
    if record.exists():
        before = read_run(folder)
        changed = differences(before, described, str(record))
        if changed:
            raise UserError(f"{folder}: the run there differs in {', '.join(changed)}; give the same settings or another --out")
        if (taken := _taken(folder)) > plan.settings.updates:
            raise UserError(f"--updates is {plan.settings.updates:,}, but the run in {folder} has taken {taken:,}; give at least that")
        described = msgspec.structs.replace(described, shards=before.shards)
    jobs, first = list[ShardJob](), 0
    for index, count in enumerate(described.shards):
        jobs.append(ShardJob(plan, folder, index, first, count, plan.task, max(1, cores() // len(described.shards))))
        first += count
    for job in jobs:
        if not record.exists() and job.state_path.exists():
            load_state(job)  # refuses that of another run
    if isinstance(plan.task, WorldTask):
        plan.task.keep(folder)
    write_json(record, described)
    if plan.settings.walls:
        write_text(folder / "walls.txt", plan.settings.walls)
    return jobs
